import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hggt_data.io.images import Pixels
from hggt_eval.metrics.psnr import psnr
from hggt_eval.metrics.ssim import ssim
from hggt_models.config.recipes import load_config
from hggt_models.config.train import TrainConfig
from hggt_models.data.training_data import HeldOut, open_training_data
from hggt_models.degradation.chain import degrade_picture
from hggt_models.inference import tiling
from hggt_models.inference.tiling import NotFiniteError, run_tiled
from hggt_models.memory import DeviceMemoryError
from hggt_models.networks import Network, NetworkArgs
from hggt_models.runtime import Runtime
from hggt_models.training import validation
from hggt_models.training.validation import Validation
from tests.hggt_models.training.runs import small

ALONE = Runtime()


class Nearest(Network):
    """Enlarges four times by repeating pixels."""

    name = "nearest"
    args_type = NetworkArgs

    def __init__(self) -> None:
        super().__init__(NetworkArgs())
        self.scale, self.window, self.receptive_field_px = 4, 1, 0
        self.drop = nn.Dropout(0.9)  # must be off

    def forward(self, images: Tensor) -> Tensor:
        enlarged: Tensor = self.drop(images).repeat_interleave(4, 2).repeat_interleave(4, 3)
        return enlarged


def config(*more: str) -> TrainConfig:
    return load_config("rrdb-gan-positive", small("rrdb-gan-positive", "validation.images=3", *more))


def enlarged(lr: Pixels) -> Pixels:
    return lr.repeat(4, 0).repeat(4, 1)


def test_scores_are_means_over_pictures_of_means_over_their_references(groups: Path) -> None:
    settings = config()
    held_out = open_training_data(str(groups), settings).held_out
    assert held_out
    network = Nearest().train()
    scores, shown = Validation(held_out, settings, ALONE).run(network)
    assert network.training
    expected = []
    for one in held_out:
        lr = degrade_picture(one.source(), settings.degradation, f"{settings.seed}/validation/{one.name}")
        references = [read() for read in one.references]
        expected.append([np.mean([metric(enlarged(lr), ref) for ref in references]) for metric in (psnr, ssim)])
    assert scores["psnr"] == pytest.approx(np.mean([row[0] for row in expected]))
    assert scores["ssim"] == pytest.approx(np.mean([row[1] for row in expected]))
    assert [one.name for one in shown] == [held_out[0].name]
    assert np.array_equal(shown[0].sr, enlarged(shown[0].lr))


def test_an_output_that_is_not_finite_is_an_error_that_names_the_picture(groups: Path) -> None:
    class Overflowing(Nearest):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * math.inf

    settings = config()
    held_out = open_training_data(str(groups), settings).held_out
    with pytest.raises(NotFiniteError, match=f"validation of {held_out[0].name}: the network's output is NaN or infin"):
        Validation(held_out, settings, ALONE).run(Overflowing())


def test_the_lr_stays_the_same_from_one_validation_to_the_next(groups: Path) -> None:
    settings = config()
    validation = Validation(open_training_data(str(groups), settings).held_out, settings, ALONE)
    assert validation.run(Nearest())[0] == validation.run(Nearest())[0]
    again = Validation(open_training_data(str(groups), settings).held_out, settings, ALONE)
    assert again.run(Nearest())[0] == validation.run(Nearest())[0]


def test_infinite_scores_of_identical_images_do_not_count() -> None:
    grey = np.full((32, 32, 3), 128, np.uint8)
    settings = config(
        "degradation.gaussian_probability=1", "degradation.gaussian_sigma_8bit=[0,0]", "degradation.jpeg_form=libjpeg"
    )
    noisy = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    held_out = [HeldOut("grey", lambda: grey, (lambda: grey,)), HeldOut("noisy", lambda: noisy, (lambda: noisy,))]
    scores, _ = Validation(held_out, settings, ALONE).run(Nearest())
    alone, _ = Validation(held_out[1:], settings, ALONE).run(Nearest())
    assert scores["psnr"] == alone["psnr"]
    assert np.isfinite(scores["psnr"])


class Unjoined(Runtime):
    """One of several processes, without communication."""

    def sum(self, values: Tensor) -> Tensor:
        return values

    def any(self, flag: bool) -> bool:
        return flag


def test_processes_share_the_pictures() -> None:
    grey = np.full((32, 32, 3), 128, np.uint8)
    held_out = [HeldOut(str(number), lambda: grey, (lambda: grey,)) for number in range(5)]
    settings = config("validation.shown=9")
    seen = [Validation(held_out, settings, Unjoined(rank, 2)).run(Nearest())[1] for rank in range(2)]
    assert [[one.name for one in shown] for shown in seen] == [["0", "2", "4"], ["1", "3"]]


def test_a_picture_is_cropped_to_a_multiple_of_the_scale() -> None:
    odd = np.random.default_rng(0).integers(0, 256, (33, 38, 3), np.uint8)
    _, shown = Validation([HeldOut("odd", lambda: odd, (lambda: odd,))], config(), ALONE).run(Nearest())
    assert shown[0].sr.shape == shown[0].reference.shape == (32, 36, 3)


def test_a_picture_that_is_too_large_for_memory_is_restored_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles: list[int | None] = []

    def short_of_memory(*arguments: Any, tile: int | None, **options: Any) -> Tensor:
        tiles.append(tile)
        if tile is None:
            raise DeviceMemoryError("too large")
        return run_tiled(*arguments, tile=tile, **options)

    monkeypatch.setattr(tiling, "run_tiled", short_of_memory)
    large = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    validation = Validation([HeldOut("large", lambda: large, (lambda: large,))], config(), ALONE)
    notes: list[str] = []
    validation.tiler.on_smaller_tile = lambda reason, tile: notes.append(f"{reason}: {tile}")
    for _ in range(2):
        _, [shown] = validation.run(Nearest())
        assert np.array_equal(shown.sr, enlarged(shown.lr))
    assert tiles == [None, 64, 64]
    assert notes == ["too large: 64"]


def test_a_metric_without_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = np.full((40, 32, 3), 128, np.uint8)
    validation = Validation([HeldOut("grey", lambda: grey, (lambda: grey,))], config(), ALONE)

    def fails(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(type(validation._comparers["ssim"]), "describe", fails)
    with pytest.raises(DeviceMemoryError) as caught:
        validation.run(Nearest())
    assert str(caught.value) == (
        "validation of grey: ssim of 40 x 32 pixels does not fit into memory (CUDA out of memory.); leave ssim out of "
        "validation.metrics, or set validation.every=0"
    )


def test_a_picture_too_large_to_be_degraded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(validation, "degrade_picture", fails)
    grey = np.full((40, 32, 3), 128, np.uint8)
    with pytest.raises(DeviceMemoryError) as caught:
        Validation([HeldOut("grey", lambda: grey, (lambda: grey,))], config(), ALONE).run(Nearest())
    assert str(caught.value) == (
        "validation of grey: the degradation of 40 x 32 pixels does not fit into memory (MemoryError); use smaller "
        "pictures in a new folder, or set validation.every=0"
    )
