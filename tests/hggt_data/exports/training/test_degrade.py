"""LR images that the data does not have."""

import os
from pathlib import Path

import pytest

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.exports.training import export
from hggt_data.exports.training.export import TrainingSettings, export_training
from hggt_data.io.images import encode_png, read_pixels
from hggt_models import degrade
from tests.hggt_data.exports.commands import done, refused
from tests.hggt_data.trees import contents, noise, write_tree


def test_the_lr_of_a_positive_is_that_of_its_original(fixtures: Path, tmp_path: Path) -> None:
    output = done(
        *("training", fixtures / "Train", "--output", tmp_path / "out", "--format", "basicsr"),
        *("--target", "positive", "--positives", "all", "--seed", 3),
    )
    assert "made by degradation sr with seed 3" in output
    (originals,) = (fixtures / "Train/images").glob("*/original")
    degrade(originals, tmp_path / "lr", seed=3)
    lq = contents(tmp_path / "out/lq")
    assert len(lq) > len({name.rpartition("_")[0] for name in lq}) > 1
    assert lq == {name: (tmp_path / f"lr/{name.rpartition('_')[0]}.png").read_bytes() for name in lq}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["LICENSE.txt", "basicsr.yml", "export.json", "gt", "lq", "meta_info.txt", "pairs.csv"]
    )


def test_given_lr_stay_and_targets_are_cropped_to_their_scale(tmp_path: Path) -> None:
    trees = [
        write_tree(tmp_path / "A", ["a-0-0"], size=(32, 32), lr=True),
        write_tree(tmp_path / "B", ["b-0-0"], size=(35, 33)),
    ]
    build_dataset(BuildSettings(trees, tmp_path / "data", workers=1))
    output = done(
        "training", tmp_path / "data", "--output", tmp_path / "out", "--format", "neosr", "--target", "original"
    )
    assert "LR: scale 4; 1 of the data, 1 made by degradation sr with seed 0\n" in output
    assert (tmp_path / "out/lq/a-0-0.png").read_bytes() == (trees[0] / "Blind_LR/a-0-0.png").read_bytes()
    assert read_pixels(tmp_path / "out/lq/b-0-0.png").shape == (8, 8, 3)
    for tree, name in zip(trees, ("a-0-0", "b-0-0"), strict=True):
        whole = read_pixels(tree / f"images/0-9/original/{name}.png")
        assert (read_pixels(tmp_path / f"out/gt/{name}.png") == whole[:32, :32]).all()


def test_lr_of_an_interrupted_export_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    tree = write_tree(tmp_path / "T", ["a-0-0", "b-0-0"])
    settings = TrainingSettings(target="original", format="basicsr")
    with monkeypatch.context() as patch:
        patch.setattr(export, "_write_lists", interrupt)
        with pytest.raises(KeyboardInterrupt):
            export_training(tree, tmp_path / "out", settings)
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".out.unfinished/.lr/lq").glob("*.png")}
    export_training(tree, tmp_path / "out", settings)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/lq").iterdir()} == made
    assert made.keys() == {"a-0-0.png", "b-0-0.png"}


def test_without_the_extra_nothing_is_written(fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    refused(
        "(ModuleNotFoundError: No module named 'torch'); pip install 'hggt[models]', or pass --on-the-fly",
        *("training", fixtures / "Train", "--output", tmp_path / "out/new", "--format", "basicsr"),
        *("--target", "positive"),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["torch.py"]


def test_lr_of_another_size_or_scale_are_named(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "T", ["a-0-0", "b-0-0"], size=(16, 16), lr=True)
    arguments: list[object] = [
        "training",
        tree,
        "--output",
        tmp_path / "out",
        "--format",
        "basicsr",
        "--target",
        "original",
    ]
    (tree / "Blind_LR/a-0-0.png").write_bytes(encode_png(noise((5, 4), "x")))
    refused("Blind_LR/a-0-0.png: 5 x 4 px; expected a whole fraction of its original, 16 x 16 px", *arguments)
    (tree / "Blind_LR/a-0-0.png").write_bytes(encode_png(noise((8, 8), "x")))
    refused("has LR images of the scales 2, 4; expected one scale", *arguments)
    trees = [tree, write_tree(tmp_path / "B", ["c-0-0"])]
    (tree / "Blind_LR/b-0-0.png").write_bytes(encode_png(noise((8, 8), "x")))
    build_dataset(BuildSettings(trees, tmp_path / "data", scale=2, workers=1))
    arguments[1] = tmp_path / "data"
    refused("some groups have LR images of the scale 2, and --degradation sr would make the others with 4", *arguments)
