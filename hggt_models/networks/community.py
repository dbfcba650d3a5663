"""Networks of other projects, loaded with spandrel (the extra `community`); for inference only."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hggt_models.networks.network import Network, NetworkArgs, NetworkError
from hggt_models.networks.weights import StateDict, first_line


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
        super().__init__(CommunityArgs(architecture=architecture))
        self.scale = descriptor.scale
        self.window = descriptor.size_requirements.multiple_of
        self.receptive_field_px = None
        self.model = descriptor.model
        self._descriptor = descriptor

    def forward(self, images: Tensor) -> Tensor:
        """See `Network`."""
        return torch.cat([self._descriptor(image[None]) for image in images])  # spandrel takes one picture at a time
