"""Datasets of the Hub on another machine: `hggt-data download`, the Hub's cache, `load_dataset`; what they refuse."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import load_dataset

from hggt_data.dataset.manifest import CARD_FILE, CROISSANT_FILE, DESCRIPTIONS, MANIFEST_FILE
from hggt_data.dataset.reader import CHECKED_FILE
from hggt_data.errors import RUN_AGAIN, DatasetError, HggtError, HubError, OutputError
from hggt_data.hub.download import download_dataset, fetch_dataset
from hggt_data.loading import open_groups
from tests.full_disk import FullDisk
from tests.hggt_data.named_tree import IDS, REPO, Published, remote_files, write_files
from tests.hggt_data.trees import contents
from tests.hub_client import OUTSIDER, HubClient
from tests.hub_server import CutResponse, Do, Fault, HubServer, Response

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # the client's own

SHARD = "data/train-00001-of-00003.parquet"


@pytest.fixture(autouse=True)
def hub_with_dataset(online: None, filled_hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dataset on a Hub that this process talks to as a member of `lab`, without waiting before it tries again."""
    sleep = time.sleep
    monkeypatch.setattr("time.sleep", lambda seconds: sleep(min(seconds, 0.01)))


@pytest.fixture
def got(tmp_path: Path) -> Path:
    """The folder to download to, which does not exist, in a folder that is empty."""
    (tmp_path / "work").mkdir(exist_ok=True)
    return tmp_path / "work" / "got"


def fetched(hub: HubServer) -> list[str]:
    """The hashes of the large files that were downloaded since the log was cleared."""
    return [r.target.split("/")[-1].split("?")[0] for r in hub.requests if r.method == "GET" and "/lfs/" in r.target]


def sha256(hub: HubServer, path: str) -> str:
    oid = hub.repo(REPO).find_commit("main").tree[path].sha256
    assert oid
    return oid


def altered(data: bytes) -> bytes:
    """The same number of bytes, one of which differs."""
    return data[:2000] + bytes([data[2000] ^ 1]) + data[2001:]


class TestDownload:
    def test_the_command_writes_a_folder_equal_to_the_repository(
        self, filled_hub: HubServer, member: HubClient, got: Path, tmp_path: Path
    ) -> None:
        outcome = member.hggt_data("download", REPO, "--output", "got")
        assert (outcome.exit_code, outcome.err) == (0, "")
        assert outcome.out == "got: 3 groups in train; 0.0 MB, all files match the manifest.\n"
        assert contents(got.parent) == {f"got/{path}": data for path, data in remote_files(filled_hub).items()}
        assert {path.name for path in got.iterdir()} == {*DESCRIPTIONS, "data", "labels", MANIFEST_FILE}
        assert load_dataset(str(got), split="train", cache_dir=str(tmp_path))["id"][:] == list(IDS)

    def test_a_revision(self, filled_hub: HubServer, got: Path) -> None:
        first, commit = remote_files(filled_hub), filled_hub.repo(REPO).find_commit("main").sha
        filled_hub.push(REPO, {SHARD: b"another version"})
        for revision in ("v1.0", commit):
            download_dataset(REPO, got, revision)
            assert contents(got) == first
            shutil.rmtree(got)

    def test_files_that_the_folder_has_are_not_downloaded_again(self, filled_hub: HubServer, got: Path) -> None:
        download_dataset(REPO, got)
        before = {path: (got / path).stat().st_ino for path in contents(got)}
        filled_hub.requests.clear()
        download_dataset(REPO, got)
        assert fetched(filled_hub) == []
        (got / SHARD).write_bytes(altered((got / SHARD).read_bytes()))
        (got / "labels/train.parquet").unlink()
        download_dataset(REPO, got)
        assert sorted(fetched(filled_hub)) == sorted(sha256(filled_hub, p) for p in (SHARD, "labels/train.parquet"))
        assert contents(got) == remote_files(filled_hub)
        kept = {path for path, inode in before.items() if (got / path).stat().st_ino == inode}
        assert kept >= {"data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"}

    def test_a_download_that_was_killed_resumes(self, filled_hub: HubServer, member: HubClient, got: Path) -> None:
        others = {path for path in remote_files(filled_hub) if path.endswith(".parquet")} - {SHARD}

        def kill() -> None:
            until = time.monotonic() + 30
            while time.monotonic() < until and not others <= contents(got.parent / ".got.partial").keys():
                time.sleep(0.01)
            member.kill()

        filled_hub.faults = [Fault("GET", f"/lfs/.*{sha256(filled_hub, SHARD)}", Do(kill))]
        assert member.hggt_data("download", REPO, "--output", "got").exit_code == -signal.SIGKILL
        assert [path.name for path in got.parent.iterdir()] == [".got.partial"]
        filled_hub.requests.clear()
        download_dataset(REPO, got)
        assert fetched(filled_hub) == [sha256(filled_hub, SHARD)]
        assert contents(got.parent) == {f"got/{path}": data for path, data in remote_files(filled_hub).items()}

    def test_an_interrupted_download_says_what_to_do(self, filled_hub: HubServer, member: HubClient, got: Path) -> None:
        filled_hub.faults = [Fault("GET", "/lfs/", Do(lambda: member.kill(signal.SIGINT)))]
        outcome = member.hggt_data("download", REPO, "--output", "got")
        assert (outcome.exit_code, outcome.err) == (130, f"Interrupted. {RUN_AGAIN}\n")
        download_dataset(REPO, got)
        assert contents(got) == remote_files(filled_hub)

    def test_a_refused_download_leaves_only_what_the_next_run_can_use(
        self, filled_hub: HubServer, member: HubClient, got: Path
    ) -> None:
        filled_hub.faults = [Fault("GET", "/lfs/", Response(403), times=99)]
        assert "cannot be read (403)" in member.hggt_data("download", REPO, "--output", "got").err
        assert list(got.parent.glob(".got*")) == []
        filled_hub.faults = [Fault("GET", "/lfs/", Response(403), times=99, after=1)]
        kept = got.parent.resolve() / ".got.partial"
        refused = member.hggt_data("download", REPO, "--output", "got").err
        assert f"What has arrived is kept in {kept} for the next run" in refused
        assert any(path.suffix == ".parquet" for path in kept.rglob("*"))

    def test_a_connection_cut_in_the_middle_of_a_file_is_continued(self, filled_hub: HubServer, got: Path) -> None:
        filled_hub.faults = [Fault("GET", "/lfs/", CutResponse(after_bytes=5000), times=3)]
        download_dataset(REPO, got)
        assert contents(got) == remote_files(filled_hub)

    def test_bytes_that_are_altered_on_the_way_are_downloaded_again(self, filled_hub: HubServer, got: Path) -> None:
        right = remote_files(filled_hub)
        filled_hub.corrupt_file(REPO, SHARD, altered(right[SHARD]))
        for read in (lambda: download_dataset(REPO, got), lambda: open_groups(REPO)):
            with pytest.raises(HubError, match=f"{REPO} arrived damaged: {SHARD} has other content. Try again; if"):
                read()
        assert not got.exists()
        filled_hub.corrupt_file(REPO, SHARD, right[SHARD])
        download_dataset(REPO, got)
        assert contents(got) == right
        assert len(open_groups(REPO)) == 3

    def test_an_earlier_download_is_replaced_as_a_whole_or_not_at_all(self, filled_hub: HubServer, got: Path) -> None:
        first = remote_files(filled_hub)
        download_dataset(REPO, got)
        manifest = first[MANIFEST_FILE].replace(sha256(filled_hub, SHARD).encode(), b"0" * 64)
        filled_hub.push(REPO, {MANIFEST_FILE: manifest})
        with pytest.raises(HubError):
            download_dataset(REPO, got)
        assert contents(got) == first

    def test_a_folder_with_other_files_is_not_touched(self, got: Path) -> None:
        for theirs, name in (({"thesis.tex": b"mine"}, "manifest.json"), ({MANIFEST_FILE: b"{}"}, "thesis.tex")):
            write_files(got, theirs)
            before = contents(got.parent)
            with pytest.raises(OutputError, match=name):
                download_dataset(REPO, got)
            assert contents(got.parent) == before
        shutil.rmtree(got)
        download_dataset(REPO, got)
        write_files(got, {"notes.md": b"mine"})
        before = contents(got.parent)
        with pytest.raises(OutputError, match=r"notes\.md"):
            download_dataset(REPO, got)
        assert contents(got.parent) == before

    def test_a_publishers_own_dataset_keeps_its_names(self, published: Published, member: HubClient, got: Path) -> None:
        shutil.copytree(published.dataset, got)
        before = contents(got.parent)
        outcome = member.hggt_data("download", REPO, "--output", "got")
        assert outcome.exit_code == 1
        assert "is a dataset with annotators' names and times, which lab/hggt does not have" in outcome.err
        assert "Choose another --output, or remove the folder first." in outcome.err
        assert contents(got.parent) == before
        assert [path.name for path in got.parent.iterdir()] == ["got"]

    def test_descriptions_that_were_removed_from_the_hub_are_not_needed(self, filled_hub: HubServer, got: Path) -> None:
        filled_hub.push(REPO, {CARD_FILE: None, CROISSANT_FILE: None})
        download_dataset(REPO, got)
        assert contents(got) == remote_files(filled_hub)
        assert len(open_groups(REPO)) == 3


def lose(hub: HubServer) -> None:
    hub.drop_file(REPO, SHARD)


def alter(hub: HubServer) -> None:
    hub.swap_file(REPO, SHARD, remote_files(hub)["data/train-00000-of-00003.parquet"])


def lose_bytes(hub: HubServer) -> None:
    hub.lose_object(sha256(hub, SHARD))


def error_of(function: Callable[..., object], *arguments: object) -> str:
    """The error of a function, with its class."""
    try:
        result = function(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"no error, but {result}")


def errors_of_load_dataset(repo: str) -> list[str]:
    """The errors of `load_dataset` and of reading its rows, while streaming and without."""
    return [error_of(lambda k: list(load_dataset(repo, split="train", streaming=k)), k) for k in (True, False)]


class TestDamagedLater:
    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lose, f"does not agree with its manifest.json: {SHARD} is missing. Its publisher must push it again"),
            (alter, f"does not agree with its manifest.json: {SHARD} has other content"),
            (lose_bytes, SHARD),
        ],
    )
    def test_download_and_open_groups_name_the_shard(
        self, filled_hub: HubServer, got: Path, damage: Callable[[HubServer], None], message: str
    ) -> None:
        damage(filled_hub)
        filled_hub.requests.clear()
        assert message in error_of(download_dataset, REPO, got)
        if damage is not lose_bytes:  # the list of files is compared before the download
            assert fetched(filled_hub) == []
            assert list(got.parent.iterdir()) == []
        assert not got.exists()
        for _ in range(2):  # what has come is not taken for good the second time
            assert message in error_of(open_groups, REPO)

    def test_one_of_several_processes_downloads_while_the_others_wait(
        self, filled_hub: HubServer, tmp_path: Path
    ) -> None:
        filled_hub.faults = [Fault("GET", "/lfs/", Do(lambda: time.sleep(0.05)), times=100)]
        num_lists = []
        for threads in (1, 4):
            filled_hub.requests.clear()
            with ThreadPoolExecutor(threads) as pool:
                assert len(set(pool.map(fetch_dataset, [REPO] * threads))) == 1
            num_lists.append(sum("/tree/" in request.target for request in filled_hub.requests))
            shutil.rmtree(tmp_path / "hub-cache")
        assert 0 < num_lists[1] <= num_lists[0]  # those that wait compare nothing with the Hub

    def test_a_cache_that_cannot_be_written_to_is_enough(
        self, full_disk: FullDisk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with full_disk(0):
            for _ in range(2):
                assert len(open_groups(REPO)) == len(IDS)
                assert not (fetch_dataset(REPO) / CHECKED_FILE).exists()
                monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def test_files_that_other_programs_cached_are_checked_too(self, filled_hub: HubServer) -> None:
        from huggingface_hub import snapshot_download

        filled_hub.corrupt_file(REPO, SHARD, altered(remote_files(filled_hub)[SHARD]))
        snapshot_download(REPO, repo_type="dataset")
        filled_hub.requests.clear()
        with pytest.raises(HubError, match=f"{REPO} arrived damaged: {SHARD} has other content"):
            open_groups(REPO)
        assert fetched(filled_hub) == []

    def test_load_dataset_fails_and_gives_no_fewer_rows(self, filled_hub: HubServer, member: HubClient) -> None:
        lose(filled_hub)
        for error in member.call(errors_of_load_dataset, REPO):
            assert Path(SHARD).name in error

    def test_a_manifest_that_points_out_of_the_folder_is_refused(self, filled_hub: HubServer, got: Path) -> None:
        path = "../stolen.parquet"
        manifest = json.loads(remote_files(filled_hub)[MANIFEST_FILE])
        manifest["shards"][0]["path"] = path
        filled_hub.push(REPO, {MANIFEST_FILE: json.dumps(manifest).encode()})
        filled_hub.requests.clear()
        for read in (lambda: download_dataset(REPO, got), lambda: open_groups(REPO)):
            with pytest.raises(DatasetError, match=f"'{path}'"):
                read()
        assert fetched(filled_hub) == []
        assert not got.exists()


def load_every_way(revisions: list[str | None]) -> dict[tuple[str, bool, str | None], list[tuple[str, bytes | None]]]:
    """By config, streaming and revision: id and pixels of the first candidate of each row."""
    found = {}
    for revision in revisions:
        for config in ("default", "labels"):
            for streaming in (False, True):
                rows = load_dataset(REPO, config, split="train", streaming=streaming, revision=revision)
                pixels = [row["enhanced_01"].tobytes() if "enhanced_01" in row else None for row in rows]
                found[config, streaming, revision] = list(zip((row["id"] for row in rows), pixels, strict=True))
    return found


def test_load_dataset_gives_every_group_of_every_version(
    published: Published, member: HubClient, next_version: Path
) -> None:
    pixels = [group.read("01").tobytes() for group in open_groups(published.dataset)]
    assert member.hggt_data("push", "hggt", REPO, "--yes", "--workers", "1").exit_code == 0
    for (config, _, revision), rows in member.call(load_every_way, ["v1.0", None]).items():
        expected = list(zip(IDS, pixels if config == "default" else [None] * 3, strict=True))
        assert rows == expected[: 3 if revision == "v1.0" else 2]


class TestErrors:
    """Each is one line and says what to do."""

    def fail(self, repo_id: str = REPO, revision: str | None = None) -> str:
        with pytest.raises(HggtError) as raised:
            fetch_dataset(repo_id, revision)
        assert len(str(raised.value).splitlines()) == 1
        return str(raised.value)

    def test_no_such_dataset_or_revision(self, hub: HubServer) -> None:
        message = f"lab/hgtg: no such dataset on {hub.url}, or this token cannot read it. Check the name; for a private"
        assert message in self.fail("lab/hgtg")
        assert f"{REPO} has no revision 'v9'. Its tags and branches are listed at http://" in self.fail(revision="v9")
        assert "'a/b/c' is not a repository name; expected ORG/NAME" in error_of(download_dataset, "a/b/c", Path("got"))

    @pytest.mark.parametrize("token", ["", OUTSIDER])
    def test_a_private_or_gated_dataset(self, hub: HubServer, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        assert "repository run `hf auth login` or set HF_TOKEN" in self.fail()
        hub.repo(REPO).private, hub.repo(REPO).gated = False, "manual"
        page = f"{hub.url}/datasets/{REPO}"
        assert {
            OUTSIDER: f"{REPO} is gated, and this token has no access. Request access at {page}.",
            "": f"{REPO} is gated, and there is no token. Request access at {page}, then run `hf auth login`.",
        }[token] in self.fail()
        if token == OUTSIDER:
            hub.repo(REPO).readers.add("stan")
            assert fetch_dataset(REPO).is_dir()

    def test_no_network_and_offline(self, member: HubClient) -> None:
        for environment, message in (
            ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "request to http://127.0.0.1:9 failed: "),
            ({"HF_HUB_OFFLINE": "1"}, f"{REPO} is not in the cache, and the client is offline. Unset HF_HUB_OFFLINE"),
        ):
            outcome = replace(member, waits=False).having(**environment).hggt_data("download", REPO, "--output", "got")
            assert outcome.exit_code == 1
            assert message in outcome.err.splitlines()[-1]
            assert "Retry" not in outcome.err  # 23 seconds of it

    def test_the_rate_limit(self, hub: HubServer) -> None:
        answer = Response(429, headers={"Retry-After": "30"})
        hub.faults = [Fault(method, "", answer, times=100) for method in ("HEAD", "GET")]
        assert "rate limit is exceeded (429). Wait 30 s and try again." in self.fail()

    def test_a_repository_that_hggt_did_not_push(self, hub: HubServer) -> None:
        hub.push(REPO, {MANIFEST_FILE: None})
        assert f"{REPO} has no manifest.json; expected a dataset that hggt-data push has pushed" in self.fail()
