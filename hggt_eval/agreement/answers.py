"""What a metric says of versions and pairs, from its own scores or from a CSV file of another program."""

import math
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hggt_data.errors import SettingsError, TableError
from hggt_data.groups import GroupSource
from hggt_data.io.files import iterate_csv
from hggt_data.io.text import format_examples, join_lines, nearest, plural
from hggt_data.schema import ORIGINAL
from hggt_eval.agreement.pairs import Pair
from hggt_eval.metrics import FullReferenceMetric, UnknownMetricError, require_metric

_OF_VERSIONS = ("group", "version")
_OF_PAIRS = ("group", "first", "second", "metric", "score")


@dataclass(slots=True)
class Answers:
    """A metric's scores of versions, or its verdicts on pairs.

    Attributes:
        name: Name of the metric.
        higher_is_better: Direction of `scores`; None for verdicts on pairs.
        scores: (group, version) -> score. A metric whose reference is the original has none of originals.
        verdicts: (group, first, second) -> how sure it is that the first is better, from 0 to 1.
    """

    name: str
    higher_is_better: bool | None
    scores: dict[tuple[str, str], float] = field(default_factory=dict)
    verdicts: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def preference(self, pair: Pair) -> float | None:
        """1 if it prefers the first version, 0 for the second, 0.5 for equal scores; None without an answer."""
        margin = self.margin(pair)
        return None if margin is None else 0.5 if margin == 0 else float(margin > 0)

    def margin(self, pair: Pair) -> float | None:
        """How much better it finds the first version; below 0 if it prefers the second, None without an answer.

        Of verdicts on both orders of a pair the mean counts.
        """
        if self.higher_is_better is None:
            forward = self.verdicts.get((pair.group, pair.first, pair.second))
            backward = self.verdicts.get((pair.group, pair.second, pair.first))
            known = [*([] if forward is None else [forward - 0.5]), *([] if backward is None else [0.5 - backward])]
            return math.fsum(known) / len(known) if known else None
        first, second = (self.quality(pair.group, version) for version in (pair.first, pair.second))
        if first is None or second is None:
            return None
        return 0.0 if first == second else first - second  # both may be infinite

    def quality(self, group: str, version: str) -> float | None:
        """The score, with its sign changed if lower is better; None without a score."""
        score = self.scores.get((group, version))
        return score if score is None or self.higher_is_better else -score


def read_answers(
    path: Path,
    source: GroupSource,
    lower_is_better: Collection[str] = (),
    higher_is_better: Collection[str] = (),
) -> tuple[list[Answers], list[str]]:
    """The metrics of a CSV file, and notes about them.

    Columns are `group,version,METRIC,...`, or for pairs `group,first,second,metric,score` with scores from 0 to 1.

    Raises:
        SettingsError: A metric's direction is not known.
        TableError: A cell cannot be used, or names something that the data do not have.
    """
    columns, lines = iterate_csv(path)
    if tuple(columns) == _OF_PAIRS:
        return _read_verdicts(path, lines, source), []
    if tuple(columns[:2]) != _OF_VERSIONS or len(columns) < 3 or not all(columns):
        expected = f"{','.join(_OF_VERSIONS)},METRIC,... or {','.join(_OF_PAIRS)}"
        raise TableError(f"{path}: columns {','.join(columns)}; expected {expected}")
    found = [Answers(name, _direction(name, path, lower_is_better, higher_is_better)) for name in columns[2:]]
    seen, ids = set(), set(source.ids)
    for number, (group, version, *cells) in lines:
        where = f"{path}, line {number}"
        _require_versions(where, source, ids, group, version)
        if (group, version) in seen:
            raise TableError(f"{where}: {version} of {group} occurs twice; expected one line")
        seen.add((group, version))
        for answers, cell in zip(found, cells, strict=True):
            if cell:
                answers.scores[group, version] = _number(where, answers.name, cell)
    return found, [note for answers in found if (note := _without_own_reference(answers))]


def _direction(name: str, path: Path, lower: Collection[str], higher: Collection[str]) -> bool:
    if name in lower or name in higher:
        return name in higher
    try:
        return require_metric(name).higher_is_better
    except UnknownMetricError:
        raise SettingsError(
            f"{path}: metric {name!r} is not known, nor whether higher is better; name it in `lower_is_better` or "
            "`higher_is_better`"
        ) from None


def _without_own_reference(answers: Answers) -> str:
    """Drop scores of originals that are decided by definition; says why, or nothing."""
    own = {key: score for key, score in answers.scores.items() if key[1] == ORIGINAL}
    if not own:
        return ""
    if _has_reference(answers.name):
        reason = f"{answers.name} compares with the original"
    elif len(own) > 1 and len(set(own.values())) == 1:
        score = next(iter(own.values()))
        reason = f"{answers.name} gives every original the score {score:g}, as if it compared with originals"
    else:
        return ""
    for key in own:
        del answers.scores[key]
    return f"{reason}; its scores of originals do not count."


def _has_reference(name: str) -> bool:
    try:
        return isinstance(require_metric(name), FullReferenceMetric)
    except UnknownMetricError:
        return False


def _read_verdicts(path: Path, lines: Iterable[tuple[int, list[str]]], source: GroupSource) -> list[Answers]:
    found: dict[str, Answers] = {}
    ids = set(source.ids)
    for number, (group, first, second, metric, cell) in lines:
        where = f"{path}, line {number}"
        _require_versions(where, source, ids, group, first, second)
        score = _number(where, metric, cell)
        if not 0 <= score <= 1:
            raise TableError(f"{where}: score {cell}; expected 0 (the second is better) to 1 (the first is better)")
        answers = found.setdefault(metric, Answers(metric, None))
        if (group, first, second) in answers.verdicts:
            raise TableError(f"{where}: {metric} on {first} and {second} of {group} occurs twice; expected one line")
        answers.verdicts[group, first, second] = score
    return list(found.values())


def _require_versions(where: str, source: GroupSource, ids: Container[str], group: str, *versions: str) -> None:
    if group not in ids:
        raise TableError(f"{where}: {source.location} has no group {group!r}{source.suggest(group)}")
    for version in versions:
        if version not in (*source.candidates, ORIGINAL):
            raise TableError(f"{where}: version {version!r} is not known; {nearest(version, source.candidates)}")


def _number(where: str, metric: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise TableError(f"{where}: {metric} is {cell!r}; expected a number")
    return value


def require_complete(path: Path, found: Sequence[Answers], pairs: Sequence[Pair]) -> None:
    """Check that each metric answers all pairs of a sort, or none; judged, scored and with originals are sorts.

    Raises:
        TableError: Answers are missing; metrics that lack the same ones share a line.
    """
    sorts: dict[tuple[str, bool], list[Pair]] = {}
    for pair in pairs:
        sorts.setdefault((pair.evidence, pair.has_original), []).append(pair)
    faults: dict[str, list[str]] = {}
    for answers in found:
        missing = {sort: [pair for pair in own if answers.preference(pair) is None] for sort, own in sorts.items()}
        begun = [sort for sort in sorts if len(missing[sort]) < len(sorts[sort])] or list(sorts)
        # A pair counts once, though it may have both votes and opinion scores.
        asked, lacking = ({(p.group, p.first, p.second) for s in begun for p in of[s]} for of in (sorts, missing))
        if lacking:
            shown = format_examples([f"{first} and {second} of {group}" for group, first, second in sorted(lacking)])
            faults.setdefault(f"{len(lacking)} of {plural(len(asked), 'pair')}: {shown}", []).append(answers.name)
    if faults:
        lines = [
            f"{path}: {' and '.join(names)} {'lacks' if len(names) == 1 else 'lack'} {fault}"
            for fault, names in faults.items()
        ]
        raise TableError(join_lines(lines))
