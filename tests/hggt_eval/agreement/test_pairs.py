from hggt_data.consensus import judge_group
from hggt_data.schema import Annotation, ConsensusRule, Label, PairVote, PatchGroup, Score
from hggt_eval.agreement.pairs import list_contents, list_pairs

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE


def _labelled(*votes: tuple[Label, Label, Label], rule: ConsensusRule = "hggt") -> PatchGroup:
    names = tuple(f"{k:02}" for k in range(1, len(votes) + 1))
    annotations = [Annotation(slot, labels) for slot, labels in zip("ABC", zip(*votes, strict=True), strict=True)]
    return judge_group("cat-0-0", names, annotations, rule=rule)


def _voted(*votes: PairVote) -> PatchGroup:
    return judge_group("x1", ("a", "b"), (), pairs=votes)


def test_candidates_are_judged_against_the_original_and_compared_by_inference() -> None:
    group = _labelled((N, N, P), (P, P, P), (S, S, N))
    assert [(p.first, p.second, p.share, p.kind, p.evidence, p.is_tie) for p in list_pairs(group, "cat")] == [
        ("01", "original", 0.0, "negative-original", "judged", False),
        ("02", "original", 1.0, "positive-original", "judged", False),
        ("03", "original", 0.5, "similar-original", "judged", True),
        ("02", "01", 1.0, "positive-negative", "inferred", False),
        ("03", "01", 1.0, "similar-negative", "inferred", False),
        ("02", "03", 1.0, "positive-similar", "inferred", False),
    ]
    [content] = list_contents(group, "cat")
    assert (content.evidence, content.values) == ("inferred", {"01": -1.0, "02": 1.0, "03": 0.0})


def test_candidates_without_a_majority_are_never_used() -> None:
    """By HGGT's rule their consensus is Similar with agreement 1."""
    for rule in ("hggt", "majority"):
        pairs = list_pairs(_labelled((P, S, N), (P, P, N), rule=rule), "cat")
        assert [(pair.first, pair.second) for pair in pairs] == [("02", "original")]


def test_votes_on_pairs_count_in_either_order() -> None:
    votes = [PairVote(first="a", second="b", preferred="first")] * 3
    votes += [PairVote(first="b", second="a", preferred="first"), PairVote(first="a", second="b", preferred="tie")]
    votes += [PairVote(first="original", second="a", preferred="tie")]
    votes += [PairVote(first="a", second="b", preferred="second", annotator_kind="model")]
    judged, tied = list_pairs(_voted(*votes), "x1")
    assert (judged.first, judged.second, judged.share, judged.kind) == ("a", "b", 1.0, "votes")
    # Three votes for a have others 2:1:1, b's has 3:0:1 and earns nothing, the tie earns half.
    assert judged.ceiling == (3 * 1 + 0 + 0.5) / 5
    assert (tied.first, tied.second, tied.kind, tied.is_tie) == ("a", "original", "votes-original", True)


def test_a_share_of_votes_is_the_credit_and_its_ceiling_has_no_bias() -> None:
    [pair] = list_pairs(_voted(PairVote(first="b", second="a", share=0.3, count=10)), "x1")
    assert (pair.first, round(pair.share, 6), pair.is_tie) == ("a", 0.7, False)
    assert round(pair.ceiling, 6) == round(48 / 90, 6)


def test_questions_are_never_pooled() -> None:
    votes = [PairVote(first="a", second="b", preferred=answer, question=answer) for answer in ("first", "second")]
    assert [(pair.question, pair.share) for pair in list_pairs(_voted(*votes), "x1")] == [
        ("first", 1.0),
        ("second", 0.0),
    ]
    assert [content.question for content in list_contents(_voted(*votes), "x1")] == ["first", "second"]


def test_opinion_scores_order_every_two_versions() -> None:
    """a has 3 from two ratings and 6 from one, so 4 on average; gold and model scores do not count."""
    scores = [Score("a", 3.0, votes=2), Score("a", 6.0), Score("b", 4.0), Score("original", 9.0, annotator="ann")]
    scores += [Score("b", 99.0, kind="gold"), Score("b", 99.0, annotator_kind="model")]
    group = judge_group("x1", ("a", "b"), (), scores=tuple(scores))
    assert [(p.first, p.second, p.share, p.kind, p.evidence, p.is_tie) for p in list_pairs(group, "x")] == [
        ("a", "b", 0.5, "scores", "scored", True),
        ("a", "original", 0.0, "scores-original", "scored", False),
        ("b", "original", 0.0, "scores-original", "scored", False),
    ]
    [content] = list_contents(group, "x")
    assert (content.picture, content.values) == ("x", {"a": 4.0, "b": 4.0, "original": 9.0})
