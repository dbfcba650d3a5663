"""A small folder laid out like SRIQA-Bench: pairs of versions with ties, MOS by scipy, low-resolution images."""

import json
import random
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from hggt_data.io.images import encode_png
from hggt_data.statistics.choice_model import FloatArray
from tests.hggt_data.trees import noise, write_bytes

METHODS = ("BSRGAN", "SwinIR", "StableSR")
VERSIONS = (*METHODS, "Original")
_WORDS = {"first": ("Positive", "Negative"), "second": ("Negative", "Positive"), "tie": ("Similar", "Similar")}


def mos_by_scipy(wins: FloatArray) -> FloatArray:
    """SRIQA-Bench's MOS (0 to 100) of `wins[i, j]` votes that prefer i to j, where ties are votes for both."""
    size = len(wins)

    def loss(scores: FloatArray) -> float:
        probabilities = np.maximum(norm.cdf(scores[:, None] - scores[None, :]), 1e-6)
        return float((scores**2).sum() / 2 - (wins * np.log(probabilities)).sum())

    zero_sum = {"type": "eq", "fun": lambda scores: scores.sum()}
    scores = minimize(loss, np.zeros(size), method="SLSQP", constraints=[zero_sum], options={"ftol": 1e-13}).x
    return np.asarray(100 * (scores - scores.min()) / (scores.max() - scores.min()))


def picture(content: str, version: str) -> str:
    """The file name of a version's picture: `x1_SwinIRx4.png`, `x1_Original.png`."""
    return f"{content}_{version}.png" if version == "Original" else f"{content}_{version}x4.png"


def vote_path(root: Path, slot: str, content: str, first: str, second: str) -> Path:
    """The file of a vote, in which versions are in the order of `VERSIONS`."""
    stems = (picture(content, name).removesuffix(".png").removeprefix(f"{content}_") for name in (first, second))
    return root / "labels" / slot / content / f"{content}_{'_'.join(stems)}.json"


def write_vote(root: Path, slot: str, content: str, first: str, second: str, preferred: str) -> None:
    """One vote: `preferred` is `first`, `second` or `tie`."""
    words = _WORDS[preferred]
    entries = {
        f"Picture_0{k}": {"Name": picture(content, version), "Label": word}
        for k, (version, word) in enumerate(zip((first, second), words, strict=True), start=1)
    }
    write_bytes(vote_path(root, slot, content, first, second), json.dumps(entries).encode())


def write_sriqa_tree(
    root: Path, contents: tuple[str, ...] = ("x1", "x2", "x10"), slots: str = "ABCDE", seed: int = 0
) -> Path:
    """Write the folder: every pair of `VERSIONS` with one vote per slot, and the MOS that these votes give."""
    for content in contents:
        for version in VERSIONS:
            pixels = noise((16, 24), f"{seed} {content} {version}")
            write_bytes(root / "images" / version / picture(content, version), encode_png(pixels))
        write_bytes(root / "LRImages" / f"{content}_Original.png", encode_png(noise((4, 6), f"{seed} {content} lr")))
        rng = random.Random(f"{seed} {content}")
        wins = np.zeros((len(VERSIONS), len(VERSIONS)))
        for (i, first), (j, second) in combinations(enumerate(VERSIONS), 2):
            for slot in slots:
                preferred = rng.choices(("first", "second", "tie"), (1, 1 + i + j, 1))[0]
                write_vote(root, slot, content, first, second, preferred)
                wins[i, j] += preferred in ("first", "tie")
                wins[j, i] += preferred in ("second", "tie")
        write_mos(root / "MOS", content, VERSIONS, mos_by_scipy(wins))
        write_mos(root / "MOS_Gen", content, METHODS, mos_by_scipy(wins[:-1, :-1]))
    return root


def write_mos(folder: Path, content: str, versions: tuple[str, ...], mos: FloatArray) -> None:
    """The MOS of one content: a line such as `x1_SwinIRx4.png,53.1342` per version."""
    lines = [f"{picture(content, name)},{value:.4f}\n" for name, value in zip(versions, mos, strict=True)]
    write_bytes(folder / f"{content}.txt", "".join(lines).encode())
