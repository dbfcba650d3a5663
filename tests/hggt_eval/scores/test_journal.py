"""Interrupted runs: finished scores are reused, and only those."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hggt_data import name_methods, open_groups
from hggt_data.errors import OutputError
from hggt_data.io.images import Pixels, read_pixels, write_png
from hggt_data.restored.matching import match_restored
from hggt_eval.cli import main
from hggt_eval.metrics.psnr import Psnr
from hggt_eval.protocol import evaluate
from hggt_eval.scores.journal import Journal
from hggt_eval.scores.scores import GroupScores, MethodScores
from hggt_eval.scoring import score as score_folders

DATA = Path(__file__).parents[2] / "data" / "fixtures"
BICUBIC = DATA / "restored/bicubic"
SETTINGS = {"border": 4}


class CountingPsnr(Psnr):
    """PSNR that counts its comparisons and can fail at a given one."""

    def __init__(self, fail_at: int | None = None) -> None:
        super().__init__()
        self.compared = 0
        self._fail_at = fail_at

    def compare(self, restored: Pixels, positive: Pixels) -> float:
        self.compared += 1
        if self.compared == self._fail_at:
            raise KeyboardInterrupt
        return super().compare(restored, positive)


def score(journal: Journal | None, folder: Path = BICUBIC, fail_at: int | None = None) -> tuple[MethodScores, int]:
    """A method's scores, and the number of comparisons that they took."""
    metric = CountingPsnr(fail_at)
    source = open_groups(DATA / "Test")
    found = match_restored(name_methods([(None, folder)]), source)
    return evaluate(source, found, [metric], journal=journal).methods[0], metric.compared


@pytest.fixture(scope="module")
def groups() -> tuple[GroupScores, ...]:
    return score(None)[0].groups


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_an_interrupted_run_resumes_and_ends_with_the_same_scores(output: Path) -> None:
    expected, num_comparisons = score(None)
    with pytest.raises(KeyboardInterrupt):
        score(Journal(output, SETTINGS), fail_at=9)
    journal = Journal(output, SETTINGS)
    assert journal.num_found > 0
    scores, compared = score(journal)
    assert scores == expected
    # Images that were half scored, at most two, are scored again; the other thread may have finished more.
    assert 0 < compared <= num_comparisons - 9 + 2 * 4
    assert score(Journal(output, SETTINGS)) == (expected, 0)
    journal.finish()
    assert list(output.iterdir()) == []


def test_a_changed_restored_image_is_scored_again_but_not_a_renamed_one(tmp_path: Path, output: Path) -> None:
    folder = Path(shutil.copytree(BICUBIC, tmp_path / "method"))
    before, _ = score(Journal(output, SETTINGS), folder)
    changed, *others = sorted(folder.iterdir())
    write_png(changed, np.flip(read_pixels(changed), axis=1))
    for path in others:
        path.rename(path.with_name(path.name.replace("_bicubic", "_x4")))
    after, compared = score(Journal(output, SETTINGS), folder)
    assert 0 < compared <= 4
    assert after.groups[0].sha256 != before.groups[0].sha256
    assert after.groups[0].mean != before.groups[0].mean
    assert [group.mean for group in after.groups[1:]] == [group.mean for group in before.groups[1:]]
    assert all(group.file.endswith("_x4.png") for group in after.groups[1:])


def test_runs_with_other_settings_neither_use_nor_delete_these_scores(output: Path) -> None:
    score(Journal(output, SETTINGS))
    other = Journal(output, {"border": 0})
    assert other.num_found == 0
    score(other)
    other.finish()
    assert Journal(output, SETTINGS).num_found == Journal(output, SETTINGS, rank=1).num_found > 0


def test_scores_count_only_for_the_same_pictures_and_method(output: Path, groups: tuple[GroupScores, ...]) -> None:
    scores, truths = groups[0], groups[0].ground_truths_sha256
    Journal(output, SETTINGS).add("net", scores)
    again = Journal(output, SETTINGS)
    assert again.find("net", scores.id, scores.sha256, truths) == scores
    assert again.find("net", scores.id, scores.sha256, {**truths, "01": "0" * 64}) is None
    assert again.find("net", scores.id, "0" * 64, truths) is None
    assert again.find("other", scores.id, scores.sha256, truths) is None


def test_a_truncated_line_is_skipped_and_the_others_are_used(output: Path, groups: tuple[GroupScores, ...]) -> None:
    first, second, third, *_ = groups
    Journal(output, SETTINGS).add("net", first)
    [path] = output.iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    Journal(output, SETTINGS).add("net", second)
    Journal(output, SETTINGS, rank=1).add("net", third)
    known = Journal(output, SETTINGS)  # reads the files of all processes
    assert known.num_found == 2
    assert known.find("net", second.id, second.sha256, second.ground_truths_sha256) == second


def test_a_journal_that_cannot_be_written_is_an_error(tmp_path: Path, groups: tuple[GroupScores, ...]) -> None:
    with pytest.raises(OutputError, match=r"unfinished-[0-9a-f]{16}-0.jsonl: cannot be written"):
        Journal(tmp_path / "gone", SETTINGS).add("net", groups[0])


def test_a_rerun_scores_nothing_that_is_finished_and_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(shutil.copytree(BICUBIC, tmp_path / "bicubic"))
    output = tmp_path / "scores"
    compared: list[int] = []
    compare = Psnr.compare

    def counted(metric: Psnr, restored: Pixels, positive: Pixels) -> float:
        compared.append(1)
        return compare(metric, restored, positive)

    monkeypatch.setattr(Psnr, "compare", counted)

    def run(border: int = 4) -> int:
        compared.clear()
        scored = score_folders({"bicubic": folder}, dataset=DATA / "Test", metrics="psnr", border=border, output=output)
        scored.report(output, gallery=0)
        return len(compared)

    assert run() > 6
    first = (output / "scores.json").read_bytes()
    assert run() == 0
    assert (output / "scores.json").read_bytes() == first
    changed = sorted(folder.glob("*.png"))[0]
    write_png(changed, 255 - read_pixels(changed))
    assert 0 < run() < 6
    assert run(border=5) > 6  # with other settings, nothing counts
    (output / "scores.json").write_text("{}")
    with pytest.raises(OutputError, match="would be overwritten"):
        run()


def test_the_command_resumes_after_kill_9(output: Path) -> None:
    code = "import time, hggt_eval.metrics.psnr as p; f = p.Psnr.compare; " + (
        "p.Psnr.compare = lambda *a: (time.sleep(0.15), f(*a))[1]; from hggt_eval.cli import main; main()"
    )
    arguments = [
        *("score", "--restored", str(BICUBIC), "--dataset", str(DATA / "Test")),
        *("--metrics", "psnr", "--gallery", "0", "--output", str(output)),
    ]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments])
    deadline = time.monotonic() + 60
    while sum(path.read_bytes().count(b"\n") for path in output.glob(".unfinished-*")) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (output / "scores.json").exists()
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 0, again.output
    assert "images were scored before." in again.stderr
    assert not list(output.glob(".unfinished-*"))
    content = json.loads((output / "scores.json").read_text())
    assert content["methods"][0]["mean"] == dict(score(None)[0].mean)
