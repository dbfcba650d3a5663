"""What readers of scores must know besides the numbers: what was left out, and what looks wrong.

Every output of a run carries these notes, so that no table is separated from them.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from hggt_data.io.names import tell_apart
from hggt_data.io.text import format_examples, printable
from hggt_data.licence import describe_license
from hggt_eval.metrics import SET_METRICS, SetMetric, title_of
from hggt_eval.metrics.comparer import BORDER_PX
from hggt_eval.scores.comparison import Comparison
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings

_NUM_FEATURES = 2048


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence, and the items that it counts; both are made printable, as they name files."""

    text: str
    details: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable(self.text))
        object.__setattr__(self, "details", tuple(map(printable, self.details)))


def list_notes(evaluation: Evaluation, settings: Settings, comparison: Comparison | None) -> list[Note]:
    """All notes of a run; those about methods are in the order of the methods."""
    between = [] if comparison is None else _between_methods(evaluation, comparison)
    return [*_of_run(evaluation, settings), *_of_methods(evaluation), *between]


def licence_note(settings: Settings) -> Note:
    """The licence of the pictures, which every report names."""
    return Note(f"Licence of the pictures: {describe_license(settings.license)}.")


def _of_run(evaluation: Evaluation, settings: Settings) -> Iterator[Note]:
    if settings.protocol != "custom":
        yield Note(f"Scored by the protocol {settings.protocol}.")
    if settings.border != BORDER_PX:
        yield Note(f"Border of {settings.border} pixels instead of {BORDER_PX}.")
    if settings.colour == "y":
        yield Note("PSNR and SSIM on luma (Y).")
    if settings.aggregation == "best":
        yield Note("A group counts with its best ground truth, not with the mean over them.")
    if settings.gt:
        number = f" ({len(settings.gt)} folders)" if len(settings.gt) > 1 else ""
        yield Note(f"The ground truths are pictures without labels{number}.")
    elif settings.no_gt:
        yield Note("No ground truths: each restored image is rated alone.")
    elif evaluation.against_originals:
        yield Note("The data has no labels: restored images are compared with the originals, not with positives.")
    if evaluation.without_positives:
        names = ", ".join(map(str, evaluation.without_positives))
        yield Note(
            f"{len(evaluation.without_positives)} of {evaluation.num_groups} groups left out, as "
            f"{evaluation.why_left_out}: {names}"
        )
    if evaluation.same_pictures:
        shown = format_examples([" = ".join(tell_apart(names)) for names in evaluation.same_pictures])
        yield Note(f"Source pictures with equal pixels, or names that look the same, count as one: {shown}")
    yield from _of_sets(evaluation)
    if settings.other_weights:
        named = ", ".join(f"{title_of(name)} ({file})" for name, file in settings.other_weights.items())
        yield Note(
            f"Computed with weights other than the published ones, so not comparable with published scores: {named}"
        )
    if settings.skipped_metrics:
        titles = ", ".join(title_of(name) for name in settings.skipped_metrics)
        yield Note(f"Metrics left out, as their weights or packages are not available: {titles}")


def _of_sets(evaluation: Evaluation) -> Iterator[Note]:
    """What to know of FID."""
    metrics = [m for m in evaluation.metrics if isinstance(m, SetMetric) and m.distance == "fid"]
    titles = {
        metric.title: None
        for metric in metrics
        for own in evaluation.distances.values()
        if metric.name in own and (own[metric.name].num_patches or own[metric.name].num_images) <= _NUM_FEATURES
    }
    if titles:
        yield Note(
            f"{', '.join(titles)}: N is not above the {_NUM_FEATURES:,} features, so covariances are singular and the "
            "value is too large; it falls as N grows, so compare only values of equal N"
        )


def _of_methods(evaluation: Evaluation) -> Iterator[Note]:
    for method in evaluation.methods:
        if method.faults:
            details = tuple(f"{fault.kind}: {fault.message}" for fault in method.faults)
            yield Note(f"{method.name}: {len(method.faults)} left out:", details)
        if flat := [group.file for group in method.groups if group.is_flat]:
            share = f"{len(flat)} of {len(method.groups)} images"
            yield Note(f"{method.name}: nothing but a single colour in {share}: {format_examples(flat)}")
        if cropped := [group.file for group in method.groups if group.is_cropped]:
            share = f"{len(cropped)} of {len(method.groups)} images"
            shown = format_examples(cropped)
            yield Note(f"{method.name}: {share} or their ground truths are cropped to the size that both have: {shown}")
        if method.num_swapped:
            share = f"{method.num_swapped} of {len(method.groups)} images"
            yield Note(
                f"{method.name}: red and blue appear to be swapped in {share}; was it written by OpenCV, which expects "
                "BGR?"
            )
        if method.num_infinite:
            counts = ", ".join(f"{count} {title_of(name)}" for name, count in method.num_infinite.items())
            yield Note(f"{method.name}: infinite scores left out of the mean: {counts} (identical pictures)")


def _between_methods(evaluation: Evaluation, comparison: Comparison) -> Iterator[Note]:
    for method in comparison.methods:
        summary = comparison.summary(method, evaluation.metrics[0].name)
        if summary.num_missing and summary.metric not in SET_METRICS:
            num_groups = summary.num_groups + summary.num_infinite
            total = num_groups + summary.num_missing
            yield Note(f"{method}: not ranked, as its mean is over {num_groups} of {total} groups")
        for own in comparison.summaries:
            if own.method == method and own.metric in SET_METRICS and own.num_missing:
                known = own.num_groups + own.num_missing
                yield Note(
                    f"{method}: {title_of(own.metric)} is not ranked, as its set has {own.num_groups} of {known} images"
                )
    same: dict[frozenset[tuple[str, str]], list[str]] = defaultdict(list)
    for scored in evaluation.methods:
        same[frozenset((group.id, group.sha256) for group in scored.groups)].append(scored.name)
    for images, names in same.items():
        if len(names) > 1 and images:
            yield Note(f"{' and '.join(names)}: all images are identical")
