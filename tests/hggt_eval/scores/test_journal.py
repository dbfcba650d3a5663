"""Interrupted runs: what was scored is found again, and nothing else."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hggt_data.errors import OutputError
from hggt_data.io.images import Pixels, read_pixels, write_png
from hggt_data.loading import open_groups
from hggt_data.restored.matching import RestoredFiles, match_restored
from hggt_data.restored.methods import name_methods
from hggt_eval.metrics.comparer import Comparer
from hggt_eval.metrics.psnr import Psnr
from hggt_eval.protocol import evaluate
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.journal import Journal

DATA = Path(__file__).parents[2] / "data" / "fixtures"
SETTINGS = {"border": 4}


class Counting(Psnr):
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


def score(metric: Comparer[Pixels], journal: Journal | None, folders: Sequence[Path] | None = None) -> Evaluation:
    source = open_groups(DATA / "Test")
    places = folders or [DATA / "restored" / name for name in ("bicubic", "lanczos")]
    found: list[RestoredFiles] = match_restored(name_methods([(None, place) for place in places]), source)
    return evaluate(source, found, [metric], journal=journal)


def test_an_interrupted_run_resumes_and_ends_with_the_same_scores(tmp_path: Path) -> None:
    whole = Counting()
    expected = score(whole, None)
    first = Counting(fail_at=9)
    with pytest.raises(KeyboardInterrupt):
        score(first, Journal(tmp_path, SETTINGS))
    journal = Journal(tmp_path, SETTINGS)
    assert journal.num_found > 0
    second = Counting()
    assert score(second, journal) == expected
    # An image that was half scored is scored again.
    assert whole.compared - 9 < second.compared <= whole.compared - 9 + 4
    journal.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_finished_group_is_not_even_decoded(tmp_path: Path) -> None:
    score(Counting(), Journal(tmp_path, SETTINGS))
    again = Counting()
    score(again, Journal(tmp_path, SETTINGS))
    assert again.compared == 0


def test_a_restored_image_that_changed_is_scored_again(tmp_path: Path) -> None:
    folder = tmp_path / "method"
    folder.mkdir()
    for path in (DATA / "restored/bicubic").iterdir():
        write_png(folder / path.name, read_pixels(path))
    output = tmp_path / "out"
    output.mkdir()
    before = score(Counting(), Journal(output, SETTINGS), [folder])
    changed = sorted(folder.iterdir())[0]
    write_png(changed, np.flip(read_pixels(changed), axis=1))
    again = Counting()
    after = score(again, Journal(output, SETTINGS), [folder])
    assert 0 < again.compared <= 4
    assert after.methods[0].groups[0].sha256 != before.methods[0].groups[0].sha256
    assert after.methods[0].groups[0].mean != before.methods[0].groups[0].mean
    assert after.methods[0].groups[1:] == before.methods[0].groups[1:]


def test_a_renamed_restored_image_is_not_scored_again(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DATA / "restored/bicubic", tmp_path / "method"))
    output = tmp_path / "out"
    output.mkdir()
    score(Counting(), Journal(output, SETTINGS), [folder])
    for path in list(folder.iterdir()):
        path.rename(path.with_name(path.name.replace("_bicubic", "_x4")))
    again = Counting()
    renamed = score(again, Journal(output, SETTINGS), [folder])
    assert again.compared == 0
    assert all(group.file.endswith("_x4.png") for group in renamed.methods[0].groups)


def test_runs_with_other_settings_neither_use_nor_delete_these_scores(tmp_path: Path) -> None:
    score(Counting(), Journal(tmp_path, SETTINGS))
    other = Journal(tmp_path, {"border": 0})
    assert other.num_found == 0
    score(Counting(), other)
    other.finish()
    assert Journal(tmp_path, SETTINGS).num_found == Journal(tmp_path, SETTINGS, rank=1).num_found > 0


def test_scores_count_only_for_the_same_pictures_and_method(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SETTINGS)
    scores = score(Counting(), None).methods[0].groups[0]
    journal.add("net", scores)
    again = Journal(tmp_path, SETTINGS)
    truths = scores.ground_truths_sha256
    assert again.find("net", scores.id, scores.sha256, truths) == scores
    assert again.find("net", scores.id, scores.sha256, {**truths, "01": "0" * 64}) is None
    assert again.find("net", scores.id, "0" * 64, truths) is None
    assert again.find("other", scores.id, scores.sha256, truths) is None


def test_a_line_that_was_cut_short_is_skipped_and_harms_no_other(tmp_path: Path) -> None:
    first, second, *_ = score(Counting(), None).methods[0].groups
    journal = Journal(tmp_path, SETTINGS)
    journal.add("net", first)
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    Journal(tmp_path, SETTINGS).add("net", second)
    known = Journal(tmp_path, SETTINGS)
    assert known.num_found == 1
    assert known.find("net", second.id, second.sha256, second.ground_truths_sha256) == second


def test_the_files_of_all_processes_are_read(tmp_path: Path) -> None:
    groups = score(Counting(), None).methods[0].groups
    for rank in (0, 1):
        Journal(tmp_path, SETTINGS, rank).add("net", replace(groups[rank]))
    assert Journal(tmp_path, SETTINGS, rank=1).num_found == 2


def test_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gone", SETTINGS)
    with pytest.raises(OutputError, match=r"unfinished-[0-9a-f]{16}-0.jsonl: cannot be written"):
        journal.add("net", score(Counting(), None).methods[0].groups[0])


def test_the_command_resumes_after_kill_9(tmp_path: Path) -> None:
    code = "import time, hggt_eval.metrics.psnr as p; f = p.Psnr.compare; " + (
        "p.Psnr.compare = lambda *a: (time.sleep(0.15), f(*a))[1]; from hggt_eval.cli import main; main()"
    )
    arguments = [
        *("score", "--restored", str(DATA / "restored/bicubic"), "--dataset", str(DATA / "Test")),
        *("--metrics", "psnr", "--gallery", "0", "--output", str(tmp_path)),
    ]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments])
    deadline = time.monotonic() + 60
    while sum(path.read_bytes().count(b"\n") for path in tmp_path.glob(".unfinished-*")) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None, "finished before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "scores.json").exists()
    again = subprocess.run([sys.executable, "-m", "hggt_eval", *arguments], capture_output=True, text=True, check=True)
    assert "images were scored before the interruption" in again.stderr
    assert not list(tmp_path.glob(".unfinished-*"))
    expected = score(Psnr(), None, [DATA / "restored/bicubic"]).methods[0]
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["methods"][0]["mean"] == dict(expected.mean)
