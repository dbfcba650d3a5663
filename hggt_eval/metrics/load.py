"""Load metrics by name, leaving out those whose weights are not available, and choose their device."""

from collections.abc import Callable, Sequence

from hggt_data.errors import WeightsError
from hggt_eval.metrics import MetricSettings, require_metric
from hggt_eval.metrics.comparer import LoadedMetric


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
