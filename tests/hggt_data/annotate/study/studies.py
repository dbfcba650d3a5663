"""Small studies, and annotators who answer them through the server's requests."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from hggt_data.annotate.round import Annotator, Item, Round, read_round
from hggt_data.annotate.study.settings import StudySettings
from hggt_data.annotate.web.accounts import Account
from hggt_data.annotate.web.app import make_app
from hggt_data.annotate.web.guard import Guard
from hggt_data.annotate.web.study import StudyStore, open_store
from hggt_data.annotate.web.texts import texts_of_round
from hggt_data.deal_study import deal_study
from hggt_data.io.images import encode_png
from tests.hggt_data.trees import noise, write_bytes

IDS = ("p0-0-0", "p1-0-0", "p2-0-0", "p3-0-0")
NAMES = ("Ada", "Bob", "Cleo")
QUESTION = "Which is sharper?"
BODY: dict[str, Any] = {"seconds": 5, "end_ms": 1_700_000_000_000, "utc_offset_min": 0}

Choose = Callable[[Annotator, Item, tuple[str, ...]], str | None]


def write_methods(
    folder: Path, methods: Sequence[str], ids: Sequence[str] = IDS, size: tuple[int, int] = (16, 24)
) -> None:
    """Noise for each method and as ground truths in `gt`, and a quarter of the size in `lr`."""
    for name in (*methods, "gt"):
        for group in ids:
            write_bytes(folder / name / f"{group}.png", encode_png(noise(size, f"{name} {group}")))
    for group in ids:
        small = (size[0] // 4, size[1] // 4)
        write_bytes(folder / "lr" / f"{group}.png", encode_png(noise(small, f"lr {group}")))


def make_study(
    folder: Path,
    methods: Sequence[str] = ("a", "b", "c"),
    names: Sequence[str] = NAMES,
    lr: bool = False,
    both: bool = False,
    **settings: Any,
) -> Round:
    """A study of methods whose pictures are noise, in `folder/round`."""
    write_methods(folder, methods)
    reference: dict[str, Any] = {"lr": folder / "lr"} if lr else {"gt": folder / "gt"}
    if both:
        reference["lr"] = folder / "lr"
    settings = {"questions": (QUESTION,), "votes": 2, **settings}
    restored = [str(folder / name) for name in methods]
    return deal_study(restored, folder / "round", names, StudySettings(**settings), **reference).round


def client(round_: Round, name: str = "Ada", is_admin: bool = False) -> TestClient:
    """A browser of an annotator, or of an administrator."""
    accounts = {name: Account(name, is_admin)}
    headers = {"Authorization": f"Bearer {name}"}
    texts = texts_of_round(round_)
    app = Guard(make_app(open_store(round_), texts), accounts.get, texts)
    return TestClient(app, "http://127.0.0.1:8000", headers=headers)


def body(order: Sequence[str], preferred: str | None) -> dict[str, Any]:
    """What the page sends for this preference; None for a tie."""
    words = {True: "Positive", False: "Negative"}
    return BODY | {"labels": [words[name == preferred] if preferred else "Similar" for name in order]}


def judge(round_: Round, choose: Choose, annotators: Sequence[str] | None = None, most: int | None = None) -> None:
    """Answer the items of annotators through the server; `choose` sees the names in the order shown."""
    store = open_store(round_)
    assert isinstance(store, StudyStore)
    for annotator in round_.annotators:
        if not annotator.is_active or (annotators is not None and annotator.name not in annotators):
            continue
        browser = client(round_, annotator.name)
        known = {store.item_id(annotator, item): item for item in annotator.items}
        numbers = range(len(annotator.batches))
        pages = [page for number in numbers for page in browser.get(f"/api/batches/{number}").json()]
        for page in [page for page in pages if page["state"] == "open"][:most]:
            item = known[page["id"]]
            order = store.order(annotator, item)
            sent = body(order, choose(annotator, item, order)) | {"replaces": None}
            response = browser.put(f"/api/items/{page['id']}/answer", json=sent)
            assert response.status_code == 200, response.text


def best(*ranking: str) -> Choose:
    """Somebody who prefers the first of these names; damaged versions come last."""

    def choose(annotator: Annotator, item: Item, order: tuple[str, ...]) -> str:
        return min(order, key=lambda name: ranking.index(name) if name in ranking else len(ranking))

    return choose


def again(round_: Round) -> Round:
    """The round as it is on disk."""
    return read_round(round_.folder)
