import math

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from hggt_eval.agreement.answers import Answers
from hggt_eval.agreement.correlations import correlate, pool, share_a_scale
from hggt_eval.agreement.measures import logistic_pearson
from hggt_eval.agreement.pairs import Content

NAMES = "abcdef"


def _contents(values: np.ndarray) -> list[Content]:
    """One content per row."""
    return [
        Content(f"g{k}", f"g{k}", "scored", None, dict(zip(NAMES, row, strict=False)))
        for k, row in enumerate(values.tolist())
    ]


def _answers(scores: np.ndarray, *, higher: bool = True) -> Answers:
    values = {(f"g{k}", NAMES[j]): float(score) for (k, j), score in np.ndenumerate(scores)}
    return Answers("own", higher, values)


def test_correlations_are_within_contents_and_constant_labels_are_left_out() -> None:
    """Against scipy, content by content; the last content's labels are all equal, and the third's scores."""
    labels = np.array([[1, 0, -1, 0], [1, 1, 0, -1], [1, -1, 0, 0], [0, 0, 0, 0]])
    scores = np.array([[0.1, 0.5, 0.4, 0.2], [3, 9, 5, 5], [2, 2, 2, 2], [1, 2, 3, 4]])
    found = correlate(_answers(scores, higher=False), _contents(labels))
    rho = [spearmanr(-scores[k], labels[k]).statistic for k in (0, 1)]
    tau = [kendalltau(-scores[k], labels[k]).statistic for k in (0, 1)]
    assert found.spearman == pytest.approx(sum(rho) / 3)
    assert found.kendall == pytest.approx(sum(tau) / 3)
    assert (found.groups, found.left_out) == (3, 1)
    # The t interval of the three contents' coefficients, cut off at -1.
    reach = 4.302653 * np.std([*rho, 0], ddof=1) / math.sqrt(3)
    assert found.spearman_interval == pytest.approx((max(-1, sum(rho) / 3 - reach), min(1, sum(rho) / 3 + reach)))


def test_pooled_values_are_over_all_versions_of_all_contents() -> None:
    rng = np.random.default_rng(0)
    values, scores = rng.normal(50, 9, (4, 6)), rng.normal(30, 4, (4, 6))
    found = pool(_answers(scores), _contents(values))
    assert found is not None
    assert found.versions == 24
    assert found.spearman == pytest.approx(spearmanr(scores.ravel(), values.ravel()).statistic)
    signs = np.sign(scores.ravel()[:, None] - scores.ravel()) * np.sign(values.ravel()[:, None] - values.ravel())
    assert found.kendall == pytest.approx(signs.sum() / (24 * 23))  # without ties, tau-b counts signs
    assert correlate(_answers(scores), _contents(values)).spearman != pytest.approx(found.spearman)


def test_pearson_follows_a_fitted_logistic() -> None:
    """On noise around 2 + 5 / (1 + exp(-(x - 30) / 2)) it is that of the best such curve, found by search."""
    rng = np.random.default_rng(1)
    scores = rng.uniform(15, 45, 200)
    values = 2 + 5 / (1 + np.exp(-(scores - 30) / 2)) + rng.normal(0, 0.4, 200)
    middles, widths = np.meshgrid(np.linspace(28, 32, 81), np.linspace(1, 3, 81))
    shapes = 1 / (1 + np.exp(-(scores - middles.reshape(-1, 1)) / widths.reshape(-1, 1)))
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    own = values - values.mean()
    # b1 and b2 are a line, which changes no correlation.
    best = (centred @ own / np.linalg.norm(centred, axis=1)).max() / np.linalg.norm(own)
    assert logistic_pearson(scores, values) == pytest.approx(best, abs=1e-4)
    assert best > pearsonr(scores, values).statistic + 0.02


def test_pearson_does_not_depend_on_the_unit_of_the_scores() -> None:
    rng = np.random.default_rng(2)
    scores = rng.uniform(0, 1, 50)
    values = np.tanh(3 * scores - 1) + rng.normal(0, 0.1, 50)
    assert logistic_pearson(1e-6 * scores - 4, values) == pytest.approx(logistic_pearson(scores, values), abs=1e-6)


def test_three_levels_have_no_pearson() -> None:
    rng = np.random.default_rng(3)
    assert math.isnan(logistic_pearson(rng.normal(size=90), rng.integers(-1, 2, 90).astype(float)))
    assert math.isnan(logistic_pearson(np.array([math.inf, *range(9)]), np.arange(10.0)))


def test_scores_that_were_rescaled_in_each_content_are_recognised() -> None:
    rng = np.random.default_rng(4)
    raw = rng.normal(50, 10, (20, 6)) + rng.normal(0, 10, (20, 1))
    low, high = raw.min(axis=1, keepdims=True), raw.max(axis=1, keepdims=True)
    assert share_a_scale(_contents(raw))
    assert not share_a_scale(_contents(np.round(100 * (raw - low) / (high - low), 2)))  # as SRIQA-Bench does
    assert not share_a_scale(_contents(raw - raw.mean(axis=1, keepdims=True)))
    assert not share_a_scale(_contents(raw[:1]))
