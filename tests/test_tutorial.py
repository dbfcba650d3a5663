"""Runs docs/tutorial.md from the first command to the last; simulated annotators use the real server."""

import json
import os
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import httpx2

from hggt_data import open_groups
from tests.run_commands import MODULES, run_commands

ROOT = Path(__file__).parents[1]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
LABELS = ("Positive", "Similar", "Negative")


def steps() -> Iterator[tuple[str, str]]:
    """(file name, text) of each TOML block and ("", command) of each line of a shell block, in order."""
    for language, text in re.findall(r"^```((?:sh|toml)[^\n]*)\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL):
        if language.startswith("toml "):
            yield language.removeprefix("toml "), text
        else:
            yield from (("", line) for line in text.splitlines())


def kind_of(step: tuple[str, str]) -> str:
    """Steps of one kind in a row share a process."""
    file, text = step
    if file:
        return "file"
    program = text.split()[0]
    return program if program in MODULES and not text.startswith("hggt-data annotate") else text


def test_the_tutorial_works(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    tokens: list[str] = []
    printed = ""
    for kind, group in groupby(steps(), kind_of):
        if kind == "file":
            for file, text in group:
                (tmp_path / file).write_text(text)
        elif kind in MODULES:
            printed += run_commands([shlex.split(text) for _, text in group], tmp_path, environment)
        elif kind.startswith("hggt-data annotate"):
            judge_everything(kind, tmp_path, environment, tokens)
        else:
            run = subprocess.run(
                ["bash", "-c", kind], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert run.returncode == 0, f"{kind}\n{run.stdout}\n{run.stderr}"
            tokens += re.findall(r"http://\S+#(\S+)", run.stdout)
    assert next(text for _, text in steps() if text.startswith("hggt-models degrade")) in printed  # by split
    groups = open_groups(tmp_path / "hggt", "test")
    assert len(groups) == 2
    assert all(group.positives for group in groups)
    pseudonyms = {a.annotator for group in open_groups(tmp_path / "hggt", "train") for a in group.annotations}
    assert len(pseudonyms) == 4
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert scores["methods"][0]["num_groups"] == 2
    assert 0 < scores["methods"][0]["mean"]["psnr"] < 50


def judge_everything(command: str, folder: Path, environment: dict[str, str], tokens: list[str]) -> None:
    """Start the server as the tutorial does, but on a free port, and let each annotator judge all their groups."""
    started = subprocess.Popen(
        ["bash", "-c", f"exec {command} --port 0"],
        cwd=folder,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with started as server:
        assert server.stdout
        url = next(match[0] for line in server.stdout if (match := re.search(r"http://\S+?:\d+/", line)))
        with ThreadPoolExecutor(len(tokens)) as pool:
            list(pool.map(judge, [url] * len(tokens), tokens))
        server.terminate()
    round_ = json.loads((folder / "round" / "assignments.json").read_text())
    items = sum(len(batch) for annotator in round_["annotators"] for batch in annotator["batches"])
    assert len(list((folder / "round").glob("votes/*/*.json"))) + 4 == items  # each annotator has one repeat


def judge(url: str, token: str) -> None:
    """One annotator, who answers at random; the server knows which candidate was shown where."""
    rng = random.Random(token)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=url, headers=headers) as client:
        for number in range(len(client.get("api/round").json()["batches"])):
            for item in client.get(f"api/batches/{number}").json():
                assert client.get(f"api/items/{item['id']}/pictures/2").status_code == 200
                body = {
                    "labels": rng.choices(LABELS, (8, 1, 4), k=2),
                    "seconds": rng.uniform(5, 40),
                    "end_ms": 1.8e12,
                    "utc_offset_min": 0,
                }
                assert client.put(f"api/items/{item['id']}/answer", json=body).status_code == 200
