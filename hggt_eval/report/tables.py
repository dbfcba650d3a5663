"""The tables of a run, independent of the format in which they are written (`formats.py`, `latex.py`).

Every row gives its numbers of groups and source pictures. The best and second best of each metric are marked; methods
that print the same number get the same mark.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from hggt_eval.metrics import SET_METRICS, FullReferenceMetric, Metric, SetMetric
from hggt_eval.metrics.labels import GroupMean
from hggt_eval.scores.comparison import Comparison
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.resampling import FEWEST_RESAMPLED
from hggt_eval.scores.summary import Difference, Summary

Mark = Literal["", "best", "second"]
# As papers print them; all other metrics have four decimals.
_DECIMALS = {
    "psnr": 2,
    **{name: 5 if metric.distance == "kid" else 2 for name, metric in SET_METRICS.items()},
}
# With fewer effective source pictures, intervals of skewed scores cover the true mean clearly less often than stated.
_FEW_PICTURES = 20
# If even the smallest possible p is above this, the table says so.
_COARSE_P = 0.001
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: Number or name.
        beside: Addition to the number: deviation over seeds, a different n.
        below: Interval, printed below the number if the format allows.
        mark: Whether this is the best or second best of its column.
    """

    text: str
    beside: str = ""
    below: str = ""
    mark: Mark = ""

    @property
    def detail(self) -> str:
        """Addition and interval, in one line."""
        return f"{self.beside} {self.below}".strip()


@dataclass(frozen=True, slots=True)
class Table:
    """A table, independent of its format.

    Attributes:
        title: What the table shows.
        columns: Column headings.
        rows: Cells, one per column.
        note: How to read the table.
        num_names: Number of leading columns that contain names.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str
    num_names: int = 1


def decimals_of(metric: str, chosen: Mapping[str, int] | None = None) -> int:
    """Number of decimals for a metric; `chosen` may contain its name, or `""` for all metrics."""
    chosen = chosen or {}
    return chosen.get(metric, chosen.get("", _DECIMALS.get(metric, 4)))


def heading_of(metric: Metric) -> str:
    """A metric's title with an arrow to its better side."""
    return f"{metric.title} {'↑' if metric.higher_is_better else '↓'}"


def comparison_tables(comparison: Comparison, decimals: Mapping[str, int] | None = None) -> list[Table]:
    """The means and, if there is a baseline, the differences from it."""
    tables = [_means_table(comparison, decimals)]
    if comparison.differences:
        tables.append(_differences_table(comparison, decimals))
    return tables


def paper_tables(
    evaluation: Evaluation, comparison: Comparison, decimals: Mapping[str, int] | None = None
) -> list[Table]:
    """All tables of a run."""
    measures = [measures_table(evaluation, decimals)] if evaluation.label_measures else []
    return [*comparison_tables(comparison, decimals), *measures]


def measures_table(evaluation: Evaluation, decimals: Mapping[str, int] | None = None) -> Table:
    """The label measures: for each measure a row per method."""
    metrics = [metric for metric in evaluation.metrics if isinstance(metric, FullReferenceMetric)]
    rows: dict[str, list[tuple[Cell, ...]]] = {}
    for method, measures in evaluation.label_measures.items():
        named = {
            "best of positives": measures.best_of_positives,
            "negatives": measures.distance_to_negatives,
            "positive margin": measures.positive_margin,
            "nearer to a negative": measures.nearer_to_negative,
            **{f"positives of {level} votes": means for level, means in measures.by_agreement.items()},
        }
        for title, means in named.items():
            if means:  # only distances have a margin
                num_groups = max(mean.num_groups + mean.num_infinite for mean in means.values())
                cells = [
                    _measure_cell(means.get(metric.name), decimals_of(metric.name, decimals), num_groups)
                    for metric in metrics
                ]
                rows.setdefault(title, []).append((Cell(title), Cell(method), *cells, Cell(str(num_groups))))
    heads = [metric.title for metric in metrics]
    note = (
        "Means over the groups that have such candidates. Positive margin: distance to the nearest negative minus "
        "distance to the nearest positive. Nearer to a negative: share of groups with a negative margin."
    )
    ordered = tuple(row for of_measure in rows.values() for row in of_measure)
    return Table("By label", ("measure", "method", *heads, "groups"), ordered, note, num_names=2)


def _measure_cell(mean: GroupMean | None, decimals: int, num_groups: int) -> Cell:
    if mean is None:
        return Cell("-")
    return Cell(format_score(mean.value, decimals), _other_count(mean.num_groups, num_groups))


def _other_count(number: int, num_groups: int) -> str:
    """The number of groups, if it differs from the row's."""
    return f"(n = {number})" if number != num_groups else ""


def count_images(num_images: int, num_patches: int = 0) -> str:
    """The size of a set, which stands beside each distance of sets."""
    patches = f" pictures, {num_patches} patches" if num_patches else ""
    return f"(N = {num_images}{patches})"


def _means_table(comparison: Comparison, decimals: Mapping[str, int] | None) -> Table:
    with_seeds = any(summary.num_seeds > 1 for summary in comparison.summaries)
    marks = {m.name: _marks(comparison, m, decimals_of(m.name, decimals)) for m in comparison.metrics}
    rows = []
    for method in comparison.methods:
        own = [comparison.summary(method, metric.name) for metric in comparison.metrics]
        of_images = [summary for summary in own if summary.metric not in SET_METRICS] or own
        num_groups = max(summary.num_groups + summary.num_infinite for summary in of_images)
        num_pictures = max(summary.num_pictures for summary in of_images)
        counts = [num_groups, num_pictures, *([own[0].num_seeds] if with_seeds else [])]
        cells = [
            _mean_cell(s, decimals_of(s.metric, decimals), num_groups, marks[s.metric].get(method, "")) for s in own
        ]
        rows.append((Cell(method), *cells, *(Cell(str(count)) for count in counts)))
    heads = map(heading_of, comparison.metrics)
    note = (
        f"Mean over groups [95 % interval by source picture, from {comparison.num_resamples:,} draws or, with fewer "
        f"than {FEWEST_RESAMPLED} pictures, the t distribution]. "
        "The best and second best of each column are marked."
    )
    if any(summary.num_missing for summary in comparison.summaries):
        note += " Means over fewer groups than others are not ranked."
    if any(isinstance(metric, SetMetric) for metric in comparison.metrics):
        note += " Metrics of sets have one value for all N images; their intervals are jackknives by source picture."
    note += _few_pictures(comparison.summaries)
    if with_seeds:
        note += (
            " After ±: standard deviation over training seeds, which intervals do not include; each group counts with "
            "its mean over the seeds."
        )
    counts_heads = ["groups", "source pictures", *(["seeds"] if with_seeds else [])]
    return Table("Scores", ("method", *heads, *counts_heads), tuple(rows), note)


def _mean_cell(summary: Summary, decimals: int, num_groups: int, mark: Mark) -> Cell:
    deviation = "" if summary.deviation is None else f"± {summary.deviation:.{decimals}f}"
    is_set = summary.metric in SET_METRICS
    count = (
        count_images(summary.num_groups, summary.num_patches)
        if is_set
        else _other_count(summary.num_groups, num_groups)
    )
    beside = f"{deviation} {count}".strip()
    low, high = summary.low, summary.high
    interval = "" if low is None or high is None else f"[{format_score(low, decimals)}, {format_score(high, decimals)}]"
    return Cell(format_score(summary.mean, decimals), beside, interval, mark)


def _marks(comparison: Comparison, metric: Metric, decimals: int) -> dict[str, Mark]:
    """Method -> mark; no mark without a choice, or for a mean that is not over all groups."""
    means = {
        s.method: round(s.mean, decimals)
        for s in comparison.summaries
        if s.metric == metric.name
        and not s.num_missing
        and (math.isinf(s.mean) or (s.num_groups and not s.num_infinite))
    }
    order = sorted(set(means.values()), reverse=metric.higher_is_better)
    if len(order) < 2:
        return {}
    names: dict[float, Mark] = {order[0]: "best"}
    if len(means) > 2:
        names[order[1]] = "second"
    return {method: names.get(value, "") for method, value in means.items()}


def _differences_table(comparison: Comparison, decimals: Mapping[str, int] | None) -> Table:
    headings = {metric.name: heading_of(metric) for metric in comparison.metrics}
    rows = tuple(
        (
            Cell(headings[difference.metric]),
            Cell(difference.method),
            *_difference_cells(difference, decimals_of(difference.metric, decimals)),
            Cell(str(difference.num_groups)),
            Cell(str(difference.num_pictures)),
        )
        for metric in headings
        for difference in comparison.differences
        if difference.metric == metric
    )
    columns = ("metric", "method", "difference", "95 %", "p", "p (Holm)", "groups", "source pictures")
    note = (
        "Method minus baseline on the same groups; paired permutation test that flips signs by source picture, "
        "corrected by Holm for all methods within a metric. p ignores the spread over training seeds."
    )
    note += _few_pictures(comparison.differences)
    num_pictures = max(difference.num_pictures for difference in comparison.differences)
    if 2 ** (1 - num_pictures) > _COARSE_P:
        note += f" With {num_pictures} source pictures p cannot be below {2 ** (1 - num_pictures):.4f}."
    return Table(f"Difference from {comparison.baseline}", columns, rows, note, num_names=2)


def _few_pictures(numbers: Iterable[Summary | Difference]) -> str:
    """A warning if intervals of skewed scores are too narrow."""
    fewest = min((number.effective_pictures for number in numbers if number.low is not None), default=math.inf)
    if fewest >= _FEW_PICTURES:
        return ""
    return (
        " The effective number of source pictures (only finite scores count, and unequal numbers of groups lower it) "
        f"is as low as {fewest:.1f}; below {_FEW_PICTURES}, intervals are too narrow if scores are skewed."
    )


def _difference_cells(difference: Difference, decimals: int) -> tuple[Cell, ...]:
    low, high = difference.low, difference.high
    interval = (
        "-" if low is None or high is None else f"[{format_signed(low, decimals)}, {format_signed(high, decimals)}]"
    )
    return (
        Cell(format_signed(difference.mean, decimals)),
        Cell(interval),
        *map(_p_cell, (difference.p_value, difference.p_holm)),
    )


def _p_cell(value: float | None) -> Cell:
    return Cell("-" if value is None else f"{value:.4f}")


def format_score(value: float, decimals: int) -> str:
    """A number with a real minus sign; no sign if it prints as zero."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{MINUS if value < 0 else ''}∞"
    text = f"{value:.{decimals}f}"
    return text.replace("-", MINUS if float(text) else "")


def format_signed(value: float, decimals: int) -> str:
    """A number with its sign, plus or minus."""
    text = format_score(value, decimals)
    return text if value <= 0 or math.isnan(value) or not float(text) else f"+{text}"
