"""Count the labels of a tree or dataset, and measure how well annotators agree.

`agreement.py` has the measures; `text.py` and `page.py` print the results. No pictures are read.
"""

import math
from array import array
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hggt_data.errors import SettingsError
from hggt_data.groups import GroupSource
from hggt_data.schema import Label, PatchGroup, Protocol
from hggt_data.statistics.agreement import (
    MISSING,
    ORDINAL_LABELS,
    VoteTable,
    confusion_with_consensus,
    dawid_skene,
    decide,
    fleiss_kappa,
    krippendorff_alpha,
    labels_by_annotator,
    labels_by_slot,
    pairwise_agreement,
    vote_of,
)
from hggt_data.statistics.numbers import json_number, ratio
from hggt_data.statistics.other_votes import ChoiceStatistics, OtherTally, ScoreStatistics
from hggt_data.statistics.pair_votes import PairStatistics, PairTally, versions_of

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """Number of times each label was given; `missing` counts missing votes, or pictures without consensus."""

    positive: int
    similar: int
    negative: int
    missing: int

    @property
    def given(self) -> int:
        """Number of labels."""
        return self.positive + self.similar + self.negative

    def count(self, label: Label) -> int:
        """Number of times a label was given."""
        return {Label.POSITIVE: self.positive, Label.SIMILAR: self.similar, Label.NEGATIVE: self.negative}[label]

    def share(self, label: Label) -> float:
        """The label's share of all labels; NaN if there are none."""
        return ratio(self.count(label), self.given)

    def to_json(self) -> dict[str, Any]:
        """Counts and shares for a JSON file."""
        return {
            "given": self.given,
            "missing": self.missing,
            "counts": {label.class_name: self.count(label) for label in Label},
            "shares": {label.class_name: json_number(self.share(label)) for label in Label},
        }


@dataclass(frozen=True, slots=True)
class RaterAgreement:
    """How all slots, or all annotators, agree with each other and with the consensus.

    Attributes:
        raters: names of the slots or annotators, sorted.
        share: `[a][b]` share of the pictures judged by both on which they agree, NaN if there are none.
        shared_items: `[a][b]` number of pictures judged by both.
        confusion: `[rater][consensus][given]` counts, labels in the order of `agreement.ORDINAL_LABELS`.
    """

    raters: tuple[str, ...]
    share: tuple[tuple[float, ...], ...]
    shared_items: tuple[tuple[int, ...], ...]
    confusion: tuple[tuple[tuple[int, ...], ...], ...]

    def to_json(self) -> dict[str, Any]:
        """For a JSON file: pairs as `{a: {b: ...}}`, confusion as `{rater: {consensus: {given: count}}}`."""
        names = [label.class_name for label in ORDINAL_LABELS]
        return {
            "pairwise": {
                a: {
                    b: {"share": json_number(self.share[i][j]), "shared_items": self.shared_items[i][j]}
                    for j, b in enumerate(self.raters)
                    if i != j
                }
                for i, a in enumerate(self.raters)
            },
            "confusion_with_consensus": {
                rater: {names[k]: dict(zip(names, row, strict=True)) for k, row in enumerate(matrix)}
                for rater, matrix in zip(self.raters, self.confusion, strict=True)
            },
        }


@dataclass(frozen=True, slots=True)
class SecondsSummary:
    """Seconds per group in a slot. All values except the counts are NaN if no time is known.

    Attributes:
        num_groups: groups with a known time.
        num_missing: annotated groups without a usable time.
        lowest_5_percent: the fastest 5 % took less; unlike the extremes, not affected by single forgotten clocks.
        highest_5_percent: the slowest 5 % took more.
    """

    num_groups: int
    num_missing: int
    mean: float
    lowest_5_percent: float
    lower_quartile: float
    median: float
    upper_quartile: float
    highest_5_percent: float

    def to_json(self) -> dict[str, Any]:
        """The fields, for a JSON file."""
        return {name: json_number(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class DawidSkeneSummary:
    """How the labels of the Dawid-Skene model differ from the consensus.

    Attributes:
        right_votes: Of each annotator: name, number of votes, and how many of them the model expects to be right.
        prior: Share of each label among all pictures according to the model, in the order of `Label`.
        iterations: Number of iterations.
        converged: Whether the figures no longer changed at the end.
        num_consensus: Pictures with a consensus.
        num_changed: Pictures with a consensus to which the model gives another label.
        num_filled: Pictures with a vote but no consensus, to which the model gives a label.
        num_undecided: Pictures with a vote whose most probable labels are exactly tied, so that the model gives none.
    """

    right_votes: tuple[tuple[str, int, float], ...]
    prior: tuple[float, ...]
    iterations: int
    converged: bool
    num_consensus: int
    num_changed: int
    num_filled: int
    num_undecided: int

    def to_json(self) -> dict[str, Any]:
        """The fields, for a JSON file."""
        return {
            **asdict(self),
            "right_votes": {
                annotator: {"votes": votes, "expected_right": right, "share": json_number(ratio(right, votes))}
                for annotator, votes, right in self.right_votes
            },
            "prior": {label.class_name: share for label, share in zip(Label, self.prior, strict=True)},
        }


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """Counts and agreement over all groups of a tree or dataset. A *picture* is one candidate of one group.

    Attributes:
        protocol: How the annotators were asked.
        num_groups: Number of patch groups.
        candidates: Names of the enhanced versions, sorted.
        slots: Names of the slots, sorted. Several people may have filled a slot.
        annotators: Names of the known annotators, sorted.
        votes: One entry per candidate: the labels of all votes.
        consensus: One entry per candidate: the consensus labels.
        groups_by_positives: `[k]` is the number of groups with k Positive candidates.
        groups_by_negatives: `[k]` is the number of groups with k Negative candidates.
        num_with_positive: Groups with at least one Positive candidate.
        num_all_similar: Groups with Similar candidates only; positive+negative training cannot use them.
        num_without_consensus: Groups with a candidate that has no consensus.
        agreement_levels: (number of votes for the consensus label, number of pictures) of pictures with a consensus;
            1 means that the votes were tied or all different, so that the consensus is Similar.
        alpha_nominal: Krippendorff's alpha, all disagreements equal; NaN if undefined.
        alpha_ordinal: Krippendorff's alpha, Positive against Negative being worse; NaN if undefined.
        fleiss: Fleiss' kappa over slots; NaN if undefined.
        num_fleiss_items: Pictures with a vote in every slot, from which kappa was computed.
        by_slot: Agreement of slots.
        by_annotator: Agreement of annotators; None if none is known.
        seconds: One entry per slot: seconds per group.
        full_zoom: Of each annotator of whom it is recorded: name, number of groups in which every candidate was seen
            at 100 %, and number of groups of which this is known.
        dawid_skene: None if not requested, or if there are no votes.
        pairs: One entry per question that votes on pairs of versions answer.
        choices: One entry per question that choices among versions answer.
        scores: One entry per question that opinion scores answer.
    """

    protocol: Protocol
    num_groups: int
    candidates: tuple[str, ...]
    slots: tuple[str, ...]
    annotators: tuple[str, ...]
    votes: tuple[LabelCounts, ...]
    consensus: tuple[LabelCounts, ...]
    groups_by_positives: tuple[int, ...]
    groups_by_negatives: tuple[int, ...]
    num_with_positive: int
    num_all_similar: int
    num_without_consensus: int
    agreement_levels: tuple[tuple[int, int], ...]
    alpha_nominal: float
    alpha_ordinal: float
    fleiss: float
    num_fleiss_items: int
    by_slot: RaterAgreement
    by_annotator: RaterAgreement | None
    seconds: tuple[SecondsSummary, ...]
    full_zoom: tuple[tuple[str, int, int], ...]
    dawid_skene: DawidSkeneSummary | None
    pairs: tuple[PairStatistics, ...]
    choices: tuple[ChoiceStatistics, ...]
    scores: tuple[ScoreStatistics, ...]

    def to_json(self) -> dict[str, Any]:
        """All values for a JSON file, unrounded; None for undefined numbers."""
        return {
            "protocol": asdict(self.protocol),
            "num_groups": self.num_groups,
            "candidates": list(self.candidates),
            "slots": list(self.slots),
            "annotators": list(self.annotators),
            "votes": {name: counts.to_json() for name, counts in zip(self.candidates, self.votes, strict=True)},
            "consensus": {name: counts.to_json() for name, counts in zip(self.candidates, self.consensus, strict=True)},
            "groups": {
                "by_num_positive": list(self.groups_by_positives),
                "by_num_negative": list(self.groups_by_negatives),
                "with_positive": self.num_with_positive,
                "all_similar": self.num_all_similar,
                "without_consensus": self.num_without_consensus,
            },
            "agreement_levels": {str(level): count for level, count in self.agreement_levels},
            "krippendorff_alpha": {
                "nominal": json_number(self.alpha_nominal),
                "ordinal": json_number(self.alpha_ordinal),
            },
            "fleiss_kappa": {"kappa": json_number(self.fleiss), "num_items": self.num_fleiss_items},
            "by_slot": self.by_slot.to_json(),
            "by_annotator": self.by_annotator and self.by_annotator.to_json(),
            "seconds_per_group": {
                slot: seconds.to_json() for slot, seconds in zip(self.slots, self.seconds, strict=True)
            },
            "full_zoom": {rater: {"groups": seen, "of": known} for rater, seen, known in self.full_zoom},
            "dawid_skene": self.dawid_skene and self.dawid_skene.to_json(),
            "pairs": [pairs.to_json() for pairs in self.pairs],
            "choices": [choices.to_json() for choices in self.choices],
            "scores": [scores.to_json() for scores in self.scores],
        }


def measure_labels(groups: GroupSource, dawid_skene: bool = False) -> LabelStatistics:
    """Count labels and measure agreement in one pass over the groups, see `hggt_data.count_labels`.

    Each label takes a byte and each time eight: 20,000 groups with three annotators peak at about 13 MB.
    """
    tally = _Tally(groups.candidates)
    for group in groups:
        if dawid_skene:
            _require_annotators(groups, group)
        tally.add(group)
    return tally.result(groups.protocol, dawid_skene)


def _require_annotators(groups: GroupSource, group: PatchGroup) -> None:
    for annotation in group.annotations:
        if annotation.counts and annotation.annotator is None:
            raise SettingsError(
                f"{groups.location}: group {group.id}, slot {annotation.slot}: the annotator is not known, and several "
                "people may have filled a slot, so `dawid_skene` cannot be used. Name every annotator in the tree's "
                "annotators.csv."
            )


class _Tally:
    """Collects votes and times in one pass over the groups."""

    def __init__(self, candidates: tuple[str, ...]) -> None:
        self._candidates = candidates
        self._num_groups = 0
        self._by_slot = VoteTable()
        self._by_annotator = VoteTable()
        self._consensus = array("b")
        self._agreement = array("i")
        self._seconds: dict[str, array[float]] = {}
        self._num_untimed: dict[str, int] = {}
        self._full_zoom: dict[str, list[bool]] = {}
        self._pairs = PairTally(candidates)
        self._other = OtherTally(versions_of(candidates))

    def add(self, group: PatchGroup) -> None:
        self._num_groups += 1
        self._pairs.add(group)
        self._other.add(group)
        self._by_slot.add(len(self._candidates), labels_by_slot(group))
        self._by_annotator.add(len(self._candidates), labels_by_annotator(group))
        self._consensus.extend(vote_of(label) for label in group.consensus)
        self._agreement.extend(group.agreement)
        for annotation in (one for one in group.annotations if one.counts):
            if annotation.full_zoom is not None and annotation.annotator is not None:
                self._full_zoom.setdefault(annotation.annotator, []).append(annotation.full_zoom)
            times = self._seconds.setdefault(annotation.slot, array("d"))
            if annotation.seconds is None:
                self._num_untimed[annotation.slot] = self._num_untimed.get(annotation.slot, 0) + 1
            else:
                times.append(annotation.seconds)

    def result(self, protocol: Protocol, infer: bool) -> LabelStatistics:
        votes, people = self._by_slot.votes(), self._by_annotator.votes()
        consensus = np.array(self._consensus, dtype=np.int8)
        agreement = np.array(self._agreement, dtype=np.int32)[consensus != MISSING]
        levels, level_counts = np.unique(agreement, return_counts=True)
        table = consensus.reshape(self._num_groups, len(self._candidates))
        positives = (table == vote_of(Label.POSITIVE)).sum(axis=1)
        negatives = (table == vote_of(Label.NEGATIVE)).sum(axis=1)
        kappa, num_complete = fleiss_kappa(votes)
        inferred = None
        if infer and (people != MISSING).any():
            inferred = _infer_labels(self._by_annotator.raters, people, consensus)
        return LabelStatistics(
            protocol=protocol,
            num_groups=self._num_groups,
            candidates=self._candidates,
            slots=self._by_slot.raters,
            annotators=self._by_annotator.raters,
            votes=self._count_per_candidate(votes),
            consensus=self._count_per_candidate(consensus[:, None]),
            groups_by_positives=self._count_groups(positives),
            groups_by_negatives=self._count_groups(negatives),
            num_with_positive=int((positives > 0).sum()),
            num_all_similar=int((table == vote_of(Label.SIMILAR)).all(axis=1).sum()),
            num_without_consensus=int((table == MISSING).any(axis=1).sum()),
            agreement_levels=tuple(zip(levels.tolist(), level_counts.tolist(), strict=True)),
            alpha_nominal=krippendorff_alpha(votes, "nominal"),
            alpha_ordinal=krippendorff_alpha(votes, "ordinal"),
            fleiss=kappa,
            num_fleiss_items=num_complete,
            by_slot=_measure_agreement(self._by_slot.raters, votes, consensus),
            by_annotator=_measure_agreement(self._by_annotator.raters, people, consensus) if people.shape[1] else None,
            seconds=tuple(
                _summarise_seconds(self._seconds[slot], self._num_untimed.get(slot, 0)) for slot in self._by_slot.raters
            ),
            full_zoom=tuple((rater, sum(seen), len(seen)) for rater, seen in sorted(self._full_zoom.items())),
            dawid_skene=inferred,
            pairs=self._pairs.result(),
            choices=self._other.choices(),
            scores=self._other.scores(),
        )

    def _count_per_candidate(self, votes: Int8Array) -> tuple[LabelCounts, ...]:
        """Labels per candidate, of votes (groups x candidates, raters)."""
        per_candidate = votes.reshape(self._num_groups, len(self._candidates), votes.shape[1])
        return tuple(
            LabelCounts(
                **{label.class_name: int((per_candidate[:, k] == vote_of(label)).sum()) for label in Label},
                missing=int((per_candidate[:, k] == MISSING).sum()),
            )
            for k in range(len(self._candidates))
        )

    def _count_groups(self, numbers: npt.NDArray[np.int64]) -> tuple[int, ...]:
        return tuple(np.bincount(numbers, minlength=len(self._candidates) + 1).tolist())


def _measure_agreement(raters: tuple[str, ...], votes: Int8Array, consensus: Int8Array) -> RaterAgreement:
    share, shared_items = pairwise_agreement(votes)
    confusion = confusion_with_consensus(votes, consensus)
    return RaterAgreement(
        raters,
        share=tuple(tuple(row) for row in share.tolist()),
        shared_items=tuple(tuple(row) for row in shared_items.tolist()),
        confusion=tuple(tuple(tuple(row) for row in matrix) for matrix in confusion.tolist()),
    )


def _summarise_seconds(seconds: "array[float]", num_missing: int) -> SecondsSummary:
    if not seconds:
        return SecondsSummary(0, num_missing, *[math.nan] * 6)
    low, lower, median, upper, high = np.percentile(seconds, [5, 25, 50, 75, 95]).tolist()
    return SecondsSummary(len(seconds), num_missing, float(np.mean(seconds)), low, lower, median, upper, high)


def _infer_labels(annotators: tuple[str, ...], votes: Int8Array, consensus: Int8Array) -> DawidSkeneSummary:
    model = dawid_skene(votes)
    inferred = decide(model.posterior)
    given, agreed = votes != MISSING, consensus != MISSING
    judged = given.any(axis=1)
    right = np.take_along_axis(model.posterior, np.where(given, votes, 0).astype(np.intp), axis=1)  # (items, raters)
    return DawidSkeneSummary(
        tuple(zip(annotators, given.sum(axis=0).tolist(), (right * given).sum(axis=0).tolist(), strict=True)),
        prior=tuple(float(model.prior[vote_of(label)]) for label in Label),
        iterations=model.iterations,
        converged=model.converged,
        num_consensus=int(agreed.sum()),
        num_changed=int((agreed & (inferred != MISSING) & (inferred != consensus)).sum()),
        num_filled=int((judged & ~agreed & (inferred != MISSING)).sum()),
        num_undecided=int((judged & (inferred == MISSING)).sum()),
    )
