"""How well annotators agree, in numpy: alpha, kappa, pairwise agreement, confusion, Dawid-Skene. No I/O.

Votes are an integer array (items, raters): an item is one candidate of one group, a rater is a slot or an annotator,
a value is an index into `ORDINAL_LABELS`, and -1 is a missing vote. Arrays of another form raise ValueError.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hggt_data.schema import Label, PatchGroup

# From worst to best, unlike `Label.class_id`, whose integers count from best to worst.
ORDINAL_LABELS = (Label.NEGATIVE, Label.SIMILAR, Label.POSITIVE)
NUM_CLASSES = len(ORDINAL_LABELS)
MISSING = -1
# Added to every count of a rater's confusion, so that the logarithm is finite for a label the rater never gave.
_PSEUDO_COUNT = 0.01
# Probabilities that differ by less are equal.
_ROUNDING = 1e-9
_VOTES = {label: value for value, label in enumerate(ORDINAL_LABELS)}

Votes = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class FleissKappa(NamedTuple):
    """Fleiss' kappa, and the number of items with a vote of every rater, from which it was computed."""

    kappa: float
    num_items: int


class PairwiseAgreement(NamedTuple):
    """(raters, raters): the share of items on which two raters agree, and the number of items that both judged."""

    share: FloatArray
    shared_items: IntArray


class DawidSkene(NamedTuple):
    """The result of the Dawid-Skene model.

    Attributes:
        posterior: (items, classes) probability of each true class.
        confusion: (raters, classes, classes) `[r, true, given]`, the probability that rater r gives a class; rows sum
            to 1.
        prior: (classes,) frequency of each true class.
        iterations: number of iterations.
        converged: whether the last iteration changed no posterior by more than the tolerance.
    """

    posterior: FloatArray
    confusion: FloatArray
    prior: FloatArray
    iterations: int
    converged: bool


def vote_of(label: Label | None) -> int:
    """A label as an integer in an array of votes: 0 Negative, 1 Similar, 2 Positive, -1 missing."""
    return MISSING if label is None else _VOTES[label]


class VoteTable:
    """Collects votes group by group, one byte each; raters need not be known beforehand.

    Example:
        >>> table = VoteTable()
        >>> table.add(1, {"B": [Label.POSITIVE]})
        >>> table.add(1, {"A": [Label.NEGATIVE], "B": [Label.SIMILAR]})
        >>> table.raters, table.votes().tolist()
        (('A', 'B'), [[-1, 2], [0, 1]])
    """

    def __init__(self) -> None:
        self._num_items = 0
        self._columns: dict[str, array[int]] = {}

    def add(self, num_candidates: int, labels: Mapping[str, Sequence[Label | None]]) -> None:
        """Add a group: one item per candidate, and each rater's labels in the order of the candidates."""
        for rater, given in labels.items():
            if len(given) != num_candidates:
                raise ValueError(f"rater {rater!r} gave {len(given)} labels; expected {num_candidates}")
            column = self._columns.setdefault(rater, array("b"))
            self._pad(column)
            column.extend(vote_of(label) for label in given)
        self._num_items += num_candidates

    def _pad(self, column: "array[int]") -> None:
        """Mark the items before this group that the rater did not judge as missing."""
        column.extend([MISSING] * (self._num_items - len(column)))

    @property
    def raters(self) -> tuple[str, ...]:
        """Names of the raters, sorted: the columns of `votes`."""
        return tuple(sorted(self._columns))

    def votes(self) -> npt.NDArray[np.int8]:
        """All votes so far: int8 (items, raters)."""
        table = np.full((self._num_items, len(self._columns)), MISSING, dtype=np.int8)
        for k, rater in enumerate(self.raters):
            column = self._columns[rater]
            table[: len(column), k] = column
        return table


def labels_by_slot(group: PatchGroup) -> dict[str, tuple[Label | None, ...]]:
    """Slot to labels, of people's votes."""
    return {annotation.slot: annotation.labels for annotation in group.annotations if annotation.counts}


def labels_by_annotator(group: PatchGroup) -> dict[str, tuple[Label | None, ...]]:
    """Annotator to labels, of people's votes whose annotator is known; of two slots by one, the first counts."""
    labels: dict[str, tuple[Label | None, ...]] = {}
    for annotation in group.annotations:
        if annotation.counts and annotation.annotator is not None:
            labels.setdefault(annotation.annotator, annotation.labels)
    return labels


def votes_of(
    groups: Iterable[PatchGroup], by: Literal["slot", "annotator"] = "slot"
) -> tuple[npt.NDArray[np.int8], tuple[str, ...]]:
    """The votes of patch groups, (groups x candidates, raters), and the sorted names of the raters.

    A rater is a slot, in which several people may have voted, or an annotator; see `labels_by_annotator`.

    Example:
        >>> from hggt_data import Annotation
        >>> from hggt_data.consensus import judge_group
        >>> annotations = [Annotation("A", (Label.POSITIVE, Label.NEGATIVE)), Annotation("B", (Label.SIMILAR,) * 2)]
        >>> votes, raters = votes_of([judge_group("cat-0-8", ("01", "02"), annotations)])
        >>> raters, votes.tolist()
        (('A', 'B'), [[2, 1], [0, 1]])
    """
    labels_of = labels_by_slot if by == "slot" else labels_by_annotator
    table = VoteTable()
    for group in groups:
        table.add(len(group.candidates), labels_of(group))
    return table.votes(), table.raters


def krippendorff_alpha(votes: Votes, level: Literal["nominal", "ordinal"] = "nominal") -> float:
    """Krippendorff's alpha: 1 is perfect agreement, 0 is chance, below 0 is systematic disagreement; NaN if undefined.

    Only the number of votes per class of an item counts, not who gave them, so alpha over slots is also alpha over
    annotators. Items with fewer than two votes do not count. `ordinal` treats Positive against Negative as worse than
    either against Similar.

    Source: Hayes and Krippendorff, Answering the Call for a Standard Reliability Measure for Coding Data, 2007,
    https://doi.org/10.1080/19312450709336664
    """
    if level not in ("nominal", "ordinal"):
        raise ValueError(f"level is {level!r}; expected 'nominal' or 'ordinal'")
    counts = _class_counts(_require_votes(votes, NUM_CLASSES), NUM_CLASSES)
    counts = counts[counts.sum(axis=1) >= 2]
    # Each ordered pair of votes of an item is a coincidence; an item is weighted by its number of votes.
    weighted = counts / (counts.sum(axis=1, keepdims=True) - 1)
    coincidences = weighted.T @ counts - np.diag(weighted.sum(axis=0))
    totals = counts.sum(axis=0)
    distances = _distances(totals, level)
    expected = totals @ distances @ totals
    if expected == 0:
        return float("nan")
    return float(1 - (totals.sum() - 1) * (coincidences * distances).sum() / expected)


def _distances(totals: FloatArray, level: str) -> FloatArray:
    """(classes, classes) squared differences between classes; ordinal ones count the votes between the two classes."""
    if level == "nominal":
        return 1 - np.eye(len(totals))
    ranks = np.cumsum(totals) - totals / 2
    return (ranks[:, None] - ranks[None, :]) ** 2


def fleiss_kappa(votes: Votes) -> FleissKappa:
    """Fleiss' kappa: 1 is perfect agreement, 0 is chance; all disagreements count equally. NaN if undefined.

    Kappa needs the same number of votes for each item, so items with a missing vote are left out.

    Source: Fleiss, Measuring nominal scale agreement among many raters, 1971, https://doi.org/10.1037/h0031619
    """
    votes = _require_votes(votes, NUM_CLASSES)
    num_raters = votes.shape[1]
    counts = _class_counts(votes[(votes != MISSING).all(axis=1)], NUM_CLASSES)
    if num_raters < 2 or len(counts) == 0 or np.count_nonzero(counts.sum(axis=0)) == 1:
        return FleissKappa(float("nan"), len(counts))
    observed = ((counts**2).sum(axis=1) - num_raters).mean() / (num_raters * (num_raters - 1))
    expected = (counts.mean(axis=0) / num_raters) @ (counts.mean(axis=0) / num_raters)
    return FleissKappa(float((observed - expected) / (1 - expected)), len(counts))


def pairwise_agreement(votes: Votes) -> PairwiseAgreement:
    """How often two raters give the same label to items that both judged, not corrected for chance; NaN without any."""
    votes = _require_votes(votes, NUM_CLASSES)
    # float64 represents these counts exactly, and its matrix product is much faster than that of integers.
    judged = (votes != MISSING).astype(np.float64)
    shared = judged.T @ judged
    agreed = np.zeros_like(shared)
    for value in range(NUM_CLASSES):
        given = (votes == value).astype(np.float64)
        agreed += given.T @ given
    share = np.divide(agreed, shared, out=np.full_like(shared, np.nan), where=shared > 0)
    return PairwiseAgreement(share, shared.astype(np.int64))


def confusion_with_consensus(votes: Votes, consensus: Votes) -> IntArray:
    """(raters, 3, 3) counts `[r, consensus, given]`; items without a consensus (-1) do not count.

    A rater's own vote is part of the consensus, so the counts overestimate agreement, the more so the fewer raters.
    """
    votes = _require_votes(votes, NUM_CLASSES)
    if consensus.shape != (len(votes),):
        raise ValueError(f"consensus has shape {consensus.shape}; expected ({len(votes)},), one per item")
    consensus = _require_votes(consensus[:, None], NUM_CLASSES)[:, 0]
    confusion = np.zeros((votes.shape[1], NUM_CLASSES, NUM_CLASSES), dtype=np.int64)
    for r, given in enumerate(votes.T):
        counted = (given != MISSING) & (consensus != MISSING)
        np.add.at(confusion[r], (consensus[counted], given[counted]), 1)
    return confusion


def dawid_skene(
    votes: Votes, num_classes: int = NUM_CLASSES, iterations: int = 10_000, tolerance: float = 1e-6
) -> DawidSkene:
    """Infer true labels and each rater's errors from each other, by expectation maximisation; deterministic.

    Useful if votes are missing or raters differ much in care; with three complete votes of similar raters it can be
    worse than the majority. It starts from the shares of the votes, and stops when no posterior changes by more than
    `tolerance`, or after `iterations`, not converged. An item without votes gets the prior.

    Source: Dawid and Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm, 1979,
    https://doi.org/10.2307/2346806. We add 0.01 to each count of a rater's confusion.
    """
    votes = _require_votes(votes, num_classes)
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}; expected 1 or more")
    judged = (votes != MISSING).any(axis=1)
    if not judged.any():
        raise ValueError("there are no votes")
    patterns, pattern_of, num_items = _distinct_rows(votes[judged])  # with the same votes, the posterior is the same
    item, rater = np.nonzero(patterns != MISSING)
    given = _GivenVotes(item, rater, patterns[item, rater], *patterns.shape)
    counts = _class_counts(patterns, num_classes)
    posterior = counts / counts.sum(axis=1, keepdims=True)
    iteration, change = 0, np.inf
    while iteration < iterations and change > tolerance:
        weighted = posterior * num_items[:, None]
        prior = weighted.sum(axis=0) / num_items.sum()
        confusion = _rater_confusion(given, weighted)
        updated = _posterior(given, confusion, prior)
        change = np.abs(updated - posterior).max()
        posterior = updated
        iteration += 1
    whole = np.tile(prior, (len(votes), 1))
    whole[judged] = posterior[pattern_of]
    return DawidSkene(whole, confusion, prior, iteration, bool(change <= tolerance))


def decide(posterior: FloatArray) -> npt.NDArray[np.int8]:
    """The most probable class of each item, (items,); -1 where the two most probable are equally so."""
    ordered = np.sort(posterior, axis=1)
    tied = ordered[:, -1] - ordered[:, -2] <= _ROUNDING
    return np.where(tied, MISSING, posterior.argmax(axis=1)).astype(np.int8)


def _distinct_rows(votes: Votes) -> tuple[Votes, IntArray, IntArray]:
    """The distinct rows, the number of each row among them, and how often each of them occurs."""
    rows = np.ascontiguousarray(votes).view(f"V{votes.itemsize * votes.shape[1]}")[:, 0]  # faster than `axis=0`
    _, first, number, count = np.unique(rows, return_index=True, return_inverse=True, return_counts=True)
    return votes[first], number, count


class _GivenVotes(NamedTuple):
    """The votes that are not missing: item, rater and class of each; and the numbers of items and raters."""

    item: IntArray
    rater: IntArray
    label: Votes
    num_items: int
    num_raters: int


def _rater_confusion(votes: _GivenVotes, weights: FloatArray) -> FloatArray:
    """(raters, classes, classes) probability that a rater gives a class, for each true class: the M-step.

    `weights` (items, classes) are the expected numbers of items of each true class with these votes.
    """
    shape = votes.num_raters, weights.shape[1]
    cell = np.ravel_multi_index((votes.rater, votes.label), shape)
    counts = np.stack([np.bincount(cell, weight[votes.item], np.prod(shape)) for weight in weights.T])
    confusion = counts.reshape(-1, *shape).transpose(1, 0, 2) + _PSEUDO_COUNT  # (raters, true, given)
    return np.asarray(confusion / confusion.sum(axis=2, keepdims=True))


def _posterior(votes: _GivenVotes, confusion: FloatArray, prior: FloatArray) -> FloatArray:
    """(items, classes) probability of each true class, given the raters' confusion: the E-step."""
    # Logarithms, because the product over many raters underflows.
    evidence = np.log(confusion)[votes.rater, :, votes.label]  # (votes, true)
    sums = np.stack([np.bincount(votes.item, part, votes.num_items) for part in evidence.T], axis=1)
    with np.errstate(divide="ignore"):  # a class without any vote has prior 0 and stays impossible
        scores = np.log(prior) + sums
    likelihood = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(likelihood / likelihood.sum(axis=1, keepdims=True))


def _require_votes(votes: Votes, num_classes: int) -> Votes:
    if votes.ndim != 2:
        raise ValueError(f"votes have shape {votes.shape}; expected (items, raters)")
    if not np.issubdtype(votes.dtype, np.integer):
        raise ValueError(f"votes are {votes.dtype}; expected integers, with -1 for a missing vote")
    wrong = votes[(votes < MISSING) | (votes >= num_classes)]
    if wrong.size:
        raise ValueError(f"votes contain {wrong[0]}; expected 0 to {num_classes - 1}, or -1 for a missing vote")
    return votes


def _class_counts(votes: Votes, num_classes: int) -> FloatArray:
    """(items, classes) number of votes for each class."""
    return np.stack([(votes == value).sum(axis=1) for value in range(num_classes)], axis=1).astype(np.float64)
