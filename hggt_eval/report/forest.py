"""Forest plots, such as the differences from the baseline: for each row a dot with its interval, and a line at zero.

A plot is inline SVG, 340 units wide, about as many pixels as a phone has beside the margins.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hggt_data.io.text import escape_html
from hggt_eval.metrics import AnyMetric
from hggt_eval.report.tables import decimals_of, format_score, format_signed, heading_of
from hggt_eval.report.verdict import SIGNIFICANT, Direction, direction_of, is_tested, size_of_sets
from hggt_eval.scores.comparison import Comparison
from hggt_eval.scores.summary import Difference

_WIDTH = 340
_MARGIN = 10
_ROW = 44
_LONGEST_NAME = 18
_ROW_LETTERS = 46  # that fit beside each other
_WORDS: dict[Direction, str] = {"better": "better", "worse": "worse", "unclear": "no clear difference"}


def draw_forests(comparison: Comparison, decimals: Mapping[str, int] | None = None) -> str:
    """One plot per metric, with a legend, as HTML; empty without differences."""
    if not comparison.differences:
        return ""
    plots = []
    for metric in comparison.metrics:
        own = [difference for difference in comparison.differences if difference.metric == metric.name]
        svg = _draw(metric, own, decimals_of(metric.name, decimals))
        plots.append(f"<figure><figcaption>{escape_html(heading_of(metric))}</figcaption>{svg}</figure>\n")
    legend = (
        f'{draw_key(_WORDS)}\n<p class="note">Dots are mean differences, lines their 95 % '
        f"intervals by source picture. A difference is clear if p, corrected by Holm, is at most {SIGNIFICANT}; "
        "without p, none is.</p>"
    )
    return f'<div class="forests">\n{"".join(plots)}</div>\n{legend}'


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One row of a forest plot.

    Attributes:
        name: Whose number it is.
        numbers: The number and its interval as text.
        value: Where the dot is; None for no dot.
        low: Lower end of the interval; None without one.
        high: Upper end.
        direction: Colour of the row.
        words: What the colour says.
    """

    name: str
    numbers: str
    value: float | None
    low: float | None
    high: float | None
    direction: Direction
    words: str


def _draw(metric: AnyMetric, differences: Sequence[Difference], decimals: int) -> str:
    rows = []
    for difference in differences:
        direction = direction_of(difference, metric)
        numbers = format_signed(difference.mean, decimals)
        if difference.low is not None and difference.high is not None:
            interval = (format_signed(difference.low, decimals), format_signed(difference.high, decimals))
            numbers += f" [{interval[0]}, {interval[1]}]"
        numbers += size_of_sets(difference, metric)
        words = _WORDS[direction] if is_tested(difference) else "not tested"
        value = difference.mean if difference.num_groups else None
        rows.append(ForestRow(difference.method, numbers, value, difference.low, difference.high, direction, words))
    ends = ("← worse", "better →") if metric.higher_is_better else ("← better", "worse →")
    return draw_rows(rows, f"{metric.title}, difference from {differences[0].baseline}", ends, 10.0**-decimals)


def draw_rows(rows: Sequence[ForestRow], label: str, ends: tuple[str, str], margin: float = 0.01) -> str:
    """A plot as SVG: a dot with its interval for each row, and a line at zero.

    Args:
        rows: From top to bottom.
        label: What is shown, for screen readers; the rows follow.
        ends: What the left and right end of the axis mean.
        margin: Half the width of the axis if all values are 0.
    """
    low, high = _range(rows, margin)

    def to_x(value: float) -> float:
        return _MARGIN + (_WIDTH - 2 * _MARGIN) * (value - low) / (high - low)

    bottom = _ROW * len(rows)
    parts, words = [], []
    step, digits = _step(high - low)
    for k in range(math.ceil(low / step), math.floor(high / step) + 1):
        x = to_x(k * step)
        # Below the text of each row, so that no line crosses it.
        parts += [_line(x, y + 19, x, y + 39, "zero" if k == 0 else "grid") for y in range(0, bottom, _ROW)]
        if _MARGIN + 12 < x < _WIDTH - _MARGIN - 12:
            parts.append(_text(x, bottom + 16, format_score(k * step, digits), "quiet", "middle"))
    for number, row in enumerate(rows):
        words.append(f"{row.name}: {row.numbers}, {row.words}")
        top = _ROW * number
        drawn = [
            _text(0, top + 14, _shorten(row.name, row.numbers), "strong"),
            _text(_WIDTH, top + 14, row.numbers, "plain", "end"),
        ]
        if row.value is not None:
            drawn.append(_mark(row, row.value, to_x, top + 29))
        parts.append(f"<g><title>{escape_html(words[-1])}</title>{''.join(drawn)}</g>")
    parts += [_text(0, bottom + 34, ends[0], "quiet"), _text(_WIDTH, bottom + 34, ends[1], "quiet", "end")]
    title = escape_html(f"{label}. {'; '.join(words)}")
    return f'<svg viewBox="0 0 {_WIDTH} {bottom + 40}" role="img" aria-label="{title}">{"".join(parts)}</svg>'


def _range(rows: Iterable[ForestRow], margin: float) -> tuple[float, float]:
    """Everything that is drawn, and zero, with a margin."""
    values = [0.0]
    for row in rows:
        if row.value is not None:
            values += [value for value in (row.value, row.low, row.high) if value is not None]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or margin
    return low - margin, high + margin


def _step(width: float) -> tuple[float, int]:
    """The distance of ticks, about five of them, and its decimals."""
    power = 10.0 ** math.floor(math.log10(width / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= width / 5)
    return step, max(0, -math.floor(math.log10(step) + 1e-9))


def _mark(row: ForestRow, value: float, to_x: Callable[[float], float], y: float) -> str:
    parts = []
    if row.low is not None and row.high is not None:
        left, right = to_x(row.low), to_x(row.high)
        parts.append(_line(left, y, right, y, "interval"))
        parts += [_line(x, y - 4, x, y + 4, "interval") for x in (left, right)]
    parts.append(f'<circle cx="{to_x(value):.1f}" cy="{y:g}" r="5"/>')
    return f'<g class="{row.direction}">{"".join(parts)}</g>'


def draw_key(words: Mapping[Direction, str]) -> str:
    """What the colours mean, as HTML."""
    marks = (f"<span>{_swatch(direction)} {word}</span>" for direction, word in words.items())
    return f'<p class="note keys">{" ".join(marks)}</p>'


def _swatch(direction: Direction) -> str:
    mark = f'<g class="{direction}">{_line(0, 7, 22, 7, "interval")}<circle cx="11" cy="7" r="5"/></g>'
    return f'<svg class="swatch" viewBox="0 0 22 14" aria-hidden="true">{mark}</svg>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:g}" x2="{x2:.1f}" y2="{y2:g}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:g}" text-anchor="{anchor}">{escape_html(text)}</text>'


def _shorten(name: str, beside: str) -> str:
    """The name, cut off so that it fits beside this text."""
    longest = max(4, min(_LONGEST_NAME, _ROW_LETTERS - len(beside)))
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
