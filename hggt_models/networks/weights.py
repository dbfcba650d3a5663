"""Weights: read from a file as tensors and nothing else, and put into a network that they fit exactly."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from torch import Tensor, nn

from hggt_data.errors import HggtError, WeightsError
from hggt_data.io.files import require_regular_file

StateDict = Mapping[str, Tensor]

_SHOWN = 3


class CheckpointError(HggtError, ValueError):
    """A file of weights is damaged, holds more than weights, or holds those of another network."""


def read_pth(path: Path) -> object:
    """What `torch.save` wrote, on the CPU. Nothing in the file is run.

    Raises:
        WeightsError: there is no such file.
        CheckpointError: it is damaged, or holds objects that only running code could make.
        OSError: it cannot be read.
    """
    _require_file(path)
    size_bytes = path.stat().st_size
    try:
        with warnings.catch_warnings(action="ignore"):  # of what torch finds odd in a file that it then refuses
            found: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the reader raise almost anything
        if isinstance(error, OSError) and error.filename:
            raise
        # The reader's own words are not passed on: they advise to read the file without this protection.
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            raise CheckpointError(
                f"{path}: refused, because it would run {code[1]}; expected tensors only. Ask for its state dict"
            ) from None
        raise CheckpointError(
            f"{path}: {size_bytes:,} bytes, cut off, damaged or no weights at all; expected what torch.save writes. "
            "Download it again"
        ) from None
    return found


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file, on the CPU, and its metadata.

    Raises:
        WeightsError: there is no such file.
        CheckpointError: it is damaged.
        OSError: it cannot be read.
    """
    _require_file(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {first_line(error)}") from error


def require_state_dict(found: object, where: str) -> dict[str, Tensor]:
    """What was found, if it is a state dict.

    Raises:
        CheckpointError: it is none; the message opens with `where`.
    """
    if not isinstance(found, dict):
        raise CheckpointError(f"{where} holds a {type(found).__name__}; expected tensors under their names")
    others = [str(key) for key, value in found.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if others or not found:
        raise CheckpointError(
            f"{where} holds {len(found):,} entries, of which {len(others):,} are no tensors under a name "
            f"({_listed(others)}); expected tensors under their names"
        )
    strange = [key for key, value in found.items() if value.is_sparse or value.is_meta or value.is_complex()]
    if strange:
        raise CheckpointError(f"{where}: {_listed(strange)}: sparse, complex or without values; expected plain tensors")
    return found


def load_state(network: nn.Module, state: StateDict, where: str) -> None:
    """Put weights into a network, in the network's own number format.

    Args:
        network: whose keys and shapes the weights must have, all of them and no others. One on the `meta` device is
            only compared with them.
        state: the weights.
        where: the file, for messages.

    Raises:
        CheckpointError: they do not fit, or hold values that are no finite numbers; each kind of fault with how often
            and where first.
    """
    expected = network.state_dict()
    shared = [key for key in expected if key in state]
    faults = {
        "missing": [key for key in expected if key not in state],
        "not expected": [key for key in state if key not in expected],
        "of another shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
            for key in shared
            if state[key].shape != expected[key].shape
        ],
        "not finite": [key for key in shared if not state[key].isfinite().all()],
    }
    found = [f"{len(keys):,} {fault} ({_listed(keys)})" for fault, keys in faults.items() if keys]
    if found:
        raise CheckpointError(f"{where} does not fit the network's {len(expected):,} tensors: {'; '.join(found)}")
    if not any(tensor.is_meta for tensor in expected.values()):
        network.load_state_dict(state)


def first_line(error: Exception) -> str:
    """What an error of another library says, without its further lines."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _require_file(path: Path) -> None:
    if not path.exists():
        raise WeightsError(f"{path} is not there")
    require_regular_file(path)


def _listed(keys: list[str]) -> str:
    shown = ", ".join(keys[:_SHOWN])
    return f"first: {shown}" if len(keys) > _SHOWN else shown or "none"
