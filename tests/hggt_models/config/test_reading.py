"""Recipes of one's own, and `--set`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hggt_models.config.reader import ConfigError
from hggt_models.config.recipes import describe_recipes, load_config, recipe_names
from hggt_models.config.train import flat_settings, make_config
from tests.hggt_models.built_once import each_generator_built_once

RECIPE = "rrdb-gan-positive"
GAN_RUNS = ("gan-original", "gan-positive", "gan-positive-negative")
ENHANCERS = ("enhance-01", "enhance-02", "enhance-03", "enhance-04")


@pytest.fixture(autouse=True, scope="module")
def _built_once() -> Iterator[None]:
    with each_generator_built_once():
        yield


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


# Those that come with hggt


def test_the_published_runs_are_there() -> None:
    runs = [f"{network}-{run}" for network in ("rrdb", "swinir") for run in ("psnr", *GAN_RUNS)]
    assert recipe_names() == sorted([*ENHANCERS, "ldl-gan", "ldl-psnr", *runs])


def test_each_says_what_it_is_for() -> None:
    described = describe_recipes()
    assert list(described) == recipe_names()
    assert len(set(described.values())) == len(described)
    for text in described.values():
        assert 10 < len(text) < 130
        assert text.endswith(".")
        assert text[0].isupper()


@pytest.mark.parametrize("recipe", recipe_names())
def test_each_names_a_recipe_with_the_same_generator_to_start_from(recipe: str) -> None:
    config = load_config(recipe)
    if "gan" not in recipe:
        assert config.starts_from == ""
        return
    start = load_config(config.starts_from)
    assert start.generator == config.generator
    assert start.degradation == config.degradation
    assert not start.has_discriminator


@pytest.mark.parametrize("name", ["rrdb-gan-positiv", "rrdb_gan_positive"])
def test_a_recipe_that_is_not_there_is_an_error_with_the_nearest(name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"^recipe '{name}' is not known; did you mean 'rrdb-gan-positive'.*; or pass a TOML file$"
    ):
        load_config(name)


@pytest.mark.parametrize("name", ["", ".", "/", "zzz", "no/such/file.toml", "rrdb-psnr.toml/", "a\0b"])
def test_what_is_no_file_is_no_recipe(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^recipe .* is not known; "):
        load_config(name)


# Recipes of one's own


def test_a_recipe_of_ones_own_needs_nothing_in_it(tmp_path: Path) -> None:
    assert load_config(write(tmp_path / "mine.toml", "")) == make_config({})


def test_it_builds_on_one_that_comes_with_hggt(tmp_path: Path) -> None:
    own = write(tmp_path / "mine.toml", 'extends = "swinir-gan-positive"\nseed = 3\n[loss]\nadversarial = 0.05\n')
    config = load_config("swinir-gan-positive")
    expected = replace(config, seed=3, loss=replace(config.loss, adversarial=0.05))
    assert load_config(own) == load_config(str(own)) == expected


def test_it_builds_on_one_beside_it_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "base.toml", "seed = 1")  # not this one
    write(tmp_path / "runs/base.toml", 'extends = "rrdb-psnr"\nseed = 2\nbatch_size = 6')
    write(tmp_path / "runs/deeper/other.toml", 'extends = "../base.toml"\npool_size = 60')
    own = write(tmp_path / "runs/mine.toml", 'extends = "deeper/other.toml"\nbatch_size = 3')
    monkeypatch.chdir(tmp_path)
    expected = load_config("rrdb-psnr", ["seed=2", "batch_size=3", "pool_size=60"])
    assert load_config("runs/mine.toml") == load_config(own) == expected
    absolute = write(tmp_path / "far/mine.toml", f'extends = "{tmp_path}/runs/base.toml"')
    assert load_config(absolute) == load_config("rrdb-psnr", ["seed=2", "batch_size=6"])


def test_the_word_of_a_recipe_counts_more_than_that_of_its_base(tmp_path: Path) -> None:
    chain = ["first", "second", "third"]
    for number, name in enumerate(chain):
        extends = f'extends = "{chain[number - 1]}.toml"\n' if number else ""
        write(tmp_path / f"{name}.toml", f"{extends}seed = {number}\n[log]\nevery = {10 + number}\n")
    write(tmp_path / "third.toml", 'extends = "second.toml"\nseed = 7\n[log]\ntensorboard = false')
    config = load_config(tmp_path / "third.toml")
    assert (config.seed, config.log.every, config.log.tensorboard) == (7, 11, False)


def test_a_recipe_that_names_another_network_starts_with_its_published_size(tmp_path: Path) -> None:
    small = write(tmp_path / "small.toml", "[generator]\nnum_block = 2\nnum_feat = 8\n")
    other = write(tmp_path / "other.toml", 'extends = "small.toml"\n[generator]\nname = "rrdb"\nnum_feat = 16\n')
    assert load_config(small).generator.args["num_block"] == 2
    assert (
        load_config(other).generator == load_config(RECIPE, ["generator.name=rrdb", "generator.num_feat=16"]).generator
    )
    assert load_config(other).generator.args["num_block"] == 23


def test_a_recipe_that_names_the_same_network_again_keeps_what_was_said_of_it(tmp_path: Path) -> None:
    # Also where the base does not name it, because it is the default.
    write(tmp_path / "small.toml", "[generator]\nnum_block = 2\n[degradation]\ngrey_probability = 0.5\n")
    same = write(
        tmp_path / "same.toml",
        'extends = "small.toml"\n[generator]\nname = "rrdb_pixelshuffle"\n[degradation]\npublished = "sr"\n',
    )
    config = load_config(same)
    assert config.generator.args["num_block"] == 2
    assert config.degradation.grey_probability == 0.5
    config = load_config(tmp_path / "small.toml", ["generator.name=rrdb_pixelshuffle"])
    assert config.generator.args["num_block"] == 2


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"]])
@pytest.mark.parametrize("way", ["{}.toml", "./{}.toml", "../loop/{}.toml", "{folder}/{}.toml"])
def test_recipes_that_build_on_each_other_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], way: str
) -> None:
    folder = tmp_path / "loop"
    for name, base in zip(names, [*names[1:], names[0]], strict=True):
        write(folder / f"{name}.toml", f'extends = "{way.format(base, folder=folder)}"')
    monkeypatch.chdir(folder)
    for recipe in (folder / "a.toml", "a.toml"):
        with pytest.raises(ConfigError, match=r"a\.toml extends .*a\.toml, for ever$"):
            load_config(recipe)


def test_a_link_to_itself_is_a_loop_too(tmp_path: Path) -> None:
    own = write(tmp_path / "a.toml", 'extends = "b.toml"')
    (tmp_path / "b.toml").symlink_to(own)
    with pytest.raises(ConfigError, match=r"a\.toml extends .*b\.toml, for ever$"):
        load_config(own)


def test_one_recipe_may_be_the_base_of_two(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", "seed = 1")
    for name in ("one", "two"):
        assert load_config(write(tmp_path / f"{name}.toml", 'extends = "base.toml"')).seed == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "missing.toml"', r"recipe '.*missing.toml' is not known"),
        ('extends = "rrdb-pnsr"', r"recipe '.*rrdb-pnsr' is not known"),
        ('extends = "a\\u0000b"', "recipe .* is not known"),
        ("extends = 3", r"mine.toml: extends is 3; expected the name of a recipe"),
        ('extends = ["rrdb-psnr"]', r"mine.toml: extends is \['rrdb-psnr'\]; expected the name of a recipe"),
        ("seed 3", "mine.toml is no TOML: .*line 1"),
        ("seed = 1\nseed = 2", "mine.toml is no TOML: Cannot overwrite"),
        ("[loss]\npixel = \n", "mine.toml is no TOML: .*line 2"),
        ("target = positive", "mine.toml is no TOML"),
        ('{"seed": 3}', "mine.toml is no TOML"),
        (f"seed = {'1' * 5000}", "mine.toml is no TOML"),
        ("[los]\npixel = 1", "^.*mine.toml: config key 'los' is not known; did you mean 'loss'"),
        ("loss.pixel = true", "^.*mine.toml: config key 'loss.pixel' is True; expected a number"),
        ("batch_size = 0", "^.*mine.toml: batch_size is 0"),
        ("[[loss]]\npixel = 1", r"mine.toml: config key 'loss' is \[\{'pixel': 1\}\]; expected a table"),
        ("seed = 2020-01-01", "mine.toml: config key 'seed' is .*2020, 1, 1.*; expected a whole number"),
    ],
)
def test_a_recipe_with_a_fault_is_named_with_it(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path / "mine.toml", text))


def test_a_recipe_in_another_encoding_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_bytes('[log]\nwandb = "été"'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"mine\.toml is no TOML: .*utf-8"):
        load_config(own)
    own.write_bytes("seed = 3".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"mine\.toml is no TOML: "):
        load_config(own)


def test_texts_of_all_languages_are_read(tmp_path: Path) -> None:
    own = write(tmp_path / "été.toml", '[log]\nwandb = "実験\U0001f600"')
    assert load_config(own).log.wandb == "実験\U0001f600"


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_bytes(b'extends = "rrdb-psnr"\r\nseed = 3\r\n[log]\r\nevery = 7\r\n')
    assert load_config(own) == load_config("rrdb-psnr", ["seed=3", "log.every=7"])


# --set


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("learning_rate=2e-4", "learning_rate", 2e-4),
        ("learning_rate = 2e-4", "learning_rate", 2e-4),
        (" learning_rate=1", "learning_rate", 1.0),
        ("iterations=300_000", "iterations", 300_000),
        ("iterations=+3", "iterations", 3),
        ("flip=false", "flip", False),
        ("target=original", "target", "original"),
        ("target = original ", "target", "original"),
        ('target="original"', "target", "original"),
        ("target='original'", "target", "original"),
        ("milestones=[]", "milestones", ()),
        ("milestones=[1, 2_000,3000]", "milestones", (1, 2000, 3000)),
        ("betas=[0, 0.5]", "betas", (0.0, 0.5)),
        ('compile=["generator", "perceptual"]', "compile", ("generator", "perceptual")),
        ("validation.metrics=['lpips']", "validation.metrics", ("lpips",)),
        ("log.every=7", "log.every", 7),
        ("log . every=7", "log.every", 7),
        ("log={every=7}", "log.every", 7),
        ("log.wandb=my project", "log.wandb", "my project"),
        ("log.wandb=", "log.wandb", ""),
        ('log.wandb=""', "log.wandb", ""),
        ("log.wandb=a=b", "log.wandb", "a=b"),
        ('log.wandb="a=b"', "log.wandb", "a=b"),
        ("log.wandb==", "log.wandb", "="),
        ("log.wandb=a # b", "log.wandb", "a # b"),
        ("log.wandb=it's", "log.wandb", "it's"),
        ('log.wandb="3"', "log.wandb", "3"),
        ('log.wandb="\\u00e9"', "log.wandb", "é"),
        ("log.wandb=実験", "log.wandb", "実験"),
        ("perceptual.weights=/data/vgg19.pth", "perceptual.weights", "/data/vgg19.pth"),
        ("perceptual.weights=C:\\new\\vgg.pth", "perceptual.weights", "C:\\new\\vgg.pth"),
        ("generator.num_block=4", "generator.num_block", 4),
        ("degradation.kernel_kinds.plateau_isotropic=0.5", "degradation.kernel_kinds.plateau_isotropic", 0.5),
        ("degradation.blur_sigma_px=[0.2, 3]", "degradation.blur_sigma_px", (0.2, 3.0)),
        ("perceptual.layers.conv5_4=0", "perceptual.layers.conv5_4", 0.0),
    ],
)
def test_a_setting_is_read_as_in_toml_with_or_without_quotes(assignment: str, key: str, value: object) -> None:
    config = load_config(RECIPE, [assignment])
    content: Any = config.to_json()
    before: Any = load_config(RECIPE).to_json()
    *parts, last = key.split(".")
    section = content
    for part in parts:
        section, before = section[part], before[part]
    assert section[last] == value
    assert type(section[last]) is type(value)
    # And nothing else.
    section[last] = before.get(last)
    assert {name: inner for name, inner in section.items() if inner is not None} == before
    changed = flat_settings(config).items() - flat_settings(load_config(RECIPE)).items()
    assert [name for name, _ in changed] in ([key], [])


@pytest.mark.parametrize(
    "assignment",
    ["learning_rate", "", "=", "=3", " = 3", ".=3", ".seed=3", "seed.=3", "loss..pixel=3", "loss. .pixel=3", "."],
)
def test_what_is_no_setting_is_refused(assignment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(RECIPE, ["seed=1", assignment])
    assert str(caught.value) == f"--set {assignment!r}: expected KEY=VALUE, such as loss.negative=0"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("loss.negitive=1", "config key 'loss.negitive' is not known; did you mean 'loss.negative'"),
        ("seed.x=1", r"config key 'seed' is \{'x': 1\}; expected a whole number"),
        ("loss.pixel.x=1", r"config key 'loss.pixel' is \{'x': 1\}; expected a number"),
        ("loss=3", "config key 'loss' is 3; expected a table"),
        ("generator=swinir", "config key 'generator' is 'swinir'; expected a table with a network's name"),
        ("extends=rrdb-psnr", "config key 'extends' is not known"),
        ("flip=yes", "config key 'flip' is 'yes'; expected true or false"),
        ("flip=True", "config key 'flip' is 'True'; expected true or false"),
        ("iterations=1e3", "config key 'iterations' is 1000.0; expected a whole number"),
        ("iterations=", "config key 'iterations' is ''; expected a whole number"),
        ("betas=0.9,0.99", "config key 'betas' is '0.9,0.99'; expected a list"),
        ("milestones=[1, 2", r"config key 'milestones' is '\[1, 2'; expected a list"),
        ("log.wandb=3", "config key 'log.wandb' is 3; expected a text"),
        ("learning_rate=nan", "config key 'learning_rate' is nan; expected a finite number"),
        ("learning_rate=" + "1" * 5000, "config key 'learning_rate' is '1+'; expected a number"),
        ("seed=-1", "seed is -1; expected 0 or more"),
    ],
)
def test_a_setting_with_a_fault_is_named_with_its_recipe(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{RECIPE}: {message}"):
        load_config(RECIPE, [assignment])


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (["seed=1", "seed=2"], ["seed=2"]),
        (["loss.pixel=5", "loss.pixel=2", "loss.perceptual=3"], ["loss={pixel=2, perceptual=3}"]),
        (["loss={pixel=5, perceptual=3}", "loss.pixel=2"], ["loss={pixel=2, perceptual=3}"]),
        (["loss.pixel=2", "loss={perceptual=3}"], ["loss={pixel=2, perceptual=3}"]),
        (["loss=3", "loss.pixel=2"], ["loss.pixel=2"]),
        (["seed={x=1}", "seed=3"], ["seed=3"]),
        (["generator.num_block=2", "generator.name=swinir"], ["generator.name=swinir"]),
        (["generator.name=swinir", "generator.name=rrdb", "generator.num_block=2"],
         ["generator={name='rrdb', num_block=2}"]),
        (["generator.num_block=2", "generator.name=rrdb_pixelshuffle"], ["generator.num_block=2"]),
        (["milestones=[1, 2, 3]", "milestones=[4]"], ["milestones=[4]"]),
    ],
)  # fmt: skip
def test_the_last_word_counts(assignments: list[str], expected: list[str]) -> None:
    assert load_config(RECIPE, assignments) == load_config(RECIPE, expected)


def test_a_table_of_layers_leaves_no_others_and_one_layer_does() -> None:
    def layers(*assignments: str) -> dict[str, float]:
        config = load_config(RECIPE, assignments)
        assert make_config(config.to_json()) == config
        return {name: weight for name, weight in config.perceptual.layers.items() if weight}

    assert layers("perceptual.layers={conv2_1=2, conv5_4=1}") == {"conv2_1": 2, "conv5_4": 1}
    assert layers("perceptual.layers={conv2_1=2}", "perceptual.layers.conv1_1=3") == {"conv1_1": 3, "conv2_1": 2}
    assert layers("perceptual.layers.conv1_1=3", "perceptual.layers={conv2_1=2}") == {"conv2_1": 2}
    assert len(layers("perceptual.layers.conv1_1=3")) == 6


def test_the_word_of_a_set_counts_more_than_the_recipe(tmp_path: Path) -> None:
    own = write(tmp_path / "mine.toml", "seed = 3\n[loss]\npixel = 0.5\nadversarial = 0.2\n")
    config = load_config(own, ["loss.pixel=0.25"])
    assert (config.seed, config.loss.pixel, config.loss.adversarial) == (3, 0.25, 0.2)


def test_a_recipe_of_another_target_and_network_by_set_alone() -> None:
    ours = load_config(
        "rrdb-gan-original",
        [
            "target=positive_negative",
            "loss.negative=300",
            "generator.name=swinir",
            "starts_from=swinir-psnr",
            "batch_size=8",
            "milestones=[200_000, 250_000, 275_000, 287_500]",
        ],
    )
    assert ours == load_config("swinir-gan-positive-negative")


@settings(deadline=None)
@given(st.text(max_size=12), st.sampled_from(["", "seed", "loss.pixel", "generator", "degradation", "log.wandb"]))
def test_whatever_is_set_makes_a_config_or_a_config_error(text: str, key: str) -> None:
    for assignment in (key + text, f"{key}={text}", f"{text}={key}"):
        try:
            config = load_config(RECIPE, [assignment])
        except ConfigError:
            continue
        assert config == load_config(RECIPE, [f"{name}={value}" for name, value in flat_settings(config).items()])
