"""Validate, build, load and score a small tree of real pictures.

python scripts/demo.py FOLDER [--weights-dir DIR]

Everything is written to FOLDER; the result of an earlier demo is replaced. `make demo` runs this script.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

_MARK = ".hggt-demo"  # only a folder with this file is replaced
_LOAD = """from datasets import load_dataset
groups = load_dataset("hggt")
print(groups)
first = groups["test"][0]
names = groups["test"].features["consensus"].feature
print(first["id"], "has the consensus", [names.int2str(label) for label in first["consensus"]])"""


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights-dir", type=Path, help="folder of pretrained backbones for LPIPS and DISTS")
    arguments = parser.parse_args()
    started = time.monotonic()
    folder: Path = arguments.folder
    if folder.exists() and not (folder / _MARK).is_file():
        parser.error(f"{folder} exists and is not an earlier demo; choose another folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    weights = ["--weights-dir", str(arguments.weights_dir.resolve())] if arguments.weights_dir else []

    run(folder, "hggt-data", "demo", ".")
    run(folder, "hggt-data", "validate", "Train")
    run(folder, "hggt-data", "validate", "Test")
    run(
        folder,
        *("hggt-build-dataset", "--tree", "Train", "--test-tree", "Test", "--output", "hggt"),
        *("--sources", "sources.csv", "--license", "cc0-1.0"),
    )
    print(f"\n$ python -c '{_LOAD}'", flush=True)
    subprocess.run([sys.executable, "-c", _LOAD], cwd=folder, env=environment(), check=True)
    run(
        folder,
        *("hggt-eval", "--dataset", "hggt", "--restored", "restored/bicubic", "--restored", "restored/sharper"),
        *("--output", "scores", *weights),
    )
    print(f"\nDone in {time.monotonic() - started:.0f} s. Everything is in {folder}/:")
    for name, text in {
        "Train, Test": "the official folder tree",
        "hggt": "the dataset, with its card and manifest",
        "restored": "restored images of two methods",
        "scores": "report.html, tables for papers, scores.json, the official text files",
    }.items():
        print(f"  {name:12} {text}")


def run(folder: Path, command: str, *arguments: str) -> None:
    """Print and run a command in the folder; a failure ends the demo."""
    print(f"\n$ {command} {' '.join(arguments)}", flush=True)
    program = Path(sys.executable).parent / command
    outcome = subprocess.run([program, *arguments], cwd=folder, env=environment(), check=False)
    if outcome.returncode:
        sys.exit(outcome.returncode)


def environment() -> dict[str, str]:
    """Variables that keep the demo offline and out of the user's cache of datasets."""
    return {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": ".cache/datasets",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }


if __name__ == "__main__":
    main()
