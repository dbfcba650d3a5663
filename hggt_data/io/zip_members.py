"""The members of complete zip files, which may come from anyone: names and sizes are checked first, bytes when read.

Nothing is ever unpacked to disk. Python's `zipfile` reads the directory at the end of a file; its objects are not kept.
Source: APPNOTE.TXT, the .ZIP File Format Specification, 6.3.10.
"""

import errno
import os
import re
import shlex
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from isal import isal_zlib

from hggt_data.errors import TreeError
from hggt_data.io.text import format_examples, join_lines, plural

_STORED, _DEFLATED = 0, 8
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "encryption"}
_IS_ENCRYPTED, _IS_UTF8 = 0x1, 0x800  # flags of a member
# Absolute (also on Windows), `.`, `..` and empty parts; a backslash is a separator for some programs only.
_ESCAPING = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|^[A-Za-z]:|\\")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_LONG_PART = re.compile(r"[^/]{256}")
_MOST_LEVELS = 32
_MOST_RATIO, _HARMLESS_BYTES = 200, 1 << 20  # PNGs hardly shrink; labels shrink tenfold
_MACOS_FOLDER = "__MACOSX/"  # copies of names with the attributes of macOS

_HEADER = struct.Struct("<4s22xHH")  # of a member: mark, length of its name, length of the extra field
_HEADER_MARK = b"PK\3\4"
_RECORD = struct.Struct("<HQQQIB")
_FOLDER = -1


class ZipPart(NamedTuple):
    """One zip file, and what shows that it was replaced."""

    path: Path
    size_bytes: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "ZipPart":
        """The part as it is now."""
        return cls._of(path, path.stat())

    @classmethod
    def _of(cls, path: Path, status: os.stat_result) -> "ZipPart":
        return cls(path, status.st_size, status.st_mtime_ns)

    def open(self) -> int:
        """A descriptor to read the file; an OSError if it is no longer the same file."""
        handle = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if self._of(self.path, os.fstat(handle)) != self:
            os.close(handle)
            raise OSError(errno.ESTALE, "the zip file changed while it was in use; run again", str(self.path))
        return handle


class _Member(NamedTuple):
    """Where a member is, its sizes in the zip file and unpacked, and its CRC-32."""

    part: int
    offset: int
    packed_bytes: int
    size_bytes: int
    crc: int
    method: int


class ZipMembers:
    """The members of zip files, as if all were unpacked into one folder. A name is a path with forward slashes.

    TreeError lists every member that cannot be read or is unsafe. About 250 bytes are kept per member.
    """

    def __init__(self, parts: Sequence[ZipPart]) -> None:
        self._parts = parts
        self._folders: dict[str, dict[str, int]] = {"": {}}
        self._records = bytearray()  # one `_RECORD` for each file, by its number
        faults: list[tuple[str, str]] = []
        for number, part in enumerate(parts):
            faults += self._add_part(number, part)
        if faults:
            raise TreeError(_describe(faults, parts))

    def folder(self, name: str) -> Mapping[str, int] | None:
        """The names in a folder; None if there is no such folder."""
        return self._folders.get(name)

    def is_file(self, name: str) -> bool:
        """Whether there is a file of this name."""
        folder, _, own = name.rpartition("/")
        return self._folders.get(folder, {}).get(own, _FOLDER) != _FOLDER

    def read(self, name: str, most_bytes: int) -> bytes:
        """The bytes of a member, compared with its checksum; an OSError as for a file, or if it is damaged."""
        member = self._find(name)
        if member.size_bytes > most_bytes:
            raise OSError(errno.EFBIG, f"larger than {most_bytes:,} bytes", name)
        data = self._unpack(name, member, member.size_bytes + 1)
        if len(data) != member.size_bytes:
            raise self._damaged(name, member, f"{len(data):,} bytes instead of {member.size_bytes:,}")
        if isal_zlib.crc32(data) != member.crc:
            raise self._damaged(name, member, "its checksum is wrong")
        return data

    def read_start(self, name: str, size_bytes: int) -> bytes:
        """The first bytes of a member, without comparing its checksum."""
        return self._unpack(name, self._find(name), size_bytes)

    def _find(self, name: str) -> _Member:
        folder, _, own = name.rpartition("/")
        number = self._folders.get(folder, {}).get(own)
        if number is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        if number == _FOLDER:
            raise OSError(errno.EINVAL, "not a regular file", name)
        return _Member(*_RECORD.unpack_from(self._records, number * _RECORD.size))

    def _unpack(self, name: str, member: _Member, most_bytes: int) -> bytes:
        """At most so many bytes of a member."""
        handle = self._parts[member.part].open()
        try:
            header = os.pread(handle, _HEADER.size, member.offset)
            mark, *lengths = _HEADER.unpack(header) if len(header) == _HEADER.size else (b"", 0, 0)
            start = member.offset + _HEADER.size
            if mark != _HEADER_MARK or os.pread(handle, lengths[0], start).rstrip(b"/") != name.encode():
                raise self._damaged(name, member, "its header is not where the directory says")
            if member.method == _STORED:
                return os.pread(handle, min(most_bytes, member.packed_bytes), start + sum(lengths))
            packed = os.pread(handle, min(2 * most_bytes + 1024, member.packed_bytes), start + sum(lengths))
        finally:
            os.close(handle)
        try:
            return isal_zlib.decompressobj(-15).decompress(packed, most_bytes)
        except isal_zlib.IsalError as error:  # type: ignore[misc]  # the stub calls it an instance
            raise self._damaged(name, member, "its compressed data is damaged") from error

    def _damaged(self, name: str, member: _Member, reason: str) -> OSError:
        return OSError(errno.EIO, f"damaged in {self._parts[member.part].path.name}: {reason}", name)

    def _add_part(self, number: int, part: ZipPart) -> Iterator[tuple[str, str]]:
        """Add the members of one zip file; (name, reason) of each that cannot be used."""
        end = 0
        with _open(part.path) as file:
            for info in sorted(file.infolist(), key=attrgetter("header_offset")):
                name, reason = _check(info)
                if info.header_offset < end:
                    reason = "overlaps with another member, as in a zip bomb"
                end = max(end, info.header_offset + _HEADER.size + info.compress_size)
                if name.startswith(_MACOS_FOLDER):
                    continue
                yield from [(name, reason)] if reason else self._add(number, name, info)
            if end > file.start_dir:
                raise TreeError(f"{part.path} is damaged: its last member reaches into the directory at its end")

    def _add(self, part: int, name: str, info: zipfile.ZipInfo) -> Iterator[tuple[str, str]]:
        """Add one member and the folders that it is in."""
        parent, _, own = name.rstrip("/").rpartition("/")
        is_folder = name.endswith("/")
        try:
            names = self._make_folder(parent)
            if is_folder:
                self._make_folder(name.rstrip("/"))
        except NotADirectoryError:
            yield name, "in a file, not in a folder"
            return
        if is_folder:
            return
        if own in names:
            yield name, "there twice"
            return
        names[own] = len(self._records) // _RECORD.size
        self._records += _RECORD.pack(
            part, info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type
        )

    def _make_folder(self, name: str) -> dict[str, int]:
        names = self._folders.get(name)
        if names is None:
            parent, _, own = name.rpartition("/")
            if self._make_folder(parent).setdefault(own, _FOLDER) != _FOLDER:
                raise NotADirectoryError
            names = self._folders[name] = {}
        return names


def _open(path: Path) -> zipfile.ZipFile:
    """The zip file; TreeError if it is not a whole one."""
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError) as error:
        with open(path, "rb") as damaged:
            start = damaged.read(len(_HEADER_MARK) + 4)
        if start.startswith(_HEADER_MARK):
            reason = f"it is damaged, or cut off after {path.stat().st_size:,} bytes"
        else:
            reason = f"it starts with {start!r}" if start else "it is empty"
        raise TreeError(f"{path} is not a whole zip file: {reason}; download it again") from error
    if any(info.volume for info in file.infolist()):
        file.close()
        raise TreeError(join_advice(path))
    return file


def join_advice(path: Path) -> str:
    """What is wrong with the last part (`X.zip`) of a split zip file, and the command that joins its parts."""
    whole = path.with_name(f"{path.stem}-whole.zip")
    command = shlex.join(["zip", "-s", "0", str(path), "--out", str(whole)])
    return f"{path} is the last part of a split zip file; join the parts with `{command}`, and pass {whole}"


def _check(info: zipfile.ZipInfo) -> tuple[str, str]:
    """The name of a member, and why it cannot be used; empty if it can."""
    name = info.orig_filename
    if not name.isascii() and not info.flag_bits & _IS_UTF8:
        try:  # zipfile takes it for code page 437; macOS writes UTF-8 and does not say so
            name = name.encode("cp437").decode()
        except UnicodeDecodeError:
            return name, "the name is not UTF-8"
    plain = name.removesuffix("/")
    if _ESCAPING.search(plain):
        return name, "the name may lead outside the folder"
    if _CONTROL_CHARACTER.search(plain):
        return name, "control characters in the name"
    if _LONG_PART.search(plain) or plain.count("/") >= _MOST_LEVELS:
        return name, f"more than {_MOST_LEVELS} levels, or more than 255 characters in one"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return name, "symbolic link" if kind == stat.S_IFLNK else "device or pipe"
    if info.flag_bits & _IS_ENCRYPTED:
        return name, "encrypted"
    if info.compress_type not in (_STORED, _DEFLATED):
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        return name, f"compressed by {method}; expected Deflate"
    if info.file_size > max(_HARMLESS_BYTES, _MOST_RATIO * info.compress_size):
        return name, f"unpacks to more than {_MOST_RATIO} times its size, as a zip bomb does"
    return name, ""


def _describe(faults: Sequence[tuple[str, str]], parts: Sequence[ZipPart]) -> str:
    names: dict[str, list[str]] = {}
    for name, reason in faults:
        names.setdefault(reason, []).append(name)
    where, count = format_examples([str(part.path) for part in parts]), plural(len(faults), "member")
    heading = f"{where}: {count} cannot be used; if you trust the file, unpack it and pass the folder"
    return join_lines([heading, *(f"  {reason} ({len(of):,}): {format_examples(of)}" for reason, of in names.items())])
