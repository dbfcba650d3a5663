"""Output folders: filled beside their final place, renamed when complete; kills at every step."""

import os
from pathlib import Path

import pytest

from hggt_data.errors import OutputError
from hggt_data.io.folders import new_folder, open_staging, put_in_place, replaced_folder, require_outside
from tests.hggt_data.kills import die_at_step, died
from tests.hggt_data.trees import contents, write_bytes


def fill(output: Path, text: bytes) -> None:
    with open_staging(output, marker="manifest.json") as staging:
        write_bytes(staging / "manifest.json", text)
        put_in_place(staging, output)


def siblings(output: Path) -> list[str]:
    return sorted(path.name for path in output.parent.iterdir())


@pytest.mark.parametrize("empty", [False, True])
def test_a_new_or_empty_folder_is_filled(tmp_path: Path, empty: bool) -> None:
    output = tmp_path / "deep" / "hggt"
    if empty:
        output.mkdir(parents=True)
    fill(output, b"1")
    assert contents(output) == {"manifest.json": b"1"}
    assert siblings(output) == ["hggt"]


def test_an_earlier_result_is_replaced_as_a_whole(tmp_path: Path) -> None:
    output = tmp_path / "hggt"
    fill(output, b"1")
    write_bytes(output / "data" / "old", b"old")
    fill(output, b"2")
    assert contents(output) == {"manifest.json": b"2"}
    assert siblings(output) == ["hggt"]


def test_the_staging_folder_outlives_a_failed_run(tmp_path: Path) -> None:
    output = tmp_path / "hggt"

    def fail() -> None:
        with open_staging(output, marker="manifest.json") as staging:
            write_bytes(staging / "half", b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert siblings(output) == [".hggt.partial"]
    with open_staging(output, marker="manifest.json") as staging:
        assert contents(staging) == {"half": b"half"}


def test_a_folder_with_other_content_is_refused_and_unchanged(tmp_path: Path) -> None:
    output = tmp_path / "hggt"
    write_bytes(output / "thesis.txt", b"years of work")
    with pytest.raises(OutputError, match=r"is not empty and does not contain manifest\.json"):
        fill(output, b"1")
    assert contents(tmp_path) == {"hggt/thesis.txt": b"years of work"}
    assert siblings(output) == ["hggt"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "hggt"
    output.write_bytes(b"x")
    with pytest.raises(OutputError, match="is a file; expected a folder"):
        fill(output, b"1")


def test_a_mount_point_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "volume"
    output.mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: path == output)
    with pytest.raises(OutputError, match="is a mount point, which cannot be replaced; choose a folder inside"):
        fill(output, b"1")
    assert siblings(output) == ["volume"]


def test_a_second_writer_is_refused_while_the_first_works(tmp_path: Path) -> None:
    output = tmp_path / "hggt"
    with open_staging(output, marker="manifest.json") as staging:
        write_bytes(staging / "mine", b"x")
        with pytest.raises(OutputError, match="another process is writing to"):
            fill(output, b"2")
        write_bytes(staging / "manifest.json", b"1")
        put_in_place(staging, output)
        fill(output, b"3")  # the first has finished its result, but is still running
    assert contents(output) == {"manifest.json": b"3"}


def fill_and_die(step: int, output: Path) -> None:
    die_at_step(step, lambda: fill(output, b"new"))


@pytest.mark.parametrize("is_first", [True, False])
def test_a_process_killed_at_any_step_leaves_the_old_folder_or_the_new_one(tmp_path: Path, is_first: bool) -> None:
    """Between two renames neither is in place; the next run then first restores the old folder."""
    old, new = {"manifest.json": b"old"}, {"manifest.json": b"new"}
    steps = 0
    for step in range(100):
        output = tmp_path / str(step) / "hggt"
        if not is_first:
            fill(output, b"old")
        if not died(fill_and_die, step, output):
            break
        steps += 1
        found = contents(output)
        if found == {} and not is_first:
            assert contents(output.with_name(".hggt.previous")) == old
        else:
            assert found in ({} if is_first else old, new)
        with open_staging(output, marker="manifest.json"):
            assert contents(output) == ({} if found == {} and is_first else found or old)
            assert not output.with_name(".hggt.previous").exists()
        fill(output, b"third")
        assert contents(output.parent) == {"hggt/manifest.json": b"third"}
        assert siblings(output) == ["hggt"]
    assert steps >= 4
    assert contents(output) == new


def replace_and_die(step: int, output: Path) -> None:
    def replace() -> None:
        with replaced_folder(output) as staging:
            write_bytes(staging / "a", b"new")
            write_bytes(staging / "b", b"new")

    die_at_step(step, replace)


def test_a_replaced_folder_is_old_or_new_whenever_the_process_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "out"
    for step in range(100):
        with replaced_folder(output) as staging:
            write_bytes(staging / "a", b"old")
        if not died(replace_and_die, step, output):
            break
        found = contents(output) or contents(tmp_path / ".out.previous")
        assert found in ({"a": b"old"}, {"a": b"new", "b": b"new"})
    assert step >= 4
    assert siblings(output) == ["out"]


def test_a_failed_rename_leaves_the_old_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "hggt"
    fill(output, b"old")
    replace = os.replace

    def fail(self: Path, target: Path) -> None:
        if self.name == ".hggt.partial":
            raise PermissionError("no right to rename")
        replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(PermissionError):
        fill(output, b"new")
    monkeypatch.undo()
    assert contents(output) == {"manifest.json": b"old"}
    fill(output, b"new")
    assert contents(output) == {"manifest.json": b"new"}


def test_an_output_that_is_a_link_stays_one(tmp_path: Path) -> None:
    place = tmp_path / "large-disk" / "store"
    place.mkdir(parents=True)
    output = tmp_path / "hggt"
    output.symlink_to(place)
    for text in (b"1", b"2", b"3"):
        fill(output, text)
    assert output.is_symlink()
    assert contents(place) == {"manifest.json": b"3"}
    assert siblings(output) == ["hggt", "large-disk"]
    assert siblings(place) == ["store"]


def test_a_relative_output_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    fill(Path("../b/hggt"), b"1")
    assert contents(tmp_path) == {"b/hggt/manifest.json": b"1"}


class TestNewFolder:
    def test_it_appears_only_when_it_is_complete(self, tmp_path: Path) -> None:
        output = tmp_path / "deep" / "out"
        output.mkdir(parents=True)
        with new_folder(output) as staging:
            write_bytes(staging / "a" / "b", b"1")
            assert contents(output) == {}
        assert contents(output) == {"a/b": b"1"}
        assert siblings(output) == ["out"]

    def test_an_interrupt_leaves_nothing(self, tmp_path: Path) -> None:
        def fail() -> None:
            with new_folder(tmp_path / "out") as staging:
                write_bytes(staging / "half", b"half")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert list(tmp_path.iterdir()) == []

    def test_leftovers_of_a_killed_run_are_removed(self, tmp_path: Path) -> None:
        write_bytes(tmp_path / "elsewhere" / "mine", b"x")
        write_bytes(tmp_path / ".out.new" / "a" / "old", b"old")
        (tmp_path / ".out.new" / "link").symlink_to(tmp_path / "elsewhere")
        with new_folder(tmp_path / "out") as staging:
            write_bytes(staging / "new", b"new")
        assert contents(tmp_path) == {"elsewhere/mine": b"x", "out/new": b"new"}

    def test_existing_content_is_refused_and_unchanged(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fill_new(output: Path) -> None:
            with new_folder(output):
                pass

        write_bytes(tmp_path / "out" / "mine", b"x")
        with pytest.raises(OutputError, match="is not empty; choose a new or empty folder"):
            fill_new(tmp_path / "out")
        with pytest.raises(OutputError, match="is a file; expected a folder"):
            fill_new(tmp_path / "out" / "mine")
        monkeypatch.chdir(tmp_path / "out")
        with pytest.raises(OutputError, match="is the current folder"):
            fill_new(tmp_path / "out")
        assert contents(tmp_path) == {"out/mine": b"x"}

    def test_a_second_writer_leaves_the_first_alone(self, tmp_path: Path) -> None:
        with new_folder(tmp_path / "out") as staging:
            write_bytes(staging / "a", b"1")
            with pytest.raises(OutputError, match="another process is writing"), new_folder(tmp_path / "out"):
                pass
        assert contents(tmp_path) == {"out/a": b"1"}


def test_an_output_inside_the_input_is_refused_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "T").mkdir()
    (tmp_path / "link").symlink_to("T")
    for output in (tmp_path / "T", tmp_path / "T/a/b", tmp_path / "link/a", tmp_path / "T/../link/x"):
        with pytest.raises(OutputError, match="is inside the tree"):
            require_outside(output, tmp_path / "T", "the tree")
    require_outside(tmp_path / "T2", tmp_path / "T", "the tree")
