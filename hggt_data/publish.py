"""Publish a built dataset on the Hugging Face Hub: check it, hide its annotators, say what will happen, do it.

Nothing is created before every check has passed, and the main branch changes all at once (`hub.py`). What the Hub holds
of an earlier version and the new one does not name is deleted, and nothing else.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from hggt_data.card import HGGT_LICENSE_NAME, HGGT_TERMS
from hggt_data.errors import DatasetError, HubError, PublishError
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
from hggt_data.schema import plural
from hggt_data.staging import open_beside
from hggt_data.workers import default_workers


@dataclass(frozen=True, kw_only=True)
class PublishSettings(Destination):
    """What to publish, and where; the names are those of the command's flags.

    Attributes:
        dataset: the folder that `hggt-build-dataset` wrote.
        keep_names: publish annotators' names and the times of their work as they are.
        i_have_permission: allow a public push of data under the HGGT terms.
        dry_run: write nothing, neither there nor here.
        workers: processes that write the copy without names.
    """

    dataset: Path
    keep_names: bool = False
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
    """
    folder, repository = settings.dataset.resolve(), Repository(settings.repo_id, "dataset")
    manifest = read_manifest(folder)
    _require_permission(settings, manifest, (folder / CARD_FILE).read_text("utf-8"))
    repository.require_writer()
    repository.require_visibility(settings.visibility)
    remote = None if repository.visibility() is None else repository.list_files(MAIN)
    repository.require_own(remote or {}, MANIFEST_FILE)
    before = _published_paths(repository, remote or {})
    require_whole(folder, manifest.contents())
    with _prepared(settings, folder, manifest) as ready:
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
            sorted(path for path in before if path not in paths and PARQUET_PATH.fullmatch(path)),
            ready.people,
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
def _prepared(settings: PublishSettings, folder: Path, manifest: Manifest) -> Iterator[_Prepared]:
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
            draft, copy = place / "pseudonyms.csv", place / "dataset"
            veil = make_veil(labels, known | read_pseudonyms(draft))
            write_pseudonyms(draft, veil.pseudonyms)
            copy.mkdir(exist_ok=True)
            veiled = write_veiled(folder, manifest, labels, veil, copy, workers=workers)
            yield _Prepared(copy, veiled, people, veil.pseudonyms if names else {})
        except (HubError, OSError, KeyboardInterrupt):
            raise
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        shutil.rmtree(place, ignore_errors=True)


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


def _published_paths(repository: Repository, remote: dict[str, RemoteFile]) -> list[str]:
    """The files of the version that is there, as its own manifest names them."""
    path = repository.fetch_file(MANIFEST_FILE, MAIN) if remote else None
    if path is not None:
        try:
            manifest = parse_manifest(path.read_bytes(), f"{MANIFEST_FILE} of {repository.repo_id}")
        except DatasetError as error:
            raise PublishError(f"{error}; or choose another name on the Hub") from error
        return [record.path for record in manifest.contents() if record.path in remote]
    return []
