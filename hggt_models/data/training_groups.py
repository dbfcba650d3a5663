"""Opens the groups that a network learns from, and says in one line why others cannot serve."""

import re
from collections.abc import Sequence
from pathlib import Path

from hggt_data.errors import DatasetError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.text import format_examples, plural
from hggt_data.loading import open_splits
from hggt_data.schema import LR, ORIGINAL
from hggt_data.tree.reader import TreeSource
from hggt_models.config.sections import BOUNDED_FORMS, PAIR_TARGETS
from hggt_models.config.train import TrainConfig
from hggt_models.data.targets import GroupLabels

_TEST_FOLDER = re.compile(r"GT|Test|Test-.*")
_BUILD_FIRST = (
    "If votes or pictures are in other places, or labels in other words, build a dataset first and train on it: "
    "hggt-build-dataset --tree DIR --output DATASET with --votes, --pictures, --labels or --source-pattern."
)
_OTHER_VOTES = {"pairs": "votes on pairs", "choices": "choices", "scores": "scores"}


def open_training_groups(
    source: str | Path, revision: str | None = None, *, accepts_pairs: bool = False
) -> GroupSource:
    """The training split of a tree, a dataset or `ORG/NAME`; DatasetError without label votes, or for a test set.

    With `accepts_pairs` votes on pairs serve as well.
    """
    try:
        splits = open_splits(source, revision=revision)
    except TreeError as error:
        error.add_note(_BUILD_FIRST)
        raise
    has_pairs = accepts_pairs and any(_has(groups, "pairs") for groups in splits.values())
    if not has_pairs and not any(groups.has_labels for groups in splits.values()):
        kinds = [text for name, text in _OTHER_VOTES.items() if any(_has(groups, name) for groups in splits.values())]
        layout = next(iter(splits.values())).layout
        raise DatasetError(
            f"{source} has no label votes, only {' and '.join(kinds) or 'pictures'} (layout {layout}); training "
            "requires labels of candidates: Positive, Similar, Negative"
            + (", or votes on pairs" if accepts_pairs else "")
        )
    groups = splits.get("train") or next(iter(splits.values()))
    require_training_set(groups, source, list(splits))
    return groups


def require_training_set(groups: GroupSource, source: str | Path, splits: Sequence[str]) -> None:
    """DatasetError if these groups are a test set; `splits` are those that the source has."""
    if isinstance(groups, TreeSource) and len(splits) == 1 and _TEST_FOLDER.fullmatch(_folder_name(groups)):
        raise DatasetError(f"{source} is a test set, as its folder name says; pass the training tree")
    if any(groups.has_picture(number, LR) for number in range(len(groups))):
        raise DatasetError(f"{source} has low-resolution images, so it is a test set; pass the training tree")
    if groups.split != "train":
        raise DatasetError(f"{source} has no split 'train', only {', '.join(splits)}; pass the training data")


def require_labels_and_originals(
    groups: GroupSource, labelled: Sequence[GroupLabels], *, accepts_pairs: bool = False
) -> None:
    """DatasetError if no group has votes on labels, or any has no original; `labelled` are the labels of all groups.

    With `accepts_pairs` votes on labels are not required.
    """
    if not accepts_pairs and not any(one.num_annotators for one in labelled):
        raise DatasetError(f"{groups.location} has no label votes by people; training requires them")
    without = [group for number, group in enumerate(groups.ids) if not groups.has_picture(number, ORIGINAL)]
    if without:
        raise DatasetError(
            f"{groups.location}: {plural(len(without), 'group')} without an original ({format_examples(without)}); "
            "training makes the low-resolution image from it"
        )


def require_rejected(source: str, labelled: Sequence[GroupLabels], config: TrainConfig) -> None:
    """TreeError if a bounded form of the negative loss finds no picture to move away from in any group."""
    form = config.loss.negative_form
    if config.target not in PAIR_TARGETS or form not in BOUNDED_FORMS:
        return
    if not any(one.rejected if form == "triplet" else one.rejected or one.preferences for one in labelled):
        raise TreeError(
            f"{source}: none of the {plural(len(labelled), 'group')} to learn from has a rejected candidate, which "
            f"loss.negative_form {form!r} compares with the positive; expected candidates that are Negative, or that "
            "lost votes on pairs; or train with the target 'positive' and loss.negative 0"
        )


def _has(groups: GroupSource, votes: str) -> bool:
    return any(getattr(group, votes) for group in groups)


def _folder_name(groups: GroupSource) -> str:
    return Path(groups.location).resolve().name.removesuffix(".zip")
