"""Single files: atomic writing and kills, JSON, CSV, checksums, ages."""

import csv
import errno
import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hggt_data.errors import OutputError, TableError
from hggt_data.io.files import (
    atomic_file,
    csv_file,
    digest_of_file,
    excess_bytes,
    find_damaged,
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
from tests.full_disk import FullDisk
from tests.hggt_data.kills import die_at_step, died
from tests.hggt_data.trees import contents


def test_a_file_gets_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_file(path) as file:
        file.write(b"whole")
        file.flush()
        assert not path.exists()
    assert contents(tmp_path) == {"a.txt": b"whole"}


def test_an_interrupt_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert contents(tmp_path) == {"a.txt": b"old"}


WRITERS: dict[str, Callable[[Path, str], None]] = {
    "bytes": lambda path, text: write_bytes_in_two(path, text.encode()),
    "text": write_text,
    "json": lambda path, text: write_json(path, {"text": text}),
    "csv": lambda path, text: write_lines(path, text),
}


def write_bytes_in_two(path: Path, data: bytes) -> None:
    with atomic_file(path) as file:
        file.write(data[:1])
        file.flush()
        file.write(data[1:])


def write_lines(path: Path, text: str) -> None:
    with csv_file(path, ["first"]) as write_line:
        write_line([text])


def write_and_die(step: int, kind: str, path: Path) -> None:
    die_at_step(step, lambda: WRITERS[kind](path, "new"))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_process_killed_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "deep" / "a"
    path.parent.mkdir()
    WRITERS[kind](path, "new")
    new = path.read_bytes()
    found = []
    for step in range(100):
        path.write_bytes(b"old")
        if not died(write_and_die, step, kind, path):
            break
        found.append(path.read_bytes())
        others = [other.name for other in path.parent.iterdir() if other != path]
        assert all(map(is_leftover, others))
        assert len(others) <= 1
        for name in others:
            (path.parent / name).unlink()
    num_old = found.count(b"old")
    assert num_old >= 3  # while the file is open, written and synced
    assert found == [b"old"] * num_old + [new] * (len(found) - num_old)
    assert new in found


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, full_disk: FullDisk) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with full_disk(0), pytest.raises(OSError, match="No space left") as caught:
        write_text(path, "new")
    assert caught.value.filename == str(path)
    assert contents(tmp_path) == {"a": b"old"}


def test_an_error_from_elsewhere_is_unchanged(tmp_path: Path) -> None:
    for error in (OutputError("a good message"), PermissionError(13, "no", "in")):
        with pytest.raises(OSError, match=re.escape(str(error))) as found, atomic_file(tmp_path / "a.txt"):
            raise error
        assert found.value is error
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_writing_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_text_is_utf8_and_its_folder_is_created(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "a.txt"
    write_text(path, "Größe\n")
    assert path.read_bytes() == b"Gr\xc3\xb6\xc3\x9fe\n"


def test_text_survives_a_power_cut_with_its_name_and_new_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps only what was synced: the bytes, then the names in each folder."""
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


def test_cells_like_formulas_are_text_for_a_spreadsheet_and_are_read_back(tmp_path: Path) -> None:
    cells = ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "'=1", "''", "-1.5", "+3e-05", "-inf", "a=b", "- 1"]
    with csv_file(tmp_path / "a.csv", ["cell", "number"]) as write_line:
        for cell in cells:
            write_line([cell, -1.5])
    shown = [line[0] for line in csv.reader((tmp_path / "a.csv").open(newline=""))][1:]
    assert shown == [
        *("'=1+1", "'+a", "'-a", "'@a", "'\ta", "'\ra", "''=1", "''", "-1.5", "+3e-05", "-inf", "a=b", "'- 1"),
    ]
    assert read_csv(tmp_path / "a.csv")[1] == [{"cell": cell, "number": "-1.5"} for cell in cells]


def test_empty_rows_of_a_spreadsheet_are_no_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("first,second\n1,\n\n,\n,,,\n")
    assert read_csv(tmp_path / "a.csv")[1] == [{"first": "1", "second": ""}]


def test_csv_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    lines = [["1", 'say "x", twice'], ["Größe", "two\nlines"], ["", " "]]
    with csv_file(tmp_path / "new" / "a.csv", ["first", "second"]) as write_line:
        for line in lines:
            write_line(line)
    columns, found = read_csv(tmp_path / "new" / "a.csv")
    assert columns == ["first", "second"]
    assert [list(line.values()) for line in found] == lines
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,b\n1\n", "line 2: 1 values; expected 2: a, b"),
        (b"a,a\n1,2\n", "2 columns are called 'a'; expected one"),
        (b"a;b\n1;2\n", "its columns are separated by semicolons; save it as CSV with commas"),
        (b'a\n"1\n', "line 2: .*; expected CSV"),
        (b"a\n\xe9\n", r"a\.csv is not UTF-8 \(.* at byte 2\); save it as UTF-8"),
    ],
)
def test_a_malformed_csv_is_an_error_with_its_place(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(TableError, match=message):
        read_csv(tmp_path / "a.csv")


def test_a_file_is_hard_linked_or_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_results_are_up_to_date_if_all_exist_and_none_is_older_than_its_sources(tmp_path: Path) -> None:
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
    # A result is as old as its content; a source is as old as its place in the folder.
    assert not is_up_to_date([moved], [moved])


def test_leftovers_of_a_killed_process_are_recognised(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a\nb.png"):
        (name,) = (path.name for path in tmp_path.iterdir())
        assert is_leftover(name)
    assert not any(is_leftover(name) for name in ("a.png", "a.1.tmp", ".a.png", ".tmp", ".a.tmp", ".a.x.tmp", ".1.tmp"))


def test_a_name_that_fits_leaves_room_for_the_temporary_suffix(tmp_path: Path) -> None:
    longest = "ö" * 121
    assert excess_bytes(longest) <= 0
    (tmp_path / f".{longest}.{1 << 22}.tmp").touch()
    assert excess_bytes(longest + "abcde") == 5


def test_json_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    content = {"Größe": [1, 2.5, None], "no text": "a\udce9.png"}
    write_json(tmp_path / "new" / "a.json", content)
    assert read_json(tmp_path / "new" / "a.json", OutputError, "") == content
    assert "Größe" in (tmp_path / "new" / "a.json").read_text("utf-8")


@pytest.mark.parametrize("data", [b"", b'"\xff"'])
def test_damaged_json_is_an_error_that_says_what_to_do(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(OutputError, match=r"a\.json is damaged \(.*\); restore it from a copy$"):
        read_json(tmp_path / "a.json", OutputError, "restore it from a copy")


def test_text_is_read_without_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert read_utf8(tmp_path / "a.txt", TableError) == "one\r\ntwo"


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("old")
    digests = [digest_of_file(tmp_path, name) for name in "abc"]
    assert find_damaged(tmp_path, digests) == {}
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("longer")
    (tmp_path / "c").unlink()
    assert find_damaged(tmp_path, digests) == {"a": "has other content", "b": "has 6 bytes, not 3", "c": "is missing"}
