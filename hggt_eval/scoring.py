"""From folders of restored images to scores, in one call: what `hggt-eval score` does before it writes and prints."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hggt_data.errors import MatchError, OutputError, WeightsError
from hggt_data.groups import GroupSource
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.workers import Processes
from hggt_data.loading import open_groups, open_tree_folders, split_or_default
from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import Method, require_distinct
from hggt_eval.device_check import compare_with_cpu
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.metrics import DEFAULT_METRICS, MetricSettings, require_metric
from hggt_eval.metrics.comparer import BORDER_PX, Colour, LoadedMetric
from hggt_eval.protocol import evaluate
from hggt_eval.report.files import require_nothing_lost
from hggt_eval.scores.comparison import group_seeds
from hggt_eval.scores.file import Settings, versions_of, what_scores_depend_on
from hggt_eval.scores.journal import Journal
from hggt_eval.scores.scores import Evaluation


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundTruth:
    """What restored images are scored against: a dataset, or the two folders of a tree.

    Attributes:
        dataset: a built dataset, an official tree, or `ORG/NAME` on the Hub.
        gts, labels: instead of it, the folders with `original/`, `01/`.. and with `A/`, `B/`...
        split: of the dataset; `test` where none is named.
        revision: of a dataset on the Hub: a tag, branch or commit.

    Raises:
        MatchError: these do not go together, in the words of the command's options.
    """

    dataset: str | None = None
    gts: Path | None = None
    labels: Path | None = None
    split: str | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        if self.dataset is not None and (self.gts is not None or self.labels is not None):
            raise MatchError("--dataset and --gts/--labels are two ways to say the same; pass one")
        if self.dataset is None and self.gts is None and self.labels is None:
            raise MatchError("nothing to score against: pass --dataset DIR, or --gts DIR and --labels DIR")
        if self.dataset is None and (self.gts is None or self.labels is None):
            given, absent = ("--gts", "--labels") if self.labels is None else ("--labels", "--gts")
            raise MatchError(f"{given} needs {absent} too")
        if self.split is not None and self.dataset is None:
            raise MatchError("--split belongs to --dataset; a tree has no splits")
        if self.revision is not None and (self.dataset is None or not is_hub_id(self.dataset)):
            raise MatchError("--revision belongs to a --dataset on the Hub (ORG/NAME)")

    @property
    def opened_split(self) -> str | None:
        """The split that is opened; null for a tree."""
        return None if self.dataset is None else split_or_default(self.dataset, self.split, "test")

    def open(self) -> GroupSource:
        """The groups; raises as `open_groups`."""
        if self.dataset is not None:
            return open_groups(self.dataset, self.opened_split, revision=self.revision)
        assert self.gts is not None
        assert self.labels is not None
        return open_tree_folders(self.gts, self.labels)

    def describe(self, source: GroupSource) -> str:
        """As a record names it: as the user did, and what the Hub has by its commit."""
        return (
            source.location if self.dataset is not None and is_hub_id(self.dataset) else str(self.dataset or self.gts)
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """What `score` gives.

    Attributes:
        evaluation, settings: the scores, and what they depend on.
        source: the groups, still open.
        journal: what an interrupted run would go on from; `finish` it when the scores are written. Null without an
            output folder.
    """

    evaluation: Evaluation
    settings: Settings
    source: GroupSource
    journal: Journal | None


def score(
    methods: Sequence[Method],
    ground_truth: GroundTruth,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    border: int = BORDER_PX,
    colour: Colour = "rgb",
    suffix: str | None = None,
    device: str = "auto",
    weights_dir: Path | None = None,
    output: Path | None = None,
    cache: Path | None = None,
    label_measures: bool = False,
    allow_missing: bool = False,
    processes: Processes | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Scored:
    """Match restored images to groups, and score them against every positive.

    Args:
        methods: of distinct names, from `name_methods` or `read_methods`.
        ground_truth: what to score against.
        metrics: their names; those whose weights cannot be had are left out.
        border, colour, weights_dir: as in `MetricSettings`.
        suffix, allow_missing: as in `match_restored`.
        device: `auto` for a GPU if there is one, `cuda` for the process's own, or any that torch knows.
        output: where the reports will be written. It is made now, and an interrupted run goes on from there.
        cache: a folder that keeps features of ground truths.
        label_measures: compare with negatives, too.
        processes: those that share the work; null for those of the environment. Each gets everything.
        tell: is told of metrics that are left out, and of scores that an interrupted run has left.

    Raises:
        MatchError: files and groups do not fit together; all faults are listed.
        DeviceError: the device cannot be used. PrecisionError: it gives other scores than a CPU.
        WeightsError: no metric is left. DamagedWeightsError: weights were found, and are damaged.
        OutputError: the output or cache cannot be written to, or holds scores that would be lost.
        ImageError, OSError: a picture is damaged or cannot be read.
        DatasetError, HubError, TreeError: there are no such groups.
    """
    processes = processes or Processes.from_environment()
    require_distinct(methods)
    names = [method.name for method in methods]
    group_seeds(names)
    source = ground_truth.open()
    found = match_restored(methods, source, suffix=suffix, allow_missing=allow_missing, negatives=label_measures)
    if output is not None:
        prepare_folder(output)
    chosen = _choose_device(device, metrics)
    loaded, skipped = _load(metrics, MetricSettings(border, colour, chosen, weights_dir), tell)
    differences = compare_with_cpu(loaded, source, found)
    scored_metrics = tuple(metric.name for metric in loaded)
    settings = Settings(
        metrics=scored_metrics,
        skipped_metrics=skipped,
        border=border,
        colour=colour,
        device=chosen.partition(":")[0] if device in ("auto", "cuda") else chosen,
        differences_to_cpu=differences,
        source=ground_truth.describe(source),
        split=ground_truth.opened_split,
        labels=None if ground_truth.labels is None else str(ground_truth.labels),
        restored={method.name: str(method.folder) for method in methods},
        suffix=suffix,
        allow_missing=allow_missing,
        label_measures=label_measures,
        labels_sha256=source.labels_sha256(),
        weights_sha256={name: sha256 for metric in loaded for name, sha256 in metric.weights_sha256.items()},
        other_weights={metric.name: metric.other_weights for metric in loaded if metric.other_weights},
        versions=versions_of(scored_metrics),
    )
    journal = None if output is None else Journal(output, what_scores_depend_on(settings), processes.rank)
    if journal is not None and journal.num_found and processes.leads:
        tell(f"Going on: {journal.num_found} images were scored before the interruption.")
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
        progress=processes.leads and sys.stderr.isatty(),
    )
    return Scored(evaluation, settings, source, journal)


def prepare_folder(output: Path) -> None:
    """Make a folder and write to it now, not after an hour of scoring.

    Raises:
        OutputError: it cannot be made or written to.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output).close()  # permissions alone do not tell
    except OSError as error:
        raise OutputError(f"{output}: cannot be made or written to: {error.strerror}") from error


def _choose_device(device: str, metrics: Sequence[str]) -> str:
    """The torch device to use; torch is not even imported if no metric runs on it."""
    if not any(require_metric(name).runs_on_torch for name in metrics):
        return "cpu"
    from hggt_eval.metrics.device import own_device

    return own_device(device)


def _load(
    names: Sequence[str], settings: MetricSettings, tell: Callable[[str], None]
) -> tuple[list[LoadedMetric], dict[str, str]]:
    """The metrics ready to run, and why the others are not.

    Raises:
        WeightsError: none is left.
        DamagedWeightsError: weights were found, but are damaged or hold other layers.
    """
    loaded: list[LoadedMetric] = []
    skipped: dict[str, str] = {}
    for name in names:
        metric = require_metric(name)
        try:
            loaded.append(metric.load(settings))
        except WeightsError as error:
            # The error names folders of this machine, which have no place in a report.
            what = f"weights of {', '.join(metric.needs)}" if metric.needs else f"{metric.package} or its weights"
            skipped[name] = f"{what} cannot be had"
            tell(f"Warning: {metric.title} is left out: {error}")
    if not loaded:
        raise WeightsError(f"no metric is left to score; each needs weights that cannot be had: {', '.join(skipped)}")
    return loaded, skipped
