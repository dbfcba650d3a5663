"""How fast `hggt_eval` scores, as a ratio to a plain loop over single pairs.

python benchmarks/bench_eval.py [--groups 12] [--dists-groups 12] [--rounds 3] [--methods 1,3,10] [--only lpips]

Plain loop: reads both files of every pair; PSNR in numpy float64, SSIM with a 2-D 11 x 11 `cv2.filter2D` in float64,
the `lpips` package, torchmetrics' DISTS. Ours: `match_restored`, which checks all files, then `evaluate`; cached: the
same once more, with the ground truths' features on disk from the run before. All get the same 512 x 512 pictures:
fixtures of the tests enlarged 4 times, with noise; 3 or 4 positives a group; random weights.
"""

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click
import cv2
import lpips
import numpy as np
import torch
import torchvision
from machine import describe_machine
from numpy.typing import NDArray
from PIL import Image
from torchmetrics.functional.image import dists as torchmetrics_dists

from hggt_data import match_restored, name_methods
from hggt_data.io.files import write_text
from hggt_data.io.images import Pixels, read_pixels, write_png
from hggt_data.loading import open_groups
from hggt_data.schema import Annotation, Label, PatchId
from hggt_data.tree.hggt_folders import picture_name
from hggt_data.tree.hggt_labels import format_annotation
from hggt_eval import METRICS, MetricSettings, evaluate
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics.backbones import empty_network
from hggt_eval.metrics.tensors import as_images

FIXTURES = Path(__file__).parents[1] / "tests" / "data" / "fixtures"
CANDIDATES = ("01", "02", "03", "04")
METHODS = tuple(f"method-{number}" for number in range(1, 11))
BORDER = 4
SIDE = 512

Pair = Callable[[Pixels, Pixels], object]


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the table: metrics, number of groups, and the plain loop's function for one pair."""

    title: str
    metrics: tuple[str, ...]
    num_groups: int
    plain: Pair


@click.command()
@click.option("--groups", default=12, show_default=True, help="Groups for PSNR, SSIM and LPIPS.")
@click.option("--dists-groups", default=12, show_default=True, help="Groups for DISTS, which takes seconds per pair.")
@click.option(
    "--rounds", default=3, show_default=True, help="Number of rounds; plain and ours alternate, the median is printed."
)
@click.option("--methods", default="1,3,10", show_default=True, help="Numbers of methods, at most 10; one line each.")
@click.option("--only", type=click.Choice(["psnr,ssim", "lpips", "dists"]), help="Measure only one row.")
def main(groups: int, dists_groups: int, rounds: int, methods: str, only: str | None) -> None:
    """Print the table."""
    print(describe_machine("torch", "opencv-python-headless", "lpips", "torchmetrics"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_weights(root / "weights")
        write_pictures(root, max(groups, dists_groups))
        jobs = [
            Job("PSNR+SSIM", ("psnr", "ssim"), groups, plain_psnr_ssim),
            Job("LPIPS", ("lpips",), groups, plain_lpips(root / "weights")),
            Job("DISTS", ("dists",), dists_groups, plain_dists(root / "weights")),
        ]
        heads = f"{'metrics':<10} {'methods':>7} {'groups':>6} {'plain':>9} {'ours':>9} {'ratio':>6}"
        print(f"{heads} {'cached':>9} {'ratio':>6}")
        for job in jobs:
            if only in (None, ",".join(job.metrics)):
                for num_methods in map(int, methods.split(",")):
                    plain, ours, cached = measure(root, job, num_methods, rounds)
                    print(
                        f"{job.title:<10} {num_methods:>7} {job.num_groups:>6} {plain:>7.2f} s {ours:>7.2f} s "
                        f"{plain / ours:>6.2f} {cached:>7.2f} s {plain / cached:>6.2f}",
                        flush=True,
                    )


def measure(root: Path, job: Job, num_methods: int, rounds: int) -> tuple[float, float, float]:
    """Median seconds of the plain loop, of ours, and of ours with a filled cache, measured alternately."""
    tree, methods = root / "tree", name_methods([(None, root / name) for name in METHODS[:num_methods]])
    ids = open_groups(tree).ids[: job.num_groups]
    source = open_groups(tree)
    source.ids = ids
    settings = MetricSettings(BORDER, weights_dir=root / "weights")
    comparers = [METRICS[name].load(settings) for name in job.metrics]

    def ours(cache: FeatureCache | None = None) -> None:
        evaluate(source, match_restored(methods, source, allow_missing=True), comparers, cache=cache)

    def cached() -> None:
        ours(FeatureCache(root / "cache"))

    def plain() -> None:
        for method in methods:
            for group in source:
                for name in group.positives:
                    restored = read_pixels(method.folder / f"{group.id}.png")
                    positive = read_pixels(tree / "images" / name / picture_name(group.id, name))
                    job.plain(_cropped(restored), _cropped(positive))

    cached()
    times: dict[Callable[[], None], list[float]] = {plain: [], ours: [], cached: []}
    for _ in range(rounds):
        for run, seconds in times.items():
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
    return statistics.median(times[plain]), statistics.median(times[ours]), statistics.median(times[cached])


def plain_psnr_ssim(restored: Pixels, positive: Pixels) -> object:
    """PSNR and SSIM of one pair, term by term."""
    a, b = restored.astype(np.float64), positive.astype(np.float64)
    psnr = 10 * np.log10(255**2 / np.mean((a - b) ** 2))
    return psnr, np.mean([_plain_ssim(a[..., k], b[..., k]) for k in range(3)])


def _plain_ssim(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    kernel = cv2.getGaussianKernel(11, 1.5)
    window = kernel @ kernel.T

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.filter2D(values, -1, window)[5:-5, 5:-5], np.float64)

    mean_a, mean_b = smooth(a), smooth(b)
    variance_a, variance_b = smooth(a**2) - mean_a**2, smooth(b**2) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    c1, c2 = 2.55**2, 7.65**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((similarity / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))).mean())


def plain_lpips(weights: Path) -> Pair:
    """The `lpips` package on one pair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package calls torchvision in an old way
        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    state = torch.load(weights / "alexnet_features.pth", weights_only=True)
    names = {key: f"features.{key.split('.', 2)[2]}" for key in network.state_dict() if key.startswith("net.")}
    network.load_state_dict({key: state[name] for key, name in names.items()}, strict=False)

    def pair(restored: Pixels, positive: Pixels) -> object:
        with torch.no_grad():
            return network(as_images(restored) * 2 - 1, as_images(positive) * 2 - 1).item()

    return pair


def plain_dists(weights: Path) -> Pair:
    """torchmetrics' DISTS on one pair."""
    vgg16 = torchvision.models.vgg16(weights=None, init_weights=False)
    vgg16.load_state_dict(torch.load(weights / "vgg16_features.pth", weights_only=True), strict=False)
    with mock.patch.object(torchmetrics_dists, "vgg16", return_value=vgg16):
        network = torchmetrics_dists.DISTSNetwork().eval()

    def pair(restored: Pixels, positive: Pixels) -> object:
        with torch.no_grad():
            return network(as_images(restored), as_images(positive)).item()

    return pair


def write_weights(folder: Path) -> None:
    """Write seeded random convolutions under the names that `--weights-dir` expects."""
    folder.mkdir()
    for name in ("alexnet", "vgg16"):
        generator = torch.Generator().manual_seed(0)
        shapes = {k: v.shape for k, v in empty_network(name).state_dict().items() if k.startswith("features.")}
        state = {
            key: torch.randn(shape, generator=generator) * (2 / max(shape[1:].numel(), 400)) ** 0.5
            for key, shape in shapes.items()
        }
        torch.save(state, folder / f"{name}_features.pth")


def write_pictures(root: Path, num_groups: int, methods: Sequence[str] = METHODS) -> None:
    """A tree below `root/tree` and a folder of restored images per method, seeded."""
    rng = np.random.default_rng(0)
    sources = sorted(FIXTURES.glob("*/**/original/*.png"))
    for number in range(num_groups):
        group_id = str(PatchId("bench", number, 0))
        base = _enlarged(sources[number % len(sources)])
        for name in ("original", *CANDIDATES):
            path = root / "tree" / "images" / name / picture_name(group_id, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, _noisy(base, 4, rng))
        labels = (*[Label.POSITIVE] * 3, Label.POSITIVE if number % 2 else Label.NEGATIVE)
        for slot in "ABC":
            text = format_annotation(Annotation(slot, labels), group_id, CANDIDATES)
            write_text(root / "tree" / "labels" / slot / f"{group_id}.json", text)
        for method in methods:
            (root / method).mkdir(exist_ok=True)
            write_png(root / method / f"{group_id}.png", _noisy(base, 10, rng))


def _enlarged(path: Path) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(picture.crop((0, 0, SIDE // 4, SIDE // 4)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _noisy(pixels: Pixels, sigma_8bit: float, rng: np.random.Generator) -> Pixels:
    return np.clip(pixels + rng.normal(0, sigma_8bit, pixels.shape), 0, 255).astype(np.uint8)


def _cropped(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[BORDER:-BORDER, BORDER:-BORDER])


if __name__ == "__main__":
    main()
