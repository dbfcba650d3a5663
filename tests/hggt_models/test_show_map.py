from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hggt_data import open_groups
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import DatasetError, OutputError
from hggt_data.io.images import Pixels, encode_png, read_pixels
from hggt_data.licence import HGGT_TERMS
from hggt_data.schema import ORIGINAL, Annotation, Label
from hggt_data.tree.hggt_folders import picture_name
from hggt_data.tree.hggt_labels import format_annotation
from hggt_data.tree.reader import TreeSource
from hggt_models.cli import main
from hggt_models.show_map import draw_maps, shade, write_map_pictures
from tests.hggt_data.trees import noise, write_bytes

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE
SIDE = 64  # of a picture, in pixels
CELL, GAP, TOP = 256, 12, 48  # of the drawing: a cell's side, the gap between cells, the top of the first row


def write_group(root: Path, group_id: str, candidates: Sequence[tuple[Pixels, Label]]) -> None:
    """Write a group with a grey original; all three annotators give the same labels."""
    names = tuple(f"{k + 1:02}" for k in range(len(candidates)))
    pictures = {ORIGINAL: np.full((SIDE, SIDE, 3), 128, np.uint8)}
    pictures |= zip(names, (pixels for pixels, _ in candidates), strict=True)
    for name, pixels in pictures.items():
        write_bytes(root / "images/0-9" / name / picture_name(group_id, name), encode_png(pixels))
    for slot in "ABC":
        annotation = Annotation(slot, tuple(label for _, label in candidates))
        write_bytes(
            root / f"labels/0-9/{slot}/{group_id}.json", format_annotation(annotation, group_id, names).encode()
        )


def changed(rows: slice, columns: slice) -> Pixels:
    """The grey original with noise in one place."""
    pixels = np.full((SIDE, SIDE, 3), 128, np.uint8)
    pixels[rows, columns] = noise((SIDE, SIDE), "changed")[rows, columns]
    return pixels


def cell(picture: Image.Image, column: int, row: int = 0) -> Pixels:
    """One cell of the drawing, at the size of the group's pictures."""
    left, top = GAP + column * (CELL + GAP), TOP + row * (CELL + 54 + GAP)
    return np.asarray(picture.crop((left, top, left + CELL, top + CELL)))[:: CELL // SIDE, :: CELL // SIDE]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Group 0 has two negatives and a positive, 1 no positive, 2 no negative."""
    upper, lower = slice(8, 24), slice(40, 56)
    candidates = (changed(lower, lower), changed(upper, upper), changed(lower, lower))
    write_group(tmp_path / "Train", "p-0-0", list(zip(candidates, (P, N, N), strict=True)))
    write_group(tmp_path / "Train", "p-0-1", list(zip(candidates, (S, N, S), strict=True)))
    write_group(tmp_path / "Train", "p-0-2", list(zip(candidates, (P, S, S), strict=True)))
    return tmp_path / "Train"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["show-map", *map(str, arguments)])


def test_the_map_is_bright_exactly_where_only_the_negative_differs(tree: Path) -> None:
    group = open_groups(tree)[0]
    picture = draw_maps(group)
    near = np.zeros((SIDE, SIDE), bool)
    near[7:25, 7:25] = True  # a window of 3 px reaches one pixel beyond the change
    of_positive, of_negative, refined = (cell(picture, column) for column in (3, 4, 5))
    assert refined[~near].max() == 0
    assert refined[9:23, 9:23].max(-1).min() > 0
    assert refined[9:23, 9:23].max(-1).mean() > 128
    assert np.array_equal(of_negative, refined)
    assert np.array_equal(of_positive[39:57, 39:57].max(-1) > 0, near[7:25, 7:25])
    # The second negative equals the positive.
    assert cell(picture, 4, row=1).max() > 128
    assert cell(picture, 5, row=1).max() == 0
    for column, name in enumerate((ORIGINAL, "01", "02")):
        assert np.array_equal(cell(picture, column), group.read(name))


def test_without_a_positive_its_cells_are_empty_and_the_map_is_not_refined(tree: Path) -> None:
    picture = draw_maps(open_groups(tree)[1])
    assert np.ptp(cell(picture, 1)) < 10
    assert np.array_equal(cell(picture, 1), cell(picture, 3))
    assert np.array_equal(cell(picture, 4), cell(picture, 5))
    assert cell(picture, 5).max() > 128


def test_a_negative_that_equals_its_original_has_a_black_map(tmp_path: Path) -> None:
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    write_group(tmp_path / "Train", "p-0-0", [(grey, N)])
    assert cell(draw_maps(open_groups(tmp_path / "Train")[0]), 5).max() == 0


def test_equal_steps_of_a_map_are_equal_steps_of_lightness() -> None:
    colours = shade(np.linspace(0, 1.2, 241, dtype=np.float32)[None], 1)[0] / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    wanted = np.linspace(0, 97.6, 201)
    assert np.abs(lightness[:201] - wanted).max() < 5
    assert (np.diff(lightness[:201:10]) > 0).all()
    assert (colours[200:] == colours[200]).all()


def test_a_folder_gets_one_picture_for_each_of_the_first_groups_with_a_negative(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "new/maps"
    paths = write_map_pictures(open_groups(tree), output)
    assert paths == [output / "p-0-0_map.png", output / "p-0-1_map.png"]
    assert sorted(output.iterdir()) == [output / "LICENSE.txt", *paths]
    assert HGGT_TERMS in (output / "LICENSE.txt").read_text()
    assert write_map_pictures(open_groups(tree), output, num=1) == paths[:1]


def test_a_file_gets_all_maps_stacked(tree: Path, tmp_path: Path) -> None:
    groups = open_groups(tree)
    assert write_map_pictures(groups, tmp_path / "maps.png", ["p-0-1", "p-0-0", "p-0-1"]) == [tmp_path / "maps.png"]
    assert HGGT_TERMS in (tmp_path / "maps.png.LICENSE.txt").read_text()
    pixels = read_pixels(tmp_path / "maps.png")
    first, second = (np.asarray(draw_maps(groups[k])) for k in (1, 0))
    assert np.array_equal(pixels[GAP : GAP + len(first)], first)
    assert np.array_equal(pixels[2 * GAP + len(first) :][: len(second)], second)


def test_a_group_without_an_original_has_no_map(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TreeSource, "has_picture", lambda _, index, name: (index, name) != (0, "original"))
    groups = open_groups(tree)
    with pytest.raises(DatasetError, match=r"p-0-0 lacks a negative or an original, so it has no map; .* one: p-0-1$"):
        write_map_pictures(groups, tmp_path / "maps", ["p-0-0"])
    assert [path.name for path in write_map_pictures(groups, tmp_path / "maps")] == ["p-0-1_map.png"]


def test_groups_without_a_map_are_refused(tree: Path, tmp_path: Path) -> None:
    groups = open_groups(tree)
    with pytest.raises(DatasetError, match=r"Train: p-0-2 lacks a negative .* have one: p-0-0, p-0-1$"):
        write_map_pictures(groups, tmp_path / "maps", ["p-0-0", "p-0-2"])
    with pytest.raises(DatasetError, match=r"Train has no group P-0-1; 'P-0-1' differs from 'p-0-1' only in case$"):
        write_map_pictures(groups, tmp_path / "maps", ["P-0-1"])
    with pytest.raises(OutputError, match=r"maps\.jpg: expected a file name that ends in \.png, or a folder$"):
        write_map_pictures(groups, tmp_path / "maps.jpg")
    assert not (tmp_path / "maps").exists()


def test_data_without_any_negative_is_refused(tmp_path: Path) -> None:
    write_group(tmp_path / "Train", "p-0-0", [(changed(slice(0, 8), slice(0, 8)), P)])
    groups = open_groups(tmp_path / "Train")
    with pytest.raises(
        DatasetError, match=r"Train: none of its 1 groups has a negative and an original; nothing to draw$"
    ):
        write_map_pictures(groups, tmp_path / "maps")
    with pytest.raises(
        DatasetError, match=r"p-0-0 lacks a negative or an original, so it has no map; no group here has one$"
    ):
        write_map_pictures(groups, tmp_path / "maps", ["p-0-0"])


def test_the_command_on_a_tree_and_on_a_dataset(fixtures: Path, tmp_path: Path) -> None:
    result = run("--data", fixtures / "Train", "--num", 1, "--output", tmp_path / "maps")
    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'maps/astronaut-322-321_map.png'}\n")
    dataset = tmp_path / "hggt"
    trees, test_tree = (fixtures / "Train",), fixtures / "Test"
    build_dataset(BuildSettings(trees, output=dataset, test_tree=test_tree, allow_overlap=True, workers=1))
    result = run("--data", dataset, "--output", tmp_path / "train.png")
    assert (result.exit_code, result.output) == (0, f"{tmp_path / 'train.png'}\n")
    arguments = ("--data", dataset, "--split", "test", "--group", "rocket-214-329")
    assert run(*arguments, "--output", tmp_path / "test.png").exit_code == 0
    (of_tree,) = write_map_pictures(open_groups(fixtures / "Train"), tmp_path / "tree.png")
    assert of_tree.read_bytes() == (tmp_path / "train.png").read_bytes()
    (of_tree,) = write_map_pictures(open_groups(fixtures / "Test"), tmp_path / "tree.png", ["rocket-214-329"])
    assert of_tree.read_bytes() == (tmp_path / "test.png").read_bytes()


def test_the_command_reports_errors_in_one_line(tree: Path, tmp_path: Path) -> None:
    result = run("--data", tree, "--group", "p-0-2", "--output", tmp_path / "maps.png")
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.endswith(
        "p-0-2 lacks a negative or an original, so it has no map; groups that have one: p-0-0, p-0-1\n"
    )
    result = run("--data", tree, "--group", "p-0-0", "--num", 2, "--output", tmp_path / "maps.png")
    assert result.exit_code == 2
    assert "--group and --num cannot be combined" in result.output
    result = run("--data", tree, "--revision", "v1", "--output", tmp_path / "maps.png")
    assert result.exit_code == 2
    assert "has no revisions" in result.output
