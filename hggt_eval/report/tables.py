"""Tables for papers: Markdown, LaTeX (booktabs), CSV, plain text, and HTML for the report.

Every row gives its numbers of groups and source pictures. The best and second best of each metric are marked; methods
that print the same number get the same mark.
"""

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hggt_data.io.files import csv_writer
from hggt_data.io.text import Lines, aligned, escape_html, escape_markdown, printable
from hggt_eval.metrics import FullReferenceMetric, Metric
from hggt_eval.report.notes import Note
from hggt_eval.scores.comparison import Comparison, Difference, Summary
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.label_measures import GroupMean
from hggt_eval.scores.resampling import FEWEST_RESAMPLED

Mark = Literal["", "best", "second"]
# As papers print them; all other metrics have four decimals.
_DECIMALS = {"psnr": 2}
# With fewer effective source pictures, intervals of skewed scores cover the true mean clearly less often than stated.
_FEW_PICTURES = 20
# If even the smallest possible p is above this, the table says so.
_COARSE_P = 0.001
_CSV_COLUMNS = (
    *("method", "metric", "mean", "low", "high", "seeds", "deviation", "groups", "source_pictures"),
    *("infinite_groups", "missing_groups"),
    *("baseline", "difference", "difference_low", "difference_high", "p", "p_holm"),
    *("paired_groups", "paired_source_pictures", "effective_source_pictures", "paired_effective_source_pictures"),
)
_MINUS = "\N{MINUS SIGN}"


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
    """The label measures: a row for each method and measure."""
    metrics = [metric for metric in evaluation.metrics if isinstance(metric, FullReferenceMetric)]
    rows = []
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
                rows.append((Cell(method), Cell(title), *cells, Cell(str(num_groups))))
    heads = [metric.title for metric in metrics]
    note = (
        "Means over the groups that have such candidates. Positive margin: distance to the nearest negative minus "
        "distance to the nearest positive. Nearer to a negative: share of groups with a negative margin."
    )
    return Table("By label", ("method", "measure", *heads, "groups"), tuple(rows), note, num_names=2)


def _measure_cell(mean: GroupMean | None, decimals: int, num_groups: int) -> Cell:
    if mean is None:
        return Cell("-")
    return Cell(format_score(mean.value, decimals), _other_count(mean.num_groups, num_groups))


def _other_count(number: int, num_groups: int) -> str:
    """The number of groups, if it differs from the row's."""
    return f"(n = {number})" if number != num_groups else ""


def _means_table(comparison: Comparison, decimals: Mapping[str, int] | None) -> Table:
    with_seeds = any(summary.num_seeds > 1 for summary in comparison.summaries)
    marks = {m.name: _marks(comparison, m, decimals_of(m.name, decimals)) for m in comparison.metrics}
    rows = []
    for method in comparison.methods:
        own = [comparison.summary(method, metric.name) for metric in comparison.metrics]
        num_groups = max(summary.num_groups + summary.num_infinite for summary in own)
        num_pictures = max(summary.num_pictures for summary in own)
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
    beside = f"{deviation} {_other_count(summary.num_groups, num_groups)}".strip()
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
            Cell(difference.method),
            Cell(headings[difference.metric]),
            *_difference_cells(difference, decimals_of(difference.metric, decimals)),
            Cell(str(difference.num_groups)),
            Cell(str(difference.num_pictures)),
        )
        for difference in comparison.differences
    )
    columns = ("method", "metric", "difference", "95 %", "p", "p (Holm)", "groups", "source pictures")
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
    interval = "-" if low is None or high is None else f"[{_with_sign(low, decimals)}, {_with_sign(high, decimals)}]"
    return (
        Cell(_with_sign(difference.mean, decimals)),
        Cell(interval),
        *map(_p_cell, (difference.p_value, difference.p_holm)),
    )


def _p_cell(value: float | None) -> Cell:
    return Cell("-" if value is None else f"{value:.4f}")


def format_score(value: float, decimals: int) -> str:
    """A number with a real minus sign; no sign if it prints as zero."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{_MINUS if value < 0 else ''}∞"
    text = f"{value:.{decimals}f}"
    return text.replace("-", _MINUS if float(text) else "")


def _with_sign(value: float, decimals: int) -> str:
    """A number with its sign, plus or minus."""
    text = format_score(value, decimals)
    return text if value <= 0 or math.isnan(value) or not float(text) else f"+{text}"


def list_lines(notes: Iterable[Note], bullet: str = "") -> Iterator[str]:
    """Notes as lines of text, with indented details."""
    for note in notes:
        for indent, text in (("", note.text), *(("  ", detail) for detail in note.details)):
            yield indent + bullet + text


def format_text(table: Table) -> Lines:
    """A table for the terminal, without its note."""
    rows = [list(table.columns)] + [[f"{c.text} {c.detail}".strip() for c in row] for row in table.rows]
    return Lines("\n".join(aligned(rows, table.num_names)))


def format_markdown(tables: Iterable[Table], notes: Sequence[Note]) -> str:
    """`table.md`: the best in bold, the second best in italics."""
    around = {"best": "**", "second": "*", "": ""}

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def cell(content: Cell) -> str:
        text = f"{around[content.mark]}{escape_markdown(content.text)}{around[content.mark]}"
        return f"{text} {content.detail}".strip()

    parts = []
    for table in tables:
        sides = [":--" if column < table.num_names else "--:" for column in range(len(table.columns))]
        rows = [line(map(escape_markdown, table.columns)), line(sides), *(line(map(cell, row)) for row in table.rows)]
        parts.append("\n".join([f"### {escape_markdown(table.title)}", "", *rows, "", table.note]))
    if notes:
        parts.append("\n".join(["### Notes", "", *(escape_markdown(line) for line in list_lines(notes, "- "))]))
    return "\n\n".join(parts) + "\n"


def format_latex(tables: Sequence[Table], notes: Sequence[Note]) -> str:
    r"""`table.tex`, for `\usepackage{booktabs}`: the best in bold, the second best underlined; notes as comments."""
    commands = {"best": r"\textbf", "second": r"\underline"}

    def small(text: str) -> str:
        return rf"{{\scriptsize {_escape_latex(text)}}}" if text else ""

    def cell(content: Cell) -> str:
        text = _escape_latex(content.text)
        text = f"{commands[content.mark]}{{{text}}}" if content.mark else text
        return f"{text} {small(content.beside)}".strip()

    def lines_of(row: Sequence[Cell]) -> Iterator[str]:
        yield " & ".join(map(cell, row)) + r" \\"
        if any(content.below for content in row):
            yield " & ".join(small(content.below) for content in row) + r" \\"

    parts = [r"% \usepackage{booktabs}"]
    if any(
        ord(letter) > _LAST_LATIN for table in tables for row in table.rows for letter in _escape_latex(row[0].text)
    ):
        parts.append(
            "% Names contain letters that pdflatex cannot print; use xelatex or lualatex and a font that has them."
        )
    for table in tables:
        sides = "l" * table.num_names + "r" * (len(table.columns) - table.num_names)
        lines = [
            rf"\begin{{tabular}}{{{sides}}}",
            r"\toprule",
            " & ".join(map(_escape_latex, table.columns)) + r" \\",
            r"\midrule",
            *(line for row in table.rows for line in lines_of(row)),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        parts.append("\n".join([f"% {table.title}", *lines, f"% {table.note}"]))
    if notes:
        parts.append("\n".join(f"% {line}" for line in list_lines(notes)))
    return "\n\n".join(parts) + "\n"


_LAST_LATIN = 0x24F
_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "[": "{[}",  # after a line break it would start an option
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    _MINUS: "$-$",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "<": "$<$",
    ">": "$>$",
}


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))


def format_html(tables: Iterable[Table], notes: Sequence[Note]) -> str:
    """Tables and notes as sections of the report; marks become classes."""

    def name(content: Cell) -> str:
        return f'<th scope="row">{escape_html(content.text)}</th>'

    def cell(content: Cell) -> str:
        mark = f' class="{content.mark}"' if content.mark else ""
        detail = f" <small>{escape_html(content.detail)}</small>" if content.detail else ""
        return f"<td{mark}><span>{escape_html(content.text)}</span>{detail}</td>"

    parts = []
    for table in tables:
        heads = "".join(
            f'<th scope="col"{" class=name" if number < table.num_names else ""}>{escape_html(column)}</th>'
            for number, column in enumerate(table.columns)
        )
        rows = "".join(
            f"<tr>{''.join(map(name, row[: table.num_names]))}{''.join(map(cell, row[table.num_names :]))}</tr>\n"
            for row in table.rows
        )
        title = escape_html(table.title)
        parts.append(
            f'<section><h2>{title}</h2>\n<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table>\n'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
            f'<p class="note">{escape_html(table.note)}</p></section>'
        )
    if notes:
        parts.append(f"<section><h2>Notes</h2>\n<ul>\n{''.join(map(_html_note, notes))}</ul></section>")
    return "\n".join(parts)


def _html_note(note: Note) -> str:
    details = "".join(f"<li>{escape_html(detail)}</li>" for detail in note.details)
    return f"<li>{escape_html(note.text)}{f'<ul>{details}</ul>' if details else ''}</li>\n"


def format_comparison_csv(comparison: Comparison) -> str:
    """`comparison.csv`: one row per method and metric, unrounded; missing values are empty."""
    buffer = io.StringIO()
    write_line = csv_writer(buffer)
    write_line(_CSV_COLUMNS)
    differences = {(d.method, d.metric): d for d in comparison.differences}
    for s in comparison.summaries:
        row = [s.method, s.metric, s.mean, s.low, s.high, s.num_seeds, s.deviation, s.num_groups, s.num_pictures]
        row += [s.num_infinite, s.num_missing]
        if d := differences.get((s.method, s.metric)):
            row += [d.baseline, d.mean, d.low, d.high, d.p_value, d.p_holm, d.num_groups, d.num_pictures]
        else:
            row += [None] * 8
        row += [s.effective_pictures, d.effective_pictures if d else None]
        write_line("" if value is None or value != value else value for value in row)
    return buffer.getvalue()
