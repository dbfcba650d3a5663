import torch

from hggt_models.degradation.random_source import RandomSource


def _draws(source: RandomSource) -> list[float]:
    pixels = torch.randn(20, generator=source.pixels, device=source.pixels.device)
    return [*source.uniform(3, 0, 1).tolist(), *source.choose(9, [1, 1]), *pixels.tolist()]


def test_one_seed_gives_the_same_numbers() -> None:
    assert _draws(RandomSource(3)) == _draws(RandomSource(3))
    assert _draws(RandomSource(3)) != _draws(RandomSource(4))


def test_choices_and_pixels_do_not_get_the_same_numbers() -> None:
    source = RandomSource(3)
    first, second = (torch.rand(1000, generator=generator) for generator in (source.choices, source.pixels))
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.1


def test_a_text_is_a_seed() -> None:
    assert _draws(RandomSource.from_text("0/a.png")) == _draws(RandomSource.from_text("0/a.png"))
    assert _draws(RandomSource.from_text("0/a.png")) != _draws(RandomSource.from_text("1/a.png"))


def test_draws_follow_their_probabilities() -> None:
    source = RandomSource(11)
    assert abs(source.happens(20_000, 0.3).float().mean() - 0.3) < 0.01
    counts = torch.bincount(torch.tensor(source.choose(20_000, [1, 0, 3])), minlength=3) / 20_000
    torch.testing.assert_close(counts, torch.tensor([0.25, 0, 0.75]), rtol=0, atol=0.01)
    drawn = source.uniform(20_000, 75, 95)
    assert 75 <= drawn.min() < 75.1 < 94.9 < drawn.max() <= 95
    assert abs(drawn.mean() - 85) < 0.2
