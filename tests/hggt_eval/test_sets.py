"""Metrics of sets from pictures to tables, with random weights in the published form."""

import json
import math
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from hggt_data import open_groups
from hggt_data.errors import MatchError, OutputError, SettingsError
from hggt_data.io.files import sha256_of_file
from hggt_data.io.images import Pixels
from hggt_data.restored.methods import SCORES_FILE
from hggt_eval import GroundTruth, agree, draw_figure, read_scores, score
from hggt_eval.cli import main
from hggt_eval.metrics.inception import InceptionFeatures
from hggt_eval.metrics.set_distances import FeatureSet, fid
from hggt_eval.report.figure_layout import Crop
from hggt_eval.report.verdict import describe_verdict
from hggt_eval.scores import file as scores_file
from hggt_eval.scores.comparison import compare_methods
from hggt_eval.scores.join import join_scores

CHOSEN = ("kid", "fid", "kid_positives", "fid_positives", "patch_fid")


@pytest.fixture
def folders(fixtures: Path) -> dict[str, Path]:
    return {name: fixtures / "restored" / name for name in ("bicubic", "lanczos")}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features that several tests share, as the network is slow."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def originals(fixtures: Path) -> Path:
    return fixtures / "Test/GT/Test-mini/images/original"


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The metric of each picture that passes through the network."""
    calls: list[str] = []
    describe = InceptionFeatures.describe

    def counted(self: InceptionFeatures, pixels: Pixels) -> NDArray[np.float32]:
        calls.append(self.name)
        return describe(self, pixels)

    monkeypatch.setattr(InceptionFeatures, "describe", counted)
    return calls


def test_values_equal_torch_fidelitys(
    folders: dict[str, Path], originals: Path, inception_weights: Path, cache: Path
) -> None:
    scored = score(folders, GroundTruth(gt=[originals]), metrics="kid,fid", weights_dir=inception_weights, cache=cache)
    sets = scored.evaluation.sets
    assert sets is not None
    features = sets.features["tensorflow"]  # which test_inception compares with torch-fidelity's
    reference = np.concatenate([features[sha256_of_file(path)] for path in sorted(originals.iterdir())])
    for name, folder in folders.items():
        own = np.concatenate([features[sha256_of_file(path)] for path in sorted(folder.iterdir())])
        pair = [torch.from_numpy(part).double() for part in (own, reference)]
        kid = kid_features_to_metric(*pair, kid_subsets=1, kid_subset_size=6, verbose=False)
        found = scored.evaluation.distances[name]
        assert found["kid"].value == pytest.approx(kid["kernel_inception_distance_mean"], abs=1e-6)
        # FID of four features, as theirs is inexact for singular covariances, and takes a minute for 2,048 features.
        four = [part[:, 1000:1004] for part in pair]
        fid_of_four = fid_statistics_to_metric(*map(fid_features_to_statistics, four), verbose=False)
        numbers = np.arange(6)
        ours = fid(*(FeatureSet(part.numpy(), np.ones(6), numbers, numbers) for part in four))
        assert ours == pytest.approx(fid_of_four["frechet_inception_distance"], abs=1e-6)
        whole = fid(*(FeatureSet(part.numpy(), np.ones(6), numbers, numbers) for part in pair))
        assert found["fid"].value == pytest.approx(whole, abs=1e-9)
        assert (found["kid"].num_images, found["fid"].num_patches) == (6, 0)


def test_everything_that_is_written_and_read_again(
    folders: dict[str, Path], fixtures: Path, inception_weights: Path, cache: Path, described: list[str], tmp_path: Path
) -> None:
    options = ["--dataset", str(fixtures / "Test"), "--weights-dir", str(inception_weights), "--gallery", "0"]
    options += ["--metrics", ",".join(("psnr", *CHOSEN)), "--baseline", "bicubic"]
    restored = [part for name, folder in folders.items() for part in ("--restored", f"{name}={folder}")]
    cached = ["--cache", str(cache)]
    main([*options, *restored, *cached, "--output", str(tmp_path / "both")], standalone_mode=False)
    file = read_scores(tmp_path / "both")
    groups = open_groups(fixtures / "Test")
    assert sum(len(group.positives) for group in groups) > 6
    for found in file.evaluation.distances.values():
        assert {name: own.num_images for name, own in found.items()} == dict.fromkeys(CHOSEN, 6)
    content = json.loads((tmp_path / "both" / SCORES_FILE).read_text("utf-8"))
    schema = Path(scores_file.__file__).with_name("scores.schema.json").read_text("utf-8")
    jsonschema.validate(content, json.loads(schema))
    markdown = (tmp_path / "both" / "table.md").read_text("utf-8")
    assert "(N = 6)" in markdown
    assert "(N = 6 pictures, 6 patches)" in markdown
    assert "N is not above the 2,048 features" in markdown
    assert r"(N = 6)" in (tmp_path / "both" / "table.tex").read_text("utf-8")
    assert "set (N = 6)" in (tmp_path / "both" / "scores.csv").read_text("utf-8")
    page = (tmp_path / "both" / "report.html").read_text("utf-8")
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert [metric["name"] for metric in data["metrics"]] == ["psnr"]  # no image has a value of a set

    # A second run over finished, unchanged pictures describes nothing, and writes the same.
    before = {path.name: path.read_bytes() for path in (tmp_path / "both").iterdir() if path.is_file()}
    described.clear()
    main([*options, *restored, "--output", str(tmp_path / "both")], standalone_mode=False)
    assert described == []
    assert {path.name: path.read_bytes() for path in (tmp_path / "both").iterdir() if path.is_file()} == before

    # Methods scored apart and joined, without pictures, have the same values, intervals and differences.
    for name, folder in folders.items():
        alone = [*options[:-2], *cached, "--restored", f"{name}={folder}", "--output", str(tmp_path / name)]
        main(alone, standalone_mode=False)
    joined, _ = join_scores([tmp_path / name for name in folders])
    assert joined.evaluation.sets == file.evaluation.sets
    assert compare_methods(joined.evaluation, "bicubic") == compare_methods(file.evaluation, "bicubic")
    compared = [str(tmp_path / name) for name in folders]
    main(
        ["compare", *compared, "--baseline", "bicubic", "--gallery", "0", "--output", str(tmp_path / "joined")],
        standalone_mode=False,
    )
    assert read_scores(tmp_path / "joined").evaluation == joined.evaluation


def test_intervals_differences_and_ranks(
    folders: dict[str, Path], originals: Path, inception_weights: Path, cache: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(folders["lanczos"].iterdir())[:5]:
        shutil.copy(path, few)
    scored = score(
        {**folders, "few": few},
        GroundTruth(gt=[originals]),
        metrics="kid,fid",
        weights_dir=inception_weights,
        cache=cache,
        allow_missing=True,
    )
    comparison = scored.compare("bicubic")
    for metric in ("kid", "fid"):
        few_summary = comparison.summary("few", metric)
        assert (few_summary.num_groups, few_summary.num_missing) == (5, 1)
        whole = comparison.summary("lanczos", metric)
        assert (whole.num_groups, whole.num_pictures) == (6, 4)
    of_lanczos = {d.metric: d for d in comparison.differences if d.method == "lanczos"}
    kid, fid = of_lanczos["kid"], of_lanczos["fid"]
    distances = scored.evaluation.distances
    assert kid.mean == pytest.approx(distances["lanczos"]["kid"].value - distances["bicubic"]["kid"].value)
    assert kid.p_value is not None
    assert kid.p_value * 8 == pytest.approx(round(kid.p_value * 8))  # of 4 source pictures, signs with their opposite
    assert fid.p_value is None
    shared = next(d for d in comparison.differences if (d.method, d.metric) == ("few", "kid"))
    assert shared.num_groups == 5
    none_best = "no method is called best, as it is comparable only between equal numbers of pictures"
    assert describe_verdict(scored.evaluation, comparison) == (f"In KID, {none_best}.", [f"FID: {none_best}"])
    html = scored._repr_html_()
    assert "(N = 5)" in html
    assert "few: KID is not ranked, as its set has 5 of 6 images" in html
    assert "mean is over" not in html  # a set has no mean over groups
    assert [row for row in scored.rows() if row["method"] == "few" and row["group"] == ""]
    assert "(N = 5)" in scored.table()


def test_several_ground_truths_share_the_weight_of_a_picture(
    folders: dict[str, Path], originals: Path, inception_weights: Path, cache: Path
) -> None:
    one, two = (
        score(
            folders, GroundTruth(gt=[originals] * number), metrics="kid,fid", weights_dir=inception_weights, cache=cache
        )
        for number in (1, 2)
    )
    for name in folders:
        for metric in ("kid", "fid"):
            values = [scored.evaluation.distances[name][metric].value for scored in (one, two)]
            assert values[0] == pytest.approx(values[1])


def test_an_interrupted_run_describes_nothing_twice(
    folders: dict[str, Path],
    originals: Path,
    inception_weights: Path,
    described: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name, folder in (("gt", originals), ("restored", folders["bicubic"])):
        (tmp_path / name).mkdir()
        for path in sorted(folder.iterdir())[:2]:
            shutil.copy(path, tmp_path / name)
    options = ["--gt", str(tmp_path / "gt"), "--restored", str(tmp_path / "restored"), "--metrics", "kid"]
    options += ["--gallery", "0", "--weights-dir", str(inception_weights), "--output", str(tmp_path / "scores")]
    counted = InceptionFeatures.describe

    def killed(self: InceptionFeatures, pixels: Pixels) -> NDArray[np.float32]:
        if len(described) == 3:
            raise RuntimeError("killed")
        return counted(self, pixels)

    monkeypatch.setattr(InceptionFeatures, "describe", killed)
    with pytest.raises(RuntimeError, match="killed"):
        main(options, standalone_mode=False)
    monkeypatch.setattr(InceptionFeatures, "describe", counted)
    main(options, standalone_mode=False)
    assert len(described) == 4
    assert not list((tmp_path / "scores").glob(".unfinished*"))


def test_one_line_for_each_mistake(
    folders: dict[str, Path], fixtures: Path, originals: Path, inception_weights: Path, cache: Path, tmp_path: Path
) -> None:
    three, their = tmp_path / "three", tmp_path / "their"
    for folder, source in ((three, folders["bicubic"]), (their, originals)):
        folder.mkdir()
        for path in sorted(source.iterdir())[:3]:
            shutil.copy(path, folder)
    with pytest.raises(MatchError, match=r"^fid of a would compare 3 pictures; expected 5 or more; kid needs 2$"):
        score({"a": three}, GroundTruth(gt=[their]), metrics="fid", weights_dir=inception_weights, cache=cache)
    with pytest.raises(MatchError, match=r"expected 5 or more; leave it out, as by `metrics` psnr,kid$"):
        score({"a": three}, GroundTruth(gt=[their]), metrics="psnr,fid,kid", weights_dir=inception_weights, cache=cache)
    with pytest.raises(SettingsError, match=r"kid_positives compares with positives, but .* has no labels; use kid"):
        score(folders, GroundTruth(gt=[originals]), metrics="kid_positives", weights_dir=inception_weights, cache=cache)
    with pytest.raises(SettingsError, match="kid compares with ground truths, which `no_gt` excludes"):
        score(folders, GroundTruth(no_gt=True), metrics="kid")
    with pytest.raises(SettingsError, match="fid compares sets, and has no value for a picture"):
        agree(fixtures / "Test", metrics="fid")


def test_features_that_are_missing_or_changed_are_found(
    folders: dict[str, Path], originals: Path, inception_weights: Path, cache: Path, tmp_path: Path
) -> None:
    scored = score(folders, GroundTruth(gt=[originals]), metrics="kid", weights_dir=inception_weights, cache=cache)
    scored.report(tmp_path, gallery=0)
    [features_file] = tmp_path.glob("set_features-*.npz")
    with pytest.raises(SettingsError, match="kid"):
        draw_figure(tmp_path, [Crop.parse("coffee-27-433:0,0,32")], metrics=["kid"])
    data = features_file.read_bytes()
    features_file.write_bytes(data[:-1])
    with pytest.raises(MatchError, match="has changed; score again"):
        read_scores(tmp_path)
    features_file.unlink()
    with pytest.raises(MatchError, match="is missing beside it; score again"):
        read_scores(tmp_path)
    with pytest.raises(OutputError, match="is missing beside it"):
        scored.report(tmp_path, gallery=0)
    assert math.isfinite(scored.evaluation.distances["bicubic"]["kid"].value)
