"""Correlations of a metric's scores with people's values: within contents, and pooled where there is one scale.

Labels, and strengths from votes, have no scale that contents share; so nothing but opinion scores is pooled, and these
only if they were not rescaled within each content.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hggt_eval.agreement.answers import Answers
from hggt_eval.agreement.means import Floats, Keys, means_by_picture
from hggt_eval.agreement.measures import kendall_tau_b, logistic_pearson, spearman
from hggt_eval.agreement.pairs import Content

# Means or extremes of contents that differ by less, as a share of the range of all scores, were made equal.
_SAME = 0.005


@dataclass(frozen=True, slots=True)
class Correlation:
    """Rank correlations within each content, averaged, with 95 % intervals by source picture.

    Attributes:
        spearman: Mean of Spearman's coefficients; NaN without contents.
        kendall: Mean of Kendall's tau-b.
        groups: Contents that count. If the metric's own scores are all equal there, both are 0.
        left_out: Contents in which people's values are all equal, or fewer than two are known.
        spearman_interval: Both ends; None with fewer than two source pictures.
        kendall_interval: Likewise.
    """

    spearman: float
    kendall: float
    groups: int
    left_out: int
    spearman_interval: tuple[float, float] | None = None
    kendall_interval: tuple[float, float] | None = None


NO_CORRELATION = Correlation(math.nan, math.nan, 0, 0)


@dataclass(frozen=True, slots=True)
class Pooled:
    """Correlations over the versions of all contents together.

    Attributes:
        spearman: Spearman's coefficient.
        kendall: Kendall's tau-b.
        pearson: Pearson's coefficient after a 4-parameter logistic; NaN where that cannot be fitted.
        versions: Versions with a score by the metric and by people.
    """

    spearman: float
    kendall: float
    pearson: float
    versions: int


def correlate(answers: Answers, contents: Sequence[Content]) -> Correlation:
    """Rank correlations of a metric's scores with people's values in each content, averaged; positive is agreement.

    Verdicts on pairs have no correlations.
    """
    found: list[tuple[float, float]] = []
    pictures: list[str] = []
    left_out = 0
    for content in () if answers.higher_is_better is None else contents:
        scores, values = _both(answers, content)
        if len(set(values.tolist())) < 2:
            left_out += 1
            continue
        pictures.append(content.picture)
        # Equal scores say nothing about the order.
        is_constant = len(set(scores.tolist())) < 2
        found.append((0.0, 0.0) if is_constant else (spearman(scores, values), kendall_tau_b(scores, values)))
    if not found:
        return Correlation(math.nan, math.nan, 0, left_out)
    of_both = dict(zip(("spearman", "kendall"), np.array(found).T, strict=True))
    means = means_by_picture(of_both, Keys.of(pictures), -1.0)
    intervals = [None if m.low is None or m.high is None else (m.low, m.high) for m in means.values()]
    return Correlation(means["spearman"].value, means["kendall"].value, len(found), left_out, *intervals)


def share_a_scale(contents: Sequence[Content]) -> bool:
    """Whether the scores of two or more contents can be compared: neither their extremes nor their means are all equal.

    Equal extremes show that each content was rescaled, as the MOS of SRIQA-Bench are (0 to 100); equal means, that
    it was centred.

    Example:
        >>> scores = {"x": (0.0, 5.0, 100.0), "y": (0.0, 9.0, 100.0)}
        >>> contents = [Content(k, k, "scored", None, dict(zip("abc", own))) for k, own in scores.items()]
        >>> share_a_scale(contents)
        False
    """
    values = [list(content.values.values()) for content in contents if len(content.values) > 1]
    if len(values) < 2:
        return False
    spread = max(map(max, values)) - min(map(min, values))
    ends = [max(map(side, values)) - min(map(side, values)) for side in (min, max)]
    means = [math.fsum(own) / len(own) for own in values]
    return max(ends) > _SAME * spread and max(means) - min(means) > _SAME * spread


def pool(answers: Answers, contents: Sequence[Content]) -> Pooled | None:
    """Correlations over all versions of all contents; None for verdicts on pairs, or if all values are equal."""
    if answers.higher_is_better is None:
        return None
    from scipy.stats import kendalltau, spearmanr  # ours within contents would need a table of all pairs

    scores, values = (np.concatenate(parts) for parts in zip(*(_both(answers, one) for one in contents), strict=True))
    if len(set(values.tolist())) < 2:
        return None
    if len(set(scores.tolist())) < 2:
        return Pooled(0.0, 0.0, math.nan, len(scores))
    return Pooled(
        float(spearmanr(scores, values).statistic),
        float(kendalltau(scores, values).statistic),
        logistic_pearson(scores, values),
        len(scores),
    )


def _both(answers: Answers, content: Content) -> tuple[Floats, Floats]:
    """Scores and people's values of the versions that have both; a higher score is better."""
    rated = {name: answers.quality(content.group, name) for name in content.values}
    known = [(score, content.values[name]) for name, score in rated.items() if score is not None]
    scores, values = np.array(known, np.float64).reshape(-1, 2).T
    return scores, values
