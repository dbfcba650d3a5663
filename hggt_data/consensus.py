"""From the votes of several annotators to one label per candidate. How well they agree is in `agreement.py`."""

from collections import Counter
from collections.abc import Sequence

from hggt_data.schema import Annotation, Consensus, Label, PatchGroup, PatchId


def consensus_label(labels: Sequence[Label | None]) -> Consensus:
    """The consensus of any number of votes for one candidate.

    The label with strictly most votes wins if two or more gave it. A tie at the top, or votes that all differ, give
    Similar with agreement 1. Fewer than two votes give no consensus.

    Args:
        labels: one vote per annotator; null is a missing vote and does not count.

    Returns:
        Label, how many gave it, and how many voted.

    Raises:
        TypeError: a vote is something else than a `Label` or null.

    Example:
        >>> consensus_label([Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE])
        Consensus(label=<Label.SIMILAR: 'Similar'>, agreement=1, num_votes=3)

    Source: the official loader's rule for exactly three votes, to which this is equal there
    (`paired_labeled_image_dataset.py`); the rest is ours.
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
    """A patch group with its consensus drawn from the annotations.

    Args:
        group_id: which patch.
        candidates: names in the order in which each annotation holds its labels.
        annotations: in any order; the group keeps them sorted by slot.
    """
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
