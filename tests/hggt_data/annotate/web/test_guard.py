from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from hggt_data.annotate.web.accounts import Account
from hggt_data.annotate.web.guard import MAX_BODY_BYTES, BodyTooLargeError, Guard, RateLimit, refusal
from hggt_data.annotate.web.texts import Texts, read_texts
from hggt_data.errors import RoundError

TEXTS = Texts(Path("no round"))
TOKENS = {"ada-token": Account("Ada"), "bob-token": Account("Bob")}


async def echo(request: Request) -> PlainTextResponse:
    body = await request.body()
    account = request.state.account
    return PlainTextResponse(f"{account.name if account else 'unknown'} {len(body)}")


def client(url: str = "http://127.0.0.1:8000", **options: object) -> TestClient:
    app = Starlette(
        routes=[Route("/", echo), Route("/api/x", echo, methods=["GET", "PUT"])],
        exception_handlers={BodyTooLargeError: lambda request, _: refusal(413, "too large", request.headers)},
    )
    return TestClient(Guard(app, TOKENS.get, TEXTS, **options), base_url=url)  # type: ignore[arg-type]


def test_loopback_names_are_served() -> None:
    for url in ("http://127.0.0.1:8000", "http://LOCALHOST", "http://[::1]:8000"):
        assert client(url).get("/").text == "unknown 0", url


def test_other_host_names_are_refused() -> None:
    for host in ("evil.example:8000", "127.0.0.1.evil.example", "", "[", "ü"):
        answer = client().get("/", headers={b"Host": host.encode()})
        assert answer.status_code == 400, host
        assert "does not answer to" in answer.json()["error"]


def test_allowed_host_names_are_served_over_https() -> None:
    allowed = ["lab.example"]
    assert client("https://lab.example", hosts=allowed).get("/").status_code == 200
    plain = client("http://lab.example:8000", hosts=allowed).get("/")
    assert plain.status_code == 403
    assert "https" in plain.json()["error"]
    assert client("http://lab.example:8000", hosts=allowed, plain_http=True).get("/").status_code == 200
    assert client("https://other.example", hosts=allowed).get("/").status_code == 400


def test_pages_of_other_origins_are_refused() -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:8001", "http://localhost:8000"):
        assert client().put("/api/x", headers={"Origin": origin}).status_code == 403, origin
        assert client().get("/api/x", headers={"Origin": origin}).status_code == 403, origin
    assert client().put("/api/x", headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200  # our own page
    assert client().put("/api/x").status_code == 200  # a program
    assert client().get("/api/x", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client().get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # such as a link in an email


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("lab.example:443", "https://lab.example"),
        ("lab.example", "https://lab.example:443"),
        ("LAB.example:80", "http://lab.example"),
        ("lab.example:8443", "https://lab.example:8443"),
    ],
)
def test_a_default_port_may_be_given_or_not(host: str, origin: str) -> None:
    proxied = client("https://lab.example", hosts=["lab.example"])
    assert proxied.put("/api/x", headers={"Host": host, "Origin": origin}).status_code == 200


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("lab.example", "https://lab.example:8443"),  # the web server in between has dropped the port
        ("127.0.0.1:8000", "https://lab.example"),  # or the whole host
        ("lab.example:443", "http://lab.example"),
        ("lab.example", "https://["),
        ("lab.example", "https://lab.example:99999"),
        ("lab.example", "ftp://lab.example"),
    ],
)
def test_another_origin_is_refused_and_the_terminal_says_why(
    host: str, origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    proxied = client("https://lab.example", hosts=["lab.example"])
    answer = proxied.get("/static/x.js", headers={"Host": host, "Origin": origin})
    assert answer.status_code == 403
    reason = f"Pages of {origin!r} may not use this server, which was addressed as {host!r}."
    assert answer.json()["error"].startswith(reason)
    assert reason in caplog.text


@pytest.mark.parametrize(("protocols", "status"), [("https", 200), ("https,http", 200), ("http, https", 403)])
def test_of_several_forwarded_protocols_the_browsers_counts(protocols: str, status: int) -> None:
    proxied = client("http://lab.example", hosts=["lab.example"])
    assert proxied.get("/", headers={"X-Forwarded-Proto": protocols}).status_code == status


def test_a_browser_gets_a_refusal_as_a_page() -> None:
    page = client().get("/", headers={"Host": "<evil>", "Accept": "text/html,*/*"})
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<p>This server does not answer to &#x27;&lt;evil&gt;&#x27;." in page.text


def test_while_the_accounts_cannot_be_read_answers_are_sent_again_later(caplog: pytest.LogCaptureFixture) -> None:
    def find(_: str) -> None:
        raise RoundError("accounts.json is damaged")

    damaged = TestClient(Guard(Starlette(routes=[Route("/", echo)]), find, TEXTS), base_url="http://localhost")
    for language in ("en", "zh"):
        answer = damaged.get("/", headers={"Authorization": "Bearer ada-token", "Accept-Language": language})
        error = read_texts(Path("no round"), language=language)["error_accounts"]
        assert (answer.status_code, answer.json()["error"]) == (503, error)
    assert "accounts.json is damaged" in caplog.text
    assert damaged.get("/").status_code == 200


def test_tokens_find_their_account() -> None:
    assert client().get("/", headers={"Authorization": "Bearer ada-token"}).text == "Ada 0"
    for wrong in ("Bearer ada", "Bearer", "Basic ada-token", "ada-token", "Bearer ada-token x"):
        assert client().get("/", headers={"Authorization": wrong}).text == "unknown 0"


def test_large_bodies_are_refused_whatever_their_header_says() -> None:
    assert client().put("/api/x", content=b"x" * MAX_BODY_BYTES).text == f"unknown {MAX_BODY_BYTES}"
    assert client().put("/api/x", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
    pieces = (b"x" * 1000 for _ in range(1000))
    assert client().put("/api/x", content=pieces).status_code == 413


def test_rates_are_limited_per_account_and_address() -> None:
    users, unknown, files = (RateLimit(rate=0.001, burst=burst) for burst in (5, 3, 4))
    limited = client(user_limit=users, unknown_limit=unknown, file_limit=files)
    ada, bob = ({"Authorization": f"Bearer {name}-token"} for name in ("ada", "bob"))
    assert [limited.get("/", headers=ada).status_code for _ in range(6)] == [200] * 5 + [429]
    assert limited.get("/", headers=bob).status_code == 200
    assert [limited.get("/").status_code for _ in range(5)] == [200] * 4 + [429]
    assert [limited.get("/api/x").status_code for _ in range(4)] == [200] * 3 + [429]
    guess = limited.get("/", headers={"Authorization": "Bearer guess"})
    assert guess.status_code == 429
    chinese = limited.get("/", headers={"Accept-Language": "zh-CN"})
    assert chinese.json()["error"] == read_texts(Path("no round"), language="zh")["error_busy"] != guess.json()["error"]
    assert int(guess.headers["Retry-After"]) > 100


def test_twelve_annotators_behind_one_address_can_open_the_page_at_once() -> None:
    office = client()
    assert {office.get("/").status_code for _ in range(12 * 15)} == {200}  # a page has about a dozen files


def test_the_rate_limit_recovers_with_time() -> None:
    now = 0.0
    limit = RateLimit(rate=2, burst=3, clock=lambda: now)
    assert [limit.take("x") for _ in range(3)] == [0, 0, 0]
    assert limit.take("x") == pytest.approx(0.5)
    now = 0.6
    assert limit.take("x") == 0
    assert limit.take("x") > 0
    now = 1000
    assert [limit.take("x") > 0 for _ in range(4)] == [False, False, False, True]


def test_every_response_has_security_headers() -> None:
    for answer in (client().get("/"), client().get("/nowhere"), client().get("/", headers={"Host": "evil"})):
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
