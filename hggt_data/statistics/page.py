"""Label statistics as one self-contained HTML page: inline SVG and CSS, no scripts, no requests."""

import math
from collections.abc import Iterable, Sequence

from hggt_data.io.text import escape_html
from hggt_data.palette import PALETTE, TEXT_ON_MARK
from hggt_data.schema import Label
from hggt_data.statistics.agreement import vote_of
from hggt_data.statistics.counts import LabelCounts, LabelStatistics, RaterAgreement, SecondsSummary
from hggt_data.statistics.numbers import ratio
from hggt_data.statistics.pair_votes import PairStatistics
from hggt_data.statistics.text import (
    COEFFICIENTS_NOTE,
    CONFUSION_NOTE,
    FULL_ZOOM_TITLE,
    SECONDS_NOTE,
    STRENGTHS_TITLE,
    TextTable,
    choices_table,
    coefficients_table,
    decimal,
    facts_of_groups,
    full_zoom_table,
    inferred_note,
    label_table,
    level_name,
    note_of_numbers,
    overview,
    pair_facts,
    pair_note,
    pairs_table,
    percent,
    rater_note,
    right_votes_table,
    scores_table,
    seconds,
    seconds_table,
    strengths_table,
    title_of,
)

# Drawings are 340 units wide, about as many pixels as a card on a phone, so that 13 units of text are 13 px.
_WIDTH = 340
_LINE = 20
_LONGEST_NAME = 16
_BAR = "#56798f"
# Light enough at its strongest for dark text.
_HEAT_RGB = (86, 180, 233)

_CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f3f5f7; color: #1c2530; font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 82rem; margin: 0 auto; padding: 1.5rem 0.75rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 0.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; line-height: 1.3; margin: 0 0 0.6rem; }
h3 { font-size: 1rem; margin: 0.9rem 0 0.4rem; overflow-wrap: anywhere; }
p { margin: 0 0 0.6rem; max-width: 46rem; }
.note { color: #4a5663; font-size: 0.875rem; margin: 0.6rem 0 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.75rem; margin: 1rem 0; }
.tile, .card { background: #fff; border: 1px solid #dde2e8; border-radius: 10px; }
.tile { padding: 0.7rem 0.85rem; font-size: 0.875rem; color: #4a5663; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.25; color: #1c2530; }
.cards { columns: 24rem; column-gap: 1rem; }
.cards + .card { margin-top: 1rem; }
.card { padding: 0.85rem; margin: 0 0 1rem; break-inside: avoid; }
.heats { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 0 1.5rem; }
svg { display: block; width: 100%; max-width: 30rem; height: auto; }
svg text { font-size: 13px; fill: #1c2530; }
svg .quiet { fill: #4a5663; }
svg .strong { font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; margin: 0 0 0.5rem; font-size: 0.875rem; }
.legend i { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px; margin-right: 0.4em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.25rem; text-align: right; border-bottom: 1px solid #e6eaee; vertical-align: bottom; }
th { font-weight: 600; }
.name { text-align: left; }
.heat th, .heat td { vertical-align: middle; }
.heat td, .heat th + th { border: 2px solid #fff; text-align: center; min-width: 3.6rem; }
.heat td small { display: block; font-size: 0.75rem; }
details { margin-top: 0.6rem; font-size: 0.875rem; }
details table { font-size: 0.8125rem; }
.note + .scroll { margin-top: 0.6rem; }
summary { cursor: pointer; padding: 0.25rem 0; }
"""


def format_statistics_html(stats: LabelStatistics, title: str) -> str:
    """The statistics as one self-contained HTML page with plots, for screens from phone to desktop."""
    cards = _label_cards(stats) if stats.slots else []
    for pairs in stats.pairs:
        cards.append(_card(title_of(pairs), _html_table(pair_facts(pairs))))
        table = _html_table(strengths_table(pairs))
        cards.append(_card(STRENGTHS_TITLE, _draw_strengths(pairs), table, _note(pair_note(pairs))))
    cards += [
        *(_card(title_of(one), _html_table(choices_table(one)), _note(note_of_numbers(one))) for one in stats.choices),
        *(_card(title_of(one), _html_table(scores_table(one)), _note(note_of_numbers(one))) for one in stats.scores),
    ]
    if stats.dawid_skene is not None:
        table = _html_table(right_votes_table(stats.dawid_skene))
        cards.append(_card("Dawid-Skene model", table, _note(inferred_note(stats.dawid_skene))))
    heats = [_confusion_card(stats.by_slot, "slot")] if stats.slots else []
    if stats.by_annotator is not None:
        heats.append(_confusion_card(stats.by_annotator, "annotator"))
    name = escape_html(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{name}</title>
<style>{_CSS}</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p>{escape_html(overview(stats))}. A picture is one candidate of one group.</p>
{f"<p>{escape_html(stats.protocol.describe())}</p>" if stats.protocol.describe() else ""}
{f"<p>{escape_html(rater_note(stats))}</p>" if stats.slots else ""}
{_tiles(stats)}
<div class="cards">
{"".join(cards)}</div>
{"".join(heats)}</main>
</body>
</html>
"""


def _label_cards(stats: LabelStatistics) -> list[str]:
    cards = [
        _card("Labels per candidate", _legend(), _draw_label_shares(stats), _label_details(stats)),
        _card("Agreement on a picture", _draw_levels(stats)),
        _card("Agreement beyond chance", _html_table(coefficients_table(stats)), _note(COEFFICIENTS_NOTE)),
        _pairs_card(stats.by_slot, "slot"),
    ]
    if stats.by_annotator is not None:
        cards.append(_pairs_card(stats.by_annotator, "annotator"))
    cards += [
        _card("Groups", _draw_groups(stats), _html_table(facts_of_groups(stats))),
        _card("Seconds per group", _draw_seconds(stats), _html_table(seconds_table(stats)), _note(SECONDS_NOTE)),
    ]
    if stats.full_zoom:
        cards.append(_card(FULL_ZOOM_TITLE, _html_table(full_zoom_table(stats))))
    return cards


def _tiles(stats: LabelStatistics) -> str:
    figures = {"patch groups": f"{stats.num_groups:,}"}
    if stats.slots:
        figures |= {
            "votes": f"{sum(counts.given for counts in stats.votes):,}",
            "of groups have a positive": percent(ratio(stats.num_with_positive, stats.num_groups)),
            "of groups are all similar": percent(ratio(stats.num_all_similar, stats.num_groups)),
            "ordinal alpha": decimal(stats.alpha_ordinal),
        }
    if stats.pairs:
        figures["votes on pairs"] = f"{sum(pairs.num_votes for pairs in stats.pairs):,}"
    tiles = "".join(f'<div class="tile"><b>{value}</b>{name}</div>' for name, value in figures.items())
    return f'<div class="tiles">{tiles}</div>'


def _card(title: str, *parts: str) -> str:
    return f'<section class="card"><h2>{escape_html(title)}</h2>{"".join(parts)}</section>\n'


def _note(text: str) -> str:
    return f'<p class="note">{escape_html(text)}</p>' if text else ""


def _legend() -> str:
    entries = (f'<span><i style="background:{PALETTE[label].mark}"></i>{label.class_name}</span>' for label in Label)
    return f'<div class="legend">{"".join(entries)}</div>'


def _html_table(table: TextTable) -> str:
    def line(tag: str, cells: tuple[str, ...]) -> str:
        names = [' class="name"' if k < table.num_names else "" for k in range(len(cells))]
        shown = (f"<{tag}{name}>{escape_html(cell)}</{tag}>" for name, cell in zip(names, cells, strict=True))
        return f"<tr>{''.join(shown)}</tr>"

    body = "".join(line("td", row) for row in table.rows)
    return f'<div class="scroll"><table><thead>{line("th", table.header)}</thead><tbody>{body}</tbody></table></div>'


def _label_details(stats: LabelStatistics) -> str:
    header = ("", "none")  # short, so that six columns fit on a phone
    votes = _html_table(label_table(stats, stats.votes, header))
    consensus = _html_table(label_table(stats, stats.consensus, header))
    return f"<details><summary>Show numbers</summary><h3>All votes</h3>{votes}<h3>Consensus</h3>{consensus}</details>"


def _pairs_card(agreement: RaterAgreement, kind: str) -> str:
    table, note = pairs_table(agreement)
    return _card(f"How often two {kind}s give the same label", _html_table(table), _note(note))


def _confusion_card(agreement: RaterAgreement, kind: str) -> str:
    heats = "".join(
        f"<div><h3>{escape_html(kind.capitalize())} {escape_html(rater)}</h3>{_heat_table(matrix)}</div>"
        for rater, matrix in zip(agreement.raters, agreement.confusion, strict=True)
    )
    guide = "Each row: the labels given to pictures with that consensus. Darker cells have a larger share of the row."
    return _card(
        f"Labels of each {kind}, by consensus", _note(f"{guide} {CONFUSION_NOTE}"), f'<div class="heats">{heats}</div>'
    )


def _heat_table(matrix: tuple[tuple[int, ...], ...]) -> str:
    header = "".join(f"<th>labelled {label.class_name}</th>" for label in Label)
    rows = []
    for consensus in Label:
        row = matrix[vote_of(consensus)]
        cells = "".join(_heat_cell(row[vote_of(label)], sum(row)) for label in Label)
        rows.append(f'<tr><th class="name">{consensus.class_name}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table class="heat"><thead><tr><th class="name">consensus</th>{header}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heat_cell(count: int, total: int) -> str:
    share = count / total if total else 0.0
    colour = ",".join(str(round(255 - (255 - channel) * share)) for channel in _HEAT_RGB)
    return f'<td style="background:rgb({colour})">{percent(ratio(count, total))}<small>{count:,}</small></td>'


def _draw_label_shares(stats: LabelStatistics) -> str:
    """Two stacked bars per candidate: all votes and consensus."""
    parts, y = [], 0
    for name, votes, consensus in zip(stats.candidates, stats.votes, stats.consensus, strict=True):
        parts.append(_text(0, y + 14, f"Candidate {_shorten(name)}", "strong"))
        for kind, counts in (("votes", votes), ("consensus", consensus)):
            y += _LINE + 2
            parts.append(_text(0, y + 14, kind, "quiet"))
            parts.append(_stacked_bar(76, y, _WIDTH - 76, counts))
        y += _LINE + 14
    return _svg(y, "Share of each label per candidate, by all votes and by consensus", parts)


def _stacked_bar(x: float, y: float, width: float, counts: LabelCounts) -> str:
    if not counts.given:
        return _text(x, y + 14, "none", "quiet")
    parts = []
    for label in Label:
        part = width * counts.share(label)
        hint = f"{label.class_name}: {counts.count(label):,} of {counts.given:,}"
        parts.append(_bar(x, y, max(part - 1, 0), PALETTE[label].mark, hint))  # a gap of one unit between the colours
        if part >= 30:
            colour = f' style="fill:{TEXT_ON_MARK}"'
            parts.append(_text(x + part / 2, y + 14, f"{counts.share(label):.0%}", anchor="middle", extra=colour))
        x += part
    return "".join(parts)


def _draw_groups(stats: LabelStatistics) -> str:
    """Bars: the number of groups with 0, 1, ... positive, and negative, candidates."""
    parts: list[str] = []
    y = 0.0
    kinds = ((Label.POSITIVE, stats.groups_by_positives), (Label.NEGATIVE, stats.groups_by_negatives))
    for label, numbers in kinds:
        parts.append(_text(0, y + 14, f"Groups by number of {label.class_name} candidates", "strong"))
        rows = [(str(k), number) for k, number in enumerate(numbers)]
        bars, y = _count_bars(y + _LINE + 2, rows, PALETTE[label].mark, name_width=24)
        parts.append(bars)
        y += 10
    return _svg(y, "Groups by number of positive and of negative candidates", parts)


def _draw_strengths(pairs: PairStatistics) -> str:
    """One bar per version from 0, the mean, to its strength."""
    known = [version for version in pairs.versions if not math.isnan(version.strength)]
    if not known:
        return _note("No votes by people.")
    middle, room = _WIDTH / 2, _WIDTH / 2 - 40
    scale = room / max(max(abs(version.strength) for version in known), 1e-9)
    parts, y = [], 0
    for version in sorted(known, key=lambda version: -version.strength):
        length = abs(version.strength) * scale
        parts.append(_text(0, y + 14, _shorten(version.name), "quiet"))
        y += _LINE
        left = middle if version.strength > 0 else middle - length
        hint = f"{version.name}: {version.strength:+.2f}"
        parts.append(_bar(left, y, length, _BAR, hint))
        end, anchor = (middle + length + 4, "start") if version.strength > 0 else (middle - length - 4, "end")
        parts.append(_text(end, y + 14, f"{version.strength:+.2f}", anchor=anchor))
        y += _LINE + 4
    parts.append(_line(middle, 0, middle, y, "#4a5663"))
    return _svg(y, "Strength of each version in log odds", parts)


def _draw_levels(stats: LabelStatistics) -> str:
    rows = [(level_name(level), number) for level, number in stats.agreement_levels]
    bars, y = _count_bars(_LINE + 2, rows, _BAR, name_width=156)
    title = _text(0, 14, "Pictures by votes for the consensus label", "strong")
    return _svg(y, "Pictures by number of votes for the consensus label", [title, bars])


def _count_bars(y: float, rows: Sequence[tuple[str, int]], colour: str, name_width: float) -> tuple[str, float]:
    """Horizontal bars with name, number and share; returns the drawing and the y below it."""
    whole = sum(number for _, number in rows)
    longest = max((number for _, number in rows), default=0)
    room = _WIDTH - name_width - 112  # space for the number and its share
    parts = []
    for name, number in rows:
        width = room * number / longest if longest else 0.0
        parts.append(_text(0, y + 14, name, "quiet"))
        parts.append(_bar(name_width, y, width, colour, f"{name}: {number:,}"))
        parts.append(_text(name_width + width + 6, y + 14, f"{number:,} ({percent(ratio(number, whole))})"))
        y += _LINE + 2
    return "".join(parts), y


def _draw_seconds(stats: LabelStatistics) -> str:
    """A box plot per slot: quartiles, median, mean, and whiskers at the 5th and 95th percentile."""
    known = [(slot, times) for slot, times in zip(stats.slots, stats.seconds, strict=True) if times.num_groups]
    if not known:
        return _note("No times were recorded.")
    longest = max(times.highest_5_percent for _, times in known) or 1.0
    left, room = 4, _WIDTH - 28
    step = _tick_step(longest)
    ticks = [k * step for k in range(math.floor(longest / step) + 1)]
    bottom = len(known) * 48
    parts = [_line(left + room * t / longest, 0, left + room * t / longest, bottom, "#e1e6eb") for t in ticks]
    for k, (slot, times) in enumerate(known):
        parts.append(_text(0, 48 * k + 14, f"{_shorten(slot)}: median {seconds(times.median)} s", "strong"))
        parts.append(_box(left, 48 * k + 20, room / longest, times))
    parts += [_text(left + room * t / longest, bottom + 16, f"{t:g}", "quiet", "middle") for t in ticks[1:]]
    parts.append(_text(0, bottom + 16, "0 s", "quiet"))
    guide = "Box: 25th to 75th percentile. Line: median. Diamond: mean. Whiskers: 5th and 95th percentile."
    return _svg(bottom + 24, "Seconds per group for each slot", parts) + _note(guide)


def _box(left: float, y: float, scale: float, times: SecondsSummary) -> str:
    low, lower, median, upper, high, mean = (
        left + scale * value
        for value in (
            times.lowest_5_percent,
            times.lower_quartile,
            times.median,
            times.upper_quartile,
            times.highest_5_percent,
            times.mean,
        )
    )
    middle = y + 9
    hint = f"25th to 75th percentile: {seconds(times.lower_quartile)} to {seconds(times.upper_quartile)} s"
    parts = [
        _line(low, middle, high, middle, "#4a5663"),
        _line(low, y + 4, low, y + 14, "#4a5663"),
        _line(high, y + 4, high, y + 14, "#4a5663"),
        _bar(lower, y, max(upper - lower, 1), "#a9c3d3", hint),
        _line(median, y, median, y + 18, "#1c2530", width=2.5),
    ]
    if mean <= _WIDTH - 8:  # a few forgotten clocks can move the mean off the axis; the table shows it
        diamond = f"{mean:.1f},{y + 4} {mean + 5:.1f},{middle} {mean:.1f},{y + 14} {mean - 5:.1f},{middle}"
        parts.append(f'<polygon points="{diamond}" fill="#fff" stroke="#1c2530"/>')
    return "".join(parts)


def _tick_step(longest: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, ... that gives at most six ticks."""
    power = 10.0 ** math.floor(math.log10(longest / 6))
    return next(power * factor for factor in (1, 2, 5, 10, 20) if longest / (power * factor) <= 6)


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _svg(height: float, label: str, parts: Iterable[str]) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{escape_html(label)}">{body}</svg>'


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start", extra: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}{extra}>{escape_html(text)}</text>'


def _bar(x: float, y: float, width: float, colour: str, hint: str) -> str:
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_LINE - 2}"'
    return f'<rect {shape} fill="{colour}"><title>{escape_html(hint)}</title></rect>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"/>'
