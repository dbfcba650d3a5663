"""Networks of other projects, loaded with spandrel (the extra `community`); for inference only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from hggt_models.networks.network import Network, NetworkArgs, NetworkError
from hggt_models.networks.weights import StateDict, first_line

# Numbers that an architecture may allocate: this many times those in the file, and some for masks and tables.
_MOST_NEEDED, _SPARE = 4, 1 << 25


class _Allowance(TorchFunctionMode):
    """Limits what is allocated while a network is built: spandrel builds whatever sizes a file claims."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self._left = numbers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn):
            size = args[0] if args and isinstance(args[0], Sequence) else args
            self._left -= math.prod(number for number in size if isinstance(number, int))
            if self._left < 0:
                raise NetworkError("its sizes claim more memory than the weights take")
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True, kw_only=True)
class CommunityArgs(NetworkArgs):
    """Name of the architecture in spandrel. It is not enough to build the network."""

    architecture: str = ""


class CommunityNetwork(Network):
    """A network that spandrel recognises from its weights. Its output is clamped.

    NetworkError if spandrel is not installed or does not know the network, or if the network does not map RGB to RGB.
    """

    name = "community"
    args_type = CommunityArgs

    def __init__(self, state: StateDict) -> None:
        try:
            import spandrel
        except ImportError as error:
            raise NetworkError("networks of other projects need spandrel: pip install 'hggt[community]'") from error
        version = spandrel.__version__
        try:
            with _Allowance(_MOST_NEEDED * sum(tensor.numel() for tensor in state.values()) + _SPARE):
                descriptor: Any = spandrel.ModelLoader("cpu").load_from_state_dict(dict(state))
        except spandrel.UnsupportedModelError as error:
            raise NetworkError(f"spandrel {version} does not recognise it either") from error
        except Exception as error:  # every architecture fails in its own way
            raise NetworkError(f"spandrel {version} cannot load the network: {first_line(error)}") from error
        architecture = descriptor.architecture.name
        if not isinstance(descriptor, spandrel.ImageModelDescriptor):
            raise NetworkError(f"{architecture} needs more inputs than one image")
        if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
            raise NetworkError(
                f"{architecture} maps {descriptor.input_channels} channels to {descriptor.output_channels}; expected 3"
            )
        dropped = _count_weights(state) - _count_weights(descriptor.model.state_dict())
        if dropped > 0:
            raise NetworkError(f"spandrel {version} takes it for {architecture} and drops {dropped:,} weights")
        super().__init__(CommunityArgs(architecture=architecture))
        self.scale = descriptor.scale
        self.window = descriptor.size_requirements.multiple_of
        self.receptive_field_px = None
        self.model = descriptor.model
        self._descriptor = descriptor

    def forward(self, images: Tensor) -> Tensor:
        """See `Network`."""
        # One picture at a time, as spandrel expects; and copies, because its RCAN changes them.
        return torch.cat([self._descriptor(image[None].clone()) for image in images])


def _count_weights(state: StateDict) -> int:
    """Weights that have an effect; spandrel may drop others."""
    return sum(int(tensor.count_nonzero()) for tensor in state.values() if tensor.is_floating_point())
