"""The instructions that `deal` writes and the page shows first; they are for the administrator to edit."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from hggt_data.annotate.markdown import Block, parse_markdown, plain_block
from hggt_data.errors import RoundError
from hggt_data.io.files import read_regular_file, read_utf8
from hggt_data.io.text import escape_markdown, format_examples, plural
from hggt_data.schema import QUESTION, Protocol
from hggt_data.study_plan import StudyPlan

INSTRUCTIONS = "instructions.md"
EXAMPLES = "instructions"  # the folder of their pictures
PICTURE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
_EARLY = "instructions.txt"  # of rounds that were dealt before instructions had pictures
_MOST_BYTES = 1 << 16
_MOST_PICTURE_BYTES = 1 << 24


def format_instructions(protocol: Protocol) -> str:
    """The instructions of a new round."""
    if protocol.blind:
        name = "instructions_blind.md"
    else:
        name = INSTRUCTIONS if protocol.question == QUESTION else "instructions_question.md"
    text = (files("hggt_data.annotate") / name).read_text("utf-8")
    return text.replace("{question}", escape_markdown(protocol.question or ""))


def format_study_instructions(plan: StudyPlan) -> str:
    """The instructions of a study."""
    name = "instructions_pairs.md" if plan.design == "pairs" else "instructions_best_of.md"
    text = (files("hggt_data.annotate") / name).read_text("utf-8")
    values = {
        "{question}": "\n\n".join(map(escape_markdown, plan.questions)),
        "{versions}": str(len(plan.methods)),
        "{reference}": ", beside a reference" if plan.reference == "shown" else "",
        "{tie}": "\n- **S**: both are about the same." if plan.ties else "",
    }
    for field, value in values.items():
        text = text.replace(field, value)
    return text


def read_instructions(folder: Path) -> tuple[Block, ...]:
    """The instructions of a round; none if it has no such file.

    RoundError if a file is too large or not UTF-8.
    """
    if (folder / INSTRUCTIONS).exists():
        return parse_markdown(read_utf8(folder / INSTRUCTIONS, RoundError, _MOST_BYTES))
    if (folder / _EARLY).exists():
        return (plain_block(read_utf8(folder / _EARLY, RoundError, _MOST_BYTES)),)
    return ()


def require_pictures(folder: Path, blocks: Sequence[Block]) -> None:
    """Check that all pictures of the instructions are there; RoundError lists those that are not."""
    paths = [picture.path for block in blocks for picture in block.pictures]
    known = {f"{EXAMPLES}/{name}" for name in list_pictures(folder)}
    if missing := sorted({*paths} - known):
        endings = ", ".join(PICTURE_TYPES)
        raise RoundError(
            f"{folder / INSTRUCTIONS}: {plural(len(missing), 'picture')} cannot be shown: {format_examples(missing)}; "
            f"expected files directly in {folder / EXAMPLES}, written as {EXAMPLES}/NAME and ending in {endings}"
        )


def list_pictures(folder: Path) -> set[str]:
    """The names of the pictures in the folder of examples."""
    examples = folder / EXAMPLES
    if not examples.is_dir():
        return set()
    return {path.name for path in examples.iterdir() if path.suffix.lower() in PICTURE_TYPES and path.is_file()}


def read_picture(folder: Path, name: str) -> tuple[bytes, str] | None:
    """The bytes and the media type of a picture of the instructions; None if there is none of this name."""
    if name not in list_pictures(folder):
        return None
    data = read_regular_file(folder / EXAMPLES / name, _MOST_PICTURE_BYTES)
    return data, PICTURE_TYPES[Path(name).suffix.lower()]
