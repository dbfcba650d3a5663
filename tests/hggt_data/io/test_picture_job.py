"""Resumable jobs on pictures: the record, kept results, refused folders, kills."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hggt_data.errors import ImageError, OutputError
from hggt_data.io.files import is_up_to_date, read_record, write_text
from hggt_data.io.folders import lock_folder, share_folder
from hggt_data.io.picture_job import Outcome, PictureJob, PictureResult, Source
from hggt_data.io.pictures import Picture
from hggt_data.io.workers import advance
from tests.full_disk import FullDisk
from tests.hggt_data.kills import FORKED, die_at_rename, kill
from tests.hggt_data.trees import contents, write_bytes

FORKED.set_forkserver_preload(["hggt_data.io.picture_job", "tqdm", __name__])
NAMES = ("a", "b", "c")


@dataclass(frozen=True)
class Task:
    """Write the two halves of `INPUT/NAME` to `OUTPUT/1/NAME` and `OUTPUT/2/NAME`."""

    source: Path
    output: Path

    def results(self) -> list[Path]:
        return [self.output / half / self.source.name for half in "12"]


def halve(task: Task) -> PictureResult:
    advance()
    if is_up_to_date(task.results(), [task.source]):
        return PictureResult(kept=True)
    text = task.source.read_text()
    if not text:
        return PictureResult(fault=f"{task.source.name}: empty file")
    for path, half in zip(task.results(), (text[: len(text) // 2], text[len(text) // 2 :]), strict=True):
        write_text(path, half)
    return PictureResult()


def make_job(output: Path, **content: Any) -> PictureJob:
    content = {"inputs": ["x"], "size": 1, **content}
    return PictureJob(output, "job.json", "halves", content, {"hggt": "1"}, Outcome(), ("inputs",), ("list.csv",))


def picture_of(path: str) -> str | None:
    return path[2:] if path[:2] in ("1/", "2/") else None


def run(folder: Path, output: Path, workers: int = 1, **content: Any) -> Outcome:
    job = make_job(output, **content)
    sources = sorted(folder.iterdir())
    with job.open(picture_of, {path.name for path in sources}):
        for _ in job.run(halve, [Task(path, output) for path in sources], workers=workers, label="x"):
            pass
    return job.outcome


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        write_bytes(tmp_path / "in" / name, f"{name}123".encode())
    return tmp_path / "in"


def check_resumed(folder: Path, output: Path) -> None:
    """Run again: everything is complete, and nothing else is left."""
    run(folder, output)
    expected = {f"1/{name}": f"{name}1".encode() for name in NAMES} | {f"2/{name}": b"23" for name in NAMES}
    assert {name: data for name, data in contents(output).items() if name != "job.json"} == expected


def run_and_die(number: int, folder: Path, output: Path) -> None:
    die_at_rename(number, lambda: run(folder, output))


def test_the_next_run_keeps_what_is_up_to_date(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run(folder, output).describe() == ["3 pictures made"]
    (output / "2/b").unlink()
    assert run(folder, output).describe() == ["1 picture made, 2 already up to date"]
    check_resumed(folder, output)


def test_unreadable_pictures_are_listed_and_the_others_are_processed(folder: Path, tmp_path: Path) -> None:
    (folder / "a").write_text("")
    outcome = run(folder, tmp_path / "out")
    assert outcome.describe() == ["2 pictures made", "1 picture could not be processed:", "  a: empty file"]


def test_unreadable_pictures_are_also_printed_if_the_run_fails(
    folder: Path, tmp_path: Path, full_disk: FullDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a").write_text("")
    with full_disk(2), pytest.raises(OSError, match="No space left"):  # the record and half of b
        run(folder, tmp_path / "out")
    assert capsys.readouterr().err == "could not be processed: a: empty file\n"


class TestRecord:
    def test_it_keeps_content_versions_and_notes(self, tmp_path: Path) -> None:
        job = make_job(tmp_path, sides=(1, 2))
        for _ in range(2):
            with job.open(picture_of, ()):
                job.note(tile=64)
        assert job.read_record() == {
            "schema_version": 1, "inputs": ["x"], "size": 1, "sides": [1, 2], "made_with": {"hggt": "1"}, "tile": 64,
        }  # fmt: skip

    def test_results_of_other_settings_are_refused(self, folder: Path, tmp_path: Path) -> None:
        run(folder, tmp_path / "out")
        before = contents(tmp_path)
        with pytest.raises(OutputError, match=r"halves made with different size and more \(see job\.json\); choose a"):
            run(folder, tmp_path / "out", size=2, more=3)
        assert contents(tmp_path) == before

    def test_settings_without_results_are_replaced_with_what_was_derived(self, folder: Path, tmp_path: Path) -> None:
        run(folder, tmp_path / "out")
        for path in (tmp_path / "out").glob("?/*"):
            path.unlink()
        (tmp_path / "out/list.csv").touch()
        run(folder, tmp_path / "out", size=2)
        assert (read_record(tmp_path / "out/job.json") or {})["size"] == 2
        assert not (tmp_path / "out/list.csv").exists()

    def test_a_growing_list_may_not_shrink(self, folder: Path, tmp_path: Path) -> None:
        run(folder, tmp_path / "out")
        assert run(folder, tmp_path / "out", inputs=["y", "x"]).kept == 3
        with pytest.raises(OutputError, match="halves made with different inputs"):
            run(folder, tmp_path / "out", inputs=["y"])

    @pytest.mark.parametrize("text", ["[]", "{"])
    def test_a_damaged_record_is_an_error(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "job.json").write_text(text)
        with pytest.raises(OutputError, match=r"job\.json is damaged.*; choose a new folder"):
            read_record(tmp_path / "job.json")


class TestRefused:
    @pytest.mark.parametrize("name", ["thesis.txt", "1/a", "photos/a.png"])
    def test_a_folder_with_other_content(self, folder: Path, tmp_path: Path, name: str) -> None:
        write_bytes(tmp_path / "out" / name, b"mine")
        with pytest.raises(OutputError, match=r"is not empty and does not contain job\.json; choose a new or empty"):
            run(folder, tmp_path / "out")
        assert contents(tmp_path / "out") == {name: b"mine"}

    def test_results_of_other_pictures(self, folder: Path, tmp_path: Path) -> None:
        run(folder, tmp_path / "out")
        (folder / "b").unlink()
        with pytest.raises(OutputError, match=r"files that do not belong to this input \(1/b, 2/b\); remove them, or"):
            run(folder, tmp_path / "out")

    def test_a_second_run_at_the_same_time(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        with (
            lock_folder(tmp_path / "out"),
            pytest.raises(OutputError, match=r"another process is writing to .*out; wait"),
        ):
            run(folder, tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []


def test_system_files_and_unreadable_folders_do_not_disturb(folder: Path, tmp_path: Path) -> None:
    write_bytes(tmp_path / "out/.DS_Store", b"")
    write_bytes(tmp_path / "out/1/._a", b"")
    assert run(folder, tmp_path / "out").made == 3


class TestInThisProcess:
    def test_the_next_picture_is_read_while_one_is_processed(self, tmp_path: Path) -> None:
        started = []

        def read(name: str) -> Picture:
            started.append(name)
            if name == "b":
                raise ImageError("b: cut off")
            return Picture(np.zeros((1, 1, 3), np.uint8))

        def process(source: Source) -> PictureResult:
            if source.name == "a":
                until = time.monotonic() + 10
                while len(started) < 2 and time.monotonic() < until:
                    time.sleep(0.001)
                assert started == ["a", "b"]
            try:
                source.read()
            except ImageError as error:
                return PictureResult(str(error))
            return PictureResult()

        job = make_job(tmp_path)
        job.run_here(process, [Source(name, lambda name=name: read(name)) for name in NAMES], label="x")  # type: ignore[misc]
        assert started == list(NAMES)
        assert (job.outcome.made, job.outcome.faults) == (2, ["b: cut off"])


class TestSharedByProcesses:
    LEFTOVERS = (".job.json.77.tmp", "1/.a.77.tmp", ".a.png.78.tmp")

    def open(self, folder: Path, output: Path) -> None:
        sources = [Source(path.name, lambda: Picture(np.zeros((1, 1, 3), np.uint8)), path) for path in folder.iterdir()]
        with make_job(output).open_shared(sources, lambda source: [output / "1" / source.name]) as missing:
            assert len(missing) == 3

    def test_what_a_killed_run_has_left_is_removed(self, folder: Path, tmp_path: Path) -> None:
        for name in self.LEFTOVERS:
            write_bytes(tmp_path / "out" / name, b"half")
        self.open(folder, tmp_path / "out")
        assert contents(tmp_path / "out").keys() == {"job.json"}

    def test_files_that_another_process_is_writing_are_kept(self, folder: Path, tmp_path: Path) -> None:
        for name in self.LEFTOVERS:
            write_bytes(tmp_path / "out" / name, b"half")
        with share_folder(tmp_path / "out", lambda: None):
            self.open(folder, tmp_path / "out")
        assert contents(tmp_path / "out").keys() == {"job.json", *self.LEFTOVERS}


class TestKilled:
    def test_a_run_killed_at_any_rename_is_resumed(self, folder: Path, tmp_path: Path) -> None:
        for number in range(100):
            output = tmp_path / str(number)
            process = FORKED.Process(target=run_and_die, args=(number, folder, output))
            process.start()
            process.join()
            if process.exitcode == 0:
                break
            leftovers = list(output.rglob(".*.tmp"))
            assert len(leftovers) == 1 - number % 2
            check_resumed(folder, output)
        assert number == 2 * (1 + 2 * len(NAMES))

    def test_with_workers_that_outlive_it(self, tmp_path: Path) -> None:
        folder, output = tmp_path / "in", tmp_path / "out"
        for number in range(300):
            write_bytes(folder / f"{number:03d}", b"1234")
        process = FORKED.Process(target=run, args=(folder, output, 2))
        process.start()
        until = time.monotonic() + 60
        while len(list(output.glob("2/*"))) < 20 and time.monotonic() < until:
            time.sleep(0.001)
        assert kill(process), "the process had already finished"
        outcome = run(folder, output)  # while its workers may still be running
        assert outcome.made > 0 < outcome.kept
        assert outcome.made + outcome.kept == 300
        assert not list(output.rglob(".*.tmp"))
