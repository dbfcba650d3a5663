import dataclasses
import json
from dataclasses import FrozenInstanceError, asdict, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hggt_models.config.reader import ConfigError
from hggt_models.config.recipes import load_config, recipe_names
from hggt_models.config.recorded import differences
from hggt_models.config.sections import LossConfig
from hggt_models.config.train import (
    DEFAULTS,
    FREE_KEYS,
    TrainConfig,
    flat_settings,
    make_config,
    merged,
)
from hggt_models.degradation.settings import DegradationSettings

ENHANCE = {
    "target": "picture",
    "generator": {"name": "rcan_no_upsample"},
    "degradation": {"published": "enhance-01"},
}


def nested(key: str, value: object) -> dict[str, Any]:
    """`{"a": {"b": value}}` of `a.b`."""
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


# Form


def test_the_defaults_are_the_published_gan_run() -> None:
    assert make_config({}) == load_config("rrdb-gan-positive", ["starts_from="])


def test_settings_are_frozen() -> None:
    config = make_config({})
    sections = [value for f in dataclasses.fields(config) if is_dataclass(value := getattr(config, f.name))]
    assert len(sections) == 8
    for section in (config, *sections):
        for field in dataclasses.fields(section):
            with pytest.raises(FrozenInstanceError):
                setattr(section, field.name, getattr(section, field.name))


def test_values_have_the_types_of_their_fields() -> None:
    config = make_config(
        {
            "learning_rate": 1,
            "betas": [0, 0.5],
            "milestones": [3, 5],
            "compile": ["generator"],
            "loss": {"pixel": 2},
            "perceptual": {"layers": {"conv1_2": 1}},
            "validation": {"metrics": ["psnr"]},
            "generator": {"name": "swinir", "depths": [2, 2], "num_heads": [2, 2]},
            "degradation": {"jpeg_quality": [75, 95], "kernel_sizes_px": [3]},
        }
    )
    values = [
        config.learning_rate,
        config.betas,
        config.milestones,
        config.compile,
        config.loss.pixel,
        config.perceptual.layers["conv1_2"],
        config.validation.metrics,
        config.generator.args["depths"],
        config.degradation.jpeg_quality,
        config.degradation.kernel_sizes_px,
    ]
    assert repr(values) == repr(
        [1.0, (0.0, 0.5), (3, 5), ("generator",), 2.0, 1.0, ("psnr",), (2, 2), (75.0, 95.0), (3,)]
    )


def test_given_settings_are_not_changed() -> None:
    given_settings = {**ENHANCE, "perceptual": {"layers": {"conv1_2": 0.0}}}
    before = json.dumps([given_settings, DEFAULTS])
    make_config(given_settings)
    assert json.dumps([given_settings, DEFAULTS]) == before


# Keys


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("loss.negitive", "^loss.negitive is not known; did you mean 'loss.negative'?"),
        ("negative", "^negative is not known; did you mean 'loss.negative'?"),
        ("degradation.jpeg_qualty", "is not known; did you mean 'degradation.jpeg_quality'?"),
        ("perceptual.layers.conv9", "perceptual.layers has conv9; known layers are conv1_1, conv1_2, .*, conv5_4"),
        (
            "degradation.kernel_kinds.isotropc",
            "kernel_kinds.isotropc is not known; expected one of isotropic, anisotropic,",
        ),
        (
            "generator.num_blok",
            "^generator.num_blok is not an argument of rrdb_pixelshuffle; did you mean 'num_block'?",
        ),
        (
            "discriminator.num_feet",
            "^discriminator.num_feet is not an argument of unet_discriminator_sn; did you mean 'num_feat'?",
        ),
        ("loss.xyzzy", "^loss.xyzzy is not known; known ones in loss are pixel, [^.]*artifact_map"),
        ("xyzzy", "^xyzzy is not known; known ones are starts_from, target, positives, source_px,"),
    ],
)
def test_an_unknown_key_is_refused_with_the_closest_known_one(key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(nested(key, 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"generator": {"name": "rrdb_pixelshufle"}},
            "generator.name is 'rrdb_pixelshufle'; did you mean 'rrdb_pixelshuffle'?",
        ),
        ({"generator": {"name": "unet_discriminator_sn"}}, "generator is unet_.*; expected a network that restores"),
        ({"generator": "swinir"}, "generator is 'swinir'; expected a table: a network's `name` and its arguments"),
        ({"discriminator": {"name": "rrdb"}}, "discriminator is rrdb; expected unet_discriminator_sn"),
        ({"degradation": {"published": "sr-2"}}, "degradation.published is 'sr-2'; expected one of sr,"),
        ({"degradation": "sr"}, "degradation is 'sr'; expected a table of settings"),
    ],
)
def test_an_unknown_network_or_degradation_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(changes)


# Kinds


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("learning_rate", "fast", "'fast'; expected a number"),
        ("iterations", True, "True; expected a whole number"),
        ("flip", 1, "1; expected true or false"),
        ("starts_from", 3, "3; expected a string"),
        ("target", "negative", "'negative'; expected one of picture, original, positive, positive_negative"),
        ("betas", "0.9", "'0.9'; expected a list"),
        ("betas", [0.9], r"\[0.9\]; expected more values"),
        ("betas", [0.9, 0.99, 0.999], r"\[0.9, 0.99, 0.999\]; expected 2 values"),
        ("betas", [0.9, "0.99"], "'0.99'; expected a number"),
        ("loss", 3, "3; expected a table of settings"),
        ("degradation.kernel_kinds", ["isotropic"], r"\['isotropic'\]; expected a table"),
        ("loss.pixel", float("nan"), "nan; expected a finite number"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key} is {message}"):
        make_config(nested(key, value))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"num_block": 2.5}, "num_block is 2.5; expected a value like 23"),
        ({"num_block": 0, "num_feat": []}, r"num_feat is .*; generator.num_block is 0"),
        ({"scale": 6}, "scale is 6; expected 3, or a power of two"),
        ({"num_block": 10**8}, "num_block is 100000000; expected at most 1,024"),
        (
            {"num_feat": 1024, "num_grow_ch": 1024},
            "the generator has 9,862,277,123 parameters; expected at most 1,000,000,000",
        ),
        ({"name": "rcan_no_upsample", "num_group": 1000, "num_block": 1000}, "num_group times num_block is 1,000,000"),
        ({"name": "swinir", "depths": [1000, 1000]}, "the sum of depths is 2,000; expected at most 1,024"),
        ({"name": "swinir", "depths": [6, 6]}, "depths has 2 layers and num_heads 6"),
    ],
)
def test_impossible_network_arguments_are_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^(generator\\.)?{message}"):
        make_config({"generator": args})


# Ranges and contradictions


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("source_px", 0, "is 0; expected more than 0"),
        ("loss.negative", -1, "is -1.*; expected 0 or more"),
        ("batch_size", 10**10, "is 10000000000; expected at most 65536"),
        ("seed", 2**63, "is 9223372036854775808; expected less than 9223372036854775808"),
        ("decay", 1.1, "is 1.1; expected at most 1"),
        ("ema_decay", 1, "is 1; expected less than 1"),
        ("betas", [0.9, 1], "is 1; expected less than 1"),
        ("loss.negative_window_px", 4, "is 4; expected an odd number"),
        ("loss.artifact_window_px", 1, "is 1; expected 3 or more"),
    ],
)
def test_a_value_out_of_range_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} {message}"):
        make_config(nested(key, value))


def test_values_are_checked_when_a_config_is_made_in_python() -> None:
    config = make_config({})
    with pytest.raises(ConfigError) as caught:
        replace(
            config,
            batch_size=0,
            betas=(0.9, 1.0),
            milestones=(0, 5),
            loss=LossConfig(pixel=-1, perceptual=0, adversarial=0),
            perceptual=replace(config.perceptual, layers={"conv5_4": -1.0}),
        )
    assert str(caught.value) == (
        "batch_size is 0; expected more than 0; betas is 1.0; expected less than 1; milestones is 0; expected more "
        "than 0; loss.pixel is -1; expected 0 or more; perceptual.layers.conv5_4 is -1.0; expected 0 or more"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"decay": 1, "ema_decay": 0, "betas": [0, 0], "clip_norm": 0, "pool_size": 0, "seed": 0, "milestones": []},
        {"loss": {"pixel": 0, "perceptual": 0}},  # the adversarial loss alone
        {"batch_size": 12, "pool_size": 12},
        {"source_px": 256, "crop_px": 256},
        {"crop_px": 36, "loss": {"adversarial": 0}},  # without a discriminator, no multiple of 8
        {"validation": {"every": 0, "pictures": 0, "shown": 0, "metrics": []}},
        {"perceptual": {"layers": {"conv1_2": 0, "conv2_2": 0, "conv3_4": 0, "conv4_4": 0}}},
        {"perceptual": {"layers": dict.fromkeys(("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4"), 0)},
         "loss": {"perceptual": 0}},
        {"loss": {"negative": 1e-9}, "target": "positive_negative"},
        {"degradation": {"scale": 2}, "generator": {"scale": 2}},
        ENHANCE,
    ],
)  # fmt: skip
def test_a_value_at_the_end_of_its_range_is_accepted(changes: dict[str, Any]) -> None:
    make_config(changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_px": 520}, "crop_px 520 is more than source_px 512, which it is cut from"),
        ({"crop_px": 250}, "crop_px 250 is not a multiple of degradation.scale 4"),
        ({"crop_px": 252}, "crop_px 252 is not a multiple of 8, as the discriminator requires"),
        ({"degradation": {"scale": 2}}, "the generator's scale is 4, but degradation.scale is 2"),
        ({"generator": {"scale": 2}}, "the generator's scale is 2, but degradation.scale is 4"),
        ({"generator": {"num_in_ch": 1}}, "generator.num_in_ch is 1; expected 3, because images are RGB"),
        ({"discriminator": {"num_in_ch": 1}}, "discriminator.num_in_ch is 1; expected 3"),
        ({"deterministic": True, "cudnn_benchmark": True}, "deterministic and cudnn_benchmark are both true"),
        ({"milestones": [5, 4]}, r"milestones are \[5, 4\]; expected increasing numbers"),
        ({"pool_size": 11}, "pool_size 11 is less than batch_size 12; expected 0, or at least that"),
        (
            {"checkpoint": {"best": "lpips"}},
            "best is 'lpips', which validation does not compute; expected one of",
        ),
        (
            {"checkpoint": {"best": "psnr"}, "validation": {"every": 0}},
            "checkpoint.best is 'psnr', but",
        ),
        ({"validation": {"metrics": ["fid"]}}, "validation.metrics: fid compares sets of pictures"),
        (
            {"validation": {"metrics": ["psnr.best_of_positives"]}, "target": "picture"},
            "validation.metrics has label measures, but target is 'picture', whose pictures have no labels",
        ),
        (
            {"generator": {"name": "swinir"}, "validation": {"tile": 100}},
            "validation.tile is 100; expected a multiple",
        ),
        ({"loss": {"pixel": 0, "perceptual": 0, "adversarial": 0}}, "all losses have weight 0"),
        ({"loss": {"pixel": 0, "perceptual": 0, "adversarial_form": "hinge"}}, "'hinge', which may be negative"),
        ({"loss": {"negative": 300}}, "loss.negative is 300 and target is 'positive'; expected a weight with"),
        ({"target": "positive_negative"}, "loss.negative is 0 and target is 'positive_negative'; expected"),
        ({"loss": {"artifact_map": 1}, "ema_decay": 0}, "needs the moving average, but ema_decay is 0"),
        (
            {"perceptual": {"layers": dict.fromkeys(("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4"), 0)}},
            "loss.perceptual is 1, but all perceptual.layers have weight 0",
        ),
        (
            {"crop_px": 8},
            "crop_px 8 is too small for conv5_4 of perceptual.layers; expected 16 or more, or a weight of 0",
        ),
        (
            {"validation": {"metrics": ["psnr", "sim"]}},
            "metrics: metric 'sim' is not known; did you mean 'ssim'?",
        ),
        (
            {"degradation": {"resize_scale": [0.5, 0.8]}},
            "degradation.resize_scale is .*; expected a range that contains 1",
        ),
        ({"degradation": {"enlarge_probability": 0.6, "shrink_probability": 0.6}}, "add up to more than 1"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(changes)


def test_all_faults_are_named_in_one_message() -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(
            {
                "batch_size": 0,
                "flip": "yes",
                "sed": 1,
                "loss": {"pixel": -1, "negativ": 3},
                "generator": {"num_blok": 1},
                "degradation": {"published": "x", "scale": 1.5, "shrink_probability": True},
            }
        )
    for fault in (
        *(
            "batch_size is 0; expected",
            "flip is 'yes'",
            "sed is not known",
            "loss.pixel is -1",
            "loss.negativ is",
        ),
        *("generator.num_blok is not", "degradation.published is 'x'", "degradation.scale is 1.5"),
        "degradation.shrink_probability is True",
    ):
        assert fault in str(caught.value)


def test_all_contradictions_are_named_in_one_message() -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(
            {
                "crop_px": 1030,
                "milestones": [2, 1],
                "loss": {"negative": 3, "artifact_map": 1},
                "ema_decay": 0,
                "validation": {"metrics": ["nothing"]},
            }
        )
    for fault in (
        *("crop_px 1030 is more", "crop_px 1030 is not a multiple of degradation.scale", "not a multiple of 8"),
        *("milestones are", "loss.negative is 3", "loss.artifact_map needs", "metric 'nothing' is not known"),
    ):
        assert fault in str(caught.value)


# Sections


def test_naming_another_degradation_replaces_the_section() -> None:
    base = {"degradation": {"published": "sr", "jpeg_quality": [30, 95]}, "seed": 3}
    assert merged(base, {"degradation": {"published": "enhance-01"}}) == {
        "degradation": {"published": "enhance-01"},
        "seed": 3,
    }
    assert merged(base, {"degradation": {"published": "sr", "scale": 2}}) == {
        "degradation": {"published": "sr", "jpeg_quality": [30, 95], "scale": 2},
        "seed": 3,
    }


@pytest.mark.parametrize(
    ("degradation", "message"),
    [
        (
            {"published": "realesrgan", "second": {"jpeg_quality": [0, 95]}},
            "degradation.second.jpeg_quality is .* 1 to",
        ),
        ({"published": "realesrgan", "second": {"blurs": 1}}, "degradation.second.blurs is not known"),
        ({"published": "bsrgan", "jpeg_quality": [0, 95]}, "^degradation.jpeg_quality is .* 1 to 100"),
        ({"published": "bsrgan", "jpeg_qualty": [75, 95]}, "did you mean 'degradation.jpeg_quality'"),
        ({"published": "bsrgan", "sinc_probability": 0.1}, "degradation.sinc_probability is not known"),
        ({"order": "random"}, "degradation.order is 'random'; expected one of fixed"),
    ],
)
def test_faults_in_degradations_of_several_stages_or_in_random_order_have_their_keys(
    degradation: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config({"degradation": degradation})


def test_a_record_without_the_newer_settings_of_its_degradation_is_read_as_before() -> None:
    record = make_config({}).to_json()
    del record["degradation"]["order"], record["degradation"]["second"]
    assert make_config(record) == make_config({})


def test_one_setting_of_a_section_leaves_the_others() -> None:
    config = make_config({**ENHANCE, "degradation": {"published": "enhance-01", "kernel_kinds": {"isotropic": 0}}})
    before = make_config(ENHANCE)
    assert isinstance(before.degradation, DegradationSettings)
    assert config.degradation == replace(before.degradation, kernel_kinds={"isotropic": 0.0, "anisotropic": 0.3})
    layers = make_config({"perceptual": {"layers": {"conv2_1": 3}}}).perceptual.layers
    assert layers == {**make_config({}).perceptual.layers, "conv2_1": 3.0}


settings_trees = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c", "name", "published"]), inner, max_size=3),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


@given(settings_trees, settings_trees)
def test_merged_settings_win_and_change_neither_side(base: Any, changes: Any) -> None:
    before = json.dumps([base, changes])
    result = merged(base, changes)
    assert json.dumps([base, changes]) == before
    assert merged(result, changes) == result
    assert merged({}, changes) == changes
    assert merged(base, {}) == base

    def contained(inner: Any, outer: Any) -> bool:
        if not isinstance(inner, dict) or not isinstance(outer, dict):
            return bool(inner == outer)
        return all(key in outer and contained(value, outer[key]) for key, value in inner.items())

    assert contained(changes, result)


# JSON


@pytest.mark.parametrize("recipe", recipe_names())
def test_json_holds_every_setting_and_gives_the_same_config_again(recipe: str) -> None:
    config = load_config(recipe)
    content = config.to_json()
    assert list(content) == [field.name for field in dataclasses.fields(TrainConfig)]
    assert content["generator"] == {"name": config.generator.name, **config.generator.args}
    assert content["degradation"] == asdict(config.degradation)
    again = json.loads(json.dumps(content, allow_nan=False))
    assert make_config(again) == config
    assert differences(again, config) == []


# Differences


def found(config: TrainConfig) -> dict[str, Any]:
    """As a run's record gives it."""
    content: dict[str, Any] = json.loads(json.dumps(config.to_json()))
    return content


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"betas": [0.9, 0.999]}, ["betas is [0.9, 0.999], was [0.9, 0.99]"]),
        ({"target": "original"}, ["target is 'original', was 'positive'"]),
        ({"loss": {"pixel": 2, "perceptual": 0}}, ["loss.pixel is 2.0, was 1.0", "loss.perceptual is 0.0, was 1.0"]),
        ({"degradation": {"jpeg_quality": [30, 95]}}, ["degradation.jpeg_quality is [30.0, 95.0], was [75, 95]"]),
        ({"perceptual": {"layers": {"conv1_1": 1}}}, ["perceptual.layers.conv1_1 is 1.0, was None"]),
    ],
)
def test_a_difference_names_the_old_and_the_new_value(changes: dict[str, Any], expected: list[str]) -> None:
    assert differences(found(make_config({})), make_config(changes)) == expected


def test_settings_newer_than_a_record_have_the_value_that_its_run_had() -> None:
    older = found(make_config({}))
    del older["clip_norm"], older["degradation"]["jpeg_form"], older["generator"]["num_block"]
    assert differences(older, make_config({})) == []
    assert differences(older, make_config({"clip_norm": 1})) == ["clip_norm is 1.0, was 0.0"]


def test_the_length_of_a_run_is_a_setting_like_others_on_a_cosine() -> None:
    steps, cosine = {"iterations": 10}, {"iterations": 10, "schedule": "cosine"}
    assert differences(found(make_config({})), make_config(steps)) == []
    expected = ["iterations is 10, was 300000"]
    assert differences(found(make_config({"schedule": "cosine"})), make_config(cosine)) == expected


def test_settings_that_only_one_has_are_named() -> None:
    changes = differences(found(make_config({})), make_config({"generator": {"name": "swinir"}}))
    assert "generator.name is 'swinir', was 'rrdb_pixelshuffle'" in changes
    assert "generator.num_block is None, was 23" in changes
    assert "generator.embed_dim is 180, was None" in changes


def test_every_other_setting_makes_a_different_run() -> None:
    config = make_config({})
    for key in flat_settings(config):
        is_free = key in FREE_KEYS or key.split(".")[0] in FREE_KEYS
        record = found(config)
        *parts, last = key.split(".")
        section = record
        for part in parts:
            section = section[part]
        section[last] = "something else"
        changes = differences(record, config)
        assert changes == [] if is_free else [text.split(" is ")[0] for text in changes] == [key]


# Flat settings


@settings(max_examples=40)
@given(
    st.text(),
    st.floats(min_value=0, allow_infinity=False),
    st.integers(min_value=0, max_value=2**63 - 1),
)
@example('"quoted" \\ = # {', 5e-324, 0)
@example("\U0001f600 été", 1.7976931348623157e308, 2**63 - 1)
@example("\n\t\0\x7f", 1e-7, 1)
def test_any_string_and_number_survives_as_an_assignment(text: str, number: float, whole: int) -> None:
    config = make_config({"log": {"wandb": text}, "loss": {"pixel": number}, "seed": whole})
    shown = flat_settings(config)
    lines = [f"{key}={shown[key]}" for key in ("log.wandb", "loss.pixel", "seed")]
    assert load_config("rrdb-gan-positive", ["starts_from=", *lines]) == config


def test_flat_settings_are_complete_and_in_order() -> None:
    shown = flat_settings(make_config({}))
    assert shown["loss.pixel"] == "1.0"
    assert shown["betas"] == "[0.9, 0.99]"
    assert shown["flip"] == "true"
    assert shown["target"] == '"positive"'
    assert shown["compile"] == "[]"
    assert shown["generator.name"] == '"rrdb_pixelshuffle"'
    assert shown["perceptual.layers.conv5_4"] == "1.0"
    first_parts = list(dict.fromkeys(key.split(".")[0] for key in shown))
    assert first_parts == [field.name for field in dataclasses.fields(TrainConfig)]


# Anything at all


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-50, 50) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
some_keys = st.sampled_from([*flat_settings(make_config({})), *(f.name for f in dataclasses.fields(TrainConfig))])


@settings(max_examples=40)
@given(st.dictionaries(some_keys, json_values, max_size=3))
@example({"generator.name": ["a"]})
@example({"milestones": [True]})
@example({"perceptual.layers": {"": 1}})
@example({"degradation.kernel_kinds": {}})
def test_any_settings_give_a_config_or_a_config_error(changes: dict[str, Any]) -> None:
    settings: dict[str, Any] = {}
    for key, value in changes.items():
        settings = merged(settings, nested(key, value))
    try:
        config = make_config(settings)
    except ConfigError:
        return
    assert make_config(found(config)) == config
