"""Informed consent: the text in `consent.md`, and who accepted which version of it when.

`consent/PSEUDONYM.json` holds this for one person, with the SHA-256 of the code with which they may withdraw;
`consent/SHA256.md` keeps each text that anybody accepted. Only their owner can read them.
"""

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TypedDict

from hggt_data.annotate.markdown import Block, parse_markdown
from hggt_data.annotate.round import Annotator
from hggt_data.errors import OutputError, RoundError
from hggt_data.io.files import read_json, read_regular_file, sha256_of, write_bytes, write_json, write_text
from hggt_data.io.parsing import read_value

CONSENT = "consent.md"
CONSENTS = "consent"  # the folder of who accepted it
# The sections of the text, by the name of their heading.
SECTIONS = ("purpose", "data kept", "contact", "ethics approval", "payment", "age", "how to withdraw")
_UNFILLED = "TODO"
_MOST_BYTES = 1 << 16
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none of which looks like another
_CODE_GROUPS = 6  # of four letters: 118 bits


@dataclass(frozen=True, slots=True)
class Consent:
    """The text that everyone must accept.

    Attributes:
        blocks: What the page shows.
        data: The bytes of the file.
    """

    blocks: tuple[Block, ...]
    data: bytes

    @property
    def sha256(self) -> str:
        """Identifies this version of the text."""
        return sha256_of(self.data)

    @property
    def missing(self) -> list[str]:
        """Sections that have no heading, no text, or still the placeholder of the template."""
        filled, section = set(), ""
        for block in self.blocks:
            words = " ".join(span.text for item in block.items for span in item)
            if block.kind == "heading":
                section = block.anchor.replace("-", " ")
            elif words and _UNFILLED not in words:
                filled.add(section)
            else:
                filled.discard(section)
        return [section for section in SECTIONS if section not in filled]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """That a person accepted a text.

    Attributes:
        sha256: The text.
        accepted: The time, in UTC.
        code_sha256: The withdrawal code.
        is_code_noted: Whether the person has confirmed to have noted the code; otherwise a new one is shown.
        earlier: Earlier texts that the person accepted, as (SHA-256, time).
    """

    sha256: str
    accepted: str
    code_sha256: str
    is_code_noted: bool = False
    earlier: tuple[tuple[str, str], ...] = ()


def write_template(folder: Path) -> Path:
    """Write `consent.md` with all sections, for the administrator to fill in; OutputError if it exists."""
    path = folder / CONSENT
    if path.exists():
        raise OutputError(f"{path} exists already; edit it, or remove it first")
    write_text(path, (files("hggt_data.annotate") / "consent_template.md").read_text("utf-8"))
    return path


def read_consent(folder: Path) -> Consent | None:
    """The text of a round; None if it requires no consent. RoundError if it is empty or not UTF-8."""
    path = folder / CONSENT
    try:
        data = read_regular_file(path, _MOST_BYTES)
    except FileNotFoundError:
        return None
    try:
        blocks = parse_markdown(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise RoundError(f"{path} is not UTF-8; save it as UTF-8") from error
    if not any(block.items for block in blocks):
        raise RoundError(f"{path} is empty; expected the text that everyone accepts before they see a picture")
    return Consent(blocks, data)


class _Earlier(TypedDict):
    sha256: str
    accepted: str


class _Acceptance(TypedDict):
    sha256: str
    accepted: str
    code_sha256: str
    code_noted: bool
    earlier: list[_Earlier]


def acceptance_path(folder: Path, pseudonym: str) -> Path:
    """The file of one person's consent."""
    return folder / CONSENTS / f"{pseudonym}.json"


def read_acceptance(folder: Path, pseudonym: str) -> Acceptance | None:
    """What a person accepted last; None if nothing yet, RoundError if the file is damaged."""
    path = acceptance_path(folder, pseudonym)
    try:
        content = read_json(path, RoundError, "restore it from a copy")
    except FileNotFoundError:
        return None
    try:
        found = read_value(_Acceptance, content)
    except ValueError as error:
        raise RoundError(f"{path} is damaged ({error}); restore it from a copy") from error
    earlier = tuple((one["sha256"], one["accepted"]) for one in found["earlier"])
    return Acceptance(found["sha256"], found["accepted"], found["code_sha256"], found["code_noted"], earlier)


def hash_code(code: str) -> str:
    """The SHA-256 of a withdrawal code; case, spaces and dashes do not matter."""
    letters = "".join(letter for letter in code.lower() if letter.isalnum())
    return hashlib.sha256(letters.encode("utf-8", "surrogatepass")).hexdigest()


class Consents:
    """Whether the annotators of a round have accepted its text; asks the disk, so that a changed text asks again.

    Args:
        folder: The round.
        clock: Current time in UTC.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._accepted: dict[str, Acceptance | None] = {}
        self._is_required = False
        self._is_required = self.text() is not None

    def text(self) -> Consent | None:
        """The text as it is now; None if the round requires none.

        RoundError if it disappeared, or cannot be used, while it is required.
        """
        found = read_consent(self._folder)
        if found is None and self._is_required:
            raise RoundError(f"{self._folder / CONSENT} is missing, but was there when the server started")
        return found

    def of(self, annotator: Annotator) -> Acceptance | None:
        """What a person accepted last."""
        if annotator.pseudonym not in self._accepted:
            self._accepted[annotator.pseudonym] = read_acceptance(self._folder, annotator.pseudonym)
        return self._accepted[annotator.pseudonym]

    def is_given(self, annotator: Annotator) -> bool:
        """Whether a person may see pictures and answer."""
        text, accepted = self.text(), self.of(annotator)
        return text is None or (accepted is not None and accepted.sha256 == text.sha256)

    def accept(self, annotator: Annotator, sha256: str) -> str | None:
        """Store that a person accepts the text with this SHA-256; return the withdrawal code to show, if any.

        A person gets one code, until they confirm that they noted it. ValueError if the text is another one by now.
        """
        with self._lock:
            text, before = self.text(), self.of(annotator)
            if text is None or text.sha256 != sha256:
                raise ValueError("the text has changed")
            code, code_sha256 = None, before.code_sha256 if before else ""
            if before is None or not before.is_code_noted:
                code = _draw_code()
                code_sha256 = hash_code(code)
            earlier = before.earlier if before else ()
            if before is not None and before.sha256 != sha256:
                earlier = (*earlier, (before.sha256, before.accepted))
            time = self._clock().isoformat(timespec="seconds").replace("+00:00", "Z")
            accepted = before.accepted if before is not None and before.sha256 == sha256 else time
            kept = self._folder / CONSENTS / f"{sha256}.md"
            if not kept.exists():
                write_bytes(kept, text.data)
            is_noted = before is not None and before.is_code_noted
            self._write(annotator, Acceptance(sha256, accepted, code_sha256, is_noted, earlier))
            return code

    def note_code(self, annotator: Annotator) -> None:
        """Store that a person has noted the code, which is not shown again; ValueError if there is none."""
        with self._lock:
            before = self.of(annotator)
            if before is None:
                raise ValueError("nothing was accepted")
            self._write(annotator, Acceptance(before.sha256, before.accepted, before.code_sha256, True, before.earlier))

    def _write(self, annotator: Annotator, acceptance: Acceptance) -> None:
        content = {
            "sha256": acceptance.sha256,
            "accepted": acceptance.accepted,
            "code_sha256": acceptance.code_sha256,
            "code_noted": acceptance.is_code_noted,
            "earlier": [{"sha256": sha256, "accepted": accepted} for sha256, accepted in acceptance.earlier],
        }
        write_json(acceptance_path(self._folder, annotator.pseudonym), content, private=True)
        self._accepted[annotator.pseudonym] = acceptance


def _draw_code() -> str:
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(_CODE_GROUPS))
