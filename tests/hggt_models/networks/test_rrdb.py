import torch
from torch import nn

from hggt_models.networks import build_network
from tests.hggt_models.networks.small import random_images, small_network


def test_dense_blocks_start_with_a_tenth_of_the_usual_weights() -> None:
    torch.manual_seed(0)
    network = build_network("rrdb", num_block=1)
    dense = dict(network.named_modules())["body.0.rdb2"]
    for name, conv in dense.named_children():
        assert isinstance(conv, nn.Conv2d)
        usual_std = (2 / (conv.in_channels * 9)) ** 0.5
        assert abs(conv.weight.std().item() / (0.1 * usual_std) - 1) < 0.05, name
        assert conv.bias is not None
        assert not conv.bias.any()


def test_below_scale_4_the_input_is_unshuffled() -> None:
    assert [small_network("rrdb", scale=scale).window for scale in (1, 2, 4)] == [4, 2, 1]
    assert small_network("rrdb", scale=2).state_dict()["conv_first.weight"].shape[1] == 12
    images = random_images(1, 3, 5, 7)
    for scale in (1, 2):
        assert small_network("rrdb", scale=scale)(images).shape == (1, 3, 5 * scale, 7 * scale)
