"""`train --like` and `diff`: what runs record, taken over and compared."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hggt_data.io.files import sha256_of_file
from hggt_models.cli import main
from hggt_models.config.train import TrainConfig
from hggt_models.networks.checkpoint import load_checkpoint, load_network, save_network
from hggt_models.training.run_folder import RunFolder
from hggt_models.training.run_record import config_like
from tests.hggt_models.training.runs import train

WEIGHTS = Path("weights", "000001.safetensors")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def settings_of(folder: Path) -> dict[str, Any]:
    record = RunFolder(folder).read_record()
    assert record is not None
    return dict(record["config"])


@pytest.fixture(scope="module")
def first(groups: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a few settings of its own."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    result = train("rrdb-gan-positive", groups, folder, "iterations=1", "seed=3", "loss.adversarial=0.2")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def second(first: Path, pictures: Path) -> Path:
    """A run like the first one, on other data."""
    folder = first.with_name("second")
    settings = ("target=picture", "loss.adversarial=0", "validation.every=0")
    options = [part for setting in settings for part in ("--set", setting)]
    result = run("train", "--like", first, "--data", pictures, "--output", folder, "--device", "cpu", *options)
    assert result.exit_code == 0, result.output
    assert f"settings as in {first / 'run.json'}" in result.output.splitlines()
    return folder


@pytest.fixture
def weights_with(first: Path, tmp_path: Path) -> Callable[..., Path]:
    """Weights of the first run with other settings in their metadata."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "changed.safetensors"
        metadata = load_checkpoint(first).metadata
        config = {**json.loads(metadata["config"]), **changes}
        config = {key: value for key, value in config.items() if value is not None}
        save_network(load_network(first), path, {**metadata, "config": json.dumps(config)})
        return path

    return write


def test_a_run_like_another_has_all_its_settings_except_those_that_are_changed(first: Path, second: Path) -> None:
    expected = settings_of(first)
    expected["target"] = "picture"
    expected["loss"]["adversarial"] = 0
    expected["validation"]["every"] = 0
    assert settings_of(second) == expected
    record = RunFolder(second).read_record()
    assert record is not None
    assert record["recipe"] == "rrdb-gan-positive"
    assert record["like"] == {"path": str(first / "run.json"), "sha256": sha256_of_file(first / "run.json")}
    metadata = load_checkpoint(second).metadata
    assert metadata["settings_from"] == f"rrdb-gan-positive sha256:{record['like']['sha256']}"
    assert (load_checkpoint(first).metadata["data_license"], metadata.get("data_license")) == ("hggt-terms", None)


def test_weights_give_the_same_settings_as_their_run(first: Path) -> None:
    of_run, of_weights = config_like(first), config_like(first / WEIGHTS)
    assert of_run[0] == of_weights[0]
    assert of_weights[1].sha256 == sha256_of_file(first / WEIGHTS)


def test_a_resumed_run_keeps_whose_settings_it_took(second: Path, pictures: Path) -> None:
    before = RunFolder(second).read_record()
    options = ["--data", pictures, "--output", second, "--device", "cpu"]
    result = run("train", "--like", second, *options)
    assert result.exit_code == 0, result.output
    after = RunFolder(second).read_record()
    assert before is not None
    assert after is not None
    assert after["like"] == before["like"]
    assert after["settings_from"] == before["settings_from"]


def test_settings_newer_than_the_record_have_the_value_that_its_run_had(weights_with: Callable[..., Path]) -> None:
    config, _ = config_like(weights_with(clip_norm=None, deterministic=None), ["seed=4"])
    assert (config.clip_norm, config.deterministic, config.seed, config.loss.adversarial) == (0, False, 4, 0.2)


def test_what_cannot_be_taken_over_is_refused_in_one_line(
    first: Path, weights_with: Callable[..., Path], groups: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_network(load_network(first), foreign)
    perceptual = {**settings_of(first)["perceptual"], "weights": "vgg.pth"}
    for arguments, message in (
        ([], "expected a RECIPE or --like, got neither"),
        (["rrdb-psnr", "--like", first], "expected a RECIPE or --like, got both"),
        (["--like", foreign], "foreign.safetensors does not say with which settings it was trained"),
        (["--like", tmp_path / "no.pth"], "no.pth does not exist"),
        (["--like", tmp_path], "expected the folder of a training run, or a file"),
        (
            ["--like", weights_with(perceptual=perceptual)],
            "changed.safetensors was trained with perceptual.weights vgg.pth, and there is no such file here; pass its "
            "path with --set perceptual.weights=FILE",
        ),
        (["--like", first, "--set", "sed=1"], "--set: sed is not known; did you mean 'seed'?"),
    ):
        result = run("train", *arguments, "--data", groups, "--output", tmp_path / "run", "--device", "cpu")
        assert result.exit_code in (1, 2)
        assert message in result.stderr.splitlines()[-1]
        assert not (tmp_path / "run").exists()


def test_code_that_a_record_names_is_not_imported_unasked(
    weights_with: Callable[..., Path], groups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_code.py").write_text("raise SystemExit('ran')\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    path = weights_with(generator={"name": "their_code:Net"})
    result = run("train", "--like", path, "--data", groups, "--output", tmp_path / "run", "--device", "cpu")
    assert (
        "names code outside hggt, their_code:Net, which would run; if you trust it: --set generator.name=their_code:Net"
        in result.stderr
    )
    assert run("diff", path, path).output.splitlines()[1] == "no differences"
    assert "their_code" not in sys.modules


def test_the_difference_of_two_runs(first: Path, second: Path, tmp_path: Path) -> None:
    result = run("diff", first, second, "--json", tmp_path / "diff.json")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == f"{first} -> {second}"
    rows = {name.strip(): values for name, *values in (line.split("  ", 1) for line in lines[2:])}
    assert rows["setting loss.adversarial"][0].split() == ["0.2", "0"]
    assert rows["setting target"][0].split() == ["positive", "picture"]
    assert rows["data licence"][0].split() == ["hggt-terms", "none"]
    assert not any(name.startswith(("setting seed", "version", "weights")) for name in rows)
    assert lines[-1].startswith("not compared, because only one of the two records it: ")
    assert "validation" in lines[-1]
    found = json.loads((tmp_path / "diff.json").read_text("utf-8"))
    entry = {"kind": "setting", "name": "loss.adversarial", "first": 0.2, "second": 0.0}
    assert entry in found["differences"]
    assert len(found["differences"]) == len(rows) - 1
    assert run("diff", first, second, "--exit-code").exit_code == 1


def test_a_run_differs_from_its_weights_in_nothing(first: Path) -> None:
    result = run("diff", first / WEIGHTS, first, "--exit-code")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1] == "no differences"
    assert result.stdout.splitlines()[2].endswith("version, machine, validation")


def test_final_scores_and_versions_are_compared(first: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    record = json.loads((first / "run.json").read_text("utf-8"))
    record["starts"][-1]["versions"]["torch"] = "1.0"
    (other / "run.json").write_text(json.dumps(record), "utf-8")
    lines = (first / "log.jsonl").read_text("utf-8").splitlines()
    validation = json.loads(lines[-1])
    better = {**validation, "psnr": validation["psnr"] + 1}
    (other / "log.jsonl").write_text("\n".join([*lines, json.dumps(better), '{"iter']), "utf-8")
    shown = [line.split() for line in run("diff", first, other).stdout.splitlines()]
    assert [words[:2] for words in shown[2:]] == [
        ["weights", "iterations"],
        ["version", "torch"],
        ["validation", "psnr"],
    ]
    assert shown[-1][2:] == [f"{score['psnr']:.6g}" for score in (validation, better)]


def test_a_published_network_is_a_source_of_settings(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(_: object, name: str, revision: str | None) -> Path:
        assert (name, revision) == ("model.safetensors", None)
        return first / WEIGHTS

    monkeypatch.setattr("hggt_data.hub.repository.Repository.fetch_file", fetch)
    config, record = config_like("lab/rrdb")
    assert isinstance(config, TrainConfig)
    assert (config.seed, record.recipe) == (3, "rrdb-gan-positive")
