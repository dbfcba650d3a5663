"""The colours of labels: one place, enough contrast, and distinct with any kind of colour vision."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hggt_data.palette import PALETTE, TEXT_ON_MARK, format_palette_css
from hggt_data.schema import Label

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("hggt_data", "hggt_eval", "hggt_models", "scripts")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".css", ".js", ".html", ".svg") and path != ROOT / "hggt_data/palette.py"
]
# White paper and cards, the pages, and contact sheets; the annotation page, its panes and dialogs, and the gallery.
LIGHT = ("#ffffff", "#f3f5f7", "#f4f4f2")
DARK = ("#1f1f1f", "#222222", "#262626", "#333333")
# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
VISION = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> NDArray[np.float64]:
    """sRGB to linear light, from 0 to 1."""
    values = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2."""
    darker, lighter = sorted(float(linear(colour) @ XYZ[1]) for colour in (first, second))
    return (lighter + 0.05) / (darker + 0.05)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* of linear RGB."""
    xyz = XYZ @ rgb.clip(0, 1) / XYZ.sum(axis=1)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("label", Label)
def test_labels_are_readable_on_light_and_dark_pages(label: Label) -> None:
    colours = PALETTE[label]
    assert min(contrast(colours.mark, page) for page in (*LIGHT, *DARK)) >= 3
    assert min(contrast(colours.on_light, page) for page in LIGHT) >= 4.5
    assert min(contrast(colours.on_dark, page) for page in DARK) >= 4.5
    assert contrast(TEXT_ON_MARK, colours.mark) >= 4.5


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("kind", ["mark", "on_light", "on_dark"])
def test_labels_are_distinct_with_any_kind_of_colour_vision(vision: str, kind: str) -> None:
    seen = [lab(np.array(VISION[vision]) @ linear(getattr(PALETTE[label], kind))) for label in Label]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) > 15


def test_the_palette_stands_once() -> None:
    own = {code for colours in PALETTE.values() for code in (colours.mark, colours.on_light, colours.on_dark)}
    coloured_label = re.compile(r"(positive|similar|negative)\b[^\n;}]{0,40}[\s{:=(\"']#[0-9a-f]{3,6}\b", re.IGNORECASE)
    for path in SOURCES:
        text = path.read_text("utf-8")
        assert not {code for code in own if code in text.lower()}, path
        assert not coloured_label.search(re.sub(r"\{\s*", "{ ", text)), path


def test_pages_take_the_palette_as_css_variables() -> None:
    css = format_palette_css()
    for label, colours in PALETTE.items():
        assert f"--{label.class_name}: {colours.mark};" in css
    used = {
        name for path in SOURCES if path.suffix == ".css" for name in re.findall(r"var\((--[\w-]+)\)", path.read_text())
    }
    defined = {
        name for path in SOURCES if path.suffix == ".css" for name in re.findall(r"(--[\w-]+):", path.read_text())
    }
    assert used <= defined | set(re.findall(r"(--[\w-]+):", css))
    assert {"--positive", "--similar", "--negative"} <= used
