"""What `hggt-eval agree` finds, prints and writes: tables, `agree.json`, and a page without scripts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hggt_data.io.files import write_json, write_text
from hggt_data.io.text import escape_html, join_lines
from hggt_data.licence import describe_license
from hggt_data.restored.methods import AGREEMENT_FILE, PAGE_FILE, SCORES_FILE
from hggt_data.statistics.numbers import json_number
from hggt_eval.agreement.means import Accuracy
from hggt_eval.agreement.ranking import Ranking, Row
from hggt_eval.agreement.tables import By, agreement_tables, describe
from hggt_eval.report.files import require_no_other_results
from hggt_eval.report.formats import format_html, format_markdown, format_notebook, format_text, list_lines
from hggt_eval.report.latex import format_latex
from hggt_eval.report.notes import Note
from hggt_eval.report.style import read_style
from hggt_eval.report.tables import Table


@dataclass(frozen=True, slots=True)
class Agreement:
    """How metrics agree with people, from `agree`; a notebook shows it as tables.

    Attributes:
        rankings: Pairs that people judged, pairs inferred from labels, and pairs by opinion scores; votes under
            different questions apart, and apart without and with the original.
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

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        by: By = self.settings["by"]
        return agreement_tables(self.rankings, self.trained, by)

    def table(self) -> str:
        """All tables and notes as `hggt-eval agree` prints them."""
        lines = []
        for table in self.tables:
            lines += [f"{table.title}:", format_text(table), ""]
        return join_lines([*lines[:-1], *list_lines([Note(text) for text in self.notes])])

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary for each metric of each table, with the keys of `agree.json`."""
        return [
            {
                "evidence": ranking.evidence,
                "question": ranking.question,
                "original": ranking.original,
                **_row_json(row, self.trained, self.settings["by"]),
            }
            for ranking in self.rankings
            for row in ranking.rows
        ]

    def _repr_html_(self) -> str:
        return format_notebook(self.tables, [Note(text) for text in self.notes])


def require_own_folder(output: Path) -> None:
    """Check that the folder has no results of `hggt-eval score` or of another program that would be overwritten."""
    require_no_other_results(output, AGREEMENT_FILE, ("table.md", "table.tex", PAGE_FILE), (SCORES_FILE,))


def write_agreement(agreement: Agreement, output: Path, *, plain: bool) -> None:
    """Write `agree.json`, `table.md`, `table.tex` (for LaTeX without packages if `plain`) and `report.html`."""
    tables, notes = agreement.tables, [Note(text) for text in agreement.notes]
    write_json(output / AGREEMENT_FILE, agreement_json(agreement))
    write_text(output / "table.md", format_markdown(tables, notes))
    write_text(output / "table.tex", format_latex(tables, notes, plain=plain))
    write_text(output / PAGE_FILE, format_agreement_html(agreement))


def format_agreement_html(agreement: Agreement) -> str:
    """The page: a sentence with the result, then all tables."""
    verdicts = "".join(f"<p>{escape_html(describe(ranking))}</p>" for ranking in agreement.rankings)
    tables = format_html(agreement.tables, [Note(text) for text in agreement.notes])
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


def agreement_json(agreement: Agreement) -> dict[str, Any]:
    """The content of `agree.json`, unrounded; null for what is undefined or unknown."""
    return {
        "metrics": agreement.rows(),
        "data_sha256": agreement.data_sha256,
        "settings": agreement.settings,
        "notes": list(agreement.notes),
        "license": agreement.license,
    }


def _row_json(row: Row, trained: tuple[str, ...], by: By) -> dict[str, Any]:
    pooled, correlation = row.pooled, row.correlation
    return {
        "name": row.name,
        **_accuracy_json(row.accuracy),
        "spearman": json_number(correlation.spearman),
        "spearman_interval": correlation.spearman_interval,
        "kendall": json_number(correlation.kendall),
        "kendall_interval": correlation.kendall_interval,
        "direction": row.direction,
        "ties": row.ties,
        "equal": row.equal,
        "by_kind": {kind: _accuracy_json(accuracy) for kind, accuracy in row.by_kind.items()},
        **({"by_family": {name: _accuracy_json(own) for name, own in row.by_family.items()}} if by == "family" else {}),
        "ceiling": json_number(row.ceiling),
        "groups": correlation.groups,
        "left_out": correlation.left_out,
        "pooled_spearman": None if pooled is None else json_number(pooled.spearman),
        "pooled_kendall": None if pooled is None else json_number(pooled.kendall),
        "pooled_pearson": None if pooled is None else json_number(pooled.pearson),
        "with_ties": None if row.calibrated is None else _accuracy_json(row.calibrated),
        "p_chance": row.p_chance,
        "p_chance_holm": row.p_chance_holm,
        "minus_best": None if row.difference is None else _accuracy_json(row.difference),
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
        "effective_pictures": accuracy.effective_pictures,
    }
