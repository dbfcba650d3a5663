"""Paths in zip files: they act as those of the unpacked folder, in every process."""

import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hggt_data.errors import TreeError
from hggt_data.io.archive import ArchivePath, open_place, place_exists
from hggt_data.io.files import read_regular_file
from hggt_data.io.workers import run_tasks

FILES = {"Train/images/01/a-0-0_01.png": b"1", "Train/images/original/a-0-0.png": b"2", "Train/votes.csv": b"a,b\n"}


@pytest.fixture
def top(tmp_path: Path) -> ArchivePath:
    """Three files in two zip files, which lie in the folder `zips` and are unpacked in `unpacked/zips`."""
    (tmp_path / "zips").mkdir()
    for number, names in enumerate([list(FILES)[:1], list(FILES)[1:]]):
        with zipfile.ZipFile(tmp_path / "zips" / f"part{number}.zip", "w") as file:
            for name in names:
                file.writestr(name, FILES[name])
            file.extractall(tmp_path / "unpacked" / "zips")
    place = open_place(tmp_path / "zips")
    assert isinstance(place, ArchivePath)
    return place


ASKED: list[Callable[[Path], object]] = [
    lambda path: path.name,
    lambda path: path.stem,
    lambda path: path.suffix,
    lambda path: path.is_dir(),
    lambda path: path.is_file(),
    lambda path: path.exists(),
    lambda path: path.is_symlink(),
    lambda path: path.parent.name,
    lambda path: sorted(inside.name for inside in path.iterdir()) if path.is_dir() else None,
    lambda path: read_regular_file(path) if path.is_file() else None,
]


@pytest.mark.parametrize(
    "name", ["Train", "Train/images", "Train/images/01", *FILES, "Train/missing.tar.gz", "no/such"]
)
def test_a_path_acts_as_in_the_unpacked_folder(top: ArchivePath, tmp_path: Path, name: str) -> None:
    for ask in ASKED:
        assert ask(top / name) == ask(tmp_path / "unpacked" / "zips" / name)


def test_folders_around_a_tree_can_be_skipped(top: ArchivePath) -> None:
    assert [path.name for path in top.only_folders()] == ["zips", "Train", "images"]


def test_a_folder_of_zip_files_may_be_the_current_one(top: ArchivePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(top))
    here = open_place(Path())
    assert [path.name for path in here.iterdir()] == ["Train"]
    assert read_regular_file(here / "Train/votes.csv") == b"a,b\n"


def test_a_missing_member_and_a_folder_are_errors_as_for_files(top: ArchivePath) -> None:
    with pytest.raises(FileNotFoundError, match=r"zips/Train/none\.png"):
        read_regular_file(top / "Train/none.png")
    with pytest.raises(OSError, match=r"not a regular file: .*zips/Train"):
        read_regular_file(top / "Train")


def test_a_damaged_member_is_named(top: ArchivePath) -> None:
    part = Path(top) / "part1.zip"
    data = part.read_bytes()
    part.write_bytes(data.replace(b"a,b\n", b"a;b\n"))
    damaged = open_place(Path(top))
    with pytest.raises(OSError, match=r"damaged in part1.zip: its checksum is wrong.*zips/Train/votes\.csv"):
        read_regular_file(damaged / "Train/votes.csv")


def test_a_path_can_be_used_in_other_processes(top: ArchivePath) -> None:
    paths = [top / name for name in FILES]
    assert list(run_tasks(read_regular_file, paths, 2, total=3, label="")) == list(FILES.values())


def test_a_zip_file_that_was_replaced_is_an_error(top: ArchivePath) -> None:
    os.utime(Path(top) / "part1.zip", ns=(1, 1))
    with pytest.raises(OSError, match=r"changed while it was in use.*part1\.zip"):
        read_regular_file(top / "Train/votes.csv")


def test_a_path_may_name_a_zip_file_or_be_in_one(top: ArchivePath, tmp_path: Path) -> None:
    zip_file = tmp_path / "zips" / "part1.zip"
    path = zip_file / "Train" / "votes.csv"
    assert read_regular_file(open_place(path)) == b"a,b\n"
    assert str(open_place(path)) == str(path)
    assert place_exists(path)
    assert not place_exists(path / "none")
    assert [path.name for path in open_place(zip_file).iterdir()] == ["Train"]
    for name in ("unpacked", "unpacked/zips/Train", "zips/Train", "none/a"):
        assert not isinstance(open_place(tmp_path / name), ArchivePath)


def test_the_same_member_in_two_zip_files_is_refused(top: ArchivePath) -> None:
    with zipfile.ZipFile(Path(top) / "part2.zip", "w") as file:
        file.writestr("Train/votes.csv", b"")
    with pytest.raises(TreeError, match=r"there twice \(1\): Train/votes.csv"):
        open_place(Path(top))


def test_a_split_zip_file_is_refused_with_the_command_that_joins_it(top: ArchivePath) -> None:
    folder = Path(top)
    whole = folder / "part1.zip"
    data = whole.read_bytes()
    whole.unlink()
    parts = [folder / "part1.zip.001", folder / "part1.zip.002"]
    parts[0].write_bytes(data[:50])
    parts[1].write_bytes(data[50:])
    for place in (*parts, folder):
        with pytest.raises(TreeError, match="a part of a split zip file") as caught:
            open_place(place)
    subprocess.run(str(caught.value).split("`")[1], shell=True, check=True)
    assert read_regular_file(open_place(whole) / "Train/votes.csv") == b"a,b\n"
    assert isinstance(open_place(folder), ArchivePath)
    (folder / "part0.z01").touch()
    for place in (folder, folder / "part0.zip", folder / "part0.z01"):
        with pytest.raises(TreeError, match=r"`zip -s 0 .*/part0.zip --out .*/part0-whole.zip`"):
            open_place(place)
