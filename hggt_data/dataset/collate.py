"""Puts rows of a built dataset into one batch, as PyTorch's `DataLoader` needs it."""

from collections.abc import Mapping, Sequence
from typing import Any

from hggt_data.errors import SettingsError


def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make a batch of rows: `collate_fn` of a PyTorch `DataLoader` over `load_dataset(...).with_format("torch")`.

    PyTorch's own function fails on missing values, such as `lr` of a split without low-resolution images, and on groups
    with different numbers of annotations or sizes of pictures.

    Args:
        rows: N rows with the same columns.

    Returns:
        One entry per column. Where all rows have tensors of one shape it is a tensor with N as its first dimension, so
        pictures of one size are uint8 (N, 3, H, W) RGB. Otherwise it is a list of N values, None where a row has none:
        pictures of several sizes, texts, `annotations`. `consensus` is int64 (N, candidates), with -1 for a candidate
        without consensus, which the "torch" format shows as NaN.

    Raises:
        SettingsError: There are no rows.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from datasets import load_dataset
        >>> from torch.utils.data import DataLoader
        >>> from hggt_data import BuildSettings, build_dataset, collate, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> tree = write_demo_tree(folder).train
        >>> output = build_dataset(BuildSettings([tree], folder / "hggt", workers=1)).output
        >>> groups = load_dataset(str(output), split="train", cache_dir=str(folder)).with_format("torch")
        >>> batch = next(iter(DataLoader(groups, batch_size=4, collate_fn=collate)))
        >>> batch["original"].shape, batch["consensus"].shape
        (torch.Size([4, 3, 192, 192]), torch.Size([4, 4]))
        >>> (batch["consensus"] == 0)[0].tolist()  # whether each candidate of the first group is positive
        [True, False, False, True]
    """
    if not rows:
        raise SettingsError("`rows` is empty; expected at least one row")
    return {column: _combine(column, [row[column] for row in rows]) for column in rows[0]}


def _combine(column: str, values: list[Any]) -> Any:
    if not all(map(_is_tensor, values)):
        return values
    if column == "consensus":  # the format makes floats of a row with a missing label, integers of the others
        values = [value.nan_to_num(-1).long() for value in values]
    first = values[0]
    if any((value.shape, value.dtype) != (first.shape, first.dtype) for value in values):
        return values
    batch = first.new_empty((len(values), *first.shape))
    for place, value in zip(batch, values, strict=True):
        place.copy_(value)
    return batch


def _is_tensor(value: object) -> bool:
    return hasattr(value, "new_empty")  # hggt_data never imports PyTorch
