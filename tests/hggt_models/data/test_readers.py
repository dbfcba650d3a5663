"""What one process that reads pictures does when it meets different errors; how it is killed is in training/."""

import itertools
from collections.abc import Iterator

import pytest
import torch

from hggt_data.errors import ImageError, WorkerError
from hggt_models.data.readers import Readers
from hggt_models.data.samples import Sample, SampleDataset


class Failing(SampleDataset):
    """Samples of which some fail, each in another way."""

    def __init__(self) -> None:
        super().__init__(8, source_px=1, flip=False, rotate=False, seed=0)

    def __getitem__(self, number: int) -> Sample:
        errors = (ImageError("a.png: cut off"), MemoryError(), KeyError("x"), UnpicklableError(1))
        if 1 <= number <= 4:
            raise errors[number - 1]
        return {"number": torch.tensor(number), "flag": torch.tensor(number > 0), "pixels": torch.full((3, 2), number)}


class UnpicklableError(Exception):
    """Cannot be made again from its message."""

    def __init__(self, number: int) -> None:
        super().__init__("first", "second", number)


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    opened = Readers(Failing(), ([number, 7] for number in itertools.count()), 1)
    yield opened
    opened.close()


def test_errors_arrive_in_turn_and_unexpected_ones_with_their_place(readers: Readers) -> None:
    batch = next(readers)
    assert batch["number"].tolist() == [0, 7]
    assert batch["flag"].tolist() == [False, True]
    assert batch["pixels"][1].tolist() == [[7, 7]] * 3
    with pytest.raises(ImageError, match=r"^a\.png: cut off$"):
        next(readers)
    with pytest.raises(WorkerError, match=r"^memory ran out in one of 1 processes .* fewer `workers`"):
        next(readers)
    for kind in (KeyError, RuntimeError):
        with pytest.raises(kind) as caught:
            next(readers)
        assert "in __getitem__" in caught.value.__notes__[0]
    assert next(readers)["number"].tolist() == [5, 7]
