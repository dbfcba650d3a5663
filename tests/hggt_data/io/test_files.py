"""Atomic files and hashes."""

import errno
import hashlib
import os
import re
import time
from pathlib import Path

import pytest

from hggt_data.errors import OutputError, TableError
from hggt_data.io.files import (
    atomic_file,
    csv_file,
    excess_bytes,
    is_leftover,
    is_up_to_date,
    link_or_copy,
    read_csv,
    read_json,
    read_utf8,
    sha256_of,
    sha256_of_file,
    write_json,
    write_text,
)


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


@pytest.mark.parametrize(
    "error", [OutputError("a good message"), OSError(errno.EIO, "Input/output error"), PermissionError(13, "no", "in")]
)
def test_an_error_of_something_else_stays_as_it_is(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError, match=re.escape(str(error))) as found, atomic_file(tmp_path / "a.txt"):
        raise error
    assert found.value is error
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_file_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, error: OSError | None) -> None:
        with atomic_file(path):
            if error:
                raise error

    def name_of_fault(path: Path, error: OSError | None = None) -> object:
        with pytest.raises(OSError, match=r".") as found:
            write(path, error)
        return found.value.filename

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "a.txt"
    assert name_of_fault(tmp_path / "absent/a.txt") == str(tmp_path / "absent/a.txt")
    assert name_of_fault(path, OSError(errno.ENOSPC, "No space left on device")) == str(path)
    monkeypatch.setattr(os, "fsync", fail)
    assert name_of_fault(path) == str(path)
    monkeypatch.undo()
    path.mkdir()
    assert name_of_fault(path) == str(path)


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
    assert not link_or_copy(source, tmp_path / "d", copy=True)
    assert source.stat().st_nlink == 2

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert not link_or_copy(source, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"1"
    assert source.stat().st_nlink == 2


def test_results_are_done_if_all_are_there_and_none_is_older_than_its_sources(tmp_path: Path) -> None:
    old, new, moved = (tmp_path / name for name in ("old", "new", "moved"))
    for path in (old, new, moved):
        path.touch()
    later = time.time() + 10
    os.utime(new, (later, later))
    assert is_up_to_date([new], [old])
    assert is_up_to_date([old], [])
    assert not is_up_to_date([new, old], [new])
    assert not is_up_to_date([new, tmp_path / "missing"], [old])
    with pytest.raises(FileNotFoundError):
        is_up_to_date([new], [tmp_path / "missing"])
    os.utime(moved, (1, 1))
    assert not is_up_to_date(
        [moved], [moved]
    )  # the one counts from when it was written, the other from when it came there


def test_what_a_killed_process_leaves_is_known_by_its_name(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a\nb.png"):
        (name,) = (path.name for path in tmp_path.iterdir())
        assert is_leftover(name)
    assert not any(is_leftover(name) for name in ("a.png", "a.1.tmp", ".a.png", ".tmp", ".a.tmp", ".a.x.tmp", ".1.tmp"))


def test_a_name_that_fits_leaves_room_for_that_of_an_unfinished_file(tmp_path: Path) -> None:
    longest = "ö" * 121
    assert excess_bytes(longest) <= 0
    (tmp_path / f".{longest}.{1 << 22}.tmp").touch()
    assert excess_bytes(longest + "abcde") == 5


def test_what_is_written_as_json_is_read_back(tmp_path: Path) -> None:
    content = {"Größe": [1, 2.5, None], "no text": "a\udce9.png"}
    write_json(tmp_path / "new" / "a.json", content)
    assert read_json(tmp_path / "new" / "a.json", OutputError, "") == content
    assert "Größe" in (tmp_path / "new" / "a.json").read_text("utf-8")


@pytest.mark.parametrize("data", [b"", b"{", b'"\xff"'])
def test_damaged_json_is_an_error_that_says_what_to_do(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(OutputError, match=r"a\.json is damaged \(.*\); restore it from a copy$"):
        read_json(tmp_path / "a.json", OutputError, "restore it from a copy")


def test_text_is_read_without_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert read_utf8(tmp_path / "a.txt", TableError) == "one\r\ntwo"
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + b"." * 100_000 + b"\xe9")
    with pytest.raises(TableError, match=r"a\.txt is not UTF-8 \(.* at byte 100,003\); save it as UTF-8"):
        read_utf8(tmp_path / "a.txt", TableError)
