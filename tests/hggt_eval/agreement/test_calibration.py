import numpy as np

from hggt_eval.agreement.calibration import best_threshold, calibrated_answers
from hggt_eval.agreement.means import Keys
from hggt_eval.agreement.pairs import Pair


def _calibrated(margins: dict[Pair, float]) -> dict[str, float]:
    pairs = list(margins)
    pictures = Keys.of(pair.picture for pair in pairs)
    found = calibrated_answers(np.array(list(margins.values())), pairs, pictures)
    return {pair.group: right for pair, right in zip(pairs, found.tolist(), strict=True) if right == right}


def test_the_smallest_threshold_with_most_right_answers() -> None:
    """Ties up to 0.1 or 0.3 give four right answers; up to 0, 0.2 or 0.6 only three."""
    margins, answers = np.array([-0.3, 0.1, 0.6, -0.9, 0.2]), np.array([0.0, 0.0, 1.0, -1.0, 1.0])
    assert best_threshold(margins, answers) == 0.1
    assert best_threshold(np.array([0.5, -0.5]), np.array([1.0, -1.0])) == 0


def test_the_threshold_is_chosen_on_other_source_pictures() -> None:
    """`a` alone would choose 0 and `b` 5; each is tested with the other's threshold."""
    pairs = {
        Pair("a1", "a", "x", "y", 1.0, "votes", "judged"): 2.0,
        Pair("a2", "a", "x", "y", 0.0, "votes", "judged"): -9.0,
        Pair("b1", "b", "x", "y", 0.5, "votes", "judged", is_tie=True): 5.0,
        Pair("b2", "b", "x", "y", 1.0, "votes", "judged"): 7.0,
        Pair("b3", "b", "x", "y", 0.9, "votes", "judged", is_share=True): 1.0,
        Pair("b4", "b", "x", "y", 1.0, "votes", "judged"): np.nan,
    }
    assert _calibrated(pairs) == {"a1": 0.0, "a2": 1.0, "b1": 0.0, "b2": 1.0}


def test_nothing_is_calibrated_without_human_ties_or_other_pictures() -> None:
    decided, tied = (Pair("a", "a", "x", "y", 1.0, "votes", "judged", is_tie=is_tie) for is_tie in (False, True))
    assert _calibrated({decided: 1.0}) == _calibrated({tied: 1.0, decided: 2.0}) == {}
