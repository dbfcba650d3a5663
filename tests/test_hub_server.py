"""That the small Hub of the tests answers the real client as the real Hub does."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub_client import ROOT
from tests.hub_server import CutRequest, CutResponse, Do, Fault, HubServer, Response, User, git_oid

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # the client's own

PAIRS = "lab/pairs"
SHARD, CARD = b"PAR1" * 3000, b"---\nlicense: mit\n---\n# Pairs\n"
TOKENS = {"hf_owner": User("owner", orgs=("lab",)), "hf_guest": User("guest"), "hf_reader": User("r", ("lab",), "read")}


@pytest.fixture
def api(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> HfApi:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda _: None)
    api = HfApi(endpoint=hub.url, token="hf_owner")
    api.create_repo(PAIRS, repo_type="dataset")
    return api


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(TOKENS, page_size=3) as server:
        yield server


def commit(api: HfApi, files: dict[str, bytes], *deletions: str, **options: Any) -> str:
    added = [CommitOperationAdd(path, data) for path, data in files.items()]
    operations: list[CommitOperationAdd | CommitOperationDelete] = [*added, *map(CommitOperationDelete, deletions)]
    oid: str = api.create_commit(PAIRS, operations, commit_message="x", repo_type="dataset", **options).oid
    return oid


def test_commits_listings_and_downloads(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    sha = commit(api, {"data/a.parquet": SHARD, "README.md": CARD, **{f"data/{k}.txt": b"%d" % k for k in range(5)}})
    entries = api.list_repo_tree(PAIRS, recursive=True, repo_type="dataset")
    listed = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    shard, card = listed["data/a.parquet"], listed["README.md"]
    assert len(listed) == 8  # with .gitattributes; over several pages
    assert shard.lfs is not None
    assert (shard.size, shard.lfs.sha256) == (len(SHARD), hashlib.sha256(SHARD).hexdigest())
    assert (card.lfs, card.blob_id) == (None, git_oid(CARD))
    assert git_oid(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"  # as `git hash-object` prints
    folder = Path(api.snapshot_download(PAIRS, repo_type="dataset", local_dir=tmp_path))
    assert (folder / "data/a.parquet").read_bytes() == SHARD
    before = hub.snapshot()
    assert commit(api, {"data/a.parquet": SHARD, "README.md": CARD}) == sha
    assert hub.snapshot() == before
    commit(api, {}, "data/a.parquet", "data/0.txt")
    assert hub.files(PAIRS).keys() == {".gitattributes", "README.md", *(f"data/{k}.txt" for k in range(1, 5))}
    api.create_tag(PAIRS, tag="v1", revision=sha, repo_type="dataset")
    assert api.dataset_info(PAIRS, revision="v1").sha == sha


def test_a_commit_on_a_stale_parent_is_refused(hub: HubServer, api: HfApi) -> None:
    parent = api.dataset_info(PAIRS).sha
    hub.push(PAIRS, {"notes.md": b"1"})
    with pytest.raises(HfHubHTTPError) as raised:
        commit(api, {"README.md": CARD}, parent_commit=str(parent))
    assert raised.value.response.status_code == 412


def test_a_pull_request_is_merged_or_closed(hub: HubServer, api: HfApi) -> None:
    for _ in range(2):
        commit(api, {"README.md": CARD}, create_pr=True)
    assert "README.md" not in hub.files(PAIRS)
    commit(api, {"more.txt": b"1"}, revision="refs/pr/1")
    api.merge_pull_request(PAIRS, 1, repo_type="dataset")
    assert hub.files(PAIRS).keys() == {".gitattributes", "README.md", "more.txt"}
    with pytest.raises(HfHubHTTPError, match="409"):
        api.merge_pull_request(PAIRS, 2, repo_type="dataset")
    assert api.change_discussion_status(PAIRS, 2, "closed", repo_type="dataset").new_status == "closed"


def test_rights(hub: HubServer, api: HfApi) -> None:
    guest, reader = (HfApi(endpoint=hub.url, token=token) for token in ("hf_guest", "hf_reader"))
    for other in (guest, reader):
        with pytest.raises(HfHubHTTPError, match="403"):
            commit(other, {"README.md": CARD})
    hub.push(PAIRS, {"README.md": CARD})
    api.update_repo_settings(PAIRS, gated="manual", repo_type="dataset")
    with pytest.raises(GatedRepoError):
        guest.hf_hub_download(PAIRS, "README.md", repo_type="dataset")
    api.update_repo_settings(PAIRS, private=True, repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        guest.dataset_info(PAIRS)
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi(endpoint=hub.url, token="hf_wrong").whoami()


def test_missing_things_are_told_apart(api: HfApi) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info("lab/none")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(PAIRS, revision="v9")
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download(PAIRS, "none.txt", repo_type="dataset")
    with pytest.raises(ValueError, match=r"license.*must be one of"):
        commit(api, {"README.md": CARD.replace(b"mit", b"lab-1.0")})


def test_faults(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    seen: list[str] = []
    hub.faults = [
        Fault("PUT", "/lfs/", CutRequest(100)),
        Fault("POST", "/commit/", Do(lambda: seen.append("before"))),
        Fault("GET", "/lfs/", CutResponse(5000)),
        Fault("GET", "/api/datasets/lab/pairs/refs", Response(429)),
    ]
    commit(api, {"a.parquet": SHARD})
    assert seen == ["before"]
    path = api.hf_hub_download(PAIRS, "a.parquet", repo_type="dataset", local_dir=tmp_path)
    assert Path(path).read_bytes() == SHARD
    with pytest.raises(HfHubHTTPError, match="429"):
        api.list_repo_refs(PAIRS, repo_type="dataset")
    assert [fault.seen > 0 for fault in hub.faults] == [True] * 4


def test_its_own_errors_fail_the_test() -> None:
    hub = HubServer(TOKENS).__enter__()
    with pytest.raises(HTTPError, match="501"):
        urlopen(UrlRequest(f"{hub.url}/api/validate-yaml", data=b"{}"))
    with pytest.raises(RuntimeError, match="KeyError"):
        hub.__exit__(None, None, None)


def test_it_runs_by_hand() -> None:
    command = [sys.executable, "-m", "tests.hub_server", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("export HF_ENDPOINT=http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
