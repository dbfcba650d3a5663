"""Members of zip files that may come from anyone: what is refused, and that damage never changes what is read."""

import copy
import random
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hggt_data.errors import TreeError
from hggt_data.io.zip_members import ZipMembers, ZipPart

WHOLE = 1 << 20


def make_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def read(path: Path) -> ZipMembers:
    return ZipMembers((ZipPart.of(path),))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_read_whole_or_from_their_beginning(tmp_path: Path, method: int) -> None:
    noise = random.Random(1).randbytes(100_000)
    members = read(make_zip(tmp_path / "a.zip", {"a/noise.png": noise, "a/empty": b""}, method))
    assert members.read("a/noise.png", WHOLE) == noise
    assert members.read_start("a/noise.png", 33) == noise[:33]
    assert members.read("a/empty", WHOLE) == b""
    assert members.folder("a") is not None
    assert members.is_file("a/empty")
    assert not members.is_file("a")


def test_a_member_is_not_read_beyond_the_limit(tmp_path: Path) -> None:
    members = read(make_zip(tmp_path / "a.zip", {"a": b"12345"}))
    with pytest.raises(OSError, match="larger than 4 bytes"):
        members.read("a", 4)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../up", "may lead outside"),
        ("a/../../up", "may lead outside"),
        ("/etc/passwd", "may lead outside"),
        ("C:/a", "may lead outside"),
        ("a\\..\\b", "may lead outside"),
        ("a//b", "may lead outside"),
        ("a\nb", "control characters"),
        ("a/" * 33 + "b", "more than 32 levels"),
        ("a" * 256, "more than 255 characters"),
    ],
)
def test_unsafe_names_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    path = make_zip(tmp_path / "a.zip", {"good": b"", "placeholder": b""})
    with zipfile.ZipFile(path, "w") as file:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name  # the constructor would mend it
        file.writestr(info, b"")
    with pytest.raises(TreeError, match=reason):
        read(path)


def encrypt(info: zipfile.ZipInfo) -> None:
    info.flag_bits |= 1


def link(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


def make_pipe(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFIFO | 0o600) << 16


def use_deflate64(info: zipfile.ZipInfo) -> None:
    info.compress_type = 9


@pytest.mark.parametrize(
    ("change", "reason"),
    [(encrypt, "encrypted"), (link, "symbolic link"), (make_pipe, "device or pipe"), (use_deflate64, "Deflate64")],
)
def test_members_of_other_kinds_are_refused(
    tmp_path: Path, change: Callable[[zipfile.ZipInfo], None], reason: str
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a", b"1")
        change(file.filelist[0])
    with pytest.raises(TreeError, match=rf"{reason}.* \(1\): a"):
        read(tmp_path / "a.zip")


def test_a_member_that_unpacks_to_much_more_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"zeros": bytes(3 << 20)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(TreeError, match="200 times its size"):
        read(path)


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a", b"1")
        file.filelist.append(copy.copy(file.filelist[0]))
        file.filelist[1].filename = "b"
    with pytest.raises(TreeError, match="overlaps with another member"):
        read(tmp_path / "a.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_all_faults_are_in_one_message(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("../a", "../b", "twice", "twice", "file", "file/inside"):
            file.writestr(name, b"1")
    with pytest.raises(TreeError) as caught:
        read(tmp_path / "a.zip")
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'a.zip'}: 4 members cannot be used; if you trust the file, unpack it and pass the folder",
        "  the name may lead outside the folder (2): ../a, ../b",
        "  there twice (1): twice",
        "  in a file, not in a folder (1): file/inside",
    ]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-30], r"it is damaged, or cut off after \d+ bytes"),
        (lambda data: b"<html>", "it starts with b'<html>'"),
        (lambda data: b"", "it is empty"),
    ],
)
def test_what_is_not_a_whole_zip_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], reason: str) -> None:
    path = make_zip(tmp_path / "a.zip", {"a": b"1"})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TreeError, match=f"not a whole zip file: {reason}.*; download it again"):
        read(path)


def test_a_member_on_another_disk_shows_a_split_zip_file(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a": b"1"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 34] = 1
    path.write_bytes(data)
    with pytest.raises(TreeError, match=r"zip -s 0 .*a\.zip --out .*a-whole\.zip"):
        read(path)


def test_a_zip_file_with_64_bit_sizes_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    path = make_zip(tmp_path / "a.zip", {"a": b"1" * 50, "b": b"2"})
    assert b"PK\6\6" in path.read_bytes()
    assert read(path).read("a", WHOLE) == b"1" * 50


def test_utf_8_names_are_read_with_and_without_the_flag(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"été": b"1"})
    assert read(path).read("été", WHOLE) == b"1"
    data = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + flags + 1] &= ~0x8
    path.write_bytes(data)  # as macOS writes it
    assert read(path).read("été", WHOLE) == b"1"
    path.write_bytes(data.replace("été".encode(), "été ".encode("cp850") + b"\x82"))
    with pytest.raises(TreeError, match="the name is not UTF-8"):
        read(path)


def test_copies_that_macos_adds_are_ignored(tmp_path: Path) -> None:
    members = read(make_zip(tmp_path / "a.zip", {"Train/a": b"1", "__MACOSX/Train/._a": b"2"}))
    assert list(members.folder("") or ()) == ["Train"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_is_an_error_and_never_gives_other_bytes(tmp_path: Path, method: int) -> None:
    expected = {f"images/{k}.png": random.Random(k).randbytes(40) + bytes(40) for k in range(4)}
    data = make_zip(tmp_path / "a.zip", expected, method).read_bytes()
    draws, damaged = random.Random(method), 0
    for k in range(300):
        bad = bytearray(data)
        bad[draws.randrange(len(bad))] ^= 1 << draws.randrange(8)
        if k % 3 == 0:
            del bad[draws.randrange(len(bad)) :]
        path = tmp_path / "bad.zip"
        path.write_bytes(bad)
        try:
            members = read(path)
            for name, content in expected.items():
                assert members.read(name, WHOLE) == content
        except (TreeError, OSError):
            damaged += 1
    assert damaged > 200
