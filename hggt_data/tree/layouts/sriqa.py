"""SRIQA-Bench's layout: votes on pairs of versions, with ties, in ten slots; MOS files; low-resolution images.

`LRImages/x1_Original.png`; `images/SwinIR/x1_SwinIRx4.png`, `images/Original/x1_Original.png`;
`labels/A/x1/x1_SwinIRx4_Original.json`, one vote each; `MOS/x1.txt`, and likewise `MOS_Reg/` and `MOS_Gen/` for the
regression and the generative methods alone. Chen et al., Toward Generalized Image Quality Assessment, CVPR 2025.

The MOS are scores of the dataset, with the folder's name as their question; they are compared with those of the votes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path
from typing import Literal, TypedDict

from hggt_data.io.parsing import parse_json, read_value
from hggt_data.io.text import format_examples, plural
from hggt_data.licence import HGGT_LICENSE_NAME
from hggt_data.problems import Problem
from hggt_data.schema import LR, ORIGINAL, PairVote, Protocol, Score, is_candidate
from hggt_data.statistics.pair_votes import count_pairs, versions_of
from hggt_data.statistics.strengths import thurstone_scores
from hggt_data.tree.folders import folder_names, scan, way_to_read
from hggt_data.tree.listing import GroupFiles, GroupName, Layout, Listing, ListOptions, Votes

_ORIGINALS = "Original"
_MOS_FOLDERS = ("MOS", "MOS_Reg", "MOS_Gen")
_LARGEST_DIFFERENCE = 0.01  # of a given MOS from ours, beside the rounding of its last digit
_PREFERRED: Mapping[tuple[str, str], Literal["first", "second", "tie"]] = {
    ("Positive", "Negative"): "first",
    ("Negative", "Positive"): "second",
    ("Similar", "Similar"): "tie",
}

Pair = tuple[str, str]


def picture_stem(content: str, version: str) -> str:
    """The name of a version's picture, without `.png`: `x1_SwinIRx4`, or `x1_Original`."""
    return f"{content}_{_ORIGINALS}" if version == ORIGINAL else f"{content}_{version}x4"


@dataclass(frozen=True, slots=True, kw_only=True)
class SriqaFiles(GroupFiles):
    """The files of one content.

    Attributes:
        pairs: slot and pair of versions to the file of the vote, for each one that exists.
        mos: folder (`MOS`, ...) to the file of this content, for each one that exists.
    """

    pairs: Mapping[tuple[str, Pair], Path]
    mos: Mapping[str, Path]

    @property
    def vote_files(self) -> tuple[Path, ...]:
        return (*self.pairs.values(), *self.mos.values())

    def read_votes(self, read: Callable[[Path], bytes]) -> Votes:
        problems: list[Problem] = []
        votes, scores = [], []
        for (slot, pair), path in self.pairs.items():
            try:
                votes.append(self._parse_vote(read(path), slot, pair))
            except OSError as error:
                problems.append(self.problem("unreadable-vote", path, str(error.strerror), way_to_read(error)))
            except ValueError as error:
                problems.append(self.problem("bad-vote", path, str(error), "Restore the file from the download."))
        for name, path in self.mos.items():
            try:
                given = self._parse_mos(read(path))
            except OSError as error:
                problems.append(self.problem("unreadable-mos", path, str(error.strerror), way_to_read(error)))
                continue
            except ValueError as error:
                problems.append(self.problem("bad-mos", path, str(error), "Restore the file from the download."))
                continue
            scores += [Score(version, float(text), question=name) for version, text in given.items()]
            problems += self._compare_mos(path, given, votes)
        return Votes(pairs=tuple(votes), scores=tuple(scores), problems=tuple(problems))

    def _parse_vote(self, data: bytes, slot: str, pair: Pair) -> PairVote:
        content = read_value(_VoteFile, parse_json(data.decode("utf-8-sig")))
        entries = [content[f"Picture_0{k}"] for k in (1, 2)]  # type: ignore[literal-required]
        names = [f"{picture_stem(self.id, version)}.png" for version in pair]
        found = [entry["Name"] for entry in entries]
        if found not in (names, names[::-1]):
            raise ValueError(f"it is about {' and '.join(found)}; expected {' and '.join(names)}")
        labels = (entries[0]["Label"], entries[1]["Label"])
        if labels not in _PREFERRED:
            raise ValueError(f"its labels are {' and '.join(labels)}; expected Positive and Negative, or twice Similar")
        first, second = pair if found == names else pair[::-1]
        listed = self.annotators.get(slot)
        return PairVote(first, second, _PREFERRED[labels], slot=slot, annotator=listed and listed.pseudonym)

    def _parse_mos(self, data: bytes) -> dict[str, str]:
        """Version to its MOS, as written."""
        version_of = {f"{picture_stem(self.id, version)}.png": version for version in versions_of(self.candidates)}
        found: dict[str, str] = {}
        for line in data.decode("utf-8-sig").split("\n"):
            name, comma, text = line.strip().rpartition(",")
            if not line.strip():
                continue
            if not comma or name not in version_of or version_of[name] in found:
                example = next(iter(version_of))
                raise ValueError(f"a line is {line.strip()[:80]!r}; expected one per version such as {example},53.1")
            number = float(text)
            if not 0 <= number <= 100:
                raise ValueError(f"{name} has the MOS {text}; expected 0 to 100")
            found[version_of[name]] = text.strip()
        return found

    def _compare_mos(self, path: Path, given: Mapping[str, str], votes: Sequence[PairVote]) -> Iterator[Problem]:
        """A warning if the votes give another MOS."""
        counts = count_pairs((vote for vote in votes if {vote.first, vote.second} <= given.keys()), self.candidates)
        ours = dict(zip(versions_of(self.candidates), thurstone_scores(counts).mos.tolist(), strict=True))
        differences = {
            version: f"{text} instead of {ours[version]:.2f}"
            for version, text in given.items()
            if abs(float(text) - ours[version]) > _LARGEST_DIFFERENCE + _rounding_of(text)  # False for NaN
        }
        if differences:
            shown = format_examples([f"{version} {difference}" for version, difference in differences.items()])
            message = f"{plural(len(differences), 'score')} of {len(given)} differ from those of the votes: {shown}"
            hint = "Are votes missing? The dataset has the given scores, and those of the votes in the column mos."
            yield self.problem("other-mos", path, message, hint, "warning")


class _Entry(TypedDict):
    Name: str
    Label: Literal["Positive", "Similar", "Negative"]


_VoteFile = TypedDict("_VoteFile", {"Picture_01": _Entry, "Picture_02": _Entry})  # noqa: UP013


def _rounding_of(number: str) -> float:
    """Half a unit of the last digit of a number as it is written."""
    _, point, digits = number.partition(".")
    return 0.5 * 10.0 ** -len(digits) if point else 0.5


class SriqaListing(Listing):
    """The contents of SRIQA-Bench."""

    split = "test"

    def __init__(self, folder: Path, options: ListOptions) -> None:
        lr = options.lr or folder / "LRImages"
        super().__init__(LAYOUT, folder, (folder,) if options.lr is None else (folder, options.lr))
        self._lr = lr if lr.is_dir() else None
        self.has_lr = self._lr is not None
        self.candidates = tuple(self._list_methods())
        contents = self._list_pictures()
        self._pairs: dict[str, dict[tuple[str, Pair], Path]] = {content: {} for content in contents}
        self._mos: dict[str, dict[str, Path]] = {content: {} for content in contents}
        self.slots = tuple(self._list_slots())
        self._list_mos()
        self.votes = ("pairs", "scores") if any(self._mos.values()) else ("pairs",)
        self._report_missing_votes()
        self.splits = dict.fromkeys(contents, self.split)
        self.set_groups(GroupName(content, content) for content in contents)

    def files(self, group_id: str) -> SriqaFiles:
        names = (ORIGINAL, *self.candidates)
        images = {name: self._picture(group_id, name) for name in names}
        if self._lr:
            images[LR] = self._lr / f"{picture_stem(group_id, ORIGINAL)}.png"
        return SriqaFiles(
            **self.common_facts(group_id), images=images, pairs=self._pairs[group_id], mos=self._mos[group_id]
        )

    def picture_path(self, group_id: str) -> Path:
        return self._picture(group_id, ORIGINAL)

    def _picture(self, content: str, version: str) -> Path:
        folder = _ORIGINALS if version == ORIGINAL else version
        return self.root / "images" / folder / f"{picture_stem(content, version)}.png"

    def _list_methods(self) -> Iterator[str]:
        """The methods, named as their folders of pictures."""
        images = self.root / "images"
        for name in folder_names(images):
            if name == _ORIGINALS:
                continue
            if is_candidate(name):
                yield name
            else:
                message = "a method is named with letters, digits and ._+-, at most 64, and not original or lr"
                self.folders.report("bad-folder-name", "error", images / name, message, "Rename the folder.")
        self.folders.report_unknown(images, folder_names(images))
        self.folders.check_links(images)

    def _list_pictures(self) -> list[str]:
        """The contents of which there is any picture."""
        contents = set()
        for version in (ORIGINAL, *self.candidates):
            folder = self._picture("", version).parent
            ending = f"{picture_stem('', version)}.png"
            contents |= {content for content, _ in self.folders.named_files(folder, ending, "image")}
        if self._lr:
            for content, path in self.folders.named_files(self._lr, f"{picture_stem('', ORIGINAL)}.png", "image"):
                if content not in contents:
                    self.folders.report_extra(path, "a low-resolution image without a group")
        return sorted(contents)

    def _list_slots(self) -> Iterator[str]:
        """The slots; their votes are noted in `_pairs`."""
        labels, folders = self.root / "labels", self.folders
        names = [name for name in folder_names(labels) if not name.startswith(".")]
        folders.report_unknown(labels, names)
        folders.check_links(labels)
        for slot in names:
            if not folders.check_name(labels / slot):
                continue
            contents = folder_names(labels / slot)
            folders.report_unknown(labels / slot, contents)
            folders.check_links(labels / slot)
            for content in contents:
                if content in self._pairs:
                    self._list_votes(slot, content)
                else:
                    message, hint = f"{content} has no pictures", "Restore the pictures, or remove the votes."
                    folders.report("annotation-without-group", "error", labels / slot / content, message, hint)
            yield slot

    def _list_votes(self, slot: str, content: str) -> None:
        folder, votes = self.root / "labels" / slot / content, self._pairs[content]
        pairs = {_vote_name(content, pair): pair for pair in permutations(versions_of(self.candidates), 2)}
        for entry in self.folders.scan(folder):
            path, pair = folder / entry.name, pairs.get(entry.name)
            if pair is None:
                message = f"expected only {content}_A_B.json for two of the versions A and B, as in images/"
                hint = "Restore the pictures of these versions, or remove the file."
                self.folders.report("annotation-without-group", "error", path, message, hint, content)
                continue
            if entry.is_symlink():
                self.folders.check_link(path, "file", content)
            if (slot, pair[::-1]) in votes:
                message = f"slot {slot} voted on this pair in {_vote_name(content, pair[::-1])}, too; expected one vote"
                self.folders.report("duplicate-annotation", "error", path, message, "Remove one of the two.", content)
            votes[slot, pair] = path

    def _list_mos(self) -> None:
        for name in _MOS_FOLDERS:
            for content, path in self.folders.named_files(self.root / name, ".txt", "file"):
                if content in self._mos:
                    self._mos[content][name] = path
                else:
                    self.folders.report_extra(path, f"{content} has no pictures")

    def _report_missing_votes(self) -> None:
        """Which votes are missing: every slot should have voted on every pair of every content.

        A version without any vote, such as the originals of a study, was not compared.
        """
        voted = {version for votes in self._pairs.values() for _, pair in votes for version in pair}
        versions = [version for version in versions_of(self.candidates) if version in voted]
        labels, pairs = self.root / "labels", list(combinations(versions, 2))
        hint = "The labels as first published were incomplete; download them again. The other votes are used."
        num_missing = 0
        for content, votes in self._pairs.items():
            for slot in self.slots:
                missing = [pair for pair in pairs if (slot, pair) not in votes and (slot, pair[::-1]) not in votes]
                num_missing += len(missing)
                if missing:
                    names = format_examples([_vote_name(content, pair) for pair in missing])
                    message = f"{len(missing)} of {plural(len(pairs), 'vote')} are missing: {names}"
                    self.folders.report("missing-votes", "warning", labels / slot / content, message, hint)
        if num_missing:
            message = f"{num_missing:,} of {len(pairs) * len(self.slots) * len(self._pairs):,} votes are missing"
            self.folders.report("missing-votes", "warning", labels, message, hint)


def _vote_name(content: str, pair: Pair) -> str:
    first, second = (picture_stem(content, version).removeprefix(f"{content}_") for version in pair)
    return f"{content}_{first}_{second}.json"


def _marks(folder: Path) -> dict[str, bool]:
    has_originals = (folder / "images" / _ORIGINALS).is_dir()
    return {
        "images/Original/": has_originals,
        "labels/A/NAME/NAME_VERSION_VERSION.json": has_originals and _has_votes_on_pairs(folder / "labels"),
    }


def _has_votes_on_pairs(labels: Path) -> bool:
    """Whether the first folder of votes that is not empty has a file named after the folder."""
    with suppress(OSError):  # listing reports it
        for content in (labels / slot / name for slot in folder_names(labels) for name in folder_names(labels / slot)):
            if entries := scan(content):
                return any(entry.name.startswith(f"{content.name}_") for entry in entries)
    return False


LAYOUT = Layout("sriqa", "majority", Protocol(versions_at_once=2), _marks, SriqaListing, HGGT_LICENSE_NAME)
