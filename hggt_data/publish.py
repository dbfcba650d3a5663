"""Publish a built dataset on the Hugging Face Hub: check it, hide its annotators, say what will happen, do it.

Nothing is created before every check has passed, and the main branch changes all at once (`hub.py`). What the Hub holds
of an earlier version and the new one does not name is deleted, and nothing else.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from hggt_data.card import HGGT_LICENSE_NAME, HGGT_TERMS
from hggt_data.errors import DatasetError, PublishError
from hggt_data.hub import MAIN, REPO_ID, RemoteFile, Repository, find_differences
from hggt_data.hub_errors import explained
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
from hggt_data.schema import format_examples, plural
from hggt_data.staging import open_beside
from hggt_data.workers import default_workers

# What a repository may hold before its first publication: what the Hub itself puts there.
_EMPTY_REPOSITORY = {".gitattributes", CARD_FILE}
_TAG = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class PublishSettings:
    """What to publish; the names are those of the command's flags.

    Attributes:
        dataset: the folder that `hggt-build-dataset` wrote.
        repo_id: `ORG/NAME`.
        public: for everybody to see; otherwise private.
        gated: readers must ask for access, which is granted at once (`auto`) or by hand (`manual`).
        tag: a name for this version.
        keep_names: publish annotators' names and the times of their work as they are.
        i_have_permission: allow a public push of data under the HGGT terms.
        dry_run: write nothing, neither there nor here.
        workers: processes that write the copy without names.
    """

    dataset: Path
    repo_id: str
    public: bool = False
    gated: Literal["auto", "manual"] | None = None
    tag: str | None = None
    keep_names: bool = False
    i_have_permission: bool = False
    dry_run: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        if not REPO_ID.fullmatch(self.repo_id):
            raise PublishError(f"{self.repo_id!r} is no name on the Hub; expected ORG/NAME, such as my-lab/hggt")
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise PublishError(f"{self.tag!r} is no tag; expected letters, digits, '.', '_' and '-', such as v1.0")

    @property
    def visibility(self) -> Literal["public", "private"]:
        """What the repository is to be."""
        return "public" if self.public else "private"


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
        licence: of the data.
    """

    settings: PublishSettings
    repository: Repository
    folder: Path
    contents: Sequence[FileRecord]
    remote: dict[str, RemoteFile] | None
    deletions: Sequence[str]
    people: str
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
    """Check everything and prepare what will be sent, in a folder that goes when the block ends without an error.

    Raises:
        PublishError: the licence, the repository's visibility or content, or the tag stands against it.
        DatasetError: the dataset does not agree with its manifest.
        HubError: the Hub cannot be asked.
    """
    folder, repository = settings.dataset.resolve(), Repository(settings.repo_id, "dataset")
    manifest = read_manifest(folder)
    _require_permission(settings, manifest, (folder / CARD_FILE).read_text("utf-8"))
    with explained(settings.repo_id, "dataset"):
        repository.api.whoami()
    repository.require_visibility(settings.visibility)
    remote = None if repository.visibility() is None else repository.list_files(MAIN)
    before = _published_paths(repository, remote or {})
    require_whole(folder, manifest.contents())
    with ExitStack() as stack:
        people, ready, manifest = _prepare(settings, folder, manifest, stack)
        contents = [*manifest.contents(), describe_file(ready, MANIFEST_FILE)]
        _require_free_tag(settings, repository, remote, contents, ready)
        paths = {record.path for record in contents}
        yield Publication(
            settings,
            repository,
            ready,
            contents,
            remote,
            sorted(path for path in before if path not in paths and PARQUET_PATH.fullmatch(path)),
            people,
            manifest.settings["license"] or "HGGT terms: non-commercial academic research, no redistribution",
        )


def _prepare(
    settings: PublishSettings, folder: Path, manifest: Manifest, stack: ExitStack
) -> tuple[str, Path, Manifest]:
    """What to tell of the annotators, and the folder that tells no more, with its manifest."""
    if manifest.settings.get("pseudonymous"):
        return "pseudonyms and relative times, as in this dataset", folder, manifest
    labels = {split: pq.read_table(folder / "labels" / f"{split}.parquet") for split in manifest.splits}
    names = find_names(labels)
    if settings.keep_names:
        return f"{plural(len(names), 'name')} and all times are published (--keep-names)", folder, manifest
    if not names and not has_times(labels):
        return "no names; no times", folder, manifest
    # Beside the dataset and not in it, where a build would refuse it.
    file = folder.with_name(f"{folder.name}.pseudonyms.csv")
    veil = make_veil(labels, read_pseudonyms(file))
    people = f"{plural(len(names), 'name')} replaced by pseudonyms" if names else "no names"
    people += "; times made relative" if has_times(labels) else "; no times"
    workers = settings.workers or default_workers()
    if settings.dry_run:
        copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hggt-dry-run-")))
        return people, copy, write_veiled(folder, manifest, labels, veil, copy, workers=workers, keep_shards=False)
    if names:
        write_pseudonyms(file, veil.pseudonyms)
        people += f"; {file.name} keeps them, for you only"
    copy = stack.enter_context(open_beside(folder, "publish"))
    stack.push(lambda kind, *_: shutil.rmtree(copy, ignore_errors=True) if kind is None else None)
    return people, copy, write_veiled(folder, manifest, labels, veil, copy, workers=workers)


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
    data = repository.read_file(MANIFEST_FILE, MAIN) if remote else None
    if data is not None:
        try:
            manifest = parse_manifest(data, f"{MANIFEST_FILE} of {repository.repo_id}")
        except DatasetError as error:
            raise PublishError(f"{error}; or choose another name on the Hub") from error
        return [record.path for record in manifest.contents() if record.path in remote]
    others = sorted(remote.keys() - _EMPTY_REPOSITORY)
    if others:
        raise PublishError(
            f"{repository.url} holds files that hggt has not published: {format_examples(others)}. Choose another name."
        )
    return []


def _require_free_tag(
    settings: PublishSettings,
    repository: Repository,
    remote: dict[str, RemoteFile] | None,
    contents: Sequence[FileRecord],
    folder: Path,
) -> None:
    """A tag that readers rely on never moves."""
    commit = repository.commit_of_tag(settings.tag) if settings.tag and remote is not None else None
    if commit is not None and find_differences(contents, repository.list_files(commit), folder):
        raise PublishError(f"{settings.repo_id} has a tag {settings.tag} already, of another version; choose another")
