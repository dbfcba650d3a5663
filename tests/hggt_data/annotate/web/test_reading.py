"""What annotators read first, over HTTP: nothing else is served before they accept."""

from pathlib import Path
from typing import Any

import pytest

from hggt_data.annotate.consent import read_acceptance
from tests.hggt_data.annotate.rounds import IDS, make_round, votes
from tests.hggt_data.annotate.web.test_app import BODY, Server

PNG = b"\x89PNG fake"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    round_ = make_round(tmp_path, {"Ada": [votes(*IDS)], "Bob": [votes(*IDS)]})
    (round_.folder / "consent.md").write_text("Please read.")
    (round_.folder / "instructions.md").write_text("![good](instructions/good.png)")
    (round_.folder / "instructions").mkdir()
    (round_.folder / "instructions" / "good.png").write_bytes(PNG)
    (round_.folder / "instructions" / "secret.txt").write_text("x")
    return Server(round_)


def accept(server: Server, name: str) -> Any:
    client = server.as_(name)
    return client.put("/api/consent", json={"sha256": client.get("/api/round").json()["consent"]["sha256"]})


def test_nothing_is_served_or_saved_before_the_text_is_accepted(server: Server) -> None:
    ada, annotator = server.as_("Ada"), server.round.annotators[0]
    item = server.store.item_id(annotator, annotator.items[0])
    item_paths = [f"/api/items/{item}/pictures/0", f"/api/items/{item}/answer"]
    paths = ["/api/batches/0", "/api/instructions/good.png", *item_paths]

    def statuses() -> list[int]:
        puts = [
            ada.put(f"/api/items/{item}/answer", json=BODY),
            ada.put(f"/api/items/{item}/skip", json={"reason": "x"}),
        ]
        return [answer.status_code for answer in (*map(ada.get, paths), *puts)]

    assert set(ada.get("/api/round").json()) == {"consent"}
    assert ada.put("/api/consent/code", json={}).status_code == 403
    assert statuses() == [403] * 6
    assert not list(server.round.folder.glob("*/votes/*/*.json")) + list(server.round.folder.glob("votes/*/*.json"))
    answer = accept(server, "Ada")
    assert len(answer.json()["code"]) == 29
    consent = ada.get("/api/round").json()["consent"]
    assert consent["is_given"]  # but the code may not have arrived
    assert ada.put("/api/consent/code", json={}).status_code == 200
    assert ada.get("/api/round").json()["name"] == "Ada"
    assert statuses() == [200, 200, 200, 200, 200, 409]
    assert set(server.as_("Bob").get("/api/round").json()) == {"consent"}
    assert server.as_("admin").put("/api/consent", json={"sha256": "x"}).status_code == 403
    assert server.as_(None).put("/api/consent", json={"sha256": "x"}).status_code == 401


def test_a_changed_text_is_asked_for_again(server: Server) -> None:
    ada = server.as_("Ada")
    accept(server, "Ada")
    ada.put("/api/consent/code", json={})
    earlier = read_acceptance(server.round.folder, server.round.annotators[0].pseudonym)
    assert earlier
    (server.round.folder / "consent.md").write_text("Please read again.")
    assert ada.get("/api/batches/0").status_code == 403
    assert ada.get("/api/round").json()["consent"]["is_changed"]
    refused = ada.put("/api/consent", json={"sha256": earlier.sha256})
    assert (refused.status_code, "just changed" in refused.json()["error"]) == (409, True)
    assert accept(server, "Ada").json() == {"code": None}
    assert ada.get("/api/batches/0").status_code == 200
    (server.round.folder / "consent.md").unlink()
    assert ada.get("/api/batches/0").status_code == 503  # an editor may be replacing it


@pytest.mark.parametrize("body", ["[]", "{}", "{", '{"sha256": 3}'])
def test_a_faulty_acceptance_is_refused(server: Server, body: str) -> None:
    assert server.as_("Ada").put("/api/consent", content=body).status_code == 422


def test_only_pictures_of_the_instructions_are_reachable(server: Server) -> None:
    (server.round.folder / "consent.md").unlink()
    ada = Server(server.round).as_("Ada")
    answer = ada.get("/api/instructions/good.png")
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    for name in ("secret.txt", "..%2fassignments.json", "bad.png", ".."):
        assert ada.get(f"/api/instructions/{name}").status_code == 404, name
