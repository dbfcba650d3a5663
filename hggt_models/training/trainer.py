"""One loop for every training run: steps, and from time to time a log line, a validation, a checkpoint.

Everything random in an iteration follows from the seed, the iteration and the process's rank. So weights, optimizers
and the pair pool are all that a checkpoint must hold, and a run that was killed resumes as if nothing had happened: on
a CPU to the same bits.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hggt_data.errors import HggtError
from hggt_data.io.text import plural
from hggt_data.ranges import require_kind
from hggt_models.memory import DeviceMemoryError, ran_out_of_memory
from hggt_models.networks.weights import first_line
from hggt_models.runtime import Runtime, StopSignals
from hggt_models.training.prepare import TrainingRun, require_equal_shares
from hggt_models.training.progress import Progress
from hggt_models.training.run_folder import RunFolder
from hggt_models.training.run_log import RunLog
from hggt_models.training.run_state import RunState
from hggt_models.training.switches import switches_without_effect, torch_switches
from hggt_models.training.validation import Validation, open_validation
from hggt_models.training.watchdog import Watchdog


def train_run(run: TrainingRun, runtime: Runtime) -> StopSignals:
    """Train to the end or until a signal asks to stop, from the start or from the last checkpoint in the folder.

    Args:
        run: What to train.
        runtime: This process; all processes of the run call this together.

    Returns:
        The signals; `received` is None if the run came to its end.

    Raises:
        SettingsError: The arguments are not a run and a runtime.
        ConfigError: The processes cannot share batch or pool equally.
        OutputError: The folder holds another run, or is in use.
        CheckpointError: The initial weights are those of another network.
        DivergedError: A loss became NaN or infinite, or grew too large; the last good checkpoint is kept.
        WeightsError: Weights for the perceptual loss or a metric are not available.
        ImageError: An image cannot be read; everything learned so far is saved.
        OSError: A file cannot be read, and everything learned so far is saved; or the disk is full, and the last
            checkpoint is kept.
        WorkerError: A worker process was killed, or another process of the run failed.
        DeviceMemoryError: Memory ran out; everything learned so far is saved.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from hggt_models import TrainingRun, load_config, open_runtime, train_run
        >>> from hggt_models.data.training_data import open_training_data
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "HR").mkdir()
        >>> Image.new("RGB", (32, 32)).save(folder / "HR" / "a.png")
        >>> tiny = ["generator.num_block=1", "generator.num_feat=8", "generator.num_grow_ch=4", "source_px=32",
        ...         "crop_px=32", "batch_size=1", "pool_size=0", "iterations=2", "log.tensorboard=false"]
        >>> config = load_config("rrdb-psnr", tiny)
        >>> data = open_training_data(folder / "HR", config)
        >>> run = TrainingRun(recipe="tiny", config=config, data=data, output=folder / "run")
        >>> with open_runtime("cpu") as runtime:
        ...     train_run(run, runtime).exit_code
        0
    """
    require_kind(TrainingRun, "such as TrainingRun(config=load_config(NAME), ...)", run=run)
    require_kind(Runtime, "that of `open_runtime`", runtime=runtime)
    config = run.config
    require_equal_shares(config, runtime.world)
    folder = RunFolder(run.output)
    with (
        folder.locked(runtime),
        StopSignals() as signals,
        _memory_errors(runtime),
        torch_switches(config),
        Watchdog(runtime) as watchdog,
        ExitStack() as stack,
    ):
        watchdog.watch_others()
        state = RunState(run, runtime, folder)
        stack.callback(state.loader.stop)
        validation = open_validation(run.data.held_out, config, runtime)
        log: RunLog | None = None
        if runtime.leads:
            state.record()
            log = RunLog(folder, config.log, config.to_json(), state.done, config.iterations, state.run_id)
            stack.callback(log.close)
        progress = Progress(log, config, state, runtime.device)
        state.note = progress.note
        for note in (*switches_without_effect(config, runtime.device), *state.notes):
            progress.note(note)
        if not state.done:
            state.try_out()
            if validation:
                validation.check()
        if validation:
            validation.tiler.on_smaller_tile = progress.note_smaller_tile
        watchdog.rescue, watchdog.is_saving = state.rescue, lambda: state.is_saving
        with state.rescued():
            _loop(run, runtime, state, validation, progress, signals)
        stopped = f"stopped by {signals.received.name}" if signals.received else "finished"
        progress.note(f"{stopped} after {plural(state.done, 'iteration')}; everything is saved in {run.output}")
    return signals


@contextmanager
def _memory_errors(runtime: Runtime) -> Iterator[None]:
    """Say what to do if memory runs out, wherever that is."""
    try:
        yield
    except Exception as error:
        if isinstance(error, HggtError) or not ran_out_of_memory(error):
            raise
        raise DeviceMemoryError(
            f"the memory of {runtime.device} ran out ({first_line(error)}); set a larger accumulate or precision=bf16, "
            "with which a run can resume, or a smaller batch_size or crop_px in a new folder"
        ) from error


def _loop(
    run: TrainingRun,
    runtime: Runtime,
    state: RunState,
    validation: Validation | None,
    progress: Progress,
    signals: StopSignals,
) -> None:
    config = run.config
    stopping = state.done >= config.iterations
    if not stopping:
        state.loader.start(state.done)
    progress.restart_clock()
    while not stopping:
        with state.saved_if_it_fails():
            state.loader.fetch()
        state.step()
        progress.advance()
        at_end = state.done == config.iterations
        stopping = at_end or runtime.any(signals.received is not None)
        if at_end or state.done % config.log.every == 0:
            progress.log_losses(state.take_loss_means())
        if validation and (at_end or state.done % config.validation.every == 0):
            with state.saved_if_it_fails():
                validated = validation.run(state.learner.result)
            progress.log_validation(validated)
            state.record_validation(validated)
            progress.restart_clock()
        if stopping or state.done % config.checkpoint.every == 0:
            state.save()
            progress.restart_clock()
