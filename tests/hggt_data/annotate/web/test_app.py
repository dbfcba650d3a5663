import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from hggt_data.annotate.markdown import parse_markdown
from hggt_data.annotate.round import Item, Kind, KnownAnswer, Round
from hggt_data.annotate.web.accounts import Account
from hggt_data.annotate.web.app import make_app
from hggt_data.annotate.web.guard import Guard
from hggt_data.annotate.web.store import AnswerStore
from hggt_data.annotate.web.texts import texts_of_round
from hggt_data.schema import Label
from tests.hggt_data.annotate.rounds import IDS, make_round, votes

BODY: dict[str, Any] = {
    "labels": ["Positive", "Similar", "Negative", "Similar"],
    "seconds": 12.0,
    "pauses": [],
    "end_ms": 1_700_000_000_000,
    "utc_offset_min": 0,
    "display": {},
    "replaces": None,
}
PRACTISED = "p9-0-0"
PRACTICE = (Item(Kind.PRACTICE, PRACTISED),)


class Server:
    """A round and its application without a network; `as_` gives a client with that account."""

    def __init__(self, round_: Round) -> None:
        self.round = round_
        self.store = AnswerStore(round_)
        accounts = {name: Account(name) for name in ("Ada", "Bob", "Eve", "Dora")}
        accounts["admin"] = Account("admin", is_admin=True)
        texts = texts_of_round(round_)
        self.routes = make_app(self.store, texts)
        self.app = Guard(self.routes, accounts.get, texts)

    def as_(self, name: str | None) -> TestClient:
        headers = {"Authorization": f"Bearer {name}"} if name else {}
        return TestClient(self.app, base_url="http://127.0.0.1:8000", headers=headers)

    def items(self, name: str, batch: int = 0) -> list[str]:
        return [item["id"] for item in self.as_(name).get(f"/api/batches/{batch}").json()]


@pytest.fixture
def server(tmp_path: Path) -> Server:
    round_ = make_round(
        tmp_path,
        {"Ada": [PRACTICE, votes(*IDS)], "Bob": [votes(*IDS)], "Dora": [votes("p0-0-0")]},
        known={PRACTISED: KnownAnswer((Label.POSITIVE, None, Label.NEGATIVE, None), "Look at the edges of {03}.")},
    )
    ada, bob, dora = round_.annotators
    return Server(round_.with_annotators((ada, bob, replace(dora, is_active=False))))


# What an annotator sees


def test_annotators_see_their_own_batches(server: Server) -> None:
    (server.round.folder / "instructions.md").write_text("Look **closely**.", "utf-8")
    found = server.as_("Ada").get("/api/round").json()
    assert found == {
        "annotator": server.store.annotator_id(server.round.annotators[0]),
        "name": "Ada",
        "is_blind": False,
        "num_candidates": 4,
        "required_full_zoom_s": 0,
        "instructions": [block.to_json() for block in parse_markdown("Look **closely**.")],
        "batches": [
            {"is_practice": True, "total": 1, "open": 1},
            {"is_practice": False, "total": 4, "open": 4},
        ],
    }


def test_responses_reveal_no_group_candidate_or_kind(server: Server) -> None:
    ada = server.as_("Ada")
    sent = [ada.get(path).text for path in ("/api/round", "/api/batches/0", "/api/batches/1")]
    item = server.items("Ada", 1)[0]
    sent.append(ada.put(f"/api/items/{item}/answer", json=BODY).text)
    sent.append(ada.get(f"/api/items/{item}/answer").text)
    picture = ada.get(f"/api/items/{item}/pictures/1")
    sent.append(str(picture.headers))
    for text in sent:
        assert not any(word in text for word in ("p0", "p1", "p2", "p3", '"01"', '"02"', "vote", "annotator-"))


def test_pictures_follow_the_annotators_order(server: Server) -> None:
    ada = server.as_("Ada")
    [item] = server.items("Ada", 0)
    annotator = server.round.annotators[0]
    names = ["original", *server.store.order(annotator, PRACTICE[0])]
    for position, name in enumerate(names):
        answer = ada.get(f"/api/items/{item}/pictures/{position}")
        assert answer.headers["content-type"] == "image/png"
        assert answer.content == server.store.round.picture(PRACTISED, name).read_bytes()
    assert ada.get(f"/api/items/{item}/pictures/5").status_code == 404


# Answers


def test_an_answer_is_saved_and_replaced_only_by_a_known_change(server: Server) -> None:
    ada, item = server.as_("Ada"), server.items("Ada", 1)[0]
    assert ada.get(f"/api/items/{item}/answer").status_code == 404
    saved = ada.put(f"/api/items/{item}/answer", json=BODY)
    assert saved.status_code == 200
    assert saved.json()["labels"] == BODY["labels"]
    assert ada.get(f"/api/items/{item}/answer").json() == saved.json()
    assert ada.get("/api/batches/1").json()[0]["state"] == "saved"
    assert ada.get("/api/round").json()["batches"][1]["open"] == 3
    other = BODY | {"labels": ["Negative"] * 4}
    refused = ada.put(f"/api/items/{item}/answer", json=other)
    assert refused.status_code == 409
    assert refused.json() == saved.json() | {"error": "This group already has another answer, which is kept."}
    changed = ada.put(f"/api/items/{item}/answer", json=other | {"replaces": saved.json()["version"]})
    assert changed.json()["labels"] == ["Negative"] * 4


def test_practice_gives_feedback_and_votes_do_not(server: Server) -> None:
    [item] = server.items("Ada", 0)
    feedback = server.as_("Ada").put(f"/api/items/{item}/answer", json=BODY).json()["feedback"]
    order = server.store.order(server.round.annotators[0], PRACTICE[0])
    assert dict(zip(order, feedback["labels"], strict=True)) == {
        "01": "Positive",
        "02": None,
        "03": "Negative",
        "04": None,
    }
    assert feedback["note"] == f"Look at the edges of {order.index('03') + 1}."
    item = server.items("Bob")[0]
    assert server.as_("Bob").put(f"/api/items/{item}/answer", json=BODY).json().keys() == {"labels", "version"}


def test_a_skip_is_saved(server: Server) -> None:
    ada, item = server.as_("Ada"), server.items("Ada", 1)[0]
    assert ada.put(f"/api/items/{item}/skip", json={"reason": "black"}).status_code == 200
    assert ada.get("/api/batches/1").json()[0]["state"] == "skipped"
    ada.put(f"/api/items/{item}/answer", json=BODY)
    assert ada.put(f"/api/items/{item}/skip", json={"reason": "black"}).status_code == 409


def test_invalid_bodies_are_refused_and_nothing_is_written(server: Server) -> None:
    ada, item = server.as_("Ada"), server.items("Ada", 1)[0]
    for body in ("{", json.dumps(BODY | {"labels": ["Good"] * 4}), "[" * 30_000, b"\xff\xfe"):
        for what in ("answer", "skip"):
            answer = ada.put(f"/api/items/{item}/{what}", content=body)
            assert answer.status_code == 422, answer.text
            assert "expected" in answer.json()["error"]
    answer = ada.put(f"/api/items/{item}/answer", json=BODY | {"x": "x" * 100_000})
    assert answer.status_code == 413
    assert "larger than 65,536 bytes" in answer.json()["error"]
    assert ada.request("DELETE", f"/api/items/{item}/answer").status_code == 405
    assert not list(server.round.folder.glob("*/*/*.json"))


def test_an_answer_to_a_round_that_was_moved_is_not_acknowledged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    item = server.items("Ada", 1)[0]
    server.round.folder.rename(server.round.folder.with_name("moved"))
    refused = server.as_("Ada").put(f"/api/items/{item}/answer", json=BODY)
    assert refused.status_code == 500  # the page keeps the answer and sends it again
    assert "the round was moved, replaced or unmounted" in refused.json()["error"]
    assert f"{server.round.folder}: the round was moved" in caplog.text
    assert not server.round.folder.exists()


# Access


PERSONAL = ["/api/round", "/api/batches/0", "/api/items/{item}/pictures/0", "/api/items/{item}/answer"]
ADMIN = [
    "/api/admin/progress",
    "/api/admin/disagreements",
    "/api/admin/pictures/p0-0-0/original",
    "/api/admin/answers.csv",
]


def test_data_needs_a_valid_token(server: Server) -> None:
    item = server.items("Ada")[0]
    for path in PERSONAL + ADMIN:
        for name in (None, "wrong"):
            answer = server.as_(name).get(path.format(item=item))
            assert answer.status_code == 401, path
            assert answer.json()["error"].startswith("This page needs your complete personal URL")


def test_without_a_token_no_number_and_no_body_is_read(server: Server) -> None:
    nobody = server.as_(None)
    for path in (f"batches/{'9' * 5000}", f"items/x/pictures/{'9' * 5000}"):
        assert nobody.get(f"/api/{path}").status_code == 401
    for body in ("{", "[" * 30_000, "x" * 100_000):
        assert nobody.put("/api/items/x/answer", content=body).status_code == 401


def test_a_client_that_leaves_costs_one_line(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async def leave(_: Request) -> Response:
        raise ClientDisconnect

    server.routes.routes.append(Route("/leave", leave))
    server.as_("Ada").get("/leave")
    [record] = caplog.records
    assert record.getMessage() == "A client ended the connection before its request was complete."


def test_annotators_see_their_batches_and_administrators_all_answers(server: Server) -> None:
    item = server.items("Ada")[0]
    for path in PERSONAL:
        for name in ("Eve", "Dora", "admin"):
            assert server.as_(name).get(path.format(item=item)).status_code == 403, path
    for path in ADMIN:
        assert server.as_("Ada").get(path).status_code == 403, path
        assert server.as_("admin").get(path).status_code == 200, path


def test_only_the_annotator_reaches_an_item(server: Server) -> None:
    item = server.items("Ada", 1)[0]
    for name, status in (("Bob", 404), ("Eve", 403), ("admin", 403), (None, 401)):
        client = server.as_(name)
        assert client.put(f"/api/items/{item}/answer", json=BODY).status_code == status
        assert client.put(f"/api/items/{item}/skip", json={"reason": "x"}).status_code == status
        assert client.get(f"/api/items/{item}/pictures/0").status_code == status
    assert not list(server.round.folder.glob("*/*/*.json"))


OUTSIDE = [
    "/static/../assignments.json",
    "/static/%2e%2e/app.py",
    "/static/..%2fapp.py",
    "/static/",
    "/static/texts.json",
    "/assignments.json",
    "/api/items/../admin/progress",
    "/api/items/%2e%2e%2fassignments.json/answer",
    "/api/items/p0-0-0/answer",
    "/api/items/{item}/pictures/-1",
    "/api/items/{item}/pictures/..%2f..%2fassignments.json",
    "/api/items/{item}/pictures/999999999999999999999",
    "/api/batches/2",
    "/api/batches/-1",
    f"/api/batches/{'9' * 5000}",
    "/api/batches/²",
]


def test_no_other_path_is_reachable(server: Server) -> None:
    ada, item = server.as_("Ada"), server.items("Ada", 1)[0]
    for path in OUTSIDE:
        answer = ada.get(path.format(item=item))
        assert answer.status_code in (403, 404), path
        assert server.round.secret not in answer.text
    for path in ("p0-0-0/..", "p0-0-0/05", "p7-0-0/original", "..%2f..-0-0/original", "x/original", "p0-0-0/..%2fx"):
        assert server.as_("admin").get(f"/api/admin/pictures/{path}").status_code == 404, path


# The pages


def test_pages_need_no_token(server: Server) -> None:
    kinds = {"/": "text/html", "/admin": "text/html", "/static/annotate.js": "text/javascript"}
    for path, kind in (kinds | {f"/static/{name}.css": "text/css" for name in ("annotate", "palette")}).items():
        answer = server.as_(None).get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)


# The admin


def test_the_export_has_all_answers_and_no_names(server: Server) -> None:
    for name, batch, seconds in (("Ada", 0, []), ("Ada", 1, [2, 2, 2, 2]), ("Bob", 0, [2, 2, 0, 2])):
        body = BODY | {"full_zoom_s": seconds}
        server.as_(name).put(f"/api/items/{server.items(name, batch)[0]}/answer", json=body)
    answer = server.as_("admin").get("/api/admin/answers.csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert sorted((line["kind"], line["pseudonym"], line["full_zoom"]) for line in lines) == [
        ("practice", "annotator-000000", ""),
        ("vote", "annotator-000000", "yes"),
        ("vote", "annotator-000001", "no"),
    ]
    ada = server.round.annotators[0]
    vote = next(line for line in lines if line["kind"] == "vote" and line["pseudonym"] == ada.pseudonym)
    order = server.store.order(ada, votes(vote["group"])[0])
    assert [vote[name] for name in order] == BODY["labels"]
    assert "Ada" not in answer.text
