"""Build speed against decoding the same pictures once, and memory for a tree of 1x and 10x size.

python benchmarks/bench_build.py [--groups 60] [--folder DIR]

Speed: groups per second of a build with one worker (read, check, hash, decode, write, hash again), as a ratio to
reading and decoding the same PNGs once with the fastest strict decoder (kornia-rs), in the same run and process count.
The CPU time of the same build from a zip file of the tree (Deflate), as a ratio to that from the folder.
Memory: the largest sum of proportional set sizes of a build with 4 workers and all its processes.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from large_tree import write_large_tree
from machine import describe_machine

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.io.images import decode_png

_REPEATS = 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--groups", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="where to work; needs 40 MB per group")
    arguments = parser.parse_args()
    print(describe_machine("pyarrow", "kornia-rs", "datasets"))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        groups = arguments.groups
        tree = write_large_tree(folder / "1x", groups)
        pictures = sorted(tree.glob("images/*/*.png"))
        size_mb = sum(path.stat().st_size for path in pictures) / 1e6
        print(f"{groups} groups, {len(pictures)} PNGs of 512 x 512, {size_mb / len(pictures) * 1000:.0f} KB each\n")
        archive = Path(shutil.make_archive(str(folder / "deflated"), "zip", tree))
        decoded, built, cpu_s, cpu_of_zip_s = [], [], [], []
        for _ in range(_REPEATS):
            decoded.append(groups / seconds_to_decode(pictures))
            seconds, cpu = seconds_to_build(tree, folder / "out", groups)
            built.append(groups / seconds)
            cpu_s.append(cpu)
            cpu_of_zip_s.append(seconds_to_build(archive, folder / "out", groups)[1])
        print("| | groups/s (best of 3) |\n|---|---|")
        print(f"| decode once, strictly | {max(decoded):.1f} |")
        print(f"| build, 1 worker | {max(built):.1f} |")
        print(f"| ratio | {max(built) / max(decoded):.2f} |")
        print(f"| CPU time of a build from a zip file, ratio to the folder | {min(cpu_of_zip_s) / min(cpu_s):.2f} |\n")
        print("| tree | processes' memory at most, 4 workers |\n|---|---|")
        print(f"| {groups} groups | {peak_memory_mb(tree, folder / 'm1'):.0f} MB |")
        large = write_large_tree(folder / "10x", 10 * groups)
        print(f"| {10 * groups} groups | {peak_memory_mb(large, folder / 'm10'):.0f} MB |")


def seconds_to_decode(pictures: list[Path]) -> float:
    """Read and decode every picture once, in this process."""
    started = time.perf_counter()
    for path in pictures:
        decode_png(path.read_bytes())
    return time.perf_counter() - started


def seconds_to_build(tree: Path, output: Path, groups_per_shard: int) -> tuple[float, float]:
    """Build once, in this process; the time that passed, and the CPU time."""
    shutil.rmtree(output, ignore_errors=True)
    started, cpu_started = time.perf_counter(), time.process_time()
    build_dataset(BuildSettings((tree,), output, groups_per_shard=groups_per_shard, workers=1))
    return time.perf_counter() - started, time.process_time() - cpu_started


def peak_memory_mb(tree: Path, output: Path) -> float:
    """Peak memory of a build with 4 workers: all processes together, shared pages counted once."""
    program = str(Path(sys.executable).parent / "hggt-build-dataset")
    options = ["--tree", str(tree), "--output", str(output), "--workers", "4", "--groups-per-shard", "16"]
    build = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    peak = 0.0
    while build.poll() is None:
        peak = max(peak, sum(memory_mb(pid) for pid in family(build.pid)))
        time.sleep(0.05)
    if build.returncode:
        sys.exit("the build failed")
    return peak


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:
                continue  # the thread has ended
    return found


def memory_mb(pid: int) -> float:
    """Proportional set size in MB; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


if __name__ == "__main__":
    main()
