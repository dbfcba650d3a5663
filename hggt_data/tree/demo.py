"""A small HGGT tree of real pictures, for trying hggt and for tests.

The pictures are crops of public-domain photographs (`demo_pictures/`). The candidates are made by ordinary image
filters and the annotators are simulated, so the demo's numbers have no meaning. The same seed writes the same bytes.
"""

import io
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from hggt_data.errors import OutputError
from hggt_data.io.files import write_text
from hggt_data.io.images import write_png
from hggt_data.schema import ORIGINAL, Annotation, Label, PatchId
from hggt_data.tree.hggt_folders import picture_name
from hggt_data.tree.hggt_labels import format_annotation

CANDIDATES = ("01", "02", "03", "04")
SCALE = 4
_PATCH = 192
_LR_FOLDER = Path("Blind_Degradation_Benchmark_LQ", "Test-demo", "Blind_LR")
_SOURCES = """image,origin,author,licence
astronaut,https://flic.kr/p/r9qvLn,NASA,public domain
chelsea,scikit-image,Stefan van der Walt,CC0
coffee,scikit-image,Rachel Michetti,CC0
rocket,https://www.flickr.com/photos/spacexphotos/16511594820/,SpaceX,public domain
"""
# Probabilities that a simulated annotator gives Positive and Similar; the rest is Negative.
_OPINIONS = {"01": (0.85, 0.1), "02": (0.2, 0.6), "03": (0.1, 0.2), "04": (0.75, 0.2)}


@dataclass(frozen=True)
class DemoTree:
    """The folders of the demo, and a CSV with origin, author and licence of its pictures."""

    train: Path
    test: Path
    lr: Path
    sources: Path


def write_demo(folder: Path, seed: int = 0) -> tuple[Path, ...]:
    """Write a small tree and two restored folders; returns the paths of what was written.

    Args:
        folder: Folder to write to; created if missing.
        seed: Random seed for the simulated annotators and for the noise in the LR images.
    """
    tree = write_demo_tree(folder, seed)
    return (tree.train, tree.test, tree.sources, *write_demo_restored(tree.lr, folder / "restored"))


def write_demo_tree(folder: Path | str, seed: int = 0) -> DemoTree:
    """Write `Train/`, `Test/` (with LR) and `sources.csv`: 6 groups each, 192 x 192, from two source pictures each.

    Args:
        folder: Folder to write to; created if missing.
        seed: Random seed for the simulated annotators and for the noise in the LR images.

    Returns:
        The paths of what was written.

    Raises:
        OutputError: some of it already exists.

    Example:
        >>> import tempfile
        >>> from hggt_data import write_demo_tree
        >>> write_demo_tree(tempfile.mkdtemp()).train.name
        'Train'
    """
    folder = Path(folder)
    for name in ("Train", "Test", "sources.csv"):
        if (folder / name).exists():
            raise OutputError(f"{folder / name} already exists; choose another folder")
    demo = DemoTree(folder / "Train", folder / "Test", folder / "Test" / _LR_FOLDER, folder / "sources.csv")
    _write_groups(demo.train / "images" / "0-6", demo.train / "labels" / "0-6", ("astronaut", "chelsea"), seed)
    home = demo.test / "GT" / "Test-demo"
    for group_id, original in _write_groups(home / "images", home / "labels", ("coffee", "rocket"), seed):
        _write_picture(demo.lr / f"{group_id}.png", _degrade(original, random.Random(f"lr {seed} {group_id}")))
    write_text(demo.sources, _SOURCES)
    return demo


def write_demo_restored(lr: Path, folder: Path) -> tuple[Path, Path]:
    """Enlarge LR images fourfold into `bicubic/` and, sharpened afterwards, `sharper/`; returns both folders."""
    bicubic, sharper = folder / "bicubic", folder / "sharper"
    for path in sorted(lr.glob("*.png")):
        with Image.open(path) as small:
            large = small.resize((small.width * SCALE, small.height * SCALE), Image.Resampling.BICUBIC)
        _write_picture(bicubic / f"{path.stem}_bicubic.png", large)
        _write_picture(sharper / f"{path.stem}_sharper.png", large.filter(ImageFilter.UnsharpMask(2, 120, 2)))
    return bicubic, sharper


def _write_groups(images: Path, labels: Path, names: tuple[str, ...], seed: int) -> list[tuple[str, Image.Image]]:
    originals = []
    for name in names:
        with (files("hggt_data.tree") / "demo_pictures" / f"{name}.png").open("rb") as file:
            picture = Image.open(file).convert("RGB")
        for top, left in ((0, 0), (16, 96), (96, 40)):
            group_id = str(PatchId(name, top, left))
            original = picture.crop((left, top, left + _PATCH, top + _PATCH))
            originals.append((group_id, original))
            for candidate, version in {ORIGINAL: original, **_enhance(original)}.items():
                _write_picture(images / candidate / picture_name(group_id, candidate), version)
            _write_annotations(labels, group_id, seed)
    return originals


def _enhance(original: Image.Image) -> dict[str, Image.Image]:
    """Four versions: gently sharpened, smoothed, over-sharpened, more contrast and a little sharper."""
    return {
        "01": original.filter(ImageFilter.UnsharpMask(1.2, 80, 0)),
        "02": original.filter(ImageFilter.MedianFilter(3)),
        "03": original.filter(ImageFilter.UnsharpMask(3, 300, 0)),
        "04": ImageEnhance.Contrast(original.filter(ImageFilter.UnsharpMask(0.8, 60, 0))).enhance(1.12),
    }


def _degrade(original: Image.Image, rng: random.Random) -> Image.Image:
    """A realistic LR picture: blur, a quarter of the size, noise, JPEG."""
    size = (original.width // SCALE, original.height // SCALE)
    small = original.filter(ImageFilter.GaussianBlur(0.8)).resize(size, Image.Resampling.BOX)
    noise = np.random.default_rng(rng.getrandbits(64)).normal(0, 2, (*size[::-1], 3))
    noisy = np.clip(np.asarray(small) + noise, 0, 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=90)
    return Image.open(buffer).convert("RGB")


def _write_annotations(labels: Path, group_id: str, seed: int) -> None:
    for slot in "ABC":
        rng = random.Random(f"{seed} {group_id} {slot}")
        chosen = tuple(_simulate_label(rng, *_OPINIONS[candidate]) for candidate in CANDIDATES)
        start = datetime(2022, 8, 5, 9) + timedelta(seconds=rng.randrange(8 * 3600))
        seconds = rng.randint(12, 70)
        annotation = Annotation(slot, chosen, start, start + timedelta(seconds=seconds), seconds)
        write_text(labels / slot / f"{group_id}.json", format_annotation(annotation, group_id, CANDIDATES))


def _simulate_label(rng: random.Random, positive: float, similar: float) -> Label:
    return rng.choices(list(Label), (positive, similar, 1 - positive - similar))[0]


def _write_picture(path: Path, picture: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.asarray(picture))
