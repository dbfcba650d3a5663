"""Runs that train networks of other projects, on the demo."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from hggt_models.cli import main
from hggt_models.networks.checkpoint import load_checkpoint
from hggt_models.networks.external_classes import spandrel_classes
from tests.hggt_models.networks.small import random_images
from tests.hggt_models.training.processes import places
from tests.hggt_models.training.runs import SMALL_RUN, assert_same, fork_command, state_of

spandrel = pytest.importorskip("spandrel", reason="needs the extra community: pip install 'hggt[community]'")

RECIPE = "rrdb-gan-positive-negative"
OWN = "tests.hggt_models.networks.own"
QUICK = ("pool_size=0", "validation.every=0", "checkpoint.every=1", "loss.perceptual=0")


def arguments(data: Path, output: Path, *more: str, options: Sequence[object] = ()) -> list[str]:
    settings = [part for setting in (*SMALL_RUN, *QUICK, *more) for part in ("--set", setting)]
    given = ["train", RECIPE, "--data", data, "--output", output, "--workers", 0, "--device", "cpu", *options]
    return [str(argument) for argument in (*given, *settings)]


def train(data: Path, output: Path, *more: str, options: Sequence[object] = ()) -> Result:
    return CliRunner().invoke(main, arguments(data, output, *more, options=options))


def community_span(path: Path, upscale: int) -> Path:
    """Weights as people share them."""
    torch.manual_seed(3)
    made = spandrel_classes()["SPAN"](num_in_ch=3, num_out_ch=3, feature_channels=6, upscale=upscale)
    torch.save({"params_ema": made.state_dict()}, path)
    return path


def test_a_community_checkpoint_is_fine_tuned_at_its_own_scale_by_two_processes_as_by_one_that_resumes(
    groups: Path, tmp_path: Path
) -> None:
    weights, output = community_span(tmp_path / "2x.pth", 2), tmp_path / "run"
    assert train(groups, tmp_path / "whole", "iterations=2", options=["--init", weights]).exit_code == 0
    of_two = arguments(groups, tmp_path / "two", "iterations=2", options=["--init", weights])
    processes = [fork_command(of_two, tmp_path / "shown.txt", function=None, **place) for place in places()]
    for process in processes:
        process.join(300)
    shown = (tmp_path / "shown.txt").read_text()
    assert [process.exitcode for process in processes] == [0, 0], shown
    assert shown.count("40 parameters (conv_1.eval_conv.weight and 39 more) of the generator get no gradient") == 1
    result = train(groups, output, "iterations=1", options=["--init", weights])
    assert result.exit_code == 0, result.output
    assert f"starting from {weights}, a network spandrel:SPAN of scale 2" in result.output.replace("\n", "")
    resumed = train(groups, output, "iterations=2")  # without naming the weights again
    assert resumed.exit_code == 0, resumed.output
    assert_same(state_of(tmp_path / "run", 2), state_of(tmp_path / "whole", 2))
    record = json.loads((output / "run.json").read_text())
    assert (record["config"]["generator"]["upscale"], record["config"]["degradation"]["scale"]) == (2, 2)
    two, one = (state_of(tmp_path / name, 2)["state.pth"] for name in ("two", "run"))
    for network in ("generator", "discriminator", "ema"):
        for key, value in one[network].items():
            torch.testing.assert_close(two[network][key], value, rtol=1e-6, atol=5e-6, msg=f"{network} {key}")
    images = random_images(1, 3, 16, 20)
    trained = spandrel.ModelLoader("cpu").load_from_file(output / "weights" / "000002.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(trained(images.clone()), load_checkpoint(output).build()(images).clamp(0, 1))
    before = spandrel.ModelLoader("cpu").load_from_file(weights).model.state_dict()
    changed = {key for key, value in trained.model.state_dict().items() if not torch.equal(value, before[key])}
    assert {"conv_1.sk.weight", "conv_1.eval_conv.weight", "upsampler.0.weight"} <= changed
    other = train(groups, tmp_path / "other", "generator.name=swinir", options=["--init", weights])
    assert other.exit_code == 1
    assert f"--init {weights} is spandrel:SPAN, but the recipe trains swinir" in other.output


def test_batch_norm_over_single_values_is_tried_out_with_two_samples(groups: Path, tmp_path: Path) -> None:
    dat = ("name=spandrel:DAT", "embed_dim=32", "depth=[1]", "num_heads=[2]", "split_size=[2, 4]", "upscale=4")
    settings = [f"generator.{setting}" for setting in dat]
    result = train(groups, tmp_path / "run", *settings, "iterations=1")
    assert result.exit_code == 0, result.output
    refused = train(groups, tmp_path / "other", *settings, "iterations=1", "accumulate=2")
    assert refused.exit_code == 2
    assert "these settings cannot work: a sample of crop_px 32 fails with Expected more than 1 value" in refused.output


def test_classes_of_ones_own_are_trained_by_name(groups: Path, tmp_path: Path) -> None:
    own = (f"generator.name={OWN}:Enlarger", f"discriminator.name={OWN}:Judge", "discriminator.features=6")
    settings = [setting for setting in SMALL_RUN if not setting.startswith("discriminator.")]
    given = ["train", RECIPE, "--data", str(groups), "--workers", "0", "--device", "cpu"]
    for setting in (*settings, *QUICK, "iterations=1", *own):
        given += ["--set", setting]
    result = CliRunner().invoke(main, [*given, "--output", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert "1 parameter (unused) of the generator" in result.output
    state = state_of(tmp_path / "run", 1)["state.pth"]
    torch.save({"params": state["discriminator"]}, tmp_path / "judge.pth")
    options = ["--init-discriminator", str(tmp_path / "judge.pth"), "--output", str(tmp_path / "next")]
    result = CliRunner().invoke(main, [*given, *options])
    assert result.exit_code == 0, result.output
    after = state_of(tmp_path / "next", 1)["state.pth"]["discriminator"]
    assert torch.equal(after["backbone.weight"], state["discriminator"]["backbone.weight"])  # which its author froze
    assert (after["head.weight"] - state["discriminator"]["head.weight"]).abs().max() < 1e-3  # one step away
    record = json.loads((tmp_path / "next" / "run.json").read_text())
    assert record["initial_discriminator"]["path"].endswith("judge.pth")
    torch.save({"params": {"head.weight": torch.zeros(1, 6)}}, tmp_path / "judge.pth")
    refused = CliRunner().invoke(main, [*given, *options])
    assert refused.exit_code == 1
    assert "--init-discriminator is" in refused.output
    elsewhere = CliRunner().invoke(main, [*given, *options[:2], "--output", str(tmp_path / "third")])
    assert "judge.pth does not fit the network's 4 tensors: 3 missing" in elsewhere.output


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("generator.name=spandrel:Compact", "generator.num_feat=4", "generator.num_conv=1", "generator.upscale=2"),
         "the generator's scale is 2 (generator.upscale sets it), but degradation.scale is 4; expected the same"),
        (("generator.name=spandrel:Compact", "generator.num_out_ch=1"),
         "generator.num_out_ch is 1; expected 3, because images are RGB"),
        ((f"generator.name={OWN}:Stubborn",), f"generator: {OWN}:Stubborn fails on RGB images of 192 x 192: not today"),
        ((f"generator.name={OWN}:Frozen",), f"generator: {OWN}:Frozen has no parameters that get a gradient"),
        (("generator.num_block=1", f"discriminator.name={OWN}:Stubborn"),
         f"discriminator: {OWN}:Stubborn fails on RGB images of 32 x 32"),
        (("discriminator.name=spandrel:SPAN",), "discriminator is spandrel:SPAN; expected unet_discriminator_sn or"),
    ],
)  # fmt: skip
def test_networks_that_cannot_be_trained_are_refused_in_one_line(
    settings: tuple[str, ...], message: str, groups: Path, tmp_path: Path
) -> None:
    result = train(groups, tmp_path / "run", *settings)
    assert result.exit_code == 2
    *_, line = result.output.splitlines()
    assert line.startswith(f"Error: --set: {message}")
    assert not (tmp_path / "run").exists()
