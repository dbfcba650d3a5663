"""What a run of `hggt-eval` prints and writes: a table on screen, the files of its output folder.

The official scripts' text files are equal to theirs to the byte, unless something was left out: then it is named at the
end. Every file is written whole or not at all.
"""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hggt_data.errors import OutputError
from hggt_data.files import write_text
from hggt_data.schema import Label
from hggt_eval.comparison import Comparison
from hggt_eval.metrics import require_metric
from hggt_eval.scores import Evaluation, MethodScores
from hggt_eval.scores_file import Settings, format_json
from hggt_eval.tables import (
    aligned,
    arrow_of,
    comparison_tables,
    format_comparison_csv,
    format_latex,
    format_markdown,
    format_text,
    measures_table,
    paper_tables,
)

# Official file -> the metrics it holds; it is written if all of them were computed.
_OFFICIAL_FILES = {"psnr_ssim.txt": ("psnr", "ssim"), "lpips.txt": ("lpips",), "dists.txt": ("dists",)}


def format_table(
    evaluation: Evaluation,
    settings: Settings,
    comparison: Comparison | None = None,
    decimals: Mapping[str, int] | None = None,
) -> str:
    """The methods' means as lines of text; arrows point to the better side; notes name what was left out.

    A comparison adds what it has beyond that: means over seeds, and differences to a baseline.
    """
    metrics = [require_metric(name) for name in evaluation.metrics]
    header = ["method", "groups", *(f"{m.title} {arrow_of(m.name)}" for m in metrics)]
    rows = [
        [method.name, str(len(method.groups)), *(f"{method.mean.get(m.name, math.nan):.4f}" for m in metrics)]
        for method in evaluation.methods
    ]
    lines = aligned([header, *rows])
    if settings.label_measures:
        lines += ["", format_text(measures_table(evaluation, decimals))]
    if comparison is not None:
        means, *differences = comparison_tables(comparison, decimals)
        over_seeds = [means] if any(summary.num_seeds > 1 for summary in comparison.summaries) else []
        for table in (*over_seeds, *differences):
            lines += ["", f"{table.title}:", format_text(table)]
    return "\n".join([*lines, *_notes(evaluation, settings)])


def write_reports(
    evaluation: Evaluation,
    settings: Settings,
    comparison: Comparison,
    output: Path,
    *,
    decimals: Mapping[str, int] | None = None,
    page: str | None = None,
) -> list[Path]:
    """Write all report files below `output`, making folders as needed.

    Official text files of an earlier run that this one does not write again go, so that a folder never mixes two runs:
    those of its methods and, by the `scores.json` that lies there, of earlier ones.

    Args:
        evaluation, settings, comparison: what to write.
        output: the folder.
        decimals: metric -> decimals in `table.md` and `table.tex`, see `decimals_of`.
        page: `report.html`, or null for none.

    Returns:
        The files written.

    Raises:
        OutputError: a file cannot be written; those before it are whole.
    """
    tables = paper_tables(evaluation, comparison, decimals, label_measures=settings.label_measures)
    texts = {
        output / "scores.json": format_json(evaluation, settings, comparison),
        output / "scores.csv": format_csv(evaluation),
        output / "comparison.csv": format_comparison_csv(comparison),
        output / "table.md": format_markdown(tables),
        output / "table.tex": format_latex(tables),
        **({output / "report.html": page} if page is not None else {}),
    }
    for method in evaluation.methods:
        for file_name, metrics in _OFFICIAL_FILES.items():
            if set(metrics) <= set(evaluation.metrics):
                texts[output / method.name / file_name] = format_official(evaluation, method, metrics)
    path = output / "scores.json"
    try:
        methods = {method.name for method in evaluation.methods} | _earlier_methods(path)
        stale = [output / method / name for method in sorted(methods) for name in _OFFICIAL_FILES]
        for path in (*stale, output / "report.html"):
            if path not in texts:
                path.unlink(missing_ok=True)
        for path, text in texts.items():
            write_text(path, text)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    return list(texts)


def format_csv(evaluation: Evaluation) -> str:
    """`scores.csv`: one row per restored image and positive, and one for the image alone where a metric looks at that.

    Negatives have the note `negative`; what was left out has a row with a note and no scores.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["method", "id", "candidate", *evaluation.metrics, "note"])
    blanks = [""] * len(evaluation.metrics)
    for method in evaluation.methods:
        for group in method.groups:
            rows = [(name, scores, "") for name, scores in group.positives.items()]
            rows += [(name, scores, "negative") for name, scores in group.negatives.items()]
            rows += [("", group.alone, "")] if group.alone else []
            for candidate, scores, note in rows:
                cells = [repr(scores[metric]) if metric in scores else "" for metric in evaluation.metrics]
                writer.writerow([method.name, group.id, candidate, *cells, note])
        for fault in method.faults:
            writer.writerow([method.name, fault.id or "", "", *blanks, f"{fault.kind}: {fault.message}"])
        for group_id in evaluation.without_positives:
            writer.writerow([method.name, group_id, "", *blanks, "no candidate is Positive"])
    return buffer.getvalue()


def format_official(evaluation: Evaluation, method: MethodScores, metrics: Sequence[str]) -> str:
    """One of the official text files, which hold the scores of PSNR and SSIM together, LPIPS, or DISTS.

    Source: what the official multi-GT scripts write. Theirs average infinite PSNR to infinity; here means are over
    finite values.
    """
    titles = {metric: require_metric(metric).title for metric in metrics}
    lines = ["", f"{'/'.join(titles.values())} for testing dataset: {method.name}."]
    for group in sorted(method.groups, key=lambda group: str(group.id)):  # as file names sort: 163 before 27
        lines.append(f"{group.id} {' '.join(_candidate_label(*item) for item in group.labels.items())}")
        for candidate, scores in group.positives.items():
            lines.append(f"{candidate} " + " ".join(f"{titles[m]}:{scores[m]:.4f}" for m in metrics))
        lines.append(" ".join(f"{titles[m]}-avg:{group.mean[m]:.4f}" for m in metrics))
    if method.groups:
        lines.append(" ".join(f"{titles[m]}-avg all:{method.mean[m]:.4f}" for m in metrics))
    lines += [f"left out, {fault.kind}: {fault.message}" for fault in method.faults]
    lines += [f"left out, no candidate is Positive: {group_id}" for group_id in evaluation.without_positives]
    return "\n".join(lines) + "\n"


def _earlier_methods(path: Path) -> set[str]:
    """The methods that an earlier run's `scores.json` names; none where it is not one of ours."""
    try:
        names = {str(method["name"]) for method in json.loads(path.read_bytes())["methods"]}
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return set()
    return {name for name in names if name.strip(".") and Path(name).name == name}  # else it leads elsewhere


def _candidate_label(candidate: str, label: Label | None) -> str:
    return f"{candidate}:{label.value if label else 'None'}"


def _notes(evaluation: Evaluation, settings: Settings) -> Iterator[str]:
    if settings.colour == "y":
        yield "PSNR and SSIM on luma (Y)."
    if evaluation.without_positives:
        names = ", ".join(map(str, evaluation.without_positives))
        yield f"{len(evaluation.without_positives)} of {evaluation.num_groups} groups left out, no Positive: {names}"
    for method in evaluation.methods:
        if method.faults:
            yield f"{method.name}: {len(method.faults)} left out:"
            yield from (f"  {fault.kind}: {fault.message}" for fault in method.faults)
        if method.num_swapped:
            share = f"{method.num_swapped} of {len(method.groups)} images"
            yield f"{method.name}: red and blue look exchanged in {share}; did OpenCV, which takes BGR, write RGB?"
        if method.num_infinite:
            counts = ", ".join(f"{count} {require_metric(name).title}" for name, count in method.num_infinite.items())
            yield f"{method.name}: infinite and not in the mean: {counts} (identical pictures)"
    if settings.skipped_metrics:
        titles = ", ".join(require_metric(name).title for name in settings.skipped_metrics)
        yield f"Left out, because what they need cannot be had: {titles}"
