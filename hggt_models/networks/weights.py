"""Weights: read files as tensors only, and load them into a network that they fit exactly."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from torch import Tensor, nn

from hggt_data.errors import HggtError, WeightsError
from hggt_data.io.files import LFS_POINTER, is_lfs_pointer, require_regular_file

StateDict = Mapping[str, Tensor]

_SHOWN = 3


class CheckpointError(HggtError, ValueError):
    """A weights file is damaged, contains more than tensors, or belongs to another network."""


def read_pth(path: Path) -> object:
    """Read a file that `torch.save` wrote, onto the CPU, without running any code in it.

    WeightsError if the file is missing; CheckpointError if it is damaged or would have to run code.
    """
    _require_file(path)
    size_bytes = path.stat().st_size
    try:
        with warnings.catch_warnings(action="ignore"):  # about files that torch then refuses
            found: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the reader raise almost anything
        if isinstance(error, OSError) and error.filename:
            raise
        # torch's own message is dropped: it recommends reading the file without this protection.
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            raise CheckpointError(
                f"{path}: refused, because loading it would run {code[1]}; expected tensors only. "
                "Ask its author for a state dict"
            ) from None
        raise CheckpointError(
            f"{path}: {size_bytes:,} bytes, truncated, damaged or not a weights file; expected one that torch.save "
            "wrote. Download it again"
        ) from None
    return found


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a safetensors file, onto the CPU, and its metadata. Errors as in `read_pth`."""
    _require_file(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {first_line(error)}") from error


def require_state_dict(found: object, where: str) -> dict[str, Tensor]:
    """Return `found` if it is a state dict, or raise CheckpointError with a message that starts with `where`."""
    if not isinstance(found, dict):
        raise CheckpointError(f"{where} contains a {type(found).__name__}; expected named tensors")
    others = [str(key) for key, value in found.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if others or not found:
        raise CheckpointError(
            f"{where} contains {len(found):,} entries, of which {len(others):,} are not named tensors "
            f"({_listed(others)}); expected named tensors"
        )
    unusable = [key for key, value in found.items() if value.is_sparse or value.is_meta or value.is_complex()]
    if unusable:
        raise CheckpointError(f"{where}: {_listed(unusable)}: sparse, complex or empty (meta); expected plain tensors")
    return found


def load_state(network: nn.Module, state: StateDict, where: str) -> None:
    """Load weights into a network with exactly the same keys and shapes, in the network's own number format.

    A network on the `meta` device is only compared with them. CheckpointError, with a message that starts with `where`,
    lists missing, unexpected, misshapen and non-finite tensors.
    """
    expected = network.state_dict()
    shared = [key for key in expected if key in state]
    faults = {
        "missing": [key for key in expected if key not in state],
        "unexpected": [key for key in state if key not in expected],
        "with the wrong shape": [
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
    """First line of another library's error message."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _require_file(path: Path) -> None:
    if not path.exists():
        raise WeightsError(f"{path} does not exist")
    require_regular_file(path)
    if is_lfs_pointer(path):
        raise CheckpointError(f"{path}: {LFS_POINTER}")


def _listed(keys: list[str]) -> str:
    shown = ", ".join(keys[:_SHOWN])
    return f"first: {shown}" if len(keys) > _SHOWN else shown or "none"
