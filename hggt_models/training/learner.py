"""One training step: networks, losses and optimizers. It knows nothing of data, files or time."""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from hggt_models.config.sections import Compiled
from hggt_models.config.train import TrainConfig
from hggt_models.data.make_pairs import TrainingPairs
from hggt_models.losses.perceptual import PerceptualLoss
from hggt_models.losses.positives import nearest_target
from hggt_models.networks import Network, build_discriminator, build_network
from hggt_models.networks.checkpoint import load_weights
from hggt_models.networks.external import ExternalClass
from hggt_models.networks.weights import StateDict, load_state
from hggt_models.runtime import Runtime
from hggt_models.training.discriminator_losses import DiscriminatorLosses
from hggt_models.training.ema import Ema
from hggt_models.training.generator_losses import GeneratorLosses, Losses, autocast
from hggt_models.training.joint_batch_norm import join_batch_norm
from hggt_models.training.loss_meter import DivergedError
from hggt_models.training.optimizers import load_optimizer, make_optimizer, reserve_state
from hggt_models.training.preference import PreferenceLoss

Module = TypeVar("Module", bound=nn.Module)


class Learner:
    """The generator, its moving average, the discriminator if there is one, and their losses and optimizers.

    All processes of a run build theirs from the same seed, and stay equal because gradients are averaged over all. The
    generator starts from the weights in `initial`, or from random ones; the discriminator, from those in the file
    `initial_discriminator`.
    """

    def __init__(
        self,
        config: TrainConfig,
        runtime: Runtime,
        initial: StateDict | None = None,
        initial_discriminator: Path | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self._config = config
        self._runtime = runtime
        self.generator = self._placed(build_network(config.generator.name, **config.generator.args))
        if initial is not None:
            load_state(self.generator, initial, "the network to start from")
        self.ema = Ema(self.generator, config.ema_decay) if config.ema_decay else None
        self._start: Network | None = None  # what the form `dpo` of the negative loss compares with
        if config.needs_start:
            self._start = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self._compiled_generator = self._compiled(self.generator, "generator")
        self._generator_optimizer = make_optimizer(self.generator, config)
        self.discriminator: Network | None = None
        if config.has_discriminator:
            built = build_discriminator(config.discriminator.name, config.discriminator.args, config.crop_px)
            if initial_discriminator is not None:
                load_weights(initial_discriminator, built)
            self.discriminator = self._placed(built)
            self._judging = [weights for weights in self.discriminator.parameters() if weights.requires_grad]
            self._compiled_discriminator = self._compiled(self.discriminator, "discriminator")
            self._discriminator_optimizer = make_optimizer(self.discriminator, config)
        for optimizer in self._optimizers:
            reserve_state(optimizer)
        self._state = self._changing_state()  # which shares the memory of the networks and optimizers
        self._kept = copy.deepcopy(self._state)
        perceptual: PerceptualLoss | None = None
        if config.uses_vgg:
            layers = {name: weight for name, weight in config.perceptual.layers.items() if weight}
            loss = PerceptualLoss(layers, config.perceptual.source).to(runtime.device)
            perceptual = self._compiled(self._in_format(loss, True), "perceptual")
        preference = PreferenceLoss(config, runtime, self._start, perceptual) if self._start is not None else None
        self._generator_losses = GeneratorLosses(config, runtime, perceptual, preference)
        self._discriminator_losses = DiscriminatorLosses(config, runtime)

    @property
    def frozen(self) -> dict[str, list[str]]:
        """Parameters of the networks of other projects that get no gradient, and were therefore frozen."""
        return {
            key: network.frozen
            for key, network in (("generator", self.generator), ("discriminator", self.discriminator))
            if isinstance(network, ExternalClass) and network.frozen
        }

    @property
    def result(self) -> Network:
        """The trained network: the moving average if there is one, else the generator."""
        return self.ema.network if self.ema else self.generator

    def step(self, next_pairs: Callable[[], TrainingPairs], rate: float) -> Losses:
        """One iteration, with the pairs of `accumulate` calls of `next_pairs`.

        Gradients are averaged over all processes and clipped. Returns the weighted losses of the generator and those of
        the discriminator, as means over this process's samples, without gradient and still on the device. The names are
        the same in every step. All processes call this within `together`; `keep` and `undo` make it whole.
        """
        losses = self._compute([next_pairs() for _ in range(self._config.accumulate)])
        for network in self._networks:
            self._runtime.average(_gradients(network))
            if self._config.clip_norm:
                nn.utils.clip_grad_norm_(network.parameters(), self._config.clip_norm)
        self._update(rate)
        return losses

    @property
    def trial_samples(self) -> int:
        """How many samples a trial needs: two with batch norm, which cannot train on one value for each channel."""
        modules = (module for network in self._networks for module in network.modules())
        return 2 if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in modules) else 1

    def try_out(self, pairs: TrainingPairs) -> None:
        """Raise whatever error a step with such pairs would meet; nothing changes."""
        self.keep()
        try:
            self._compute([pairs])
        finally:
            self.undo()

    def keep(self) -> None:
        """Keep a copy of all networks and optimizers, in memory that is reserved beforehand."""
        _copy(self._state, self._kept)

    def undo(self) -> None:
        """Restore what `keep` has kept, however far a step has come; this needs no memory."""
        _copy(self._kept, self._state)

    def _update(self, rate: float) -> None:
        """Update the networks with their gradients, in place."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        if self.ema:
            self.ema.update(self.generator)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to resume."""
        start = {} if self._start is None else {"start": self._start.state_dict()}
        return {**self._changing_state(), **start}

    def _changing_state(self) -> dict[str, Any]:
        """All that a step changes. The rate of a step is not a part of it."""
        state: dict[str, Any] = {
            "generator": self.generator.state_dict(),
            "optimizer": {"state": self._generator_optimizer.state_dict()["state"]},
        }
        if self.ema:
            state["ema"] = self.ema.network.state_dict()
        if self.discriminator is not None:
            state["discriminator"] = self.discriminator.state_dict()
            state["discriminator_optimizer"] = {"state": self._discriminator_optimizer.state_dict()["state"]}
        return state

    def load_state_dict(self, state: Mapping[str, Any], where: str) -> None:
        """Resume from a `state_dict`; an error says `where` it came from."""
        load_state(self.generator, state["generator"], where)
        load_optimizer(self._generator_optimizer, state["optimizer"])
        if self._start is not None:
            load_state(self._start, state["start"], where)
        if self.ema:
            load_state(self.ema.network, state["ema"], where)
        if self.discriminator is not None:
            load_state(self.discriminator, state["discriminator"], where)
            load_optimizer(self._discriminator_optimizer, state["discriminator_optimizer"])

    def require_finite(self) -> None:
        """Raise DivergedError if a weight is NaN or infinite after the last step."""
        networks = [self.generator, self.discriminator, self.ema.network if self.ema else None]
        values = [value for network in networks if network is not None for value in network.parameters()]
        if not torch.stack([value.detach().isfinite().all() for value in values]).all():
            raise DivergedError("weights became NaN or infinite")

    def _compute(self, parts: list[TrainingPairs]) -> Losses:
        losses, outputs = self._compute_generator(parts)
        if self.discriminator is not None:
            losses |= self._compute_discriminator(parts, outputs)
        return losses

    @property
    def _networks(self) -> list[Network]:
        return [self.generator, *([self.discriminator] if self.discriminator is not None else [])]

    @property
    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return [self._generator_optimizer, *([self._discriminator_optimizer] if self.discriminator is not None else [])]

    def _compute_generator(self, parts: list[TrainingPairs]) -> tuple[Losses, list[Tensor]]:
        if self.discriminator is not None:
            _set_requires_grad(self._judging, False)
        discriminator = self._compiled_discriminator if self.discriminator is not None else None
        average = self.ema.network if self.ema else None
        self._generator_optimizer.zero_grad()
        means: Losses = {}
        outputs = []
        for number, pairs in enumerate(parts):
            with autocast(self._config, self._runtime):
                output = self._compiled_generator(pairs.lr)
            output = output.float()
            if self._config.positives == "nearest":
                parts[number] = pairs = _with_nearest_target(pairs, output)
            losses = self._generator_losses.compute(output, pairs, discriminator, average)
            _backward(losses, len(parts))
            _add(means, losses, len(parts))
            outputs.append(output.detach())
        return means, outputs

    def _compute_discriminator(self, parts: list[TrainingPairs], outputs: list[Tensor]) -> Losses:
        assert self.discriminator is not None
        _set_requires_grad(self._judging, True)
        self._discriminator_optimizer.zero_grad()
        means: Losses = {}
        for pairs, output in zip(parts, outputs, strict=True):
            losses: Losses = {}
            for part in self._discriminator_losses.compute(pairs.real, output, self._compiled_discriminator):
                _backward(part, len(parts))
                losses |= part
            _add(means, losses, len(parts))
        return means

    def _placed(self, network: Network) -> Network:
        network = network.to(self._runtime.device)
        return self._in_format(join_batch_norm(network, self._runtime), network.channels_last)

    def _in_format(self, network: Module, prefers_channels_last: bool) -> Module:
        wanted = {"auto": prefers_channels_last, "yes": True, "no": False}[self._config.channels_last]
        if wanted:
            network.to(memory_format=torch.channels_last)
        return network

    def _compiled(self, network: Module, name: Compiled) -> Module:
        return cast(Module, torch.compile(network)) if name in self._config.compile else network


def _with_nearest_target(pairs: TrainingPairs, output: Tensor) -> TrainingPairs:
    """The pairs with the positive that is now nearest to the output as the target of all losses."""
    assert pairs.targets is not None
    assert pairs.has_target is not None
    target = nearest_target(output, pairs.targets, pairs.has_target)
    return replace(pairs, target=target, real=target)


def _set_requires_grad(parameters: list[nn.Parameter], flag: bool) -> None:
    for weights in parameters:
        weights.requires_grad_(flag)


def _gradients(network: nn.Module) -> list[Tensor]:
    """All gradients; 0 for parameters that this step did not use, because another process may have used them."""
    gradients = []
    for weights in network.parameters():
        if weights.requires_grad:
            if weights.grad is None:
                weights.grad = torch.zeros_like(weights)
            gradients.append(weights.grad)
    return gradients


def _copy(source: StateDict, target: StateDict) -> None:
    """Copy all tensors of one state into those of another, which has the same structure."""
    kinds: dict[object, tuple[list[Tensor], list[Tensor]]] = defaultdict(lambda: ([], []))
    for values, copies in zip(_tensors(source), _tensors(target), strict=True):
        to, of = kinds[values.device, values.dtype]  # copies are fast among tensors of a kind
        to.append(copies)
        of.append(values)
    with torch.no_grad():
        for to, of in kinds.values():
            torch._foreach_copy_(to, of)


def _tensors(state: Any) -> Iterator[Tensor]:
    """All tensors in nested dictionaries."""
    if isinstance(state, Tensor):
        yield state
    else:
        for value in state.values():
            yield from _tensors(value)


def _backward(losses: Losses, num_parts: int) -> None:
    """Accumulate the gradients of the losses' sum, for one part of a batch."""
    (torch.stack(list(losses.values())).sum() / num_parts).backward()  # type: ignore[no-untyped-call]


def _add(means: Losses, losses: Losses, num_parts: int) -> None:
    for name, value in losses.items():
        means[name] = means.get(name, 0) + value.detach() / num_parts
