"""Agreement statistics against the packages krippendorff and statsmodels, a slow reference, and hand-made cases."""

import math
from typing import Literal

import krippendorff
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from hggt_data import Annotation, Label, PatchGroup
from hggt_data.consensus import judge_group
from hggt_data.statistics.agreement import (
    FloatArray,
    Votes,
    VoteTable,
    confusion_with_consensus,
    dawid_skene,
    decide,
    fleiss_kappa,
    krippendorff_alpha,
    pairwise_agreement,
    votes_of,
)

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE

vote_arrays = arrays(
    np.int8, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.integers(-1, 2), fill=st.nothing()
)


def planted(
    seed: int, num_items: int, accuracies: list[float], missing: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """True classes, and votes of raters who are right with the given probability and else give another class."""
    random = np.random.default_rng(seed)
    truth = random.choice(3, size=num_items, p=[0.2, 0.3, 0.5])
    votes = np.empty((num_items, len(accuracies)), dtype=np.int64)
    for r, accuracy in enumerate(accuracies):
        other = (truth + random.integers(1, 3, size=num_items)) % 3
        votes[:, r] = np.where(random.random(num_items) < accuracy, truth, other)
    votes[random.random(votes.shape) < missing] = -1
    return truth, votes


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_fleiss_equals_statsmodels_on_complete_items(missing: float) -> None:
    _, votes = planted(0, 200, [0.9, 0.7, 0.5], missing)
    complete = votes[(votes >= 0).all(axis=1)]
    kappa, num_items = fleiss_kappa(votes)
    assert kappa == pytest.approx(statsmodels_fleiss(aggregate_raters(complete)[0]), abs=1e-12)
    assert num_items == len(complete)


@settings(max_examples=40)
@given(vote_arrays, st.sampled_from(["nominal", "ordinal"]))
def test_alpha_equals_the_krippendorff_package_on_any_votes(votes: Votes, level: Literal["nominal", "ordinal"]) -> None:
    alpha = krippendorff_alpha(votes, level)
    assume(not math.isnan(alpha))
    reliability = np.where(votes < 0, np.nan, votes).T
    expected = krippendorff.alpha(reliability_data=reliability, level_of_measurement=level)
    assert alpha == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "votes",
    [
        np.empty((0, 3), dtype=np.int8),
        np.empty((4, 0), dtype=np.int8),
        np.array([[2, -1], [-1, 0]]),
        np.array([[1, 1], [1, 1]]),
        np.array([[0], [2]]),
    ],
    ids=["no item", "no rater", "no shared item", "one class", "one rater"],
)
def test_undefined_alpha_and_kappa_are_nan(votes: Votes) -> None:
    assert math.isnan(krippendorff_alpha(votes, "nominal"))
    assert math.isnan(krippendorff_alpha(votes, "ordinal"))
    assert math.isnan(fleiss_kappa(votes).kappa)


@pytest.mark.parametrize("unanimous", [np.array([[0, 0, 0], [2, 2, 2]]), np.array([[1, 1, 1], [2, 2, 2]])])
def test_full_agreement_is_one(unanimous: Votes) -> None:
    assert krippendorff_alpha(unanimous) == krippendorff_alpha(unanimous, "ordinal") == 1
    assert fleiss_kappa(unanimous) == (1, 2)


@settings(max_examples=40)
@given(vote_arrays)
def test_pairwise_agreement_equals_a_plain_loop(votes: Votes) -> None:
    share, shared = pairwise_agreement(votes)
    for a in range(votes.shape[1]):
        for b in range(votes.shape[1]):
            pairs = [(x, y) for x, y in zip(votes[:, a], votes[:, b], strict=True) if x >= 0 and y >= 0]
            assert shared[a, b] == len(pairs)
            if pairs:
                assert share[a, b] == pytest.approx(sum(x == y for x, y in pairs) / len(pairs))
            else:
                assert math.isnan(share[a, b])


def test_confusion_by_hand() -> None:
    votes = np.array([[2, 1], [2, 0], [0, -1], [1, 1]])
    confusion = confusion_with_consensus(votes, np.array([2, 2, 0, -1]))
    assert confusion[0].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 2]]
    assert confusion[1].tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]


def reference_dawid_skene(votes: Votes, rounds: int) -> list[FloatArray]:
    """Dawid and Skene as the paper has it: products of probabilities, one vote at a time, on items that have votes."""
    num_items, num_raters = votes.shape
    posterior = []
    for item in votes.tolist():
        given = [vote for vote in item if vote >= 0]
        posterior.append([given.count(k) / len(given) for k in range(3)])
    for _ in range(rounds):
        prior = [sum(posterior[i][k] for i in range(num_items)) / num_items for k in range(3)]
        confusion = []
        for r in range(num_raters):
            rows = [[0.01, 0.01, 0.01] for _ in range(3)]
            for i in range(num_items):
                if votes[i, r] >= 0:
                    for k in range(3):
                        rows[k][votes[i, r]] += posterior[i][k]
            confusion.append([[count / sum(row) for count in row] for row in rows])
        for i in range(num_items):
            products = list(prior)
            for r in range(num_raters):
                if votes[i, r] >= 0:
                    products = [products[k] * confusion[r][k][votes[i, r]] for k in range(3)]
            posterior[i] = [product / sum(products) for product in products]
    return [np.array(posterior), np.array(confusion), np.array(prior)]


@pytest.mark.parametrize("rounds", [1, 7])
def test_dawid_skene_equals_a_plain_loop(rounds: int) -> None:
    _, votes = planted(3, 60, [0.9, 0.6, 0.5], missing=0.4)
    votes = votes[(votes >= 0).any(axis=1)]
    expected = reference_dawid_skene(votes, rounds)
    model = dawid_skene(votes, iterations=rounds, tolerance=0)
    for found, wanted in zip((model.posterior, model.confusion, model.prior), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-10)
    assert (model.iterations, model.converged) == (rounds, False)


def test_dawid_skene_finds_the_raters_accuracies() -> None:
    _, votes = planted(0, 5000, [0.95, 0.8, 0.7], missing=0.1)
    model = dawid_skene(votes)
    accuracies = [float(model.prior @ np.diag(matrix)) for matrix in model.confusion]
    assert accuracies == pytest.approx([0.95, 0.8, 0.7], abs=0.03)


@settings(max_examples=40)
@given(vote_arrays)
def test_dawid_skene_gives_probabilities_for_any_votes(votes: Votes) -> None:
    assume((votes >= 0).any())
    posterior, confusion, prior, *_ = dawid_skene(votes, iterations=5)
    np.testing.assert_allclose(posterior.sum(axis=1), 1)
    np.testing.assert_allclose(confusion.sum(axis=2), 1)
    assert prior.sum() == pytest.approx(1)
    assert min(posterior.min(), confusion.min(), prior.min()) >= 0
    reordered = dawid_skene(votes[:, ::-1], iterations=5)
    np.testing.assert_allclose(reordered.posterior, posterior, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_dawid_skene_runs_until_nothing_changes_even_for_raters_right_half_of_the_time(seed: int) -> None:
    _, votes = planted(seed, 2000, [0.5] * 5, missing=0.0)
    model = dawid_skene(votes)
    assert model.converged
    assert model.iterations > 100
    again = dawid_skene(votes, iterations=model.iterations + 1, tolerance=0)
    np.testing.assert_allclose(again.posterior, model.posterior, atol=1e-6)
    assert not dawid_skene(votes, iterations=100).converged


def test_an_exact_tie_is_no_decision() -> None:
    model = dawid_skene(np.array([[0, 2], [2, 0], [1, 1], [0, 0], [2, 2]]))
    assert decide(model.posterior).tolist() == [-1, -1, 1, 0, 2]


def test_with_few_pictures_and_raters_of_the_same_care_the_majority_is_better() -> None:
    shares = []
    for seed in range(10):
        truth, votes = planted(seed, 400, [0.7, 0.7, 0.7], missing=0.0)
        counts = np.stack([(votes == value).sum(axis=1) for value in range(3)], axis=1)
        majority = np.where(counts.max(axis=1) > 1, counts.argmax(axis=1), 1)
        shares.append([(found == truth).mean() for found in (majority, decide(dawid_skene(votes).posterior))])
    majority_share, model_share = np.mean(shares, axis=0)
    assert majority_share > model_share + 0.005


def test_an_item_without_votes_gets_the_prior_and_changes_nothing() -> None:
    _, votes = planted(1, 50, [0.9, 0.8], missing=0.0)
    alone = dawid_skene(votes)
    padded = dawid_skene(np.vstack([votes, [[-1, -1]]]))
    np.testing.assert_array_equal(padded.posterior[:-1], alone.posterior)
    np.testing.assert_array_equal(padded.posterior[-1], alone.prior)


def test_many_raters_do_not_underflow() -> None:
    votes = np.tile(np.array([[0], [1], [2]]), (1, 2000))
    assert dawid_skene(votes).posterior.argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        (np.array([1, 2]), "shape"),
        (np.array([[0.5, 1.0]]), "float64"),
        (np.array([[-2, 0]]), "contain -2"),
    ],
)
def test_wrong_votes_are_refused(votes: Votes, message: str) -> None:
    for function in (krippendorff_alpha, fleiss_kappa, pairwise_agreement, dawid_skene):
        with pytest.raises(ValueError, match=message):
            function(votes)


def test_wrong_arguments_are_refused() -> None:
    votes = np.array([[0, 1]])
    with pytest.raises(ValueError, match="level is 'interval'"):
        krippendorff_alpha(votes, "interval")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one per item"):
        confusion_with_consensus(votes, np.array([0, 1]))
    with pytest.raises(ValueError, match="iterations is 0"):
        dawid_skene(votes, iterations=0)
    with pytest.raises(ValueError, match="no votes"):
        dawid_skene(np.full((2, 2), -1))


def group(left: int, **labels: tuple[str, tuple[Label, ...]]) -> PatchGroup:
    """A group with two candidates; slot to (annotator, labels)."""
    annotations = [Annotation(slot, given, annotator=name or None) for slot, (name, given) in labels.items()]
    return judge_group(f"cat-0-{left}", ("01", "02"), annotations)


def test_votes_by_slot_and_by_annotator() -> None:
    groups = [
        group(0, A=("kim", (P, N)), B=("lee", (S, S))),
        group(1),
        group(2, A=("lee", (N, P)), C=("", (P, P))),
    ]
    votes, slots = votes_of(iter(groups))
    assert slots == ("A", "B", "C")
    assert votes.dtype == np.int8
    assert votes.tolist() == [[2, 1, -1], [0, 1, -1], [-1] * 3, [-1] * 3, [0, -1, 2], [2, -1, 2]]
    votes, annotators = votes_of(iter(groups), by="annotator")
    assert annotators == ("kim", "lee")
    assert votes.tolist() == [[2, 1], [0, 1], [-1, -1], [-1, -1], [-1, 0], [-1, 2]]


def test_an_annotator_in_two_slots_counts_with_the_first() -> None:
    votes, annotators = votes_of([group(0, A=("kim", (P, N)), B=("kim", (S, S)))], by="annotator")
    assert (votes.tolist(), annotators) == ([[2], [0]], ("kim",))


def test_a_wrong_number_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="rater 'A' gave 1 labels; expected 2"):
        VoteTable().add(2, {"A": [P]})
