import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from hggt_data.annotate.web.accounts import Account
from hggt_data.annotate.web.guard import MAX_BODY_BYTES, BodyTooLargeError, Guard, RateLimit, refusal

TOKENS = {"ada-token": Account("Ada"), "bob-token": Account("Bob")}


async def echo(request: Request) -> PlainTextResponse:
    body = await request.body()
    account = request.state.account
    return PlainTextResponse(f"{account.name if account else 'unknown'} {len(body)}")


def client(url: str = "http://127.0.0.1:8000", **options: object) -> TestClient:
    app = Starlette(
        routes=[Route("/", echo), Route("/api/x", echo, methods=["GET", "PUT"])],
        exception_handlers={BodyTooLargeError: lambda _, __: refusal(413, "too large")},
    )
    return TestClient(Guard(app, TOKENS.get, **options), base_url=url)  # type: ignore[arg-type]


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
