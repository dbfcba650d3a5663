"""Networks of other projects: a class of spandrel, or of your own, as a `Network`.

The class itself is built and trained; its state dict is the network's, so that other programs recognise the weights.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hggt_models.networks.external_classes import MOST_NUMBERS, build_module, external_args, runs_own_code
from hggt_models.networks.measure import TrialError, measure_reach, measure_window, try_discriminator, try_generator
from hggt_models.networks.network import Network, NetworkArgs, NetworkError
from hggt_models.reflection import reflected

# What classes call the sizes of their windows.
_WINDOWS = ("window_size", "win_size", "split_size", "stripe_size", "split_size_0", "split_size_1", "patch_size")
_LARGEST_SIZE = 1024


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What must be known of a network to run it on pictures, beside its weights; see `Network`.

    Attributes:
        scale: Output side divided by input side.
        multiple_of: Sides that the class takes are multiples of this; others are padded.
        minimum: Smallest side that it takes.
        window: See `Network`; None if it is not known yet.
        receptive_field_px: See `Network`; known if `window` is.
    """

    scale: int
    multiple_of: int = 1
    minimum: int = 1
    window: int | None = None
    receptive_field_px: int | None = None

    def __post_init__(self) -> None:
        """NetworkError if these are not possible sizes, as in a damaged file."""
        known = [self.scale, self.multiple_of, self.minimum, *([self.window] if self.window is not None else [])]
        reach = 0 if self.receptive_field_px is None else self.receptive_field_px
        if not all(type(value) is int and 1 <= value <= _LARGEST_SIZE for value in known) or type(reach) is not int:
            raise NetworkError(f"{self} are not possible sizes; expected whole numbers from 1 to {_LARGEST_SIZE:,}")


# What trials of this process have shown: large networks take seconds, and are built several times before a run.
_trials: dict[str, tuple[Traits, set[str]]] = {}


class ExternalClass(Network):
    """An instance of a class of another project.

    Attributes:
        module: The instance; its state dict is that of the network.
        frozen: Parameters that get no gradient and were therefore frozen.
    """

    def __init__(self, name: str, args: Mapping[str, Any], most_numbers: int = MOST_NUMBERS) -> None:
        super().__init__(NetworkArgs())
        self.name = name
        self._arguments = external_args(name, args)
        self.module = build_module(name, self._arguments, most_numbers)
        self.frozen: list[str] = []

    @property
    def config(self) -> dict[str, Any]:
        """See `Network`."""
        return {"name": self.name, **self._arguments}

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """That of the class."""
        return self.module.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As the class loads it."""
        return self.module.load_state_dict(*args, **kwargs)

    def _freeze_all_but(self, learning: set[str]) -> None:
        for key, weights in self.module.named_parameters():
            if weights.requires_grad and key not in learning:
                weights.requires_grad_(False)
                self.frozen.append(key)


class ExternalDiscriminator(ExternalClass):
    """A discriminator of another project: images (N, 3, side, side) to logits of any shape, above 0 for real.

    NetworkError if the class cannot be built, fails on such images, or gives no parameter a gradient.
    """

    def __init__(self, name: str, args: Mapping[str, Any], side: int) -> None:
        super().__init__(name, args)
        try:
            self._freeze_all_but(try_discriminator(self.module, side))
        except TrialError as error:
            raise NetworkError(f"{name} {error}") from error
        self.scale = self.window = 1
        self.receptive_field_px = None

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.module(images)
        return logits


class ExternalNetwork(ExternalClass):
    """A class of another project, which maps images (N, 3, H, W) to (N, 3, scale * H, scale * W).

    It pads images to sides that the class takes. NetworkError if the class cannot be built, fails on a small image,
    returns something else, or gives no parameter a gradient. `traits` are given if they are known; `most_numbers`
    limits what the class may allocate.
    """

    def __init__(
        self, name: str, args: Mapping[str, Any], traits: Traits | None = None, most_numbers: int = MOST_NUMBERS
    ) -> None:
        super().__init__(name, args, most_numbers)
        self.traits = traits or self._try_out()
        self.scale = self.traits.scale

    @property
    def window(self) -> int:  # type: ignore[override]
        """See `Network`; asked of the class, or else measured once."""
        return self.complete_traits().window or 1

    @property
    def receptive_field_px(self) -> int | None:  # type: ignore[override]
        """See `Network`; measured once. None also if it is wider than half a thousand pixels."""
        return self.complete_traits().receptive_field_px

    def complete_traits(self) -> Traits:
        """The traits with window and receptive field, which takes some passes through the network."""
        if self.traits.window is None:
            window = min(math.lcm(self.traits.multiple_of, *self._windows()), _LARGEST_SIZE)
            reach = _own_size(self.module, "receptive_field_px") or measure_reach(self, window)
            if reach is not None and runs_own_code(self.name) and not _own_size(self.module, "window"):
                window = measure_window(self, window, reach)
                reach = _own_size(self.module, "receptive_field_px") or measure_reach(self, window)
            self.traits = replace(self.traits, window=window, receptive_field_px=reach)
        return self.traits

    def forward(self, images: Tensor) -> Tensor:
        """See `Network`."""
        height, width = images.shape[2:]
        for axis, size in ((2, height), (3, width)):
            padded = max(self.traits.minimum, -(-size // self.traits.multiple_of) * self.traits.multiple_of)
            if padded > size:
                images = images.index_select(axis, reflected(0, padded, size, images.device))
        output: Tensor = self.module(images) if self.training else self._evaluate(images)
        return output[:, :, : height * self.scale, : width * self.scale]

    def refresh(self) -> None:
        """Recompute what the class derives from its weights in eval mode, such as SPAN's fused convolutions."""
        was_training = self.training
        weights = next(self.parameters())
        side = max(self.traits.minimum, self.traits.multiple_of)
        self.eval()
        with torch.no_grad(), torch.autocast(weights.device.type, enabled=False):
            self(torch.zeros(1, 3, side, side, device=weights.device))
        self.train(was_training)

    def _evaluate(self, images: Tensor) -> Tensor:
        """Run the class in eval mode, in which some replace weights or images.

        Their new values are copied into the memory of the old ones, which optimizers and checkpoints share, and are
        made outside of inference mode, in which they could not be trained further.
        """
        before = [(weights, weights.data) for weights in self.module.parameters()]
        infers = torch.is_inference_mode_enabled()
        with torch.inference_mode(False) if infers else nullcontext(), torch.no_grad() if infers else nullcontext():
            output: Tensor = self.module(images.clone())
            for weights, data in before:
                if weights.data_ptr() != data.data_ptr():
                    data.copy_(weights.data)
                    weights.data = data
        return output

    def _try_out(self) -> Traits:
        """Run the class on a small image, forward and backward, and freeze what gets no gradient."""
        key = json.dumps(self.config)
        if key not in _trials:
            asked = (None, 1) if runs_own_code(self.name) else _spandrel_sizes(self.module)
            try:
                scale, multiple_of, learning = try_generator(self.module, *asked)
            except TrialError as error:
                raise NetworkError(f"{self.name} {error}") from error
            _trials[key] = Traits(scale=scale, multiple_of=multiple_of, minimum=max(1, asked[1])), learning
        traits, learning = _trials[key]
        self._freeze_all_but(learning)
        return traits

    def _windows(self) -> Iterator[int]:
        """Sizes of windows, as the class's arguments or attributes state them."""
        if own := _own_size(self.module, "window"):
            yield own
        for name in _WINDOWS:
            value = self._arguments.get(name)
            for size in value if isinstance(value, tuple) else (value,):
                if type(size) is int and 1 < size <= _LARGEST_SIZE:
                    yield size


def _spandrel_sizes(module: nn.Module) -> tuple[int | None, int]:
    """The multiple and the minimum of a side, as spandrel states them; (None, 1) if it does not recognise the class."""
    from spandrel import ModelLoader

    try:
        sizes = ModelLoader("cpu").load_from_state_dict(dict(module.state_dict())).size_requirements
    except Exception:  # every architecture fails in its own way
        return None, 1
    return sizes.multiple_of, max(sizes.minimum, 1)


def _own_size(module: nn.Module, name: str) -> int | None:
    value = getattr(module, name, None)
    return value if type(value) is int and 0 < value <= _LARGEST_SIZE else None
