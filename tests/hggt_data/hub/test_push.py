"""`hggt-data push`: what arrives, what is refused, and that no fault leaves the main branch half new."""

import io
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from hggt_data.annotate.study.merge import merge_study
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.dataset.manifest import CARD_FILE, CROISSANT_FILE, DESCRIPTIONS, MANIFEST_FILE
from hggt_data.errors import RUN_AGAIN, HggtError, HubError, PublishError, SettingsError
from hggt_data.hub.download import download_dataset
from hggt_data.hub.pseudonyms import read_pseudonyms, write_pseudonyms
from hggt_data.hub.push import PushSettings, open_push
from hggt_data.hub.repository import Repository
from hggt_data.io.folders import open_beside
from hggt_data.licence import HGGT_TERMS
from hggt_data.study_plan import read_plan
from tests.hggt_data.annotate.study.studies import best, judge, make_study
from tests.hggt_data.named_tree import (
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
from tests.hub_client import HubClient, Outcome
from tests.hub_server import CutRequest, CutResponse, Do, Fault, HubServer, Response, XetFolders, read_card

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # the client's own

DATASET = Path("hggt")


@pytest.fixture(autouse=True)
def work(online: None, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the tests work, as members of `lab`, in this process."""
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def named(published: Published, work: Path) -> Path:
    """A dataset with annotators' names, never pushed."""
    return Path(shutil.copytree(published.dataset, work / DATASET))


@pytest.fixture
def clean(published: Published, work: Path) -> Path:
    """The same without names, to be pushed as it is."""
    return write_files(work / DATASET, remote_files(published.hub))


def push(repo_id: str = REPO, **settings: Any) -> str:
    """Push the dataset; the plan."""
    with open_push(PushSettings(dataset=DATASET, repo_id=repo_id, workers=1, **settings)) as found:
        plan = "\n".join(found.describe()) + "\n"
        if not settings.get("dry_run"):
            found.push()
    return plan


def push_command(client: HubClient, *options: str) -> Outcome:
    return client.hggt_data("push", "hggt", REPO, "--yes", "--workers", "1", *options)


def commit_of(hub: HubServer, ref: str) -> str:
    return hub.repo(REPO).find_commit(ref).sha


class TestWhole:
    def test_the_command_pushes_privately_and_says_what_it_did(self, published: Published) -> None:
        hub, outcome = published.hub, published.outcome
        assert (outcome.exit_code, outcome.err) == (0, "")
        assert (hub.repo(REPO).kind, hub.repo(REPO).private) == ("dataset", True)
        assert commit_of(hub, "v1.0") == commit_of(hub, "main")
        assert len(hub.repo(REPO).commits) == 2  # the Hub's own and ours
        assert outcome.out.splitlines() == [
            f"hggt -> {hub.url}/datasets/{REPO}",
            "  repository  new; private",
            "  annotators  3 names replaced by pseudonyms; times made relative; keep hggt.pseudonyms.csv private",
            "  licence     cc0-1.0",
            "  tag         v1.0",
            *outcome.out.splitlines()[5:13],
            "  delete      0 files of the previous version",
            f"Pushed: {hub.url}/datasets/{REPO} (private), commit {commit_of(hub, 'main')[:12]}.",
            'Load it: load_dataset("lab/hggt", revision="v1.0")',
        ]

    def test_the_old_name_of_the_command_still_works(self, hub: HubServer, member: HubClient, clean: Path) -> None:
        assert member.hggt_data("publish", "hggt", REPO, "--yes", "--public").exit_code == 0
        assert remote_files(hub) == contents(clean)
        assert not hub.repo(REPO).private

    def test_only_what_the_manifest_names_is_sent_byte_for_byte(self, hub: HubServer, clean: Path) -> None:
        before = contents(clean)
        (clean / "data" / "notes.txt").write_text("not for others")
        push(tag="v1.0")
        assert remote_files(hub) == before
        there = hub.snapshot()
        assert "upload      0 files of 7, 0 bytes" in push(tag="v1.0")
        assert hub.snapshot() == there

    def test_the_terms_of_hggt_may_go_out_privately_or_with_the_authors_permission(
        self, hub: HubServer, work: Path, real_dataset: Path
    ) -> None:
        shutil.copytree(real_dataset, work / DATASET)
        push("lab/other")
        assert hub.repo("lab/other").private
        push(public=True, i_have_permission=True)
        assert not hub.repo(REPO).private
        for name in (REPO, "lab/other"):
            card = hub.files(name)[CARD_FILE].decode()
            assert HGGT_TERMS in card
            assert read_card(card)[1:] == ([], [])
        assert [path.name for path in work.iterdir()] == ["hggt"]  # it has no names to keep

    def test_the_gate_is_set_before_any_content_is_sent(self, hub: HubServer, clean: Path) -> None:
        assert "private, gated (manual)" in push(gated="manual")
        changes = [(request.method, request.target) for request in hub.requests if request.changed]
        assert changes[:2] == [("POST", "/api/repos/create"), ("PUT", "/api/datasets/lab/hggt/settings")]
        push()  # without the setting it stays as it is
        assert hub.repo(REPO).gated == "manual"

    def test_an_empty_repository_is_used(self, hub: HubServer, clean: Path) -> None:
        Repository(REPO, "dataset").create("private")
        hub.push(REPO, {"README.md": b"---\nlicense: mit\n---\n"})
        push()
        assert remote_files(hub) == contents(clean)


class TestNextVersion:
    def test_exactly_the_files_of_the_version_before_are_replaced(
        self, filled_hub: HubServer, work: Path, next_version: Path
    ) -> None:
        first = remote_files(filled_hub)
        others = {
            "data/train-00000-of-00009.parquet": b"a shard of someone else",
            "labels/val.parquet": b"a table of someone else",
            "evaluation/scores.csv": b"1\n",
        }
        filled_hub.push(REPO, others)
        seen = [first | others]

        def look() -> None:
            if remote_files(filled_hub) != seen[-1]:
                seen.append(remote_files(filled_hub))

        methods = ("POST", "PUT", "DELETE", "GET")
        filled_hub.faults = [Fault(method, "", Do(look, "after"), times=1000) for method in methods]
        plan = push(tag="v2.0")
        gone = "".join(f"    data/train-0000{k}-of-00003.parquet\n" for k in range(3))
        assert f"  delete      3 files of the previous version\n{gone}" in plan
        after = remote_files(filled_hub)
        assert seen == [first | others, after]  # the old or the new version at every moment
        assert {path: after.pop(path) for path in others} == others
        new = [f"data/train-0000{k}-of-00002.parquet" for k in range(2)]
        assert set(after) == {*new, *DESCRIPTIONS, "labels/train.parquet", MANIFEST_FILE}
        download_dataset(REPO, work / "old", "v1.0")
        assert contents(work / "old") == first

    def test_only_what_has_changed_is_sent(self, hub: HubServer, work: Path, published: Published) -> None:
        tree = Path(shutil.copytree(published.tree, work.parent / "Train"))
        build_named(tree, work / DATASET)
        push()
        edit_text(tree / "labels/0-9/A/p1-0-0.json", '"Total": 30', '"Total": 29')
        build_named(tree, work / DATASET)
        hub.requests.clear()
        plan = push()
        # The card names the content, the other two all hashes.
        changed = ["data/train-00001-of-00003.parquet", "labels/train.parquet", *DESCRIPTIONS, MANIFEST_FILE]
        assert [line.split()[1] for line in plan.splitlines() if line.startswith("    changed")] == changed
        assert sum(request.method == "PUT" for request in hub.requests) == 2

    def test_the_version_on_the_hub_counts_and_not_one_in_the_cache(
        self, filled_hub: HubServer, next_version: Path, work: Path
    ) -> None:
        push()
        shutil.rmtree(next_version)
        build_named(write_named_tree(work.parent / "One", IDS[:1]), next_version)
        assert "  delete      2 files of the previous version\n" in push()


def write_nameless_tree(root: Path) -> Path:
    """A tree without names and without times."""
    tree = write_tree(root, IDS, candidates=("01",))
    for path in tree.rglob("*.json"):
        content = json.loads(path.read_text())
        del content["Time_cost"]
        path.write_text(json.dumps(content))
    return tree


def published_names(hub: HubServer) -> dict[tuple[str, str], str | None]:
    """(group, slot) to annotator."""
    table = pq.read_table(io.BytesIO(remote_files(hub)["labels/train.parquet"]), use_threads=False)
    return {
        (row["id"], annotation["slot"]): annotation["annotator"]
        for row in table.to_pylist()
        for annotation in row["annotations"]
    }


class TestNames:
    """What happens to names over several pushes; what one of them contains is in test_pseudonyms.py."""

    def test_pseudonyms_stay_the_same_when_someone_joins(
        self, filled_hub: HubServer, published: Published, work: Path
    ) -> None:
        shutil.copy(published.dataset.with_name("hggt.pseudonyms.csv"), work)
        before = published_names(filled_hub)
        tree = write_named_tree(work.parent / "Train", annotators=ANNOTATORS | {("p2-0-0", "B"): "Dave"})
        build_named(tree, work / DATASET)
        push()
        after = published_names(filled_hub)
        assert before.pop(("p2-0-0", "B")) is None
        dave = after.pop(("p2-0-0", "B"))
        assert dave is not None
        assert dave not in before.values()
        assert after == before

    @pytest.mark.parametrize("known", [None, (), (ALICE,)], ids=["lost", "of others", "of one only"])
    def test_no_annotator_gets_a_second_pseudonym_because_the_file_is_wrong(
        self, filled_hub: HubServer, work: Path, next_version: Path, known: tuple[str, ...] | None
    ) -> None:
        path, before = work / "hggt.pseudonyms.csv", published_names(filled_hub)
        if known is None:
            path.unlink()
        else:
            pairs = {name: pseudonym for name, pseudonym in read_pseudonyms(path).items() if name in known}
            write_pseudonyms(path, pairs | {"Dave": "annotator-123456"})
        with pytest.raises(PublishError, match=f"does not list annotator-.*, which {REPO} uses for its annotators"):
            push()
        assert published_names(filled_hub) == before
        if known is None:
            push(new_pseudonyms=True)
            assert not set(published_names(filled_hub).values()) & set(before.values()) - {None}

    def test_names_are_published_if_asked_for_and_the_next_plan_warns_of_them(
        self, hub: HubServer, named: Path
    ) -> None:
        warning = "warning     the previous version shows names and times, and stays in the repository's history"
        plan = push(keep_names=True)
        assert "3 names and all times are pushed unchanged" in plan
        assert remote_files(hub) == contents(named)
        assert set(published_names(hub).values()) == {ALICE, BOB, None}
        assert [path.name for path in named.parent.iterdir()] == ["hggt"]
        assert warning not in plan
        assert warning in push()
        assert warning not in push()

    def test_what_people_saw_at_100_percent_stays_here_even_if_names_are_kept(self, hub: HubServer, work: Path) -> None:
        tree = write_named_tree(work.parent / "T")
        lines = [f"{group},{slot},{name},yes" for (group, slot), name in ANNOTATORS.items()]
        (tree / "annotators.csv").write_text("\n".join(["group,slot,pseudonym,full_zoom", *lines, ""]), "utf-8")
        dataset = build_named(tree, work / DATASET)
        line = "3 names and all times are pushed unchanged; what was seen at 100 % left out"
        assert line in push(keep_names=True, dry_run=True)
        assert line in push(keep_names=True)
        pushed, here = remote_files(hub), contents(dataset)
        for path in (path for path in here if path.endswith(".parquet")):
            before, after = (pq.read_table(io.BytesIO(files[path])).to_pylist() for files in (here, pushed))
            assert any(vote["full_zoom"] for row in before for vote in row["annotations"])
            for vote in (vote for row in before for vote in row["annotations"]):
                vote["full_zoom"] = None
            assert after == before
        assert b"annotators.csv" in here[MANIFEST_FILE]
        assert b"annotators.csv" not in pushed[MANIFEST_FILE]  # its hash would tell
        assert [path.name for path in work.iterdir()] == ["hggt"]

    def test_the_plan_of_a_study_is_pushed_and_removed_with_its_study(self, hub: HubServer, work: Path) -> None:
        round_ = make_study(work.parent, ("a", "b"), ("Ada",), votes=1)
        judge(round_, best("a"))
        merge_study(round_.folder, work.parent / "tree")
        build_named(work.parent / "tree", work / DATASET)
        push()
        assert remote_files(hub)["plan.json"] == (work.parent / "tree/plan.json").read_bytes()
        download_dataset(REPO, work.parent / "copy")
        assert read_plan(work.parent / "copy") == read_plan(round_.folder)
        build_named(write_nameless_tree(work.parent / "T"), work / DATASET)
        push()
        assert "plan.json" not in remote_files(hub)

    def test_a_dataset_without_names_and_times_goes_out_as_it_is(self, hub: HubServer, work: Path) -> None:
        dataset = build_named(write_nameless_tree(work.parent / "T"), work / DATASET)
        assert "annotators  no names; no times" in push()
        assert remote_files(hub) == contents(dataset)
        assert [path.name for path in work.iterdir()] == ["hggt"]
        build_named(write_named_tree(work.parent / "Named"), work / DATASET)
        assert "warning" not in push()

    def test_images_with_metadata_are_reported(self, work: Path) -> None:
        tree = write_named_tree(work.parent / "T")
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "saved by alice in /home/alice")
        with Image.open(tree / "images/0-9/original/p0-0-0.png") as picture:
            picture.save(tree / "images/0-9/original/p0-0-0.png", pnginfo=text)
        build_named(tree, work / DATASET)
        warning = (
            "warning     1 image with metadata, which may include a place or a name: train-0/images/0-9/original/p"
        )
        assert warning in push(dry_run=True)

    def test_pushing_a_download_changes_nothing(self, filled_hub: HubServer, work: Path) -> None:
        download_dataset(REPO, work / DATASET)
        before, here = filled_hub.snapshot(), contents(work)
        assert "pseudonyms and relative times, as in this dataset" in push(tag="v1.0")
        assert filled_hub.snapshot() == before
        assert contents(work) == here


class TestDescriptions:
    """They may be edited, here or on the Hub; no reader is locked out, and no edit is lost without a warning."""

    EDIT = b"\nSee doi:10.5555/12345678.\n"

    @pytest.mark.parametrize("path", DESCRIPTIONS)
    def test_an_edit_on_the_hub_is_read_and_the_plan_says_that_it_is_replaced(
        self, filled_hub: HubServer, work: Path, next_version: Path, path: str
    ) -> None:
        filled_hub.push(REPO, {path: remote_files(filled_hub)[path] + self.EDIT})
        download_dataset(REPO, work / "got")
        assert contents(work / "got") == remote_files(filled_hub)
        warning = f"  warning     {path} was edited on the Hub and is replaced; the history keeps the edit\n"
        assert warning in push(dry_run=True)
        assert warning in push()
        assert self.EDIT not in remote_files(filled_hub)[path]
        assert warning not in push()

    def test_an_edit_here_is_pushed_with_what_goes_out_as_it_is(self, hub: HubServer, clean: Path) -> None:
        for path in DESCRIPTIONS:
            with (clean / path).open("ab") as file:
                file.write(self.EDIT)
        assert "warning" not in push()
        assert remote_files(hub) == contents(clean)

    @pytest.mark.parametrize("path", DESCRIPTIONS)
    def test_the_plan_says_that_an_edit_here_is_not_in_the_copy(self, hub: HubServer, named: Path, path: str) -> None:
        with (named / path).open("ab") as file:
            file.write(b"Thanks to Alice.\n")
        assert f"warning     {path} was edited here; the copy to push gets a new one, without the edit" in push()
        assert b"Alice" not in remote_files(hub)[path]

    def test_a_version_without_croissant_removes_the_one_before(
        self, filled_hub: HubServer, work: Path, datasets: Path
    ) -> None:
        shutil.copytree(datasets / "v2", work / DATASET)
        assert f"    {CROISSANT_FILE}\n" in push(keep_names=True)
        assert CROISSANT_FILE not in remote_files(filled_hub)
        assert CROISSANT_FILE in remote_files(filled_hub, "v1.0")

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_a_licence_that_the_hub_does_not_know_is_reported_first(
        self, hub: HubServer, work: Path, published: Published, dry_run: bool
    ) -> None:
        build_dataset(BuildSettings(trees=(published.tree,), output=work / DATASET, license="zlib", workers=1))
        with pytest.raises(PublishError, match=f'the Hub rejects the card of {REPO}: "license" must be one of'):
            push(dry_run=dry_run)
        assert hub.snapshot() == {}


class TestDryRun:
    def test_nothing_is_written_on_the_hub_or_on_disk(self, hub: HubServer, named: Path) -> None:
        here = contents(named.parent)
        plan = push(dry_run=True, gated="auto", tag="v1.0")
        assert hub.snapshot() == {}
        assert contents(named.parent) == here
        assert plan.splitlines()[:5] == [
            f"hggt -> {hub.url}/datasets/{REPO}",
            "  repository  new; private, gated (auto)",
            "  annotators  3 names replaced by pseudonyms; times made relative",
            "  licence     cc0-1.0",
            "  tag         v1.0",
        ]

    def test_without_a_token_the_hub_is_not_asked(
        self, hub: HubServer, named: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HF_TOKEN")
        plan = push(dry_run=True)
        assert "repository  the Hub was not asked, as there is no token; shown as if new; private" in plan
        assert hub.requests == []

    def test_the_plan_lists_what_is_sent_and_deleted(
        self, filled_hub: HubServer, next_version: Path, tmp_path: Path
    ) -> None:
        before = filled_hub.snapshot()
        plan = push(dry_run=True)
        assert "  repository  exists, with 8 files; private\n" in plan
        assert "  upload      6 files of 6, " in plan
        for state, path in (("new", "data/train-00000-of-00002.parquet"), ("changed", CARD_FILE)):
            assert f"    {state:9}  {path}" in plan
        assert "  delete      3 files of the previous version\n    data/train-00000-of-00003.parquet\n" in plan
        assert filled_hub.snapshot() == before
        assert not (tmp_path / "hub-cache").exists()


class TestRefused:
    @pytest.fixture
    def refused(self, hub: HubServer, work: Path) -> Callable[..., str]:
        """Pushes, and asserts that the error is one line and that nothing has changed, there or here."""

        def attempt(repo_id: str = REPO, **settings: Any) -> str:
            there, here = hub.snapshot(), sorted(work.rglob("*"))
            with pytest.raises(HggtError) as raised:
                push(repo_id, **settings)
            assert len(str(raised.value).splitlines()) == 1
            assert hub.snapshot() == there
            assert sorted(work.rglob("*")) == here
            return str(raised.value)

        return attempt

    def test_a_public_push_of_data_under_the_terms_of_hggt(
        self, hub: HubServer, member: HubClient, work: Path, real_dataset: Path, refused: Callable[..., str]
    ) -> None:
        folder = Path(shutil.copytree(real_dataset, work / DATASET))
        message = refused(public=True)
        assert HGGT_TERMS in message
        assert "leave out `public`" in message
        outcome = push_command(member, "--public")
        assert outcome.exit_code == 1
        assert "leave out --public); if the authors gave you permission, pass --i-have-permission;" in outcome.err
        edit_text(folder / MANIFEST_FILE, '"license": "hggt-terms"', '"license": "mit"')
        assert HGGT_TERMS in refused(public=True)  # the card still names them
        assert hub.requests == []

    def test_an_id_that_is_not_a_licence_counts_as_unknown(
        self, hub: HubServer, clean: Path, refused: Callable[..., str]
    ) -> None:
        edit_text(clean / MANIFEST_FILE, '"license": "cc0-1.0"', '"license": "other"')
        assert "No licence was given for this data" in refused(public=True)
        assert hub.requests == []

    def test_the_terms_in_the_text_of_a_card_are_not_its_licence(self, hub: HubServer, clean: Path) -> None:
        with (clean / CARD_FILE).open("a") as file:
            file.write("Not under `license_name: hggt-terms`.\n")
        push(public=True)
        assert not hub.repo(REPO).private

    @pytest.mark.parametrize("private", [True, False])
    def test_a_repository_with_another_visibility(
        self, hub: HubServer, named: Path, refused: Callable[..., str], private: bool
    ) -> None:
        Repository(REPO, "dataset").create("private" if private else "public")
        message = refused(public=private)
        found, wanted = ("private", "public") if private else ("public", "private")
        assert f"{REPO} is {found}, and this push is {wanted}; nothing was pushed." in message
        assert ("or leave out `public`" if private else "or pass `public`") in message
        assert f"{hub.url}/datasets/{REPO}/settings" in message
        assert refused(public=private, dry_run=True) == message

    def test_a_tag_of_another_version_or_with_the_name_of_a_branch(
        self, filled_hub: HubServer, next_version: Path, refused: Callable[..., str]
    ) -> None:
        assert "already has a tag v1.0 for another version; choose another `tag`" in refused(tag="v1.0")
        filled_hub.repo(REPO).refs["refs/heads/dev"] = commit_of(filled_hub, "main")
        assert f"a branch dev already exists in {REPO} and would hide the tag" in refused(tag="dev")

    def test_a_repository_with_the_work_of_someone_else(
        self, filled_hub: HubServer, named: Path, refused: Callable[..., str]
    ) -> None:
        manifest = remote_files(filled_hub)[MANIFEST_FILE]
        for content in (b'{"some": "thing"}', manifest.replace(b"data/train-00000", b"../train-00000")):
            filled_hub.push(REPO, {MANIFEST_FILE: content})
            assert refused().endswith(", or choose another name on the Hub.")
        filled_hub.push(REPO, {MANIFEST_FILE: None})
        assert f"/datasets/{REPO} contains files that hggt did not write: croissant.json, data" in refused()

    @pytest.mark.parametrize(
        ("path", "fault"),
        [("data/train-00001-of-00003.parquet", "a flipped bit"), ("labels/train.parquet", "missing"), (CARD_FILE, "")],
    )
    def test_a_dataset_that_does_not_agree_with_its_manifest(
        self, named: Path, refused: Callable[..., str], path: str, fault: str
    ) -> None:
        data = bytearray((named / path).read_bytes())
        (named / path).unlink()
        if fault == "a flipped bit":
            data[len(data) // 2] ^= 1
            (named / path).write_bytes(data)
        assert path in refused()

    def test_while_another_process_pushes_it(self, named: Path, refused: Callable[..., str]) -> None:
        with open_beside(named, "push"):
            assert "another process is writing to" in refused()

    def test_if_the_disk_has_no_room_for_the_copy(
        self, named: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
        assert "more bytes, but only 1,000 are free; free some space" in refused()

    def test_names_and_tags_that_the_hub_does_not_accept(self) -> None:
        for name in ("hggt", "a/b/c", "lab/a--b"):
            with pytest.raises(SettingsError, match=r"is not a repository name; expected ORG/NAME"):
                PushSettings(dataset=DATASET, repo_id=name)
        for tag in ("", "v/1", "-v", "v1\n", "v1..2", "main", "v1.lock"):
            with pytest.raises(SettingsError, match="is not a valid tag; expected letters"):
                PushSettings(dataset=DATASET, repo_id=REPO, tag=tag)


class TestFaults:
    """After each fault the same push is run again: it resumes, and the Hub contains what is here."""

    def survive(self, hub: HubServer, dataset: Path, fault: Fault) -> HubError | None:
        """Push into a fault and again without it; check what holds after any fault, and return the first error."""
        hub.faults, error = [fault], None
        try:
            push(tag="v1.0")
        except HubError as raised:
            error = raised
        assert fault.seen > fault.after, "there was no such request"
        hub.faults = []
        assert not hub.repos or remote_files(hub) in ({}, contents(dataset))
        self.check_again(hub, dataset)
        return error

    def check_again(self, hub: HubServer, dataset: Path) -> None:
        push(tag="v1.0")
        assert remote_files(hub) == contents(dataset)
        assert commit_of(hub, "v1.0") == commit_of(hub, "main")
        assert len(hub.repo(REPO).commits) == 2
        arrived = [r.target for r in hub.requests if r.method == "PUT" and r.status == 200]
        assert len(arrived) == len(set(arrived)) == 4  # each large file once
        assert [path.name for path in dataset.parent.iterdir()] == ["hggt"]

    @pytest.mark.parametrize(
        ("path", "action"), [("repos/create", CutResponse()), ("/commit/", CutResponse()), ("/tag/", Response(503))]
    )
    def test_the_server_fails_or_its_answer_is_lost(
        self, hub: HubServer, clean: Path, path: str, action: Response | CutResponse
    ) -> None:
        error = self.survive(hub, clean, Fault("POST", path, action))
        assert "ry again" in str(error)

    @pytest.mark.parametrize(
        ("path", "status", "message"),
        [
            ("/commit/", 401, "does not accept this token (401). Run `hf auth login`"),
            ("objects/batch", 403, "no permission to do this with lab/hggt (403). It needs the role `write` and write"),
        ],
    )
    def test_the_token_loses_its_rights(
        self, hub: HubServer, clean: Path, path: str, status: int, message: str
    ) -> None:
        assert message in str(self.survive(hub, clean, Fault("POST", path, Response(status))))

    def test_too_many_requests_and_a_connection_cut_for_a_moment_are_waited_out(
        self, hub: HubServer, clean: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.sleep", lambda _: None)
        batch = Fault("POST", "objects/batch", Response(429, headers={"Retry-After": "0"}))
        assert self.survive(hub, clean, batch) is None
        for action in (CutRequest(after_bytes=4000), Response(503)):
            hub.repos.clear()
            hub.requests.clear()
            assert self.survive(hub, clean, Fault("PUT", "/lfs/", action, times=2, after=1)) is None

    @pytest.mark.parametrize(
        ("method", "path", "after"),
        [("PUT", "/lfs/", 2), ("POST", "/commit/", 0)],
        ids=["between two files", "between commit and tag"],
    )
    def test_the_process_is_killed(
        self, hub: HubServer, member: HubClient, clean: Path, method: str, path: str, after: int
    ) -> None:
        hub.faults = [Fault(method, path, Do(member.kill, "after"), after=after)]
        assert push_command(member, "--tag", "v1.0").exit_code == -signal.SIGKILL
        self.check_again(hub, clean)

    def test_the_user_interrupts(self, hub: HubServer, member: HubClient, clean: Path) -> None:
        hub.faults = [Fault("PUT", "/lfs/", Do(lambda: member.kill(signal.SIGINT)), after=1)]
        first = push_command(member, "--tag", "v1.0")
        assert (first.exit_code, first.err) == (130, f"Interrupted. {RUN_AGAIN}\n")
        self.check_again(hub, clean)

    @pytest.mark.parametrize(("method", "path"), [("POST", "repos/create"), ("PUT", "/lfs/")])
    def test_the_copy_and_its_pseudonyms_are_used_again(
        self, hub: HubServer, member: HubClient, named: Path, method: str, path: str
    ) -> None:
        hub.faults = [Fault(method, path, Do(member.kill, "after"))]
        assert push_command(member).exit_code == -signal.SIGKILL
        kept = contents(named.parent / ".hggt.push")
        pseudonyms = kept.pop("pseudonyms.csv")
        push()
        assert {f"dataset/{path}": data for path, data in remote_files(hub).items()} == kept
        assert (named.parent / "hggt.pseudonyms.csv").read_bytes() == pseudonyms
        assert sorted(path.name for path in named.parent.iterdir()) == ["hggt", "hggt.pseudonyms.csv"]

    def test_the_error_says_where_the_copy_is_kept(self, hub: HubServer, named: Path) -> None:
        hub.faults = [Fault("POST", "/commit/", Response(503))]
        with pytest.raises(HubError) as raised:
            push()
        place = named.parent / ".hggt.push"
        assert raised.value.__notes__ == [
            f"The copy to push stays in {place} for the next run; without one, delete it."
        ]
        assert (place / "dataset" / MANIFEST_FILE).is_file()


class TestXet:
    """The transport that every installation uses unless it is switched off."""

    def test_the_hub_contains_what_is_here(
        self, hub: HubServer, member: HubClient, clean: Path, tmp_path: Path
    ) -> None:
        pytest.importorskip("hf_xet", reason="install hf_xet")
        hub.xet = XetFolders(tmp_path / "xet", member.folder)
        through_xet = member.having(HF_HUB_DISABLE_XET="0")
        hub.faults = [Fault("GET", "xet-write-token", Response(403), times=100)]
        refused = push_command(through_xet)
        assert refused.exit_code == 1
        assert "403" in refused.err.splitlines()[-1]
        hub.faults = []
        outcome = push_command(through_xet, "--tag", "v1.0")
        assert (outcome.exit_code, outcome.err) == (0, "")
        assert remote_files(hub) == contents(clean)
        assert not [request for request in hub.requests if request.method == "PUT"]  # nothing went by LFS
        assert list(hub.xet.store.iterdir())
