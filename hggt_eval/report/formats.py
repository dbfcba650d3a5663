"""Tables and notes as plain text, Markdown and HTML."""

from collections.abc import Iterable, Iterator, Sequence

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
    """Tables and notes as sections of the report; marks become classes."""

    def name(content: Cell) -> str:
        return f'<th scope="row">{escape_html(content.text)}</th>'

    def cell(content: Cell) -> str:
        mark = f' class="{content.mark}"' if content.mark else ""
        detail = f" <small>{escape_html(content.detail)}</small>" if content.detail else ""
        return f"<td{mark}><span>{escape_html(content.text)}</span>{detail}</td>"

    parts = []
    for table in tables:
        heads = "".join(
            f'<th scope="col"{" class=name" if number < table.num_names else ""}>{escape_html(column)}</th>'
            for number, column in enumerate(table.columns)
        )
        rows = "".join(
            f"<tr>{''.join(map(name, row[: table.num_names]))}{''.join(map(cell, row[table.num_names :]))}</tr>\n"
            for row in table.rows
        )
        title = escape_html(table.title)
        parts.append(
            f'<section><h2>{title}</h2>\n<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table>\n'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
            f'<p class="note">{escape_html(table.note)}</p></section>'
        )
    if notes:
        parts.append(f"<section><h2>Notes</h2>\n<ul>\n{''.join(map(_html_note, notes))}</ul></section>")
    return "\n".join(parts)


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
