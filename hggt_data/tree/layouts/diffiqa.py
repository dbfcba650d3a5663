"""DiffIQA's layout: `images/{Original,01..}/NAME.png`, `labels/{A,B,C}/{01..}/NAME_01.json`, a JSON per vote.

One such folder, or several in `Train/`, `Validation/` and `Test/`. The JSON has `Picture_AI` (the candidate, with the
label), `picture_Original` and `Time_cost`. Source: Toward Generalized Image Quality Assessment, CVPR 2025.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hggt_data.errors import TreeError
from hggt_data.io.names import by_look, note_lookalike
from hggt_data.io.text import format_examples, plural
from hggt_data.licence import HGGT_LICENSE_NAME
from hggt_data.problems import Problem
from hggt_data.schema import ORIGINAL, Annotation, Label, Protocol
from hggt_data.tree.folders import folder_names, relative_path, way_to_read
from hggt_data.tree.hggt_folders import is_candidate_name, picture_name, slots_by_candidate
from hggt_data.tree.label_json import Fault, Times, label_faults, name_faults, read_label_json, shown
from hggt_data.tree.listing import GroupFiles, GroupName, Layout, Listing, ListOptions, Votes

_SPLITS = {"train": "train", "validation": "validation", "test": "test"}  # folder in lower case to split
# Their crop tool writes the first row after x, and the first column after y.
_CROP = re.compile(r"(?P<image>.+)x(?P<top>[0-9]{1,9})y(?P<left>[0-9]{1,9})", re.DOTALL)


class _Part(NamedTuple):
    """One pair of picture and label folders.

    Attributes:
        original: the name of the folder of originals, `Original` in any case.
        split: its split; None if its folder has another name.
    """

    images: Path
    labels: Path
    original: str
    split: str | None

    def picture(self, group_id: str, name: str) -> Path:
        """The path of a picture."""
        return self.images / (self.original if name == ORIGINAL else name) / picture_name(group_id, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffiqaFiles(GroupFiles):
    """The files of one group.

    Attributes:
        labels: (slot, candidate) to file, for each vote that there is.
    """

    labels: Mapping[tuple[str, str], Path]

    @property
    def vote_files(self) -> tuple[Path, ...]:
        return tuple(self.labels.values())

    def read_votes(self, read: Callable[[Path], bytes]) -> Votes:
        problems: list[Problem] = []
        labels: dict[str, dict[str, Label]] = defaultdict(dict)
        times: dict[str, list[Times]] = defaultdict(list)
        if not self.labels:
            message, hint = f"group {self.id} has no votes", "Restore its labels, or remove its pictures."
            problems.append(self.problem("missing-annotation", self.images[ORIGINAL], message, hint))
        for (slot, candidate), path in self.labels.items():
            try:
                data = read(path)
            except OSError as error:
                problems.append(self.problem("unreadable-annotation", path, str(error.strerror), way_to_read(error)))
                continue
            find_faults = partial(_find_faults, group_id=self.id, candidate=candidate)
            found = read_label_json(data, self.relative(path), self.id, find_faults)
            problems += found.problems
            if found.content is not None:
                labels[slot][candidate] = Label(found.content["Picture_AI"]["Label"])
                times[slot].append(found.times)
        annotations = [
            self.with_annotator(Annotation(slot, tuple(map(given.get, self.candidates)), *_join_times(times[slot])))
            for slot, given in labels.items()
        ]
        return Votes(tuple(annotations), problems=tuple(problems))


class DiffiqaListing(Listing):
    """The groups of a DiffIQA folder, or of its official splits."""

    def __init__(self, root: Path) -> None:
        super().__init__(LAYOUT, root, (root,))
        parts = _find_parts(root)
        self.candidates = tuple(sorted({name for part in parts for name in _candidates(part.images)}))
        self._part_of: dict[str, _Part] = {}
        self._voted: dict[tuple[_Part, str, str], dict[str, None]] = {}  # by part, slot and candidate
        unmatched = [group for part in parts for group in self._list_part(part)]
        self.slots = tuple(sorted({slot for _, slot, _ in self._voted}))
        self.has_labels = bool(self._voted)
        self._report_missing_votes(parts)
        if len(splits := {part.split for part in parts} - {None}) == 1:
            (self.split,) = (split for split in splits if split)
        self.splits = {group: part.split for group, part in self._part_of.items() if part.split}
        self.set_groups(map(_name_group, self._part_of), unmatched)

    def files(self, group_id: str) -> DiffiqaFiles:
        part = self._part_of[group_id]
        places = [(slot, name) for slot in self.slots for name in self.candidates]
        return DiffiqaFiles(
            **self.common_facts(group_id),
            images={name: part.picture(group_id, name) for name in (ORIGINAL, *self.candidates)},
            labels={
                (slot, name): part.labels / slot / name / f"{group_id}_{name}.json"
                for slot, name in places
                if group_id in self._voted.get((part, slot, name), ())
            },
        )

    def picture_path(self, group_id: str) -> Path:
        return self._part_of[group_id].picture(group_id, ORIGINAL)

    def _list_part(self, part: _Part) -> Iterator[str]:
        """List the groups of a part; yield the ids of votes without pictures."""
        folders = self.folders
        ids: dict[str, None] = {}
        for name in (ORIGINAL, *self.candidates):
            folder = part.images / (part.original if name == ORIGINAL else name)
            ids |= dict.fromkeys(group for group, _ in folders.named_files(folder, picture_name("", name), "image"))
        for group in sorted(ids):
            first = self._part_of.setdefault(group, part)
            if first is not part:
                message = f"group {group} is also in {relative_path(first.images, self.root)}; expected each group once"
                folders.report("duplicate-group", "error", part.images, message, "Remove one of the two.", group)
        folders.report_unknown(part.images, (part.original, *self.candidates))
        folders.check_links(part.images)
        slots = [name for name in folder_names(part.labels) if not name.startswith(".")]
        folders.report_unknown(part.labels, slots)
        folders.check_links(part.labels)
        for slot in filter(lambda slot: folders.check_name(part.labels / slot), slots):
            folders.report_unknown(part.labels / slot, self.candidates)
            for name in self.candidates:
                yield from self._list_votes(part, slot, name, ids)

    def _list_votes(self, part: _Part, slot: str, name: str, ids: Mapping[str, None]) -> Iterator[str]:
        folder = part.labels / slot / name
        known: Mapping[str, str] | None = None
        for group, path in self.folders.named_files(folder, f"_{name}.json", "annotation"):
            if group in ids:
                self._voted.setdefault((part, slot, name), {})[group] = None
                continue
            known = by_look(ids) if known is None else known
            message = f"group {group} has no pictures{note_lookalike(group, known)}"
            hint = "Restore the pictures, or rename or remove the annotation."
            self.folders.report("annotation-without-group", "error", path, message, hint)
            yield group

    def _report_missing_votes(self, parts: Sequence[_Part]) -> None:
        """Report how many votes each folder of votes lacks; a candidate may have fewer votes than others."""
        for part in parts:
            ids = [group for group, own in self._part_of.items() if own is part]
            for slot in self.slots:
                for name in self.candidates:
                    voted = self._voted.get((part, slot, name), {})
                    if missing := [group for group in ids if group not in voted]:
                        message = (
                            f"{plural(len(missing), 'vote')} of {len(ids):,} missing: {format_examples(missing)}; "
                            "candidates are judged by the votes that there are"
                        )
                        path, hint = part.labels / slot / name, "Restore the labels if you have them."
                        self.folders.report("missing-votes", "warning", path, message, hint)


def _find_faults(content: dict[str, Any], group_id: str, candidate: str) -> Iterator[Fault]:
    """Each error in the entries of the two pictures."""
    names = {"Picture_AI": candidate, "picture_Original": ORIGINAL}
    for key in content:
        if key not in names and key != "Time_cost":
            yield "extra-picture", f"unknown key {shown(key)}; expected {' and '.join(names)}", "Remove it."
    for key, name in names.items():
        picture = content.get(key)
        if not isinstance(picture, dict):
            message = f"{key!r} is {shown(picture)}; expected an object with Name, File and Label"
            yield "missing-picture", message, "Restore the file from the download."
            continue
        wanted = {"Name": picture_name(group_id, name), "File": name}
        found = dict(picture)
        if name == ORIGINAL and isinstance(found.get("File"), str):
            found["File"] = found["File"].lower()  # as the name of the folder, in any case
        yield from name_faults(key, found, wanted, "Does the file belong to another group?")
        yield from label_faults(key, name, picture.get("Label"))


def _join_times(times: Sequence[Times]) -> Times:
    """From the first start to the last end of a slot's votes on a group, and the sum of their seconds."""
    starts, ends, seconds = ([value for value in values if value is not None] for values in zip(*times, strict=True))
    total = sum(seconds) if len(seconds) == len(times) else None
    return min(starts, default=None), max(ends, default=None), total


def _name_group(group_id: str) -> GroupName:
    crop = _CROP.fullmatch(group_id)
    if crop is None:
        return GroupName(group_id, group_id)
    return GroupName(group_id, crop["image"], int(crop["top"]), int(crop["left"]))


def _find_parts(root: Path) -> list[_Part]:
    """The folder itself, or its official splits."""
    if (own := _part(root)) is not None:
        return [own]
    folders = [root / name for name in folder_names(root) if name.lower() in _SPLITS]
    return [part for part in map(_part, folders) if part is not None]


def _part(folder: Path) -> _Part | None:
    images, labels = folder / "images", folder / "labels"
    originals = [name for name in folder_names(images) if name.lower() == ORIGINAL]
    if not (originals and _candidates(images)):
        return None
    return _Part(images, labels, originals[0], _SPLITS.get(folder.name.lower()))


def _candidates(images: Path) -> list[str]:
    return [name for name in folder_names(images) if is_candidate_name(name)]


def _marks(folder: Path) -> dict[str, bool]:
    parts = _find_parts(folder)
    homes = [part.labels.parent for part in parts]
    return {
        "images/Original/, 01/, 02/, ... in it or in Train/, Validation/, Test/": bool(parts),
        "one JSON per candidate in labels/A/01/, labels/A/02/, ...": any(map(slots_by_candidate, homes)),
    }


def _list(folder: Path, options: ListOptions) -> DiffiqaListing:
    if options.lr is not None:
        raise TreeError(f"{folder} has the layout {LAYOUT.name}, which has no low-resolution images; leave out `lr`")
    return DiffiqaListing(folder)


def _splits(folder: Path) -> list[str]:
    return [part.split for part in _find_parts(folder) if part.split]


LAYOUT = Layout(
    name="diffiqa",
    consensus="majority",
    protocol=Protocol(blind=True, versions_at_once=2),
    marks=_marks,
    list=_list,
    license=HGGT_LICENSE_NAME,
    shares_pictures=True,
    splits=_splits,
)
