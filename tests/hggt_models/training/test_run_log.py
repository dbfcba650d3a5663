"""What a run reports, read back from its logs."""

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hggt_data.io.images import decode_png, read_pixels
from hggt_models.config.sections import LogConfig
from hggt_models.training.run_folder import RunFolder
from hggt_models.training.run_log import LogError, RunLog
from hggt_models.training.validation import Restored
from tests.hggt_models.training.runs import train


def scalars_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard would show."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_shows_losses_speed_scores_and_pictures(groups: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    more = ("log.tensorboard=true", "iterations=4", "validation.every=2", "checkpoint.every=2")
    assert train("rrdb-gan-positive", groups, tmp_path / "run", *more).exit_code == 0
    shown = scalars_of(tmp_path / "run" / "tensorboard")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    expected = [(line["iteration"], line["pixel"]) for line in lines if line["kind"] == "train"]
    assert np.allclose(shown["train/pixel"], expected, rtol=1e-6)
    assert {"train/iterations_per_s", "train/learning_rate", "train/memory_gb", "validation/psnr"} <= shown.keys()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [tag for tag in events.Tags()["images"] if tag.startswith("validation/")]


def test_a_resumed_run_logs_no_point_twice(groups: Path, tmp_path: Path) -> None:
    """The first run logged iterations after its last checkpoint."""
    more = ("log.tensorboard=true", "iterations=5", "validation.every=0", "checkpoint.every=2", "checkpoint.keep=2")
    assert train("rrdb-gan-positive", groups, tmp_path / "run", *more).exit_code == 0
    for path in (tmp_path / "run" / "checkpoints" / "000005").iterdir():
        path.unlink()
    assert train("rrdb-gan-positive", groups, tmp_path / "run", *more, "iterations=6").exit_code == 0
    shown = scalars_of(tmp_path / "run" / "tensorboard")
    assert [step for step, _ in shown["train/pixel"]] == [1, 2, 3, 4, 5, 6]
    lines = [json.loads(line)["iteration"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines == [1, 2, 3, 4, 5, 6]


def test_a_truncated_log_line_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"iteration": 1}\n{"iteration": 2}\n{"iterat')
    RunFolder(tmp_path).cut_log(1)
    assert (tmp_path / "log.jsonl").read_text() == '{"iteration": 1}\n'


def test_a_validated_picture_is_kept_beside_its_lr_and_reference(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lr, sr, reference = (rng.integers(0, 256, (side, side, 3), np.uint8) for side in (4, 16, 16))
    log = RunLog(RunFolder(tmp_path), LogConfig(tensorboard=False), {}, 0, 10, "one")
    log.picture(7, Restored("a-1-2", lr, sr, reference))
    log.close()
    row = read_pixels(tmp_path / "pictures" / "a-1-2" / "000007.png")
    assert np.array_equal(row[:, :16], lr.repeat(4, 0).repeat(4, 1))
    assert np.array_equal(row[:, 16:32], sr)
    assert np.array_equal(row[:, 32:], reference)


def test_tensorboard_shows_the_same_crop_of_a_picture_over_time(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = RunFolder(tmp_path)
    log = RunLog(folder, LogConfig(), {}, 0, 4, "id")
    random = np.random.default_rng(0)
    lr, reference = (random.integers(0, 256, (height, height * 4 // 3, 3), np.uint8) for height in (75, 300))
    for iteration in (2, 4):
        log.picture(iteration, Restored("a", lr, np.full_like(reference, iteration), reference))
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["images"] == ["validation/a"]
    shown = events.Images("validation/a")
    assert [image.step for image in shown] == [2, 4]
    enlarged = lr.repeat(4, 0).repeat(4, 1)
    for image in shown:
        parts = decode_png(image.encoded_image_string).reshape(256, 3, 256, 3).swapaxes(0, 1)  # (parts, 256, 256, 3)
        expected = (enlarged, np.full_like(reference, image.step), reference)
        for part, whole in zip(parts, expected, strict=True):
            assert np.array_equal(part, whole[22:278, 72:328])


def test_weights_and_biases_gets_losses_and_scores(
    groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="pip install wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    result = train("rrdb-psnr", groups, tmp_path / "run", "target=original", "log.wandb=hggt", "iterations=2")
    assert result.exit_code == 0, result.output
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


class FakeWandb(ModuleType):
    """Records what each run logs."""

    Image = staticmethod(lambda row: row.shape)

    def __init__(self) -> None:
        super().__init__("wandb")
        self.opened: list[dict[str, Any]] = []
        self.logged: list[dict[str, Any]] = []
        self.axes: list[tuple[str, str]] = []

    def init(self, **options: Any) -> "FakeWandb":
        self.opened.append(options)
        return self

    def define_metric(self, name: str, step_metric: str) -> None:
        self.axes.append((name, step_metric))

    def log(self, values: dict[str, Any]) -> None:  # takes no `step`, which may not go back
        self.logged.append(values)

    def finish(self) -> None:
        pass


def test_weights_and_biases_recognises_a_run_by_its_id(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    more = ("log.wandb=hggt", "iterations=3", "validation.every=3", "checkpoint.every=2")
    first, second = tmp_path / "a" / "run", tmp_path / "b" / "run"
    assert train("rrdb-psnr", pictures, first, *more).exit_code == 0
    shutil.rmtree(first / "checkpoints" / "000003")  # as if it had been killed after the second iteration
    assert train("rrdb-psnr", pictures, first, *more).exit_code == 0
    (tmp_path / "b").mkdir()
    assert train("rrdb-psnr", pictures, second, *more).exit_code == 0
    ids = [options["id"] for options in wandb.opened]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0] == json.loads((first / "run.json").read_text())["run_id"]
    assert [options["name"] for options in wandb.opened] == ["run"] * 3
    assert wandb.axes == [("*", "iteration")] * 3
    logged = [values["iteration"] for values in wandb.logged if "train/pixel" in values]
    assert logged == [1, 2, 3, 3, 1, 2, 3]
    assert [values["iteration"] for values in wandb.logged if "validation/psnr" in values] == [3] * 3


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(LogError, match="pip install wandb"):
        RunLog(RunFolder(tmp_path), LogConfig(tensorboard=False, wandb="hggt"), {}, 0, 10, "one")
