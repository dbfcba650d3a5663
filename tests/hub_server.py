"""A small Hugging Face Hub in memory, so that tests use the real client over real HTTP.

It speaks what hggt uses of the Hub's HTTP API and of LFS, as huggingface_hub 1.31 to 2.4 and datasets 5.2 expect it.
Uploads through Xet go to a folder (`HubApi.xet`); other clients need HF_HUB_DISABLE_XET=1.

By hand: python -m tests.hub_server --port 8888
"""

import argparse
import base64
import contextlib
import copy
import hashlib
import json
import re
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, NoReturn, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import yaml  # type: ignore[import-untyped]

Json = dict[str, Any]

MAIN = "refs/heads/main"
LFS_SUFFIXES = (".parquet", ".safetensors", ".bin", ".png")
LFS_FROM_BYTES = 1_000_000
GITATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES).encode()


class HubError(Exception):
    """An error answer. `code` is the Hub's X-Error-Code, from which the client chooses its exception."""

    def __init__(self, status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        one_line = " ".join(message.encode("ascii", "replace").decode().split())
        self.headers = {"X-Error-Message": one_line} | ({"X-Error-Code": code} if code else {}) | dict(headers or {})


# --- Store: users, files, commits, repositories


@dataclass(frozen=True, slots=True)
class User:
    """A token's user: name, organisations, and whether the token may write."""

    name: str
    orgs: tuple[str, ...] = ()
    role: Literal["write", "read"] = "write"

    def is_member(self, namespace: str) -> bool:
        return namespace in (self.name, *self.orgs)


@dataclass(frozen=True, slots=True)
class File:
    """A file of a tree. One in LFS has a `sha256`, and its `git_oid` is that of the pointer."""

    git_oid: str
    size: int
    sha256: str | None = None
    pointer_size: int = 0

    @classmethod
    def regular(cls, data: bytes) -> Self:
        return cls(git_oid(data), len(data))

    @classmethod
    def lfs(cls, sha256: str, size: int) -> Self:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return cls(git_oid(pointer), size, sha256, len(pointer))

    @property
    def oid(self) -> str:
        """The key under which the content is stored."""
        return self.sha256 or self.git_oid


Tree = dict[str, File]


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit. `tree` contains files by whole path; `parent` is None for the first commit."""

    sha: str
    parent: str | None
    tree: Tree
    title: str
    author: str
    date: datetime


@dataclass(slots=True)
class PullRequest:
    """A pull request: the main branch's commit that it starts from, and its own branch, `ref`."""

    ref: str
    base: str
    status: Literal["open", "closed", "merged"] = "open"


@dataclass(slots=True)
class Repo:
    """A `model` or `dataset`. `readers` have access through the gate; `contents` has bytes by oid."""

    kind: str
    id: str
    private: bool = False
    gated: Literal[False, "auto", "manual"] = False
    readers: set[str] = field(default_factory=set)
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    pull_requests: list[PullRequest] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.id.split("/")[0]

    @property
    def api_path(self) -> str:
        return f"{self.kind}s/{self.id}"

    @property
    def web_path(self) -> str:
        return self.id if self.kind == "model" else self.api_path

    def find_ref(self, revision: str) -> str | None:
        names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")
        return next((name for name in names if name in self.refs), None)

    def find_commit(self, revision: str) -> Commit:
        ref = self.find_ref(revision)
        sha = self.refs[ref] if ref else revision
        if sha not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[sha]

    def store(self, path: str, data: bytes) -> File:
        """Store the content of a new file, in LFS if its path or size requires that."""
        file = File.lfs(hashlib.sha256(data).hexdigest(), len(data)) if is_lfs(path, len(data)) else File.regular(data)
        self.contents[file.oid] = data
        return file

    def commit(self, ref: str, tree: Tree, title: str, author: str, parent: str | None = None) -> Commit:
        """Add a commit and move `ref` to it; `parent` is the latest of `ref`, unless given."""
        date = datetime.now(UTC)
        identity = repr((self.id, len(self.commits), sorted(tree), title, date))
        sha = hashlib.sha1(identity.encode()).hexdigest()
        commit = Commit(sha, parent or self.refs.get(ref), tree, title, author, date)
        self.commits[commit.sha] = commit
        self.refs[ref] = commit.sha
        return commit

    def state(self) -> object:
        """Everything, as a value that later changes do not affect."""
        settings = (self.private, self.gated, frozenset(self.readers))
        trees = {sha: dict(commit.tree) for sha, commit in self.commits.items()}
        return settings, dict(self.refs), trees, dict(self.contents), copy.deepcopy(self.pull_requests)


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_lfs(path: str, size: int) -> bool:
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > LFS_FROM_BYTES)


def files_at(tree: Tree, path: str) -> Tree:
    """The file at a path, or the files in the folder at that path; all files for the empty path."""
    return {name: file for name, file in tree.items() if not path or name == path or name.startswith(f"{path}/")}


def _describe_commit(commit: Commit) -> Json:
    authors = [{"user": commit.author}]
    return {
        "id": commit.sha,
        "title": commit.title,
        "message": "",
        "authors": authors,
        "date": format_date(commit.date),
    }


def _describe_lfs_file(path: str, file: File, commit: Commit) -> Json:
    pushed = format_date(commit.date)
    return {"fileOid": file.sha256, "filename": path, "oid": file.git_oid, "pushedAt": pushed, "size": file.size}


def format_date(date: datetime) -> str:
    return date.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


# --- Cards

_CARD_FIELDS: dict[str, tuple[type, ...]] = (
    dict.fromkeys(("library_name", "license_link", "license_name", "pipeline_tag", "pretty_name"), (str,))
    | dict.fromkeys(("configs", "tags", "task_categories"), (list,))
    | dict.fromkeys(("base_model", "datasets", "language", "license", "metrics", "size_categories"), (str, list))
)
_TYPE_NAMES: dict[type, str] = {str: "a string", list: "an array"}


# Some of the licences that the Hub knows.
LICENCES = ("mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "odc-by", "other", "unknown")


def read_card(text: str) -> tuple[Json, list[str], list[str]]:
    """(head, errors, warnings) of a README.md: its YAML head is a mapping whose known fields have the right type."""
    found = re.match(r"---[ \t]*\r?\n(.*?)^---[ \t]*$", text, re.DOTALL | re.MULTILINE)
    if found is None:
        return {}, [], ["empty or missing yaml metadata in repo card"]
    try:
        head = yaml.safe_load(found[1]) or {}
    except yaml.YAMLError as error:
        return {}, [f"YAML Metadata Error: {error}"], []
    if not isinstance(head, dict):
        return {}, ["YAML Metadata Error: it must be an object"], []
    wrong = [name for name, kinds in _CARD_FIELDS.items() if name in head and not isinstance(head[name], kinds)]
    errors = [f'"{name}" must be {" or ".join(_TYPE_NAMES[kind] for kind in _CARD_FIELDS[name])}' for name in wrong]
    licence = head.get("license", "unknown")
    if isinstance(licence, str) and licence not in LICENCES:
        errors.append(f'"license" must be one of {", ".join(LICENCES)}')
    return head, errors, []


# --- HTTP API: requests, responses, the table of routes

Right = Literal["read", "read files", "write", "signed"]


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request. `target` is path and query as sent."""

    method: str
    target: str
    headers: "Message[str, str]"
    body: bytes = b""
    user: User | None = None

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true")

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def signed_in(self) -> User:
        if self.user is None:
            # The real Hub sends no code: the client knows by https and the path. Here is no https.
            raise HubError(401, "Invalid username or password.", "RepoNotFound")
        return self.user


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; as a fault's action, it replaces the right one."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content_type = {"Content-Type": "application/json; charset=utf-8"}
    return Response(status, json.dumps(value, default=str).encode(), content_type | dict(headers or {}))


_PLACEHOLDERS = {
    "{repo}": r"(?P<kind>models|datasets)/(?P<id>[^/]+/[^/]+)",
    "{web}": r"(?:(?P<kind>datasets)/)?(?P<id>[^/]+/[^/]+?)",
    "{revision}": r"(?P<revision>refs/(?:heads|tags|pr)/[^/]+|[^/]+)",
    "{path}": r"(?P<path>.+)",
    "{name}": r"(?P<name>[^/]+)",
    "{number}": r"(?P<number>\d+)",
    "{oid}": r"(?P<oid>[0-9a-f]{64})",
}
Answer = Callable[..., Any]
ROUTES: list[tuple[str, re.Pattern[str], Right | None, Answer]] = []


def route(method: str, pattern: str, right: Right | None = None) -> Callable[[Answer], Answer]:
    """Enter a method into ROUTES.

    It is called with the request, with the repository where a right on it is asked for, and with what the pattern's
    placeholders matched. It returns a Response, or a value that becomes JSON.
    """
    for placeholder, expression in _PLACEHOLDERS.items():
        pattern = pattern.replace(placeholder, expression)

    def enter(answer: Answer) -> Answer:
        ROUTES.append((method, re.compile(pattern), right, answer))
        return answer

    return enter


@dataclass(frozen=True, slots=True)
class XetFolders:
    """Stands for Xet: clients write to `store`, which is not read; contents are found in their files in `sources`."""

    store: Path
    sources: Path

    def find(self, sha256: str) -> bytes | None:
        contents = (path.read_bytes() for path in self.sources.rglob("*") if path.is_file())
        return next((data for data in contents if hashlib.sha256(data).hexdigest() == sha256), None)


class HubApi:
    """The repositories, and what the Hub answers about them.

    Args:
        tokens: the users by token.
        page_size: entries per page of a list; small, so that a client that ignores the next page fails.
    """

    url = storage_url = ""
    xet: "XetFolders | None" = None

    def __init__(self, tokens: Mapping[str, User], page_size: int) -> None:
        self.tokens = dict(tokens)
        self.page_size = page_size
        self.repos: dict[tuple[str, str], Repo] = {}

    def answer(self, request: Request) -> Response:
        try:
            result = self._answer(replace(request, user=self._user(request)))
        except HubError as error:
            return json_response({"error": str(error)}, error.status, error.headers)
        return result if isinstance(result, Response) else json_response(result)

    def _answer(self, request: Request) -> Any:
        method = "GET" if request.method == "HEAD" else request.method
        for route_method, pattern, right, answer in ROUTES:
            found = pattern.fullmatch(request.path)
            if found and route_method == method:
                args = {name: unquote(value) for name, value in found.groupdict().items() if value is not None}
                if right is None:
                    return answer(self, request, **args)
                kind, repo_id = args.pop("kind", "models").removesuffix("s"), args.pop("id")
                return answer(self, request, self._repo(request, kind, repo_id, right), **args)
        raise HubError(404, "Sorry, we can't find the page you are looking for.")

    def _user(self, request: Request) -> User | None:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return None
        if request.path.startswith("/lfs/"):
            raise HubError(400, "Only one auth mechanism allowed: a signed URL takes no token")
        if authorization.removeprefix("Bearer ") not in self.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.tokens[authorization.removeprefix("Bearer ")]

    def _repo(self, request: Request, kind: str, repo_id: str, right: Right) -> Repo:
        """A repository on which the request has a right.

        Raises:
            HubError: 401, 403 or 404, as the Hub has it.
        """
        repo, user = self.repos.get((kind, repo_id)), request.user
        member = user is not None and user.is_member(repo_id.split("/")[0])
        if right == "signed":
            if repo is None or request.query.get("X-Amz-Signature") != _signature(request.method, request.path):
                raise HubError(403, "SignatureDoesNotMatch")
            return repo
        if repo is None or (repo.private and not member):
            request.signed_in()
            raise HubError(404, "Repository not found", "RepoNotFound")
        if right == "read files" and repo.gated and not member and (user is None or user.name not in repo.readers):
            status, reason = (401, "Please log in") if user is None else (403, "You are not in the authorized list")
            raise HubError(status, f"Access to {kind} {repo_id} is restricted. {reason}.", "GatedRepo")
        if right == "write" and request.signed_in().role != "write":
            raise HubError(403, "This token has no write permissions")
        if right == "write" and not member:
            raise HubError(403, f"You have no write permissions on {repo_id}")
        return repo

    def _branch(self, repo: Repo, revision: str) -> str:
        """The ref of a branch, which may be that of a pull request."""
        ref = repo.find_ref(revision)
        if ref is None or ref.startswith("refs/tags/"):
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return ref

    def _page(self, request: Request, entries: list[Json]) -> Response:
        start = int(request.query.get("cursor", "0"))
        end = start + self.page_size
        query = urlencode(request.query | {"cursor": end})
        link = {"Link": f'<{self.url}{request.path}?{query}>; rel="next"'} if end < len(entries) else {}
        return json_response(entries[start:end], headers=link)

    # --- account, repositories, settings

    @route("GET", "/api/whoami-v2")
    def whoami(self, request: Request) -> Json:
        user = request.signed_in()
        return {
            "type": "user",
            "name": user.name,
            "fullname": user.name,
            "orgs": [{"type": "org", "name": org, "roleInOrg": user.role} for org in user.orgs],
            "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": user.role}},
        }

    @route("POST", "/api/repos/create")
    def create_repo(self, request: Request) -> Response:
        user, wanted = request.signed_in(), request.json()
        namespace, kind = wanted.get("organization") or user.name, wanted.get("type") or "model"
        if kind not in ("model", "dataset") or not re.fullmatch(r"[\w.-]{1,96}", wanted["name"]):
            raise HubError(400, f"Invalid type {kind!r} or name {wanted['name']!r}")
        if user.role != "write" or not user.is_member(namespace):
            raise HubError(403, f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"')
        repo = Repo(kind, f"{namespace}/{wanted['name']}")
        answer = {"url": f"{self.url}/{repo.web_path}", "name": repo.id}
        if (kind, repo.id) in self.repos:
            return json_response(answer | {"error": f"You already created this {kind} repo"}, 409)
        self._change_settings(repo, {name: wanted[name] for name in ("private", "visibility") if name in wanted})
        repo.commit(MAIN, {".gitattributes": repo.store(".gitattributes", GITATTRIBUTES)}, "initial commit", user.name)
        self.repos[kind, repo.id] = repo
        return json_response(answer)

    @route("PUT", "/api/{repo}/settings", "write")
    def change_settings(self, request: Request, repo: Repo) -> Json:
        self._change_settings(repo, request.json())
        return {"private": repo.private, "gated": repo.gated}

    def _change_settings(self, repo: Repo, wanted: Json) -> None:
        for name, value in wanted.items():
            if name == "visibility" and value in ("public", "private"):
                repo.private = value == "private"
            elif name == "private" and isinstance(value, bool):
                repo.private = value
            elif name == "gated" and value in (False, "auto", "manual"):
                repo.gated = value
            else:
                raise HubError(400, f"Setting {name!r} cannot be {value!r}")

    @route("GET", "/api/{repo}(?:/revision/{revision})?", "read")
    def info(self, request: Request, repo: Repo, revision: str = MAIN) -> Json:
        commit = repo.find_commit(revision)
        readme = commit.tree.get("README.md")
        card, _, _ = read_card(repo.contents.get(readme.oid, b"").decode(errors="replace") if readme else "")
        return {
            "id": repo.id,
            "author": repo.namespace,
            "sha": commit.sha,
            "lastModified": format_date(commit.date),
            "private": repo.private,
            "gated": repo.gated,
            "disabled": False,
            "tags": card.get("tags") or [],
            "cardData": card,
            "siblings": [{"rfilename": path} for path in sorted(commit.tree)],
        }

    @route("POST", "/api/validate-yaml")
    def validate_yaml(self, request: Request) -> Response:
        _, errors, warnings = read_card(request.json()["content"])
        lists = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
        return json_response(lists, 400 if errors else 200)

    # --- trees, commits, refs

    @route("GET", "/api/{repo}/tree/{revision}(?:/{path})?", "read")
    def tree(self, request: Request, repo: Repo, revision: str, path: str = "") -> Response:
        commit = repo.find_commit(revision)
        folder = f"{path}/" if path else ""
        names: set[str] = set()
        for name in commit.tree:
            if name.startswith(folder):
                parts = name.removeprefix(folder).split("/")
                names.update(folder + "/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        if not names and path:
            raise _entry_not_found(path, commit)
        if not request.flag("recursive"):
            names = {name for name in names if "/" not in name.removeprefix(folder)}
        entries = [_entry(commit, name) for name in sorted(names)]
        return self._page(request, entries)

    @route("POST", "/api/{repo}/paths-info/{revision}", "read")
    def paths_info(self, request: Request, repo: Repo, revision: str) -> list[Json]:
        commit = repo.find_commit(revision)
        names = [value.strip("/") for name, value in parse_qsl(request.body.decode()) if name == "paths"]
        return [_entry(commit, name) for name in names if files_at(commit.tree, name)]

    @route("GET", "/api/{repo}/refs", "read")
    def refs(self, request: Request, repo: Repo) -> Json:
        def under(prefix: str) -> list[Json]:
            found = [(ref.removeprefix(prefix), ref, sha) for ref, sha in repo.refs.items() if ref.startswith(prefix)]
            return [{"name": name, "ref": ref, "targetCommit": sha} for name, ref, sha in found]

        requests = {"pullRequests": under("refs/pr/")} if request.flag("include_prs") else {}
        return {"branches": under("refs/heads/"), "tags": under("refs/tags/"), "converts": [], **requests}

    @route("GET", "/api/{repo}/commits/{revision}", "read")
    def commits(self, request: Request, repo: Repo, revision: str) -> Response:
        found = [repo.find_commit(revision)]
        while (parent := found[-1].parent) is not None:
            found.append(repo.commits[parent])
        return self._page(request, [_describe_commit(commit) for commit in found])

    @route("POST", "/api/{repo}/super-squash/{revision}", "write")
    def super_squash(self, request: Request, repo: Repo, revision: str) -> Json:
        ref = self._branch(repo, revision)
        tree = repo.find_commit(ref).tree
        del repo.refs[ref]
        repo.commit(ref, tree, "Super-squash branch", request.signed_in().name)
        return {}

    @route("DELETE", "/api/{repo}/tag/{revision}", "write")
    def delete_tag(self, request: Request, repo: Repo, revision: str) -> Json:
        del repo.refs[f"refs/tags/{revision}"]
        return {}

    @route("GET", "/api/{repo}/lfs-files", "write")
    def lfs_files(self, request: Request, repo: Repo) -> Response:
        files = {
            file.sha256: (path, file, commit)
            for commit in repo.commits.values()
            for path, file in commit.tree.items()
            if file.sha256 in repo.contents
        }
        return self._page(request, [_describe_lfs_file(*found) for found in files.values()])

    @route("POST", "/api/{repo}/lfs-files/batch", "write")
    def delete_lfs_files(self, request: Request, repo: Repo) -> Json:
        for sha256 in request.json()["deletions"]["sha"]:
            del repo.contents[sha256]
        return {}

    @route("POST", "/api/{repo}/tag/{revision}", "write")
    def create_tag(self, request: Request, repo: Repo, revision: str) -> Json:
        ref = f"refs/tags/{request.json()['tag']}"
        if ref in repo.refs:
            raise HubError(409, f"Reference already exists: {ref}")
        repo.refs[ref] = repo.find_commit(revision).sha
        return {}

    # --- uploads

    @route("POST", "/api/{repo}/preupload/{revision}", "write")
    def preupload(self, request: Request, repo: Repo, revision: str) -> Json:
        tree = repo.find_commit(revision).tree
        self._branch(repo, revision)
        answers = []
        for file in request.json()["files"]:
            mode = "lfs" if is_lfs(file["path"], file["size"]) else "regular"
            known = {"oid": tree[file["path"]].oid} if file["path"] in tree else {}
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False} | known)
        return {"files": answers}

    @route("POST", r"/{web}\.git/info/lfs/objects/batch", "write")
    def lfs_batch(self, request: Request, repo: Repo) -> Json:
        verify = {"href": f"{self.url}/{repo.web_path}.git/info/lfs/objects/verify"}
        objects = []
        for wanted in request.json()["objects"]:
            upload = {"href": self._signed_url("PUT", repo, wanted["oid"])}
            actions = {} if wanted["oid"] in repo.contents else {"actions": {"upload": upload, "verify": verify}}
            objects.append({"oid": wanted["oid"], "size": wanted["size"]} | actions)
        return {"transfer": "basic", "objects": objects}

    @route("PUT", "/lfs/{repo}/{oid}", "signed")
    def put_object(self, request: Request, repo: Repo, oid: str) -> Response:
        if hashlib.sha256(request.body).hexdigest() != oid:
            raise HubError(400, "BadDigest: the content is not that of the oid")
        repo.contents[oid] = request.body
        return Response()

    @route("POST", r"/{web}\.git/info/lfs/objects/verify", "write")
    def lfs_verify(self, request: Request, repo: Repo) -> Json:
        wanted = request.json()
        if len(repo.contents.get(wanted["oid"], b"")) != wanted["size"]:
            raise HubError(422, f"There is no object {wanted['oid']} of {wanted['size']} bytes")
        return {}

    @route("GET", "/api/{repo}/xet-write-token/{revision}", "write")
    def xet_write_token(self, request: Request, repo: Repo, revision: str) -> Response:
        if self.xet is None:
            raise HubError(404, "There is no Xet here")
        header = {"Cas-Url": f"local://{self.xet.store}", "Access-Token": "xet", "Token-Expiration": str(1 << 32)}
        body = {"casUrl": header["Cas-Url"], "accessToken": "xet", "exp": 1 << 32}
        return json_response(body, headers={f"X-Xet-{name}": value for name, value in header.items()})

    @route("POST", "/api/{repo}/commit/{revision}", "write")
    def create_commit(self, request: Request, repo: Repo, revision: str) -> Json:
        user, base, ref = request.signed_in(), repo.find_commit(revision), self._branch(repo, revision)
        header, *operations = [json.loads(line) for line in request.body.splitlines()]
        if header["value"].get("parentCommit", base.sha) != base.sha:
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        tree, added = dict(base.tree), dict[str, bytes]()
        for operation in operations:
            self._apply(repo, tree, added, operation["key"], operation["value"])
        repo.contents |= added
        answer: Json = {"success": True, "hookOutput": ""}
        if request.flag("create_pr"):
            number = len(repo.pull_requests) + 1
            ref = f"refs/pr/{number}"
            repo.pull_requests.append(PullRequest(ref, base.sha))
            answer["pullRequestUrl"] = f"{self.url}/{repo.web_path}/discussions/{number}"
        commit = repo.commit(ref, tree, header["value"]["summary"], user.name, base.sha)
        return answer | {"commitOid": commit.sha, "commitUrl": f"{self.url}/{repo.web_path}/commit/{commit.sha}"}

    def _apply(self, repo: Repo, tree: Tree, added: dict[str, bytes], key: str, value: Json) -> None:
        """Carry out one operation of a commit on its tree; the contents of regular files go to `added`."""
        path = value["path"].removesuffix("/")
        if any(part in ("", ".", "..", ".git") for part in path.split("/")):
            raise HubError(400, f"Invalid path: {path!r}")
        if key == "file":
            data = base64.b64decode(value["content"])
            errors = read_card(data.decode(errors="replace"))[1] if path == "README.md" else []
            if errors:
                raise HubError(400, f"Invalid metadata in README.md: {'; '.join(errors)}")
            tree[path] = File.regular(data)
            added[tree[path].oid] = data
        elif key == "lfsFile":
            data_of_xet = self.xet.find(value["oid"]) if self.xet else None
            if data_of_xet is not None:
                repo.contents.setdefault(value["oid"], data_of_xet)
            if value["oid"] not in repo.contents:
                raise HubError(400, f"An LFS pointer pointed to a file that does not exist. Offending file: {path}")
            tree[path] = File.lfs(value["oid"], len(repo.contents[value["oid"]]))
            if not path.endswith(LFS_SUFFIXES):  # a large file of another kind gets a pattern of its own
                data = {**repo.contents, **added}[tree[".gitattributes"].oid]
                line = f"{path} filter=lfs diff=lfs merge=lfs -text\n".encode()
                if line not in data:
                    tree[".gitattributes"] = File.regular(data + line)
                    added[tree[".gitattributes"].oid] = data + line
        elif key in ("deletedFile", "deletedFolder"):
            gone = files_at(tree, path)
            if not gone or (key == "deletedFile") != (path in gone):
                raise HubError(404, f"{path} does not exist", "EntryNotFound")
            for name in gone:
                del tree[name]
        else:
            raise HubError(400, f"Unknown operation: {key!r}")

    # --- downloads

    def _signed_url(self, method: str, repo: Repo, oid: str) -> str:
        path = f"/lfs/{repo.api_path}/{oid}"
        return f"{self.storage_url}{path}?X-Amz-Expires=3600&X-Amz-Signature={_signature(method, path)}"

    @route("GET", "/{web}/resolve/{revision}/{path}", "read files")
    def resolve(self, request: Request, repo: Repo, revision: str, path: str) -> Response:
        commit = repo.find_commit(revision)
        file = commit.tree.get(path)
        if file is None:
            raise _entry_not_found(path, commit)
        headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{file.oid}"'}
        if file.sha256 is None:
            return self._content(request, repo, file.oid, headers)
        linked = {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
        return Response(302, headers=headers | linked | {"Location": self._signed_url("GET", repo, file.sha256)})

    @route("GET", "/lfs/{repo}/{oid}", "signed")
    def get_object(self, request: Request, repo: Repo, oid: str) -> Response:
        return self._content(request, repo, oid, {"ETag": f'"{oid}"'})

    def _content(self, request: Request, repo: Repo, oid: str, headers: dict[str, str]) -> Response:
        if oid not in repo.contents:
            raise HubError(404, "NoSuchKey")
        data = repo.contents[oid]
        headers |= {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(?!-$)(\d*)-(\d*)", request.headers.get("Range", ""))
        if wanted is None:
            return Response(200, data, headers)
        first, last = wanted.groups()
        start = int(first) if first else max(0, len(data) - int(last))
        end = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= end:
            raise HubError(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        return Response(206, data[start:end], headers)

    # --- pull requests

    @route("POST", "/api/{repo}/discussions/{number}/status", "write")
    def change_status(self, request: Request, repo: Repo, number: str) -> Json:
        repo.pull_requests[int(number) - 1].status = request.json()["status"]
        return {"newStatus": self._event(request)}

    @route("POST", "/api/{repo}/discussions/{number}/merge", "write")
    def merge(self, request: Request, repo: Repo, number: str) -> Json:
        found = repo.pull_requests[int(number) - 1]
        if found.status != "open" or found.base != repo.refs[MAIN]:  # the real Hub merges what does not conflict
            raise HubError(409, f"This pull request is {found.status} or has conflicts")
        repo.commit(MAIN, repo.find_commit(found.ref).tree, "Merge", request.signed_in().name)
        found.status = "merged"
        return {}

    def _event(self, request: Request) -> Json:
        user, date = request.signed_in().name, format_date(datetime.now(UTC))
        data = {"status": request.json()["status"]}
        return {"id": "1", "type": "status-change", "createdAt": date, "author": {"name": user}, "data": data}


def _signature(method: str, path: str) -> str:
    return hashlib.sha256(f"{method} {path}".encode()).hexdigest()


def _entry_not_found(path: str, commit: Commit) -> HubError:
    return HubError(404, f"{path} does not exist", "EntryNotFound", {"X-Repo-Commit": commit.sha})


def _entry(commit: Commit, path: str) -> Json:
    """A file or folder as trees list it."""
    file = commit.tree.get(path)
    if file is None:
        inside = files_at(commit.tree, path)
        return {"type": "directory", "path": path, "oid": git_oid(repr(inside).encode()), "size": 0}
    entry = {"type": "file", "path": path, "oid": file.git_oid, "size": file.size}
    if file.sha256:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return entry


# --- Faults


@dataclass(frozen=True, slots=True)
class CutRequest:
    """Cut the connection after this many bytes of the request's body; nothing is done."""

    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CutResponse:
    """Do what was asked, and cut the connection after this many bytes of the answer's body."""

    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Do:
    """Call a function before the request is handled, or after it, before the client gets the answer."""

    function: Callable[[], object]
    when: Literal["before", "after"] = "before"


Action = Response | CutRequest | CutResponse | Do


@dataclass(slots=True)
class Fault:
    """A fault in requests of a method (such as `PUT`) whose path and query match a regular expression.

    The first `after` of them pass, the next `times` are hit; `seen` counts them all.
    """

    method: str
    path: str
    action: Action
    times: int = 1
    after: int = 0
    seen: int = 0

    def hits(self, request: Request) -> bool:
        if request.method != self.method or not re.search(self.path, request.target):
            return False
        self.seen += 1
        return self.after < self.seen <= self.after + self.times


# --- Server


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A received request. `status` is 0 if the connection was cut before an answer."""

    method: str
    target: str
    status: int
    user: str | None
    body_bytes: int
    changed: bool


class HubServer(HubApi):
    """A Hub on a port of this machine while a `with` block lasts.

    Args:
        tokens: the users by token.
        port: 0 for any free one.
        page_size: entries of a page of a list.

    Example:
        with HubServer({"hf_test": User("tester", orgs=("lab",))}) as hub:
            HfApi(endpoint=hub.url, token="hf_test").create_repo("lab/pairs", repo_type="dataset")
    """

    def __init__(self, tokens: Mapping[str, User], port: int = 0, page_size: int = 50) -> None:
        super().__init__(tokens, page_size)
        self.faults: list[Fault] = []
        self.requests: list[LoggedRequest] = []
        self.own_errors: list[str] = []
        self._lock = threading.RLock()
        self._server = _Server(port, self)
        # Another host, as it is for the real Hub: clients must not take their token there.
        self.url, self.storage_url = (
            f"http://{host}:{self._server.server_port}" for host in ("127.0.0.1", "localhost")
        )

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        if self.own_errors and error is None:
            raise RuntimeError(f"the Hub of the tests has an error of its own:\n{self.own_errors[0]}")

    def environment(self, token: str | None, home: Path) -> dict[str, str]:
        """Environment variables for a process to use this Hub and to keep its caches under `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": token or "",
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_DATASETS_CACHE": str(home / "datasets"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "no_proxy": "127.0.0.1,localhost",
        }

    # --- looking

    def repo(self, name: str) -> Repo:
        """A repository by `ORG/NAME`, or by `datasets/ORG/NAME` or `models/ORG/NAME` where there are both."""
        [found] = [repo for repo in self.repos.values() if name in (repo.id, repo.api_path)]
        return found

    def files(self, name: str, ref: str = "main") -> dict[str, bytes]:
        repo = self.repo(name)
        return {path: repo.contents[file.oid] for path, file in repo.find_commit(ref).tree.items()}

    def snapshot(self) -> dict[str, object]:
        """The whole state, for comparison with a later one."""
        with self._lock:
            return {repo.api_path: repo.state() for repo in self.repos.values()}

    # --- changes that no client makes

    def push(self, name: str, changes: Mapping[str, bytes | None], ref: str = "main") -> str:
        """A commit by someone else: contents by path, None to delete. Returns its sha."""
        with self._lock:
            repo = self.repo(name)
            kept = {path: file for path, file in repo.find_commit(ref).tree.items() if path not in changes}
            added = {path: repo.store(path, data) for path, data in changes.items() if data is not None}
            return repo.commit(repo.find_ref(ref) or ref, kept | added, "A commit by someone else", "someone").sha

    def drop_file(self, name: str, path: str, ref: str = "main") -> None:
        """Remove a file from the commit at `ref`; its sha stays."""
        with self._lock:
            del self.repo(name).find_commit(ref).tree[path]

    def swap_file(self, name: str, path: str, data: bytes, ref: str = "main") -> None:
        """Replace a file of the commit at `ref`; its sha stays."""
        with self._lock:
            repo = self.repo(name)
            repo.find_commit(ref).tree[path] = repo.store(path, data)

    def corrupt_file(self, name: str, path: str, data: bytes, ref: str = "main") -> None:
        """Serve other bytes for a file; its size and oid stay."""
        with self._lock:
            repo = self.repo(name)
            repo.contents[repo.find_commit(ref).tree[path].oid] = data

    def lose_object(self, oid: str) -> None:
        """Remove a content; trees still list its size and oid."""
        with self._lock:
            for repo in self.repos.values():
                repo.contents.pop(oid, None)

    # --- serving, called by the threads of the connections

    def fault(self, request: Request) -> Action | None:
        with self._lock:
            return next((fault.action for fault in self.faults if fault.hits(request)), None)

    def serve(self, request: Request, instead: Response | None) -> Response:
        with self._lock:
            before = self.snapshot()
            try:
                response = instead or self.answer(request)
            except Exception:
                self.own_errors.append(traceback.format_exc())
                response = Response(501)  # which clients do not try again
            self.log(request, response.status, len(request.body), changed=self.snapshot() != before)
        return response

    def log(self, request: Request, status: int, body_bytes: int, changed: bool) -> None:
        user = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        name = user.name if user else None
        self.requests.append(LoggedRequest(request.method, request.target, status, name, body_bytes, changed))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, hub: HubServer) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.hub = hub
        self.connections: set[socket.socket] = set()

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.connections):  # clients keep them for their next request
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that goes away is part of the tests
            self.hub.own_errors.append(traceback.format_exc())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    timeout = 60
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def _handle(self) -> None:
        hub, size = self.server.hub, int(self.headers.get("Content-Length", "0"))
        request = Request(self.command, self.path, self.headers)
        action = hub.fault(request)
        body = self.rfile.read(min(size, action.after_bytes) if isinstance(action, CutRequest) else size)
        if isinstance(action, CutRequest) or len(body) < size:  # or the client has gone
            hub.log(request, 0, len(body), changed=False)
            self._cut()
        request = replace(request, body=body)
        if isinstance(action, Do) and action.when == "before":
            action.function()
        response = hub.serve(request, action if isinstance(action, Response) else None)
        if isinstance(action, Do) and action.when == "after":
            action.function()
        self._send(response, action.after_bytes if isinstance(action, CutResponse) else None)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def _send(self, response: Response, cut_after: int | None) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body[:cut_after])
        self.wfile.flush()
        if cut_after is not None:
            self._cut()

    def _cut(self) -> NoReturn:
        self.connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError

    def log_message(self, format: str, *args: object) -> None:
        """Requests are kept in the server's log, not printed."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A Hugging Face Hub in memory, until Ctrl-C.")
    parser.add_argument("--port", type=int, default=8888)
    port: int = parser.parse_args().port
    tokens = {"hf_test": User("tester", orgs=("lab",))}
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as home, HubServer(tokens, port) as hub:
        for name, value in hub.environment("hf_test", Path(home)).items():
            print(f"export {name}={value}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
