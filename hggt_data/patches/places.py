"""`patches.csv` with every place that was examined, and `crop_area_info.txt`, the official list of those kept."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hggt_data.io.files import csv_writer, read_cell
from hggt_data.patches.grid import Place, Verdict
from hggt_data.schema import ORIGINAL, PatchId

PLACES = "patches.csv"
CROP_AREA_INFO = "crop_area_info.txt"

_COLUMNS = ("image", "top", "left", "verdict", "index", "std", "variance", "version", "score")


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """A row of `patches.csv`, as text, so that it is read back exactly as it was written.

    Attributes:
        rank: As in `Place`; the file counts over all pictures.
        measured: The columns from `std` on, separated by commas.
    """

    id: PatchId
    verdict: Verdict
    rank: int | None
    measured: str

    @property
    def scores(self) -> list[str]:
        """The score, then each candidate's."""
        return self.measured.split(",")[3:]

    def values(self, before: int) -> list[object]:
        """The columns of the row; `before` is the number of kept patches of earlier pictures."""
        index = "" if self.rank is None else before + self.rank
        return [self.id.image, self.id.top, self.id.left, self.verdict.value, index, *self.measured.split(",")]


def make_row(image: str, place: Place, candidates: Sequence[str]) -> PlaceRow:
    """The row of a place."""
    if place.measures:
        best = place.most_detailed
        scores = [place.score, *(measure.score for measure in place.measures[1:])]
        version = (ORIGINAL, *candidates)[place.measures.index(best)]
        measured = [f"{best.std:.4f}", f"{best.variance:.4f}", version, *(f"{score:.4f}" for score in scores)]
    else:
        measured = [""] * (4 + len(candidates))
    return PlaceRow(PatchId(image, place.top, place.left), place.verdict, place.rank, ",".join(measured))


def kept_ids(rows: Iterable[PlaceRow]) -> frozenset[PatchId]:
    """The patches that are kept."""
    return frozenset(row.id for row in rows if row.verdict is Verdict.KEPT)


def format_places(rows: Iterable[Sequence[PlaceRow]], candidates: Sequence[str]) -> str:
    """The text of the file, from the rows of each picture."""
    text = io.StringIO()
    write_line = csv_writer(text)
    write_line(_columns(candidates))
    before = 0
    for rows_of_one in rows:
        for row in rows_of_one:
            write_line(row.values(before))
        before += len(kept_ids(rows_of_one))
    return text.getvalue()


def read_places(path: Path, candidates: Sequence[str]) -> dict[str, tuple[PlaceRow, ...]]:
    """The rows of each picture in a file made by `format_places`.

    Empty if the file is missing or cannot be parsed; everything is then made again.
    """
    rows: dict[str, list[PlaceRow]] = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.reader(file, strict=True)
            if next(reader, None) != _columns(candidates):
                return {}
            for cells in reader:
                image, top, left, verdict, index, *measured = map(read_cell, cells)
                if len(measured) != len(_columns(candidates)) - 5:
                    return {}
                patch = PatchId(image, int(top), int(left))
                rank = int(index) if index else None
                rows.setdefault(image, []).append(PlaceRow(patch, Verdict(verdict), rank, ",".join(measured)))
    except (FileNotFoundError, ValueError, csv.Error):
        return {}
    return {image: _count_from_one(lines) for image, lines in rows.items()}


def by_rank(rows: Iterable[Sequence[PlaceRow]]) -> Iterator[PlaceRow]:
    """The kept patches, picture by picture, by descending score."""
    for rows_of_one in rows:
        yield from sorted((row for row in rows_of_one if row.rank is not None), key=lambda row: row.rank or 0)


def format_crop_area_info(rows: Iterable[Sequence[PlaceRow]]) -> str:
    """The official list of kept patches: `IMAGE-TOP-LEFT-SCORE-INDEX.png`, the index counted over all pictures."""
    return "".join(f"{row.id}-{row.scores[0]}-{index}.png\n" for index, row in enumerate(by_rank(rows), 1))


def _columns(candidates: Sequence[str]) -> list[str]:
    return [*_COLUMNS, *(f"score_{name}" for name in candidates)]


def _count_from_one(rows: Sequence[PlaceRow]) -> tuple[PlaceRow, ...]:
    before = min((row.rank for row in rows if row.rank is not None), default=1) - 1
    return tuple(row if row.rank is None else replace(row, rank=row.rank - before) for row in rows)
