import torch
from torch import nn

from hggt_models.training.ema import Ema


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_the_average_starts_as_a_copy_and_stays_apart() -> None:
    followed = network()
    ema = Ema(followed, 0.9)
    with torch.no_grad():
        followed.get_parameter("0.weight").add_(1)
    assert not torch.equal(ema.network.get_parameter("0.weight"), followed.get_parameter("0.weight"))
    assert not ema.network.training
    assert not any(parameter.requires_grad for parameter in ema.network.parameters())


def test_the_average_follows_by_its_decay() -> None:
    followed = network()
    ema = Ema(followed, 0.9)
    expected = followed.get_parameter("0.weight").detach().clone().double()
    for step in range(1, 6):
        with torch.no_grad():
            followed.get_parameter("0.weight").add_(0.1 * step)
        expected = 0.9 * expected + 0.1 * followed.get_parameter("0.weight").detach().double()
        ema.update(followed)
    torch.testing.assert_close(ema.network.get_parameter("0.weight").double(), expected, rtol=0, atol=1e-6)


def test_statistics_of_batch_norm_are_copied() -> None:
    followed = network()
    ema = Ema(followed, 0.9)
    followed(torch.rand(2, 3, 8, 8) + 5)
    ema.update(followed)
    assert not torch.equal(followed.get_buffer("1.running_mean"), torch.zeros(4))
    torch.testing.assert_close(
        ema.network.get_buffer("1.running_mean"), followed.get_buffer("1.running_mean"), rtol=0, atol=0
    )
    torch.testing.assert_close(
        ema.network.get_buffer("1.running_var"), followed.get_buffer("1.running_var"), rtol=0, atol=0
    )
    assert ema.network.get_buffer("1.num_batches_tracked") == 1
