"""The receptive field of a network, computed from its layers. Tiles that overlap by it join without seams.

A step maps a span of rows after a layer to the span of rows before the layer that it depends on. Columns behave like
rows. Layers that depend on the whole picture have no step.
"""

from collections.abc import Callable, Iterable

Span = tuple[int, int]  # first and last row
Step = Callable[[Span], Span]


def convolution(radius_px: int = 1) -> Step:
    """A convolution, or several in a row with this radius in total."""
    return lambda span: (span[0] - radius_px, span[1] + radius_px)


def windows(*grids: Span) -> Step:
    """Attention in windows; each grid of windows is given by window size and first row."""
    return lambda span: (
        min((span[0] - start) // size * size + start for size, start in grids),
        max((span[1] - start) // size * size + start + size - 1 for size, start in grids),
    )


def enlargement(factor: int) -> Step:
    """Nearest-neighbour upsampling or a pixel shuffle."""
    return lambda span: (span[0] // factor, span[1] // factor)


def reduction(factor: int) -> Step:
    """A pixel unshuffle."""
    return lambda span: (span[0] * factor, span[1] * factor + factor - 1)


def receptive_field_px(steps: Iterable[Step], scale: int = 1, period: int = 1) -> int:
    """Largest distance, in input pixels, from which an input pixel influences an output pixel.

    `steps` go from output to input; `scale` is output side over input side; the layers' grids repeat every `period`
    input pixels.
    """
    steps = list(steps)
    farthest = 0
    for row in range(scale * period):
        span = row, row
        for step in steps:
            span = step(span)
        farthest = max(farthest, row // scale - span[0], span[1] - row // scale)
    return farthest
