"""What differs between two versions of the same data: groups, votes, pictures, and how the annotators were asked.

Votes are compared without who gave them and when, so a dataset equals its published copy.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from hggt_data.dataset.reader import DatasetSource
from hggt_data.groups import Group, GroupSource, anonymous_votes
from hggt_data.io.files import csv_file
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import advance, default_workers, run_tasks
from hggt_data.loading import open_version
from hggt_data.ranges import Count
from hggt_data.schema import LR, ORIGINAL, SPLITS, PatchGroup

COLUMNS = ("split", "group", "change", "detail")
_GROUPS_PER_TASK = 256
# In the order of the report.
_PHRASES = {
    "added": "added",
    "gone": "gone",
    "moved": "moved to another split",
    "place": "from another source picture or place",
    "consensus": "with another consensus",
    "votes": "with other votes but the same consensus",
    "pictures": "with pictures added or gone",
    "pixels": "with other pixels",
    "encoding": "with the same pixels in other files",
}


class Change(NamedTuple):
    """One change of one group; `change` is a key of the report, `detail` says what changed."""

    split: str
    group: str
    change: str
    detail: str


@dataclass(frozen=True)
class Difference:
    """What differs between two versions.

    Attributes:
        first: The first version, as given.
        second: The second version.
        facts: What differs beside the groups, a line each: protocol, layout, rule for the consensus, licence.
        changes: Every change of a group, sorted by split and group.
        num_common: Number of groups that both versions have in the same split.
        pictures_compared: Whether pictures were compared.
    """

    first: str
    second: str
    facts: tuple[str, ...]
    changes: tuple[Change, ...]
    num_common: int
    pictures_compared: bool

    def __bool__(self) -> bool:
        return bool(self.facts or self.changes)

    def describe(self) -> list[str]:
        """A line for each fact and each kind of change, with examples."""
        what = "" if self.pictures_compared else ", pictures not compared"
        lines = [f"{self.first} -> {self.second}: {plural(self.num_common, 'group')} in both{what}", *self.facts]
        for change, phrase in _PHRASES.items():
            found = [one for one in self.changes if one.change == change]
            if found:
                examples = [f"{one.group} ({one.detail})" if one.detail else one.group for one in found]
                lines.append(f"{plural(len(found), 'group')} {phrase}: {format_examples(examples)}")
        return lines if self else [*lines, "no differences"]

    def write_csv(self, path: Path) -> None:
        """Write all changes of groups."""
        with csv_file(path, COLUMNS) as write_line:
            for change in self.changes:
                write_line(change)


def compare_versions(
    first: str | Path,
    second: str | Path,
    *,
    split: str | None = None,
    labels_only: bool = False,
    workers: Count | None = None,
) -> Difference:
    """Compare two versions of the same data: trees, built datasets, or datasets on the Hub.

    Shards with equal hashes are not read. Other pictures are decoded only if their files differ and no manifest tells
    whether their pixels do.

    Args:
        first: Tree, built dataset, or `ORG/NAME` or `ORG/NAME@REVISION` on the Hub.
        second: The version to compare it with.
        split: The only split to compare.  [default: all]
        labels_only: Do not compare pictures.
        workers: Worker processes.  [default: one per core, at most 8]

    Returns:
        All differences.

    Raises:
        SettingsError: As for `open_groups`.
        DatasetError: As for `open_groups`.
        HubError: As for `open_groups`.
        TreeError: As for `open_groups`.
        ImageError: A picture is damaged.

    Example:
        >>> import tempfile
        >>> from hggt_data import compare_versions, write_demo_tree
        >>> one, two = (write_demo_tree(tempfile.mkdtemp(), seed).train for seed in (0, 1))
        >>> sorted({change.change for change in compare_versions(one, two, workers=1).changes})
        ['consensus', 'votes']
    """
    ours, theirs = open_version(first, split), open_version(second, split)
    tasks: list[_Task] = []
    changes = list(_find_added_and_gone(ours, theirs))
    num_common = 0
    for name in [name for name in SPLITS if name in ours and name in theirs]:
        one, two = ours[name], theirs[name]
        known = frozenset(two.ids)
        common = [group for group in one.ids if group in known]
        num_common += len(common)
        same = _in_equal_shards(one, two)
        rest = [group for group in common if group not in same]
        starts = range(0, len(rest), _GROUPS_PER_TASK)
        tasks += [_Task(one, two, tuple(rest[k : k + _GROUPS_PER_TASK]), not labels_only) for k in starts]
    total = sum(len(task.groups) for task in tasks)
    found = run_tasks(_compare_groups, tasks, workers or default_workers(), total=total, label="comparing")
    changes += chain.from_iterable(found)
    order = list(_PHRASES)
    changes.sort(key=lambda change: (SPLITS.index(change.split), change.group, order.index(change.change)))
    facts = tuple(_compare_facts(ours, theirs))
    return Difference(str(first), str(second), facts, tuple(changes), num_common, not labels_only)


def _find_added_and_gone(ours: Mapping[str, GroupSource], theirs: Mapping[str, GroupSource]) -> Iterator[Change]:
    """Groups that only one version has, or that are in another split."""
    before, after = (
        {group: name for name, groups in version.items() for group in groups.ids} for version in (ours, theirs)
    )
    for group, name in before.items():
        if group not in after:
            yield Change(name, group, "gone", "")
        elif after[group] != name:
            yield Change(name, group, "moved", f"{name} -> {after[group]}")
    for group, name in after.items():
        if group not in before:
            yield Change(name, group, "added", "")


def _compare_facts(ours: Mapping[str, GroupSource], theirs: Mapping[str, GroupSource]) -> Iterator[str]:
    for name in [name for name in SPLITS if name in ours or name in theirs]:
        if name not in ours or name not in theirs:
            groups = (ours.get(name) or theirs[name]).ids
            yield f"split {name}: {'added' if name in theirs else 'gone'}, with {plural(len(groups), 'group')}"
            continue
        one, two = ours[name], theirs[name]
        for difference in one.protocol.differences(two.protocol):
            yield f"protocol of {name}: {difference.replace(' and ', ' -> ')}"
    one, two = next(iter(ours.values())), next(iter(theirs.values()))
    facts = [
        ("layout", one.layout, two.layout),
        ("rule for the consensus", one.consensus_rule, two.consensus_rule),
        ("candidates", ", ".join(one.candidates), ", ".join(two.candidates)),
    ]
    if isinstance(one, DatasetSource) and isinstance(two, DatasetSource):  # a tree does not say its licence
        facts.append(("licence", one.license, two.license))
    for fact, before, after in facts:
        if before != after:
            yield f"{fact}: {before} -> {after}"


def _in_equal_shards(one: GroupSource, two: GroupSource) -> set[str]:
    """Groups in shards with the same bytes, which hold their labels, too."""
    if not (isinstance(one, DatasetSource) and isinstance(two, DatasetSource)) or one.candidates != two.candidates:
        return set()
    known = two.groups_by_shard()
    return {group for sha256, groups in one.groups_by_shard().items() if sha256 in known for group in groups}


@dataclass(frozen=True)
class _Task:
    """Groups that one worker compares."""

    one: GroupSource
    two: GroupSource
    groups: tuple[str, ...]
    with_pictures: bool


def _compare_groups(task: _Task) -> list[Change]:
    found = []
    for name in task.groups:
        one, two = task.one[name], task.two[name]
        found += [Change(task.one.split, name, *change) for change in _compare_labels(one, two)]
        if task.with_pictures:
            found += [Change(task.one.split, name, *change) for change in _compare_pictures(one, two)]
        advance()
    return found


def _compare_labels(one: Group, two: Group) -> Iterator[tuple[str, str]]:
    places = [f"{group.image_name} at {group.top}, {group.left}" for group in (one, two)]
    if places[0] != places[1]:
        yield "place", " -> ".join(places)
    shared = [name for name in one.candidates if name in two.candidates]
    labels = [dict(zip(group.candidates, group.consensus, strict=True)) for group in (one, two)]
    changed = [
        f"{name}: {' -> '.join(label.value if (label := of[name]) else 'none' for of in labels)}"
        for name in shared
        if labels[0][name] is not labels[1][name]
    ]
    if changed:
        yield "consensus", "; ".join(changed)
    elif anonymous_votes(_only(one, shared)) != anonymous_votes(_only(two, shared)):
        yield "votes", ""


def _only(group: Group, candidates: Sequence[str]) -> PatchGroup:
    """The group with the labels of these candidates only."""
    places = [group.candidates.index(name) for name in candidates]
    annotations = tuple(
        replace(annotation, labels=tuple(annotation.labels[k] for k in places)) for annotation in group.annotations
    )
    return replace(group, annotations=annotations)


def _compare_pictures(one: Group, two: Group) -> Iterator[tuple[str, str]]:
    states: dict[str, list[str]] = {}
    for name in dict.fromkeys((ORIGINAL, *one.candidates, *two.candidates, LR)):
        states.setdefault(_state(one, two, name), []).append(name)
    for change in ("pixels", "encoding"):
        if change in states:
            yield change, ", ".join(states[change])
    differing = [f"{name} {word}" for word in ("added", "gone") for name in states.get(word, ())]
    if differing:
        yield "pictures", ", ".join(differing)


def _state(one: Group, two: Group, name: str) -> str:
    has = one.has_picture(name), two.has_picture(name)
    if not all(has):
        return {(True, False): "gone", (False, True): "added"}.get(has, "missing")
    if one.read_bytes(name) == two.read_bytes(name):
        return "same"
    digests = {group.source.digest_pixels(group.index, name) for group in (one, two)}
    return "encoding" if len(digests) == 1 else "pixels"
