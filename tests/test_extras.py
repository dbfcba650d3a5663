"""A command that needs an extra says which one, and the extras contain what the packages import."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from hggt_data.cli.group import EXTRAS

ROOT = Path(__file__).parents[1]
DATA = Path(__file__).parent / "data" / "fixtures"
# Imported where they are used; if missing, a message of their own says so.
ASKED_FOR = {"spandrel", "pyiqa", "wandb", "torch_fidelity"}


def canonical(name: str) -> str:
    """The name as the packaging standard compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[^A-Za-z0-9_.-]", requirement)[0]) for requirement in requirements}


OWNERS = {module: set(map(canonical, owners)) for module, owners in packages_distributions().items()}


def project() -> tuple[set[str], dict[str, set[str]]]:
    """The required distributions, and those of each extra."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: distributions(own) for name, own in content["optional-dependencies"].items()}
    return distributions(content["dependencies"]), extras


def imports(package: str) -> set[str]:
    """The top-level names that a package imports, without the standard library and hggt."""
    found = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    names = {name.partition(".")[0] for name in found}
    return {name for name in names if name not in sys.stdlib_module_names and not name.startswith("hggt_")}


@pytest.mark.parametrize("package", EXTRAS)
def test_imports_are_required_or_named_by_an_extra(package: str) -> None:
    base, _ = project()
    named = set().union(*EXTRAS[package].values())
    of_base = {module for module, owners in OWNERS.items() if owners & base}
    assert imports(package) - of_base - ASKED_FOR <= named


def test_an_extra_installs_the_modules_that_it_names() -> None:
    _, extras = project()
    named = {(extra, module) for of_package in EXTRAS.values() for extra, own in of_package.items() for module in own}
    assert [(extra, module) for extra, module in sorted(named) if not OWNERS[module] & extras[extra]] == []


BLOCKED = """
import sys
blocked = sys.argv[1].split(",")
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())
from importlib import import_module
program = sys.argv[2]
import_module(f"{program.replace('-', '_')}.cli").main(sys.argv[3:], prog_name=program)
"""


def run_without(blocked: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command without these modules."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, blocked, *map(str, arguments)], capture_output=True, text=True, check=False
    )


SCORE = ("hggt-eval", "--restored", DATA / "restored/bicubic", "--dataset", DATA / "Test", "--metrics")


@pytest.mark.parametrize(
    ("blocked", "arguments", "message"),
    [
        ("torch", ("hggt-models", "recipes"), "torch is not installed, but is needed here; pip install 'hggt[models]'"),
        ("cv2", (*SCORE, "ssim"), "cv2 is not installed, but is needed here; pip install 'hggt[eval]'"),
        ("torch", (*SCORE, "lpips"), "torch is not installed, but is needed here; pip install 'hggt[eval]'"),
    ],
)
def test_a_missing_package_is_one_line(blocked: str, arguments: tuple[str | Path, ...], message: str) -> None:
    done = run_without(blocked, *arguments)
    assert (done.returncode, done.stderr) == (1, f"Error: {message}\n")


def test_other_missing_modules_keep_their_traceback() -> None:
    assert "Traceback" in run_without("tqdm", *SCORE, "psnr").stderr


def test_training_needs_nothing_but_its_own_extra(tmp_path: Path) -> None:
    small = "generator.num_block=1 generator.num_feat=8 generator.num_grow_ch=4 discriminator.num_feat=8"
    quick = (
        "perceptual.weights=random source_px=128 crop_px=64 batch_size=2 pool_size=4 iterations=1 validation.every=1"
    )
    settings = [part for one in (small + " " + quick).split() for part in ("--set", one)]
    others = "lpips,matplotlib,piq,scipy,torchmetrics,starlette,uvicorn,spandrel,pyiqa"
    data = ("--data", DATA / "Train", "--output", tmp_path / "run", "--workers", "0", "--device", "cpu")
    done = run_without(others, "hggt-models", "train", "rrdb-gan-positive", *data, *settings)
    assert done.returncode == 0, done.stderr
    assert "validation after 1  psnr" in done.stdout + done.stderr
