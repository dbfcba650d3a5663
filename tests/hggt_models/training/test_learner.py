"""One step of learning, compared with the same step written out plainly."""

import copy
import os
import resource
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hggt_models.config.recipes import load_config
from hggt_models.config.train import TrainConfig
from hggt_models.data.make_pairs import TrainingPairs
from hggt_models.losses.negative import negative_loss
from hggt_models.losses.perceptual import PerceptualLoss
from hggt_models.networks import build_network
from hggt_models.runtime import Runtime
from hggt_models.training.learner import Learner
from tests.hggt_data.kills import FORKED
from tests.hggt_models.training.runs import assert_same, small

RECIPE = "rrdb-gan-positive-negative"
ALONE = Runtime()


def config(*more: str, recipe: str = RECIPE) -> TrainConfig:
    return load_config(recipe, small(recipe, *more))


def pairs(count: int = 4, seed: int = 0, side: int = 32, scale: int = 4) -> TrainingPairs:
    generator = torch.Generator().manual_seed(seed)

    def draw(channels: int, size: int) -> Tensor:
        return torch.rand(count, channels, size, size, generator=generator)

    return TrainingPairs(
        lr=draw(3, side // scale),
        target=draw(3, side),
        real=draw(3, side),
        negative=draw(3, side),
        negative_map=draw(1, side),
        has_negative=torch.tensor([True, False] * (count // 2)),
    )


def parts_of(whole: TrainingPairs, number: int) -> Iterator[TrainingPairs]:
    fields = {name: getattr(whole, name) for name in TrainingPairs.__dataclass_fields__}
    values = {name: value.chunk(number) for name, value in fields.items() if value is not None}
    for k in range(number):
        yield TrainingPairs(**{name: value[k] for name, value in values.items()})


def test_a_step_is_what_the_paper_says() -> None:
    """First the generator, with a fixed discriminator; then the discriminator, on the output of the generator."""
    settings, given = config(), pairs()
    learner = Learner(settings, ALONE)
    torch.manual_seed(settings.seed)
    generator = build_network(settings.generator.name, **settings.generator.args)
    discriminator = build_network(settings.discriminator.name, **settings.discriminator.args)
    perceptual = PerceptualLoss({"conv1_2": 0.1}, "random")
    assert_same(dict(generator.state_dict()), dict(learner.generator.state_dict()))
    assert learner.discriminator is not None
    assert_same(dict(discriminator.state_dict()), dict(learner.discriminator.state_dict()))
    optimizers = [torch.optim.Adam(net.parameters(), 1e-4, (0.9, 0.99)) for net in (generator, discriminator)]
    average = {name: weights.detach().clone() for name, weights in generator.named_parameters()}
    for _ in range(2):
        output = generator(given.lr)
        verdict = discriminator(output)
        assert given.negative is not None
        assert given.negative_map is not None
        assert given.has_negative is not None
        expected = {
            "pixel": functional.l1_loss(output, given.target),
            "perceptual": perceptual(output, given.target),
            "adversarial": 0.1 * functional.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict)),
            "negative": -300 * negative_loss(output, given.negative, given.negative_map, given.has_negative),
        }
        generator.zero_grad()
        torch.stack(list(expected.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizers[0].step()
        discriminator.zero_grad()
        for name, images, wanted in (("real", given.real, 1.0), ("fake", output.detach(), 0.0)):
            logits = discriminator(images)
            loss = functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))
            loss.backward()  # type: ignore[no-untyped-call]
            expected[f"discriminator_{name}"] = loss
        optimizers[1].step()
        for name, weights in generator.named_parameters():
            average[name] = 0.999 * average[name] + 0.001 * weights.detach()
        losses = learner.step(lambda: given, 1e-4)
        assert losses.keys() == expected.keys()
        for name, value in losses.items():
            torch.testing.assert_close(value, expected[name].detach(), rtol=1e-5, atol=1e-6)
    for ours, plain in ((learner.generator, generator), (learner.discriminator, discriminator)):
        for (name, value), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(value, other, rtol=0, atol=2e-6, msg=name)
    for name, value in learner.result.named_parameters():
        torch.testing.assert_close(value, average[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("batches", ["separate", "joint"])
def test_the_relativistic_step_is_that_of_esrgan(batches: str) -> None:
    """In separate batches as BasicSR computes it, where means of the other kind have no gradient; else as published."""
    more = ("loss.adversarial_form=relativistic", f"discriminator_batches={batches}")
    alone = ("loss.adversarial=1", "loss.pixel=0", "loss.perceptual=0")
    learner, given = Learner(config(*more, *alone, recipe="rrdb-gan-positive"), ALONE), pairs()
    generator, discriminator = copy.deepcopy(learner.generator), copy.deepcopy(learner.discriminator)
    assert discriminator is not None

    def cross_entropy(logits: Tensor, others: Tensor, wanted: float) -> Tensor:
        logits = logits - others.mean()
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))

    output = generator(given.lr)
    real, fake = discriminator(given.real).detach(), discriminator(output)
    expected = {"adversarial": (cross_entropy(real, fake, 0) + cross_entropy(fake, real, 1)) / 2}
    expected["adversarial"].backward()  # type: ignore[no-untyped-call]
    discriminator.zero_grad()
    output = output.detach()
    if batches == "joint":
        real, fake = discriminator(torch.cat([given.real, output])).chunk(2)
        expected["discriminator_real"] = cross_entropy(real, fake, 1) / 2
        expected["discriminator_fake"] = cross_entropy(fake, real, 0) / 2
        (expected["discriminator_real"] + expected["discriminator_fake"]).backward()  # type: ignore[no-untyped-call]
    else:
        others = discriminator(output).detach()
        real = discriminator(given.real)
        expected["discriminator_real"] = cross_entropy(real, others, 1) / 2
        expected["discriminator_real"].backward()  # type: ignore[no-untyped-call]
        expected["discriminator_fake"] = cross_entropy(discriminator(output), real.detach(), 0) / 2
        expected["discriminator_fake"].backward()  # type: ignore[no-untyped-call]
    losses = learner.step(lambda: given, 1e-4)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value.detach(), rtol=1e-5, atol=1e-6)
    for ours, plain in ((learner.generator, generator), (learner.discriminator, discriminator)):
        assert ours is not None
        for value, other in zip(ours.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(value.grad, other.grad, rtol=1e-4, atol=1e-7)


def test_the_perceptual_network_is_not_trained() -> None:
    learner = Learner(config(), ALONE)
    before = learner.state_dict()
    assert not any("vgg" in key or "features" in key for key in before["generator"])
    assert before.keys() == {"generator", "optimizer", "ema", "discriminator", "discriminator_optimizer"}


def test_a_batch_in_parts_gives_the_same_step() -> None:
    """Also when gradients are clipped, which happens once, after all parts."""
    given = pairs()
    more = "clip_norm=0.01"
    whole, parted = (
        Learner(config(more, "batch_size=4"), ALONE),
        Learner(config(more, "batch_size=4", "accumulate=2"), ALONE),
    )
    assert whole.discriminator is not None
    assert parted.discriminator is not None
    # Each part updates the spectral norms; without updates both use the same norms.
    whole.discriminator.eval()
    parted.discriminator.eval()
    expected = whole.step(lambda: given, 1e-4)
    parts = parts_of(given, 2)
    losses = parted.step(lambda: next(parts), 1e-4)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-5, atol=1e-6)
    for one, other in ((whole.generator, parted.generator), (whole.discriminator, parted.discriminator)):
        for value, same in zip(one.parameters(), other.parameters(), strict=True):
            assert value.grad is not None
            torch.testing.assert_close(value.grad, same.grad, rtol=1e-3, atol=1e-7)


def test_clipping_bounds_each_network_alone() -> None:
    learner = Learner(config("clip_norm=0.001"), ALONE)
    learner.step(pairs, 1e-4)
    for network in (learner.generator, learner.discriminator):
        assert network is not None
        norm = torch.stack([value.grad.norm() for value in network.parameters() if value.grad is not None]).norm()
        assert 0.0009 < norm < 0.00101


def test_the_rate_is_that_of_the_step() -> None:
    learner = Learner(config("loss.adversarial=0"), ALONE)
    before = {name: value.detach().clone() for name, value in learner.generator.named_parameters()}
    learner.step(pairs, 0.0)
    for name, value in learner.generator.named_parameters():
        assert torch.equal(value, before[name])
    learner.step(pairs, 1e-3)
    assert not torch.equal(learner.generator.get_parameter("conv_first.weight"), before["conv_first.weight"])


def test_joint_batches_give_the_same_losses_at_equal_norms() -> None:
    given = pairs()
    separate, joint = Learner(config(), ALONE), Learner(config("discriminator_batches=joint"), ALONE)
    for learner in (separate, joint):
        assert learner.discriminator is not None
        learner.discriminator.eval()
    expected, losses = separate.step(lambda: given, 1e-4), joint.step(lambda: given, 1e-4)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-5, atol=1e-6)


def test_bf16_keeps_weights_and_losses_in_float32() -> None:
    given = pairs()
    full, brief = Learner(config(), ALONE), Learner(config("precision=bf16"), ALONE)
    expected, losses = full.step(lambda: given, 1e-4), brief.step(lambda: given, 1e-4)
    for name, value in expected.items():
        assert losses[name].dtype == torch.float32
        torch.testing.assert_close(losses[name], value, rtol=0.05, atol=0.05)
    assert not torch.equal(losses["pixel"], expected["pixel"])
    for value in brief.generator.parameters():
        assert value.dtype == torch.float32


def test_the_artifact_map_weighs_pixels_where_the_average_does_better() -> None:
    settings = config(recipe="ldl-gan")
    learner = Learner(settings, ALONE)
    given = pairs()
    first = learner.step(lambda: given, 1e-4)
    assert first["artifact_map"] > 0  # the network equals its average: neither does better
    assert learner.ema is not None
    with torch.no_grad():  # an average that is worse everywhere
        learner.ema.network.get_parameter("conv_last.bias").add_(10)
    assert learner.step(lambda: given, 1e-4)["artifact_map"] == 0


def test_the_artifact_map_uses_the_unsharpened_picture() -> None:
    """Source: the official LDL model, whose other losses of the generator look at the sharpened one."""
    given = pairs()
    tasks = (given, replace(given, target=given.target / 2), replace(given, real=given.real / 2))
    plain, sharper, another = (
        Learner(config(recipe="ldl-gan"), ALONE).step(iter([one]).__next__, 1e-4) for one in tasks
    )
    assert sharper["artifact_map"] == plain["artifact_map"] != another["artifact_map"]
    assert sharper["pixel"] != plain["pixel"] == another["pixel"]


def test_a_recipe_without_a_discriminator_has_none() -> None:
    learner = Learner(config(recipe="rrdb-psnr"), ALONE)
    assert learner.discriminator is None
    given = replace(pairs(), negative=None, negative_map=None, has_negative=None)
    assert learner.step(lambda: given, 1e-4).keys() == {"pixel"}
    assert learner.state_dict().keys() == {"generator", "optimizer", "ema"}


def test_compiled_networks_learn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs what the compiler has traced as it is, because translating it takes minutes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    given = pairs()
    plain = Learner(config(), ALONE)
    compiled = Learner(config('compile=["generator", "discriminator", "perceptual"]'), ALONE)
    for _ in range(2):
        expected, losses = plain.step(lambda: given, 1e-4), compiled.step(lambda: given, 1e-4)
        for name, value in expected.items():
            torch.testing.assert_close(losses[name], value, rtol=1e-4, atol=1e-5)
    assert compiled.state_dict()["generator"].keys() == plain.state_dict()["generator"].keys()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads the size of a process in /proc")
def test_undoing_a_step_needs_no_memory() -> None:
    """A process of its own has no memory left for a copy of the largest weights."""
    process = FORKED.Process(target=_undo_without_memory)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def _undo_without_memory() -> None:
    learner = Learner(config("generator.num_feat=512", "loss.perceptual=0", "channels_last=no"), ALONE)
    small_pairs = pairs(2, side=16)
    learner.step(lambda: small_pairs, 1e-3)
    before = copy.deepcopy(learner.state_dict())
    learner.keep()
    learner.step(lambda: small_pairs, 1e-3)
    weights = dict(learner.generator.named_parameters())
    assert not any(torch.equal(value, before["generator"][name]) for name, value in weights.items())
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, -1))
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        torch.empty_like(max(weights.values(), key=Tensor.numel))
    learner.undo()
    assert_same(learner.state_dict(), before)


def test_a_resumed_run_may_have_another_memory_format() -> None:
    first, *others = (Learner(config(f"channels_last={wanted}"), ALONE) for wanted in ("no", "yes", "no"))
    first.step(pairs, 1e-2)
    for learner in others:
        learner.load_state_dict(copy.deepcopy(first.state_dict()), "the first")
        generator = torch.Generator().manual_seed(0)
        for weights in learner.generator.parameters():
            weights.grad = torch.empty_like(weights).copy_(torch.randn(weights.shape, generator=generator))
        learner._update(1e-2)
    for one, other in zip(*(learner.generator.parameters() for learner in others), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_preparing_the_first_update_changes_nothing() -> None:
    learner = Learner(config(), ALONE)
    torch.manual_seed(config().seed)
    generator = build_network(config().generator.name, **config().generator.args)
    assert_same(dict(generator.state_dict()), dict(learner.generator.state_dict()))
    assert_same(dict(generator.state_dict()), dict(learner.result.state_dict()))
    for state in learner.state_dict()["optimizer"]["state"].values():
        assert not any(value.any() for value in state.values())
