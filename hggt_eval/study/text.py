"""The results of a study as `hggt-eval study` prints them."""

from hggt_data.io.text import join_lines
from hggt_eval.report.formats import format_text
from hggt_eval.study.result import StudyResult, list_facts, list_warnings
from hggt_eval.study.sentences import describe_votes, list_sentences
from hggt_eval.study.tables import metrics_table, question_tables


def format_study(result: StudyResult) -> str:
    """Sentences, tables, facts and warnings of each question, as lines of text."""
    lines: list[str] = []
    for question in result.questions:
        if question.question:
            lines.append(f"Question: {question.question}")
        lines += [*list_sentences(result, question), describe_votes(question), ""]
        tables = question_tables(result, question)
        tables += [metrics_table(result, question)] if result.scores else []
        for table in tables:
            lines += [f"{table.title}:", format_text(table), *([result.caveat] if result.caveat else []), ""]
        lines += [f"{name}: {value}" for name, value in list_facts(question.main)]
        lines += [f"Warning: {warning}" for warning in list_warnings(question.main)]
        lines.append("")
    return join_lines([*lines[:-1], *result.notes])
