"""Where a run reports: on the screen, in the log file, to TensorBoard, and to Weights & Biases if wanted."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from hggt_data.errors import HggtError
from hggt_data.io.images import Pixels, write_png
from hggt_data.io.text import printable_lines
from hggt_models.config.sections import LogConfig
from hggt_models.training.run_folder import RunFolder
from hggt_models.training.validation import Restored

# An axis of our own: the step of Weights & Biases may never decrease, but that of a run that was killed does.
_ITERATION = "iteration"
_CROP_PX = 256


class LogError(HggtError, ImportError):
    """The package of a requested log is not installed."""


class RunLog:
    """All logs of a run, in the leading process.

    Args:
        folder: Folder of the run.
        config: Which logs to write.
        settings: All settings, for Weights & Biases.
        start: Iterations done before; what the log says of later ones is deleted.
        end: Iterations that the run will have.
        run_id: By which Weights & Biases recognises the run, even in a renamed folder.
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

    def note(self, text: str) -> None:
        """Print a line above the progress bar."""
        self._bar.write(printable_lines(text), file=sys.stderr)

    def advance(self) -> None:
        """Count an iteration on the progress bar."""
        self._bar.update()

    def scalars(self, iteration: int, kind: str, values: Mapping[str, float], about: Mapping[str, Any]) -> None:
        """Log numbers of a `kind`, `train` or `validation`.

        `values` are reproducible results of the run; `about` is speed, memory and the like.
        """
        self._folder.append_log({"iteration": iteration, "kind": kind, **values, "about": dict(about)})
        everything = {f"{kind}/{name}": value for name, value in {**values, **about}.items()}
        if self._board:
            for name, value in everything.items():
                self._board.add_scalar(name, value, iteration)
        if self._wandb:
            self._wandb.log({**everything, _ITERATION: iteration})

    def picture(self, iteration: int, restored: Restored) -> None:
        """Save a validated picture: LR, output and reference side by side.

        TensorBoard and Weights & Biases get the crop in the middle, under the same name each time.
        """
        scale = restored.reference.shape[0] // restored.lr.shape[0]
        enlarged = restored.lr.repeat(scale, 0).repeat(scale, 1)
        row: Pixels = np.concatenate([enlarged, restored.sr, restored.reference], axis=1)
        path = self._folder.picture_path(restored.name, iteration)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, row)
        crop = np.concatenate([_middle(pixels) for pixels in (enlarged, restored.sr, restored.reference)], axis=1)
        if self._board:
            self._board.add_image(f"validation/{restored.name}", crop, iteration, dataformats="HWC")
        if self._wandb:
            import wandb

            self._wandb.log({f"validation/{restored.name}": wandb.Image(crop), _ITERATION: iteration})

    def close(self) -> None:
        """Write what is buffered, and end the progress bar."""
        self._bar.close()
        if self._board:
            self._board.close()
        if self._wandb:
            self._wandb.finish()


def _middle(pixels: Pixels) -> Pixels:
    """The crop in the middle of a picture, at most `_CROP_PX` x `_CROP_PX`."""
    top, left = (max(side - _CROP_PX, 0) // 2 for side in pixels.shape[:2])
    return pixels[top : top + _CROP_PX, left : left + _CROP_PX]


def _open_tensorboard(folder: RunFolder, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise LogError("TensorBoard is not installed: pip install tensorboard, or set log.tensorboard=false") from error
    return SummaryWriter(str(folder.path / "tensorboard"), purge_step=start + 1)


def _open_wandb(folder: RunFolder, project: str, settings: Mapping[str, Any], run_id: str) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise LogError("Weights & Biases is not installed: pip install wandb, or do not set log.wandb") from error
    name = folder.path.resolve().name
    opened = wandb.init(
        project=project, dir=str(folder.path), id=run_id, name=name, resume="allow", config=dict(settings)
    )
    opened.define_metric("*", step_metric=_ITERATION)
    return opened
