import math

import pytest
import torch

from hggt_models.runtime import Runtime
from hggt_models.training.loss_meter import DivergedError, LossMeter

ALONE = Runtime(torch.device("cpu"))


def losses(pixel: float, other: float = 1.0) -> dict[str, torch.Tensor]:
    return {"pixel": torch.tensor(pixel), "other": torch.tensor(other)}


def test_means_are_over_all_that_was_added_since_the_last_restart() -> None:
    meter = LossMeter(pixel_weight=1)
    for pixel in (0.25, 0.5, 0.75):
        meter.add(losses(pixel, 2 * pixel))
    assert meter.means(ALONE) == {"pixel": 0.5, "other": 1.0}
    meter.restart(meter.means(ALONE))
    assert meter.means(ALONE) == {}
    meter.add(losses(0.125))
    assert meter.means(ALONE) == {"pixel": 0.125, "other": 1.0}


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_one_strange_loss_among_many_is_found(strange: float) -> None:
    meter = LossMeter(pixel_weight=1)
    for other in (1.0, strange, 2.0):
        meter.add(losses(0.5, other))
    with pytest.raises(DivergedError, match=f"no finite numbers any more .other is {strange}"):
        meter.means(ALONE)


def tell(meter: LossMeter, pixel: float, times: int = 100) -> None:
    for _ in range(times):
        meter.add(losses(pixel))
    meter.restart(meter.means(ALONE))


def test_a_pixel_loss_ten_times_its_lowest_is_divergence() -> None:
    meter = LossMeter(pixel_weight=0.01)
    tell(meter, 1e-9, times=1)  # one easy batch is no mark for the others
    for pixel in (0.004, 0.002, 0.0199):
        tell(meter, pixel)
    with pytest.raises(DivergedError, match=r"has grown from 0\.2 to 2\.01"):
        tell(meter, 0.0201)


def test_without_a_pixel_loss_nothing_is_held_against_it() -> None:
    meter = LossMeter(pixel_weight=0)
    for other in (0.001, 1000.0):
        meter.add({"other": torch.tensor(other)})
        meter.restart(meter.means(ALONE))


def test_a_meter_goes_on_from_its_state() -> None:
    meter, other = LossMeter(1), LossMeter(1)
    for _ in range(100):
        meter.add(losses(0.1))
    meter.restart(meter.means(ALONE))
    meter.add(losses(0.25))
    other.load_state_dict(meter.state_dict(), torch.device("cpu"))
    for each in (meter, other):
        each.add(losses(0.75))
    assert other.means(ALONE) == meter.means(ALONE) == {"pixel": 0.5, "other": 1.0}
    other.restart(other.means(ALONE))
    for _ in range(98):
        other.add(losses(1.2704081632653061))  # with the two before, 1.25 on average
    with pytest.raises(DivergedError, match=r"from 0\.1 to 1\.25"):
        other.restart(other.means(ALONE))
