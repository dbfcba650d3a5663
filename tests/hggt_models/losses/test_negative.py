import json
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from hggt_models.losses.negative import candidate_map, negative_loss, negative_map
from tests.hggt_models.degradation.golden import GOLDEN_TENSORS, golden
from tests.hggt_models.losses.conftest import GoldenImages

AGREEMENTS = [(2, 2), (2, 3), (3, 2), (3, 3)]
YES = torch.tensor([True])


def _map_one_by_one(
    original: Tensor,
    positive: Tensor,
    negative: Tensor,
    agreements: tuple[int, int],
    has_positive: bool,
    num_annotators: int,
    window_px: int = 3,
) -> Tensor:
    """The map of one sample as defined in the paper: images (3, H, W) to (1, H, W)."""

    def own_map(candidate: Tensor, agreement: int) -> Tensor:
        residual = (original - candidate).abs().sum(0, keepdim=True)[None]
        padded = functional.pad(residual, (window_px // 2,) * 4, mode="reflect")
        variance = padded.unfold(2, window_px, 1).unfold(3, window_px, 1).var((-2, -1))[0]
        return agreement / num_annotators * variance**0.75

    refined = own_map(negative, agreements[1])
    if has_positive:
        refined[refined <= own_map(positive, agreements[0])] = 0
    return refined


@pytest.mark.parametrize(("of_positive", "of_negative"), AGREEMENTS)
def test_maps_equal_those_of_the_official_code(golden_images: GoldenImages, of_positive: int, of_negative: int) -> None:
    images = (golden_images.original, golden_images.positive, golden_images.negative)
    agreements = (torch.tensor([of_positive]), torch.tensor([of_negative]))
    found = {
        "positive": candidate_map(images[0], images[1], agreements[0]),
        "negative": negative_map(*images, *agreements, has_positive=~YES),
        "refined": negative_map(*images, *agreements, has_positive=YES),
    }
    for name, maps in found.items():
        expected = golden(f"negmap.pos{of_positive}neg{of_negative}.{name}")
        torch.testing.assert_close(maps, expected, rtol=0, atol=1e-6)
        assert torch.equal(maps > 0, expected > 0)


@pytest.mark.parametrize(("of_positive", "of_negative"), AGREEMENTS)
@pytest.mark.parametrize("kind", ["refined", "unrefined"])
def test_loss_equals_that_of_the_official_code(
    golden_images: GoldenImages, of_positive: int, of_negative: int, kind: str
) -> None:
    key = f"pos{of_positive}neg{of_negative}"
    expected = json.loads(GOLDEN_TENSORS.with_name("golden_scalars.json").read_text())[f"negloss.{key}"][kind]
    maps = golden(f"negmap.{key}.{'refined' if kind == 'refined' else 'negative'}")
    distance = negative_loss(golden_images.output, golden_images.negative, maps, YES)
    assert -300 * distance.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("window_px", "size"), [(3, (4, 4)), (3, (33, 20)), (7, (5, 7))])
def test_a_batch_equals_its_samples_one_by_one(
    random_images: Callable[..., Tensor], window_px: int, size: tuple[int, int]
) -> None:
    cases = list(product(AGREEMENTS, [True, False], [3, 5]))
    originals, positives, negatives = (random_images(len(cases), *size) for _ in range(3))
    maps = negative_map(
        originals,
        positives,
        negatives,
        positive_agreement=torch.tensor([agreements[0] for agreements, _, _ in cases]),
        negative_agreement=torch.tensor([agreements[1] for agreements, _, _ in cases]),
        has_positive=torch.tensor([has_positive for _, has_positive, _ in cases]),
        num_annotators=torch.tensor([num_annotators for _, _, num_annotators in cases]),
        window_px=window_px,
    )
    for k, case in enumerate(cases):
        expected = _map_one_by_one(originals[k], positives[k], negatives[k], *case, window_px)
        torch.testing.assert_close(maps[k], expected, rtol=1e-5, atol=1e-6)


def test_the_loss_of_a_batch_is_the_mean_over_all_samples(random_images: Callable[..., Tensor]) -> None:
    outputs, negatives = random_images(5, 9, 8), random_images(5, 9, 8)
    maps = random_images(5, 9, 8)[:, :1]
    has_negative = torch.tensor([True, False, True, False, False])
    each = [float((maps[k] * outputs[k] - maps[k] * negatives[k]).abs().mean()) for k in (0, 2)]
    loss = negative_loss(outputs, negatives, maps, has_negative)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(sum(each) / 5)


def test_only_samples_with_a_negative_get_a_gradient(random_images: Callable[..., Tensor]) -> None:
    outputs, negatives = random_images(2, 8, 8).requires_grad_(), random_images(2, 8, 8)
    maps = random_images(2, 8, 8)[:, :1]
    for has_negative in ([False, True], [False, False]):
        loss = negative_loss(outputs, negatives, maps, torch.tensor(has_negative))
        (gradient,) = torch.autograd.grad(loss, outputs)
        for sample_gradient, expected in zip(gradient, has_negative, strict=True):
            assert sample_gradient.ne(0).eq(expected).all()
    assert loss.item() == 0


def test_beyond_the_margin_a_sample_gets_no_gradient(random_images: Callable[..., Tensor]) -> None:
    negatives = random_images(2, 8, 8)
    outputs = (negatives + torch.tensor([0.1, 0.4])[:, None, None, None]).requires_grad_()
    loss = negative_loss(outputs, negatives, torch.ones(2, 1, 8, 8), torch.tensor([True, True]), margin=0.3)
    assert loss.item() == pytest.approx((0.1 + 0.3) / 2)
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert gradient[0].gt(0).all()
    assert gradient[1].eq(0).all()


def test_equal_maps_give_an_empty_refined_map(random_images: Callable[..., Tensor]) -> None:
    originals, candidates = random_images(1, 8, 8), random_images(1, 8, 8)
    three = torch.tensor([3])
    assert negative_map(originals, candidates, candidates, three, three, YES).eq(0).all()
    assert negative_map(originals, candidates, candidates, three - 1, three, YES).gt(0).all()


def test_lower_agreement_gives_a_weaker_map(random_images: Callable[..., Tensor]) -> None:
    originals, candidates = random_images(2, 8, 8), random_images(2, 8, 8)
    unanimous = candidate_map(originals, candidates, torch.tensor([5, 5]), 5)
    found = candidate_map(originals, candidates, torch.tensor([2, 4]), 5)
    torch.testing.assert_close(found, unanimous * torch.tensor([0.4, 0.8])[:, None, None, None])


def test_the_map_has_no_gradient_and_autocast_does_not_change_it(random_images: Callable[..., Tensor]) -> None:
    originals, positives, negatives = (random_images(2, 8, 8).requires_grad_() for _ in range(3))

    def computed() -> Tensor:
        agreements = (torch.tensor([2, 3]), torch.tensor([3, 3]))
        return negative_map(originals, positives, negatives, *agreements, has_positive=torch.tensor([True, False]))

    maps = computed()
    with torch.autocast("cpu", torch.bfloat16):
        again = computed()
    assert not maps.requires_grad
    assert again.dtype == torch.float32
    assert torch.equal(again, maps)


def test_a_bfloat16_output_is_compared_in_float32(random_images: Callable[..., Tensor]) -> None:
    outputs, negatives = random_images(2, 16, 16).bfloat16(), random_images(2, 16, 16)
    maps, has_negative = random_images(2, 16, 16)[:, :1] / 100, torch.tensor([True, True])
    with torch.autocast("cpu", torch.bfloat16):
        loss = negative_loss(outputs, negatives, maps, has_negative)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, negative_loss(outputs.float(), negatives, maps, has_negative))


def test_the_gradient_equals_finite_differences(random_images: Callable[..., Tensor]) -> None:
    outputs, negatives = (random_images(3, 4, 5, torch.float64) for _ in range(2))
    maps = random_images(3, 4, 5, torch.float64)[:, :1]
    has_negative = torch.tensor([True, False, True])
    assert gradcheck(lambda moved: negative_loss(moved, negatives, maps, has_negative, 0.3), outputs.requires_grad_())
