"""Shared by the tests of all packages: pictures, a Hub and its clients; nothing connects to the network."""

import copy
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.chromium import browser, launch  # noqa: F401  fixtures
from tests.full_disk import full_disk  # noqa: F401  a fixture
from tests.hggt_data.named_tree import IDS, REPO, Published, build_named, write_named_tree
from tests.hub_client import MEMBER, USERS, ForkServer, HubClient, sign_in
from tests.hub_server import HubServer

# No test may fail because the machine is busy.
hypothesis.settings.register_profile("hggt", deadline=None)
hypothesis.settings.load_profile("hggt")
# A shell starts background jobs with Ctrl-C ignored, and the processes that tests interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Read by huggingface_hub and datasets when they are imported, so it is set before any test imports them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
# `load_dataset` caches what it reads; no test may see the cache of another run. Removed when the tests end.
_CACHE = tempfile.TemporaryDirectory(prefix="hggt-tests-")
os.environ["HF_HOME"] = _CACHE.name
os.environ["HF_DATASETS_CACHE"] = f"{_CACHE.name}/datasets"


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Crops of public-domain pictures in the official layout: Train/, Test/ (with LR). Never written to."""
    return Path(__file__).parent / "data" / "fixtures"


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folders `v1` and `v2`: the same small dataset in each schema version. Never written to."""
    return Path(__file__).parent / "data" / "datasets"


@pytest.fixture(scope="session")
def processes() -> Iterator[ForkServer]:
    with ForkServer() as server:
        yield server


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """An empty Hub with small pages, so that a client that ignores the next page fails."""
    with HubServer(USERS, page_size=5) as server:
        yield server


@pytest.fixture
def member(hub: HubServer, processes: ForkServer, tmp_path: Path) -> HubClient:
    """A user who can write to `lab`, working in `tmp_path / "work"`."""
    return sign_in(hub, processes, tmp_path)


@pytest.fixture
def online(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the client in this process talk to `hub` as a member."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", MEMBER)
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_CACHE": str(tmp_path / "hub-cache"),
    }.items():
        monkeypatch.setattr(constants, name, value)


@pytest.fixture(scope="session")
def published(processes: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """A dataset with annotators' names, and a Hub that has it under the tag `v1.0`. Never changed."""
    machine = tmp_path_factory.mktemp("publisher")
    with HubServer(USERS, page_size=5) as server:
        client = sign_in(server, processes, machine)
        tree = write_named_tree(machine / "Train")
        dataset = build_named(tree, client.folder / "hggt")
        outcome = client.hggt_data("push", "hggt", REPO, "--tag", "v1.0", "--yes", "--workers", "1")
        assert outcome.exit_code == 0, outcome.err
        before = server.snapshot()
        yield Published(server, tree, dataset, outcome)
        assert server.snapshot() == before


@pytest.fixture
def next_version(filled_hub: HubServer, published: Published, member: HubClient, tmp_path: Path) -> Path:
    """The publisher's dataset `hggt` with two of the three groups, and the pseudonyms beside it."""
    shutil.copy(published.dataset.with_name("hggt.pseudonyms.csv"), member.folder)
    return build_named(write_named_tree(tmp_path / "Fewer", IDS[:2]), member.folder / "hggt")


@pytest.fixture
def filled_hub(hub: HubServer, published: Published) -> HubServer:
    """A Hub for this test that has the same dataset."""
    hub.repos = copy.deepcopy(published.hub.repos)
    return hub
