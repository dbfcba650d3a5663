import contextlib
import logging
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from hggt_data.annotate.web.connections import Connection, TlsConnection
from hggt_data.annotate.web.terminal import log_to_terminal
from tests.hggt_data.annotate.servers import make_certificate, needs_openssl


class Impatient(Connection):
    request_s = 0.3
    most_waiting = 20


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


class ImpatientTls(TlsConnection):
    most_handshakes = 20


@contextlib.contextmanager
def served(http: Any) -> Iterator[int]:
    """The port of a server that runs in a thread."""
    app = Starlette(
        routes=[Route("/", echo, methods=["GET", "HEAD", "PUT"])],
        exception_handlers={ClientDisconnect: lambda *_: PlainTextResponse("gone")},
    )
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        server = uvicorn.Server(uvicorn.Config(app, http=http, log_config=None, log_level="error", backlog=256))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield int(listener.getsockname()[1])
        server.should_exit = True
        thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    with served(Impatient) as port:
        yield port


@contextlib.contextmanager
def connected(port: int, sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """What arrives until the server ends the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(1000):
            received += data
    return received


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: x", b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"]
)
def test_an_unfinished_request_ends_after_a_while(port: int, sent: bytes) -> None:
    with connected(port, sent) as connection:
        started = time.monotonic()
        assert read_all(connection) == b""
        assert time.monotonic() - started < 5


def test_idle_connections_make_room_for_an_annotator(port: int) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connected(port)) for _ in range(200)]
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read() == b"0"
        assert read_all(idle[0]) == b""


@needs_openssl
def test_unfinished_handshakes_end_and_make_room_for_an_annotator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path, "-nodes"))
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(served(partial(ImpatientTls, context, [])))
        idle = [stack.enter_context(connected(port)) for _ in range(200)]
        trusting = ssl._create_unverified_context()
        assert urllib.request.urlopen(f"https://127.0.0.1:{port}/", timeout=4, context=trusting).read() == b"0"
        assert read_all(idle[0]) == b""
        monkeypatch.setattr(ImpatientTls, "handshake_s", 0.3)
        assert read_all(stack.enter_context(connected(port))) == b""


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT"])
def test_what_is_not_http_costs_no_traceback(port: int, method: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with connected(port, method + b" / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n") as connection:
        assert read_all(connection) == b""
    with connected(port, method + b"\r\n\r\n") as connection:
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in caplog.text


def test_the_terminal_shows_no_floods_and_no_control_characters(capfd: pytest.CaptureFixture[str]) -> None:
    log_to_terminal()
    log = logging.getLogger("hggt_data.annotate.web.guard")
    for _ in range(100):
        log.warning("from \x1b[31m\x9b%s", "a\nb")
    for number in range(100):
        log.warning("client %d", number)
    log.error("disk full")
    log.error("disk full")
    for _ in range(100):
        logging.getLogger("asyncio").error("socket.accept() out of system resource")
    first, *others = [line.split(" ", 2)[2] for line in capfd.readouterr().err.splitlines()]
    assert first == r"from \x1b[31m\x9ba\nb"
    assert others == [*(f"client {number}" for number in range(9)), "disk full", "disk full"]
