"""Which network weights belong to: as the metadata of our files says, or else as keys and shapes show."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from hggt_data.io.parsing import parse_json
from hggt_data.io.text import format_examples, plural
from hggt_models.networks import NETWORKS, NetworkError, build_network, checked_args
from hggt_models.networks.external import Traits
from hggt_models.networks.external_classes import as_tuples, is_external, runs_own_code
from hggt_models.networks.weights import NOT_FINITE, CheckpointError, StateDict, describe_faults, find_faults
from hggt_models.networks.wrappers import variants

# All metadata goes under one key: the order of several would differ from run to run, and with it the bytes.
HEADER_KEY = "hggt"


class UnknownNetworkError(CheckpointError):
    """The weights fit none of our networks."""


def format_header(config: Mapping[str, Any], traits: Traits | None, metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata of a file: name and arguments of its network, traits of a class of another project, and more."""
    known = {"network": dict(config), **({"traits": asdict(traits)} if traits else {}), **metadata}
    return {HEADER_KEY: json.dumps(known, ensure_ascii=False)}


def parse_header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Metadata of one of our files; empty if another program wrote it."""
    text = metadata.get(HEADER_KEY, "{}")
    try:
        header = parse_json(text)
    except ValueError:
        header = None
    network = header.get("network", {"name": ""}) if isinstance(header, dict) else None
    if not isinstance(network, dict) or "name" not in network:
        raise CheckpointError(f"{path}: metadata is {text!r:.60}; expected JSON with the network's name and arguments")
    return dict(header)


def identify(path: Path, state: StateDict, header: Mapping[str, Any]) -> tuple[str, dict[str, Any], StateDict]:
    """Name and arguments of the network, from the metadata or else from keys and shapes, and its weights.

    UnknownNetworkError if they are not those of one of our networks; it says what is wrong if they nearly are.
    """
    if "network" in header:
        config: dict[str, Any] = dict(header["network"])
        name = str(config.pop("name"))
        if runs_own_code(name):
            return name, {arg: as_tuples(value) for arg, value in config.items()}, state
        args = _checked_args(path, name, config)
        if not is_external(name):
            _require_sizes(path, name, args, state)
        return name, args, state
    faults = []
    for variant in variants(state):
        for name in NETWORKS:
            try:
                found = _recognise(path, name, variant)
                if found is None:
                    continue
                args = _checked_args(path, name, found)
                with torch.device("meta"):
                    expected = build_network(name, **args).state_dict()
                if not (differences := find_faults(expected, variant)).keys() - {NOT_FINITE}:
                    return name, args, variant
                faults.append(f"{path} {describe_faults(expected, differences)}")
            except CheckpointError as error:
                faults.append(str(error))
    if faults:
        raise UnknownNetworkError(faults[0])
    raise UnknownNetworkError(
        f"{path}: none of our networks has its {plural(len(state), 'tensor')} ({format_examples(list(state), 1)}): "
        f"{', '.join(NETWORKS)}"
    )


def _recognise(path: Path, name: str, state: StateDict) -> dict[str, Any] | None:
    """The arguments of a network that keys and shapes determine; None if they belong to another network."""
    try:
        return NETWORKS[name].recognise({key: tensor.shape for key, tensor in state.items()})
    except (LookupError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{path} has keys of {name}, but not all that determine its sizes") from error


def read_traits(path: Path, header: Mapping[str, Any]) -> Traits | None:
    """What the metadata knows of a class of another project."""
    found, known = header.get("traits"), {field.name for field in fields(Traits)}
    if found is None:
        return None
    try:
        if not isinstance(found, dict) or not {"scale"} <= found.keys() <= known:
            raise NetworkError(f"{found!r:.60} are not traits of a network; expected {', '.join(sorted(known))}")
        return Traits(**found)
    except NetworkError as error:
        raise CheckpointError(f"{path}: its metadata is damaged: {error}") from error


def _checked_args(path: Path, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return checked_args(name, args)
    except NetworkError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _require_sizes(path: Path, name: str, args: Mapping[str, Any], state: StateDict) -> None:
    """Refuse metadata whose numbers are not those of the tensors: building what it claims could fill the memory."""
    found = _recognise(path, name, state)
    if found is None:
        raise CheckpointError(f"{path}: its metadata names a {name}, but its tensors belong to another network")
    for arg, value in found.items():
        counts = tuple(value) if isinstance(value, list | tuple) else value
        if not isinstance(value, float) and args[arg] != counts:
            raise CheckpointError(f"{path}: its metadata says {arg} {args[arg]}, but its tensors have {counts}")
