"""The routes of the server: what a page asks for and what it sends, for one round.

People are told nothing of a group but its pictures: no name, no kind, no order. Every id is looked up in what was
dealt to the person who asks, and no path is made of what a client sends.
"""

import csv
import io
import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hggt_data.annotate.round import INSTRUCTIONS, TEXTS, Annotator, Item, Kind
from hggt_data.annotate.web.accounts import Account
from hggt_data.annotate.web.guard import MAX_BODY_BYTES, BodyTooLargeError, refusal
from hggt_data.annotate.web.progress import disagreements, measure_progress
from hggt_data.annotate.web.store import Answer, AnswerStore, ConflictError, SavedAnswer
from hggt_data.errors import AnnotationError, NameFormatError, RoundError
from hggt_data.io.text import nearest
from hggt_data.schema import ORIGINAL, PatchGroup, PatchId

_LOG = logging.getLogger(__name__)  # on the terminal, for whoever runs the server
_STATIC = files("hggt_data.annotate.web") / "static"
_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# A picture never changes during a round, and may stay with the person who was shown it.
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}
_MOST_DISAGREEMENTS = 200


def make_app(store: AnswerStore) -> Starlette:
    """The application of a round; `guard.Guard` stands before it and tells who asks.

    Raises:
        RoundError: the round's own `texts.json` is no such file, or has words for what the page does not have.
    """
    texts = read_texts(store.round.folder)
    people, admin = _ForPeople(store, texts), _ForAdmin(store, texts)

    def show_texts(_: Request) -> Response:
        return JSONResponse(texts)

    def refuse_for_disk(_: Request, error: Exception) -> Response:
        assert isinstance(error, OSError)
        _LOG.error("%s %s", datetime.now().isoformat(" ", "seconds"), error)
        return refusal(500, texts["error_disk"].replace("{reason}", error.strerror or str(error)))

    return Starlette(
        routes=[
            Route("/", _show_static),
            Route("/admin", _show_static),
            Route("/static/{name}", _show_static),
            Route("/api/texts", show_texts),
            *people.routes(),
            *admin.routes(),
        ],
        exception_handlers={
            HTTPException: lambda _, error: refusal(error.status_code, error.detail),
            AnnotationError: lambda _, error: refusal(422, str(error)),
            BodyTooLargeError: lambda _, __: refusal(
                413, f"The body is too large; expected at most {MAX_BODY_BYTES:,} bytes."
            ),
            OSError: refuse_for_disk,
        },
    )


class _Endpoints:
    """What one kind of people asks for and sends.

    Args:
        store: the answers of the round.
        texts: all words of the pages.
    """

    def __init__(self, store: AnswerStore, texts: Mapping[str, str]) -> None:
        self._store = store
        self._texts = texts

    def _account(self, request: Request) -> Account:
        account: Account | None = request.state.account
        if account is None:
            raise HTTPException(401, self._texts["error_who"])
        return account


class _ForPeople(_Endpoints):
    """What those who judge ask for and send."""

    def __init__(self, store: AnswerStore, texts: Mapping[str, str]) -> None:
        super().__init__(store, texts)
        self._people = {annotator.name: annotator for annotator in store.round.annotators if annotator.is_active}

    def routes(self) -> list[Route]:
        """Where each is asked for."""
        return [
            Route("/api/round", self._show_round),
            Route("/api/batches/{number:int}", self._show_batch),
            Route("/api/items/{item}/pictures/{position:int}", self._show_picture),
            Route("/api/items/{item}/answer", self._show_answer),
            Route("/api/items/{item}/answer", _with_body(self._save_answer), methods=["PUT"]),
            Route("/api/items/{item}/skip", _with_body(self._save_skip), methods=["PUT"]),
        ]

    def _person(self, request: Request) -> Annotator:
        account = self._account(request)
        if account.is_admin or account.name not in self._people:
            raise HTTPException(403, self._texts["error_not_in_round"])
        return self._people[account.name]

    def _item(self, request: Request) -> tuple[Annotator, Item]:
        person = self._person(request)
        item = self._store.find(person, request.path_params["item"])
        if item is None:
            raise HTTPException(404, self._texts["error_not_dealt"])
        return person, item

    def _show_round(self, request: Request) -> Response:
        person = self._person(request)
        return JSONResponse(
            {
                "person": self._store.person_id(person),
                "name": person.name,
                "num_candidates": len(self._store.round.candidates),
                "instructions": _read_instructions(self._store.round.folder),
                "batches": [_summarise(self._store, person, batch) for batch in person.batches],
            }
        )

    def _show_batch(self, request: Request) -> Response:
        person, number = self._person(request), request.path_params["number"]
        if number not in range(len(person.batches)):
            raise HTTPException(404, self._texts["error_not_dealt"])
        return JSONResponse(
            [
                {"id": self._store.item_id(person, item), "state": _state(self._store, person, item)}
                for item in person.batches[number]
            ]
        )

    def _show_picture(self, request: Request) -> Response:
        path = self._store.picture(*self._item(request), request.path_params["position"])
        if path is None:
            raise HTTPException(404, self._texts["error_not_dealt"])
        return _picture(path)

    def _show_answer(self, request: Request) -> Response:
        saved = self._store.read(*self._item(request))
        if saved is None:
            raise HTTPException(404, self._texts["error_no_answer"])
        return JSONResponse(_format_saved(saved))

    def _save_answer(self, request: Request, body: object) -> Response:
        person, item = self._item(request)
        answer = Answer.parse(body, len(self._store.round.candidates))
        replaces = body.get("replaces") if isinstance(body, dict) else None
        try:
            saved = self._store.save(person, item, answer, replaces)
        except ConflictError:
            there = self._store.read(person, item)
            assert there is not None
            return JSONResponse({"error": self._texts["error_conflict"], **_format_saved(there)}, 409)
        return JSONResponse(_format_saved(saved) | _feedback(self._store, person, item))

    def _save_skip(self, request: Request, body: object) -> Response:
        person, item = self._item(request)
        try:
            self._store.skip(person, item, body.get("reason") if isinstance(body, dict) else None)
        except ConflictError:
            return refusal(409, self._texts["error_conflict"])
        return JSONResponse({})


class _ForAdmin(_Endpoints):
    """What whoever looks after the round asks for."""

    def routes(self) -> list[Route]:
        """Where each is asked for; all want an admin's account."""
        endpoints = {
            "progress": self._show_progress,
            "disagreements": self._show_disagreements,
            "pictures/{group}/{name}": self._show_picture,
            "answers.csv": self._export_answers,
        }
        return [Route(f"/api/admin/{path}", self._for_admin_only(show)) for path, show in endpoints.items()]

    def _for_admin_only(self, show: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def run(request: Request) -> Response:
            if not self._account(request).is_admin:
                raise HTTPException(403, self._texts["error_not_admin"])
            return show(request)

        return run

    def _show_progress(self, _: Request) -> Response:
        return JSONResponse(measure_progress(self._store).to_json())

    def _show_disagreements(self, _: Request) -> Response:
        found = disagreements(self._store)
        shown = [_format_group(group) for group in found[:_MOST_DISAGREEMENTS]]
        return JSONResponse({"total": len(found), "groups": shown})

    def _show_picture(self, request: Request) -> Response:
        group, name = _parse_group(request.path_params["group"]), request.path_params["name"]
        dealt = {item.group for annotator in self._store.round.annotators for item in annotator.items}
        if group not in dealt or name not in (ORIGINAL, *self._store.round.candidates):
            raise HTTPException(404, "No such picture in the round.")
        return _picture(self._store.round.picture(group, name))

    def _export_answers(self, _: Request) -> Response:
        headers = {"Content-Disposition": 'attachment; filename="answers.csv"'}
        return Response(_format_answers(self._store), media_type="text/csv", headers=headers)


def _show_static(request: Request) -> Response:
    name = request.path_params.get("name") or {"/": "index.html", "/admin": "admin.html"}[request.url.path]
    known = {entry.name for entry in _STATIC.iterdir()}
    suffix = Path(name).suffix
    if name not in known or suffix not in _MEDIA_TYPES:
        raise HTTPException(404, "There is nothing here.")
    return Response((_STATIC / name).read_bytes(), media_type=_MEDIA_TYPES[suffix])


def read_texts(folder: Path) -> dict[str, str]:
    """All words of the pages: ours, and over them those of the round's own `texts.json`, in any language.

    Raises:
        RoundError: the file is no such file, or has words for what the page does not have.
        OSError: it cannot be read.
    """
    texts: dict[str, str] = json.loads((_STATIC / TEXTS).read_bytes())
    path = folder / TEXTS
    if not path.exists():
        return texts
    try:
        own = json.loads(path.read_bytes())
    except ValueError as error:
        raise RoundError(f"{path}: {error}; expected a JSON object of texts") from error
    if not isinstance(own, dict) or not all(isinstance(text, str) for text in own.values()):
        raise RoundError(f"{path}: expected a JSON object of texts")
    for key in own:
        if key not in texts:
            raise RoundError(f"{path}: no text is called {key!r}; {nearest(key, texts)}")
    return texts | own


def _with_body(endpoint: Callable[[Request, object], Response]) -> Callable[[Request], Any]:
    """Read a JSON body, and let the endpoint, which may wait for a disk, run beside the others."""

    async def run(request: Request) -> Response:
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise AnnotationError(f"expected JSON: {error}") from error
        return await run_in_threadpool(endpoint, request, body)

    return run


def _read_instructions(folder: Path) -> str:
    try:
        return (folder / INSTRUCTIONS).read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _summarise(store: AnswerStore, person: Annotator, batch: tuple[Item, ...]) -> dict[str, Any]:
    states = [_state(store, person, item) for item in batch]
    is_practice = all(item.kind is Kind.PRACTICE for item in batch)
    return {"is_practice": is_practice, "total": len(batch), "open": states.count("open")}


def _state(store: AnswerStore, person: Annotator, item: Item) -> str:
    if item in store.answers(person):
        return "saved"
    return "skipped" if item in store.skips(person) else "open"


def _picture(path: Path) -> Response:
    return Response(path.read_bytes(), media_type="image/png", headers=_KEEP)


def _format_saved(saved: SavedAnswer) -> dict[str, Any]:
    return {"labels": [label.value for label in saved.labels], "version": saved.version}


def _feedback(store: AnswerStore, person: Annotator, item: Item) -> dict[str, Any]:
    """What was right, for practice: a label for each candidate in the order shown, null where any would do.

    In the note `{03}` is what the person knows candidate 03 as.
    """
    known = store.round.known.get(item.group)
    if item.kind is not Kind.PRACTICE or known is None:
        return {}
    right = dict(zip(store.round.candidates, known.labels, strict=True))
    note, labels = known.note, []
    for number, name in enumerate(store.order(person, item), start=1):
        note = note.replace(f"{{{name}}}", str(number))
        labels.append(right[name])
    return {"feedback": {"labels": [label and label.value for label in labels], "note": note}}


def _format_group(group: PatchGroup) -> dict[str, Any]:
    labels: Mapping[str, list[str]] = {
        annotation.annotator or annotation.slot: [label.value for label in annotation.labels]
        for annotation in group.annotations
    }
    return {"id": str(group.id), "candidates": group.candidates, "labels": labels}


def _parse_group(text: str) -> PatchId:
    try:
        return PatchId.parse(text)
    except NameFormatError as error:
        raise HTTPException(404, "No such picture in the round.") from error


def _format_answers(store: AnswerStore) -> str:
    """All answers as CSV, people by their pseudonyms."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kind", "group", "pseudonym", *store.round.candidates, "start", "end", "seconds"])
    for annotator in store.round.annotators:
        for item, answer in sorted(store.answers(annotator).items(), key=lambda pair: str(pair[0])):
            labels = [label.value for label in answer.labels]
            times = [answer.start, answer.end, answer.seconds]
            writer.writerow([item.kind.value, item.group, annotator.pseudonym, *labels, *times])
    return text.getvalue()
