"""Runs that learn what people prefer, by the bounded forms of the negative loss."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hggt_data.schema import Label
from hggt_models.config.reader import ConfigError
from hggt_models.config.recipes import load_config
from hggt_models.data.make_pairs import TrainingPairs
from hggt_models.runtime import Runtime
from hggt_models.training.learner import Learner
from hggt_models.training.progress import Progress
from tests.hggt_data import diffiqa_tree, table_tree
from tests.hggt_models.training.runs import assert_same, log_of, small, state_of, train

RECIPE = "rrdb-gan-preference"
PIXEL_ONLY = ("loss.perceptual=0", "loss.adversarial=0")
DPO = ("loss.negative_form=dpo", "loss.negative=0.1")
FORMS = {"published": ("loss.negative_form=published", "loss.negative=300"), "triplet": (), "dpo": DPO}


def learner(*more: str, recipe: str = RECIPE) -> Learner:
    return Learner(load_config(recipe, small(recipe, *more)), Runtime())


def pairs(count: int = 4, side: int = 32) -> TrainingPairs:
    """Random images; the last sample has no rejected one."""
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int, size: int = side) -> Tensor:
        return torch.rand(count, channels, size, size, generator=generator)

    target, has_negative = draw(3), torch.arange(count) < count - 1
    return TrainingPairs(draw(3, side // 4), target, target, draw(3), draw(1), has_negative, chosen=target)


# Steps


@pytest.mark.parametrize("form", FORMS)
def test_only_the_published_form_carries_a_poor_start_away(form: str) -> None:
    given, trained = pairs(), learner(*PIXEL_ONLY, *FORMS[form])
    found = [trained.step(lambda: given, 1e-3)["pixel"].item() for _ in range(40)]
    if form == "published":
        assert found[-1] > 2 * found[0]
    else:
        assert found[-1] < found[0]
        assert trained.result(given.lr).abs().max() < 2


@pytest.mark.parametrize("distance", ["pixel", "vgg", "lpips"])
@pytest.mark.usefixtures("alexnet")
def test_a_preference_is_measured_from_the_network_of_the_start(distance: str) -> None:
    given, trained = (
        pairs(),
        learner(*DPO, "loss.perceptual=0", f"loss.negative_distance={distance}", "loss.dpo_beta=2"),
    )
    names = set()
    before = {name: value.clone() for name, value in trained.state_dict()["start"].items()}
    for step in range(4):
        losses = trained.step(lambda: given, 1e-2)
        names.add(frozenset(losses))
        assert losses["dpo"].item() < 0.1 * math.log1p(math.exp(4))
        if not step:
            assert losses["dpo"].item() == pytest.approx(0.1 * 0.75 * math.log(2), rel=1e-4)
            assert losses["preference_distance"] == losses["start_distance"] > 0
            start = losses["start_distance"]
    assert losses["start_distance"] == start
    assert losses["preference_distance"] != start
    assert len(names) == 1
    assert_same(trained.state_dict()["start"], before)
    assert not torch.equal(trained.generator.state_dict()["conv_first.weight"], before["conv_first.weight"])


def test_the_target_is_the_nearest_positive_or_all_of_them() -> None:
    given = pairs()
    targets = torch.stack([given.target, given.target / 2, given.target.flip(3)], 1)
    has_target = torch.tensor([[True, True, True], [True, True, False], [True, False, False], [True, True, True]])
    given = replace(given, targets=targets, has_target=has_target, negative=None, chosen=None, negative_map=None)
    found = {}
    for rule in ("uniform", "nearest", "all"):
        trained = learner(f"positives={rule}", recipe="rrdb-gan-positive")
        with torch.no_grad():
            output = trained.generator(given.lr)
        found[rule] = trained.step(lambda: given, 1e-4)
    distances = (output[:, None] - targets).abs().mean((2, 3, 4))
    nearest = distances.masked_fill(~has_target, 9).min(1)[0].mean()
    every = ((distances * has_target).sum(1) / has_target.sum(1)).mean()
    assert found["nearest"]["pixel"].item() == pytest.approx(nearest.item(), rel=1e-5)
    assert found["all"]["pixel"].item() == pytest.approx(every.item(), rel=1e-5)
    assert found["uniform"]["pixel"].item() == pytest.approx(distances[:, 0].mean().item(), rel=1e-5)
    assert found["nearest"]["discriminator_real"] != found["uniform"]["discriminator_real"]
    assert len({losses["perceptual"].item() for losses in found.values()}) == 3
    one = replace(given, has_target=torch.tensor([[True, False, False]] * 4))
    alone = learner("positives=all", recipe="rrdb-gan-positive").step(lambda: one, 1e-4)
    for name, value in found["uniform"].items():
        torch.testing.assert_close(alone[name], value)


# Runs


def test_dpo_needs_a_network_to_start_from_and_never_its_file_again(
    groups: Path, pictures: Path, tmp_path: Path
) -> None:
    first, whole, parted = (tmp_path / name for name in ("psnr", "whole", "parted"))
    settings = (*DPO, "loss.perceptual=0", "positives=nearest", "target=positive_negative", "validation.every=0")
    refused = train(RECIPE, groups, parted, *settings, "iterations=1")
    assert refused.exit_code == 2
    *_, line = refused.output.splitlines()
    assert line.startswith("Error: loss.negative_form 'dpo'")
    assert line.endswith("expected --init")
    assert not list(parted.glob("weights/*"))
    assert train("rrdb-psnr", pictures, first, "iterations=1", "validation.every=0").exit_code == 0
    assert train(RECIPE, groups, whole, *settings, "iterations=4", options=["--init", first]).exit_code == 0
    assert train(RECIPE, groups, parted, *settings, "iterations=2", options=["--init", first]).exit_code == 0
    shutil.rmtree(first)
    assert train(RECIPE, groups, parted, *settings, "iterations=4").exit_code == 0
    assert_same(state_of(parted, 4)["state.pth"], state_of(whole, 4)["state.pth"])
    lines = log_of(parted)
    assert lines == log_of(whole)
    assert all({"dpo", "preference_distance", "start_distance"} <= line.keys() for line in lines)


def write_diffiqa(root: Path) -> Path:
    votes = {**diffiqa_tree.VOTES, "03": (Label.NEGATIVE, Label.NEGATIVE, Label.SIMILAR)}
    return diffiqa_tree.write_diffiqa(root, dict.fromkeys(diffiqa_tree.GROUPS, votes), size=(64, 64))


def write_votes(root: Path, *preferred: str) -> Path:
    """Votes on pairs of versions of four groups, by three people."""
    table_tree.write_pictures(root, dict.fromkeys("abcd", ("original", "sharp", "soft")), size=(64, 64))
    lines = [
        f"{group},{pair},{preferred[k % len(preferred)]}"
        for group in "abcd"
        for pair in ("sharp,soft", "original,sharp")
        for k in range(3)
    ]
    (root / "votes.csv").write_text("\n".join(["group,first,second,preferred", *lines, ""]))
    return root


@pytest.mark.parametrize("write", [write_diffiqa, lambda root: write_votes(root, "first", "second", "first")])
@pytest.mark.parametrize("form", ["triplet", "margin"])
def test_a_run_learns_from_labels_and_from_votes_on_pairs(
    write: Callable[[Path], Path], form: str, tmp_path: Path
) -> None:
    more = ("loss.negative_margin=0.1",) if form == "margin" else ()
    settings = ("iterations=1", "validation.every=1", "loss.perceptual=0", f"loss.negative_form={form}", *more)
    result = train(RECIPE, write(tmp_path / "data"), tmp_path / "run", *settings)
    assert result.exit_code == 0, result.output
    losses, scores = log_of(tmp_path / "run")
    assert math.isfinite(losses["triplet" if form == "triplet" else "negative"])
    assert scores["psnr"] > 0


SIMILAR, POSITIVE = (
    {group: {"01": (label,) * 3} for group in diffiqa_tree.GROUPS} for label in (Label.SIMILAR, Label.POSITIVE)
)


@pytest.mark.parametrize(
    ("write", "more", "message"),
    [
        (lambda root: write_votes(root, "tie"), (), "none of 4 groups has a preference pair"),
        (lambda root: diffiqa_tree.write_diffiqa(root, SIMILAR), (), "none of 3 groups has a preference pair"),
        (lambda root: diffiqa_tree.write_diffiqa(root, POSITIVE), (), "has a rejected candidate"),
        (
            lambda root: diffiqa_tree.write_diffiqa(root, POSITIVE),
            ("target=positive_negative",),
            "has a rejected candidate, which loss.negative_form 'triplet' compares with the positive",
        ),
    ],
)
def test_data_without_rejected_pictures_is_refused_in_one_line(
    write: Callable[[Path], Path], more: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    result = train(RECIPE, write(tmp_path / "data"), tmp_path / "run", *more)
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not list(tmp_path.glob("run/weights/*"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("loss.negative_form=margin",), "loss.negative_margin is 0; expected more than 0"),
        (("loss.negative_margin=0.1",), "'triplet' has a bound of its own; expected 0"),
        ((*DPO, "loss.pixel=0", "loss.perceptual=0"), "expected a weight of loss.pixel or loss.perceptual"),
        ((*DPO, "loss.negative_distance=lpips", "crop_px=24"), "crop_px 24 is too small for LPIPS; expected 31"),
        (("loss.triplet_margin=1.5",), "loss.triplet_margin is 1.5; expected at most 1"),
        (("positives=nearest",), "the target 'preference' does not choose among positives"),
        (("target=positive_negative", "positives=all", "sharpen=true"), "cannot be combined with sharpen"),
        (("loss.negative=0",), "expected a weight with the targets 'positive_negative' and 'preference'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(more: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(RECIPE, more)


def test_a_run_that_moves_away_from_the_chosen_pictures_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    progress = Progress.__new__(Progress)
    progress._moves_away = False
    monkeypatch.setattr(progress, "note", notes.append)
    for now in (0.2, 0.209, 0.22, 0.24):
        progress._warn_of_distance({"preference_distance": now, "start_distance": 0.2})
    progress._warn_of_distance({})
    assert len(notes) == 1
    assert "the output is 10% farther from the chosen pictures" in notes[0]
