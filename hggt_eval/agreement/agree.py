"""Do metrics agree with people? From a dataset and metrics, or scores of other programs, to files in one call."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hggt_data.errors import ImageError, MatchError, SettingsError
from hggt_data.groups import Group
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import show_progress
from hggt_data.ranges import CountOrNone, require_lists
from hggt_data.schema import ORIGINAL
from hggt_data.tree.aliases import join_pairs
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions
from hggt_eval.agreement.answers import Answers, read_answers, require_complete
from hggt_eval.agreement.files import Agreement, require_no_scores, write_agreement
from hggt_eval.agreement.pairs import Pair, list_contents, list_pairs
from hggt_eval.agreement.ranking import rank_metrics
from hggt_eval.ground_truth import GroundTruth
from hggt_eval.metrics import DEFAULT_METRICS, MetricSettings, SetMetric, metric_versions, parse_metrics, require_metric
from hggt_eval.metrics.comparer import BORDER_PX, Colour, Comparer, LoadedMetric, NoReference
from hggt_eval.metrics.load import choose_device, load_metrics
from hggt_eval.protocol import find_same_pictures
from hggt_eval.scored import prepare_folder


def agree(
    dataset: str | Path,
    metrics: Sequence[str] | str | None = None,
    scores: Sequence[str | Path] = (),
    *,
    lower_is_better: Sequence[str] = (),
    higher_is_better: Sequence[str] = (),
    trained: Sequence[str] = (),
    ties: Literal["left-out", "calibrated"] = "left-out",
    split: str | None = None,
    revision: str | None = None,
    table: TableOptions = NO_TABLE_OPTIONS,
    border: CountOrNone = BORDER_PX,
    colour: Colour = "rgb",
    device: str = "auto",
    weights_dir: str | Path | None = None,
    output: str | Path | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Agreement:
    """Measure how often metrics prefer the version that people prefer.

    Full-reference metrics compare candidates with their original.

    Args:
        dataset: Built dataset or tree with people's votes, or ORG/NAME on the Hub.
        metrics: Metrics to compute on the candidates.  [default: psnr,ssim,lpips,dists, or none with `scores`]
        scores: CSV file with scores of other programs: group,version,METRIC,... or, for metrics that compare two
            versions, group,first,second,metric,score with scores from 0 (the second is better) to 1; repeatable.
        lower_is_better: Metrics of `scores` of which lower is better, unless their names are known.
        higher_is_better: Metrics of `scores` of which higher is better, unless their names are known.
        trained: Metrics that were trained on these data; tables mark them.
        ties: Human ties are left out of accuracies; `calibrated` adds an accuracy that counts them, with a threshold
            for equal scores that is chosen on other source pictures.
        split: Split of the dataset.  [default: test]
        revision: Tag, branch or commit of a dataset on the Hub.
        table: Where a table of votes and its pictures are, and what its words mean.
        border: Pixels cut off each side before any metric is computed.
        colour: Compute PSNR and SSIM on BT.601 luma instead of RGB.
        device: Device for networks: auto (a GPU if available), cpu, cuda, cuda:1.
        weights_dir: Folder with ImageNet weights, as for `score`.
        output: Folder for agree.json, table.md, table.tex and report.html.
        log: Receives a line for each metric left out.

    Returns:
        The rankings.

    Raises:
        SettingsError: A metric's direction is unknown, a name occurs twice, or the output is inside the data.
        MatchError: The data have no votes that compare versions.
        TableError: A file of scores is faulty or incomplete.
        WeightsError: No metric is left.
        ImageError: A picture is damaged or too small, or a metric is undefined for it.

    Example:
        >>> import tempfile
        >>> from hggt_data import write_demo_tree
        >>> from hggt_eval import agree
        >>> found = agree(write_demo_tree(tempfile.mkdtemp()).train, metrics="psnr")
        >>> [(ranking.evidence, [row.name for row in ranking.metrics]) for ranking in found.rankings]
        [('judged', []), ('inferred', ['psnr'])]
    """
    require_lists(scores=scores, lower_is_better=lower_is_better, higher_is_better=higher_is_better, trained=trained)
    if isinstance(metrics, str):
        metrics = parse_metrics(metrics)
    elif metrics is None:
        metrics = () if scores else DEFAULT_METRICS
    require_lists(metrics=metrics)
    if of_sets := [name for name in metrics if isinstance(require_metric(name), SetMetric)]:
        raise SettingsError(f"{', '.join(of_sets)} compares sets, and has no value for a picture; choose others")
    if both := set(lower_is_better) & set(higher_is_better):
        raise SettingsError(f"{', '.join(sorted(both))}: in `lower_is_better` and in `higher_is_better`; name it once")
    truth = GroundTruth(dataset=dataset, split=split, revision=revision, table=table)
    truth.require_apart(output=output)
    if output is not None:
        require_no_scores(Path(output))
        prepare_folder(Path(output))
    source = truth.open()
    same_pictures = join_pairs(find_same_pictures(source))
    true_name = {name: names[0] for names in same_pictures for name in names}
    groups = list(source)
    pairs = [pair for group in groups for pair in list_pairs(group, true_name.get(group.image_name, group.image_name))]
    if not pairs:
        raise MatchError(
            f"{source.location} has no votes that compare versions: no label that two people agree on, and no votes on "
            "pairs"
        )
    notes = [f"Source pictures that count as one: {' = '.join(names)}." for names in same_pictures]
    found: list[Answers] = []
    for path in map(Path, scores):
        read, remarks = read_answers(path, source, lower_is_better, higher_is_better)
        require_complete(path, read, pairs)
        found += read
        notes += remarks
    known = [answers.name for answers in found]
    if twice := sorted({name for name in (*known, *metrics) if (*known, *metrics).count(name) > 1}):
        raise SettingsError(f"metric {', '.join(twice)} occurs twice; expected each in one of `scores` or `metrics`")
    named = {"lower_is_better": lower_is_better, "higher_is_better": higher_is_better, "trained": trained}
    for parameter, names in named.items():
        if strange := set(names) - {*known, *metrics}:
            raise SettingsError(f"`{parameter}` names {', '.join(sorted(strange))}; expected metrics that are ranked")
    settings: dict[str, Any] = {
        "source": truth.describe(source),
        "split": truth.opened_split,
        "scores": [str(path) for path in scores],
    }
    if metrics:
        chosen = choose_device(device, metrics)
        metric_settings = MetricSettings(
            border, colour, device=chosen, weights_dir=None if weights_dir is None else Path(weights_dir)
        )
        loaded, skipped = load_metrics(metrics, metric_settings, log)
        notes += [f"{name} was left out: {reason}." for name, reason in skipped.items()]
        found += _compute(loaded, groups, pairs)
        settings |= {
            "border": border,
            "colour": colour,
            "device": chosen,
            "weights_sha256": {name: sha256 for metric in loaded for name, sha256 in metric.weights_sha256.items()},
            "versions": metric_versions([require_metric(metric.name) for metric in loaded]),
        }
    contents = [content for group in groups for content in list_contents(group)]
    rankings = rank_metrics(pairs, contents, found, calibrate=ties == "calibrated")
    with_pairs = {pair.group for pair in pairs}
    if pairless := [group.id for group in groups if group.id not in with_pairs]:
        notes.append(f"{len(pairless)} of {len(groups)} groups have no such pairs: {format_examples(pairless)}.")
    agreement = Agreement(
        tuple(rankings), source.labels_sha256(), settings, tuple(notes), tuple(trained), source.license
    )
    if output is not None:
        write_agreement(agreement, Path(output))
    return agreement


def _compute(metrics: Sequence[LoadedMetric], groups: Sequence[Group], pairs: Sequence[Pair]) -> list[Answers]:
    """The scores of all versions that pairs need; full-reference metrics compare candidates with the original."""
    needed: dict[str, dict[str, None]] = {}
    for pair in pairs:
        needed.setdefault(pair.group, {}).update(dict.fromkeys((pair.first, pair.second)))
    found = [Answers(metric.name, require_metric(metric.name).higher_is_better) for metric in metrics]
    if any(isinstance(metric, Comparer) for metric in metrics):
        for names in needed.values():
            names[ORIGINAL] = None
    judged = [group for group in groups if group.id in needed]
    _require_pictures(judged, needed)
    shown = show_progress(judged, len(judged), "rating") if sys.stderr.isatty() else judged
    for group in shown:
        pixels = {name: group.read(name) for name in needed[group.id]}
        for metric, answers in zip(metrics, found, strict=True):
            own = [name for name in needed[group.id] if name != ORIGINAL or isinstance(metric, NoReference)]
            try:
                if isinstance(metric, Comparer):
                    original = metric.describe(pixels[ORIGINAL])
                    values = [metric.compare(metric.describe(pixels[name]), original) for name in own]
                else:
                    assert isinstance(metric, NoReference)
                    values = [metric.rate(pixels[name]) for name in own]
            except ImageError as error:
                raise ImageError(f"group {group.id}: {error}") from error
            for name, value in zip(own, values, strict=True):
                if math.isnan(value):
                    raise ImageError(f"{group.name_picture(name)}: {metric.name} is NaN; leave the metric out")
                answers.scores[group.id, name] = value
    return found


def _require_pictures(groups: Sequence[Group], needed: Mapping[str, Iterable[str]]) -> None:
    """Check that all pictures exist, before the first is rated."""
    missing = [f"{name} of {group.id}" for group in groups for name in needed[group.id] if not group.has_picture(name)]
    if missing:
        raise MatchError(
            f"{plural(len(missing), 'picture')} of {groups[0].source.location} that the metrics need do not exist: "
            f"{format_examples(missing)}; full-reference metrics compare with the original, others need the versions "
            "that people judged"
        )
