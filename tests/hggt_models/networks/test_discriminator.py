import copy
import shutil

import pytest
import torch
from torch import nn

from hggt_models.networks import NetworkError
from hggt_models.networks.discriminator import SpectralConvolution
from tests.hggt_models.networks.small import random_images, small_network


def test_spectral_norm_equals_that_of_torch_over_steps_of_training() -> None:
    torch.manual_seed(0)
    ours = SpectralConvolution(3, 5, kernel_px=4, stride=2)
    torchs = nn.utils.spectral_norm(nn.Conv2d(3, 5, 4, stride=2, padding=1, bias=False))
    assert set(ours.state_dict()) == set(torchs.state_dict())
    torchs.load_state_dict(ours.state_dict())
    optimizers = [torch.optim.SGD(module.parameters(), lr=0.1) for module in (ours, torchs)]
    for seed in range(3):
        images = random_images(2, 3, 8, 8, seed=seed)
        torch.testing.assert_close(ours(images), torchs(images))
        for module, optimizer in zip((ours, torchs), optimizers, strict=True):
            module(images).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    ours.eval(), torchs.eval()
    torch.testing.assert_close(ours(images), torchs(images))
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, torchs.state_dict()[key])


@pytest.mark.parametrize("first_trains", [True, False])
def test_two_calls_can_be_followed_by_one_backward_pass(first_trains: bool) -> None:
    network = small_network("unet_discriminator_sn")
    images = random_images(1, 3, 16, 16)
    first = network.train(first_trains)(images).mean()
    second = network.train()(1 - images).mean()
    (first - second).backward()


@pytest.mark.skipif(shutil.which("g++") is None, reason="install g++, with which PyTorch compiles for CPUs")
def test_compiled_spectral_norm_has_the_same_gradients() -> None:
    """Compiled as a whole, it repeated its power iteration in the backward pass, from vectors that had changed."""
    torch.manual_seed(0)
    plain = SpectralConvolution(4, 4, 3)
    ours = copy.deepcopy(plain)
    compiled = torch.compile(ours)
    for seed in range(2):
        images = random_images(1, 4, 8, 8, seed=seed)
        plain.zero_grad()
        ours.zero_grad()
        plain(images).square().sum().backward()
        compiled(images).square().sum().backward()
        torch.testing.assert_close(ours.weight_orig.grad, plain.weight_orig.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(ours.weight_u, plain.weight_u)


def test_skips_can_be_left_out() -> None:
    network = small_network("unet_discriminator_sn")
    without = small_network("unet_discriminator_sn", skip_connection=False)
    without.load_state_dict(network.state_dict())
    images = random_images(1, 3, 16, 16)
    assert without(images).shape == (1, 1, 16, 16)
    assert not torch.allclose(without(images), network(images))


def test_a_size_that_is_not_a_multiple_of_8_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"^unet_discriminator_sn got 16 x 20; expected multiples of 8$"):
        small_network("unet_discriminator_sn")(random_images(1, 3, 16, 20))
