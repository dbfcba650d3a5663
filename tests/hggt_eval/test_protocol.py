import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hggt_data.errors import ImageError, MatchError
from hggt_data.io.images import Pixels, read_pixels, write_png
from hggt_data.loading import open_groups, open_tree_folders
from hggt_data.restored.matching import RestoredFiles, match_restored
from hggt_data.restored.methods import Method, name_methods
from hggt_data.schema import Label
from hggt_eval.metrics import MetricSettings, require_metric
from hggt_eval.metrics.comparer import Comparer
from hggt_eval.metrics.niqe import niqe
from hggt_eval.metrics.psnr import Psnr, psnr
from hggt_eval.metrics.ssim import Ssim
from hggt_eval.protocol import evaluate
from hggt_eval.scores.scores import Evaluation
from tests.hggt_eval.memory_source import MemorySource


def _picture(seed: int, side: int = 24) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def source() -> MemorySource:
    positive, similar, negative = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE
    return MemorySource(
        {
            "a-0-0": {"01": (_picture(1), positive), "02": (_picture(2), positive), "03": (_picture(3), negative)},
            "a-0-8": {"01": (_picture(4), similar), "02": (_picture(5), positive), "03": (_picture(6), similar)},
            "b-0-0": {"01": (_picture(7), similar), "02": (_picture(8), negative), "03": (_picture(9), similar)},
        }
    )


@pytest.fixture
def restored(source: MemorySource, tmp_path: Path) -> list[RestoredFiles]:
    for name, shift in (("first", 20), ("second", 40)):
        (tmp_path / name).mkdir()
        for number, group_id in enumerate(source.ids):
            write_png(tmp_path / name / f"{group_id}.png", _picture(shift + number))
    return match_restored([Method(name, tmp_path / name) for name in ("first", "second")], source)


def _run(source: MemorySource, restored: list[RestoredFiles]) -> Evaluation:
    return evaluate(source, restored, [Psnr(), Ssim()])


def test_mean_over_positives_then_over_groups(source: MemorySource, restored: list[RestoredFiles]) -> None:
    first = _run(source, restored).methods[0]
    group_one = [psnr(_picture(20), _picture(seed)) for seed in (1, 2)]
    group_two = psnr(_picture(21), _picture(5))
    assert first.groups[0].positives["02"]["psnr"] == group_one[1]
    assert first.groups[0].mean["psnr"] == pytest.approx(np.mean(group_one))
    assert first.mean["psnr"] == pytest.approx(np.mean([np.mean(group_one), group_two]))


def test_group_without_positives_is_left_out_and_reported(source: MemorySource, restored: list[RestoredFiles]) -> None:
    evaluation = _run(source, restored)
    assert [str(group_id) for group_id in evaluation.without_positives] == ["b-0-0"]
    assert evaluation.num_groups == 3
    assert [len(method.groups) for method in evaluation.methods] == [2, 2]


def test_infinite_scores_stay_out_of_the_means(
    source: MemorySource, restored: list[RestoredFiles], tmp_path: Path
) -> None:
    write_png(tmp_path / "first" / "a-0-0.png", _picture(1))
    write_png(tmp_path / "second" / "a-0-8.png", _picture(5))
    first, second = _run(source, restored).methods
    assert first.groups[0].positives["01"]["psnr"] == math.inf
    assert first.groups[0].mean["psnr"] == first.groups[0].positives["02"]["psnr"]
    assert first.num_infinite == {"psnr": 1}
    assert second.groups[1].mean["psnr"] == math.inf
    assert second.mean["psnr"] == second.groups[0].mean["psnr"]


def test_each_picture_is_described_once(source: MemorySource, restored: list[RestoredFiles]) -> None:
    described: list[bytes] = []

    class Counting(Comparer[float]):
        name = "counting"

        def describe(self, pixels: Pixels) -> float:
            described.append(pixels.tobytes())
            return float(pixels.mean())

        def compare(self, restored: float, positive: float) -> float:
            return restored - positive

    evaluate(source, restored, [Counting()])
    # Three positives in two groups, and two methods with one picture for each of the two.
    assert len(described) == len(set(described)) == 3 + 2 * 2


def test_groups_that_a_method_lacks_are_scored_for_the_others(
    source: MemorySource, restored: list[RestoredFiles], tmp_path: Path
) -> None:
    (tmp_path / "first" / "a-0-0.png").unlink()
    methods = [files.method for files in restored]
    first, second = _run(source, match_restored(methods, source, allow_missing=True)).methods
    assert [str(group.id) for group in first.groups] == ["a-0-8"]
    assert len(second.groups) == 2
    assert [fault.kind for fault in first.faults] == ["missing"]


def test_nothing_to_score_is_an_error(tmp_path: Path) -> None:
    source = MemorySource({"a-0-0": {"01": (_picture(1), Label.SIMILAR)}})
    write_png(tmp_path / "a-0-0.png", _picture(2))
    with pytest.raises(MatchError, match="no group of memory has both a positive and a restored image"):
        evaluate(source, match_restored([Method("m", tmp_path)], source), [Psnr()])


def test_too_small_pictures_fail_before_the_first_score(source: MemorySource, restored: list[RestoredFiles]) -> None:
    with pytest.raises(ImageError, match="ssim needs 11 x 11 pixels or more"):
        evaluate(source, restored, [Ssim(MetricSettings(border=7))])


def test_pictures_of_another_size_than_when_matched_are_an_error(tmp_path: Path) -> None:
    source = MemorySource({"a-0-0": {"01": (_picture(1), Label.POSITIVE)}})
    changed = MemorySource({"a-0-0": {"01": (_picture(1, side=25), Label.POSITIVE)}})
    write_png(tmp_path / "a-0-0.png", _picture(3))
    found = match_restored([Method("m", tmp_path)], source)
    with pytest.raises(ImageError, match=r"memory: picture 01 of a-0-0: 25 x 25; expected 24 x 24, as when"):
        evaluate(changed, found, [Psnr()])
    write_png(tmp_path / "a-0-0.png", _picture(3, side=25))
    with pytest.raises(ImageError, match=r"a-0-0\.png: 25 x 25; expected 24 x 24, as when it was checked"):
        evaluate(source, found, [Psnr()])


def test_damage_after_the_check_is_an_error(fixtures: Path, tmp_path: Path) -> None:
    source = open_groups(fixtures / "TestLarge" / "GT")
    path = tmp_path / "coffee-0-120.png"
    path.write_bytes((fixtures / "TestLarge/restored/bicubic/coffee-0-120_bicubic.png").read_bytes())
    found = match_restored([Method("m", tmp_path)], source)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ImageError, match=r"coffee-0-120\.png: cut off"):
        evaluate(source, found, [Psnr()])


def test_no_reference_metrics_look_at_the_restored_images_alone(fixtures: Path) -> None:
    home = fixtures / "TestLarge"
    source = open_tree_folders(home / "GT/images", home / "GT/labels")
    found = match_restored(name_methods([(None, home / "restored/bicubic"), (None, home / "restored/lanczos")]), source)
    metrics = [require_metric(name).load() for name in ("psnr", "niqe")]
    evaluation = evaluate(source, found, metrics)
    assert evaluation.metrics == ("psnr", "niqe")
    for method in evaluation.methods:
        for group in method.groups:
            path = home / "restored" / method.name / group.file
            assert group.alone == {"niqe": niqe(read_pixels(path))}
            assert all(scores.keys() == {"psnr"} for scores in group.positives.values())
            assert group.mean["niqe"] == group.alone["niqe"]
        assert method.mean["niqe"] == pytest.approx(np.mean([group.alone["niqe"] for group in method.groups]))


def test_negatives_are_compared_with_on_request(source: MemorySource, restored: list[RestoredFiles]) -> None:
    without, with_negatives = (evaluate(source, restored, [Psnr()], negatives=wanted) for wanted in (False, True))
    for before, after in zip(without.methods, with_negatives.methods, strict=True):
        assert before.mean == after.mean
        for one, other in zip(before.groups, after.groups, strict=True):
            assert one.negatives == {}
            assert one.positives == other.positives
            assert other.negatives.keys() == set(source[source.ids.index(other.id)].negatives)
            assert other.agreement.keys() == other.positives.keys() | other.negatives.keys()
    group = with_negatives.methods[0].groups[0]
    path = restored[0].files[group.id]
    assert group.negatives == {"03": {"psnr": psnr(read_pixels(path), _picture(3))}}


def test_no_more_threads_than_cores_of_its_own(
    source: MemorySource, restored: list[RestoredFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    class Recorded(ThreadPoolExecutor):
        def __init__(self, number: int) -> None:
            started.append(number)
            super().__init__(number)

    monkeypatch.setattr("hggt_eval.protocol.ThreadPoolExecutor", Recorded)
    monkeypatch.setattr("hggt_eval.protocol.cores_per_process", lambda: 3)
    evaluate(source, restored, [Psnr()])
    assert started == [3]
