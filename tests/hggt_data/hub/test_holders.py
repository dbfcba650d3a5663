"""What a repository on the Hub still holds, and the commands that delete it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hggt_data.hub.holders import find_holders
from hggt_data.hub.pseudonyms import read_pseudonyms
from hggt_data.loading import open_groups
from hggt_data.unwanted import Unwanted
from tests.hggt_data.named_tree import ALICE, CAROL, IDS, REPO, Published
from tests.hub_client import MEMBER, HubClient
from tests.hub_server import MAIN, HubServer

pytestmark = pytest.mark.usefixtures("online")
GONE = Unwanted(groups=frozenset([IDS[2]]))


def run(hub: HubServer, command: str) -> None:
    """Run a printed command; `python` and `hf` are those of this environment."""
    program, *arguments = shlex.split(command)
    folder = Path(sys.executable).parent
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": MEMBER, "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([folder / program, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_refs_that_hold_a_group_are_listed(filled_hub: HubServer) -> None:
    holders = find_holders(REPO, GONE)
    latest = filled_hub.repos["dataset", REPO].refs[MAIN]
    assert holders.held == {latest}
    text = "\n".join(holders.describe("hggt"))
    assert f"branch main: its latest commit (1 commit, {latest[:12]})" in text
    assert f"tag v1.0: its latest commit (1 commit, {latest[:12]})" in text
    assert f"hggt-data push hggt {REPO}" in text


def test_people_are_found_by_their_pseudonyms(filled_hub: HubServer, published: Published) -> None:
    pseudonyms = read_pseudonyms(published.dataset.with_name("hggt.pseudonyms.csv"))
    for name in (ALICE, CAROL):
        assert find_holders(REPO, Unwanted(annotators=frozenset([pseudonyms[name]]))).held
        assert not find_holders(REPO, Unwanted(annotators=frozenset([name]))).held


def test_what_was_never_there_is_not_held(filled_hub: HubServer) -> None:
    holders = find_holders(REPO, Unwanted(source_pictures=frozenset(["elsewhere"])))
    assert not holders.held
    assert "holds none of it, in 2 commits" in "\n".join(holders.describe("hggt"))


def test_the_printed_commands_delete_it(filled_hub: HubServer, next_version: Path, member: HubClient) -> None:
    first = filled_hub.repos["dataset", REPO].refs[MAIN]
    commands = list(find_holders(REPO, GONE).commands("hggt"))
    files = find_holders(REPO, GONE).files
    push = next(command for command in commands if command.startswith("hggt-data push"))
    outcome = member.hggt_data(*shlex.split(push)[1:], "--yes", "--workers", "1", "--tag", "v1.1")
    assert outcome.exit_code == 0, outcome.err
    assert find_holders(REPO, GONE).held == {first}  # the history holds it
    assert "branch main: its history" in "\n".join(find_holders(REPO, GONE).describe("hggt"))
    for command in find_holders(REPO, GONE).commands("hggt"):
        run(filled_hub, command)
    assert not find_holders(REPO, GONE).held
    repo = filled_hub.repos["dataset", REPO]
    assert files
    assert files.isdisjoint(repo.contents)
    assert repo.refs["refs/tags/v1.1"] == repo.refs[MAIN]  # the tag of the new version, whose history held it
    assert set(filled_hub.files(REPO)) > {"manifest.json", "README.md"}


def test_branches_and_pull_requests_are_searched(filled_hub: HubServer) -> None:
    repo = filled_hub.repos["dataset", REPO]
    repo.refs |= {"refs/heads/old one": repo.refs[MAIN], "refs/pr/1": repo.refs[MAIN]}
    commands = list(find_holders(REPO, GONE).commands("hggt"))
    assert f"hf repos branch delete {REPO} 'old one' --type dataset" in commands
    assert "# in a browser: close refs/pr/1 and delete its ref" in commands


def test_the_cache_of_this_machine_is_named_if_it_has_the_dataset(filled_hub: HubServer) -> None:
    command = f"hf cache rm dataset/{REPO} --yes"
    assert command not in list(find_holders(REPO, GONE).commands("hggt"))
    open_groups(REPO)
    assert command in list(find_holders(REPO, GONE).commands("hggt"))
