"""From folders of restored images to scores in one call: what `hggt-eval score` does before it writes and prints."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hggt_data.errors import SettingsError
from hggt_data.io.workers import Processes
from hggt_data.ranges import CountOrNone, require_kind, require_lists
from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import Method, require_distinct
from hggt_eval.device_check import compare_with_cpu
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.ground_truth import GroundTruth
from hggt_eval.metrics import (
    MetricSettings,
    metric_versions,
    parse_metrics,
    require_metric,
)
from hggt_eval.metrics.comparer import Colour
from hggt_eval.metrics.load import choose_device, load_metrics
from hggt_eval.metrics.protocols import CUSTOM, choose_protocol
from hggt_eval.protocol import evaluate
from hggt_eval.report.files import require_nothing_lost
from hggt_eval.scored import Scored, prepare_folder
from hggt_eval.scores.comparison import group_seeds
from hggt_eval.scores.file import Settings, what_scores_depend_on
from hggt_eval.scores.journal import Journal, read_features


def score(
    methods: Sequence[Method] | Mapping[str, str | Path],
    ground_truth: GroundTruth | None = None,
    *,
    dataset: str | Path | None = None,
    metrics: Sequence[str] | str | None = None,
    protocol: str | Path | None = None,
    border: CountOrNone | None = None,
    colour: Colour | None = None,
    suffix: str | None = None,
    device: str = "auto",
    weights_dir: str | Path | None = None,
    output: str | Path | None = None,
    cache: str | Path | None = None,
    label_measures: bool = False,
    allow_missing: bool = False,
    processes: Processes | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Scored:
    """Match restored images to groups, and score them against every positive or given ground truth.

    Args:
        methods: Methods with distinct names, from `name_methods` or `read_methods`; or names with the folders of their
            restored images.
        ground_truth: What to score against.
        dataset: Short for GroundTruth(dataset=...).
        metrics: Metrics to compute, listed below; those whose weights are not available are left out.
            [default: psnr,ssim,lpips,dists, or niqe with `no_gt`]
        protocol: Border, colour, metrics and averaging of a paper or program (hggt, osediff, invsr, basicsr), or of a
            TOML file. `metrics` can choose some of its metrics.
        border: Pixels cut off each side before any metric is computed. [default: 4]
        colour: Compute PSNR and SSIM on BT.601 luma instead of RGB.
        suffix: Suffix of the restored images' names; only ID_SUFFIX.png and IDSUFFIX.png are scored.
        device: Device for networks: auto (a GPU if available), cpu, cuda, cuda:1.
        weights_dir: Folder with ImageNet weights: torchvision's alexnet-owt-7be5be79.pth and vgg16-397923af.pth, or
            alexnet_features.pth and vgg16_features.pth; for KID and FID pt_inception-2015-12-05-6726825d.pth. Weights
            missing there are read from torch's cache or downloaded.
        output: Folder for scores.json, scores.csv, comparison.csv, table.md, table.tex, report.html and NAME/*.txt. An
            interrupted run resumes there; scores of other methods are not overwritten.
        cache: Folder for features of the ground truths, which later runs reuse: 11 MB (LPIPS) and 127 MB (DISTS) per
            512 x 512 picture.
        label_measures: Also report the best positive, the distance to negatives, whether a positive or a negative is
            closer, and scores by agreement of the annotators.
        allow_missing: Leave out missing, ambiguous and unusable restored images; every output lists them.
        processes: Processes that share the work [default: those of the environment]. Each gets all scores.
        log: Receives a line for each metric left out, and for scores resumed from an interrupted run.

    Returns:
        The scores, what they depend on, and the open groups.

    Raises:
        SettingsError: An argument is out of range or of another kind, or the output is inside the data.
        MatchError: Files and groups do not match; all faults are listed.
        DeviceError: The device cannot be used.
        PrecisionError: The device's scores differ from the CPU's.
        WeightsError: No metric is left.
        DamagedWeightsError: Weights were found but are damaged.
        OutputError: The output or cache cannot be written to, or contains scores that would be lost.
        ImageError: A picture is damaged or too small.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data.tree.demo import write_demo
        >>> from hggt_eval import score
        >>> _, test, _, bicubic, sharper = write_demo(Path(tempfile.mkdtemp()))
        >>> scored = score({"bicubic": bicubic, "sharper": sharper}, dataset=test, metrics="psnr")
        >>> print(scored.table())
        method   groups   PSNR ↑
        bicubic       6  22.6010
        sharper       6  22.9046
        >>> round(scored.compare(baseline="bicubic").differences[0].mean, 2)
        0.3
    """
    if isinstance(methods, Mapping):
        methods = [Method(name, folder) for name, folder in methods.items()]
    if dataset is not None:
        if ground_truth is not None:
            raise SettingsError("`dataset` cannot be combined with `ground_truth`; pass GroundTruth(dataset=...) alone")
        ground_truth = GroundTruth(dataset=dataset)
    require_kind(GroundTruth, "such as GroundTruth(dataset=FOLDER); or pass `dataset`", ground_truth=ground_truth)
    assert ground_truth is not None
    if isinstance(metrics, str):
        metrics = parse_metrics(metrics)
    require_lists(methods=methods, metrics=metrics or ())
    for method in methods:
        require_kind(Method, "that of `name_methods` or `read_methods`", methods=method)
    require_distinct(methods)
    followed, metrics = choose_protocol(protocol, metrics, border, colour, with_ground_truths=not ground_truth.no_gt)
    processes = processes or Processes.from_environment()
    output, cache, weights_dir = (None if path is None else Path(path) for path in (output, cache, weights_dir))
    metric_settings = MetricSettings(followed.border, followed.colour, weights_dir=weights_dir)
    names = [method.name for method in methods]
    group_seeds(names)
    ground_truth.require_apart(output=output, cache=cache)
    source = ground_truth.open(methods, suffix)
    found = match_restored(
        methods,
        source,
        suffix=suffix,
        allow_missing=allow_missing,
        negatives=label_measures,
        common_size=followed.sizes == "common" and not ground_truth.no_gt,
    )
    if output is not None:
        prepare_folder(output)
    chosen = choose_device(device, metrics)
    loaded, skipped = load_metrics(metrics, replace(metric_settings, device=chosen), log)
    differences = compare_with_cpu(loaded, source, found)
    scored_metrics = tuple(metric.name for metric in loaded)
    settings = Settings(
        metrics=scored_metrics,
        protocol=followed.name,
        protocol_sha256=None if followed.name == CUSTOM else followed.sha256,
        aggregation=followed.aggregation,
        sizes=followed.sizes,
        skipped_metrics=skipped,
        border=followed.border,
        colour=followed.colour,
        device=chosen.partition(":")[0] if device in ("auto", "cuda") else chosen,
        differences_to_cpu=differences,
        source=ground_truth.describe(source),
        split=ground_truth.opened_split,
        labels=None if ground_truth.labels is None else str(ground_truth.labels),
        gt=tuple(map(str, ground_truth.gt)),
        no_gt=ground_truth.no_gt,
        restored={method.name: str(method.folder) for method in methods},
        suffix=suffix,
        allow_missing=allow_missing,
        label_measures=label_measures,
        labels_sha256=source.labels_sha256(),
        license=source.license,
        weights_sha256={name: sha256 for metric in loaded for name, sha256 in metric.weights_sha256.items()},
        other_weights={metric.name: metric.other_weights for metric in loaded if metric.other_weights},
        versions=metric_versions([require_metric(name) for name in scored_metrics]),
    )
    journal = None if output is None else Journal(output, what_scores_depend_on(settings), processes.rank)
    if output is not None:
        require_nothing_lost(output, names, settings)
    if journal is not None and journal.num_found and processes.leads:
        log(f"Resuming: {journal.num_found} images were scored before.")
    evaluation = evaluate(
        source,
        found,
        loaded,
        negatives=label_measures,
        aggregation=followed.aggregation,
        sizes=followed.sizes,
        cache=None if cache is None else FeatureCache(cache),
        known_features=None if output is None else read_features(output, settings),
        journal=journal,
        processes=processes,
        allow_missing=allow_missing,
        progress=processes.leads and sys.stderr.isatty(),
    )
    return Scored(evaluation, settings, source, journal)
