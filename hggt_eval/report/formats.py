"""Tables and notes as plain text, Markdown and HTML."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from hggt_data.io.text import Lines, aligned, escape_html, escape_markdown
from hggt_eval.report.notes import Note
from hggt_eval.report.tables import Cell, Table


def list_lines(notes: Iterable[Note], bullet: str = "") -> Iterator[str]:
    """Notes as lines of text, with indented details."""
    for note in notes:
        for indent, text in (("", note.text), *(("  ", detail) for detail in note.details)):
            yield indent + bullet + text


def format_text(table: Table) -> Lines:
    """A table for the terminal, without its note."""
    rows = [list(table.columns)] + [[f"{c.text} {c.detail}".strip() for c in row] for row in table.rows]
    return Lines("\n".join(aligned(rows, table.num_names)))


def format_markdown(tables: Iterable[Table], notes: Sequence[Note]) -> str:
    """`table.md`: the best in bold, the second best in italics."""
    around = {"best": "**", "second": "*", "": ""}

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def cell(content: Cell) -> str:
        text = f"{around[content.mark]}{escape_markdown(content.text)}{around[content.mark]}"
        return f"{text} {content.detail}".strip()

    parts = []
    for table in tables:
        sides = [":--" if column < table.num_names else "--:" for column in range(len(table.columns))]
        rows = [line(map(escape_markdown, table.columns)), line(sides), *(line(map(cell, row)) for row in table.rows)]
        parts.append("\n".join([f"### {escape_markdown(table.title)}", "", *rows, "", table.note]))
    if notes:
        parts.append("\n".join(["### Notes", "", *(escape_markdown(line) for line in list_lines(notes, "- "))]))
    return "\n\n".join(parts) + "\n"


def format_html(tables: Iterable[Table], notes: Sequence[Note]) -> str:
    """Tables and notes as sections of a page; marks become classes."""
    sections = [
        f"<section><h2>{escape_html(table.title)}</h2>\n{format_html_table(table)}</section>" for table in tables
    ]
    if notes:
        sections.append(f"<section><h2>Notes</h2>\n<ul>\n{''.join(map(_html_note, notes))}</ul></section>")
    return "\n".join(sections)


def format_html_table(table: Table) -> str:
    """A table and its note; of two columns of names, the first becomes headings of groups of rows."""
    own_column = table.num_names - 1  # the only column of names that stays
    heads = "".join(
        f'<th scope="col"{" class=name" if number == 0 else ""}>{escape_html(column)}</th>'
        for number, column in enumerate(table.columns[own_column:])
    )
    bodies = []
    for names, rows in groupby(table.rows, lambda row: tuple(cell.text for cell in row[:own_column])):
        heading = "".join(
            f'<tr class="group"><th scope="rowgroup" colspan="{len(table.columns) - own_column}">'
            f"<span>{escape_html(name)}</span></th></tr>\n"
            for name in names
        )
        bodies.append(f"<tbody>{heading}{''.join(_html_row(row[own_column:]) for row in rows)}</tbody>")
    scroll = f'class="scroll" tabindex="0" role="region" aria-label="{escape_html(table.title)}"'
    return (
        f"<div {scroll}><table>\n<thead><tr>{heads}</tr></thead>\n"
        f'{"".join(bodies)}</table></div>\n<p class="note">{escape_html(table.note)}</p>'
    )


def _html_row(row: Sequence[Cell]) -> str:
    name, *numbers = row
    return f'<tr><th scope="row">{escape_html(name.text)}</th>{"".join(map(_html_cell, numbers))}</tr>\n'


def _html_cell(content: Cell) -> str:
    mark = f' class="{content.mark}"' if content.mark else ""
    detail = f" <small>{escape_html(content.detail)}</small>" if content.detail else ""
    return f"<td{mark}><span>{escape_html(content.text)}</span>{detail}</td>"


def format_notebook(tables: Iterable[Table], notes: Sequence[Note]) -> str:
    """Tables and notes for a notebook, whose viewers may remove styles: the best bold, the second best underlined."""
    around = {"best": ("<b>", "</b>"), "second": ("<u>", "</u>"), "": ("", "")}

    def cell(content: Cell, tag: str) -> str:
        start, end = around[content.mark]
        detail = f"<br><small>{escape_html(content.detail)}</small>" if content.detail else ""
        return f"<{tag}>{start}{escape_html(content.text)}{end}{detail}</{tag}>"

    parts = []
    for table in tables:
        heads = "".join(f"<th>{escape_html(column)}</th>" for column in table.columns)
        rows = "".join(
            f"<tr>{''.join(cell(one, 'th' if k < table.num_names else 'td') for k, one in enumerate(row))}</tr>\n"
            for row in table.rows
        )
        parts.append(
            f"<p><b>{escape_html(table.title)}</b></p>\n<table>\n<thead><tr>{heads}</tr></thead>\n"
            f"<tbody>{rows}</tbody>\n</table>\n<p><small>{escape_html(table.note)}</small></p>"
        )
    if notes:
        parts.append(f"<p><b>Notes</b></p>\n<ul>\n{''.join(map(_html_note, notes))}</ul>")
    return "\n".join(parts)


def _html_note(note: Note) -> str:
    details = "".join(f"<li>{escape_html(detail)}</li>" for detail in note.details)
    return f"<li>{escape_html(note.text)}{f'<ul>{details}</ul>' if details else ''}</li>\n"
