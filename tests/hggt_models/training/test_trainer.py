"""Runs that are killed, stopped, damaged or moved, and what they end with."""

import json
import multiprocessing
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels
from hggt_data.io.pictures import read_picture
from hggt_models.config.reader import ConfigError
from hggt_models.config.recipes import load_config
from hggt_models.config.train import make_config
from hggt_models.data import picture_dataset
from hggt_models.data.loader import PairLoader
from hggt_models.data.pool import PairPool
from hggt_models.networks.checkpoint import load_checkpoint, load_network
from hggt_models.networks.discriminator import UnetDiscriminator
from hggt_models.training.learner import Learner
from hggt_models.training.prepare import require_equal_shares
from hggt_models.training.run_folder import RunFolder
from hggt_models.training.run_log import RunLog
from hggt_models.training.validation import Validation
from tests.hggt_data.kills import FORKED, die_at_rename, kill
from tests.hggt_models.training.runs import (
    assert_same,
    assert_within_ten_seconds,
    fail_in_update,
    log_of,
    run_training,
    small,
    state_of,
    train,
)

RECIPE = "rrdb-gan-positive-negative"
# All that a run can have to save: a discriminator, averages, a full pool, parts of a batch, a rate that changes.
RUN = ("iterations=8", "checkpoint.every=2", "validation.every=4", "batch_size=4", "accumulate=2", "milestones=[5]",
       "warmup=2", "optimizer=adamw", "weight_decay=0.1")  # fmt: skip
GROUP_IDS = [path.stem for path in (Path(__file__).parents[2] / "data/fixtures/Train/images/0-6/original").iterdir()]


@pytest.fixture(scope="module")
def whole(groups: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without interruptions."""
    output = tmp_path_factory.mktemp("whole") / "run"
    result = train(RECIPE, groups, output, *RUN)
    assert result.exit_code == 0, result.output
    assert "warning: the negative loss" in result.output  # from random weights it outweighs the others
    return output


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of `whole` that a test may change."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def assert_same_run(run: Path, whole: Path) -> None:
    assert log_of(run) == log_of(whole)
    for path in sorted((whole / "weights").iterdir()):
        assert (run / "weights" / path.name).read_bytes() == path.read_bytes()
    assert_same(state_of(run, 8), state_of(whole, 8))


def test_a_run_leaves_its_record_log_weights_and_checkpoints(whole: Path) -> None:
    record = json.loads((whole / "run.json").read_text())
    assert record["recipe"] == RECIPE
    assert record["config"]["loss"]["negative"] == 300
    [held_out] = record["data"]["held_out"]
    assert record["data"]["num_used"] == sum(not group_id.startswith(held_out) for group_id in GROUP_IDS)
    assert "random weights" in record["note"]
    assert record["starts"][0]["after_iterations"] == 0
    assert torch.__version__.startswith(record["starts"][0]["versions"]["torch"])
    lines = log_of(whole)
    assert [line["iteration"] for line in lines if line["kind"] == "train"] == list(range(1, 9))
    assert [line["iteration"] for line in lines if line["kind"] == "validation"] == [4, 8]
    assert {"pixel", "perceptual", "adversarial", "negative", "discriminator_real", "discriminator_fake"} < lines[
        0
    ].keys()
    assert {"psnr", "ssim"} < lines[4].keys()
    assert sorted(path.stem for path in (whole / "weights").iterdir()) == ["000002", "000004", "000006", "000008"]
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == ["000004", "000006", "000008"]
    assert len(list((whole / "pictures").rglob("*.png"))) == 2
    checkpoint = load_checkpoint(whole)
    assert checkpoint.path.stem == "000008"
    assert checkpoint.metadata["recipe"] == RECIPE
    assert checkpoint.metadata["data_license"] == "hggt-terms"
    assert make_config(json.loads(checkpoint.metadata["config"])) == load_config(RECIPE, small(RECIPE, *RUN))


def test_the_weights_are_the_moving_average(whole: Path) -> None:
    kept = load_network(whole).state_dict()
    state = state_of(whole, 8)["state.pth"]
    assert_same(dict(kept), dict(state["ema"]))
    assert not torch.equal(state["ema"]["conv_first.weight"], state["generator"]["conv_first.weight"])


def test_a_run_killed_around_renames_resumes_to_the_same_bits(groups: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for number in (0, 3, 12, 11, 17):  # even: just before a rename; odd: just after it
        process = FORKED.Process(target=_die, args=(number, groups, run))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert train(RECIPE, groups, run, *RUN).exit_code == 0
    assert_same_run(run, whole)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGUSR1, 75)])
def test_a_stopped_run_saves_and_resumes_to_the_same_bits(
    number: signal.Signals, exit_code: int, groups: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    def stop_when_it_runs() -> None:
        _wait_until(lambda: (run / "log.jsonl").exists() and len((run / "log.jsonl").read_text().splitlines()) >= 3)
        signal.pthread_kill(threading.main_thread().ident or 0, number)

    stopping = threading.Thread(target=stop_when_it_runs)
    stopping.start()
    result = train(RECIPE, groups, run, *RUN)
    stopping.join()
    assert result.exit_code == exit_code, result.output
    assert f"stopped by {number.name} after" in result.output
    saved = max(int(path.name) for path in (run / "checkpoints").iterdir())
    assert 3 <= saved < 8
    result = train(RECIPE, groups, run, *RUN)
    assert result.exit_code == 0
    assert f"resuming after {saved} of 8 iterations" in result.output
    kept = {path.name for path in (whole / "weights").iterdir()}
    for path in (run / "weights").iterdir():
        if path.name not in kept:
            path.unlink()  # the one of the stop
    assert_same_run(run, whole)


def test_a_damaged_checkpoint_is_skipped(groups: Path, run: Path, whole: Path) -> None:
    state = run / "checkpoints" / "000008" / "state.pth"
    data = bytearray(state.read_bytes())
    data[len(data) // 2] ^= 1
    state.write_bytes(data)
    (run / "checkpoints" / "000006" / "share-0.pth").unlink()
    result = train(RECIPE, groups, run, *RUN)
    assert result.exit_code == 0
    assert "000008, which is damaged: state.pth does not match its SHA-256" in result.output
    assert "000006, which is damaged" in result.output
    assert "resuming after 4 of 8 iterations" in result.output
    assert_same_run(run, whole)


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(groups: Path, run: Path) -> None:
    for folder in (run / "checkpoints").iterdir():
        (folder / "sha256.json").write_text("{")
    result = train(RECIPE, groups, run, *RUN)
    assert result.exit_code == 1
    assert "all 3 checkpoints are damaged" in result.output


def test_a_finished_run_can_be_made_longer(groups: Path, run: Path, whole: Path) -> None:
    result = train(RECIPE, groups, run, *RUN, "iterations=9")
    assert result.exit_code == 0
    assert log_of(run)[:-2] == log_of(whole)
    assert len(json.loads((run / "run.json").read_text())["starts"]) == 2


def test_a_run_is_not_resumed_with_other_settings(groups: Path, run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    result = train(RECIPE, groups, run, *RUN, "loss.negative=10", "learning_rate=1e-5")
    assert result.exit_code == 1
    assert "learning_rate is 1e-05, was 0.0001; loss.negative is 10.0, was 300.0" in result.output
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_resumes_with_settings_that_save_memory_and_says_so(groups: Path, run: Path, tmp_path: Path) -> None:
    result = train(RECIPE, groups, run, *RUN, "iterations=9", "accumulate=4", "precision=bf16")
    assert result.exit_code == 0, result.output
    assert (
        "warning: the run changes from accumulate 2 to 4 and precision fp32 to bf16, so this is the same experiment "
        "but not the same numbers"
    ) in result.output
    starts = json.loads((run / "run.json").read_text())["starts"]
    assert [(start["accumulate"], start["precision"]) for start in starts] == [(2, "fp32"), (4, "bf16")]
    assert [line["iteration"] for line in log_of(run)][-1] == 9


def test_a_run_is_not_resumed_with_other_data(groups: Path, run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(groups, tmp_path / "Other"))
    path = next((other / "labels/0-6/A").iterdir())
    path.write_text(path.read_text().replace("Positive", "Negative").replace("Similar", "Negative"))
    result = train(RECIPE, other, run, *RUN)
    assert result.exit_code == 1
    assert "data: labels_sha256 is" in result.output


def test_a_run_resumes_with_a_part_of_its_data(groups: Path, run: Path, whole: Path, tmp_path: Path) -> None:
    fewer = Path(shutil.copytree(groups, tmp_path / "Fewer"))
    names = json.loads((run / "data.json").read_text())
    name = next(name for name, is_used in names.items() if is_used).split()[0]
    for path in fewer.rglob(f"{name}*"):
        path.unlink()
    result = train(RECIPE, fewer, run, *RUN, "iterations=12")
    assert result.exit_code == 0, result.output
    assert "warning: 1 group that the run started with can no longer be found. Others replace them" in result.output
    record = json.loads((run / "run.json").read_text())
    assert record["data"] | {"source": ""} == json.loads((whole / "run.json").read_text())["data"] | {"source": ""}
    assert [start["missing"] for start in record["starts"]] == [0, 1]
    assert json.loads((run / "data.json").read_text()) == names
    result = train(RECIPE, groups, run, *RUN, "iterations=14")  # with all its data
    assert result.exit_code == 0
    assert "warning: 1 group" not in result.output


PICTURES = ("batch_size=2", "accumulate=2", "pool_size=4", "iterations=8", "validation.every=4", "checkpoint.every=100")


@pytest.mark.parametrize(
    ("error", "num_read"), [(ImageError("moon.png: cut off"), 8), (FileNotFoundError(2, "No such file", "moon.png"), 7)]
)
def test_a_run_is_saved_if_a_picture_cannot_be_read(
    error: Exception, num_read: int, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert train("rrdb-psnr", pictures, whole, *PICTURES).exit_code == 0
    remaining = (
        1 + num_read
    )  # one before the first iteration; the second part of a batch may fail after the first was read

    def read_some(path: Path) -> Pixels:
        nonlocal remaining
        remaining -= 1
        if remaining < 0:
            raise error
        return read_picture(path)

    monkeypatch.setattr(picture_dataset, "read_picture", read_some)
    result = train("rrdb-psnr", pictures, run, *PICTURES)
    assert result.exit_code == 1
    assert "moon.png" in result.output
    done = num_read // 2
    assert [path.name for path in (run / "checkpoints").iterdir()] == [f"{done:06d}"]
    monkeypatch.setattr(picture_dataset, "read_picture", read_picture)
    result = train("rrdb-psnr", pictures, run, *PICTURES)
    assert result.exit_code == 0
    assert f"resuming after {done} of 8 iterations" in result.output
    (run / "weights" / f"{done:06d}.safetensors").unlink()
    assert_same_run(run, whole)


def test_a_smaller_tile_of_validation_is_printed_logged_and_recorded(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Validation.run
    monkeypatch.setattr(Validation, "run", lambda self, network: replace(run(self, network), tile=64))
    result = train("rrdb-psnr", pictures, tmp_path / "run", "iterations=1")
    assert "in tiles of 64" in result.output
    line = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert (line["kind"], line["about"]["tile"]) == ("validation", 64)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["starts"][-1]["validation_tile"] == 64


def test_a_run_is_saved_if_a_picture_cannot_be_validated(pictures: Path, tmp_path: Path) -> None:
    folder, run = Path(shutil.copytree(pictures, tmp_path / "HR")), tmp_path / "run"
    settings = (*PICTURES, "validation.every=3")
    assert train("rrdb-psnr", folder, run, *settings, "iterations=1").exit_code == 0
    [held_out] = json.loads((run / "run.json").read_text())["data"]["held_out"]
    path = folder / f"{held_out}.png"
    path.write_bytes(path.read_bytes()[:5000])
    result = train("rrdb-psnr", folder, run, *settings)
    assert result.exit_code == 1
    assert f"{path}: cut off" in result.output
    assert (run / "checkpoints" / "000003").is_dir()
    path.unlink()
    result = train("rrdb-psnr", folder, run, *settings)
    assert result.exit_code == 0, result.output
    assert "warning: 1 picture that the run started with can no longer be found" in result.output


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
            "Error: the memory of cpu ran out (cuDNN error: CUDNN_STATUS_ALLOC_FAILED); set a larger accumulate",
        ),
        (KeyError("a fault of the software"), ""),
    ],
)
def test_a_step_that_fails_is_undone_and_the_run_saved(
    error: Exception, message: str, groups: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, and however late in the step: here with the last images that the discriminator sees."""
    forward = UnetDiscriminator.forward
    remaining = 3 + 5 * 6 - 1  # calls before the first iteration, and in five iterations of two parts each

    def fails_once(network: UnetDiscriminator, images: Tensor) -> Tensor:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            forward(network, images)
            raise error
        return forward(network, images)

    monkeypatch.setattr(UnetDiscriminator, "forward", fails_once)
    run = tmp_path / "run"
    result = train(RECIPE, groups, run, *RUN, "checkpoint.every=100")
    assert result.exit_code == 1
    assert f"failed after 4 iterations; everything is saved in {run}" in result.stderr
    assert result.stderr.splitlines()[-1].startswith(message)
    assert message or result.exception is error
    result = train(RECIPE, groups, run, *RUN)
    assert result.exit_code == 0, result.output
    assert "resuming after 4 of 8 iterations" in result.output
    assert log_of(run) == log_of(whole)
    assert_same(state_of(run, 8), state_of(whole, 8))


@pytest.mark.parametrize("place", ["optimizer", "discriminator's optimizer", "average", "meter"])
def test_an_update_that_fails_halfway_is_undone_and_the_run_saved(
    place: str, groups: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint is that of a run that stopped after the last complete iteration, bit for bit."""
    stopped, run = tmp_path / "stopped", tmp_path / "run"
    assert train(RECIPE, groups, stopped, *RUN, "iterations=4", "checkpoint.every=100").exit_code == 0
    fail_in_update(place, 5, monkeypatch)
    result = train(RECIPE, groups, run, *RUN, "checkpoint.every=100")
    monkeypatch.undo()
    assert result.exit_code == 1
    assert "Error: the memory of cpu ran out (halfway)" in result.stderr
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["000004"]
    assert_same(state_of(run, 4), state_of(stopped, 4))
    assert train(RECIPE, groups, run, *RUN).exit_code == 0
    assert_same(state_of(run, 8), state_of(whole, 8))


def test_a_run_whose_step_cannot_be_undone_keeps_its_last_checkpoint(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_in_update("optimizer", 4, monkeypatch)
    monkeypatch.setattr(PairPool, "undo", _killed)
    with pytest.raises(KeyboardInterrupt):
        run_training("rrdb-psnr", pictures, tmp_path / "run", *PICTURES, "checkpoint.every=2", "validation.every=0")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["000002"]


def test_a_log_that_fails_leaves_the_run_saved(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scalars, remaining = RunLog.scalars, 3

    def fails(*arguments: Any) -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            raise OSError(5, "Input/output error")
        scalars(*arguments)

    monkeypatch.setattr(RunLog, "scalars", fails)
    result = train("rrdb-psnr", pictures, tmp_path / "run", "iterations=9", "checkpoint.every=2", "validation.every=0")
    assert result.exit_code == 1
    assert "Error: Input/output error" in result.stderr
    assert max(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == "000003"


def test_a_killed_reader_ends_the_run_with_a_checkpoint(pictures: Path, tmp_path: Path) -> None:
    run, killed = tmp_path / "run", 0.0

    def kill_when_it_runs() -> None:
        nonlocal killed
        _wait_until((run / "log.jsonl").exists)
        [reader] = multiprocessing.active_children()
        killed = time.monotonic()
        reader.kill()

    killing = threading.Thread(target=kill_when_it_runs)
    killing.start()
    result = train("rrdb-psnr", pictures, run, "iterations=500000", options=["--workers", 1])
    killing.join()
    assert_within_ten_seconds(killed)
    assert result.exit_code == 1
    *_, saved, last = result.stderr.splitlines()
    assert f"everything is saved in {run}" in saved
    assert last == (
        "Error: the system killed one of 1 processes that read pictures, most likely because memory ran out; run again "
        "with fewer --workers"
    )
    [checkpoint] = (run / "checkpoints").iterdir()
    assert int(checkpoint.name) == len(log_of(run))
    assert not multiprocessing.active_children()


def test_weights_are_never_left_by_a_run_that_cannot_resume(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the first checkpoint and its weights it writes them; before, it leaves nothing but its record."""
    run = tmp_path / "run"
    write_weights = RunFolder.write_weights
    monkeypatch.setattr(RunFolder, "write_weights", _killed)
    with pytest.raises(KeyboardInterrupt):
        run_training("rrdb-psnr", pictures, run, *PICTURES)
    monkeypatch.setattr(RunFolder, "write_weights", write_weights)
    assert train("rrdb-psnr", pictures, run, *PICTURES).exit_code == 0
    assert [path.name for path in (run / "weights").iterdir()] == ["000008.safetensors"]

    other = tmp_path / "other"
    write_checkpoint = RunFolder.write_checkpoint
    monkeypatch.setattr(RunFolder, "write_checkpoint", _killed)
    with pytest.raises(KeyboardInterrupt):
        run_training("rrdb-psnr", pictures, other, *PICTURES)
    monkeypatch.setattr(RunFolder, "write_checkpoint", write_checkpoint)
    assert not (other / "weights").exists()
    assert list((other / "pictures").glob("*/000004.png"))
    assert train("rrdb-psnr", pictures, other, *PICTURES, "seed=1", "validation.every=0").exit_code == 0
    assert not list((other / "pictures").glob("*/*.png"))
    assert [path.name for path in (other / "weights").iterdir()] == ["000008.safetensors"]


def test_weights_without_a_checkpoint_are_not_overwritten(groups: Path, run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    result = train(RECIPE, groups, run, *RUN)
    assert result.exit_code == 1
    assert "has weights, but no checkpoint to resume from; choose a new folder" in result.output


def test_a_run_that_is_past_its_end_says_so_and_starts_no_workers(
    groups: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PairLoader, "start", _killed)
    result = train(RECIPE, groups, run, *RUN, "iterations=3")
    assert result.exit_code == 0, result.output
    assert "the run already has 8 iterations, more than the 3 requested" in result.output
    assert "of 3 iterations" not in result.output
    assert train(RECIPE, groups, run, *RUN).exit_code == 0


def test_two_runs_do_not_share_a_folder(groups: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = FORKED.Process(target=run_training, args=(RECIPE, groups, run, *RUN, "iterations=1000"))
    process.start()
    try:
        _wait_until((run / "log.jsonl").exists)
        result = train(RECIPE, groups, run, *RUN, "iterations=1000")
    finally:
        kill(process)
    assert result.exit_code == 1
    assert f"another run is using {run}" in result.output


def test_a_folder_with_other_files_is_refused(groups: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    result = train(RECIPE, groups, tmp_path / "run", *RUN)
    assert result.exit_code == 1
    assert "contains other files and no run.json" in result.output


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(
    groups: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save
    num_saved = 0

    def saves_until_full(state: object, file: Any) -> None:
        nonlocal num_saved
        num_saved += 1
        if num_saved >= 4:
            raise OSError(28, "No space left on device")
        save(state, file)

    monkeypatch.setattr(torch, "save", saves_until_full)
    run = tmp_path / "run"
    result = train(RECIPE, groups, run, *RUN)
    assert result.exit_code == 1
    assert "No space left on device; free some space and run again" in result.output
    assert [path.name for path in (run / "checkpoints").iterdir() if path.name.isdecimal()] == ["000002"]
    monkeypatch.setattr(torch, "save", save)
    assert train(RECIPE, groups, run, *RUN).exit_code == 0
    assert_same_run(run, whole)


def test_infinite_losses_stop_the_run_and_name_the_last_good_checkpoint(groups: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    result = train(RECIPE, groups, other, *RUN, "learning_rate=1e30", "checkpoint.every=1")
    assert result.exit_code == 1
    assert f"the last good checkpoint is {other}/checkpoints/000001" in result.output
    assert "became NaN or infinite" in result.output
    for value in load_network(other).state_dict().values():
        assert value.isfinite().all()


def test_diverged_losses_stop_the_run_before_a_checkpoint(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is finite, and would be the last good one."""
    compute = Learner._compute
    num_steps = 0

    def explodes(learner: Learner, *arguments: Any) -> dict[str, torch.Tensor]:
        nonlocal num_steps
        num_steps += 1
        return {name: value * (1000 if num_steps > 110 else 1) for name, value in compute(learner, *arguments).items()}

    monkeypatch.setattr(Learner, "_compute", explodes)
    small_steps = ("batch_size=1", "accumulate=1", "pool_size=0", "validation.pictures=0")
    more = ("iterations=200", "log.every=200", "checkpoint.every=52", *small_steps)
    result = train("rrdb-psnr", pictures, tmp_path / "run", *PICTURES, *more)
    assert result.exit_code == 1
    assert "the mean pixel loss has grown from" in result.output
    assert "after 156 iterations" in result.output
    assert "checkpoints/000104" in result.output
    assert load_checkpoint(tmp_path / "run").path.stem == "000104"


def test_an_unequal_share_is_refused_with_the_numbers_that_fit() -> None:
    with pytest.raises(
        ConfigError, match=r"^5 devices cannot share .* possible numbers of devices: 1, 2, 3, 4, 6, 12$"
    ):
        require_equal_shares(load_config("rrdb-gan-positive"), 5)
    with pytest.raises(ConfigError, match=r"4 devices cannot share batch_size 12 in 2 parts .*: 1, 2, 3, 6$"):
        require_equal_shares(load_config("rrdb-gan-positive", ["accumulate=2"]), 4)


def _die(number: int, groups: Path, run: Path) -> None:
    die_at_rename(number, lambda: run_training(RECIPE, groups, run, *RUN))


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _wait_until(condition: object, patience_s: float = 300) -> None:
    end = time.monotonic() + patience_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)
