"""Repositories on the Hugging Face Hub, for datasets and networks alike: look, compare, upload as a whole.

An upload goes to a pull request, is compared there file by file, and is merged only then, so that the main branch is
never half new. Transport, resuming and retries are those of `huggingface_hub`.
"""

import hashlib
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hggt_data.errors import RUN_AGAIN, HubError, PublishError
from hggt_data.hub.errors import Kind, explained, page_of, redact
from hggt_data.io.files import FileDigest
from hggt_data.io.text import format_examples

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAIN = "main"
# What the Hub takes: no `..`, `--` or `.git` at the end; a tag also has none of git's own names.
REPO_ID = re.compile(r"(?!.*(\.\.|--|\.git$))[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]{0,94}[A-Za-z0-9_]?")
TAG = re.compile(r"(?!.*(\.\.|\.lock$|\.$)|(main|HEAD|refs)$)[A-Za-z0-9][A-Za-z0-9_.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# What a repository may hold before its first publication: what the Hub itself puts there.
GIT_ATTRIBUTES = ".gitattributes"
_EMPTY_REPOSITORY = {GIT_ATTRIBUTES, "README.md"}


def is_hub_id(source: str | Path) -> bool:
    """Whether a source stands for a repository on the Hub: its form is ORG/NAME, and nothing here has that path."""
    return not Path(source).exists() and REPO_ID.fullmatch(str(source)) is not None


def require_repo_id(repo_id: str) -> None:
    """Refuse what the Hub takes for no repository's name.

    Raises:
        HubError: it is none.
    """
    if not REPO_ID.fullmatch(repo_id):
        raise HubError(f"{repo_id!r} is no name on the Hub; expected ORG/NAME, such as my-lab/hggt")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository.

    Attributes:
        size_bytes: of its content.
        sha256: null for small files that git keeps itself.
        blob_id: git's name of such a file's content.
    """

    size_bytes: int
    sha256: str | None
    blob_id: str


@dataclass(frozen=True)
class Repository:
    """One repository of the Hub.

    Attributes:
        repo_id: `ORG/NAME`.
        kind: what it holds.
    """

    repo_id: str
    kind: Kind

    @property
    def api(self) -> "HfApi":
        """The client; it takes endpoint and token from where `hf auth login` and the environment keep them."""
        from huggingface_hub import HfApi

        return HfApi(library_name="hggt")

    @property
    def url(self) -> str:
        """Its page."""
        return page_of(self.repo_id, self.kind)

    @cached_property
    def user(self) -> dict[str, Any]:
        """Whose token it is, as the Hub says; it is asked once."""
        with explained(self.repo_id, self.kind):
            user = dict(self.api.whoami())
            _ = user["name"]  # an answer that is not the Hub's has none
            return user

    def visibility(self) -> str | None:
        """`public` or `private`; null where there is none that the token may see."""
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        with explained(self.repo_id, self.kind):
            try:
                info = self.api.repo_info(self.repo_id, repo_type=self.kind)
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                _ = self.user  # a wrong token must not pass for a missing repository
                return None
        return "private" if info.private else "public"

    def create(self, visibility: Literal["public", "private"], gated: Literal["auto", "manual"] | None = None) -> None:
        """Make the repository if it is missing, and require the visibility.

        Args:
            visibility: of a new repository, and what an existing one must have.
            gated: whether readers must ask for access, and whether that is granted at once.

        Raises:
            PublishError: it exists with another visibility, or the token has no rights there.
            HubError: the Hub refuses.
        """
        try:
            with explained(self.repo_id, self.kind):
                self.api.create_repo(self.repo_id, private=visibility == "private", repo_type=self.kind, exist_ok=True)
        except HubError as error:
            if error.status != 403:
                raise
            raise PublishError(str(error)) from None
        self.require_visibility(visibility)
        if gated is not None:
            with explained(self.repo_id, self.kind):
                self.api.update_repo_settings(self.repo_id, gated=gated, repo_type=self.kind)

    def require_writer(self) -> None:
        """Refuse a missing or wrong token, and one that cannot write here, before anything is prepared.

        Raises:
            HubError: there is no token, or the Hub does not know it.
            PublishError: it may only read, or its user does not belong to the organisation.
        """
        namespace = self.repo_id.partition("/")[0]
        known = [self.user["name"], *(org["name"] for org in self.user.get("orgs", ()))]
        if namespace.lower() not in [name.lower() for name in known]:
            raise PublishError(
                f"this token is of {known[0]}, who may write to {', '.join(known)}; not {namespace}. Choose one of "
                "these, or use the token of a member."
            )
        if self.user.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise PublishError(
                f"this token may only read. Make one with the role `write` at {self.api.endpoint}/settings/tokens."
            )
        for org in self.user.get("orgs", ()):
            if org["name"].lower() == namespace.lower() and org.get("roleInOrg") == "read":
                raise PublishError(
                    f"{known[0]} may only read in {namespace}. Ask one of its admins for the role `write`."
                )

    def require_visibility(self, wanted: str) -> str | None:
        """Refuse a private push to a public repository, and the other way round.

        Returns:
            What it is; null where there is none.

        Raises:
            PublishError: the visibility is another.
        """
        found = self.visibility()
        if found not in (None, wanted):
            way_out = "or pass --public" if found == "public" else "or leave out --public"
            raise PublishError(
                f"{self.repo_id} is {found}, and this push is {wanted}; nothing was sent. Choose another name, change "
                f"the repository's visibility at {self.url}/settings, {way_out}."
            )
        return found

    def list_files(self, revision: str) -> dict[str, RemoteFile]:
        """Path to file, for a branch, a tag, a commit or `refs/pr/N`."""
        from huggingface_hub import RepoFile

        with explained(self.repo_id, self.kind, revision):
            return {
                file.path: RemoteFile(file.size, file.lfs.sha256 if file.lfs else None, file.blob_id)
                for file in self.api.list_repo_tree(
                    self.repo_id, recursive=True, revision=revision, repo_type=self.kind
                )
                if isinstance(file, RepoFile)
            }

    def fetch_file(self, path: str, revision: str | None) -> Path | None:
        """A file in the Hub's cache, brought there if need be; its folder is named after the commit.

        Null where the repository has no such file. Offline, and where nobody answers, the cache is used as it is.
        """
        from huggingface_hub import constants
        from huggingface_hub.errors import RemoteEntryNotFoundError

        commit = self._commit_of(revision)
        with explained(self.repo_id, self.kind, revision):
            try:
                fetched = Path(self.api.hf_hub_download(self.repo_id, path, repo_type=self.kind, revision=revision))
                if commit is not None and fetched.parent.name != commit:
                    # The Hub has answered with an error, and the client has taken an older version from the cache.
                    fetched = Path(self.api.hf_hub_download(self.repo_id, path, repo_type=self.kind, revision=commit))
            except RemoteEntryNotFoundError:
                return None
        if commit is None and not constants.HF_HUB_OFFLINE:
            version = fetched.parent.name[:12]
            print(f"{self.repo_id}: the Hub cannot be reached; commit {version} in the cache is used.", file=sys.stderr)
        return fetched

    def _commit_of(self, revision: str | None) -> str | None:
        """The commit that a branch or tag names at the moment; null where nobody can be asked."""
        from huggingface_hub import constants

        if constants.HF_HUB_OFFLINE or _COMMIT.fullmatch(revision or ""):
            return None if constants.HF_HUB_OFFLINE else revision
        try:
            with explained(self.repo_id, self.kind, revision):
                return self.api.repo_info(self.repo_id, repo_type=self.kind, revision=revision).sha
        except HubError as error:
            if not error.is_unreachable:
                raise
            return None

    def read_file(self, path: str, revision: str) -> bytes | None:
        """A file's content, of which nothing is kept here; null where the repository has no such file."""
        from huggingface_hub.errors import RemoteEntryNotFoundError

        with tempfile.TemporaryDirectory(prefix="hggt-") as folder, explained(self.repo_id, self.kind, revision):
            try:
                fetched = self.api.hf_hub_download(
                    self.repo_id, path, repo_type=self.kind, revision=revision, local_dir=folder
                )
            except RemoteEntryNotFoundError:
                return None
            return Path(fetched).read_bytes()

    def require_card(self, text: str) -> None:
        """Refuse a card that the Hub does not take, such as one with a licence that it does not know.

        Raises:
            PublishError: the Hub tells faults.
            HubError: it cannot be asked.
        """
        from huggingface_hub import get_session, hf_raise_for_status

        with explained(self.repo_id, self.kind):
            asked = {"repoType": self.kind, "content": text}
            response = get_session().post(f"{self.api.endpoint}/api/validate-yaml", json=asked)
            if response.status_code == 400:
                faults = "; ".join(fault["message"] for fault in response.json()["errors"])
                raise PublishError(
                    f"the Hub does not take the card of {self.repo_id}: {redact(faults)}; nothing was sent"
                )
            hf_raise_for_status(response)

    def commit_of_tag(self, tag: str) -> str | None:
        """The commit that a tag names, or null where there is no such tag."""
        with explained(self.repo_id, self.kind):
            refs = self.api.list_repo_refs(self.repo_id, repo_type=self.kind)
        return next((ref.target_commit for ref in refs.tags if ref.name == tag), None)

    def require_own(self, remote: dict[str, RemoteFile], marker: str) -> None:
        """Refuse a repository that holds somebody's own files.

        Args:
            remote: its files.
            marker: a file that every publication of this kind has.

        Raises:
            PublishError: there are files, and the marker is not among them.
        """
        others = sorted(remote.keys() - _EMPTY_REPOSITORY)
        if others and marker not in remote:
            raise PublishError(
                f"{self.url} holds files that hggt has not published: {format_examples(others)}. Choose another name."
            )

    def require_free_tag(self, tag: str, contents: Sequence[FileDigest], folder: Path) -> None:
        """Refuse to move a tag that readers rely on.

        Raises:
            PublishError: it names another version, or a branch.
        """
        with explained(self.repo_id, self.kind):
            branches = self.api.list_repo_refs(self.repo_id, repo_type=self.kind).branches
        if tag in [branch.name for branch in branches]:
            raise PublishError(
                f"{self.repo_id} has a branch {tag}, for which readers would take it; choose another --tag"
            )
        commit = self.commit_of_tag(tag)
        if commit is not None and find_differences(contents, self.list_files(commit), folder):
            raise PublishError(f"{self.repo_id} has a tag {tag} already, of another version; choose another --tag")

    def publish(
        self,
        folder: Path,
        contents: Sequence[FileDigest],
        deletions: Sequence[str],
        *,
        title: str,
        visibility: str,
        tag: str | None = None,
    ) -> str:
        """Bring a folder's files to the main branch, all at once.

        A run that was interrupted goes on with the pull request of the same title.

        Args:
            folder: where the files lie.
            contents: the files that the repository must hold in the end; others in the folder are not sent.
            deletions: files of the repository to remove with the same merge.
            title: of the pull request; it must tell this content from any other.
            visibility: required once more before the merge.
            tag: a name for the resulting commit.

        Returns:
            The commit.

        Raises:
            HubError: something failed, or what arrived is not what was sent; the main branch is as it was.
            PublishError: the visibility has changed meanwhile, or somebody else has made a tag of this name.
        """
        upload = _Upload(folder, contents, deletions, title, visibility)
        main = self.list_files(MAIN)
        if upload.differences(main):
            self._merge(upload, main)
        with explained(self.repo_id, self.kind):
            commit = self.api.repo_info(self.repo_id, repo_type=self.kind, revision=MAIN).sha
        assert commit is not None
        wrong = upload.differences(self.list_files(commit))
        if wrong:
            raise HubError(
                f"{self.repo_id} was changed by somebody else meanwhile: {format_examples(wrong)}. {RUN_AGAIN}"
            )
        if tag is not None:
            if self.commit_of_tag(tag) is None:
                with explained(self.repo_id, self.kind):
                    self.api.create_tag(self.repo_id, tag=tag, revision=commit, repo_type=self.kind)
            self.require_free_tag(tag, contents, folder)  # somebody may have been faster
        return commit

    def _merge(self, upload: "_Upload", main: dict[str, RemoteFile]) -> None:
        """Upload to the pull request of this title, compare, merge."""
        number, status = self._pull_request(upload, main)
        revision = f"refs/pr/{number}"
        arrived = self.list_files(revision)
        if upload.differences(arrived):
            with explained(self.repo_id, self.kind):
                self.api.upload_folder(
                    repo_id=self.repo_id,
                    repo_type=self.kind,
                    folder_path=upload.folder,
                    allow_patterns=[record.path for record in upload.contents],
                    delete_patterns=list(upload.deletions) or None,
                    revision=revision,
                    commit_message=upload.title,
                )
            arrived = self.list_files(revision)
        wrong = upload.differences(arrived) + upload.strangers(arrived, main)
        if wrong:
            raise HubError(
                f"what arrived in {revision} of {self.repo_id} is not what was sent: {format_examples(wrong)}. The "
                f"main branch is untouched. {RUN_AGAIN}"
            )
        if self.visibility() != upload.visibility:
            self._close(number)
            raise PublishError(
                f"{self.repo_id} is not {upload.visibility} any more. The main branch is untouched, but what was "
                f"uploaded can be seen in {self.url}/discussions/{number}: delete the repository or change its "
                "visibility."
            )
        try:
            with explained(self.repo_id, self.kind):
                if status == "draft":
                    self.api.change_discussion_status(self.repo_id, number, "open", repo_type=self.kind)
                self.api.merge_pull_request(self.repo_id, number, repo_type=self.kind)
        except HubError:
            if upload.differences(self.list_files(MAIN)):
                raise  # unless another run of the same command was faster

    def unmerged_requests(self, title: str) -> list[int]:
        """The numbers of pull requests whose title begins so, open or closed: readers may see what is in them."""
        with explained(self.repo_id, self.kind):
            return [
                request.num
                for request in self.api.get_repo_discussions(
                    self.repo_id, discussion_type="pull_request", repo_type=self.kind
                )
                if request.title.startswith(title) and request.status != "merged"
            ]

    def _pull_request(self, upload: "_Upload", main: dict[str, RemoteFile]) -> tuple[int, str]:
        """Number and status of this user's open pull request of this title; made if there is none.

        The Hub itself remembers it. Those of other contents (only the last word of their title differs), those that the
        main branch has left behind and those with strange files are closed; large files need not be sent again.
        """
        with explained(self.repo_id, self.kind):
            ours = [
                request
                for request in self.api.get_repo_discussions(
                    self.repo_id, discussion_type="pull_request", repo_type=self.kind
                )
                if request.author == self.user["name"]
                and request.status in ("draft", "open")
                and request.title.rpartition(" ")[0] == upload.title.rpartition(" ")[0]
            ]
            found = None
            for request in ours:
                details = self.api.get_discussion_details(self.repo_id, request.num, repo_type=self.kind)
                is_behind = details.conflicting_files or upload.strangers(
                    self.list_files(f"refs/pr/{request.num}"), main
                )
                if found is None and request.title == upload.title and not is_behind:
                    found = request.num, str(request.status)
                else:
                    self._close(request.num)
            if found is None:
                made = self.api.create_pull_request(self.repo_id, upload.title, repo_type=self.kind)
                found = made.num, str(made.status)
        return found

    def _close(self, number: int) -> None:
        with explained(self.repo_id, self.kind):
            self.api.change_discussion_status(self.repo_id, number, "closed", repo_type=self.kind)


@dataclass(frozen=True)
class _Upload:
    """What the repository is to hold in the end, as `Repository.publish` says."""

    folder: Path
    contents: Sequence[FileDigest]
    deletions: Sequence[str]
    title: str
    visibility: str

    def differences(self, remote: dict[str, RemoteFile]) -> list[str]:
        """What a branch lacks, holds otherwise or has too much of."""
        left = [f"{path} is still there" for path in self.deletions if path in remote]
        return find_differences(self.contents, remote, self.folder) + left

    def strangers(self, arrived: dict[str, RemoteFile], main: dict[str, RemoteFile]) -> list[str]:
        """What a pull request would change on the main branch beyond this."""
        ours = {*(record.path for record in self.contents), *self.deletions}
        ours.add(GIT_ATTRIBUTES)  # where the Hub notes large files
        return [f"{path} is not ours" for path in arrived if path not in ours and arrived[path] != main.get(path)]


def find_differences(
    contents: Sequence[FileDigest], remote: dict[str, RemoteFile], folder: Path | None = None
) -> list[str]:
    """What of `contents` a repository lacks or holds otherwise, a phrase each.

    Args:
        contents: what should be there.
        remote: what is.
        folder: where the files lie here. Small files that the Hub has no SHA-256 of are compared by size if they are
            not there.
    """
    differences = []
    for record in contents:
        found = remote.get(record.path)
        if found is None:
            differences.append(f"{record.path} is missing")
        elif found.size_bytes != record.size_bytes:
            differences.append(f"{record.path} has {found.size_bytes:,} bytes, not {record.size_bytes:,}")
        elif (found.sha256 is not None and found.sha256 != record.sha256) or (
            found.sha256 is None and folder is not None and found.blob_id != _git_blob_id(folder / record.path)
        ):
            differences.append(f"{record.path} has other content")
    return differences


def _git_blob_id(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
