"""The best weights of a run, by a measure of its validation."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from hggt_models.cli import main
from hggt_models.networks.checkpoint import load_checkpoint, load_network
from hggt_models.training.best_weights import Best
from hggt_models.training.validation import Validated, Validation
from tests.hggt_models.training.runs import assert_same, command, fork_command, log_of, train

SETTINGS = ("iterations=5", "checkpoint.every=2", "validation.every=1", "checkpoint.best=psnr")


def best_of(run: Path) -> Any:
    return json.loads(load_checkpoint(run / "best.safetensors").metadata["best"])


@pytest.fixture(scope="module")
def whole(groups: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("best") / "run"
    result = train("rrdb-gan-positive", groups, output, *SETTINGS)
    assert result.exit_code == 0, result.output
    return output


def test_the_weights_with_the_best_score_are_kept_and_recorded(whole: Path) -> None:
    scores = {line["iteration"]: line["psnr"] for line in log_of(whole) if line["kind"] == "validation"}
    best = best_of(whole)
    assert best == json.loads((whole / "run.json").read_text())["best"]
    assert (best["measure"], best["iteration"]) == ("psnr", max(scores, key=lambda iteration: scores[iteration]))
    assert best["value"] == scores[best["iteration"]]
    same = whole / "weights" / f"{best['iteration']:06d}.safetensors"
    if same.is_file():
        assert_same(dict(load_network(whole / "best.safetensors").state_dict()), dict(load_network(same).state_dict()))


def _die_after_the_best(arguments: list[str]) -> None:
    run = Validation.run

    def dying(self: Validation, network: Any) -> Validated:
        validated = run(self, network)
        if len(list((output / "checkpoints").glob("[0-9]*"))) == 1 and (output / "best.safetensors").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return validated

    output = Path(arguments[arguments.index("--output") + 1])
    pytest.MonkeyPatch().setattr(Validation, "run", dying)  # in a process of its own
    main(arguments)


def test_a_killed_run_keeps_its_best_weights_and_resumes_to_the_same(groups: Path, whole: Path, tmp_path: Path) -> None:
    arguments = command("rrdb-gan-positive", groups, tmp_path / "run", *SETTINGS)
    process = fork_command(arguments, tmp_path / "shown.txt", function=_die_after_the_best)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    before = best_of(tmp_path / "run")
    assert train("rrdb-gan-positive", groups, tmp_path / "run", *SETTINGS).exit_code == 0
    after = best_of(tmp_path / "run")
    assert after["value"] >= before["value"]
    assert after == best_of(whole)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["best"] == after


def test_another_measure_starts_anew_and_says_so(groups: Path, whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    more = ("iterations=6", "checkpoint.best=ssim")
    result = train("rrdb-gan-positive", groups, run, *SETTINGS, *more)
    assert "is the best by psnr; the next validation replaces it" in result.output
    assert (best_of(run)["measure"], best_of(run)["iteration"]) == ("ssim", 6)


def test_a_damaged_file_is_reported_and_replaced(groups: Path, whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    (run / "best.safetensors").write_bytes(b"damaged")
    result = train("rrdb-gan-positive", groups, run, *SETTINGS, "iterations=6")
    assert "best.safetensors is damaged and will be replaced" in result.output
    assert best_of(run)["iteration"] == 6


@pytest.mark.parametrize(
    ("measure", "value", "is_better"),
    [("psnr", 31, True), ("psnr", 30, False), ("psnr", 29, False), ("niqe", 29, True), ("niqe", 31, False)],
)
def test_the_direction_is_that_of_the_measure_and_the_earlier_of_equals_stays(
    measure: str, value: float, is_better: bool
) -> None:
    old = Best(measure, 30.0, 1000, 8, 8)
    assert Best(measure, value, 2000, 8, 8).is_better_than(old) == is_better


def test_values_over_fewer_pictures_never_win_and_over_other_pictures_always() -> None:
    old = Best("niqe", 5.0, 1000, 6, 8)
    assert not Best("niqe", 1.0, 2000, 5, 8).is_better_than(old)
    assert Best("niqe", 9.0, 2000, 7, 8).is_better_than(old)
    assert Best("niqe", 9.0, 2000, 4, 4).is_better_than(old)
