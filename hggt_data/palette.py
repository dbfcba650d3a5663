"""The colours of the three labels in all pages and figures, which people with any kind of colour vision tell apart.

Text and symbols always repeat what a colour says. All contrasts are checked by the tests.
"""

from dataclasses import dataclass

from hggt_data.schema import Label


@dataclass(frozen=True, slots=True)
class LabelColours:
    """A label's colours.

    Attributes:
        mark: Bars, dots and fills, on light and on dark pages.
        on_light: Text on a light page.
        on_dark: Text on a dark page.
    """

    mark: str
    on_light: str
    on_dark: str


PALETTE = {
    Label.POSITIVE: LabelColours("#2f88cb", "#005a96", "#7fbdf0"),  # blue
    Label.SIMILAR: LabelColours("#868c95", "#4d5660", "#c3c9d0"),  # grey
    Label.NEGATIVE: LabelColours("#d9600a", "#a33f00", "#ff9f5e"),  # orange
}
TEXT_ON_MARK = "#101010"


def format_palette_css() -> str:
    """The palette as CSS variables: `--positive`, `--positive-on-light`, `--positive-on-dark`, ..., `--on-label`."""
    lines = [f"  --on-label: {TEXT_ON_MARK};"]
    for label, colours in PALETTE.items():
        name = label.value.lower()
        lines.append(f"  --{name}: {colours.mark};")
        lines.append(f"  --{name}-on-light: {colours.on_light};")
        lines.append(f"  --{name}-on-dark: {colours.on_dark};")
    return "\n".join([":root {", *lines, "}", ""])
