import math

import pytest
import torch
from torch import Tensor

from hggt_models.runtime import Runtime
from hggt_models.training.loss_meter import DivergedError, LossMeter, blank_loss

ALONE = Runtime()
BLANK = torch.tensor(0.2)


def losses(pixel: float, other: float = 1.0) -> dict[str, torch.Tensor]:
    return {"pixel": torch.tensor(pixel), "other": torch.tensor(other)}


def test_means_are_over_all_losses_since_the_last_restart() -> None:
    meter = LossMeter(pixel_weight=1)
    for pixel in (0.25, 0.5, 0.75):
        meter.add(losses(pixel, 2 * pixel), BLANK)
    assert meter.means(ALONE) == {"pixel": 0.5, "other": 1.0}
    meter.restart()
    assert meter.means(ALONE) == {}
    meter.add(losses(0.125), BLANK)
    assert meter.means(ALONE) == {"pixel": 0.125, "other": 1.0}


@pytest.mark.parametrize("strange", [math.nan, math.inf])
def test_one_infinite_loss_among_many_is_found(strange: float) -> None:
    meter = LossMeter(pixel_weight=1)
    for other in (1.0, strange, 2.0):
        meter.add(losses(0.5, other), BLANK)
    with pytest.raises(DivergedError, match=f"became NaN or infinite .other is {strange}"):
        meter.means(ALONE)


def add(meter: LossMeter, pixel: float, times: int = 100, blank: Tensor = BLANK) -> None:
    for _ in range(times):
        meter.add(losses(pixel), blank)


def test_a_pixel_loss_ten_times_its_lowest_is_divergence() -> None:
    meter = LossMeter(pixel_weight=0.01)
    for pixel in (0.0004, 0.0002, 0.00199):
        add(meter, pixel)
        meter.means(ALONE)
    add(meter, 0.00201, times=10)
    with pytest.raises(DivergedError, match=r"the mean pixel loss has grown from 0\.02 to 0\.201"):
        meter.means(ALONE)


@pytest.mark.parametrize(("before", "after"), [(0.05, 0.56), (0.02, 0.3), (0.05, 0.21), (0.4, 0.59)])
def test_a_start_network_ruined_within_fifty_iterations_is_divergence(before: float, after: float) -> None:
    """Worse than a blank picture and than it began; no window of 100 iterations was better."""
    meter = LossMeter(pixel_weight=1, starts_trained=True)
    for number in range(50):
        meter.add(losses(before + (after - before) * min(number / 5, 1)), BLANK)
    with pytest.raises(DivergedError, match=rf"the mean pixel loss has grown from {before} to {after}"):
        meter.means(ALONE)


# The pixel loss of small networks on the demo, a batch of two per iteration, in means of five iterations.
GROWING = [0.061, 0.078, 0.059, 0.066, 0.078, 0.092, 0.112, 0.15, 0.204, 0.24, 0.282, 0.34, 0.41, 0.49]
POOR = [0.466, 0.464, 0.483, 0.48, 0.477, 0.49, 0.503, 0.47, 0.443, 0.5, 0.567, 0.6, 0.7, 0.8, 1.1, 1.2]


@pytest.mark.parametrize(
    ("means", "ruined", "growth"),
    [(GROWING, 9, r"from 0\.04575 to 0\.222"), (POOR, 15, r"from 0\.3495 to 1\.15")],
    ids=["growing", "poor"],
)
def test_a_loss_that_varies_because_it_grows_is_divergence(means: list[float], ruined: int, growth: str) -> None:
    """The first as soon as it is well above that of a blank picture; the second when no picture could be so far."""
    meter = LossMeter(pixel_weight=1, starts_trained=True)
    for number, mean in enumerate(means[: ruined + 1]):
        if number:
            meter.means(ALONE)
        for factor in (0.75, 1.25, 1.0, 0.8, 1.2):
            meter.add(losses(mean * factor), BLANK)
    with pytest.raises(DivergedError, match=growth):
        meter.means(ALONE)


@pytest.mark.parametrize(("before", "after"), [(0.05, 0.19), (0.4, 0.49)])
def test_a_start_network_that_is_changed_is_not_ruined(before: float, after: float) -> None:
    """By an adversarial loss, for example: better than a blank picture, or hardly worse than it began."""
    meter = LossMeter(pixel_weight=1, starts_trained=True)
    add(meter, before, times=5)
    add(meter, after, times=45)
    meter.means(ALONE)


def test_ten_hard_batches_are_not_divergence() -> None:
    """Batches of one picture each, of pictures that are hard and pictures that are easy for random weights."""
    meter = LossMeter(pixel_weight=1)
    for number in range(80):
        meter.add(losses(0.1 + 0.4 * (number * 7 % 10 < 4 + 2 * (number >= 70))), BLANK)
        meter.means(ALONE)


def test_what_was_learned_and_is_lost_is_divergence() -> None:
    meter = LossMeter(pixel_weight=1)
    for pixel in (0.4, 0.1):
        add(meter, pixel)
    add(meter, 0.21, times=10)
    with pytest.raises(DivergedError, match=r"has grown from 0\.1 to 0\.21"):
        meter.means(ALONE)


def test_the_pixel_loss_of_blank_pictures() -> None:
    targets = torch.zeros(2, 3, 2, 2)
    targets[1, :, 0] = torch.tensor([0.2, 0.4, 0.6])[:, None]
    assert blank_loss(targets).item() == pytest.approx((0 + 0 + 0 + 0.1 + 0.2 + 0.3) / 6)


def test_learning_from_random_weights_or_dark_pictures_is_not_divergence() -> None:
    for start in (0.9, 0.4, 1e-5):
        meter = LossMeter(pixel_weight=1)
        add(meter, start, times=10)
        add(meter, 0.09, times=40)
        meter.means(ALONE)


@pytest.mark.parametrize("every", [1, 7, 100])
def test_a_single_easy_or_hard_batch_is_not_divergence(every: int) -> None:
    meter = LossMeter(pixel_weight=1)
    for number in range(300):
        meter.add(losses({50: 1e-9, 250: 4.0}.get(number, 0.05)), BLANK)
        if number % every == 0:
            meter.means(ALONE)
            meter.restart()


def test_ten_exploding_iterations_are_detected_however_rare_the_log_lines() -> None:
    meter = LossMeter(pixel_weight=1)
    add(meter, 0.02, times=190)
    add(meter, 5.0, times=10)
    with pytest.raises(DivergedError, match=r"from 0\.02 to 5"):
        meter.means(ALONE)


@pytest.mark.parametrize(
    ("names", "watched"),
    [
        (["perceptual", "adversarial", "negative"], "perceptual"),
        (["adversarial", "artifact_map"], "artifact_map"),
        (["adversarial"], "adversarial"),
    ],
)
def test_without_a_pixel_loss_another_is_watched(names: list[str], watched: str) -> None:
    meter = LossMeter(pixel_weight=0)
    for value in [0.5] * 100 + [6.0] * 10:
        meter.add({name: torch.tensor(value) for name in (*names, "discriminator_real")}, BLANK)
    with pytest.raises(DivergedError, match=rf"the mean {watched} loss has grown from 0\.5 to 6"):
        meter.means(ALONE)


@pytest.mark.parametrize("done", [0, 99, 130])
def test_a_meter_resumes_from_its_state(done: int) -> None:
    whole, other = LossMeter(1), LossMeter(1)
    values = [0.1 + 0.001 * number for number in range(150)] + [20.0] * 3
    for value in values[:done]:
        whole.add(losses(value), BLANK)
    other.load_state_dict(whole.state_dict(), torch.device("cpu"))
    for value in values[done:-1]:
        for meter in (whole, other):
            meter.add(losses(value), BLANK)
    texts = []
    for meter in (whole, other):
        with pytest.raises(DivergedError) as caught:
            meter.means(ALONE)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert "has grown from 0.1045 to" in texts[0]
