import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from hggt_data.errors import WeightsError
from hggt_data.io.files import sha256_of_file
from hggt_data.io.images import read_pixels
from hggt_models.networks import NETWORKS, Network
from hggt_models.networks.checkpoint import (
    CheckpointError,
    load_checkpoint,
    load_community_network,
    load_network,
    save_network,
)
from tests.full_disk import FullDisk
from tests.hggt_data.trees import LFS_POINTER_FILE
from tests.hggt_models.networks.small import OFFICIAL_FULL, random_images, small_network

# Arguments that leave no trace in the weights, at their published value.
PUBLISHED: dict[str, dict[str, Any]] = {"elan": {"window_sizes": [4, 8, 16]}}
SAVE: dict[str, Callable[..., None]] = {"pth": torch.save, "safetensors": safetensors.torch.save_file}


def require_equal(found: Network, expected: Network) -> None:
    assert not found.training
    assert found.config == expected.config
    images = random_images(1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(found(images), expected(images))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_saved_as_safetensors_loads_unchanged(name: str, tmp_path: Path) -> None:
    network = small_network(name)
    save_network(network.to(memory_format=torch.channels_last), tmp_path / "net.safetensors", {"iterations": "300000"})
    network.to(memory_format=torch.contiguous_format)
    checkpoint = load_checkpoint(str(tmp_path / "net.safetensors"))
    require_equal(checkpoint.build(), network)
    assert checkpoint.network_name == name
    assert checkpoint.metadata == {"iterations": "300000"}
    assert checkpoint.source_key is None
    assert checkpoint.sha256 == sha256_of_file(tmp_path / "net.safetensors")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_recognised_in_a_file_with_weights_alone(name: str, tmp_path: Path) -> None:
    network = small_network(name, **PUBLISHED.get(name, {}))
    for ending, save in SAVE.items():
        save(network.state_dict(), tmp_path / f"net.{ending}")
        require_equal(load_network(tmp_path / f"net.{ending}"), network)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("rrdb", {"scale": 2}),
        ("rrdb", {"scale": 1}),
        ("rrdb_pixelshuffle", {"scale": 3}),
        (
            "swinir",
            {"upscale": 3, "mlp_ratio": 0.29, "embed_dim": 100, "depths": [1, 2], "num_heads": [5, 4], "img_size": 16},
        ),
        ("rcan_no_upsample", {"squeeze_factor": 8}),
        ("elan", {"scale": 2, "r_expand": 3, **PUBLISHED["elan"]}),
    ],
    ids=str,
)
def test_sizes_are_recognised(name: str, args: dict[str, Any], tmp_path: Path) -> None:
    network = small_network(name, **args)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    require_equal(load_network(tmp_path / "net.pth"), network)


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    states = {key: small_network("rrdb", num_feat=n).state_dict() for key, n in (("params", 6), ("params_ema", 8))}
    torch.save(states, tmp_path / "net.pth")
    checkpoint = load_checkpoint(tmp_path / "net.pth")
    assert checkpoint.source_key == "params_ema"
    assert checkpoint.args["num_feat"] == 8


@pytest.mark.parametrize("source_key", ["params", "state_dict"])
def test_the_prefix_of_parallel_training_is_stripped(source_key: str, tmp_path: Path) -> None:
    network = small_network("rrdb")
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({source_key: state, "iter": 5}, tmp_path / "net.pth")
    assert load_checkpoint(tmp_path / "net.pth").source_key == source_key
    require_equal(load_network(tmp_path / "net.pth"), network)


def test_the_config_of_a_file_wins_over_its_shapes(tmp_path: Path) -> None:
    network = small_network("elan", window_sizes=[2, 4, 8], img_range=1.0)
    save_network(network, tmp_path / "net.safetensors")
    require_equal(load_network(tmp_path / "net.safetensors"), network)


def test_every_fault_of_the_weights_is_named_and_counted(tmp_path: Path) -> None:
    state = small_network("rrdb").state_dict()
    for number in (2, 3, 4, 5):
        del state[f"body.0.rdb2.conv{number}.weight"]
    state["conv_up3.weight"] = torch.zeros(2)
    state["conv_hr.weight"] = torch.zeros(6, 6, 1, 1)
    state["conv_last.bias"][1] = torch.nan
    state["conv_first.bias"] = state["conv_first.bias"].to(torch.int8)
    torch.save({"params": state}, tmp_path / "net.pth")
    with pytest.raises(CheckpointError) as error:
        load_network(tmp_path / "net.pth")
    assert str(error.value) == (
        f"{tmp_path}/net.pth does not fit the network's 42 tensors: "
        "4 missing (first: body.0.rdb2.conv2.weight, body.0.rdb2.conv3.weight, body.0.rdb2.conv4.weight); "
        "1 unexpected (conv_up3.weight); "
        "1 with the wrong shape (conv_hr.weight (6, 6, 1, 1) instead of (6, 6, 3, 3)); "
        "1 of whole numbers, perhaps quantised (conv_first.bias); "
        "1 not finite (conv_last.bias)"
    )


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_not_run(zipped: bool, tmp_path: Path) -> None:
    state = {"params": small_network("rrdb").state_dict(), "extra": Hostile(tmp_path / "made")}
    torch.save(state, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    for load in (load_network, load_community_network):
        with pytest.raises(
            CheckpointError, match=r"^\S+net\.pth: refused, because loading it would run posix\.mkdir; expected"
        ) as error:
            load(tmp_path / "net.pth")
        assert "\n" not in str(error.value)
    assert not (tmp_path / "made").exists()
    torch.load(tmp_path / "net.pth", weights_only=False)
    assert (tmp_path / "made").exists()  # the code works if it is run


@pytest.mark.parametrize("ending", SAVE)
def test_a_file_that_git_lfs_has_not_fetched_is_refused(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"net.{ending}"
    path.write_bytes(LFS_POINTER_FILE)
    with pytest.raises(CheckpointError, match=rf"net\.{ending}: a git-lfs pointer, .* run `git lfs pull`"):
        load_checkpoint(path)


@pytest.mark.parametrize("ending", SAVE)
def test_truncated_files_are_refused_in_one_line(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"net.{ending}"
    SAVE[ending](small_network("rrdb").state_dict(), path)
    whole = path.read_bytes()
    for size in (0, 3, 3000, len(whole) - 10):
        path.write_bytes(whole[:size])
        expected = {"pth": f"{size:,} bytes, truncated, damaged or", "safetensors": "cannot be read as safetensors: "}
        with pytest.raises(CheckpointError, match=rf"^\S+net\.{ending}: {expected[ending]}") as error:
            load_checkpoint(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(2), "contains a Tensor; expected named tensors"),
        ({"a": torch.zeros(1), "epoch": [], 5: ()}, r"3 entries, of which 2 are not named tensors \(epoch, 5\)"),
        ({"params": None, "iter": 5}, r"net\.pth contains no weights; expected named tensors"),
        (
            {"fc.weight": torch.zeros(1)},
            r"none of our networks has its 1 tensor \(fc\.weight\): rrdb_pixel",
        ),
        ({"head.0.weight": torch.zeros(1), "body.0.modules_lfe.lfe_0.conv0.shift_conv.weight": torch.zeros(1)}, "elan"),
        ({"body.0.rdb1.conv1.weight": torch.zeros(1), "conv_up1.weight": torch.zeros(1)}, "has keys of rrdb, but not"),
    ],
    ids=str,
)
def test_a_pth_without_one_of_our_networks_is_refused(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "metadata is .{.; expected JSON with the network's name and arguments"),
        ('{"network": {"num_feat": 6}}', "metadata is"),
        (
            '{"network": {"name": "rrdb", "num_feats": 6}}',
            "net.safetensors: num_feats is not an argument of rrdb; did you mean",
        ),
        ('{"network": {"name": "rddb"}}', "net.safetensors: network 'rddb' is not known; did you mean 'rrdb'"),
    ],
)
def test_a_faulty_config_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file(small_network("rrdb").state_dict(), path, {"hggt": text})
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_a_missing_file_is_named_and_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("net.safetensors", "missing/net.pth"):
        with pytest.raises(WeightsError, match=rf"^{path} does not exist$"):
            load_checkpoint(path)


def test_only_known_endings_are_read_and_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"net\.onnx: expected a name that ends with \.pth, \.pt, "):
        load_checkpoint(tmp_path / "net.onnx")
    with pytest.raises(CheckpointError, match=r"net\.pth: expected a name that ends with \.safetensors"):
        save_network(small_network("rrdb"), tmp_path / "net.pth")
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, full_disk: FullDisk) -> None:
    path = tmp_path / "net.safetensors"
    save_network(small_network("rrdb"), path)
    before = path.read_bytes()
    with full_disk(0), pytest.raises(OSError, match="No space left"):
        save_network(small_network("rrdb", num_feat=8), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.safetensors"]


def old_esrgan_state() -> dict[str, torch.Tensor]:
    """An ESRGAN of scale 4 under the keys of its first release, which none of our networks has."""
    torch.manual_seed(0)
    convolutions = {"model.0": (3, 8), "model.1.sub.1": (8, 8)}
    for dense in (1, 2, 3):
        for number in range(1, 6):
            outputs = 8 if number == 5 else 32
            convolutions[f"model.1.sub.0.RDB{dense}.conv{number}.0"] = (8 + 32 * (number - 1), outputs)
    convolutions |= {"model.3": (8, 8), "model.6": (8, 8), "model.8": (8, 8), "model.10": (8, 3)}
    return {
        f"{name}.{part}": getattr(nn.Conv2d(*channels, 3), part)
        for name, channels in convolutions.items()
        for part in ("weight", "bias")
    }


def test_a_network_of_another_project_is_loaded_through_spandrel(tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="needs the extra community: pip install 'hggt[community]'")
    torch.save(old_esrgan_state(), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="none of our networks has its"):
        load_network(tmp_path / "other.pth")
    network = load_community_network(tmp_path / "other.pth")
    assert network.scale == 4
    assert network.receptive_field_px is None
    assert network.config == {"name": "community", "architecture": "ESRGAN"}
    images = random_images(2, 3, 9, 7)
    with torch.inference_mode():
        output = network(images)
        assert output.shape == (2, 3, 36, 28)
        torch.testing.assert_close(network(images[1:]), output[1:])
    with pytest.raises(CheckpointError, match="only networks of `build_network` can be saved; got community"):
        save_network(network, tmp_path / "other.safetensors")


def test_a_network_of_another_project_leaves_its_input_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="needs the extra community: pip install 'hggt[community]'")
    from spandrel.architectures.RCAN import RCAN

    network = RCAN(scale=2, n_resgroups=1, n_resblocks=1, n_feats=8, reduction=2)
    torch.save(network.state_dict(), tmp_path / "other.pth")
    images = random_images(1, 3, 9, 7)
    before = images.clone()
    with torch.inference_mode():
        load_community_network(tmp_path / "other.pth")(images)
    assert torch.equal(images, before)


def test_a_file_that_spandrel_does_not_know_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="needs the extra community: pip install 'hggt[community]'")
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth: spandrel \S+ does not recognise it either$"):
        load_community_network(tmp_path / "other.pth")
    torch.save({**old_esrgan_state(), "model.3.weight": torch.zeros(7, 7, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(
        CheckpointError, match=r"other\.pth: spandrel \S+ cannot load the network: .*RRDBNet.*"
    ) as error:
        load_community_network(tmp_path / "other.pth")
    assert "\n" not in str(error.value)


def test_spandrel_is_needed_only_for_other_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    torch.save(old_esrgan_state(), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"need spandrel: pip install 'hggt\[community\]'$"):
        load_community_network(tmp_path / "other.pth")
    torch.save({"params": small_network("rrdb").state_dict()}, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"net\.pth contains our own network rrdb; use load_network$"):
        load_community_network(tmp_path / "net.pth")


def test_the_published_real_esrgan_is_recognised_and_restores_as_published(
    real_generator: Path, fixtures: Path
) -> None:
    checkpoint = load_checkpoint(real_generator)
    assert checkpoint.network_name == "rrdb"
    assert checkpoint.source_key == "params_ema"
    assert checkpoint.args == OFFICIAL_FULL["rrdb"]["args"]
    lr = fixtures / "Test/Blind_Degradation_Benchmark_LQ/Test-mini/Blind_LR/coffee-27-433.png"
    restored = fixtures / f"restored/realesrgan/{lr.stem}_realesrgan.png"
    with torch.inference_mode():
        output = checkpoint.build()(torch.from_numpy(read_pixels(lr)).permute(2, 0, 1)[None] / 255)
    expected = torch.from_numpy(read_pixels(restored)).permute(2, 0, 1)
    assert ((output[0] * 255).round().clamp(0, 255) - expected).abs().max() <= 1


def test_a_file_has_the_same_bytes_each_time_it_is_written(tmp_path: Path) -> None:
    metadata = {"recipe": "rrdb-psnr", "data": "my-lab/hggt", "data_license": "cc0-1.0", "iterations": "300000"}
    for name in ("one", "two"):
        save_network(small_network("rrdb"), tmp_path / f"{name}.safetensors", metadata)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_the_folder_of_a_training_run_means_its_last_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no weights/ITERATION\.safetensors"):
        load_checkpoint(tmp_path)
    (tmp_path / "weights").mkdir()
    for iteration in (10_000, 5_000, 9_999):  # sorted as text, 10000 would come first
        path = tmp_path / "weights" / f"{iteration}.safetensors"
        save_network(small_network("rrdb"), path, {"iteration": str(iteration)})
    assert load_checkpoint(tmp_path).metadata == {"iteration": "10000"}


def test_sizes_claimed_by_a_file_allocate_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    header = '{"network": {"name": "rrdb", "num_feat": 1000}}'
    safetensors.torch.save_file(small_network("rrdb").state_dict(), path, {"hggt": header})
    with pytest.raises(CheckpointError, match="its metadata says num_feat 1000, but its tensors have 6"):
        load_network(path)


def test_only_plain_tensors_are_weights(tmp_path: Path) -> None:
    for name, tensor in {
        "sparse": torch.eye(3).to_sparse(),
        "complex": torch.ones(3, dtype=torch.complex64),
        "meta": torch.ones(3, device="meta"),
    }.items():
        torch.save({"conv_first.weight": tensor}, tmp_path / f"{name}.pth")
        with pytest.raises(CheckpointError, match="sparse, complex, quantised, empty or repeated; expected plain"):
            load_checkpoint(tmp_path / f"{name}.pth")
