"""Atomic files and hashes."""

import hashlib
from pathlib import Path

import pytest

from hggt_data.files import atomic_file, sha256_of, sha256_of_file, write_text


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


def test_hashes_are_sha256_over_all_blocks(tmp_path: Path) -> None:
    data = b"0123456789abcdef" * 600_000  # more than two of the blocks in which files are read
    path = tmp_path / "a"
    path.write_bytes(data)
    assert sha256_of(data) == sha256_of_file(path) == hashlib.sha256(data).hexdigest()
