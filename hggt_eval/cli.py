"""The command `hggt-eval`. Each command calls the library and prints a table."""

from pathlib import Path
from typing import Any

import click

from hggt_data.cli.group import HggtCommand, HggtGroup, echo_all
from hggt_data.cli.options import (
    EXISTING,
    FILE,
    FOLDER,
    LABEL_WORDS,
    NEW_FILE,
    NEW_FOLDER,
    TABLE,
    Argument,
    Detail,
    Option,
    Parsed,
)

_REPORT: dict[str, Detail] = {
    "evaluation": None,
    "settings": None,
    "source": None,
    "journal": None,
    "show": None,
    "output": NEW_FOLDER,
    "baseline": Option(metavar="NAME"),
    "no_pictures": Option("--no-pictures"),
    "plain": Option("--plain"),
    "decimals": Parsed("hggt_eval.metrics:parse_decimals", "N|METRIC=N,..."),
}
_NAMES = Parsed("hggt_data.io.text:parse_names", "NAME,...")


class _ScoreByDefault(HggtGroup):
    """Options without a command are those of `score`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else "-"
        own = first in ("--help", "-h", "--version") or not first.startswith("-")
        return super().parse_args(ctx, args if own else ["score", *args])


class _ScoreCommand(HggtCommand):
    """The command `score`, whose help ends with all metrics."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from hggt_eval.metrics import METRICS, NO_REFERENCE, SET_METRICS

        metrics = f"Metrics: {', '.join([*METRICS, *NO_REFERENCE, *SET_METRICS])}, and those of pyiqa under its names."
        self.epilog = f"{metrics}\n\nExample: {_EXAMPLE}"
        super().format_epilog(ctx, formatter)


_EXAMPLE = "hggt-eval --restored results/bicubic --dataset hggt --output scores"


@click.group(cls=_ScoreByDefault, epilog=f"Example: {_EXAMPLE}")
@click.version_option(package_name="hggt")
def main() -> None:
    """Score restored images against every candidate that people judged better than the original.

    Without the name of a command, `hggt-eval --restored DIR ...` means `hggt-eval score --restored DIR ...`.
    """


@main.command(
    cls=_ScoreCommand,
    short_help="Score restored images (the default command).",
    options_of=(
        "hggt_data.restored.methods:find_methods",
        "hggt_eval.scoring:score",
        "hggt_eval.report.report:report_scores",
    ),
    details={
        **_REPORT,
        "restored": Option(metavar="[NAME=]DIR"),
        "methods": Option(type=FILE, metavar="FILE.toml"),
        "dataset": Option(type=Parsed("hggt_data.loading:require_source", "DIR_OR_ID")),
        "gts": FOLDER,
        "labels": FOLDER,
        "gt": FOLDER,
        "no_gt": Option("--no-gt"),
        **TABLE,
        "label_words": Option("--label-words", LABEL_WORDS),
        "metrics": Parsed("hggt_eval.metrics:parse_metrics", "NAME,..."),
        "protocol": Option(metavar="NAME|FILE.toml"),
        "border": Option(metavar="PX"),
        "colour": Option("--y-channel", value="y"),
        "weights_dir": FOLDER,
        "cache": NEW_FOLDER,
        "processes": None,
        "log": None,
    },
)
def score(methods: dict[str, Any], arguments: dict[str, Any], report: dict[str, Any]) -> None:
    """Score restored images against every candidate that people judged better than the original.

    Each restored image is compared with all positives of its group. Scores are means over the positives of a group,
    then over groups.
    """
    from hggt_data.io.workers import Processes
    from hggt_data.restored.methods import find_methods
    from hggt_eval.report.report import report_scores
    from hggt_eval.scores.comparison import require_baseline
    from hggt_eval.scoring import score as run

    found = find_methods(**methods)
    if baseline := report.get("baseline"):
        require_baseline([method.name for method in found], baseline)
    processes = Processes.from_environment()
    scored = run(found, **arguments, processes=processes, log=lambda line: echo_all([line], err=True))
    if processes.leads:
        report_scores(
            scored.evaluation,
            scored.settings,
            output=arguments.get("output"),
            source=scored.source,
            journal=scored.journal,
            show=lambda text: echo_all([text]),
            **report,
        )


@main.command(
    short_help="Compare saved scores.",
    epilog="Example: hggt-eval compare scores/a scores/b --baseline bicubic --output compared",
    options_of=("hggt_eval.scores.join:join_scores", "hggt_eval.report.report:report_scores"),
    details={**_REPORT, "paths": Argument("SCORES...", EXISTING)},
)
def compare(scores: dict[str, Any], report: dict[str, Any]) -> None:
    """Compare methods that were scored at different times, without scoring them again.

    SCORES are folders or their scores.json, with the same labels, pictures, protocol, border and weights. A method that
    occurs in several of them, such as a baseline, counts once. The gallery of the report needs the pictures at their
    recorded paths; without them, pass --no-pictures.
    """
    from hggt_eval.report.report import report_scores
    from hggt_eval.scored import prepare_folder
    from hggt_eval.scores.join import join_scores, require_output_apart

    if output := report.get("output"):
        require_output_apart(scores["paths"], output)
    joined, remarks = join_scores(**scores)
    echo_all((f"Warning: {remark}" for remark in remarks), err=True)
    if output:
        prepare_folder(output)
    report_scores(joined.evaluation, joined.settings, show=lambda text: echo_all([text]), **report)


@main.command(
    short_help="Check whether metrics agree with people.",
    epilog="Example: hggt-eval agree --dataset hggt --metrics psnr,ssim,niqe --output agreement",
    options_of="hggt_eval.agreement.agree:agree",
    details={
        "dataset": Option(type=Parsed("hggt_data.loading:require_source", "DIR_OR_ID")),
        "metrics": Parsed("hggt_eval.metrics:parse_metrics", "NAME,..."),
        "scores": Option(type=FILE, metavar="CSV"),
        "lower_is_better": Option(metavar="METRIC"),
        "higher_is_better": Option(metavar="METRIC"),
        "trained": Option(metavar="METRIC"),
        "families": Option(type=FILE, metavar="CSV"),
        **TABLE,
        "label_words": Option("--label-words", LABEL_WORDS),
        "border": Option(metavar="PX"),
        "colour": Option("--y-channel", value="y"),
        "weights_dir": FOLDER,
        "cache": NEW_FOLDER,
        "plain": Option("--plain"),
        "log": None,
    },
)
def agree(arguments: dict[str, Any]) -> None:
    """Measure how often metrics prefer the version that people prefer.

    Pairs that people judged, and pairs inferred from labels or opinion scores, are reported apart. Metrics are computed
    here, or their scores are read from CSV files.
    """
    from hggt_eval.agreement.agree import agree as run

    echo_all([run(**arguments, log=lambda line: echo_all([line], err=True)).table()])


@main.command(
    short_help="Analyse a user study of methods.",
    epilog="Example: hggt-eval study votes.csv --baseline bicubic --output study",
    options_of="hggt_eval.study.study:analyse_study",
    details={
        "source": Argument("SOURCE"),
        "baseline": _REPORT["baseline"],
        "scores": Option(type=EXISTING, metavar="SCORES"),
        "resamples": Option(metavar="N"),
    },
)
def study(arguments: dict[str, Any]) -> None:
    """Analyse how often people preferred each method, with intervals and tests.

    SOURCE is a round of a study, a tree or dataset with votes on pairs or choices of the best, ORG/NAME on the Hub, or
    a CSV file of votes. Each question has its own results.
    """
    from hggt_eval.study.study import analyse_study as run
    from hggt_eval.study.text import format_study

    echo_all([format_study(run(**arguments))])
    if output := arguments.get("output"):
        echo_all([f"Written to {output}: study.json, study.csv, pairs.csv, tables, sentence.tex and report.html."])


@main.command(
    short_help="Plan the size of a user study.",
    epilog="Example: hggt-eval study-size --pictures 20,40,80 --annotators 10,20 --votes 5",
    options_of="hggt_eval.study.study:plan_study",
    details={
        "pictures": Option(type=Parsed("hggt_eval.study.study:parse_sizes", "N,...")),
        "annotators": Option(type=Parsed("hggt_eval.study.study:parse_sizes", "N,...")),
        "votes": Option(metavar="N"),
        "source": Option("--from", metavar="SOURCE"),
        "picture_std": Option(metavar="X"),
        "person_std": Option(metavar="X"),
    },
)
def study_size(arguments: dict[str, Any]) -> None:
    """Show the smallest difference between two methods that a user study of a given size can detect.

    Run it before the study. A finished study has intervals instead.
    """
    from hggt_eval.study.study import plan_study
    from hggt_eval.study.tables import describe_sizes

    echo_all([describe_sizes(*plan_study(**arguments), assumed="source" not in arguments)])


@main.command(
    short_help="Draw the zoom figure of a paper.",
    epilog="Example: hggt-eval figure scores --crop 0001-586-1469:120,64,96 --methods bicubic,swinir --output zoom.pdf",
    options_of=("hggt_eval.report.figure:draw_figure", "hggt_eval.report.figure:write_figure"),
    details={
        "scores": None,
        "crops": Option("--crop", Parsed("hggt_eval.report.figure_layout:Crop.parse", "ID:TOP,LEFT,SIZE", each=True)),
        "methods": _NAMES,
        "candidates": _NAMES,
        "metrics": _NAMES,
        "decimals": _REPORT["decimals"],
        "width_in": Option("--width", metavar="INCH"),
        "figure": None,
        "path": Option("--output", NEW_FILE, "FILE.pdf|png|svg"),
    },
)
@click.argument("scores", type=EXISTING, default="scores")
def figure(drawing: dict[str, Any], writing: dict[str, Any], scores: Path) -> None:
    """Draw a zoom figure: a picture with a box, and the contents of the box for each method of SCORES.

    SCORES is a folder or its scores.json (default `scores`). Pictures are read from their recorded paths.
    """
    from hggt_eval.report.figure import draw_figure, require_format, write_figure

    require_format(writing["path"])
    write_figure(draw_figure(scores, **drawing), **writing)
    echo_all([f"Written: {writing['path']}"])
