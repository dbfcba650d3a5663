"""How far a network looks, computed from its layers: tiles that overlap by that much join without a trace.

A layer is a step from the rows that something depends on after the layer to the rows that it depends on before.
Columns behave like rows. Layers that look at a whole picture have no step.
"""

from collections.abc import Callable, Iterable

Span = tuple[int, int]  # first and last row
Step = Callable[[Span], Span]


def convolution(radius_px: int = 1) -> Step:
    """A convolution, or several in a row that reach so far together."""
    return lambda span: (span[0] - radius_px, span[1] + radius_px)


def windows(*grids: Span) -> Step:
    """Windows that work side by side, each kind given by its size and the row where a first window starts."""
    return lambda span: (
        min((span[0] - start) // size * size + start for size, start in grids),
        max((span[1] - start) // size * size + start + size - 1 for size, start in grids),
    )


def enlargement(factor: int) -> Step:
    """A nearest-neighbour enlargement or a pixel shuffle."""
    return lambda span: (span[0] // factor, span[1] // factor)


def reduction(factor: int) -> Step:
    """A pixel unshuffle."""
    return lambda span: (span[0] * factor, span[1] * factor + factor - 1)


def receptive_field_px(steps: Iterable[Step], scale: int = 1, period: int = 1) -> int:
    """How far the farthest input pixel with influence on an output pixel can be, in input pixels.

    Args:
        steps: from the output to the input.
        scale: side of the output over side of the input.
        period: the layers fall alike on the input every so many pixels.
    """
    steps = list(steps)
    farthest = 0
    for row in range(scale * period):
        span = row, row
        for step in steps:
            span = step(span)
        farthest = max(farthest, row // scale - span[0], span[1] - row // scale)
    return farthest
