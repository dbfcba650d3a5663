"""Repositories on the Hugging Face Hub, for datasets and networks alike: look, compare, push.

A push is one commit on the main branch, made by `huggingface_hub` after all large files are uploaded.
"""

import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hggt_data.errors import RUN_AGAIN, HubError, PublishError, SettingsError
from hggt_data.hub.errors import AnswerError, RepositoryKind, describe_conflict, explained, page_of, redact, retried
from hggt_data.io.archive import place_exists
from hggt_data.io.files import FileDigest
from hggt_data.io.text import format_examples
from hggt_data.io.workers import print_line

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi

    Operation = CommitOperationAdd | CommitOperationDelete

Visibility = Literal["public", "private"]

MAIN = "main"
# What the Hub accepts: no `..`, `--` or `.git` at the end; a tag also has none of git's own names.
_ORG_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]{0,94}[A-Za-z0-9_]?"
REPO_ID = re.compile(rf"(?!.*(\.\.|--|\.git$)){_ORG_NAME}")
TAG = re.compile(r"(?!.*(\.\.|\.lock$|\.$)|(main|HEAD|refs)$)[A-Za-z0-9][A-Za-z0-9_.-]*")
_URL = re.compile(rf"(?:https?:/+[^/]+|hf:/*)/(?:(?:datasets|models)/)?(?P<repo_id>{_ORG_NAME}).*", re.IGNORECASE)
_COMMIT = re.compile(r"[0-9a-f]{40}")
# What the Hub itself puts into a new repository.
_EMPTY_REPOSITORY = {".gitattributes", "README.md"}


def is_hub_id(source: str | Path) -> bool:
    """Whether a source is a repository on the Hub: it has the form ORG/NAME, and no file or folder has this path.

    A path may lead into a zip file.

    SettingsError for a repository's address, which would be taken for a path.
    """
    refuse_url(source)
    return REPO_ID.fullmatch(str(source)) is not None and not place_exists(Path(source))


def require_repo_id(repo_id: str) -> None:
    """Check that the Hub accepts this as the name of a repository."""
    refuse_url(repo_id)
    if not REPO_ID.fullmatch(repo_id):
        raise SettingsError(f"{repo_id!r} is not a repository name; expected ORG/NAME, such as my-lab/hggt")


def refuse_url(source: str | Path) -> None:
    """SettingsError for the address of a repository in place of its name, which it gives."""
    if found := _URL.match(str(source)):
        shown = re.sub("^https?:/(?!/)", r"\g<0>/", str(source))  # a path has lost a slash
        raise SettingsError(f"{shown} is an address; expected a folder or a repository: {found['repo_id']}")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository; `sha256` is None for small files, which git itself keeps under `blob_id`."""

    size_bytes: int
    sha256: str | None
    blob_id: str


@dataclass(frozen=True)
class Branch:
    """The latest commit of a branch, and its files by path."""

    commit: str
    files: Mapping[str, RemoteFile]


@dataclass(frozen=True)
class Repository:
    """One repository of the Hub.

    Attributes:
        repo_id: `ORG/NAME`.
        kind: what it contains.
        files_per_commit: largest commit. The Hub recommends at most 100 files; the whole official dataset has 84.
    """

    repo_id: str
    kind: RepositoryKind
    files_per_commit: int = 100

    @property
    def api(self) -> "HfApi":
        """The client, with endpoint and token from the environment and `hf auth login`."""
        from huggingface_hub import HfApi

        return HfApi(library_name="hggt")

    @property
    def url(self) -> str:
        """The repository's page."""
        return page_of(self.repo_id, self.kind)

    @cached_property
    def user(self) -> dict[str, Any]:
        """The token's user, as the Hub describes it; asked once."""
        with explained(self.repo_id, self.kind):
            user = self.api.whoami()
            try:
                _ = user["name"].lower(), [org["name"].lower() for org in user.get("orgs", ())]
                _ = user.get("auth", {}).get("accessToken", {}).get("role")
            except (AttributeError, LookupError, TypeError) as error:
                raise AnswerError from error
            return user

    # --- Checks before anything is sent

    def visibility(self) -> Visibility | None:
        """None if the repository does not exist or the token cannot read it."""
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        with explained(self.repo_id, self.kind):
            try:
                info = self._read_info()
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                _ = self.user  # a wrong token must not pass for a missing repository
                return None
        return "private" if info.private else "public"

    def require_visibility(self, wanted: Visibility) -> Visibility | None:
        """Refuse a private push to a public repository and the reverse. Return the visibility; None if it is new."""
        found = self.visibility()
        if found not in (None, wanted):
            way_out = "or pass `public`" if found == "public" else "or leave out `public`"
            raise PublishError(
                f"{self.repo_id} is {found}, and this push is {wanted}; nothing was pushed. Choose another name, "
                f"change the repository's visibility at {self.url}/settings, {way_out}."
            )
        return found

    def require_writer(self) -> None:
        """Refuse a missing or invalid token, and one that cannot write here."""
        namespace = self.repo_id.partition("/")[0]
        orgs = {org["name"].lower(): org for org in self.user.get("orgs", ())}
        name, known = self.user["name"], [self.user["name"], *(org["name"] for org in orgs.values())]
        if namespace.lower() not in [one.lower() for one in known]:
            raise PublishError(
                f"this token belongs to {name}, who can write to {', '.join(known)}, but not to {namespace}. Choose "
                "one of these, or use the token of a member."
            )
        if self.user.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise PublishError(
                f"this token is read-only. Create one with the role `write` at {self.api.endpoint}/settings/tokens."
            )
        if orgs.get(namespace.lower(), {}).get("roleInOrg") == "read":
            raise PublishError(f"{name} has read access only in {namespace}. Ask an admin for the role `write`.")

    def require_card(self, text: str) -> None:
        """Refuse a card that the Hub rejects, for example one with a licence that it does not know."""
        from huggingface_hub import get_session, hf_raise_for_status

        with explained(self.repo_id, self.kind):
            asked = {"repoType": self.kind, "content": text}
            response = get_session().post(f"{self.api.endpoint}/api/validate-yaml", json=asked)
            if response.status_code == 400:
                try:
                    faults = "; ".join(fault["message"] for fault in response.json()["errors"])
                except (LookupError, TypeError) as error:
                    raise AnswerError from error
                raise PublishError(f"the Hub rejects the card of {self.repo_id}: {redact(faults)}; nothing was pushed")
            hf_raise_for_status(response)

    def require_own(self, files: Mapping[str, RemoteFile], marker: str) -> None:
        """Refuse to overwrite files that hggt did not write: there are some, but not `marker`, which hggt writes."""
        others = sorted(files.keys() - _EMPTY_REPOSITORY)
        if others and marker not in files:
            raise PublishError(
                f"{self.url} contains files that hggt did not write: {format_examples(others)}. Choose another name."
            )

    def require_free_tag(self, tag: str, contents: Sequence[FileDigest], folder: Path) -> None:
        """Refuse to move a tag, which readers rely on, and a tag that a branch of the same name would hide."""
        with explained(self.repo_id, self.kind):
            refs = self.api.list_repo_refs(self.repo_id, repo_type=self.kind)
        if any(branch.name == tag for branch in refs.branches):
            raise PublishError(
                f"a branch {tag} already exists in {self.repo_id} and would hide the tag; choose another `tag`"
            )
        for found in refs.tags:
            if found.name == tag and find_differences(contents, self.list_files(found.target_commit), folder):
                raise PublishError(f"{self.repo_id} already has a tag {tag} for another version; choose another `tag`")

    # --- Reading

    def read_main(self) -> Branch:
        """The main branch as it is now."""
        with explained(self.repo_id, self.kind, MAIN):
            commit = _require_commit(self._read_info(MAIN).sha)
        return Branch(commit, self.list_files(commit))

    def _read_info(self, revision: str | None = None) -> Any:
        """What the Hub says about the repository, as the client's object."""
        return retried(partial(self.api.repo_info, self.repo_id, repo_type=self.kind, revision=revision))

    def list_files(self, revision: str) -> dict[str, RemoteFile]:
        """The files of a branch, tag or commit by path."""
        from huggingface_hub import RepoFile

        with explained(self.repo_id, self.kind, revision):
            list_tree = partial(self.api.list_repo_tree, recursive=True, revision=revision, repo_type=self.kind)
            found = retried(lambda: list(list_tree(self.repo_id)))
            files = [file for file in found if isinstance(file, RepoFile)]
            if not all(isinstance(file.path, str) and isinstance(file.size, int) for file in files):
                raise AnswerError
            return {
                file.path: RemoteFile(file.size, file.lfs.sha256 if file.lfs else None, file.blob_id) for file in files
            }

    def fetch_file(self, path: str, revision: str | None) -> Path | None:
        """Download a file to the Hub's cache if needed; its folder is named after the commit.

        None if the repository has no such file. When offline or without an answer, the cache is used unchecked.
        """
        from huggingface_hub import constants
        from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

        def fetch(revision: str | None) -> Path:
            download = partial(
                self.api.hf_hub_download,
                self.repo_id,
                path,
                repo_type=self.kind,
                revision=revision,
                local_files_only=unreachable is not None,  # otherwise the client would try again for 23 seconds
            )
            return Path(retried(download))

        commit, unreachable = self._commit_of(revision)
        with explained(self.repo_id, self.kind, revision):
            try:
                fetched = fetch(revision)
                if commit is not None and fetched.parent.name != commit:
                    # The Hub answered with an error, and the client took an older version from the cache.
                    fetched = fetch(commit)
            except RemoteEntryNotFoundError:
                return None
            except LocalEntryNotFoundError:
                if unreachable is None:
                    raise
                raise unreachable from None
        if commit is None and not constants.HF_HUB_OFFLINE:
            version = fetched.parent.name[:12]
            print_line(f"{self.repo_id}: cannot reach the Hub; using commit {version} from the cache.")
        return fetched

    def _commit_of(self, revision: str | None) -> tuple[str | None, HubError | None]:
        """The commit that a branch or tag points to; None when offline, or without an answer (then the error)."""
        from huggingface_hub import constants

        if constants.HF_HUB_OFFLINE or _COMMIT.fullmatch(revision or ""):
            return None if constants.HF_HUB_OFFLINE else revision, None
        try:
            with explained(self.repo_id, self.kind, revision):
                return _require_commit(self._read_info(revision).sha), None
        except HubError as error:
            if not error.is_unreachable:
                raise
            return None, error

    def read_file(self, path: str, revision: str) -> bytes | None:
        """Download a file's content without caching it; None if the repository has no such file."""
        from huggingface_hub.errors import RemoteEntryNotFoundError

        with tempfile.TemporaryDirectory(prefix="hggt-") as folder, explained(self.repo_id, self.kind, revision):
            try:
                fetched = retried(
                    partial(
                        self.api.hf_hub_download,
                        self.repo_id,
                        path,
                        repo_type=self.kind,
                        revision=revision,
                        local_dir=folder,
                    )
                )
            except RemoteEntryNotFoundError:
                return None
            return Path(fetched).read_bytes()

    # --- Pushing

    def create(self, visibility: Visibility) -> None:
        """Create the repository, which must not exist yet."""
        try:
            with explained(self.repo_id, self.kind):
                self.api.create_repo(self.repo_id, private=visibility == "private", repo_type=self.kind)
        except HubError as error:
            if error.status != 403:
                raise
            raise PublishError(str(error)) from None
        self.require_visibility(visibility)

    def set_gate(self, gated: Literal["auto", "manual"]) -> None:
        """Let readers request access."""
        with explained(self.repo_id, self.kind):
            self.api.update_repo_settings(self.repo_id, gated=gated, repo_type=self.kind)

    def push(
        self,
        folder: Path,
        contents: Sequence[FileDigest],
        deletions: Sequence[str],
        *,
        main: Branch,
        visibility: Visibility,
        message: str,
    ) -> str:
        """Make the main branch contain `contents` and not `deletions`, in one step. Return the commit.

        Large files are uploaded first, invisibly, and only those that the Hub does not have. Visibility is checked
        right before and right after the commit, the files right after it.

        Args:
            folder: contains the files.
            contents: files that the repository must contain afterwards; only those that differ are sent.
            deletions: files to delete in the same step.
            main: the main branch that this push was planned for; if it has changed since, nothing is pushed.
            visibility: required of the repository.
            message: of the commit.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        changed = find_differences(contents, main.files, folder)
        obsolete = [path for path in deletions if path in main.files]
        if not changed and not obsolete:
            return main.commit
        with explained(self.repo_id, self.kind, MAIN):
            additions = [CommitOperationAdd(path, folder / path) for path in changed]
            self.api.preupload_lfs_files(self.repo_id, additions, repo_type=self.kind)
        self.require_visibility(visibility)
        operations: list[Operation] = [*additions, *map(CommitOperationDelete, obsolete)]
        if len(operations) <= self.files_per_commit:
            commit = self._commit(operations, message, main.commit).oid
        else:
            commit = self._commit_in_parts(operations, message, main.commit)
        found = self.visibility()
        if found not in (visibility, None):
            raise PublishError(
                f"{self.repo_id} became {found} during this push: commit {commit[:12]} is {found}. Change the "
                f"visibility at {self.url}/settings now, or delete the repository."
            )
        arrived = self.list_files(commit)
        wrong = list(find_differences(contents, arrived, folder).values())
        wrong += [f"{path} still exists" for path in obsolete if path in arrived]
        if wrong:
            raise HubError(
                f"commit {commit[:12]} of {self.url} is not what was sent: {format_examples(wrong)}. {RUN_AGAIN}"
            )
        return commit

    def create_tag(self, tag: str, commit: str, contents: Sequence[FileDigest], folder: Path) -> None:
        """Tag a commit, unless the tag already names a commit with the same contents."""
        with explained(self.repo_id, self.kind):
            self.api.create_tag(self.repo_id, tag=tag, revision=commit, repo_type=self.kind, exist_ok=True)
        self.require_free_tag(tag, contents, folder)

    def _commit(
        self,
        operations: Sequence["Operation"],
        message: str,
        parent: str,
        revision: str = MAIN,
        create_pr: bool = False,
    ) -> "CommitInfo":
        with explained(self.repo_id, self.kind, revision):
            return self.api.create_commit(
                self.repo_id,
                operations,
                commit_message=message,
                parent_commit=parent,
                revision=revision,
                create_pr=create_pr,
                repo_type=self.kind,
            )

    def _commit_in_parts(self, operations: Sequence["Operation"], message: str, parent: str) -> str:
        """Commit more files than the Hub takes at once: several commits to a pull request, which is then merged."""
        starts = range(0, len(operations), self.files_per_commit)
        first, *others = (operations[start : start + self.files_per_commit] for start in starts)
        commit = self._commit(first, message, parent, create_pr=True)
        number, revision = commit.pr_num, commit.pr_revision
        assert number is not None
        assert revision is not None
        try:
            for part in others:
                commit = self._commit(part, message, commit.oid, revision)
            if self.read_main().commit != parent:
                raise HubError(describe_conflict(self.repo_id))
            with explained(self.repo_id, self.kind):
                self.api.merge_pull_request(self.repo_id, number, repo_type=self.kind)
        except BaseException:
            with suppress(HubError), explained(self.repo_id, self.kind):
                self.api.change_discussion_status(self.repo_id, number, "closed", repo_type=self.kind)
            raise
        return self.read_main().commit


def _require_commit(sha: object) -> str:
    if not isinstance(sha, str) or not _COMMIT.fullmatch(sha):
        raise AnswerError
    return sha


def find_differences(
    contents: Sequence[FileDigest], remote: Mapping[str, RemoteFile], folder: Path | None = None
) -> dict[str, str]:
    """The files that a repository lacks or that differ there: path to a phrase that says how.

    Small files, for which the Hub lists no SHA-256, are compared with those in `folder`; without it, by size only.
    """
    differences = {}
    for record in contents:
        found = remote.get(record.path)
        if found is None:
            differences[record.path] = f"{record.path} is missing"
        elif found.size_bytes != record.size_bytes:
            differences[record.path] = f"{record.path} has {found.size_bytes:,} bytes, not {record.size_bytes:,}"
        elif (found.sha256 is not None and found.sha256 != record.sha256) or (
            found.sha256 is None and folder is not None and found.blob_id != _git_blob_id(folder / record.path)
        ):
            differences[record.path] = f"{record.path} has other content"
    return differences


def _git_blob_id(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
