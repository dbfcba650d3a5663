"""Runs what README shows: its console commands with their output, its Python, and checks what it names."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_client import ForkServer, sign_in
from tests.hub_server import HubServer, User

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
TOKEN = "hf_tokenOfTheReader00"


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    """(language, text) of each fenced block, in order."""
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        if language in languages:
            yield language, text


def steps() -> Iterator[tuple[str, str, str]]:
    """(language, command, expected output) of everything that README runs, in order; Python blocks in a row are one."""
    program = ""
    for language, text in blocks("console", "python"):
        if language == "python":
            program += text
            continue
        if program:
            yield "python", program, ""
            program = ""
        for part in text.split("$ ")[1:]:
            command, _, output = part.partition("\n")
            yield language, command, output


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A Hub that knows the lab of README's reader."""
    with HubServer({TOKEN: User("reader", orgs=("my-lab",))}) as server:
        yield server


def as_printed(text: str, hub: HubServer) -> str:
    """An output with the real Hub's address, and without what differs between runs.

    That is the commit, and sizes in bytes, which depend a little on the version of pyarrow.
    """
    text = text.replace(hub.url, "https://huggingface.co")
    return re.sub(r"(?<=commit )[0-9a-f]{12}|\d[\d,]*(?= bytes)|(?<=  )\d[\d,]*$", "...", text, flags=re.MULTILINE)


def test_readme_shows_what_the_commands_print(tmp_path: Path, hub: HubServer, processes: ForkServer) -> None:
    reader = sign_in(hub, processes, tmp_path, TOKEN)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**reader.environment, "PATH": path, "USE_TORCH": "AUTO"}
    weights = os.environ.get("HGGT_TEST_WEIGHTS")
    num_commands = 0
    for language, text, expected in steps():
        program, *arguments = shlex.split(text) if language == "console" else (sys.executable, "-c", text)
        if program == "hggt-data":  # forked, because its modules are already loaded there
            outcome = reader.hggt_data(*arguments)
            exit_code, out, err = outcome.exit_code, outcome.out, outcome.err
        else:
            if program == "hggt-eval" and weights:
                arguments += ["--weights-dir", weights]
                weights = None  # once is enough
            elif program == "hggt-eval":  # without weights, only PSNR and SSIM can be computed offline
                arguments += ["--metrics", "psnr,ssim"]
                expected = re.sub(r"  +LPIPS.*| +\d\.\d{4} +\d\.\d{4}$", "", expected, flags=re.MULTILINE)
            run = subprocess.run(
                [program, *arguments], cwd=reader.folder, env=environment, capture_output=True, text=True, check=False
            )
            exit_code, out, err = run.returncode, run.stdout, run.stderr
        assert exit_code == 0, f"{text}\n{out}\n{err}"
        if expected:
            assert as_printed(out, hub) == as_printed(expected, hub)
        num_commands += language == "console"
    assert num_commands >= 5


def test_readme_names_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"make (\w+)", "\n".join(text for _, text in blocks("sh"))))
    assert targets >= {"setup", "demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_links_lead_to_files_that_exist(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(((?!https?:)[^)#]+)\)", text)
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).is_file()] == []


def test_the_map_has_every_folder_of_the_packages() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    folders = {path.parent.name for path in ROOT.glob("hggt_*/*/*.py")}
    assert [name for name in sorted(folders) if f"{name}/" not in text] == []
