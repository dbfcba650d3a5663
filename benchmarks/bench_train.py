"""Training steps per second, peak memory and where the time goes, as ratios to a plain float32 step.

python benchmarks/bench_train.py [--size published|small] [--networks rrdb,swinir] [--device cuda] [--steps 50]
                                 [--ways fp32,"bf16 channels_last compiled"] [--workers 8] [--vgg FILE]
                                 [--set KEY=VALUE] [--budget-s 1500]

The run is the published one towards a positive and away from a negative. Plain is `plain_training.py`; ours is what
`hggt-models train` does in a step. A way is made of words: `fp32`, `tf32` or `bf16`; `channels_last` for all
networks, or `auto` for those that prefer it (the default of a run), else for none; `compiled`; `joint` for
discriminator_batches; `cudnn_benchmark`, which plain has on a GPU; `deterministic`. Each way is a process of its own,
so that its peak memory is its own: of the GPU, else of the process above what it held at its start. On a CPU one
thread computes, and without workers times are the processor's, whatever else the machine does. Time is first measured
over whole steps, the pool being full, then by parts, which waits for a GPU at each and so adds up to more. All start
from the same networks but draw differently: how far a mean loss may lie from plain's by chance, `plain again` shows,
with other draws. With --budget-s each way gets an equal share of what is left, and makes fewer steps if need be.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from large_tree import write_large_tree
from machine import describe_machine, run_alone
from plain_training import PlainTraining
from stopwatch import Stopwatch
from torch import Tensor

from hggt_data.tree.demo import write_demo_tree
from hggt_eval.metrics.backbones import find_weights
from hggt_models.config.recipes import load_config
from hggt_models.config.train import TrainConfig
from hggt_models.data import make_pairs as maker
from hggt_models.data.loader import PairLoader
from hggt_models.data.make_pairs import TrainingPairs
from hggt_models.data.training_data import open_training_data
from hggt_models.runtime import Runtime, open_runtime
from hggt_models.training import generator_losses
from hggt_models.training.learner import Learner
from hggt_models.training.loss_meter import LossMeter, blank_loss
from hggt_models.training.optimizers import learning_rate
from hggt_models.training.switches import torch_switches

PLAIN, AGAIN = "plain", "plain again"
WAYS = {
    "cpu": f"{AGAIN},fp32,fp32 auto,fp32 channels_last,bf16 channels_last",
    "cuda": f"{AGAIN},fp32 auto,tf32 auto,fp32 auto cudnn_benchmark,fp32 auto deterministic,"
    "fp32,fp32 channels_last,bf16,bf16 channels_last,bf16 compiled,"
    "bf16 channels_last compiled",
}
WORDS = ("fp32", "tf32", "bf16", "auto", "channels_last", "compiled", "joint", "cudnn_benchmark", "deterministic")
FIGURES = ("steps/s", "ratio", "peak memory", "mean loss", "difference to plain", "ms a step, watched")
PARTS = (
    "waiting for data",
    "degradation and pool",
    "generator",
    "perceptual",
    "discriminator",
    "negative",
    "optimizers and EMA",
    "rest",
)
SMALL_RUN = (
    "source_px=192",
    "crop_px=128",
    "batch_size=4",
    "pool_size=8",
    "discriminator.num_feat=16",
    *(f"perceptual.layers.{layer}=0" for layer in ("conv3_4", "conv4_4", "conv5_4")),
    "loss.negative=30",  # the demo's negatives are so bad that 300 makes random networks diverge within 50 steps
)
SMALL_GENERATORS = {
    "rrdb": ("generator.num_block=6", "generator.num_feat=32", "generator.num_grow_ch=16"),
    "swinir": ("generator.embed_dim=60", "generator.depths=[4, 4]", "generator.num_heads=[6, 6]"),
}
_GROUPS = 48
_WATCHED_STEPS = 5
_WARM_UP_STEPS, _LEAST_STEPS = 3, 3
_LEAST_S = 20  # less is not worth the start of a process


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=["published", "small"])
    parser.add_argument("--networks", default=",".join(SMALL_GENERATORS))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--ways")
    parser.add_argument("--steps", type=int, help="timed steps, at most (default: 100 on a GPU, else 8)")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--vgg", help="file with VGG19's weights")
    parser.add_argument("--set", action="append", default=[], dest="assignments", metavar="KEY=VALUE")
    parser.add_argument("--budget-s", type=float, default=math.inf)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(**json.loads(arguments.one))))
        return
    ends = time.time() + arguments.budget_s
    is_cuda = arguments.device.startswith("cuda")
    size = arguments.size or ("published" if is_cuda else "small")
    ways = [PLAIN, *(arguments.ways or WAYS["cuda" if is_cuda else "cpu"]).split(",")]
    unknown = {word for way in ways if way not in (PLAIN, AGAIN) for word in way.split()} - set(WORDS)
    if unknown:
        parser.error(f"--ways has {', '.join(sorted(unknown))}; a way is made of {', '.join(WORDS)}")
    cores = os.cpu_count() or 1
    steps = arguments.steps or (100 if is_cuda else 8)
    workers = arguments.workers if arguments.workers is not None else (max(min(cores - 2, 12), 1) if is_cuda else 0)
    weights = arguments.vgg or ("imagenet" if find_weights("vgg19") else "random")
    device = torch.cuda.get_device_name() if is_cuda else "CPU"
    print(f"{describe_machine('torch', 'numpy')}; {device}")
    print(f"{size} sizes, {workers} workers, weights of VGG19: {weights}, at most {steps} steps\n")
    columns = ("network", "way", *FIGURES, *PARTS)
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        tree = write_large_tree(Path(name), _GROUPS) if size == "published" else write_demo_tree(Path(name)).train
        cases = [
            {
                "network": network,
                "way": way,
                "assignments": [*sizes_of(network, size), f"perceptual.weights={weights}", *arguments.assignments],
                "tree": str(tree),
                "device": arguments.device,
                "workers": workers,
                "steps": steps,
            }
            for network in arguments.networks.split(",")
            for way in ways
        ]
        plain: dict[str, Any] = {}
        for number, case in enumerate(cases):
            found = run_in_time({**case, "ends": time.time() + (ends - time.time()) / (len(cases) - number)})
            plain = found if case["way"] == PLAIN else plain
            print(f"| {case['network']} | {case['way']} | {' | '.join(format_figures(found, plain))} |", flush=True)


def sizes_of(network: str, size: str) -> list[str]:
    """Changes to the recipe, in the form accepted by `--set`."""
    return ["validation.every=0", *((*SMALL_RUN, *SMALL_GENERATORS[network]) if size == "small" else ())]


def format_figures(found: dict[str, Any], plain: dict[str, Any]) -> list[str]:
    """The cells of a line; or the error."""
    if "fault" in found:
        return [found["fault"], *[""] * (len(FIGURES) - 1 + len(PARTS))]
    return [
        f"{found['rate']:.3g}",
        f"{found['rate'] / plain['rate']:.2f}" if "rate" in plain else "",
        f"{found['peak_bytes'] / 1e9:.2f} GB",
        f"{statistics.fmean(found['losses']):.4g} of {len(found['losses'])}",
        format_difference(found["losses"], plain["losses"]) if "rate" in plain and plain is not found else "",
        f"{1000 * sum(found['parts'].values()):.0f}",
        *(f"{1000 * found['parts'].get(part, 0):.0f}" for part in PARTS),
    ]


def format_difference(ours: list[float], plain: list[float]) -> str:
    """Mean and standard error of the difference between two runs' losses, step by step."""
    differences = [one - other for one, other in zip(ours, plain, strict=False)]
    return f"{statistics.fmean(differences):+.3g} ± {statistics.stdev(differences) / len(differences) ** 0.5:.2g}"


def run_in_time(case: dict[str, Any]) -> dict[str, Any]:
    """Measure in a fresh process, if there is time left."""
    limit_s = case["ends"] - time.time()
    if limit_s < _LEAST_S:
        return {"fault": "left out: the time is up"}
    return run_alone(__file__, case, None if math.isinf(limit_s) else limit_s + _LEAST_S)


def measure(
    network: str,
    way: str,
    assignments: list[str],
    tree: str,
    device: str,
    workers: int,
    steps: int,
    ends: float,
) -> dict[str, Any]:
    """Steps per second, peak bytes, seconds of each part in a step, and the losses from the first step on."""
    is_cuda = device.startswith("cuda")
    if not is_cuda:
        torch.set_num_threads(1)  # several wait for each other, and take twice as long where others compute too
    held = 0 if is_cuda else resident_bytes("VmRSS")
    words = way.split()
    config = load_config(f"{network}-gan-positive-negative", [*assignments, *settings(words)])
    with open_runtime(device) as runtime, torch_switches(config):
        if way in (PLAIN, AGAIN):
            torch.backends.cudnn.benchmark = True
        clock = time.perf_counter if is_cuda or workers else time.process_time
        watch = Stopwatch(runtime.device, clock)
        step: Callable[[], Tensor | float]
        if way in (PLAIN, AGAIN):
            step = PlainTraining(config, Path(tree), runtime.device, workers, watch, draws=int(way == AGAIN)).step
        else:
            step = our_step(config, Path(tree), runtime, workers, watch)
        losses = [step() for _ in range(-(-config.pool_size // config.batch_size) + _WARM_UP_STEPS)]
        wait(is_cuda)
        warm, latest = len(losses), (time.time() + ends) / 2
        started = clock()
        while len(losses) < warm + _LEAST_STEPS or (len(losses) < warm + steps and time.time() < latest):
            losses.append(step())
        wait(is_cuda)
        rate = (len(losses) - warm) / (clock() - started)
        peak = torch.cuda.max_memory_allocated() if is_cuda else resident_bytes("VmHWM") - held
        parts = watch_parts(step, watch, ends)
    return {"rate": rate, "peak_bytes": peak, "parts": parts, "losses": [float(loss) for loss in losses]}


def settings(words: list[str]) -> list[str]:
    """Apply the words of a way to a config."""
    layout = "auto" if "auto" in words else "yes" if "channels_last" in words else "no"
    return [
        f"precision={next((word for word in ('tf32', 'bf16') if word in words), 'fp32')}",
        f"channels_last={layout}",
        f"compile={['generator', 'discriminator', 'perceptual'] if 'compiled' in words else []}",
        f"discriminator_batches={'joint' if 'joint' in words else 'separate'}",
        *(f"{word}=true" for word in ("cudnn_benchmark", "deterministic") if word in words),
    ]


def our_step(
    config: TrainConfig, tree: Path, runtime: Runtime, workers: int, watch: Stopwatch
) -> Callable[[], Tensor | float]:
    """A step of `hggt-models train`, profiled by part."""
    data = open_training_data(str(tree), config)
    learner = Learner(config, runtime)
    loader = PairLoader(data.samples, config, runtime, workers)
    loader.start(0)
    meter = LossMeter(config.loss.pixel)
    done = itertools.count()
    for watched, part in (
        (learner._compiled_generator, "generator"),
        (learner._generator_losses._perceptual, "perceptual"),
        (learner._compiled_discriminator, "discriminator"),
    ):
        assert watched is not None
        watch.watch_network(watched, part, "rest")
    for optimizer in (learner._generator_optimizer, learner._discriminator_optimizer):
        optimizer.register_step_pre_hook(lambda *_: watch.begin("optimizers and EMA"))
        optimizer.register_step_post_hook(lambda *_: watch.begin("rest"))
    for owner, name, part, after in (
        (learner.ema, "update", "optimizers and EMA", "rest"),
        (generator_losses, "negative_loss", "negative", "rest"),
        (maker, "negative_map", "negative", "degradation and pool"),
    ):
        mock.patch.object(owner, name, watch.watched(getattr(owner, name), part, after)).start()
    assert loader._batches is not None
    loader._batches = watched_batches(loader._batches, watch)

    blanks = []

    def next_pairs() -> TrainingPairs:
        pairs = loader.next()
        blanks.append(blank_loss(pairs.target))
        watch.begin("rest")
        return pairs

    def step() -> Tensor:
        torch.manual_seed(next(done))
        learner.keep()
        losses = learner.step(next_pairs, learning_rate(config, 0))
        meter.add(losses, torch.stack(blanks).mean())
        blanks.clear()
        return torch.stack([value for name, value in losses.items() if not name.startswith("discriminator")]).sum()

    return step


def watched_batches(batches: Iterator[Any], watch: Stopwatch) -> Iterator[Any]:
    """The samples of a loader."""
    while True:
        watch.begin("waiting for data")
        batch = next(batches)
        watch.begin("degradation and pool")
        yield batch


def watch_parts(step: Callable[[], Any], watch: Stopwatch, ends: float) -> dict[str, float]:
    """Mean seconds of each part per step."""
    watch.runs = True
    step()  # a compiled network may be compiled again for a watched tensor
    watch.begin("")
    watch.seconds.clear()
    done = 0
    while done == 0 or (done < _WATCHED_STEPS and time.time() < ends):
        step()
        watch.begin("")
        done += 1
    watch.runs = False
    return {part: seconds / done for part, seconds in watch.seconds.items()}


def wait(is_cuda: bool) -> None:
    """Wait until the device has finished."""
    if is_cuda:
        torch.cuda.synchronize()


def resident_bytes(key: str) -> int:
    """VmRSS, the current memory of this process, or VmHWM, its peak."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    main()
