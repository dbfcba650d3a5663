"""The networks of HGGT: load, run, degrade, train.

Example:
    >>> from hggt_models import build_network
    >>> build_network("rrdb").scale
    4
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hggt_models.config.recipes import load_config
    from hggt_models.inference.folders import degrade, enhance, list_lr, list_pictures, upscale
    from hggt_models.networks import build_network
    from hggt_models.networks.checkpoint import load_network, save_network

__all__ = [
    "build_network",
    "degrade",
    "enhance",
    "list_lr",
    "list_pictures",
    "load_config",
    "load_network",
    "save_network",
    "upscale",
]

_MODULES = {
    "hggt_models.networks.checkpoint": ("load_network", "save_network"),
    "hggt_models.inference.folders": ("degrade", "enhance", "list_lr", "list_pictures", "upscale"),
    "hggt_models.networks": ("build_network",),
    "hggt_models.config.recipes": ("load_config",),
}


def __getattr__(name: str) -> object:
    """Import a module, and with it torch, only when one of its names is asked for: commands must answer at once."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
