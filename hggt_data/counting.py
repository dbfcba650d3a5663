"""Opens a tree or dataset and counts its labels: what `hggt-data stats` calls; `statistics/` has the measures."""

from pathlib import Path

from hggt_data.groups import GroupSource
from hggt_data.loading import as_groups
from hggt_data.statistics.counts import LabelStatistics, measure_labels
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions


def count_labels(
    source: GroupSource | str | Path,
    split: str | None = None,
    *,
    revision: str | None = None,
    dawid_skene: bool = False,
    table: TableOptions = NO_TABLE_OPTIONS,
) -> LabelStatistics:
    """Count labels and measure agreement, in one pass over the groups; no pictures are read.

    Args:
        source: Tree, built dataset, or `ORG/NAME` on the Hub; or groups that `open_groups` has opened.
        split: Split to read, if `source` is a dataset.  [default: the only one]
        revision: Tag, branch or commit on the Hub.  [default: main]
        dawid_skene: Also infer labels and the reliability of annotators, all of whom must be known, with the
            Dawid-Skene model. With few pictures or three votes each, it is often worse than the majority.
        table: As for `open_groups`.

    Returns:
        Counts per candidate and per group, and measures of agreement.

    Raises:
        AnnotationError: An annotation has errors.
        SettingsError: As for `open_groups`, or `dawid_skene` without the annotators.
        DatasetError: As for `open_groups`.
        HubError: As for `open_groups`.
        TreeError: As for `open_groups`.

    Example:
        >>> import tempfile
        >>> from hggt_data import count_labels, write_demo_tree
        >>> statistics = count_labels(write_demo_tree(tempfile.mkdtemp()).train)
        >>> statistics.num_groups, statistics.slots
        (6, ('A', 'B', 'C'))
    """
    return measure_labels(as_groups(source, split, revision=revision, table=table), dawid_skene)
