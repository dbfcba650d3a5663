"""The instructions that `deal` writes and the page shows first; they are for the administrator to edit."""

from importlib.resources import files

from hggt_data.annotate.study.plan import StudyPlan
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


def format_study_instructions(plan: StudyPlan) -> str:
    """The instructions of a study."""
    name = "instructions_pairs.txt" if plan.design == "pairs" else "instructions_best_of.txt"
    text = (files("hggt_data.annotate") / name).read_text("utf-8")
    values = {
        "{question}": "\n\n".join(plan.questions),
        "{versions}": str(len(plan.methods)),
        "{reference}": ", beside a reference" if plan.reference == "shown" else "",
        "{tie}": " S: both are about the same." if plan.ties else "",
    }
    for field, value in values.items():
        text = text.replace(field, value)
    return text
