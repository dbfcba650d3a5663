"""PSNR and SSIM as a short script of one's own computes them: one pair after the other, in one process.

python benchmarks/plain_psnr_ssim.py TREE RESTORED

Every image is read with OpenCV for every pair, 4 pixels are cut off each side, and the formulas are taken term by term
in float64: 10 log10(255^2 / mse), and SSIM with an 11 x 11 Gaussian window (sigma 1.5) on the valid region, channel by
channel (Wang et al. 2004).
"""

import json
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

BORDER = 4
SLOTS = ("A", "B", "C")
WINDOW = cv2.getGaussianKernel(11, 1.5) @ cv2.getGaussianKernel(11, 1.5).T


def main() -> None:
    """Print the means over positives, then over groups."""
    tree, restored = map(Path, sys.argv[1:])
    means = []
    for path in sorted(restored.glob("*.png")):
        scores = []
        for candidate in ("01", "02", "03", "04"):
            if is_positive(tree, path.stem, candidate):
                first, second = read(path), read(tree / "images" / candidate / f"{path.stem}_{candidate}.png")
                scores.append(
                    (psnr(first, second), float(np.mean([ssim(first[..., k], second[..., k]) for k in range(3)])))
                )
        means.append(np.mean(scores, axis=0))
    print("{:.4f} {:.4f}".format(*np.mean(means, axis=0)))


def is_positive(tree: Path, group: str, candidate: str) -> bool:
    """Whether most annotators say so."""
    votes: Counter[str] = Counter()
    for slot in SLOTS:
        pictures = json.loads((tree / "labels" / slot / f"{group}.json").read_text("utf-8"))
        votes.update(one["Label"] for one in pictures.values() if one.get("File") == candidate)
    return votes["Positive"] > 1


def read(path: Path) -> Values:
    """Pixels without their border, in float64."""
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return pixels[BORDER:-BORDER, BORDER:-BORDER].astype(np.float64)


def psnr(a: Values, b: Values) -> float:
    """In dB."""
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


def ssim(a: Values, b: Values) -> float:
    """Of one channel."""

    def smooth(values: Values) -> Values:
        return np.asarray(cv2.filter2D(values, -1, WINDOW)[5:-5, 5:-5], np.float64)

    mean_a, mean_b = smooth(a), smooth(b)
    variance_a, variance_b = smooth(a**2) - mean_a**2, smooth(b**2) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((similarity / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))).mean())


if __name__ == "__main__":
    main()
