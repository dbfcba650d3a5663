"""Who may use a server: names with secret tokens, which are part of a personal URL.

Only the hash of a token is kept, in a file that its owner alone can read. A running server takes up changes at once.
"""

import base64
import fcntl
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hggt_data.errors import RoundError, SettingsError
from hggt_data.io.files import write_json
from hggt_data.io.text import nearest
from hggt_data.tree.annotators import clean_name


@dataclass(frozen=True, slots=True)
class Account:
    """An account: an annotator or an administrator.

    Attributes:
        name: Name of the annotator or administrator.
        is_admin: Make an administrator's account, which can see /admin and all answers but cannot answer.
    """

    name: str
    is_admin: bool = False


class Accounts:
    """Tokens to accounts: those of a file, which may change meanwhile, and those made for this run only.

    Args:
        path: the file, if any.

    Raises:
        RoundError: it is missing or damaged.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._passing: dict[str, Account] = {}
        self._kept: Mapping[str, Account] = {}
        self._stamp: object = None
        if path is not None:
            self._refresh()  # a file that is damaged later lets nobody in

    def admit(self, account: Account, secret: str | None = None) -> str:
        """Make a token that holds as long as this object.

        Args:
            account: whose it is.
            secret: the token follows from it and the name, so that the next server gives the same one: a page that is
                still open can send what it has kept. Without it, a new one.
        """
        token = _new_token() if secret is None else _token_from(secret, account.name)
        self._passing[_hash(token)] = account
        return token

    def find(self, token: str) -> Account | None:
        """Whose token it is; null if nobody's."""
        try:
            self._refresh()
        except RoundError:
            self._kept, self._stamp = {}, None
        digest = _hash(token)
        return self._passing.get(digest) or self._kept.get(digest)

    def all(self) -> list[Account]:
        """Everybody, in the order in which they were added."""
        self._refresh()
        return [*self._kept.values(), *self._passing.values()]

    def _refresh(self) -> None:
        """Read the file if it was replaced; as it is replaced whole, it is never half written."""
        if self._path is None:
            return
        try:
            stat = self._path.stat()
        except FileNotFoundError as error:
            raise RoundError(f"{self._path}: no such file; hggt-data accounts add makes it") from error
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if stamp != self._stamp:
            self._kept = dict(_read(self._path))
            self._stamp = stamp


def add_account(path: Path, account: Account, *, renew: bool = False) -> str:
    """Add somebody to a file of accounts, which is made if need be, and return the token.

    Args:
        path: the file.
        account: whom.
        renew: give a new token to a name that has one, which then is void.

    Raises:
        RoundError: the name has a token already, or is no name; or the file is damaged.
        OSError: it cannot be written.
    """
    account = replace(account, name=clean_name(account.name))
    with _edited(path) as entries:
        known = [digest for digest, other in entries.items() if other.name == account.name]
        if known and not renew:
            raise RoundError(f"{path}: {account.name} has a URL already; --renew makes a new one and voids the old")
        for digest in known:
            del entries[digest]
        token = _new_token()
        entries[_hash(token)] = account
    return token


def make_personal_url(
    accounts: Path, account: Account, *, url: str = "http://127.0.0.1:8000/", renew: bool = False
) -> str:
    """Add an account and return its personal URL, which cannot be shown again.

    Args:
        accounts: Accounts file (created if missing). It contains hashes of the secrets only.
        account: Who may use the server.
        url: URL of the server.
        renew: Replace the account's existing URL by a new one.

    Raises:
        SettingsError: `url` is not the URL of a server.
        RoundError: As for `add_account`.
    """
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise SettingsError(f"`url` {url!r} is not the URL of a server; expected one such as https://lab.example.org/")
    token = add_account(accounts, account, renew=renew)
    return f"{url.rstrip('/')}/{'admin' if account.is_admin else ''}#{token}"


def remove_account(path: Path, name: str) -> None:
    """Void somebody's token.

    Raises:
        RoundError: the file has no such name, is missing or damaged.
        OSError: it cannot be written.
    """
    with _edited(path) as entries:
        known = [digest for digest, other in entries.items() if other.name == clean_name(name)]
        if not known:
            hint = nearest(name, [account.name for account in entries.values()])
            raise RoundError(f"{path}: nobody called {name!r}; {hint}")
        for digest in known:
            del entries[digest]


@contextmanager
def _edited(path: Path) -> Iterator[dict[str, Account]]:
    """The entries of the file, written back at the end of the block; one process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = dict(_read(path)) if path.exists() else {}
        yield entries
        content = [
            {"name": account.name, "admin": account.is_admin, "token_sha256": digest}
            for digest, account in entries.items()
        ]
        write_json(path, content, private=True)


def _read(path: Path) -> Iterator[tuple[str, Account]]:
    try:
        content: list[dict[str, Any]] = json.loads(path.read_bytes())
        for entry in content:
            yield str(entry["token_sha256"]), Account(str(entry["name"]), bool(entry["admin"]))
    except (ValueError, TypeError, KeyError) as error:
        raise RoundError(f"{path} is no file of accounts ({error!r}); hggt-data accounts add makes one") from error


def _new_token() -> str:
    return secrets.token_urlsafe(24)


def _token_from(secret: str, name: str) -> str:
    digest = hmac.new(secret.encode(), f"token\0{name}".encode(), "sha256").digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
