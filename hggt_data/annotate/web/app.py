"""The server's routes: what the pages of one round request and send.

Annotators see only the pictures of a group: no name, kind or order. Every id is looked up among the items of the
annotator who asks, and no path is built from what a client sends.
"""

import io
import logging
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hggt_data.annotate.answers import FULL_ZOOM_S
from hggt_data.annotate.consent import CONSENT, Consents
from hggt_data.annotate.instructions import read_instructions
from hggt_data.annotate.round import Annotator, Item, Kind
from hggt_data.annotate.web.accounts import Account
from hggt_data.annotate.web.guard import MAX_BODY_BYTES, BodyTooLargeError, refusal
from hggt_data.annotate.web.progress import disagreements, measure_progress
from hggt_data.annotate.web.reading import ReadingRoutes
from hggt_data.annotate.web.store import AnswerStore, ConflictError, SavedAnswer
from hggt_data.annotate.web.texts import Texts
from hggt_data.errors import AnnotationError, RoundError
from hggt_data.io.files import csv_writer, read_regular_file
from hggt_data.io.parsing import parse_json
from hggt_data.io.text import escape_html
from hggt_data.palette import format_palette_css
from hggt_data.schema import ORIGINAL, PatchGroup
from hggt_data.tree.annotators import FULL_ZOOM_COLUMN, FULL_ZOOM_WORDS

_LOG = logging.getLogger(__name__)  # goes to the terminal that runs the server
_STATIC = files("hggt_data.annotate.web") / "static"
_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# A picture does not change during a round, so the annotator's browser may cache it.
_CACHED = {"Cache-Control": "private, max-age=86400, immutable"}
_MOST_DISAGREEMENTS = 200

_Save = Callable[[Annotator, Item, object, Headers], Response]


def make_app(store: AnswerStore, texts: Texts) -> Starlette:
    """The application of a round; it needs the `Guard` middleware, which identifies the user."""
    routes = [*AnnotatorRoutes(store, texts).routes(), *AdminRoutes(store, texts).routes()]

    def show_texts(request: Request) -> Response:
        return JSONResponse(texts.of(request.headers))

    def show_static(request: Request) -> Response:
        return _show_static(request, texts.of(request.headers)["needs_javascript"])

    def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = texts.of(request.headers).get(error.detail, error.detail)
        return refusal(error.status_code, message, request.headers)

    def refuse_for_disk(request: Request, error: Exception) -> Response:
        assert isinstance(error, OSError)
        _LOG.error("%s: %s", error.filename or "An answer was not saved", error.strerror or error)
        message = texts.of(request.headers)["error_disk"].replace("{reason}", error.strerror or str(error))
        return refusal(500, message, request.headers)

    def refuse_for_text(request: Request, error: Exception) -> Response:
        _LOG.error("%s", error)
        message = texts.of(request.headers)["error_disk"].replace("{reason}", CONSENT)
        return refusal(503, message, request.headers)

    def note_disconnect(_: Request, __: Exception) -> Response:
        _LOG.warning("A client ended the connection before its request was complete.")
        return Response(status_code=400)  # goes nowhere

    too_large = f"The request body is larger than {MAX_BODY_BYTES:,} bytes."  # the page never sends such a body
    return Starlette(
        routes=[
            Route("/", show_static),
            Route("/admin", show_static),
            Route("/static/palette.css", _show_palette),
            Route("/static/{name}", show_static),
            Route("/api/texts", show_texts),
            *routes,
        ],
        exception_handlers={
            HTTPException: refuse,
            AnnotationError: lambda request, error: refusal(422, str(error), request.headers),
            BodyTooLargeError: lambda request, _: refusal(413, too_large, request.headers),
            OSError: refuse_for_disk,
            RoundError: refuse_for_text,
            ClientDisconnect: note_disconnect,
        },
    )


class Routes:
    """Routes that need an account; they refuse with the key of a text."""

    def __init__(self, store: AnswerStore, texts: Texts) -> None:
        self._store = store
        self._texts = texts

    def _account(self, request: Request) -> Account:
        account: Account | None = request.state.account
        if account is None:
            raise HTTPException(401, "error_who")
        return account


class AnnotatorRoutes(Routes):
    """Routes of the annotation page."""

    def __init__(self, store: AnswerStore, texts: Texts) -> None:
        super().__init__(store, texts)
        self._annotators = {annotator.name: annotator for annotator in store.round.annotators if annotator.is_active}
        self._consents = Consents(store.round.folder)
        self._reading = ReadingRoutes(store.round.folder, self._consents, self._person, self._annotator)

    def routes(self) -> list[Route]:
        """Path and endpoint of each."""
        return [
            *self._reading.routes(),
            Route("/api/round", self._show_round),
            Route("/api/batches/{number}", self._show_batch),
            Route("/api/items/{item}/pictures/{position}", self._show_picture),
            Route("/api/items/{item}/answer", self._show_answer),
            Route("/api/items/{item}/answer", self._with_body(self._save_answer), methods=["PUT"]),
            Route("/api/items/{item}/skip", self._with_body(self._save_skip), methods=["PUT"]),
        ]

    def _person(self, request: Request) -> Annotator:
        """Who asks."""
        account = self._account(request)
        if account.is_admin or account.name not in self._annotators:
            raise HTTPException(403, "error_not_in_round")
        return self._annotators[account.name]

    def _annotator(self, request: Request) -> Annotator:
        """Who asks, if they have accepted the text of the round."""
        person = self._person(request)
        if not self._consents.is_given(person):
            raise HTTPException(403, "error_consent")
        return person

    def _item(self, request: Request) -> tuple[Annotator, Item]:
        annotator = self._annotator(request)
        item = self._store.find(annotator, request.path_params["item"])
        if item is None:
            raise HTTPException(404, "error_not_dealt")
        return annotator, item

    def _show_round(self, request: Request) -> Response:
        annotator = self._person(request)
        if consent := self._reading.describe(annotator):
            return JSONResponse({"consent": consent})
        return JSONResponse(
            {
                "annotator": self._store.annotator_id(annotator),
                "name": annotator.name,
                "is_blind": bool(self._store.round.protocol.blind),
                "num_candidates": self._store.num_candidates,
                "required_full_zoom_s": FULL_ZOOM_S if self._store.round.protocol.full_zoom else 0,
                "instructions": [block.to_json() for block in read_instructions(self._store.round.folder)],
                "batches": [_summarise(self._store, annotator, batch) for batch in annotator.batches],
                **self._store.page_facts(),
            }
        )

    def _show_batch(self, request: Request) -> Response:
        annotator, number = self._annotator(request), _index_of(request, "number")
        if number not in range(len(annotator.batches)):
            raise HTTPException(404, "error_not_dealt")
        return JSONResponse(
            [
                {
                    "id": self._store.item_id(annotator, page),
                    "state": self._store.state(annotator, page),
                    **self._store.item_facts(annotator, page),
                }
                for page in self._store.pages(annotator, annotator.batches[number])
            ]
        )

    def _show_picture(self, request: Request) -> Response:
        path = self._store.picture(*self._item(request), _index_of(request, "position"))
        if path is None:
            raise HTTPException(404, "error_not_dealt")
        return _picture(path)

    def _show_answer(self, request: Request) -> Response:
        saved = self._store.read(*self._item(request))
        if saved is None:
            raise HTTPException(404, "error_no_answer")
        return JSONResponse(_format_saved(saved))

    def _with_body(self, save: _Save) -> Callable[[Request], Any]:
        """Read a JSON body, after checking who sends it, and save it in a thread, which may wait for a disk."""

        async def run(request: Request) -> Response:
            annotator, item = self._item(request)
            try:
                body = parse_json(await request.body())
            except ValueError as error:
                raise AnnotationError(f"expected a request body in JSON: {error}") from error
            return await run_in_threadpool(save, annotator, item, body, request.headers)

        return run

    def _save_answer(self, annotator: Annotator, item: Item, body: object, headers: Headers) -> Response:
        texts = self._texts.of(headers)
        answer = self._store.parse(body)
        replaces = body.get("replaces") if isinstance(body, dict) else None
        try:
            saved = self._store.save(annotator, item, answer, replaces)
        except ConflictError:
            existing = self._store.read(annotator, item)
            assert existing is not None
            return JSONResponse({"error": texts["error_conflict"], **_format_saved(existing)}, 409)
        return JSONResponse(_format_saved(saved) | self._feedback(annotator, item, texts))

    def _feedback(self, annotator: Annotator, item: Item, texts: Mapping[str, str]) -> dict[str, Any]:
        """For practice, the correct labels in the order shown; None if any label is correct.

        `{03}` in the note becomes the number under which the annotator saw candidate 03. In a blind round, `original`
        is the number of the original.
        """
        store = self._store
        known = store.round.known.get(item.group)
        if item.kind is not Kind.PRACTICE or known is None:
            return {}
        numbers = {name: str(number) for number, name in enumerate(store.order(annotator, item), start=1)}
        note = known.note
        for name in store.round.candidates:
            note = note.replace(f"{{{name}}}", numbers.get(name, texts["feedback_other"]))
        labels = [label and label.value for label in store.correct(annotator, item)]
        return {"feedback": {"labels": labels, "note": note, "original": numbers.get(ORIGINAL)}}

    def _save_skip(self, annotator: Annotator, item: Item, body: object, headers: Headers) -> Response:
        try:
            skipped = self._store.skip(annotator, item, body.get("reason") if isinstance(body, dict) else None)
        except ConflictError:
            return refusal(409, self._texts.of(headers)["error_conflict"], headers)
        return JSONResponse({"skipped": skipped})


class AdminRoutes(Routes):
    """Routes of the /admin page."""

    def routes(self) -> list[Route]:
        """Path and endpoint of each; all require an administrator's account."""
        endpoints = {
            "progress": self._show_progress,
            "disagreements": self._show_disagreements,
            "pictures/{group}/{name}": self._show_picture,
            "answers.csv": self._export_answers,
        }
        return [Route(f"/api/admin/{path}", self._require_admin(show)) for path, show in endpoints.items()]

    def _require_admin(self, show: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def run(request: Request) -> Response:
            if not self._account(request).is_admin:
                raise HTTPException(403, "error_not_admin")
            return show(request)

        return run

    def _show_progress(self, _: Request) -> Response:
        return JSONResponse(measure_progress(self._store).to_json())

    def _show_disagreements(self, _: Request) -> Response:
        found = disagreements(self._store)
        shown = [_format_group(group) for group in found[:_MOST_DISAGREEMENTS]]
        return JSONResponse({"total": len(found), "groups": shown})

    def _show_picture(self, request: Request) -> Response:
        if self._store.round.study is not None:
            raise HTTPException(404, "error_no_picture")
        groups = {str(item.group): item.group for annotator in self._store.round.annotators for item in annotator.items}
        group, name = groups.get(request.path_params["group"]), request.path_params["name"]
        if group is None or name not in (ORIGINAL, *self._store.round.candidates):
            raise HTTPException(404, "error_no_picture")
        return _picture(self._store.round.picture(group, name))

    def _export_answers(self, _: Request) -> Response:
        headers = {"Content-Disposition": 'attachment; filename="answers.csv"'}
        if self._store.round.study is not None:
            raise HTTPException(403, "error_study")
        return Response(_format_answers(self._store), media_type="text/csv", headers=headers)


def _show_palette(_: Request) -> Response:
    return Response(format_palette_css(), media_type="text/css")


def _show_static(request: Request, needs_javascript: str) -> Response:
    name = request.path_params.get("name") or {"/": "index.html", "/admin": "admin.html"}[request.url.path]
    known = {entry.name for entry in _STATIC.iterdir()}
    suffix = Path(name).suffix
    if name not in known or suffix not in _MEDIA_TYPES:
        raise HTTPException(404, "error_no_page")
    content = (_STATIC / name).read_text("utf-8")
    if suffix == ".html":
        content = content.replace("{needs_javascript}", escape_html(needs_javascript))
    return Response(content, media_type=_MEDIA_TYPES[suffix])


def _index_of(request: Request, name: str) -> int:
    """A number in the path; -1 if it is not one, or far too long."""
    text = request.path_params[name]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _summarise(store: AnswerStore, annotator: Annotator, batch: tuple[Item, ...]) -> dict[str, Any]:
    states = [store.state(annotator, page) for page in store.pages(annotator, batch)]
    is_practice = all(item.kind is Kind.PRACTICE for item in batch)
    return {"is_practice": is_practice, "total": len(states), "open": states.count("open")}


def _picture(path: Path) -> Response:
    return Response(read_regular_file(path), media_type="image/png", headers=_CACHED)


def _format_saved(saved: SavedAnswer) -> dict[str, Any]:
    return {"labels": [label and label.value for label in saved.labels], "version": saved.version}


def _format_group(group: PatchGroup) -> dict[str, Any]:
    labels: Mapping[str, list[str | None]] = {
        annotation.annotator or annotation.slot: [label and label.value for label in annotation.labels]
        for annotation in group.annotations
    }
    return {"id": group.id, "candidates": group.candidates, "labels": labels}


def _format_answers(store: AnswerStore) -> str:
    """All answers as CSV, by pseudonym."""
    text = io.StringIO()
    write_line = csv_writer(text)
    write_line(["kind", "group", "pseudonym", *store.round.candidates, "start", "end", "seconds", FULL_ZOOM_COLUMN])
    for annotator in store.round.annotators:
        answers = sorted(store.answers(annotator).items(), key=lambda pair: str(pair[0]))
        full_zoom = store.full_zoom(annotator)
        for item, answer in answers:
            labels = [label and label.value for label in answer.labels]
            times = [answer.start, answer.end, answer.seconds]
            seen = FULL_ZOOM_WORDS[full_zoom[item]]
            write_line([item.kind.value, item.group, annotator.pseudonym, *labels, *times, seen])
    return text.getvalue()
