"""Features of Inception v3 equal torch-fidelity's; the other two views bring pictures to the size as pyiqa does."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from hggt_data.errors import WeightsError
from hggt_data.io.images import Pixels
from hggt_eval.metrics import SET_METRICS, MetricSettings
from hggt_eval.metrics.backbones import DamagedWeightsError
from hggt_eval.metrics.comparer import SetMetricFeatures
from hggt_eval.metrics.inception import FILE_NAMES, resize_clean, resize_legacy_pytorch


def load(name: str, weights: Path, border: int = 0) -> SetMetricFeatures:
    return SET_METRICS[name].load(MetricSettings(border=border, weights_dir=weights))


def picture(height: int, width: int) -> Pixels:
    y, x = np.mgrid[:height, :width]
    waves = np.stack([127 + 90 * np.sin(0.31 * x + 0.17 * y * (k + 1) + k) for k in range(3)], axis=-1)
    return (waves + np.random.default_rng(3).normal(0, 12, waves.shape)).clip(0, 255).astype(np.uint8)


def test_features_equal_torch_fidelitys(inception_weights: Path) -> None:
    network = FeatureExtractorInceptionV3("inception", ["2048"], inception_weights / FILE_NAMES[0])
    pixels = picture(70, 90)
    with torch.inference_mode():
        [theirs] = network(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    ours = load("kid", inception_weights).describe(pixels)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6 * float(theirs.max()))
    inside = load("kid", inception_weights, 4).describe(pixels)
    assert np.array_equal(inside, load("fid", inception_weights).describe(pixels[4:-4, 4:-4]))


def test_clean_resizes_with_antialiasing_in_float_and_legacy_pytorch_without() -> None:
    pixels = picture(70, 900)
    clean, legacy = resize_clean(pixels), resize_legacy_pytorch(pixels)
    assert clean.shape == legacy.shape == (1, 3, 299, 299)
    plane = Image.fromarray(pixels[..., 1].astype(np.float32), mode="F").resize((299, 299), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(clean[0, 1], (np.asarray(plane).clip(0, 255) - 128) / 128)
    # The first output column lies at (0 + 0.5) * 900 / 299 - 0.5 = 1.005 of the input, the first row at 0 (-0.38).
    at = 0.5 * 900 / 299 - 0.5
    left, right = (float(pixels[0, column, 2]) for column in (1, 2))
    assert float(legacy[0, 2, 0, 0]) == pytest.approx((left + (at - 1) * (right - left)) / 127.5 - 1, abs=1e-5)


def test_patches_are_pictures_of_128_pixels(inception_weights: Path) -> None:
    pixels = picture(150, 270)
    patches = load("patch_fid", inception_weights).describe(pixels)
    whole = load("fid", inception_weights)
    assert patches.shape == (2, 2048)
    for number in range(2):
        own = whole.describe(pixels[:128, 128 * number : 128 * (number + 1)])[0]
        np.testing.assert_allclose(patches[number], own, atol=1e-6 * float(own.max()))


def test_weights_have_either_published_name_and_others_are_reported(inception_weights: Path, tmp_path: Path) -> None:
    shutil.copy(inception_weights / FILE_NAMES[0], tmp_path / FILE_NAMES[1])
    metric = load("kid", tmp_path)
    assert metric.other_weights == FILE_NAMES[1]  # their SHA-256 does not begin with 6726825d
    assert list(metric.weights_sha256) == [FILE_NAMES[1]]


def test_missing_weights_say_where_to_put_them(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=f"{FILE_NAMES[0]} or .* is not in {tmp_path} and .*; download it from https://"
    ):
        load("kid", tmp_path)


def test_other_layers_and_code_are_refused(inception_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAMES[0]
    torch.save({"fc.weight": torch.zeros(3)}, path)
    with pytest.raises(DamagedWeightsError, match="not the layers of Inception v3: Missing key"):
        load("kid", tmp_path)
    path.write_bytes(pickle.dumps(Path("x"), protocol=2))
    with pytest.raises(DamagedWeightsError, match="contains other objects than tensors"):
        load("kid", tmp_path)
    path.write_bytes((inception_weights / FILE_NAMES[0]).read_bytes()[:1000])
    with pytest.raises(DamagedWeightsError, match="cannot be read as weights"):
        load("kid", tmp_path)
