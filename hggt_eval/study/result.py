"""What `hggt-eval study` finds: one result per question, and what readers must know beside the numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

from hggt_data.io.text import plural
from hggt_data.study_plan import StudyPlan
from hggt_eval.report.tables import format_signed
from hggt_eval.study.analysis import Analysis

FEWEST_PEOPLE, FEWEST_PICTURES = 10, 20
_KINDS = {
    "gold": "gold votes",
    "repeat": "repeated votes",
    "practice": "practice votes",
    "by models": "votes by models",
}


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """The results under one question.

    Attributes:
        everyone: All people.
        passed: Without the people who failed gold; None if nobody failed, or everyone did.
        num_failed: How many people failed; None if the votes or the plan do not show it.
    """

    everyone: Analysis
    passed: Analysis | None
    num_failed: int | None

    @property
    def main(self) -> Analysis:
        """The analysis that sentences and tests are of."""
        return self.everyone if self.passed is None else self.passed

    @property
    def question(self) -> str | None:
        """What was asked."""
        return self.everyone.votes.question

    @property
    def gold_caveat(self) -> str:
        """That everyone failed gold, in one sentence for every table; empty if somebody passed."""
        return "Everyone failed gold, so nobody is left out." if self.num_failed and self.passed is None else ""


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The results of a study.

    Attributes:
        source: Where the votes are from.
        questions: One entry for each question; votes on pairs and choices are never pooled either.
        plan: What was planned before the first vote; None if there is no plan.
        complete: Whether the study has all its votes; None without a plan.
        seed: Random seed of the bootstrap.
        license: Licence id of the data.
        notes: What was merged or left out, a sentence each.
        scores: Metric title -> whether higher is better, and the score of each method.
    """

    source: str
    questions: tuple[QuestionResult, ...]
    plan: StudyPlan | None
    complete: bool | None
    seed: int
    license: str
    notes: tuple[str, ...]
    scores: dict[str, tuple[bool, dict[str, float]]]

    @property
    def caveat(self) -> str:
        """Why there are no p values, in one sentence for every table and sentence; empty if there is no reason."""
        return find_caveat(self.plan, self.complete)


def find_caveat(plan: StudyPlan | None, complete: bool | None) -> str:
    """Why a study has no p values; empty if it has."""
    if plan is None:
        return ""
    if plan.extended_after_look:
        extension = next(one for one in plan.extensions if one.after_look)
        seen = f"at {plan.looks[0].votes:,} votes on {plan.looks[0].time[:10]}"
        return (
            f"The study was extended on {extension.time[:10]}, after its preferences had been looked at ({seen}), so p "
            "is withheld."
        )
    if not complete:
        return "The study is not complete, so these are interim results and p is withheld."
    return ""


def list_warnings(analysis: Analysis) -> Iterator[str]:
    """What makes the intervals of an analysis too narrow, or strengths meaningless, a sentence each."""
    votes = analysis.votes
    if votes.people is None:
        yield (
            f"The annotators of {plural(votes.num_unknown, 'vote')} are unknown: intervals only cover the choice of "
            "pictures and ignore that people differ; they are too narrow."
        )
    elif (votes.num_people or 0) < 2:
        yield "One person voted: intervals only cover the choice of pictures, not that of people."
    elif (votes.num_people or 0) < FEWEST_PEOPLE:
        yield f"Only {votes.num_people} people voted; with fewer than {FEWEST_PEOPLE}, intervals are too narrow."
    if votes.num_pictures < 2:
        yield "All votes are on one source picture: there are no intervals."
    elif votes.num_pictures < FEWEST_PICTURES:
        yield (
            f"Only {votes.num_pictures} source pictures; with fewer than {FEWEST_PICTURES}, intervals are too narrow."
        )
    names, found = votes.methods, analysis.separation
    if len(found.parts) > 1:
        parts = "; ".join(", ".join(names[k] for k in part) for part in found.parts)
        yield f"Votes do not connect all methods ({parts}): strengths of different parts cannot be compared."
    if found.separated:
        won = [f"{names[k]} won all its votes" for k in found.won_all]
        won += [f"{names[k]} won none" for k in found.won_nothing]
        ends = ", ".join(won) or "some methods won every vote against all others"
        yield (
            f"Separation ({ends}): the votes only bound these strengths. The prior keeps them finite; they have no "
            "intervals."
        )


def list_facts(analysis: Analysis) -> Iterator[tuple[str, str]]:
    """What the votes are, as (name, value)."""
    votes, agreement = analysis.votes, analysis.consistency
    yield "Votes", f"{votes.num_votes:,}"
    yield "Source pictures", f"{votes.num_pictures:,}"
    yield "People", "unknown" if votes.num_people is None else f"{votes.num_people:,}"
    for kind, number in votes.num_other.items():
        yield f"Left out: {_KINDS[kind]}", f"{number:,}"
    if votes.design == "pairs":
        yield "Ties", f"{percent(analysis.tie_share)} of the votes"
    if agreement.num_comparisons:
        yield (
            "Agreement between people",
            f"{percent(agreement.agreement)} of two votes on one comparison, by chance {percent(agreement.chance)}; "
            f"beyond chance {agreement.beyond_chance:.2f}",
        )
    if analysis.side is not None:
        low, high = analysis.side.low, analysis.side.high
        interval = "" if low != low else f" [{format_signed(low, 2)}, {format_signed(high, 2)}]"
        value = format_signed(analysis.side.value, 2)
        yield "Side effect", f"{value}{interval} log odds for the version shown first"
    elif votes.design == "pairs":
        yield "Side effect", "not estimated, as not all pairs of methods were shown in both orders"


def percent(share: float, decimals: int = 0) -> str:
    """A share as `71 %`."""
    return "-" if share != share else f"{100 * share:.{decimals}f} %"
