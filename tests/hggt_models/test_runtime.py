import pytest
import torch
from torch import nn

from hggt_models.runtime import DeviceError, Runtime, open_runtime, own_device


def test_one_process_agrees_with_itself() -> None:
    with open_runtime("cpu") as runtime:
        assert (runtime.rank, runtime.world, runtime.leads) == (0, 1, True)
        values = torch.tensor([1.0, 2.0])
        assert torch.equal(runtime.mean(values), values)
        assert runtime.any(True)
        assert not runtime.any(False)
        assert runtime.agreed("word") == "word"
        network = nn.Linear(2, 2)
        assert runtime.wrapped(network) is network


def test_only_the_first_process_leads() -> None:
    assert [Runtime(torch.device("cpu"), rank, 3).leads for rank in range(3)] == [True, False, False]


@pytest.mark.parametrize("device", ["cuda:7", "meta", "no-such"])
def test_a_device_that_cannot_be_used_is_named(device: str) -> None:
    with pytest.raises(DeviceError, match=f"{device} cannot be used: "):
        own_device(device)


def test_auto_is_the_cpu_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert own_device("auto") == "cpu"
