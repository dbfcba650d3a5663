"""The style of pages: the palette of labels, and the CSS that the report and the page of `agree` share."""

from pathlib import Path

from hggt_data.palette import format_palette_css

_CSS = Path(__file__).with_name("assets") / "report.css"


def read_style() -> str:
    """The style as CSS, to be inserted into a page."""
    return format_palette_css() + _CSS.read_text("utf-8")
