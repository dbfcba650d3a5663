"""The folder of a training run: its record, checkpoints to resume from, weights to use, and its log.

RUN/run.json                      settings and data of the run, and each time it was started
RUN/data.json                     names of its pictures or groups, and whether it learns from each
RUN/log.jsonl                     a line for each report of the losses and each validation
RUN/best.safetensors              the network with the best value of `checkpoint.best`, if that is set
RUN/weights/005000.safetensors    the network after 5000 iterations; all of them are kept
RUN/checkpoints/005000/           everything needed to resume; the last few are kept
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import torch

from hggt_data.errors import OutputError
from hggt_data.io.files import (
    atomic_file,
    is_leftover,
    read_json,
    read_record,
    read_regular_file,
    sha256_of_file,
    write_json,
    write_text,
)
from hggt_data.io.folders import lock_folder
from hggt_data.io.parsing import parse_json, read_value
from hggt_models.data.training_data import ResumeState
from hggt_models.networks import Network
from hggt_models.networks.checkpoint import RUN_WEIGHTS, save_network
from hggt_models.networks.weights import CheckpointError, read_pth
from hggt_models.runtime import Runtime

State = dict[str, Any]


class _Record(TypedDict):
    config: dict[str, Any]
    data: dict[str, Any]
    starts: list[dict[str, Any]]


class _LogLine(TypedDict):
    iteration: int


RECORD = "run.json"
_DATA, _LOG = "data.json", "log.jsonl"
_CHECKPOINTS, _PICTURES = "checkpoints", "pictures"
_STATE_FILE, _SHARE_FILE, _SUMS_FILE = "state.pth", "share-{}.pth", "sha256.json"


class RunFolder:
    """Reads and writes the files of a run; the folder is created if it is missing."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @contextmanager
    def locked(self, runtime: Runtime) -> Iterator[None]:
        """Lock the folder for this run; OutputError if another run uses it, or if it holds other files."""
        if not runtime.leads:
            yield
            return
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path} is a file; expected a folder")
        # A run that was killed at its start leaves only a temporary file.
        is_filled = self.path.is_dir() and any(not path.name.startswith(".") for path in self.path.iterdir())
        if is_filled and not (self.path / RECORD).is_file():
            raise OutputError(f"{self.path} contains other files and no {RECORD}; choose a new or empty folder")
        self.path.mkdir(parents=True, exist_ok=True)
        with lock_folder(self.path, f"another run is using {self.path}; wait for it to end"):
            for path in self.path.rglob(".*"):
                if is_leftover(path.name):
                    path.unlink()
            for partial in (self.path / _CHECKPOINTS).glob(".*.partial*"):
                shutil.rmtree(partial)
            yield

    def read_record(self) -> State | None:
        """The record that `write_record` wrote; None for a new run."""
        path = self.path / RECORD
        record = read_record(path)
        try:
            if record is not None:
                read_value(_Record, record)
        except ValueError as error:
            raise OutputError(f"{path} is not the record of a training run ({error}); choose a new folder") from error
        return record

    def adopted_settings(self) -> list[str]:
        """The settings that an earlier start of this run took from the network it began with."""
        initial = (self.read_record() or {}).get("initial") or {}
        return [str(text) for text in initial.get("adopted", [])]

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write what the run is."""
        write_json(self.path / RECORD, dict(record))

    def write_names(self, names: Mapping[str, bool]) -> None:
        """Write what the run learns from, see `TrainingData.names`."""
        write_json(self.path / _DATA, dict(names))

    def read_resume_state(self) -> ResumeState | None:
        """The data that the run started with, for `open_training_data`; None for a new run."""
        record, path = self.read_record(), self.path / _DATA
        if record is None or self.last_checkpoint() is None or not path.is_file():
            return None
        try:
            names = read_value(dict[str, bool], read_json(path, OutputError, "choose a new folder"))
        except OutputError:
            raise
        except ValueError as error:
            raise OutputError(f"{path} is damaged ({error}); choose a new folder") from error
        identity = {key: value for key, value in record["data"].items() if key not in ("source", "revision")}
        return ResumeState(identity, names)

    def has_weights(self, iteration: int | None = None) -> bool:
        """Whether there are weights of this iteration, or of any."""
        name = "*" if iteration is None else f"{iteration:06d}"
        return any((self.path / RUN_WEIGHTS).glob(f"{name}.safetensors"))

    def write_weights(self, iteration: int, network: Network, metadata: Mapping[str, str]) -> Path:
        """Write a network for use."""
        path = self.path / RUN_WEIGHTS / f"{iteration:06d}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_network(network, path, metadata)
        return path

    def write_checkpoint(self, iteration: int, state: State, share: State, runtime: Runtime, keep: int) -> None:
        """Write a checkpoint and delete all but the last `keep`; all processes call this together.

        `state` is what the processes have in common, and is written by the leading one; `share` is each one's own.
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
            _write_sums(partial)
            shutil.rmtree(folder, ignore_errors=True)  # a damaged one
            partial.replace(folder)
            for old in self._checkpoints()[keep:]:
                shutil.rmtree(old)
        runtime.barrier()

    def write_checkpoint_alone(self, iteration: int, state: State, share: State, rank: int) -> None:
        """Write a checkpoint with the share of this process only, unless there is one of this iteration."""
        folder = self.path / _CHECKPOINTS / f"{iteration:06d}"
        partial = folder.with_name(f".{folder.name}.partial-{rank}")
        partial.mkdir(parents=True, exist_ok=True)
        try:
            _write(partial / _SHARE_FILE.format(0), share)
            _write(partial / _STATE_FILE, state)
            _write_sums(partial)
            if _fault(folder) is not None:
                partial.replace(folder)
        except OSError:
            if _fault(folder) is not None:  # no other process was faster
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def read_checkpoint(self, runtime: Runtime, note: Callable[[str], None]) -> tuple[int, State, list[State]] | None:
        """The last intact checkpoint: iterations done, the common state, and that of each process.

        All processes call this together. Damaged checkpoints are skipped with a `note`; OutputError if all are damaged.
        """
        name = runtime.agreed(self._last_intact(note) if runtime.leads else None)
        if name is None:
            return None
        folder = self.path / _CHECKPOINTS / name
        num_shares = len(list(folder.glob(_SHARE_FILE.format("*"))))
        shares = [_read(folder / _SHARE_FILE.format(number)) for number in range(num_shares)]
        return int(name), _read(folder / _STATE_FILE), shares

    def last_checkpoint(self) -> Path | None:
        """The folder of the last checkpoint, intact or not."""
        return next(iter(self._checkpoints()), None)

    def append_log(self, line: Mapping[str, Any]) -> None:
        """Append a line to the log."""
        with open(self.path / _LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def num_iterations(self) -> int | None:
        """Iterations of the last checkpoint; None if there is none."""
        last = self.last_checkpoint()
        return int(last.name) if last else None

    def last_scores(self) -> dict[str, Any]:
        """The scores of the last validation; empty if there was none."""
        path = self.path / _LOG
        for text in reversed(path.read_text("utf-8").splitlines() if path.is_file() else []):
            try:
                line = parse_json(text)
            except ValueError:
                continue  # truncated, see `cut_log`
            if isinstance(line, dict) and line.get("kind") == "validation":
                return {name: value for name, value in line.items() if name not in ("kind", "about")}
        return {}

    def picture_path(self, name: str, iteration: int) -> Path:
        """Path of the result of a validated picture."""
        return self.path / _PICTURES / name / f"{iteration:06d}.png"

    def cut_log(self, iteration: int) -> None:
        """Delete log lines and pictures of later iterations, which will be repeated."""
        for picture in (self.path / _PICTURES).glob("*/[0-9]*.png"):
            if picture.stem.isdecimal() and int(picture.stem) > iteration:
                picture.unlink()
        path = self.path / _LOG
        if not path.exists():
            return
        kept = []
        for line in path.read_text("utf-8").splitlines():
            try:
                if read_value(_LogLine, parse_json(line))["iteration"] <= iteration:
                    kept.append(line)
            except ValueError:
                continue  # a kill or a full disk has truncated it
        write_text(path, "".join(f"{line}\n" for line in kept))

    def _checkpoints(self) -> list[Path]:
        """Folders of all checkpoints, the last one first."""
        folders = (self.path / _CHECKPOINTS).glob("[0-9]*")
        return sorted(
            (folder for folder in folders if folder.name.isdecimal()), key=lambda f: int(f.name), reverse=True
        )

    def _last_intact(self, note: Callable[[str], None]) -> str | None:
        found = self._checkpoints()
        for folder in found:
            fault = _fault(folder)
            if fault is None:
                return folder.name
            note(f"skipped {folder}, which is damaged: {fault}")
        if found:
            raise OutputError(f"{self.path}: all {len(found)} checkpoints are damaged; choose a new folder")
        return None


def _write(path: Path, state: State) -> None:
    with atomic_file(path) as file:
        torch.save(state, file)


def _write_sums(folder: Path) -> None:
    write_json(folder / _SUMS_FILE, {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())})


def _read(path: Path) -> State:
    state = read_pth(path)
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} contains a {type(state).__name__}; expected the state of a training run")
    return state


def _fault(folder: Path) -> str | None:
    """The fault of a checkpoint; None if it is intact."""
    try:
        sums = read_value(dict[str, str], parse_json(read_regular_file(folder / _SUMS_FILE)))
        for name, sha256 in sums.items():
            if sha256_of_file(folder / name) != sha256:
                return f"{name} does not match its SHA-256"
    except (OSError, ValueError) as error:
        return str(error)
    return None if _STATE_FILE in sums else f"{_SUMS_FILE} does not name {_STATE_FILE}"
