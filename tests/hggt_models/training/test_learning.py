"""Networks that learn what they should, measured on pictures."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hggt_data.io.images import Pixels, read_pixels, write_png
from hggt_data.loading import open_groups
from hggt_eval.metrics.psnr import psnr
from hggt_models.config.recipes import load_config
from hggt_models.degradation.chain import degrade_picture
from hggt_models.inference.tiling import run_tiled
from hggt_models.losses.negative import negative_loss, negative_map
from hggt_models.networks import Network
from hggt_models.networks.checkpoint import load_network
from tests.hggt_models.training.runs import small, train

_SIDE = 32
# Only the noise of the degradation is random, so that few steps are enough to memorise four patches.
_DEGRADATION = (
    "degradation.enlarge_probability=0",
    "degradation.shrink_probability=0",
    "degradation.resize_modes=['area']",
    "degradation.gaussian_probability=1",
    "degradation.gaussian_sigma_8bit=[6,6]",
    "degradation.grey_probability=0",
    "degradation.sinc_probability=0",
)
_RUN = (
    "generator.num_feat=16",
    "generator.num_grow_ch=8",
    f"source_px={_SIDE}",
    f"crop_px={_SIDE}",
    "flip=false",
    "batch_size=4",
    "pool_size=0",
    "ema_decay=0.9",
    "loss.perceptual=0",
    "loss.adversarial=0",
    "validation.pictures=0",
    "log.every=50",
    *_DEGRADATION,
)
_SETTINGS = load_config("rrdb-gan-original", small("rrdb-gan-original", *_RUN)).degradation


@pytest.fixture(scope="module")
def four_groups(groups: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four groups of 32 x 32 pixels, three of them with a negative."""
    tree = Path(shutil.copytree(groups, tmp_path_factory.mktemp("four") / "Train"))
    for group_id in sorted(path.stem for path in (tree / "images/0-6/original").iterdir())[4:]:
        for path in tree.rglob(f"{group_id}*"):
            path.unlink()
    for path in tree.rglob("*.png"):
        write_png(path, read_pixels(path)[32 : 32 + _SIDE, 32 : 32 + _SIDE])
    return tree


@pytest.fixture(scope="module")
def learned(four_groups: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small RRDB after 150 steps on the four originals."""
    run = tmp_path_factory.mktemp("learned") / "run"
    more = ("iterations=150", "checkpoint.every=150", "learning_rate=6e-3", "betas=[0.9,0.95]", "milestones=[112,138]")
    result = train("rrdb-gan-original", four_groups, run, *_RUN, *more)
    assert result.exit_code == 0, result.output
    return run


def restored(network: Network, lr: Pixels) -> Pixels:
    picture = torch.tensor(lr).permute(2, 0, 1)
    return run_tiled(network, picture, tile=None, overlap_px=0).permute(1, 2, 0).numpy()


def as_images(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def test_training_on_four_groups_beats_bicubic_by_a_decibel(four_groups: Path, learned: Path) -> None:
    network = load_network(learned)
    gains = []
    for group in open_groups(four_groups):
        original = group.read("original")
        lr = degrade_picture(original, _SETTINGS, f"unseen/{group.id}")
        bicubic = np.asarray(Image.fromarray(lr).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
        gains.append(psnr(restored(network, lr), original) - psnr(bicubic, original))
    assert sum(gains) / len(gains) >= 1  # measured: 4.1


def test_the_negative_loss_moves_the_output_away_from_negatives(
    four_groups: Path, learned: Path, tmp_path: Path
) -> None:
    """The weight is smaller than the published 300, which diverges on negatives that are spoilt everywhere.

    At 20 the ratios below are 1.28 and 1.08.
    """
    distances, errors = {}, {}
    more = ("iterations=40", "checkpoint.every=40", "learning_rate=2e-4")
    for name, negative in (("positive", ()), ("positive-negative", ("loss.negative=20",))):
        run = tmp_path / name
        result = train(f"rrdb-gan-{name}", four_groups, run, *_RUN, *more, *negative, options=["--init", learned])
        assert result.exit_code == 0, result.output
        distances[name], errors[name] = _measured(load_network(run), four_groups)
    assert distances["positive-negative"] > 1.1 * distances["positive"]
    assert errors["positive-negative"] < 1.5 * errors["positive"]  # and yet the output stays what it should be


def _measured(network: Network, tree: Path) -> tuple[float, float]:
    """Distance to the negatives where these are spoilt, and mean error against the positives, or the original."""
    distances, errors = [], []
    for group in open_groups(tree):
        original = group.read("original")
        output = as_images(restored(network, degrade_picture(original, _SETTINGS, f"unseen/{group.id}")))
        agreement = dict(zip(group.candidates, group.agreement, strict=True))
        has_positive = bool(group.positives)
        positive = group.positives[0] if has_positive else "original"
        errors.append(float((output - as_images(group.read(positive))).abs().mean()))
        for negative in group.negatives:
            maps = negative_map(
                as_images(original),
                as_images(group.read(positive)),
                as_images(group.read(negative)),
                torch.tensor([agreement.get(positive, 3)]),
                torch.tensor([agreement[negative]]),
                torch.tensor([has_positive]),
            )
            spoilt = as_images(group.read(negative))
            distances.append(float(negative_loss(output, spoilt, maps, torch.tensor([True]))))
    assert distances
    return sum(distances) / len(distances), sum(errors) / len(errors)
