"""Annotators: the file annotators.csv of a tree, people's names, and pseudonyms."""

import re
import secrets
import unicodedata
from collections.abc import Container, Mapping
from pathlib import Path
from typing import NamedTuple

from hggt_data.errors import RoundError, TreeError
from hggt_data.io.files import read_csv

ANNOTATORS_FILE = "annotators.csv"
ANNOTATORS_COLUMNS = ("group", "slot", "pseudonym")
FULL_ZOOM_COLUMN = "full_zoom"  # optional
FULL_ZOOM_WORDS: Mapping[bool | None, str] = {True: "yes", False: "no", None: ""}
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


class ListedAnnotator(NamedTuple):
    """The annotator of a slot of a group, and whether this person saw every candidate at 100 %; None if unknown."""

    pseudonym: str
    full_zoom: bool | None = None


def read_annotators(root: Path) -> dict[tuple[str, str], ListedAnnotator]:
    """(group, slot) to the annotator, from the tree's `annotators.csv`; empty if there is none."""
    path = root / ANNOTATORS_FILE
    if not path.exists():
        return {}
    columns, lines = read_csv(path)
    missing = set(ANNOTATORS_COLUMNS) - set(columns)
    if missing:
        found = ", ".join(columns) or "no columns"
        raise TreeError(f"{path}: columns {', '.join(sorted(missing))} are missing; found {found}")
    annotators: dict[tuple[str, str], ListedAnnotator] = {}
    full_zoom = {word: value for value, word in FULL_ZOOM_WORDS.items()}
    for line in lines:
        key = line["group"], line["slot"]
        if key in annotators:
            raise TreeError(f"{path}: group {key[0]}, slot {key[1]} is listed twice; expected one line for each")
        word = line.get(FULL_ZOOM_COLUMN, "")
        if word not in full_zoom:
            raise TreeError(
                f"{path}: group {key[0]}, slot {key[1]} has {word!r} as {FULL_ZOOM_COLUMN}; expected yes, no or nothing"
            )
        if line["pseudonym"]:
            annotators[key] = ListedAnnotator(line["pseudonym"], full_zoom[word])
    return annotators


def draw_pseudonym(taken: Container[str]) -> str:
    """A new random pseudonym."""
    while (pseudonym := f"annotator-{secrets.token_hex(3)}") in taken:
        pass
    return pseudonym


def clean_name(text: str) -> str:
    """A person's name without surrounding space and in composed letters (NFC); RoundError if it is not printable."""
    name = unicodedata.normalize("NFC", text.strip())
    if not name or _CONTROL_CHARACTER.search(name):
        raise RoundError(f"{text!r} is not a valid name; expected printable characters")
    return name
