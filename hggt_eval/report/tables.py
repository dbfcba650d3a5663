"""A comparison as tables that go into a paper: Markdown, LaTeX (booktabs), CSV, and HTML for the report.

Every number shows of how many groups and source pictures it is. The best and the second of a metric are marked; methods
that print the same number get the same mark.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from hggt_data.io.text import aligned
from hggt_eval.metrics import FullReferenceMetric, require_metric
from hggt_eval.report.notes import Note
from hggt_eval.scores.comparison import Comparison, Difference, Summary
from hggt_eval.scores.label_measures import GroupMean, measure_labels
from hggt_eval.scores.scores import Evaluation

Mark = Literal["", "best", "second"]
# As papers print them; all others have four.
_DECIMALS = {"psnr": 2}
# Percentile intervals of means cover less than they say from about here down.
_FEW_PICTURES = 20
# If even the smallest p that is possible is above this, the table says so.
_COARSE_P = 0.001
_CSV_COLUMNS = (
    *("method", "metric", "mean", "low", "high", "seeds", "deviation", "groups", "source_pictures"),
    *("infinite_groups", "missing_groups"),
    *("baseline", "difference", "difference_low", "difference_high", "p", "p_holm"),
    *("paired_groups", "paired_source_pictures"),
)
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of a table.

    Attributes:
        text: the number or name.
        beside: what belongs to it: spread over seeds, another n.
        below: its interval, under it where the format can.
        mark: whether it is the best or second of its column.
    """

    text: str
    beside: str = ""
    below: str = ""
    mark: Mark = ""

    @property
    def detail(self) -> str:
        """What is beside and below, in one line."""
        return f"{self.beside} {self.below}".strip()


@dataclass(frozen=True, slots=True)
class Table:
    """A table in no format yet.

    Attributes:
        title: what it shows.
        columns: heads.
        rows: cells, as many as there are columns; the first is a name.
        note: how to read it.
        num_names: how many columns at the left hold names and not numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str
    num_names: int = 1


def decimals_of(metric: str, chosen: Mapping[str, int] | None = None) -> int:
    """How many decimals a metric is printed with; `chosen` may name it, or with `""` all metrics."""
    chosen = chosen or {}
    return chosen.get(metric, chosen.get("", _DECIMALS.get(metric, 4)))


def comparison_tables(comparison: Comparison, decimals: Mapping[str, int] | None = None) -> list[Table]:
    """The means, and where there is a baseline, the differences to it."""
    tables = [_means_table(comparison, decimals)]
    if comparison.differences:
        tables.append(_differences_table(comparison, decimals))
    return tables


def paper_tables(
    evaluation: Evaluation, comparison: Comparison, decimals: Mapping[str, int] | None = None, *, label_measures: bool
) -> list[Table]:
    """All tables of a run; `label_measures` says whether negatives were compared with, too."""
    measures = [measures_table(evaluation, decimals)] if label_measures else []
    return [*comparison_tables(comparison, decimals), *measures]


def measures_table(evaluation: Evaluation, decimals: Mapping[str, int] | None = None) -> Table:
    """What the labels tell beyond the mean over positives: a row for each method and measure."""
    metrics = [name for name in evaluation.metrics if isinstance(require_metric(name), FullReferenceMetric)]
    rows = []
    for method in evaluation.methods:
        measures = measure_labels(method, evaluation.metrics)
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
                cells = [_measure_cell(means.get(name), decimals_of(name, decimals), num_groups) for name in metrics]
                rows.append((Cell(method.name), Cell(title), *cells, Cell(str(num_groups))))
    heads = [require_metric(name).title for name in metrics]
    note = (
        "Means over the groups that have such candidates. Positive margin: distance to the nearest negative less that "
        "to the nearest positive; nearer to a negative: share of groups in which it is below 0."
    )
    return Table("By label", ("method", "measure", *heads, "groups"), tuple(rows), note, num_names=2)


def _measure_cell(mean: GroupMean | None, decimals: int, num_groups: int) -> Cell:
    if mean is None:
        return Cell("-")
    return Cell(format_score(mean.value, decimals), _other_count(mean.num_groups, num_groups))


def _other_count(number: int, num_groups: int) -> str:
    """Of how many groups a number is, where its row says another."""
    return f"(n = {number})" if number != num_groups else ""


def arrow_of(metric: str) -> str:
    """Points to the better side."""
    return "↑" if require_metric(metric).higher_is_better else "↓"


def _means_table(comparison: Comparison, decimals: Mapping[str, int] | None) -> Table:
    metrics = list(dict.fromkeys(summary.metric for summary in comparison.summaries))
    with_seeds = any(summary.num_seeds > 1 for summary in comparison.summaries)
    marks = {metric: _marks(comparison, metric, decimals_of(metric, decimals)) for metric in metrics}
    rows = []
    for method in comparison.methods:
        own = [comparison.summary(method, metric) for metric in metrics]
        num_groups = max(summary.num_groups + summary.num_infinite for summary in own)
        num_pictures = max(summary.num_pictures for summary in own)
        counts = [num_groups, num_pictures, *([own[0].num_seeds] if with_seeds else [])]
        cells = [
            _mean_cell(
                summary, decimals_of(summary.metric, decimals), num_groups, marks[summary.metric].get(method, "")
            )
            for summary in own
        ]
        rows.append((Cell(method), *cells, *(Cell(str(count)) for count in counts)))
    heads = [f"{require_metric(metric).title} {arrow_of(metric)}" for metric in metrics]
    note = (
        f"Mean over groups [95 % bootstrap interval, source pictures drawn {comparison.num_resamples:,} times]. "
        "The best of a column and the second are marked."
    )
    if any(summary.num_missing for summary in comparison.summaries):
        note += " Means over fewer groups than others are not ranked."
    note += _few_pictures(comparison.summaries)
    if with_seeds:
        note += (
            " After ±, the standard deviation over training seeds, which intervals do not contain; a group counts with "
            "its mean over them."
        )
    counts_heads = ["groups", "source pictures", *(["seeds"] if with_seeds else [])]
    return Table("Scores", ("method", *heads, *counts_heads), tuple(rows), note)


def _mean_cell(summary: Summary, decimals: int, num_groups: int, mark: Mark) -> Cell:
    deviation = "" if summary.deviation is None else f"± {summary.deviation:.{decimals}f}"
    beside = f"{deviation} {_other_count(summary.num_groups, num_groups)}".strip()
    low, high = summary.low, summary.high
    interval = "" if low is None or high is None else f"[{format_score(low, decimals)}, {format_score(high, decimals)}]"
    return Cell(format_score(summary.mean, decimals), beside, interval, mark)


def _marks(comparison: Comparison, metric: str, decimals: int) -> dict[str, Mark]:
    """Method -> mark; none where there is nothing to choose from, or where a mean is not over all groups."""
    means = {
        s.method: round(s.mean, decimals)
        for s in comparison.summaries
        if s.metric == metric and not s.num_missing and (math.isinf(s.mean) or (s.num_groups and not s.num_infinite))
    }
    order = sorted(set(means.values()), reverse=require_metric(metric).higher_is_better)
    if len(order) < 2:
        return {}
    names: dict[float, Mark] = {order[0]: "best"}
    if len(means) > 2:
        names[order[1]] = "second"
    return {method: names.get(value, "") for method, value in means.items()}


def _differences_table(comparison: Comparison, decimals: Mapping[str, int] | None) -> Table:
    rows = tuple(
        (
            Cell(difference.method),
            Cell(f"{require_metric(difference.metric).title} {arrow_of(difference.metric)}"),
            *_difference_cells(difference, decimals_of(difference.metric, decimals)),
            Cell(str(difference.num_groups)),
            Cell(str(difference.num_pictures)),
        )
        for difference in comparison.differences
    )
    columns = ("method", "metric", "difference", "95 %", "p", "p (Holm)", "groups", "source pictures")
    note = (
        "Method less baseline, on the same groups; paired permutation test with signs flipped by source picture, "
        "corrected by Holm for all methods within a metric."
    )
    note += _few_pictures(comparison.differences)
    num_pictures = max(difference.num_pictures for difference in comparison.differences)
    if 2 ** (1 - num_pictures) > _COARSE_P:
        note += f" With {num_pictures} source pictures no p can be below {2 ** (1 - num_pictures):.4f}."
    return Table(f"Difference to {comparison.baseline}", columns, rows, note, num_names=2)


def _few_pictures(numbers: Iterable[Summary | Difference]) -> str:
    """What to say where intervals cannot be trusted."""
    if any(number.low is not None and number.num_pictures < _FEW_PICTURES for number in numbers):
        return f" With fewer than {_FEW_PICTURES} source pictures intervals are narrower than they should be."
    return ""


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
    """A number of a table: with a real minus sign; no minus for what is printed as zero."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{_MINUS if value < 0 else ''}∞"
    text = f"{value:.{decimals}f}"
    return text.replace("-", _MINUS if float(text) else "")


def _with_sign(value: float, decimals: int) -> str:
    """With its sign, be it plus or minus."""
    text = format_score(value, decimals)
    return text if value <= 0 or math.isnan(value) or not float(text) else f"+{text}"


def list_lines(notes: Iterable[Note], bullet: str = "") -> Iterator[str]:
    """Notes as lines of text, details indented below theirs."""
    for note in notes:
        for indent, text in (("", note.text), *(("  ", detail) for detail in note.details)):
            yield indent + bullet + " ".join(text.splitlines())


def format_text(table: Table) -> str:
    """For a terminal, without the note."""
    rows = [list(table.columns)] + [[f"{c.text} {c.detail}".strip() for c in row] for row in table.rows]
    return "\n".join(aligned(rows, table.num_names))


def format_markdown(tables: Iterable[Table], notes: Sequence[Note]) -> str:
    """`table.md`: the best in bold, the second in italics."""
    around = {"best": "**", "second": "*", "": ""}

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def cell(content: Cell) -> str:
        text = f"{around[content.mark]}{_escape_markdown(content.text)}{around[content.mark]}"
        return f"{text} {content.detail}".strip()

    parts = []
    for table in tables:
        sides = [":--" if column < table.num_names else "--:" for column in range(len(table.columns))]
        rows = [line(map(_escape_markdown, table.columns)), line(sides), *(line(map(cell, row)) for row in table.rows)]
        parts.append("\n".join([f"### {_escape_markdown(table.title)}", "", *rows, "", table.note]))
    if notes:
        parts.append("\n".join(["### Notes", "", *(_escape_markdown(line) for line in list_lines(notes, "- "))]))
    return "\n\n".join(parts) + "\n"


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{character}" if character in r"\`*_{}[]<>#|" else character for character in text)


def format_latex(tables: Sequence[Table], notes: Sequence[Note]) -> str:
    r"""`table.tex`: needs `\usepackage{booktabs}`; the best in bold, the second underlined, intervals below.

    Notes are comments.
    """
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
            "% Names have letters that pdflatex does not know; use xelatex or lualatex, with a font that does."
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
    "[": "{[}",  # after a line break it would begin an option
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
    return "".join(_LATEX.get(character, character) for character in text)


def format_html(tables: Iterable[Table], notes: Sequence[Note]) -> str:
    """Sections of the report; marks are classes."""

    def name(content: Cell) -> str:
        return f'<th scope="row">{escape(content.text)}</th>'

    def cell(content: Cell) -> str:
        mark = f' class="{content.mark}"' if content.mark else ""
        detail = f" <small>{escape(content.detail)}</small>" if content.detail else ""
        return f"<td{mark}><span>{escape(content.text)}</span>{detail}</td>"

    parts = []
    for table in tables:
        heads = "".join(
            f'<th scope="col"{" class=name" if number < table.num_names else ""}>{escape(column)}</th>'
            for number, column in enumerate(table.columns)
        )
        rows = "".join(
            f"<tr>{''.join(map(name, row[: table.num_names]))}{''.join(map(cell, row[table.num_names :]))}</tr>\n"
            for row in table.rows
        )
        title = escape(table.title)
        parts.append(
            f'<section><h2>{title}</h2>\n<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table>\n'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
            f'<p class="note">{escape(table.note)}</p></section>'
        )
    if notes:
        parts.append(f"<section><h2>Notes</h2>\n<ul>\n{''.join(map(_html_note, notes))}</ul></section>")
    return "\n".join(parts)


def _html_note(note: Note) -> str:
    details = "".join(f"<li>{escape(detail)}</li>" for detail in note.details)
    return f"<li>{escape(note.text)}{f'<ul>{details}</ul>' if details else ''}</li>\n"


def format_comparison_csv(comparison: Comparison) -> str:
    """`comparison.csv`: one row per method and metric, unrounded; what a method does not have is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    differences = {(d.method, d.metric): d for d in comparison.differences}
    for s in comparison.summaries:
        row = [s.method, s.metric, s.mean, s.low, s.high, s.num_seeds, s.deviation, s.num_groups, s.num_pictures]
        row += [s.num_infinite, s.num_missing]
        if d := differences.get((s.method, s.metric)):
            row += [d.baseline, d.mean, d.low, d.high, d.p_value, d.p_holm, d.num_groups, d.num_pictures]
        else:
            row += [None] * 8
        writer.writerow("" if value is None or value != value else value for value in row)
    return buffer.getvalue()
