"""The published runs, written out once more by hand: every recipe must agree with it, field by field."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
import torch

from hggt_models.config.recipes import load_config, recipe_names
from hggt_models.config.train import TrainConfig
from hggt_models.networks import build_network, network_args
from hggt_models.training.optimizers import learning_rate

# fmt: off
COLUMNS = (
    "starts_from", "target", "generator.name",
    "source_px", "crop_px", "rotate", "sharpen", "batch_size", "pool_size", "learning_rate", "milestones", "ema_decay",
    "loss.pixel", "loss.perceptual", "loss.adversarial", "loss.negative", "loss.artifact_map",
)
_200, _SWINIR, _SWINIR_PSNR = (200_000,), (200_000, 250_000, 275_000, 287_500), (150_000, 240_000, 270_000, 285_000)
RUNS: dict[str, tuple[Any, ...]] = {
    "enhance-01": (
        "", "picture", "rcan_no_upsample", 400, 96, True, False, 4, 40, 1e-4, _200, 0.0, 1.0, 1.0, 0.1, 0.0, 0.0),
    "enhance-02": (
        "", "picture", "rcan_no_upsample", 400, 96, True, False, 4, 40, 1e-4, _200, 0.0, 1.0, 1.0, 0.1, 0.0, 0.0),
    "enhance-03": (
        "", "picture", "elan", 400, 96, True, False, 4, 40, 1e-4, _200, 0.0, 1.0, 1.0, 0.1, 0.0, 0.0),
    "enhance-04": (
        "", "picture", "elan", 400, 96, True, False, 4, 40, 1e-4, _200, 0.0, 1.0, 1.0, 0.1, 0.0, 0.0),
    "rrdb-psnr": (
        "", "picture", "rrdb_pixelshuffle",
        512, 256, False, False, 12, 144, 1e-4, _200, 0.999, 1.0, 0.0, 0.0, 0.0, 0.0),
    "rrdb-gan-original": (
        "rrdb-psnr", "original", "rrdb_pixelshuffle",
        512, 256, False, False, 12, 144, 1e-4, _200, 0.999, 1.0, 1.0, 0.1, 0.0, 0.0),
    "rrdb-gan-positive": (
        "rrdb-psnr", "positive", "rrdb_pixelshuffle",
        512, 256, False, False, 12, 144, 1e-4, _200, 0.999, 1.0, 1.0, 0.1, 0.0, 0.0),
    "rrdb-gan-positive-negative": (
        "rrdb-psnr", "positive_negative", "rrdb_pixelshuffle",
        512, 256, False, False, 12, 144, 1e-4, _200, 0.999, 1.0, 1.0, 0.1, 300.0, 0.0),
    "swinir-psnr": (
        "", "picture", "swinir",
        512, 256, False, False, 8, 160, 2e-4, _SWINIR_PSNR, 0.999, 1.0, 0.0, 0.0, 0.0, 0.0),
    "swinir-gan-original": (
        "swinir-psnr", "original", "swinir",
        512, 256, False, False, 8, 160, 1e-4, _SWINIR, 0.999, 1.0, 1.0, 0.1, 0.0, 0.0),
    "swinir-gan-positive": (
        "swinir-psnr", "positive", "swinir",
        512, 256, False, False, 8, 160, 1e-4, _SWINIR, 0.999, 1.0, 1.0, 0.1, 0.0, 0.0),
    "swinir-gan-positive-negative": (
        "swinir-psnr", "positive_negative", "swinir",
        512, 256, False, False, 8, 144, 1e-4, _SWINIR, 0.999, 1.0, 1.0, 0.1, 300.0, 0.0),
    "ldl-psnr": (
        "", "picture", "rrdb",
        512, 256, False, True, 12, 180, 2e-4, (), 0.999, 1.0, 0.0, 0.0, 0.0, 0.0),
    "ldl-gan": (
        "ldl-psnr", "picture", "rrdb",
        512, 256, False, True, 6, 180, 1e-4, (), 0.999, 0.01, 1.0, 0.1, 0.0, 1.0),
    "ldl-gan-positive": (
        "ldl-psnr", "positive", "rrdb",
        512, 256, False, False, 6, 180, 1e-4, (), 0.999, 0.01, 1.0, 0.1, 0.0, 1.0),
    "realesrnet": (
        "", "picture", "rrdb",
        512, 256, False, True, 12, 180, 2e-4, (), 0.999, 1.0, 0.0, 0.0, 0.0, 0.0),
    "realesrgan": (
        "realesrnet", "picture", "rrdb",
        512, 256, False, True, 12, 180, 1e-4, (), 0.999, 1.0, 1.0, 0.1, 0.0, 0.0),
    "realesrgan-positive": (
        "realesrnet", "positive", "rrdb",
        512, 256, False, False, 12, 180, 1e-4, (), 0.999, 1.0, 1.0, 0.1, 0.0, 0.0),
    "bsrnet": (
        "", "picture", "rrdb",
        256, 256, True, False, 12, 0, 1e-4, _200, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    "bsrgan": (
        "bsrnet", "picture", "rrdb",
        256, 256, True, False, 12, 0, 5e-5, (80_000, 160_000), 0.999, 1.0, 1.0, 1.0, 0.0, 0.0),
    "bsrgan-positive": (
        "bsrnet", "positive", "rrdb",
        256, 256, True, False, 12, 0, 5e-5, (80_000, 160_000), 0.999, 1.0, 1.0, 1.0, 0.0, 0.0),
}

ALL_RUNS: dict[str, Any] = {
    "flip": True,
    "iterations": 300_000,
    "optimizer": "adam",
    "betas": (0.9, 0.99),
    "weight_decay": 0.0,
    "schedule": "steps",
    "warmup": 0,
    "decay": 0.5,
    "clip_norm": 0.0,
    "precision": "fp32",
    "draws": "official",
    "discriminator_batches": "separate",
    "loss.adversarial_form": "vanilla",
    "loss.negative_window_px": 3,
    "loss.negative_power": 0.75,
    "loss.negative_margin": 0.0,
    "loss.negative_form": "published",
    "positives": "uniform",
    "loss.artifact_window_px": 7,
    "perceptual.weights": "imagenet",
    "perceptual.layers.conv1_2": 0.1,
    "perceptual.layers.conv2_2": 0.1,
    "perceptual.layers.conv3_4": 1.0,
    "perceptual.layers.conv4_4": 1.0,
    "perceptual.layers.conv5_4": 1.0,
    "discriminator.name": "unet_discriminator_sn",
    "discriminator.num_feat": 64,
    "discriminator.skip_connection": True,
}
# What few runs have otherwise: KAIR, which trains BSRGAN, leaves Adam's averages at PyTorch's defaults.
OTHERWISE: dict[str, dict[str, Any]] = {
    "bsrnet": {"betas": (0.9, 0.999)},
    "bsrgan": {"betas": (0.9, 0.999), "loss.adversarial_form": "lsgan"},
    "bsrgan-positive": {"betas": (0.9, 0.999), "loss.adversarial_form": "lsgan"},
}

STAGE = {
    "kernel_kinds.isotropic": 0.7,
    "kernel_kinds.anisotropic": 0.3,
    "enlarge_probability": 0.1,
    "shrink_probability": 0.85,
    "gaussian_probability": 0.5,
}
IN_STAGES = {
    "order": "fixed",
    "resize_modes": ("area", "bilinear", "bicubic"),
    "resize_form": "official",
    "jpeg_form": "official",
    **STAGE,
}
SECOND = {
    "kernel_sizes_px": (3, 5),
    "blur_sigma_px": (0.1, 0.4),
    "blur_probability": 0.8,
    "sinc_probability": 0.01,
    "resize_scale": (0.9, 1.1),
    "gaussian_sigma_8bit": (0, 4),
    "poisson_scale": (0, 0.3),
    "grey_probability": 0.2,
    "jpeg_quality": (87, 95),
    "final_sinc_probability": 0.1,
    **STAGE,
}
SHUFFLED = {
    "order": "shuffled",
    "scale": 4,
    "half_probability": 0.25,
    "kernel_sizes_px": (3, 5, 7, 9),
    "blur_base_px": 0.2,
    "blur_per_scale_px": 0.2,
    "anisotropic_probability": 0.3,
    "resize_divisor": (1, 1 / 0.85),
    "resize_probability": 0.75,
    "decimation_sigma_px": 0.1,
    "decimation_sigma_per_scale_px": 0.25,
    "resize_modes": ("area", "bilinear", "bicubic"),
    "gaussian_sigma_8bit": (1, 12),
    "noise_kinds.colour": 0.4,
    "noise_kinds.grey": 0.4,
    "noise_kinds.correlated": 0.2,
    "jpeg_quality": (75, 95),
    "jpeg_probability": 0.9,
    "jpeg_form": "libjpeg",
}

DEGRADATION_COLUMNS = (
    "scale", "kernel_sizes_px", "blur_sigma_px", "sinc_probability", "resize_scale",
    "gaussian_sigma_8bit", "poisson_scale", "grey_probability", "jpeg_quality",
)
REALESRGAN = (4, (3, 5, 7), (0.1, 0.6), 0.01, (0.9, 1.1), (1, 8), (0.05, 0.5), 0.2, (85, 95))
SR = (4, (3, 5, 7, 9), (0.1, 1.0), 0.01, (0.8, 1.2), (1, 12), (0.05, 0.8), 0.2, (75, 95))
DEGRADATIONS: dict[str, tuple[Any, ...]] = {
    "enhance-01": (1, (3, 5, 7), (0.1, 0.5), 0.1, (0.9, 1.1), (6.5, 13), (0.45, 0.9), 0.1, (80, 95)),
    "enhance-02": (1, (3, 5, 7), (0.5, 1.0), 0.1, (0.9, 1.1), (0.5, 6.5), (0.05, 0.45), 0.1, (80, 95)),
    "enhance-03": (1, (3, 5, 7), (0.1, 0.5), 0.1, (0.9, 1.1), (6.5, 13), (0.45, 0.9), 0.1, (80, 95)),
    "enhance-04": (1, (3, 5, 7), (0.5, 1.0), 0.1, (0.9, 1.1), (0.5, 6.5), (0.05, 0.45), 0.1, (80, 95)),
    **dict.fromkeys(("realesrnet", "realesrgan", "realesrgan-positive"), REALESRGAN),
}

GENERATORS: dict[str, dict[str, Any]] = {
    "rcan_no_upsample": {"num_feat": 64, "num_group": 10, "num_block": 20, "squeeze_factor": 16},
    "elan": {"scale": 1, "m_elan": 36, "c_elan": 180, "window_sizes": (4, 8, 16), "n_share": 0, "r_expand": 2},
    "rrdb_pixelshuffle": {"scale": 4, "num_block": 23, "num_feat": 64, "num_grow_ch": 32},
    "rrdb": {"scale": 4, "num_block": 23, "num_feat": 64, "num_grow_ch": 32},
    "swinir": {
        "upscale": 4, "depths": (6,) * 6, "num_heads": (6,) * 6, "embed_dim": 180, "window_size": 8, "img_size": 64,
        "upsampler": "pixelshuffle",
    },
}
TRAINABLE_PARAMETERS = {
    "rcan_no_upsample": 15_296_931,
    "elan": 8_239_503,
    "rrdb_pixelshuffle": 16_919_555,
    "rrdb": 16_697_987,
    "swinir": 11_900_199,
    "unet_discriminator_sn": 4_376_897,
}

OUR_RECIPES = {"rrdb-gan-preference"}

# Not published, or without influence on what a run computes.
OURS = {
    "loss.triplet_margin", "loss.negative_distance", "loss.dpo_beta",  # of forms that no published run has
    "accumulate", "channels_last", "compile", "cudnn_benchmark", "deterministic", "seed",
    "validation.every", "validation.pictures", "validation.images", "validation.metrics", "validation.shown",
    "validation.tile",
    "checkpoint.every", "checkpoint.keep", "checkpoint.best",
    "log.every", "log.tensorboard", "log.wandb",
    *(f"degradation.{stage}{kind}_beta" for stage in ("", "second.") for kind in ("generalized", "plateau")),  # unused
}
# Inside of networks, whose outputs equal those of the official ones (tests/hggt_models/networks).
INSIDE_NETWORKS = {
    "discriminator.num_in_ch",
    "generator.num_in_ch", "generator.num_out_ch", "generator.in_chans", "generator.colors",
    "generator.img_range", "generator.rgb_mean", "generator.res_scale", "generator.mlp_ratio",
    "generator.resi_connection", "generator.drop_path_rate", "generator.pad",
}

RATES: dict[str, dict[int, float]] = {
    "rrdb-gan-positive": {0: 1e-4, 199_999: 1e-4, 200_000: 5e-5, 200_001: 5e-5, 299_999: 5e-5},
    "swinir-gan-positive-negative": {
        0: 1e-4, 199_999: 1e-4, 200_000: 5e-5, 249_999: 5e-5, 250_000: 2.5e-5, 274_999: 2.5e-5, 275_000: 1.25e-5,
        287_499: 1.25e-5, 287_500: 6.25e-6, 299_999: 6.25e-6,
    },
    "ldl-psnr": {0: 2e-4, 200_000: 2e-4, 299_999: 2e-4},
    "bsrgan": {0: 5e-5, 79_999: 5e-5, 80_000: 2.5e-5, 159_999: 2.5e-5, 160_000: 1.25e-5, 299_999: 1.25e-5},
}
# fmt: on


def fields_of(config: TrainConfig) -> dict[str, Any]:
    """Every setting under its dotted key, with the value that the config has."""

    def flat(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for name, value in content.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", value

    return dict(flat(config.to_json(), ""))


def published(recipe: str) -> dict[str, Any]:
    """All that the tables say of a recipe."""
    run = dict(zip(COLUMNS, RUNS[recipe], strict=True))
    if recipe.startswith("bsr"):
        degradation = SHUFFLED
    else:
        columns = zip(DEGRADATION_COLUMNS, DEGRADATIONS.get(recipe, SR), strict=True)
        degradation = {**IN_STAGES, **dict(columns)}
    if recipe.startswith("real"):
        degradation |= {f"second.{name}": value for name, value in SECOND.items()}
    elif degradation["order"] == "fixed":
        degradation["second"] = None
    return {
        **ALL_RUNS,
        **run,
        **OTHERWISE.get(recipe, {}),
        **{f"degradation.{name}": value for name, value in degradation.items()},
        **{f"generator.{name}": value for name, value in GENERATORS[run["generator.name"]].items()},
    }


def test_the_table_has_every_recipe() -> None:
    assert sorted(RUNS.keys() | OUR_RECIPES) == recipe_names()


def test_our_recipe_of_preferences_changes_nothing_else() -> None:
    found, published = fields_of(load_config("rrdb-gan-preference")), fields_of(load_config("rrdb-gan-positive"))
    assert {key: value for key, value in found.items() if value != published[key]} == {
        "target": "preference",
        "loss.negative": 1.0,
        "loss.negative_form": "triplet",
    }


@pytest.mark.parametrize("recipe", RUNS)
def test_a_recipe_is_as_published(recipe: str) -> None:
    found, expected = fields_of(load_config(recipe)), published(recipe)
    assert {key: found.get(key) for key in expected} == expected


def test_each_setting_is_in_exactly_one_table() -> None:
    published_keys = {key for recipe in RUNS for key in published(recipe)}
    known = {key for recipe in RUNS for key in fields_of(load_config(recipe))}
    assert not published_keys & (OURS | INSIDE_NETWORKS)
    assert not OURS & INSIDE_NETWORKS
    assert published_keys | OURS | INSIDE_NETWORKS == known, "add the setting to one of the tables above"


@pytest.mark.parametrize("recipe", RUNS)
def test_internal_arguments_of_networks_have_their_defaults(recipe: str) -> None:
    config = load_config(recipe)
    for kind, network in (("generator", config.generator), ("discriminator", config.discriminator)):
        defaults = asdict(network_args(network.name, {}))
        inside = {name for name in network.args if f"{kind}.{name}" in INSIDE_NETWORKS}
        assert {name: network.args[name] for name in inside} == {name: defaults[name] for name in inside}


@pytest.mark.parametrize("recipe", ["enhance-01", "enhance-03", "rrdb-psnr", "swinir-psnr", "ldl-psnr"])
def test_networks_have_the_published_numbers_of_parameters(recipe: str) -> None:
    config = load_config(recipe)
    for network in (config.generator, config.discriminator):
        with torch.device("meta"):
            built = build_network(network.name, **network.args)
        found = sum(parameter.numel() for parameter in built.parameters() if parameter.requires_grad)
        assert found == TRAINABLE_PARAMETERS[network.name]


@pytest.mark.parametrize("recipe", RATES)
def test_the_rate_falls_at_the_milestones(recipe: str) -> None:
    config = load_config(recipe)
    found = {iteration: learning_rate(config, iteration) for iteration in RATES[recipe]}
    assert found == pytest.approx(RATES[recipe], rel=1e-12)
