import pytest
import torch
from torch import nn

from hggt_data.errors import ImageError, WorkerError
from hggt_models.runtime import Runtime, open_runtime


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


@pytest.mark.parametrize(("device", "world", "joins"), [("cuda:0", 2, True), ("cuda:0", 1, False), ("cpu", 2, False)])
def test_batch_norm_is_joined_on_gpus(device: str, world: int, joins: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    keys = network.state_dict().keys()
    joined = Runtime(0, world, torch.device(device)).with_joint_batch_norm(network)
    assert isinstance(joined[1], nn.SyncBatchNorm) == joins
    assert joined.state_dict().keys() == keys


def test_what_fails_in_another_process_fails_here() -> None:
    class Second(Runtime):
        def any(self, flag: bool) -> bool:
            return True

    def fail() -> None:
        raise ImageError("a.png: cut off")

    runtime = Second(1, 2)
    with pytest.raises(WorkerError, match="process 1 of 2 stops, because another one failed; see its message"):
        runtime.together(lambda: 3)
    with pytest.raises(ImageError, match="cut off"):
        runtime.together(fail)
    assert Runtime().together(lambda: 3) == 3


def test_only_the_first_process_leads() -> None:
    assert [Runtime(rank, 3).leads for rank in range(3)] == [True, False, False]
