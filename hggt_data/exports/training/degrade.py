"""Makes LR images in a child process, `python -m hggt_models degrade`: this package never imports PyTorch."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

from hggt_data.errors import WorkerError

Degradation = Literal["sr", "enhance-01", "enhance-02", "enhance-03", "enhance-04", "realesrgan", "bsrgan"]
# Side of a picture divided by side of its LR.
SCALES: dict[Degradation, int] = {
    "sr": 4,
    "enhance-01": 1,
    "enhance-02": 1,
    "enhance-03": 1,
    "enhance-04": 1,
    "realesrgan": 4,
    "bsrgan": 4,
}


def require_degrade(why: str) -> None:
    """Check that the child process could start; `why` begins the message: what needs it."""
    code = "import hggt_models.inference.folders"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if child.returncode:
        reason = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise WorkerError(
            f"{why} needs the extra `models` ({reason}); pip install 'hggt[models]', or pass `on_the_fly`"
        )


def degrade_folder(pictures: Path, output: Path, degradation: Degradation, seed: int) -> None:
    """Write the LR of each picture of a folder under the same name; an interrupted run is resumed."""
    command = [sys.executable, "-m", "hggt_models", "degrade", "--input", str(pictures), "--output", str(output)]
    child = subprocess.run(
        [*command, "--degradation", degradation, "--seed", str(seed)], stdout=subprocess.DEVNULL, check=False
    )
    if child.returncode:
        raise WorkerError(
            f"`hggt-models degrade` ended with the exit code {child.returncode}; see its message above. After mending "
            "the cause, run this again: it resumes"
        )
