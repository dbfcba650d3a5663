"""The networks of HGGT: load, run, degrade, train. All names are loaded when they are first used.

Example:
    >>> from hggt_models import build_network
    >>> build_network("rrdb").scale
    4
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
