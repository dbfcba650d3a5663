"""Networks that spandrel (the extra `community`) recognises from weights: to run them, or to train them further."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hggt_models.networks.allowance import Allowance
from hggt_models.networks.external import ExternalNetwork
from hggt_models.networks.external_classes import NEEDS_SPANDREL, SPANDREL, external_args, spandrel_classes
from hggt_models.networks.network import Network, NetworkArgs, NetworkError
from hggt_models.networks.weights import StateDict, first_line

# Numbers that an architecture may allocate: this many times those in the file, and some for masks and tables.
_MOST_NEEDED, _SPARE = 4, 1 << 25
_SIDE, _LARGEST_DIFFERENCE = 16, 1e-3  # less than a grey level, of networks in float32


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
        descriptor = _describe(state)
        super().__init__(CommunityArgs(architecture=descriptor.architecture.name))
        self.scale = descriptor.scale
        self.window = descriptor.size_requirements.multiple_of
        self.receptive_field_px = None
        self.model = descriptor.model
        self._descriptor = descriptor

    def forward(self, images: Tensor) -> Tensor:
        """See `Network`."""
        # One picture at a time, as spandrel expects; and copies, because its RCAN changes them.
        return torch.cat([self._descriptor(image[None].clone()) for image in images])


def trainable_network(state: StateDict) -> ExternalNetwork:
    """The class behind the weights of a network that spandrel recognises, with these weights, to train it further.

    NetworkError as for `CommunityNetwork`, or if spandrel does more with the network than running its class.
    """
    descriptor = _describe(state)
    architecture: str = descriptor.architecture.name
    module = descriptor.model
    name = f"{SPANDREL}:{type(module).__name__}"
    if spandrel_classes().get(type(module).__name__) is not type(module):
        raise NetworkError(f"{architecture} cannot be trained, because it is not among spandrel's architectures")
    found = external_args(name, {})
    args = {arg: value for arg, value in vars(module)["hyperparameters"].items() if arg in found or _is_given(value)}
    network = ExternalNetwork(name, args)
    network.load_state_dict(module.state_dict())
    if not _gives_same(network, CommunityNetwork(state)):
        raise NetworkError(f"{architecture} cannot be trained, because spandrel does more with it than run it")
    return network


def opens_in_spandrel(network: ExternalNetwork) -> bool:
    """Whether spandrel, and with it chaiNNer, recognises the network from its weights and gives its results."""
    try:
        found = CommunityNetwork({key: tensor.detach().cpu() for key, tensor in network.state_dict().items()})
    except NetworkError:
        return False
    return found.scale == network.scale and _gives_same(network, found)


def _gives_same(network: ExternalNetwork, other: Network) -> bool:
    """Whether two networks give the same result, apart from rounding, for an image."""
    side = max(_SIDE, network.traits.minimum, network.traits.multiple_of)
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    running = copy.deepcopy(network).eval()  # which may change its weights
    with torch.no_grad():
        ours = running(images.to(next(network.parameters()).device)).cpu().clamp(0, 1)
        theirs = other.eval()(images)
    return ours.shape == theirs.shape and bool((ours - theirs).abs().max() < _LARGEST_DIFFERENCE)


def plausible_numbers(state: StateDict) -> int:
    """How many numbers a network with these weights may allocate."""
    return _MOST_NEEDED * sum(tensor.numel() for tensor in state.values()) + _SPARE


def _describe(state: StateDict) -> Any:
    """What spandrel recognises in weights, as its descriptor of a network from RGB to RGB."""
    try:
        import spandrel
    except ImportError as error:
        raise NetworkError(NEEDS_SPANDREL) from error
    version = spandrel.__version__
    try:
        # Spandrel builds whatever sizes a file claims.
        with Allowance(plausible_numbers(state), "its sizes claim more memory than the weights take"):
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
    return descriptor


def _is_given(value: object) -> bool:
    return value is not None and not callable(value)


def _count_weights(state: StateDict) -> int:
    """Weights that have an effect; spandrel may drop others."""
    return sum(int(tensor.count_nonzero()) for tensor in state.values() if tensor.is_floating_point())
