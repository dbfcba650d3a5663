"""One step of learning: the networks, their losses, and what improves them. It knows nothing of data, files or time."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from hggt_models.config.train import Compiled, TrainConfig
from hggt_models.data.make_pairs import TrainingPairs
from hggt_models.losses.adversarial import adversarial_loss
from hggt_models.losses.artifact_map import artifact_map, artifact_map_loss
from hggt_models.losses.negative import negative_loss
from hggt_models.losses.perceptual import PerceptualLoss
from hggt_models.networks import Network, build_network
from hggt_models.networks.weights import StateDict, load_state
from hggt_models.runtime import Runtime
from hggt_models.training.ema import Ema
from hggt_models.training.loss_meter import DivergedError

Losses = dict[str, Tensor]
Module = TypeVar("Module", bound=nn.Module)


class Learner:
    """The generator, the discriminator if there is one, and everything that makes them better.

    All processes of a run build theirs from the same seed, and stay alike because they get the mean of all gradients.

    Args:
        config: of the run.
        runtime: this process.
        initial: weights of the generator to start from; else they are random.

    Raises:
        CheckpointError: those weights are of another network.
        WeightsError: the perceptual loss needs weights that cannot be had.
    """

    def __init__(self, config: TrainConfig, runtime: Runtime, initial: StateDict | None = None) -> None:
        torch.manual_seed(config.seed)
        self._config = config
        self._runtime = runtime
        self.generator = self._build(config.generator.name, config.generator.args)
        if initial is not None:
            load_state(self.generator, initial, "the network to start from")
        self.ema = Ema(self.generator, config.ema_decay) if config.ema_decay else None
        self._restore = runtime.wrapped(self._compiled(self.generator, "generator"))
        self._optimizer = self._adam(self.generator)
        self.discriminator: Network | None = None
        if config.has_discriminator:
            self.discriminator = self._build(config.discriminator.name, config.discriminator.args)
            self._judge = self._compiled(self.discriminator, "discriminator")
            self._judge_together = runtime.wrapped(self._judge)
            self._other_optimizer = self._adam(self.discriminator)
        self._perceptual: nn.Module | None = None
        if config.loss.perceptual:
            layers = {name: weight for name, weight in config.perceptual.layers.items() if weight}
            loss = PerceptualLoss(layers, config.perceptual.source).to(runtime.device)
            self._perceptual = self._compiled(self._in_format(loss, True), "perceptual")

    @property
    def result(self) -> Network:
        """The network that a run is for: the average, where there is one."""
        return self.ema.network if self.ema else self.generator

    def step(self, next_pairs: Callable[[], TrainingPairs], rate: float) -> Losses:
        """Make both networks better once.

        Args:
            next_pairs: gives pairs; called `accumulate` times.
            rate: of learning.

        Returns:
            Means over this process's samples, without gradient and still on the device, always under the same names:
            the generator's losses times their weights, and the discriminator's.
        """
        parts = [next_pairs() for _ in range(self._config.accumulate)]
        losses, outputs = self._improve_generator(parts, rate)
        if self.discriminator is not None:
            losses |= self._improve_discriminator(parts, outputs, rate)
        if self.ema:
            self.ema.update(self.generator)
        return losses

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        state: dict[str, Any] = {
            "generator": self.generator.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        if self.ema:
            state["ema"] = self.ema.network.state_dict()
        if self.discriminator is not None:
            state["discriminator"] = self.discriminator.state_dict()
            state["discriminator_optimizer"] = self._other_optimizer.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any], where: str) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            CheckpointError: it is that of other networks; the message opens with `where`.
        """
        load_state(self.generator, state["generator"], where)
        self._optimizer.load_state_dict(state["optimizer"])
        if self.ema:
            load_state(self.ema.network, state["ema"], where)
        if self.discriminator is not None:
            load_state(self.discriminator, state["discriminator"], where)
            self._other_optimizer.load_state_dict(state["discriminator_optimizer"])

    def require_finite(self) -> None:
        """Check that the last step left nothing but numbers in the networks.

        Raises:
            DivergedError: it did not.
        """
        networks = [self.generator, self.discriminator, self.ema.network if self.ema else None]
        values = [value for network in networks if network is not None for value in network.parameters()]
        if not torch.stack([value.detach().isfinite().all() for value in values]).all():
            raise DivergedError("weights are no finite numbers any more")

    @property
    def has_split_batch_norm(self) -> bool:
        """Whether batch norm sees the samples of its own process only, and others see others."""
        return self._runtime.world > 1 and bool(self._split_statistics())

    def share_statistics(self) -> None:
        """Give all processes the mean of their batch-norm statistics, where they saw different samples."""
        for statistic in self._split_statistics():
            statistic.copy_(self._runtime.mean(statistic))

    def _split_statistics(self) -> list[Tensor]:
        """Of the generator and of its average, which has copies."""
        norms = (
            module
            for network in (self.generator, *([self.ema.network] if self.ema else []))
            for module in network.modules()
            if isinstance(module, nn.BatchNorm2d)
        )
        return [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]

    def _improve_generator(self, parts: list[TrainingPairs], rate: float) -> tuple[Losses, list[Tensor]]:
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)
        self._optimizer.zero_grad()
        means: Losses = {}
        outputs = []
        for number, pairs in enumerate(parts):
            with self._synchronised(self._restore, number == len(parts) - 1):
                with self._autocast():
                    output = self._restore(pairs.lr)
                output = output.float()
                losses = self._losses(output, pairs)
                _go_back(losses, len(parts))
            _add(means, losses, len(parts))
            outputs.append(output.detach())
        self._advance(self._optimizer, self.generator, rate)
        return means, outputs

    def _losses(self, output: Tensor, pairs: TrainingPairs) -> Losses:
        """Each loss times its weight; their sum is what the generator makes small."""
        weights = self._config.loss
        losses = {}
        if weights.pixel:
            losses["pixel"] = weights.pixel * (output - pairs.target).abs().mean()
        if self._perceptual is not None:
            with self._autocast():
                losses["perceptual"] = weights.perceptual * self._perceptual(output, pairs.target)
        if self.discriminator is not None:
            with self._autocast():
                logits = self._judge(output)
            losses["adversarial"] = weights.adversarial * adversarial_loss(logits, is_real=True)
        if pairs.negative is not None and pairs.negative_map is not None and pairs.has_negative is not None:
            distance = negative_loss(
                output, pairs.negative, pairs.negative_map, pairs.has_negative, weights.negative_margin
            )
            losses["negative"] = -weights.negative * distance
        if weights.artifact_map and self.ema:
            with torch.no_grad(), self._autocast():
                steadier = self.ema.network(pairs.lr)
            maps = artifact_map(pairs.real, output, steadier.float(), weights.artifact_window_px)
            losses["artifact_map"] = weights.artifact_map * artifact_map_loss(output, pairs.real, maps)
        return losses

    def _improve_discriminator(self, parts: list[TrainingPairs], outputs: list[Tensor], rate: float) -> Losses:
        assert self.discriminator is not None
        self.discriminator.requires_grad_(True)
        self._other_optimizer.zero_grad()
        means: Losses = {}
        for number, (pairs, output) in enumerate(zip(parts, outputs, strict=True)):
            with self._synchronised(self._judge_together, number == len(parts) - 1):
                if self._config.discriminator_batches == "joint":
                    with self._autocast():
                        real, fake = self._judge_together(torch.cat([pairs.real, output])).chunk(2)
                    losses = {"discriminator_real": adversarial_loss(real, True)}
                    losses["discriminator_fake"] = adversarial_loss(fake, False)
                    _go_back(losses, len(parts))
                else:  # each backward pass before the next forward pass, which changes the spectral norms
                    losses = {}
                    for name, images, is_real in (("real", pairs.real, True), ("fake", output, False)):
                        with self._autocast():
                            logits = self._judge_together(images)
                        one = {f"discriminator_{name}": adversarial_loss(logits, is_real)}
                        _go_back(one, len(parts))
                        losses |= one
            _add(means, losses, len(parts))
        self._advance(self._other_optimizer, self.discriminator, rate)
        return means

    def _advance(self, optimizer: torch.optim.Optimizer, network: nn.Module, rate: float) -> None:
        if self._config.clip_norm:
            nn.utils.clip_grad_norm_(network.parameters(), self._config.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()

    def _build(self, name: str, args: Mapping[str, Any]) -> Network:
        network = self._runtime.with_joint_batch_norm(build_network(name, **args).to(self._runtime.device))
        return self._in_format(network, network.channels_last)

    def _in_format(self, network: Module, prefers_channels_last: bool) -> Module:
        wanted = {"auto": prefers_channels_last, "yes": True, "no": False}[self._config.channels_last]
        if wanted:
            network.to(memory_format=torch.channels_last)
        return network

    def _compiled(self, network: nn.Module, name: Compiled) -> nn.Module:
        return cast(nn.Module, torch.compile(network)) if name in self._config.compile else network

    def _adam(self, network: nn.Module) -> torch.optim.Optimizer:
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        return torch.optim.Adam(learning, self._config.learning_rate, self._config.betas, fused=True)

    def _autocast(self) -> AbstractContextManager[Any]:
        is_wanted = self._config.precision == "bf16"
        return torch.autocast(self._runtime.device.type, torch.bfloat16, enabled=is_wanted)

    @staticmethod
    def _synchronised(network: nn.Module, is_last: bool) -> AbstractContextManager[Any]:
        """Gradients are averaged over processes once, with the last part of a batch."""
        if is_last or not hasattr(network, "no_sync"):
            return nullcontext()
        return cast(AbstractContextManager[Any], network.no_sync())  # type: ignore[operator,unused-ignore]


def _go_back(losses: Losses, num_parts: int) -> None:
    """Add the gradients of the losses' sum, for one part of a batch."""
    (torch.stack(list(losses.values())).sum() / num_parts).backward()  # type: ignore[no-untyped-call]


def _add(means: Losses, losses: Losses, num_parts: int) -> None:
    for name, value in losses.items():
        means[name] = means.get(name, 0) + value.detach() / num_parts
