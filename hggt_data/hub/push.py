"""Publish a built dataset on the Hugging Face Hub: check it, hide its annotators, say what will happen, do it.

Nothing is created before every check has passed, and the main branch changes all at once (`hub.py`). What the Hub holds
of an earlier version and the new one does not name is deleted, and nothing else.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hggt_data.dataset.manifest import (
    CARD_FILE,
    MANIFEST_FILE,
    PARQUET_PATH,
    Manifest,
    parse_manifest,
    read_manifest,
    require_whole,
)
from hggt_data.dataset.shards import read_table_bytes
from hggt_data.errors import DatasetError, HubError, OutputError, PublishError, WorkerError
from hggt_data.hub.plan import Destination, describe_plan, title_of
from hggt_data.hub.pseudonyms import find_names, has_times, make_veil, read_pseudonyms, write_pseudonyms, write_veiled
from hggt_data.hub.repository import MAIN, RemoteFile, Repository
from hggt_data.io.files import FileDigest, digest_of_file
from hggt_data.io.folders import open_beside
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import default_workers
from hggt_data.licence import HGGT_TERMS, describe_license, is_restricted, read_license

_DATASET = "dataset"  # in the titles of pull requests


@dataclass(frozen=True, kw_only=True)
class PushSettings(Destination):
    """What to publish, and where; the names are those of the command's flags.

    Attributes:
        dataset: Folder that hggt-data build wrote.
        keep_names: Push annotators' names and working times unchanged.
        new_pseudonyms: Draw new pseudonyms if the file with the old ones is lost.
        i_have_permission: Allow a public push of data under the HGGT terms.
        dry_run: Print what would be sent and deleted; write nothing.
        workers: Worker processes.  [default: one per core, at most 8]
    """

    dataset: Path
    keep_names: bool = False
    new_pseudonyms: bool = False
    i_have_permission: bool = False
    dry_run: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class Push:
    """A dataset ready to go out, and what the Hub holds at the moment.

    Attributes:
        settings: what was asked.
        repository: where to.
        folder: holds the files to send; for a dry run, only their records are known.
        contents: all files of the new version.
        remote: what is there already; null if there is no repository.
        deletions: files of the version that is there which the new one does not have.
        people: what is told of the annotators.
        warnings: what the user should know before it goes out.
        pseudonyms: to be kept for the next version.
        license: of the data; null for the HGGT terms.
    """

    settings: PushSettings
    repository: Repository
    folder: Path
    contents: Sequence[FileDigest]
    remote: dict[str, RemoteFile] | None
    deletions: Sequence[str]
    people: str
    warnings: Sequence[str]
    pseudonyms: Mapping[str, str]
    license: str | None

    def describe(self) -> list[str]:
        """What would happen, a line each."""
        return describe_plan(
            self.settings.dataset,
            self.repository,
            self.settings,
            notes=[
                ("people", self.people),
                *(("warning", warning) for warning in self.warnings),
                ("licence", describe_license(self.license)),
            ],
            folder=self.folder,
            contents=self.contents,
            remote=self.remote,
            deletions=self.deletions,
        )

    def push(self) -> str:
        """Create the repository if need be and bring the new version to its main branch, all at once.

        Returns:
            The commit.

        Raises:
            PublishError: the repository has become visible to others meanwhile.
            HubError: something failed; run it again.
        """
        settings = self.settings
        self.repository.create(settings.visibility, settings.gated)
        if self.pseudonyms:
            write_pseudonyms(_pseudonyms_file(settings.dataset), self.pseudonyms)
        return self.repository.publish(
            self.folder,
            self.contents,
            self.deletions,
            title=title_of(_DATASET, self.contents),
            visibility=settings.visibility,
            tag=settings.tag,
        )


@contextmanager
def open_push(settings: PushSettings) -> Iterator[Push]:
    """Check everything and prepare what will be sent.

    The copy that hides the annotators goes at the end of the block, unless an interruption or a fault of the Hub or the
    disk ended it: then the next run goes on with it.

    Raises:
        PublishError: the licence, the repository's visibility or content, the card or the tag stands against it.
        DatasetError: the dataset does not agree with its manifest.
        HubError: the Hub cannot be asked.
        OutputError: another publication of this dataset is running, or there is no room for the copy.
        TreeError: the file with the pseudonyms is no CSV file.
        WorkerError, OSError: the copy could not be written. What is finished stays for the next run.
    """
    folder, repository = settings.dataset.resolve(), Repository(settings.repo_id, "dataset")
    manifest = read_manifest(folder)
    if not (folder / CARD_FILE).is_file():
        raise DatasetError(f"{folder} has no {CARD_FILE}, the card. Build it again.")
    _require_permission(settings, manifest, (folder / CARD_FILE).read_text("utf-8", errors="replace"))
    repository.require_writer()
    is_there = repository.require_visibility(settings.visibility) is not None
    remote = repository.list_files(MAIN) if is_there else None
    repository.require_own(remote or {}, MANIFEST_FILE)
    previous = _published(repository) if remote and MANIFEST_FILE in remote else None
    before = [record.path for record in previous.manifest.contents()] if previous else []
    require_whole(folder, manifest.contents())
    with _prepared(settings, folder, manifest, previous) as ready:
        contents = [*ready.manifest.contents(), *(digest_of_file(ready.folder, p) for p in (CARD_FILE, MANIFEST_FILE))]
        repository.require_card((ready.folder / CARD_FILE).read_text("utf-8", errors="replace"))
        if settings.tag and remote is not None:
            repository.require_free_tag(settings.tag, contents, ready.folder)
        paths = {record.path for record in contents}
        yield Push(
            settings,
            repository,
            ready.folder,
            contents,
            remote,
            sorted(p for p in before if p not in paths and p in (remote or {}) and PARQUET_PATH.fullmatch(p)),
            ready.people,
            [
                *(_warn_of_names(repository, previous) if is_there and not settings.keep_names else ()),
                *_warn_of_metadata(ready.manifest),
                *_warn_of_cards(folder, manifest, ready.folder, previous),
            ],
            ready.pseudonyms,
            manifest.settings["license"],
        )


@dataclass(frozen=True)
class _Published:
    """A version that the Hub has, on its main branch or in a pull request."""

    repository: Repository
    revision: str
    manifest: Manifest

    @cached_property
    def labels(self) -> dict[str, pa.Table]:
        """Split to its annotations, as far as they can be read."""
        found = {}
        for split in self.manifest.splits:
            data = self.repository.read_file(f"labels/{split}.parquet", self.revision)
            with suppress(pa.ArrowException, KeyError, OSError):
                found[split] = read_table_bytes(data or b"", ["annotations"])
        return found

    @property
    def tells_people(self) -> bool:
        """Whether it holds names of annotators, or the times of their work."""
        is_veiled = self.manifest.settings.get("pseudonymous")
        return not is_veiled and (bool(find_names(self.labels)) or has_times(self.labels))


def _published(repository: Repository, revision: str = MAIN) -> _Published:
    """A version that the Hub has.

    Raises:
        PublishError: its manifest is not ours, or damaged.
    """
    data = repository.read_file(MANIFEST_FILE, revision)
    try:
        return _Published(repository, revision, parse_manifest(data or b"", f"{MANIFEST_FILE} of {repository.url}"))
    except DatasetError as error:
        raise PublishError(f"{str(error).rstrip('.')}, or choose another name on the Hub.") from error


@dataclass(frozen=True)
class _Prepared:
    """A folder that tells no more of the annotators than it may, and what to say of that."""

    folder: Path
    manifest: Manifest
    people: str
    pseudonyms: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def _prepared(
    settings: PushSettings, folder: Path, manifest: Manifest, previous: _Published | None
) -> Iterator[_Prepared]:
    """The dataset itself where it has nothing to hide, else a copy."""
    labels = {split: pq.read_table(folder / "labels" / f"{split}.parquet") for split in manifest.splits}
    names = find_names(labels)
    if manifest.settings.get("pseudonymous"):
        yield _Prepared(folder, manifest, "pseudonyms and relative times, as in this dataset")
        return
    if settings.keep_names:
        yield _Prepared(folder, manifest, f"{plural(len(names), 'name')} and all times are published (--keep-names)")
        return
    if not names and not has_times(labels):
        yield _Prepared(folder, manifest, "no names; no times")
        return
    known = read_pseudonyms(_pseudonyms_file(folder))
    if names and not settings.new_pseudonyms:
        _require_pseudonyms(settings.repo_id, _pseudonyms_file(folder), known, previous)
    people = f"{plural(len(names), 'name')} replaced by pseudonyms" if names else "no names"
    people += "; times made relative" if has_times(labels) else "; no times"
    workers = settings.workers or default_workers()
    if settings.dry_run:
        with tempfile.TemporaryDirectory(prefix="hggt-dry-run-") as temporary:
            copy, veil = Path(temporary), make_veil(labels, known)
            veiled = write_veiled(folder, manifest, labels, veil, copy, workers=workers, keep_shards=False)
            yield _Prepared(copy, veiled, people)
        return
    if names:
        people += f"; {_pseudonyms_file(folder).name} keeps them, for you only"
    # Beside the dataset and not in it, where a build would refuse it.
    with open_beside(folder, "push") as place:
        try:
            place.chmod(0o700)
            _require_room(place, manifest)
            draft, copy = place / "pseudonyms.csv", place / "dataset"
            veil = make_veil(labels, known | read_pseudonyms(draft))
            write_pseudonyms(draft, veil.pseudonyms)
            copy.mkdir(exist_ok=True)
            veiled = write_veiled(folder, manifest, labels, veil, copy, workers=workers)
            yield _Prepared(copy, veiled, people, veil.pseudonyms if names else {})
        except OutputError:
            with suppress(OSError):  # unless a copy was begun
                place.rmdir()
            raise
        except (HubError, WorkerError, OSError, KeyboardInterrupt) as error:
            error.add_note(f"The copy without names is kept in {place} for the next run; remove it if there is none.")
            raise
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        shutil.rmtree(place, ignore_errors=True)


def _require_pseudonyms(repo_id: str, path: Path, known: Mapping[str, str], previous: _Published | None) -> None:
    """Refuse to give annotators of the version that is there another pseudonym.

    Raises:
        PublishError: the file does not know whose the pseudonyms there are.
    """
    if previous is None or not previous.manifest.settings.get("num_pseudonyms"):
        return
    strange = sorted(find_names(previous.labels) - set(known.values()))
    if strange:
        raise PublishError(
            f"{repo_id} has pseudonyms for its annotators, and {path}, which tells whose they are, does not know "
            f"{format_examples(strange)}: it is missing, or of another dataset. Put it there, or pass --new-pseudonyms "
            "for new ones."
        )


def _warn_of_names(repository: Repository, previous: _Published | None) -> Iterator[str]:
    """What a version without names cannot take back."""
    if previous is not None and previous.tells_people:
        yield "the version that is there was published with names and times, and its history will still show them"
    for number in repository.unmerged_requests(f"hggt {_DATASET} "):
        with suppress(PublishError):  # nothing of ours has arrived there
            if _published(repository, f"refs/pr/{number}").tells_people:
                yield (
                    "an upload that was not finished holds names and times, which all who read the repository see "
                    f"in {repository.url}/discussions/{number}; delete the repository to be rid of them"
                )


def _warn_of_metadata(manifest: Manifest) -> Iterator[str]:
    found = [problem for shard in manifest.shards for problem in shard.problems if problem.kind == "picture-metadata"]
    if found:
        paths = format_examples(sorted(problem.path for problem in found))
        yield f"{plural(len(found), 'picture')} with metadata, perhaps a place or a name: {paths}"


def _warn_of_cards(folder: Path, manifest: Manifest, sent: Path, previous: _Published | None) -> Iterator[str]:
    """What was written into a card by hand and would be lost."""
    if folder != sent and not manifest.is_card((folder / CARD_FILE).read_bytes()):
        yield f"{CARD_FILE} was edited here; what is published is written anew, without the edit"
    there = previous.repository.read_file(CARD_FILE, MAIN) if previous else None
    if (
        previous
        and there is not None
        and there != (sent / CARD_FILE).read_bytes()
        and not previous.manifest.is_card(there)
    ):
        yield f"{CARD_FILE} was edited on the Hub, and is replaced; its history keeps the edit"


def _require_room(place: Path, manifest: Manifest) -> None:
    """Refuse to begin a copy that the disk cannot hold.

    Raises:
        OutputError: there is too little room.
    """
    begun = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    needed = sum(record.size_bytes for record in manifest.contents()) - begun
    free = shutil.disk_usage(place).free
    if needed > free:
        raise OutputError(
            f"{place}: the copy without names needs {needed:,} bytes more, and {free:,} are free; free some space, or "
            "move the dataset to a larger disk"
        )


def _pseudonyms_file(dataset: Path) -> Path:
    dataset = dataset.resolve()
    return dataset.with_name(f"{dataset.name}.pseudonyms.csv")


def _require_permission(settings: PushSettings, manifest: Manifest, card: str) -> None:
    restricted = is_restricted(manifest.settings["license"]) or is_restricted(read_license(card))
    if settings.public and restricted and not settings.i_have_permission:
        raise PublishError(
            f"{settings.dataset} carries the HGGT terms and is not made public: {HGGT_TERMS} Publish it privately "
            "(leave out --public); if the authors have given you permission, pass --i-have-permission; if it is your "
            "own data, build it with --license."
        )
