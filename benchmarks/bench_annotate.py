"""Many people at one annotation server: how long a save and the first view of a group take.

python benchmarks/bench_annotate.py [--people 20] [--groups 30] [--think-s 2]

Every simulated person takes groups of 512 x 512 one after the other, as fast as --think-s allows (people take 20 to 60
seconds): asks for the five pictures at once, as the page does, waits, and saves. A view ends when all five have come, a
save when the server has acknowledged it, which it does when the answer is on disk. Server and people are processes of
their own on the same machine. The last line is what the disk alone takes: writing and syncing an answer's two files.
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
from hggt_data.tree.layout import open_tree
from hggt_data.tree.listing import Listing

LABELS = ("Positive", "Similar", "Negative")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--groups", type=int, default=30)
    parser.add_argument("--think-s", type=float, default=2)
    arguments = parser.parse_args()
    print(f"{describe_machine('starlette', 'uvicorn')}; {arguments.people} people, {arguments.groups} groups each")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dealt = make_round(folder, arguments.people, arguments.groups)
        tokens = [add_account(folder / "accounts.json", Account(person.name)) for person in dealt.annotators]
        command = [sys.executable, "-c", "from hggt_data.cli.main import main; main()", "annotate", str(dealt.folder)]
        options = ["--accounts", str(folder / "accounts.json"), "--port", "0"]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=environment) as server:
            try:
                url = find_url(server)
                views, saves = asyncio.run(run_people(url, tokens, arguments.think_s))
            finally:
                server.terminate()
        size = sum(path.stat().st_size for path in dealt.patches.glob("*/*.png")) / arguments.groups
        print(f"{len(saves):,} groups of 5 pictures, {size / 1e6:.1f} MB each; {arguments.think_s:g} s to think\n")
        print("| what | median | 95th percentile | slowest |\n|---|---|---|---|")
        for what, seconds in {"first view": views, "save": saves, "two files, synced": time_disk(folder)}.items():
            slow = statistics.quantiles(seconds, n=20)[-1]
            figures = [statistics.median(seconds), slow, max(seconds)]
            print(f"| {what} | " + " | ".join(f"{1000 * value:.0f} ms" for value in figures) + " |")


def make_round(folder: Path, people: int, groups: int) -> Round:
    """Everybody has all groups, in an order of their own."""
    tree = open_tree(write_large_tree(folder, groups))
    items = [Item(Kind.VOTE, group) for group in Listing(tree).ids]
    annotators = tuple(
        Annotator(f"person {k}", f"annotator-{k:06x}", (tuple(random.Random(k).sample(items, len(items))),))
        for k in range(people)
    )
    dealt = Round(folder / "round", tree.sections[0].images, tree.candidates, people, 1000, 0, "secret", annotators)
    write_round(dealt)
    return dealt


def find_url(server: subprocess.Popen[str]) -> str:
    """Where the server listens, from what it prints."""
    assert server.stdout
    for line in server.stdout:
        if match := re.search(r"http://\S+:\d+/", line):
            return match[0]
    raise SystemExit("the server did not start")


async def run_people(url: str, tokens: list[str], think_s: float) -> tuple[list[float], list[float]]:
    """Seconds of each view and each save."""
    views: list[float] = []
    saves: list[float] = []
    await asyncio.gather(*(work(url, token, think_s, views, saves) for token in tokens))
    return views, saves


async def work(url: str, token: str, think_s: float, views: list[float], saves: list[float]) -> None:
    """One person: all groups, one after the other."""
    rng = random.Random(token)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
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
    """Seconds for the two files of an answer, written and synced one after the other by nobody else."""
    seconds = []
    for k in range(times):
        started = time.perf_counter()
        for what in ("answer", "shown"):
            write_text(folder / "disk" / f"{what}-{k}.json", "x" * 800)
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
