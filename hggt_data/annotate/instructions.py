"""The instructions that `deal` writes and the page shows first; they are for the administrator to edit."""

from importlib.resources import files

from hggt_data.schema import QUESTION, Protocol

INSTRUCTIONS = "instructions.txt"


def format_instructions(protocol: Protocol) -> str:
    """The instructions of a round."""
    if protocol.blind:
        name = "instructions_blind.txt"
    else:
        name = INSTRUCTIONS if protocol.question == QUESTION else "instructions_question.txt"
    text = (files("hggt_data.annotate") / name).read_text("utf-8")
    return text.replace("{question}", protocol.question or "")
