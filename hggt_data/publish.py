"""Publish a built dataset on the Hugging Face Hub: check it, hide its annotators, say what will happen, do it.

Nothing is created before every check has passed, and the main branch changes all at once (`hub.py`). What the Hub holds
of an earlier version and the new one does not name is deleted, and nothing else.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from hggt_data.card import HGGT_LICENSE_NAME, HGGT_TERMS
from hggt_data.errors import DatasetError, HubError, OutputError, PublishError, WorkerError
from hggt_data.hub import MAIN, Destination, RemoteFile, Repository, find_differences
from hggt_data.manifest import (
    CARD_FILE,
    MANIFEST_FILE,
    PARQUET_PATH,
    FileRecord,
    Manifest,
    describe_file,
    parse_manifest,
    read_manifest,
    require_whole,
)
from hggt_data.pseudonyms import find_names, has_times, make_veil, read_pseudonyms, write_pseudonyms, write_veiled
from hggt_data.staging import open_beside
from hggt_data.wording import plural
from hggt_data.workers import default_workers


@dataclass(frozen=True, kw_only=True)
class PublishSettings(Destination):
    """What to publish, and where; the names are those of the command's flags.

    Attributes:
        dataset: the folder that `hggt-build-dataset` wrote.
        keep_names: publish annotators' names and the times of their work as they are.
        new_pseudonyms: go on although the file with those of the version that is there is missing.
        i_have_permission: allow a public push of data under the HGGT terms.
        dry_run: write nothing, neither there nor here.
        workers: processes that write the copy without names.
    """

    dataset: Path
    keep_names: bool = False
    new_pseudonyms: bool = False
    i_have_permission: bool = False
    dry_run: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class Publication:
    """A dataset ready to go out, and what the Hub holds at the moment.

    Attributes:
        settings: what was asked.
        repository: where to.
        folder: holds the files to send; for a dry run, only their records are known.
        contents: all files of the new version.
        remote: what is there already; null if there is no repository.
        deletions: files of the version that is there which the new one does not have.
        people: what is told of the annotators.
        warning: what the user should know of earlier versions.
        pseudonyms: to be kept for the next version.
        licence: of the data.
    """

    settings: PublishSettings
    repository: Repository
    folder: Path
    contents: Sequence[FileRecord]
    remote: dict[str, RemoteFile] | None
    deletions: Sequence[str]
    people: str
    warning: str
    pseudonyms: Mapping[str, str]
    licence: str

    def describe(self) -> list[str]:
        """What would happen, a line each."""
        remote = self.remote or {}
        state = "new" if self.remote is None else f"is there, with {plural(len(remote), 'file')}"
        gated = f", gated ({self.settings.gated})" if self.settings.gated else ""
        states = {record.path: self._state(record, remote) for record in self.contents}
        sent = [record for record in self.contents if states[record.path] != "unchanged"]
        size = sum(record.size_bytes for record in sent)
        lines = [
            f"{self.settings.dataset} -> {self.repository.url}",
            f"  repository  {state}; {self.settings.visibility}{gated}",
            f"  people      {self.people}",
            *([f"  warning     {self.warning}"] if self.warning else []),
            f"  licence     {self.licence}",
            *([f"  tag         {self.settings.tag}"] if self.settings.tag else []),
            f"  upload      {plural(len(sent), 'file')} of {len(self.contents)}, {size:,} bytes",
        ]
        width = max(len(record.path) for record in self.contents)
        for record in self.contents:
            lines.append(f"    {states[record.path]:9}  {record.path:{width}}  {record.size_bytes:>15,}")
        lines.append(f"  delete      {plural(len(self.deletions), 'file')} of the version that is there")
        return lines + [f"    {path}" for path in self.deletions]

    def _state(self, record: FileRecord, remote: dict[str, RemoteFile]) -> str:
        if record.path not in remote:
            return "new"
        return "changed" if find_differences([record], remote, self.folder) else "unchanged"

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
        manifest = next(record for record in self.contents if record.path == MANIFEST_FILE)
        return self.repository.publish(
            self.folder,
            self.contents,
            self.deletions,
            title=f"hggt dataset {manifest.sha256[:12]}",
            visibility=settings.visibility,
            tag=settings.tag,
        )


@contextmanager
def open_publication(settings: PublishSettings) -> Iterator[Publication]:
    """Check everything and prepare what will be sent.

    The copy that hides the annotators goes at the end of the block, unless an interruption or a fault of the Hub or the
    disk ended it: then the next run goes on with it.

    Raises:
        PublishError: the licence, the repository's visibility or content, or the tag stands against it.
        DatasetError: the dataset does not agree with its manifest.
        HubError: the Hub cannot be asked.
        OutputError: another publication of this dataset is running, or there is no room for the copy.
        TreeError: the file with the pseudonyms is no CSV file.
        WorkerError, OSError: the copy could not be written. What is finished stays for the next run.
    """
    folder, repository = settings.dataset.resolve(), Repository(settings.repo_id, "dataset")
    manifest = read_manifest(folder)
    _require_permission(settings, manifest, (folder / CARD_FILE).read_text("utf-8"))
    repository.require_writer()
    is_there = repository.require_visibility(settings.visibility) is not None
    remote = repository.list_files(MAIN) if is_there else None
    repository.require_own(remote or {}, MANIFEST_FILE)
    previous = _published_manifest(repository) if remote and MANIFEST_FILE in remote else None
    before = [record.path for record in previous.contents()] if previous else []
    require_whole(folder, manifest.contents())
    with _prepared(settings, folder, manifest, previous) as ready:
        contents = [*ready.manifest.contents(), describe_file(ready.folder, MANIFEST_FILE)]
        if settings.tag and remote is not None:
            repository.require_free_tag(settings.tag, contents, ready.folder)
        paths = {record.path for record in contents}
        yield Publication(
            settings,
            repository,
            ready.folder,
            contents,
            remote,
            sorted(p for p in before if p not in paths and p in (remote or {}) and PARQUET_PATH.fullmatch(p)),
            ready.people,
            _warn_of_names(previous, ready.manifest),
            ready.pseudonyms,
            manifest.settings["license"] or "HGGT terms: non-commercial academic research, no redistribution",
        )


@dataclass(frozen=True)
class _Prepared:
    """A folder that tells no more of the annotators than it may, and what to say of that."""

    folder: Path
    manifest: Manifest
    people: str
    pseudonyms: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def _prepared(
    settings: PublishSettings, folder: Path, manifest: Manifest, previous: Manifest | None
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
    if names and not names & known.keys() and not settings.new_pseudonyms and _has_pseudonyms(previous):
        raise PublishError(
            f"{settings.repo_id} has pseudonyms for its annotators, and {_pseudonyms_file(folder)}, which tells whose "
            "they are, is missing or of other people. Put it there, or pass --new-pseudonyms for new ones."
        )
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
    with open_beside(folder, "publish") as place:
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
        except (HubError, WorkerError, OSError, KeyboardInterrupt):
            raise
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        shutil.rmtree(place, ignore_errors=True)


def _has_pseudonyms(previous: Manifest | None) -> bool:
    return previous is not None and bool(previous.settings.get("num_pseudonyms"))


def _warn_of_names(previous: Manifest | None, manifest: Manifest) -> str:
    """What a new version cannot take back."""
    if previous is None or previous.settings.get("pseudonymous") or not manifest.settings.get("pseudonymous"):
        return ""
    return "the version that is there was published with names and times, and its history will still show them"


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


def _require_permission(settings: PublishSettings, manifest: Manifest, card: str) -> None:
    restricted = manifest.settings["license"] is None or f"license_name: {HGGT_LICENSE_NAME}" in card
    if settings.public and restricted and not settings.i_have_permission:
        raise PublishError(
            f"{settings.dataset} carries the HGGT terms and is not made public: {HGGT_TERMS} Publish it privately "
            "(leave out --public); if the authors have given you permission, pass --i-have-permission; if it is your "
            "own data, build it with --license."
        )


def _published_manifest(repository: Repository) -> Manifest:
    """What the version that is there says of itself."""
    path = repository.fetch_file(MANIFEST_FILE, MAIN)
    assert path is not None
    try:
        return parse_manifest(path.read_bytes(), f"{MANIFEST_FILE} of {repository.repo_id}")
    except DatasetError as error:
        raise PublishError(f"{error}; or choose another name on the Hub") from error
