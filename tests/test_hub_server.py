"""The Hub of the tests, as the real client sees it."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from tests.hub_server import CutRequest, CutResponse, Do, Fault, HubServer, Response, User, delay, git_oid

ROOT = Path(__file__).parents[1]
TOKENS = {
    "hf_owner": User("owner", orgs=("lab",)),
    "hf_reader": User("owner", orgs=("lab",), role="read"),
    "hf_guest": User("guest"),
}
PAIRS = "lab/pairs"
SHARD = b"PAR1" + bytes(range(256)) * 40
Client = Callable[..., HfApi]


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the client of this process talk to the Hub of the tests; the other tests keep it offline."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(TOKENS, page_size=3) as server:
        yield server


@pytest.fixture
def client(hub: HubServer) -> Client:
    def connect(token: str | None = "hf_owner") -> HfApi:
        return HfApi(endpoint=hub.url, token=token or False)

    return connect


@pytest.fixture
def api(client: Client) -> HfApi:
    """The owner's client, on a Hub that has an empty dataset."""
    api = client()
    api.create_repo(PAIRS, repo_type="dataset")
    return api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a test uploads: a card, a text, two shards for LFS, and an empty file, for which LFS has no place."""
    files = {
        "README.md": b"---\nlicense: mit\ntags:\n- image\n---\n# Pairs\n",
        "notes/plan.txt": b"plan",
        "data/train-0.parquet": SHARD,
        "data/train-1.parquet": SHARD[::-1],
        "empty.bin": b"",
    }
    for path, data in files.items():
        (tmp_path / "folder" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / path).write_bytes(data)
    return tmp_path / "folder"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def upload(api: HfApi, folder: Path, **options: Any) -> str:
    info: CommitInfo = api.upload_folder(repo_id=PAIRS, repo_type="dataset", folder_path=folder, **options)
    return info.oid


def put(api: HfApi, path: str, data: bytes, **options: Any) -> str:
    options |= {"repo_id": PAIRS, "repo_type": "dataset"}
    info: CommitInfo = api.upload_file(path_or_fileobj=data, path_in_repo=path, **options)
    return info.oid


def open_pull_request(api: HfApi, title: str = "More pairs") -> int:
    return api.create_pull_request(PAIRS, title, repo_type="dataset").num


# --- repositories, uploads, downloads


def test_repository_has_its_settings(hub: HubServer, client: Client) -> None:
    api = client()
    api.create_repo(PAIRS, repo_type="dataset", private=True)
    assert hub.files(PAIRS).keys() == {".gitattributes"}
    assert api.dataset_info(PAIRS).private
    api.update_repo_settings(PAIRS, repo_type="dataset", private=False, gated="manual")
    info = api.dataset_info(PAIRS)
    assert (info.private, info.gated, info.sha) == (False, "manual", hub.repo(PAIRS).refs["refs/heads/main"])
    api.delete_repo(PAIRS, repo_type="dataset")
    assert not api.repo_exists(PAIRS, repo_type="dataset")


def test_second_creation_changes_nothing(hub: HubServer, api: HfApi) -> None:
    before = hub.snapshot()
    url = api.create_repo(PAIRS, repo_type="dataset", private=True, exist_ok=True)
    assert url.repo_id == PAIRS
    with pytest.raises(HfHubHTTPError, match="already created"):
        api.create_repo(PAIRS, repo_type="dataset")
    assert hub.snapshot() == before


def test_model_and_dataset_of_one_name_are_two(hub: HubServer, api: HfApi) -> None:
    api.create_repo(PAIRS)
    api.upload_file(path_or_fileobj=SHARD, path_in_repo="net.safetensors", repo_id=PAIRS)
    assert hub.files(f"models/{PAIRS}")["net.safetensors"] == SHARD
    assert Path(api.hf_hub_download(PAIRS, "net.safetensors")).read_bytes() == SHARD
    assert "net.safetensors" not in hub.files(f"datasets/{PAIRS}")
    assert api.model_info(PAIRS).sha != api.dataset_info(PAIRS).sha


def test_whoami_tells_user_and_role(client: Client) -> None:
    me = client("hf_reader").whoami()
    assert (me["name"], me["orgs"][0]["name"], me["auth"]["accessToken"]["role"]) == ("owner", "lab", "read")


def test_uploaded_folder_is_there(hub: HubServer, api: HfApi, folder: Path) -> None:
    sha = upload(api, folder, commit_message="First pairs", commit_description="All of them")
    assert hub.files(PAIRS) == files_of(folder) | {".gitattributes": hub.files(PAIRS)[".gitattributes"]}
    commits = api.list_repo_commits(PAIRS, repo_type="dataset")
    assert [(commit.title, commit.authors) for commit in commits] == [
        ("First pairs", ["owner"]),
        ("initial commit", ["owner"]),
    ]
    assert (commits[0].commit_id, commits[0].message) == (sha, "All of them")


def test_listing_has_the_hashes_of_the_files(hub: HubServer, api: HfApi, folder: Path) -> None:
    upload(api, folder, commit_message="First pairs")
    put(api, "later.txt", b"later")
    listed = list(api.list_repo_tree(PAIRS, recursive=True, expand=True, repo_type="dataset"))
    files = {entry.path: entry for entry in listed if isinstance(entry, RepoFile)}
    assert {entry.path for entry in listed} - files.keys() == {"data", "notes"}
    assert files.keys() == hub.files(PAIRS).keys()
    for path, data in files_of(folder).items():
        lfs, last_commit = files[path].lfs, files[path].last_commit
        assert files[path].size == len(data)
        if path.endswith(".parquet"):
            assert lfs is not None
            assert lfs.sha256 == hashlib.sha256(data).hexdigest()
        else:
            assert lfs is None
            assert files[path].blob_id == git_oid(data)
        assert last_commit is not None
        assert last_commit.title == "First pairs"
    pages = [request for request in hub.requests if "/tree/" in request.target]
    assert len(pages) == 3  # 7 files and 2 folders, 3 on a page


def test_git_oids_are_those_of_git() -> None:
    assert git_oid(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # the empty blob, the same in every repository


def test_paths_are_described_one_by_one(api: HfApi, folder: Path) -> None:
    upload(api, folder)
    found = api.get_paths_info(PAIRS, ["data", "data/train-1.parquet", "data/train-9.parquet"], repo_type="dataset")
    assert [entry.path for entry in found] == ["data", "data/train-1.parquet"]
    siblings = api.dataset_info(PAIRS, files_metadata=True).siblings or []
    assert {entry.rfilename: entry.size for entry in siblings}["data/train-1.parquet"] == len(SHARD)


def test_second_upload_changes_nothing(hub: HubServer, api: HfApi, folder: Path) -> None:
    sha = upload(api, folder)
    before, writes = hub.snapshot(), list(hub.writes)
    assert [request.method for request in writes].count("PUT") == 2
    assert upload(api, folder) == sha
    assert hub.snapshot() == before
    assert hub.writes == writes
    (folder / "data/train-0.parquet").write_bytes(SHARD * 2)
    upload(api, folder)
    assert [request.method for request in hub.writes[len(writes) :]] == ["PUT", "POST"]
    assert hub.files(PAIRS)["data/train-0.parquet"] == SHARD * 2


def test_files_and_folders_are_deleted(hub: HubServer, api: HfApi, folder: Path) -> None:
    upload(api, folder)
    api.delete_file("empty.bin", PAIRS, repo_type="dataset")
    api.delete_folder("data", PAIRS, repo_type="dataset")
    assert hub.files(PAIRS).keys() == {".gitattributes", "README.md", "notes/plan.txt"}
    before = hub.snapshot()
    with pytest.raises(EntryNotFoundError):
        api.delete_file("empty.bin", PAIRS, repo_type="dataset")
    assert hub.snapshot() == before


def test_snapshot_has_the_same_bytes(hub: HubServer, api: HfApi, folder: Path, tmp_path: Path) -> None:
    upload(api, folder)
    api.snapshot_download(PAIRS, repo_type="dataset", local_dir=tmp_path / "down")
    down = {path: data for path, data in files_of(tmp_path / "down").items() if not path.startswith(".cache/")}
    assert down == hub.files(PAIRS)


def test_ranges_are_served(api: HfApi, folder: Path) -> None:
    upload(api, folder)
    url = f"{api.endpoint}/datasets/{PAIRS}/resolve/main/data/train-0.parquet"

    def read(wanted: str) -> tuple[bytes, str]:
        with urlopen(UrlRequest(url, headers={"Range": wanted})) as response:
            assert response.status == 206
            return response.read(), response.headers["Content-Range"]

    size = len(SHARD)
    assert read("bytes=4-9") == (SHARD[4:10], f"bytes 4-9/{size}")
    assert read("bytes=-8") == (SHARD[-8:], f"bytes {size - 8}-{size - 1}/{size}")
    assert read(f"bytes={size - 1}-{size + 5}") == (SHARD[-1:], f"bytes {size - 1}-{size - 1}/{size}")
    with pytest.raises(HTTPError, match="416"):
        read(f"bytes={size}-")


def test_large_files_come_from_another_host_that_takes_no_token(hub: HubServer, api: HfApi, folder: Path) -> None:
    upload(api, folder)
    api.hf_hub_download(PAIRS, "data/train-0.parquet", repo_type="dataset")
    stored = [request for request in hub.requests if request.target.startswith("/lfs/")]
    assert {(request.method, request.status, request.user) for request in stored} == {
        ("PUT", 200, None),
        ("GET", 200, None),
    }
    target = stored[-1].target
    with pytest.raises(HTTPError, match="400"):
        urlopen(UrlRequest(hub.url + target, headers={"Authorization": "Bearer hf_owner"}))
    with pytest.raises(HTTPError, match="403"):
        urlopen(hub.url + target.split("?")[0])


# --- commits, tags, cards


def test_commit_on_a_stale_parent_is_refused(hub: HubServer, api: HfApi) -> None:
    parent = put(api, "a.txt", b"a")
    put(api, "b.txt", b"b", parent_commit=parent)
    before = hub.snapshot()
    with pytest.raises(HfHubHTTPError, match="412"):
        put(api, "c.txt", b"c", parent_commit=parent)
    assert hub.snapshot() == before


def test_commit_of_a_file_that_never_came_is_refused(hub: HubServer, api: HfApi) -> None:
    additions = [CommitOperationAdd("a.txt", b"a"), CommitOperationAdd("a.parquet", SHARD)]
    api.preupload_lfs_files(PAIRS, additions, repo_type="dataset")
    hub.lose_object(hashlib.sha256(SHARD).hexdigest())
    before = hub.snapshot()
    with pytest.raises(BadRequestError, match=r"does not exist.*a\.parquet"):
        api.create_commit(PAIRS, additions, commit_message="Two", repo_type="dataset")
    assert hub.snapshot() == before


def test_tags(api: HfApi) -> None:
    first, second = put(api, "a.txt", b"a"), put(api, "a.txt", b"b")
    api.create_tag(PAIRS, tag="v1", revision=first, repo_type="dataset")
    api.create_tag(PAIRS, tag="v1", exist_ok=True, repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(PAIRS, tag="v1", repo_type="dataset")
    refs = api.list_repo_refs(PAIRS, repo_type="dataset")
    assert [(tag.name, tag.target_commit) for tag in refs.tags] == [("v1", first)]
    assert [(branch.name, branch.target_commit) for branch in refs.branches] == [("main", second)]
    assert api.dataset_info(PAIRS, revision="v1").sha == first
    assert Path(api.hf_hub_download(PAIRS, "a.txt", revision="v1", repo_type="dataset")).read_bytes() == b"a"
    api.delete_tag(PAIRS, tag="v1", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(PAIRS, revision="v1")


def test_branches(hub: HubServer, api: HfApi) -> None:
    api.create_branch(PAIRS, branch="next", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch(PAIRS, branch="next", repo_type="dataset")
    put(api, "a.txt", b"a", revision="next")
    assert "a.txt" in hub.files(PAIRS, "next")
    assert "a.txt" not in hub.files(PAIRS)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("license: {name: mit}", '"license" must be a string or an array'),
        ("license: lab-1.0", '"license" must be one of mit, '),
        ("configs: default", '"configs" must be an array'),
        ("configs:\n- data_files: a", r"config_name.* must be a string"),
        ("- mit", "must be an object"),
        ("license: [mit", "YAML Metadata Error"),
    ],
)
def test_wrong_card_is_refused(hub: HubServer, api: HfApi, head: str, message: str) -> None:
    before = hub.snapshot()
    card = f"---\n{head}\n---\n# Pairs\n".encode()
    with pytest.raises(ValueError, match=message):
        put(api, "README.md", card)
    hub.faults.append(Fault("POST", "validate-yaml", Response(200, b"{}")))
    with pytest.raises(BadRequestError, match=message):
        put(api, "README.md", card)
    assert hub.snapshot() == before


def test_card_without_a_head_gives_a_warning(api: HfApi) -> None:
    with pytest.warns(UserWarning, match="empty or missing yaml"):
        put(api, "README.md", b"# Pairs\n")
    put(api, "README.md", b"---\nlicense: mit\n---\n# Pairs\n")
    card = api.dataset_info(PAIRS).card_data
    assert card is not None
    assert card.license == "mit"


# --- who may do what


def test_missing_things_are_told_apart(hub: HubServer, api: HfApi, client: Client) -> None:
    sha = put(api, "a.txt", b"a")
    for token in ("hf_owner", None):
        with pytest.raises(RepositoryNotFoundError):
            client(token).dataset_info("lab/other")
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(PAIRS, "a.txt", revision="v9", repo_type="dataset")
    with pytest.raises(RemoteEntryNotFoundError) as caught:
        api.hf_hub_download(PAIRS, "b.txt", repo_type="dataset")
    assert caught.value.response.headers["X-Repo-Commit"] == sha
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(PAIRS, "data", repo_type="dataset"))


def test_wrong_token_is_no_missing_repository(api: HfApi, client: Client) -> None:
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as caught:
        client("hf_wrong").dataset_info(PAIRS)
    assert caught.value.response.status_code == 401
    assert not isinstance(caught.value, RepositoryNotFoundError)


def test_private_repository_is_hidden(api: HfApi, client: Client) -> None:
    api.update_repo_settings(PAIRS, private=True, repo_type="dataset")
    assert client("hf_reader").dataset_info(PAIRS).private
    for token, status in (("hf_guest", 404), (None, 401)):
        with pytest.raises(RepositoryNotFoundError) as caught:
            client(token).dataset_info(PAIRS)
        assert caught.value.response.status_code == status


def test_gate_lets_in_whom_it_knows(hub: HubServer, api: HfApi, client: Client) -> None:
    put(api, "a.txt", b"a")
    api.update_repo_settings(PAIRS, gated="auto", repo_type="dataset")
    for token, status in (("hf_guest", 403), (None, 401)):
        assert client(token).dataset_info(PAIRS).gated == "auto"
        with pytest.raises(GatedRepoError) as caught:
            client(token).hf_hub_download(PAIRS, "a.txt", repo_type="dataset")
        assert caught.value.response.status_code == status
    hub.repo(PAIRS).readers.add("guest")
    assert Path(client("hf_guest").hf_hub_download(PAIRS, "a.txt", repo_type="dataset")).read_bytes() == b"a"


def test_who_may_not_write_changes_nothing(hub: HubServer, api: HfApi, client: Client) -> None:
    before = hub.snapshot()
    for token in ("hf_reader", "hf_guest"):
        with pytest.raises(HfHubHTTPError, match="403"):
            put(client(token), "a.txt", b"a")
        with pytest.raises(HfHubHTTPError, match="403"):
            client(token).update_repo_settings(PAIRS, private=True, repo_type="dataset")
        with pytest.raises(HfHubHTTPError, match="403"):
            client(token).create_repo("lab/other")
    with pytest.raises(HfHubHTTPError, match="401"):
        put(client(None), "a.txt", b"a")
    assert hub.snapshot() == before


def test_guest_may_propose_but_not_merge(hub: HubServer, api: HfApi, client: Client) -> None:
    guest = client("hf_guest")
    number = open_pull_request(guest)
    put(guest, "a.txt", b"a", revision=f"refs/pr/{number}")
    assert hub.files(PAIRS, f"refs/pr/{number}")["a.txt"] == b"a"
    with pytest.raises(HfHubHTTPError, match="403"):
        put(guest, "a.parquet", SHARD, revision=f"refs/pr/{number}")
    guest.change_discussion_status(PAIRS, number, "open", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="403"):
        guest.merge_pull_request(PAIRS, number, repo_type="dataset")
    own = open_pull_request(api)
    with pytest.raises(HfHubHTTPError, match="403"):
        put(guest, "a.txt", b"a", revision=f"refs/pr/{own}")
    with pytest.raises(HfHubHTTPError, match="403"):
        guest.change_discussion_status(PAIRS, own, "open", repo_type="dataset")
    api.merge_pull_request(PAIRS, number, repo_type="dataset")
    assert hub.files(PAIRS)["a.txt"] == b"a"


# --- discussions and pull requests


def test_pull_request_from_draft_to_merged(hub: HubServer, api: HfApi, folder: Path) -> None:
    number = open_pull_request(api)
    before = hub.files(PAIRS)
    upload(api, folder, revision=f"refs/pr/{number}", commit_message="First pairs")
    assert hub.files(PAIRS) == before
    hub.push(PAIRS, {"other.txt": b"meanwhile"})
    with pytest.raises(BadRequestError, match="still a draft"):
        api.merge_pull_request(PAIRS, number, repo_type="dataset")
    api.comment_discussion(PAIRS, number, "Looks good", repo_type="dataset")
    api.change_discussion_status(PAIRS, number, "open", comment="Ready", repo_type="dataset")
    api.merge_pull_request(PAIRS, number, repo_type="dataset")
    assert hub.files(PAIRS) == before | files_of(folder) | {"other.txt": b"meanwhile"}
    details = api.get_discussion_details(PAIRS, number, repo_type="dataset")
    assert (details.status, details.target_branch, details.conflicting_files) == ("merged", "refs/heads/main", [])
    assert details.merge_commit_oid == api.dataset_info(PAIRS).sha
    assert [event.type for event in details.events] == [
        "comment",
        "commit",
        "comment",
        "comment",
        "status-change",
        "status-change",
    ]
    with pytest.raises(BadRequestError, match="already merged"):
        api.merge_pull_request(PAIRS, number, repo_type="dataset")


def test_both_sides_of_a_conflict_stay_as_they_are(hub: HubServer, api: HfApi) -> None:
    put(api, "a.txt", b"a")
    number = open_pull_request(api)
    put(api, "a.txt", b"theirs", revision=f"refs/pr/{number}")
    put(api, "b.txt", b"same on both sides", revision=f"refs/pr/{number}")
    hub.push(PAIRS, {"a.txt": None, "b.txt": b"same on both sides"})
    api.change_discussion_status(PAIRS, number, "open", repo_type="dataset")
    assert api.get_discussion_details(PAIRS, number, repo_type="dataset").conflicting_files == ["a.txt"]
    before = hub.snapshot()
    with pytest.raises(HfHubHTTPError, match=r"409.*"):
        api.merge_pull_request(PAIRS, number, repo_type="dataset")
    assert hub.snapshot() == before


def test_deletion_is_merged(hub: HubServer, api: HfApi) -> None:
    put(api, "a.txt", b"a")
    number = open_pull_request(api)
    api.delete_file("a.txt", PAIRS, repo_type="dataset", revision=f"refs/pr/{number}")
    api.change_discussion_status(PAIRS, number, "open", repo_type="dataset")
    api.merge_pull_request(PAIRS, number, repo_type="dataset")
    assert hub.files(PAIRS).keys() == {".gitattributes"}


def test_commit_with_create_pr_leaves_main_alone(hub: HubServer, api: HfApi) -> None:
    info = api.create_commit(
        PAIRS, [CommitOperationAdd("a.txt", b"a")], commit_message="A", create_pr=True, repo_type="dataset"
    )
    assert info.pr_revision == "refs/pr/1"
    assert "a.txt" in hub.files(PAIRS, "refs/pr/1")
    assert "a.txt" not in hub.files(PAIRS)


def test_discussions_are_filtered_and_paged(hub: HubServer, api: HfApi, client: Client) -> None:
    drafts = [open_pull_request(api, f"Draft {number}") for number in range(4)]
    closed = open_pull_request(client("hf_guest"))
    talk = api.create_discussion(PAIRS, "A question", repo_type="dataset").num
    api.change_discussion_status(PAIRS, closed, "closed", repo_type="dataset")

    def numbers(**filters: Any) -> list[int]:
        return [found.num for found in api.get_repo_discussions(PAIRS, repo_type="dataset", **filters)]

    assert numbers() == [talk, closed, *reversed(drafts)]
    assert numbers(discussion_type="pull_request", discussion_status="open") == drafts[::-1]
    assert numbers(discussion_status="closed") == [closed] == numbers(author="guest")
    assert numbers(discussion_type="discussion") == [talk]
    with pytest.raises(HTTPError, match="400"):
        urlopen(f"{hub.url}/api/datasets/{PAIRS}/discussions?status=draft")


# --- faults and tampering


def test_status_with_retry_after(hub: HubServer, api: HfApi, folder: Path) -> None:
    hub.faults.append(Fault("POST", "/preupload/", Response(429, headers={"Retry-After": "0"})))
    upload(api, folder)
    assert [request.status for request in hub.requests if "/preupload/" in request.target] == [429, 200]
    assert hub.files(PAIRS).items() >= files_of(folder).items()


def test_status_that_the_client_does_not_try_again(hub: HubServer, api: HfApi) -> None:
    before = hub.snapshot()
    hub.faults.append(Fault("POST", "/commit/", Response(503, b"busy"), after=1))
    put(api, "a.txt", b"a")
    assert hub.snapshot() != before
    before = hub.snapshot()
    with pytest.raises(HfHubHTTPError, match="503"):
        put(api, "a.txt", b"b")
    assert hub.snapshot() == before
    put(api, "a.txt", b"b")
    assert hub.files(PAIRS)["a.txt"] == b"b"


def test_cut_upload_is_tried_again(hub: HubServer, api: HfApi) -> None:
    hub.faults.append(Fault("PUT", "/lfs/", CutRequest(after_bytes=1000)))
    put(api, "a.parquet", SHARD)
    puts = [
        (request.status, request.body_bytes, request.changed) for request in hub.requests if request.method == "PUT"
    ]
    assert puts == [(0, 1000, False), (200, len(SHARD), True)]
    assert hub.files(PAIRS)["a.parquet"] == SHARD


def test_cut_download_goes_on_where_it_ended(hub: HubServer, api: HfApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # the client forgets the chunk it was in
    put(api, "a.parquet", SHARD)
    hub.faults.append(Fault("GET", "/lfs/", CutResponse(after_bytes=5500)))
    assert Path(api.hf_hub_download(PAIRS, "a.parquet", repo_type="dataset")).read_bytes() == SHARD
    reads = [request.status for request in hub.requests if request.method == "GET" and "/lfs/" in request.target]
    assert reads == [200, 206]


def test_lost_answer_to_a_commit(hub: HubServer, api: HfApi) -> None:
    hub.faults.append(Fault("POST", "/commit/", CutResponse()))
    with pytest.raises(Exception, match=r"(?i)disconnect|reset|closed"):
        put(api, "a.txt", b"a")
    assert hub.files(PAIRS)["a.txt"] == b"a"


def test_client_that_dies_in_its_request_leaves_nothing(hub: HubServer, api: HfApi) -> None:
    before = hub.snapshot()
    head = f"POST /api/datasets/{PAIRS}/commit/main HTTP/1.1\r\nContent-Length: 99\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(hub.url.split(":")[-1]))) as connection:
        connection.sendall(head.encode() + b'{"key": "header"')
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""
    assert (hub.requests[-1].status, hub.requests[-1].body_bytes) == (0, 16)
    assert hub.snapshot() == before


def test_delay(hub: HubServer, api: HfApi) -> None:
    hub.faults.append(Fault("GET", "/api/datasets/", delay(0.3)))
    start = time.monotonic()
    api.dataset_info(PAIRS)
    assert time.monotonic() - start >= 0.3


@pytest.mark.parametrize("when", ["before", "after"])
def test_function_is_called_at_that_moment(hub: HubServer, api: HfApi, when: Literal["before", "after"]) -> None:
    seen: list[bool] = []
    hub.faults.append(Fault("POST", "/commit/", Do(lambda: seen.append("a.txt" in hub.files(PAIRS)), when)))
    put(api, "a.txt", b"a")
    assert seen == [when == "after"]
    assert hub.files(PAIRS)["a.txt"] == b"a"


def test_client_killed_when_its_commit_is_done(hub: HubServer, api: HfApi, folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from huggingface_hub import upload_folder\n"
        "upload_folder(repo_id=sys.argv[1], folder_path=sys.argv[2], repo_type='dataset')"
    )
    environment = os.environ | hub.environment("hf_owner", tmp_path / "home")
    hub.faults.append(Fault("POST", "/commit/", Do(lambda: process.kill(), "after")))
    process = subprocess.Popen([sys.executable, "-c", code, PAIRS, str(folder)], env=environment)
    assert process.wait(timeout=60) == -signal.SIGKILL
    before = hub.snapshot()
    assert hub.files(PAIRS).items() >= files_of(folder).items()
    upload(api, folder)
    assert hub.snapshot() == before


def test_tampering_is_visible_to_the_client(hub: HubServer, api: HfApi, folder: Path) -> None:
    def listed() -> dict[str, str]:
        tree = api.list_repo_tree(PAIRS, recursive=True, repo_type="dataset")
        return {entry.path: entry.blob_id for entry in tree if isinstance(entry, RepoFile)}

    sha, before = upload(api, folder), listed()
    hub.corrupt_file(PAIRS, "notes/plan.txt", b"nalp")
    assert listed() == before
    assert Path(api.hf_hub_download(PAIRS, "notes/plan.txt", repo_type="dataset")).read_bytes() == b"nalp"
    hub.swap_file(PAIRS, "notes/plan.txt", b"another")
    assert listed() == before | {"notes/plan.txt": git_oid(b"another")}
    hub.drop_file(PAIRS, "data/train-0.parquet")
    assert "data/train-0.parquet" not in listed()
    assert api.dataset_info(PAIRS).sha == sha
    assert hub.push(PAIRS, {"notes/plan.txt": None}) == api.dataset_info(PAIRS).sha != sha
    assert "notes/plan.txt" not in listed()
    hub.lose_object(hashlib.sha256(SHARD[::-1]).hexdigest())
    assert "data/train-1.parquet" in listed()
    with pytest.raises(HfHubHTTPError, match="NoSuchKey"):
        api.hf_hub_download(PAIRS, "data/train-1.parquet", repo_type="dataset")


def test_error_of_the_server_itself_fails_the_test() -> None:
    hub = HubServer(TOKENS).__enter__()
    with pytest.raises(HTTPError, match="501"):
        urlopen(UrlRequest(f"{hub.url}/api/validate-yaml", data=b"{}"))
    with pytest.raises(RuntimeError, match="KeyError"):
        hub.__exit__(None, None, None)


# --- other processes


def test_load_dataset(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    for shard in range(2):
        rows = [{"number": 10 * shard + row, "image": bytes([row]) * 5000} for row in range(4)]
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"data/train-{shard:05}-of-00002.parquet")
    api.upload_folder(repo_id=PAIRS, repo_type="dataset", folder_path=tmp_path / "data", path_in_repo="data")
    api.update_repo_settings(PAIRS, private=True, repo_type="dataset")
    code = (
        "import sys; from datasets import load_dataset\n"
        "print([row['number'] for row in load_dataset(sys.argv[1], split='train', streaming=True)])\n"
        "print([row['number'] for row in load_dataset(sys.argv[1], split='train')])"
    )
    environment = os.environ | hub.environment("hf_owner", tmp_path / "home")
    command = [sys.executable, "-c", code, PAIRS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str([0, 1, 2, 3, 10, 11, 12, 13])] * 2
    assert any(request.status == 206 for request in hub.requests)


def test_runs_by_hand() -> None:
    command = [sys.executable, "-m", "tests.hub_server", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("export HF_ENDPOINT=").strip()
        try:
            assert HfApi(endpoint=url, token="hf_test").whoami()["orgs"][0]["name"] == "lab"
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
