"""What is pushed does not show who labelled it, and is unchanged otherwise."""

import io
import stat
import struct
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.dataset.manifest import CROISSANT_FILE, MANIFEST_FILE, Manifest, parse_manifest, read_manifest
from hggt_data.dataset.times import format_time
from hggt_data.errors import DatasetError
from hggt_data.hub.pseudonyms import (
    Pseudonymizer,
    find_names,
    has_times,
    make_pseudonymizer,
    read_pseudonyms,
    write_copy,
    write_pseudonyms,
)
from hggt_data.loading import open_groups
from tests.full_disk import FullDisk
from tests.hggt_data.named_tree import (
    ALICE,
    BOB,
    CAROL,
    REPO,
    Published,
    build_named,
    remote_files,
    write_named_tree,
)
from tests.hggt_data.sriqa_tree import write_sriqa_tree
from tests.hggt_data.trees import contents, edit_text

SHARDS = [f"data/train-0000{k}-of-00003.parquet" for k in range(3)]
TABLES = [*SHARDS, "labels/train.parquet"]


def labels_of(dataset: Path) -> dict[str, pa.Table]:
    return {"train": pq.read_table(dataset / "labels/train.parquet")}


def pseudonymizer_of(dataset: Path, known: Mapping[str, str] = {}) -> Pseudonymizer:
    return make_pseudonymizer(labels_of(dataset), known)


def copy_of(dataset: Path, copy: Path, pseudonymizer: Pseudonymizer, **options: Any) -> Manifest:
    copy.mkdir(exist_ok=True)
    return write_copy(dataset, read_manifest(dataset), labels_of(dataset), pseudonymizer, copy, workers=1, **options)


def rows(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return found


def annotations(data: bytes) -> Iterator[dict[str, Any]]:
    for row in rows(data):
        yield from row["annotations"]


@pytest.fixture(scope="module")
def remote(published: Published) -> dict[str, bytes]:
    """What readers on the Hub see."""
    return remote_files(published.hub)


@pytest.fixture(scope="module")
def local(published: Published) -> dict[str, bytes]:
    return contents(published.dataset)


@pytest.fixture(scope="module")
def known(published: Published) -> dict[str, str]:
    """The pseudonyms as the publisher keeps them."""
    return read_pseudonyms(published.dataset.with_name("hggt.pseudonyms.csv"))


def texts(value: object) -> Iterator[str]:
    """All that is text in a row of a table."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)


class TestNothingGetsOut:
    def test_no_name_in_any_file_or_message(self, published: Published, remote: dict[str, bytes]) -> None:
        repo = published.hub.repo(REPO)
        shown = [published.outcome.out, *(c.title for c in repo.commits.values())]
        shown += [text for path in TABLES for row in rows(remote[path]) for text in texts(row)]
        for name in (ALICE, BOB, CAROL, "Alice", "bob@"):
            assert [path for path, data in repo.contents.items() if name.lower().encode() in data.lower()] == []
            assert [text for text in shown if name.lower() in text.lower()] == []

    def test_the_search_would_find_names(self, local: dict[str, bytes]) -> None:
        found = {text for path in TABLES for row in rows(local[path]) for text in texts(row)}
        assert found >= {ALICE, BOB, CAROL}

    def test_no_date_of_the_work_in_any_file(self, published: Published, local: dict[str, bytes]) -> None:
        times = [when(a[key]) for a in annotations(local["labels/train.parquet"]) for key in ("start", "end")]
        assert all(time.year == 2022 for time in times)
        milliseconds = [int((time - datetime(1970, 1, 1)).total_seconds() * 1000) for time in times]
        needles = [struct.pack("<q", number) for number in milliseconds]
        needles += [text.encode() for time in times for text in (time.date().isoformat(), f"{time:%Y%m%d}")]
        for data in published.hub.repo(REPO).contents.values():
            assert not [needle for needle in needles if needle in data]
        assert any(needle in data for data in local.values() for needle in needles)  # the search would find them

    def test_times_are_those_of_the_first_days_of_1970(self, remote: dict[str, bytes]) -> None:
        for path in TABLES:
            for annotation in annotations(remote[path]):
                assert "1970-01-01T00:00:00" <= annotation["start"] < annotation["end"] < "1970-01-02"

    def test_the_manifest_names_no_label_file_and_no_hash_of_one(
        self, published: Published, remote: dict[str, bytes], local: dict[str, bytes]
    ) -> None:
        ours, theirs = (parse_manifest(files[MANIFEST_FILE], "") for files in (local, remote))
        labels = {path: sha256 for shard in ours.shards for path, (_, sha256) in shard.inputs.items() if "json" in path}
        assert len(labels) == 9
        text = remote[MANIFEST_FILE].decode()
        assert ".json" not in text.replace(CROISSANT_FILE, "")
        assert "annotators.csv" not in text
        hashes = [*labels.values(), *(record.sha256 for record in ours.inputs), *(shard.key for shard in ours.shards)]
        assert not [sha256 for sha256 in hashes if sha256 in text]
        assert theirs.inputs == []
        assert [shard.key for shard in theirs.shards] == [shard.sha256 for shard in theirs.shards]
        assert theirs.settings == ours.settings | {"pseudonymous": True, "num_pseudonyms": 3}

    def test_warnings_about_label_files_stay_here(self, tmp_path: Path) -> None:
        tree = write_named_tree(tmp_path / "T")
        edit_text(tree / f"labels/0-9/{CAROL}/p0-0-0.json", '"Total": ', '"Total": -')
        (tree / "labels/0-9/notes.png").touch()
        dataset = build_named(tree, tmp_path / "hggt")
        assert CAROL in (dataset / MANIFEST_FILE).read_text()
        manifest = copy_of(dataset, tmp_path / "copy", pseudonymizer_of(dataset))
        assert [manifest.problems, *(shard.problems for shard in manifest.shards)] == [[], [], [], []]
        assert not [path for path, data in contents(tmp_path / "copy").items() if CAROL.encode() in data]

    def test_the_file_of_pseudonyms_stays_here_for_its_owner_only(
        self, published: Published, known: dict[str, str], remote: dict[str, bytes]
    ) -> None:
        path = published.dataset.with_name("hggt.pseudonyms.csv")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert known.keys() == {ALICE, BOB, CAROL}
        assert not [name for name in remote if "pseudonyms" in name]
        assert path.read_bytes() not in published.hub.repo(REPO).contents.values()


class TestEverythingElseStays:
    def test_pictures_labels_and_all_other_columns(
        self, remote: dict[str, bytes], local: dict[str, bytes], known: dict[str, str]
    ) -> None:
        for path in TABLES:
            ours, theirs = rows(local[path]), rows(remote[path])
            assert pq.read_schema(io.BytesIO(remote[path])) == pq.read_schema(io.BytesIO(local[path]))
            for mine, other in zip(ours, theirs, strict=True):
                given = {annotation["slot"]: annotation for annotation in other.pop("annotations")}
                for annotation in mine.pop("annotations"):
                    found = given.pop(known.get(annotation["slot"], annotation["slot"]))
                    for key in ("labels", "seconds"):
                        assert found[key] == annotation[key]
                    name = annotation["annotator"]
                    assert found["annotator"] == (name and known[name])
                assert given == {}
                assert other == mine

    def test_pace_and_pauses_of_each_annotator(
        self, remote: dict[str, bytes], local: dict[str, bytes], known: dict[str, str]
    ) -> None:
        def times(files: dict[str, bytes], names: Mapping[str, str]) -> dict[str, list[datetime]]:
            found: dict[str, list[datetime]] = {}
            for row in rows(files["labels/train.parquet"]):
                for annotation in sorted(row["annotations"], key=lambda a: names.get(a["slot"], a["slot"])):
                    person = annotation["annotator"] or annotation["slot"]
                    found.setdefault(names.get(person, person), []).extend(
                        (when(annotation["start"]), when(annotation["end"]))
                    )
            return found

        ours, theirs = times(local, known), times(remote, {})
        assert ours.keys() == theirs.keys() == {*known.values(), "B"}
        for person, moments in ours.items():
            first = min(moments)
            assert theirs[person] == [datetime(1970, 1, 1) + (moment - first) for moment in moments]

    def test_the_card_says_that_names_and_times_are_replaced(
        self, remote: dict[str, bytes], known: dict[str, str]
    ) -> None:
        card = remote["README.md"].decode()
        assert "counted from the annotator's first start, which is 1970-01-01" in card
        assert known[CAROL] in card


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def annotated(*entries: tuple[str, str | None, datetime | None]) -> dict[str, pa.Table]:
    """One group with an annotation per entry: slot, annotator, start; each took a minute."""
    minute = timedelta(minutes=1)
    found = [
        {
            "slot": slot,
            "annotator": name,
            "labels": [0],
            "start": format_time(start),
            "end": format_time(start and start + minute),
            "seconds": 60.0,
        }
        for slot, name, start in entries
    ]
    return {"train": pa.table({"annotations": [found]})}


def relative(labels: Mapping[str, pa.Table]) -> list[timedelta | None]:
    """The starts after replacing, counted from 1970."""
    [found] = labels["train"]["annotations"].to_pylist()
    replaced = make_pseudonymizer(labels, {}).replace({"annotations": found})["annotations"]
    return [annotation["start"] and when(annotation["start"]) - datetime(1970, 1, 1) for annotation in replaced]


class TestTimes:
    NOON = datetime(2022, 8, 5, 12)

    @pytest.mark.parametrize(("year", "at"), [(1970, 0), (2020, 1), (2036, 2)])
    def test_a_clock_that_was_reset_does_not_give_the_date_away(self, year: int, at: int) -> None:
        day = timedelta(days=1)
        starts = [self.NOON, self.NOON + day, self.NOON + 2 * day]
        starts.insert(at, datetime(year, 1, 1))
        found = relative(annotated(*((slot, "owl", start) for slot, start in zip("ABCD", starts, strict=True))))
        assert found.pop(at) is None
        assert found == [timedelta(0), day, 2 * day]

    def test_each_annotator_has_a_clock_and_so_has_a_slot_without_one(self) -> None:
        hour = timedelta(hours=1)
        starts = [self.NOON + k * hour for k in range(5)]
        labels = annotated(*zip("ABCDE", ["owl", "fox", "owl", None, None], starts, strict=True))
        assert relative(labels) == [timedelta(0), timedelta(0), 2 * hour, timedelta(0), timedelta(0)]

    def test_an_annotator_called_like_a_slot_has_another_clock_than_the_slot(self) -> None:
        labels = annotated(("A", None, self.NOON), ("B", "A", self.NOON + timedelta(days=300)))
        assert relative(labels) == [timedelta(0), timedelta(0)]

    def test_missing_times_stay_missing(self) -> None:
        labels = annotated(("A", "owl", None), ("B", "owl", self.NOON), ("C", None, None))
        assert relative(labels) == [None, timedelta(0), None]
        assert has_times(labels)
        assert not has_times(annotated(("A", "owl", None)))

    def test_an_end_without_a_start_does_not_pass(self) -> None:
        [found] = annotated(("A", "owl", None))["train"]["annotations"].to_pylist()
        found[0]["end"] = format_time(self.NOON)
        labels = {"train": pa.table({"annotations": [found]})}
        [replaced] = make_pseudonymizer(labels, {}).replace({"annotations": found})["annotations"]
        assert replaced["end"] is None


class TestNames:
    def test_those_of_annotators_and_of_slots_named_after_annotators(self) -> None:
        labels = annotated(("A", "owl", None), ("MS", None, None), ("C", "fox", None), ("maria", None, None))
        assert find_names(labels) == {"owl", "fox", "maria", "MS"}

    def test_pseudonyms_are_random_and_differ(self) -> None:
        names = [f"person {k}" for k in range(300)]
        labels = annotated(*(("A", name, None) for name in names))
        first, second = (make_pseudonymizer(labels, {}).pseudonyms for _ in range(2))
        assert len(set(first.values())) == 300
        assert not set(first.items()) & set(second.items())  # drawn, not computed from the name
        assert all(len(pseudonym) == len("annotator-") + 6 for pseudonym in first.values())

    def test_the_order_of_annotations_does_not_reveal_that_of_names(self) -> None:
        labels = annotated(("A", None, None), ("anna", None, None), ("zoe", None, None))
        [found] = labels["train"]["annotations"].to_pylist()
        hidden = make_pseudonymizer(labels, {"anna": "annotator-9", "zoe": "annotator-1"})
        replaced = hidden.replace({"annotations": found})["annotations"]
        assert [annotation["slot"] for annotation in replaced] == ["A", "annotator-1", "annotator-9"]

    def test_votes_of_every_kind_hide_people_and_keep_models(self) -> None:
        noon = datetime(2022, 8, 5, 12)
        person = {"slot": "maria", "annotator": "maria", "start": format_time(noon), "end": None}
        model = {"slot": None, "annotator": "net", "annotator_kind": "model", "start": None, "end": None}
        votes = {"annotations": [], "pairs": [person, model], "choices": [person], "scores": [person]}
        labels = {"train": pa.table({column: [found] for column, found in votes.items()})}
        assert find_names(labels) == {"maria"}
        assert has_times(labels)
        replaced = make_pseudonymizer(labels, {"maria": "annotator-1"}).replace(votes)
        hidden = {"slot": "annotator-1", "annotator": "annotator-1", "start": "1970-01-01T00:00:00", "end": None}
        assert replaced == {"annotations": [], "pairs": [model, hidden], "choices": [hidden], "scores": [hidden]}

    def test_no_name_of_a_vote_on_pairs_is_in_the_copy(self, tmp_path: Path) -> None:
        tree = write_sriqa_tree(tmp_path / "tree", contents=("x1",), slots="AB")
        (tree / "labels/B").rename(tree / "labels/Maria")
        (tree / "annotators.csv").write_text("group,slot,pseudonym\nx1,A,Owl\n")
        dataset = build_dataset(BuildSettings([], tmp_path / "sriqa", test_tree=tree, workers=1)).output
        labels = {"test": pq.read_table(dataset / "labels/test.parquet")}
        copy = tmp_path / "copy"
        copy.mkdir()
        write_copy(dataset, read_manifest(dataset), labels, make_pseudonymizer(labels, {}), copy, workers=1)
        hidden, shown = (next(iter(open_groups(folder))).pairs for folder in (copy, dataset))
        assert {vote.slot for vote in shown} == {"A", "Maria"}
        assert {name for vote in hidden for name in (vote.slot, vote.annotator) if name} & {"Owl", "Maria"} == set()
        assert sorted((v.first, v.second, v.preferred) for v in hidden) == sorted(
            (v.first, v.second, v.preferred) for v in shown
        )
        found = {path: data for path, data in contents(copy).items() if b"Owl" in data or b"Maria" in data}
        assert not found

    def test_a_pseudonym_that_is_taken_is_drawn_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn = iter(["aaaaaa", "aaaaaa", "bbbbbb"])
        monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))
        labels = annotated(("A", "owl", None), ("B", "fox", None))
        assert make_pseudonymizer(labels, {}).pseudonyms == {"fox": "annotator-aaaaaa", "owl": "annotator-bbbbbb"}


class TestFile:
    @settings(max_examples=20)
    @given(st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=5))
    def test_any_name_comes_back(self, names: set[str]) -> None:
        pairs = {name: f"annotator-{k}" for k, name in enumerate(names)}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "hggt.pseudonyms.csv"
            write_pseudonyms(path, pairs)
            assert read_pseudonyms(path) == pairs

    @pytest.mark.parametrize(
        "text",
        [
            "name,pseudonym\nowl,annotator-1\nfox,annotator-1\n",
            "name,pseudonym\nowl,annotator-1\nowl,annotator-2\n",
            "name\nowl\n",
        ],
    )
    def test_a_damaged_file_of_pseudonyms_is_reported(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "hggt.pseudonyms.csv"
        path.write_text(text)
        with pytest.raises(DatasetError, match=r"hggt\.pseudonyms\.csv: expected the columns name,pseudonym"):
            read_pseudonyms(path)


class TestCopy:
    def test_it_is_what_is_published(self, published: Published, tmp_path: Path, known: dict[str, str]) -> None:
        copy_of(published.dataset, tmp_path / "copy", pseudonymizer_of(published.dataset, known))
        assert contents(tmp_path / "copy") == remote_files(published.hub)

    @pytest.mark.parametrize("then", ["resumed", "damaged", "with other pseudonyms"])
    def test_an_interrupted_copy_keeps_complete_shards_of_the_same_names(
        self, published: Published, tmp_path: Path, full_disk: FullDisk, then: str
    ) -> None:
        hidden = pseudonymizer_of(published.dataset)
        with full_disk(2), pytest.raises(OSError, match="No space"):  # a shard and its record
            copy_of(published.dataset, tmp_path / "copy", hidden)
        first = tmp_path / "copy" / SHARDS[0]
        written_ns = first.stat().st_mtime_ns
        if then == "damaged":
            first.write_bytes(b"PAR1")
        elif then == "with other pseudonyms":
            hidden = pseudonymizer_of(published.dataset)
        copy_of(published.dataset, tmp_path / "copy", hidden)
        assert (first.stat().st_mtime_ns == written_ns) == (then == "resumed")
        copy_of(published.dataset, tmp_path / "clean", hidden)
        assert contents(tmp_path / "copy") == contents(tmp_path / "clean")

    def test_a_dry_run_computes_sizes_and_hashes_without_keeping_shards(
        self, published: Published, tmp_path: Path
    ) -> None:
        hidden = pseudonymizer_of(published.dataset)
        dry = copy_of(published.dataset, tmp_path / "dry", hidden, keep_shards=False)
        assert dry == copy_of(published.dataset, tmp_path / "copy", hidden)
        assert list((tmp_path / "dry" / "data").iterdir()) == []

    def test_workers_do_not_change_it(self, published: Published, tmp_path: Path) -> None:
        hidden, manifest = pseudonymizer_of(published.dataset), read_manifest(published.dataset)
        for workers in (1, 2):
            copy = tmp_path / str(workers)
            copy.mkdir()
            write_copy(published.dataset, manifest, labels_of(published.dataset), hidden, copy, workers=workers)
        assert contents(tmp_path / "1") == contents(tmp_path / "2")

    def test_that_of_a_dataset_of_an_older_version_is_of_this_version(self, datasets: Path, tmp_path: Path) -> None:
        copies = []
        for version in (1, 2):
            dataset = datasets / f"v{version}"
            manifest = read_manifest(dataset)
            assert manifest.schema_version == version
            labels = {split: pq.read_table(dataset / f"labels/{split}.parquet") for split in manifest.splits}
            hidden = make_pseudonymizer(labels, {"ann": "annotator-1", "bea": "annotator-2"})
            copy = tmp_path / f"v{version}"
            copy.mkdir()
            write_copy(dataset, manifest, labels, hidden, copy, workers=1)
            copies.append(contents(copy))
        assert copies[0] == copies[1]
