"""Runs several of hggt's commands in one process, because importing PyTorch takes longer than most of them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

MODULES = {"hggt-data": "hggt_data.cli.main", "hggt-eval": "hggt_eval.cli", "hggt-models": "hggt_models.cli"}


def run_commands(commands: Sequence[Sequence[str]], folder: Path, environment: Mapping[str, str]) -> str:
    """The output of commands that run one after the other in a folder."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.run_commands", json.dumps([list(map(str, command)) for command in commands])],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, f"{commands}\n{run.stdout}\n{run.stderr}"
    return run.stdout


if __name__ == "__main__":
    for program, *arguments in json.loads(sys.argv[1]):
        import_module(MODULES[program]).main(arguments, prog_name=program, standalone_mode=False)
