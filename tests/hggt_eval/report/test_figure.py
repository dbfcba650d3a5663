"""The figure is checked through its pixels and its text."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hggt_data.errors import HggtError, MatchError, SettingsError
from hggt_data.io.images import read_pixels, write_png
from hggt_data.loading import open_groups
from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import name_methods
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.protocol import evaluate
from hggt_eval.report.figure import FORMATS, draw_figure, write_figure
from hggt_eval.report.figure_layout import Crop
from hggt_eval.report.pictures import ScoredPictures
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings
from hggt_eval.scores.scores import MethodScores

CROP = Crop.parse("astronaut-231-286:40,52,48")


@pytest.fixture(scope="module")
def folder(fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Restored images that a test may change."""
    return Path(shutil.copytree(fixtures / "restored", tmp_path_factory.mktemp("figure") / "restored"))


@pytest.fixture(scope="module")
def pictures(fixtures: Path, folder: Path) -> ScoredPictures:
    source = open_groups(fixtures / "Test")
    methods = name_methods([(None, folder / name) for name in ("bicubic", "lanczos")])
    scored = evaluate(source, match_restored(methods, source), [METRICS["psnr"].load(MetricSettings())])
    restored = {method.name: str(method.folder) for method in methods}
    settings = Settings(("psnr",), 4, "rgb", "cpu", str(fixtures / "Test"), "0" * 64, restored=restored)
    return ScoredPictures(scored, settings)


def texts(figure: Any) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def rendered(figure: Any, tmp_path: Path, dpi: int = 100) -> NDArray[np.uint8]:
    write_figure(figure, tmp_path / "figure.png", dpi)
    return np.asarray(Image.open(tmp_path / "figure.png").convert("RGB"))


def inside(figure: Any, picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """The pixels of the axes with that number."""
    box = figure.axes[number].get_position()
    height, width = picture.shape[:2]
    rows = slice(round((1 - box.y1) * height), round((1 - box.y0) * height))
    return picture[rows, round(box.x0 * width) : round(box.x1 * width)]


def test_tiles_are_labelled_in_order_with_scores(pictures: ScoredPictures) -> None:
    figure = draw_figure(pictures, [CROP], ["lanczos", "bicubic"], metrics=["psnr"])
    best, other = (pictures.scores(name, CROP.id) for name in ("lanczos", "bicubic"))
    assert best is not None
    assert other is not None
    assert texts(figure) == [
        *("astronaut-231-286", "PSNR ↑"),
        *("LR", ""),
        *("lanczos", f"{best.mean['psnr']:.2f}"),
        *("bicubic", f"{other.mean['psnr']:.2f}"),
        *("original", ""),
        *("03 (Positive)", ""),  # three agree on it, two on 01
    ]
    weights = [text.get_fontweight() for axes in figure.axes for text in axes.texts]
    assert [bool(weight == "bold") for weight in weights] == [False] * 5 + [True] + [False] * 6


def test_tiles_show_the_pixels_of_the_crop(pictures: ScoredPictures, tmp_path: Path) -> None:
    crop = Crop(CROP.id, 42, 53, 30)  # starts and ends inside LR pixels
    figure = draw_figure(pictures, [crop], ["bicubic"])
    picture = rendered(figure, tmp_path, dpi=400)
    group = pictures.group(crop.id)
    # Compare the middle of every pixel, because rounding affects the edges only.
    middles = (np.arange(crop.size) + 0.5) / crop.size
    wholes = (pictures.restored("bicubic", crop.id), group.read("original"), group.read("03"))
    for number, whole in enumerate(wholes, start=2):
        shown = inside(figure, picture, number)
        expected = whole[crop.top : crop.top + crop.size, crop.left : crop.left + crop.size]
        found = shown[(middles * shown.shape[0]).astype(int)][:, (middles * shown.shape[1]).astype(int)]
        assert (found == expected).mean() > 0.999
    shown, lr = inside(figure, picture, 1), group.read("lr")
    for y in (0.1, 0.5, 0.85):  # away from the edges between LR pixels
        for x in (0.13, 0.47, 0.85):
            place = lr[int((42 + 30 * y) / 4), int((53 + 30 * x) / 4)]
            assert (shown[int(y * shown.shape[0]), int(x * shown.shape[1])] == place).all()


def test_no_text_is_wider_than_its_picture(pictures: ScoredPictures) -> None:
    figure = draw_figure(pictures, [CROP], ["bicubic", "lanczos"], metrics=["psnr"], width_in=2.5)
    for axes in figure.axes:
        for text in axes.texts:
            assert text.get_window_extent().width <= axes.get_window_extent().width * 1.02


def test_pdf_and_svg_hold_text_and_lossless_pictures(pictures: ScoredPictures, tmp_path: Path) -> None:
    figure = draw_figure(pictures, [CROP], ["bicubic"])
    figure.axes[2].texts[0].set_text("a$b_1$")  # a dollar sign is not a formula
    write_figure(figure, tmp_path / "figure.pdf")
    data = (tmp_path / "figure.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert b"/FontFile2" in data  # TrueType, not Type 3
    assert b"/Type3" not in data
    assert b"DCTDecode" not in data  # no JPEG inside
    write_figure(figure, tmp_path / "figure.svg")
    assert ">a$b_1$<" in (tmp_path / "figure.svg").read_text()
    with pytest.raises(SettingsError, match=r"`path` is .*; expected a name that ends in .pdf, .png, .svg"):
        write_figure(figure, tmp_path / "figure.jpg")
    assert not (tmp_path / "figure.jpg").exists()


def test_files_state_the_licence_of_the_pictures(pictures: ScoredPictures, tmp_path: Path) -> None:
    figure = draw_figure(pictures, [CROP], ["bicubic"])
    for ending in FORMATS:
        write_figure(figure, tmp_path / f"figure{ending}")
    wanted = "Licence of the pictures: HGGT terms: non-commercial academic research, no redistribution"
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.info["Copyright"] == wanted
    assert f"/Subject ({wanted})".encode() in (tmp_path / "figure.pdf").read_bytes()
    assert wanted in (tmp_path / "figure.svg").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("coffee", "^'coffee'; expected ID:TOP,LEFT,SIZE in pixels, such as 0001-586-1469:120,64,96"),
        ("a/b:1,2,3", "^'a/b:1,2,3': 'a/b' is not a group id"),
        ("astronaut-231-286:1,2,0", "expected ID:TOP,LEFT,SIZE in pixels"),
    ],
)
def test_malformed_crops_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Crop.parse(text)


@pytest.mark.parametrize(
    ("crop", "methods", "others", "message"),
    [
        ("astronaut-231-286:140,0,48", ["bicubic"], {}, "ends at row 188 and column 48; the pictures are 160 x 160"),
        ("missing-0-0:0,0,48", ["bicubic"], {}, "has no group missing-0-0"),
        ("astronaut-231-286:0,0,48", ["swinir"], {}, "the scores have no method 'swinir'; they have"),
        (
            "astronaut-231-286:0,0,48",
            ["bicubic"],
            {"metrics": ["ssim"]},
            "the scores have no metric 'ssim'; they have psnr",
        ),
        ("astronaut-231-286:0,0,48", ["bicubic"], {"candidates": ["07"]}, "no candidate '07'; it has original, 01, 02"),
    ],
)
def test_missing_groups_methods_metrics_and_candidates_are_named(
    pictures: ScoredPictures, crop: str, methods: Sequence[str], others: dict[str, Any], message: str
) -> None:
    with pytest.raises(HggtError, match=message):
        draw_figure(pictures, [Crop.parse(crop)], methods, **others)


def test_a_picture_that_changed_since_it_was_scored_is_refused(pictures: ScoredPictures, folder: Path) -> None:
    [path] = (folder / "lanczos").glob("astronaut-304-202*")
    write_png(path, np.flip(read_pixels(path), axis=1))
    with pytest.raises(MatchError, match=r"astronaut-304-202.*has changed since it was scored"):
        draw_figure(pictures, [Crop.parse("astronaut-304-202:0,0,40")], ["lanczos"])
    path.unlink()
    with pytest.raises(MatchError, match=r"astronaut-304-202.* is missing; a relative path starts in the folder"):
        draw_figure(pictures, [Crop.parse("astronaut-304-202:0,0,40")], ["lanczos"])


def test_ground_truths_and_labels_that_changed_are_refused(
    pictures: ScoredPictures, fixtures: Path, tmp_path: Path
) -> None:
    settings = replace(pictures._settings, source=str(shutil.copytree(fixtures / "Test", tmp_path / "Test")))
    found = ScoredPictures(pictures.evaluation, settings)
    name = found.group(CROP.id).positives[0]
    [path] = tmp_path.glob(f"Test/GT/*/images/{name}/{CROP.id}_{name}.png")
    write_png(path, np.flip(read_pixels(path), axis=1))
    with pytest.raises(MatchError, match=rf"{CROP.id}_{name}\.png has changed since it was scored against"):
        draw_figure(found, [CROP], ["bicubic"], candidates=[name])
    for path in tmp_path.glob(f"Test/GT/*/labels/*/{CROP.id}.json"):
        path.write_text(path.read_text().replace("Positive", "Similar"))
    with pytest.raises(MatchError, match=rf"the labels of {CROP.id} have changed since it was scored"):
        draw_figure(ScoredPictures(pictures.evaluation, settings), [CROP], ["bicubic"])


def test_letters_that_the_font_lacks_are_reported(folder: Path, pictures: ScoredPictures) -> None:
    """Boxes in a paper's figure would be noticed late."""
    settings = replace(pictures._settings, restored={"神": str(folder / "bicubic")})
    found = pictures.scores("bicubic", CROP.id)
    assert found is not None
    renamed = Evaluation((METRICS["psnr"],), (MethodScores("神", (found,)),), (), 6)
    with pytest.raises(MatchError, match="the figure's font lacks 神; rename"):
        draw_figure(ScoredPictures(renamed, settings), [CROP], ["神"])
