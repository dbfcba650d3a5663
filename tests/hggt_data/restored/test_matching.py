"""Restored files are matched to patch groups, and every fault of files and groups is listed at once."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hggt_data.errors import MatchError
from hggt_data.groups import Group, GroupSource
from hggt_data.io.images import write_png
from hggt_data.loading import open_groups
from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import Method, name_methods, read_methods
from hggt_data.schema import Label
from tests.hggt_data.memory_source import MemorySource

ROCKET = "rocket-214-329"
BLANK = np.zeros((12, 12, 3), np.uint8)


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
    return MemorySource({group_id: {"01": (BLANK, Label.POSITIVE)} for group_id in ids})


def test_names_without_a_suffix_beside_system_files(bicubic: Path, source: GroupSource) -> None:
    for path in list(bicubic.iterdir()):
        path.rename(path.with_name(path.name.replace("_bicubic", "")))
    for name in (".DS_Store", "Thumbs.db", f"._{ROCKET}.png", "psnr_ssim.txt"):
        (bicubic / name).write_bytes(b"x")
    assert _match(bicubic, source)[ROCKET] == f"{ROCKET}.png"


def test_the_longest_id_wins_and_names_may_contain_underscores(tmp_path: Path) -> None:
    ids = ["my_cat-0-8", "my_cat-0-8_b-1-2", "my_cat-0-80"]
    names = ["my_cat-0-8_x4_v2.png", "my_cat-0-8_b-1-2_x4_v2.png", "my_cat-0-80_x4.png"]
    for name in names:
        write_png(tmp_path / name, BLANK)
    assert _match(tmp_path, _blank_source(*ids)) == dict(zip(ids, names, strict=True))


def test_a_suffix_selects_files(bicubic: Path, source: GroupSource) -> None:
    expected = {path.name.removesuffix("_bicubic.png"): path.name for path in bicubic.iterdir()}
    assert _match(bicubic, source) == expected
    for path in list(bicubic.iterdir()):
        shutil.copy(path, path.with_name(path.name.replace("bicubic", "other")))
    with pytest.raises(MatchError, match=r"several restored images, .*: 6 of 6"):
        _match(bicubic, source)
    assert _match(bicubic, source, "bicubic") == _match(bicubic, source, "_bicubic") == expected


@pytest.mark.parametrize("pattern", ["out_{id}x4.png", "{id}/{id}_300000.png"])
def test_files_are_found_by_a_pattern(bicubic: Path, source: GroupSource, tmp_path: Path, pattern: str) -> None:
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
    unknown = folder / pattern.replace("{id}", "unknown-0-0")
    unknown.parent.mkdir(exist_ok=True)
    shutil.copy(next(bicubic.iterdir()), unknown)
    with pytest.raises(MatchError, match=r"my net: restored images without a group: 1\n  .*unknown") as error:
        match_restored(methods, source)
    assert "PATCHID_ANYTHING" not in str(error.value)


def _write_map(folder: Path, files: Iterable[tuple[str, str]]) -> list[Method]:
    rows = [f"{group_id},{file}" for group_id, file in files]
    (folder / "files.csv").write_text("\n".join(["id,file", *rows]))
    (folder / "methods.toml").write_text('[mapped]\nmap = "files.csv"\n')
    return read_methods(folder / "methods.toml")


def test_files_are_found_by_a_map(bicubic: Path, source: GroupSource, tmp_path: Path) -> None:
    rows = [(path.stem.removesuffix("_bicubic"), f"bicubic/{path.name}") for path in bicubic.iterdir()]
    (found,) = match_restored(_write_map(tmp_path, rows), source)
    assert found.files[ROCKET] == tmp_path / "bicubic" / f"{ROCKET}_bicubic.png"
    with pytest.raises(MatchError) as error:
        match_restored(_write_map(tmp_path, [*rows[1:], rows[1], ("unknown-0-0", "x.png")]), source)
    assert "no restored image" in str(error.value)
    assert "groups with several restored images" in str(error.value)
    assert "there is no group unknown-0-0" in str(error.value)


def test_one_file_for_two_groups_is_ambiguous(tmp_path: Path) -> None:
    write_png(tmp_path / "one.png", BLANK)
    (tmp_path / "x").mkdir()
    methods = _write_map(tmp_path, [("a-0-0", "one.png"), ("a-0-8", "x/../one.png")])
    with pytest.raises(MatchError) as error:
        match_restored(methods, _blank_source("a-0-0", "a-0-8"), allow_missing=True)
    assert "or with another group's image: 2 of 2\n  a-0-0: one.png is also the image of a-0-8" in str(error.value)


def test_absolute_files_of_a_map_beside_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one.png", "two.png"):
        write_png(tmp_path / name, BLANK)
    _write_map(tmp_path, [("a-0-0", f"{tmp_path}/one.png"), ("a-0-8", "two.png")])
    (found,) = match_restored(read_methods("methods.toml"), _blank_source("a-0-0", "a-0-8"))
    assert [found.method.file_name(path) for path in found.files.values()] == ["one.png", "two.png"]


def test_missing_files_of_a_map_are_listed(tmp_path: Path) -> None:
    write_png(tmp_path / "one.png", BLANK)
    methods = _write_map(tmp_path, [("a-0-0", "one.png"), ("a-0-8", "x/two.png")])
    with pytest.raises(MatchError) as error:
        match_restored(methods, _blank_source("a-0-0", "a-0-8"))
    assert "a-0-8: the map names x/two.png, which does not exist" in str(error.value)


def test_missing_maps_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "methods.toml").write_text('[one]\nmap = "nomap.csv"\n[two]\nmap = "no.csv"\n')
    with pytest.raises(MatchError, match=r"no such file: one: .*nomap\.csv; two: .*no\.csv; expected a CSV"):
        match_restored(read_methods(tmp_path / "methods.toml"), _blank_source("a-0-0"))


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _flip_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-2000]), "cut off"),
        (lambda path: Image.open(path).convert("L").save(path), "8-bit grey; expected 8-bit RGB"),
        (lambda path: Image.open(path).resize((150, 160)).save(path), "160 x 150; expected 160 x 160"),
        (lambda path: Image.open(path).save(path, exif=_turned()), "its eXIf chunk has orientation 6: some programs"),
    ],
    ids=["truncated", "grey", "size", "turned"],
)
def test_an_unusable_image_is_listed(
    bicubic: Path, source: GroupSource, damage: Callable[[Path], object], message: str
) -> None:
    damage(bicubic / f"{ROCKET}_bicubic.png")
    with pytest.raises(MatchError) as error:
        _match(bicubic, source)
    assert f"unusable restored images: 1\n  {ROCKET}_bicubic.png: " in str(error.value)
    assert message in str(error.value)
    assert "Names like" not in str(error.value)  # no other name would help


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
        "bicubic: groups without a restored image: 1 of 6\n  coffee-27-433",
        "another group's image: 1 of 6\n  chelsea-22-159",
        "bicubic: restored images without a group: 1\n  foo_x4.png",
        f"bicubic: unusable restored images: 1\n  {ROCKET}_bicubic.png: damaged",
        f"lanczos: groups without a restored image: 1 of 6\n  {ROCKET}",
        "`suffix`",
        "`allow_missing`",
    ):
        assert part in text


def test_allow_missing_keeps_the_rest_and_records_the_faults(bicubic: Path, source: GroupSource) -> None:
    _spoil(bicubic)
    (found,) = match_restored([Method("m", bicubic)], source, allow_missing=True)
    assert len(found.files) == len(found.sizes) == 3
    assert sorted(fault.kind for fault in found.faults) == ["ambiguous", "extra", "missing", "unusable"]


def test_no_file_at_all_is_an_error_even_if_missing_is_allowed(source: GroupSource, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        MatchError, match=r"image: 6 of 6\n  .*empty contains no images, not even in its subfolders; check"
    ):
        match_restored([Method("m", tmp_path / "empty")], source, allow_missing=True)


@pytest.mark.parametrize(
    ("name", "pattern", "suffix", "proposed"),
    [
        ("{id}_bicubic.png", None, "x2", "`suffix` bicubic."),
        ("{id}x4.png", None, None, "`suffix` x4."),
        ("x4/{id}_b.png", None, None, "the folder {folder}/x4."),
        ("net_{id}.png", None, None, 'a methods file (`methods`) with pattern = "net_{{id}}.png".'),
        ("{id}/out.png", None, None, 'a methods file (`methods`) with pattern = "{{id}}/out.png".'),
        ("{id}_x4.png", "{id}_x2.png", None, 'a methods file (`methods`) with pattern = "{{id}}_x4.png".'),
    ],
)
def test_a_setting_that_finds_the_files_is_proposed(
    bicubic: Path, source: GroupSource, name: str, pattern: str | None, suffix: str | None, proposed: str
) -> None:
    for group_id in source.ids:
        path = bicubic / name.format(id=group_id)
        path.parent.mkdir(exist_ok=True)
        (bicubic / f"{group_id}_bicubic.png").rename(path)
    with pytest.raises(MatchError) as error:
        match_restored([Method("m", bicubic, pattern)], source, suffix=suffix)
    expected = f"  Names like {name} exist for 6 of 6 groups; pass {proposed.format(folder=bicubic)}"
    assert str(error.value).splitlines()[-1] == expected


def test_several_files_of_each_group_give_the_suffixes_to_choose_from(bicubic: Path, source: GroupSource) -> None:
    for path in list(bicubic.iterdir()):
        shutil.copy(path, path.with_name(path.name.replace("bicubic", "x4")))
    with pytest.raises(
        MatchError, match=r"Names like .* exist for 6 of 6 groups; pass `suffix` bicubic or `suffix` x4"
    ):
        match_restored([Method("m", bicubic)], source)


def test_output_for_other_groups_is_explained(bicubic: Path) -> None:
    with pytest.raises(MatchError, match=r"no name contains the id of a group \(first: a-0-0\); are these") as error:
        match_restored([Method("m", bicubic)], _blank_source("a-0-0"))
    assert len(str(error.value).splitlines()) == 1


def test_all_faults_of_the_groups_own_files_in_one_error(bicubic: Path, fixtures: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(fixtures / "Test", tmp_path / "Test"))
    chelsea, coffee, rocket = (
        next(group for group in open_groups(tree) if str(group.id) == name)
        for name in ("chelsea-22-159", "coffee-27-433", ROCKET)
    )
    home = tree / "GT" / "Test-mini"

    def picture(group: Group, name: str) -> Path:
        return home / "images" / name / f"{group.id}{'' if name == 'original' else '_' + name}.png"

    resized = picture(chelsea, chelsea.positives[0])
    Image.open(resized).resize((150, 160)).save(resized)
    cut = picture(coffee, "original")
    cut.write_bytes(cut.read_bytes()[:-2000])
    picture(rocket, rocket.positives[0]).unlink()
    (bicubic / f"{ROCKET}_bicubic.png").unlink()
    shutil.copy(bicubic / "chelsea-22-159_bicubic.png", bicubic / f"{ROCKET}_b.png")
    (bicubic / "unknown.png").write_bytes(b"")
    with pytest.raises(MatchError) as error:
        match_restored([Method("m", bicubic)], open_groups(tree))
    for part in (
        f"{resized}: 160 x 150 8-bit RGB; expected 160 x 160 8-bit RGB, as its",
        f"{cut}: cut off inside its IDAT chunk",
        f"{picture(rocket, rocket.positives[0])} cannot be read: No such file or directory\n",
        "hggt-data validate",
        "unknown.png",
    ):
        assert part in str(error.value)
    assert "chelsea-22-159_bicubic.png" not in str(error.value)


def test_an_annotation_that_disappeared_is_named(bicubic: Path, fixtures: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(fixtures / "Test", tmp_path / "Test"))
    source = open_groups(tree)
    annotation = tree / "GT/Test-mini/labels/A" / f"{ROCKET}.json"
    annotation.unlink()
    with pytest.raises(MatchError, match=f"the groups' own files have errors:\n  .*{annotation}"):
        match_restored([Method("m", bicubic)], source)


def test_missing_folders_are_all_named(source: GroupSource, tmp_path: Path) -> None:
    with pytest.raises(MatchError, match=r"no such folder of restored images: .*nowhere; .*gone"):
        match_restored([Method("a", tmp_path / "nowhere"), Method("b", tmp_path / "gone")], source)


def test_names_in_another_case_are_pointed_out(bicubic: Path, fixtures: Path) -> None:
    path = next(bicubic.glob("chelsea-22-159*"))
    path.rename(path.with_name("Chelsea-22-159_X4.PNG"))
    with pytest.raises(MatchError) as error:
        match_restored([Method("m", bicubic)], open_groups(fixtures / "Test"))
    text = str(error.value)
    assert "  Chelsea-22-159_X4.PNG; 'Chelsea-22-159' differs from 'chelsea-22-159' only in case\n" in text
    assert "  chelsea-22-159: no restored image\n" in text


@pytest.mark.parametrize(
    ("pattern", "map_lines", "found"),
    [
        (None, "", "cafe\u0301-0-0_x.png"),
        ("{id}_x.png", "", "cafe\u0301-0-0_x.png"),
        (None, "id,file\ncafe\u0301-0-0,cafe\u0301-0-0_x.png\n", "there is no group cafe\u0301-0-0"),
    ],
)
def test_names_in_another_unicode_form_are_explained(
    tmp_path: Path, pattern: str | None, map_lines: str, found: str
) -> None:
    source = _blank_source("caf\u00e9-0-0")
    write_png(tmp_path / "cafe\u0301-0-0_x.png", BLANK)
    map_file = tmp_path / "map.csv" if map_lines else None
    if map_file:
        map_file.write_text(map_lines, "utf-8")
    with pytest.raises(MatchError) as error:
        match_restored([Method("m", tmp_path, pattern, map_file)], source)
    assert rf"{found}; 'cafe\u0301-0-0' differs from 'caf\xe9-0-0' only in Unicode form" in str(error.value)


def test_a_group_without_positives_needs_no_restored_image(tmp_path: Path) -> None:
    source = MemorySource({"a-0-0": {"01": (BLANK, Label.POSITIVE)}, "b-0-0": {"01": (BLANK, Label.SIMILAR)}})
    write_png(tmp_path / "a-0-0.png", BLANK)
    [found] = match_restored([Method("m", tmp_path)], source)
    assert (list(map(str, found.files)), found.faults) == (["a-0-0"], ())


def test_negatives_that_will_be_compared_with_are_checked_too(tmp_path: Path) -> None:
    source = MemorySource({"a-0-0": {"01": (BLANK, Label.POSITIVE), "02": (BLANK[:8], Label.NEGATIVE)}})
    write_png(tmp_path / "a-0-0.png", BLANK)
    match_restored([Method("m", tmp_path)], source)
    with pytest.raises(MatchError, match=r"02 of a-0-0: 8 x 12 8-bit RGB; expected 12 x 12 8-bit RGB, as"):
        match_restored([Method("m", tmp_path)], source, negatives=True)


def test_a_suffix_that_does_not_fit_is_explained(bicubic: Path, source: GroupSource) -> None:
    path = bicubic / f"{ROCKET}_bicubic.png"
    path.rename(bicubic / f"{ROCKET}_x4_bicubic.png")
    with pytest.raises(
        MatchError, match=rf"{ROCKET}_x4_bicubic\.png \({ROCKET} has the suffix _x4_bicubic, not bicubic\)"
    ):
        match_restored([Method("m", bicubic)], source, suffix="bicubic")
