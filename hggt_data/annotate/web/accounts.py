"""Accounts of the server: names with secret tokens, which are part of personal URLs.

The accounts file stores only hashes of tokens. A running server notices changes at once.
"""

import base64
import fcntl
import hashlib
import hmac
import re
import secrets
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from hggt_data.errors import RoundError, SettingsError
from hggt_data.io.files import read_regular_file, write_json
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.io.text import nearest, printable
from hggt_data.tree.annotators import clean_name

_MOST_BYTES = 1 << 22  # of the file; a larger one would block the server while it is read


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
    """Maps tokens to accounts: those of a file, if any, and temporary ones."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._temporary: dict[str, Account] = {}
        self._stored: Mapping[str, Account] = {}
        self._version: object = None
        if path is not None:
            self._refresh()  # an error already at the start

    def admit(self, account: Account, secret: str | None = None) -> str:
        """Add a temporary account and return its token.

        With a `secret` the token is the same after a restart, so that an open page can still send its answers.
        """
        token = _new_token() if secret is None else _token_from(secret, account.name)
        self._temporary[_hash(token)] = account
        return token

    def find(self, token: str) -> Account | None:
        """The account of a token; None if there is none, RoundError if the file that may have it cannot be read."""
        digest = _hash(token)
        if digest in self._temporary:
            return self._temporary[digest]
        self._refresh()
        return self._stored.get(digest)

    def all(self) -> list[Account]:
        """All accounts, in the order in which they were added."""
        self._refresh()
        return [*self._stored.values(), *self._temporary.values()]

    def _refresh(self) -> None:
        """Read the file if it was replaced."""
        if self._path is None:
            return
        try:
            stat = self._path.stat()
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if stamp != self._version:
                self._version = None
                self._stored = dict(_read(self._path))
                self._version = stamp
        except FileNotFoundError as error:
            raise RoundError(f"{self._path}: no such file; create it with hggt-data accounts add") from error
        except OSError as error:
            raise RoundError(f"{self._path} cannot be read ({error.strerror}); check its permissions") from error


def add_account(path: Path, account: Account, *, renew: bool = False) -> str:
    """Add an account to a file, created if missing, and return its token.

    Args:
        path: Accounts file (created if missing).
        account: Name and role.
        renew: Replace the account's personal URL; the old one stops working.
    """
    account = replace(account, name=clean_name(account.name))
    with _edited(path) as entries:
        known = [digest for digest, other in entries.items() if other.name == account.name]
        if known and not renew:
            raise RoundError(f"{path}: {account.name} already has a personal URL; pass `renew` to replace it")
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
        accounts: Accounts file (created if missing). It contains only hashes of the secrets.
        account: Who may use the server.
        url: URL of the server.
        renew: Replace the account's existing URL with a new one.
    """
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise SettingsError(f"`url` {url!r} is not the URL of a server; expected one such as https://lab.example.org/")
    token = add_account(accounts, account, renew=renew)
    return f"{url.rstrip('/')}/{'admin' if account.is_admin else ''}#{token}"


def remove_account(path: Path, name: str) -> None:
    """Remove an account; its personal URL stops working.

    The name may also be in the form in which `hggt-data accounts list` prints one with control characters.
    """
    with _edited(path) as entries:
        for form in (str, printable, _plain):
            if known := [digest for digest, other in entries.items() if form(other.name) in (name, form(name))]:
                break
        else:
            hint = nearest(name, [account.name for account in entries.values()])
            raise RoundError(f"{path}: no account named {name!r}; {hint}")
        for digest in known:
            del entries[digest]


@contextmanager
def _edited(path: Path) -> Iterator[dict[str, Account]]:
    """The entries of the file, written back after the block; other processes wait."""
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


class _Entry(TypedDict):
    name: str
    admin: bool
    token_sha256: str


def _read(path: Path) -> Iterator[tuple[str, Account]]:
    try:
        entries = read_value(list[_Entry], parse_json(read_regular_file(path, _MOST_BYTES)))
        for field in ("name", "token_sha256"):
            if twice := [value for value, count in Counter(entry[field] for entry in entries).items() if count > 1]:
                raise ValueError(f"the {field} {twice[0]!r} occurs twice")
        for entry in entries:
            if not re.fullmatch("[0-9a-f]{64}", entry["token_sha256"]):
                raise ValueError(f"{entry['token_sha256']!r} is not a SHA-256")
            yield entry["token_sha256"], Account(entry["name"], entry["admin"])
    except ValueError as error:
        advice = "correct it, or move it away and create one with hggt-data accounts add"
        raise RoundError(f"{path} is not an accounts file ({error}); {advice}") from error


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())


def _new_token() -> str:
    return secrets.token_urlsafe(24)


def _token_from(secret: str, name: str) -> str:
    digest = hmac.new(secret.encode(), f"token\0{name}".encode(), "sha256").digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
