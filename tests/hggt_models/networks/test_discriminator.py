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
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, torchs.state_dict()[key])
    ours.eval(), torchs.eval()
    torch.testing.assert_close(ours(images), torchs(images))


def test_the_estimate_converges_to_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    conv = SpectralConvolution(3, 8, kernel_px=3)
    for _ in range(200):
        conv(torch.zeros(1, 3, 4, 4))
    largest = torch.linalg.matrix_norm(conv.weight_orig.flatten(1), ord=2)
    torch.testing.assert_close(conv._norm(), largest, rtol=1e-4, atol=0)


def test_evaluation_leaves_the_estimate_alone() -> None:
    conv = SpectralConvolution(3, 8, kernel_px=3).eval()
    before = conv.weight_u.clone()
    conv(torch.zeros(1, 3, 4, 4))
    assert torch.equal(conv.weight_u, before)


def test_the_estimate_stays_in_float32_under_autocast() -> None:
    conv = SpectralConvolution(16, 64, kernel_px=3).eval()
    expected = conv._norm()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(conv._norm(), expected)
        assert conv(random_images(1, 16, 4, 4)).dtype == torch.bfloat16


@pytest.mark.parametrize("first_trains", [True, False])
def test_two_calls_can_be_followed_by_one_backward_pass(first_trains: bool) -> None:
    network = small_network("unet_discriminator_sn")
    images = random_images(1, 3, 16, 16)
    first = network.train(first_trains)(images).mean()
    second = network.train()(1 - images).mean()
    (first - second).backward()


def test_skips_can_be_left_out() -> None:
    network = small_network("unet_discriminator_sn")
    without = small_network("unet_discriminator_sn", skip_connection=False)
    without.load_state_dict(network.state_dict())
    images = random_images(1, 3, 16, 16)
    assert without(images).shape == (1, 1, 16, 16)
    assert not torch.allclose(without(images), network(images))


def test_a_size_that_is_no_multiple_of_8_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"^unet_discriminator_sn got 16 x 20; expected multiples of 8$"):
        small_network("unet_discriminator_sn")(random_images(1, 3, 16, 20))
