"""Settings that a run has recorded: completed with what is newer than the record, and compared with others."""

from collections.abc import Mapping
from typing import Any

from hggt_models.config.reader import ConfigError
from hggt_models.config.train import FREE_KEYS, TrainConfig, as_json, compared_settings, make_config, merged


def completed(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Recorded settings with those that did not exist yet, which have the defaults: that is what the run did.

    Settings that cannot be read are returned as they are.
    """
    try:
        return merged(as_json(make_config(found).to_json()), found)
    except ConfigError:
        return found


def differences(found: Mapping[str, Any], config: TrainConfig) -> list[str]:
    """Settings that make this a different run than the `to_json` in `found`: `KEY is NEW, was OLD` for each."""
    return [
        f"{key} is {new!r}, was {old!r}"
        for key, old, new in compared_settings(completed(found), as_json(config.to_json()))
        if not any(key == free or key.startswith(f"{free}.") for free in FREE_KEYS)
    ]
