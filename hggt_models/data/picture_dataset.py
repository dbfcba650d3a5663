"""Training samples from a plain folder of pictures, for enhancers, PSNR runs and baselines."""

from collections.abc import Sequence
from pathlib import Path

import torch

from hggt_data.io.images import read_picture
from hggt_models.data.samples import Sample, SampleDataset


class PictureDataset(SampleDataset):
    """Samples of single pictures: `number`, and `pictures`, uint8 (1, 3, H, W).

    Args:
        paths: of the pictures.
        source_px, flip, rotate, seed: as in `SampleDataset`.
    """

    def __init__(self, paths: Sequence[Path], *, source_px: int, flip: bool, rotate: bool, seed: int) -> None:
        super().__init__(len(paths), source_px=source_px, flip=flip, rotate=rotate, seed=seed)
        self._paths = paths

    def __getitem__(self, number: int) -> Sample:
        """The sample of this number.

        Raises:
            ImageError: the picture is damaged, of another form than 8-bit RGB or grey, or too small.
            OSError: it cannot be read.
        """
        place, rng = self.place(number)
        path = self._paths[place]
        return {"number": torch.tensor(number), "pictures": self.cut([str(path)], lambda _: read_picture(path), rng)}
