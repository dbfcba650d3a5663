"""Weights: read files as tensors only, and load them into a network that they fit exactly."""

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from hggt_data.errors import HggtError, WeightsError
from hggt_data.io.files import LFS_POINTER, is_lfs_pointer, require_regular_file

StateDict = Mapping[str, Tensor]

# Endings of the files that `torch.save` writes, and ours.
WEIGHTS_ENDINGS = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")

NOT_FINITE = "not finite"
_SHOWN = 3
_MOST_SHARED = 2  # how often tied weights may use the same memory
_NUMBERS = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool}
_NUMBERS |= {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


class CheckpointError(HggtError, ValueError):
    """A weights file is damaged, contains more than tensors, or belongs to another network."""


def read_pth(path: Path) -> object:
    """Read a file that `torch.save` wrote, onto the CPU, without running any code in it.

    WeightsError if the file is missing; CheckpointError if it is damaged or would have to run code.
    """
    _require_file(path)
    _require_plain_archive(path)
    size_bytes = path.stat().st_size
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # about files that torch then refuses
            torch.serialization.safe_globals(_numpy_scalars()),
        ):
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


def _require_plain_archive(path: Path) -> None:
    """Refuse a TorchScript program, and an archive that would grow when it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # the format before PyTorch 1.6, or damaged: torch will tell
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise CheckpointError(f"{path} is a TorchScript program; expected weights. Ask its author for a state dict")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(f"{path} is a compressed archive; expected a file that torch.save wrote")


def _numpy_scalars() -> list[Any]:
    """What a NumPy number needs in order to be read; programs keep scores and counters as such."""
    import numpy as np
    from numpy._core.multiarray import scalar

    kinds = [type(np.dtype(kind)) for kind in (*np.typecodes["AllInteger"], *np.typecodes["Float"], "?")]
    return [(scalar, "numpy.core.multiarray.scalar"), scalar, np.dtype, *kinds]


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a safetensors file, onto the CPU, and its metadata. Errors as in `read_pth`."""
    with _open_safetensors(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file alone. Errors as in `read_pth`."""
    with _open_safetensors(path) as file:
        return file.metadata() or {}


@contextmanager
def _open_safetensors(path: Path) -> Iterator[Any]:
    _require_file(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {first_line(error)}") from error


def require_state_dict(found: object, where: str) -> dict[str, Tensor]:
    """Return `found` if it is a state dict, or raise CheckpointError with a message that starts with `where`."""
    if not isinstance(found, dict):
        raise CheckpointError(f"{where} contains a {type(found).__name__}; expected named tensors")
    if not found:
        raise CheckpointError(f"{where} contains no weights; expected named tensors")
    others = [str(key) for key, value in found.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if others:
        raise CheckpointError(
            f"{where} contains {len(found):,} entries, of which {len(others):,} are not named tensors "
            f"({_listed(others)}); expected named tensors"
        )
    unusable = [key for key, value in found.items() if not _is_plain(value)]
    if unusable:
        raise CheckpointError(
            f"{where}: {_listed(unusable)}: sparse, complex, quantised, empty or repeated; expected plain tensors"
        )
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in found.values()}
    claimed, held = sum(map(_num_bytes, found.values())), sum(storages.values())
    if claimed > _MOST_SHARED * held:
        raise CheckpointError(f"{where}: its tensors take {claimed:,} bytes and share {held:,}; expected plain tensors")
    return found


def _is_plain(tensor: Tensor) -> bool:
    """Whether these are numbers of a usual kind, each of them in memory."""
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout != torch.strided or tensor.is_meta:
        return False
    if tensor.dtype not in _NUMBERS or tensor.is_nested:
        return False
    return 0 < _num_bytes(tensor) <= tensor.untyped_storage().nbytes()


def _num_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def load_state(network: nn.Module, state: StateDict, where: str) -> None:
    """Load weights into a network with exactly the same keys and shapes, in the network's own number format.

    A network on the `meta` device is only compared with them. CheckpointError, with a message that starts with `where`,
    lists missing, unexpected, misshapen, non-finite and integer tensors.
    """
    expected = network.state_dict()
    faults = find_faults(expected, state)
    if faults:
        raise CheckpointError(f"{where} {describe_faults(expected, faults)}")
    if not any(tensor.is_meta for tensor in expected.values()):
        network.load_state_dict(state)


def find_faults(expected: StateDict, state: StateDict) -> dict[str, list[str]]:
    """How weights differ from those of a network: kind of fault to keys. Non-finite weights are `NOT_FINITE`."""
    shared = [key for key in expected if key in state]
    faults = {
        "missing": [key for key in expected if key not in state],
        "unexpected": [key for key in state if key not in expected],
        "with the wrong shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}"
            for key in shared
            if state[key].shape != expected[key].shape
        ],
        "of whole numbers, perhaps quantised": [
            key for key in shared if expected[key].is_floating_point() and not state[key].is_floating_point()
        ],
        NOT_FINITE: [key for key in shared if not state[key].isfinite().all()],
    }
    return {kind: keys for kind, keys in faults.items() if keys}


def describe_faults(expected: StateDict, faults: Mapping[str, list[str]]) -> str:
    """The faults in one line."""
    found = [f"{len(keys):,} {kind} ({_listed(keys)})" for kind, keys in faults.items()]
    return f"does not fit the network's {len(expected):,} tensors: {'; '.join(found)}"


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
