"""Own data: tables of votes, `votes.csv`, and pictures as `GROUP/VERSION.png`, `VERSION/GROUP.png` or HGGT's names.

`table_votes.py` reads the tables, `table_groups.py` the file `groups.csv`, `table_pictures.py` finds the pictures.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hggt_data.errors import NameFormatError, TableError, TreeError
from hggt_data.io.archive import open_place
from hggt_data.io.files import csv_file
from hggt_data.io.names import by_look, compare_names, find_lookalikes, note_lookalike
from hggt_data.io.text import format_examples, plural
from hggt_data.licence import UNKNOWN_LICENSE
from hggt_data.schema import LR, ORIGINAL, SPLITS, Label, PatchGroup, PatchId, Protocol
from hggt_data.tree.folders import enter, folder_names, has_folders
from hggt_data.tree.listing import GroupFiles, GroupName, Layout, Listing, ListOptions, Votes
from hggt_data.tree.table_groups import COLUMNS, GROUPS_FILE, GroupTable, read_group_table
from hggt_data.tree.table_pictures import TablePictures
from hggt_data.tree.table_rows import RowReader
from hggt_data.tree.table_votes import KINDS, VOTES_FILE, GroupRows, read_vote_table

_WORDS = {label.class_name: label for label in Label}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFiles(GroupFiles):
    """The pictures of one group, and its rows.

    Attributes:
        rows: the rows of each table that has some on the group.
        words: words for labels, in small letters.
        caption: that of `groups.csv`.
    """

    rows: tuple[GroupRows, ...]
    words: Mapping[str, Label]
    caption: str | None

    @property
    def vote_files(self) -> tuple[Path, ...]:
        return ()

    def facts(self) -> list[object]:
        words = {word: label.value for word, label in self.words.items()}
        return [*GroupFiles.facts(self), words, self.caption, [rows.content() for rows in self.rows]]

    def read_votes(self, read: Callable[[Path], bytes]) -> Votes:
        reader = RowReader(self.images.keys() - {LR}, self.candidates, self.words)
        for rows in self.rows:
            reader.read(rows)
        annotations = [one if one.annotator else self.with_annotator(one) for one in reader.annotations()]
        problems = [self.problem(kind, rows.path, message, hint) for kind, rows, message, hint in reader.faults]
        return Votes(
            tuple(annotations), tuple(reader.pairs), tuple(reader.choices), tuple(reader.scores), tuple(problems)
        )

    def judge(self, votes: Votes) -> PatchGroup:
        """The group with its consensus; there is none without an original, with which labels compare candidates."""
        group = replace(GroupFiles.judge(self, votes), caption=self.caption)
        if ORIGINAL in self.images:
            return group
        none = (None,) * len(self.candidates)
        return replace(group, consensus=none, agreement=(0,) * len(self.candidates))


class TableListing(Listing):
    """The groups of tables of votes."""

    def __init__(self, root: Path, options: ListOptions) -> None:
        table = options.table
        votes = open_place(Path(table.votes)) if table.votes else root / VOTES_FILE
        pictures = enter(Path(table.pictures), has_folders) if table.pictures else root
        others = {"pictures": table.pictures and pictures, "votes": table.votes and votes.parent, LR: options.lr}
        given = {name: folder for name, folder in others.items() if isinstance(folder, Path)}
        super().__init__(LAYOUT, root, (root, *given.values()), given)
        self._words = _WORDS | {word.lower(): label for word, label in (table.label_words or {}).items()}
        self._pattern = table.compiled_pattern()
        self._votes = votes
        self._tables = [read_vote_table(path) for path in _vote_files(votes)]
        self._groups = self._read_groups()
        self._pictures = TablePictures(pictures, self.folders)
        self._find_pictures(options.lr)
        ids = self._pictures.places.keys() - self._only_lr()
        self.candidates = self._pictures.candidates()
        self.has_lr = any(LR in found for found in self._pictures.places.values())
        self.has_captions = bool(self._groups.values("caption"))
        kinds = [rows.kind for rows in self._tables]
        self.has_labels = "labels" in kinds
        self.votes = tuple(kind for kind in KINDS if kind in kinds and kind != "labels")
        self.slots = tuple(sorted({slot for rows in self._tables for slot in rows.slots}))
        self.splits = {group: split for group, split in self._groups.values("split").items() if group in ids}
        if root.name.lower() in SPLITS:
            self.split = root.name.lower()
        unmatched = self._check_votes(ids)
        self.set_groups(self._name_groups(ids), unmatched)

    def files(self, group_id: str) -> TableFiles:
        found = [rows for table in self._tables if (rows := table.rows_of(group_id))]
        return TableFiles(
            **self.common_facts(group_id),
            images=self._pictures.of(group_id),
            rows=tuple(found),
            words=self._words,
            caption=self._groups.lines.get(group_id, {}).get("caption"),
        )

    def picture_path(self, group_id: str) -> Path:
        return next(iter(self._pictures.of(group_id).values()))

    def common_files(self) -> list[Path]:
        return [*Listing.common_files(self), *(table.path for table in self._tables), self._groups_path]

    def write_part(self, folder: Path, ids: Iterable[str], *, is_test: bool, copy: bool) -> Iterator[bool]:
        """As `Listing.write_part`, with the rows of these groups, and a `groups.csv` that describes them fully."""
        ids = list(ids)
        for table in self._tables:
            name = VOTES_FILE if table.path == self._votes else table.path.name
            with csv_file(folder / name, table.columns) as write_line:
                for group in ids:
                    for _, row in table.rows_of(group) or ():
                        write_line(row.values())
        with csv_file(folder / GROUPS_FILE, COLUMNS) as write_line:
            for files in map(self.files, ids):
                values = {
                    "group": files.id,
                    "image": files.image_name,
                    "top": files.name.top,
                    "left": files.name.left,
                    "split": "test" if is_test else "train",
                    "caption": files.caption,
                }
                values |= {name: files.relative(path) for name, path in files.images.items() if name in (ORIGINAL, LR)}
                write_line(values.get(column) for column in COLUMNS)
        yield from Listing.write_part(self, folder, ids, is_test=is_test, copy=copy)

    @property
    def _groups_path(self) -> Path:
        return self._votes.parent / GROUPS_FILE

    def _read_groups(self) -> GroupTable:
        try:
            return read_group_table(self._groups_path)
        except TableError as error:
            message = str(error).removeprefix(f"{self._groups_path}: ")
            self.folders.report("bad-groups", "error", self._groups_path, message, "Correct the file, or remove it.")
            return GroupTable()

    def _find_pictures(self, lr: Path | None) -> None:
        """Find all pictures: those that groups.csv names, and those found by their names."""
        pictures = self._pictures
        given = []
        for version in (ORIGINAL, LR):
            for group, place in self._groups.values(version).items():
                path = pictures.folder / place
                given.append(path)
                if not path.is_file():
                    message = f"group {group} has the {version} {place}, which does not exist"
                    hint = "The path is relative to the folder of pictures."
                    self.folders.report("bad-groups", "error", self._groups_path, message, hint)
                elif self.folders.check_link(path, "file"):
                    pictures.add(group, version, path.parent, path.name)
        groups = {*self._groups.lines, *(group for table in self._tables for group in table.groups)}
        versions = {version for table in self._tables for version in table.versions}
        pictures.find(groups, versions, set(given))
        if lr is not None:
            for group, path in self.folders.named_files(lr, ".png", "image"):
                pictures.add(group, LR, path.parent, path.name)

    def _only_lr(self) -> set[str]:
        """Names of low-resolution images without a group."""
        alone = {group for group, found in self._pictures.places.items() if found.keys() == {LR}}
        for group in sorted(alone):
            folder, name = self._pictures.places[group][LR]
            self.folders.report_extra(folder / name, "a low-resolution image without a group")
        return alone

    def _check_votes(self, ids: Iterable[str]) -> list[str]:
        """Report what concerns whole tables; the groups that have votes but no pictures."""
        unmatched: dict[str, None] = {}
        known = by_look(ids)
        for table in self._tables:
            absent = [group for group in table.groups if group not in self._pictures.places]
            unmatched |= dict.fromkeys(absent)
            if absent:
                shown = format_examples([f"{group}{note_lookalike(group, known)}" for group in absent])
                message = f"{plural(len(absent), 'group')} without pictures: {shown}"
                hint = "Restore the pictures, or remove the votes. Pass `pictures` if they are in another folder."
                self.folders.report("annotation-without-group", "error", table.path, message, hint)
            words = [
                f"{word!r} (line {line:,})" for word, line in table.labels.items() if word.lower() not in self._words
            ]
            if words:
                message = f"unknown labels: {format_examples(words, 8)}; expected Positive, Similar, Negative"
                hint = "State what they mean with `label_words`, such as better=Positive,same=Similar,worse=Negative."
                self.folders.report("unknown-label", "error", table.path, message, hint)
            for name, other in find_lookalikes(sorted(table.annotators)):
                message, hint = compare_names(name, other), "If they are one person, write the same name for both."
                self.folders.report("lookalike-annotator", "warning", table.path, message, hint)
        voted = {group for table in self._tables for group in table.groups}
        without = sorted(group for group in ids if group not in voted)
        named = [group for group in without if group in self._groups.lines]
        if named:
            message = f"{plural(len(named), 'group')} without votes: {format_examples(named)}"
            self.folders.report("no-votes", "warning", self._votes, message, "They are unlabelled.")
        if forgotten := sorted({*without} - {*named}):
            message = f"{plural(len(forgotten), 'group')} without votes: {format_examples(forgotten)}"
            hint = "Add their votes, remove the pictures, or name the groups in groups.csv to keep them unlabelled."
            self.folders.report("no-votes", "error", self._votes, message, hint)
        labelled = {group for table in self._tables if table.kind == "labels" for group in table.groups}
        places = self._pictures.places
        if without := sorted(group for group in labelled if group in places and ORIGINAL not in places[group]):
            message = f"{plural(len(without), 'group')} with labels but no original: {format_examples(without)}"
            hint = "A label compares with the original; without it there is no consensus."
            self.folders.report("no-original", "warning", self._votes, message, hint)
        if unknown := sorted(self._groups.lines.keys() - places.keys() - voted):
            message = f"{plural(len(unknown), 'line')} for groups that do not exist: {format_examples(unknown)}"
            self.folders.report("unknown-group", "warning", self._groups_path, message, "They are ignored.")
        return list(unmatched)

    def _name_groups(self, ids: Iterable[str]) -> Iterator[GroupName]:
        images, tops, lefts = (self._groups.values(column) for column in ("image", "top", "left"))
        unfit = []
        for group in ids:
            name = _name_by_form(group) if self._pattern is None else _name_by_pattern(group, self._pattern)
            if name is None and group not in images:
                unfit.append(group)
            name = name or GroupName(group, group)
            if group in tops and group in lefts:
                name = name._replace(top=int(tops[group]), left=int(lefts[group]))
            yield name._replace(image_name=images.get(group, name.image_name))
        if unfit:
            raise TreeError(
                f"{self.root}: `source_pattern` does not fit {plural(len(unfit), 'group')}: {format_examples(unfit)}"
            )


def _name_by_form(group: str) -> GroupName:
    try:
        patch = PatchId.parse(group)
    except NameFormatError:
        return GroupName(group, group)
    return GroupName(group, patch.image, patch.top, patch.left)


def _name_by_pattern(group: str, pattern: re.Pattern[str]) -> GroupName | None:
    match = pattern.fullmatch(group)
    if match is None or not match["image"]:
        return None
    top, left = (match.groupdict().get(name) for name in ("top", "left"))
    try:
        place = (int(top), int(left)) if top and left else (None, None)
    except ValueError:
        return None
    return GroupName(group, match["image"], *place)


def _vote_files(votes: Path) -> list[Path]:
    """The table, and those of other kinds beside it that `export votes` writes."""
    return [votes, *(path for kind in KINDS if (path := votes.parent / f"{kind}.csv").is_file() and path != votes)]


def _marks(folder: Path) -> dict[str, bool]:
    has_votes = (folder / VOTES_FILE).is_file()
    return {
        VOTES_FILE: has_votes,
        "folders of pictures beside it, or in a folder passed as `pictures`": has_votes and bool(folder_names(folder)),
    }


def _list(folder: Path, options: ListOptions) -> TableListing:
    try:
        return TableListing(folder, options)
    except TableError as error:
        raise TreeError(str(error)) from error


def _splits(folder: Path) -> list[str]:
    with suppress(TableError, OSError):
        return sorted(set(read_group_table(folder / GROUPS_FILE).values("split").values()))
    return []


LAYOUT = Layout("table", "majority", Protocol(), _marks, _list, UNKNOWN_LICENSE, splits=_splits, lacks_candidates=True)
