"""Tables and notes as LaTeX."""

from collections.abc import Iterator, Sequence

from hggt_data.io.text import printable
from hggt_eval.report.formats import list_lines
from hggt_eval.report.notes import Note
from hggt_eval.report.tables import MINUS, Cell, Table


def format_latex(tables: Sequence[Table], notes: Sequence[Note], *, plain: bool = False) -> str:
    r"""`table.tex`, for `\usepackage{booktabs}`: the best in bold, the second best underlined; notes as comments.

    With `plain`, rules are those of LaTeX itself, and no package is needed.
    """
    commands = {"best": r"\textbf", "second": r"\underline"}

    def small(text: str) -> str:
        return rf"{{\scriptsize {escape_latex(text)}}}" if text else ""

    def cell(content: Cell) -> str:
        text = escape_latex(content.text)
        text = f"{commands[content.mark]}{{{text}}}" if content.mark else text
        return f"{text} {small(content.beside)}".strip()

    def lines_of(row: Sequence[Cell]) -> Iterator[str]:
        yield " & ".join(map(cell, row)) + r" \\"
        if any(content.below for content in row):
            yield " & ".join(small(content.below) for content in row) + r" \\"

    top, middle, bottom = (r"\hline",) * 3 if plain else (r"\toprule", r"\midrule", r"\bottomrule")
    parts = ["% No package is needed." if plain else r"% \usepackage{booktabs}"]
    names = [cell.text for table in tables for row in table.rows for cell in row[: table.num_names]]
    if any(ord(letter) > _LAST_LATIN for name in names for letter in escape_latex(name)):
        parts.append(
            "% Names contain letters that pdflatex cannot print; use xelatex or lualatex and a font that has them."
        )
    for table in tables:
        sides = "l" * table.num_names + "r" * (len(table.columns) - table.num_names)
        lines = [
            rf"\begin{{tabular}}{{{sides}}}",
            top,
            " & ".join(map(escape_latex, table.columns)) + r" \\",
            middle,
            *(line for row in table.rows for line in lines_of(row)),
            bottom,
            r"\end{tabular}",
        ]
        parts.append("\n".join([f"% {table.title}", *lines, f"% {table.note}"]))
    if notes:
        parts.append("\n".join(f"% {line}" for line in list_lines(notes)))
    return "\n\n".join(parts) + "\n"


_LAST_LATIN = 0x24F
_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "[": "{[}",  # after a line break it would start an option
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    MINUS: "$-$",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "<": "$<$",
    ">": "$>$",
}


def escape_latex(text: str) -> str:
    """Text as LaTeX prints it unchanged."""
    return "".join(_LATEX.get(character, character) for character in printable(text))
