"""The state of a run in this process: what one step changes, a checkpoint saves, and an interrupted run restores."""

import hashlib
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import torch

from hggt_data.errors import HggtError, OutputError, WorkerError
from hggt_data.io.files import sha256_of_file
from hggt_data.io.text import plural
from hggt_models.config.reader import ConfigError
from hggt_models.data.loader import PairLoader, redistribute_pools
from hggt_models.data.make_pairs import TrainingPairs
from hggt_models.memory import ran_out_of_memory
from hggt_models.networks.weights import first_line
from hggt_models.runtime import Runtime, lost_another_process
from hggt_models.training.best_weights import BestWeights
from hggt_models.training.initial_network import describe_networks, initial_weights
from hggt_models.training.learner import Learner
from hggt_models.training.loss_meter import DivergedError, LossMeter, blank_loss
from hggt_models.training.optimizers import learning_rate
from hggt_models.training.prepare import (
    TrainingRun,
    describe_beginning,
    describe_start,
    require_same_run,
    require_start,
    warnings,
)
from hggt_models.training.run_folder import RunFolder, State
from hggt_models.training.switches import operation_without_deterministic_version
from hggt_models.training.validation import Validated

# Keys of the weights' metadata.
_INHERITED = ("started_from", "discriminator_started_from", "data_license", "settings_from")


class RunState:
    """A run that is new, or restored from its last checkpoint; all processes build theirs together.

    Attributes:
        done: Number of iterations done.
        learner: The networks and their optimizers.
        loader: The training pairs, with the pool that mixes them.
        notes: Lines for the user about how the run starts or resumes.
        note: Prints a line for the user.
        is_saving: Whether a checkpoint is being written.
    """

    def __init__(self, run: TrainingRun, runtime: Runtime, folder: RunFolder) -> None:
        self.done = 0
        self.note: Callable[[str], None] = lambda _: None
        self.notes = [f"settings as in {run.like.path}"] if run.like else []
        self.notes += [run.data.description, *run.data.notes]
        self._run, self._config, self._runtime, self._folder = run, run.config, runtime, folder
        record = runtime.agreed(folder.read_record() if runtime.leads else None)
        checkpoint = folder.read_checkpoint(runtime, self.notes.append)
        if record is not None and checkpoint is not None:
            require_same_run(folder.path, record, run)
        elif runtime.leads and folder.has_weights():
            raise OutputError(f"{folder.path} has weights, but no checkpoint to resume from; choose a new folder")
        if checkpoint is None:
            require_start(run)
        self._resumes = checkpoint is not None
        self._earlier: State = record if record is not None and self._resumes else {}
        self.run_id: str = self._earlier.get("run_id", uuid.uuid4().hex)
        # The origin of a run stays the same, whether or not the initial weights are named again when it resumes.
        inherited = {key: self._earlier[key] for key in _INHERITED if key in self._earlier}
        self._metadata = {**run.metadata(), **inherited}
        self.learner = Learner(run.config, runtime, initial_weights(run), run.init_discriminator)
        self.loader = PairLoader(run.data.samples, run.config, runtime, run.workers)
        self._meter = LossMeter(run.config.loss.pixel, starts_trained=run.init is not None)
        if checkpoint is not None:
            self._restore(*checkpoint)
        self._best = BestWeights(folder, self._config.checkpoint.best)
        if runtime.leads:
            self.notes += self._best.restore() if self._resumes else self._best.forget()
        self._saved = self.done
        self._parts = (self.learner, self.loader.pool, self._meter)
        self.is_saving = False
        self._is_whole = True  # not in the middle of a step
        self.notes += describe_networks(self.learner.generator, self.learner.frozen)
        self.notes += warnings(run, self._earlier.get("config", {}))
        self.notes.append(describe_beginning(run, self.done))

    def try_out(self) -> None:
        """Compute a sample or two forward and backward before the first iteration; all processes call this together.

        ConfigError if the settings cannot work. Compiled networks are left to the first iteration, because they would
        be compiled for a single sample; except with `deterministic`, which not every operation can be.
        """
        if self._config.compile and not self._config.deterministic:
            return
        try:
            self._runtime.together(lambda: self.learner.try_out(self.loader.first(self.learner.trial_samples)))
        except Exception as error:
            if isinstance(error, HggtError | OSError) or ran_out_of_memory(error):
                raise
            if operation := operation_without_deterministic_version(error):
                raise ConfigError(
                    f"deterministic is true, but {operation} has no deterministic version on {self._runtime.device}; "
                    "set deterministic=false, or leave out what needs it"
                ) from error
            raise ConfigError(
                f"these settings cannot work: a sample of crop_px {self._config.crop_px} fails with {first_line(error)}"
            ) from error

    def step(self) -> None:
        """One iteration, which all processes do, or which changes nothing if it fails in any of them."""
        seed = f"{self._config.seed}/{self.done}/{self._runtime.rank}"
        torch.manual_seed(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]))  # for stochastic depth

        def work() -> None:
            blanks = []

            def next_pairs() -> TrainingPairs:
                pairs = self.loader.next()
                blanks.append(blank_loss(pairs.target))
                return pairs

            losses = self.learner.step(next_pairs, learning_rate(self._config, self.done))
            self._meter.add(losses, torch.stack(blanks).mean())

        with self.saved_if_it_fails():
            for part in self._parts:
                part.keep()
            self._kept_done = self.done
            self._is_whole = False
            try:
                self._runtime.together(work)
            except BaseException as error:
                traceback.clear_frames(error.__traceback__)  # which hold the memory of the failed step
                self._undo()
                raise
            self.done += 1
            self._is_whole = True

    def _undo(self) -> None:
        for part in self._parts:
            part.undo()
        self.done = self._kept_done
        self._is_whole = True

    def take_loss_means(self) -> dict[str, float]:
        """Means of the losses since the last call, over all processes, which call this together."""
        with self._naming_last_checkpoint():
            means = self._meter.means(self._runtime)
        self._meter.restart()
        return means

    def save(self) -> None:
        """Write a checkpoint, and then the weights, so that no weights are ever left by a run that cannot resume."""
        with self._naming_last_checkpoint():
            self._require_sound(self._runtime)
        with self._saving():
            self.learner.result.refresh()
            self._folder.write_checkpoint(
                self.done, self.learner.state_dict(), self._share(), self._runtime, self._config.checkpoint.keep
            )
            self._saved = self.done
            if self._runtime.leads:
                self._write_weights()

    @contextmanager
    def saved_if_it_fails(self) -> Iterator[None]:
        """If the block fails, which it must do in all processes together, save what was learned before."""
        try:
            yield
        except Exception as error:
            traceback.clear_frames(error.__traceback__)
            if self._is_unsaved and not lost_another_process(error):
                with suppress(Exception):  # `rescued` tries again
                    if not self._runtime.any(not self._runtime.device_works()):
                        self.save()
                        self._note_saved()
            raise

    @contextmanager
    def rescued(self) -> Iterator[None]:
        """If the block fails in whatever way, save what was learned before and is not saved yet.

        This waits for no other process: one may be lost, or its device. The first that is done leaves its checkpoint,
        which has the pool of this process only.
        """
        try:
            yield
        except DivergedError:
            raise
        except Exception as error:
            traceback.clear_frames(error.__traceback__)
            if self._is_unsaved:
                try:
                    self._save_alone()
                except Exception as fault:
                    reason = first_line(fault)
                    self.note(f"failed after {plural(self.done, 'iteration')}, and they could not be saved: {reason}")
                else:
                    self._note_saved()
            raise

    def rescue(self) -> str:
        """Undo an incomplete step and save, in another thread than the main one, which must have stopped for good."""
        try:
            if not self._is_whole:
                self._undo()
            if self._is_unsaved:
                self._save_alone()
        except Exception as fault:
            return f"the last checkpoint remains, because later ones cannot be saved: {first_line(fault)}"
        return f"{plural(self.done, 'iteration')} are saved in {self._folder.path}"

    @property
    def _is_unsaved(self) -> bool:
        return self._is_whole and self.done > self._saved

    def _note_saved(self) -> None:
        self.note(f"failed after {plural(self.done, 'iteration')}; everything is saved in {self._folder.path}")

    def _save_alone(self) -> None:
        if not self._runtime.device_works():
            raise WorkerError(f"{self._runtime.device} does not respond")
        self._require_sound(Runtime(device=self._runtime.device))
        with self._saving():
            self.learner.result.refresh()
            self._folder.write_checkpoint_alone(self.done, self.learner.state_dict(), self._share(), self._runtime.rank)
            self._saved = self.done
            self._write_weights()

    @contextmanager
    def _saving(self) -> Iterator[None]:
        self.is_saving = True
        try:
            yield
        finally:
            self.is_saving = False

    def _require_sound(self, runtime: Runtime) -> None:
        """Raise DivergedError if the losses of these processes have diverged, so that no checkpoint is written."""
        self._meter.means(runtime)
        self.learner.require_finite()

    def _share(self) -> dict[str, Any]:
        """What this process has for itself."""
        return {
            "pool": self.loader.pool.state_dict(),
            "meter": self._meter.state_dict(),
            "world": self._runtime.world,
        }

    def record(self) -> None:
        """Write the run's record, and what an earlier process was killed before writing; for the leading process."""
        run, folder = self._run, self._folder
        initial: State | None = None
        if run.init:
            initial = {"path": str(run.init.path), "sha256": run.init.sha256, "adopted": list(run.adopted)}
        judge = run.init_discriminator
        first = {"path": str(judge), "sha256": sha256_of_file(judge)} if judge else None
        like = {"path": str(run.like.path), "sha256": run.like.sha256} if run.like else None
        self._record: State = {
            "schema_version": 1,
            "run_id": self.run_id,
            **self._metadata,
            "config": run.config.to_json(),
            "data": {"source": run.data.source, "revision": run.data.revision, **run.data.identity},
            "initial": self._earlier.get("initial", initial),
            "initial_discriminator": self._earlier.get("initial_discriminator", first),
            "like": self._earlier.get("like", like),
            "best": asdict(self._best.best) if self._best.best else None,
            "starts": [*self._earlier.get("starts", []), describe_start(run, self._runtime, self.done)],
        }
        folder.write_record(self._record)
        if not self._resumes:
            folder.write_names(run.data.names)
        elif not folder.has_weights(self.done):
            self._write_weights()

    def record_validation(self, validated: Validated) -> None:
        """Keep the weights if no validation was better, and record that and the tile; for the leading process."""
        if not self._runtime.leads:
            return
        last_start = self._record["starts"][-1]
        is_new = validated.tile != last_start.get("validation_tile")
        last_start["validation_tile"] = validated.tile
        with self._saving():
            if self._best.update(self.done, validated, self.learner.result, self._weights_metadata()):
                best = self._best.best
                assert best is not None
                self._record["best"], is_new = asdict(best), True
                self.note(f"best so far: {best.measure} {best.value:.4f}, saved in {self._best.path}")
            if is_new:
                self._folder.write_record(self._record)

    def _restore(self, done: int, state: State, shares: list[dict[str, Any]]) -> None:
        runtime = self._runtime
        self.done = done
        self.learner.load_state_dict(state, f"the checkpoint of {done:,} iterations in {self._folder.path}")
        before = shares[0].get("world", len(shares))
        if before == len(shares) == runtime.world:
            self.loader.pool.load_state_dict(shares[runtime.rank]["pool"], runtime.device)
            self._meter.load_state_dict(shares[runtime.rank]["meter"], runtime.device)
            return
        pool = redistribute_pools([share["pool"] for share in shares], runtime)
        self.loader.pool.load_state_dict(pool, runtime.device)
        lost = before - len(shares)
        self.notes.append(
            f"warning: the run was on {before} devices and resumes on {runtime.world}"
            + (f", without the pools of {lost} that failed. The rest" if lost else ". The pool")
            + " is redistributed, so this is the same experiment but not the same numbers"
        )

    def _write_weights(self) -> None:
        self._folder.write_weights(self.done, self.learner.result, self._weights_metadata())

    def _weights_metadata(self) -> dict[str, str]:
        return {**self._metadata, "iteration": str(self.done)}

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
