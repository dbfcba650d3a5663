"""The tables and sentences of `hggt-eval agree`: per ranking the metrics, then a table by kind, question or family."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from hggt_eval.agreement.means import Accuracy
from hggt_eval.agreement.ranking import Ranking, Row
from hggt_eval.report.tables import Cell, Table, format_score

By = Literal["kind", "question", "family"]
_ARROWS = {"higher": " ↑", "lower": " ↓"}
_NAMES = {
    "judged": "Pairs that people judged",
    "inferred": "Pairs inferred from labels",
    "scored": "Pairs by opinion scores",
}
# If even the smallest possible p is above this, the table says so.
_COARSE_P = 0.001
_FEW_PICTURES = 20
_NOTE = (
    "Accuracy: share of pairs on which the metric prefers the version that people prefer, without human ties; equal "
    "scores earn half; [95 % interval by source picture]. p (chance): sign flips by source picture against 0.5; "
    "p (best): against the first row, on pairs that both answer; both corrected by Holm for the metrics of the table. "
    "Spearman and Kendall (tau-b): within each content, then averaged over contents whose labels are not all equal."
)
_TIES_NOTE = (
    " With ties: human ties count, and scores that differ by no more than a threshold, chosen on other source "
    "pictures, are equal."
)
_POOLED_NOTE = (
    "All versions of all contents together, so that differences between contents count as well. Pearson: after a "
    "4-parameter logistic was fitted."
)


def agreement_tables(rankings: Sequence[Ranking], trained: Sequence[str], by: By) -> list[Table]:
    """For each ranking a table of metrics and what is pooled, and the tables by kind, question or family."""
    tables = []
    for ranking in rankings:
        tables.append(_main_table(ranking, trained))
        tables += _pooled_table(ranking, trained)
        tables += [] if by == "question" else _parts_table(ranking, trained, by)
    return [*tables, *(_questions_table(rankings, trained) if by == "question" else [])]


def describe(ranking: Ranking) -> str:
    """The result in one sentence."""
    title = title_of(ranking)
    if not ranking.metrics:
        return (
            f"{title}: no metric answers. Full-reference metrics compare with the original and cannot rate it; metrics "
            "without a reference can."
        )
    best = ranking.metrics[0]
    accuracy = best.accuracy
    low, high = accuracy.low, accuracy.high
    interval = "" if low is None or high is None else f" (95 % interval {_percent(low)} to {_percent(high)})"
    ceiling = "" if math.isnan(best.ceiling) else f"; a person reaches {_percent(best.ceiling)}"
    rivals = [row.name for row in ranking.metrics[1:] if row.p_holm is None or row.p_holm > 0.05]
    unsure = f" It does not differ significantly from {', '.join(rivals)}." if rivals else ""
    if best.p_chance_holm is None or best.p_chance_holm > 0.05:
        unsure = f" It does not differ significantly from {', '.join(['chance', *rivals])}."
    share = f"{_percent(accuracy.value)} of {accuracy.pairs:,} pairs{interval}"
    return f"{title}: {best.name} agrees with people on {share}, chance on 50 %{ceiling}.{unsure}"


def title_of(ranking: Ranking) -> str:
    """Evidence, question, and whether pairs with the original count."""
    question = "" if ranking.question is None else f" ({ranking.question})"
    original = "" if ranking.original is None else f", {ranking.original} the original"
    return f"{_NAMES[ranking.evidence]}{question}{original}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _main_table(ranking: Ranking, trained: Sequence[str]) -> Table:
    tests = ("p (chance)", "minus best", "p (best)")
    correlations = ("Spearman", "Kendall", "contents", "left out")
    is_calibrated = any(row.calibrated for row in ranking.rows)
    extra = ("with ties",) if is_calibrated else ()
    columns = ("metric", "accuracy", "pairs", "human ties", *extra, *tests, *correlations, "ceiling")
    smallest = 2 ** (1 - ranking.pictures)
    coarse = f", so p cannot be below {smallest:.4f} before the correction" if smallest > _COARSE_P else ""
    rows = tuple((_name(row, trained), *_cells(row, is_calibrated)) for row in ranking.rows)
    note = f"{_NOTE}{_TIES_NOTE if is_calibrated else ''} Source pictures: {ranking.pictures}{coarse}."
    fewest = min(row.accuracy.effective_pictures for row in ranking.rows)
    if fewest < _FEW_PICTURES:
        note += (
            f" The effective number of source pictures (unequal numbers of pairs lower it) is as low as {fewest:.1f}; "
            f"below {_FEW_PICTURES}, intervals are often too narrow."
        )
    return Table(title_of(ranking), columns, rows, f"{note} {ranking.note}".strip())


def _name(row: Row, trained: Sequence[str]) -> Cell:
    mark = " (trained on these data)" if row.name in trained else ""
    return Cell(f"{row.name}{_ARROWS.get(row.direction or '', '')}{mark}")


def _cells(row: Row, is_calibrated: bool) -> Iterator[Cell]:
    is_metric = row.direction is not None
    yield _accuracy_cell(row.accuracy)
    yield Cell(f"{row.accuracy.pairs}")
    yield Cell(f"{row.ties}")
    if is_calibrated:
        yield Cell("-") if row.calibrated is None else _accuracy_cell(row.calibrated)
    yield _p_cell(row.p_chance_holm)
    yield Cell("-") if row.difference is None else Cell(_share(row.difference.value))
    yield _p_cell(row.p_holm)
    yield _interval_cell(row.correlation.spearman, row.correlation.spearman_interval)
    yield _interval_cell(row.correlation.kendall, row.correlation.kendall_interval)
    yield Cell(f"{row.correlation.groups}" if is_metric else "-")
    yield Cell(f"{row.correlation.left_out}" if is_metric else "-")
    yield Cell(_share(row.ceiling))


def _pooled_table(ranking: Ranking, trained: Sequence[str]) -> Iterator[Table]:
    rows = []
    for row in ranking.metrics:
        if row.pooled is not None:
            values = (row.pooled.spearman, row.pooled.kendall, row.pooled.pearson)
            rows.append(
                (_name(row, trained), *(Cell(_share(value)) for value in values), Cell(f"{row.pooled.versions}"))
            )
    if rows:
        columns = ("metric", "pooled Spearman", "pooled Kendall", "pooled Pearson", "versions")
        yield Table(f"{title_of(ranking)}, pooled", columns, tuple(rows), _POOLED_NOTE)


def _parts_table(ranking: Ranking, trained: Sequence[str], by: By) -> Iterator[Table]:
    """A row per kind or family, if there are several."""
    of_rows = [row.by_family if by == "family" else row.by_kind for row in ranking.rows]
    parts = sorted({part for of_row in of_rows for part in of_row})
    if len(parts) < 2:
        return
    rows = []
    for part in parts:
        own = [of_row.get(part) for of_row in of_rows]
        number = max(accuracy.pairs for accuracy in own if accuracy is not None)
        cells = (Cell("-") if accuracy is None else _accuracy_cell(accuracy) for accuracy in own)
        rows.append((Cell(part), Cell(f"{number}"), *cells))
    note = "Accuracy on the pairs of each row; a metric that compares with the original answers none with it."
    columns = (by, "pairs", *(_name(row, trained).text for row in ranking.rows))
    yield Table(f"{title_of(ranking)}, by {by}", columns, tuple(rows), note)


def _questions_table(rankings: Sequence[Ranking], trained: Sequence[str]) -> Iterator[Table]:
    """A row per ranking, as each question has its own."""
    named = {_name(row, trained).text: row.name for ranking in rankings for row in ranking.rows}
    rows = []
    for ranking in rankings:
        own = {row.name: _accuracy_cell(row.accuracy) for row in ranking.rows}
        number = max(row.accuracy.pairs for row in ranking.rows)
        rows.append(
            (Cell(title_of(ranking)), Cell(f"{number}"), *(own.get(name, Cell("-")) for name in named.values()))
        )
    note = "Accuracy under each question; votes under different questions are different measurements."
    yield Table("By question", ("question", "pairs", *named), tuple(rows), note)


def _accuracy_cell(accuracy: Accuracy) -> Cell:
    low, high = accuracy.low, accuracy.high
    return _interval_cell(accuracy.value, None if low is None or high is None else (low, high))


def _interval_cell(value: float, interval: tuple[float, float] | None) -> Cell:
    return Cell(_share(value), below="" if interval is None else f"[{_share(interval[0])}, {_share(interval[1])}]")


def _p_cell(value: float | None) -> Cell:
    return Cell("-" if value is None else f"{value:.4f}")


def _share(value: float) -> str:
    return format_score(value, 3)
