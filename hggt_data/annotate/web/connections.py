"""Connections of the server: handshakes, requests and responses end in time, and idle connections make room."""

import asyncio
import resource
import ssl
from asyncio.sslproto import SSLProtocol
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """Closes connections whose request or response takes too long, and idle connections above a limit.

    Otherwise unfinished requests would stay open for ever, and a thousand idle connections would use up the files that
    a process may open, so that no one else could connect.

    Attributes:
        request_s: From the connection, or the previous response, to the end of a request.
        response_s: From there to the end of the response; a picture of 500 KB at 4 KB/s.
        most_waiting: Connections that may wait for a request.
    """

    request_s = 15.0
    response_s = 120.0
    most_waiting = min(512, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._timer: asyncio.TimerHandle | None = None
        self._is_timed_as_waiting = False

    @property
    def is_waiting(self) -> bool:
        """Whether the server waits for a request, or for the rest of one."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self.transport.is_closing()

    @property
    def ends_at(self) -> float:
        """When the connection is aborted, by the loop's clock."""
        return self._timer.when() if self._timer else 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer, and abort the connection that has waited longest if too many wait."""
        super().connection_made(transport)
        self._watch()
        waiting = [other for other in self.connections if isinstance(other, Connection) and other.is_waiting]
        if len(waiting) > self.most_waiting:
            min(waiting, key=lambda other: other.ends_at).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Note whether a request is complete."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Note that the next request may come."""
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP; inside a request, whose answer may have begun, end the connection instead."""
        if self.conn.our_state is h11.IDLE:
            super().send_400_response(msg)
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        super().connection_lost(exc)
        if self._timer:
            self._timer.cancel()

    def _watch(self) -> None:
        """Start the timer again if the server began, or ceased, to wait for the client."""
        if self._timer is None or self.is_waiting != self._is_timed_as_waiting:
            if self._timer:
                self._timer.cancel()
            self._is_timed_as_waiting = self.is_waiting
            self._timer = self.loop.call_later(
                self.request_s if self.is_waiting else self.response_s, self.transport.abort
            )


class TlsConnection(SSLProtocol):
    """A connection within TLS: its handshake ends in time, and makes room for new ones above a limit.

    Otherwise connections that send nothing would hold the files that a process may open for asyncio's 60 seconds.

    Attributes:
        handshake_s: From the connection to the end of the handshake.
        most_handshakes: Connections that may be within their handshake.
    """

    handshake_s = 5
    most_handshakes = min(256, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)

    def __init__(self, context: ssl.SSLContext, handshakes: "list[TlsConnection]", **settings: Any) -> None:
        """`handshakes` are those of the whole server, the oldest first; `settings` are those of a `Connection`."""
        self._inner = Connection(**settings)
        self._handshakes = handshakes
        super().__init__(
            asyncio.get_running_loop(),
            self._inner,
            context,
            None,  # type: ignore[arg-type]
            server_side=True,
            ssl_handshake_timeout=self.handshake_s,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake, and abort the oldest one if there are too many."""
        super().connection_made(transport)
        self._outer = cast(asyncio.Transport, transport)
        self._handshakes.append(self)
        self._handshakes[:] = [one for one in self._handshakes if one.is_unfinished]
        if len(self._handshakes) > self.most_handshakes:
            self._handshakes.pop(0)._outer.abort()

    @property
    def is_unfinished(self) -> bool:
        """Whether the handshake lasts."""
        return self._inner.transport is None and not self._outer.is_closing()
