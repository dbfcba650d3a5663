"""What the settings mean: the schema file for editors, and the sentences that `hggt-models recipes NAME` prints."""

import json
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hggt_models.config.recipes import load_config, recipe_names
from hggt_models.config.schema import SCHEMA, explain_settings, recipe_schema


def is_valid(recipe: str) -> bool:
    return bool(Draft202012Validator(recipe_schema()).is_valid(tomllib.loads(recipe)))


def test_the_schema_file_is_up_to_date() -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == recipe_schema(), "run python scripts/write_recipe_schema.py"


def test_the_schema_is_valid_and_accepts_every_recipe() -> None:
    Draft202012Validator.check_schema(recipe_schema())
    for entry in files("hggt_models.config.recipes").iterdir():
        assert not entry.name.endswith(".toml") or is_valid(entry.read_text("utf-8")), entry.name


@pytest.mark.parametrize(
    "recipe",
    [
        "batch_size = 0",
        "seed = true",
        "[loss]\nnegitive = 3",
        "[generator]\nname = 'swinir'\nnum_block = 3",
        "[degradation]\npublished = 'sr-2'",
    ],
)
def test_the_schema_refuses_faults(recipe: str) -> None:
    assert not is_valid(recipe)


@pytest.mark.parametrize("recipe", recipe_names())
def test_explained_settings_are_a_recipe_with_a_sentence_for_each_key(recipe: str, tmp_path: Path) -> None:
    config = load_config(recipe)
    lines = explain_settings(config)
    (tmp_path / "mine.toml").write_text("\n".join(lines), "utf-8")
    assert load_config(tmp_path / "mine.toml") == config
    sentences = [line.partition("  # ")[2] for line in lines]
    assert len(sentences) > 70
    assert all(sentence.endswith(".") for sentence in sentences)
    assert load_config("rrdb-gan-original", lines) == config
