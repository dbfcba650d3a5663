"""The folder of a training run: what it is, checkpoints to go on from, weights to use, and its log.

RUN/run.json                      what the run is, and each time that it was started
RUN/data.json                     the names of its pictures or groups, and whether it learns from each
RUN/log.jsonl                     a line for each time the losses were told, and for each validation
RUN/weights/005000.safetensors    the network after so many iterations; all of them stay
RUN/checkpoints/005000/           all that is needed to go on; the last few stay
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from hggt_data.errors import OutputError
from hggt_data.io.files import atomic_file, is_leftover, read_json, read_record, sha256_of_file, write_json, write_text
from hggt_data.io.folders import lock_folder
from hggt_models.data.training_data import Beginning
from hggt_models.networks import Network
from hggt_models.networks.checkpoint import RUN_WEIGHTS, save_network
from hggt_models.networks.weights import CheckpointError, read_pth
from hggt_models.runtime import Runtime

State = dict[str, Any]

_RECORD, _DATA, _LOG = "run.json", "data.json", "log.jsonl"
_CHECKPOINTS, _PICTURES = "checkpoints", "pictures"
_STATE_FILE, _SHARE_FILE, _SUMS_FILE = "state.pth", "share-{}.pth", "sha256.json"


class RunFolder:
    """Everything that a run keeps on disk.

    Args:
        path: the folder; made if missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self, runtime: Runtime) -> Iterator[None]:
        """Keep other runs out while the block lasts.

        Raises:
            OutputError: another run is at work in the folder, or it holds other things.
        """
        if not runtime.leads:
            yield
            return
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path} is a file; expected a folder")
        # A run that was killed at once has left nothing but a temporary file.
        is_filled = self.path.is_dir() and any(not path.name.startswith(".") for path in self.path.iterdir())
        if is_filled and not (self.path / _RECORD).is_file():
            raise OutputError(f"{self.path} holds other things (no {_RECORD} in it); choose a new or empty folder")
        self.path.mkdir(parents=True, exist_ok=True)
        with lock_folder(self.path, f"another run is at work in {self.path}; wait for it to end"):
            for path in self.path.rglob(".*"):
                if is_leftover(path.name):
                    path.unlink()
            yield

    def read_record(self) -> State | None:
        """What `write_record` has kept; null for a new run.

        Raises:
            OutputError: the file is damaged.
        """
        path = self.path / _RECORD
        record = read_record(path)
        if record is not None and not {"config", "data", "starts"} <= record.keys():
            raise OutputError(f"{path} tells of no training run; choose a new folder")
        return record

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Keep what the run is."""
        write_json(self.path / _RECORD, dict(record))

    def write_names(self, names: Mapping[str, bool]) -> None:
        """Keep what the run learns from, see `TrainingData`."""
        write_json(self.path / _DATA, dict(names))

    def read_beginning(self) -> Beginning | None:
        """What data the run began with, for `open_training_data`; null for a run that has still to begin.

        Raises:
            OutputError: a file is damaged.
        """
        record, path = self.read_record(), self.path / _DATA
        if record is None or self.last_checkpoint() is None or not path.is_file():
            return None
        names = read_json(path, OutputError, "choose a new folder")
        identity = {key: value for key, value in record["data"].items() if key not in ("source", "revision")}
        return Beginning(identity, names)

    def has_weights(self, iteration: int | None = None) -> bool:
        """Whether weights are kept, of this iteration or of any."""
        name = "*" if iteration is None else f"{iteration:06d}"
        return any((self.path / RUN_WEIGHTS).glob(f"{name}.safetensors"))

    def write_weights(self, iteration: int, network: Network, metadata: Mapping[str, str]) -> Path:
        """Keep a network for use."""
        path = self.path / RUN_WEIGHTS / f"{iteration:06d}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_network(network, path, metadata)
        return path

    def write_checkpoint(self, iteration: int, state: State, share: State, runtime: Runtime, keep: int) -> None:
        """Keep all that is needed to go on; all processes call this together.

        Args:
            iteration: how many are done.
            state: what all processes have in common, of which the leading one's is kept.
            share: what is each process's own.
            runtime: this process.
            keep: how many checkpoints stay.
        """
        folder = self.path / _CHECKPOINTS / f"{iteration:06d}"
        partial = folder.with_name(f".{folder.name}.partial")
        if runtime.leads:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        runtime.barrier()
        _write(partial / _SHARE_FILE.format(runtime.rank), share)
        if runtime.leads:
            _write(partial / _STATE_FILE, state)
        runtime.barrier()
        if runtime.leads:
            sums = {path.name: sha256_of_file(path) for path in sorted(partial.iterdir())}
            write_json(partial / _SUMS_FILE, sums)
            shutil.rmtree(folder, ignore_errors=True)  # a damaged one
            partial.replace(folder)
            for old in self._checkpoints()[keep:]:
                shutil.rmtree(old)
        runtime.barrier()

    def read_checkpoint(self, runtime: Runtime, tell: Callable[[str], None]) -> tuple[int, State, list[State]] | None:
        """The last checkpoint that is whole: iterations done, the common state, and each process's own.

        All processes call this together.

        Args:
            runtime: this process.
            tell: is told of damaged checkpoints, which are passed over.

        Raises:
            OutputError: there are checkpoints, and all are damaged.
        """
        name = runtime.agreed(self._last_whole(tell) if runtime.leads else None)
        if name is None:
            return None
        folder = self.path / _CHECKPOINTS / name
        num_shares = len(list(folder.glob(_SHARE_FILE.format("*"))))
        shares = [_read(folder / _SHARE_FILE.format(number)) for number in range(num_shares)]
        return int(name), _read(folder / _STATE_FILE), shares

    def last_checkpoint(self) -> Path | None:
        """The folder of the last checkpoint, whole or not."""
        return next(iter(self._checkpoints()), None)

    def append_log(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log."""
        with open(self.path / _LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def picture_path(self, name: str, iteration: int) -> Path:
        """Where a validated picture is kept."""
        return self.path / _PICTURES / name / f"{iteration:06d}.png"

    def cut_log(self, iteration: int) -> None:
        """Forget what log and pictures tell of later iterations, which are to be done again."""
        for picture in (self.path / _PICTURES).glob("*/[0-9]*.png"):
            if picture.stem.isdecimal() and int(picture.stem) > iteration:
                picture.unlink()
        path = self.path / _LOG
        if not path.exists():
            return
        kept = []
        for line in path.read_text("utf-8").splitlines():
            try:
                if json.loads(line)["iteration"] <= iteration:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # a kill or a full disk has cut it off
        write_text(path, "".join(f"{line}\n" for line in kept))

    def _checkpoints(self) -> list[Path]:
        """The last one first."""
        folders = (self.path / _CHECKPOINTS).glob("[0-9]*")
        return sorted(
            (folder for folder in folders if folder.name.isdecimal()), key=lambda f: int(f.name), reverse=True
        )

    def _last_whole(self, tell: Callable[[str], None]) -> str | None:
        found = self._checkpoints()
        for folder in found:
            fault = _fault(folder)
            if fault is None:
                return folder.name
            tell(f"{folder} is damaged ({fault}), and passed over")
        if found:
            raise OutputError(f"{self.path}: all {len(found)} checkpoints are damaged; choose a new folder")
        return None


def _write(path: Path, state: State) -> None:
    with atomic_file(path) as file:
        torch.save(state, file)


def _read(path: Path) -> State:
    state = read_pth(path)
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}; expected the state of a training run")
    return state


def _fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint, if anything."""
    try:
        sums = json.loads((folder / _SUMS_FILE).read_bytes())
        for name, sha256 in sums.items():
            if sha256_of_file(folder / name) != sha256:
                return f"the content of {name} has changed"
    except (OSError, ValueError, AttributeError) as error:
        return str(error)
    return None if _STATE_FILE in sums else f"{_SUMS_FILE} does not name {_STATE_FILE}"
