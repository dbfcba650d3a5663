"""Choice of the device, and scores that do not depend on it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from hggt_data.errors import DeviceError
from hggt_data.io.images import Pixels
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.metrics.comparer import AnyComparer
from hggt_eval.metrics.device import full_precision, own_device
from hggt_eval.metrics.tensors import as_images, levels_8bit


@pytest.mark.parametrize("device", ["cuda:7", "no-such"])
def test_an_unusable_device_is_named(device: str) -> None:
    with pytest.raises(DeviceError, match=f"{device} cannot be used: "):
        own_device(device)


def test_auto_is_the_cpu_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert own_device("auto") == "cpu"


def test_each_process_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *_, device: torch.empty(1))
    for device, rank, own in [("auto", "5", "cuda:5"), ("cuda", "3", "cuda:3"), ("cuda:1", "3", "cuda:1")]:
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert own_device(device) == own
    monkeypatch.delenv("LOCAL_RANK")
    assert own_device("cuda") == "cuda:0"


def test_full_precision_is_restored_at_the_end() -> None:
    before = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    with torch.autocast("cpu"), full_precision("cpu"):
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"  # type: ignore[attr-defined]
        assert not torch.backends.cudnn.allow_tf32  # the older switch can be read
        assert not torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()
    assert torch.backends.cudnn.conv.fp32_precision == before  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # a warning about Intel GPUs
def test_another_implementation_of_convolutions_gives_the_same_score(
    networks: Mapping[str, AnyComparer], pair: tuple[Pixels, Pixels]
) -> None:
    assert torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    for metric in (*networks.values(), METRICS["vif_p"].load(), METRICS["fsim"].load()):
        with torch.backends.mkldnn.flags(enabled=False):
            other = metric(*pair)
        assert metric(*pair) == pytest.approx(other, abs=1e-5), metric.name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", METRICS)
def test_cuda_gives_the_same_score(random_weights: Path, pair: tuple[Pixels, Pixels], name: str) -> None:
    large = tuple(np.tile(pixels, (3, 3, 1)) for pixels in pair)  # multi-scale metrics need larger pictures
    cpu, cuda = (
        METRICS[name].load(MetricSettings(device=device, weights_dir=random_weights)) for device in ("cpu", "cuda")
    )
    assert cuda(*large) == pytest.approx(cpu(*large), abs=1e-4)


def test_pixels_are_copied_to_an_image() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    expected = float(pixels[2, 1, 2])
    cropped = pixels[1:-1, 1:-1]
    images, levels = as_images(cropped), levels_8bit(cropped)
    pixels[:] = 9
    assert (images.shape, images.dtype) == ((1, 3, 2, 3), torch.float32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images[0, 2, 1, 0] == torch.tensor(expected) / 255
    assert levels[0, 2, 1, 0] == expected
