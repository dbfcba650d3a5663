"""Many annotators at one server: how long saving an answer and the first view of a group take.

python benchmarks/bench_annotate.py [--annotators 20] [--groups 30] [--think-s 2]

Each simulated annotator judges groups of 512 x 512 pixels, as fast as --think-s allows (real annotators take 20 to 60
seconds): requests the five pictures at once, as the page does, waits, and saves. A view ends when all five pictures
have arrived, a save when the server has confirmed that the answer is on disk. The server is a separate process on the
same machine. The last line of the table is the disk alone: writing and syncing an answer's two files.
"""

import argparse
import asyncio
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
from large_tree import write_large_tree
from machine import describe_machine

from hggt_data.annotate.round import Annotator, Item, Kind, Round, write_round
from hggt_data.annotate.web.accounts import Account, add_account
from hggt_data.io.files import write_text
from hggt_data.tree.hggt_folders import open_tree
from hggt_data.tree.layouts.hggt import HggtListing

LABELS = ("Positive", "Similar", "Negative")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--annotators", type=int, default=20)
    parser.add_argument("--groups", type=int, default=30)
    parser.add_argument("--think-s", type=float, default=2)
    arguments = parser.parse_args()
    print(
        f"{describe_machine('starlette', 'uvicorn')}; {arguments.annotators} annotators, {arguments.groups} groups each"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        round_ = make_round(folder, arguments.annotators, arguments.groups)
        tokens = [add_account(folder / "accounts.json", Account(annotator.name)) for annotator in round_.annotators]
        command = [sys.executable, "-c", "from hggt_data.cli.main import main; main()", "annotate", str(round_.folder)]
        options = ["--accounts", str(folder / "accounts.json"), "--port", "0"]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=environment) as server:
            try:
                url = find_url(server)
                views, saves = asyncio.run(run_annotators(url, tokens, arguments.think_s))
            finally:
                server.terminate()
        size = sum(path.stat().st_size for path in round_.patches.glob("*/*.png")) / arguments.groups
        print(f"{len(saves):,} groups of 5 pictures, {size / 1e6:.1f} MB each; {arguments.think_s:g} s to think\n")
        print("| what | median | 95th percentile | slowest |\n|---|---|---|---|")
        for what, seconds in {"first view": views, "save": saves, "two files, synced": time_disk(folder)}.items():
            slow = statistics.quantiles(seconds, n=20)[-1]
            figures = [statistics.median(seconds), slow, max(seconds)]
            print(f"| {what} | " + " | ".join(f"{1000 * value:.0f} ms" for value in figures) + " |")


def make_round(folder: Path, number: int, groups: int) -> Round:
    """All annotators have all groups, in different orders."""
    tree = open_tree(write_large_tree(folder, groups))
    items = [Item(Kind.VOTE, group) for group in HggtListing(tree).ids]
    annotators = tuple(
        Annotator(f"annotator {k}", f"annotator-{k:06x}", (tuple(random.Random(k).sample(items, len(items))),))
        for k in range(number)
    )
    round_ = Round(folder / "round", tree.sections[0].images, tree.candidates, number, 1000, 0, "secret", annotators)
    write_round(round_)
    return round_


def find_url(server: subprocess.Popen[str]) -> str:
    """The server's URL, from its output."""
    assert server.stdout
    for line in server.stdout:
        if match := re.search(r"http://\S+:\d+/", line):
            return match[0]
    raise SystemExit("the server did not start")


async def run_annotators(url: str, tokens: list[str], think_s: float) -> tuple[list[float], list[float]]:
    """Seconds of each view and of each save."""
    views: list[float] = []
    saves: list[float] = []
    await asyncio.gather(*(annotate(url, token, think_s, views, saves) for token in tokens))
    return views, saves


async def annotate(url: str, token: str, think_s: float, views: list[float], saves: list[float]) -> None:
    """One annotator: all groups, one after the other."""
    rng = random.Random(token)
    headers = {"Authorization": f"Bearer {token}"}
    # The server closes idle connections after 5 s, and a browser then sends the request again; this client would not.
    limits = httpx2.Limits(keepalive_expiry=3)
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60, limits=limits) as client:
        await asyncio.sleep(rng.uniform(0, think_s))
        for item in (await client.get("api/batches/0")).json():
            path = f"api/items/{item['id']}"
            started = time.perf_counter()
            pictures = await asyncio.gather(*(client.get(f"{path}/pictures/{k}") for k in range(5)))
            views.append(time.perf_counter() - started)
            assert all(picture.status_code == 200 for picture in pictures)
            await asyncio.sleep(rng.uniform(0.5, 1.5) * think_s)
            body = {
                "labels": rng.choices(LABELS, k=4),
                "seconds": think_s,
                "end_ms": 1000 * time.time(),
                "utc_offset_min": 0,
            }
            started = time.perf_counter()
            saved = await client.put(f"{path}/answer", json=body)
            saves.append(time.perf_counter() - started)
            assert saved.status_code == 200, saved.text


def time_disk(folder: Path, times: int = 100) -> list[float]:
    """Seconds to write and sync the two files of an answer, without other load."""
    seconds = []
    for k in range(times):
        started = time.perf_counter()
        for what in ("answer", "shown"):
            write_text(folder / "disk" / f"{what}-{k}.json", "x" * 800)
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
