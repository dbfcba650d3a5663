from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from hggt_models.losses.variation import LossError, local_variance, residual_variation


def _by_definition(values: Tensor, window_px: int) -> Tensor:
    padded = functional.pad(values, (window_px // 2,) * 4, mode="reflect")
    return padded.unfold(2, window_px, 1).unfold(3, window_px, 1).var((-2, -1), correction=1)


@pytest.mark.parametrize(("window_px", "size"), [(3, (2, 5)), (5, (3, 3)), (7, (31, 17))])
def test_variation_is_the_variance_of_each_window(
    random_images: Callable[..., Tensor], window_px: int, size: tuple[int, int]
) -> None:
    originals, images = random_images(3, *size), random_images(3, *size)
    found = residual_variation(originals, images, window_px)
    assert (found.shape, found.dtype) == ((3, 1, *size), torch.float32)
    expected = _by_definition((originals - images).abs().sum(1, keepdim=True).double(), window_px).float()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)


def test_the_same_difference_everywhere_does_not_vary(random_images: Callable[..., Tensor]) -> None:
    images = random_images(1, 9, 9)
    assert residual_variation(images, images).eq(0).all()
    torch.testing.assert_close(residual_variation(images, images + 0.3), torch.zeros(1, 1, 9, 9), rtol=0, atol=1e-12)


def test_rounding_never_makes_a_variance_negative() -> None:
    flat = torch.linspace(0, 3, 100, dtype=torch.float64).reshape(100, 1, 1, 1).expand(-1, -1, 8, 8)
    assert local_variance(flat, 7).min() >= 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_half_precision_is_widened_and_float64_kept(random_images: Callable[..., Tensor], dtype: torch.dtype) -> None:
    originals, images = random_images(2, 8, 8).to(dtype), random_images(2, 8, 8).to(dtype)
    found = residual_variation(originals, images)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), residual_variation(originals.double(), images.double()))


def test_the_gradient_equals_finite_differences(random_images: Callable[..., Tensor]) -> None:
    originals, images = (random_images(1, 6, 5, torch.float64) for _ in range(2))
    assert gradcheck(lambda moved: residual_variation(originals, moved, 3), images.requires_grad_())


def test_windows_and_images_that_do_not_fit_are_refused() -> None:
    images = torch.zeros(1, 3, 8, 3)
    with pytest.raises(LossError, match=r"^images of 8 x 3 px are too small for a window of 7"):
        residual_variation(images, images, 7)
    for window_px in (1, 4):
        with pytest.raises(LossError, match=f"^window_px is {window_px}; expected an odd number, 3 or more$"):
            residual_variation(images, images, window_px)
    with pytest.raises(LossError, match=r"^images are \(2, 3, 8, 3\) and \(1, 3, 8, 3\); expected the same shape$"):
        residual_variation(images.repeat(2, 1, 1, 1), images)
