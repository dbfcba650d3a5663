from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from hggt_models.degradation.noise import add_gaussian_noise, add_poisson_noise, count_levels
from tests.hggt_models.degradation.golden import waves


def _seeded() -> Generator:
    return torch.Generator().manual_seed(5)


def _flat(value: float, count: int = 1, side_px: int = 200) -> Tensor:
    return torch.full((count, 3, side_px, side_px), value)


COLOUR, GREY = torch.tensor([False]), torch.tensor([True])


def test_each_sample_gets_its_own_gaussian_sigma() -> None:
    sigmas_8bit = torch.tensor([1.0, 6.5, 13.0])
    noise = (add_gaussian_noise(_flat(0.5, 3), sigmas_8bit, COLOUR.expand(3), _seeded()) - 0.5) * 255
    torch.testing.assert_close(noise.std((1, 2, 3)), sigmas_8bit, rtol=0.02, atol=0)
    torch.testing.assert_close(noise.mean((1, 2, 3)), torch.zeros(3), rtol=0, atol=0.1)


def test_grey_gaussian_noise_is_the_same_in_all_channels_and_one_map_for_the_batch() -> None:
    is_grey = torch.tensor([True, False, True])
    noise = add_gaussian_noise(_flat(0.5, 3), torch.tensor([2.0, 2.0, 6.0]), is_grey, _seeded()) - 0.5
    torch.testing.assert_close(noise[::2, :1].expand(-1, 3, -1, -1), noise[::2])
    torch.testing.assert_close(3 * noise[0], noise[2], rtol=0, atol=1e-6)
    red, green = noise[1, :2].flatten(1)
    assert abs(torch.corrcoef(torch.stack([red, green]))[0, 1]) < 0.02


def test_poisson_noise_has_the_variance_of_counted_photons() -> None:
    # 3 distinct values: 4 photons stand for white.
    images = _flat(0.2)
    images[..., 0, 0], images[..., 0, 1] = 0.0, 1.0
    value = round(0.2 * 255) / 255
    for scale in (1.0, 0.3):
        noisy = add_poisson_noise(images + 0, torch.tensor([scale]), COLOUR, _seeded())
        counts = ((noisy - images) / scale + value) * 4
        inner = counts[..., 1:, :][noisy[..., 1:, :] < 1]  # clamped values carry no information
        torch.testing.assert_close(inner, inner.round(), rtol=0, atol=1e-4)
        counted = torch.bincount(inner.round().long().flatten(), minlength=4)[:4] / (3 * 199 * 200)
        rate = torch.tensor(4 * value)
        expected = torch.exp(-rate) * rate ** torch.arange(4) / torch.tensor([1.0, 1.0, 2.0, 6.0])
        torch.testing.assert_close(counted, expected, rtol=0, atol=0.005)


def test_photons_are_counted_on_8_bit_values() -> None:
    jitter = (waves(50, 50) - 0.5) * 0.8  # +-0.36 grey levels: one level after rounding, one photon for white
    noise = (
        add_poisson_noise((100 + jitter) / 255, torch.tensor([0.01]), COLOUR, _seeded()) * 255 - 100 - jitter
    ) / 2.55
    counts = noise + 100 / 255
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=0.01)
    assert counts.round().max() >= 2


def test_grey_poisson_noise_counts_the_photons_of_the_luma() -> None:
    colour = torch.tensor([0.9, 0.2, 0.4])[:, None, None].expand(1, 3, 50, 50)
    luma = round((0.299 * 0.9 + 0.587 * 0.2 + 0.114 * 0.4) * 255) / 255  # one value: one photon for white
    counts = (add_poisson_noise(colour, torch.tensor([0.01]), GREY, _seeded()) - colour) / 0.01 + luma
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=0.01)
    assert counts.round().max() >= 2


def test_grey_poisson_noise_is_the_same_in_all_channels() -> None:
    images = waves(64, 64).repeat(2, 1, 1, 1)
    noise = add_poisson_noise(images, torch.tensor([0.1, 0.1]), torch.tensor([True, False]), _seeded()) - images
    assert (noise[0] - noise[0, :1]).abs().max() < 1e-6
    assert (noise[1] - noise[1, :1]).abs().max() > 0.01


def test_a_scale_of_0_leaves_the_picture() -> None:
    images = waves(9, 7)
    none = torch.zeros(1)
    torch.testing.assert_close(add_poisson_noise(images, none, COLOUR, _seeded()), images, rtol=0, atol=0)
    torch.testing.assert_close(add_gaussian_noise(images, none, GREY, _seeded()), images, rtol=0, atol=0)


@pytest.mark.parametrize("add_noise", [add_gaussian_noise, add_poisson_noise])
def test_noisy_pictures_stay_within_0_and_1(add_noise: Callable[..., Tensor]) -> None:
    noisy = add_noise(waves(32, 32) * 1.4 - 0.2, torch.tensor([30.0]), COLOUR, _seeded())
    assert noisy.min() == 0
    assert noisy.max() == 1


def test_levels_are_counted_as_torch_unique_counts_them() -> None:
    generator = _seeded()
    samples = [torch.randint(high, (3, 20, 30), generator=generator) for high in (1, 2, 3, 40, 255, 256)]
    samples[-1].view(-1)[:256] = torch.arange(256)
    expected = [len(torch.unique(sample)) for sample in samples]
    assert count_levels(torch.stack(samples).float()).tolist() == expected
    assert expected[-1] == 256


@pytest.mark.parametrize(("levels", "photons"), [(1, 1), (3, 4), (4, 4), (129, 256)])
def test_the_number_of_photons_is_the_number_of_levels_rounded_up_to_a_power_of_two(levels: int, photons: int) -> None:
    values = (min(100, 256 - levels) + torch.arange(levels)) / 255
    images = values.expand(1, 3, 100, -1)
    noise = (add_poisson_noise(images, torch.tensor([0.01]), COLOUR, _seeded()) - images) / 0.01
    counts = ((noise + values) * photons)[..., values < 0.9]  # values clamped at white carry no information
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=0.01)
    assert (counts.round() % 2).any()  # half as many photons would count in steps of two
