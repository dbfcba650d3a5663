"""What a push would do: the destination, and the plan shown before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hggt_data.errors import PublishError
from hggt_data.hub.repository import TAG, RemoteFile, Repository, find_differences, require_repo_id
from hggt_data.io.files import FileDigest, sha256_of
from hggt_data.io.text import plural


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where to publish; the names are those of the commands' flags.

    Attributes:
        repo_id: Repository on the Hub.
        public: Make the repository public.  [default: private]
        gated: Readers must request access, which is approved automatically or manually.
        tag: Tag for this version, such as v1.0.

    Raises:
        HubError: `repo_id` is no name that the Hub takes.
        PublishError: `tag` is none.
    """

    repo_id: str
    public: bool = False
    gated: Literal["auto", "manual"] | None = None
    tag: str | None = None

    def __post_init__(self) -> None:
        require_repo_id(self.repo_id)
        if self.tag is not None and not TAG.fullmatch(self.tag):
            raise PublishError(f"{self.tag!r} is no tag; expected letters, digits, '.', '_' and '-', such as v1.0")

    @property
    def visibility(self) -> Literal["public", "private"]:
        """What the repository is to be."""
        return "public" if self.public else "private"


def title_of(what: str, contents: Sequence[FileDigest]) -> str:
    """The title of a pull request with these contents, and with no others."""
    return f"hggt {what} {sha256_of(''.join(record.sha256 for record in contents).encode())[:12]}"


def describe_plan(
    source: Path,
    repository: Repository,
    destination: Destination,
    *,
    notes: Sequence[tuple[str, str]],
    folder: Path,
    contents: Sequence[FileDigest],
    remote: dict[str, RemoteFile] | None,
    deletions: Sequence[str] = (),
) -> list[str]:
    """What a publication would do, a line each.

    Args:
        source: what is published.
        repository, destination: where to.
        notes: a word and what to say, of what is published.
        folder: holds the files to send.
        contents: all files of the new version.
        remote: what is there already; null if there is no repository.
        deletions: files of the version that is there which the new one does not have.
    """
    found = remote or {}

    def state(record: FileDigest) -> str:
        if record.path not in found:
            return "new"
        return "changed" if find_differences([record], found, folder) else "unchanged"

    states = {record.path: state(record) for record in contents}
    sent = [record for record in contents if states[record.path] != "unchanged"]
    there = "new" if remote is None else f"is there, with {plural(len(remote), 'file')}"
    gated = f", gated ({destination.gated})" if destination.gated else ""
    told = [("repository", f"{there}; {destination.visibility}{gated}"), *notes]
    if destination.tag:
        told.append(("tag", destination.tag))
    size = sum(record.size_bytes for record in sent)
    told.append(("upload", f"{plural(len(sent), 'file')} of {len(contents)}, {size:,} bytes"))
    width = max(len(record.path) for record in contents)
    return [
        f"{source} -> {repository.url}",
        *(f"  {word:10}  {text}" for word, text in told),
        *(f"    {states[r.path]:9}  {r.path:{width}}  {r.size_bytes:>15,}" for r in contents),
        f"  delete      {plural(len(deletions), 'file')} of the version that is there",
        *(f"    {path}" for path in deletions),
    ]
