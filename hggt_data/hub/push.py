"""Push a built dataset to the Hugging Face Hub: check it, replace its annotators' names, show the plan, do it.

Nothing is created before all checks have passed, and the main branch changes in one step. Only files that the
previous version's manifest names are ever deleted.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from hggt_data.dataset.features import check_votes
from hggt_data.dataset.manifest import (
    CARD_FILE,
    DESCRIPTIONS,
    MANIFEST_FILE,
    Manifest,
    parse_manifest,
    read_manifest,
    require_whole,
)
from hggt_data.dataset.reader import DatasetSource
from hggt_data.dataset.shards import read_table_bytes
from hggt_data.errors import DatasetError, HubError, OutputError, PublishError, WorkerError
from hggt_data.hub.plan import Destination, Push, look_up
from hggt_data.hub.pseudonyms import (
    NameKeeper,
    find_names,
    has_times,
    has_zoom,
    make_pseudonymizer,
    read_pseudonyms,
    write_copy,
    write_pseudonyms,
)
from hggt_data.hub.repository import Branch, Repository
from hggt_data.io.files import digest_of_file
from hggt_data.io.folders import open_beside
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import default_workers
from hggt_data.licence import describe_license, is_restricted, read_license, terms_of
from hggt_data.ranges import Count


@dataclass(frozen=True, kw_only=True)
class PushSettings(Destination):
    """What to push, and where: also has the fields of `Destination`.

    Attributes:
        dataset: Folder that hggt-data build wrote.
        keep_names: Push annotators' names and working times unchanged. What they saw at 100 % is never pushed.
        new_pseudonyms: Draw new pseudonyms if the file with the old ones is lost.
        i_have_permission: Allow a public push of data under the HGGT terms, or without a known licence.
        workers: Worker processes.  [default: one per core, at most 8]
    """

    dataset: str | Path
    keep_names: bool = False
    new_pseudonyms: bool = False
    i_have_permission: bool = False
    workers: Count | None = None

    @property
    def pseudonyms_file(self) -> Path:
        """The file beside the dataset that keeps pseudonyms the same from one version to the next."""
        return pseudonyms_file_of(Path(self.dataset))


def pseudonyms_file_of(dataset: Path) -> Path:
    """The file of pseudonyms of a dataset."""
    return dataset.resolve().with_name(f"{dataset.resolve().name}.pseudonyms.csv")


@dataclass(frozen=True, kw_only=True)
class DatasetPush(Push):
    """A dataset ready to be pushed; its pseudonyms, if any, are kept for the next version."""

    pseudonyms_file: Path
    pseudonyms: Mapping[str, str]

    def push(self) -> str:
        """Keep the pseudonyms, then push."""
        if self.pseudonyms:
            write_pseudonyms(self.pseudonyms_file, self.pseudonyms)
        return super().push()


@contextmanager
def open_push(settings: PushSettings) -> Iterator[DatasetPush]:
    """Check everything and prepare the files to send.

    Nothing is sent until `push` is called. A copy to push is removed at the end of the block, but kept for the
    next run if an interruption or a fault of the Hub or the disk ended the block.

    Args:
        settings: What to push, and where.

    Yields:
        The push: `describe` gives the lines of the plan; `push` sends the files and returns the commit.

    Raises:
        PublishError: The licence, missing rights, or the repository's visibility, content or tags do not allow it.
        HubError: The Hub cannot be reached.
        DatasetError: The dataset does not agree with its manifest.
        OutputError: Another process is pushing this dataset, or the disk has no room for the copy.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import BuildSettings, PublishError, PushSettings, build_dataset, open_push, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = build_dataset(BuildSettings([write_demo_tree(folder).train], folder / "hggt", workers=1))
        >>> try:
        ...     with open_push(PushSettings(dataset=folder / "hggt", repo_id="my-lab/hggt", public=True)) as push:
        ...         print(*push.describe(), sep="\\n")
        ...         commit = push.push()
        ... except PublishError as error:  # built without `license`, this dataset may only be pushed privately
        ...     print(str(error).removeprefix(str(folder)).partition(":")[0])
        /hggt cannot be made public
    """
    folder = Path(settings.dataset).resolve()
    manifest = read_manifest(folder)
    if not (folder / CARD_FILE).is_file():
        raise DatasetError(f"{folder} has no {CARD_FILE}, the card. Build the dataset again.")
    _require_permission(settings, manifest, (folder / CARD_FILE).read_text("utf-8", errors="replace"))
    repository, main = look_up(settings, "dataset", MANIFEST_FILE)
    previous = _read_previous(repository, main)
    require_whole(folder, manifest.contents())
    with _prepared(settings, folder, manifest, previous) as ready:
        small = [path for path in (*DESCRIPTIONS, MANIFEST_FILE) if (ready.folder / path).is_file()]
        contents = [*ready.manifest.contents(), *(digest_of_file(ready.folder, path) for path in small)]
        warnings = [
            *_warn_of_names(settings, previous),
            *_warn_of_metadata(ready.manifest),
            *_warn_of_edits(folder, manifest, ready.folder, previous),
        ]
        push = DatasetPush(
            source=Path(settings.dataset),
            destination=settings,
            repository=repository,
            main=main,
            folder=ready.folder,
            contents=contents,
            deletions=_find_obsolete(main, previous, {record.path for record in contents}),
            notes=[
                ("annotators", ready.annotators),
                *(("warning", warning) for warning in warnings),
                ("licence", describe_license(manifest.license)),
            ],
            pseudonyms_file=settings.pseudonyms_file,
            pseudonyms=ready.pseudonyms,
        )
        push.check()
        yield push


@dataclass(frozen=True)
class _Previous:
    """The version on the main branch of the Hub."""

    repository: Repository
    revision: str
    manifest: Manifest

    @cached_property
    def labels(self) -> dict[str, pa.Table]:
        """Votes by split, where they can be read."""
        found = {}
        for split in self.manifest.splits:
            data = self.repository.read_file(f"labels/{split}.parquet", self.revision)
            with suppress(DatasetError, ValueError):
                columns = ["annotations", *self.manifest.votes]
                table = read_table_bytes(data or b"", split, self.manifest.splits[split], columns)
                check_votes(table.to_pylist())
                found[split] = table
        return found

    @property
    def shows_people(self) -> bool:
        """Whether it contains annotators' names or their working times."""
        is_pseudonymous = self.manifest.settings.get("pseudonymous")
        return not is_pseudonymous and (bool(find_names(self.labels)) or has_times(self.labels))


def _read_previous(repository: Repository, main: Branch | None) -> _Previous | None:
    """The version on the Hub; None if there is none."""
    if main is None or MANIFEST_FILE not in main.files:
        return None
    data = repository.read_file(MANIFEST_FILE, main.commit)
    try:
        manifest = parse_manifest(data or b"", f"{MANIFEST_FILE} of {repository.url}")
    except DatasetError as error:
        raise PublishError(f"{str(error).rstrip('.')}, or choose another name on the Hub.") from error
    return _Previous(repository, main.commit, manifest)


def _find_obsolete(main: Branch | None, previous: _Previous | None, kept: set[str]) -> list[str]:
    """Files of the previous version that the new one does not have."""
    if main is None or previous is None:
        return []
    paths = {record.path for record in (*previous.manifest.contents(), *previous.manifest.files)} - kept
    return sorted(path for path in paths if path in main.files)


@dataclass(frozen=True)
class _Prepared:
    """A folder that shows no more of the annotators than it may, and the plan's line about them."""

    folder: Path
    manifest: Manifest
    annotators: str
    pseudonyms: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def _prepared(
    settings: PushSettings, folder: Path, manifest: Manifest, previous: _Previous | None
) -> Iterator[_Prepared]:
    """The dataset itself if it has nothing to hide, otherwise a copy without it."""
    labels = {split: _read_labels(folder, split) for split in manifest.splits}
    names = find_names(labels)
    if manifest.settings.get("pseudonymous"):
        yield _Prepared(folder, manifest, "pseudonyms and relative times, as in this dataset")
        return
    keeps_names = settings.keep_names
    annotators = _describe_annotators(labels, names, keeps_names=keeps_names)
    if not has_zoom(labels) and (keeps_names or not (names or has_times(labels))):
        yield _Prepared(folder, manifest, annotators)
        return
    hides_names = bool(names) and not keeps_names
    known = read_pseudonyms(settings.pseudonyms_file)
    if hides_names and not settings.new_pseudonyms:
        _require_pseudonyms(settings, known, previous)
    workers = settings.workers or default_workers()
    if settings.dry_run:
        with tempfile.TemporaryDirectory(prefix="hggt-dry-run-") as temporary:
            copy, changes = Path(temporary), NameKeeper() if keeps_names else make_pseudonymizer(labels, known)
            written = write_copy(folder, manifest, labels, changes, copy, workers=workers, keep_shards=False)
            yield _Prepared(copy, written, annotators)
        return
    if hides_names:
        annotators += f"; keep {settings.pseudonyms_file.name} private"
    # Beside the dataset, because a build refuses unknown files inside it.
    with open_beside(folder, "push") as place:
        try:
            place.chmod(0o700)
            _require_room(place, manifest)
            draft, copy = place / "pseudonyms.csv", place / "dataset"
            pseudonymizer = make_pseudonymizer(labels, known | read_pseudonyms(draft))
            write_pseudonyms(draft, pseudonymizer.pseudonyms)
            copy.mkdir(exist_ok=True)
            changes = NameKeeper() if keeps_names else pseudonymizer
            written = write_copy(folder, manifest, labels, changes, copy, workers=workers)
            yield _Prepared(copy, written, annotators, pseudonymizer.pseudonyms if hides_names else {})
        except OutputError:
            with suppress(OSError):  # unless a copy was begun
                place.rmdir()
            raise
        except (HubError, WorkerError, OSError, KeyboardInterrupt) as error:
            error.add_note(f"The copy to push stays in {place} for the next run; without one, delete it.")
            raise
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        shutil.rmtree(place, ignore_errors=True)


def _describe_annotators(labels: Mapping[str, pa.Table], names: set[str], *, keeps_names: bool) -> str:
    """The plan's line about annotators."""
    if keeps_names:
        text = f"{plural(len(names), 'name')} and all times are pushed unchanged"
    else:
        text = f"{plural(len(names), 'name')} replaced by pseudonyms" if names else "no names"
        text += "; times made relative" if has_times(labels) else "; no times"
    return text + ("; what was seen at 100 % left out" if has_zoom(labels) else "")


def _read_labels(folder: Path, split: str) -> pa.Table:
    """The table of a split; DatasetError unless all rows are as a build writes them."""
    groups = DatasetSource(folder, split, str(folder))
    for _ in groups:
        pass
    return groups.label_table()


def _require_pseudonyms(settings: PushSettings, known: Mapping[str, str], previous: _Previous | None) -> None:
    """Refuse to give annotators of the previous version another pseudonym."""
    if previous is None or not previous.manifest.settings.get("num_pseudonyms"):
        return
    lost = sorted(find_names(previous.labels) - set(known.values()))
    if lost:
        raise PublishError(
            f"{settings.pseudonyms_file} does not list {format_examples(lost)}, which {settings.repo_id} uses for its "
            "annotators: the file is missing or belongs to another dataset. Restore it, or pass `new_pseudonyms`."
        )


def _warn_of_names(settings: PushSettings, previous: _Previous | None) -> Iterator[str]:
    if previous is not None and not settings.keep_names and previous.shows_people:
        yield "the previous version shows names and times, and stays in the repository's history"


def _warn_of_metadata(manifest: Manifest) -> Iterator[str]:
    found = [problem for shard in manifest.shards for problem in shard.problems if problem.kind == "picture-metadata"]
    if found:
        paths = format_examples(sorted(problem.path for problem in found))
        yield f"{plural(len(found), 'image')} with metadata, which may include a place or a name: {paths}"


def _warn_of_edits(folder: Path, manifest: Manifest, sent: Path, previous: _Previous | None) -> Iterator[str]:
    """Edits of `DESCRIPTIONS` that would be lost."""
    for path in DESCRIPTIONS:
        here = _read_if_present(folder / path)
        if folder != sent and here is not None and not manifest.is_as_built(path, here):
            yield f"{path} was edited here; the copy to push gets a new one, without the edit"
        if previous is None:
            continue
        remote = previous.repository.read_file(path, previous.revision)
        if remote is None or remote == _read_if_present(sent / path):
            continue
        if not previous.manifest.is_as_built(path, remote):
            yield f"{path} was edited on the Hub and is replaced; the history keeps the edit"


def _read_if_present(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _require_room(place: Path, manifest: Manifest) -> None:
    """Refuse to begin a copy that the disk cannot hold."""
    written = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    needed = sum(record.size_bytes for record in manifest.contents()) - written
    free = shutil.disk_usage(place).free
    if needed > free:
        raise OutputError(
            f"{place}: the copy to push needs {needed:,} more bytes, but only {free:,} are free; free some space "
            "or move the dataset to a larger disk"
        )


def _require_permission(settings: PushSettings, manifest: Manifest, card: str) -> None:
    restricted = [one for one in (manifest.license, read_license(card)) if is_restricted(one)]
    if settings.public and restricted and not settings.i_have_permission:
        raise PublishError(
            f"{settings.dataset} cannot be made public: {terms_of(restricted[0])} Push it privately "
            "(leave out `public`); if the authors gave you permission, pass `i_have_permission`; if it is your own "
            "data, run `hggt-data build` again with its licence."
        )
