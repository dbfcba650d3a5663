"""From folders of restored images to scores in one call: what `hggt-eval score` does before it writes and prints."""

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hggt_data.dataset.manifest import is_built_dataset
from hggt_data.errors import OutputError, SettingsError, WeightsError
from hggt_data.groups import GroupSource
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.workers import Processes
from hggt_data.loading import open_groups, open_tree_folders, split_or_default
from hggt_data.ranges import CountOrNone, require_kind, require_lists
from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import Method, require_distinct
from hggt_data.tree.picture_folders import NamesOnly, PictureFolders, find_pictures
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions
from hggt_eval.device_check import compare_with_cpu
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics import (
    DEFAULT_METRICS,
    NO_REFERENCE,
    FullReferenceMetric,
    MetricSettings,
    NoReferenceMetric,
    metric_versions,
    parse_metrics,
    require_metric,
)
from hggt_eval.metrics.comparer import BORDER_PX, Colour, LoadedMetric
from hggt_eval.metrics.protocols import CUSTOM, find_protocol
from hggt_eval.protocol import evaluate
from hggt_eval.report.files import format_table, require_nothing_lost
from hggt_eval.report.formats import format_html
from hggt_eval.report.notes import list_notes
from hggt_eval.report.report import report_scores
from hggt_eval.report.tables import comparison_tables
from hggt_eval.scores.comparison import Comparison, compare_methods, group_seeds
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings, what_scores_depend_on
from hggt_eval.scores.journal import Journal


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundTruth:
    """What restored images are scored against: a dataset, the two folders of a tree, folders of pictures, or nothing.

    Attributes:
        dataset: Built dataset or official tree to score against, or ORG/NAME on the Hub.
        gts: Folder with original/, 01/ to 04/, instead of `dataset`.
        labels: Folder with A/, B/, C/, for `gts`.
        gt: Folder of ground truths without labels, instead of `dataset`; repeatable, for several ground truths per
            picture. Their names without the ending, and without an underscored part that all share, are those of the
            restored images.
        no_gt: Compare with nothing, and compute no-reference metrics only.
        split: Split of the dataset. [default: test]
        revision: Tag, branch or commit of a dataset on the Hub.
        table: Where a table of votes and its pictures are, and what its words mean, for a tree as `dataset`.

    Raises:
        SettingsError: The parameters contradict each other.

    Example:
        >>> from hggt_eval import GroundTruth
        >>> GroundTruth(gts="Test/images", labels="Test/labels").split is None
        True
    """

    dataset: str | Path | None = None
    gts: str | Path | None = None
    labels: str | Path | None = None
    split: str | None = None
    revision: str | None = None
    table: TableOptions = NO_TABLE_OPTIONS
    gt: Sequence[str | Path] = ()
    no_gt: bool = False

    def __post_init__(self) -> None:
        ways = {
            "`dataset`": self.dataset is not None,
            "`gts` and `labels`": self.gts is not None or self.labels is not None,
            "`gt`": bool(self.gt),
            "`no_gt`": self.no_gt,
        }
        chosen = [way for way, is_chosen in ways.items() if is_chosen]
        if len(chosen) > 1:
            raise SettingsError(f"{chosen[0]} cannot be combined with {chosen[1]}; pass one or the other")
        if not chosen:
            raise SettingsError(f"no ground truths; pass one of {', '.join(ways)}")
        if isinstance(self.gt, str | Path):
            raise SettingsError(f"`gt` is {str(self.gt)!r}; expected a list of folders, such as [{str(self.gt)!r}]")
        if ways["`gts` and `labels`"] and (self.gts is None or self.labels is None):
            given, absent = ("gts", "labels") if self.labels is None else ("labels", "gts")
            raise SettingsError(f"`{given}` requires `{absent}`")
        if not self.table.is_default and self.dataset is None:
            raise SettingsError("the options of tables of votes require `dataset`")
        if self.split is not None and self.dataset is None:
            raise SettingsError("`split` requires `dataset`; a tree has no splits")
        if self.revision is not None and (self.dataset is None or not is_hub_id(str(self.dataset))):
            raise SettingsError("`revision` requires a `dataset` on the Hub (ORG/NAME)")

    def require_apart(self, **folders: str | Path | None) -> None:
        """Check that nothing is written among the data, where the next build would report it as unknown files."""
        inputs = [Path(place) for place in (self.dataset, self.gts, self.labels, *self.gt) if place is not None]
        for name, folder in folders.items():
            if folder is None:
                continue
            around = [place for place in inputs if Path(folder).resolve().is_relative_to(place.resolve())]
            if around or is_built_dataset(Path(folder)):
                place = around[0] if around else "a built dataset"
                raise SettingsError(f"`{name}` {folder} is inside {place}; choose another folder")

    @property
    def opened_split(self) -> str | None:
        """The split that is opened; None for a tree."""
        return None if self.dataset is None else split_or_default(str(self.dataset), self.split, "test", self.table)

    def open(self, methods: Sequence[Method] = (), suffix: str | None = None) -> GroupSource:
        """Open the groups; raises the errors of `open_groups`.

        Without ground truths, the pictures of the first method with a plain folder are the groups.
        """
        if self.gt:
            return PictureFolders([Path(folder).absolute() for folder in self.gt])
        if self.no_gt:
            plain = next((one for one in methods if one.pattern is None and one.map_file is None), None)
            if plain is None:
                raise SettingsError(
                    "`no_gt` requires a method without pattern and map, whose names are those of the groups"
                )
            return NamesOnly(find_pictures(plain.folder, suffix))
        if self.dataset is not None:
            return open_groups(self.dataset, self.opened_split, revision=self.revision, table=self.table)
        assert self.gts is not None
        assert self.labels is not None
        return open_tree_folders(Path(self.gts), Path(self.labels))

    def describe(self, source: GroupSource) -> str:
        """The name to record: as the user gave it, with the commit if it is on the Hub."""
        if self.gt or self.no_gt:
            return ", ".join(map(str, self.gt)) or "none"
        return (
            source.location
            if self.dataset is not None and is_hub_id(str(self.dataset))
            else str(self.dataset or self.gts)
        )


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
        """All scores, one dictionary each: method, group, metric, value (the mean over the group's positives)."""
        return [
            {"method": method.name, "group": group.id, "metric": metric, "value": value}
            for method in self.evaluation.methods
            for group in method.groups
            for metric, value in group.mean.items()
        ]

    def compare(self, baseline: str | None = None) -> Comparison:
        """Intervals of all means and, with a baseline, differences from it; see `compare_methods`."""
        return compare_methods(self.evaluation, baseline)

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
        html = format_html(comparison_tables(comparison), list_notes(self.evaluation, self.settings, comparison))
        return f'<div class="hggt-scores"><style>{_NOTEBOOK_STYLE}</style>{html}</div>'


_NOTEBOOK_STYLE = ".hggt-scores .best { font-weight: bold } .hggt-scores .second { text-decoration: underline }"


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
        protocol: Border, colour and metrics of a paper, hggt or osediff, or of a TOML file. `metrics` can choose some
            of its metrics.
        border: Pixels cut off each side before any metric is computed. [default: 4]
        colour: Compute PSNR and SSIM on BT.601 luma instead of RGB.
        suffix: Suffix of the restored images' names; only ID_SUFFIX.png and IDSUFFIX.png are scored.
        device: Device for networks: auto (a GPU if available), cpu, cuda, cuda:1.
        weights_dir: Folder with ImageNet weights: torchvision's alexnet-owt-7be5be79.pth and vgg16-397923af.pth, or
            alexnet_features.pth and vgg16_features.pth. Weights missing there are read from torch's cache or
            downloaded.
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
    followed = None if protocol is None else find_protocol(protocol)
    if followed is not None:
        if border is not None or colour is not None:
            given = "border" if colour is None else "colour"
            raise SettingsError(f"`{given}` is set by the protocol {followed.name}; leave it out")
        border, colour = followed.border, followed.colour
        if metrics is None and ground_truth.no_gt:
            metrics = [name for name in followed.metrics if isinstance(require_metric(name), NoReferenceMetric)]
        metrics = followed.choose(metrics)
    elif metrics is None:
        metrics = ("niqe",) if ground_truth.no_gt else DEFAULT_METRICS
    border, colour = BORDER_PX if border is None else border, colour or "rgb"
    for method in methods:
        require_kind(Method, "that of `name_methods` or `read_methods`", methods=method)
    processes = processes or Processes.from_environment()
    output, cache, weights_dir = (None if path is None else Path(path) for path in (output, cache, weights_dir))
    metric_settings = MetricSettings(border, colour, weights_dir=weights_dir)
    require_distinct(methods)
    if ground_truth.no_gt:
        _require_no_reference(metrics)
    names = [method.name for method in methods]
    group_seeds(names)
    ground_truth.require_apart(output=output, cache=cache)
    source = ground_truth.open(methods, suffix)
    found = match_restored(methods, source, suffix=suffix, allow_missing=allow_missing, negatives=label_measures)
    if output is not None:
        prepare_folder(output)
    chosen = choose_device(device, metrics)
    loaded, skipped = load_metrics(metrics, replace(metric_settings, device=chosen), log)
    differences = compare_with_cpu(loaded, source, found)
    scored_metrics = tuple(metric.name for metric in loaded)
    settings = Settings(
        metrics=scored_metrics,
        protocol=CUSTOM if followed is None else followed.name,
        protocol_sha256=None if followed is None else followed.sha256,
        skipped_metrics=skipped,
        border=border,
        colour=colour,
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
    if journal is not None and journal.num_found and processes.leads:
        log(f"Resuming: {journal.num_found} images were scored before the interruption.")
    if output is not None:
        require_nothing_lost(output, names, settings)
    evaluation = evaluate(
        source,
        found,
        loaded,
        negatives=label_measures,
        cache=None if cache is None else FeatureCache(cache),
        journal=journal,
        processes=processes,
        allow_missing=allow_missing,
        progress=processes.leads and sys.stderr.isatty(),
    )
    return Scored(evaluation, settings, source, journal)


def prepare_folder(output: Path) -> None:
    """Create a folder and check now, not after an hour of scoring, that it can be written to."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output).close()  # permissions alone do not show it
    except OSError as error:
        raise OutputError(f"{output}: cannot be created or written to: {error.strerror}") from error


def _require_no_reference(metrics: Sequence[str]) -> None:
    """Check that no metric needs a ground truth."""
    compared = [name for name in metrics if isinstance(require_metric(name), FullReferenceMetric)]
    if compared:
        raise SettingsError(
            f"{', '.join(compared)} {'compares' if len(compared) == 1 else 'compare'} with ground truths, which "
            f"`no_gt` excludes; pass no-reference `metrics` such as {', '.join(NO_REFERENCE)} or musiq"
        )


def choose_device(device: str, metrics: Sequence[str]) -> str:
    """The torch device to use; torch is not imported unless a metric runs on it."""
    if not any(require_metric(name).runs_on_torch for name in metrics):
        return "cpu"
    from hggt_eval.metrics.device import own_device

    return own_device(device)


def load_metrics(
    names: Sequence[str], settings: MetricSettings, log: Callable[[str], None]
) -> tuple[list[LoadedMetric], dict[str, str]]:
    """The metrics ready to run, and why the others are not available."""
    loaded: list[LoadedMetric] = []
    skipped: dict[str, str] = {}
    for name in names:
        metric = require_metric(name)
        try:
            loaded.append(metric.load(settings))
        except WeightsError as error:
            # The error names folders of this machine, which do not belong in a report.
            needed = f"weights of {', '.join(metric.needs)}" if metric.needs else f"{metric.package} or its weights"
            skipped[name] = f"{needed} are not available"
            log(f"Warning: {metric.title} is left out: {error}")
    if not loaded:
        raise WeightsError(f"no metric is left to score, as weights are not available: {', '.join(skipped)}")
    return loaded, skipped
