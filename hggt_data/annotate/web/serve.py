"""Serves one round: settings, socket, TLS and console output.

The server holds the round's lock, so `hggt-data reassign` is refused until it ends.
"""

import ipaddress
import resource
import shlex
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, cast

import uvicorn

from hggt_data.annotate.answers import remove_leftovers
from hggt_data.annotate.consent import CONSENT, read_consent
from hggt_data.annotate.instructions import read_instructions, require_pictures
from hggt_data.annotate.round import Round, lock_round, read_round
from hggt_data.annotate.web.accounts import Account, Accounts
from hggt_data.annotate.web.app import make_app
from hggt_data.annotate.web.connections import Connection, TlsConnection
from hggt_data.annotate.web.guard import LOOPBACK, Guard
from hggt_data.annotate.web.store import AnswerStore
from hggt_data.annotate.web.study import open_store
from hggt_data.annotate.web.terminal import log_to_terminal
from hggt_data.annotate.web.texts import Language, texts_of_round
from hggt_data.errors import OutputError, RoundError, SettingsError
from hggt_data.io.text import format_examples, plural
from hggt_data.licence import is_restricted, terms_of
from hggt_data.ranges import Range, require_ranges

_MOST_FILES = 1 << 14
_LOCAL_NAMES = (".localhost", ".local", ".lan", ".internal", ".home.arpa")  # never resolved by public name servers
_BACKLOG = 256  # also how many connections are accepted before any of them is looked at


@dataclass(frozen=True)
class ServerSettings:
    """Settings of the annotation server.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        annotator: Name of the person using this machine [default: the only annotator of the round].
        accounts: Accounts file, for several annotators with personal URLs.
        allow_host: Host name under which other machines reach the server; repeatable.
        tls_certificate: TLS certificate (PEM) for https.
        tls_key: Private key (PEM) of the certificate.
        plain_http: Serve other machines without encryption, on a network you trust.
        patches: Folder of the patches, if they were moved.
        i_have_permission: Serve pictures whose terms forbid passing them on under a public address or host name: their
            owner allows it, or only people of your organisation can connect.
        language: Language of the pages [default: the browser's, if there is a translation; else English].
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Range(0, 65535)] = 8000
    annotator: str | None = None
    accounts: Path | None = None
    allow_host: tuple[str, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    plain_http: bool = False
    patches: Path | None = None
    i_have_permission: bool = False
    language: Language | None = None

    def __post_init__(self) -> None:
        require_ranges(self)


def serve_round(folder: Path, settings: ServerSettings, print_line: Callable[[str], object]) -> None:
    """Serve a round until SIGINT or SIGTERM.

    Args:
        folder: Round to serve.
        settings: Settings of the server.
        print_line: Receives each line of console output, including the URLs.

    Raises:
        RoundError: This is not a round, or the annotator is not known.
        SettingsError: The settings would be unsafe, do not say which of several annotators is served, or would show
            pictures outside the organisation that must not be.
        OutputError: The port is in use, or another process serves or changes the round.
    """
    context = _require_safe(settings)
    with lock_round(folder):
        with TemporaryFile(dir=folder):
            pass  # fails now if answers cannot be written
        round_ = read_round(folder, settings.patches)
        _require_permission(round_, settings)
        require_pictures(folder, read_instructions(folder))
        consent = read_consent(folder)
        remove_leftovers(round_)
        accounts = Accounts(settings.accounts)
        store = open_store(round_)
        with _listen(settings) as listener:
            hosts = {*settings.allow_host, *([] if _is_any(settings.host) else [settings.host])}
            texts = texts_of_round(round_, settings.language)
            app = Guard(make_app(store, texts), accounts.find, texts, hosts, plain_http=settings.plain_http)
            port = listener.getsockname()[1]
            if consent and consent.missing:
                print_line(f"Warning: {CONSENT} lacks {', '.join(consent.missing)}; write what annotators must know.")
            for line in _welcome(round_, store, accounts, settings, port):
                print_line(line)
            log_to_terminal()
            _allow_many_connections()
            config = uvicorn.Config(
                app,
                http=cast(type[Connection], partial(TlsConnection, context, [])) if context else Connection,
                ws="none",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
                forwarded_allow_ips=["127.0.0.1", "::1"],
                backlog=_BACKLOG,
            )
            uvicorn.Server(config).run(sockets=[listener])


def _require_safe(settings: ServerSettings) -> ssl.SSLContext | None:
    """Refuse unsafe settings; returns the certificate and its key, if there are any."""
    if settings.host not in LOOPBACK and settings.accounts is None:
        raise SettingsError(f"listening on {settings.host} requires accounts; pass `accounts`")
    if _is_any(settings.host) and not settings.allow_host:
        raise SettingsError(
            f"listening on {settings.host} requires the host name that other machines use; pass `allow_host`"
        )
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise SettingsError(
            "a TLS certificate and its key are needed together; pass both `tls_certificate` and `tls_key`"
        )
    if settings.host not in LOOPBACK and settings.tls_key is None and not settings.plain_http:
        raise SettingsError(
            f"listening on {settings.host} without encryption would expose the personal URLs to the network. Either "
            "pass `tls_certificate` and `tls_key`; or listen on 127.0.0.1 behind an https web server and pass "
            "`allow_host`; or pass `plain_http` on a network you trust"
        )
    if settings.tls_certificate is None:
        return None
    return _read_certificate(settings.tls_certificate, settings.tls_key)


def _require_permission(round_: Round, settings: ServerSettings) -> None:
    """Refuse to show restricted pictures where people outside the organisation may connect."""
    hosts = [*settings.allow_host, *([] if _is_any(settings.host) else [settings.host])]
    public = [host for host in hosts if not _is_inside(host)]
    if public and is_restricted(round_.license) and not settings.i_have_permission:
        raise SettingsError(
            f"{public[0]} may be reached from outside your organisation, and the pictures of this round must not be "
            f"passed on. {terms_of(round_.license)} Use a private address (such as 192.168.1.5) or a local name; if "
            "their owner allows it, or only people of your organisation can connect, pass `i_have_permission`; if they "
            "have another licence, state it with hggt-data deal --license when you make the round"
        )


def _is_inside(host: str) -> bool:
    """Whether only this machine or a private network can have this address or name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.lower().endswith(_LOCAL_NAMES)
    return address.is_private or address.is_loopback or address.is_link_local


def _read_certificate(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Check certificate and key before printing a URL."""

    def refuse_password() -> str:
        raise RoundError(f"{key} is protected by a password; expected an unencrypted key that only its owner can read")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, refuse_password)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise RoundError(
            f"{certificate} and {key} are not a certificate and its key in PEM format ({reason}); check "
            "`tls_certificate` and `tls_key`"
        ) from error
    return context


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OutputError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another `host` or `port`"
        ) from error
    # Else a short response waits up to 40 ms for the client to confirm its head: asyncio does this only for sockets
    # whose protocol is given.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _allow_many_connections() -> None:
    """Raise the number of open files, of which each connection needs one."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):  # the system allows fewer
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _welcome(round_: Round, store: AnswerStore, accounts: Accounts, settings: ServerSettings, port: int) -> list[str]:
    scheme = "https" if settings.tls_key else "http"
    name = settings.allow_host[0] if _is_any(settings.host) else settings.host
    url = f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/"
    # A server on loopback that allows another host is reached through a reverse proxy.
    public_url = url
    if settings.host in LOOPBACK and settings.allow_host:
        public_url = f"{'http' if settings.plain_http else 'https'}://{settings.allow_host[0]}/"
    active = [annotator.name for annotator in round_.annotators if annotator.is_active]
    lines = []
    if store.unreadable:
        shown = format_examples([f"{path} ({why})" for path, why in store.unreadable.items()])
        lines.append(f"{plural(len(store.unreadable), 'file')} cannot be read as answers and do not count: {shown}")
    if settings.accounts is None:
        name = _only_annotator(round_, settings.annotator, active)
        lines.append(f"{name}: {url}#{accounts.admit(Account(name), round_.secret)}")
    else:
        names = {account.name for account in accounts.all() if not account.is_admin}
        if unknown := sorted(names - set(active)):
            lines.append(f"Accounts that are not in this round: {format_examples(unknown)}")
        if missing := [name for name in active if name not in names]:
            command = f"hggt-data accounts add NAME --accounts {shlex.quote(str(settings.accounts))} --url {public_url}"
            lines.append(f"Annotators without an account: {format_examples(missing)}. Add each one with: {command}")
        count = len(names & set(active))
        lines.append(
            f"Serving {count} of {plural(len(active), 'annotator')} at {public_url}; each needs their personal URL."
        )
        if public_url != url:
            lines.append(f"Set up a web server for {public_url} that forwards to {url}; see docs/annotation.md.")
    if not any(account.is_admin for account in accounts.all()):
        lines.append(f"Progress: {url}admin#{accounts.admit(Account('admin', is_admin=True))}")
    return [*lines, "Press Ctrl-C to stop. An answer is on disk as soon as the page shows it as saved."]


def _only_annotator(round_: Round, name: str | None, active: list[str]) -> str:
    if name is not None:
        if not round_.annotator(name).is_active:
            raise RoundError(f"{name} was dropped from this round; add the annotator again with hggt-data reassign")
        return name
    if len(active) != 1:
        raise SettingsError(
            f"this round has several annotators ({format_examples(active, 8)}); pass `annotator` or `accounts`"
        )
    return active[0]


def _is_any(host: str) -> bool:
    """Whether an address stands for all addresses of the machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
