"""What a run tells while it goes: a line on the screen, the log file, TensorBoard, and Weights & Biases if wanted."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from hggt_data.errors import HggtError
from hggt_data.io.images import Pixels, write_png
from hggt_models.config.train import LogConfig
from hggt_models.training.run_folder import RunFolder
from hggt_models.training.validation import Restored

# A number of ours, as the one of Weights & Biases may never go back, which a run does that was killed.
_ITERATION = "iteration"


class LogError(HggtError, ImportError):
    """A log is wanted whose package is not installed."""


class RunLog:
    """Tells what a run does; only the leading process has one.

    Args:
        folder: of the run.
        config: where to tell it.
        settings: of the run, for Weights & Biases.
        start: iterations that were done before; what was told of later ones is forgotten.
        end: iterations that the run will have.
        run_id: by which Weights & Biases knows the run, whatever its folder is called.

    Raises:
        LogError: a package is missing.
    """

    def __init__(
        self, folder: RunFolder, config: LogConfig, settings: Mapping[str, Any], start: int, end: int, run_id: str
    ) -> None:
        from tqdm import tqdm

        self._folder = folder
        folder.cut_log(start)
        self._board = _open_tensorboard(folder, start) if config.tensorboard else None
        self._wandb = _open_wandb(folder, config.wandb, settings, run_id) if config.wandb else None
        self._bar = tqdm(
            total=end, initial=start, unit="it", disable=not sys.stderr.isatty(), dynamic_ncols=True, smoothing=0.05
        )

    def tell(self, text: str) -> None:
        """A line for the user, beside the progress bar."""
        self._bar.write(text, file=sys.stderr)

    def advance(self) -> None:
        """One iteration is done."""
        self._bar.update()

    def scalars(self, iteration: int, kind: str, values: Mapping[str, float], about: Mapping[str, Any]) -> None:
        """Keep numbers.

        Args:
            iteration: how many are done.
            kind: `train` or `validation`.
            values: what is a part of the run itself, and the same whenever it is repeated.
            about: speed, memory and the like.
        """
        self._folder.append_log({"iteration": iteration, "kind": kind, **values, "about": dict(about)})
        everything = {f"{kind}/{name}": value for name, value in {**values, **about}.items()}
        if self._board:
            for name, value in everything.items():
                self._board.add_scalar(name, value, iteration)
        if self._wandb:
            self._wandb.log({**everything, _ITERATION: iteration})

    def picture(self, iteration: int, restored: Restored) -> None:
        """Keep a validated picture: LR, output and reference side by side."""
        scale = restored.reference.shape[0] // restored.lr.shape[0]
        enlarged = restored.lr.repeat(scale, 0).repeat(scale, 1)
        row: Pixels = np.concatenate([enlarged, restored.sr, restored.reference], axis=1)
        path = self._folder.picture_path(restored.name, iteration)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, row)
        if self._board:
            self._board.add_image(f"validation/{restored.name}", row, iteration, dataformats="HWC")
        if self._wandb:
            import wandb

            self._wandb.log({f"validation/{restored.name}": wandb.Image(row), _ITERATION: iteration})

    def close(self) -> None:
        """Write what is still to be written."""
        self._bar.close()
        if self._board:
            self._board.close()
        if self._wandb:
            self._wandb.finish()


def _open_tensorboard(folder: RunFolder, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LogError(
            "TensorBoard is not installed: pip install tensorboard, or --set log.tensorboard=false"
        ) from error
    return SummaryWriter(str(folder.path / "tensorboard"), purge_step=start + 1)


def _open_wandb(folder: RunFolder, project: str, settings: Mapping[str, Any], run_id: str) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise LogError("Weights & Biases is not installed: pip install wandb, or leave out log.wandb") from error
    name = folder.path.resolve().name
    opened = wandb.init(
        project=project, dir=str(folder.path), id=run_id, name=name, resume="allow", config=dict(settings)
    )
    opened.define_metric("*", step_metric=_ITERATION)
    return opened
