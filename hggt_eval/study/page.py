"""`report.html` of a study: sentences, plots and tables of each question, in one file without scripts."""

from collections.abc import Iterator

from hggt_data.io.text import escape_html, plural
from hggt_data.licence import describe_license
from hggt_eval.report.formats import format_html_table
from hggt_eval.report.style import read_style
from hggt_eval.report.tables import Table
from hggt_eval.study.plots import draw_estimates, draw_matrix, draw_scatter
from hggt_eval.study.result import QuestionResult, StudyResult, list_facts, list_warnings
from hggt_eval.study.sentences import describe_votes, list_sentences
from hggt_eval.study.tables import metrics_table, question_tables


def format_study_html(result: StudyResult) -> str:
    """The page as HTML."""
    questions = "\n".join(_question(result, question) for question in result.questions)
    title = f"User study of {', '.join(result.questions[0].everyone.votes.methods)}"
    facts = "".join(f"<dt>{escape_html(name)}</dt><dd>{escape_html(value)}</dd>\n" for name, value in _facts(result))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape_html(title)}</title>
<style>
{read_style()}</style>
</head>
<body>
<main>
<h1>{escape_html(title)}</h1>
{questions}
<section><h2>The study</h2>
<dl id="facts">{facts}</dl></section>
</main>
</body>
</html>
"""


def _question(result: StudyResult, question: QuestionResult) -> str:
    analysis = question.main
    first, *others = list_sentences(result, question) or ["Only one method has votes."]
    lines = [*others, describe_votes(question), *list_warnings(analysis)]
    listed = "".join(f"<li>{escape_html(line)}</li>" for line in lines)
    heading = question.question or "Votes"
    if len({one.question for one in result.questions}) < len(result.questions):
        heading += " (choices)" if analysis.votes.design == "best-of" else " (pairs)"
    parts = [
        f'<section class="verdict"><h2>{escape_html(heading)}</h2><p>{escape_html(first)}</p>\n'
        f"<ul>{listed}</ul></section>"
    ]
    strengths, *tables = question_tables(result, question)
    numbers = f"<details><summary>Numbers</summary>\n{format_html_table(strengths)}</details>"
    parts.append(f"<section><h2>{escape_html(strengths.title)}</h2>\n{draw_estimates(analysis)}\n{numbers}</section>")
    for table in tables:
        drawn = (
            f"{draw_matrix(analysis)}\n{_note(table)}"
            if table.title.startswith("Win rates")
            else format_html_table(table)
        )
        parts.append(f"<section><h2>{escape_html(table.title)}</h2>\n{drawn}</section>")
    if result.scores:
        known = (
            draw_scatter(analysis, f"{title} ({'higher' if higher else 'lower'} is better)", scores)
            for title, (higher, scores) in result.scores.items()
            if set(scores) & set(analysis.votes.methods)
        )
        table = metrics_table(result, question)
        parts.append(
            f'<section><h2>{escape_html(table.title)}</h2>\n<div class="forests">{"".join(known)}</div>\n'
            f"{format_html_table(table)}</section>"
        )
    facts = "".join(
        f"<dt>{escape_html(name)}</dt><dd>{escape_html(value)}</dd>\n" for name, value in list_facts(analysis)
    )
    parts.append(f'<section><h2>Votes</h2>\n<dl class="facts">{facts}</dl></section>')
    return "\n".join(parts)


def _note(table: Table) -> str:
    return f'<p class="note">{escape_html(table.note)}</p>'


def _facts(result: StudyResult) -> Iterator[tuple[str, str]]:
    """Where the votes are from, and what was planned."""
    yield "Data", result.source
    yield "Licence", describe_license(result.license)
    plan = result.plan
    if plan is None:
        yield "Plan", "none: the comparisons were not chosen before the votes"
    else:
        yield "Plan of", plan.created[:10]
        yield "Primary comparison", " and ".join(plan.primary)
        yield "Planned", f"{plural(plan.votes, 'vote')} per comparison, {plural(plan.groups, 'picture')}"
        yield "Exclusion", f"people with fewer than {100 * plan.least_gold_share:.0f} % of gold answers right"
        yield "Reference", plan.reference
        for extension in plan.extensions:
            after = "after a look at preferences" if extension.after_look else "before any look at preferences"
            yield "Extended", f"{extension.time[:10]} to {plural(extension.votes, 'vote')} per comparison, {after}"
        for look in plan.looks:
            yield "Looked at", f"{look.time[:10]}, at {plural(look.votes, 'vote')}"
        yield "Complete", "yes" if result.complete else "no"
    for note in result.notes:
        yield "Note", note
