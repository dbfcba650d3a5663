import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hggt_data.errors import MatchError
from hggt_data.schema import Label
from hggt_eval.metrics import require_metric
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings, format_json
from hggt_eval.scores.join import join_scores
from hggt_eval.scores.scores import GroupScores, MethodScores

SETTINGS = Settings(
    ("psnr", "ssim"), 4, "rgb", "cpu", "tree", "1" * 64, weights_sha256={"a.pth": "2" * 64}, versions={"torch": "2.11"}
)


def write(
    folder: Path,
    name: str,
    settings: Settings = SETTINGS,
    truth: str = "3" * 64,
    image: str = "4",
    group: str = "cat-0-8",
    same: tuple[tuple[str, ...], ...] = (),
) -> Path:
    scores = {name: 20.0 for name in settings.metrics if name != "niqe"}
    scored = GroupScores(
        id=group,
        image_name="cat",
        file=f"{group}.png",
        labels={"01": Label.POSITIVE},
        positives={"01": scores},
        alone={"niqe": 5.0} if "niqe" in settings.metrics else {},
        agreement={"01": 3},
        sha256=image * 64,
        ground_truths_sha256={"01": truth},
    )
    metrics = tuple(map(require_metric, settings.metrics))
    evaluation = Evaluation(metrics, (MethodScores(name, (scored,)),), (), 1, same_pictures=same)
    path = folder / name / "scores.json"
    path.parent.mkdir(parents=True)
    path.write_text(format_json(evaluation, replace(settings, restored={name: f"results/{name}"})))
    return path


def test_methods_of_files_and_folders_are_joined(tmp_path: Path) -> None:
    joined, remarks = join_scores([write(tmp_path, "one"), write(tmp_path, "two").parent])
    assert [method.name for method in joined.evaluation.methods] == ["one", "two"]
    assert joined.settings.restored == {"one": "results/one", "two": "results/two"}
    assert joined.settings.metrics == ("psnr", "ssim")
    assert remarks == []


def test_the_licence_is_that_of_the_file_which_records_it(tmp_path: Path) -> None:
    paths = [write(tmp_path, "old"), write(tmp_path, "new", replace(SETTINGS, license="cc0-1.0"))]
    assert join_scores(paths)[0].settings.license == "cc0-1.0"
    assert join_scores(paths[:1])[0].settings.license == "unknown"


def test_source_pictures_that_are_one_picture_are_those_of_all_files(tmp_path: Path) -> None:
    one, two = write(tmp_path, "one", same=(("a", "b"), ("x", "y"))), write(tmp_path, "two", same=(("b", "c"),))
    assert join_scores([one, two])[0].evaluation.same_pictures == (("a", "b", "c"), ("x", "y"))


def test_metrics_that_some_files_lack_are_left_out_with_a_remark(tmp_path: Path) -> None:
    newer = replace(SETTINGS, metrics=("ssim", "niqe"), versions={"torch": "2.15"})
    joined, remarks = join_scores([write(tmp_path, "one"), write(tmp_path, "two", newer)])
    assert joined.settings.metrics == ("ssim",)
    assert joined.evaluation.metrics == (require_metric("ssim"),)
    assert [set(method.groups[0].mean) for method in joined.evaluation.methods] == [{"ssim"}, {"ssim"}]
    assert remarks == [
        f"psnr is left out: missing from {tmp_path}/two/scores.json",
        f"niqe is left out: missing from {tmp_path}/one/scores.json",
        "scored with torch 2.11 and 2.15; the last digits may differ",
    ]


def test_files_that_disagree_on_the_better_side_are_refused(tmp_path: Path) -> None:
    one, two = write(tmp_path, "one"), write(tmp_path, "two")
    two.write_text(two.read_text().replace('"higher_is_better": true', '"higher_is_better": false', 1))
    message = "cannot be compared: better side of psnr: higher and lower"
    with pytest.raises(MatchError, match=message):
        join_scores([one, two])


@pytest.mark.parametrize(
    ("settings", "truth", "message"),
    [
        (replace(SETTINGS, border=0), "3" * 64, "cannot be compared: border: 4 and 0"),
        (replace(SETTINGS, colour="y"), "3" * 64, "cannot be compared: colour: rgb and y"),
        (replace(SETTINGS, labels_sha256="9" * 64), "3" * 64, "labels: 1111111111111111 and 9999999999999999"),
        (replace(SETTINGS, weights_sha256={"a.pth": "8" * 64}), "3" * 64, "weights a.pth: 2222222222222222"),
        (SETTINGS, "5" * 64, r"1 ground truths differ \(first: 01 of cat-0-8\)"),
        (replace(SETTINGS, metrics=("niqe",)), "3" * 64, "no metric is in all files: .*two/scores.json: niqe"),
    ],
)
def test_incomparable_files_are_refused(tmp_path: Path, settings: Settings, truth: str, message: str) -> None:
    paths = [write(tmp_path, "one"), write(tmp_path, "two", settings, truth)]
    with pytest.raises(MatchError, match=message):
        join_scores(paths)


def test_a_method_of_several_files_counts_once(tmp_path: Path) -> None:
    """So that runs that share a baseline can be joined."""
    paths = [write(tmp_path / place, "one", image=image) for place, image in (("a", "4"), ("b", "4"), ("c", "5"))]
    joined, _ = join_scores(paths[:2])
    assert [method.name for method in joined.evaluation.methods] == ["one"]
    assert joined == join_scores(paths[:1])[0]
    with pytest.raises(
        MatchError,
        match=r"two methods have the name 'one': .*/a/one/scores.json and .*/c/.*; their images differ",
    ):
        join_scores(paths)


def test_every_pair_of_files_must_have_the_same_pictures(tmp_path: Path) -> None:
    """Also if the first file lacks the groups in question."""
    paths = [write(tmp_path, "one", group="dog-0-8"), write(tmp_path, "two"), write(tmp_path, "three", truth="5" * 64)]
    join_scores(paths[:2])
    with pytest.raises(MatchError, match=r"/two/scores.json and .*/three/scores.json were scored against different"):
        join_scores(paths)


def test_label_measures_that_some_files_lack_are_left_out_with_a_remark(tmp_path: Path) -> None:
    paths = [write(tmp_path, "one", replace(SETTINGS, label_measures=True)), write(tmp_path, "two")]
    joined, remarks = join_scores(paths)
    assert not joined.settings.label_measures
    assert not joined.evaluation.label_measures
    assert remarks == [f"label measures are left out: missing from {paths[1]}"]


def test_other_weights_are_not_compared_with_published_ones(tmp_path: Path) -> None:
    """Whatever their files are called; a metric that only one file has does not matter."""
    renamed = replace(SETTINGS, weights_sha256={"b.pth": "3" * 64}, other_weights={"ssim": "b.pth"})
    paths = [write(tmp_path, "one"), write(tmp_path, "two", renamed)]
    with pytest.raises(MatchError, match="cannot be compared: weights of ssim: published and not published"):
        join_scores(paths)
    join_scores([write(tmp_path, "three", replace(SETTINGS, metrics=("psnr",))), paths[1]])


@pytest.mark.parametrize("change", [lambda c: c.pop("methods"), lambda c: c["methods"][0]["groups"][0].pop("id")])
def test_a_damaged_file_is_named(tmp_path: Path, change: Callable[[Any], object]) -> None:
    path = write(tmp_path, "one")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(MatchError, match=r"one/scores.json is damaged: .*lacks"):
        join_scores([path])
