"""A problem found in data, and how a list of them is summarised."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hggt_data.io.text import Lines, join_lines, printable

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a tree. Its texts are made printable.

    Attributes:
        kind: A stable name such as `missing-image`.
        severity: An `error` stops a build, a `warning` does not.
        path: The file, relative to the tree; in the result of a build, its whole path.
        message: What was expected and what was found.
        hint: What to do.
        group: The patch group that cannot be used because of it, if it concerns one group.
    """

    kind: str
    severity: Severity
    path: str
    message: str
    hint: str
    group: str | None = None

    def __post_init__(self) -> None:
        for name in ("path", "message", "hint"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def summarise(problems: Sequence[Problem], examples: int = 3) -> Lines:
    """Problems grouped by kind, each with its count and first examples, as text."""
    lines = []
    for (severity, kind), count in Counter((problem.severity, problem.kind) for problem in problems).items():
        of_kind = [problem for problem in problems if (problem.severity, problem.kind) == (severity, kind)]
        lines.append(f"{severity}: {kind} ({count:,})")
        lines += [f"  {problem}" for problem in of_kind[:examples]]
        if count > examples:
            lines.append(f"  ... and {count - examples:,} more")
        lines.append(f"  -> {of_kind[0].hint}")
    return join_lines(lines)
