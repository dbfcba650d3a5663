"""Weights as training programs and other projects save them, and files made to do harm."""

import json
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from hggt_models.inference.folders import Restorer
from hggt_models.networks.checkpoint import CheckpointError, load_checkpoint, load_network
from tests.hggt_models.networks.small import random_images, small_network

State = Mapping[str, Tensor]


def below(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


WRAPPED: dict[str, Callable[[State], Any]] = {
    "compiled": lambda state: {"params": below("_orig_mod.", state)},
    "compiled, in parallel": lambda state: {"params": below("module._orig_mod.", state)},
    "averaged model": lambda state: {"n_averaged": torch.tensor(5), **below("module.", state)},
    "mmagic": lambda state: {
        "meta": {"iter": 1},
        "state_dict": {
            **below("generator.", {key: torch.zeros_like(tensor) for key, tensor in state.items()}),
            **below("generator_ema.", state),
            "step_counter": torch.tensor(3),
        },
    },
    "Lightning": lambda state: {"state_dict": {**below("net_g.", state), **below("net_d.", state)}, "epoch": 3},
    "nested": lambda state: {"model": {"state_dict": state}, "optimizer": {"param_groups": []}},
    "one entry of any name": lambda state: {"anything": state},
    "no averaged weights": lambda state: {"params": state, "params_ema": None},
    "counters": lambda state: {"params": {**state, "total_ops": torch.zeros(1), "body.0.total_params": torch.zeros(1)}},
    "numbers beside the weights": lambda state: {**state, "epoch": 3, "psnr": np.float64(30.1), "note": None},
    "NumPy numbers": lambda state: {"params": state, "iter": np.int64(100), "best": np.float32(30.1)},
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_weights_are_found_in_what_programs_save(wrapper: str, tmp_path: Path) -> None:
    network = small_network("rrdb").eval()
    images = random_images(1, 3, 8, 8)
    torch.save(WRAPPED[wrapper](network.state_dict()), tmp_path / "net.pth")
    with torch.inference_mode():
        assert torch.equal(load_network(tmp_path / "net.pth")(images), network(images))


@pytest.mark.parametrize("ending", [".pt", ".ckpt", ".bin", ".PTH"])
def test_other_endings_of_the_same_format(ending: str, tmp_path: Path) -> None:
    torch.save(small_network("rrdb").state_dict(), tmp_path / f"net{ending}")
    assert load_checkpoint(tmp_path / f"net{ending}").network_name == "rrdb"


SWINIR = {"img_size": 56, "window_size": 7, "depths": [1, 1], "embed_dim": 12, "num_heads": [2, 2], "mlp_ratio": 2}
HAT = {"compress_ratio": 3, "squeeze_factor": 6, "conv_scale": 0.01, "overlap_ratio": 0.5, "img_range": 1.0}


@pytest.mark.parametrize(
    ("architecture", "args"),
    [
        ("HAT", {**SWINIR, **HAT, "window_size": 8, "img_size": 64}),
        ("SwinIR", {**SWINIR, "img_range": 1.0}),
        ("MMRealSR", {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_block": 1, "num_grow_ch": 32}),
    ],
)
def test_a_network_that_resembles_ours_goes_through_spandrel(
    architecture: str, args: dict[str, Any], tmp_path: Path
) -> None:
    architectures = pytest.importorskip(
        "spandrel.architectures", reason="needs the extra community: pip install 'hggt[community]'"
    )
    if architecture != "MMRealSR":
        args = {**args, "upscale": 4, "upsampler": "pixelshuffle", "resi_connection": "1conv"}
    network = getattr(getattr(architectures, architecture), architecture)(**args)
    torch.save({"params": network.state_dict()}, tmp_path / "net.pth")
    restorer = Restorer(tmp_path / "net.pth", tile=None, overlap=8, dtype="fp32")
    assert restorer.network.config == {"name": "community", "architecture": architecture}


def test_weights_that_spandrel_would_drop_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="needs the extra community: pip install 'hggt[community]'")
    state = small_network("rrdb", num_feat=64, num_grow_ch=32).state_dict()
    torch.save({**state, "body.0.rdb1.conv1x1.weight": torch.ones(32, 64, 1, 1)}, tmp_path / "net.pth")
    expected = r"net\.pth does not fit the network's \d+ tensors: 1 unexpected .* and drops 2,048 weights$"
    with pytest.raises(CheckpointError, match=expected):
        Restorer(tmp_path / "net.pth", tile=None, overlap=8, dtype="fp32")


def write_hostile_files(folder: Path) -> dict[str, str]:
    """File name to what its refusal says."""
    tensors = {
        "repeated.pth": torch.zeros(1).expand(10**6, 10**6),
        "nothing.pth": torch.zeros(10**9, 0),
        "small-float.pth": torch.ones(3).to(torch.float8_e4m3fn),
        "nested.pth": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    }
    for name, tensor in tensors.items():
        torch.save({"conv_first.weight": tensor}, folder / name)
    shared = torch.zeros(250_000)
    torch.save({f"key{number}": shared for number in range(20_000)}, folder / "shared.pth")
    torch.save({"conv_first.weight": torch.ones(64, 3, 3, 3)}, folder / "plain.pth")
    with zipfile.ZipFile(folder / "plain.pth") as plain, zipfile.ZipFile(folder / "bomb.pth", "w", 8) as bomb:
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    torch.save(torch.ones(1728), folder / "old.pth", _use_new_zipfile_serialization=False)
    claim = b"\x8a\x05" + (1 << 35).to_bytes(5, "little")
    (folder / "old.pth").write_bytes((folder / "old.pth").read_bytes().replace(b"M" + struct.pack("<H", 1728), claim))
    (folder / "plain.pth").unlink()
    itself: dict[str, Any] = {}
    itself["params"] = itself
    torch.save(itself, folder / "itself.pth", pickle_module=pickle)
    state = small_network("rrdb").state_dict()
    blocks = {"name": "rrdb", "num_feat": 6, "num_grow_ch": 4, "num_block": 10**9}
    claims = {"deep": "[" * 200_000, "blocks": json.dumps({"network": blocks})}
    claims["more-blocks"] = json.dumps({"network": {**blocks, "num_block": 1000}})
    for name, text in claims.items():
        safetensors.torch.save_file(state, folder / f"{name}.safetensors", {"hggt": text})
    (folder / "header.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    wide = {**state, "conv_first.weight": torch.ones(1_000_000, 3, 1, 1), "conv_body.weight": torch.ones(3)}
    torch.save(wide, folder / "wide.pth")
    torch.jit.save(torch.jit.script(torch.nn.Conv2d(3, 3, 3)), folder / "script.pt")
    plain_expected = "expected plain tensors"
    return {
        **dict.fromkeys([*tensors, "shared.pth"], plain_expected),
        "bomb.pth": "is a compressed archive",
        "old.pth": "truncated, damaged or not a weights file",
        "itself.pth": "not named tensors",
        "deep.safetensors": "expected JSON",
        "blocks.safetensors": "num_block is 1000000000; expected at most 1,024",
        "more-blocks.safetensors": "its metadata says num_block 1000, but its tensors have 1",
        "header.safetensors": "cannot be read as safetensors",
        "wide.pth": "num_feat is 1000000; expected at most 1,024",
        "script.pt": "is a TorchScript program",
    }


# At most 1 GB more than PyTorch and the packages take, and 5 seconds for a file.
LOAD = """
import resource, sys, time, torch
from hggt_models.inference.folders import Restorer
from importlib.util import find_spec
if find_spec("spandrel"):
    import spandrel
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2**30, taken + 2**30))
for path in sys.argv[1:]:
    start = time.perf_counter()
    try:
        Restorer(path, tile=None, overlap=8, dtype="fp32")
    except Exception as error:
        print(type(error).__name__, str(error).replace("\\n", "NEWLINE"))
    assert time.perf_counter() - start < 5, path
"""


@pytest.mark.filterwarnings("ignore")
def test_hostile_files_are_refused_in_one_line_with_little_memory(tmp_path: Path) -> None:
    expected = write_hostile_files(tmp_path)
    paths = [str(tmp_path / name) for name in expected]
    done = subprocess.run([sys.executable, "-c", LOAD, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(expected)
    for line, (name, text) in zip(lines, expected.items(), strict=True):
        assert name in line
        assert text in line
        assert "NEWLINE" not in line
        assert line.startswith(("CheckpointError ", "UnknownNetworkError "))
