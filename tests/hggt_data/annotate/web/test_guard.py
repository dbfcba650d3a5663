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
    return PlainTextResponse(f"{account.name if account else 'nobody'} {len(body)}")


def client(url: str = "http://127.0.0.1:8000", **options: object) -> TestClient:
    app = Starlette(
        routes=[Route("/", echo), Route("/api/x", echo, methods=["GET", "PUT"])],
        exception_handlers={BodyTooLargeError: lambda _, __: refusal(413, "too large")},
    )
    return TestClient(Guard(app, TOKENS.get, **options), base_url=url)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://localhost:8000", "http://LOCALHOST", "http://[::1]:8000"]
)
def test_the_machine_itself_is_answered(url: str) -> None:
    assert client(url).get("/").text == "nobody 0"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.", "", "[", "10.0.0.5", "ü"]
)
def test_foreign_names_are_refused(host: str) -> None:
    answer = client().get("/", headers={b"Host": host.encode()})
    assert answer.status_code == 400
    assert "does not answer to" in answer.json()["error"]


def test_other_names_are_answered_when_they_are_allowed_and_encrypted() -> None:
    allowed = ["lab.example"]
    assert client("https://lab.example", hosts=allowed).get("/").status_code == 200
    plain = client("http://lab.example:8000", hosts=allowed).get("/")
    assert plain.status_code == 403
    assert "https" in plain.json()["error"]
    assert client("http://lab.example:8000", hosts=allowed, plain_http=True).get("/").status_code == 200
    assert client("https://other.example", hosts=allowed).get("/").status_code == 400


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:8001", "http://127.0.0.1", "http://localhost:8000", "x"]
)
def test_foreign_pages_are_refused(origin: str) -> None:
    assert client().put("/api/x", headers={"Origin": origin}).status_code == 403
    assert client().get("/api/x", headers={"Origin": origin}).status_code == 403


def test_own_pages_and_programs_are_not() -> None:
    assert client().put("/api/x", headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200
    assert client().put("/api/x").status_code == 200


def test_the_browser_tells_of_other_pages() -> None:
    assert client().get("/api/x", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client().get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link in a mail


def test_tokens_find_their_account() -> None:
    assert client().get("/", headers={"Authorization": "Bearer ada-token"}).text == "Ada 0"
    for wrong in ("Bearer ada", "Bearer", "Basic ada-token", "ada-token", "Bearer ada-token x"):
        assert client().get("/", headers={"Authorization": wrong}).text == "nobody 0"


def test_bodies_are_small_whatever_the_request_says_of_them() -> None:
    assert client().put("/api/x", content=b"x" * MAX_BODY_BYTES).text == f"nobody {MAX_BODY_BYTES}"
    assert client().put("/api/x", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
    pieces = (b"x" * 1000 for _ in range(1000))
    assert client().put("/api/x", content=pieces).status_code == 413


def test_haste_is_refused_to_whoever_is_hasty() -> None:
    users, unknown, files = (RateLimit(rate=0.001, burst=burst) for burst in (5, 3, 4))
    hasty = client(user_limit=users, unknown_limit=unknown, file_limit=files)
    ada, bob = ({"Authorization": f"Bearer {name}-token"} for name in ("ada", "bob"))
    assert [hasty.get("/", headers=ada).status_code for _ in range(6)] == [200] * 5 + [429]
    assert hasty.get("/", headers=bob).status_code == 200
    assert [hasty.get("/").status_code for _ in range(5)] == [200] * 4 + [429]
    assert [hasty.get("/api/x").status_code for _ in range(4)] == [200] * 3 + [429]
    guess = hasty.get("/", headers={"Authorization": "Bearer guess"})
    assert guess.status_code == 429
    assert int(guess.headers["Retry-After"]) > 100


def test_the_limit_lets_through_again_with_time() -> None:
    now = 0.0
    limit = RateLimit(rate=2, burst=3, clock=lambda: now)
    assert [limit.take("x") for _ in range(3)] == [0, 0, 0]
    assert limit.take("x") == pytest.approx(0.5)
    now = 0.6
    assert limit.take("x") == 0
    assert limit.take("x") > 0
    now = 1000
    assert [limit.take("x") > 0 for _ in range(4)] == [False, False, False, True]


def test_clients_are_forgotten_before_they_fill_the_memory() -> None:
    limit = RateLimit(rate=1, burst=1)
    for number in range(30_000):
        limit.take(str(number))
    assert len(limit._left) <= 10_000


def test_every_answer_has_the_headers_of_a_safe_page() -> None:
    for answer in (client().get("/"), client().get("/nowhere"), client().get("/", headers={"Host": "evil"})):
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
