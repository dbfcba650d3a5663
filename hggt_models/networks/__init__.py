"""The networks by name, under the names and arguments of the official HGGT code.

Example:
    >>> from hggt_models.networks import build_network
    >>> network = build_network("rrdb_pixelshuffle", num_block=2, num_feat=16, num_grow_ch=8)
    >>> network.scale, network.receptive_field_px
    (4, 34)
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hggt_data.io.text import nearest
from hggt_models.networks.discriminator import UnetDiscriminator
from hggt_models.networks.elan import Elan
from hggt_models.networks.network import Network, NetworkArgs, NetworkError
from hggt_models.networks.rcan import RcanNoUpsample
from hggt_models.networks.rrdb import Rrdb, RrdbPixelShuffle
from hggt_models.networks.swinir import SwinIr
from hggt_models.networks.vgg import VggFeatures

__all__ = ["NETWORKS", "Network", "NetworkArgs", "NetworkError", "VggFeatures", "build_network", "network_args"]

NETWORKS: dict[str, type[Network]] = {
    network.name: network for network in (RrdbPixelShuffle, Rrdb, SwinIr, RcanNoUpsample, Elan, UnetDiscriminator)
}


def build_network(name: str, **args: Any) -> Network:
    """A network with fresh weights, in training mode.

    Args:
        name: key of `NETWORKS`.
        **args: fields of the network's arguments, such as `RrdbArgs`; the published size where not given.

    Raises:
        NetworkError: the name or an argument is not known, or a value does not fit.
    """
    checked = network_args(name, args)
    return NETWORKS[name](checked)


def network_args(name: str, args: Mapping[str, Any]) -> NetworkArgs:
    """All arguments of a network, checked, without building it.

    Raises:
        NetworkError: as `build_network`.
    """
    if name not in NETWORKS:
        raise NetworkError(f"network {name!r} is not known; {nearest(name, NETWORKS)}")
    args_type = NETWORKS[name].args_type
    known = [field.name for field in fields(args_type)]
    unknown = [f"argument {arg!r} is not known; {nearest(arg, known)}" for arg in args if arg not in known]
    if unknown:
        raise NetworkError(f"{name}: {'; '.join(unknown)}")
    try:
        return args_type(**args)
    except NetworkError as error:
        raise NetworkError(f"{name}: {error}") from error
