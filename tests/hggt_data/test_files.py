"""Atomic files and hashes."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from hggt_data.files import atomic_file, csv_file, link_or_copy, read_csv, sha256_of, sha256_of_file, write_text


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_file(path) as file:
        file.write(b"whole")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf8_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "a.txt"
    write_text(path, "Größe\n")
    assert path.read_bytes() == b"Gr\xc3\xb6\xc3\x9fe\n"


def test_text_is_on_disk_under_its_name_and_so_are_new_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut only that is there which was synced: the bytes, then the names in each folder."""
    sync, synced = os.fsync, []

    def watch(handle: int) -> None:
        synced.append((Path(f"/proc/self/fd/{handle}").readlink(), path.exists()))
        sync(handle)

    path = tmp_path / "new" / "deep" / "a.txt"
    monkeypatch.setattr(os, "fsync", watch)
    write_text(path, "text")
    *folders, (data, _), last = synced
    assert folders == [(tmp_path, False), (tmp_path / "new", False)]
    assert data.parent == path.parent
    assert last == (path.parent, True)


def test_hashes_are_sha256_over_all_blocks(tmp_path: Path) -> None:
    data = b"0123456789abcdef" * 600_000  # more than two of the blocks in which files are read
    path = tmp_path / "a"
    path.write_bytes(data)
    assert sha256_of(data) == sha256_of_file(path) == hashlib.sha256(data).hexdigest()


def test_what_is_written_as_csv_is_read_back(tmp_path: Path) -> None:
    lines = [["1", 'say "x", twice'], ["Größe", "two\nlines"], ["", " "]]
    with csv_file(tmp_path / "new" / "a.csv", ["first", "second"]) as write_line:
        for line in lines:
            write_line(line)
    columns, found = read_csv(tmp_path / "new" / "a.csv")
    assert columns == ["first", "second"]
    assert [list(line.values()) for line in found] == lines
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.csv"]


def test_half_a_csv_is_none(tmp_path: Path) -> None:
    def fail() -> None:
        with csv_file(tmp_path / "a.csv", ["first"]) as write_line:
            write_line(["1"])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_second_name_or_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"1")
    (tmp_path / "link").symlink_to("a")
    assert link_or_copy(tmp_path / "link", tmp_path / "b")
    assert source.stat().st_nlink == 2
    assert not (tmp_path / "b").is_symlink()

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert not link_or_copy(source, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"1"
    assert source.stat().st_nlink == 2


def test_names_that_are_no_text_come_back_from_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff.png")
    write_text(tmp_path / "record.json", json.dumps({"input": name}, ensure_ascii=False))
    assert json.loads((tmp_path / "record.json").read_bytes()) == {"input": name}
