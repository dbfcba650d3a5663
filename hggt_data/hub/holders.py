"""Which commits of a repository on the Hub still hold what was removed from a dataset, and how these are deleted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from hggt_data.dataset.manifest import MANIFEST_FILE, Manifest, parse_manifest
from hggt_data.dataset.shards import read_table_bytes
from hggt_data.errors import DatasetError
from hggt_data.hub.errors import explained, retried
from hggt_data.hub.repository import MAIN, Repository, require_repo_id
from hggt_data.io.text import format_examples, plural
from hggt_data.unwanted import Unwanted

_PREFIX = 16  # hexadecimal digits of a file's SHA-256
_VOTES = ("annotations", "pairs", "choices", "scores")


@dataclass(frozen=True)
class _Ref:
    """A branch, tag or pull request; `kind` is the word for it, `commits` are its commits, the newest first."""

    kind: str
    name: str
    commits: Sequence[str]


@dataclass
class Holders:
    """What a repository still holds.

    Attributes:
        repo_id: The repository.
        refs: Branches, tags and pull requests with their commits.
        held: Commits that hold any of it.
        files: SHA-256 of the shards and label tables that hold any of it.
        unread: Commits whose manifest or labels cannot be read.
    """

    repo_id: str
    refs: list[_Ref] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)

    def describe(self, folder: str) -> list[str]:
        """What is held where, and the commands that delete it; `folder` is the next version."""
        lines = []
        if self.unread:
            found = format_examples(sorted(commit[:12] for commit in self.unread))
            lines.append(f"{self.repo_id}: cannot tell what {plural(len(self.unread), 'commit')} holds: {found}")
        if not self.held:
            return [*lines, f"{self.repo_id} holds none of it, in {plural(len(self._commits()), 'commit')}."]
        places = []
        for ref in self.refs:
            held = [commit for commit in ref.commits if commit in self.held]
            if held:
                where = "its latest commit" if held[0] == ref.commits[0] else "its history"
                places.append(f"  {ref.kind} {ref.name}: {where} ({plural(len(held), 'commit')}, {held[0][:12]})")
        lines.append(f"{self.repo_id} still holds it in {plural(len(self.held), 'commit')}:")
        lines += [*places, "These commands delete it there. Copies that others have downloaded remain."]
        return [*lines, *(f"  {command}" for command in self.commands(folder))]

    def _commits(self) -> set[str]:
        return {commit for ref in self.refs for commit in ref.commits}

    def commands(self, folder: str) -> Iterator[str]:
        """The commands that delete it, in their order; `folder` is the next version."""
        repo = f"{self.repo_id!r}"
        squashed = dict[str, str]()  # the latest commit of each branch
        for ref in self.refs:
            if not self.held.intersection(ref.commits):
                continue
            if ref.kind == "tag":
                yield f"hf repos tag delete {self.repo_id} {quote(ref.name)} --type dataset --yes"
            elif ref.kind == "pull request":
                yield f"# in a browser: close {ref.name} and delete its ref"
            elif ref.name != MAIN and ref.commits[0] in self.held:
                yield f"hf repos branch delete {self.repo_id} {quote(ref.name)} --type dataset"
            else:
                if ref.commits[0] in self.held:
                    yield f"hggt-data push {quote(folder)} {self.repo_id}"
                squashed[ref.name] = ref.commits[0]
        for name in squashed:
            code = f"HfApi().super_squash_history({repo}, branch={name!r}, repo_type='dataset')"
            yield f'python -c "from huggingface_hub import HfApi; {code}"'
        for tag in self.refs:
            if tag.kind == "tag" and self.held.intersection(tag.commits) and tag.commits[0] in squashed.values():
                name = next(name for name, latest in squashed.items() if latest == tag.commits[0])
                yield f"hf repos tag create {self.repo_id} {quote(tag.name)} --revision {quote(name)} --type dataset"
        starts = ", ".join(repr(sha256[:_PREFIX]) for sha256 in sorted(self.files))
        files = f"[f for f in api.list_lfs_files({repo}, repo_type='dataset') if f.file_oid.startswith(({starts},))]"
        code = f"api = HfApi(); api.permanently_delete_lfs_files({repo}, {files}, repo_type='dataset')"
        yield f'python -c "from huggingface_hub import HfApi; {code}"'

        if _is_cached(self.repo_id):
            yield f"hf cache rm dataset/{self.repo_id} --yes"


def _is_cached(repo_id: str) -> bool:
    """Whether the Hub's cache on this machine has any version of the dataset."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo_id, repo_type="dataset")).is_dir()


def find_holders(repo_id: str, unwanted: Unwanted) -> Holders:
    """Look through all commits of all branches, tags and pull requests of a dataset on the Hub.

    HubError if it cannot be read.
    """
    require_repo_id(repo_id)
    repository = Repository(repo_id, "dataset")
    found = Holders(repo_id, list(_list_refs(repository)))
    seen: dict[str, frozenset[str]] = {}  # the groups that are held, by the SHA-256 of a label table
    for commit in dict.fromkeys(commit for ref in found.refs for commit in ref.commits):
        data = repository.read_file(MANIFEST_FILE, commit)
        if data is None:
            continue
        try:
            manifest = parse_manifest(data, MANIFEST_FILE)
            if files := _search(repository, commit, manifest, unwanted, seen):
                found.held.add(commit)
                found.files |= files
        except DatasetError:
            found.unread.add(commit)
    return found


def _list_refs(repository: Repository) -> Iterator[_Ref]:
    with explained(repository.repo_id, repository.kind):
        list_refs = partial(repository.api.list_repo_refs, repository.repo_id, repo_type=repository.kind)
        refs = retried(partial(list_refs, include_pull_requests=True))
        kinds = [("branch", refs.branches), ("tag", refs.tags), ("pull request", refs.pull_requests or [])]
        for kind, found in kinds:
            for ref in found:
                name = ref.ref if kind == "pull request" else ref.name
                list_commits = partial(repository.api.list_repo_commits, repository.repo_id, repo_type=repository.kind)
                commits = retried(partial(list_commits, revision=ref.target_commit))
                yield _Ref(kind, name, [commit.commit_id for commit in commits])


def _search(
    repository: Repository, commit: str, manifest: Manifest, unwanted: Unwanted, seen: dict[str, frozenset[str]]
) -> set[str]:
    """The SHA-256 of the files of a commit that hold any of it."""
    files = set()
    tables = {file.path: file.sha256 for file in manifest.files}
    for split, num_rows in manifest.splits.items():
        path = f"labels/{split}.parquet"
        if tables[path] not in seen:
            data = repository.read_file(path, commit)
            columns = ["id", "image_name", "annotations", *manifest.votes]
            rows = read_table_bytes(data or b"", path, num_rows, columns).to_pylist()
            seen[tables[path]] = frozenset(row["id"] for row in rows if _holds(row, unwanted))
        if held := seen[tables[path]]:
            shards = [shard for shard in manifest.shards if shard.split == split and not held.isdisjoint(shard.ids)]
            files |= {tables[path], *(shard.sha256 for shard in shards)}
    return files


def _holds(row: Mapping[str, Any], unwanted: Unwanted) -> bool:
    votes = (vote for name in _VOTES for vote in row.get(name) or ())
    return unwanted.has_group(row["id"], row["image_name"]) or any(
        unwanted.is_by(vote["annotator"], vote["slot"]) for vote in votes
    )
