"""Scores that `agree` computes: those of `score`, kept for later runs, and checked on other devices."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from hggt_data import Method, open_groups
from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels, read_pixels, write_png
from hggt_eval import GroundTruth, agree, score
from hggt_eval.agreement.pairs import Pair
from hggt_eval.agreement.rating import needed_versions, rate_versions
from hggt_eval.device_check import PrecisionError
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics import METRICS, NO_REFERENCE, MetricSettings
from hggt_eval.metrics.comparer import LoadedMetric
from hggt_eval.metrics.psnr import Psnr
from tests.hggt_data.diffiqa_tree import write_diffiqa
from tests.hggt_eval.conftest import DATA

TREE = DATA / "fixtures/Train"
IMAGES = TREE / "images/0-6"
CANDIDATES = ("01", "02", "03", "04")


def _rate(metrics: list[LoadedMetric], tree: Path = TREE, **options: Any) -> dict[str, dict[tuple[str, str], float]]:
    """Metric -> (group, version) -> score, for all candidates."""
    groups = list(open_groups(tree))
    pairs = [Pair(g.id, g.image_name, name, "original", 1.0, "x", "judged") for g in groups for name in g.candidates]
    return {answers.name: answers.scores for answers in rate_versions(groups, pairs, metrics, **options)[0]}


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one for each PSNR."""
    calls: list[int] = []
    compare = Psnr.compare

    def counted(self: Psnr, restored: Pixels, positive: Pixels) -> float:
        calls.append(1)
        return compare(self, restored, positive)

    monkeypatch.setattr(Psnr, "compare", counted)
    return calls


def test_scores_equal_those_of_score_against_the_originals(random_weights: Path) -> None:
    settings = MetricSettings(weights_dir=random_weights)
    names = ("psnr", "ssim", "lpips")
    found = _rate([METRICS[name].load(settings) for name in names])
    methods = [Method(name, IMAGES / name) for name in CANDIDATES]
    truth = GroundTruth(gt=[IMAGES / "original"])
    for row in score(methods, truth, metrics=names, weights_dir=random_weights).rows():
        assert found[str(row["metric"])][str(row["group"]), str(row["method"])] == row["value"]


def test_a_later_run_scores_nothing_anew(tmp_path: Path, compared: list[int]) -> None:
    tree = Path(shutil.copytree(TREE, tmp_path / "Train"))
    lines: list[str] = []
    first = agree(tree, metrics="psnr", output=tmp_path / "out", log=lines.append)
    number = len(compared)
    again = agree(tree, metrics="psnr", output=tmp_path / "out", log=lines.append)
    assert again.rows() == first.rows()
    assert len(compared) == number
    assert lines == [f"Scores of {number} pictures are kept from an earlier run."]
    changed = next((tree / "images/0-6/02").iterdir())
    write_png(changed, read_pixels(changed)[::-1].copy())
    agree(tree, metrics="psnr", output=tmp_path / "out")
    assert len(compared) == number + 1


def test_a_killed_run_resumes(tmp_path: Path, compared: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = agree(TREE, metrics="psnr,ssim", output=tmp_path / "whole").rows()
    number = len(compared)
    counted = Psnr.compare

    def fail(self: Psnr, restored: Pixels, positive: Pixels) -> float:
        if len(compared) == number + 9:
            raise KeyboardInterrupt
        return counted(self, restored, positive)

    with monkeypatch.context() as patched:
        patched.setattr(Psnr, "compare", fail)
        with pytest.raises(KeyboardInterrupt):
            agree(TREE, metrics="psnr,ssim", output=tmp_path / "out")
    assert not (tmp_path / "out/agree.json").exists()
    assert agree(TREE, metrics="psnr,ssim", output=tmp_path / "out").rows() == expected
    assert len(compared) <= number + 9 + number - 4  # two groups of four were finished


def test_other_settings_are_scored_again_and_replace_the_kept_scores(tmp_path: Path, compared: list[int]) -> None:
    for border in (0, 4):
        agree(TREE, metrics="psnr", output=tmp_path, border=border)
    assert len(list(tmp_path.glob(".versions-*"))) == 1
    number = len(compared)
    agree(TREE, metrics="psnr", output=tmp_path, border=4)
    assert len(compared) == number


def test_features_of_originals_are_cached(tmp_path: Path, random_weights: Path) -> None:
    metric = METRICS["lpips"].load(MetricSettings(weights_dir=random_weights))
    plain = _rate([metric])
    assert _rate([metric], cache=FeatureCache(tmp_path)) == plain
    assert len(list(tmp_path.rglob("*.npz"))) == len(open_groups(TREE))
    assert _rate([metric], cache=FeatureCache(tmp_path)) == plain


def test_only_what_pairs_need_is_scored() -> None:
    pairs = [Pair("g", "g", "a", "b", 1.0, "x", "judged"), Pair("h", "h", "c", "original", 1.0, "x", "judged")]
    niqe, psnr = NO_REFERENCE["niqe"].load(), METRICS["psnr"].load()
    assert needed_versions(pairs, [niqe]) == {"g": ("a", "b"), "h": ("c", "original")}
    assert needed_versions(pairs, [niqe, psnr]) == {"g": ("a", "b", "original"), "h": ("c", "original")}


def test_pictures_of_different_sizes_are_one_line(tmp_path: Path) -> None:
    tree = write_diffiqa(tmp_path / "Test", size=(32, 32))
    path = next((tree / "images/02").iterdir())
    write_png(path, read_pixels(path)[:16])
    with pytest.raises(ImageError, match=r"is 16 x 32, original of this group 32 x 32; expected equal sizes"):
        _rate([METRICS["psnr"].load()], tree)


class _Off(Psnr):
    """LPIPS by name, on a device that is wrong by 1."""

    name = "lpips"

    def __init__(self) -> None:
        super().__init__(MetricSettings(device="cuda"))

    def compare(self, restored: Pixels, positive: Pixels) -> float:
        return super().compare(restored, positive) + 1


def test_a_device_that_differs_from_the_cpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(METRICS["lpips"]), "load", lambda *_: Psnr())
    with pytest.raises(PrecisionError, match=r"lpips of .* is .* on cuda and .* on the CPU"):
        _rate([_Off()])
