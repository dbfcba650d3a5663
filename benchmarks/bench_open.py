"""One random picture out of a built dataset, against the same picture as a loose PNG file.

python benchmarks/bench_open.py [--groups 64] [--reads 400]

Time: open, read and decode, median per picture, both ways in turn in one run. Bytes: what the process read, by the
kernel's count, per byte of PNG. The third line reads the picture's row group through pyarrow, as one would without the
places that the shards keep.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from large_tree import write_large_tree
from machine import describe_machine

from hggt_data import open_groups
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.groups import GroupSource
from hggt_data.io.images import decode_png


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--groups", type=int, default=64)
    parser.add_argument("--reads", type=int, default=400)
    arguments = parser.parse_args()
    print(describe_machine("pyarrow", "kornia-rs"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree_folder = write_large_tree(folder, arguments.groups)
        build_dataset(BuildSettings((tree_folder,), folder / "hggt"))
        tree, dataset = open_groups(tree_folder), open_groups(folder / "hggt")
        shard = next((folder / "hggt" / "data").glob("*.parquet"))
        rng = random.Random(0)
        names = ["original", *dataset.candidates]
        picks = [(rng.randrange(len(dataset)), rng.choice(names)) for _ in range(arguments.reads)]
        ways: dict[str, Callable[[int, str], object]] = {
            "loose PNG": lambda i, name: read(tree, i, name),
            "open_groups(dataset)": lambda i, name: read(dataset, i, name),
            "pyarrow row group": lambda i, name: read_row_group(shard, i, name),
        }
        sizes = sum(len(dataset.read_bytes(i, name)) for i, name in picks)
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        read_bytes = dict.fromkeys(ways, 0)
        for i, name in picks:
            for way, function in ways.items():
                before, started = bytes_read(), time.perf_counter()
                function(i, name)
                seconds[way].append(time.perf_counter() - started)
                read_bytes[way] += bytes_read() - before
        loose = statistics.median(seconds["loose PNG"])
        print(f"{arguments.reads} random pictures of 512 x 512, {sizes / len(picks) / 1000:.0f} KB each\n")
        print("| way | ms per picture | ratio to loose PNG | bytes read per byte of PNG |\n|---|---|---|---|")
        for way in ways:
            median = statistics.median(seconds[way])
            print(f"| {way} | {median * 1000:.2f} | {median / loose:.2f} | {read_bytes[way] / sizes:.2f} |")


def read(source: GroupSource, index: int, name: str) -> object:
    """The picture as training reads it, without the labels."""
    return decode_png(source.read_bytes(index, name))


def read_row_group(shard: Path, index: int, name: str) -> object:
    """The picture through Parquet's own units."""
    column = name if name == "original" else f"enhanced_{name}"
    with pq.ParquetFile(shard) as file:
        start = 0
        for number in range(file.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            if index < start + rows:
                table = file.read_row_group(number, columns=[f"{column}.bytes"])
                return decode_png(table[column][index - start].as_py()["bytes"])
            start += rows
    raise IndexError(index)


def bytes_read() -> int:
    """Bytes that this process has read so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


if __name__ == "__main__":
    main()
