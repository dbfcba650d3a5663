"""The data half of hggt: check, split, build, publish, download, read and export human-judged patch groups.

`open_groups` opens a tree or a dataset as a sequence of `Group`. All names are loaded when they are first used.

Example:
    >>> import tempfile
    >>> import hggt_data
    >>> demo = hggt_data.write_demo_tree(tempfile.mkdtemp())
    >>> groups = hggt_data.open_groups(demo.test)
    >>> groups["coffee-0-0"].positives
    ('04',)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
