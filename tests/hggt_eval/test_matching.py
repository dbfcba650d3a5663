import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hggt_data.errors import MatchError
from hggt_data.images import write_png
from hggt_data.loading import GroupSource, open_groups
from hggt_data.schema import Label, PatchId
from hggt_eval.matching import Method, match_restored, name_methods, read_methods, require_distinct
from tests.hggt_eval.memory_source import MemorySource

ROCKET = "rocket-214-329"


@pytest.fixture
def source(fixtures: Path) -> GroupSource:
    return open_groups(fixtures / "Test")


@pytest.fixture
def bicubic(fixtures: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage; its files are `ID_bicubic.png`."""
    return Path(shutil.copytree(fixtures / "restored" / "bicubic", tmp_path / "bicubic"))


def _match(folder: Path, source: GroupSource, suffix: str | None = None) -> dict[str, str]:
    (found,) = match_restored([Method("m", folder)], source, suffix=suffix)
    return {str(group_id): path.name for group_id, path in found.files.items()}


def _blank_source(*ids: str) -> MemorySource:
    pixels = np.zeros((12, 12, 3), np.uint8)
    return MemorySource({group_id: {"01": (pixels, Label.POSITIVE)} for group_id in ids})


def test_names_with_an_ending(bicubic: Path, source: GroupSource) -> None:
    found = _match(bicubic, source)
    assert len(found) == 6
    assert found[ROCKET] == f"{ROCKET}_bicubic.png"


def test_names_without_an_ending_and_system_files(bicubic: Path, source: GroupSource) -> None:
    for path in list(bicubic.iterdir()):
        path.rename(path.with_name(path.name.replace("_bicubic", "")))
    for name in (".DS_Store", "Thumbs.db", f"._{ROCKET}.png", "psnr_ssim.txt"):
        (bicubic / name).write_bytes(b"x")
    assert _match(bicubic, source)[ROCKET] == f"{ROCKET}.png"


def test_longest_id_wins_and_underscores_may_stand_anywhere(tmp_path: Path) -> None:
    ids = ["my_cat-0-8", "my_cat-0-8_b-1-2", "my_cat-0-80"]
    pixels = np.zeros((12, 12, 3), np.uint8)
    names = ["my_cat-0-8_x4_v2.png", "my_cat-0-8_b-1-2_x4_v2.png", "my_cat-0-80_x4.png"]
    for name in names:
        write_png(tmp_path / name, pixels)
    assert _match(tmp_path, _blank_source(*ids)) == dict(zip(ids, names, strict=True))


@pytest.mark.parametrize("suffix", ["bicubic", "_bicubic"])
def test_suffix_says_which_files_are_meant(bicubic: Path, source: GroupSource, suffix: str) -> None:
    for path in list(bicubic.iterdir()):
        shutil.copy(path, path.with_name(path.name.replace("bicubic", "other")))
    with pytest.raises(MatchError, match="6 groups have several restored images"):
        _match(bicubic, source)
    assert _match(bicubic, source, suffix)[ROCKET] == f"{ROCKET}_bicubic.png"


@pytest.mark.parametrize("pattern", ["{id}x4.png", "out_{id}.png", "{id}/{id}_300000.png"])
def test_patterns(bicubic: Path, source: GroupSource, tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "results"
    for path in bicubic.iterdir():
        target = folder / pattern.replace("{id}", path.stem.removesuffix("_bicubic"))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (tmp_path / "methods.toml").write_text(f'["my net"]\ndir = "results"\npattern = "{pattern}"\n')
    methods = read_methods(tmp_path / "methods.toml")
    (found,) = match_restored(methods, source)
    assert len(found.files) == 6
    assert found.method.name == "my net"
    stranger = folder / pattern.replace("{id}", "stranger-0-0")
    stranger.parent.mkdir(exist_ok=True)
    shutil.copy(next(bicubic.iterdir()), stranger)
    with pytest.raises(MatchError, match=r"my net: 1 pictures match no group\n  .*stranger"):
        match_restored(methods, source)


def test_map(bicubic: Path, source: GroupSource, tmp_path: Path) -> None:
    rows = [f"{path.stem.removesuffix('_bicubic')},bicubic/{path.name}" for path in bicubic.iterdir()]
    (tmp_path / "files.csv").write_text("\n".join(["id,file", *rows]))
    (tmp_path / "methods.toml").write_text('[mapped]\nmap = "files.csv"\n')
    (found,) = match_restored(read_methods(tmp_path / "methods.toml"), source)
    assert found.files[PatchId.parse(ROCKET)] == tmp_path / "bicubic" / f"{ROCKET}_bicubic.png"
    (tmp_path / "files.csv").write_text("\n".join(["id,file", *rows[1:], rows[1], "stranger-0-0,x.png"]))
    with pytest.raises(MatchError) as error:
        match_restored(read_methods(tmp_path / "methods.toml"), source)
    assert "no restored image" in str(error.value)
    assert "1 groups have several" in str(error.value)
    assert "no group stranger-0-0" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[m\n", "not TOML"),
        ("", "no methods"),
        ('[m]\npatern = "x"\ndir = "y"', r"key 'patern' is not known; did you mean 'pattern'\?"),
        ('[m]\npattern = "{id}.png"', "has no 'dir'"),
        ('[m]\ndir = "d"\npattern = "{name}.png"', "must hold {id} and no other braces"),
        ('[m]\ndir = "d"\npattern = "{id}.png"\nmap = "x.csv"', "has both 'pattern' and 'map'"),
        ("[m]\ndir = 3", "'dir' is 3; expected text"),
        ('m = "x"', "is not a table"),
    ],
)
def test_faults_of_a_methods_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "methods.toml").write_text(text)
    with pytest.raises(MatchError, match=message):
        read_methods(tmp_path / "methods.toml")


def _cut_rows(path: Path) -> None:
    """A PNG that is whole by its checksums but has only some of its rows: Pillow alone would load it."""
    info = Image.open(path).size
    rows = zlib.compress(b"\0" * (info[0] * 3 + 1) * (info[1] // 3))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", *info, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def _flip_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "empty file"),
    "text": (lambda path: path.write_bytes(b"hello, not a picture"), "not a PNG"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-2000]), "cut off"),
    "bit flip": (_flip_bit, "damaged"),
    "rows missing": (_cut_rows, "cannot be decoded"),
    "grey": (lambda path: Image.open(path).convert("L").save(path), "8-bit grey; expected 8-bit RGB"),
    "alpha": (lambda path: Image.open(path).convert("RGBA").save(path), "RGB with alpha; expected 8-bit RGB"),
    "16 bit": (
        lambda path: Image.fromarray(np.zeros((160, 160), np.uint16)).save(path),
        "16-bit grey; expected 8-bit RGB",
    ),
    "size": (lambda path: Image.open(path).resize((150, 160)).save(path), "160 x 150; expected 160 x 160"),
    "JPEG inside": (lambda path: Image.open(path).save(path, "JPEG"), "not a PNG"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_unusable_picture(bicubic: Path, source: GroupSource, name: str) -> None:
    damage, message = DAMAGES[name]
    damage(bicubic / f"{ROCKET}_bicubic.png")
    with pytest.raises(MatchError) as error:
        _match(bicubic, source)
    assert "1 restored images cannot be scored" in str(error.value)
    assert f"{ROCKET}_bicubic.png: " in str(error.value)
    assert message in str(error.value)


def _spoil(bicubic: Path) -> None:
    """One fault of each kind, on four groups."""
    (bicubic / "coffee-27-433_bicubic.png").unlink()
    shutil.copy(bicubic / "chelsea-22-159_bicubic.png", bicubic / "chelsea-22-159_copy.png")
    shutil.copy(bicubic / "chelsea-22-159_bicubic.png", bicubic / "foo_x4.png")
    _flip_bit(bicubic / f"{ROCKET}_bicubic.png")


def test_all_faults_of_all_methods_in_one_error(bicubic: Path, source: GroupSource, tmp_path: Path) -> None:
    lanczos = Path(shutil.copytree(bicubic, tmp_path / "lanczos"))
    _spoil(bicubic)
    (lanczos / f"{ROCKET}_bicubic.png").unlink()
    with pytest.raises(MatchError) as error:
        match_restored(name_methods([(None, bicubic), (None, lanczos)]), source)
    text = str(error.value)
    for part in (
        "bicubic: 1 of 6 groups have no restored image\n  coffee-27-433",
        "bicubic: 1 groups have several restored images\n  chelsea-22-159",
        "bicubic: 1 pictures match no group\n  foo_x4.png",
        f"bicubic: 1 restored images cannot be scored\n  {ROCKET}_bicubic.png: damaged",
        f"lanczos: 1 of 6 groups have no restored image\n  {ROCKET}",
        "--suffix",
        "--allow-missing",
    ):
        assert part in text


def test_allow_missing_keeps_the_rest_and_the_faults(bicubic: Path, source: GroupSource) -> None:
    _spoil(bicubic)
    (found,) = match_restored([Method("m", bicubic)], source, allow_missing=True)
    assert len(found.files) == len(found.sizes) == 3
    assert sorted(fault.kind for fault in found.faults) == ["ambiguous", "extra", "missing", "unusable"]


def test_no_file_at_all_is_an_error_even_if_missing_is_allowed(source: GroupSource, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MatchError, match="6 of 6 groups have no restored image"):
        match_restored([Method("m", tmp_path / "empty")], source, allow_missing=True)


def test_missing_folders_are_all_named(source: GroupSource, tmp_path: Path) -> None:
    with pytest.raises(MatchError, match=r"none at a: .*nowhere; b: .*gone"):
        match_restored([Method("a", tmp_path / "nowhere"), Method("b", tmp_path / "gone")], source)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["out/bicubic"], ["bicubic"]),
        (["out/swinir/Test-100", "out/rrdb/Test-100"], ["swinir", "rrdb"]),
        (["out/rrdb/x4/a", "out/rrdb/x2/a"], ["x4", "x2"]),
        (["out/a/b/res", "out/c/d/res"], ["a-b", "c-d"]),
        (["out/rrdb/Test-100", "out/rrdb/Test-50"], ["Test-100", "Test-50"]),
        (["out", "out/rrdb"], ["out", "rrdb"]),
    ],
)
def test_default_names(paths: list[str], names: list[str]) -> None:
    assert [method.name for method in name_methods([(None, Path(path)) for path in paths])] == names


def test_clashing_names_are_an_error() -> None:
    with pytest.raises(MatchError, match=r"two methods have the name 'A': x and y; name them with NAME=DIR"):
        require_distinct([Method("a", Path("x")), Method("A", Path("y"))])
    with pytest.raises(MatchError, match="two methods have the name 'rrdb'"):
        name_methods([(None, Path("rrdb")), (None, Path("rrdb"))])


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "a:b", " a", "a.", "scores.csv", "a\n"])
def test_names_that_cannot_be_folders(name: str) -> None:
    with pytest.raises(MatchError, match="give another with NAME=DIR"):
        Method(name, Path("x"))
