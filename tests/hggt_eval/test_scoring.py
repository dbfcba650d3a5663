"""Scoring in one call; test_cli.py tests the command."""

import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hggt_data import Method, name_methods, open_groups
from hggt_data.errors import DeviceError, ImageError, MatchError, OutputError, SettingsError, WeightsError
from hggt_data.io.images import read_pixels, write_png
from hggt_data.restored.methods import SCORES_FILE
from hggt_eval import GroundTruth, read_scores, score
from hggt_eval.cli import main
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.metrics.niqe import niqe
from hggt_eval.report.figure import draw_figure
from hggt_eval.report.figure_layout import Crop
from hggt_eval.scores.join import join_scores
from tests.hggt_data.sriqa_tree import write_sriqa_tree


@pytest.fixture
def methods(fixtures: Path) -> list[Method]:
    return name_methods([(None, fixtures / "restored" / name) for name in ("bicubic", "lanczos")])


def test_score_returns_what_the_command_writes(methods: list[Method], fixtures: Path, tmp_path: Path) -> None:
    scored = score(methods, GroundTruth(dataset=fixtures / "Test"), metrics=("psnr", "ssim"))
    restored = [argument for method in methods for argument in ("--restored", str(method.folder))]
    options = ["--dataset", str(fixtures / "Test"), "--metrics", "psnr,ssim", "--output", str(tmp_path)]
    main([*restored, *options], standalone_mode=False)
    written = read_scores(tmp_path / SCORES_FILE)
    assert (written.evaluation, written.settings) == (scored.evaluation, scored.settings)
    assert scored.journal is None
    assert len(scored.source) == 6


def test_texts_are_enough_and_the_result_shows_compares_and_reports_itself(fixtures: Path, tmp_path: Path) -> None:
    folders = {name: str(fixtures / "restored" / name) for name in ("bicubic", "lanczos")}
    scored = score(folders, dataset=str(fixtures / "Test"), metrics="psnr,ssim")
    means = {method.name: method.mean["psnr"] for method in scored.evaluation.methods}
    assert scored.table().splitlines()[1].split()[::2] == ["bicubic", f"{means['bicubic']:.4f}"]
    values = [row["value"] for row in scored.rows() if (row["method"], row["metric"]) == ("lanczos", "psnr")]
    assert len({row["group"] for row in scored.rows()}) == len(values)
    assert math.fsum(map(float, values)) / len(values) == pytest.approx(means["lanczos"])
    [difference, _] = scored.compare(baseline="bicubic").differences
    assert difference.mean == pytest.approx(means["lanczos"] - means["bicubic"])
    assert f"<td><b>{max(means.values()):.2f}</b>" in scored._repr_html_()
    scored.report(tmp_path / "new" / "scores", baseline="bicubic", gallery=0)
    assert read_scores(tmp_path / "new" / "scores").evaluation == scored.evaluation
    assert (tmp_path / "new" / "scores" / "report.html").is_file()
    with pytest.raises(SettingsError, match="`dataset` cannot be combined with `ground_truth`"):
        score(folders, GroundTruth(dataset="a"), dataset="b")


def test_the_folders_of_a_tree_can_be_given_instead(methods: list[Method], fixtures: Path) -> None:
    tree = fixtures / "Test/GT/Test-mini"
    folders = GroundTruth(gts=tree / "images", labels=tree / "labels")
    one, other = (
        score(methods, given, metrics=("psnr",)) for given in (folders, GroundTruth(dataset=fixtures / "Test"))
    )
    assert one.evaluation == other.evaluation
    assert (one.settings.source, one.settings.labels) == (str(tree / "images"), str(tree / "labels"))


def test_data_without_labels_is_scored_against_the_originals(tmp_path: Path) -> None:
    tree = write_sriqa_tree(tmp_path / "tree")
    options = ["--restored", str(tree / "images/SwinIR"), "--dataset", str(tree), "--metrics", "psnr", "--border", "0"]
    main([*options, "--output", str(tmp_path / "scores")], standalone_mode=False)
    [method] = read_scores(tmp_path / "scores" / SCORES_FILE).evaluation.methods
    groups = open_groups(tree)
    for scores in method.groups:
        restored, original = (groups[scores.id].read(name).astype(float) for name in ("SwinIR", "original"))
        psnr = 10 * math.log10(255**2 / ((restored - original) ** 2).mean())
        assert scores.positives == {"original": {"psnr": pytest.approx(psnr)}}
    assert [scores.id for scores in method.groups] == ["x1", "x10", "x2"]
    assert "compared with the originals, not with positives" in (tmp_path / "scores/table.md").read_text()
    with pytest.raises(SettingsError, match="has no labels, so there are no negatives and no label measures"):
        score(name_methods([(None, tree / "images/SwinIR")]), GroundTruth(dataset=tree), border=0, label_measures=True)


def test_unavailable_metrics_are_left_out_and_logged(methods: list[Method], fixtures: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    against = GroundTruth(dataset=fixtures / "Test")
    scored = score(methods, against, metrics=("psnr", "lpips"), device="cpu", weights_dir=tmp_path, log=lines.append)
    assert scored.settings.metrics == ("psnr",)
    assert [line.split(":")[0] for line in lines] == ["Warning"]
    with pytest.raises(WeightsError, match="no metric is left to score"):
        score(methods, against, metrics=("lpips",), device="cpu", weights_dir=tmp_path)


def test_faults_come_before_the_first_score(methods: list[Method], fixtures: Path, tmp_path: Path) -> None:
    """The first score would find that nothing is left of the pictures within the border."""
    against = GroundTruth(dataset=fixtures / "Test")
    with pytest.raises(ImageError, match="border"):
        score(methods, against, metrics=("psnr",), border=1000)
    with pytest.raises(MatchError, match="two methods have the name"):
        score([*methods, methods[0]], against, metrics=("psnr",), border=1000)
    with pytest.raises(DeviceError, match="no-such cannot be used"):
        score(methods, against, metrics=("gmsd",), device="no-such", border=1000)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be created or written to"):
        score(methods, against, metrics=("psnr",), output=tmp_path / "file", border=1000)


def test_a_name_may_contain_undecodable_bytes(fixtures: Path, tmp_path: Path) -> None:
    strange = os.fsdecode(b"\xff")
    restored = Path(shutil.copytree(fixtures / "restored/bicubic", tmp_path / f"in{strange}"))
    for path in list(restored.iterdir()):
        path.rename(path.with_stem(f"{path.stem}{strange}"))
    options = ["--dataset", str(fixtures / "Test"), "--metrics", "psnr", "--output", str(tmp_path / "out")]
    main(["--restored", f"m={restored}", *options], standalone_mode=False)
    written = read_scores(tmp_path / "out" / SCORES_FILE)
    assert written.settings.restored == {"m": str(restored)}
    assert all((restored / group.file).is_file() for group in written.evaluation.methods[0].groups)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no ground truths; pass one of `dataset`, `gts` and `labels`, `gt`, `no_gt`"),
        ({"dataset": "d", "gts": Path("g")}, "`dataset` cannot be combined with `gts` and `labels`"),
        ({"gts": Path("g")}, "`gts` requires `labels`"),
        ({"gt": ["g"], "no_gt": True}, "`gt` cannot be combined with `no_gt`"),
        ({"gt": "g"}, "expected a list of folders"),
        ({"labels": Path("l")}, "`labels` requires `gts`"),
        ({"gts": Path("g"), "labels": Path("l"), "split": "test"}, "`split` requires `dataset`"),
        ({"dataset": "folder", "revision": "v1"}, "`revision` requires a `dataset` on the Hub"),
    ],
)
def test_contradictory_ground_truths_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        GroundTruth(**given)


def test_folders_of_ground_truths_give_the_mean_over_all(methods: list[Method], fixtures: Path, tmp_path: Path) -> None:
    images = fixtures / "Test/GT/Test-mini/images"
    both = score(methods, GroundTruth(gt=[images / "original", images / "01"]), metrics=("psnr",))
    each = [
        score(methods, GroundTruth(gt=[images / name]), metrics=("psnr",)).evaluation for name in ("original", "01")
    ]
    assert [len(method.groups) for method in both.evaluation.methods] == [6, 6]
    for number, group in enumerate(both.evaluation.methods[0].groups):
        singles = [one.methods[0].groups[number] for one in each]
        assert {group.id} == {single.id for single in singles}
        assert group.mean["psnr"] == pytest.approx(sum(single.mean["psnr"] for single in singles) / 2)
    folders = ["--gt", str(images / "original"), "--gt", str(images / "01")]
    restored = [argument for method in methods for argument in ("--restored", str(method.folder))]
    main([*folders, *restored, "--metrics", "psnr", "--output", str(tmp_path)], standalone_mode=False)
    assert read_scores(tmp_path).evaluation == both.evaluation
    main(["compare", str(tmp_path), "--output", str(tmp_path / "compared")], standalone_mode=False)
    page = (tmp_path / "compared/report.html").read_text()
    assert page.count('"kind": "candidate"') == page.count('"kind": "original"') == 2
    assert page.count('"name": "gt1"') == page.count('"name": "gt2"') == 2
    assert '"name": "original"' not in page


def test_without_ground_truths_each_image_is_rated_alone(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        for number in range(2):
            pixels = noise.integers(0, 256, (200, 200, 3), np.uint8)
            write_png(folder / f"{number}_{folder.name}.png", pixels)
    restored = [argument for folder in folders for argument in ("--restored", str(folder))]
    main(["--no-gt", *restored, "--output", str(tmp_path / "scores")], standalone_mode=False)
    methods_scored = read_scores(tmp_path / "scores").evaluation.methods
    for folder, method in zip(folders, methods_scored, strict=True):
        assert [group.id for group in method.groups] == ["0", "1"]
        assert [group.positives for group in method.groups] == [{}, {}]
        expected = [niqe(read_pixels(folder / group.file)) for group in method.groups]
        assert [group.mean for group in method.groups] == [{"niqe": value} for value in expected]
    assert "rated alone" in (tmp_path / "scores/report.html").read_text()
    main(["compare", str(tmp_path / "scores"), "--output", str(tmp_path / "compared")], standalone_mode=False)
    zoom = tmp_path / "zoom.png"
    main(["figure", str(tmp_path / "scores"), "--crop", "0:0,0,32", "--output", str(zoom)], standalone_mode=False)
    assert zoom.is_file()
    with pytest.raises(SettingsError, match="psnr, ssim compare with ground truths, which `no_gt` excludes"):
        score(name_methods([(None, folders[0])]), GroundTruth(no_gt=True), metrics=("psnr", "ssim", "niqe"))


@pytest.mark.parametrize(("factors", "message"), [((1, 2), "2 times smaller"), ((2, 1), "2 times larger")])
def test_folders_of_another_scale_are_one_line(tmp_path: Path, factors: tuple[int, int], message: str) -> None:
    for name, factor in zip(("gt", "lr"), factors, strict=True):
        (tmp_path / name).mkdir()
        for number in range(3):
            size = (30 * (number + 1) // factor, 40 // factor, 3)
            write_png(tmp_path / name / f"{number}.png", np.zeros(size, np.uint8))
    with pytest.raises(MatchError, match=rf"lr: all 3 images are {message} than .* are the .* a folder of LR") as error:
        score(name_methods([(None, tmp_path / "lr")]), GroundTruth(gt=[tmp_path / "gt"]), metrics=("psnr",))
    assert len(str(error.value).splitlines()) == 1


def test_a_protocol_sets_border_channel_and_metrics_and_is_not_mixed(
    methods: list[Method], fixtures: Path, tmp_path: Path
) -> None:
    truth = GroundTruth(dataset=fixtures / "Test")
    by_hand = score(methods, truth, metrics=("psnr_pyiqa", "ssim_pyiqa"), border=0, colour="y")
    followed = score(methods, truth, metrics=("psnr_pyiqa", "ssim_pyiqa"), protocol="osediff")
    assert followed.evaluation == by_hand.evaluation
    assert (by_hand.settings.protocol, by_hand.settings.border, by_hand.settings.colour) == ("custom", 0, "y")
    assert (followed.settings.protocol, followed.settings.border, followed.settings.colour) == ("osediff", 0, "y")
    with pytest.raises(SettingsError, match="`border` is set by the protocol osediff"):
        score(methods, truth, protocol="osediff", border=4)


def test_scores_with_the_settings_of_a_protocol_are_comparable_with_it_and_protocols_are_not_mixed(
    methods: list[Method], fixtures: Path, tmp_path: Path
) -> None:
    truth = GroundTruth(dataset=fixtures / "Test")
    for protocol in (None, "hggt", "basicsr", "invsr"):
        metrics = ["psnr_pyiqa"] if protocol == "invsr" else ["psnr"]
        score(methods, truth, metrics=metrics, protocol=protocol).report(tmp_path / str(protocol), gallery=0)
    joined, _ = join_scores([tmp_path / "None", tmp_path / "hggt"])
    assert (joined.settings.protocol, joined.settings.border) == ("hggt", 4)
    assert joined.settings.protocol_sha256 == read_scores(tmp_path / "hggt").settings.protocol_sha256
    with pytest.raises(MatchError, match=r"cannot be compared: protocol: hggt [0-9a-f]{6} and basicsr"):
        join_scores([tmp_path / "None", tmp_path / "hggt", tmp_path / "basicsr"])
    with pytest.raises(
        MatchError, match=r"protocol: custom and invsr .*; border: 4 and 0; colour: rgb and y; sizes: e"
    ):
        join_scores([tmp_path / "None", tmp_path / "invsr"])


def test_the_best_ground_truth_counts_if_the_protocol_says_so(
    methods: list[Method], fixtures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "best.toml"
    path.write_text(
        'name = "best"\nborder = 4\ncolour = "rgb"\naggregation = "best"\n[metrics]\npsnr = ""\ngmsd = ""\n'
    )
    truth = GroundTruth(dataset=fixtures / "Test")
    options = ["--dataset", str(fixtures / "Test"), "--restored", f"m={methods[0].folder}", "--protocol", str(path)]
    main([*options, "--output", str(tmp_path / "scores"), "--gallery", "0"], standalone_mode=False)
    main(
        [*options, "--output", str(tmp_path / "scores"), "--gallery", "0"], standalone_mode=False
    )  # scores of the journal
    by_mean = score(methods[:1], truth, metrics="psnr,gmsd")
    file = read_scores(tmp_path / "scores")
    assert file.settings.aggregation == "best"
    [best], [mean] = file.evaluation.methods, by_mean.evaluation.methods
    assert any(len(group.positives) > 1 for group in best.groups)
    for group, other in zip(best.groups, mean.groups, strict=True):
        assert group.positives == other.positives
        assert group.mean == {
            "psnr": max(scores["psnr"] for scores in group.positives.values()),
            "gmsd": min(scores["gmsd"] for scores in group.positives.values()),
        }
    assert best.mean["psnr"] == pytest.approx(sum(group.mean["psnr"] for group in best.groups) / len(best.groups))
    assert "A group counts with its best ground truth" in (tmp_path / "scores/table.md").read_text()
    by_mean.report(tmp_path / "mean", gallery=0)
    with pytest.raises(MatchError, match="aggregation: best and mean"):
        join_scores([tmp_path / "scores", tmp_path / "mean"])


def test_invsr_crops_to_the_common_size(methods: list[Method], fixtures: Path, tmp_path: Path) -> None:
    whole = fixtures / "Test/GT/Test-mini/images/original"
    sizes = {"higher": (170, 150), "equal": (160, 160), "smaller": (156, 157)}
    for name, (height, width) in sizes.items():
        (tmp_path / name).mkdir()
        for path in whole.iterdir():
            pixels = read_pixels(path)
            padded = np.pad(pixels, ((0, 16), (0, 16), (0, 0)), mode="reflect")
            shifted = np.clip(padded.astype(int) + 3, 0, 255).astype(np.uint8)
            write_png(tmp_path / name / path.name, shifted[:height, :width])
    folders = {name: tmp_path / name for name in sizes}
    truth = GroundTruth(gt=[whole])
    with pytest.raises(MatchError, match="156 x 157; expected 160 x 160"):
        score(folders, truth, metrics=["psnr_pyiqa"], border=0, colour="y")
    scored = score(folders, truth, metrics=["psnr_pyiqa"], protocol="invsr")
    assert scored.settings.sizes == "common"
    metric = METRICS["psnr_pyiqa"].load(MetricSettings(0, "y"))
    for method, (height, width) in zip(scored.evaluation.methods, sizes.values(), strict=True):
        assert {group.is_cropped for group in method.groups} == {method.name != "equal"}
        for group in method.groups:
            pair = [
                read_pixels(folder / group.file)[: min(height, 160), : min(width, 160)]
                for folder in (folders[method.name], whole)
            ]
            assert group.mean == {"psnr_pyiqa": pytest.approx(metric(*pair))}
    scored.report(tmp_path / "scores")
    assert read_scores(tmp_path / "scores").evaluation == scored.evaluation
    # All pictures of a group are shown in one size, so that they fit together.
    shown = re.findall(r'"note": "(\d+ x \d+|PSNR[^"]*)"', (tmp_path / "scores/report.html").read_text())
    assert set(shown[::4]) == {"156 x 150"}
    crops = [Crop("coffee-163-150", 0, 0, 150), Crop("coffee-163-150", 0, 1, 150)]
    draw_figure(tmp_path / "scores", crops[:1])
    with pytest.raises(MatchError, match="the pictures are 156 x 150"):
        draw_figure(tmp_path / "scores", crops[1:])
    assert "smaller: 6 of 6 images or their ground truths are cropped" in scored.table()
    for path in (tmp_path / "smaller").iterdir():
        write_png(path, read_pixels(path)[::4, ::4])
    with pytest.raises(MatchError, match=r"39 x 40; expected 160 x 160"):
        score(folders, truth, metrics=["psnr_pyiqa"], protocol="invsr")
