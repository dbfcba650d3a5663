"""Statistics of votes on pairs: what counts, agreement, the side, and strengths, in hand-made cases."""

import json
import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from hggt_data import PairVote, PatchGroup
from hggt_data.consensus import judge_group
from hggt_data.statistics.counts import measure_labels
from hggt_data.statistics.page import format_statistics_html
from hggt_data.statistics.pair_votes import PairStatistics, PairTally, group_strengths
from hggt_data.statistics.text import format_statistics
from tests.hggt_data.memory_source import VotesSource


def group(*votes: PairVote, name: str = "cat", candidates: tuple[str, ...] = ("a", "b", "c")) -> PatchGroup:
    return judge_group(name, candidates, [], pairs=votes)


def measure(*groups: PatchGroup) -> PairStatistics:
    tally = PairTally(groups[0].candidates)
    for one in groups:
        tally.add(one)
    (found,) = tally.result()
    return found


def wins(first: str, second: str, count: int = 1) -> PairVote:
    return PairVote(first=first, second=second, preferred="first", count=count)


def tie(first: str, second: str, count: int = 1) -> PairVote:
    return PairVote(first=first, second=second, preferred="tie", count=count)


def test_votes_ties_and_pairs_are_counted() -> None:
    found = measure(group(wins("a", "b", 3), tie("b", "a"), wins("b", "c")), group(tie("original", "c", 2), name="dog"))
    assert (found.num_votes, found.num_ties, found.num_pairs, found.fewest, found.most) == (7, 3, 3, 1, 4)
    assert [(one.name, one.wins, one.losses, one.ties) for one in found.versions] == [
        ("a", 3, 0, 1),
        ("b", 1, 3, 1),
        ("c", 0, 1, 2),
        ("original", 0, 0, 2),
    ]
    assert found.versions[1].win_rate == 0.3


def test_an_original_that_no_vote_concerns_is_not_listed() -> None:
    assert [one.name for one in measure(group(wins("a", "b"))).versions] == ["a", "b", "c"]


def test_votes_of_models_and_control_votes_are_counted_apart() -> None:
    others = [
        PairVote(first="b", second="a", preferred="first", annotator_kind="model", count=5),
        PairVote(first="b", second="a", preferred="first", kind="gold"),
        PairVote(first="b", second="a", preferred="first", kind="repeat"),
    ]
    found = measure(group(wins("a", "b"), *others))
    assert found.num_votes == 1
    assert found.num_other == {"by models": 5, "gold": 1, "repeat": 1}
    assert found.won_all == ("a",)


def test_agreement_is_the_share_of_two_votes_that_are_equal_whatever_the_order_shown() -> None:
    two_of_three = group(
        wins("a", "b"), PairVote(first="b", second="a", preferred="second"), tie("a", "b"), wins("a", "c")
    )
    found = measure(two_of_three, group(tie("a", "b", 2), name="dog"))
    assert found.agreement == pytest.approx((1 / 3 + 1) / 2)
    assert found.chance == pytest.approx((1 / 2) ** 2 + (1 / 2) ** 2 / 2)
    assert found.beyond_chance == pytest.approx((found.agreement - found.chance) / (1 - found.chance))
    assert math.isnan(measure(group(wins("a", "b"))).agreement)


def test_a_share_counts_as_so_many_votes_for_each_version() -> None:
    found = measure(group(PairVote(first="a", second="b", share=0.7, count=10), wins("b", "c")))
    assert (found.num_votes, found.num_in_shares, found.num_ties) == (11, 10, 0)
    assert (found.versions[0].wins, found.versions[0].losses) == pytest.approx((7, 3))


def test_the_share_of_the_version_shown_first_weighs_both_orders_alike() -> None:
    """Shown first, a wins 9 of 10 and b wins 1 of 2: 0.7 on average; a and c appear in one order only."""
    found = measure(
        group(
            wins("a", "b", 9),
            PairVote(first="a", second="b", preferred="second"),
            wins("b", "a"),
            PairVote(first="b", second="a", preferred="second"),
            wins("a", "c", 5),
        )
    )
    assert found.first_share == pytest.approx(0.7)
    assert found.side > 0


def test_without_both_orders_the_side_is_unknown() -> None:
    found = measure(group(wins("a", "b", 9), wins("b", "c")))
    assert math.isnan(found.first_share)
    assert math.isnan(found.side)


def test_questions_are_not_pooled() -> None:
    sharp = PairVote(first="a", second="b", preferred="first", question="Which is sharper?")
    natural = PairVote(first="a", second="b", preferred="second", question="Which is more natural?")
    tally = PairTally(("a", "b"))
    tally.add(group(sharp, natural, candidates=("a", "b")))
    assert [(one.question, one.won_all) for one in tally.result()] == [
        ("Which is sharper?", ("a",)),
        ("Which is more natural?", ("b",)),
    ]
    assert group_strengths(group(sharp, natural, candidates=("a", "b"))) == ([None] * 3, [None] * 3)


def test_strengths_of_a_group_are_in_the_order_of_its_candidates_and_the_original_last() -> None:
    one = group(wins("a", "original", 6), wins("original", "a", 2), tie("a", "original", 2))
    strengths, mos = group_strengths(one)
    assert strengths[1:3] == [None, None]
    assert (strengths[0], strengths[3]) == pytest.approx((math.log(3) / 2, -math.log(3) / 2), abs=0.01)
    assert mos == [100, None, None, 0]


def test_text_json_and_page_show_pairs_instead_of_empty_tables_of_labels() -> None:
    stats = measure_labels(VotesSource(group(wins("a", "b", 3), tie("b", "a"), wins("b", "c")), group(name="dog")))
    text = format_statistics(stats)
    assert "no label votes" in text
    assert "Labels per candidate" not in text
    assert re.search(r"ties +1 +20.0%", text)
    assert re.search(r"a +\+\d\.\d\d +87.5% +3 +1 +0", text)
    assert "No two versions were shown in both orders" in text
    assert "SOME VERSIONS WON EVERY VOTE" in text
    content = json.loads(json.dumps(stats.to_json(), allow_nan=False))
    assert content["pairs"][0]["versions"]["a"]["ties"] == 1
    page = format_statistics_html(stats, "pairs")
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert "Strength of each version" in page
    assert "Labels per candidate" not in page


def test_unconnected_versions_are_reported() -> None:
    stats = measure_labels(
        VotesSource(group(wins("a", "b"), wins("b", "a"), tie("c", "d"), candidates=("a", "b", "c", "d")))
    )
    assert "NO VOTES CONNECT these parts, so compare strengths within each only: a, b; c, d." in " ".join(
        format_statistics(stats).split()
    )
