"""The data half of hggt: read an HGGT tree, check it, build a Hugging Face dataset from it, and open either.

Example:
    >>> from hggt_data import consensus_label, Label
    >>> consensus_label([Label.POSITIVE, Label.POSITIVE, Label.NEGATIVE])
    Consensus(label=<Label.POSITIVE: 'Positive'>, agreement=2, num_votes=3)
"""

from typing import TYPE_CHECKING

from hggt_data.consensus import consensus_label
from hggt_data.problems import Problem
from hggt_data.schema import Annotation, Consensus, Label, PatchGroup, PatchId

if TYPE_CHECKING:
    from hggt_data.groups import Group, GroupSource
    from hggt_data.loading import open_groups

__all__ = [
    "Annotation",
    "Consensus",
    "Group",
    "GroupSource",
    "Label",
    "PatchGroup",
    "PatchId",
    "Problem",
    "consensus_label",
    "open_groups",
]


def __getattr__(name: str) -> object:
    """Import `loading` (numpy, pyarrow) only when one of its names is asked for: commands must answer at once."""
    if name in ("Group", "GroupSource", "open_groups"):
        from hggt_data import groups, loading

        return getattr(loading if name == "open_groups" else groups, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
