"""Images per second and peak memory of each network: whole and tiled, fp32 and bf16, plain, channels_last, compiled.

python benchmarks/bench_inference.py [--size published|small] [--sides 256,1024,4096] [--networks swinir,...]
                                     [--device cuda] [--ways fp32,bf16] [--rounds 3] [--tile 512] [--overlap 32]

Each line is measured in a separate process, so that peak memory is measured separately: that of the GPU if available,
otherwise the process's memory beyond what it used before the run. The ratio is relative to the first way of the same
network and side. Runs that do not fit into memory are marked as such. Sides above --whole-up-to are run in tiles only.
"""

import argparse
import json
import resource
import statistics
import time
from typing import Any

import torch
from machine import describe_machine, run_alone

from hggt_eval.metrics.device import full_precision
from hggt_models.inference.tiling import run_tiled
from hggt_models.memory import DeviceMemoryError
from hggt_models.networks import build_network

SMALL: dict[str, dict[str, Any]] = {
    "rrdb_pixelshuffle": {"num_block": 2, "num_feat": 32, "num_grow_ch": 16},
    "rrdb": {"num_block": 2, "num_feat": 32, "num_grow_ch": 16},
    "swinir": {"embed_dim": 60, "depths": (2, 2), "num_heads": (6, 6)},
    "rcan_no_upsample": {"num_group": 2, "num_block": 4},
    "elan": {"m_elan": 4, "c_elan": 60},
}
WAYS = {
    "fp32": {},
    "fp32 channels_last": {"channels_last": True},
    "fp32 compiled": {"compiled": True},
    "fp32 channels_last compiled": {"channels_last": True, "compiled": True},
    "bf16": {"bf16": True},
    "bf16 channels_last": {"bf16": True, "channels_last": True},
    "bf16 channels_last compiled": {"bf16": True, "channels_last": True, "compiled": True},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=["published", "small"], default="small")
    parser.add_argument("--sides", default="256,1024,4096")
    parser.add_argument("--networks", default=",".join(SMALL))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--overlap", type=int, default=32)
    parser.add_argument("--whole-up-to", type=int, default=1024)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(**json.loads(arguments.one))))
        return
    device = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else "CPU"
    print(f"{describe_machine('torch')}; {device}; {arguments.size} networks, tiles of {arguments.tile}\n")
    print("| network | side | cut | way | images/s | ratio | peak memory |\n|---|---|---|---|---|---|---|")
    for network in arguments.networks.split(","):
        for side in map(int, arguments.sides.split(",")):
            first = None
            for tile in ([None] if side <= arguments.whole_up_to else []) + [arguments.tile]:
                for way in arguments.ways.split(","):
                    case = {
                        "network": network,
                        "args": SMALL[network] if arguments.size == "small" else {},
                        "side": side,
                        "tile": tile,
                        "overlap_px": arguments.overlap,
                        "device": arguments.device,
                        "rounds": arguments.rounds,
                        **WAYS[way],
                    }
                    found = run_alone(__file__, case)
                    first = first or found.get("seconds")
                    cut = "tiles" if tile else "whole"
                    print(f"| {network} | {side} | {cut} | {way} | {format_figures(found, first)} |", flush=True)


def format_figures(found: dict[str, Any], first: float | None) -> str:
    """Images per second, ratio to the first way, memory; or the error."""
    if "fault" in found:
        return f"{found['fault']} | | "
    ratio = f"{first / found['seconds']:.2f}" if first else ""
    return f"{1 / found['seconds']:.3g} | {ratio} | {found['peak_bytes'] / 1e9:.2f} GB"


def measure(
    network: str,
    args: dict[str, Any],
    side: int,
    tile: int | None,
    overlap_px: int,
    device: str,
    rounds: int,
    bf16: bool = False,
    channels_last: bool = False,
    compiled: bool = False,
) -> dict[str, Any]:
    """Median seconds per picture and peak bytes."""
    is_cuda = device.startswith("cuda")
    torch.manual_seed(0)
    runner = build_network(network, **args).eval().to(device)
    if channels_last:
        runner = runner.to(memory_format=torch.channels_last)
    if compiled:
        runner.forward = torch.compile(runner.forward)  # keeps the network's attributes
    picture = torch.randint(256, (3, side, side), dtype=torch.uint8)
    before = peak_bytes(is_cuda)
    options: dict[str, Any] = {"tile": tile, "overlap_px": overlap_px, "device": device}
    dtype = torch.bfloat16 if bf16 else torch.float32
    try:
        with full_precision(device):  # as the commands do
            run_tiled(runner, picture, dtype=dtype, **options)  # warm-up and compilation
            seconds = []
            for _ in range(rounds):
                started = time.perf_counter()
                run_tiled(runner, picture, dtype=dtype, **options)
                seconds.append(time.perf_counter() - started)
    except DeviceMemoryError:
        return {"fault": "out of memory"}
    return {"seconds": statistics.median(seconds), "peak_bytes": peak_bytes(is_cuda) - (0 if is_cuda else before)}


def peak_bytes(is_cuda: bool) -> int:
    """Peak memory so far."""
    if is_cuda:
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
