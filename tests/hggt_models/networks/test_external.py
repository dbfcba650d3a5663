"""Classes of spandrel and of users as networks: built, measured, written, and opened by spandrel."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from hggt_models import build_network, load_network, save_network
from hggt_models.networks import NetworkError
from hggt_models.networks.checkpoint import CheckpointError, load_checkpoint, load_initial_checkpoint
from hggt_models.networks.external import ExternalNetwork
from hggt_models.networks.measure import measure_reach, measure_window
from hggt_models.networks.weights import read_metadata
from tests.hggt_models.networks.own import Brightness
from tests.hggt_models.networks.small import random_images, small_network

spandrel = pytest.importorskip("spandrel", reason="needs the extra community: pip install 'hggt[community]'")

OWN = "tests.hggt_models.networks.own"
SMALL: dict[str, dict[str, Any]] = {
    "SPAN": {"feature_channels": 6},
    "HAT": {"embed_dim": 12, "depths": [1], "num_heads": [2], "window_size": 4, "squeeze_factor": 4, "upscale": 4},
    "DAT": {"embed_dim": 32, "depth": [1], "num_heads": [2], "split_size": [2, 4], "upscale": 4, "img_size": 16},
    "RealPLKSR": {"dim": 16, "n_blocks": 1, "kernel_size": 5},
}


def external(name: str) -> ExternalNetwork:
    torch.manual_seed(1)
    network = build_network(f"spandrel:{name}", **SMALL[name])
    assert isinstance(network, ExternalNetwork)
    return network


@pytest.mark.parametrize("name", SMALL)
def test_a_trained_class_of_spandrel_opens_in_spandrel_with_the_same_result(name: str, tmp_path: Path) -> None:
    network = external(name)
    assert network.scale == 4
    optimizer = torch.optim.SGD([one for one in network.parameters() if one.requires_grad], 1e-3)
    network.train()(random_images(2, 3, 17, 16)).mean().backward()
    optimizer.step()
    save_network(network, tmp_path / "net.safetensors")
    images = random_images(1, 3, 18, 21)
    descriptor = spandrel.ModelLoader("cpu").load_from_file(tmp_path / "net.safetensors")
    with torch.no_grad():
        ours = load_network(tmp_path / "net.safetensors")(images)
        torch.testing.assert_close(descriptor(images.clone()), ours.clamp(0, 1))
        torch.testing.assert_close(network.eval()(images), ours)  # which is not clamped
    assert load_initial_checkpoint(tmp_path / "net.safetensors").scale == 4


def test_parameters_without_a_gradient_are_frozen_and_fused_weights_are_refreshed_in_place() -> None:
    network = external("SPAN")
    assert len(network.frozen) == 40
    assert all(".eval_conv." in key for key in network.frozen)
    before = {key: (value.data_ptr(), value.clone()) for key, value in network.state_dict().items()}
    for weights in network.parameters():
        if weights.requires_grad:
            weights.data.add_(0.01)
    with torch.inference_mode():
        network.refresh()
    after = network.state_dict()
    assert network.training
    assert all(value.data_ptr() == before[key][0] for key, value in after.items())
    assert all(not torch.equal(after[key], before[key][1]) for key in network.frozen)
    network.state_dict()[network.frozen[0]].add_(1)  # no tensor of inference mode


def test_reach_and_window_are_measured_as_computed_from_the_layers() -> None:
    for name in ("rrdb_pixelshuffle", "rrdb", "swinir"):
        network = small_network(name)
        reach = measure_reach(network, network.window)
        assert network.receptive_field_px is not None
        assert network.receptive_field_px <= (reach or 0) < network.receptive_field_px + network.window
        assert measure_window(network, 1, reach or 0) == network.window
    assert measure_reach(small_network("rcan_no_upsample"), 1) is None  # it averages over the whole picture
    assert measure_reach(Brightness(), 1) is None


def test_a_class_of_ones_own_is_measured_once(tmp_path: Path) -> None:
    network = build_network(f"{OWN}:Enlarger", features=5)
    assert isinstance(network, ExternalNetwork)
    assert network.frozen == ["unused"]
    assert (network.scale, network.traits.multiple_of, network.window) == (4, 4, 8)
    assert 9 <= (network.receptive_field_px or 0) <= 16
    save_network(network, tmp_path / "own.safetensors")
    header = json.loads(read_metadata(tmp_path / "own.safetensors")["hggt"])
    assert header["traits"]["window"] == 8
    assert network.eval()(random_images(1, 3, 9, 6)).shape == (1, 3, 36, 24)


def test_a_file_runs_code_only_of_a_class_that_the_user_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.safetensors"
    (tmp_path / "mine_only.py").write_text(
        "from tests.hggt_models.networks.own import Enlarger as Base\nclass Mine(Base): pass\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    save_network(build_network("mine_only:Mine"), path)
    del sys.modules["mine_only"]
    for trust in (None, "mine_only:Other"):
        with pytest.raises(CheckpointError, match="the class mine_only:Mine, whose code would run; if you trust it"):
            load_network(path, trust=trust)
    load_checkpoint(path).save(tmp_path / "copy.safetensors")  # which needs no code
    assert "mine_only" not in sys.modules
    assert load_network(tmp_path / "copy.safetensors", trust="mine_only:Mine").scale == 4


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("spandrel:HATT", {}, "spandrel has no network 'HATT'; did you mean 'HAT'"),
        ("spandrel:SPAN", {"feature_chanels": 6}, "feature_chanels is not an argument of spandrel:SPAN; did you mean"),
        (f"{OWN}:Pair", {}, "returns a tuple for RGB images"),
        ("spandrel:SPAN", {"num_out_ch": 1, "feature_channels": 6}, r"maps \(1, 3, .* to \(1, 1, "),
        ("spandrel:Compact", {"num_feat": 10**9}, "claim more than 1,000,000,000 numbers"),
        ("spandrel:DAT", {**SMALL["DAT"], "embed_dim": 8}, "is too small: .* would be empty"),
        ("spandrel:HAT", {"depths": "many"}, "cannot be built with these arguments"),
        (f"{OWN}:Stubborn", {"any": 3}, "fails on RGB images of .*: not today"),
        (f"{OWN}:Frozen", {}, "has no parameters that get a gradient"),
        (f"{OWN}:Enlarged", {}, "has no torch.nn.Module 'Enlarged'; did you mean 'Enlarger'"),
        ("no_such_module:Net", {}, "names the module no_such_module, which is neither installed nor in"),
    ],
)
def test_a_class_that_cannot_be_trained_is_refused_in_one_line(name: str, args: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        build_network(name, **args)
    assert "\n" not in str(caught.value)


def test_a_network_that_spandrel_does_not_only_run_cannot_be_trained(tmp_path: Path) -> None:
    made = spandrel.architectures.MixDehazeNet.MixDehazeNet(embed_dims=[8, 8, 8, 8, 8], depths=[1, 1, 1, 1, 1])
    torch.save(made.state_dict(), tmp_path / "haze.pth")
    with pytest.raises(CheckpointError, match="MixDehazeNet cannot be trained, because spandrel does more with it"):
        load_initial_checkpoint(tmp_path / "haze.pth")


def test_damaged_traits_are_refused(tmp_path: Path) -> None:
    network = external("RealPLKSR")
    header = {"network": network.config, "traits": {"scale": 10**9}}
    safetensors.torch.save_file(network.state_dict(), tmp_path / "x.safetensors", {"hggt": json.dumps(header)})
    with pytest.raises(CheckpointError, match="metadata is damaged"):
        load_network(tmp_path / "x.safetensors")
