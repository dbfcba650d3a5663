"""The rules that turn the votes of several annotators into one label per candidate."""

from collections import Counter
from collections.abc import Sequence

from hggt_data.schema import Annotation, ChoiceVote, Consensus, ConsensusRule, Label, PairVote, PatchGroup, Score


def consensus_label(labels: Sequence[Label | None], rule: ConsensusRule = "hggt") -> Consensus:
    """The consensus of any number of votes for one candidate.

    The label with strictly most votes wins if two or more gave it. A tie at the top, or votes that all differ, give
    Similar with agreement 1 by HGGT's rule, and no label by the rule `majority`. Fewer than two votes give no label.

    Args:
        labels: One vote per annotator; None is a missing vote and does not count.
        rule: What votes without a majority give.

    Returns:
        The label, how many gave it, and how many voted.

    Raises:
        TypeError: A vote is neither a `Label` nor None.

    Example:
        >>> from hggt_data import Label, consensus_label
        >>> consensus_label([Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE])
        Consensus(label=<Label.SIMILAR: 'Similar'>, agreement=1, num_votes=3)

    Source: for exactly three votes, the rule of the official loader (`paired_labeled_image_dataset.py`), and for
    `majority` that of DiffIQA (CVPR 2025), which drops such candidates; other numbers of votes are our extension.
    """
    for vote in labels:
        if not (vote is None or isinstance(vote, Label)):
            raise TypeError(f"a vote is {vote!r}; expected a Label or None")
    votes = Counter(label for label in labels if label is not None)
    num_votes = votes.total()
    if num_votes < 2:
        return Consensus(None, 0, num_votes)
    (label, count), *others = votes.most_common()
    if count < 2 or (others and others[0][1] == count):
        return Consensus(Label.SIMILAR, 1, num_votes) if rule == "hggt" else Consensus(None, 0, num_votes)
    return Consensus(label, count, num_votes)


def judge_group(
    group_id: str,
    candidates: tuple[str, ...],
    annotations: Sequence[Annotation],
    *,
    image_name: str | None = None,
    top: int | None = None,
    left: int | None = None,
    rule: ConsensusRule = "hggt",
    pairs: tuple[PairVote, ...] = (),
    choices: tuple[ChoiceVote, ...] = (),
    scores: tuple[Score, ...] = (),
) -> PatchGroup:
    """A patch group with its consensus, for which only people's votes count.

    `candidates` are in the order of each annotation's labels. Without `image_name` the group is its own source picture.
    """
    ordered = tuple(sorted(annotations, key=lambda annotation: annotation.slot))
    votes = [annotation.labels for annotation in ordered if annotation.counts]
    drawn = [consensus_label([labels[k] for labels in votes], rule) for k in range(len(candidates))]
    return PatchGroup(
        id=group_id,
        image_name=group_id if image_name is None else image_name,
        top=top,
        left=left,
        candidates=candidates,
        annotations=ordered,
        consensus=tuple(c.label for c in drawn),
        agreement=tuple(c.agreement for c in drawn),
        num_votes=tuple(c.num_votes for c in drawn),
        pairs=pairs,
        choices=choices,
        scores=scores,
    )
