import pickle
from dataclasses import asdict, replace
from typing import Any

import pytest

from hggt_models.degradation.limits import DegradationError
from hggt_models.degradation.settings import (
    ENHANCE_01,
    ENHANCE_02,
    PUBLISHED,
    SR,
    Degradation,
    SecondStage,
    ShuffledSettings,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0}, "scale is 0; expected 1 or more"),
        ({"kernel_sizes_px": (3, 4)}, r"kernel_sizes_px is \(3, 4\); expected one or more odd numbers"),
        ({"kernel_sizes_px": (100_001,)}, r"kernel_sizes_px is \(100001,\); expected .*, at most 99"),
        ({"blur_sigma_px": (1.0, 0.1)}, r"blur_sigma_px is \(1.0, 0.1\); expected \(lowest, highest\)"),
        ({"blur_sigma_px": (1, float("inf"))}, "blur_sigma_px is .* within 0.01 to 100"),
        ({"jpeg_quality": (75, 101)}, "jpeg_quality is .* within 1 to 100"),
        ({"resize_scale": (0.5, 0.8)}, "resize_scale is .*; expected a range that contains 1"),
        ({"grey_probability": 1.5}, "grey_probability is 1.5; expected 0 to 1"),
        ({"enlarge_probability": 0.6, "shrink_probability": 0.6}, "add up to more than 1"),
        ({"kernel_kinds": {"round": 1.0}}, "kernel_kinds has round; expected one or more of isotropic, anisotropic"),
        ({"kernel_kinds": {}}, "kernel_kinds has nothing"),
        ({"kernel_kinds": {"isotropic": 2.0, "anisotropic": -1.0}}, "expected weights of 0 or more"),
        ({"resize_modes": ("area", "lanczos")}, "resize_modes has area, lanczos; expected one or more of area"),
        ({"jpeg_form": "mozjpeg"}, "jpeg_form has mozjpeg; expected one or more of official, libjpeg"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DegradationError, match=message):
        replace(SR, **change)


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        (SecondStage(), {"blur_probability": 2}, "blur_probability is 2; expected 0 to 1"),
        (SecondStage(), {"jpeg_quality": (0, 95)}, "jpeg_quality is .* within 1 to 100"),
        (ShuffledSettings(), {"scale": 0}, "scale is 0; expected 1 or more"),
        (ShuffledSettings(), {"resize_divisor": (0.5, 1)}, "resize_divisor is .* within 1 to 100"),
        (ShuffledSettings(), {"decimation_sigma_px": 2}, "decimation_sigma_px 2 is more than"),
        (
            ShuffledSettings(),
            {"noise_kinds": {"pink": 1}},
            "noise_kinds has pink; expected one or more of colour",
        ),
    ],
)
def test_impossible_settings_of_other_orders_are_refused(settings: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DegradationError, match=message):
        replace(settings, **change)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(DegradationError, match=r"scale is 0.*; sinc_probability is 2.*; grey_probability is -1"):
        replace(SR, scale=0, sinc_probability=2, grey_probability=-1)


@pytest.mark.parametrize("settings", PUBLISHED.values(), ids=PUBLISHED)
def test_settings_survive_a_worker(settings: Degradation) -> None:
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_enhancers_differ_as_published() -> None:
    # Enhancers 01 and 03 see more noise, 02 and 04 more blur.
    assert PUBLISHED["enhance-03"] == ENHANCE_01
    assert PUBLISHED["enhance-04"] == ENHANCE_02
    changed = {name for name, value in asdict(ENHANCE_01).items() if value != asdict(ENHANCE_02)[name]}
    assert changed == {"blur_sigma_px", "gaussian_sigma_8bit", "poisson_scale"}
