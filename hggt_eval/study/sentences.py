"""The results of a study in sentences, as papers print them."""

from collections.abc import Iterator

from hggt_data.io.text import plural
from hggt_eval.report.tables import format_signed
from hggt_eval.study.analysis import Analysis, Difference, Estimate
from hggt_eval.study.result import QuestionResult, StudyResult, list_warnings, percent


def list_sentences(result: StudyResult, question: QuestionResult) -> list[str]:
    """The primary comparison, or all methods against the baseline, strongest first; then caveats."""
    analysis = question.main
    ranked = sorted(analysis.differences, key=lambda difference: -difference.strength.value)
    primary = result.plan.primary if result.plan is not None else ()
    first = [one for one in ranked if {one.method, one.baseline} == set(primary)]
    sentences = [
        _describe(analysis, one, one in first) for one in (*first, *(one for one in ranked if one not in first))
    ]
    if result.caveat:
        sentences = [f"{sentence} {result.caveat}" for sentence in sentences]
    return sentences


def format_latex_sentences(result: StudyResult) -> str:
    """`sentence.tex`: a paragraph per question."""
    from hggt_eval.report.latex import escape_latex

    parts = []
    for question in result.questions:
        asked = f"Asked \u201c{question.question}\u201d: " if question.question else ""
        text = f"{asked}{' '.join(list_sentences(result, question))} {describe_votes(question)}"
        warnings = [f"% {warning}" for warning in list_warnings(question.main)]
        parts.append("\n".join([escape_latex(text).replace(" \\%", "\\,\\%"), *warnings]))
    return "\n\n".join(parts) + "\n"


def describe_votes(question: QuestionResult) -> str:
    """What the numbers are of, in a sentence."""
    analysis, votes = question.main, question.main.votes
    of = f"{plural(votes.num_votes, 'vote')} on {plural(votes.num_pictures, 'source picture')}"
    people = (
        "unknown people"
        if votes.num_people is None
        else plural(votes.num_people, "person").replace("persons", "people")
    )
    drawn = "pictures" if votes.num_people in (None, 1) else "pictures and people"
    failed = ""
    if question.num_failed and question.passed:
        failed = f", without {plural(question.num_failed, 'person').replace('persons', 'people')} who failed gold"
    sentence = f"{of} by {people}{failed}; intervals from {analysis.num_resamples:,} draws of {drawn}."
    return f"{sentence} {question.gold_caveat}".rstrip()


def _describe(analysis: Analysis, difference: Difference, is_primary: bool) -> str:
    method, baseline = difference.method, difference.baseline
    strength = difference.strength
    tested = f"difference of strengths {format_signed(strength.value, 2)} log odds{_interval(strength, signed=True)}"
    tested += _p(difference, is_primary)
    if analysis.votes.design == "best-of":
        own, other = analysis.method(method), analysis.method(baseline)
        return (
            f"{method} was chosen as the best in {percent(own.win_rate.value)} of {own.votes:,.0f} "
            f"choices{_interval(own.win_rate)}, {baseline} in {percent(other.win_rate.value)}"
            f"{_interval(other.win_rate)}; {tested}."
        )
    pair = analysis.pair(method, baseline)
    if pair is None:
        return f"{method} and {baseline} were not compared directly; {tested}."
    ties = f", ties as half ({percent(pair.ties / pair.votes)} of the votes)" if pair.ties else ""
    return (
        f"{method} was preferred over {baseline} in {percent(pair.win_rate.value)} of {pair.votes:,.0f} "
        f"comparisons{_interval(pair.win_rate)}{ties}; {tested}."
    )


def _interval(estimate: Estimate, *, signed: bool = False) -> str:
    if estimate.low != estimate.low:
        return ""
    if signed:
        return f", 95 % interval {format_signed(estimate.low, 2)} to {format_signed(estimate.high, 2)}"
    return f", 95 % interval {percent(estimate.low)} to {percent(estimate.high)}"


def _p(difference: Difference, is_primary: bool) -> str:
    """The primary comparison was chosen before the votes and needs no correction."""
    value = difference.p if is_primary else difference.p_holm
    if value is None:
        return ""
    number = "p < 0.0001" if value < 0.0001 else f"p = {value:.4f}"
    return f", {number} ({'primary comparison' if is_primary else 'Holm'})"


def list_lines(result: StudyResult) -> Iterator[str]:
    """All sentences, each question's after its name."""
    for question in result.questions:
        if question.question or len(result.questions) > 1:
            yield f"{question.question or 'Question unknown'}:"
        yield from list_sentences(result, question)
        yield describe_votes(question)
