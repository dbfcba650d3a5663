"""The commands `enhance`, `upscale` and `degrade`: output, errors and exit codes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from hggt_data.io.images import read_pixels, write_png
from hggt_models.cli import main
from hggt_models.degradation.settings import PUBLISHED
from hggt_models.networks import build_network
from hggt_models.networks.checkpoint import save_network

REAL_WEIGHTS = os.environ.get("HGGT_TEST_WEIGHTS")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def rrdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generator, x4."""
    path = tmp_path_factory.mktemp("weights") / "rrdb.safetensors"
    torch.manual_seed(0)
    save_network(build_network("rrdb", num_block=1, num_feat=8, num_grow_ch=4), path)
    return path


@pytest.fixture(scope="session")
def rcan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small enhancer."""
    path = tmp_path_factory.mktemp("weights") / "rcan.safetensors"
    torch.manual_seed(0)
    small: dict[str, Any] = {"num_feat": 8, "num_group": 1, "num_block": 1, "squeeze_factor": 2}
    save_network(build_network("rcan_no_upsample", **small), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small pictures."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_png(tmp_path / "in" / f"{name}.png", rng.integers(0, 256, (20, 24, 3), np.uint8))
    return tmp_path / "in"


def test_degrade_upscale_and_enhance_process_a_folder(rrdb: Path, rcan: Path, folder: Path, tmp_path: Path) -> None:
    lr, out, gt = tmp_path / "lr", tmp_path / "out", tmp_path / "gt"
    assert run("degrade", "--input", folder, "--output", lr, "--seed", 0, "--workers", 1).output == "2 pictures made\n"
    assert read_pixels(lr / "a.png").shape == (5, 6, 3)
    result = run("upscale", "--weights", rrdb, "--input", lr, "--output", out, "--suffix", "x4", "--device", "cpu")
    assert (result.exit_code, result.stdout) == (0, "2 pictures made\n")
    assert result.stderr == "Skipped 1 non-picture file: degrade.json\n"
    assert read_pixels(out / "a_x4.png").shape == (20, 24, 3)
    again = run("upscale", "--weights", rrdb, "--input", lr, "--output", out, "--suffix", "x4", "--device", "cpu")
    assert again.stdout == "0 pictures made, 2 already up to date\n"
    enhanced = run("enhance", "--weights", f"01={rcan}", "--input", folder, "--output", gt)
    assert (enhanced.exit_code, enhanced.stderr) == (0, "")
    assert sorted(path.name for path in gt.rglob("*.png")) == ["a.png", "a_01.png", "b.png", "b_01.png"]


def test_a_damaged_picture_is_reported_and_the_exit_code_is_1(rrdb: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes()[:500])
    result = run("upscale", "--weights", rrdb, "--input", folder, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "2 pictures made\n1 picture could not be processed:\n" in result.stdout
    assert "c.png: cut off" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upscale", "--weights", "RRDB", "--output", "OUT"], "expected exactly one of --input and --data"),
        (
            ["upscale", "--weights", "RRDB", "--input", "IN", "--data", "IN", "--output", "OUT"],
            "expected exactly one of --input and --data",
        ),
        (
            ["upscale", "--weights", "RRDB", "--input", "IN", "--split", "test", "--output", "OUT"],
            "--split and --revision belong to --data",
        ),
        (["upscale", "--weights", "RRDB", "--input", "IN", "--suffix", "../x", "--output", "OUT"], "--suffix '../x'"),
        *(
            (
                ["upscale", "--weights", "RRDB", "--input", "IN", "--tile", tile, "--output", "OUT"],
                f"'--tile': '{tile}': expected a number of pixels, or auto",
            )
            for tile in ("big", "0", "²")
        ),
        (["upscale", "--weights", "RRDB", "--input", "IN", "--output", "IN"], "--output IN is inside --input IN"),
        (["upscale", "--weights", "nowhere.pth", "--input", "IN", "--output", "OUT"], "nowhere.pth"),
        (["upscale", "--weights", "RRDB", "--input", "IN", "--output", "OUT", "--device", "cuda:99"], "cannot be used"),
        (["enhance", "--weights", "RRDB", "--input", "IN", "--output", "OUT"], "expected CANDIDATE=FILE"),
        (["enhance", "--weights", "1=RRDB", "--input", "IN", "--output", "OUT"], "expected CANDIDATE=FILE"),
        (
            ["enhance", "--weights", "01=nowhere", "--input", "IN", "--output", "OUT"],
            "'nowhere' is neither a file or folder",
        ),
        (
            ["upscale", "--weights", "https://example.org/models/x4.pth", "--input", "IN", "--output", "OUT"],
            "https://example.org/models/x4.pth is an address; download the file",
        ),
        (
            ["enhance", "--weights", "01=RRDB", "--weights", "01=RRDB", "--input", "IN", "--output", "OUT"],
            "01 is given twice",
        ),
        (["degrade", "--input", "IN", "--output", "OUT"], "--seed"),
        (["fetch-weights", "--metrics", "snr"], "'--metrics': metric 'snr' is not known; did you mean 'psnr'?"),
        (["recipes", "rrdb-psnr", "--set", "seed"], "--set: 'seed' is not an assignment; expected KEY=VALUE"),
        (["train", "rrdb-psnr", "--data", "IN", "--output", "OUT", "--set", "seed=x"], "--set: seed is 'x'; expected"),
    ],
)
def test_wrong_usage_exits_2(rrdb: Path, folder: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    places = {"RRDB": str(rrdb), "IN": str(folder), "OUT": str(tmp_path / "out")}
    for short, place in places.items():
        arguments = [argument.replace(short, place) for argument in arguments]
        message = message.replace(short, place)
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["enhance", "--weights", "01=RRDB"], "enlarges 4 times; an enhancer must keep the size"),
        (["upscale", "--weights", "TEXT"], "text.pth"),
    ],
)
def test_an_error_is_one_line(rrdb: Path, folder: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    text = tmp_path / "text.pth"
    text.write_text("no weights")
    arguments = [argument.replace("RRDB", str(rrdb)).replace("TEXT", str(text)) for argument in arguments]
    result = run(*arguments, "--input", folder, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_output_that_cannot_be_created_is_one_line(rrdb: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("upscale", "--weights", rrdb, "--input", folder, "--output", tmp_path / "file" / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")


def test_torchrun_distributes_the_files(rrdb: Path, folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "hggt_models"]
    options = ["upscale", "--weights", str(rrdb), "--input", str(folder), "--output", str(tmp_path / "out")]
    done = subprocess.run([*command, *options, "--device", "cpu"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1 picture made\n") == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "upscale.json"]


def test_faults_of_one_process_do_not_stop_the_others(rrdb: Path, tmp_path: Path) -> None:
    """torchrun stops all processes when one fails; here the first process has only damaged pictures."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}a.png").write_bytes(b"damaged")
        write_png(folder / f"{number:02}b.png", np.full((64, 64, 3), 90, np.uint8))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "hggt_models"]
    options = ["upscale", "--weights", str(rrdb), "--input", str(folder), "--output", str(tmp_path / "out")]
    done = subprocess.run([*command, *options, "--device", "cpu"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "12 pictures made\n" in done.stdout
    assert len(list((tmp_path / "out").glob("*.png"))) == 12


@pytest.mark.skipif(not REAL_WEIGHTS, reason="set HGGT_TEST_WEIGHTS to a folder with RealESRGAN_x4plus.pth")
def test_the_official_generator_gives_the_official_results(fixtures: Path, tmp_path: Path) -> None:
    """`restored/realesrgan` was made by the official network with the same weights."""
    assert REAL_WEIGHTS
    weights = Path(REAL_WEIGHTS) / "RealESRGAN_x4plus.pth"
    result = run("upscale", "--weights", weights, "--data", fixtures / "Test", "--output", tmp_path, "--device", "cpu")
    assert result.stdout == "6 pictures made\n"
    assert len(list(tmp_path.glob("*.png"))) == 6
    for path in tmp_path.glob("*.png"):
        [expected] = (fixtures / "restored" / "realesrgan").rglob(f"{path.stem}*.png")
        difference = np.abs(read_pixels(path).astype(int) - read_pixels(expected))
        assert difference.max() <= 1, path.name


def test_every_published_degradation_can_be_chosen() -> None:
    command = main.commands["degrade"]
    (found,) = [param for param in command.get_params(click.Context(command)) if param.name == "degradation"]
    assert isinstance(found.type, click.Choice)
    assert list(found.type.choices) == list(PUBLISHED)
