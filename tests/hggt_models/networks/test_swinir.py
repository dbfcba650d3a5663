import itertools

import pytest
import torch
from torch import nn

from hggt_models.networks import Network, build_network
from hggt_models.networks.swinir import head_size, shifted_window_mask
from tests.hggt_models.networks.small import SMALL, random_images, small_network


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 12), (12, 4)])
def test_the_mask_separates_exactly_the_pixels_that_only_the_wrap_joined(height: int, width: int) -> None:
    window, offset = 4, 2
    mask = shifted_window_mask(height, width, window)
    places = itertools.product(range(0, height, window), range(0, width, window))
    for number, (top, left) in enumerate(places):
        pixels = list(itertools.product(range(top, top + window), range(left, left + window)))
        # Whether each pixel crossed the edge when the picture was rolled, by row and by column.
        wrapped = [(row + offset >= height, column + offset >= width) for row, column in pixels]
        for i, j in itertools.product(range(len(pixels)), repeat=2):
            assert mask[number, i, j] == (0 if wrapped[i] == wrapped[j] else -100)


def test_official_padding_differs_near_the_lower_right_edge_only() -> None:
    network = small_network("swinir")
    official = build_network("swinir", **SMALL["swinir"], pad="official").eval()
    official.load_state_dict(network.state_dict())
    images = random_images(1, 3, 40, 44)
    reach = network.receptive_field_px
    assert reach is not None
    kept_height, kept_width = (40 - reach) * network.scale, (44 - reach) * network.scale
    with torch.inference_mode():
        difference = (network(images) - official(images)).abs()
        uneven = images[:, :, 1:, 3:]  # 39 x 41: both pad by the same amount
        assert torch.equal(network(uneven), official(uneven))
    assert difference[:, :, :kept_height, :kept_width].max() < 1e-6
    assert difference.max() > 1e-4


def test_a_batch_equals_its_samples_one_by_one() -> None:
    network = small_network("swinir")
    images = random_images(3, 3, 12, 8)
    with torch.inference_mode():
        singly = torch.cat([network(image[None]) for image in images])
        torch.testing.assert_close(network(images), singly)


def test_linear_layers_and_bias_tables_start_small() -> None:
    torch.manual_seed(0)
    network = build_network("swinir", depths=[1], num_heads=[6])
    for module in network.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert not module.bias.any()
    table = network.state_dict()["layers.0.residual_group.blocks.0.attn.relative_position_bias_table"]
    assert table.std().item() == pytest.approx(0.02, rel=0.1)


def test_branches_are_dropped_in_training_only_and_more_often_the_deeper() -> None:
    network = small_network("swinir", drop_path_rate=0.4)
    rates = [module.p for module in network.modules() if type(module).__name__ == "StochasticDepth"]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    images = random_images(4, 3, 8, 8)
    assert torch.equal(network(images), network(images))
    network.train()
    assert not torch.equal(network(images), network(images))
    assert torch.equal(*(_trained(network, images, seed=1) for _ in range(2)))


def test_padded_attention_heads_change_neither_output_nor_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads of 30 features, as published, padded to 32, as on CUDA."""
    network = build_network("swinir", depths=[2], num_heads=[6], embed_dim=180).eval()
    images, padded = random_images(2, 3, 16, 16), []

    def run() -> tuple[torch.Tensor, list[torch.Tensor]]:
        network.zero_grad()
        output = network(images)
        output.square().mean().backward()
        return output.detach(), [value.grad.clone() for value in network.parameters() if value.grad is not None]

    def pad(size: int, device: torch.device) -> int:
        assert head_size(size, device) == size
        padded.append(head_size(size, torch.device("cuda")))
        return padded[-1]

    expected, gradients = run()
    monkeypatch.setattr("hggt_models.networks.swinir.head_size", pad)
    output, padded_gradients = run()
    assert padded == [32, 32]
    assert (output - expected).abs().max() < 1e-6
    for value, other in zip(padded_gradients, gradients, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-4, atol=1e-6)


def _trained(network: Network, images: torch.Tensor, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    output: torch.Tensor = network.train()(images)
    return output
