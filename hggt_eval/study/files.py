"""What `hggt-eval study` writes: `study.json`, CSV files, tables, the sentence for a paper, and a page."""

import io
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hggt_data.io.files import csv_writer, write_json, write_text
from hggt_data.restored.methods import AGREEMENT_FILE, PAGE_FILE, SCORES_FILE
from hggt_data.statistics.numbers import json_number
from hggt_eval.report.files import require_no_other_results
from hggt_eval.report.formats import format_markdown
from hggt_eval.report.latex import format_latex
from hggt_eval.report.notes import Note
from hggt_eval.study.analysis import Analysis, Estimate
from hggt_eval.study.page import format_study_html
from hggt_eval.study.result import QuestionResult, StudyResult, list_warnings
from hggt_eval.study.sentences import format_latex_sentences, list_sentences
from hggt_eval.study.tables import study_tables

STUDY_FILE = "study.json"
_FILES = ("study.csv", "pairs.csv", "table.md", "table.tex", "sentence.tex", PAGE_FILE)


def require_own_folder(output: Path) -> None:
    """Check that the folder has no results of another command or program that would be overwritten."""
    require_no_other_results(output, STUDY_FILE, _FILES, (SCORES_FILE, AGREEMENT_FILE))


def write_study(result: StudyResult, output: Path) -> None:
    """Write all files; `study.json` first, which marks the folder as ours."""
    tables, notes = study_tables(result), [Note(text) for text in result.notes]
    write_json(output / STUDY_FILE, study_json(result))
    write_text(output / "study.csv", format_methods_csv(result))
    write_text(output / "pairs.csv", format_pairs_csv(result))
    write_text(output / "table.md", format_markdown(tables, notes))
    write_text(output / "table.tex", format_latex(tables, notes))
    write_text(output / "sentence.tex", format_latex_sentences(result))
    write_text(output / PAGE_FILE, format_study_html(result))


def study_json(result: StudyResult) -> dict[str, Any]:
    """The content of `study.json`: the results of the first question, and those of others in `other_questions`."""
    first, *others = result.questions
    return {
        **_question_json(result, first),
        "other_questions": [_question_json(result, question) for question in others],
        "source": result.source,
        "license": result.license,
        "complete": result.complete,
        "caveat": result.caveat or None,
        "plan": None if result.plan is None else asdict(result.plan),
        "scores": {title: means for title, (_, means) in result.scores.items()},
        "seed": result.seed,
        "notes": list(result.notes),
    }


def _question_json(result: StudyResult, question: QuestionResult) -> dict[str, Any]:
    everyone = None if question.passed is None else _analysis_json(question.everyone)
    return {
        "question": question.question,
        **_analysis_json(question.main),
        "sentences": list_sentences(result, question),
        "failed_gold": question.num_failed,
        "with_people_who_failed_gold": everyone,
    }


def _analysis_json(analysis: Analysis) -> dict[str, Any]:
    votes = analysis.votes
    return {
        "methods": [
            {
                "name": method.name,
                **_named("strength", method.strength),
                "wins": method.wins,
                "ties": method.ties,
                "votes": method.votes,
                **_prefixed("win_rate", method.win_rate),
                "thurstone": method.thurstone,
            }
            for method in analysis.methods
        ],
        "design": votes.design,
        "baseline": analysis.baseline,
        "differences": [
            {"method": one.method, **_named("difference", one.strength), "p": one.p, "p_holm": one.p_holm}
            for one in analysis.differences
        ],
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                **_named("win_rate", pair.win_rate),
                **{name: getattr(pair, name) for name in ("wins", "losses", "ties", "votes")},
            }
            for pair in analysis.pairs
        ],
        "num_votes": votes.num_votes,
        "num_pictures": votes.num_pictures,
        "num_people": votes.num_people,
        "num_other": dict(votes.num_other),
        "tie": analysis.tie,
        "side": None if analysis.side is None else _named("value", analysis.side),
        "agreement": json_number(analysis.consistency.agreement),
        "agreement_by_chance": json_number(analysis.consistency.chance),
        "agreement_beyond_chance": json_number(analysis.consistency.beyond_chance),
        "standard_deviations": None if analysis.components is None else asdict(analysis.components),
        "separated": analysis.separation.separated,
        "won_all": [votes.methods[k] for k in analysis.separation.won_all],
        "won_nothing": [votes.methods[k] for k in analysis.separation.won_nothing],
        "parts": [[votes.methods[k] for k in part] for part in analysis.separation.parts],
        "warnings": list(list_warnings(analysis)),
        "num_resamples": analysis.num_resamples,
    }


def _named(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: json_number(estimate.value), "low": json_number(estimate.low), "high": json_number(estimate.high)}


def _prefixed(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {f"{name}{'' if key == name else f'_{key}'}": value for key, value in _named(name, estimate).items()}


def _analyses(result: StudyResult) -> Iterator[tuple[str, str, Analysis]]:
    """Question, people and results; first the results that sentences are of."""
    for question in result.questions:
        asked = question.question or ""
        yield asked, "all" if question.passed is None else "without those who failed gold", question.main
        if question.passed is not None:
            yield asked, "all", question.everyone


def format_methods_csv(result: StudyResult) -> str:
    """`study.csv`: one row per method, unrounded; missing values are empty."""
    buffer = io.StringIO()
    write_line = csv_writer(buffer)
    numbers = ("strength", "strength_low", "strength_high", "win_rate", "win_rate_low", "win_rate_high")
    tested = ("baseline", "difference", "difference_low", "difference_high", "p", "p_holm", "caveat")
    write_line(["question", "people", "method", *numbers, "wins", "ties", "votes", "thurstone", *tested])
    for asked, people, analysis in _analyses(result):
        for method in analysis.methods:
            estimates = [*_ends(method.strength), *_ends(method.win_rate)]
            one = analysis.difference(method.name)
            test = [None] * 6 if one is None else [one.baseline, *_ends(one.strength), one.p, one.p_holm]
            counts = [method.wins, method.ties, method.votes, method.thurstone]
            write_line(map(_cell, [asked, people, method.name, *estimates, *counts, *test, result.caveat]))
    return buffer.getvalue()


def format_pairs_csv(result: StudyResult) -> str:
    """`pairs.csv`: one row per two methods in each direction, unrounded; only the header for choices."""
    buffer = io.StringIO()
    write_line = csv_writer(buffer)
    columns = ("win_rate", "win_rate_low", "win_rate_high", "wins", "losses", "ties", "votes", "caveat")
    write_line(["question", "people", "first", "second", *columns])
    for asked, people, analysis in _analyses(result):
        for pair in analysis.pairs:
            counts = [pair.wins, pair.losses, pair.ties, pair.votes]
            row = [asked, people, pair.first, pair.second, *_ends(pair.win_rate), *counts, result.caveat]
            write_line(map(_cell, row))
    return buffer.getvalue()


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _cell(value: object) -> object:
    return "" if value is None or value != value else value
