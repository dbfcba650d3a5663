"""Split a tree into a training and a test tree that share no source picture, both in its layout.

The source tree is never changed. LR images are not made here but by `hggt-models degrade`, as in training.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np

from hggt_data.errors import TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.files import csv_file, link_or_copy, read_csv, sha256_of, write_json
from hggt_data.io.folders import new_folder, require_outside
from hggt_data.io.names import tell_apart
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import show_progress
from hggt_data.licence import LICENSE_FILE
from hggt_data.ranges import Count, CountOrNone, require_ranges
from hggt_data.schema import LR, ORIGINAL, group_order
from hggt_data.tree.aliases import find_aliases
from hggt_data.tree.annotators import ANNOTATORS_FILE
from hggt_data.tree.hggt_folders import official_test
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.layouts.hggt import LAYOUT as HGGT_LAYOUT
from hggt_data.tree.listing import Listing, ListOptions
from hggt_data.tree.protocol import PROTOCOL_FILE
from hggt_data.tree.reader import TreeSource
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions

RECORD = "split.json"


@dataclass(frozen=True)
class SplitSettings:
    """How to split a tree.

    Attributes:
        test_groups: Number of groups in the test tree.
        min_positives: Minimum number of candidates with the consensus Positive in a test group.
        max_per_picture: Maximum number of test groups from one source picture. The source pictures are then drawn at
            random, so that they represent the tree; more groups are left out.  [default: no limit]
        seed: Random seed for the choice of source pictures and groups.
        copy: Copy the pictures instead of hard-linking them.

    Raises:
        SettingsError: A value is out of range.
    """

    test_groups: Count = 100
    min_positives: CountOrNone = 2
    max_per_picture: Count | None = None
    seed: int = 0
    copy: bool = False

    def __post_init__(self) -> None:
        require_ranges(self)

    @property
    def wanted(self) -> str:
        """The condition for test groups, in words."""
        limit = "" if self.max_per_picture is None else f", at most {self.max_per_picture:,} per source picture"
        return f"{plural(self.min_positives, 'positive')} or more{limit}"


@dataclass(frozen=True)
class GroupChoice:
    """The groups of each side; each list is sorted.

    Attributes:
        too_few: groups of test pictures with too few positives, in neither side.
        spare: suitable groups of test pictures that exceed the size of the test, in neither side.
    """

    test: list[str]
    train: list[str]
    too_few: list[str]
    spare: list[str]

    @property
    def lost(self) -> int:
        """Number of groups in neither side."""
        return len(self.too_few) + len(self.spare)

    @property
    def total(self) -> int:
        """Number of groups of the tree."""
        return len(self.test) + len(self.train) + self.lost


@dataclass(frozen=True)
class SplitResult:
    """What was written.

    Attributes:
        image_of: source picture of each group.
        aliases: names of source pictures that were kept on one side, see `find_aliases`.
        linked: whether the pictures are hard links to the tree's files; otherwise they are copies.
        skipped_lr: whether the tree has LR images, which are not copied.
        layout: name of the tree's layout.
    """

    output: Path
    settings: SplitSettings
    choice: GroupChoice
    image_of: Mapping[str, str]
    aliases: list[list[str]]
    linked: bool
    skipped_lr: bool
    layout: str = HGGT_LAYOUT.name

    @property
    def degrade_command(self) -> str:
        """The shell command that makes the LR images of the test, for HGGT's layout."""
        home = official_test(self.output / "Test", self.settings.test_groups)
        return shlex.join(
            ["hggt-models", "degrade", "--input", str(home.images / ORIGINAL), "--output", str(home.lr), "--seed", "0"]
        )

    def describe(self) -> list[str]:
        """The result, and what to do next, one line each."""
        choice, files = self.choice, "hard-linked" if self.linked else "copied"
        lines = [
            f"{self.output / 'Train'}: {self._size(choice.train)}",
            f"{self.output / 'Test'}: {self._size(choice.test)}, each with {self.settings.wanted}",
        ]
        if choice.lost:
            counts = {"with fewer positives": len(choice.too_few), "more than the test set takes": len(choice.spare)}
            reasons = [f"{count:,} {reason}" for reason, count in counts.items() if count]
            lines.append(
                f"Left out {choice.lost:,} of {plural(choice.total, 'group')}, as they belong to source pictures of "
                f"the test set: {', '.join(reasons)}"
            )
        if self.aliases:
            shown = format_examples([" = ".join(tell_apart(names)) for names in self.aliases])
            lines.append(f"Source pictures with equal pixels, or names that look the same, were kept together: {shown}")
        lines.append(f"Pictures are {files}, labels are copied.")
        if self.layout != HGGT_LAYOUT.name:
            return lines
        if self.skipped_lr:
            lines.append("The tree's LR images were not copied.")
        return [*lines, "Make the LR images of the test set, as in training:", f"  {self.degrade_command}"]

    def _size(self, ids: Sequence[str]) -> str:
        images = {self.image_of[group_id] for group_id in ids}
        return f"{plural(len(ids), 'group')} from {plural(len(images), 'source picture')}"


def choose_test(positives: Mapping[str, int], pictures: Mapping[str, str], settings: SplitSettings) -> GroupChoice:
    """Choose the test's source pictures, and the test groups among their groups.

    A source picture goes to one side with all its groups. With `max_per_picture`, source pictures with a suitable group
    are drawn at random until they have enough groups for the test. Without it, the fewest groups are left out: the seed
    draws one of the sets of source pictures that leave out the fewest, each with equal probability. It also draws which
    groups to leave out where there are more than needed.

    `positives` are the number of positives of each group, `pictures` their source pictures; of several that must stay
    on one side, one name stands for all.
    """
    groups: dict[str, list[str]] = {}

    def rank(group_id: str) -> float:
        return _draw(settings.seed, group_id)

    for group_id in sorted(positives, key=group_order):
        groups.setdefault(pictures[group_id], []).append(group_id)
    fit = {name: {i for i in ids if positives[i] >= settings.min_positives} for name, ids in groups.items()}
    usable = {name: sorted(ids, key=rank)[: settings.max_per_picture] for name, ids in fit.items() if ids}
    found = sum(map(len, usable.values()))
    if found < settings.test_groups:
        raise TreeError(
            f"only {found:,} of {plural(len(positives), 'group')} can be in the test set ({settings.wanted}); "
            f"expected at least {settings.test_groups:,}. Lower `test_groups` or `min_positives`."
        )
    gains = {name: len(ids) for name, ids in usable.items()}
    if settings.max_per_picture is None:
        chosen = _draw_cheapest(gains, {name: len(groups[name]) for name in gains}, settings)
    else:
        chosen = _draw_any(gains, settings)
    test = set(sorted((i for name in chosen for i in usable[name]), key=rank)[: settings.test_groups])
    chosen = {name for name in chosen if not test.isdisjoint(usable[name])}  # the last one may make another superfluous
    suitable = {i for name in chosen for i in fit[name]}
    train = [i for name in groups.keys() - chosen for i in groups[name]]
    if not train:
        raise TreeError(
            f"a test set of {plural(settings.test_groups, 'group')} with {settings.wanted} takes all "
            f"{plural(len(groups), 'source picture')} and leaves none for training. Lower `test_groups` or "
            "`min_positives`."
        )
    return GroupChoice(
        test=sorted(test, key=group_order),
        train=sorted(train, key=group_order),
        too_few=sorted({i for name in chosen for i in groups[name]} - suitable, key=group_order),
        spare=sorted(suitable - test, key=group_order),
    )


def _draw(seed: int, name: str) -> float:
    """A random number in [0, 1) that depends only on seed and name, not on other names or on Python's version."""
    return int(sha256_of(f"{seed} {name}".encode())[:13], 16) / 16**13


def _draw_any(gains: Mapping[str, int], settings: SplitSettings) -> set[str]:
    """Pictures in a random order until they have enough groups; `gains` are the usable groups of each."""
    chosen: set[str] = set()
    missing = settings.test_groups
    for name in sorted(gains, key=lambda name: _draw(settings.seed, name)):
        if missing > 0:
            chosen.add(name)
            missing -= gains[name]
    return chosen


def _draw_cheapest(gains: Mapping[str, int], costs: Mapping[str, int], settings: SplitSettings) -> set[str]:
    """One of the sets of pictures with enough groups and the smallest sum of costs, all with equal probability.

    Exact, by dynamic programming: memory and time grow with the number of pictures times that of test groups.
    """
    reach = np.arange(settings.test_groups + 1)
    least = np.where(reach == 0, 0, np.iinfo(np.int64).max // 2)  # cost to reach this much with the pictures seen
    log_sets = np.where(reach == 0, 0, -np.inf)  # log of the number of sets that cost this, too large for a float
    shares = {}  # of these sets, those that contain the picture
    for name in reversed(list(gains)):
        rest = np.maximum(reach - gains[name], 0)
        cost_with, cost_without = least[rest] + costs[name], least
        least = np.minimum(cost_with, cost_without)
        log_with = np.where(cost_with == least, log_sets[rest], -np.inf)
        log_sets = np.logaddexp(log_with, np.where(cost_without == least, log_sets, -np.inf))
        shares[name] = np.exp(log_with - np.where(np.isinf(log_sets), 0, log_sets))
    chosen: set[str] = set()
    missing = settings.test_groups
    for name in gains:
        if missing > 0 and _draw(settings.seed, name) < shares[name][missing]:
            chosen.add(name)
            missing = max(missing - gains[name], 0)
    return chosen


def split_tree(
    tree: Path | str, output: Path | str, settings: SplitSettings | None = None, table: TableOptions = NO_TABLE_OPTIONS
) -> SplitResult:
    """Write a training and a test tree that share no source picture: HGGT's in the official layout, others in theirs.

    `Train/`, `Test/` and `split.json`, a record of the choice, appear together when all is written. A source picture
    goes to one side with all its groups; those that share a picture with equal pixels (original or candidate), or whose
    names look the same, count as one.

    Args:
        tree: Folder `Train/`, `Test/`, or any other folder that contains `images/` and `labels/`; or its zip file.
        output: New or empty folder outside TREE.
        settings: Size of the test, and the condition for its groups.
        table: Where a table of votes and its pictures are, and what its words mean.

    Returns:
        The groups of each side, and what else a reader should know.

    Raises:
        TreeError: `tree` is not a tree or has errors, has too few suitable groups, or none would be left for training.
        AnnotationError: an annotation cannot be read.
        ImageError: a picture is damaged, or is not an 8-bit RGB PNG.
        OutputError: `output` is not empty, or is inside the tree.

    Example:
        >>> import tempfile
        >>> from hggt_data import SplitSettings, split_tree, write_demo_tree
        >>> tree, output = write_demo_tree(tempfile.mkdtemp()).train, tempfile.mkdtemp()
        >>> split_tree(tree, output, SplitSettings(test_groups=2, min_positives=1)).choice.lost
        1
    """
    tree, output, settings = Path(tree), Path(output), settings or SplitSettings()
    require_outside(output, tree, "the tree")
    listing = list_tree(tree.absolute(), ListOptions(table=table))
    if len(listing.split_names) > 1:
        raise TreeError(f"{tree} is split already: {', '.join(listing.split_names)}; pass the folder of one of them")
    source = TreeSource(listing)
    _require_pictures(listing)
    aliases = find_aliases(listing)
    together = {name: names[0] for names in aliases for name in names}
    image_of = dict(zip(source.ids, source.image_names, strict=True))
    pictures = {group_id: together.get(name, name) for group_id, name in image_of.items()}
    choice = choose_test(_count_positives(source), pictures, settings)
    train, test = Path("Train"), Path("Test")
    sides = {train: choice.train, test: choice.test}
    linked = not settings.copy
    with new_folder(output) as staging:
        parts = [
            listing.write_part(staging / side, ids, is_test=side == test, copy=settings.copy)
            for side, ids in sides.items()
        ]
        num_groups = len(choice.train) + len(choice.test)
        linked &= all(list(show_progress(chain.from_iterable(parts), num_groups, "writing")))
        for side, ids in sides.items():
            _write_annotators(listing.root, staging / side, ids)
            for name in (LICENSE_FILE, PROTOCOL_FILE):
                if (listing.root / name).is_file():
                    link_or_copy(listing.root / name, staging / side / name, copy=True)
        _write_record(staging / RECORD, settings, choice, image_of, aliases)
    return SplitResult(output, settings, choice, image_of, aliases, linked, listing.has_lr, listing.layout.name)


def _require_pictures(listing: Listing) -> None:
    missing = [
        files.relative(path)
        for files in listing
        for name, path in files.images.items()
        if name != LR and not path.is_file()
    ]
    if missing:
        raise TreeError(
            f"{listing.root}: {plural(len(missing), 'picture')} missing: {format_examples(missing)}; "
            "run `hggt-data validate`"
        )


def _count_positives(source: GroupSource) -> dict[str, int]:
    return {group.id: len(group.positives) for group in show_progress(source, len(source), "reading labels")}


def _write_annotators(tree: Path, side: Path, ids: Iterable[str]) -> None:
    """Copy the lines of `annotators.csv` that belong to these groups."""
    if not (tree / ANNOTATORS_FILE).exists():
        return
    columns, lines = read_csv(tree / ANNOTATORS_FILE)
    names = set(ids)
    with csv_file(side / ANNOTATORS_FILE, columns) as write_line:
        for line in lines:
            if line["group"] in names:
                write_line(line[column] for column in columns)


def _write_record(
    path: Path, settings: SplitSettings, choice: GroupChoice, image_of: Mapping[str, str], aliases: list[list[str]]
) -> None:
    content = {
        "schema_version": 1,
        "made_with": {"hggt": version("hggt")},
        "settings": asdict(settings),
        "groups": {"train": len(choice.train), "test": len(choice.test)},
        "test_pictures": sorted({image_of[group_id] for group_id in choice.test}),
        "left_out": {
            "too_few_positives": choice.too_few,
            "spare": choice.spare,
        },
        "same_picture": aliases,
    }
    write_json(path, content)
