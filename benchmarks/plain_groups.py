"""The plain way to samples of groups, which `bench_loader.py` and `bench_train.py` compare with.

It follows the official loaders' data path: for each sample all five PNGs are decoded and become float32, and the three
annotators' JSONs are parsed; what is used of them is chosen afterwards. Nothing is kept from one sample to the next.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

CANDIDATES = ("01", "02", "03", "04")
POSITIVE, SIMILAR, NEGATIVE = 1, 2, 3
_NUMBERS = {"Positive": POSITIVE, "Similar": SIMILAR, "Negative": NEGATIVE}

Decoder = Callable[[Path], NDArray[np.float32]]


def decode_with_pillow(path: Path) -> NDArray[np.float32]:
    """Float32 (H, W, 3) in [0, 1]."""
    with Image.open(path) as picture:
        pixels: NDArray[np.float32] = np.divide(np.asarray(picture), 255, dtype=np.float32)
        return pixels


def decode_with_opencv(path: Path) -> NDArray[np.float32]:
    """The same with OpenCV, as in the official code."""
    import cv2

    pixels: Any = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    pixels = np.divide(pixels, 255, dtype=np.float32)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


class PlainGroups(Dataset[Mapping[str, Tensor]]):
    """All of a group for each sample: `original`, `01`.. as float32 (3, H, W), `labels` and `agreement`, (4,).

    Args:
        tree: of groups with four candidates and three annotators.
        decode: a PNG file.
    """

    def __init__(self, tree: Path, decode: Decoder = decode_with_pillow) -> None:
        self._images = next(tree.rglob("original")).parent
        self._labels = next(tree.rglob("A")).parent
        self._stems = sorted(path.stem for path in (self._images / "original").iterdir())
        self._decode = decode

    def __len__(self) -> int:
        return len(self._stems)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Sample `number`; groups come in their order, over and over."""
        stem = self._stems[number % len(self)]
        paths = {name: self._images / name / f"{stem}_{name}.png" for name in CANDIDATES}
        paths["original"] = self._images / "original" / f"{stem}.png"
        arrays = {name: self._decode(path) for name, path in paths.items()}
        votes = []
        for slot in "ABC":
            content = json.loads((self._labels / slot / f"{stem}.json").read_text("utf-8"))
            votes.append([_NUMBERS[content[f"Picture_{k}"]["Label"]] for k in range(2, len(CANDIDATES) + 2)])
        judged = [_consensus([vote[k] for vote in votes]) for k in range(len(CANDIDATES))]
        mirrored = random.random() < 0.5
        images = {name: torch.from_numpy(array).permute(2, 0, 1) for name, array in arrays.items()}  # (3, H, W)
        return {
            **{name: image.flip(2) if mirrored else image for name, image in images.items()},
            "labels": torch.tensor([label for label, _ in judged]),
            "agreement": torch.tensor([agreement for _, agreement in judged]),
        }


def draw(labels: list[int], wanted: int) -> str | None:
    """Name of one of the candidates with this label; None if there is none."""
    fitting = [name for name, label in zip(CANDIDATES, labels, strict=True) if label == wanted]
    return random.choice(fitting) if fitting else None


def _consensus(votes: list[int]) -> tuple[int, int]:
    """Label and agreement of three votes."""
    label, count = Counter(votes).most_common(1)[0]
    return (label, count) if count > 1 else (SIMILAR, 1)
