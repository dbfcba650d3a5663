"""Routes of what an annotator reads before the first group: the text to accept, and the instructions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hggt_data.annotate.consent import Consents
from hggt_data.annotate.instructions import read_picture
from hggt_data.annotate.round import Annotator
from hggt_data.errors import AnnotationError
from hggt_data.io.parsing import parse_json


class ReadingRoutes:
    """Routes of the text to accept and of the pictures of the instructions.

    Args:
        folder: The round.
        consents: Who has accepted the text.
        find_person: Who asks; refuses anyone who is not an active annotator.
        find_annotator: The same, but also refuses those who have not accepted the text.
    """

    def __init__(
        self,
        folder: Path,
        consents: Consents,
        find_person: Callable[[Request], Annotator],
        find_annotator: Callable[[Request], Annotator],
    ) -> None:
        self._folder = folder
        self._consents = consents
        self._find_person = find_person
        self._find_annotator = find_annotator

    def routes(self) -> list[Route]:
        """Path and endpoint of each."""
        return [
            Route("/api/consent", self._accept, methods=["PUT"]),
            Route("/api/consent/code", self._note_code, methods=["PUT"]),
            Route("/api/instructions/{name}", self._show_picture),
        ]

    def describe(self, annotator: Annotator) -> dict[str, Any] | None:
        """What the page must ask before anything else; None if nothing."""
        text, accepted = self._consents.text(), self._consents.of(annotator)
        if text is None:
            return None
        is_given = accepted is not None and accepted.sha256 == text.sha256
        if is_given and accepted is not None and accepted.is_code_noted:
            return None
        return {
            "sha256": text.sha256,
            "is_given": is_given,  # only the code is still to be noted
            "is_changed": accepted is not None and not is_given,
            "blocks": [block.to_json() for block in text.blocks],
        }

    async def _accept(self, request: Request) -> Response:
        annotator = self._find_person(request)
        try:
            content = parse_json(await request.body())
        except ValueError as error:
            raise AnnotationError(f"expected a request body in JSON: {error}") from error
        sha256 = content.get("sha256") if isinstance(content, dict) else None
        if not isinstance(sha256, str):
            raise AnnotationError("expected the `sha256` of the text that is accepted")
        try:
            code = await run_in_threadpool(self._consents.accept, annotator, sha256)
        except ValueError as error:
            raise HTTPException(409, "error_consent_changed") from error
        return JSONResponse({"code": code})

    async def _note_code(self, request: Request) -> Response:
        annotator = self._find_annotator(request)
        await run_in_threadpool(self._consents.note_code, annotator)
        return JSONResponse({})

    def _show_picture(self, request: Request) -> Response:
        self._find_annotator(request)
        found = read_picture(self._folder, request.path_params["name"])
        if found is None:
            raise HTTPException(404, "error_no_picture")
        data, media_type = found
        return Response(data, media_type=media_type)
