"""The result of scoring, and the folder that it is written to."""

import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

from hggt_data.errors import OutputError
from hggt_data.groups import GroupSource
from hggt_data.io.text import join_lines
from hggt_data.ranges import CountOrNone
from hggt_eval.report.files import format_table
from hggt_eval.report.formats import format_notebook, format_text
from hggt_eval.report.notes import list_notes
from hggt_eval.report.report import report_scores
from hggt_eval.report.tables import comparison_tables
from hggt_eval.scores.comparison import Comparison, compare_methods
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings
from hggt_eval.scores.journal import Journal


@dataclass(frozen=True, slots=True)
class Scored:
    """The result of `score`; a notebook shows it as a table.

    Attributes:
        evaluation: The scores.
        settings: What the scores depend on.
        source: The groups, still open.
        journal: What an interrupted run would resume from, if there is an output folder; call its `finish` after
            writing the scores.
    """

    evaluation: Evaluation
    settings: Settings
    source: GroupSource
    journal: Journal | None

    def table(self) -> str:
        """The means as `hggt-eval` prints them, with notes on everything left out."""
        return format_table(self.evaluation, self.settings)

    def rows(self) -> list[dict[str, str | float]]:
        """All scores, one dictionary each: method, group, metric, value (`GroupScores.mean`).

        A metric of sets, such as KID, has one row for each method, with an empty group.
        """
        of_sets: list[dict[str, str | float]] = [
            {"method": method, "group": "", "metric": metric, "value": distance.value}
            for method, distances in self.evaluation.distances.items()
            for metric, distance in distances.items()
        ]
        return of_sets + [
            {"method": method.name, "group": group.id, "metric": metric, "value": value}
            for method in self.evaluation.methods
            for group in method.groups
            for metric, value in group.mean.items()
        ]

    def compare(self, baseline: str | None = None) -> "Compared":
        """Intervals of all means and, with a baseline, differences from it; see `compare_methods`."""
        found = compare_methods(self.evaluation, baseline)
        return Compared(**{field.name: getattr(found, field.name) for field in fields(Comparison)})

    def report(self, path: str | Path, *, baseline: str | None = None, gallery: CountOrNone = 1) -> None:
        """Write all files of `hggt-eval --output` to the folder `path`, which is created if necessary.

        Args:
            path: Folder for the files.
            baseline: Method to compare all others with.
            gallery: Show this many of the best and of the worst groups per metric, with all their pictures.
        """
        output = Path(path)
        prepare_folder(output)
        report_scores(
            self.evaluation,
            self.settings,
            show=lambda _: None,
            output=output,
            baseline=baseline,
            gallery=gallery,
            source=self.source,
            journal=self.journal,
        )

    def _repr_html_(self) -> str:
        """The means and their notes, as a notebook shows them."""
        comparison = self.compare()
        notes = list_notes(self.evaluation, self.settings, comparison)
        return format_notebook(comparison_tables(comparison), notes)


@dataclass(frozen=True, slots=True)
class Compared(Comparison):
    """A comparison that a notebook shows as tables."""

    def table(self) -> str:
        """The means with their intervals, and the differences from the baseline."""
        return join_lines(
            [line for table in comparison_tables(self) for line in ("", f"{table.title}:", format_text(table))][1:]
        )

    def _repr_html_(self) -> str:
        return format_notebook(comparison_tables(self), ())


def prepare_folder(output: Path) -> None:
    """Create a folder and check now, not after an hour of scoring, that it can be written to."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output).close()  # permissions alone do not show it
    except OSError as error:
        raise OutputError(f"{output}: cannot be created or written to: {error.strerror}") from error
