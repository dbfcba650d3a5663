"""What each setting means: as a JSON schema of recipes, by which editors complete and check them, and as text."""

import re
from inspect import cleandoc
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hggt_models.config.networks import DISCRIMINATOR
from hggt_models.config.train import READER, TrainConfig, flat_settings
from hggt_models.degradation.settings import PUBLISHED, DegradationSettings, SecondStage, ShuffledSettings
from hggt_models.networks import NETWORKS

Schema = dict[str, Any]

_EXTERNAL: Schema = {
    "properties": {
        "name": {
            "description": "Class of another project: spandrel:NAME or package.module:Class.",
            "pattern": r"^[\w.]+:\w+$",
            "type": "string",
        }
    },
    "required": ["name"],
    "type": "object",
}
SCHEMA = Path(__file__).with_name("recipe.schema.json")
_ENTRY = re.compile(r"^    (?P<names>\w+(?:, \w+)*): (?P<text>.*(?:\n {8}.*)*)", re.MULTILINE)


def recipe_schema() -> Schema:
    """The JSON schema of a recipe, which may set any part of the settings of `TrainConfig`."""
    schema = READER.json_schema()
    sections = schema["$defs"]
    networks = {name: _network_schema(name) for name in NETWORKS if name != DISCRIMINATOR}
    schema["properties"]["generator"] |= {"anyOf": [*networks.values(), _EXTERNAL]}
    schema["properties"]["discriminator"] |= {"anyOf": [_network_schema(DISCRIMINATOR), _EXTERNAL]}
    schema["properties"]["degradation"]["anyOf"] = schema["properties"]["degradation"].pop("oneOf")
    for kind in (DegradationSettings, ShuffledSettings):
        _add_sentences(sections[kind.__name__], kind)
        sections[kind.__name__]["properties"]["published"] = {
            "description": "Published settings that the other keys of this table change.",
            "enum": [name for name, settings in PUBLISHED.items() if isinstance(settings, kind)],
        }
    _add_sentences(sections["SecondStage"], SecondStage)
    second = sections["DegradationSettings"]["properties"]["second"]
    sections["DegradationSettings"]["properties"]["second"] = {  # TOML has no null
        "$ref": "#/$defs/SecondStage",
        "description": second["description"],
    }
    schema["properties"]["extends"] = {
        "description": "Recipe, or path of one, that this one changes.",
        "type": "string",
    }
    for section in (schema, *sections.values()):
        section.pop("required", None)
        section["description"] = section["description"].split("\n")[0]
        section["additionalProperties"] = False
        for setting in section["properties"].values():
            setting.pop("title", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Training recipe of hggt-models",
    }


def explain_settings(config: TrainConfig) -> list[str]:
    """Every setting with the sentence that explains it, as the lines of a TOML recipe that gives this config."""
    schema = recipe_schema()
    chosen = (config.generator.name, config.discriminator.name, config.degradation.order)
    return [
        f"{f'{key}={value}':<42}  # {_sentence(schema, key, chosen)}" for key, value in flat_settings(config).items()
    ]


def _sentence(schema: Schema, key: str, chosen: tuple[str, ...]) -> str:
    """The description of a key, or of the nearest table around it that has one.

    Where a table has several forms, it is the one with a constant among the `chosen`.
    """

    def resolved(setting: Schema) -> Schema:
        forms = [resolved(one) for one in setting.get("anyOf", ())]
        for form in forms:
            if any(one.get("const") in chosen for one in form["properties"].values()):
                return form
        return schema["$defs"][setting["$ref"].rpartition("/")[2]] if "$ref" in setting else setting

    setting, sentence = schema, ""
    for name in key.split("."):
        setting = resolved(setting).get("properties", {}).get(name, {})
        sentence = setting.get("description", sentence)
    return sentence


def _network_schema(name: str) -> Schema:
    """The table of one network: its name and arguments."""
    args_type = NETWORKS[name].args_type
    schema = TypeAdapter(args_type).json_schema()
    _add_sentences(schema, args_type)
    for setting in schema["properties"].values():
        setting.pop("title", None)
    named = {"const": name, "description": "Name of the network."}
    return {"additionalProperties": False, "properties": {"name": named, **schema["properties"]}, "type": "object"}


def _add_sentences(schema: Schema, section: type[Any]) -> None:
    """Describe the fields of a dataclass by the `Attributes:` of its docstring, and of those it inherits from."""
    for owner in reversed(section.__mro__):
        for entry in _ENTRY.finditer(cleandoc(owner.__doc__ or "").partition("Attributes:\n")[2]):
            for name in entry["names"].split(", "):
                if name in schema["properties"]:
                    schema["properties"][name]["description"] = " ".join(entry["text"].split())
