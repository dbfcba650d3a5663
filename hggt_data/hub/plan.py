"""A push before it happens: settings and checks that datasets and networks share, and the plan shown to the user."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hggt_data.dataset.manifest import CARD_FILE
from hggt_data.errors import SettingsError
from hggt_data.hub.errors import RepositoryKind
from hggt_data.hub.repository import TAG, Branch, Repository, Visibility, find_differences, require_repo_id
from hggt_data.io.files import FileDigest
from hggt_data.io.text import plural
from hggt_data.ranges import require_ranges


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where to push.

    Attributes:
        repo_id: Repository on the Hub.
        public: Make the repository public.  [default: private]
        gated: Readers must request access, which is approved automatically or manually.
        tag: Tag for this version, such as v1.0.
        dry_run: Print what would be sent and deleted; change nothing. Without a token, the Hub is not asked.

    Raises:
        SettingsError: `repo_id` or `tag` is not a name that the Hub accepts, or another value is not allowed.
    """

    repo_id: str
    public: bool = False
    gated: Literal["auto", "manual"] | None = None
    tag: str | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        require_ranges(self)
        require_repo_id(self.repo_id)
        if self.tag is not None and not TAG.fullmatch(self.tag):
            raise SettingsError(
                f"{self.tag!r} is not a valid tag; expected letters, digits, '.', '_' and '-', such as v1.0"
            )

    @property
    def visibility(self) -> Visibility:
        """The visibility that the repository must have."""
        return "public" if self.public else "private"

    @property
    def asks_hub(self) -> bool:
        """Whether the Hub is asked what the repository contains now."""
        from huggingface_hub import get_token

        return not self.dry_run or get_token() is not None


def look_up(destination: Destination, kind: RepositoryKind, marker: str) -> tuple[Repository, Branch | None]:
    """The repository and its main branch, after checking that a push may go there; no branch if it is new or not asked.

    `marker` is a file that hggt writes into every repository of this kind.
    """
    repository = Repository(destination.repo_id, kind)
    if not destination.asks_hub:
        return repository, None
    repository.require_writer()
    if repository.require_visibility(destination.visibility) is None:
        return repository, None
    main = repository.read_main()
    repository.require_own(main.files, marker)
    return repository, main


@dataclass(frozen=True, kw_only=True)
class Push:
    """Files ready to be pushed, and what the repository contains now.

    Attributes:
        source: what is pushed, for the plan.
        main: the main branch; None if the repository does not exist or was not asked.
        folder: contains the files; after a dry run, only the small ones.
        contents: all files of the new version.
        deletions: files of the previous version to delete.
        notes: lines of the plan, each a word and what it says.
    """

    source: Path
    destination: Destination
    repository: Repository
    main: Branch | None
    folder: Path
    contents: Sequence[FileDigest]
    deletions: Sequence[str] = ()
    notes: Sequence[tuple[str, str]]

    def check(self) -> None:
        """Refuse a card that the Hub rejects and a tag that is taken."""
        if not self.destination.asks_hub:
            return
        self.repository.require_card((self.folder / CARD_FILE).read_text("utf-8", errors="replace"))
        if self.destination.tag and self.main is not None:
            self.repository.require_free_tag(self.destination.tag, self.contents, self.folder)

    def describe(self) -> list[str]:
        """The plan, line by line."""
        present = self.main.files if self.main else {}
        changed = find_differences(self.contents, present, self.folder)

        def state(path: str) -> str:
            return "unchanged" if path not in changed else "changed" if path in present else "new"

        existing = f"exists, with {plural(len(present), 'file')}" if self.main else "new"
        if not self.destination.asks_hub:
            existing = "the Hub was not asked, as there is no token; shown as if new"
        gated = f", gated ({self.destination.gated})" if self.destination.gated else ""
        size_bytes = sum(record.size_bytes for record in self.contents if record.path in changed)
        lines = [("repository", f"{existing}; {self.destination.visibility}{gated}"), *self.notes]
        if self.destination.tag:
            lines.append(("tag", self.destination.tag))
        lines.append(("upload", f"{plural(len(changed), 'file')} of {len(self.contents)}, {size_bytes:,} bytes"))
        width = max(len(record.path) for record in self.contents)
        return [
            f"{self.source} -> {self.repository.url}",
            *(f"  {word:10}  {text}" for word, text in lines),
            *(f"    {state(r.path):9}  {r.path:{width}}  {r.size_bytes:>15,}" for r in self.contents),
            f"  delete      {plural(len(self.deletions), 'file')} of the previous version",
            *(f"    {path}" for path in self.deletions),
        ]

    def push(self) -> str:
        """Create the repository if it is new, and push the files to its main branch in one step. Return the commit."""
        repository, destination, main = self.repository, self.destination, self.main
        if main is None:
            repository.create(destination.visibility)
        if destination.gated is not None:
            repository.set_gate(destination.gated)  # before anyone could read the files
        commit = repository.push(
            self.folder,
            self.contents,
            self.deletions,
            main=main or repository.read_main(),
            visibility=destination.visibility,
            message=f"Push {repository.kind} with hggt",
        )
        if destination.tag is not None:
            repository.create_tag(destination.tag, commit, self.contents, self.folder)
        return commit
