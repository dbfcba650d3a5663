"""Strengths and intervals of studies against choix, the strengths of hggt_data, simulations and hand-made votes."""

from dataclasses import replace

import choix
import numpy as np
import pytest

from hggt_data.schema import ChoiceVote, Label, PairVote, PatchGroup
from hggt_data.statistics.pair_votes import count_pairs
from hggt_data.statistics.strengths import pair_strengths
from hggt_eval.study.analysis import Analysis, analyse
from hggt_eval.study.bootstrap import Crossed, draw_counts, find_scale, intervals, p_values
from hggt_eval.study.model import make_model
from hggt_eval.study.result import list_warnings
from hggt_eval.study.variance import assume_components, find_components, plan_size
from hggt_eval.study.votes import collect_votes
from tests.hggt_eval.study.simulated import METHODS, Simulation, find_truth, simulate, statistics

PENALTY = 1 / (2 * 10**2)  # choix's, for our prior


def strengths_of(found: Analysis) -> list[float]:
    return [method.strength.value for method in found.methods]


def make_group(*votes: PairVote | ChoiceVote, name: str = "p", candidates: tuple[str, ...] = METHODS) -> PatchGroup:
    none: tuple[Label | None, ...] = (None,) * len(candidates)
    zeros = (0,) * len(candidates)
    return PatchGroup(
        name, name, None, None, candidates, (), none, zeros, zeros,
        pairs=tuple(vote for vote in votes if isinstance(vote, PairVote)),
        choices=tuple(vote for vote in votes if isinstance(vote, ChoiceVote)),
    )  # fmt: skip


def test_strengths_equal_those_of_choix() -> None:
    votes = simulate(Simulation(30, 10, 4, 0.5, 0.5), 0)
    # Without the side effect, which choix does not know: the lower index is always shown first.
    ordered = np.sort(votes.shown, axis=1)
    turned = votes.shown[:, 0] != ordered[:, 0]
    outcome = np.where(turned, 1 - votes.outcome, votes.outcome)
    fixed = replace(votes, shown=ordered, outcome=outcome)
    data = [(int(pair[k]), int(pair[1 - k])) for pair, k in zip(ordered, outcome, strict=True)]
    expected = choix.opt_pairwise(3, data, alpha=PENALTY)
    assert strengths_of(analyse(fixed, num_resamples=1)) == pytest.approx(expected, abs=1e-4)


def test_strengths_of_choices_equal_those_of_choix_for_sets_of_several_sizes() -> None:
    random = np.random.default_rng(2)
    groups, data = [], []
    for number in range(60):
        shown = [METHODS[k] for k in random.permutation(3)[: random.integers(2, 4)]]
        preferred = shown[random.integers(len(shown))]
        groups.append(make_group(ChoiceVote(tuple(shown), preferred, annotator=f"{number % 12}"), name=f"p{number}"))
        data.append((METHODS.index(preferred), tuple(METHODS.index(name) for name in shown if name != preferred)))
    [votes] = collect_votes(groups)
    expected = choix.opt_top1(3, data, alpha=PENALTY)
    found = analyse(votes, num_resamples=200)
    assert strengths_of(found) == pytest.approx(expected, abs=1e-4)
    assert found.pairs == ()  # never split into pairs
    assert sum(method.wins for method in found.methods) == 60


def test_strengths_ties_and_side_equal_those_of_pair_strengths() -> None:
    votes = simulate(Simulation(20, 8, 4, 0.5, 0.5, tie=0.6), 1)
    pairs = [
        PairVote(METHODS[i], METHODS[j], ("first", "second", "tie")[outcome], annotator="x")
        for (i, j), outcome in zip(votes.shown, votes.outcome, strict=True)
    ]
    expected = pair_strengths(count_pairs(pairs, METHODS), side_effect=True)
    found = analyse(votes, num_resamples=1)
    assert strengths_of(found) == pytest.approx(expected.values[:3], abs=1e-6)
    assert found.tie == pytest.approx(expected.tie)
    assert found.side is not None
    assert found.side.value == pytest.approx(expected.side)


def test_win_rates_count_ties_as_half() -> None:
    answers = ["first"] * 6 + ["second"] * 2 + ["tie"] * 4
    groups = [
        make_group(PairVote("a", "b", answer, annotator=f"{n}"), name=f"p{n}")  # type: ignore[arg-type]
        for n, answer in enumerate(answers)
    ]
    [votes] = collect_votes(groups)
    found = analyse(votes, "b", num_resamples=500)
    pair = found.pair("a", "b")
    assert pair is not None
    assert (pair.wins, pair.losses, pair.ties, pair.win_rate.value) == (6, 2, 4, 8 / 12)
    assert found.method("a").win_rate == pair.win_rate
    assert found.tie_share == pytest.approx(1 / 3)
    assert found.side is None  # shown in one order only


def test_a_share_of_votes_counts_as_these_votes() -> None:
    [votes] = collect_votes([make_group(PairVote("a", "b", share=0.7, count=100))])
    found = analyse(votes, num_resamples=1)
    assert votes.num_votes == 100
    assert found.method("a").win_rate.value == pytest.approx(0.7)


def test_questions_and_designs_are_apart_and_other_kinds_left_out() -> None:
    group = make_group(
        PairVote("a", "b", "first", annotator="1", question="sharper?"),
        PairVote("a", "b", "first", annotator="1", question="nicer?"),
        PairVote("a", "damaged-1", "first", annotator="1", question="nicer?", kind="gold"),
        PairVote("a", "b", "second", annotator="m", question="nicer?", annotator_kind="model"),
        ChoiceVote(("a", "b", "c"), "a", annotator="1", question="nicer?"),
    )
    found = collect_votes([group])
    assert [(votes.question, votes.design, votes.num_votes) for votes in found] == [
        ("sharper?", "pairs", 1), ("nicer?", "pairs", 1), ("nicer?", "best-of", 1),
    ]  # fmt: skip
    assert found[1].num_other == {"by models": 1, "gold": 1}
    assert found[1].methods == ("a", "b")


def test_a_vote_weighs_the_product_of_its_picture_and_its_person() -> None:
    """Two pictures and two people: each count is a product of two numbers of draws that sum to 2."""
    crossed = Crossed(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    [counts] = draw_counts(crossed, np.arange(4), np.ones(4), 4, 200, seed=0)
    tables = counts.reshape(-1, 2, 2)
    picture, person = tables.sum(axis=2) / 2, tables.sum(axis=1) / 2
    assert (picture.sum(axis=1) == 2).all()
    assert tables == pytest.approx(picture[:, :, None] * person[:, None, :])
    assert {0, 1, 2} == set(picture[:, 0]) == set(person[:, 0])


def test_quantiles_are_scaled_to_the_two_way_variance() -> None:
    """Independent votes of different people on different pictures: product weights triple their variance."""
    random = np.random.default_rng(0)
    value = random.normal(size=(900, 40))
    crossed = Crossed(np.repeat(np.arange(30), 30), np.tile(np.arange(30), 30))
    influence = (value - value.mean(axis=0)) / 900
    scale = find_scale(influence, crossed)
    assert 1 / 30 < scale.error.mean() < 1.25 / 30  # never below the variance between pictures or between people
    assert 3**-0.5 < scale.ratio.mean() < 1.2 * 3**-0.5
    alone = find_scale(influence, Crossed(np.arange(900), None))
    assert alone.error.mean() == pytest.approx(1 / 30, rel=0.02)
    assert alone.ratio == pytest.approx(1, rel=0.01)


def test_p_is_below_5_percent_where_the_interval_leaves_out_0() -> None:
    found = [analyse(simulate(Simulation(25, 12, 4, 0.5, 0.5), seed), "b", num_resamples=2_000) for seed in range(12)]
    differences = [one for analysis in found for one in analysis.differences]
    significant = [one.p is not None and one.p < 0.05 for one in differences]
    assert significant == [not one.strength.low <= 0 <= one.strength.high for one in differences]
    assert 3 < sum(significant) < 21
    assert all(one.p is not None and one.p_holm is not None and one.p_holm >= one.p for one in differences)


def test_intervals_need_no_draws_beyond_the_last() -> None:
    """For two people the t quantile is so far out that it is extrapolated."""
    draws = np.random.default_rng(0).normal(size=(1_000, 1))
    scale = find_scale(np.ones((4, 1)), Crossed(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])))
    low, high = intervals(np.zeros(1), draws, scale._replace(freedom=np.array([1.0]), ratio=np.array([1.0])))
    assert high[0] == pytest.approx(12.7, rel=0.1)
    assert low[0] == -high[0]
    extrapolated = scale._replace(freedom=np.array([1.0]), ratio=np.array([1.0]))
    for estimate, p in ((0.0, 1), (high[0], 0.05)):
        assert p_values(np.array([estimate]), draws, extrapolated, np.array([True]))[0] == pytest.approx(p)


@pytest.mark.parametrize(("best_of", "tie", "num_studies"), [(False, 0.4, 60), (True, 0.0, 60)])
def test_intervals_cover_the_truth_of_random_pictures_and_people(best_of: bool, tie: float, num_studies: int) -> None:
    """The long version is benchmarks/bench_coverage.py; its figures are in docs/studies.md."""
    design = Simulation(30, 15, 4, 0.5, 0.5, best_of, tie)
    truth = find_truth(design, 50_000)
    seeds = range(1_000, 1_000 + num_studies)
    found = np.array([statistics(analyse(simulate(design, seed), METHODS[-1], 500, seed)) for seed in seeds])
    covered = (found[..., 1] <= truth) & (truth <= found[..., 2])
    assert 0.92 <= covered.mean() <= 0.97


def test_the_variance_between_pictures_and_people_is_found() -> None:
    """On the scale of win rates, an effect of 1 log odds on the difference of two methods is about 0.2."""
    found = [
        find_components(votes, make_model(votes))
        for seed in range(8)
        for votes in [simulate(Simulation(60, 30, 30, 0.8, 0.2), seed)]
    ]
    pictures = np.mean([components.picture_std for components in found if components])
    people = np.mean([components.person_std for components in found if components])
    assert 0.18 < pictures < 0.24
    assert 0.03 < people < 0.08


def test_a_planned_size_detects_what_it_says() -> None:
    """Simulated win rates of that distance from 50 % are significant in 80 % of studies."""
    components = assume_components(0.15, 0.1)
    size = plan_size(components, pictures=40, annotators=20, votes=5)
    random = np.random.default_rng(0)
    stds = (components.picture_std / 40**0.5, components.person_std / 20**0.5, components.vote_std / 200**0.5)
    rates = size.detectable + sum(random.normal(0, std, 20_000) for std in stds)
    assert np.mean(rates > size.half_width) == pytest.approx(0.8, abs=0.02)
    larger = plan_size(components, pictures=80, annotators=20, votes=5)
    assert larger.detectable < size.detectable < 0.5


def test_separation_and_unconnected_methods_are_reported() -> None:
    groups = [
        make_group(
            PairVote("a", "b", "first", annotator=f"{n}"),
            PairVote("c", "d", ("first", "second")[n % 2], annotator=f"{n}"),
            name=f"p{n}",
            candidates=("a", "b", "c", "d"),
        )
        for n in range(12)
    ]
    [votes] = collect_votes(groups)
    found = analyse(votes, num_resamples=200)
    warnings = " ".join(list_warnings(found))
    assert "Votes do not connect all methods (a, b; c, d)" in warnings
    assert "Separation (a won all its votes, b won none)" in warnings
    assert all(np.isfinite(strengths_of(found)))
    assert all(np.isnan(method.strength.low) for method in found.methods)
    against_d = {one.method: one for one in analyse(votes, "d", num_resamples=200).differences}
    assert np.isfinite(against_d["c"].strength.low)
    assert against_d["c"].p is not None
    assert np.isnan(against_d["a"].strength.low)
    assert against_d["a"].p is None  # no votes connect them
    choices = [make_group(ChoiceVote(METHODS, "a", annotator=f"{n}"), name=f"p{n}") for n in range(12)]
    [chosen] = collect_votes(choices)
    assert "a won all its votes" in " ".join(list_warnings(analyse(chosen, num_resamples=200)))
