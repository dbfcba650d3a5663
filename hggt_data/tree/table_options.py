"""Options of a table of votes: where its files are, and what its names and words mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hggt_data.errors import SettingsError
from hggt_data.io.text import nearest
from hggt_data.schema import Label


@dataclass(frozen=True)
class TableOptions:
    """Where the files of a table of votes are, and what its names and words mean.

    Attributes:
        votes: Table of votes, if it is not votes.csv in the tree.
        pictures: Folder with the pictures of a table of votes, if it is not the tree.
        label_words: Words for labels in a table of votes: better=Positive,same=Similar,worse=Negative.
        source_pattern: Regular expression for the groups' names in a table of votes: its group `image` matches the name
            of the source picture, and optional groups `top` and `left` the place there.

    Raises:
        SettingsError: A label is unknown, or the expression is not one with a group `image`.

    Example:
        >>> from hggt_data import TableOptions
        >>> TableOptions(source_pattern=r"(?P<image>.+)_[0-9]+").is_default
        False
    """

    votes: str | Path | None = None
    pictures: str | Path | None = None
    label_words: Mapping[str, Label] | None = None
    source_pattern: str | None = None

    def __post_init__(self) -> None:
        for word, label in (self.label_words or {}).items():
            if not isinstance(label, Label):
                raise SettingsError(f"`label_words`: {word!r} means {label!r}; expected a Label")
        if self.source_pattern is not None:
            self.compiled_pattern()

    @property
    def is_default(self) -> bool:
        """Whether no option is set."""
        return self == NO_TABLE_OPTIONS

    @property
    def names_files(self) -> bool:
        """Whether the table or its pictures are elsewhere, so that a folder needs none of them."""
        return self.votes is not None or self.pictures is not None

    def compiled_pattern(self) -> re.Pattern[str] | None:
        """The regular expression."""
        if self.source_pattern is None:
            return None
        try:
            pattern = re.compile(self.source_pattern, re.DOTALL)
        except re.error as error:
            raise SettingsError(f"`source_pattern` {self.source_pattern!r}: {error}") from error
        names = set(pattern.groupindex)
        if "image" not in names or not names <= {"image", "top", "left"}:
            raise SettingsError(
                f"`source_pattern` {self.source_pattern!r}: expected a group (?P<image>...), and none but top and left "
                "beside it"
            )
        return pattern


NO_TABLE_OPTIONS = TableOptions()


def parse_label_words(text: str) -> dict[str, Label]:
    """Parse `better=Positive,same=Similar`."""
    labels = {label.class_name: label for label in Label}
    words: dict[str, Label] = {}
    for item in text.split(","):
        word, equals, label = map(str.strip, item.partition("="))
        if not (word and equals):
            raise SettingsError(f"{item!r}: expected WORD=LABEL, such as better=Positive")
        if label.lower() not in labels:
            raise SettingsError(f"{item!r}: unknown label {label!r}, {nearest(label, [one.value for one in Label])}")
        if word.lower() in words:
            raise SettingsError(f"{word!r} is given twice")
        words[word.lower()] = labels[label.lower()]
    return words
