"""The state of a run in this process: what one step changes, a checkpoint saves, and an interrupted run restores."""

import hashlib
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from hggt_data.errors import HggtError, OutputError
from hggt_data.io.text import plural
from hggt_models.config.reader import ConfigError
from hggt_models.data.loader import PairLoader, redistribute_pools
from hggt_models.memory import ran_out_of_memory
from hggt_models.networks.weights import first_line
from hggt_models.runtime import Runtime, lost_another_process
from hggt_models.training.learner import Learner
from hggt_models.training.loss_meter import DivergedError, LossMeter
from hggt_models.training.prepare import (
    TrainingRun,
    describe_beginning,
    describe_start,
    initial_weights,
    require_same_run,
    warnings,
)
from hggt_models.training.run_folder import RunFolder, State

_INHERITED = ("started_from", "data_license")  # keys of the weights' metadata


class RunState:
    """A run that is new, or restored from its last checkpoint; all processes build theirs together.

    Attributes:
        done: Number of iterations done.
        learner: The networks and their optimizers.
        loader: The training pairs, with the pool that mixes them.
        notes: Lines for the user about how the run starts or resumes.
        note: Prints a line for the user.
    """

    def __init__(self, run: TrainingRun, runtime: Runtime, folder: RunFolder) -> None:
        self.done = 0
        self.note: Callable[[str], None] = lambda _: None
        self.notes = [run.data.description, *run.data.notes]
        self._run, self._config, self._runtime, self._folder = run, run.config, runtime, folder
        record = runtime.agreed(folder.read_record() if runtime.leads else None)
        checkpoint = folder.read_checkpoint(runtime, self.notes.append)
        if record is not None and checkpoint is not None:
            require_same_run(folder.path, record, run)
        elif runtime.leads and folder.has_weights():
            raise OutputError(f"{folder.path} has weights, but no checkpoint to resume from; choose a new folder")
        self._resumes = checkpoint is not None
        self._earlier: State = record if record is not None and self._resumes else {}
        self.run_id: str = self._earlier.get("run_id", uuid.uuid4().hex)
        # The origin of a run stays the same, whether or not the initial weights are named again when it resumes.
        inherited = {key: self._earlier[key] for key in _INHERITED if key in self._earlier}
        self._metadata = {**run.metadata(), **inherited}
        self.learner = Learner(run.config, runtime, initial_weights(run))
        self.loader = PairLoader(run.data.samples, run.config, runtime, run.workers)
        self._meter = LossMeter(run.config.loss.pixel, starts_trained=run.init is not None)
        if checkpoint is not None:
            self._restore(*checkpoint)
        self._saved = self.done
        self.notes += warnings(run, self.learner.has_split_batch_norm)
        self.notes.append(describe_beginning(run, self.done))

    def try_out(self) -> None:
        """Compute one sample forward and backward before the first iteration; all processes call this together.

        ConfigError if the settings cannot work. Compiled networks are left to the first iteration, because they would
        be compiled for a single sample.
        """
        if self._config.compile:
            return
        try:
            self._runtime.together(lambda: self.learner.try_out(self.loader.first()))
        except Exception as error:
            if isinstance(error, HggtError | OSError) or ran_out_of_memory(error):
                raise
            raise ConfigError(
                f"these settings cannot work: a sample of crop_px {self._config.crop_px} fails with {first_line(error)}"
            ) from error

    def step(self) -> None:
        """One iteration."""
        seed = f"{self._config.seed}/{self.done}/{self._runtime.rank}"
        torch.manual_seed(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]))  # for stochastic depth
        saved = self.saved_if_it_fails() if self.learner.fails_whole else nullcontext()
        with saved, self.loader.pool.undone_if_it_fails():
            losses = self.learner.compute(self.loader.next)
        self.learner.update(self._config.rate(self.done))
        self._meter.add(losses)
        self.done += 1

    def take_loss_means(self) -> dict[str, float]:
        """Means of the losses since the last call, over all processes, which call this together."""
        with self._naming_last_checkpoint():
            means = self._meter.means(self._runtime)
        self._meter.restart()
        return means

    def save(self) -> None:
        """Write a checkpoint, and then the weights, so that no weights are ever left by a run that cannot resume."""
        with self._naming_last_checkpoint():
            self._meter.means(self._runtime)  # no checkpoint is written once the losses have diverged
            self.learner.require_finite()
        self.learner.share_statistics()
        share = {"pool": self.loader.pool.state_dict(), "meter": self._meter.state_dict()}
        self._folder.write_checkpoint(
            self.done, self.learner.state_dict(), share, self._runtime, self._config.checkpoint.keep
        )
        self._saved = self.done
        if self._runtime.leads:
            self._write_weights()

    @contextmanager
    def saved_if_it_fails(self) -> Iterator[None]:
        """If the block fails, save what was learned before; it must fail in all processes together."""
        try:
            yield
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # which hold the memory of the failed step
            if self.done > self._saved and not lost_another_process(error) and self._runtime.device_works():
                try:
                    self.save()
                except Exception as fault:
                    self.note(f"failed after {plural(self.done, 'iteration')}, and they could not be saved: {fault}")
                else:
                    path = self._folder.path
                    self.note(f"failed after {plural(self.done, 'iteration')}; everything is saved in {path}")
            raise

    def record(self) -> None:
        """Write the run's record, and what an earlier process was killed before writing; for the leading process."""
        run, folder = self._run, self._folder
        initial = {"path": str(run.init.path), "sha256": run.init.sha256} if run.init else None
        folder.write_record(
            {
                "schema_version": 1,
                "run_id": self.run_id,
                **self._metadata,
                "config": run.config.to_json(),
                "data": {"source": run.data.source, "revision": run.data.revision, **run.data.identity},
                "initial": self._earlier.get("initial", initial),
                "starts": [*self._earlier.get("starts", []), describe_start(run, self._runtime, self.done)],
            }
        )
        if not self._resumes:
            folder.write_names(run.data.names)
        elif not folder.has_weights(self.done):
            self._write_weights()

    def _restore(self, done: int, state: State, shares: list[dict[str, Any]]) -> None:
        runtime = self._runtime
        self.done = done
        self.learner.load_state_dict(state, f"the checkpoint of {done:,} iterations in {self._folder.path}")
        if len(shares) == runtime.world:
            self.loader.pool.load_state_dict(shares[runtime.rank]["pool"], runtime.device)
            self._meter.load_state_dict(shares[runtime.rank]["meter"], runtime.device)
            return
        pool = redistribute_pools([share["pool"] for share in shares], runtime)
        self.loader.pool.load_state_dict(pool, runtime.device)
        self.notes.append(
            f"warning: the run was on {len(shares)} devices and resumes on {runtime.world}. The pool is redistributed, "
            "so this is the same experiment but not the same numbers"
        )

    def _write_weights(self) -> None:
        metadata = {**self._metadata, "iteration": str(self.done)}
        self._folder.write_weights(self.done, self.learner.result, metadata)

    @contextmanager
    def _naming_last_checkpoint(self) -> Iterator[None]:
        """If the run has diverged, name its last good checkpoint."""
        try:
            yield
        except DivergedError as error:
            last = self._folder.last_checkpoint()
            kept = f"the last good checkpoint is {last}" if last else "no checkpoint was saved before"
            raise DivergedError(
                f"{self._folder.path}: {error} after {plural(self.done, 'iteration')}; {kept}. Start again in a new "
                "folder with a smaller learning_rate, a clip_norm, a smaller loss.negative, or a trained network "
                "(`init`)"
            ) from None
