"""Spares tests of many configs to build a generator for each, which is only asked how much it enlarges."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hggt_models.config import train as config
from hggt_models.networks import Network, build_network

_BUILT: dict[str, Network] = {}


@contextmanager
def each_generator_built_once() -> Iterator[None]:
    """While the block lasts, configs with the same generator ask the same network."""

    def build(name: str, **args: Any) -> Network:
        key = f"{name} {args}"
        if key not in _BUILT:
            _BUILT[key] = build_network(name, **args)
        return _BUILT[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "build_network", build)
        yield
