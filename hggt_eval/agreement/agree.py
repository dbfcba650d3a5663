"""Do metrics agree with people? From a dataset and metrics, or scores of other programs, to files in one call."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from hggt_data.errors import MatchError, SettingsError
from hggt_data.io.text import format_examples
from hggt_data.ranges import CountOrNone, require_arguments, require_lists
from hggt_data.tree.aliases import join_pairs
from hggt_data.tree.table_options import NO_TABLE_OPTIONS, TableOptions
from hggt_eval.agreement.answers import Answers, read_answers, require_complete
from hggt_eval.agreement.families import find_families
from hggt_eval.agreement.files import Agreement, require_own_folder, write_agreement
from hggt_eval.agreement.pairs import list_contents, list_pairs
from hggt_eval.agreement.ranking import rank_metrics
from hggt_eval.agreement.rating import open_journal, rate_versions, rating_settings
from hggt_eval.feature_cache import FeatureCache
from hggt_eval.ground_truth import GroundTruth
from hggt_eval.metrics import DEFAULT_METRICS, MetricSettings, SetMetric, parse_metrics, require_metric
from hggt_eval.metrics.comparer import BORDER_PX, Colour
from hggt_eval.metrics.load import choose_device, load_metrics
from hggt_eval.protocol import find_same_pictures
from hggt_eval.scored import prepare_folder

# Published facts: A-FINE was trained on DiffIQA. pyiqa's names of its variants begin like this.
_TRAINED_ON = {"diffiqa": "afine"}


def agree(
    dataset: str | Path,
    metrics: Sequence[str] | str | None = None,
    scores: Sequence[str | Path] = (),
    *,
    lower_is_better: Sequence[str] = (),
    higher_is_better: Sequence[str] = (),
    trained: Sequence[str] = (),
    ties: Literal["left-out", "calibrated"] = "left-out",
    by: Literal["kind", "question", "family"] = "kind",
    families: str | Path | None = None,
    split: str | None = None,
    revision: str | None = None,
    table: TableOptions = NO_TABLE_OPTIONS,
    border: CountOrNone = BORDER_PX,
    colour: Colour = "rgb",
    device: str = "auto",
    weights_dir: str | Path | None = None,
    output: str | Path | None = None,
    cache: str | Path | None = None,
    plain: bool = False,
    log: Callable[[str], None] = lambda _: None,
) -> Agreement:
    """Measure how often metrics prefer the version that people prefer.

    Full-reference metrics compare candidates with their original. A killed run resumes in its output folder, and a
    later run there scores only pictures that have changed.

    Args:
        dataset: Built dataset or tree with people's votes, or ORG/NAME on the Hub.
        metrics: Metrics to compute on the candidates.  [default: psnr,ssim,lpips,dists, or none with `scores`]
        scores: CSV file with scores of other programs: group,version,METRIC,... or, for metrics that compare two
            versions, group,first,second,metric,score with scores from 0 (the second is better) to 1; repeatable.
        lower_is_better: Metrics of `scores` of which lower is better, unless their names are known.
        higher_is_better: Metrics of `scores` of which higher is better, unless their names are known.
        trained: Metrics that were trained on these data; tables mark them, and A-FINE on DiffIQA in any case.
        ties: Human ties are left out of accuracies; `calibrated` adds an accuracy that counts them, with a threshold
            for equal scores that is chosen on other source pictures.
        by: What the second table is divided by: kind of pair, question, or family of the versions.
        families: CSV file with the families: version,family or group,family. Without it, each version is its own
            family, and SRIQA-Bench has regression and generative methods.
        split: Split of the dataset.  [default: test]
        revision: Tag, branch or commit of a dataset on the Hub.
        table: Where a table of votes and its pictures are, and what its words mean.
        border: Pixels cut off each side before any metric is computed.
        colour: Compute PSNR and SSIM on BT.601 luma instead of RGB.
        device: Device for networks: auto (a GPU if available), cpu, cuda, cuda:1.
        weights_dir: Folder with ImageNet weights, as for `score`.
        output: Folder for agree.json, table.md, table.tex and report.html, and the scores for later runs. Results of
            other commands are not overwritten.
        cache: Folder for features of the originals, as for `score`.
        plain: Write table.tex for LaTeX without packages (booktabs otherwise).
        log: Receives a line for each metric left out, and for scores kept from an earlier run.

    Returns:
        The rankings.

    Raises:
        SettingsError: A metric's direction is unknown, a name occurs twice, or the output is inside the data.
        MatchError: The data have no votes that compare versions, or pictures are missing.
        TableError: A file of scores or families is faulty or incomplete.
        WeightsError: No metric is left.
        ImageError: A picture is damaged, too small or of another size, or a metric is undefined for it.
        PrecisionError: The device's scores differ from the CPU's.
        OutputError: The output or cache cannot be written to, or contains results of another command.

    Example:
        >>> import tempfile
        >>> from hggt_data import write_demo_tree
        >>> from hggt_eval import agree
        >>> found = agree(write_demo_tree(tempfile.mkdtemp()).train, metrics="psnr")
        >>> [(ranking.evidence, [row.name for row in ranking.metrics]) for ranking in found.rankings]
        [('judged', []), ('inferred', ['psnr'])]
    """
    require_lists(scores=scores, lower_is_better=lower_is_better, higher_is_better=higher_is_better, trained=trained)
    require_arguments(agree, ties=ties, by=by, border=border)
    if isinstance(metrics, str):
        metrics = parse_metrics(metrics)
    elif metrics is None:
        metrics = () if scores else DEFAULT_METRICS
    require_lists(metrics=metrics)
    if of_sets := [name for name in metrics if isinstance(require_metric(name), SetMetric)]:
        raise SettingsError(f"{', '.join(of_sets)} compares sets, and has no value for a picture; choose others")
    if both := set(lower_is_better) & set(higher_is_better):
        raise SettingsError(f"{', '.join(sorted(both))}: in `lower_is_better` and in `higher_is_better`; name it once")
    if families is not None and by != "family":
        raise SettingsError("`families` requires `by='family'`")
    output, cache, weights_dir = (None if path is None else Path(path) for path in (output, cache, weights_dir))
    truth = GroundTruth(dataset=dataset, split=split, revision=revision, table=table)
    truth.require_apart(output=output, cache=cache)
    if output is not None:
        require_own_folder(output)
        prepare_folder(output)
    source = truth.open()
    same_pictures = join_pairs(find_same_pictures(source))
    first_name = {name: names[0] for names in same_pictures for name in names}
    groups = list(source)
    pictures = [first_name.get(group.image_name, group.image_name) for group in groups]
    pairs = [pair for group, picture in zip(groups, pictures, strict=True) for pair in list_pairs(group, picture)]
    if not pairs:
        raise MatchError(
            f"{source.location} has no votes that compare versions: no label that two people agree on, no votes on "
            "pairs, and no two opinion scores in a group"
        )
    notes = [f"Source pictures that count as one: {format_examples(names)}." for names in same_pictures]
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
    family = None
    if by == "family":
        family = find_families(source, None if families is None else Path(families)).name
    settings: dict[str, Any] = {
        "source": truth.describe(source),
        "split": truth.opened_split,
        "scores": [str(path) for path in scores],
        "by": by,
        "families": None if families is None else str(families),
    }
    journal = None
    if metrics:
        chosen = choose_device(device, metrics)
        loaded, skipped = load_metrics(
            metrics, MetricSettings(border, colour, device=chosen, weights_dir=weights_dir), log
        )
        notes += [f"{name} was left out: {reason}." for name, reason in skipped.items()]
        journal = None if output is None else open_journal(output, loaded)
        if journal is not None and journal.num_found:
            log(f"Scores of {journal.num_found} pictures are kept from an earlier run.")
        cached = None if cache is None else FeatureCache(cache)
        computed, differences = rate_versions(groups, pairs, loaded, cache=cached, journal=journal)
        found += computed
        settings |= rating_settings(loaded) | {"differences_to_cpu": dict(differences)}
    contents = [
        content for group, picture in zip(groups, pictures, strict=True) for content in list_contents(group, picture)
    ]
    rankings = rank_metrics(pairs, contents, found, calibrate=ties == "calibrated", family=family)
    with_pairs = {pair.group for pair in pairs}
    if pairless := [group.id for group in groups if group.id not in with_pairs]:
        notes.append(f"{len(pairless)} of {len(groups)} groups have no such pairs: {format_examples(pairless)}.")
    start = _TRAINED_ON.get(source.layout)
    marked = [one.name for one in found if one.name in trained or (start and one.name.startswith(start))]
    agreement = Agreement(
        tuple(rankings), source.labels_sha256(), settings, tuple(notes), tuple(marked), source.license
    )
    if output is not None:
        write_agreement(agreement, output, plain=plain)
    if journal is not None:
        journal.keep()
    return agreement
