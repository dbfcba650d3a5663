"""From labelled groups or plain pictures to training pairs of LR and target on the device.

`GroupDataset`, `ShareSampler` and `Readers` serve your own training loop, too.
"""

from hggt_models.data.group_dataset import GroupDataset as GroupDataset
from hggt_models.data.readers import Readers as Readers
from hggt_models.data.samples import ShareSampler as ShareSampler

__all__ = ["GroupDataset", "Readers", "ShareSampler"]
