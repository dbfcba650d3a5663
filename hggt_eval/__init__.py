"""The scoring half of hggt: restored images against every ground truth that people judged better than the original.

All names are loaded when they are first used.

Example:
    >>> from hggt_eval import METRICS, MetricSettings
    >>> METRICS["psnr"].load(MetricSettings(border=4)).min_side_px
    1
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
