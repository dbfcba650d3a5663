"""Download a dataset from the Hugging Face Hub, to a folder or to the Hub's cache, and check it.

What the Hub lists is compared with the manifest before the first shard is downloaded, and every byte afterwards: a
missing or altered shard is an error that names it, never fewer rows. The card may be edited on the Hub.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hggt_data.dataset.folder import remove_unknown_files, require_own_files
from hggt_data.dataset.manifest import DESCRIPTIONS, MANIFEST_FILE, Manifest, parse_manifest, read_manifest
from hggt_data.dataset.reader import CHECKED_FILE
from hggt_data.errors import HubError, OutputError
from hggt_data.hub.errors import explained, retried
from hggt_data.hub.repository import Repository, find_differences, require_repo_id
from hggt_data.io.files import FileDigest, find_damaged, link_or_copy, read_regular_file, write_text
from hggt_data.io.folders import open_staging, put_in_place
from hggt_data.io.text import format_examples

_DATA_SUFFIXES = (".parquet", ".incomplete")  # the client's name for a part of a file


def download_dataset(repo_id: str, output: str | Path, revision: str | None = None) -> Manifest:
    """Download a dataset to a folder; files that the folder already has are not downloaded again.

    Args:
        repo_id: Dataset on the Hub.
        output: New or empty folder, or an earlier download or build, which is replaced.
        revision: Tag, branch or commit on the Hub.  [default: main]

    Returns:
        The manifest of the dataset: its splits, candidates and files.

    Raises:
        HubError: The dataset cannot be downloaded, or lacks files that its manifest names.
        DatasetError: The manifest of either dataset is damaged.
        OutputError: The folder contains other files, or names and times that the published dataset lacks.

    Example:
        >>> import os
        >>> os.environ["HF_HUB_OFFLINE"] = "1"  # this example needs no network; leave out this line to download
        >>> from hggt_data import HubError, download_dataset
        >>> try:
        ...     print(download_dataset("my-lab/hggt-demo", "copy", revision="v1.0").splits)
        ... except HubError as error:
        ...     print(error)
        my-lab/hggt-demo is not in the cache, and the client is offline. Unset HF_HUB_OFFLINE to use the Hub.
    """
    output = Path(output)
    require_repo_id(repo_id)
    folder, manifest = _fetch_manifest(repo_id, revision)
    repository = Repository(repo_id, "dataset")
    descriptions = [file.path for file in manifest.files if file.path in DESCRIPTIONS]
    described = {path: repository.fetch_file(path, folder.name) for path in descriptions}
    with open_staging(output, marker=MANIFEST_FILE) as staging:
        try:
            require_own_files(output)
            _require_no_loss(output, manifest, repo_id)
            contents = manifest.contents()
            missing = _take_over(contents, (staging, output.resolve()), staging)
            if missing:
                _fetch(repo_id, folder.name, contents, missing, staging, is_cache=False)
                _remove_damaged(repo_id, staging, missing)
        except BaseException as error:
            if any(path.stat().st_size for path in staging.rglob("*") if path.suffix in _DATA_SUFFIXES):
                error.add_note(f"What has arrived is kept in {staging} for the next run; without one, delete it.")
            else:
                shutil.rmtree(staging, ignore_errors=True)
            raise
        shutil.rmtree(staging / ".cache", ignore_errors=True)  # the client's own records
        shutil.copyfile(folder / MANIFEST_FILE, staging / MANIFEST_FILE)
        for path, fetched in described.items():
            (staging / path).unlink(missing_ok=True)
            if fetched is not None:
                shutil.copyfile(fetched, staging / path)
        remove_unknown_files(staging, manifest)
        put_in_place(staging, output)
    return manifest


def _require_no_loss(output: Path, manifest: Manifest, repo_id: str) -> None:
    """Refuse to replace the publisher's own dataset by the copy without names and times."""
    if not (output / MANIFEST_FILE).is_file() or not manifest.settings.get("pseudonymous"):
        return
    if not read_manifest(output).settings.get("pseudonymous"):
        raise OutputError(
            f"{output} is a dataset with annotators' names and times, which {repo_id} does not have: they would be "
            "lost. Choose another `output`, or remove the folder first."
        )


def fetch_dataset(repo_id: str, revision: str | None = None) -> Path:
    """Download a dataset to the Hub's cache if needed, and return its folder there, which is named after the commit.

    With `HF_HUB_OFFLINE=1`, a dataset in the cache is used as it is.

    Raises:
        HubError: the dataset cannot be downloaded, or lacks files that its manifest names.
        DatasetError: its manifest is damaged.
    """
    folder, manifest = _fetch_manifest(repo_id, revision)
    contents = manifest.contents()
    with _others_waiting(folder):
        missing = [record for record in contents if not (folder / record.path).is_file()]
        if not missing and (folder / CHECKED_FILE).is_file():
            return folder
        if missing:
            _fetch(repo_id, folder.name, contents, missing, folder, is_cache=True)
        _remove_damaged(repo_id, folder, contents)
        with suppress(OSError):  # a read-only cache is checked each time
            write_text(folder / CHECKED_FILE, "")
    return folder


def find_cached_dataset(repo_id: str, commit: str) -> Path:
    """The folder of a dataset that was downloaded to the Hub's cache before; nothing is sent over the network.

    HubError if it is not there, or not completely.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo_id, MANIFEST_FILE, repo_type="dataset", revision=commit)
    folder = Path(found).parent if isinstance(found, str) else None
    if folder is None or any(not (folder / file.path).is_file() for file in read_manifest(folder).contents()):
        raise HubError(
            f"{repo_id}, commit {commit or 'not known'}, is not completely in the Hub's cache. To download it, run "
            f"`hggt-data stats {repo_id} --revision {commit or 'COMMIT'} --split SPLIT`."
        )
    return folder


@contextmanager
def _others_waiting(folder: Path) -> Iterator[None]:
    """Let one process download and hash a dataset while others wait for it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # where the file system has no locks, each does
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _fetch_manifest(repo_id: str, revision: str | None) -> tuple[Path, Manifest]:
    """The dataset's folder in the Hub's cache, which is named after the commit, and the manifest in it."""
    path = Repository(repo_id, "dataset").fetch_file(MANIFEST_FILE, revision)
    if path is None:
        raise HubError(f"{repo_id} has no {MANIFEST_FILE}; expected a dataset that hggt-data push has pushed")
    return path.parent, parse_manifest(read_regular_file(path), f"{MANIFEST_FILE} of {repo_id}")


def _take_over(contents: Sequence[FileDigest], places: Sequence[Path], staging: Path) -> list[FileDigest]:
    """Link files that one of the places already has into the staging folder, and return those still missing.

    Damaged files in the staging folder are removed.
    """
    missing = list(contents)
    for place in places:
        damage = find_damaged(place, missing)
        for record in missing:
            source, target = place / record.path, staging / record.path
            if record.path in damage:
                if place == staging:
                    target.unlink(missing_ok=True)
            elif source != target:
                target.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(source, target)
        missing = [record for record in missing if record.path in damage]
    return missing


def _fetch(
    repo_id: str,
    commit: str,
    contents: Sequence[FileDigest],
    missing: Sequence[FileDigest],
    folder: Path,
    *,
    is_cache: bool,
) -> None:
    """Compare what the Hub lists with the manifest, then download what is missing to a folder or the Hub's cache."""
    repository = Repository(repo_id, "dataset")
    wrong = find_differences(contents, repository.list_files(commit))
    if wrong:
        raise HubError(
            f"{repository.url} does not agree with its {MANIFEST_FILE}: {format_examples(list(wrong.values()))}. Its "
            "publisher must push it again."
        )
    try:
        with explained(repo_id, "dataset", commit):
            paths = [record.path for record in missing]
            retried(
                lambda: repository.api.snapshot_download(
                    repo_id,
                    repo_type="dataset",
                    revision=commit,
                    allow_patterns=paths,
                    local_dir=None if is_cache else folder,
                )
            )
    except HubError as error:
        absent = [record.path for record in missing if not (folder / record.path).is_file()]
        raise HubError(f"{error} Still missing: {format_examples(absent)}") from None


def _remove_damaged(repo_id: str, folder: Path, contents: Sequence[FileDigest]) -> None:
    """Hash what has arrived, and remove damaged files, which the client would otherwise take for good next time."""
    damage = find_damaged(folder, contents)
    for path in damage:
        (folder / path).resolve().unlink(missing_ok=True)
        (folder / path).unlink(missing_ok=True)
    if damage:
        faults = [f"{path} {text}" for path, text in damage.items()]
        raise HubError(
            f"{repo_id} arrived damaged: {format_examples(faults)}. Try again; if this does not help, its publisher "
            "must push it again."
        )
