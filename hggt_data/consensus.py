"""The rule that turns the votes of several annotators into one label per candidate."""

from collections import Counter
from collections.abc import Sequence

from hggt_data.schema import Annotation, Consensus, Label, PatchGroup, PatchId


def consensus_label(labels: Sequence[Label | None]) -> Consensus:
    """The consensus of any number of votes for one candidate.

    The label with strictly most votes wins if two or more gave it. A tie at the top, or votes that all differ, give
    Similar with agreement 1. Fewer than two votes give no consensus.

    Args:
        labels: One vote per annotator; None is a missing vote and does not count.

    Returns:
        The label, how many gave it, and how many voted.

    Raises:
        TypeError: A vote is neither a `Label` nor None.

    Example:
        >>> from hggt_data import Label, consensus_label
        >>> consensus_label([Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE])
        Consensus(label=<Label.SIMILAR: 'Similar'>, agreement=1, num_votes=3)

    Source: for exactly three votes, the rule of the official loader (`paired_labeled_image_dataset.py`); other numbers
    of votes are our extension.
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
        return Consensus(Label.SIMILAR, 1, num_votes)
    return Consensus(label, count, num_votes)


def judge_group(group_id: PatchId, candidates: tuple[str, ...], annotations: Sequence[Annotation]) -> PatchGroup:
    """A patch group with its consensus; `candidates` are in the order of each annotation's labels."""
    ordered = tuple(sorted(annotations, key=lambda annotation: annotation.slot))
    drawn = [consensus_label([annotation.labels[k] for annotation in ordered]) for k in range(len(candidates))]
    return PatchGroup(
        id=group_id,
        candidates=candidates,
        annotations=ordered,
        consensus=tuple(c.label for c in drawn),
        agreement=tuple(c.agreement for c in drawn),
        num_votes=tuple(c.num_votes for c in drawn),
    )
