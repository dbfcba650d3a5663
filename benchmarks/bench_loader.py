"""Training samples per second of one core, as a ratio to a plain loader that decodes and parses all of a group.

python benchmarks/bench_loader.py [--groups 48] [--batches 4] [--batch-size 12] [--rounds 5] [--crop 512]

A core makes whole batches of 512 x 512 pictures: read, decode, choose, mirror, stack. Plain: `plain_groups.py`, with
Pillow and with OpenCV. Ours: `GroupDataset` from the tree, and from the dataset built of it. All take turns, and the
best round counts. The ratio is of the processor's time to that of plain with Pillow; the clock's time also tells how
busy others keep the machine. The second table says where our time goes. The third compares a run's own `Readers` with
PyTorch's `DataLoader` over the same `GroupDataset`: processor's time of both processes and of the one that uses the
batches, and how much of it remains when all samples are ready-made, that is, what handing them over takes.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import kornia_rs.io
import torch
from large_tree import write_large_tree
from machine import describe_machine
from plain_groups import NEGATIVE, POSITIVE, PlainGroups, decode_with_opencv, decode_with_pillow, draw
from torch import Tensor
from torch.utils import data
from torch.utils.data import Dataset

from hggt_data import open_groups
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.groups import GroupSource
from hggt_data.io import images
from hggt_models.config.sections import TargetKind
from hggt_models.data import group_dataset
from hggt_models.data.group_dataset import GroupDataset
from hggt_models.data.readers import Readers
from hggt_models.data.samples import Sample, SampleDataset, ShareSampler
from hggt_models.data.targets import GroupLabels

SIDE = 512
TARGETS: tuple[TargetKind, ...] = ("original", "positive", "positive_negative")
WORKERS = 2
PARTS = ("read", "check PNG chunks", "decode", "crop, flip, stack", "select", "collate", "rest")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--groups", type=int, default=48)
    parser.add_argument("--batches", type=int, default=4, help="batches per round")
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--crop", type=int, default=SIDE, help="side of ours in the third table, pixels")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    random.seed(0)
    print(describe_machine("torch", "numpy", "kornia-rs", "pillow", "opencv-python-headless"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = write_large_tree(folder, arguments.groups)
        build_dataset(BuildSettings((tree,), folder / "hggt"))
        sources = {"ours, tree": open_groups(tree), "ours, dataset": open_groups(folder / "hggt")}
        print_pictures(sources["ours, dataset"])
        print("| target | way | samples/s of a core | ratio | samples/s by the clock |\n|---|---|---|---|---|")
        for target in TARGETS:
            ways: dict[str, Dataset[Any]] = {
                "plain, Pillow": PlainSamples(PlainGroups(tree, decode_with_pillow), target),
                "plain, OpenCV": PlainSamples(PlainGroups(tree, decode_with_opencv), target),
                **{way: group_samples(groups, target) for way, groups in sources.items()},
            }
            print_rates(target, ways, arguments.rounds, arguments.batches, arguments.batch_size)
        print(f"\n| target | ms of a core per sample, dataset | {' | '.join(PARTS)} |")
        print("|---" * (len(PARTS) + 2) + "|")
        for target in TARGETS:
            groups = sources["ours, dataset"]
            samples = group_samples(groups, target)
            print_shares(target, samples, type(groups), arguments.rounds, arguments.batches, arguments.batch_size)
        print(f"\n| target | {WORKERS} processes of | ms per sample | ms of the user | ratio | ms, ready samples |")
        print("|---" * 6 + "|")
        for target in TARGETS:
            samples = group_samples(sources["ours, dataset"], target, arguments.crop)
            print_loaders(target, samples, arguments.rounds, arguments.batches * WORKERS, arguments.batch_size)


class PlainSamples(Dataset[Mapping[str, Tensor]]):
    """The pictures of each sample of `groups` that a target uses."""

    def __init__(self, groups: PlainGroups, target: TargetKind) -> None:
        self._groups = groups
        self._target = target

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Sample `number`."""
        sample = self._groups[number]
        chosen = {"original": sample["original"]}
        if self._target == "original":
            return chosen
        labels = sample["labels"].tolist()
        chosen["positive"] = sample[draw(labels, POSITIVE) or "original"]
        if self._target == "positive":
            return chosen
        chosen["map_positive"] = sample[draw(labels, POSITIVE) or "original"]
        chosen["negative"] = sample[draw(labels, NEGATIVE) or "original"]
        return {**chosen, "labels": sample["labels"], "agreement": sample["agreement"]}


def group_samples(groups: GroupSource, target: TargetKind, side: int = SIDE) -> GroupDataset:
    """Ours. Every group of the large tree suits every target."""
    samples = GroupDataset(groups, target, source_px=side)
    assert len(samples) == len(groups)
    return samples


def print_pictures(groups: GroupSource) -> None:
    """Describe the data and how many pictures a sample of the largest target needs."""
    sizes = [len(groups.read_bytes(i, "original")) for i in range(len(groups))]
    labelled = [GroupLabels.of(group) for group in groups]
    # Both positives are drawn, so they differ with this probability; two more are the original and the negative.
    needed = sum(2 + 1 + (1 - 1 / len(one.positives)) for one in labelled) / len(labelled)
    print(
        f"{len(groups)} groups of {SIDE} x {SIDE}, {sum(sizes) / len(sizes) / 1000:.0f} KB a picture; a sample of "
        f"{TARGETS[-1]} uses {needed:.2f} of 5 pictures on average\n"
    )


def make_batches(samples: Dataset[Any], batches: int, batch_size: int) -> None:
    """The work of a loader process."""
    for first in range(0, batches * batch_size, batch_size):
        data.default_collate([samples[number] for number in range(first, first + batch_size)])


def print_rates(target: str, ways: Mapping[str, Dataset[Any]], rounds: int, batches: int, batch_size: int) -> None:
    """Print a line for each way."""
    best = {way: (float("inf"), float("inf")) for way in ways}
    for number in range(rounds + 1):
        for way, samples in ways.items():
            clock, processor = time.perf_counter(), time.process_time()
            make_batches(samples, batches if number else 1, batch_size)
            clock, processor = time.perf_counter() - clock, time.process_time() - processor
            if number:  # the first one warms up
                best[way] = min(best[way][0], processor), min(best[way][1], clock)
    count = batches * batch_size
    plain = next(iter(best.values()))[0]
    for way, (processor, clock) in best.items():
        figures = f"{count / processor:.1f} | {plain / processor:.2f} | {count / clock:.1f}"
        print(f"| {target} | {way} | {figures} |", flush=True)


def print_shares(
    target: str, samples: GroupDataset, source: type[GroupSource], rounds: int, batches: int, batch_size: int
) -> None:
    """Print a line: CPU milliseconds per sample, and how they are spent."""
    best: dict[str, float] = {}
    total = float("inf")
    for _ in range(rounds):
        with watched(source) as spent:
            started = time.process_time()
            make_batches(samples, batches, batch_size)
            seconds = time.process_time() - started
        if seconds < total:
            total, best = seconds, spent
    best["rest"] = total - sum(best.values())
    scale = 1000 / (batches * batch_size)
    figures = " | ".join(f"{best[part] * scale:.2f}" for part in PARTS)
    print(f"| {target} | {total * scale:.2f} | {figures} |", flush=True)


class ReadySamples(SampleDataset):
    """Samples whose `pictures` all have this shape and the same content, and take no work."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(1, source_px=shape[-1], flip=False, rotate=False, seed=0)
        self._shape = tuple(shape)

    @cached_property
    def _pictures(self) -> Tensor:
        return torch.ones(self._shape, dtype=torch.uint8)

    def __getitem__(self, number: int) -> Sample:
        """Sample `number`."""
        return {"number": torch.tensor(number), "pictures": self._pictures}


def print_loaders(target: str, samples: GroupDataset, rounds: int, batches: int, batch_size: int) -> None:
    """Print a line for each way to read batches in processes."""
    ready = ReadySamples(samples[0]["pictures"].shape)
    best = {(way, of): (float("inf"), 0.0) for way in (Readers, data.DataLoader) for of in (samples, ready)}
    for _ in range(rounds):
        for way, of in best:
            best[way, of] = min(best[way, of], time_loader(way, of, batches, batch_size))
    for way in (Readers, data.DataLoader):
        (workers, main), handing = best[way, samples], sum(best[way, ready])
        ratio = sum(best[Readers, samples]) / (workers + main)
        print(f"| {target} | {way.__name__} | {workers:.2f} | {main:.2f} | {ratio:.2f} | {handing:.2f} |", flush=True)


def time_loader(way: type, samples: SampleDataset, batches: int, batch_size: int) -> tuple[float, float]:
    """Milliseconds per sample that the workers' processors take, and this one's."""
    sampler = ShareSampler(batch_size)
    if way is Readers:
        loader: Any = Readers(samples, sampler, WORKERS)
        processes = loader._processes
    else:
        loader = iter(data.DataLoader(samples, batch_sampler=sampler, num_workers=WORKERS))
        processes = loader._workers
    spent = [0.0, 0.0]
    for number in range(2 * WORKERS + batches):
        if number == 2 * WORKERS:  # the processes have started, and read ahead
            spent = [-processor_seconds(processes), -time.process_time()]
        next(loader)["pictures"].max()  # the memory of a batch may not be there before it is used
    spent = [spent[0] + processor_seconds(processes), spent[1] + time.process_time()]
    if way is Readers:
        loader.close()
    del loader
    workers, main = (1000 * seconds / (batches * batch_size) for seconds in spent)
    return workers, main


def processor_seconds(processes: Sequence[Any]) -> float:
    """What processes have taken so far (Linux)."""
    return sum(int(Path(f"/proc/{one.pid}/schedstat").read_text().split()[0]) for one in processes) / 1e9


@contextmanager
def watched(source: type[GroupSource]) -> Iterator[dict[str, float]]:
    """While the block lasts, the processor's seconds in each part, without those it calls, are added up."""
    spent = dict.fromkeys(PARTS[:-1], 0.0)

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            before, started = sum(spent.values()), time.process_time()
            result = function(*args, **kwargs)
            inner = sum(spent.values()) - before  # of parts that this one calls
            spent[part] += time.process_time() - started - inner
            return result

        return run

    parts: list[tuple[str, Any, str]] = [
        ("read", source, "read_bytes"),
        ("check PNG chunks", images, "parse_png"),
        ("decode", kornia_rs.io, "decode_image_png_u8"),
        ("crop, flip, stack", GroupDataset, "cut"),
        ("select", group_dataset, "choose"),
        ("collate", data, "default_collate"),
    ]
    with ExitStack() as stack:
        for part, owner, name in parts:
            stack.enter_context(mock.patch.object(owner, name, timed(part, getattr(owner, name))))
        yield spent


if __name__ == "__main__":
    main()
