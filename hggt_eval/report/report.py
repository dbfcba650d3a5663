"""The report of scores: all files in the output folder, then the table for the terminal."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hggt_data.errors import HggtError, OutputError
from hggt_data.groups import GroupSource
from hggt_data.io.text import join_lines
from hggt_data.ranges import CountOrNone
from hggt_data.restored.methods import PAGE_FILE
from hggt_eval.report.files import format_table, write_page, write_reports
from hggt_eval.report.page import format_page
from hggt_eval.report.pictures import ScoredPictures
from hggt_eval.scores.comparison import compare_methods
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings
from hggt_eval.scores.journal import Journal


def report_scores(
    evaluation: Evaluation,
    settings: Settings,
    *,
    show: Callable[[str], object],
    output: Path | None = None,
    baseline: str | None = None,
    decimals: Mapping[str, int] | None = None,
    gallery: CountOrNone = 1,
    no_pictures: bool = False,
    plain: bool = False,
    source: GroupSource | None = None,
    journal: Journal | None = None,
) -> None:
    """Write all reports, then show the table.

    What can fail although all scores are there comes last and costs none of them: the gallery, whose pictures may have
    moved, and the table, whose terminal may be gone.

    Args:
        evaluation: The scores.
        settings: What the scores depend on.
        show: Called with the lines to print.
        output: Folder for scores.json, scores.csv, comparison.csv, table.md, table.tex, report.html and NAME/*.txt. An
            interrupted run resumes there; scores of other methods are not overwritten.
        baseline: Method to compare all others with, by paired differences, confidence intervals and tests; for
            NAME@SEED, pass NAME.
        decimals: Decimals in tables for papers.  [default: psnr=2, others 4]
        gallery: Show this many of the best and of the worst groups per metric in the report, with all their pictures.
        no_pictures: Leave all pictures out of the report, which is then small and contains none of the data.
        plain: Write table.tex for LaTeX without packages (booktabs otherwise).
        source: The groups, if they are still open.
        journal: What an interrupted run would resume from.

    Raises:
        OutputError: The page could not be written; everything else was.
    """
    decimals = decimals or {}
    comparison = compare_methods(evaluation, baseline)
    lines = [format_table(evaluation, settings, comparison, decimals)]
    failure: HggtError | OSError | None = None
    if output is not None:
        written = write_reports(evaluation, settings, comparison, output, decimals=decimals, plain=plain)
        pictures = ScoredPictures(evaluation, settings, source)
        try:
            shown = 0 if no_pictures else gallery
            page = format_page(evaluation, settings, comparison, pictures, num_shown=shown, decimals=decimals)
            written.append(write_page(page, output))
        except (HggtError, OSError) as error:
            failure = error
        lines.append(f"Written to {output}: {_list_names(written, output)}.")
    if journal is not None and failure is None:
        journal.finish()
    show(join_lines(lines))
    if failure is not None:
        raise OutputError(
            f"all scores are in {output}, but {PAGE_FILE} is missing: {failure}; pass `no_pictures` to make it "
            "without them"
        ) from failure


def _list_names(written: Sequence[Path], output: Path) -> str:
    names = [path.name for path in written if path.parent == output]
    if len(names) < len(written):
        names.append("the official text files of each method")
    return f"{', '.join(names[:-1])} and {names[-1]}"
