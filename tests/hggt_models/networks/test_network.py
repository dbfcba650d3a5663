"""Tests that every network must pass."""

import copy
from typing import Any

import pytest
import torch

from hggt_models.networks import NETWORKS, Network, NetworkError, build_network
from tests.hggt_models.degradation.golden import golden, waves
from tests.hggt_models.networks.small import (
    GENERATORS,
    OFFICIAL_FULL,
    OFFICIAL_SMALL,
    SMALL,
    random_images,
    set_golden_weights,
    small_network,
)


@pytest.mark.parametrize("name", NETWORKS)
def test_output_equals_that_of_the_official_network(name: str) -> None:
    official_padding = {"pad": "official"} if name == "swinir" else {}
    network = build_network(name, **OFFICIAL_SMALL[name]["args"], **official_padding).eval()
    set_golden_weights(network)
    with torch.inference_mode():
        output = network(waves(24, 40))
    expected = golden(f"net.{name}")
    assert output.shape == expected.shape
    assert (output - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_and_shapes_are_those_of_the_official_network(name: str) -> None:
    official = OFFICIAL_FULL[name]
    with torch.device("meta"):
        network = build_network(name, **official["args"])
    assert {key: list(tensor.shape) for key, tensor in network.state_dict().items()} == official["state_dict"]
    assert sum(parameter.numel() for parameter in network.parameters()) == official["parameters"]
    with torch.device("meta"):
        assert build_network(name).args == network.args  # the published size is the default


@pytest.mark.parametrize("name", GENERATORS)
def test_every_size_gives_an_output_of_scale_times_that_size(name: str) -> None:
    network = small_network(name)
    for height, width in ((1, 1), (1, 9), (7, 2), (13, 6)):
        with torch.inference_mode():
            output = network(random_images(2, 3, height, width))
        assert output.shape == (2, 3, network.scale * height, network.scale * width)
        assert output.isfinite().all()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("rrdb", {}),
        ("rrdb", {"scale": 2}),
        ("rrdb", {"scale": 1}),
        ("rrdb_pixelshuffle", {}),
        ("swinir", {}),
        ("swinir", {"upscale": 4, "depths": [1, 1]}),
        ("elan", {}),
        ("elan", {"scale": 2, "window_sizes": [4, 6], "m_elan": 1, "c_elan": 10}),
        ("unet_discriminator_sn", {}),
    ],
    ids=str,
)
def test_the_receptive_field_is_the_smallest_square_that_holds_all_influence(name: str, args: dict[str, Any]) -> None:
    network = small_network(name, **args).double()
    reach = network.receptive_field_px
    assert reach is not None
    centre = -(-(reach + network.window) // network.window) * network.window
    side = 2 * centre + network.window
    probes = range(centre, centre + network.window)
    measured = max(influence_px(network, side, probe) for probe in probes)
    assert measured == reach


def influence_px(network: Network, side: int, probe: int) -> int:
    """Distance from a pixel on the diagonal to the farthest input pixel that its output depends on."""
    images = random_images(1, 3, side, side).double().requires_grad_()
    block = slice(probe * network.scale, (probe + 1) * network.scale)
    output = network(images)[:, :, block, block]
    (output * random_images(*output.shape, seed=4)).sum().backward()
    assert images.grad is not None
    rows, columns = images.grad.abs().sum(dim=(0, 1)).nonzero().T
    return int(torch.cat([(rows - probe).abs(), (columns - probe).abs()]).max())


def test_rcan_depends_on_the_whole_picture() -> None:
    network = small_network("rcan_no_upsample").double()
    assert network.receptive_field_px is None
    assert influence_px(network, 80, probe=0) == 79


@pytest.mark.parametrize("name", NETWORKS)
def test_compiles_into_one_graph(name: str) -> None:
    network = small_network(name).eval()  # in training, the discriminator's power iterations stay outside
    images = random_images(1, 3, 16, 16)
    torch.compiler.reset()
    with torch.inference_mode():
        compiled = torch.compile(network, backend="eager", fullgraph=True)(images)
        torch.testing.assert_close(compiled, network(images))


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_last_and_bfloat16_give_about_the_same(name: str) -> None:
    network = small_network(name)
    images = random_images(2, 3, 16, 16)
    with torch.inference_mode():
        expected = network(images)
        network.to(memory_format=torch.channels_last)
        torch.testing.assert_close(network(images.to(memory_format=torch.channels_last)), expected)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(images)
    assert (rounded - expected).abs().max() <= 0.05 * (expected.abs().max() + 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_trainable_parameter_gets_a_gradient_and_the_network_can_be_copied(name: str) -> None:
    network = small_network(name, **({"drop_path_rate": 0.0} if name == "swinir" else {})).train()
    images = random_images(2, 3, 16, 16)
    network(images).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters() if parameter.requires_grad)
    twin = copy.deepcopy(network).eval()
    torch.testing.assert_close(twin(images), network.eval()(images))


def test_unknown_names_are_refused_with_the_nearest_known_ones() -> None:
    with pytest.raises(NetworkError, match=r"^network 'swinr' is not known; did you mean 'swinir'\?$"):
        build_network("swinr")
    message = (
        r"^num_feats is not an argument of rrdb; did you mean 'num_feat'\?; x is not an argument of rrdb; known ones"
    )
    with pytest.raises(NetworkError, match=message):
        build_network("rrdb", num_feats=8, x=1)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("rrdb", {"num_feat": "8"}, "num_feat is '8'; expected a value like 64"),
        ("rrdb", {"num_block": 0, "num_feat": 1.5}, "num_feat is 1.5.*; num_block is 0; expected a value like 23"),
        ("rrdb", {"scale": 3}, "scale is 3; expected 1, 2 or 4"),
        ("rrdb_pixelshuffle", {"scale": 6}, "scale is 6; expected 3, or a power of two"),
        ("swinir", {"depths": []}, r"depths is \(\)"),
        ("swinir", {"depths": [6, 6]}, "depths has 2 layers and num_heads 6"),
        ("swinir", {"embed_dim": 100}, "embed_dim 100 is not divisible by all of num_heads"),
        ("swinir", {"img_size": 60}, "img_size is 60; expected at least two whole windows of 8"),
        ("swinir", {"window_size": 5, "img_size": 20}, "window_size is 5; expected an even number"),
        ("swinir", {"in_chans": 1}, "in_chans is 1; expected 3"),
        ("swinir", {"pad": "full"}, "pad is 'full'; expected 'minimal' or 'official'"),
        ("swinir", {"upsampler": "nearest+conv"}, r"upsampler is 'nearest\+conv'; only 'pixelshuffle' is supported"),
        ("swinir", {"drop_path_rate": 1}, "drop_path_rate is 1"),
        ("rcan_no_upsample", {"squeeze_factor": 24}, "num_feat 64 is not a multiple of squeeze_factor 24"),
        ("rcan_no_upsample", {"num_in_ch": 1}, "num_in_ch 1, num_out_ch 3 and the 3 values of rgb_mean must agree"),
        ("elan", {"c_elan": 181}, "c_elan 181 is not divisible by the number of window_sizes, 3"),
        ("elan", {"n_share": 1}, "n_share is 1; only 0 is supported"),
        ("elan", {"window_sizes": [3, 4]}, r"window_sizes are \(3, 4\); expected even numbers"),
        ("elan", {"colors": 1}, "colors 1 and the 3 values of rgb_mean must agree"),
        ("elan", {"c_elan": 3}, "c_elan is 3; expected 5 or more"),
        ("unet_discriminator_sn", {"skip_connection": 1}, "skip_connection is 1; expected a value like True"),
    ],
)
def test_a_value_that_cannot_be_built_is_refused(name: str, args: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=f"^{message}"):
        build_network(name, **args)


@pytest.mark.parametrize("name", NETWORKS)
def test_name_and_arguments_are_recognised_from_the_weights(name: str) -> None:
    for args in (SMALL[name], OFFICIAL_FULL[name]["args"]):
        with torch.device("meta"):
            network = build_network(name, **args)
            shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
            recognised = {other: NETWORKS[other].recognise(shapes) for other in NETWORKS}
        assert [other for other, found in recognised.items() if found is not None] == [name]
        found = recognised[name]
        assert found is not None
        expected = {**network.config, **({"window_sizes": (4, 8, 16)} if name == "elan" else {})}
        assert build_network(name, **found).config == expected
