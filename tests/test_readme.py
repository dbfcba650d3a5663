"""Runs what README shows: its console commands with their output, its Python, and checks what it names."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_server import HubServer, User

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    """(language, text) of each fenced block, in order."""
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        if language in languages:
            yield language, text


def steps() -> Iterator[tuple[str, str, str]]:
    """(language, command, expected output) of all that README shows being run, in order."""
    for language, text in blocks("console", "python"):
        if language == "python":
            yield language, text, ""
            continue
        for part in text.split("$ ")[1:]:
            command, _, output = part.partition("\n")
            yield language, command, output


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A Hub that knows the lab of README's reader."""
    with HubServer({"hf_reader": User("reader", orgs=("my-lab",))}) as server:
        yield server


def as_printed(text: str, hub: HubServer) -> str:
    """What a command printed, with the Hub's own address, and without what differs from run to run.

    That is the commit, and sizes in bytes, which differ a little with the version of pyarrow.
    """
    text = text.replace(hub.url, "https://huggingface.co")
    return re.sub(r"(?<=commit )[0-9a-f]{12}|\d[\d,]*(?= bytes)|(?<=  )\d[\d,]*$", "...", text, flags=re.MULTILINE)


def test_readme_shows_what_the_commands_print(tmp_path: Path, hub: HubServer) -> None:
    weights = os.environ.get("HGGT_TEST_WEIGHTS")
    environment = {
        **os.environ,
        **hub.environment("hf_reader", tmp_path / "cache"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    num_commands = 0
    for language, text, expected in steps():
        scores = language == "console" and text.startswith("hggt-eval")
        if scores:
            # Without weights only PSNR and SSIM can be had, and nothing may be downloaded in a test.
            text += f" --weights-dir {weights}" if weights else " --metrics psnr,ssim"
        command = [sys.executable, "-c", text] if language == "python" else ["bash", "-c", text]
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{text}\n{run.stdout}\n{run.stderr}"
        if expected and scores and not weights:
            expected = re.sub(r"  +LPIPS.*| +\d\.\d{4} +\d\.\d{4}$", "", expected, flags=re.MULTILINE)
        if expected:
            assert as_printed(run.stdout, hub) == as_printed(expected, hub)
        num_commands += language == "console"
    assert num_commands >= 5


def test_readme_names_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"make (\w+)", "\n".join(text for _, text in blocks("sh"))))
    assert targets >= {"setup", "demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)\)", README))))
def test_readme_links_to_files_that_exist(target: str) -> None:
    assert (ROOT / target).is_file()


def test_readme_tells_every_module_of_the_packages() -> None:
    tree = next(text for _, text in blocks("") if text.startswith("hggt_data/"))
    missing = [
        path.name
        for package in ("hggt_data", "hggt_eval", "hggt_models")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py" and path.name not in tree
    ]
    assert not missing
