"""`hggt-data push`: what arrives, what is refused, and that no fault leaves the main branch half new."""

import io
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.dataset.manifest import CARD_FILE, MANIFEST_FILE, parse_manifest
from hggt_data.errors import RUN_AGAIN, HubError, OutputError, PublishError
from hggt_data.hub.pseudonyms import read_pseudonyms, write_pseudonyms
from hggt_data.hub.push import PushSettings, open_push
from hggt_data.io.files import sha256_of
from hggt_data.io.folders import open_beside
from hggt_data.licence import HGGT_TERMS
from hggt_data.loading import open_groups
from tests.hggt_data.people import (
    ALICE,
    ANNOTATORS,
    BOB,
    IDS,
    REPO,
    Published,
    build_named,
    remote_files,
    write_files,
    write_named_tree,
)
from tests.hggt_data.trees import contents, edit_text, write_tree
from tests.hub_client import READER, STRANGER, HubClient, Outcome
from tests.hub_server import CutRequest, CutResponse, Do, Fault, HubServer, Response, XetFolders, read_card

FAULTS = ("a flipped bit", "missing")


def publish(client: HubClient, *options: str, to: str = REPO) -> Outcome:
    return client.hggt_data("push", "hggt", to, "--yes", "--workers", "1", *options)


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def statuses(hub: HubServer) -> list[str]:
    """Of the pull requests, in their order."""
    return [discussion.status for discussion in hub.repo(REPO).discussions]


def commit_of(hub: HubServer, ref: str) -> str:
    return hub.repo(REPO).find_commit(ref).sha


@pytest.fixture
def named(published: Published, member: HubClient) -> Path:
    """A dataset with annotators' names as `hggt` in the member's folder, never published."""
    return Path(shutil.copytree(published.dataset, member.folder / "hggt"))


@pytest.fixture
def clean(published: Published, member: HubClient) -> Path:
    """The same without names, to be published as it is."""
    return write_files(member.folder / "hggt", remote_files(published.hub))


class TestWhole:
    def test_the_hub_holds_what_lies_here_byte_for_byte(self, hub: HubServer, member: HubClient, clean: Path) -> None:
        outcome = publish(member, "--tag", "v1.0")
        assert (outcome.exit_code, outcome.err) == (0, "")
        assert remote_files(hub) == contents(clean)
        assert hub.repo(REPO).kind == "dataset"
        assert hub.repo(REPO).private
        assert commit_of(hub, "v1.0") == commit_of(hub, "main")
        assert statuses(hub) == ["merged"]
        url = f"{hub.url}/datasets/lab/hggt"
        assert outcome.out.splitlines()[-2:] == [
            f"Published: {url} (private), commit {commit_of(hub, 'main')[:12]}.",
            'Load it: load_dataset("lab/hggt", revision="v1.0")',
        ]
        assert contents(member.folder) == {f"hggt/{path}": data for path, data in remote_files(hub).items()}

    def test_with_the_names_kept_nothing_is_rewritten(self, hub: HubServer, member: HubClient, named: Path) -> None:
        outcome = publish(member, "--keep-names")
        assert "3 names and all times are published (--keep-names)" in outcome.out
        assert remote_files(hub) == contents(named)
        assert [path.name for path in member.folder.iterdir()] == ["hggt"]

    def test_files_that_the_manifest_does_not_name_stay_here(
        self, hub: HubServer, member: HubClient, clean: Path
    ) -> None:
        before = contents(clean)
        (clean / "data" / "notes.txt").write_text("not for others")
        (clean / "notes.md").write_text("not for others")
        assert publish(member).exit_code == 0
        assert remote_files(hub) == before

    def test_the_same_again_changes_nothing(self, hub: HubServer, member: HubClient, named: Path) -> None:
        first = publish(member, "--tag", "v1.0")
        before = hub.snapshot()
        again = publish(member, "--tag", "v1.0")
        assert again.exit_code == 0
        assert "upload      0 files of 6, 0 bytes" in again.out
        assert again.out.splitlines()[-2:] == first.out.splitlines()[-2:]
        assert hub.snapshot() == before

    def test_public_if_asked_for(self, hub: HubServer, member: HubClient, clean: Path) -> None:
        outcome = publish(member, "--public")
        assert outcome.exit_code == 0
        assert not hub.repo(REPO).private
        assert "(public)" in outcome.out

    def test_the_terms_of_hggt_may_go_out_with_the_authors_permission_or_privately(
        self, hub: HubServer, member: HubClient, real_dataset: Path
    ) -> None:
        shutil.copytree(real_dataset, member.folder / "hggt")
        assert publish(member, "--public", "--i-have-permission").exit_code == 0
        assert not hub.repo(REPO).private
        assert publish(member, to="lab/other").exit_code == 0
        assert hub.repo("lab/other").private
        for name in (REPO, "lab/other"):
            assert HGGT_TERMS in hub.files(name)["README.md"].decode()
        assert [path.name for path in member.folder.iterdir()] == ["hggt"]  # it has no names to keep

    @pytest.mark.parametrize("gated", ["auto", "manual"])
    def test_the_gate_is_set_before_any_content_is_sent(
        self, hub: HubServer, member: HubClient, clean: Path, gated: str
    ) -> None:
        outcome = publish(member, "--gated", gated)
        assert f"private, gated ({gated})" in outcome.out
        assert hub.repo(REPO).gated == gated
        targets = [(request.method, request.target.split("?")[0]) for request in hub.writes]
        assert targets[:2] == [("POST", "/api/repos/create"), ("PUT", "/api/datasets/lab/hggt/settings")]
        assert publish(member).exit_code == 0  # without the option it stays as it is
        assert hub.repo(REPO).gated == gated

    def test_the_card_passes_the_check_of_the_hub(
        self, published: Published, hub: HubServer, member: HubClient, real_dataset: Path
    ) -> None:
        shutil.copytree(real_dataset, member.folder / "hggt")
        assert publish(member).exit_code == 0
        for server in (published.hub, hub):
            checks = [request.status for request in server.requests if request.target == "/api/validate-yaml"]
            assert set(checks) == {200}
            _, errors, warnings = read_card(server.files(REPO)["README.md"].decode())
            assert (errors, warnings) == ([], [])

    def test_from_inside_the_folder_to_a_repository_of_ones_own(
        self, hub: HubServer, member: HubClient, named: Path
    ) -> None:
        inside = replace(member, folder=named)
        outcome = inside.hggt_data("push", ".", "maria/hggt", "--yes", "--workers", "1")
        assert outcome.exit_code == 0
        assert hub.files("maria/hggt").keys() == {".gitattributes", *contents(named)}
        assert sorted(path.name for path in member.folder.iterdir()) == ["hggt", "hggt.pseudonyms.csv"]

    def test_an_empty_repository_that_is_there_is_used(self, hub: HubServer, member: HubClient, clean: Path) -> None:
        assert member.call(create_repository, REPO, private=True) == f"{hub.url}/datasets/{REPO}"
        hub.push(REPO, {"README.md": b"---\nlicense: mit\n---\n"})
        assert publish(member).exit_code == 0
        assert remote_files(hub) == contents(clean)


def create_repository(repo_id: str, private: bool) -> str:
    from huggingface_hub import create_repo

    return str(create_repo(repo_id, repo_type="dataset", private=private))


class TestNextVersion:
    @pytest.fixture
    def first(self, hub: HubServer, member: HubClient, named: Path) -> dict[str, bytes]:
        """What the first version has put on the Hub."""
        assert publish(member, "--tag", "v1.0").exit_code == 0
        return remote_files(hub)

    @pytest.fixture
    def fewer(self, member: HubClient, tmp_path: Path) -> Callable[[], Path]:
        """Builds the dataset again with two of its three groups."""

        def build() -> Path:
            return build_named(write_named_tree(tmp_path / "Fewer", IDS[:2]), member.folder / "hggt")

        return build

    def test_exactly_the_shards_of_the_version_before_are_deleted(
        self, hub: HubServer, member: HubClient, first: dict[str, bytes], fewer: Callable[[], Path]
    ) -> None:
        others = {
            "data/train-00000-of-00009.parquet": b"a shard of somebody else",
            "data/notes.txt": b"notes",
            "labels/val.parquet": b"a table of somebody else",
            "evaluation/scores.csv": b"1\n",
        }
        hub.push(REPO, others)
        fewer()
        outcome = publish(member, "--tag", "v2.0")
        assert outcome.exit_code == 0
        gone = [f"data/train-0000{k}-of-00003.parquet" for k in range(3)]
        at = outcome.out.index("  delete      3 files of the version that is there\n")
        assert outcome.out[at:].split("\n")[1:4] == [f"    {path}" for path in gone]
        after = remote_files(hub)
        assert {path: after.pop(path) for path in others} == others
        new = [f"data/train-0000{k}-of-00002.parquet" for k in range(2)]
        assert set(after) == {*new, "README.md", "labels/train.parquet", MANIFEST_FILE}
        assert first.keys() - after.keys() == set(gone)
        assert remote_files(hub, "v1.0") == first
        assert statuses(hub) == ["merged", "merged"]

    def test_only_what_has_changed_is_sent(self, hub: HubServer, member: HubClient, published: Published) -> None:
        tree = Path(shutil.copytree(published.tree, member.folder.parent / "Train"))
        build_named(tree, member.folder / "hggt")
        assert publish(member).exit_code == 0
        edit_text(tree / "labels/0-9/A/p1-0-0.json", '"Total": 30', '"Total": 29')
        build_named(tree, member.folder / "hggt")
        hub.requests.clear()
        outcome = publish(member)
        # The card names the content, the manifest all hashes.
        changed = ["data/train-00001-of-00003.parquet", "labels/train.parquet", "README.md", MANIFEST_FILE]
        assert [line.split()[1] for line in outcome.out.splitlines() if line.startswith("    changed")] == changed
        assert sum(request.method == "PUT" for request in hub.requests) == 2

    def test_the_main_branch_is_the_old_or_the_new_version_at_every_moment(
        self, hub: HubServer, member: HubClient, first: dict[str, bytes], fewer: Callable[[], Path]
    ) -> None:
        seen = [first]

        def look() -> None:
            if remote_files(hub) != seen[-1]:
                seen.append(remote_files(hub))

        fewer()
        hub.faults = [Fault(method, "", Do(look, "after"), times=1000) for method in ("POST", "PUT", "DELETE", "GET")]
        assert publish(member).exit_code == 0
        assert seen == [first, remote_files(hub)]

    def test_a_reader_of_a_tag_has_the_old_version_for_ever(
        self, hub: HubServer, member: HubClient, first: dict[str, bytes], fewer: Callable[[], Path]
    ) -> None:
        fewer()
        assert publish(member).exit_code == 0
        outcome = member.hggt_data("download", REPO, "--revision", "v1.0", "--output", "old")
        assert outcome.exit_code == 0
        assert contents(member.folder / "old") == first
        assert member.hggt_data("download", REPO, "--output", "new").exit_code == 0
        assert contents(member.folder / "new") == remote_files(hub) != first


def write_nameless_tree(root: Path) -> Path:
    """A tree without names and without times."""
    tree = write_tree(root, IDS, candidates=("01",))
    for path in tree.rglob("*.json"):
        content = json.loads(path.read_text())
        del content["Time_cost"]
        path.write_text(json.dumps(content))
    return tree


class TestPeople:
    """What becomes of names over several publications; what one of them holds is in test_pseudonyms.py."""

    def published_names(self, hub: HubServer) -> dict[tuple[str, str], str | None]:
        """(group, slot) to annotator."""
        table = pq.read_table(io.BytesIO(remote_files(hub)["labels/train.parquet"]))
        return {
            (row["id"], annotation["slot"]): annotation["annotator"]
            for row in table.to_pylist()
            for annotation in row["annotations"]
        }

    def test_pseudonyms_stay_over_publications_and_when_somebody_joins(
        self, filled_hub: HubServer, member: HubClient, published: Published, tmp_path: Path
    ) -> None:
        shutil.copy(published.dataset.with_name("hggt.pseudonyms.csv"), member.folder)
        before = self.published_names(filled_hub)
        tree = write_named_tree(tmp_path / "Train", annotators=ANNOTATORS | {("p2-0-0", "B"): "Dave"})
        build_named(tree, member.folder / "hggt")
        assert publish(member).exit_code == 0
        after = self.published_names(filled_hub)
        assert before.pop(("p2-0-0", "B")) is None
        dave = after.pop(("p2-0-0", "B"))
        assert dave is not None
        assert dave not in before.values()
        assert after == before
        assert not [path for path, data in remote_files(filled_hub).items() if b"Dave" in data]

    def test_nobody_gets_a_second_pseudonym_because_a_file_was_lost(
        self, filled_hub: HubServer, member: HubClient, next_version: Path
    ) -> None:
        before = self.published_names(filled_hub)
        (member.folder / "hggt.pseudonyms.csv").unlink()
        refused = publish(member)
        assert refused.exit_code == 1
        assert f"{REPO} has pseudonyms for its annotators, and " in refused.err
        assert "Put it there, or pass --new-pseudonyms" in refused.err
        assert self.published_names(filled_hub) == before
        assert [path.name for path in member.folder.iterdir()] == ["hggt"]
        assert publish(member, "--new-pseudonyms").exit_code == 0
        assert not set(self.published_names(filled_hub).values()) & set(before.values()) - {None}

    def test_names_in_the_history_are_told(self, member: HubClient, named: Path) -> None:
        told = "warning     the version that is there was published with names and times, and its history will still"
        assert told not in publish(member, "--keep-names").out
        assert told in publish(member).out
        assert told not in publish(member).out

    def test_names_in_an_upload_that_was_not_finished_are_told(
        self, hub: HubServer, member: HubClient, named: Path
    ) -> None:
        hub.faults = [Fault("POST", "/merge$", Response(503))]
        assert publish(member, "--public", "--keep-names").exit_code == 1
        hub.faults = []
        told = "  warning     an upload that was not finished holds names and times, which all who read the repository "
        told += f"see in {hub.url}/datasets/{REPO}/discussions/1; delete the repository to be rid of them\n"
        assert told in publish(member, "--public", "--dry-run").out
        for _ in range(2):  # closing the request does not hide what is in it
            outcome = publish(member, "--public")
            assert outcome.exit_code == 0
            assert told in outcome.out
        assert statuses(hub) == ["closed", "merged"]
        assert ALICE.encode() in b"".join(remote_files(hub, "refs/pr/1").values())

    def test_a_version_without_names_and_times_is_no_reason_to_warn(
        self, hub: HubServer, member: HubClient, named: Path
    ) -> None:
        build_named(write_nameless_tree(member.folder.parent / "T"), member.folder / "hggt")
        assert publish(member).exit_code == 0
        build_named(write_named_tree(member.folder.parent / "Named"), member.folder / "hggt")
        outcome = publish(member)
        assert outcome.exit_code == 0
        assert "warning" not in outcome.out

    @pytest.mark.parametrize("known", [(), (ALICE,)], ids=["of other people", "of one only"])
    def test_nobody_gets_a_second_pseudonym_because_the_file_is_of_another_dataset(
        self, filled_hub: HubServer, member: HubClient, next_version: Path, known: tuple[str, ...]
    ) -> None:
        path = member.folder / "hggt.pseudonyms.csv"
        pairs = {name: pseudonym for name, pseudonym in read_pseudonyms(path).items() if name in known}
        write_pseudonyms(path, pairs | {"Dave": "annotator-123456"})
        before = filled_hub.snapshot()
        refused = publish(member)
        assert refused.exit_code == 1
        assert "does not know annotator-" in refused.err
        assert filled_hub.snapshot() == before

    def test_pictures_with_metadata_are_told(self, hub: HubServer, member: HubClient) -> None:
        tree = write_named_tree(member.folder.parent / "T")
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "saved by alice in /home/alice")
        with Image.open(tree / "images/0-9/original/p0-0-0.png") as picture:
            picture.save(tree / "images/0-9/original/p0-0-0.png", pnginfo=text)
        build_named(tree, member.folder / "hggt")
        told = "warning     1 picture with metadata, perhaps a place or a name: train-0/images/0-9/original/p0-0-0.png"
        assert told in publish(member, "--dry-run").out

    def test_names_are_published_if_asked_for(self, hub: HubServer, member: HubClient, named: Path) -> None:
        assert publish(member, "--keep-names").exit_code == 0
        assert set(self.published_names(hub).values()) == {ALICE, BOB, None}

    def test_publishing_what_was_downloaded_changes_nothing(
        self, filled_hub: HubServer, member: HubClient, tmp_path: Path
    ) -> None:
        assert member.hggt_data("download", REPO, "--output", "hggt").exit_code == 0
        before, here = filled_hub.snapshot(), contents(member.folder)
        outcome = publish(member, "--tag", "v1.0")
        assert outcome.exit_code == 0
        assert "pseudonyms and relative times, as in this dataset" in outcome.out
        assert filled_hub.snapshot() == before
        assert contents(member.folder) == here

    def test_a_dataset_without_names_and_times_goes_out_as_it_is(self, hub: HubServer, member: HubClient) -> None:
        dataset = build_named(write_nameless_tree(member.folder.parent / "T"), member.folder / "hggt")
        outcome = publish(member)
        assert "people      no names; no times" in outcome.out
        assert remote_files(hub) == contents(dataset)
        assert [path.name for path in member.folder.iterdir()] == ["hggt"]


class TestCard:
    """It may be edited, here or there; no reader is locked out, and no edit is lost without a word."""

    EDIT = b"\nSee doi:10.5555/12345678.\n"

    @pytest.fixture
    def edited(self, filled_hub: HubServer) -> bytes:
        """The card as somebody has edited it on the Hub's website."""
        card = remote_files(filled_hub)[CARD_FILE] + self.EDIT
        filled_hub.push(REPO, {CARD_FILE: card})
        return card

    def test_one_that_was_edited_on_the_hub_is_read(
        self, filled_hub: HubServer, member: HubClient, edited: bytes
    ) -> None:
        assert member.hggt_data("download", REPO, "--output", "got").exit_code == 0
        assert contents(member.folder / "got") == remote_files(filled_hub)
        assert member.call(count_groups, REPO) == len(IDS)
        before = filled_hub.snapshot()
        (member.folder / "got").rename(member.folder / "hggt")
        again = publish(member)  # with the edit
        assert again.exit_code == 0
        assert "warning" not in again.out
        assert filled_hub.snapshot() == before

    def test_one_that_was_removed_from_the_hub_is_not_needed(self, filled_hub: HubServer, member: HubClient) -> None:
        filled_hub.push(REPO, {CARD_FILE: None})
        assert member.hggt_data("download", REPO, "--output", "got").exit_code == 0
        assert contents(member.folder / "got") == remote_files(filled_hub)
        assert member.call(count_groups, REPO) == len(IDS)

    def test_the_plan_says_that_an_edit_on_the_hub_is_replaced(
        self, filled_hub: HubServer, member: HubClient, next_version: Path, edited: bytes
    ) -> None:
        told = "  warning     README.md was edited on the Hub, and is replaced; its history keeps the edit\n"
        assert told in publish(member, "--dry-run").out
        assert remote_files(filled_hub)[CARD_FILE] == edited
        assert told in publish(member).out
        assert self.EDIT not in remote_files(filled_hub)[CARD_FILE]
        assert told not in publish(member).out

    def test_an_edit_here_is_published_with_what_goes_out_as_it_is(
        self, hub: HubServer, member: HubClient, clean: Path
    ) -> None:
        with (clean / CARD_FILE).open("ab") as file:
            file.write(self.EDIT)
        outcome = publish(member)
        assert outcome.exit_code == 0
        assert "warning" not in outcome.out
        assert remote_files(hub) == contents(clean)

    def test_the_plan_says_that_an_edit_here_is_not_published(
        self, hub: HubServer, member: HubClient, named: Path
    ) -> None:
        with (named / CARD_FILE).open("ab") as file:
            file.write(b"Thanks to Alice.\n")
        outcome = publish(member)
        assert outcome.exit_code == 0
        assert (
            "warning     README.md was edited here; what is published is written anew, without the edit" in outcome.out
        )
        assert b"Alice" not in remote_files(hub)[CARD_FILE]

    @pytest.mark.parametrize("options", [(), ("--dry-run",)])
    def test_a_licence_that_the_hub_does_not_know_is_told_before_anything_is_sent(
        self, hub: HubServer, member: HubClient, published: Published, options: tuple[str, ...]
    ) -> None:
        settings = BuildSettings(trees=(published.tree,), output=member.folder / "hggt", license="lab-1.0", workers=1)
        build_dataset(settings)
        refused = publish(member, *options)
        assert refused.exit_code == 1
        assert f'the Hub does not take the card of {REPO}: "license" must be one of' in refused.err
        assert hub.snapshot() == {}


def count_groups(repo: str) -> int:
    return len(open_groups(repo))


class TestDryRun:
    def test_nothing_is_written_there_or_here(self, hub: HubServer, member: HubClient, named: Path) -> None:
        here = contents(member.folder)
        outcome = member.hggt_data(
            *("push", "hggt", REPO, "--dry-run", "--gated", "auto", "--tag", "v1.0", "--workers", "1")
        )
        assert (outcome.exit_code, outcome.err) == (0, "")
        assert hub.snapshot() == {}
        assert contents(member.folder) == here
        lines = outcome.out.splitlines()
        assert lines[:5] == [
            f"hggt -> {hub.url}/datasets/{REPO}",
            "  repository  new; private, gated (auto)",
            "  people      3 names replaced by pseudonyms; times made relative",
            "  licence     cc0-1.0",
            "  tag         v1.0",
        ]
        assert lines[-2:] == [
            "  delete      0 files of the version that is there",
            "Nothing was sent (--dry-run).",
        ]

    def test_it_foretells_what_publishing_sends(self, hub: HubServer, member: HubClient, clean: Path) -> None:
        outcome = member.hggt_data("push", "hggt", REPO, "--dry-run")
        told = [line.split() for line in outcome.out.splitlines() if line.startswith("    ")]
        sizes = {path: len(data) for path, data in contents(clean).items()}
        assert {path: int(size.replace(",", "")) for _, path, size in told} == sizes
        assert f"upload      6 files of 6, {sum(sizes.values()):,} bytes" in outcome.out

    def test_it_tells_what_is_there_and_what_would_be_deleted(
        self, filled_hub: HubServer, member: HubClient, next_version: Path
    ) -> None:
        before, here = filled_hub.snapshot(), contents(member.folder)
        outcome = member.hggt_data("push", "hggt", REPO, "--dry-run", "--workers", "1")
        assert "  repository  is there, with 7 files; private\n" in outcome.out
        assert "    new        data/train-00000-of-00002.parquet" in outcome.out
        assert "    changed    README.md" in outcome.out
        assert (
            "  delete      3 files of the version that is there\n    data/train-00000-of-00003.parquet\n" in outcome.out
        )
        assert filled_hub.snapshot() == before
        assert contents(member.folder) == here
        assert not (member.folder.parent / "home" / "hub").exists()


class TestRefused:
    @pytest.fixture
    def refused(self, hub: HubServer, member: HubClient) -> Callable[..., str]:
        """Publishes, and asserts that it fails with one line and that nothing has changed, there or here."""

        def attempt(*options: str, client: HubClient = member, to: str = REPO) -> str:
            there, here = hub.snapshot(), listing(member.folder)
            outcome = publish(client, *options, to=to)
            assert outcome.exit_code == 1, outcome.err
            assert outcome.err.startswith("Error: ")
            assert len(outcome.err.splitlines()) == 1
            assert hub.snapshot() == there
            assert listing(member.folder) == here
            return outcome.err

        return attempt

    def test_a_public_push_of_data_under_the_terms_of_hggt(
        self, hub: HubServer, member: HubClient, real_dataset: Path, refused: Callable[..., str]
    ) -> None:
        shutil.copytree(real_dataset, member.folder / "hggt")
        message = refused("--public")
        assert HGGT_TERMS in message
        assert "leave out --public" in message
        assert "--i-have-permission" in message
        assert hub.requests == []

    def test_the_terms_on_a_card_count_whatever_the_manifest_says(
        self, hub: HubServer, member: HubClient, real_dataset: Path, refused: Callable[..., str]
    ) -> None:
        folder = Path(shutil.copytree(real_dataset, member.folder / "hggt"))
        edit_text(folder / MANIFEST_FILE, '"license": null', '"license": "mit"')
        assert HGGT_TERMS in refused("--public")
        assert hub.requests == []

    @pytest.mark.parametrize("license_id", ["hggt-terms", "other", "unknown"])
    def test_a_licence_that_is_none_counts_as_the_terms_of_hggt(
        self, hub: HubServer, member: HubClient, clean: Path, refused: Callable[..., str], license_id: str
    ) -> None:
        edit_text(clean / MANIFEST_FILE, '"license": "cc0-1.0"', f'"license": "{license_id}"')
        assert HGGT_TERMS in refused("--public")
        assert hub.requests == []

    def test_these_words_elsewhere_in_a_card_are_no_licence(
        self, hub: HubServer, member: HubClient, clean: Path
    ) -> None:
        with (clean / CARD_FILE).open("a") as file:
            file.write("Not under `license_name: hggt-terms`.\n")
        assert publish(member, "--public").exit_code == 0

    @pytest.mark.parametrize("private", [True, False])
    def test_a_push_of_another_visibility_than_the_repository_has(
        self, hub: HubServer, member: HubClient, named: Path, refused: Callable[..., str], private: bool
    ) -> None:
        member.call(create_repository, REPO, private=private)
        options = ["--public"] if private else []
        message = refused(*options)
        found, wanted = ("private", "public") if private else ("public", "private")
        assert f"{REPO} is {found}, and this push is {wanted}; nothing was sent." in message
        assert ("or leave out --public" if private else "or pass --public") in message
        assert f"{hub.url}/datasets/{REPO}/settings" in message
        assert refused(*options, "--dry-run") == message

    def test_a_tag_that_names_another_version(self, next_version: Path, refused: Callable[..., str]) -> None:
        assert "has a tag v1.0 already, of another version; choose another" in refused("--tag", "v1.0")

    def test_a_tag_that_is_called_like_a_branch(
        self, filled_hub: HubServer, next_version: Path, refused: Callable[..., str]
    ) -> None:
        filled_hub.repo(REPO).refs["refs/heads/dev"] = commit_of(filled_hub, "main")
        assert "has a branch dev, for which readers would take it" in refused("--tag", "dev")

    def test_a_repository_with_the_work_of_somebody_else(
        self, hub: HubServer, member: HubClient, named: Path, refused: Callable[..., str]
    ) -> None:
        member.call(create_repository, REPO, private=True)
        hub.push(REPO, {"data/train-00000-of-00001.parquet": b"theirs"})
        message = refused()
        assert f"{hub.url}/datasets/{REPO} holds files that hggt has not published: data/train-00000" in message
        assert "Choose another name" in message

    @pytest.mark.parametrize("what", ["another file of that name", "one that points elsewhere"])
    def test_a_repository_whose_manifest_no_build_has_written(
        self, filled_hub: HubServer, named: Path, refused: Callable[..., str], what: str
    ) -> None:
        manifest = remote_files(filled_hub)[MANIFEST_FILE].replace(b"data/train-00000", b"../train-00000")
        filled_hub.push(REPO, {MANIFEST_FILE: b'{"some": "thing"}' if what.startswith("another") else manifest})
        assert refused().endswith(", or choose another name on the Hub.\n")

    @pytest.mark.parametrize(
        ("path", "how"),
        [
            *((path, how) for path in ("data/train-00001-of-00003.parquet", "labels/train.parquet") for how in FAULTS),
            ("README.md", "missing"),
        ],
    )
    def test_a_dataset_that_is_not_as_its_manifest_says(
        self, named: Path, refused: Callable[..., str], path: str, how: str
    ) -> None:
        if how == "missing":
            (named / path).unlink()
        else:
            data = bytearray((named / path).read_bytes())
            data[len(data) // 2] ^= 1
            (named / path).write_bytes(data)
        message = refused()
        assert path in message
        assert "Traceback" not in message

    def test_without_a_token(self, member: HubClient, named: Path, refused: Callable[..., str]) -> None:
        message = refused(client=member.having(HF_TOKEN=""))
        assert message == "Error: no token for the Hub. Run `hf auth login`, or set HF_TOKEN.\n"

    def test_with_a_token_that_the_hub_does_not_know(
        self, member: HubClient, named: Path, refused: Callable[..., str]
    ) -> None:
        assert "does not know this token (401). Run `hf auth login`" in refused(client=member.having(HF_TOKEN="hf_old"))

    def test_without_network(self, member: HubClient, named: Path, refused: Callable[..., str]) -> None:
        message = refused(client=member.having(HF_ENDPOINT="http://127.0.0.1:9"))
        assert "no connection to http://127.0.0.1:9" in message
        assert "Check the network. Run the same command again" in message

    def test_in_the_offline_mode(self, member: HubClient, named: Path, refused: Callable[..., str]) -> None:
        assert "the offline mode is on. Unset HF_HUB_OFFLINE" in refused(client=member.having(HF_HUB_OFFLINE="1"))

    def test_while_another_process_publishes_it(
        self, member: HubClient, named: Path, refused: Callable[..., str]
    ) -> None:
        with open_beside(named, "push"):
            assert "another process is writing to" in refused()

    def test_where_the_disk_has_no_room_for_the_copy(
        self, online: None, hub: HubServer, named: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = listing(named.parent)
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
        settings = PushSettings(repo_id=REPO, dataset=named, workers=1)
        with pytest.raises(OutputError, match=r"the copy without names needs [0-9,]+ bytes more, and 1,000 are free"):
            open_push(settings).__enter__()
        assert hub.snapshot() == {}
        assert listing(named.parent) == here

    @pytest.mark.parametrize("token", [READER, STRANGER])
    @pytest.mark.parametrize("there", [False, True], ids=["new", "a next version"])
    def test_without_the_right_to_write(
        self,
        hub: HubServer,
        member: HubClient,
        published: Published,
        tmp_path: Path,
        refused: Callable[..., str],
        token: str,
        there: bool,
    ) -> None:
        shutil.copytree(published.dataset, member.folder / "hggt")
        if there:
            assert publish(member, "--public").exit_code == 0
            build_named(write_named_tree(tmp_path / "Fewer", IDS[:2]), member.folder / "hggt")
        message = refused("--public", client=member.having(HF_TOKEN=token))
        assert {
            READER: f"may only read. Make one with the role `write` at {hub.url}/settings/tokens.",
            STRANGER: "is of stan, who may write to stan; not lab",
        }[token] in message

    @pytest.mark.parametrize("name", ["hggt", "lab/hg gt", "a/b/c", "../x", "lab/a--b", "https://hf.co/lab/x"])
    def test_a_name_that_is_none_on_the_hub(
        self, hub: HubServer, named: Path, refused: Callable[..., str], name: str
    ) -> None:
        assert "expected ORG/NAME" in refused(to=name)
        assert hub.requests == []

    @pytest.mark.parametrize("tag", ["", "v 1", "v/1", "-v", "refs/heads/main", "v1\n", "v1..2", "main", "v1.lock"])
    def test_a_tag_that_is_none(self, tmp_path: Path, tag: str) -> None:
        with pytest.raises(PublishError, match="is no tag; expected letters"):
            PushSettings(dataset=tmp_path, repo_id=REPO, tag=tag)

    def test_where_nobody_can_be_asked(self, hub: HubServer, member: HubClient, named: Path) -> None:
        here = listing(member.folder)
        outcome = member.hggt_data("push", "hggt", REPO, "--workers", "1")
        assert outcome.exit_code == 2
        assert "there is nobody to ask; pass --yes to publish" in " ".join(outcome.err.split())
        assert hub.snapshot() == {}
        assert listing(member.folder) == here

    def test_whoever_says_no_sends_nothing(self, hub: HubServer, member: HubClient, named: Path) -> None:
        out = member.call(publish_and_answer, "n")
        assert "Publish it as a private dataset? [y/N]" in out
        assert out.endswith("Nothing was sent.\n")
        assert hub.snapshot() == {}
        assert not (member.folder / ".hggt.push").exists()

    def test_whoever_says_yes_publishes(self, hub: HubServer, member: HubClient, named: Path) -> None:
        assert "Published: " in member.call(publish_and_answer, "y")
        assert statuses(hub) == ["merged"]

    def test_a_folder_that_is_no_dataset(self, member: HubClient, refused: Callable[..., str]) -> None:
        (member.folder / "hggt").mkdir()
        assert "has no manifest.json; expected a dataset built by hggt" in refused()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def publish_and_answer(answer: str) -> str:
    """What somebody at a terminal sees."""
    from hggt_data.cli.main import main

    sys.stdin, sys.stdout = Terminal(f"{answer}\n"), Terminal()
    main(["push", "hggt", REPO, "--workers", "1"], standalone_mode=False)
    return sys.stdout.getvalue()


class TestFaults:
    """After each fault the same command is run again: it goes on, and the Hub holds what lies here."""

    @pytest.fixture
    def survive(self, hub: HubServer, member: HubClient, clean: Path) -> Callable[..., Outcome]:
        """Publishes into a fault and again without it, where it has not healed; checks what holds after any fault."""

        def attempt(fault: Fault, client: HubClient = member) -> Outcome:
            hub.faults = [fault]
            first = publish(client, "--tag", "v1.0")
            assert fault.seen > fault.after, "there was no such request"
            hub.faults = []
            assert not hub.repos or remote_files(hub) in ({}, contents(clean))
            if first.exit_code != 0:
                again = publish(member, "--tag", "v1.0")
                assert (again.exit_code, again.err) == (0, "")
            assert remote_files(hub) == contents(clean)
            assert commit_of(hub, "v1.0") == commit_of(hub, "main")
            assert statuses(hub) == ["merged"]
            arrived = [r.target for r in hub.requests if r.method == "PUT" and r.status == 200]
            assert len(arrived) == len(set(arrived)) == 4  # each large file once
            assert [path.name for path in member.folder.iterdir()] == ["hggt"]
            return first

        return attempt

    @pytest.mark.parametrize("path", ["repos/create", "/commit/", "/merge$", "/tag/"])
    def test_the_server_has_a_fault(self, survive: Callable[..., Outcome], path: str) -> None:
        first = survive(Fault("POST", path, Response(503)))
        message = f"the Hub has a fault of its own (503). {RUN_AGAIN}"
        assert (first.exit_code, first.err) == (1, f"Error: {message}\n")

    @pytest.mark.parametrize("wait", ["17", None])
    def test_there_were_too_many_requests(self, survive: Callable[..., Outcome], wait: str | None) -> None:
        first = survive(Fault("POST", "/commit/", Response(429, headers={"Retry-After": wait} if wait else {})))
        assert first.exit_code == 1
        when = f"{wait} s" if wait else "some minutes"
        assert f"Error: too many requests for the Hub's rate limit (429). Wait: {when}. Run the same" in first.err

    def test_there_were_too_many_requests_and_the_client_waits(self, survive: Callable[..., Outcome]) -> None:
        began = time.monotonic()
        first = survive(Fault("POST", "objects/batch", Response(429, headers={"Retry-After": "0"})))
        assert first.exit_code == 0
        assert time.monotonic() - began > 1

    @pytest.mark.parametrize(
        ("path", "status", "message"),
        [
            ("whoami", 401, "does not know this token (401). Run `hf auth login`"),
            ("/commit/", 401, "does not know this token (401). Run `hf auth login`"),
            ("objects/batch", 403, "may not do that with lab/hggt (403). It needs the role `write` and rights in lab"),
            ("/merge$", 403, "may not do that with lab/hggt (403). It needs the role `write` and rights in lab"),
        ],
    )
    def test_the_token_loses_its_rights_on_the_way(
        self, survive: Callable[..., Outcome], path: str, status: int, message: str
    ) -> None:
        first = survive(Fault("GET" if path == "whoami" else "POST", path, Response(status)))
        assert first.exit_code == 1
        assert message in first.err

    @pytest.mark.parametrize(("times", "exit_code"), [(2, 0), (100, 1)], ids=["for a moment", "for good"])
    def test_the_connection_is_cut_in_the_middle_of_a_file(
        self, member: HubClient, survive: Callable[..., Outcome], times: int, exit_code: int
    ) -> None:
        cut = Fault("PUT", "/lfs/", CutRequest(after_bytes=4000), times=times, after=1)
        first = survive(cut, replace(member, waits=False))
        assert first.exit_code == exit_code
        if exit_code:
            *retries, last = first.err.splitlines()
            assert last.startswith("Error: no connection to http://127.0.0.1:")
            assert last.endswith(f"Check the network. {RUN_AGAIN}")
            assert len([line for line in retries if "Retrying in" in line]) >= 5

    @pytest.mark.parametrize("path", ["discussions$", "/commit/", "/merge$", "/tag/"])
    def test_an_answer_is_lost_although_it_was_done(self, survive: Callable[..., Outcome], path: str) -> None:
        first = survive(Fault("POST", path, CutResponse()))
        if path != "/merge$":  # whether it was done is looked up there
            assert first.exit_code == 1
            assert "no connection to" in first.err

    @pytest.mark.parametrize(
        ("method", "path", "after", "when"),
        [
            ("GET", "/discussions", 0, "after"),
            ("PUT", "/lfs/", 2, "after"),
            ("POST", "/commit/", 0, "after"),
            ("POST", "/merge$", 0, "after"),
        ],
        ids=["before the pull request", "between two files", "between commit and merge", "between merge and tag"],
    )
    def test_the_client_is_killed(
        self,
        member: HubClient,
        survive: Callable[..., Outcome],
        method: str,
        path: str,
        after: int,
        when: Literal["before", "after"],
    ) -> None:
        assert survive(Fault(method, path, Do(member.kill, when), after=after)).exit_code == -signal.SIGKILL

    def test_the_user_interrupts(self, member: HubClient, survive: Callable[..., Outcome]) -> None:
        first = survive(Fault("PUT", "/lfs/", Do(partial(member.kill, signal.SIGINT)), after=1))
        assert (first.exit_code, first.err) == (130, f"Interrupted. {RUN_AGAIN}\n")


class TestXet:
    """The transport that every installation has unless it is switched off."""

    @pytest.fixture
    def through_xet(self, hub: HubServer, member: HubClient, tmp_path: Path) -> HubClient:
        pytest.importorskip("hf_xet", reason="install hf_xet")
        hub.xet = XetFolders(tmp_path / "xet", member.folder)
        return member.having(HF_HUB_DISABLE_XET="0")

    def test_the_hub_holds_what_lies_here(self, hub: HubServer, through_xet: HubClient, clean: Path) -> None:
        outcome = publish(through_xet, "--tag", "v1.0")
        assert (outcome.exit_code, outcome.err) == (0, "")
        assert remote_files(hub) == contents(clean)
        assert commit_of(hub, "v1.0") == commit_of(hub, "main")
        assert not [request for request in hub.requests if request.method == "PUT"]  # nothing went by LFS
        assert list((hub.xet.store if hub.xet else clean).iterdir())

    def test_a_refusal_is_no_fault_of_the_network(self, hub: HubServer, through_xet: HubClient, clean: Path) -> None:
        hub.faults = [Fault("GET", "xet-write-token", Response(403), times=100)]
        refused = publish(through_xet)
        assert refused.exit_code == 1
        assert refused.err.splitlines()[-1].startswith("Error: this token may not do that with lab/hggt (403).")
        hub.faults = []
        assert publish(through_xet).exit_code == 0
        assert remote_files(hub) == contents(clean)


@pytest.mark.parametrize(("method", "path"), [("POST", "repos/create"), ("PUT", "/lfs/")])
def test_a_client_killed_goes_on_with_its_copy_and_the_same_pseudonyms(
    hub: HubServer, member: HubClient, named: Path, method: str, path: str
) -> None:
    hub.faults = [Fault(method, path, Do(member.kill, "after"))]
    assert publish(member).exit_code == -signal.SIGKILL
    left = contents(member.folder / ".hggt.push")
    pseudonyms = left.pop("pseudonyms.csv")
    assert publish(member).exit_code == 0
    assert {f"dataset/{path}": data for path, data in remote_files(hub).items()} == left
    assert (member.folder / "hggt.pseudonyms.csv").read_bytes() == pseudonyms
    assert statuses(hub) == ["merged"]
    assert sorted(path.name for path in member.folder.iterdir()) == ["hggt", "hggt.pseudonyms.csv"]


@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # the client's own
def test_a_fault_says_where_the_copy_is_kept(online: None, hub: HubServer, named: Path) -> None:
    hub.faults = [Fault("POST", "/commit/", Response(503))]
    with (
        pytest.raises(HubError) as raised,
        open_push(PushSettings(repo_id=REPO, dataset=named, workers=1)) as publication,
    ):
        publication.push()
    place = named.parent / ".hggt.push"
    assert raised.value.__notes__ == [
        f"The copy without names is kept in {place} for the next run; remove it if there is none."
    ]
    assert (place / "dataset" / MANIFEST_FILE).is_file()


class TestOthersAtWork:
    """Somebody changes the repository while a new version is on its way."""

    def assert_published_after(self, hub: HubServer, member: HubClient, *others: str, num_groups: int = 2) -> None:
        assert publish(member).exit_code == 0
        arrived = remote_files(hub)
        manifest = parse_manifest(arrived[MANIFEST_FILE], "manifest")
        named = {record.path for record in manifest.contents()}
        assert arrived.keys() - set(others) == named | {CARD_FILE, MANIFEST_FILE}
        assert manifest.is_card(arrived[CARD_FILE])
        assert [sha256_of(arrived[record.path]) for record in manifest.contents()] == [
            record.sha256 for record in manifest.contents()
        ]
        assert list(manifest.splits.values()) == [num_groups]
        assert not {"open", "draft"} & set(statuses(hub))

    def test_a_pull_request_that_conflicts_is_closed_and_made_anew(
        self, hub: HubServer, member: HubClient, next_version: Path
    ) -> None:
        theirs = {"README.md": b"# Ours\n", "notes.md": b"theirs"}
        hub.faults = [Fault("POST", "/merge$", Do(lambda: hub.push(REPO, theirs)))]
        first = publish(member)
        assert first.exit_code == 1
        assert "conflicts: README.md" in first.err
        assert remote_files(hub)["README.md"] == theirs["README.md"]
        self.assert_published_after(hub, member, "notes.md")
        assert statuses(hub) == ["merged", "closed", "merged"]
        assert remote_files(hub)["notes.md"] == b"theirs"

    def test_what_others_do_between_two_runs_stays(self, hub: HubServer, member: HubClient, next_version: Path) -> None:
        hub.push(REPO, {"notes.md": b"1", "old.md": b"1"})
        hub.faults = [Fault("POST", "/merge$", Response(503))]
        assert publish(member).exit_code == 1
        theirs = {"notes.md": b"2", "new.md": b"1"}
        hub.push(REPO, {**theirs, "old.md": None})
        self.assert_published_after(hub, member, *theirs)
        assert remote_files(hub).items() >= theirs.items()

    def test_the_repository_becomes_public(self, hub: HubServer, member: HubClient, next_version: Path) -> None:
        before = remote_files(hub)

        def reveal() -> None:
            hub.repo(REPO).private = False

        hub.faults = [Fault("POST", "/commit/", Do(reveal, "after"))]
        first = publish(member)
        assert first.exit_code == 1
        page = f"{hub.url}/datasets/{REPO}/discussions/2"
        assert f"{REPO} is not private any more. The main branch is untouched, but what was uploaded" in first.err
        assert f"can be seen in {page}: delete the repository or change its visibility." in first.err
        assert remote_files(hub) == before
        assert statuses(hub) == ["merged", "closed"]

    def test_files_that_arrive_altered_are_not_merged(
        self, hub: HubServer, member: HubClient, next_version: Path
    ) -> None:
        before, path = remote_files(hub), "data/train-00001-of-00002.parquet"
        hub.faults = [Fault("POST", "/commit/", Do(lambda: hub.swap_file(REPO, path, b"PAR1", "refs/pr/2"), "after"))]
        first = publish(member)
        assert first.exit_code == 1
        assert f"what arrived in refs/pr/2 of {REPO} is not what was sent: {path} has 4 bytes, not" in first.err
        assert "The main branch is untouched." in first.err
        assert remote_files(hub) == before
        self.assert_published_after(hub, member)
        assert statuses(hub) == ["merged", "merged"]

    def test_files_that_somebody_adds_on_the_way_are_not_merged(
        self, hub: HubServer, member: HubClient, next_version: Path
    ) -> None:
        before = remote_files(hub)
        more = {"data/train-00002-of-00002.parquet": b"PAR1"}
        hub.faults = [Fault("POST", "/commit/", Do(lambda: hub.push(REPO, more, "refs/pr/2"), "after"))]
        first = publish(member)
        assert first.exit_code == 1
        assert "data/train-00002-of-00002.parquet is not ours" in first.err
        assert remote_files(hub) == before
        self.assert_published_after(hub, member)

    def test_a_tag_that_somebody_else_makes_on_the_way_is_told(
        self, hub: HubServer, member: HubClient, next_version: Path
    ) -> None:
        before = commit_of(hub, "main")

        def make_tag() -> None:
            hub.repo(REPO).refs["refs/tags/v2.0"] = before

        hub.faults = [Fault("POST", "/merge$", Do(make_tag))]
        outcome = publish(member, "--tag", "v2.0")
        assert outcome.exit_code == 1
        assert "has a tag v2.0 already, of another version; choose another --tag" in outcome.err
        assert publish(member, "--tag", "v2.1").exit_code == 0
        assert commit_of(hub, "v2.1") == commit_of(hub, "main") != before

    def test_the_version_that_is_there_counts_and_not_one_in_the_cache(
        self, filled_hub: HubServer, member: HubClient, next_version: Path
    ) -> None:
        assert member.call(count_groups, REPO) == len(IDS)
        assert publish(member).exit_code == 0
        shutil.rmtree(next_version)
        build_named(write_named_tree(member.folder.parent / "One", IDS[:1]), next_version)
        filled_hub.faults = [Fault("HEAD", "/resolve/main/manifest.json", Response(503), times=100)]
        assert publish(replace(member, waits=False)).exit_code == 1
        filled_hub.faults = []
        self.assert_published_after(filled_hub, member, num_groups=1)

    def test_a_pull_request_of_somebody_else_with_the_same_title_is_not_used(
        self, hub: HubServer, member: HubClient, next_version: Path
    ) -> None:
        hub.faults = [Fault("POST", "/preupload", Response(401))]
        assert publish(member).exit_code == 1
        hub.repo(REPO).discussions[-1].author = "stan"
        assert publish(member).exit_code == 0
        assert statuses(hub) == ["merged", "draft", "merged"]

    def test_a_dataset_that_is_built_anew_after_an_interruption_leaves_no_request_open(
        self, hub: HubServer, member: HubClient, next_version: Path, published: Published
    ) -> None:
        hub.faults = [Fault("POST", "/merge$", Response(503))]
        assert publish(member).exit_code == 1
        shutil.rmtree(next_version)
        build_named(write_named_tree(member.folder.parent / "One", IDS[:1]), next_version)
        assert publish(member).exit_code == 0
        assert statuses(hub) == ["merged", "closed", "merged"]
