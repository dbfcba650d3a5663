"""What a run finds of an earlier one: the record of its settings, and files that it left half-written."""

from pathlib import Path
from typing import Any

import pytest

from hggt_data.errors import OutputError
from hggt_data.io.folders import FolderRecord, read_record, without_leftovers


def make_record(folder: Path, **content: Any) -> FolderRecord:
    return FolderRecord(folder / "crops.json", "crops", content, {"hggt": "1"}, growing=("inputs",))


def test_a_record_is_found_again_and_takes_notes(tmp_path: Path) -> None:
    record = make_record(tmp_path, crop=4, sides=(1, 2))
    assert not record.require(is_filled=False, has_results=False)
    record.keep()
    assert record.require(is_filled=True, has_results=True)
    record.note(tile=64)
    assert record.require(is_filled=True, has_results=True)
    expected = {"schema_version": 1, "crop": 4, "sides": [1, 2], "made_with": {"hggt": "1"}, "tile": 64}
    assert read_record(record.path) == expected


def test_a_folder_without_a_record_must_be_empty(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"holds other things \(no crops\.json in it\)"):
        make_record(tmp_path).require(is_filled=True, has_results=False)


def test_results_of_other_settings_are_refused_but_settings_alone_bind_nobody(tmp_path: Path) -> None:
    make_record(tmp_path, crop=4, step=2).keep()
    other = make_record(tmp_path, crop=5, step=3)
    with pytest.raises(OutputError, match=r"crops of other crop and step, see crops\.json; choose a new folder"):
        other.require(is_filled=True, has_results=True)
    assert not other.require(is_filled=True, has_results=False)


@pytest.mark.parametrize(("now", "is_refused"), [(["b", "a"], False), (["b"], True), ([], True)])
def test_what_may_grow_may_not_shrink(tmp_path: Path, now: list[str], is_refused: bool) -> None:
    make_record(tmp_path, inputs=["a"]).keep()
    later = make_record(tmp_path, inputs=now)
    if is_refused:
        with pytest.raises(OutputError, match="crops of other inputs"):
            later.require(is_filled=True, has_results=True)
    else:
        assert not later.require(is_filled=True, has_results=True)


@pytest.mark.parametrize("text", ["[]", "{", "12"])
def test_a_damaged_record_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "crops.json").write_text(text)
    with pytest.raises(OutputError, match=r"crops\.json is damaged"):
        read_record(tmp_path / "crops.json")


def test_half_written_files_go_before_and_after_the_work(tmp_path: Path) -> None:
    for name in (".a.png.1.tmp", "a.png"):
        (tmp_path / name).touch()

    def work_and_fail() -> None:
        with without_leftovers(tmp_path, tmp_path / "missing"):
            assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
            (tmp_path / ".b.png.2.tmp").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work_and_fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
