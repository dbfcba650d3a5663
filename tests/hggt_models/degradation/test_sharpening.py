import torch

from hggt_models.degradation.sharpening import sharpen
from tests.hggt_models.degradation.golden import golden, waves


def test_sharpening_equals_the_official_one() -> None:
    torch.testing.assert_close(sharpen(waves(48, 56)), golden("usm"), rtol=0, atol=1e-5)


def test_small_differences_are_not_changed() -> None:
    faint = 0.5 + (waves(60, 70) - 0.5) * 0.05  # +-6 grey levels
    torch.testing.assert_close(sharpen(faint), faint, rtol=0, atol=0)
    assert not torch.equal(sharpen(faint, threshold_8bit=2), faint)


def test_edges_get_steeper() -> None:
    step = torch.full((1, 3, 40, 40), 0.3)
    step[..., 20:] = 0.7
    sharp = sharpen(step)
    assert (sharp[..., 18] < 0.29).all()
    assert (sharp[..., 21] > 0.71).all()


def test_samples_do_not_influence_each_other() -> None:
    images = torch.cat([waves(30, 31), waves(30, 31, salt=1.3)])
    torch.testing.assert_close(sharpen(images)[1:], sharpen(images[1:]), rtol=0, atol=1e-6)


def test_a_single_pixel_is_not_changed() -> None:
    torch.testing.assert_close(sharpen(waves(1, 1)), waves(1, 1))
