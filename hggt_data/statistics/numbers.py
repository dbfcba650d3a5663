"""Numbers that may be undefined: NaN in Python, null in JSON."""

import math


def ratio(part: float, whole: float) -> float:
    """`part / whole`; NaN if the whole is 0."""
    return part / whole if whole else math.nan


def json_number(value: float) -> float | None:
    """The value; None for NaN, which JSON does not have."""
    return None if math.isnan(value) else value
