import json
import math
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from hggt_data import BuildSettings, Method, build_dataset, name_methods, open_groups
from hggt_data.errors import ImageError, MatchError
from hggt_data.io.images import Pixels, encode_png, read_pixels, write_png
from hggt_data.io.workers import cores_per_process, usable_cores
from hggt_data.restored.matching import RestoredFiles, match_restored
from hggt_data.schema import Label
from hggt_eval import Evaluation, GroundTruth, score
from hggt_eval.metrics import MetricSettings, require_metric
from hggt_eval.metrics.niqe import niqe
from hggt_eval.metrics.psnr import Psnr, psnr
from hggt_eval.metrics.ssim import Ssim
from hggt_eval.protocol import evaluate
from hggt_eval.report.notes import list_notes
from hggt_eval.scores.file import Settings
from tests.hggt_data.memory_source import MemorySource
from tests.hggt_data.trees import write_tree

SETTINGS = Settings(("psnr",), 4, "rgb", "cpu", "tree", "0" * 64)


def picture(seed: int, side: int = 24) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def source() -> MemorySource:
    positive, similar, negative = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE
    return MemorySource(
        {
            "a-0-0": {"01": (picture(1), positive), "02": (picture(2), positive), "03": (picture(3), negative)},
            "a-0-8": {"01": (picture(4), similar), "02": (picture(5), positive), "03": (picture(6), similar)},
            "b-0-0": {"01": (picture(7), similar), "02": (picture(8), negative), "03": (picture(9), similar)},
        }
    )


@pytest.fixture
def restored(source: MemorySource, tmp_path: Path) -> list[RestoredFiles]:
    for name, shift in (("first", 20), ("second", 40)):
        (tmp_path / name).mkdir()
        for number, group_id in enumerate(source.ids):
            write_png(tmp_path / name / f"{group_id}.png", picture(shift + number))
    return match_restored([Method(name, tmp_path / name) for name in ("first", "second")], source)


def run(source: MemorySource, restored: list[RestoredFiles]) -> Evaluation:
    return evaluate(source, restored, [Psnr(), Ssim()])


def test_the_mean_is_over_positives_then_over_groups(source: MemorySource, restored: list[RestoredFiles]) -> None:
    evaluation = run(source, restored)
    first = evaluation.methods[0]
    group_one = [psnr(picture(20), picture(seed)) for seed in (1, 2)]
    group_two = psnr(picture(21), picture(5))
    assert first.groups[0].positives["02"]["psnr"] == group_one[1]
    assert first.groups[0].mean["psnr"] == pytest.approx(np.mean(group_one))
    assert first.mean["psnr"] == pytest.approx(np.mean([np.mean(group_one), group_two]))
    assert [(metric.name, metric.higher_is_better) for metric in evaluation.metrics] == [("psnr", True), ("ssim", True)]
    assert evaluation.label_measures == {}


def test_a_group_without_positives_is_left_out_and_reported(
    source: MemorySource, restored: list[RestoredFiles]
) -> None:
    evaluation = run(source, restored)
    assert [str(group_id) for group_id in evaluation.without_positives] == ["b-0-0"]
    assert evaluation.num_groups == 3
    assert [len(method.groups) for method in evaluation.methods] == [2, 2]


@pytest.mark.parametrize("built", [False, True])
def test_source_pictures_that_are_one_picture_are_known(tmp_path: Path, built: bool) -> None:
    tree = write_tree(tmp_path / "T", ["a-0-0", "b-0-0", "c-0-0", "C-8-0"], size=(16, 16), seed=3)
    pixels = read_pixels(tree / "images/0-9/01/a-0-0_01.png")
    (tree / "images/0-9/original/b-0-0.png").write_bytes(encode_png(pixels, 0))
    if built:
        build_dataset(BuildSettings([tree], tmp_path / "D", workers=1))
    source = open_groups(tmp_path / "D" if built else tree)
    restored = match_restored([Method("same", tree / "images/0-9/original")], source)
    evaluation = evaluate(source, restored, [Psnr()])
    assert evaluation.same_pictures == (("C", "c"), ("a", "b"))
    [note] = [note for note in list_notes(evaluation, SETTINGS, None) if "count as one" in note.text]
    assert note.text.endswith("count as one: 'C' = 'c', a = b")


def test_infinite_scores_are_left_out_of_the_means(
    source: MemorySource, restored: list[RestoredFiles], tmp_path: Path
) -> None:
    write_png(tmp_path / "first" / "a-0-0.png", picture(1))
    write_png(tmp_path / "second" / "a-0-8.png", picture(5))
    first, second = run(source, restored).methods
    assert first.groups[0].positives["01"]["psnr"] == math.inf
    assert first.groups[0].mean["psnr"] == first.groups[0].positives["02"]["psnr"]
    assert first.num_infinite == {"psnr": 1}
    assert second.groups[1].mean["psnr"] == math.inf
    assert second.mean["psnr"] == second.groups[0].mean["psnr"]


@pytest.mark.parametrize("processes", [1, usable_cores()])
def test_each_picture_is_described_once_by_as_many_threads_as_cores(
    source: MemorySource, restored: list[RestoredFiles], monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """The first group has two positives, which two threads describe at the same time if there are two cores."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    positives = {picture(1).tobytes(), picture(2).tobytes()}
    together = threading.Barrier(min(2, cores_per_process()))
    described: list[bytes] = []

    class CountingPsnr(Psnr):
        def describe(self, pixels: Pixels) -> Pixels:
            described.append(pixels.tobytes())
            if described[-1] in positives:
                together.wait(timeout=30)
            return pixels

    evaluate(source, restored, [CountingPsnr()])
    # Three positives in two groups, and two methods with one picture in each of the two.
    assert len(described) == len(set(described)) == 3 + 2 * 2


def test_groups_that_a_method_lacks_are_scored_for_the_others(
    source: MemorySource, restored: list[RestoredFiles], tmp_path: Path
) -> None:
    (tmp_path / "first" / "a-0-0.png").unlink()
    methods = [files.method for files in restored]
    first, second = run(source, match_restored(methods, source, allow_missing=True)).methods
    assert [str(group.id) for group in first.groups] == ["a-0-8"]
    assert len(second.groups) == 2
    assert [fault.kind for fault in first.faults] == ["missing"]


def test_a_flat_image_that_niqe_cannot_rate_is_an_error_or_left_out(tmp_path: Path) -> None:
    source = MemorySource({name: {"01": (picture(1, 208), Label.POSITIVE)} for name in ("a-0-0", "a-0-8")})
    write_png(tmp_path / "a-0-0.png", picture(2, 208))
    write_png(tmp_path / "a-0-8.png", np.zeros((208, 208, 3), np.uint8))
    found = match_restored([Method("net", tmp_path)], source)
    metrics = [Psnr(), require_metric("niqe").load()]
    with pytest.raises(
        ImageError, match=r"a-0-8\.png: the picture is flat, so NIQE is undefined.*; `allow_missing` lea"
    ):
        evaluate(source, found, metrics)
    [method] = evaluate(source, found, metrics, allow_missing=True).methods
    assert [str(group.id) for group in method.groups] == ["a-0-0"]
    assert [(fault.kind, str(fault.id)) for fault in method.faults] == [("unusable", "a-0-8")]
    assert method.faults[0].message.startswith("a-0-8.png: the picture is flat")
    [method] = evaluate(source, found, metrics[:1]).methods
    assert [group.is_flat for group in method.groups] == [False, True]


def test_nothing_to_score_is_an_error(tmp_path: Path) -> None:
    source = MemorySource({"a-0-0": {"01": (picture(1), Label.SIMILAR)}})
    write_png(tmp_path / "a-0-0.png", picture(2))
    with pytest.raises(MatchError, match="no group of memory has both a positive and a usable restored image"):
        evaluate(source, match_restored([Method("m", tmp_path)], source), [Psnr()])


def test_pictures_too_small_for_a_metric_fail_before_the_first_score(
    source: MemorySource, restored: list[RestoredFiles]
) -> None:
    with pytest.raises(ImageError, match="ssim needs 11 x 11 pixels or more"):
        evaluate(source, restored, [Ssim(MetricSettings(border=7))])


def test_pictures_that_changed_since_they_were_checked_are_an_error(tmp_path: Path) -> None:
    source = MemorySource({"a-0-0": {"01": (picture(1), Label.POSITIVE)}})
    changed = MemorySource({"a-0-0": {"01": (picture(1, side=25), Label.POSITIVE)}})
    path = tmp_path / "a-0-0.png"
    write_png(path, picture(3))
    found = match_restored([Method("m", tmp_path)], source)
    with pytest.raises(ImageError, match=r"memory: picture 01 of a-0-0 is 25 x 25; expected 24 x 24, its size when"):
        evaluate(changed, found, [Psnr()])
    write_png(path, picture(3, side=25))
    with pytest.raises(ImageError, match=r"a-0-0\.png is 25 x 25; expected 24 x 24, its size when it was checked"):
        evaluate(source, found, [Psnr()])
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ImageError, match=r"a-0-0\.png: cut off"):
        evaluate(source, found, [Psnr()])


def test_no_reference_metrics_rate_the_restored_images_alone(fixtures: Path) -> None:
    home = fixtures / "TestLarge"
    source = open_groups(home / "GT")
    found = match_restored(name_methods([(None, home / "restored/bicubic")]), source)
    evaluation = evaluate(source, found, [require_metric(name).load() for name in ("psnr", "niqe")])
    [method] = evaluation.methods
    [group] = method.groups
    assert group.alone == {"niqe": niqe(read_pixels(home / "restored/bicubic" / group.file))}
    assert all(scores.keys() == {"psnr"} for scores in group.positives.values())
    assert method.mean["niqe"] == group.mean["niqe"] == group.alone["niqe"]


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
    expected = psnr(read_pixels(restored[0].files[group.id]), picture(3))
    assert group.negatives == {"03": {"psnr": expected}}
    assert with_negatives.label_measures["first"].distance_to_negatives["psnr"].value == expected


def test_two_processes_write_what_one_writes(fixtures: Path, tmp_path: Path) -> None:
    restored, tree = fixtures / "restored/bicubic", str(fixtures / "Test")
    alone = score(name_methods([(None, restored)]), GroundTruth(dataset=tree), metrics=("psnr", "ssim"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("-m", "hggt_eval", "--restored", str(restored), "--dataset", tree, "--metrics", "psnr,ssim"),
            *("--gallery", "0", "--output", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("method ") == 1  # only one process prints
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["methods"][0]["mean"] == alone.evaluation.methods[0].mean
    assert [group["id"] for group in content["methods"][0]["groups"]] == [str(id) for id in alone.source.ids]
    assert not list(tmp_path.glob(".unfinished-*"))


def test_a_picture_that_a_metric_cannot_rate_is_named(fixtures: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "coffee-0-120.png", np.full((352, 352, 3), 7, np.uint8))
    source = open_groups(fixtures / "TestLarge/GT")
    found = match_restored([Method("m", tmp_path)], source)
    with pytest.raises(ImageError, match=r"coffee-0-120\.png: the picture is flat, so NIQE is undefined"):
        evaluate(source, found, [Psnr(), require_metric("niqe").load()])
