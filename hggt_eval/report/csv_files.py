"""`scores.csv` and `comparison.csv`: all numbers unrounded, for other programs."""

import io

from hggt_data.io.files import csv_writer
from hggt_eval.report.tables import count_images
from hggt_eval.scores.comparison import Comparison
from hggt_eval.scores.evaluation import Evaluation

_CSV_COLUMNS = (
    *("method", "metric", "mean", "low", "high", "seeds", "deviation", "groups", "source_pictures"),
    *("infinite_groups", "missing_groups"),
    *("baseline", "difference", "difference_low", "difference_high", "p", "p_holm"),
    *("paired_groups", "paired_source_pictures", "effective_source_pictures", "paired_effective_source_pictures"),
    "patches",
)


def format_csv(evaluation: Evaluation) -> str:
    """`scores.csv`: one row per restored image and positive, and one for its no-reference scores, if any.

    A metric of sets has a row of its own for each method, without an id. Negatives have the note `negative`; whatever
    was left out has a row with a note and no scores.
    """
    buffer = io.StringIO()
    write_line = csv_writer(buffer)
    metrics = [metric.name for metric in evaluation.metrics]
    write_line(["method", "id", "candidate", *metrics, "note"])
    blanks = [""] * len(metrics)
    for method in evaluation.methods:
        for group in method.groups:
            rows = [(name, scores, "") for name, scores in group.positives.items()]
            rows += [(name, scores, "negative") for name, scores in group.negatives.items()]
            rows += [("", group.alone, "")] if group.alone else []
            for candidate, scores, note in rows:
                cells = [repr(scores[metric]) if metric in scores else "" for metric in metrics]
                write_line([method.name, group.id, candidate, *cells, note])
        for metric, distance in evaluation.distances[method.name].items():
            cells = [repr(distance.value) if name == metric else "" for name in metrics]
            write_line([method.name, "", "", *cells, f"set {count_images(distance.num_images, distance.num_patches)}"])
        for fault in method.faults:
            write_line([method.name, fault.id or "", "", *blanks, f"{fault.kind}: {fault.message}"])
        for group_id in evaluation.without_positives:
            write_line([method.name, group_id, "", *blanks, evaluation.why_left_out])
    return buffer.getvalue()


def format_comparison_csv(comparison: Comparison) -> str:
    """`comparison.csv`: one row per method and metric, unrounded; missing values are empty."""
    buffer = io.StringIO()
    write_line = csv_writer(buffer)
    write_line(_CSV_COLUMNS)
    differences = {(d.method, d.metric): d for d in comparison.differences}
    for s in comparison.summaries:
        row = [s.method, s.metric, s.mean, s.low, s.high, s.num_seeds, s.deviation, s.num_groups, s.num_pictures]
        row += [s.num_infinite, s.num_missing]
        if d := differences.get((s.method, s.metric)):
            row += [d.baseline, d.mean, d.low, d.high, d.p_value, d.p_holm, d.num_groups, d.num_pictures]
        else:
            row += [None] * 8
        row += [s.effective_pictures, d.effective_pictures if d else None, s.num_patches or None]
        write_line("" if value is None or value != value else value for value in row)
    return buffer.getvalue()
