"""Times of votes as text: what a dataset stores, because PyTorch and JAX have no type for times."""

from datetime import datetime

from hggt_data.errors import DatasetError


def format_time(time: datetime | None) -> str | None:
    """A time as it is stored: `2022-08-05T17:01:12`."""
    return None if time is None else time.isoformat()


def parse_time(time: str | datetime | None) -> datetime | None:
    """The time of a row from pyarrow; a `datetime` in schema version 1."""
    if not isinstance(time, str):
        return time
    try:
        found = datetime.fromisoformat(time)
    except ValueError:
        found = None
    if found is None or found.tzinfo is not None:  # a local time
        raise DatasetError(f"a time is {time!r}; expected one such as 2022-08-05T17:01:12")
    return found
