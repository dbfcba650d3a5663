"""Middleware that checks host, origin, account, body size and request rate.

A request that passes has its `Account`, or None, in `request.state.account`.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hggt_data.annotate.web.accounts import Account

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_BODY_BYTES = 1 << 16

# The pages load everything from this server and contain no inline code.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Middleware for an ASGI application.

    Args:
        app: The application.
        find_account: Token to account; None for an unknown token.
        hosts: Accepted host names besides loopback.
        plain_http: Accept requests from other machines without encryption.
        user_limit: Request rate per account.
        unknown_limit: Request rate per address for data requests without a valid token.
        file_limit: Request rate per address for the pages' own files; many users may share one address, and each opens
            a page with a dozen requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        find_account: Callable[[str], Account | None],
        hosts: Iterable[str] = (),
        *,
        plain_http: bool = False,
        user_limit: "RateLimit | None" = None,
        unknown_limit: "RateLimit | None" = None,
        file_limit: "RateLimit | None" = None,
    ) -> None:
        self._app = app
        self._find_account = find_account
        self._hosts = LOOPBACK | {host.lower() for host in hosts}
        self._plain_http = plain_http
        self._user_limit = user_limit or RateLimit(rate=60, burst=300)
        self._unknown_limit = unknown_limit or RateLimit(rate=5, burst=60)
        self._file_limit = file_limit or RateLimit(rate=200, burst=2000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        account = self._find_account(_token_of(headers))
        if (refused := self._refuse(scope, headers, account)) is not None:
            await refused(scope, receive, _with_headers(send))
            return
        scope.setdefault("state", {})["account"] = account
        body = _LimitedBody(receive)
        await self._app(scope, body.receive, _with_headers(send))

    def _refuse(self, scope: Scope, headers: Headers, account: Account | None) -> JSONResponse | None:
        host = _host_of(headers.get("host", ""))
        if host not in self._hosts:
            advice = "Its administrator can add the name with the option allow-host."
            return refusal(400, f"This server does not answer to {host!r}. {advice}")
        if scope["scheme"] != "https" and host not in LOOPBACK and not self._plain_http:
            return refusal(403, "Connections from other machines must use https://.")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers["host"].lower():
            return refusal(403, f"Requests from pages of {origin} are not allowed.")
        if headers.get("sec-fetch-site") == "cross-site" and scope["path"].startswith("/api/"):
            return refusal(403, "Requests from pages of other sites are not allowed.")
        client = (scope.get("client") or ("unknown", 0))[0]
        if account is not None:
            wait_s = self._user_limit.take(account.name)
        elif _token_of(headers) or (scope["path"].startswith("/api/") and scope["path"] != "/api/texts"):
            wait_s = self._unknown_limit.take(client)
        else:
            wait_s = self._file_limit.take(client)
        if wait_s > 0:
            return refusal(429, "Too many requests. Please wait a moment.", {"Retry-After": str(int(wait_s) + 1)})
        return None


class RateLimit:
    """A token bucket per client: `rate` requests per second on average, `burst` at once.

    Clients not seen for longest are forgotten.
    """

    _MOST_CLIENTS = 10_000

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Count one request; return 0, or the seconds to wait if it is refused."""
        now = self._clock()
        left, last = self._left.pop(client, (float(self._burst), now))
        left = min(self._burst, left + (now - last) * self._rate)
        granted = left >= 1
        self._left[client] = (left - granted, now)
        if len(self._left) > self._MOST_CLIENTS:
            self._left.popitem(last=False)
        return 0 if granted else (1 - left) / self._rate


class BodyTooLargeError(Exception):
    """A request body is larger than `MAX_BODY_BYTES`."""


class _LimitedBody:
    """Counts a body while it arrives, because the Content-Length header may be wrong."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._size = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > MAX_BODY_BYTES:
            raise BodyTooLargeError
        return message


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """A refusal in the form that the pages read: `{"error": message}`."""
    return JSONResponse({"error": message}, status, headers)


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sent


def _token_of(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _host_of(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return header
