"""Split a tree into a training and a test tree that share no source picture, both in the official layout.

What is on disk is read and never changed. LR pictures are not made here: `hggt-models degrade` does it, as in training.
"""

import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from hggt_data.errors import TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.files import csv_file, link_or_copy, read_csv, sha256_of, sha256_of_file, write_json
from hggt_data.io.folders import new_folder, require_outside
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import show_progress
from hggt_data.licence import LICENSE_FILE
from hggt_data.schema import LR, ORIGINAL, PatchId
from hggt_data.tree.annotators import ANNOTATORS_FILE
from hggt_data.tree.layout import Listing, Section, official_test, official_train, open_tree
from hggt_data.tree.reader import TreeSource

RECORD = "split.json"


@dataclass(frozen=True)
class SplitSettings:
    """How to split; the names are those of the command's flags.

    Attributes:
        test_groups: Number of groups in the test set.
        min_positives: Candidates of a test group that must have the consensus Positive, at least.
        max_per_picture: Maximum number of test groups from one source picture. A low number gives a more varied test
            set but leaves out more groups.  [default: no limit]
        seed: Random seed for the choice among equally good test sets.
        copy: Copy images instead of hard-linking them.
    """

    test_groups: int = 100
    min_positives: int = 2
    max_per_picture: int | None = None
    seed: int = 0
    copy: bool = False

    @property
    def wanted(self) -> str:
        """What test groups must be, in words."""
        limit = "" if self.max_per_picture is None else f", at most {self.max_per_picture:,} of a source picture"
        return f"{plural(self.min_positives, 'positive')} or more{limit}"


@dataclass(frozen=True)
class GroupChoice:
    """Which groups go where; each list is sorted.

    Attributes:
        test, train: the groups of either side.
        too_few: groups of the test's source pictures with too few positives; they are in neither.
        spare: those that would do, but the test has its number; they are in neither.
    """

    test: list[PatchId]
    train: list[PatchId]
    too_few: list[PatchId]
    spare: list[PatchId]

    @property
    def lost(self) -> int:
        """How many groups are in neither."""
        return len(self.too_few) + len(self.spare)


@dataclass(frozen=True)
class SplitResult:
    """What was written.

    Attributes:
        twins: names of source pictures that share an original, and so were kept on the same side.
        linked: whether pictures are second names of the tree's files; otherwise they are copies.
        left_lr: whether the tree has LR pictures, which are not taken over.
    """

    output: Path
    settings: SplitSettings
    choice: GroupChoice
    twins: list[list[str]]
    linked: bool
    left_lr: bool

    @property
    def degrade_command(self) -> str:
        """What makes the LR of the test, in the words of a shell."""
        home = official_test(self.output / "Test", self.settings.test_groups)
        return shlex.join(
            ["hggt-models", "degrade", "--input", str(home.images / ORIGINAL), "--output", str(home.lr), "--seed", "0"]
        )

    def describe(self) -> list[str]:
        """What was done and what is left to do, a line each."""
        choice, settings = self.choice, self.settings
        lines = [
            f"{self.output / 'Train'}: {_size(choice.train)}",
            f"{self.output / 'Test'}: {_size(choice.test)}, each with {settings.wanted}",
        ]
        if choice.lost:
            reasons = [
                text
                for number, text in (
                    (len(choice.too_few), f"{len(choice.too_few):,} with fewer positives"),
                    (len(choice.spare), f"{len(choice.spare):,} more than were asked for"),
                )
                if number
            ]
            lines.append(f"{plural(choice.lost, 'group')} of the test's pictures in neither: {', '.join(reasons)}")
        if self.twins:
            shown = format_examples([" = ".join(names) for names in self.twins])
            lines.append(f"Source pictures with an original in common, kept together: {shown}")
        files = "second names (hard links) of the tree's files" if self.linked else "copies"
        lines.append(f"Pictures are {files}, labels are copies.")
        if self.left_lr:
            lines.append("The tree's LR pictures were left out.")
        return [*lines, "Now make the LR of the test, as in training:", f"  {self.degrade_command}"]


def choose_test(
    positives: Mapping[PatchId, int], settings: SplitSettings, together: Mapping[str, str] | None = None
) -> GroupChoice:
    """Choose the test's source pictures, and its groups among theirs.

    A source picture goes to one side with all its groups. Of all sets of pictures with enough groups for the test, one
    is taken from which the fewest groups are lost, that is, end in neither side; the seed draws among the equally good
    ones, and draws the groups to leave out where the pictures have more than are needed.

    Args:
        positives: how many positives each group has.
        settings: how many groups, and how many positives they need.
        together: for pictures that must not be parted, the name of the one that stands for them all.

    Raises:
        TreeError: there are too few such groups, or none would be left for training.
    """
    together = together or {}
    groups: dict[str, list[PatchId]] = {}

    def lot_of_group(group_id: PatchId) -> str:
        return _lot(settings.seed, str(group_id))

    for group_id in sorted(positives):
        groups.setdefault(together.get(group_id.image, group_id.image), []).append(group_id)
    fit = {name: {i for i in ids if positives[i] >= settings.min_positives} for name, ids in groups.items()}
    usable = {name: sorted(ids, key=lot_of_group)[: settings.max_per_picture] for name, ids in fit.items() if ids}
    names = sorted(usable, key=lambda name: _lot(settings.seed, name))
    found = sum(map(len, usable.values()))
    if found < settings.test_groups:
        raise TreeError(
            f"{plural(found, 'group')} of {len(positives):,} with {settings.wanted}; "
            f"expected {settings.test_groups:,} at least. Lower --test-groups or --min-positives."
        )
    taken = _cheapest_cover(
        [len(usable[name]) for name in names], [len(groups[name]) for name in names], settings.test_groups
    )
    chosen = {names[k] for k in taken}
    would_do = {i for name in chosen for i in fit[name]}
    test = set(sorted((i for name in chosen for i in usable[name]), key=lot_of_group)[: settings.test_groups])
    train = [i for name in groups.keys() - chosen for i in groups[name]]
    if not train:
        raise TreeError(
            f"a test of {plural(settings.test_groups, 'group')} with {settings.wanted} takes groups of all "
            f"{plural(len(groups), 'source picture')} and leaves none for training. Lower --test-groups or "
            "--min-positives."
        )
    return GroupChoice(
        test=sorted(test),
        train=sorted(train),
        too_few=sorted({i for name in chosen for i in groups[name]} - would_do),
        spare=sorted(would_do - test),
    )


def _lot(seed: int, name: str) -> str:
    """The place of a name in a random order that nothing but the seed decides: no other name, no version of Python."""
    return sha256_of(f"{seed} {name}".encode())


def _cheapest_cover(gains: Sequence[int], costs: Sequence[int], needed: int) -> list[int]:
    """Which items to take so that their gains reach `needed` at the smallest sum of costs.

    Where several sets are as cheap, earlier items are taken. Exact, by dynamic programming: memory and time grow with
    the number of items times `needed`.
    """
    reach = np.arange(needed + 1)
    least = np.where(reach == 0, 0, np.iinfo(np.int64).max // 2)  # cost to reach so much with the items seen so far
    takes = np.zeros((len(gains), needed + 1), bool)
    for item in reversed(range(len(gains))):
        with_item = least[np.maximum(reach - gains[item], 0)] + costs[item]
        takes[item] = with_item <= least
        least = np.minimum(least, with_item)
    taken, left = [], needed
    for item in range(len(gains)):
        if left > 0 and takes[item, left]:
            taken.append(item)
            left = max(left - gains[item], 0)
    return taken


def split_tree(tree: Path, output: Path, settings: SplitSettings | None = None) -> SplitResult:
    """Write `Train/` and `Test/` in the official layout, and `split.json`, which tells how they came about.

    The folder appears whole or not at all. Which groups go where is as `choose_test` says; source pictures that share
    an original, byte for byte, count as one.

    Args:
        tree: Tree to split.
        output: New or empty folder for Train/ and Test/.
        settings: how.

    Raises:
        TreeError: no tree, a tree with faults, too few groups for the test, or none left for training.
        AnnotationError: an annotation cannot be read.
        OutputError: the output is not empty, or lies in the tree.
        OSError: a file cannot be read, or the disk is full.
    """
    settings = settings or SplitSettings()
    require_outside(output, tree, "the tree")
    opened = open_tree(tree.absolute())
    source, listing = TreeSource(opened), Listing(opened)
    _require_pictures(listing)
    twins = _find_twins(listing)
    together = {name: names[0] for names in twins for name in names}
    choice = choose_test(_count_positives(source), settings, together)
    train, test = Path("Train"), Path("Test")
    sides = {train: choice.train, test: choice.test}
    linked = not settings.copy
    with new_folder(output) as staging:
        sections = {
            train: official_train(staging / train, len(choice.train)),
            test: official_test(staging / test, len(choice.test)),
        }
        for section in sections.values():
            _make_folders(section, source.candidates, listing.slots)
        work = [(sections[side], group_id) for side, ids in sides.items() for group_id in ids]
        for section, group_id in show_progress(work, len(work), "writing"):
            linked &= _write_group(listing, group_id, section, settings.copy)
        for side, ids in sides.items():
            _write_annotators(tree, staging / side, ids)
            if (tree / LICENSE_FILE).is_file():
                shutil.copyfile(tree / LICENSE_FILE, staging / side / LICENSE_FILE)
        _write_record(staging / RECORD, settings, choice, twins)
    return SplitResult(output, settings, choice, twins, linked, bool(listing.tree.lr_folders))


def _require_pictures(listing: Listing) -> None:
    missing = [
        files.relative(path)
        for files in listing
        for name, path in files.images.items()
        if name != LR and not path.is_file()
    ]
    if missing:
        raise TreeError(
            f"{listing.tree.root}: {plural(len(missing), 'picture')} missing: {format_examples(missing)}; see "
            "hggt-data validate"
        )


def _count_positives(source: GroupSource) -> dict[PatchId, int]:
    return {group.id: len(group.positives) for group in show_progress(source, len(source), "reading labels")}


def _find_twins(listing: Listing) -> list[list[str]]:
    """The names of source pictures that have an original in common, byte for byte; each list is sorted."""
    same_size: dict[int, list[tuple[str, Path]]] = {}
    for files in listing:
        path = files.images[ORIGINAL]
        same_size.setdefault(path.stat().st_size, []).append((files.id.image, path))
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while (above := leader.setdefault(name, name)) != name:
            name = above
        return name

    for files_of_size in same_size.values():
        if len({image for image, _ in files_of_size}) < 2:  # files of different sizes need not be read
            continue
        first: dict[str, str] = {}
        for image, path in files_of_size:
            twin = first.setdefault(sha256_of_file(path), image)
            low, high = sorted((find(image), find(twin)))
            leader[high] = low
    clusters: dict[str, list[str]] = {}
    for name in sorted(leader):
        clusters.setdefault(find(name), []).append(name)
    return [names for names in clusters.values() if len(names) > 1]


def _make_folders(section: Section, candidates: Iterable[str], slots: Iterable[str]) -> None:
    folders = [section.images / name for name in (ORIGINAL, *candidates)] + [section.labels / slot for slot in slots]
    for folder in folders:
        folder.mkdir(parents=True)


def _write_group(listing: Listing, group_id: PatchId, section: Section, copy: bool) -> bool:
    """Write the files of a group to their new places, and tell whether its pictures could be linked."""
    files = listing.files(group_id)
    linked = not copy
    for name, path in files.images.items():
        if name == LR:
            continue
        linked &= link_or_copy(path, section.picture(group_id, name), copy=copy)
    for slot, path in files.annotations.items():  # people correct labels: never second names
        shutil.copyfile(path, section.annotation(group_id, slot))
    return linked


def _write_annotators(tree: Path, side: Path, ids: Iterable[PatchId]) -> None:
    """The lines of the tree's `annotators.csv` that belong to these groups, with all their columns."""
    if not (tree / ANNOTATORS_FILE).exists():
        return
    columns, lines = read_csv(tree / ANNOTATORS_FILE)
    names = {str(group_id) for group_id in ids}
    with csv_file(side / ANNOTATORS_FILE, columns) as write_line:
        for line in lines:
            if line["group"] in names:
                write_line(line[column] for column in columns)


def _write_record(path: Path, settings: SplitSettings, choice: GroupChoice, twins: list[list[str]]) -> None:
    content = {
        "schema_version": 1,
        "made_with": {"hggt": version("hggt")},
        "settings": asdict(settings),
        "groups": {"train": len(choice.train), "test": len(choice.test)},
        "test_pictures": sorted({group_id.image for group_id in choice.test}),
        "left_out": {
            "too_few_positives": [str(group_id) for group_id in choice.too_few],
            "spare": [str(group_id) for group_id in choice.spare],
        },
        "same_original": twins,
    }
    write_json(path, content)


def _size(ids: Sequence[PatchId]) -> str:
    return f"{plural(len(ids), 'group')} from {plural(len({group_id.image for group_id in ids}), 'source picture')}"
