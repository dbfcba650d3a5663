import pytest
import torch

from hggt_data.errors import DeviceError
from hggt_eval.metrics.device import own_device


@pytest.mark.parametrize("device", ["cuda:7", "meta", "no-such"])
def test_a_device_that_cannot_be_used_is_named(device: str) -> None:
    with pytest.raises(DeviceError, match=f"{device} cannot be used: "):
        own_device(device)


def test_auto_is_the_cpu_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert own_device("auto") == "cpu"


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *_, device: torch.empty(1))
    for device, rank, own in [("auto", "5", "cuda:5"), ("cuda", "3", "cuda:3"), ("cuda:1", "3", "cuda:1")]:
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert own_device(device) == own
    monkeypatch.delenv("LOCAL_RANK")
    assert own_device("cuda") == "cuda:0"
