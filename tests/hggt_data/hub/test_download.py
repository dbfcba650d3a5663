"""Published datasets on another machine: `hggt-data download`, the Hub's cache, `load_dataset`; what they refuse."""

import errno
import json
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from datasets import load_dataset

from hggt_data.dataset.manifest import MANIFEST_FILE
from hggt_data.errors import RUN_AGAIN
from hggt_data.hub.download import fetch_dataset
from hggt_data.loading import open_groups
from tests.hggt_data.people import IDS, REPO, Published, remote_files, write_files
from tests.hggt_data.trees import contents
from tests.hub_client import STRANGER, ForkServer, HubClient, Outcome, sign_in
from tests.hub_server import CutResponse, Do, Fault, HubServer, Response

SHARD = "data/train-00001-of-00003.parquet"


def download(client: HubClient, *options: str, repo: str = REPO) -> Outcome:
    return client.hggt_data("download", repo, "--output", "got", *options)


def fetched(hub: HubServer) -> list[str]:
    """The hashes of the large files that were asked for since the log was cleared."""
    return [r.target.split("/")[-1].split("?")[0] for r in hub.requests if r.method == "GET" and "/lfs/" in r.target]


def sha256(hub: HubServer, path: str) -> str:
    oid = hub.repo(REPO).find_commit("main").tree[path].sha256
    assert oid
    return oid


def other_bytes(data: bytes) -> bytes:
    """As many bytes, of which one is another."""
    return data[:2000] + bytes([data[2000] ^ 1]) + data[2001:]


@pytest.fixture
def reader(published: Published, processes: ForkServer, tmp_path: Path) -> HubClient:
    """Somebody who may read the dataset that nobody changes."""
    return sign_in(published.hub, processes, tmp_path)


class TestDownload:
    def test_a_folder_equal_to_the_remote(self, published: Published, reader: HubClient, tmp_path: Path) -> None:
        outcome = download(reader)
        assert (outcome.exit_code, outcome.err) == (0, "")
        assert outcome.out == "got: 3 groups in train; 0.0 MB, all files match the manifest.\n"
        assert contents(reader.folder) == {f"got/{path}": data for path, data in remote_files(published.hub).items()}
        got = reader.folder / "got"
        assert {path.name for path in got.iterdir()} == {"README.md", "data", "labels", "manifest.json"}
        assert load_dataset(str(got), split="train", cache_dir=str(tmp_path))["id"][:] == list(IDS)

    @pytest.mark.parametrize("of", ["tag", "commit"])
    def test_a_revision(self, filled_hub: HubServer, member: HubClient, of: str) -> None:
        first, commit = remote_files(filled_hub), filled_hub.repo(REPO).find_commit("main").sha
        filled_hub.push(REPO, {SHARD: b"another version"})
        assert download(member, "--revision", "v1.0" if of == "tag" else commit).exit_code == 0
        assert contents(member.folder / "got") == first

    def test_what_is_there_already_is_not_fetched_again(self, filled_hub: HubServer, member: HubClient) -> None:
        assert download(member).exit_code == 0
        got = member.folder / "got"
        before = {path: (got / path).stat().st_ino for path in contents(got)}
        filled_hub.requests.clear()
        assert download(member).exit_code == 0
        assert fetched(filled_hub) == []
        (got / SHARD).write_bytes(other_bytes((got / SHARD).read_bytes()))
        (got / "labels/train.parquet").unlink()
        assert download(member).exit_code == 0
        assert sorted(fetched(filled_hub)) == sorted(sha256(filled_hub, p) for p in (SHARD, "labels/train.parquet"))
        assert contents(got) == remote_files(filled_hub)
        kept = {path for path, inode in before.items() if (got / path).stat().st_ino == inode}
        assert kept >= {"data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"}

    def test_a_download_that_is_killed_goes_on_where_it_stopped(self, filled_hub: HubServer, member: HubClient) -> None:
        others = {path for path in remote_files(filled_hub) if path.endswith(".parquet")} - {SHARD}

        def kill() -> None:
            until = time.monotonic() + 30
            while time.monotonic() < until and not others <= contents(member.folder / ".got.partial").keys():
                time.sleep(0.01)
            member.kill()

        filled_hub.faults = [Fault("GET", f"/lfs/.*{sha256(filled_hub, SHARD)}", Do(kill))]
        assert download(member).exit_code == -signal.SIGKILL
        assert [path.name for path in member.folder.iterdir()] == [".got.partial"]
        filled_hub.requests.clear()
        assert download(member).exit_code == 0
        assert fetched(filled_hub) == [sha256(filled_hub, SHARD)]
        assert contents(member.folder) == {f"got/{path}": data for path, data in remote_files(filled_hub).items()}

    def test_an_interrupted_download_goes_on(self, filled_hub: HubServer, member: HubClient) -> None:
        filled_hub.faults = [Fault("GET", "/lfs/", Do(lambda: member.kill(signal.SIGINT)))]
        outcome = download(member)
        assert (outcome.exit_code, outcome.err) == (130, f"Interrupted. {RUN_AGAIN}\n")
        assert download(member).exit_code == 0
        assert contents(member.folder / "got") == remote_files(filled_hub)

    def test_a_connection_cut_in_the_middle_of_a_file_is_mended(self, filled_hub: HubServer, member: HubClient) -> None:
        filled_hub.faults = [Fault("GET", "/lfs/", CutResponse(after_bytes=5000), times=3)]
        assert download(replace(member, waits=False)).exit_code == 0
        assert contents(member.folder / "got") == remote_files(filled_hub)

    def test_bytes_that_are_altered_on_the_way_are_fetched_anew(self, filled_hub: HubServer, member: HubClient) -> None:
        right = remote_files(filled_hub)
        filled_hub.corrupt_file(REPO, SHARD, other_bytes(right[SHARD]))
        outcome = download(member)
        assert outcome.exit_code == 1
        damaged = f"{REPO} arrived damaged: {SHARD} has other content. {RUN_AGAIN}"
        assert outcome.err.startswith(f"Error: {damaged} If it stays so, whoever published")
        assert not (member.folder / "got").exists()
        assert "arrived damaged" in member.call(error_of, count_groups, REPO)
        filled_hub.corrupt_file(REPO, SHARD, right[SHARD])
        assert download(member).exit_code == 0
        assert contents(member.folder / "got") == right
        assert member.call(count_groups, REPO) == 3

    def test_an_earlier_download_is_replaced_as_a_whole_or_not_at_all(
        self, filled_hub: HubServer, member: HubClient
    ) -> None:
        first = remote_files(filled_hub)
        assert download(member).exit_code == 0
        manifest = first[MANIFEST_FILE].replace(sha256(filled_hub, SHARD).encode(), b"0" * 64)
        filled_hub.push(REPO, {MANIFEST_FILE: manifest})
        assert download(member).exit_code == 1
        assert contents(member.folder / "got") == first

    @pytest.mark.parametrize("theirs", [{}, {"thesis/chapter1.tex": b"mine"}, {"README.md": b"# My app"}])
    def test_the_folder_of_another_program_is_left_alone(self, reader: HubClient, theirs: dict[str, bytes]) -> None:
        theirs = {f"got/{path}": data for path, data in theirs.items()} | {"got/manifest.json": b'{"name": "my app"}'}
        write_files(reader.folder, theirs)
        outcome = download(reader)
        assert outcome.exit_code == 1
        assert (
            "contains files that hggt did not write: manifest.json" in outcome.err
            or "thesis/chapter1.tex" in outcome.err
        )
        assert "Move them elsewhere: the folder is replaced as a whole." in outcome.err
        assert contents(reader.folder) == theirs
        assert [path.name for path in reader.folder.iterdir()] == ["got"]

    def test_notes_in_an_earlier_download_are_left_alone(self, reader: HubClient) -> None:
        assert download(reader).exit_code == 0
        write_files(reader.folder, {"got/notes.md": b"mine"})
        before = contents(reader.folder)
        outcome = download(reader)
        assert outcome.exit_code == 1
        assert "contains files that hggt did not write: notes.md" in outcome.err
        assert contents(reader.folder) == before

    def test_a_publishers_own_dataset_keeps_its_names(self, published: Published, reader: HubClient) -> None:
        shutil.copytree(published.dataset, reader.folder / "got")
        before = contents(reader.folder)
        outcome = download(reader)
        assert outcome.exit_code == 1
        assert "is a dataset with annotators' names and times, which lab/hggt does not have" in outcome.err
        assert "Choose another --output, or remove the folder first." in outcome.err
        assert contents(reader.folder) == before
        assert [path.name for path in reader.folder.iterdir()] == ["got"]

    def test_an_older_version_in_the_cache_does_not_pass_for_the_one_that_is_there(
        self, filled_hub: HubServer, member: HubClient, next_version: Path
    ) -> None:
        assert member.call(count_groups, REPO) == len(IDS)
        assert member.hggt_data("push", "hggt", REPO, "--yes", "--workers", "1").exit_code == 0
        filled_hub.faults = [Fault("HEAD", "/resolve/main/manifest.json", Response(503), times=100)]
        outcome = download(replace(member, waits=False))
        assert outcome.exit_code in (0, 1)  # by the commit it may be had
        if outcome.exit_code == 0:
            assert contents(member.folder / "got") == remote_files(filled_hub)

    def test_nothing_stays_of_a_download_that_did_not_begin(self, filled_hub: HubServer, member: HubClient) -> None:
        lose(filled_hub)
        assert download(member).exit_code == 1
        assert list(member.folder.iterdir()) == []

    def test_a_folder_with_other_things_is_left_alone(self, reader: HubClient) -> None:
        (reader.folder / "got").mkdir()
        (reader.folder / "got" / "thesis.tex").write_text("mine")
        outcome = download(reader)
        assert outcome.exit_code == 1
        assert "is not empty and does not contain manifest.json; choose a new or empty folder" in outcome.err
        assert contents(reader.folder) == {"got/thesis.tex": b"mine"}


def lose(hub: HubServer) -> None:
    hub.drop_file(REPO, SHARD)


def alter(hub: HubServer) -> None:
    hub.swap_file(REPO, SHARD, remote_files(hub)["data/train-00000-of-00003.parquet"])


def lose_bytes(hub: HubServer) -> None:
    hub.lose_object(sha256(hub, SHARD))


def corrupt(hub: HubServer) -> None:
    hub.corrupt_file(REPO, SHARD, other_bytes(remote_files(hub)[SHARD]))


def count_groups(repo: str) -> int:
    return len(open_groups(repo))


def count_groups_without_writing(repo: str) -> int:
    with patch("hggt_data.hub.download.write_text", side_effect=OSError(errno.EROFS, "Read-only file system")):
        return count_groups(repo)


def fill_cache() -> None:
    from huggingface_hub import snapshot_download

    snapshot_download(REPO, repo_type="dataset")


def error_of(function: Callable[..., object], *arguments: object) -> str:
    """The error of a function, with its kind."""
    try:
        result = function(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"no error, but {result}")


def stream(repo: str) -> list[str]:
    return [row["id"] for row in load_dataset(repo, split="train", streaming=True)]


def load(repo: str) -> list[str]:
    return list(load_dataset(repo, split="train")["id"])


class TestDamagedLater:
    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lose, f"does not agree with its manifest.json: {SHARD} is missing. Whoever published it must publish it"),
            (alter, f"does not agree with its manifest.json: {SHARD} has other content"),
            (lose_bytes, SHARD),
            (corrupt, f"{REPO} arrived damaged: {SHARD} has other content"),
        ],
    )
    def test_download_and_open_groups_name_the_shard(
        self, filled_hub: HubServer, member: HubClient, damage: Callable[[HubServer], None], message: str
    ) -> None:
        damage(filled_hub)
        outcome = download(member)
        assert outcome.exit_code == 1
        assert len(outcome.err.splitlines()) == 1
        assert message in outcome.err
        assert not (member.folder / "got").exists()
        for _ in range(2):  # what has come is not taken for good the second time
            error = member.call(error_of, count_groups, REPO)
            assert error.startswith(f"HubError: {REPO} is not a local folder. On the Hub: ")
            assert message in error

    def test_of_several_that_open_it_at_once_one_hashes_it(
        self, online: None, filled_hub: HubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashed: list[Path] = []

        def find_damaged(folder: Path, *_: object) -> dict[str, str]:
            hashed.append(folder)
            time.sleep(0.2)
            return {}

        monkeypatch.setattr("hggt_data.hub.download.find_damaged", find_damaged)
        with ThreadPoolExecutor(4) as pool:
            folders = list(pool.map(fetch_dataset, [REPO] * 4))
        assert hashed == folders[:1]
        assert set(folders) == set(hashed)

    def test_a_cache_that_may_only_be_read_is_enough(self, filled_hub: HubServer, member: HubClient) -> None:
        member.call(fill_cache)
        assert member.having(HF_HUB_OFFLINE="1").call(count_groups_without_writing, REPO) == len(IDS)

    def test_what_others_have_put_into_the_cache_is_checked_too(self, filled_hub: HubServer, member: HubClient) -> None:
        corrupt(filled_hub)
        member.call(fill_cache)
        filled_hub.requests.clear()
        assert f"{REPO} arrived damaged: {SHARD} has other content" in member.call(error_of, count_groups, REPO)
        assert fetched(filled_hub) == []

    @pytest.mark.parametrize("read", [stream, load])
    def test_load_dataset_fails_and_gives_no_fewer_rows(
        self, filled_hub: HubServer, member: HubClient, read: Callable[..., object]
    ) -> None:
        lose(filled_hub)
        assert Path(SHARD).name in member.call(error_of, read, REPO)

    def test_nothing_is_fetched_where_the_listing_is_wrong(self, filled_hub: HubServer, member: HubClient) -> None:
        lose(filled_hub)
        assert download(member).exit_code == 1
        assert fetched(filled_hub) == []

    @pytest.mark.parametrize(
        "path", ["../stolen.parquet", "/tmp/stolen.parquet", "data/../../x.parquet", ".git/config"]
    )
    def test_a_manifest_that_points_out_of_the_folder_is_refused(
        self, filled_hub: HubServer, member: HubClient, path: str
    ) -> None:
        manifest = json.loads(remote_files(filled_hub)[MANIFEST_FILE])
        manifest["shards"][0]["path"] = path
        filled_hub.push(REPO, {MANIFEST_FILE: json.dumps(manifest).encode()})
        outcome = download(member)
        assert outcome.exit_code == 1
        assert f"it lists '{path}', which no build writes" in outcome.err
        assert member.call(error_of, count_groups, REPO).startswith("DatasetError: ")
        assert fetched(filled_hub) == []
        assert not (member.folder / "got").exists()


def load_every_way() -> dict[tuple[str, bool], list[tuple[str, bytes | None]]]:
    """By config and whether it is streamed: id and pixels of the first candidate of each row."""
    found = {}
    for config in ("default", "labels"):
        for streaming in (False, True):
            rows = load_dataset(REPO, config, split="train", streaming=streaming)
            pixels = [row["enhanced_01"].tobytes() if "enhanced_01" in row else None for row in rows]
            found[config, streaming] = list(zip((row["id"] for row in rows), pixels, strict=True))
    return found


def load_revisions(*revisions: str | None) -> list[list[str]]:
    """The ids of each."""
    return [
        [row["id"] for row in load_dataset(REPO, "labels", split="train", revision=revision, streaming=streaming)]
        for revision in revisions
        for streaming in (False, True)
    ]


class TestLoadDataset:
    def test_every_way_gives_every_group(self, published: Published, reader: HubClient) -> None:
        pixels = [group.read("01").tobytes() for group in open_groups(published.dataset)]
        found = reader.call(load_every_way)
        for streaming in (False, True):
            assert found["default", streaming] == list(zip(IDS, pixels, strict=True))
            assert found["labels", streaming] == [(group_id, None) for group_id in IDS]

    def test_a_tag_is_a_revision(self, member: HubClient, next_version: Path) -> None:
        assert member.hggt_data("push", "hggt", REPO, "--yes", "--tag", "v2.0", "--workers", "1").exit_code == 0
        first, second = list(IDS), list(IDS[:2])
        found = member.call(load_revisions, "v1.0", "v2.0", None)
        assert found == [first, first, second, second, second, second]


class TestErrors:
    """Each in one line, with the way out."""

    def fail(self, client: HubClient, *options: str, repo: str = REPO) -> str:
        outcome = download(client, *options, repo=repo)
        assert outcome.exit_code == 1
        *notices, line = outcome.err.splitlines()  # the client tells when it tries again
        assert all("thrown while requesting" in text or "[Retry " in text for text in notices)
        assert line.startswith("Error: ")
        return line

    def test_no_such_dataset(self, reader: HubClient, published: Published) -> None:
        message = self.fail(reader, repo="lab/hgtg")
        assert (
            f"lab/hgtg: no such dataset on {published.hub.url}, or the token may not see it. Check the name" in message
        )

    def test_a_private_dataset_without_a_token(self, reader: HubClient) -> None:
        assert "for a private one run `hf auth login` or set HF_TOKEN" in self.fail(reader.having(HF_TOKEN=""))

    def test_a_private_dataset_with_the_token_of_a_stranger(self, reader: HubClient) -> None:
        assert "or the token may not see it" in self.fail(reader.having(HF_TOKEN=STRANGER))

    def test_no_such_revision(self, reader: HubClient) -> None:
        message = self.fail(reader, "--revision", "v9")
        assert f"{REPO} has no revision 'v9'. http://" in message
        assert "/datasets/lab/hggt/tree/main lists its tags and branches." in message

    @pytest.mark.parametrize("token", ["", STRANGER])
    def test_a_gate_that_is_closed(self, filled_hub: HubServer, member: HubClient, token: str) -> None:
        filled_hub.repo(REPO).private, filled_hub.repo(REPO).gated = False, "manual"
        page = f"{filled_hub.url}/datasets/{REPO}"
        assert {
            STRANGER: f"{REPO} is gated, and this token has no access yet. Ask for it at {page}.",
            "": f"{REPO} is gated, and there is no token. Ask for access at {page}, then run `hf auth login`.",
        }[token] in self.fail(member.having(HF_TOKEN=token))

    def test_a_gate_that_is_open(self, filled_hub: HubServer, member: HubClient) -> None:
        filled_hub.repo(REPO).private, filled_hub.repo(REPO).gated = False, "auto"
        filled_hub.repo(REPO).readers.add("stan")
        assert download(member.having(HF_TOKEN=STRANGER)).exit_code == 0

    def test_no_network(self, reader: HubClient) -> None:
        message = self.fail(replace(reader, waits=False).having(HF_ENDPOINT="http://127.0.0.1:9"))
        assert "no connection to http://127.0.0.1:9" in message
        assert "Check the network." in message

    def test_the_offline_mode(self, reader: HubClient) -> None:
        assert "Unset HF_HUB_OFFLINE" in self.fail(reader.having(HF_HUB_OFFLINE="1"))

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (Response(429, headers={"Retry-After": "30"}), "rate limit (429). Wait: 30 s. Run the same command again"),
            (Response(502), "the Hub has a fault of its own (502). Run the same command again"),
            (Response(401), "Run `hf auth login`"),
        ],
    )
    def test_what_the_hub_answers(
        self, filled_hub: HubServer, member: HubClient, answer: Response, message: str
    ) -> None:
        filled_hub.faults = [Fault(method, "", answer, times=100) for method in ("HEAD", "GET")]
        assert message in self.fail(replace(member, waits=False))

    def test_what_hggt_has_not_published(self, filled_hub: HubServer, member: HubClient) -> None:
        filled_hub.push(REPO, {MANIFEST_FILE: None})
        assert f"{REPO} has no manifest.json; expected a dataset that hggt-data push has put there" in self.fail(member)

    @pytest.mark.parametrize("name", ["hggt", "a/b/c", "lab/a--b"])
    def test_a_name_that_is_none(self, reader: HubClient, name: str) -> None:
        assert f"'{name}' is no name on the Hub; expected ORG/NAME" in self.fail(reader, repo=name)
