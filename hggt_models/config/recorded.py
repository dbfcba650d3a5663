"""Settings that a run has recorded: completed with what is newer than the record, and compared with others."""

from collections.abc import Mapping
from typing import Any

from hggt_models.config.reader import ConfigError
from hggt_models.config.train import TrainConfig, as_json, compared_settings, make_config, merged
from hggt_models.networks.external_classes import runs_own_code


def named_code(found: Mapping[str, Any]) -> dict[str, str]:
    """The code that is neither hggt's nor spandrel's in recorded settings, `PACKAGE.MODULE:CLASS`, by its key."""
    networks = {key: found.get(key) for key in ("generator", "discriminator")}
    names = {f"{key}.name": one.get("name") for key, one in networks.items() if isinstance(one, Mapping)}
    return {key: str(name) for key, name in names.items() if runs_own_code(name)}


def completed(found: Mapping[str, Any], *, runs_code: bool = False) -> Mapping[str, Any]:
    """Recorded settings with those that did not exist yet, which have the defaults: that is what the run did.

    Settings that cannot be read are returned as they are; so are those that name code outside hggt, which is imported
    only with `runs_code`.
    """
    if named_code(found) and not runs_code:
        return found
    try:
        return merged(as_json(make_config(found).to_json()), found)
    except ConfigError:
        return found


def differences(found: Mapping[str, Any], config: TrainConfig) -> list[str]:
    """Settings that make this a different run than the `to_json` in `found`: `KEY is NEW, was OLD` for each."""
    is_same_code = named_code(found) == named_code(config.to_json())  # which this config has imported
    found = completed(found, runs_code=is_same_code)
    return [
        f"{key} is {new!r}, was {old!r}"
        for key, old, new in compared_settings(found, as_json(config.to_json()))
        if not any(key == free or key.startswith(f"{free}.") for free in config.free_keys)
    ]
