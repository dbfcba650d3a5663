"""The tables of a study. Each question has its own; nothing is pooled over questions."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hggt_data.io.text import join_lines
from hggt_eval.report.formats import format_text
from hggt_eval.report.tables import Cell, Mark, Table, format_score, format_signed
from hggt_eval.study.analysis import Analysis, Estimate
from hggt_eval.study.result import QuestionResult, StudyResult, list_warnings, percent
from hggt_eval.study.variance import Components, Size, plan_size

_STRENGTHS_NOTE = (
    "Strength: {model} in log odds, sum 0 [95 % interval]; each parameter has a normal prior of standard deviation 10. "
    "{rate}"
)
_PAIRS = (
    "Bradley-Terry with ties by Davidson",
    "Win rate: share of its votes that a method won, ties as half. Thurstone: case V, in standard deviations of a "
    "difference, ties as half.",
)
_CHOICES = ("Luce's choice model", "Chosen: share of the choices in which it was shown and chosen.")
_DRAWN = "Intervals by the crossed bootstrap: source pictures and people are drawn independently."
_DRAWN_PICTURES = "Intervals by the bootstrap of source pictures."


def study_tables(result: StudyResult) -> list[Table]:
    """All tables of all questions; each says why p is withheld, if it is."""
    tables = [table for question in result.questions for table in question_tables(result, question)]
    return [*tables, *(metrics_table(result, question) for question in result.questions if result.scores)]


def question_tables(result: StudyResult, question: QuestionResult) -> list[Table]:
    """The tables of one question."""
    analysis = question.main
    tables = [_strengths_table(question), *_differences_table(analysis), *_matrix(analysis)]
    tables += [*_people_table(question), *_next_table(analysis)]
    ending = _ending(result, question)
    return [
        replace(
            table,
            title=f"{table.title}{ending}",
            note=" ".join(filter(None, (table.note, question.gold_caveat, result.caveat))),
        )
        for table in tables
    ]


def _ending(result: StudyResult, question: QuestionResult) -> str:
    """The question, and the design if the same question was asked in both."""
    ending = f" ({question.question})" if question.question else ""
    if len({one.question for one in result.questions}) < len(result.questions):
        ending += f", {'choices' if question.main.votes.design == 'best-of' else 'pairs'}"
    return ending


def _strengths_table(question: QuestionResult) -> Table:
    analysis = question.main
    is_pairs = analysis.votes.design == "pairs"
    ranked = sorted(analysis.methods, key=lambda method: -method.strength.value)
    rows = []
    for place, method in enumerate(ranked):
        mark: Mark = "best" if place == 0 and len(ranked) > 1 else "second" if place == 1 and len(ranked) > 2 else ""
        cells = [
            Cell(method.name),
            estimate_cell(method.strength, mark),
            share_cell(method.win_rate),
            Cell(number(method.wins)),
        ]
        cells += [Cell(number(method.ties))] if is_pairs else []
        cells += [Cell(number(method.votes))]
        cells += [Cell(format_signed(method.thurstone or 0.0, 2))] if is_pairs else []
        rows.append(tuple(cells))
    columns = (
        ("method", "strength", "win rate", "wins", "ties", "votes", "Thurstone")
        if is_pairs
        else ("method", "strength", "chosen", "times chosen", "choices")
    )
    model, rate = _PAIRS if is_pairs else _CHOICES
    note = " ".join([_STRENGTHS_NOTE.format(model=model, rate=rate), drawn_note(analysis), *list_warnings(analysis)])
    return Table("Strengths", columns, tuple(rows), note)


def drawn_note(analysis: Analysis) -> str:
    """Whose choice the intervals cover."""
    return _DRAWN_PICTURES if analysis.votes.num_people in (None, 1) else _DRAWN


def _differences_table(analysis: Analysis) -> Iterator[Table]:
    if not analysis.differences:
        return
    is_pairs = analysis.votes.design == "pairs"
    rows = []
    for one in sorted(analysis.differences, key=lambda difference: -difference.strength.value):
        cells = [Cell(one.method), estimate_cell(one.strength)]
        if is_pairs:
            pair = analysis.pair(one.method, one.baseline)
            cells += [Cell("-"), Cell("0")] if pair is None else [share_cell(pair.win_rate), Cell(number(pair.votes))]
        rows.append((*cells, *(Cell(format_p(p)) for p in (one.p, one.p_holm))))
    direct = ("preferred", "comparisons") if is_pairs else ()
    note = "Difference of strengths in log odds, from the same draws as the intervals"
    note += "; preferred: share of the direct comparisons, ties as half" if is_pairs else ""
    note += ". "
    if all(one.p is None for one in analysis.differences):
        note += "Without p: the votes chose this method, or p is withheld. Choose a baseline to have p."
    else:
        note += "p is two-sided and below 0.05 where the interval leaves out 0; p (Holm) is corrected for all methods."
    note = " ".join([note, *list_warnings(analysis)])
    yield Table(
        f"Difference from {analysis.baseline}", ("method", "difference", *direct, "p", "p (Holm)"), tuple(rows), note
    )


def _matrix(analysis: Analysis) -> Iterator[Table]:
    if not analysis.pairs:
        return
    names = [method.name for method in sorted(analysis.methods, key=lambda method: -method.strength.value)]
    rows = []
    for first in names:
        cells = []
        for second in names:
            pair = analysis.pair(first, second)
            cells.append(Cell("") if pair is None else share_cell(pair.win_rate, f"(n = {number(pair.votes)})"))
        rows.append((Cell(first), *cells))
    note = " ".join(
        ["How often the method of the row was preferred to that of the column, ties as half.", *list_warnings(analysis)]
    )
    yield Table("Win rates", ("preferred", *names), tuple(rows), note)


def _people_table(question: QuestionResult) -> Iterator[Table]:
    if question.passed is None:
        return
    without, everyone = question.passed, question.everyone
    rows = tuple(
        (
            Cell(method.name),
            estimate_cell(method.strength),
            share_cell(method.win_rate),
            estimate_cell(everyone.method(method.name).strength),
            share_cell(everyone.method(method.name).win_rate),
        )
        for method in sorted(without.methods, key=lambda method: -method.strength.value)
    )
    note = (
        f"Without those who failed gold: {without.votes.num_votes:,} votes by {without.votes.num_people} people; all: "
        f"{everyone.votes.num_votes:,} votes by {everyone.votes.num_people} people."
    )
    columns = ("method", "strength without", "win rate without", "strength, all", "win rate, all")
    yield Table("With and without people who failed gold", columns, rows, note)


def _next_table(analysis: Analysis) -> Iterator[Table]:
    """What a next study of the same or twice the size would show."""
    found, votes = analysis.components, analysis.votes
    if found is None or votes.num_people is None or votes.num_pictures < 2 or votes.num_people < 2:
        return
    on = [pair.votes for pair in analysis.pairs] or [method.votes for method in analysis.methods]
    each = max(1, min(round(sum(on) / len(on) / votes.num_pictures), votes.num_people))
    sizes = [
        plan_size(found, pictures, people, min(each * more, people))
        for pictures, people, more in (
            (votes.num_pictures, votes.num_people, 1),
            (2 * votes.num_pictures, votes.num_people, 1),
            (votes.num_pictures, 2 * votes.num_people, 2),
            (2 * votes.num_pictures, 2 * votes.num_people, 2),
        )
    ]
    yield size_table(
        sizes,
        "Planning the next study",
        f"With the variance found here: standard deviation {found.picture_std:.2f} between pictures, "
        f"{found.person_std:.2f} between people, {found.vote_std:.2f} of single votes, in win rates. These numbers are "
        "for the next study; for this one, see its intervals.",
        chance=0.5 if analysis.pairs else float(np.mean(1 / (votes.shown >= 0).sum(axis=1))),
    )


def size_table(sizes: list[Size], title: str, note: str, chance: float = 0.5) -> Table:
    """What studies of several sizes can detect; `chance` is the share that a method wins if all are equal."""
    rows = tuple(
        (
            Cell(f"{size.pictures:,}"),
            *(Cell(f"{value:,}") for value in (size.annotators, size.votes, size.pictures * size.votes)),
            Cell(f"± {percent(size.half_width, 1)}"),
            Cell(percent(chance + size.detectable, 1) if size.detectable < 1 - chance else "none"),
            *([Cell(format_score(size.log_odds, 2))] if chance == 0.5 else []),
        )
        for size in sizes
    )
    columns: tuple[str, ...] = (
        *("pictures", "people", "votes per picture", "comparisons"),
        *("95 % interval", "detectable"),
    )
    columns += ("log odds",) if chance == 0.5 else ()
    explained = (
        f"Detectable: the smallest share above {percent(chance)}, the share of an equal method, that 80 % of such "
        "studies find (p below 0.05)."
    )
    return Table(title, columns, rows, f"{explained} {note}")


def describe_sizes(sizes: list[Size], components: Components, *, assumed: bool) -> str:
    """The table of `hggt-eval study-size`."""
    table = size_table(
        sizes,
        "Study sizes",
        f"For two methods, with a standard deviation {'assumed as' if assumed else 'found as'} "
        f"{components.picture_std:.2f} between pictures, {components.person_std:.2f} between people and "
        f"{components.vote_std:.2f} of single votes, in win rates.",
    )
    return join_lines([format_text(table), table.note])


def metrics_table(result: StudyResult, question: QuestionResult) -> Table:
    """Strengths beside the scores of metrics."""
    methods = [one for one in question.main.methods if any(one.name in own for _, own in result.scores.values())]
    rows = []
    for method in sorted(methods, key=lambda method: -method.strength.value):
        values = (own.get(method.name) for _, own in result.scores.values())
        cells = (Cell("-" if value is None else format_score(value, 4)) for value in values)
        rows.append((Cell(method.name), estimate_cell(method.strength), *cells))
    order = (
        f"{title} {agree} of {pairs}"
        for title, (higher, own) in result.scores.items()
        for agree, pairs in [count_same_order(question.main, higher, own)]
    )
    note = (
        f"Pairs of methods that people and metrics put in the same order: {', '.join(order)}. A few methods cannot "
        f"show how well a metric agrees with people; hggt-eval agree tests that on single pictures. {result.caveat}"
    )
    heads = (f"{title} {'↑' if higher else '↓'}" for title, (higher, _) in result.scores.items())
    title = f"People and metrics{_ending(result, question)}"
    return Table(title, ("method", "strength", *heads), tuple(rows), note.strip())


def count_same_order(analysis: Analysis, higher_is_better: bool, scores: dict[str, float]) -> tuple[int, int]:
    """How many pairs of methods a metric puts in the order of their strengths, and how many pairs there are."""
    values = [(one.strength.value, scores[one.name]) for one in analysis.methods if one.name in scores]
    pairs = [(a, b) for n, a in enumerate(values) for b in values[:n]]
    sign = 1 if higher_is_better else -1
    return sum((a[0] - b[0]) * (a[1] - b[1]) * sign > 0 for a, b in pairs), len(pairs)


def format_p(value: float | None) -> str:
    """A p value, not smaller than the draws can show."""
    return "-" if value is None else "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def estimate_cell(estimate: Estimate, mark: Mark = "") -> Cell:
    """Log odds and their interval."""
    low, high = estimate.low, estimate.high
    interval = "" if low != low else f"[{format_signed(low, 2)}, {format_signed(high, 2)}]"
    return Cell(format_signed(estimate.value, 2), below=interval, mark=mark)


def share_cell(estimate: Estimate, beside: str = "") -> Cell:
    """A win rate and its interval."""
    low, high = estimate.low, estimate.high
    interval = "" if low != low else f"[{100 * low:.0f}, {100 * high:.0f}]"
    return Cell(percent(estimate.value), beside, interval)


def number(value: float) -> str:
    """A number of votes, which may be a part of one."""
    return f"{value:,.1f}".removesuffix(".0")
