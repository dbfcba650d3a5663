"""The plots of a study as HTML and inline SVG: strengths, differences, win rates, and strengths against metrics."""

from collections.abc import Sequence

from hggt_data.io.text import escape_html
from hggt_eval.report.forest import ForestRow, draw_key, draw_rows
from hggt_eval.report.tables import format_score, format_signed
from hggt_eval.report.verdict import Direction
from hggt_eval.study.analysis import Analysis, Estimate
from hggt_eval.study.result import percent

_ABOVE: dict[Direction, str] = {
    "better": "above the mean of the methods",
    "worse": "below it",
    "unclear": "the interval includes it",
}
_WIDTH, _HEIGHT, _MARGIN = 340, 230, 14
_LEFT, _BOTTOM = 46, 40
_LONGEST_NAME = 18
# Light enough at their strongest for dark text.
_PREFERRED_RGB, _OTHER_RGB = (86, 180, 233), (240, 160, 90)


def draw_estimates(analysis: Analysis) -> str:
    """Forest plots of strengths and of differences from the baseline, with a legend."""
    ranked = sorted(analysis.methods, key=lambda method: -method.strength.value)
    strengths = draw_rows(
        [_row(method.name, method.strength) for method in ranked], "Strengths", ("← less preferred", "more preferred →")
    )
    figures = [_figure("Strength, log odds", strengths)]
    if len(ranked) > 2:
        differences = sorted(analysis.differences, key=lambda one: -one.strength.value)
        title = f"Difference from {analysis.baseline}"
        rows = [_row(one.method, one.strength) for one in differences]
        figures.append(_figure(f"{title}, log odds", draw_rows(rows, title, ("← less preferred", "more preferred →"))))
    words = _ABOVE if len(ranked) == 2 else {**_ABOVE, "better": "above 0", "worse": "below 0", "unclear": "unclear"}
    return (
        f'<div class="forests">\n{"".join(figures)}</div>\n{draw_key(words)}\n<p class="note">Lines are 95 % '
        "intervals. The zero of strengths is the mean of the methods.</p>"
    )


def _figure(caption: str, svg: str) -> str:
    return f"<figure><figcaption>{escape_html(caption)}</figcaption>{svg}</figure>\n"


def _row(name: str, estimate: Estimate) -> ForestRow:
    low, high = estimate.low, estimate.high
    numbers = format_signed(estimate.value, 2)
    if low != low:
        return ForestRow(name, numbers, estimate.value, None, None, "unclear", "no interval")
    direction: Direction = "better" if low > 0 else "worse" if high < 0 else "unclear"
    interval = f"{numbers} [{format_signed(low, 2)}, {format_signed(high, 2)}]"
    return ForestRow(name, interval, estimate.value, low, high, direction, _ABOVE[direction])


def draw_matrix(analysis: Analysis) -> str:
    """How often the method of each row was preferred to that of each column, as a table with coloured cells."""
    names = [method.name for method in sorted(analysis.methods, key=lambda method: -method.strength.value)]
    heads = "".join(f'<th scope="col">{escape_html(name)}</th>' for name in names)
    rows = []
    for first in names:
        cells = []
        for second in names:
            pair = analysis.pair(first, second)
            if pair is None:
                cells.append("<td></td>")
                continue
            rate = pair.win_rate.value
            strongest = _PREFERRED_RGB if rate > 0.5 else _OTHER_RGB
            colour = ",".join(str(round(255 - (255 - channel) * abs(2 * rate - 1))) for channel in strongest)
            low, high = pair.win_rate.low, pair.win_rate.high
            interval = "" if low != low else f"[{100 * low:.0f}, {100 * high:.0f}] "
            small = f"<small>{interval}n = {pair.votes:,.0f}</small>"
            cells.append(f'<td style="background:rgb({colour})">{percent(rate)}<br>{small}</td>')
        rows.append(f'<tr><th scope="row">{escape_html(first)}</th>{"".join(cells)}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Win rates"><table class="heat"><thead><tr>'
        f'<th scope="col" class="name">preferred</th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def draw_scatter(analysis: Analysis, title: str, scores: dict[str, float]) -> str:
    """The strength of each method against its score by a metric."""
    points = [
        (method.name, scores[method.name], method.strength) for method in analysis.methods if method.name in scores
    ]
    left, right = _ends([score for _, score, _ in points])
    ends = [value for _, _, one in points for value in (one.value, one.low, one.high) if value == value]
    bottom, top = _ends([0.0, *ends])

    def to_x(score: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _MARGIN) * (score - left) / (right - left)

    def to_y(strength: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _MARGIN) * (strength - bottom) / (top - bottom)

    parts = [f'<line class="zero" x1="{_LEFT}" x2="{_WIDTH}" y1="{to_y(0):.1f}" y2="{to_y(0):.1f}"/>']
    for value in (bottom, top):
        parts.append(_text(_LEFT - 6, to_y(value) + 4, format_signed(value, 1), "quiet", "end"))
    words = []
    for name, score, strength in points:
        x, y = to_x(score), to_y(strength.value)
        line = ""
        if strength.low == strength.low:
            y1, y2 = to_y(strength.low), to_y(strength.high)
            line = f'<line class="interval" x1="{x:.1f}" x2="{x:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'
        on_right = x < (_LEFT + _WIDTH) / 2
        shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        text = _text(x + (9 if on_right else -9), y + 4, shown, "strong", "start" if on_right else "end")
        words.append(f"{name}: {format_score(score, 4)}, strength {format_signed(strength.value, 2)}")
        parts.append(
            f"<g><title>{escape_html(words[-1])}</title>"
            f'<g class="better">{line}<circle cx="{x:.1f}" cy="{y:.1f}" r="5"/></g>{text}</g>'
        )
    lowest, highest = min(score for _, score, _ in points), max(score for _, score, _ in points)
    base = _HEIGHT - _BOTTOM + 20
    parts.append(_text(to_x(lowest), base, format_score(lowest, 3), "quiet", "middle"))
    if highest > lowest:
        parts.append(_text(to_x(highest), base, format_score(highest, 3), "quiet", "middle"))
    parts.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 4, f"{title} →", "quiet", "middle"))
    label = escape_html(f"Strength against {title}. {'; '.join(words)}")
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return _figure(f"Strength against {title}", svg)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.12 * (high - low) or 1.0
    return low - margin, high + margin


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape_html(text)}</text>'
