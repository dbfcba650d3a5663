"""Repositories on the Hub as a library sees them, for datasets and networks alike."""

import hashlib
import json
from pathlib import Path
from typing import Literal

import pytest

from hggt_data.errors import HubError, PublishError
from hggt_data.hub.repository import RemoteFile, Repository, find_differences
from hggt_data.io.files import FileDigest, digest_of_file
from tests.hggt_data.trees import write_bytes
from tests.hub_client import READER, STRANGER
from tests.hub_server import LFS_FROM_BYTES, Do, Fault, HubServer, Response, git_oid

pytestmark = [
    pytest.mark.usefixtures("online"),
    pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning"),  # the client's own
]

WEIGHTS, CARD = b"\0weights" * 500, b"---\nlicense: mit\n---\n# A network\n"


@pytest.fixture
def network() -> Repository:
    return Repository("lab/net", "model")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files to publish, one of them large, and one to keep."""
    for path, data in (("model.safetensors", WEIGHTS), ("README.md", CARD), ("train.log", b"step 1")):
        write_bytes(tmp_path / "net" / path, data)
    return tmp_path / "net"


@pytest.fixture
def contents(folder: Path) -> list[FileDigest]:
    return [digest_of_file(folder, path) for path in ("model.safetensors", "README.md")]


def publish(
    network: Repository, folder: Path, contents: list[FileDigest], *deletions: str, tag: str | None = None
) -> str:
    return network.publish(folder, contents, deletions, title="version 1", visibility="private", tag=tag)


class TestLooking:
    @pytest.mark.parametrize("visibility", ["private", "public"])
    def test_visibility(self, network: Repository, visibility: Literal["private", "public"]) -> None:
        assert network.visibility() is None
        network.create(visibility)
        assert network.visibility() == visibility

    def test_a_private_repository_is_none_for_a_stranger(
        self, hub: HubServer, network: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        network.create("private")
        monkeypatch.setenv("HF_TOKEN", STRANGER)
        assert network.visibility() is None

    @pytest.mark.parametrize(
        ("token", "message"), [("", "no token for the Hub"), ("hf_old", "does not know this token")]
    )
    def test_a_wrong_token_does_not_pass_for_a_missing_repository(
        self, network: Repository, monkeypatch: pytest.MonkeyPatch, token: str, message: str
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(HubError, match=message):
            network.visibility()

    def test_files_with_size_and_hashes(self, hub: HubServer, network: Repository) -> None:
        network.create("private")
        more = {f"folder/{k}.txt": b"%d" % k for k in range(12)}  # more than a page of the list
        hub.push("lab/net", {"model.safetensors": WEIGHTS, "README.md": CARD, **more})
        found = network.list_files("main")
        assert found.keys() == {".gitattributes", "model.safetensors", "README.md", *more}
        sha256 = hashlib.sha256(WEIGHTS).hexdigest()
        assert (found["model.safetensors"].size_bytes, found["model.safetensors"].sha256) == (len(WEIGHTS), sha256)
        assert found["README.md"] == RemoteFile(len(CARD), None, git_oid(CARD))

    def test_files_of_a_commit_a_tag_or_a_pull_request(self, hub: HubServer, network: Repository) -> None:
        network.create("private")
        first = hub.push("lab/net", {"a.txt": b"1"})
        hub.push("lab/net", {"b.txt": b"2"})
        network.api.create_pull_request("lab/net", "More")
        hub.push("lab/net", {"c.txt": b"3"}, "refs/pr/1")
        assert network.list_files(first).keys() == {".gitattributes", "a.txt"}
        assert network.list_files("main").keys() == {".gitattributes", "a.txt", "b.txt"}
        assert "c.txt" in network.list_files("refs/pr/1")
        with pytest.raises(HubError, match="lab/net has no revision 'v1'"):
            network.list_files("v1")

    def test_a_small_file(self, hub: HubServer, network: Repository) -> None:
        network.create("private")
        hub.push("lab/net", {"README.md": CARD})
        path = network.fetch_file("README.md", "main")
        assert path is not None
        assert path.read_bytes() == CARD
        assert path.parent.name == network.api.repo_info("lab/net").sha
        assert network.fetch_file("none.txt", "main") is None

    def test_an_older_version_in_the_cache_does_not_pass_for_the_one_that_is_there(
        self, hub: HubServer, network: Repository
    ) -> None:
        network.create("private")
        hub.push("lab/net", {"config.json": b"1"})
        assert network.fetch_file("config.json", None) is not None
        hub.push("lab/net", {"config.json": b"2"})
        hub.faults = [Fault("HEAD", "config.json", Response(501), times=100)]
        with pytest.raises(HubError, match=r"\(501\)"):
            network.fetch_file("config.json", None)
        hub.faults = []
        path = network.fetch_file("config.json", "main")
        assert path is not None
        assert path.read_bytes() == b"2"

    def test_a_file_of_which_nothing_is_kept(self, hub: HubServer, network: Repository, tmp_path: Path) -> None:
        network.create("private")
        hub.push("lab/net", {"README.md": CARD})
        assert network.read_file("README.md", "main") == CARD
        assert network.read_file("none.txt", "main") is None
        assert not (tmp_path / "hub-cache").exists()

    def test_the_page(self, hub: HubServer) -> None:
        assert Repository("lab/net", "model").url == f"{hub.url}/lab/net"
        assert Repository("lab/hggt", "dataset").url == f"{hub.url}/datasets/lab/hggt"


class TestCreating:
    def test_one_that_is_there_must_have_the_visibility(self, hub: HubServer, network: Repository) -> None:
        network.create("public")
        network.create("public")
        before = hub.snapshot()
        with pytest.raises(PublishError, match="lab/net is public, and this push is private; nothing was sent"):
            network.create("private", "manual")
        assert hub.snapshot() == before

    @pytest.mark.parametrize("token", [READER, STRANGER])
    def test_rights_are_needed(
        self, hub: HubServer, network: Repository, monkeypatch: pytest.MonkeyPatch, token: str
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(PublishError, match=r"may not do that with lab/net \(403.*role `write` and rights in lab"):
            network.create("private")
        assert hub.snapshot() == {}

    @pytest.mark.parametrize(
        ("token", "message"),
        [
            (READER, "this token may only read. Make one with the role `write` at http://.*/settings/tokens"),
            (
                STRANGER,
                "this token is of stan, who may write to stan; not lab. Choose one of these, or use the token of a",
            ),
        ],
    )
    def test_rights_can_be_asked_for_before(
        self, hub: HubServer, network: Repository, monkeypatch: pytest.MonkeyPatch, token: str, message: str
    ) -> None:
        Repository("lab/net", "model").require_writer()
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(PublishError, match=message):
            network.require_writer()
        assert hub.snapshot() == {}

    def test_who_may_only_read_in_an_organisation(self, hub: HubServer, network: Repository) -> None:
        answer = {"name": "maria", "orgs": [{"name": "lab", "roleInOrg": "read"}]}
        hub.faults = [Fault("GET", "whoami", Response(200, json.dumps(answer).encode()))]
        with pytest.raises(PublishError, match=r"maria may only read in lab\. Ask one of its admins"):
            network.require_writer()


class TestPublishing:
    @pytest.fixture(autouse=True)
    def _created(self, online: None, network: Repository) -> None:
        network.create("private")

    def test_a_network(self, hub: HubServer, network: Repository, folder: Path, contents: list[FileDigest]) -> None:
        commit = publish(network, folder, contents, tag="v1")
        assert hub.repo("lab/net").kind == "model"
        files = hub.files("lab/net")
        del files[".gitattributes"]
        assert files == {"model.safetensors": WEIGHTS, "README.md": CARD}
        assert hub.repo("lab/net").find_commit("main").sha == commit == network.commit_of_tag("v1")
        assert network.commit_of_tag("v2") is None
        before = hub.snapshot()
        assert publish(network, folder, contents, tag="v1") == commit
        assert hub.snapshot() == before

    def test_a_large_file_of_a_kind_that_the_hub_did_not_know(
        self, hub: HubServer, network: Repository, folder: Path
    ) -> None:
        """The Hub adds a line to `.gitattributes` in the same commit, which is nobody's foreign file."""
        write_bytes(folder / "manifest.json", bytes(2 * LFS_FROM_BYTES))
        publish(network, folder, [digest_of_file(folder, "manifest.json")])
        assert b"manifest.json filter=lfs" in hub.files("lab/net")[".gitattributes"]
        assert len(hub.files("lab/net")["manifest.json"]) == 2 * LFS_FROM_BYTES

    def test_deletions_come_with_the_same_merge(
        self, hub: HubServer, network: Repository, folder: Path, contents: list[FileDigest]
    ) -> None:
        hub.push("lab/net", {"old.safetensors": b"1", "old.txt": b"2", "theirs.txt": b"3"})
        publish(network, folder, contents, "old.safetensors", "old.txt")
        assert hub.files("lab/net").keys() == {".gitattributes", "README.md", "model.safetensors", "theirs.txt"}
        assert len([commit for commit in hub.repo("lab/net").commits.values() if len(commit.parents) == 2]) == 1

    def test_deletions_alone_are_a_version_too(
        self, hub: HubServer, network: Repository, folder: Path, contents: list[FileDigest]
    ) -> None:
        publish(network, folder, contents)
        hub.push("lab/net", {"old.txt": b"2"})
        publish(network, folder, contents, "old.txt")
        assert "old.txt" not in hub.files("lab/net")

    def test_a_small_file_of_the_same_size_is_sent(
        self, hub: HubServer, network: Repository, folder: Path, contents: list[FileDigest]
    ) -> None:
        hub.push("lab/net", {"model.safetensors": WEIGHTS, "README.md": CARD.replace(b"network", b"Network")})
        publish(network, folder, contents)
        assert hub.files("lab/net")["README.md"] == CARD

    def test_a_change_by_somebody_else_right_after_the_merge_is_told(
        self, hub: HubServer, network: Repository, folder: Path, contents: list[FileDigest]
    ) -> None:
        theirs = {"README.md": b"---\nlicense: mit\n---\n# Theirs\n"}
        hub.faults = [Fault("POST", "/merge$", Do(lambda: hub.push("lab/net", theirs), "after"))]
        with pytest.raises(HubError, match=r"lab/net was changed by somebody else meanwhile: README\.md has"):
            publish(network, folder, contents, tag="v1")
        assert network.commit_of_tag("v1") is None

    def test_a_tag_that_is_there_does_not_move(
        self, hub: HubServer, network: Repository, folder: Path, contents: list[FileDigest]
    ) -> None:
        first = publish(network, folder, contents, tag="v1")
        (folder / "README.md").write_bytes(CARD + b"More.\n")
        with pytest.raises(PublishError, match="lab/net has a tag v1 already, of another version"):
            publish(network, folder, [contents[0], digest_of_file(folder, "README.md")], tag="v1")
        assert network.commit_of_tag("v1") == first


class TestDifferences:
    RECORD = FileDigest("a.bin", 3, hashlib.sha256(b"abc").hexdigest())

    def test_none(self, tmp_path: Path) -> None:
        (tmp_path / "a.bin").write_bytes(b"abc")
        large = {"a.bin": RemoteFile(3, self.RECORD.sha256, "pointer"), "more": RemoteFile(1, None, "")}
        small = {"a.bin": RemoteFile(3, None, git_oid(b"abc"))}
        for remote in (large, small):
            assert find_differences([self.RECORD], remote, tmp_path) == []
            assert find_differences([self.RECORD], remote) == []

    @pytest.mark.parametrize(
        ("found", "phrase"),
        [
            ({}, "a.bin is missing"),
            ({"a.bin": RemoteFile(1234, None, "")}, "a.bin has 1,234 bytes, not 3"),
            ({"a.bin": RemoteFile(3, "0" * 64, "")}, "a.bin has other content"),
            ({"a.bin": RemoteFile(3, None, git_oid(b"abd"))}, "a.bin has other content"),
        ],
    )
    def test_each_in_a_phrase(self, tmp_path: Path, found: dict[str, RemoteFile], phrase: str) -> None:
        (tmp_path / "a.bin").write_bytes(b"abc")
        assert find_differences([self.RECORD], found, tmp_path) == [phrase]

    def test_all_are_told(self) -> None:
        records = [FileDigest(name, 1, "") for name in ("a", "b", "c")]
        assert find_differences(records, {"b": RemoteFile(1, "", "")}) == ["a is missing", "c is missing"]
