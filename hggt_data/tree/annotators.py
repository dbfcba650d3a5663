"""Annotators: annotators.csv, names and pseudonyms."""

import re
import secrets
import unicodedata
from collections.abc import Container
from pathlib import Path

from hggt_data.errors import RoundError, TreeError
from hggt_data.io.files import read_csv

ANNOTATORS_FILE = "annotators.csv"

ANNOTATORS_COLUMNS = ("group", "slot", "pseudonym")


def read_annotators(root: Path) -> dict[tuple[str, str], str]:
    """Who is behind each slot of each group: (group, slot) to pseudonym, from the tree's `annotators.csv` if any.

    Raises:
        TreeError: the file is no CSV in UTF-8, lacks one of the columns group, slot, pseudonym, or names a slot of a
            group twice.
    """
    path = root / ANNOTATORS_FILE
    if not path.exists():
        return {}
    columns, lines = read_csv(path)
    missing = set(ANNOTATORS_COLUMNS) - set(columns)
    if missing:
        raise TreeError(f"{path}: columns {', '.join(sorted(missing))} are missing; found {', '.join(columns)}")
    annotators: dict[tuple[str, str], str] = {}
    for line in lines:
        key = line["group"], line["slot"]
        if key in annotators:
            raise TreeError(f"{path}: group {key[0]}, slot {key[1]} has two lines; expected one")
        if line["pseudonym"]:
            annotators[key] = line["pseudonym"]
    return annotators


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def draw_pseudonym(taken: Container[str]) -> str:
    """A pseudonym that nobody has, and that says nothing of whom it hides."""
    while (pseudonym := f"annotator-{secrets.token_hex(3)}") in taken:
        pass
    return pseudonym


def clean_name(text: str) -> str:
    """A person's name as rounds and accounts have it: without space around, letters composed (NFC).

    Raises:
        RoundError: nothing is left, or it has control characters.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if not name or _UNPRINTABLE.search(name):
        raise RoundError(f"{text!r} is no name; expected printable characters")
    return name
