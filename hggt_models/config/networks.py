"""Checks the networks of a training run before its first step."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import torch

from hggt_models.config.sections import NetworkConfig
from hggt_models.networks import NetworkError, build_discriminator, build_network
from hggt_models.networks.external_classes import CHANNELS, SPANDREL, is_external, scale_argument

DISCRIMINATOR = "unet_discriminator_sn"
_MOST_PARAMETERS = 10**9


def network_faults(
    generator: NetworkConfig, discriminator: NetworkConfig, scale: int, crop_px: int, tile: int
) -> Iterator[str]:
    """Why networks cannot be trained to enlarge by `scale`, with targets of side `crop_px`: one sentence each.

    `tile` is the side of the tiles in which they are validated, or 0.

    Classes of other projects are built, and run on small images.
    """
    if discriminator.name != DISCRIMINATOR and not _is_own_class(discriminator.name):
        yield f"discriminator is {discriminator.name}; expected {DISCRIMINATOR} or package.module:Class"
        return
    if generator.name == DISCRIMINATOR:
        yield f"generator is {DISCRIMINATOR}; expected a network that restores images"
    for key, network in (("generator", generator), ("discriminator", discriminator)):
        channels = [
            f"{key}.{name} is {value}; expected 3, because images are RGB"
            for name, value in network.args.items()
            if name in CHANNELS and value != 3
        ]
        yield from channels
        if channels and is_external(network.name):
            continue
        try:
            found, window, num_parameters = _measure(key, network.name, json.dumps(dict(network.args)), crop_px, tile)
        except NetworkError as error:
            yield from (f"{key}: {fault}" for fault in error.faults)
            continue
        if num_parameters > _MOST_PARAMETERS:
            yield f"the {key} has {num_parameters:,} parameters; expected at most {_MOST_PARAMETERS:,}"
        if key == "generator" and tile % window:
            yield f"validation.tile is {tile}; expected a multiple of the window {window}"
        if key == "generator" and network.name != DISCRIMINATOR and found != scale:
            argument = scale_argument(network.name) if is_external(network.name) else None
            advice = f" (generator.{argument} sets it)" if argument else ""
            yield f"the generator's scale is {found}{advice}, but degradation.scale is {scale}; expected the same"


def _is_own_class(name: str) -> bool:
    return is_external(name) and not name.startswith(f"{SPANDREL}:")


@cache
def _measure(key: str, name: str, args: str, crop_px: int, tile: int) -> tuple[int, int, int]:
    """By how much a network enlarges, its window, and its number of parameters, which only the built network knows.

    The window of a class of another project takes some time, so that it is only asked if there is a tile.
    """
    settings: Mapping[str, Any] = json.loads(args)
    if is_external(name):
        is_generator = key == "generator"
        network = build_network(name, **settings) if is_generator else build_discriminator(name, settings, crop_px)
    else:
        with torch.device("meta"):
            network = build_network(name, **settings)
    return network.scale, network.window if tile else 1, sum(parameter.numel() for parameter in network.parameters())
