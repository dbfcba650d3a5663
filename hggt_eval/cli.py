"""The command `hggt-eval`: options in, a table and files out. All work is done in other modules."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from hggt_data.cli.group import HggtGroup
from hggt_data.dataset.manifest import is_built_dataset
from hggt_data.errors import DeviceError, HggtError, OutputError
from hggt_data.groups import GroupSource
from hggt_data.hub.repository import is_hub_id
from hggt_data.io.workers import Processes
from hggt_data.restored.methods import PAGE_FILE, Method, name_methods, read_methods, require_distinct
from hggt_eval.metrics import (
    DEFAULT_METRICS,
    METRICS,
    NO_REFERENCE,
    UnknownMetricError,
    require_metric,
)
from hggt_eval.metrics.comparer import BORDER_PX, Colour
from hggt_eval.report.figure import WIDTH_IN, Crop, draw_figure, require_format, write_figure
from hggt_eval.report.files import format_table, write_page, write_reports
from hggt_eval.report.page import format_page
from hggt_eval.report.pictures import ScoredPictures
from hggt_eval.scores.comparison import compare_methods, require_baseline
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings
from hggt_eval.scores.join import find_scores, join_scores
from hggt_eval.scores.journal import Journal
from hggt_eval.scoring import GroundTruth, prepare_folder
from hggt_eval.scoring import score as score_restored

_Folder = click.Path(exists=True, file_okay=False, path_type=Path)
_InputFile = click.Path(exists=True, dir_okay=False, path_type=Path)
_OutputFolder = click.Path(file_okay=False, path_type=Path)


def _parse_metrics(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    """`psnr,ssim`: known metrics, each once."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise click.BadParameter("no metric named")
    try:
        return tuple(dict.fromkeys(require_metric(name).name for name in names))
    except UnknownMetricError as error:
        raise click.BadParameter(str(error)) from error


def _parse_dataset(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """A folder, or a name on the Hub."""
    if text is not None and not Path(text).is_dir() and not is_hub_id(text):
        raise click.BadParameter(f"{text!r} is no folder here, and no name on the Hub (ORG/NAME)")
    return text


def _parse_decimals(_: click.Context, __: click.Parameter, text: str | None) -> dict[str, int]:
    """`3` for all metrics, `psnr=2,lpips=3` for some."""
    chosen: dict[str, int] = {}
    for part in text.split(",") if text else ():
        name, equals, number = part.strip().rpartition("=")
        try:
            metric = require_metric(name).name if equals else ""
        except UnknownMetricError as error:
            raise click.BadParameter(str(error)) from error
        if not number.isdecimal() or int(number) > 10:
            raise click.BadParameter(f"{part!r}; expected a number from 0 to 10, or METRIC=NUMBER,...")
        chosen[metric] = int(number)
    return chosen


class _ScoreByDefault(HggtGroup):
    """Options without a command are those of `score`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else "-"
        own = first in ("--help", "-h", "--version") or not first.startswith("-")
        return super().parse_args(ctx, args if own else ["score", *args])


_baseline = click.option(
    "--baseline",
    metavar="NAME",
    help="Method that all others are compared with: paired differences, their intervals and tests. NAME@SEED folders "
    "are called NAME.",
)
_decimals = click.option(
    "--decimals",
    callback=_parse_decimals,
    metavar="N|METRIC=N,...",
    help="Decimals in tables for papers.  [default: psnr=2, others 4]",
)

_gallery = click.option(
    "--gallery",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="In the report, show the N best and the N worst groups of each metric with all their pictures.",
)


@click.group(
    cls=_ScoreByDefault,
    context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
    epilog="Example: hggt-eval --restored results/bicubic --dataset hggt --output scores",
)
@click.version_option(package_name="hggt")
def main() -> None:
    """Score restored images against every candidate that people judged better than the original.

    Without the name of a command, `hggt-eval --restored DIR ...` means `hggt-eval score --restored DIR ...`.
    """


@main.command(
    short_help="Score restored images; needs not be said.",
    epilog=f"Metrics: {', '.join([*METRICS, *NO_REFERENCE])}, and those of pyiqa by their names there.\n\n"
    "Example: hggt-eval --restored results/bicubic --dataset hggt --output scores",
)
@click.option(
    "--restored",
    multiple=True,
    metavar="[NAME=]DIR",
    help="Folder of a method's restored images, named ID.png or ID_ANYTHING.png. Repeatable. Without a name the method "
    "is called after the part of the path that tells it from the others; NAME@SEED is one of several training runs.",
)
@click.option(
    "--methods",
    "methods_file",
    type=_InputFile,
    metavar="FILE.toml",
    help="Methods with other file names: a table each with dir and pattern ({id}x4.png) or map (CSV: id,file).",
)
@click.option(
    "--dataset",
    callback=_parse_dataset,
    metavar="DIR_OR_ID",
    help="Built dataset or official tree to score against, or ORG/NAME on the Hub.",
)
@click.option("--split", help="Split of the dataset.  [default: test]")
@click.option("--revision", metavar="TAG", help="Tag, branch or commit of a dataset on the Hub.")
@click.option("--gts", type=_Folder, metavar="DIR", help="Instead of --dataset: folder with original/, 01/ to 04/.")
@click.option("--labels", type=_Folder, metavar="DIR", help="With --gts: folder with A/, B/, C/.")
@click.option(
    "--metrics",
    callback=_parse_metrics,
    default=",".join(DEFAULT_METRICS),
    show_default=True,
    metavar="NAME,...",
    help="Which scores, see below.",
)
@click.option(
    "--border",
    type=click.IntRange(min=0),
    default=BORDER_PX,
    show_default=True,
    help="Pixels cut off each side before any metric looks.",
)
@click.option(
    "--y-channel", "colour", flag_value="y", default="rgb", help="PSNR and SSIM on BT.601 luma instead of RGB."
)
@click.option("--suffix", metavar="S", help="Only files ID_S.png or IDS.png are restored images.")
@click.option(
    "--device", default="auto", show_default=True, help="Where networks run: auto (a GPU if there is one), cpu, cuda:1."
)
@click.option(
    "--weights-dir",
    type=_Folder,
    metavar="DIR",
    help="Folder with torchvision's alexnet-owt-7be5be79.pth and vgg16-397923af.pth, or with alexnet_features.pth and "
    "vgg16_features.pth. Looked at before torch's cache; what is in neither is downloaded.",
)
@click.option(
    "--output",
    type=_OutputFolder,
    metavar="DIR",
    help="Where to write scores.json, scores.csv, comparison.csv, table.md, table.tex, report.html and NAME/*.txt. An "
    "interrupted run goes on from there; scores of others are not overwritten.",
)
@_baseline
@_decimals
@_gallery
@click.option(
    "--cache",
    type=_OutputFolder,
    metavar="DIR",
    help="Keep features of ground truths for later runs: 11 MB (LPIPS) and 127 MB (DISTS) a picture of 512 x 512.",
)
@click.option(
    "--label-measures",
    is_flag=True,
    help="Also: the best positive, distance to negatives, which is nearer, and scores by how many annotators agreed.",
)
@click.option("--allow-missing", is_flag=True, help="Leave out restored images with faults; every output says so.")
def score(
    restored: tuple[str, ...],
    methods_file: Path | None,
    dataset: str | None,
    split: str | None,
    revision: str | None,
    gts: Path | None,
    labels: Path | None,
    metrics: tuple[str, ...],
    border: int,
    colour: Colour,
    suffix: str | None,
    device: str,
    weights_dir: Path | None,
    output: Path | None,
    baseline: str | None,
    decimals: dict[str, int],
    gallery: int,
    cache: Path | None,
    label_measures: bool,
    allow_missing: bool,
) -> None:
    """Score restored images against every candidate that people judged better than the original.

    Each restored image is compared with all positives of its group; scores are means over positives, then over groups.
    """
    if not restored and methods_file is None:
        raise click.UsageError("nothing to score: pass --restored DIR or --methods FILE.toml")
    ground_truth = GroundTruth(dataset=dataset, gts=gts, labels=labels, split=split, revision=revision)
    _require_apart("--output", output, dataset, gts, labels)
    _require_apart("--cache", cache, dataset, gts, labels)
    methods = _methods(restored, methods_file)
    if baseline is not None:
        require_baseline([method.name for method in methods], baseline)
    processes = Processes.from_environment()
    try:
        scored = score_restored(
            methods,
            ground_truth,
            metrics=metrics,
            border=border,
            colour=colour,
            suffix=suffix,
            device=device,
            weights_dir=weights_dir,
            output=output,
            cache=cache,
            label_measures=label_measures,
            allow_missing=allow_missing,
            processes=processes,
            log=lambda text: click.echo(text, err=True),
        )
    except DeviceError as error:
        raise click.UsageError(f"--device {error}") from error
    if processes.leads:
        _report(scored.evaluation, scored.settings, baseline, decimals, gallery, output, scored.source, scored.journal)


def _report(
    evaluation: Evaluation,
    settings: Settings,
    baseline: str | None,
    decimals: Mapping[str, int],
    gallery: int,
    output: Path | None,
    source: GroupSource | None = None,
    journal: Journal | None = None,
) -> None:
    """Write all files where there is a folder for them, then print the table.

    What nobody has looked at so far comes last, and costs no score: the gallery's pictures, and where the table goes.
    """
    comparison = compare_methods(evaluation, baseline)
    lines = [format_table(evaluation, settings, comparison, decimals)]
    failure: HggtError | OSError | None = None
    if output is not None:
        written = write_reports(evaluation, settings, comparison, output, decimals=decimals)
        pictures = ScoredPictures(evaluation, settings, source)
        try:
            page = format_page(evaluation, settings, comparison, pictures, num_shown=gallery, decimals=decimals)
            written.append(write_page(page, output))
        except (HggtError, OSError) as error:
            failure = error
        lines.append(f"Written to {output}: {_summarise(written, output)}.")
    if journal is not None and failure is None:
        journal.finish()
    click.echo("\n".join(lines))
    if failure is not None:
        raise OutputError(
            f"all scores are in {output}, but no {PAGE_FILE}: {failure}; --gallery 0 makes one without pictures"
        ) from failure


@main.command(
    short_help="Put scores beside each other.",
    epilog="Example: hggt-eval compare scores/a scores/b --baseline bicubic --output compared",
)
@click.argument("scores", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@_baseline
@_decimals
@_gallery
@click.option("--output", type=_OutputFolder, metavar="DIR", help="Where to write the same files as `score` does.")
def compare(
    scores: tuple[Path, ...], baseline: str | None, decimals: dict[str, int], gallery: int, output: Path | None
) -> None:
    """Put the methods of several SCORES, folders or their scores.json, beside each other; nothing is scored again.

    They must be of the same labels and pictures, with the same border and weights. A method that several hold, such as
    a baseline, counts once. The report's gallery needs the pictures where they were; without them, pass --gallery 0.
    """
    taken = {find_scores(path).resolve() for path in scores}
    if output is not None and len(scores) > 1 and find_scores(output).resolve() in taken:
        raise click.UsageError(f"--output {output} holds scores that go into the comparison; name another")
    joined, remarks = join_scores(scores)
    for remark in remarks:
        click.echo(f"Warning: {remark}", err=True)
    if output is not None:
        prepare_folder(output)
    _report(joined.evaluation, joined.settings, baseline, decimals, gallery, output)


@main.command(
    short_help="Draw the zoom figure of a paper.",
    epilog="Example: hggt-eval figure scores --crop 0001-586-1469:120,64,96 --methods bicubic,swinir --output zoom.pdf",
)
@click.argument("scores", type=click.Path(exists=True, path_type=Path), default="scores")
@click.option(
    "--crop",
    "crops",
    multiple=True,
    required=True,
    metavar="ID:TOP,LEFT,SIZE",
    help="A square of a group, in pixels of the ground truth. Repeatable: a row each.",
)
@click.option("--methods", metavar="NAME,...", help="Which, in this order.  [default: all]")
@click.option(
    "--candidates",
    metavar="NAME,...",
    help="Of original, 01.. which to show too.  [default: the original and the positive most agreed on]",
)
@click.option("--metrics", metavar="NAME,...", help="Scores to print below each method.  [default: none]")
@_decimals
@click.option("--width", "width_in", type=click.FloatRange(2, 40), default=WIDTH_IN, show_default=True, metavar="INCH")
@click.option("--dpi", type=click.IntRange(50, 1200), default=300, show_default=True, help="Of a PNG.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE.pdf|png|svg")
def figure(
    scores: Path,
    crops: tuple[str, ...],
    methods: str | None,
    candidates: str | None,
    metrics: str | None,
    decimals: dict[str, int],
    width_in: float,
    dpi: int,
    output: Path,
) -> None:
    """Draw the zoom figure: a picture with a box, and the box as each method of SCORES has it.

    SCORES is a folder or its scores.json, `scores` unless told otherwise; the pictures are read where they lay when
    they were scored.
    """
    require_format(output)
    parsed = [Crop.parse(text) for text in crops]
    scored, _ = join_scores([scores])
    drawn = draw_figure(
        ScoredPictures(scored.evaluation, scored.settings),
        parsed,
        _chosen("method", methods, [method.name for method in scored.evaluation.methods], otherwise_all=True),
        candidates=_listed(candidates),
        metrics=_chosen("metric", metrics, [metric.name for metric in scored.evaluation.metrics]),
        decimals=decimals,
        width_in=width_in,
    )
    write_figure(drawn, output, dpi)
    click.echo(f"Written: {output}")


def _chosen(what: str, text: str | None, known: Sequence[str], *, otherwise_all: bool = False) -> list[str]:
    """The names in a list, each of them known."""
    names = _listed(text)
    if strange := [name for name in names if name not in known]:
        raise click.UsageError(f"no {what} of the scores is called {strange[0]!r}; they have {', '.join(known)}")
    return names or (list(known) if otherwise_all else [])


def _listed(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()] if text else []


def _methods(restored: Sequence[str], methods_file: Path | None) -> list[Method]:
    """The methods of both options, of distinct names."""
    methods = name_methods([_name_and_folder(text) for text in restored])
    if methods_file is not None:
        methods += read_methods(methods_file)
    require_distinct(methods)
    return methods


def _name_and_folder(text: str) -> tuple[str | None, Path]:
    """`NAME=DIR` or `DIR`; a folder whose own name holds `=` is taken as it is."""
    name, equals, folder = text.partition("=")
    if not equals or Path(text).is_dir():
        return None, Path(text)
    return name, Path(folder)


def _require_apart(option: str, folder: Path | None, *inputs: str | Path | None) -> None:
    """Refuse to write among the data: a dataset or tree with strangers in it is refused by the next build."""
    if folder is None:
        return
    places = [place for place in inputs if place is not None and folder.resolve().is_relative_to(Path(place).resolve())]
    if places or is_built_dataset(folder):
        raise click.UsageError(f"{option} {folder} lies in {places[0] if places else 'a built dataset'}; name another")


def _summarise(written: Sequence[Path], output: Path) -> str:
    """What `write_reports` wrote, in words."""
    names = [path.name for path in written if path.parent == output]
    if len(names) < len(written):
        names.append("the official text files of each method")
    return f"{', '.join(names[:-1])} and {names[-1]}"
