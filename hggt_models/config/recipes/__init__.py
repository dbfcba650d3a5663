"""Recipes: TOML files with the settings of a training run that differ from the defaults in `TrainConfig`.

The published runs lie beside this file. A recipe may build on another (`extends = "NAME"`).
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hggt_data.io.files import read_toml
from hggt_data.io.parsing import parse_toml
from hggt_data.io.text import nearest
from hggt_models.config.reader import ConfigError
from hggt_models.config.train import DEFAULTS, TrainConfig, make_config, merged
from hggt_models.networks.vgg import LAYERS

_MOST_EXTENDED = 20
_RECIPES = files("hggt_models.config.recipes")


def recipe_names() -> list[str]:
    """Names of the recipes that hggt includes, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in _RECIPES.iterdir() if entry.name.endswith(".toml"))


def describe_recipes() -> dict[str, str]:
    """What each included recipe trains, from the first line of its file."""
    return {
        name: (_RECIPES / f"{name}.toml").read_text("utf-8").split("\n")[0].removeprefix("# ")
        for name in recipe_names()
    }


def load_config(recipe: str | Path, assignments: Sequence[str] = ()) -> TrainConfig:
    """The settings of a recipe, with changes.

    Args:
        recipe: Name of an included recipe, or a TOML file.
        assignments: Changes, each `KEY=VALUE` with the value as in TOML; strings need no quotes.

    Returns:
        The settings, checked as a whole.

    Raises:
        ConfigError: The recipe is unknown or not TOML, or it or an assignment is faulty; the message names all faults.
        OSError: The file cannot be read.

    Example:
        >>> from hggt_models import load_config
        >>> config = load_config("rrdb-gan-positive", ["loss.adversarial=0.05", "precision=bf16"])
        >>> config.loss.adversarial, config.precision, config.pool_size
        (0.05, 'bf16', 144)
    """
    return changed_config(_read_recipe(recipe, ()), str(recipe), assignments)


def changed_config(own: Mapping[str, Any], place: str, assignments: Sequence[str]) -> TrainConfig:
    """The config of nested settings, which come from `place`, with changes as in `load_config`.

    Raises:
        ConfigError: The settings or an assignment are faulty; the message names all faults, and where they are.
    """
    settings = own
    malformed: list[str] = []
    for assignment in assignments:
        try:
            settings = merged(settings, _parse_assignment(assignment))
        except ConfigError as error:
            malformed += error.faults
    config, faults = _try_config(settings)
    if config and not malformed:
        return config
    # What is wrong without the assignments, too, is the recipe's fault.
    _, known = _try_config(own) if assignments else (None, faults)
    blamed = {
        place: [fault for fault in faults if fault in known],
        "`assignments`": [*malformed, *(fault for fault in faults if fault not in known)],
    }
    raise ConfigError(*(f"{place}: {'; '.join(found)}" for place, found in blamed.items() if found))


def _try_config(settings: Mapping[str, Any]) -> tuple[TrainConfig | None, tuple[str, ...]]:
    """The config of these settings, or their faults."""
    try:
        return make_config(settings), ()
    except ConfigError as error:
        return None, error.faults


def _read_recipe(recipe: str | Path, seen: tuple[str, ...]) -> dict[str, Any]:
    """The settings in a recipe and in those that it extends; `seen` are the recipes that led here."""
    name = str(recipe)
    path = Path(str(_RECIPES / f"{name}.toml")) if name in recipe_names() else Path(name)
    if not path.is_file():
        known = recipe_names()
        raise ConfigError(f"recipe {name!r} is neither known nor a TOML file; {nearest(name, known)}")
    if path.resolve() in [Path(other).resolve() for other in seen]:  # a path can be written in many ways
        raise ConfigError(f"recipes extend each other in a circle: {', '.join((*seen, name))}")
    if len(seen) == _MOST_EXTENDED:
        raise ConfigError(f"{seen[0]} extends more than {_MOST_EXTENDED} recipes, one after the other")
    settings = read_toml(path, ConfigError)
    base = settings.pop("extends", None)
    if base is None:
        return merged(DEFAULTS, settings)
    if not isinstance(base, str):
        raise ConfigError(f"{name}: extends is {base!r}; expected the name of a recipe")
    beside = Path(name).parent / base  # a user's recipe may extend another one in the same folder
    return merged(_read_recipe(beside if base not in recipe_names() else base, (*seen, name)), settings)


def _parse_assignment(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    *sections, last = (part.strip() for part in key.split("."))
    if not equals or not all((*sections, last)):
        raise ConfigError(f"{text!r} is not an assignment; expected KEY=VALUE, such as loss.negative=0")
    try:
        parsed = parse_toml(f"value = {value}")["value"]
    except ValueError:
        parsed = value.strip()
    if [*sections, last] == ["perceptual", "layers"] and isinstance(parsed, dict):
        parsed = {**dict.fromkeys(LAYERS, 0), **parsed}  # a table of layers leaves out all others
    settings: dict[str, Any] = {last: parsed}
    for section in reversed(sections):
        settings = {section: settings}
    return settings
