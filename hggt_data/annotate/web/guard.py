"""Middleware that checks host, origin, account, body size and request rate.

A request that passes has its `Account`, or None, in `request.state.account`.
"""

import html
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hggt_data.annotate.web.accounts import Account
from hggt_data.annotate.web.texts import Texts
from hggt_data.errors import RoundError

_LOG = logging.getLogger(__name__)  # goes to the terminal that runs the server

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_BODY_BYTES = 1 << 16
_DEFAULT_PORTS = {"http": 80, "https": 443}

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
        find_account: Token to account; None for an unknown token, RoundError if the accounts cannot be read.
        texts: Words of the pages, for refusals that annotators may see; only administrators see the others.
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
        texts: Texts,
        hosts: Iterable[str] = (),
        *,
        plain_http: bool = False,
        user_limit: "RateLimit | None" = None,
        unknown_limit: "RateLimit | None" = None,
        file_limit: "RateLimit | None" = None,
    ) -> None:
        self._app = app
        self._find_account = find_account
        self._texts = texts
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
        token, account = _token_of(headers), None
        refused = self._refuse(scope, headers)
        if refused is None:
            try:
                account = self._find_account(token) if token else None
                refused = self._slow_down(scope, headers, account)
            except RoundError as error:
                _LOG.warning("Refused everyone: %s", error)
                refused = refusal(503, self._texts.of(headers)["error_accounts"], headers)
        if refused is not None:
            await refused(scope, receive, _with_headers(send))
            return
        scope.setdefault("state", {})["account"] = account
        body = _LimitedBody(receive)
        await self._app(scope, body.receive, _with_headers(send))

    def _refuse(self, scope: Scope, headers: Headers) -> Response | None:
        """Refuse other host names, connections without encryption, and pages of other sites."""
        host = _split(headers.get("host", ""), "")
        if host is None or host[0] not in self._hosts:
            advice = "Its administrator can add the name with the option --allow-host."
            return self._report(400, f"This server does not answer to {headers.get('host', '')!r}. {advice}", headers)
        if host[0] not in LOOPBACK and not self._plain_http and not _is_encrypted(scope, headers):
            advice = (
                "If they do, the web server in between must say so (nginx: proxy_set_header X-Forwarded-Proto $scheme)."
            )
            return self._report(403, f"Connections from other machines must use https://. {advice}", headers)
        origin = headers.get("origin")
        if origin is not None and not _is_same_origin(origin, headers["host"]):
            reason = f"Pages of {origin!r} may not use this server, which was addressed as {headers['host']!r}."
            advice = (
                "If this is its own page, the web server in between must pass on the Host header unchanged (nginx: "
                "proxy_set_header Host $http_host)."
            )
            return self._report(403, f"{reason} {advice}", headers)
        if headers.get("sec-fetch-site") == "cross-site" and scope["path"].startswith("/api/"):
            return self._report(403, "Pages of other sites may not use this server.", headers)
        return None

    def _report(self, status: int, message: str, headers: Headers) -> Response:
        """A refusal that the terminal shows as well, because only an administrator can remove its cause."""
        _LOG.warning("Refused a request: %s", message)
        return refusal(status, message, headers)

    def _slow_down(self, scope: Scope, headers: Headers, account: Account | None) -> Response | None:
        """Refuse requests beyond the rate."""
        client = (scope.get("client") or ("unknown", 0))[0]
        if account is not None:
            wait_s = self._user_limit.take(account.name)
        elif _token_of(headers) or (scope["path"].startswith("/api/") and scope["path"] != "/api/texts"):
            wait_s = self._unknown_limit.take(client)
        else:
            wait_s = self._file_limit.take(client)
        if wait_s > 0:
            message = self._texts.of(headers)["error_busy"]
            return refusal(429, message, headers, {"Retry-After": str(int(wait_s) + 1)})
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


def refusal(status: int, message: str, asked: Headers, headers: dict[str, str] | None = None) -> Response:
    """A refusal as the pages read it, `{"error": message}`, or as a page if the browser `asked` for one."""
    if "text/html" in asked.get("accept", ""):
        title = f"<!doctype html><html lang=en><meta charset=utf-8><title>hggt: {status}</title>"
        return HTMLResponse(f"{title}<h1>hggt: {status}</h1><p>{html.escape(message)}</p>", status, headers)
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


def _is_encrypted(scope: Scope, headers: Headers) -> bool:
    """Whether the browser uses https; of several web servers in a row, the first has added the first protocol."""
    forwarded = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return scope["scheme"] == "https" or forwarded == "https"


def _is_same_origin(origin: str, host_header: str) -> bool:
    """Whether a page is from the host that it asks; a default port may be given or not."""
    scheme, _, place = origin.partition("://")
    asked = _split(place, scheme)
    return asked is not None and scheme in _DEFAULT_PORTS and asked == _split(host_header, scheme)


def _split(place: str, scheme: str) -> tuple[str, int | None] | None:
    """Host name and port of `HOST` or `HOST:PORT`; None if it is neither."""
    try:
        parts = urlsplit(f"//{place}")
        if parts.netloc != place or parts.username is not None:
            return None
        return (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(scheme)
    except ValueError:
        return None
