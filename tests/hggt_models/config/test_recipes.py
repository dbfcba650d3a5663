"""Recipes, those that hggt includes and those of users, and assignments to their settings."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hggt_models.config.reader import ConfigError
from hggt_models.config.recipes import describe_recipes, load_config, recipe_names
from hggt_models.config.train import flat_settings, make_config

RECIPE = "rrdb-gan-positive"
GAN_RUNS = ("gan-original", "gan-positive", "gan-positive-negative")
BASELINES = [
    *("ldl-psnr", "ldl-gan", "ldl-gan-positive", "realesrnet", "realesrgan", "realesrgan-positive"),
    *("bsrnet", "bsrgan", "bsrgan-positive"),
]
ENHANCERS = ("enhance-01", "enhance-02", "enhance-03", "enhance-04")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


# Included recipes


def test_the_published_runs_are_included_each_with_a_sentence() -> None:
    runs = [f"{network}-{run}" for network in ("rrdb", "swinir") for run in ("psnr", *GAN_RUNS)]
    described = describe_recipes()
    assert recipe_names() == list(described) == sorted([*ENHANCERS, *BASELINES, *runs, "rrdb-gan-preference"])
    assert "Experimental (simulated candidates, not tuned on people)" in described["rrdb-gan-preference"]
    assert len(set(described.values())) == len(described)
    for text in described.values():
        assert 10 < len(text) < 130
        assert text.endswith(".")


@pytest.mark.parametrize("recipe", [name for name in recipe_names() if "gan" in name])
def test_a_gan_recipe_starts_from_a_recipe_with_the_same_generator(recipe: str) -> None:
    config = load_config(recipe)
    start = load_config(config.starts_from)
    assert (start.generator, start.degradation) == (config.generator, config.degradation)
    assert not start.has_discriminator


@pytest.mark.parametrize("name", ["", "/", "no/such/file.toml", "a\0b"])
def test_an_unknown_recipe_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^recipe .* is neither known nor a TOML file; known ones are .*$"):
        load_config(name)


def test_a_misspelt_recipe_is_refused_with_the_closest_name() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^recipe 'rrdb-gan-positiv' is neither known nor a TOML file; did you mean 'rrdb-gan-positive'",
    ):
        load_config("rrdb-gan-positiv")


# Recipes of users


def test_an_empty_recipe_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path / "mine.toml", "")) == make_config({})


def test_a_recipe_extends_an_included_one(tmp_path: Path) -> None:
    own = write(tmp_path / "mine.toml", 'extends = "swinir-gan-positive"\nseed = 3\n[loss]\nadversarial = 0.05\n')
    config = load_config("swinir-gan-positive")
    assert load_config(str(own)) == replace(config, seed=3, loss=replace(config.loss, adversarial=0.05))


def test_a_recipe_extends_others_relative_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "base.toml", "seed = 1")  # not this one
    write(tmp_path / "runs/base.toml", 'extends = "rrdb-psnr"\nseed = 2\nbatch_size = 6\n[log]\nevery = 11')
    write(tmp_path / "runs/deeper/other.toml", 'extends = "../base.toml"\npool_size = 60\n[log]\nwandb = "a"')
    own = write(tmp_path / "runs/mine.toml", 'extends = "deeper/other.toml"\nbatch_size = 3')
    far = write(tmp_path / "far/mine.toml", f'extends = "{own}"')
    monkeypatch.chdir(tmp_path)
    changes = ["seed=2", "batch_size=3", "pool_size=60", "log.every=11", "log.wandb=a"]
    assert load_config("runs/mine.toml") == load_config(far) == load_config("rrdb-psnr", changes)


def test_naming_another_network_resets_its_arguments_and_naming_the_same_does_not(tmp_path: Path) -> None:
    write(tmp_path / "small.toml", "[generator]\nnum_block = 2\n[degradation]\ngrey_probability = 0.5\n")
    other = write(tmp_path / "other.toml", 'extends = "small.toml"\n[generator]\nname = "rrdb"\nnum_feat = 16\n')
    expected = load_config(RECIPE, ["generator.name=rrdb", "generator.num_feat=16"])
    assert load_config(other).generator == expected.generator
    same = '[generator]\nname = "rrdb_pixelshuffle"\n[degradation]\npublished = "sr"\n'
    config = load_config(write(tmp_path / "same.toml", f'extends = "small.toml"\n{same}'))
    assert (config.generator.args["num_block"], config.to_json()["degradation"]["grey_probability"]) == (2, 0.5)


@pytest.mark.parametrize("way", ["{}.toml", "link-{}.toml"])
def test_recipes_that_extend_each_other_in_a_circle_are_refused(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "loop"
    for name, base in ("ab", "bc", "ca"):
        write(folder / f"{name}.toml", f'extends = "{way.format(base)}"')
        (folder / f"link-{name}.toml").symlink_to(folder / f"{name}.toml")
    with pytest.raises(ConfigError, match=r"^recipes extend each other in a circle: .*a\.toml, .*b\.toml, .*c\.toml"):
        load_config(folder / "a.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "missing.toml"', r"recipe '.*missing.toml' is neither known nor a TOML file"),
        ("extends = 3", r"mine.toml: extends is 3; expected the name of a recipe"),
        ("[loss]\npixel = \n", "mine.toml is not a TOML file: .*line 2"),
        ("[los]\npixel = 1", "^.*mine.toml: los is not known; did you mean 'loss'"),
        ("seed = 2020-01-01", "mine.toml: seed is '2020-01-01'; expected a whole number"),
    ],
)
def test_a_faulty_recipe_is_named_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path / "mine.toml", text))


def test_a_recipe_is_read_as_utf8(tmp_path: Path) -> None:
    own = write(tmp_path / "été.toml", '[log]\r\nwandb = "実験\U0001f600"\r\n')
    assert load_config(own).log.wandb == "実験\U0001f600"
    own.write_bytes('[log]\nwandb = "été"'.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"été\.toml is not UTF-8"):
        load_config(own)


# Assignments


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        (" learning_rate = 1", "learning_rate", 1.0),
        ("milestones=[1, 2_000,3000]", "milestones", (1, 2000, 3000)),
        ('compile=["generator", "perceptual"]', "compile", ("generator", "perceptual")),
        ("log . every=7  # often", "log.every", 7),
        ("log.wandb=", "log.wandb", ""),
        ("log.wandb=a=b", "log.wandb", "a=b"),
        ("log.wandb=it's", "log.wandb", "it's"),
        ('log.wandb="3"', "log.wandb", "3"),
        ("perceptual.weights=C:\\new\\vgg.pth", "perceptual.weights", "C:\\new\\vgg.pth"),
    ],
)
def test_a_value_is_read_as_in_toml_with_or_without_quotes(assignment: str, key: str, value: object) -> None:
    config = load_config(RECIPE, [assignment])
    content: object = config.to_json()
    for part in key.split("."):
        assert isinstance(content, dict)
        content = content[part]
    assert (content, type(content)) == (value, type(value))
    changed = flat_settings(config).items() - flat_settings(load_config(RECIPE)).items()
    assert [name for name, _ in changed] in ([key], [])


@pytest.mark.parametrize("assignment", ["learning_rate", " = 3", "loss. .pixel=3"])
def test_an_assignment_without_key_or_value_is_refused(assignment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(RECIPE, ["seed=1", assignment])
    assert str(caught.value) == (
        f"`assignments`: {assignment!r} is not an assignment; expected KEY=VALUE, such as loss.negative=0"
    )


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("loss.negitive=1", "loss.negitive is not known; did you mean 'loss.negative'"),
        ("extends=rrdb-psnr", "extends is not known"),
        ("betas=0.9,0.99", "betas is '0.9,0.99'; expected a list"),
    ],
)
def test_a_faulty_assignment_is_blamed_on_the_assignments(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^`assignments`: {message}"):
        load_config(RECIPE, [assignment])


def test_faults_of_the_recipe_and_of_assignments_are_told_apart(tmp_path: Path) -> None:
    own = write(tmp_path / "mine.toml", "batch_size = -4\nseed = -1\n")
    with pytest.raises(ConfigError) as caught:
        load_config(own, ["seed=1", "loss", "crop_px=x"])
    assert str(caught.value) == (
        f"{own}: batch_size is -4; expected more than 0; `assignments`: 'loss' is not an assignment; expected "
        "KEY=VALUE, such as loss.negative=0; crop_px is 'x'; expected a whole number"
    )


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (["seed=1", "seed=2"], ["seed=2"]),
        (["loss={pixel=5, perceptual=3}", "loss.pixel=2"], ["loss={pixel=2, perceptual=3}"]),
        (["loss.pixel=2", "loss={perceptual=3}"], ["loss={pixel=2, perceptual=3}"]),
        (["loss=3", "loss.pixel=2"], ["loss.pixel=2"]),
        (["generator.num_block=2", "generator.name=swinir"], ["generator.name=swinir"]),
        (["generator.num_block=2", "generator.name=rrdb_pixelshuffle"], ["generator.num_block=2"]),
        (["milestones=[1, 2, 3]", "milestones=[4]"], ["milestones=[4]"]),
    ],
)
def test_the_last_assignment_counts(assignments: list[str], expected: list[str]) -> None:
    assert load_config(RECIPE, assignments) == load_config(RECIPE, expected)


def test_a_table_of_layers_leaves_out_the_others_and_one_layer_does_not() -> None:
    def layers(*assignments: str) -> dict[str, float]:
        config = load_config(RECIPE, assignments)
        return {name: weight for name, weight in config.perceptual.layers.items() if weight}

    assert layers("perceptual.layers={conv2_1=2}", "perceptual.layers.conv1_1=3") == {"conv1_1": 3, "conv2_1": 2}
    assert layers("perceptual.layers.conv1_1=3", "perceptual.layers={conv2_1=2}") == {"conv2_1": 2}
    assert len(layers("perceptual.layers.conv1_1=3")) == 6


def test_assignments_win_over_the_recipe(tmp_path: Path) -> None:
    own = write(tmp_path / "mine.toml", "seed = 3\n[loss]\npixel = 0.5\nadversarial = 0.2\n")
    config = load_config(own, ["loss.pixel=0.25"])
    assert (config.seed, config.loss.pixel, config.loss.adversarial) == (3, 0.25, 0.2)


@settings(max_examples=30)
@given(st.text(max_size=12), st.sampled_from(["", "seed", "loss.pixel", "generator", "degradation", "log.wandb"]))
def test_any_assignment_gives_a_config_or_a_config_error(text: str, key: str) -> None:
    for assignment in (key + text, f"{key}={text}", f"{text}={key}"):
        try:
            config = load_config(RECIPE, [assignment])
        except ConfigError:
            continue
        assert config == load_config(RECIPE, [f"{name}={value}" for name, value in flat_settings(config).items()])
