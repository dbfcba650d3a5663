"""Golden numbers: calculate_niqe of BasicSR 1.4.2 (input_order="HWC", convert_to="y") on these pictures.

MATLAB computes in double, BasicSR partly in float32. In areas of a single value, only rounding remains after the local
mean is subtracted, and its sign matters; pictures with such areas agree to three digits only.
"""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels, read_pixels
from hggt_eval.metrics import MetricSettings, require_metric
from hggt_eval.metrics.comparer import NoReference
from hggt_eval.metrics.niqe import niqe

DEMO = [
    ("astronaut", 0, 4.783862),
    ("chelsea", 0, 2.432968),
    ("chelsea", 4, 2.912354),
    ("coffee", 0, 6.672729),
    ("rocket", 0, 5.266832),
    ("rocket", 4, 11.166448),
]
LARGE = [
    ("GT/images/original/coffee-0-120.png", 0, 6.474215),
    ("GT/images/03/coffee-0-120_03.png", 0, 6.489097),
    ("GT/images/03/coffee-0-120_03.png", 4, 6.476384),
    ("GT/images/04/coffee-0-120_04.png", 4, 5.025815),
    ("restored/lanczos/coffee-0-120_lanczos.png", 0, 7.127241),
    ("restored/lanczos/coffee-0-120_lanczos.png", 4, 7.095841),
]
FLAT_AREAS = [
    ("GT/images/01/coffee-0-120_01.png", 0, 6.473829),
    ("GT/images/original/coffee-0-120.png", 4, 6.246781),
    ("restored/bicubic/coffee-0-120_bicubic.png", 4, 7.651149),
]


def noise(*size: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize(("name", "border", "expected"), DEMO)
def test_niqe_equals_basicsr(name: str, border: int, expected: float) -> None:
    with (files("hggt_data.tree") / "demo_pictures" / f"{name}.png").open("rb") as file:
        pixels = read_pixels(Path(file.name))
    assert niqe(pixels, border) == pytest.approx(expected, abs=1.5e-4)


def test_niqe_equals_basicsr_on_large_pictures_and_is_close_for_flat_areas(fixtures: Path) -> None:
    for cases, rel, abs_ in ((LARGE, None, 5e-5), (FLAT_AREAS, 1e-3, None)):
        for name, border, expected in cases:
            found = niqe(read_pixels(fixtures / "TestLarge" / name), border)
            assert found == pytest.approx(expected, rel=rel, abs=abs_), name


def test_noise_is_less_natural_than_a_picture(fixtures: Path) -> None:
    pixels = read_pixels(fixtures / "TestLarge" / "GT/images/original/coffee-0-120.png")
    noisy = np.clip(pixels + np.random.default_rng(0).normal(0, 40, pixels.shape), 0, 255).astype(np.uint8)
    assert niqe(noisy) > niqe(pixels) + 5


def test_niqe_is_loaded_by_its_name() -> None:
    metric = require_metric("niqe")
    assert not metric.higher_is_better
    rater = metric.load(MetricSettings(border=0))
    assert isinstance(rater, NoReference)
    assert rater.rate(noise(200, 300)) == niqe(noise(200, 300), 0)
    assert rater.weights_sha256 == {
        "niqe_parameters.npz": "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296"
    }


@pytest.mark.parametrize("size", [(103, 300), (104, 199), (150, 150)])
def test_pictures_without_two_blocks_are_an_error(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="niqe needs"):
        niqe(noise(*size))


def test_flat_pictures_are_an_error() -> None:
    with pytest.raises(ImageError, match=r"the picture is flat, so NIQE is undefined.*`metrics`"):
        niqe(np.full((300, 300, 3), 128, np.uint8))
