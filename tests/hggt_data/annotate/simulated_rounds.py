"""Simulated rounds in memory: annotators judge, skip, leave, join and come back at random points.

`python -m tests.hggt_data.annotate.simulated_rounds 3000` simulates so many rounds and prints what is wrong.
"""

import random
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from hggt_data.annotate.answers import Answers
from hggt_data.annotate.assignment import Assignment
from hggt_data.annotate.batches import with_batches
from hggt_data.annotate.deal import DealResult
from hggt_data.annotate.reassign import assign_again
from hggt_data.annotate.round import Annotator, Checks, Item, Kind, Round, groups_to_vote_on
from hggt_data.schema import Annotation, Label

_ANSWER = Annotation("A", (Label.SIMILAR,))
_Pairs = set[tuple[str, str]]


@dataclass
class Simulation:
    """A round, the answers to it, and all that was found to be wrong so far.

    Attributes:
        reassigned: The result of each reassignment, and the votes and skips before it, as (name, group).
    """

    rng: random.Random
    round: Round
    answers: dict[str, Answers]
    reassigned: list[tuple[DealResult, _Pairs, _Pairs]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    checked: int = 0
    most: Counter[str] = field(default_factory=Counter)  # the largest load of each annotator so far

    def run(self) -> None:
        """Judge and reassign a few times, and judge the rest at last."""
        self._check(set())
        for number in range(self.rng.randint(1, 5)):
            for annotator in self.round.annotators:
                if annotator.is_active:
                    self._judge(annotator, self.rng.choice([0, 0.3, 1, self.rng.random()]))
            self._reassign(number)

    def _judge(self, annotator: Annotator, share: float) -> None:
        """Answer a share of what is left, in order; a few groups are skipped or left for later."""
        answers = self.answers[annotator.name]
        left = [item for item in annotator.items if item not in answers.annotations and item not in answers.skips]
        for item in left[: round(share * len(left))]:
            chance = self.rng.random()
            if chance < 0.01:
                answers.skips[item] = "damaged"
            elif chance > 0.02:
                answers.annotations[item] = _ANSWER

    def _reassign(self, number: int) -> None:
        before = self.round
        active = [annotator for annotator in before.annotators if annotator.is_active]
        dropped = {one.name for one in self.rng.sample(active, self.rng.randint(0, len(active) - 1))}
        back = {one.name for one in before.annotators if not one.is_active and self.rng.random() < 0.3}
        annotators = [
            replace(one, is_active=(one.is_active and one.name not in dropped) or one.name in back)
            for one in before.annotators
        ]
        missing = before.votes - sum(one.is_active for one in annotators)
        new = [f"new {number} {k}" for k in range(max(missing, self.rng.randint(0, 3)))]
        annotators += [Annotator(name, name) for name in new]
        self.answers |= {name: Answers() for name in new}
        answered, skipped = (
            {(name, group) for name, items in found.items() for group in groups_to_vote_on(items)}
            for found in (
                {name: answers.annotations for name, answers in self.answers.items()},
                {name: answers.skips for name, answers in self.answers.items()},
            )
        )
        result = assign_again(before, annotators, self.answers)
        self.reassigned.append((result, answered, skipped))
        self.round = result.round
        old = {one.name: one.groups_to_vote_on for one in before.annotators}
        self._check({one.name for one in result.round.annotators if one.groups_to_vote_on == old.get(one.name)})

    def _check(self, unchanged: set[str]) -> None:
        """Note what is wrong with the checks of each annotator who has unanswered votes."""
        for annotator in self.round.annotators:
            answers = self.answers[annotator.name]
            votes = annotator.groups_to_vote_on
            self.most[annotator.name] = max(self.most[annotator.name], len(votes))
            is_open = [item.kind is Kind.VOTE and item not in answers.annotations for item in annotator.items]
            if annotator.is_active and any(is_open):
                self.checked += 1
                for fault in self._faults(annotator, answers, annotator.name in unchanged):
                    self.faults.append(f"{annotator.name}, reassigned {len(self.reassigned)} times: {fault}")

    def _faults(self, annotator: Annotator, answers: Answers, is_unchanged: bool) -> list[str]:
        checks, items = self.round.checks, annotator.items
        votes = annotator.groups_to_vote_on
        faults = [f"{item} twice" for item, count in Counter(items).items() if count > 1]
        if checks.gold:
            repeated = {item.group for item in items if item.kind is Kind.REPEAT}
            skipped = {item.group for item in answers.skips}
            may_be_votes = repeated.issuperset(checks.gold) or not skipped.isdisjoint(checks.gold)
            places, number = [0], 0  # unanswered votes before each check among them
            for item in items:
                number += item.kind is Kind.VOTE and item not in answers.annotations
                is_check = item.kind is Kind.GOLD or (
                    item.kind is Kind.REPEAT and (item.group in checks.gold or may_be_votes)
                )
                if is_check and item not in answers.annotations and item not in answers.skips:
                    places.append(number)
            gap = max(after - before for before, after in pairwise([*places, number]))
            mean = self.most[annotator.name] / len(checks.gold)
            if gap + 1 > 2.5 * (mean + 1):
                faults.append(f"{gap} votes without gold, {mean:.1f} on average")
            if len(places) == 1 and not is_unchanged:
                faults.append("no gold in the unanswered votes")
            missing = {Item(Kind.GOLD, group) for group in checks.gold} - set(items) - set(answers.skips)
            if missing and not is_unchanged:
                faults.append(f"{missing} missing")
        if checks.repeats:
            for batch in annotator.batches:
                left = sum(item.kind is Kind.VOTE and item not in answers.annotations for item in batch)
                if left > 1 and not any(item.kind is Kind.REPEAT for item in batch):
                    faults.append(f"no repeat in a batch with {left} unanswered votes")
        for place, item in enumerate(items):
            if item.kind is Kind.REPEAT and item not in answers.annotations:
                first = Item(Kind.GOLD if item.group in checks.gold else Kind.VOTE, item.group)
                if first not in items[:place] and first not in answers.annotations:
                    faults.append(f"{item} before its first time")
                elif first.kind is Kind.VOTE and len(votes) > 5 and items[place - 1] == first:
                    faults.append(f"{item} at once")
        return faults


def simulate(seed: int) -> Simulation:
    """One random round, from its assignment to the last reassignment."""
    rng = random.Random(seed)
    votes = rng.randint(1, 3)
    names = [f"annotator {k}" for k in range(rng.randint(votes, votes + 4))]
    checks = Checks(
        tuple(f"practice{k}" for k in range(rng.randint(0, 3))),
        tuple(f"gold{k}" for k in range(rng.choice([0, 1, 3, 8, 15]))),
        rng.choice([0, 1, 2, 5]),
    )
    per_batch = rng.choice([8, 20, 50, 1000])
    assignment = Assignment(rng)
    for k in range(rng.randint(5, 120)):
        assignment.fill(f"p{k}", names, votes)
    annotators = tuple(
        with_batches(Annotator(name, name), assignment.groups_of(name), checks, per_batch, rng) for name in names
    )
    place = Path("nowhere")
    round_ = Round(place, place, ("01",), votes, per_batch, seed, "secret", annotators, checks=checks)
    simulation = Simulation(rng, round_, {name: Answers() for name in names})
    simulation.run()
    return simulation


def main() -> None:
    """Print the faults of many rounds."""
    number, checked, faults = int(sys.argv[1]), 0, 0
    for seed in range(number):
        simulation = simulate(seed)
        checked += simulation.checked
        faults += len(simulation.faults)
        for fault in simulation.faults:
            print(f"round {seed}: {fault}")
    print(f"{number} rounds, {checked} states of annotators, {faults} faults")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
