import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hggt_data.groups import Group
from hggt_data.io.images import Pixels
from hggt_data.loading import open_groups
from hggt_eval.metrics import METRICS, MetricSettings, pyiqa_metrics
from hggt_eval.metrics.niqe import niqe
from hggt_eval.metrics.psnr import psnr
from hggt_eval.metrics.ssim import Ssim, ssim
from hggt_eval.scores.label_measures import measure_labels
from hggt_eval.scores.scores import GroupScores
from hggt_models.config.reader import ConfigError
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
from hggt_models.training.validation import Validation, share_of
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
    found = Validation(held_out, settings, ALONE).run(network)
    scores, shown = found.scores, found.shown
    assert found.counts == {"psnr": len(held_out), "ssim": len(held_out)}
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
    assert validation.run(Nearest()).scores == validation.run(Nearest()).scores
    again = Validation(open_training_data(str(groups), settings).held_out, settings, ALONE)
    assert again.run(Nearest()).scores == validation.run(Nearest()).scores


def test_infinite_scores_of_identical_images_do_not_count() -> None:
    grey = np.full((32, 32, 3), 128, np.uint8)
    settings = config(
        "degradation.gaussian_probability=1", "degradation.gaussian_sigma_8bit=[0,0]", "degradation.jpeg_form=libjpeg"
    )
    noisy = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    held_out = [HeldOut("grey", lambda: grey, (lambda: grey,)), HeldOut("noisy", lambda: noisy, (lambda: noisy,))]
    both = Validation(held_out, settings, ALONE).run(Nearest())
    alone = Validation(held_out[1:], settings, ALONE).run(Nearest())
    assert both.scores["psnr"] == alone.scores["psnr"]
    assert np.isfinite(both.scores["psnr"])
    assert both.counts == {"psnr": 1, "ssim": 2}


def test_label_measures_are_those_of_hggt_eval(groups: Path) -> None:
    """Also if the run itself learns from originals only."""
    names = ("psnr", "psnr.best_of_positives", "psnr.distance_to_negatives", "psnr.by_agreement.3")
    settings = config(f"validation.metrics={list(names)}".replace("'", '"'), "target=original", "validation.images=6")
    held_out = open_training_data(str(groups), settings).held_out
    validated = Validation(held_out, settings, ALONE).run(Nearest())
    scored, numbers = [], {}
    by_id = {group.id: group for group in open_groups(groups)}
    for one in held_out:
        group, lr = by_id[one.name], degrade_picture(one.source(), settings.degradation, f"0/validation/{one.name}")

        def scores(group: Group, names: tuple[str, ...], sr: Pixels) -> dict[str, dict[str, float]]:
            return {name: {"psnr": psnr(sr, group.read(name))} for name in names}

        sr = enlarged(lr)
        numbers[one.name] = psnr(sr, group.read("original"))
        agreement = dict(zip(group.candidates, group.agreement, strict=True))
        positives, negatives = scores(group, group.positives, sr), scores(group, group.negatives, sr)
        scored.append(GroupScores(group.id, "", "", {}, positives, negatives=negatives, agreement=agreement))
    expected = measure_labels(scored, [METRICS["psnr"]])
    means = (expected.best_of_positives, expected.distance_to_negatives, expected.by_agreement[3])
    assert validated.scores["psnr"] == pytest.approx(np.mean(list(numbers.values())))
    for name, mean in zip(names[1:], means, strict=True):
        assert validated.scores[name] == pytest.approx(mean["psnr"].value)
        assert validated.counts[name] == mean["psnr"].num_groups > 0


def test_metrics_without_reference_rate_the_output_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures for which one is undefined, such as a flat output, do not count."""
    package = ModuleType("pyiqa")
    package.create_metric = lambda name, device: lambda images: images.mean()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyiqa", package)
    monkeypatch.setattr(pyiqa_metrics, "find_spec", lambda _: None)
    flat = np.full((208, 208, 3), 128, np.uint8)
    noisy = np.random.default_rng(0).integers(0, 256, (208, 208, 3), np.uint8)
    held_out = [HeldOut(name, lambda p=p: p, (lambda p=p: p,)) for name, p in (("flat", flat), ("noisy", noisy))]  # type: ignore[misc]
    noiseless = ("degradation.gaussian_probability=1", "degradation.gaussian_sigma_8bit=[0,0]")
    settings = config('validation.metrics=["niqe", "musiq"]', "validation.shown=2", *noiseless)
    validation = Validation(held_out, settings, ALONE)
    validation.check()
    found = validation.run(Nearest())
    border = MetricSettings().border
    assert found.counts == {"niqe": 1, "musiq": 2}
    assert found.scores["niqe"] == pytest.approx(niqe(found.shown[1].sr))
    inside = [one.sr[border:-border, border:-border] / 255 for one in found.shown]
    assert found.scores["musiq"] == pytest.approx(np.mean([pixels.mean() for pixels in inside]), rel=1e-5)


def test_a_label_measure_without_candidates_is_refused() -> None:
    grey = np.full((32, 32, 3), 128, np.uint8)
    held_out = [HeldOut("grey", lambda: grey, (lambda: grey,), positives=((lambda: grey, 3),))]
    with pytest.raises(ConfigError, match="but none of 1 held-out groups has the candidates"):
        Validation(held_out, config('validation.metrics=["psnr.distance_to_negatives"]'), ALONE)


class Unjoined(Runtime):
    """One of several processes, without communication."""

    def sum(self, values: Tensor) -> Tensor:
        return values

    def any(self, flag: bool) -> bool:
        return flag


@pytest.mark.parametrize("number", [1, 5, 8, 64])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_processes_share_the_pictures_and_the_leading_one_has_those_that_are_shown(number: int, world: int) -> None:
    shown = min(4, number)
    shares = [list(range(number))[share_of(number, shown, rank, world)] for rank in range(world)]
    assert [one for share in shares for one in share] == list(range(number))
    assert len(shares[0]) >= shown
    assert max(map(len, shares)) <= max(shown, -(-number // world))


def test_the_smallest_tile_of_any_process_is_reported() -> None:
    class Joined(Unjoined):
        def sum(self, values: Tensor) -> Tensor:
            return torch.cat([values[:-1], values.new_tensor([64])])  # that of the last process

    grey = np.full((32, 32, 3), 128, np.uint8)
    held_out = [HeldOut("grey", lambda: grey, (lambda: grey,))]
    assert Validation(held_out, config(), Joined(0, 2)).run(Nearest()).tile == 64
    assert Validation(held_out, config("validation.tile=64"), Joined(0, 2)).run(Nearest()).tile is None


def test_only_the_leading_process_shows_results() -> None:
    grey = np.full((32, 32, 3), 128, np.uint8)
    held_out = [HeldOut(str(number), lambda: grey, (lambda: grey,)) for number in range(5)]
    seen = [Validation(held_out, config("validation.shown=2"), Unjoined(rank, 2)).run(Nearest()) for rank in range(2)]
    assert [[one.name for one in validated.shown] for validated in seen] == [["0", "1"], []]


def test_a_picture_is_cropped_to_a_multiple_of_the_scale() -> None:
    odd = np.random.default_rng(0).integers(0, 256, (33, 38, 3), np.uint8)
    shown = Validation([HeldOut("odd", lambda: odd, (lambda: odd,))], config(), ALONE).run(Nearest()).shown
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
        validated = validation.run(Nearest())
        [shown] = validated.shown
        assert np.array_equal(shown.sr, enlarged(shown.lr))
        assert validated.tile == 64
    assert tiles == [None, 64, 64]
    assert notes == ["too large: 64"]


def test_a_metric_without_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = np.full((40, 32, 3), 128, np.uint8)
    validation = Validation([HeldOut("grey", lambda: grey, (lambda: grey,))], config(), ALONE)

    def fails(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Ssim, "describe", fails)
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
