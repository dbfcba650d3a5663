import torch
from torch import nn

from tests.hggt_models.networks.small import small_network


def test_shift_kernels_move_a_fifth_of_the_channels_each_way_and_are_frozen() -> None:
    network = small_network("elan", c_elan=12)
    frozen = {key: value for key, value in network.named_parameters() if not value.requires_grad}
    assert len(frozen) == 4
    assert all(key.endswith("shift_conv.weight") for key in frozen)
    kernels = frozen["body.0.modules_lfe.lfe_0.conv0.shift_conv.weight"]
    image = torch.zeros(1, 12, 5, 5)
    image[:, :, 2, 2] = 1
    moved = nn.functional.conv2d(image, kernels, padding=1, groups=12)
    places = [tuple(place) for place in moved[0].nonzero()[:, 1:].tolist()]
    left, right, up, down, middle = (2, 1), (2, 3), (1, 2), (3, 2), (2, 2)
    assert places == [left] * 2 + [right] * 2 + [up] * 2 + [down] * 2 + [middle] * 4
