"""Rows of a dataset as a batch of PyTorch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from hggt_data import SettingsError, collate


def batch_of(groups: Any) -> dict[str, Any]:
    batch: dict[str, Any] = next(iter(DataLoader(groups.with_format("torch"), batch_size=3, collate_fn=collate)))
    return batch


@pytest.mark.parametrize("streaming", [False, True])
def test_a_data_loader_gives_batches_of_every_split(datasets: Path, load: Callable[..., Any], streaming: bool) -> None:
    found = load(str(datasets / "v2"), streaming=streaming)
    train, test = batch_of(found["train"]), batch_of(found["test"])
    assert train["id"] == ["elm-0-0", "oak-0-8", "oak-8-0"]
    assert train["author"] == [None, "Ann Other", "Ann Other"]
    for column in ("original", "enhanced_01", "enhanced_02"):
        assert (train[column].dtype, train[column].shape) == (torch.uint8, (3, 3, 8, 8))
    assert train["consensus"].tolist() == [[0, 0], [1, 1], [0, 2]]
    assert train["lr"] == [None, None, None]
    assert test["lr"].shape == (2, 3, 2, 2)
    assert test["consensus"].tolist() == [[-1, -1], [-1, -1]]  # one slot: no consensus
    assert [len(annotations) for annotations in train["annotations"] + test["annotations"]] == [3, 3, 3, 1, 1]


def test_labels_alone_make_batches(datasets: Path, load: Callable[..., Any]) -> None:
    batch = batch_of(load(str(datasets / "v2"), "labels", split="train"))
    assert batch["num_votes"].tolist() == [[3, 3]] * 3
    assert batch["top"].tolist() == [0, 0, 8]


def test_what_has_several_shapes_or_types_stays_a_list() -> None:
    rows = [
        {"original": torch.zeros(3, 8, 8), "score": torch.tensor(1), "consensus": torch.tensor([0, 2])},
        {"original": torch.zeros(3, 8, 9), "score": torch.tensor(0.5), "consensus": torch.tensor([torch.nan, 1.0])},
    ]
    batch = collate(rows)
    assert [picture.shape for picture in batch["original"]] == [(3, 8, 8), (3, 8, 9)]
    assert batch["score"] == [1, 0.5]
    assert batch["consensus"].tolist() == [[0, 2], [-1, 1]]
    assert batch["consensus"].dtype == torch.int64


def test_rows_without_a_format_become_lists(datasets: Path, load: Callable[..., Any]) -> None:
    groups = load(str(datasets / "v2"), "labels", split="test")
    batch = next(iter(DataLoader(groups, batch_size=2, collate_fn=collate)))
    assert batch["consensus"] == [[None, None], [None, None]]
    assert batch["left"] == [0, 8]


def test_no_rows_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"^`rows` is empty; expected at least one row$"):
        collate([])
