"""Serve one round: the socket, the names, who may come in, and what to tell them.

A round is served by one process, which holds its folder; `hggt-data reassign` is refused until it ends.
"""

import ipaddress
import shlex
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import uvicorn

from hggt_data.annotate.round import Round, lock_round, read_round
from hggt_data.annotate.web.accounts import Account, Accounts
from hggt_data.annotate.web.app import make_app
from hggt_data.annotate.web.guard import LOOPBACK, Guard
from hggt_data.annotate.web.store import AnswerStore
from hggt_data.errors import OutputError, RoundError
from hggt_data.io.text import format_examples, plural


@dataclass(frozen=True)
class ServerSettings:
    """How to serve a round; the names are those of the command's flags.

    Attributes:
        host: the address to listen at.
        port: 0 for any that is free.
        annotator: the one person who may come in, from this machine.
        accounts: a file of accounts, for several people.
        allow_host: names under which people from elsewhere call the server.
        tls_certificate, tls_key: files to answer https:// with.
        plain_http: answer people from elsewhere without encryption.
        patches: where the pictures are, if they were moved.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    annotator: str | None = None
    accounts: Path | None = None
    allow_host: tuple[str, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    plain_http: bool = False
    patches: Path | None = None


def serve_round(folder: Path, settings: ServerSettings, tell: Callable[[str], object]) -> None:
    """Serve until somebody stops it (Ctrl-C, SIGTERM).

    Args:
        folder: the round.
        settings: how.
        tell: called with each line to show, the URLs among them.

    Raises:
        RoundError: it is no round, nobody is named who takes part, or strangers could come in.
        OutputError: the port is taken, or another process serves the round or deals it anew.
        OSError: answers cannot be read, or none can be written.
    """
    _require_safe(settings)
    with lock_round(folder):
        with TemporaryFile(dir=folder):
            pass  # answers can be written here, or this is the error to end with
        dealt = read_round(folder, settings.patches)
        accounts = Accounts(settings.accounts)
        store = AnswerStore(dealt)
        with _listen(settings) as listener:
            hosts = {*settings.allow_host, *([] if _is_any(settings.host) else [settings.host])}
            app = Guard(make_app(store), accounts.find, hosts, plain_http=settings.plain_http)
            port = listener.getsockname()[1]
            for line in _welcome(dealt, store, accounts, settings, port):
                tell(line)
            config = uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
                ssl_certfile=settings.tls_certificate,
                ssl_keyfile=settings.tls_key,
            )
            uvicorn.Server(config).run(sockets=[listener])


def _require_safe(settings: ServerSettings) -> None:
    if settings.host not in LOOPBACK and settings.accounts is None:
        raise RoundError(f"--host {settings.host} lets people from elsewhere in, who need --accounts FILE")
    if _is_any(settings.host) and not settings.allow_host:
        raise RoundError(f"--host {settings.host} needs --allow-host NAME: the name by which people call this machine")
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise RoundError("--tls-certificate and --tls-key belong together")
    if settings.host not in LOOPBACK and settings.tls_key is None and not settings.plain_http:
        raise RoundError(
            f"--host {settings.host} without encryption: anybody on the way could read the secret URLs. Pass "
            "--tls-certificate and --tls-key; or listen at 127.0.0.1 behind a server that does it, with --allow-host "
            "NAME; or --plain-http where you trust the network"
        )
    if settings.tls_certificate is not None:
        _require_certificate(settings.tls_certificate, settings.tls_key)


def _require_certificate(certificate: Path, key: Path | None) -> None:
    """Refuse what no encrypted connection can be made with, before anybody is told a URL."""

    def refuse_password() -> str:
        raise RoundError(f"{key} needs a password; expected a key without one, readable by its owner only")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, refuse_password)
    except ssl.SSLError as error:
        what = f"--tls-certificate {certificate} and --tls-key {key}"
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise RoundError(f"{what} are no certificate and its key, both in PEM form ({reason})") from error


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=256)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise OutputError(f"cannot listen at {where}: {error.strerror}; choose another --host or --port") from error


def _welcome(dealt: Round, store: AnswerStore, accounts: Accounts, settings: ServerSettings, port: int) -> list[str]:
    scheme = "https" if settings.tls_key else "http"
    name = settings.allow_host[0] if _is_any(settings.host) else settings.host
    url = f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/"
    # At this machine's own address alone people from elsewhere come through a web server beside this one.
    outside = url
    if settings.host in LOOPBACK and settings.allow_host:
        outside = f"{'http' if settings.plain_http else 'https'}://{settings.allow_host[0]}/"
    active = [annotator.name for annotator in dealt.annotators if annotator.is_active]
    lines = []
    if store.unreadable:
        shown = format_examples(store.unreadable)
        lines.append(f"{plural(len(store.unreadable), 'file')} cannot be read as answers and do not count: {shown}")
    if settings.accounts is None:
        person = _only_person(dealt, settings.annotator, active)
        lines.append(f"{person}: {url}#{accounts.admit(Account(person), dealt.secret)}")
    else:
        names = {account.name for account in accounts.all() if not account.is_admin}
        if strangers := sorted(names - set(active)):
            lines.append(f"In {settings.accounts} but not in the round: {format_examples(strangers)}")
        if without := [person for person in active if person not in names]:
            command = f"hggt-data accounts add NAME --accounts {shlex.quote(str(settings.accounts))} --url {outside}"
            lines.append(f"In the round but without a URL: {format_examples(without)}. {command} makes one.")
        known = len(names & set(active))
        lines.append(
            f"{known} of {plural(len(active), 'annotator')} may come to {outside}, each by a URL of their own."
        )
        if outside != url:
            lines.append(f"{outside} is to be a web server that passes requests on to {url}; see docs/annotation.md.")
    if not any(account.is_admin for account in accounts.all()):
        lines.append(f"Progress: {url}admin#{accounts.admit(Account('admin', is_admin=True))}")
    return [*lines, "Stop it with Ctrl-C; every answer is on disk as soon as the page says so."]


def _only_person(dealt: Round, name: str | None, active: list[str]) -> str:
    if name is not None:
        if not dealt.annotator(name).is_active:
            raise RoundError(
                f"{name} was dropped from this round; hggt-data reassign {dealt.folder} --add {name} brings them back"
            )
        return name
    if len(active) != 1:
        raise RoundError(f"who is it? Pass --annotator NAME ({format_examples(active, 8)}), or --accounts FILE")
    return active[0]


def _is_any(host: str) -> bool:
    """Whether an address stands for all addresses of the machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
