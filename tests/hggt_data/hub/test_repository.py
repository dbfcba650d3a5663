"""Repositories on the Hub as a library sees them, for datasets and networks alike."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hggt_data.errors import HubError, PublishError
from hggt_data.hub.repository import RemoteFile, Repository, find_differences
from hggt_data.io.files import FileDigest, digest_of_file
from tests.hggt_data.trees import write_bytes
from tests.hub_client import OUTSIDER, READER
from tests.hub_server import Do, Fault, HubServer, Response, git_oid

pytestmark = [
    pytest.mark.usefixtures("online"),
    pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning"),  # the client's own
]

REPO = "lab/net"
WEIGHTS, CARD = b"\0weights" * 500, b"---\nlicense: mit\n---\n# A network\n"
NOTHING_PUSHED = "after this push was planned; nothing was pushed. Run the same command again"


@pytest.fixture
def network(online: None) -> Repository:
    """A new private repository."""
    network = Repository(REPO, "model")
    network.create("private")
    return network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files to push, one of them large, and one that stays."""
    for path, data in (("model.safetensors", WEIGHTS), ("README.md", CARD), ("train.log", b"step 1")):
        write_bytes(tmp_path / "net" / path, data)
    return tmp_path / "net"


@pytest.fixture
def push(network: Repository, folder: Path) -> Callable[..., str]:
    """Pushes files of the folder, by default the two."""

    def run(*deletions: str, paths: tuple[str, ...] = ("model.safetensors", "README.md"), per_commit: int = 100) -> str:
        contents = [digest_of_file(folder, path) for path in paths]
        repository = replace(network, files_per_commit=per_commit)
        return repository.push(
            folder, contents, deletions, main=network.read_main(), visibility="private", message="Push"
        )

    return run


def own_files(hub: HubServer) -> dict[str, bytes]:
    return {path: data for path, data in hub.files(REPO).items() if path != ".gitattributes"}


class TestReading:
    def test_visibility(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert Repository(REPO, "model").visibility() is None
        for visibility in ("private", "public"):
            network = Repository(f"lab/{visibility}", "model")
            network.create(visibility)
            assert network.visibility() == visibility
        monkeypatch.setenv("HF_TOKEN", OUTSIDER)
        assert Repository("lab/private", "model").visibility() is None

    @pytest.mark.parametrize(("token", "message"), [("", "no token for the Hub"), ("hf_old", "does not accept this")])
    def test_a_wrong_token_does_not_pass_for_a_missing_repository(
        self, monkeypatch: pytest.MonkeyPatch, token: str, message: str
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(HubError, match=message):
            Repository(REPO, "model").visibility()

    def test_files_with_size_and_hashes(self, hub: HubServer, network: Repository) -> None:
        more = {f"folder/{k}.txt": b"%d" % k for k in range(12)}  # more than a page of the list
        first = hub.push(REPO, {"model.safetensors": WEIGHTS, "README.md": CARD, **more})
        hub.push(REPO, {"later.txt": b"1"})
        found = network.list_files(first)
        assert found.keys() == {".gitattributes", "model.safetensors", "README.md", *more}
        sha256 = hashlib.sha256(WEIGHTS).hexdigest()
        assert (found["model.safetensors"].size_bytes, found["model.safetensors"].sha256) == (len(WEIGHTS), sha256)
        assert found["README.md"] == RemoteFile(len(CARD), None, git_oid(CARD))
        with pytest.raises(HubError, match="lab/net has no revision 'v1'"):
            network.list_files("v1")

    def test_a_file_in_the_cache(self, hub: HubServer, network: Repository) -> None:
        commit = hub.push(REPO, {"README.md": CARD})
        path = network.fetch_file("README.md", "main")
        assert path is not None
        assert (path.read_bytes(), path.parent.name) == (CARD, commit)
        assert network.fetch_file("none.txt", "main") is None

    def test_an_older_version_in_the_cache_does_not_pass_for_the_current_one(
        self, hub: HubServer, network: Repository
    ) -> None:
        hub.push(REPO, {"config.json": b"1"})
        assert network.fetch_file("config.json", None) is not None
        hub.push(REPO, {"config.json": b"2"})
        hub.faults = [Fault("HEAD", "config.json", Response(501), times=100)]
        with pytest.raises(HubError, match=r"\(501\)"):
            network.fetch_file("config.json", None)

    def test_a_file_without_the_cache(self, hub: HubServer, network: Repository, tmp_path: Path) -> None:
        hub.push(REPO, {"README.md": CARD})
        assert network.read_file("README.md", "main") == CARD
        assert network.read_file("none.txt", "main") is None
        assert not (tmp_path / "hub-cache").exists()


class TestRights:
    @pytest.mark.parametrize(
        ("token", "message"),
        [
            (READER, "this token is read-only. Create one with the role `write` at http://.*/settings/tokens"),
            (OUTSIDER, "this token belongs to stan, who can write to stan, but not to lab. Choose one of these"),
        ],
    )
    def test_without_them_nothing_is_created(
        self, hub: HubServer, monkeypatch: pytest.MonkeyPatch, token: str, message: str
    ) -> None:
        Repository(REPO, "model").require_writer()
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(PublishError, match=message):
            Repository(REPO, "model").require_writer()
        with pytest.raises(PublishError, match=r"no permission to do this with lab/net \(403.* write access to lab"):
            Repository(REPO, "model").create("private")
        assert hub.snapshot() == {}

    def test_a_reader_of_an_organisation(self, hub: HubServer) -> None:
        answer = {"name": "maria", "orgs": [{"name": "lab", "roleInOrg": "read"}]}
        hub.faults = [Fault("GET", "whoami", Response(200, json.dumps(answer).encode()))]
        with pytest.raises(PublishError, match=r"maria has read access only in lab\. Ask an admin"):
            Repository(REPO, "model").require_writer()


class TestPush:
    def test_one_commit_brings_new_files_and_deletes_old_ones(
        self, hub: HubServer, network: Repository, push: Callable[..., str]
    ) -> None:
        hub.push(REPO, {"old.safetensors": b"1", "old.txt": b"2", "theirs.txt": b"3"})
        number = len(hub.repo(REPO).commits)
        commit = push("old.safetensors", "old.txt")
        assert own_files(hub) == {"model.safetensors": WEIGHTS, "README.md": CARD, "theirs.txt": b"3"}
        assert network.read_main().commit == commit
        assert len(hub.repo(REPO).commits) == number + 1
        before = hub.snapshot()
        assert push("old.txt") == commit
        assert hub.snapshot() == before
        hub.push(REPO, {"old.txt": b"2"})
        push("old.txt")
        assert "old.txt" not in hub.files(REPO)

    def test_a_small_file_of_the_same_size_is_sent(self, hub: HubServer, push: Callable[..., str]) -> None:
        hub.push(REPO, {"model.safetensors": WEIGHTS, "README.md": CARD.replace(b"network", b"Network")})
        push()
        assert hub.files(REPO)["README.md"] == CARD

    @pytest.mark.parametrize("per_commit", [100, 1])
    def test_a_change_by_someone_else_since_the_plan_is_an_error(
        self, hub: HubServer, push: Callable[..., str], per_commit: int
    ) -> None:
        theirs = {"README.md": b"# Theirs\n"}
        hub.faults = [Fault("POST", "/objects/batch", Do(lambda: hub.push(REPO, theirs)))]
        with pytest.raises(HubError, match=NOTHING_PUSHED):
            push(per_commit=per_commit)
        assert own_files(hub) == theirs
        push(per_commit=per_commit)
        assert own_files(hub) == {"model.safetensors": WEIGHTS, "README.md": CARD}

    @pytest.mark.parametrize(
        ("method", "path", "message", "has_arrived"),
        [
            ("PUT", "/lfs/", "lab/net is public, and this push is private; nothing was pushed", False),
            ("POST", "/commit/", r"lab/net became public during this push: commit \w{12} is public\.", True),
        ],
    )
    def test_a_repository_that_becomes_public_meanwhile_is_reported(
        self, hub: HubServer, push: Callable[..., str], method: str, path: str, message: str, has_arrived: bool
    ) -> None:
        def reveal() -> None:
            hub.repo(REPO).private = False

        hub.faults = [Fault(method, path, Do(reveal, "after"))]
        with pytest.raises(PublishError, match=message):
            push()
        assert (own_files(hub) != {}) == has_arrived

    def test_files_that_arrive_altered_are_an_error(self, hub: HubServer, push: Callable[..., str]) -> None:
        alter = Do(lambda: hub.swap_file(REPO, "model.safetensors", b"other"), "after")
        hub.faults = [Fault("POST", "/commit/", alter)]
        with pytest.raises(HubError, match=r"is not what was sent: model.safetensors has 5 bytes, not 4,000"):
            push()
        push()
        assert hub.files(REPO)["model.safetensors"] == WEIGHTS

    def test_more_files_than_a_commit_takes_are_merged_at_the_end(
        self, hub: HubServer, network: Repository, folder: Path, push: Callable[..., str]
    ) -> None:
        hub.push(REPO, {"old.txt": b"2"})
        seen = [own_files(hub)]

        def look() -> None:
            if own_files(hub) != seen[-1]:
                seen.append(own_files(hub))

        hub.faults = [Fault("POST", "", Do(look, "after"), times=1000)]
        paths = ("model.safetensors", "README.md", "train.log")
        commit = push("old.txt", paths=paths, per_commit=2)
        assert network.read_main().commit == commit
        assert seen == [{"old.txt": b"2"}, {path: (folder / path).read_bytes() for path in paths}]
        assert [request.status for request in hub.repo(REPO).pull_requests] == ["merged"]

    def test_if_that_fails_the_main_branch_is_unchanged_and_nothing_stays_open(
        self, hub: HubServer, push: Callable[..., str]
    ) -> None:
        hub.faults = [Fault("POST", "/merge", Response(503))]
        with pytest.raises(HubError, match=r"\(503\)"):
            push(per_commit=1)
        assert own_files(hub) == {}
        push(per_commit=1)
        assert own_files(hub) == {"model.safetensors": WEIGHTS, "README.md": CARD}
        assert [request.status for request in hub.repo(REPO).pull_requests] == ["closed", "merged"]

    def test_a_tag_does_not_move(
        self, hub: HubServer, network: Repository, folder: Path, push: Callable[..., str]
    ) -> None:
        first = push()
        contents = [digest_of_file(folder, "README.md")]
        for _ in range(2):
            network.create_tag("v1", first, contents, folder)
        (folder / "README.md").write_bytes(CARD + b"More.\n")
        contents = [digest_of_file(folder, "README.md")]
        with pytest.raises(PublishError, match="lab/net already has a tag v1 for another version; choose another `tag"):
            network.create_tag("v1", push(), contents, folder)
        assert hub.repo(REPO).find_commit("v1").sha == first


class TestDifferences:
    RECORD = FileDigest("a.bin", 3, hashlib.sha256(b"abc").hexdigest())

    def test_equal_files_do_not_differ(self, tmp_path: Path) -> None:
        (tmp_path / "a.bin").write_bytes(b"abc")
        large = {"a.bin": RemoteFile(3, self.RECORD.sha256, "pointer"), "more": RemoteFile(1, None, "")}
        small = {"a.bin": RemoteFile(3, None, git_oid(b"abc"))}
        for remote in (large, small):
            assert find_differences([self.RECORD], remote, tmp_path) == {}
            assert find_differences([self.RECORD], remote) == {}

    @pytest.mark.parametrize(
        ("found", "phrase"),
        [
            ({}, "a.bin is missing"),
            ({"a.bin": RemoteFile(1234, None, "")}, "a.bin has 1,234 bytes, not 3"),
            ({"a.bin": RemoteFile(3, "0" * 64, "")}, "a.bin has other content"),
            ({"a.bin": RemoteFile(3, None, git_oid(b"abd"))}, "a.bin has other content"),
        ],
    )
    def test_each_as_a_phrase(self, tmp_path: Path, found: dict[str, RemoteFile], phrase: str) -> None:
        (tmp_path / "a.bin").write_bytes(b"abc")
        assert find_differences([self.RECORD], found, tmp_path) == {"a.bin": phrase}
