"""One loop for every training run: a step, and from time to time a line, a validation, a checkpoint.

Everything random in an iteration follows from the seed, the iteration and the process's number. So weights, optimizers
and the pairs that wait are all there is to save, and a run that was killed goes on as if it never had been.
"""

import hashlib
import platform
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hggt_data.errors import HggtError, OutputError
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.text import plural
from hggt_data.licence import HGGT_LICENSE_NAME
from hggt_models.config.reader import ConfigError
from hggt_models.config.train import TrainConfig, differences
from hggt_models.data.loader import PairFeed, share_of_pools
from hggt_models.data.training_data import TrainingData
from hggt_models.networks.checkpoint import Checkpoint, CheckpointError
from hggt_models.runtime import Runtime, StopSignals
from hggt_models.training.learner import Learner
from hggt_models.training.loss_meter import DivergedError, LossMeter
from hggt_models.training.run_folder import RunFolder
from hggt_models.training.run_log import RunLog
from hggt_models.training.validation import Validation

_INHERITED = ("started_from", "data_license")  # of the weights' metadata
_TRIAL_NOTE = "the perceptual loss had random weights: a trial of the software, not a trained network"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRun:
    """What to train, on what, from where, and whereto.

    Attributes:
        recipe: its name, for the record.
        config: all settings.
        data: to learn from.
        output: the run's folder.
        initial: network to start from.
        workers: processes that read pictures, for each device; 0 reads in this one.
    """

    recipe: str
    config: TrainConfig
    data: TrainingData
    output: Path
    initial: Checkpoint | None = None
    workers: int = 0

    def metadata(self) -> dict[str, str]:
        """What the weights say of themselves; nothing of this machine."""
        source = self.data.source if is_hub_id(self.data.source) else Path(self.data.source).resolve().name
        known = {"recipe": self.recipe, "data": source, "data_revision": self.data.revision}
        inherited = self.initial.metadata.get("data_license") if self.initial else None
        licence = HGGT_LICENSE_NAME if inherited == HGGT_LICENSE_NAME else self.data.license
        if licence:
            known["data_license"] = licence
        if self.initial:
            known["started_from"] = f"{self.initial.metadata.get('recipe', 'weights')} sha256:{self.initial.sha256}"
        if self.config.loss.perceptual and self.config.perceptual.weights == "random":
            known["note"] = _TRIAL_NOTE
        return known


def train_run(run: TrainingRun, runtime: Runtime) -> StopSignals:
    """Train to the end, or until a signal asks to stop; go on from the last checkpoint where there is one.

    Args:
        run: what to do.
        runtime: this process; all processes of the run call this together.

    Returns:
        The signals; `received` is null if the run came to its end.

    Raises:
        ConfigError: batch or pool cannot be shared equally among the processes.
        OutputError: the folder is of another run, or in use.
        CheckpointError: the network to start from is another one.
        DivergedError: losses are not finite or have grown; the last checkpoint stays.
        WeightsError: weights of the perceptual loss or of a metric cannot be had.
        ImageError, OSError: a picture cannot be read, and all that was done is saved; or the disk is full, and the last
            checkpoint stays.
        WorkerError: a process that reads pictures was killed, or another one of the run has to end.
    """
    require_equal_shares(run.config, runtime.world)
    folder = RunFolder(run.output)
    with folder.locked(runtime), StopSignals() as signals:
        runtime.barrier()
        trainer = _Trainer(run, runtime, folder)
        try:
            trainer.loop(signals)
        finally:
            trainer.close()
    return signals


def require_equal_shares(config: TrainConfig, world: int) -> None:
    """Check that so many processes can share batch and pool.

    Raises:
        ConfigError: they cannot; the message lists the numbers of processes that can.
    """
    fitting = [
        number
        for number in range(1, config.batch_size + 1)
        if config.batch_size % (number * config.accumulate) == 0 and config.pool_size % number == 0
    ]
    if world not in fitting:
        parts = f" in {config.accumulate} parts" if config.accumulate > 1 else ""
        raise ConfigError(
            f"{world} devices cannot share batch_size {config.batch_size}{parts} and pool_size {config.pool_size} "
            f"equally; {', '.join(map(str, fitting)) or 'no number of them'} can"
        )


class _Trainer:
    """The state of a run that goes on in this process."""

    def __init__(self, run: TrainingRun, runtime: Runtime, folder: RunFolder) -> None:
        self._run, self._config, self._runtime, self._folder = run, run.config, runtime, folder
        notes: list[str] = [run.data.description]
        record = runtime.agreed(folder.read_record() if runtime.leads else None)
        found = folder.read_checkpoint(runtime, notes.append)
        if record is not None and found is not None:
            _require_same_run(folder, record, run)
        elif runtime.leads and folder.has_weights():
            raise OutputError(f"{folder.path} has weights, but no checkpoint to go on from; choose a new folder")
        # What a run began with stays true of it, whether or not --init is given again.
        began = record if record is not None and found is not None else {}
        self._metadata = {**run.metadata(), **{key: began[key] for key in _INHERITED if key in began}}
        self._run_id = began.get("run_id", uuid.uuid4().hex)
        self._learner = Learner(run.config, runtime, _initial_state(run))
        self._validation: Validation | None = None
        if run.data.held_out and run.config.validation.every:
            self._validation = Validation(run.data.held_out, run.config, runtime)
        self._feed = PairFeed(run.data.samples, run.config, runtime, run.workers)
        self._meter = LossMeter(run.config.loss.pixel)
        self._done = 0
        if found is not None:
            self._done, state, shares = found
            self._restore(state, shares, notes)
        self._saved = self._done
        notes += self._warnings()
        notes.append(self._beginning())
        self._dominates = False
        self._log: RunLog | None = None
        if runtime.leads:
            self._write_record(began)
            if found is None:
                folder.write_names(run.data.names)
            elif not folder.has_weights(self._done):  # killed after the checkpoint
                self._write_weights()
            self._log = RunLog(
                folder, run.config.log, run.config.to_json(), self._done, run.config.iterations, self._run_id
            )
            for note in notes:
                self._log.tell(note)
            if self._validation:
                self._validation.tiler.on_smaller_tile = self._tell_tile

    def loop(self, signals: StopSignals) -> None:
        """Iterate to the end or until asked to stop."""
        config, runtime = self._config, self._runtime
        stopping = self._done >= config.iterations
        if not stopping:
            self._feed.start(self._done)
        self._start_watch()
        while not stopping:
            with self._saving_at_a_fault():
                self._feed.fetch()
            torch.manual_seed(_seed(f"{config.seed}/{self._done}/{runtime.rank}"))  # of drop paths
            self._meter.add(self._learner.step(self._feed.next, config.rate(self._done)))
            self._done += 1
            if self._log:
                self._log.advance()
            at_end = self._done == config.iterations
            stopping = at_end or runtime.any(signals.received is not None)
            if at_end or self._done % config.log.every == 0:
                self._tell_losses()
            if self._validation and (at_end or self._done % config.validation.every == 0):
                self._validate(self._validation)
            if stopping or self._done % config.checkpoint.every == 0:
                self._save()
        if self._log:
            which = f"asked to stop by {signals.received.name}" if signals.received else "done"
            self._log.tell(f"{which} after {self._done:,} iterations; {self._folder.path} keeps all that is needed")

    def close(self) -> None:
        """End the workers, and write what the logs still hold."""
        self._feed.stop()
        if self._log:
            self._log.close()

    def _beginning(self) -> str:
        if self._done > self._config.iterations:
            return f"the run has {self._done:,} iterations already, more than the {self._config.iterations:,} wanted"
        if self._done:
            return f"going on after {self._done:,} of {self._config.iterations:,} iterations"
        if self._run.initial:
            return f"starting from {self._run.initial.path}"
        if self._config.starts_from:
            return f"starting from random weights; the published run starts from {self._config.starts_from} (--init)"
        return "starting from random weights"

    def _warnings(self) -> Iterator[str]:
        """What is not as in a run of one process that nothing disturbed."""
        data = self._run.data
        if data.num_missing:
            yield (
                f"warning: {plural(data.num_missing, data.noun)} that the run began with cannot be found any more. "
                "Others take their turns, so this is the same experiment but not the same numbers"
            )
        if self._learner.has_split_batch_norm:
            yield (
                "batch norm sees the samples of each process alone: PyTorch joins it on GPUs only. Its statistics are "
                "averaged for each validation and checkpoint"
            )

    def _restore(self, state: Mapping[str, Any], shares: list[dict[str, Any]], notes: list[str]) -> None:
        runtime = self._runtime
        self._learner.load_state_dict(state, f"the checkpoint of {self._done:,} iterations in {self._folder.path}")
        if len(shares) == runtime.world:
            self._feed.pool.load_state_dict(shares[runtime.rank]["pool"], runtime.device)
            self._meter.load_state_dict(shares[runtime.rank]["meter"], runtime.device)
            return
        pools = [share["pool"] for share in shares]
        self._feed.pool.load_state_dict(share_of_pools(pools, runtime), runtime.device)
        notes.append(
            f"warning: {len(shares)} devices began and {runtime.world} go on; the pairs that wait are dealt anew, so "
            "this is the same experiment but not the same numbers"
        )

    def _start_watch(self) -> None:
        self._watched_since, self._watched_from = time.perf_counter(), self._done
        self._waited_s = self._feed.waited_s

    def _tell_losses(self) -> None:
        with self._naming_what_stays():
            means = self._meter.means(self._runtime)
            self._meter.restart()
        if not self._log:
            return
        seconds = time.perf_counter() - self._watched_since
        rate = (self._done - self._watched_from) / seconds
        about = {
            "iterations_per_s": rate,
            "waiting_share": (self._feed.waited_s - self._waited_s) / seconds,
            "memory_gb": _memory_bytes(self._runtime.device) / 1e9,
            "learning_rate": self._config.rate(self._done - 1),
        }
        self._start_watch()
        self._log.scalars(self._done, "train", means, about)
        left_s = (self._config.iterations - self._done) / rate
        shown = "  ".join(f"{name} {value:.4g}" for name, value in means.items())
        self._log.tell(
            f"{self._done:,} of {self._config.iterations:,}  {shown}  {rate:.3g} it/s  {_duration(left_s)} left  "
            f"{about['memory_gb']:.2f} GB"
        )
        self._warn_of_the_negative(means)

    def _warn_of_the_negative(self, means: Mapping[str, float]) -> None:
        """The negative loss has no lower bound: where it outweighs the others, they no longer hold the output."""
        others = sum(means.get(name, 0) for name in ("pixel", "perceptual", "adversarial"))
        dominates = -means.get("negative", 0) > others
        if dominates and not self._dominates and self._log:
            self._log.tell(
                f"warning: the negative loss ({means['negative']:.4g}) outweighs all others ({others:.4g}); a smaller "
                "loss.negative, or a loss.negative_margin, bounds it"
            )
        self._dominates = dominates

    def _tell_tile(self, reason: Exception, tile: int) -> None:
        if self._log:
            self._log.tell(f"{reason}: validation in tiles of {tile} from here on")

    def _validate(self, validation: Validation) -> None:
        self._learner.share_statistics()
        with self._saving_at_a_fault():
            scores, shown = validation.run(self._learner.result)
        if self._log:
            self._log.scalars(self._done, "validation", scores, {})
            for restored in shown:
                self._log.picture(self._done, restored)
            text = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
            self._log.tell(f"validation after {self._done:,}  {text}")
        self._start_watch()

    def _save(self) -> None:
        with self._naming_what_stays():
            self._meter.means(self._runtime)  # so that no checkpoint ever holds what has diverged
            self._learner.require_finite()
        self._learner.share_statistics()
        share = {"pool": self._feed.pool.state_dict(), "meter": self._meter.state_dict()}
        self._folder.write_checkpoint(
            self._done, self._learner.state_dict(), share, self._runtime, self._config.checkpoint.keep
        )
        self._saved = self._done
        # Afterwards, so that no weights are ever left by a run that cannot go on.
        if self._runtime.leads:
            self._write_weights()
        self._start_watch()

    def _write_weights(self) -> None:
        metadata = {**self._metadata, "iteration": str(self._done)}
        self._folder.write_weights(self._done, self._learner.result, metadata)

    def _write_record(self, record: Mapping[str, Any]) -> None:
        run, runtime = self._run, self._runtime
        start = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "after_iterations": self._done,
            "missing": run.data.num_missing,
            "devices": runtime.world,
            "device": _device_name(runtime.device),
            "versions": {name: version(name) for name in ("hggt", "torch", "torchvision", "numpy")},
            "python": sys.version.split()[0],
            "git_revision": _git_revision(),
        }
        self._folder.write_record(
            {
                "schema_version": 1,
                "run_id": self._run_id,
                **self._metadata,
                "config": run.config.to_json(),
                "data": {"source": run.data.source, "revision": run.data.revision, **run.data.identity},
                "initial": record["initial"] if record else _describe_initial(run),
                "starts": [*record.get("starts", []), start],
            }
        )

    @contextmanager
    def _saving_at_a_fault(self) -> Iterator[None]:
        """A picture that cannot be read costs nothing that was learned before; all processes meet it together."""
        try:
            yield
        except (HggtError, OSError):
            if self._done > self._saved:
                self._save()
            raise

    @contextmanager
    def _naming_what_stays(self) -> Iterator[None]:
        """Losses that end a run: say where it was last well."""
        try:
            yield
        except DivergedError as error:
            saved = self._folder.last_checkpoint()
            stays = f"{saved} is the last good checkpoint" if saved else "no checkpoint was saved before"
            raise DivergedError(
                f"{self._folder.path}: {error} after {self._done:,} iterations; {stays}. Try a smaller learning_rate, "
                "clip_norm, or a smaller loss.negative, in a new folder with --init"
            ) from None


def _describe_initial(run: TrainingRun) -> dict[str, str] | None:
    return {"path": str(run.initial.path), "sha256": run.initial.sha256} if run.initial else None


def _require_same_run(folder: RunFolder, record: Mapping[str, Any], run: TrainingRun) -> None:
    """Refuse to go on with other settings, data or initial weights.

    Raises:
        OutputError: they are others.
    """
    others = differences(record["config"], run.config)
    identity = {**run.data.identity, "revision": run.data.revision}
    others += [
        f"data: {name} is {value!r}, was {record['data'].get(name)!r}"
        for name, value in identity.items()
        if record["data"].get(name) != value
    ]
    initial = record.get("initial")
    if run.initial and (initial is None or initial["sha256"] != run.initial.sha256):
        others.append(f"--init is {run.initial.path}, it began with {initial['path'] if initial else 'random weights'}")
    if others:
        raise OutputError(
            f"{folder.path} is of another run: {'; '.join(others)}. Choose a new folder, or go on with the same options"
        )


def _initial_state(run: TrainingRun) -> Mapping[str, torch.Tensor] | None:
    """The weights to start from.

    Raises:
        CheckpointError: they are of another network than the recipe's.
    """
    initial, wanted = run.initial, run.config.generator
    if initial is None:
        return None
    if initial.network_name != wanted.name:
        raise CheckpointError(f"--init {initial.path} holds {initial.network_name}; the recipe trains {wanted.name}")
    others = [
        f"{name} is {initial.args[name]!r} there and {value!r} here"
        for name, value in wanted.args.items()
        if initial.args[name] != value
    ]
    if others:
        raise CheckpointError(
            f"--init {initial.path} holds a {wanted.name} of another form: {'; '.join(others)}; pass "
            "--set generator.NAME=VALUE"
        )
    return initial.state


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _memory_bytes(device: torch.device) -> int:
    """The most that was in use: of the device's memory, or of the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.machine()}"


def _git_revision() -> str | None:
    """The commit of the checkout that this code is run from, if it is one; changes to it are said."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + (" with changes" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
