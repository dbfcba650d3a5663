"""What `hggt-eval agree` prints and writes: tables, `agree.json`, and a page without scripts."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hggt_data.errors import OutputError
from hggt_data.io.files import write_json, write_text
from hggt_data.io.text import escape_html, join_lines
from hggt_data.licence import describe_license
from hggt_data.restored.methods import PAGE_FILE, SCORES_FILE
from hggt_data.statistics.numbers import json_number
from hggt_eval.agreement.ranking import Accuracy, Ranking, Row
from hggt_eval.report.formats import format_html, format_markdown, format_text, list_lines
from hggt_eval.report.latex import format_latex
from hggt_eval.report.notes import Note
from hggt_eval.report.style import read_style
from hggt_eval.report.tables import Cell, Table, format_score

AGREEMENT_FILE = "agree.json"
_ARROWS = {"higher": " ↑", "lower": " ↓"}
_NAMES = {"judged": "Pairs that people judged", "inferred": "Pairs inferred from labels"}
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


@dataclass(frozen=True, slots=True)
class Agreement:
    """How metrics agree with people, from `agree`.

    Attributes:
        rankings: Pairs that people judged, then pairs inferred from labels; votes under different questions apart.
        data_sha256: Hash over all votes.
        settings: What the scores depend on, for the JSON file.
        notes: What was left out or merged, a sentence each.
        trained: Metrics that were trained on these data.
        license: Licence id of the data.
    """

    rankings: tuple[Ranking, ...]
    data_sha256: str
    settings: dict[str, Any]
    notes: tuple[str, ...]
    trained: tuple[str, ...]
    license: str


def require_no_scores(output: Path) -> None:
    """Check that the folder does not hold the files of `hggt-eval score`, some of which have the same names."""
    if (output / SCORES_FILE).exists():
        raise OutputError(f"{output} contains scores of restored images; choose another `output`")


def write_agreement(agreement: Agreement, output: Path) -> None:
    """Write `agree.json`, `table.md`, `table.tex` and `report.html`."""
    tables, notes = agreement_tables(agreement), [Note(text) for text in agreement.notes]
    write_json(output / AGREEMENT_FILE, agreement_json(agreement))
    write_text(output / "table.md", format_markdown(tables, notes))
    write_text(output / "table.tex", format_latex(tables, notes))
    write_text(output / PAGE_FILE, format_agreement_html(agreement))


def format_agreement(agreement: Agreement) -> str:
    """Tables and notes for the terminal."""
    lines = []
    for table in agreement_tables(agreement):
        lines += [f"{table.title}:", format_text(table), ""]
    return join_lines([*lines[:-1], *list_lines([Note(text) for text in agreement.notes])])


def format_agreement_html(agreement: Agreement) -> str:
    """The page: a sentence with the result, then all tables."""
    verdicts = "".join(f"<p>{escape_html(describe(ranking))}</p>" for ranking in agreement.rankings)
    tables = format_html(agreement_tables(agreement), [Note(text) for text in agreement.notes])
    facts = [("Data", str(agreement.settings["source"])), ("Licence", describe_license(agreement.license))]
    facts += [("Votes", agreement.data_sha256[:16])]
    terms = "".join(f"<dt>{escape_html(name)}</dt><dd>{escape_html(value)}</dd>" for name, value in facts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Agreement of metrics with people</title>
<style>
{read_style()}</style>
</head>
<body>
<main>
<h1>Agreement of metrics with people</h1>
<section>{verdicts}</section>
{tables}
<dl id="facts">{terms}</dl>
</main>
</body>
</html>
"""


def describe(ranking: Ranking) -> str:
    """The result in one sentence."""
    title = _title(ranking)
    if not ranking.metrics:
        return (
            f"{title}: no metric answers. Each of these pairs contains the original, which full-reference metrics "
            "compare with."
        )
    best = ranking.metrics[0]
    accuracy = best.accuracy
    low, high = accuracy.low, accuracy.high
    interval = "" if low is None or high is None else f" (95 % interval {_percent(low)} to {_percent(high)})"
    ceiling = "" if math.isnan(best.ceiling) else f"; a person reaches {_percent(best.ceiling)}"
    rivals = [row.name for row in ranking.metrics[1:] if row.p_holm is None or row.p_holm > 0.05]
    unsure = f" It does not differ significantly from {', '.join(rivals)}." if rivals else ""
    share = f"{_percent(accuracy.value)} of {accuracy.pairs:,} pairs{interval}"
    return f"{title}: {best.name} agrees with people on {share}, chance on 50 %{ceiling}.{unsure}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _title(ranking: Ranking) -> str:
    question = "" if ranking.question is None else f" ({ranking.question})"
    return f"{_NAMES[ranking.evidence]}{question}"


def agreement_tables(agreement: Agreement) -> list[Table]:
    """For each ranking a table of metrics, and one by kind if there are several kinds."""
    return [
        table
        for ranking in agreement.rankings
        for table in (_main_table(ranking, agreement.trained), *_kinds_table(ranking, agreement.trained))
    ]


def _main_table(ranking: Ranking, trained: tuple[str, ...]) -> Table:
    tests = ("p (chance)", "minus best", "p (best)")
    correlations = ("Spearman", "Kendall", "contents", "left out")
    is_calibrated = any(row.calibrated for row in ranking.rows)
    extra = ("with ties",) if is_calibrated else ()
    columns = ("metric", "accuracy", "pairs", "human ties", *extra, *tests, *correlations, "ceiling")
    smallest = 2 ** (1 - ranking.pictures)
    coarse = f", so p cannot be below {smallest:.4f} before the correction" if smallest > _COARSE_P else ""
    rows = tuple((_name(row, trained), *_cells(row, is_calibrated)) for row in ranking.rows)
    note = f"{_NOTE}{_TIES_NOTE if is_calibrated else ''} Source pictures: {ranking.pictures}{coarse}."
    if ranking.pictures < _FEW_PICTURES:
        note += f" With fewer than {_FEW_PICTURES}, intervals are often too narrow."
    return Table(_title(ranking), columns, rows, note)


def _name(row: Row, trained: tuple[str, ...]) -> Cell:
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
    yield Cell(_share(row.correlation.spearman))
    yield Cell(_share(row.correlation.kendall))
    yield Cell(f"{row.correlation.groups}" if is_metric else "-")
    yield Cell(f"{row.correlation.left_out}" if is_metric else "-")
    yield Cell(_share(row.ceiling))


def _kinds_table(ranking: Ranking, trained: tuple[str, ...]) -> Iterator[Table]:
    kinds = sorted({kind for row in ranking.rows for kind in row.by_kind})
    if len(kinds) > 1:
        rows = tuple(
            (
                _name(row, trained),
                *(_accuracy_cell(row.by_kind[kind]) if kind in row.by_kind else Cell("-") for kind in kinds),
            )
            for row in ranking.rows
        )
        note = "Accuracy on the pairs of each kind; a metric that compares with the original answers none with it."
        yield Table(f"{_title(ranking)}, by kind", ("metric", *kinds), rows, note)


def _accuracy_cell(accuracy: Accuracy) -> Cell:
    low, high = accuracy.low, accuracy.high
    return Cell(_share(accuracy.value), below="" if low is None else f"[{_share(low)}, {_share(high)}]")


def _p_cell(value: float | None) -> Cell:
    return Cell("-" if value is None else f"{value:.4f}")


def _share(value: float | None) -> str:
    return "-" if value is None else format_score(value, 3)


def agreement_json(agreement: Agreement) -> dict[str, Any]:
    """The content of `agree.json`, unrounded; null for what is undefined or unknown."""
    return {
        "metrics": [
            {"evidence": ranking.evidence, "question": ranking.question, **_row_json(row, agreement.trained)}
            for ranking in agreement.rankings
            for row in ranking.rows
        ],
        "data_sha256": agreement.data_sha256,
        "settings": agreement.settings,
        "notes": list(agreement.notes),
        "license": agreement.license,
    }


def _row_json(row: Row, trained: tuple[str, ...]) -> dict[str, Any]:
    difference = row.difference
    return {
        "name": row.name,
        **_accuracy_json(row.accuracy),
        "spearman": json_number(row.correlation.spearman),
        "kendall": json_number(row.correlation.kendall),
        "direction": row.direction,
        "ties": row.ties,
        "equal": row.equal,
        "by_kind": {kind: _accuracy_json(accuracy) for kind, accuracy in row.by_kind.items()},
        "ceiling": json_number(row.ceiling),
        "groups": row.correlation.groups,
        "left_out": row.correlation.left_out,
        "with_ties": None if row.calibrated is None else _accuracy_json(row.calibrated),
        "p_chance": row.p_chance,
        "p_chance_holm": row.p_chance_holm,
        "minus_best": None if difference is None else _accuracy_json(difference),
        "p_best": row.p,
        "p_best_holm": row.p_holm,
        "trained": row.name in trained,
    }


def _accuracy_json(accuracy: Accuracy) -> dict[str, Any]:
    return {
        "accuracy": json_number(accuracy.value),
        "low": accuracy.low,
        "high": accuracy.high,
        "pairs": accuracy.pairs,
        "pictures": accuracy.pictures,
    }
