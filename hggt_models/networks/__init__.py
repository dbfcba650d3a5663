"""Networks by name, with the names and arguments of the official HGGT code; and classes of other projects by theirs.

Example:
    >>> from hggt_models.networks import build_network
    >>> network = build_network("rrdb_pixelshuffle", num_block=2, num_feat=16, num_grow_ch=8)
    >>> network.scale, network.receptive_field_px
    (4, 34)
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from hggt_data.io.text import nearest
from hggt_models.networks.discriminator import UnetDiscriminator
from hggt_models.networks.elan import Elan
from hggt_models.networks.external import ExternalDiscriminator, ExternalNetwork, Traits
from hggt_models.networks.external_classes import EXTERNAL_FORMS, MOST_NUMBERS, external_args, is_external
from hggt_models.networks.network import Network, NetworkArgs, NetworkError
from hggt_models.networks.rcan import RcanNoUpsample
from hggt_models.networks.rrdb import Rrdb, RrdbPixelShuffle
from hggt_models.networks.swinir import SwinIr
from hggt_models.networks.vgg import VggFeatures

__all__ = [
    "NETWORKS",
    "Network",
    "NetworkArgs",
    "NetworkError",
    "VggFeatures",
    "build_discriminator",
    "build_network",
    "checked_args",
    "is_network_name",
    "network_args",
    "rebuild_network",
]

NETWORKS: dict[str, type[Network]] = {
    network.name: network for network in (RrdbPixelShuffle, Rrdb, SwinIr, RcanNoUpsample, Elan, UnetDiscriminator)
}


def build_network(name: str, **args: Any) -> Network:
    """Build a network with random weights, in training mode.

    Args:
        name: Key of `NETWORKS`, such as `rrdb_pixelshuffle` or `swinir`; or `spandrel:NAME`, a class of spandrel; or
            `package.module:Class`, a class of your own, whose module is imported.
        **args: Fields of the network's arguments, such as those of `RrdbArgs`, or arguments of the class. The defaults
            are the published sizes, or those of the class.

    Returns:
        The network; see `Network` for its call contract.

    Raises:
        NetworkError: The name or an argument is unknown, or a value is not possible; or the class does not map RGB
            images to enlarged RGB images, or cannot learn.

    Example:
        >>> from hggt_models import build_network
        >>> build_network("rrdb_pixelshuffle", num_block=2, num_feat=16, num_grow_ch=8).scale
        4
    """
    return rebuild_network(name, args, None)


def rebuild_network(
    name: str, args: Mapping[str, Any], traits: Traits | None, most_numbers: int = MOST_NUMBERS
) -> Network:
    """The same, with traits of a class of another project that are known, and with a limit to what it may allocate."""
    if is_external(name):
        return ExternalNetwork(name, args, traits, most_numbers)
    checked = network_args(name, args)
    return NETWORKS[name](checked)


def build_discriminator(name: str, args: Mapping[str, Any], side: int) -> Network:
    """A discriminator of images (N, 3, side, side): our own, or a class of another project."""
    return ExternalDiscriminator(name, args, side) if is_external(name) else build_network(name, **args)


def is_network_name(name: object) -> bool:
    """Whether networks have such names; whether a class of another project exists is left open."""
    return is_external(name) or name in tuple(NETWORKS)


def checked_args(name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments of any network and add the defaults. Imports the class of another project."""
    return external_args(name, args) if is_external(name) else asdict(network_args(name, args))


def network_args(name: str, args: Mapping[str, Any]) -> NetworkArgs:
    """Check the arguments of a network and add the defaults, without building it."""
    if name not in NETWORKS:
        raise NetworkError(f"network {name!r} is not known; {nearest(name, (*NETWORKS, *EXTERNAL_FORMS))}")
    args_type = NETWORKS[name].args_type
    known = [field.name for field in fields(args_type)]
    unknown = [f"{arg} is not an argument of {name}; {nearest(arg, known)}" for arg in args if arg not in known]
    if unknown:
        raise NetworkError(*unknown)
    return args_type(**args)
