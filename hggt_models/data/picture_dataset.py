"""Training samples from a plain folder of pictures, for enhancers, PSNR runs and baselines."""

from collections.abc import Sequence
from pathlib import Path

import torch

from hggt_data.io.pictures import read_picture
from hggt_models.data.samples import Sample, SampleDataset


class PictureDataset(SampleDataset):
    """Samples of single pictures: `number`, and `pictures`, uint8 (1, 3, H, W); see `SampleDataset`."""

    def __init__(self, paths: Sequence[Path], *, source_px: int, flip: bool, rotate: bool, seed: int) -> None:
        super().__init__(len(paths), source_px=source_px, flip=flip, rotate=rotate, seed=seed)
        self._paths = paths

    def __getitem__(self, number: int) -> Sample:
        """The sample with this number; ImageError if its picture is damaged, too small, or not 8-bit RGB or grey."""
        index, rng = self.locate(number)
        path = self._paths[index]
        return {"number": torch.tensor(number), "pictures": self.cut([str(path)], lambda _: read_picture(path), rng)}
