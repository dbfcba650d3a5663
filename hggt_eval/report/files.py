"""What `hggt-eval` prints and writes: a table for the terminal and the files of its output folder.

The official scripts' text files are reproduced byte for byte; anything left out is listed at their end. Files are
written atomically.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from hggt_data.errors import MatchError, OutputError
from hggt_data.io.files import write_text
from hggt_data.io.text import aligned, format_examples, join_lines, printable
from hggt_data.ranges import require_kind
from hggt_data.restored.methods import AGREEMENT_FILE, PAGE_FILE, REPORT_FILES, SCORES_FILE
from hggt_data.schema import Label
from hggt_eval.metrics import Metric, SetMetric
from hggt_eval.report.csv_files import format_comparison_csv, format_csv
from hggt_eval.report.formats import format_markdown, format_text, list_lines
from hggt_eval.report.latex import format_latex
from hggt_eval.report.notes import licence_note, list_notes
from hggt_eval.report.tables import (
    comparison_tables,
    count_images,
    decimals_of,
    heading_of,
    measures_table,
    paper_tables,
)
from hggt_eval.scores.comparison import Comparison
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings, format_json, read_scores
from hggt_eval.scores.scores import MethodScores
from hggt_eval.scores.sets_file import remove_other_features, write_features

# Official file -> its metrics; it is written if all of them were computed.
_OFFICIAL_FILES = {"psnr_ssim.txt": ("psnr", "ssim"), "lpips.txt": ("lpips",), "dists.txt": ("dists",)}


def format_table(
    evaluation: Evaluation,
    settings: Settings,
    comparison: Comparison | None = None,
    decimals: Mapping[str, int] | None = None,
) -> str:
    """Format the methods' means for a terminal, with notes on everything left out.

    Args:
        evaluation: The scores.
        settings: What the scores depend on.
        comparison: Adds means over seeds and differences from a baseline.
        decimals: Metric name -> decimals for all but the first table; `""` stands for all metrics.

    Returns:
        Lines of text; arrows point to the better side.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import name_methods
        >>> from hggt_data.tree.demo import write_demo
        >>> from hggt_eval import GroundTruth, format_table, score
        >>> _, test, _, bicubic, sharper = write_demo(Path(tempfile.mkdtemp()))
        >>> methods = name_methods([(None, bicubic), (None, sharper)])
        >>> scored = score(methods, GroundTruth(dataset=test), metrics=["psnr"])
        >>> print(format_table(scored.evaluation, scored.settings))
        method   groups   PSNR ↑
        bicubic       6  22.6010
        sharper       6  22.9046
    """
    _require_scores(evaluation, settings)
    header = ["method", "groups", *map(heading_of, evaluation.metrics)]
    rows = [
        [
            *(method.name, str(len(method.groups))),
            *(_format_value(evaluation, method, metric, decimals) for metric in evaluation.metrics),
        ]
        for method in evaluation.methods
    ]
    lines = aligned([header, *rows])
    if evaluation.label_measures:
        lines += ["", format_text(measures_table(evaluation, decimals))]
    if comparison is not None:
        means, *differences = comparison_tables(comparison, decimals)
        over_seeds = [means] if any(summary.num_seeds > 1 for summary in comparison.summaries) else []
        for table in (*over_seeds, *differences):
            lines += ["", f"{table.title}:", format_text(table)]
    return join_lines([*lines, *list_lines(list_notes(evaluation, settings, comparison))])


def _format_value(
    evaluation: Evaluation, method: MethodScores, metric: Metric, decimals: Mapping[str, int] | None
) -> str:
    if not isinstance(metric, SetMetric):
        return f"{method.mean.get(metric.name, math.nan):.4f}".replace("nan", "-")
    distance = evaluation.distances[method.name].get(metric.name)
    if distance is None:
        return "-"
    value = f"{distance.value:.{max(4, decimals_of(metric.name, decimals))}f}"
    return f"{value} {count_images(distance.num_images, distance.num_patches)}"


def write_reports(
    evaluation: Evaluation,
    settings: Settings,
    comparison: Comparison,
    output: str | Path,
    *,
    decimals: Mapping[str, int] | None = None,
    plain: bool = False,
) -> list[Path]:
    """Write all files except the page below `output`, creating folders as needed.

    An existing `report.html` is deleted, as it shows other scores; `format_page` makes the new one.

    Args:
        evaluation: The scores.
        settings: What the scores depend on.
        comparison: Intervals and differences, from `compare_methods`.
        output: Folder to write to.
        decimals: Metric name -> decimals in `table.md` and `table.tex`; `""` stands for all metrics.
        plain: Write `table.tex` for LaTeX without packages.

    Returns:
        The files written.

    Raises:
        OutputError: The folder contains scores that would be lost, or a file cannot be written; files written before
            are complete.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import name_methods
        >>> from hggt_data.tree.demo import write_demo
        >>> from hggt_eval import GroundTruth, compare_methods, score, write_reports
        >>> folder = Path(tempfile.mkdtemp())
        >>> _, test, _, bicubic, sharper = write_demo(folder)
        >>> methods = name_methods([(None, bicubic), (None, sharper)])
        >>> scored = score(methods, GroundTruth(dataset=test), metrics=["psnr"])
        >>> comparison = compare_methods(scored.evaluation)
        >>> files = write_reports(scored.evaluation, scored.settings, comparison, folder / "scores")
        >>> [path.name for path in files if path.parent == folder / "scores"]
        ['scores.json', 'scores.csv', 'comparison.csv', 'table.md', 'table.tex']
    """
    _require_scores(evaluation, settings)
    output = Path(output)
    require_nothing_lost(output, [method.name for method in evaluation.methods], settings)
    notes = [*list_notes(evaluation, settings, comparison), licence_note(settings)]
    tables = paper_tables(evaluation, comparison, decimals)
    texts = {
        output / SCORES_FILE: format_json(evaluation, settings, comparison),
        output / "scores.csv": format_csv(evaluation),
        output / "comparison.csv": format_comparison_csv(comparison),
        output / "table.md": format_markdown(tables, notes),
        output / "table.tex": format_latex(tables, notes, plain=plain),
    }
    for method in evaluation.methods:
        for file_name, metrics in _OFFICIAL_FILES.items():
            if set(metrics) <= {metric.name for metric in evaluation.metrics}:
                texts[output / method.name / file_name] = format_official(evaluation, method, metrics)
    try:
        (output / PAGE_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(output / PAGE_FILE, error) from error
    features = None
    if evaluation.sets is not None:  # before scores.json, which names it
        try:
            features = write_features(evaluation.sets, output)
        except OSError as error:
            raise _cannot_write(output / evaluation.sets.file_name, error) from error
    written = [_write(path, text) for path, text in texts.items()]
    remove_other_features(output, features)
    return written if features is None else [*written, features]


def _require_scores(evaluation: Evaluation, settings: Settings) -> None:
    advice = "that of `score` or `read_scores`, such as read_scores(FOLDER).{}"
    require_kind(Evaluation, advice.format("evaluation"), evaluation=evaluation)
    require_kind(Settings, advice.format("settings"), settings=settings)


def write_page(page: str, output: Path) -> Path:
    """Write `report.html` below `output` and return its path."""
    return _write(output / PAGE_FILE, page)


def _write(path: Path, text: str) -> Path:
    try:
        write_text(path, text)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written: {error.strerror or error}")


def require_no_other_results(output: Path, own: str, names: Iterable[str], others: Iterable[str]) -> None:
    """Check that a folder without the file `own` has none of the files to be written, and never one of `others`.

    `own` is written first, so it shows that the files beside it are of an earlier run.
    """
    found = [name for name in others if (output / name).exists()]
    if not (output / own).exists():
        found += [name for name in names if (output / name).exists()]
    if found:
        raise OutputError(
            f"{output} contains {format_examples(found)} of another command or program; choose another folder for "
            "`output`, or move the files away"
        )


def require_nothing_lost(output: Path, methods: Collection[str], settings: Settings) -> None:
    """Check that this run scores everything again that the folder's `scores.json` contains."""
    path = output / SCORES_FILE
    official = [f"{method}/{name}" for method in methods for name in _OFFICIAL_FILES]
    require_no_other_results(output, SCORES_FILE, (*REPORT_FILES, *official), (AGREEMENT_FILE,))
    if not path.exists():
        return
    try:
        existing = read_scores(path)
    except (MatchError, OSError) as error:
        raise OutputError(
            f"{error}. It would be overwritten; choose another folder for `output`, or move the file away"
        ) from error
    lost = [method.name for method in existing.evaluation.methods if method.name not in methods]
    lost += [metric.title for metric in existing.evaluation.metrics if metric.name not in settings.metrics]
    lost += ["label measures"] if existing.settings.label_measures and not settings.label_measures else []
    if lost:
        raise OutputError(
            f"{output} contains scores that would be lost: {', '.join(lost)}. Choose another folder for `output`, or "
            "move them away"
        )


def format_official(evaluation: Evaluation, method: MethodScores, metrics: Sequence[str]) -> str:
    """One of the official text files: PSNR and SSIM together, LPIPS, or DISTS.

    Source: the output of the official multi-GT scripts. Their mean of infinite PSNR is infinite; here means are over
    finite values.
    """
    titles = {metric.name: metric.title for metric in evaluation.metrics if metric.name in metrics}
    lines = ["", f"{'/'.join(titles.values())} for testing dataset: {method.name}."]
    for group in sorted(method.groups, key=lambda group: group.id):  # in the order of file names: 163 before 27
        lines.append(f"{group.id} {' '.join(_candidate_label(*item) for item in group.labels.items())}")
        for candidate, scores in group.positives.items():
            lines.append(f"{candidate} " + " ".join(f"{titles[m]}:{scores[m]:.4f}" for m in metrics))
        lines.append(" ".join(f"{titles[m]}-avg:{group.mean[m]:.4f}" for m in metrics))
    if method.groups:
        lines.append(" ".join(f"{titles[m]}-avg all:{method.mean[m]:.4f}" for m in metrics))
    lines += [f"left out, {fault.kind}: {printable(fault.message)}" for fault in method.faults]
    lines += [f"left out, {evaluation.why_left_out}: {group_id}" for group_id in evaluation.without_positives]
    return "\n".join(lines) + "\n"


def _candidate_label(candidate: str, label: Label | None) -> str:
    return f"{candidate}:{label.value if label else 'None'}"
