"""The commands `hggt-data ...` and `hggt-build-dataset`. Each opens its inputs, calls one function, prints the result.

Heavy imports stay inside the commands, so that `--help` answers at once.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from hggt_data.cli.group import HggtGroup, ResumedCommand
from hggt_data.cli.publishing import confirm_and_push, license_option

if TYPE_CHECKING:
    from fractions import Fraction

_Folder = click.Path(exists=True, file_okay=False, path_type=Path)
_InputFile = click.Path(exists=True, dir_okay=False, path_type=Path)
_OutputFile = click.Path(dir_okay=False, path_type=Path)
_OutputFolder = click.Path(file_okay=False, path_type=Path)

_lr_option = click.option(
    "--lr", type=_Folder, metavar="DIR", help="Folder of low-resolution pictures, if not under Test/.../Blind_LR."
)
_scale_option = click.option(
    "--scale",
    type=click.IntRange(1),
    metavar="N",
    default=4,
    show_default=True,
    help="How many times smaller LR pictures are.",
)
_workers_option = click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Processes.  [default: one per core, at most 8]"
)


@click.group(cls=HggtGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hggt")
def main() -> None:
    """Check, measure, split, build, push and export HGGT data."""


@main.command()
@click.argument("tree", type=_Folder, metavar="TREE")
@_lr_option
@click.option("--json", "json_file", type=_OutputFile, metavar="FILE", help="Write all problems to this file.")
@_workers_option
@click.option("--fast", is_flag=True, help="Read only the headers of pictures; damage and duplicates stay unseen.")
@click.option("--strict", is_flag=True, help="Exit 1 on warnings too.")
@click.option("--expect-groups", type=click.IntRange(0), metavar="N", help="How many groups there must be.")
@_scale_option
@click.pass_context
def validate(
    ctx: click.Context,
    tree: Path,
    lr: Path | None,
    json_file: Path | None,
    workers: int | None,
    fast: bool,
    strict: bool,
    expect_groups: int | None,
    scale: int,
) -> None:
    """Check an HGGT tree and list every problem.

    TREE is Train/, Test/, or any folder that holds images/ and labels/. Exit 0: no errors (with --strict: no
    warnings). Exit 1: problems.
    """
    from hggt_data.io.files import write_json
    from hggt_data.problems import summarise
    from hggt_data.tree.validate import validate_tree

    report = validate_tree(tree, lr, workers=workers, fast=fast, expect_groups=expect_groups, scale=scale)
    if report.problems:
        click.echo(summarise(report.problems))
    click.echo(report.describe())
    if json_file:
        write_json(json_file, report.to_json())
    if report.errors or (strict and report.warnings):
        ctx.exit(1)


@main.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--tree", "trees", type=_Folder, multiple=True, help="Training tree; may be given several times.", metavar="DIR"
)
@click.option("--test-tree", type=_Folder, help="Test tree.", metavar="DIR")
@_lr_option
@click.option(
    "--output", type=_OutputFolder, required=True, metavar="DIR", help="The dataset's folder, new or built before."
)
@click.option("--sources", type=_InputFile, help="CSV: image and any of origin, author, licence.", metavar="CSV")
@license_option("Licence for the card.  [default: the HGGT terms]")
@click.option("--citation", type=_InputFile, help="BibTeX for the card.  [default: the HGGT paper]", metavar="FILE")
@click.option("--skip-faulty", is_flag=True, help="Leave groups with errors out and list them in the manifest.")
@click.option("--allow-overlap", is_flag=True, help="Build although train and test share source pictures.")
@click.option(
    "--groups-per-shard",
    type=click.IntRange(1),
    metavar="N",
    default=256,
    show_default=True,
    help="256 groups make about 540 MB.",
)
@_scale_option
@_workers_option
def build(
    trees: tuple[Path, ...],
    test_tree: Path | None,
    lr: Path | None,
    output: Path,
    sources: Path | None,
    license_id: str | None,
    citation: Path | None,
    skip_faulty: bool,
    allow_overlap: bool,
    groups_per_shard: int,
    scale: int,
    workers: int | None,
) -> None:
    """Build a Hugging Face dataset from HGGT trees.

    hggt-build-dataset and hggt-data build are the same. Run it again after an interruption or a change of labels: it
    goes on where it stopped and writes only what has changed.
    """
    from hggt_data.dataset.build import BuildSettings, build_dataset
    from hggt_data.problems import summarise

    settings = BuildSettings(
        trees=trees,
        output=output,
        test_tree=test_tree,
        lr=lr,
        sources=sources,
        license=license_id,
        citation=citation,
        skip_faulty=skip_faulty,
        allow_overlap=allow_overlap,
        groups_per_shard=groups_per_shard,
        scale=scale,
        workers=workers,
    )
    result = build_dataset(settings)
    if result.problems:
        click.echo(summarise(result.problems))
    for line in result.describe():
        click.echo(line)


@main.command(cls=ResumedCommand)
@click.argument("dataset", type=_Folder, metavar="DIR")
@click.argument("repo_id", metavar="ORG/NAME")
@click.option("--public", is_flag=True, help="Make the repository public.")
@click.option(
    "--gated",
    type=click.Choice(["auto", "manual"]),
    help="Readers must request access: approved automatically or manually.",
)
@click.option("--tag", metavar="TAG", help="Name of this version, such as v1.0.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent and deleted, and change nothing.")
@click.option("--yes", is_flag=True, help="Push without confirmation.")
@click.option("--keep-names", is_flag=True, help="Publish annotators' names and working times unchanged.")
@click.option("--new-pseudonyms", is_flag=True, help="Draw new pseudonyms if the file with the old ones is lost.")
@click.option("--i-have-permission", is_flag=True, help="Allow a public push of data under the HGGT terms.")
@_workers_option
def push(
    dataset: Path,
    repo_id: str,
    public: bool,
    gated: Literal["auto", "manual"] | None,
    tag: str | None,
    dry_run: bool,
    yes: bool,
    keep_names: bool,
    new_pseudonyms: bool,
    i_have_permission: bool,
    workers: int | None,
) -> None:
    """Push a built dataset to the Hugging Face Hub, private by default.

    Annotators get pseudonyms and relative times. The new version appears in one commit, which is then compared with the
    manifest. After an interruption run the same command again: it resumes.
    """
    from hggt_data.hub.push import PushSettings, open_push

    settings = PushSettings(
        dataset=dataset,
        repo_id=repo_id,
        public=public,
        gated=gated,
        tag=tag,
        keep_names=keep_names,
        new_pseudonyms=new_pseudonyms,
        i_have_permission=i_have_permission,
        dry_run=dry_run,
        workers=workers,
    )
    confirm_and_push(open_push(settings), "load_dataset", dry_run=dry_run, yes=yes)


# The old name of `push`, kept for this version.
main.add_command(ResumedCommand("publish", callback=push.callback, params=push.params, help=push.help, hidden=True))


@main.command(cls=ResumedCommand)
@click.argument("repo_id", metavar="ORG/NAME")
@click.option("--revision", metavar="TAG", help="Tag, branch or commit on the Hub.  [default: main]")
@click.option(
    "--output", type=_OutputFolder, required=True, metavar="DIR", help="New or empty, or an earlier download or build."
)
def download(repo_id: str, revision: str | None, output: Path) -> None:
    """Download a dataset from the Hugging Face Hub and check it against its manifest.

    Files that DIR already has are not downloaded again. After an interruption run the same command again: it resumes.
    """
    from hggt_data.hub.download import download_dataset
    from hggt_data.io.text import plural

    manifest = download_dataset(repo_id, output, revision)
    groups = ", ".join(f"{plural(count, 'group')} in {split}" for split, count in manifest.splits.items())
    size = sum(record.size_bytes for record in manifest.contents())
    click.echo(f"{output}: {groups}; {size / 1e6:,.1f} MB, every file as the manifest says.")


@main.command()
@click.argument("tree", type=_Folder, metavar="TREE")
@click.option("--output", type=_OutputFolder, required=True, metavar="DIR", help="New or empty; gets Train/ and Test/.")
@click.option(
    "--test-groups", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="Groups of the test."
)
@click.option(
    "--min-positives",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    metavar="N",
    help="Candidates with the consensus Positive that a test group has at least.",
)
@click.option(
    "--max-per-picture",
    type=click.IntRange(1),
    metavar="N",
    help="Test groups of one source picture, at most; fewer lose more groups.  [default: any number]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the choice among equally good test sets.")
@click.option("--copy", is_flag=True, help="Copy pictures.  [default: hard links, where the disk is the same]")
def split(
    tree: Path,
    output: Path,
    **settings: Any,
) -> None:
    """Split a tree by source picture into a training and a test tree.

    A source picture goes to one side with all its groups. Groups of a test picture that have too few positives, or are
    more than asked for, are left out of both; the pictures are chosen so that these are as few as can be. Says at the
    end how to make the LR of the test.
    """
    from hggt_data.tree.split import SplitSettings, split_tree

    result = split_tree(tree, output, SplitSettings(**settings))
    for line in result.describe():
        click.echo(line)


@main.group(cls=HggtGroup)
def export() -> None:
    """Take positives, preference pairs or the official tree out of a tree or a dataset.

    SOURCE is a tree, a built dataset, or ORG/NAME on the Hub.
    """


_source_argument = click.argument("source", metavar="SOURCE")
_split_option = click.option("--split", "split_name", type=click.Choice(["train", "test"]), help="Of a dataset.")
_revision_option = click.option("--revision", metavar="TAG", help="Of the Hub: tag, branch or commit.  [default: main]")
_tree_license_option = license_option("Of a tree's data; a dataset tells its own.  [default: the HGGT terms]")
_export_folder_option = click.option(
    "--output", type=_OutputFolder, required=True, metavar="DIR", help="New or empty, outside SOURCE."
)


@export.command()
@_source_argument
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="NAME.csv, or NAME.txt with a picture a line; with --files a new or empty folder.",
)
@click.option("--files", is_flag=True, help="Write the pictures into gt/, and a list beside them.")
@click.option(
    "--min-agreement",
    type=click.IntRange(2),
    default=2,
    show_default=True,
    metavar="N",
    help="Annotators that said Positive, at least.",
)
@_split_option
@_revision_option
@_tree_license_option
def positives(
    source: str,
    output: Path,
    files: bool,
    min_agreement: int,
    split_name: str | None,
    revision: str | None,
    license_id: str | None,
) -> None:
    """List the candidates whose consensus is Positive, or write their pictures.

    The list has group, candidate, agreement, num_votes, and where the picture is: the path in the tree, or split and
    row of the dataset.
    """
    from hggt_data.exports.positives import export_positives
    from hggt_data.exports.source import open_source

    opened = open_source(source, split_name, revision=revision, license=license_id)  # type: ignore[arg-type]
    for line in export_positives(opened, output, files=files, min_agreement=min_agreement):
        click.echo(line)


@export.command()
@_source_argument
@_export_folder_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "jsonl"]),
    default="parquet",
    show_default=True,
    help="parquet holds the pictures; jsonl names their files beside it.",
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(["P-S", "P-N", "S-N", "P-original", "original-N"]),
    multiple=True,
    help="Only pairs of this kind, the preferred first; may be given several times.  [default: all]",
)
@click.option("--min-margin", type=click.FloatRange(-2, 2), metavar="X", help="Only pairs with at least this margin.")
@_split_option
@_revision_option
@_tree_license_option
def pairs(
    source: str,
    output: Path,
    form: Literal["parquet", "jsonl"],
    kinds: tuple[str, ...],
    min_margin: float | None,
    split_name: str | None,
    revision: str | None,
    license_id: str | None,
) -> None:
    """Write pairs of pictures of which people prefer one, for preference learning.

    Positive over similar, negative and the original; similar over negative; the original over negative (P>S, P>N,
    P>original, S>N, original>N). load_dataset opens the parquet form. margin says how clearly, from -2 to 2.
    """
    from hggt_data.exports.pairs import PairSettings, export_pairs
    from hggt_data.exports.preferences import PairKind
    from hggt_data.exports.source import open_source

    wanted = {PairKind(kind.replace("-", ">")) for kind in kinds} or set(PairKind)
    opened = open_source(source, split_name, revision=revision, license=license_id)  # type: ignore[arg-type]
    for line in export_pairs(opened, output, PairSettings(wanted, min_margin, form)):
        click.echo(line)


@export.command("tree")
@_source_argument
@_export_folder_option
@_split_option
@_revision_option
@_tree_license_option
def export_tree(
    source: str, output: Path, split_name: str | None, revision: str | None, license_id: str | None
) -> None:
    """Write the official folder tree: Train/ and Test/ with pictures, labels and LR.

    What is built from it has the same rows. annotators.csv and sources.csv are written where the dataset has them.
    """
    from hggt_data.exports.source import open_source
    from hggt_data.exports.tree import export_tree as run

    opened = open_source(source, split_name, revision=revision, license=license_id)  # type: ignore[arg-type]
    for line in run(opened, output):
        click.echo(line)


@main.command()
@_source_argument
@_split_option
@_revision_option
@click.option("--json", "json_file", type=_OutputFile, metavar="FILE", help="Write the numbers to this file.")
@click.option("--html", "html_file", type=_OutputFile, metavar="FILE", help="Write a page with plots to this file.")
@click.option("--dawid-skene", is_flag=True, help="Also weigh annotators by their estimated reliability.")
def stats(
    source: str,
    split_name: str | None,
    revision: str | None,
    json_file: Path | None,
    html_file: Path | None,
    dawid_skene: bool,
) -> None:
    """Show what was labelled, how well annotators agree, and how long they took.

    SOURCE is a tree, a built dataset, or ORG/NAME on the Hub.
    """
    from hggt_data.io.files import write_json, write_text
    from hggt_data.io.text import printable
    from hggt_data.loading import open_groups
    from hggt_data.statistics.counts import count_labels
    from hggt_data.statistics.page import format_statistics_html
    from hggt_data.statistics.text import format_statistics

    statistics = count_labels(open_groups(source, split_name, revision=revision), dawid_skene=dawid_skene)
    click.echo(format_statistics(statistics))
    if json_file:
        write_json(json_file, statistics.to_json())
    if html_file:
        write_text(html_file, format_statistics_html(statistics, title=printable(Path(source).resolve().name)))


def _parse_scales(_: click.Context, __: click.Parameter, value: str) -> "tuple[Fraction, ...]":
    from hggt_data.patches.subimages import SubimageError, parse_scales

    try:
        return parse_scales(value)
    except SubimageError as error:
        raise click.BadParameter(str(error)) from error


@main.command("extract-subimages")
@click.option(
    "--input",
    "inputs",
    type=_Folder,
    multiple=True,
    required=True,
    metavar="DIR",
    help="Folder of pictures; may be given several times.",
)
@click.option(
    "--output",
    type=_OutputFolder,
    required=True,
    metavar="DIR",
    help="New, or of an earlier run with the same options.",
)
@click.option(
    "--scales",
    callback=_parse_scales,
    default="0.75,0.5,1/3",
    show_default=True,
    metavar="LIST",
    help="Of the scaled versions T0, T1, ...; or none.",
)
@click.option(
    "--short-side",
    type=click.IntRange(0),
    default=400,
    show_default=True,
    metavar="PX",
    help="Of one version more; 0 for none.",
)
@click.option("--crop", type=click.IntRange(1), default=400, show_default=True, metavar="PX", help="Side of a crop.")
@click.option(
    "--step", type=click.IntRange(1), default=200, show_default=True, metavar="PX", help="From one crop to the next."
)
@click.option(
    "--threshold",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="PX",
    help="What may stay uncut at the right and lower border.",
)
@_workers_option
@click.pass_context
def extract_subimages(
    ctx: click.Context,
    /,
    inputs: tuple[Path, ...],
    output: Path,
    workers: int | None,
    **settings: Any,
) -> None:
    """Cut large pictures into crops for pretraining, as DF2K_OST is prepared.

    Each picture is cut as it is and in scaled versions: NAME_s001.png, NAMET0_s001.png and so on. Run it again after an
    interruption: it goes on where it stopped. Exit 1 if a picture could not be read; the others are cut.
    """
    from hggt_data.patches.subimages import SubimageSettings
    from hggt_data.patches.subimages import extract_subimages as run

    outcome = run(inputs, output, SubimageSettings(**settings), workers=workers)
    for line in outcome.describe():
        click.echo(line)
    if outcome.faults:
        ctx.exit(1)


@main.command("select-patches")
@click.option(
    "--input",
    "folder",
    type=_Folder,
    required=True,
    metavar="DIR",
    help="What hggt-models enhance wrote: original/, 01/, 02/ and so on.",
)
@click.option(
    "--output",
    type=_OutputFolder,
    required=True,
    metavar="DIR",
    help="New, or of an earlier run with the same options; Train/images/NAME makes it part of a tree.",
)
@click.option("--crop", type=click.IntRange(1), default=512, show_default=True, metavar="PX", help="Side of a patch.")
@click.option(
    "--step",
    type=click.IntRange(33),
    default=288,
    show_default=True,
    metavar="PX",
    help="From one place to the next, before each is moved by up to 16 pixels.",
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of the places.")
@click.option(
    "--detail",
    type=click.Choice(["official", "signed"]),
    default="official",
    show_default=True,
    help="How detail is measured: official clips negative responses of the Laplacian to 0.",
)
@click.option(
    "--score",
    type=click.Choice(["official", "absolute"]),
    default="absolute",
    show_default=True,
    help="How change is measured, in grey levels: |mean(difference)| or mean(|difference|).",
)
@click.option(
    "--min-difference",
    type=click.FloatRange(0, 255),
    default=0,
    show_default=True,
    metavar="X",
    help="Leave out patches whose candidates all score less.",
)
@click.option(
    "--max-per-image",
    type=click.IntRange(1),
    metavar="N",
    help="Keep the patches with the highest scores of each picture.  [default: all]",
)
@_workers_option
@click.pass_context
def select_patches(
    ctx: click.Context,
    /,
    folder: Path,
    output: Path,
    workers: int | None,
    **settings: Any,
) -> None:
    """Choose patches of enhanced pictures for people to judge.

    Writes original/IMAGE-TOP-LEFT.png, 01/IMAGE-TOP-LEFT_01.png and so on where any version shows enough detail;
    patches.csv with every place that was looked at, crop_area_info.txt with those kept, and contact sheets. Run it
    again after an interruption: it goes on where it stopped. Exit 1 if a picture could not be read; the others are
    done.
    """
    from hggt_data.patches.grid import PatchSettings
    from hggt_data.patches.selection import cut_patches

    outcome = cut_patches(folder, output, PatchSettings(**settings), workers=workers)
    for line in outcome.describe():
        click.echo(line)
    if outcome.faults:
        ctx.exit(1)


@main.command()
@click.option(
    "--input", "patches", type=_Folder, required=True, metavar="DIR", help="Patches from hggt-data select-patches."
)
@click.option(
    "--output", type=_OutputFolder, required=True, metavar="ROUND", help="Round to make, a new or empty folder."
)
@click.option(
    "--annotators",
    "names_file",
    type=_InputFile,
    required=True,
    metavar="FILE",
    help="Names of the annotators, one per line.",
)
@click.option(
    "--votes",
    type=click.IntRange(1, 26),
    default=3,
    show_default=True,
    metavar="N",
    help="Annotators per group.",
)
@click.option(
    "--per-batch",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Most votes in one batch.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Random seed for the assignment and its order.",
)
@click.option("--practice", type=_InputFile, metavar="CSV", help="Practice groups with known answers, shown first.")
@click.option("--gold", type=_InputFile, metavar="CSV", help="Groups with known answers, to check annotators.")
@click.option(
    "--repeats",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Groups per batch that the same annotator sees twice.",
)
@click.option(
    "--batches",
    type=click.Choice(["lists", "links", "copies"]),
    default="lists",
    show_default=True,
    help="Batches for other annotation tools: lists of groups, or folders of linked or copied pictures.",
)
@click.option("--fast", is_flag=True, help="Check image headers only; do not detect damaged pixels.")
@_workers_option
def deal(patches: Path, output: Path, names_file: Path, fast: bool, workers: int | None, **settings: Any) -> None:
    """Assign patch groups to annotators: make a new annotation round.

    Checks every picture, then gives each group to as many annotators as it needs votes. All annotators get equally
    many groups, and any two share equally many.

    Practice, gold and repeated groups do not count as votes. The CSV files have the columns group, one per candidate
    (Positive, Similar, Negative, or empty if any label is right) and, optionally, note.
    """
    from hggt_data.annotate.deal import DealSettings, deal_groups, read_names

    result = deal_groups(
        patches, output, read_names(names_file), DealSettings(**settings), workers=workers, decode=not fast
    )
    for line in result.describe():
        click.echo(line)


@main.command()
@click.argument("round_folder", type=_Folder, metavar="ROUND")
@click.option("--add", multiple=True, metavar="NAME", help="Add this annotator, or bring one back; repeatable.")
@click.option("--drop", multiple=True, metavar="NAME", help="Drop this annotator, whose answers stay; repeatable.")
@click.option("--input", "patches", type=_Folder, metavar="DIR", help="New folder of the patches, if they were moved.")
def reassign(round_folder: Path, add: tuple[str, ...], drop: tuple[str, ...], patches: Path | None) -> None:
    """Change the annotators of a round, or the folder of its patches.

    Answered groups stay with their annotators. The rest is shared out again, with as few changes as possible. Stop
    hggt-data annotate first.
    """
    from hggt_data.annotate.deal import reassign_groups

    for line in reassign_groups(round_folder, add, drop, patches=patches).describe():
        click.echo(line)


@main.command()
@click.option("--round", "round_folder", type=_Folder, required=True, metavar="ROUND", help="What hggt-data deal made.")
@click.option("--output", type=_OutputFolder, required=True, metavar="TREE", help="New or empty.")
@click.option("--copy", is_flag=True, help="Copy pictures.  [default: hard links, where the disk is the same]")
@click.option("--patches", type=_Folder, metavar="DIR", help="The pictures, if they were moved since they were dealt.")
@_workers_option
def merge(round_folder: Path, output: Path, copy: bool, patches: Path | None, workers: int | None) -> None:
    """Make the official tree of a round's votes.

    Groups with all their votes get the slots A, B, C and so on; the others are listed, as are files that do not count
    and groups whose pictures are not those that were dealt, and all of it in ROUND/merge.json. annotators.csv says who
    is behind each slot, by pseudonym: names stay in the round.
    """
    from hggt_data.annotate.merge import merge_round

    for line in merge_round(round_folder, output, copy=copy, patches=patches, workers=workers).describe():
        click.echo(line)


@main.command()
@click.argument("round_folder", type=_Folder, metavar="ROUND")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, metavar="N", help="0 for any free one."
)
@click.option("--annotator", metavar="NAME", help="Who is at this machine.  [default: the only one of the round]")
@click.option("--accounts", type=_InputFile, metavar="FILE", help="Several people, with URLs of hggt-data accounts.")
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="A name by which others call this machine; several times."
)
@click.option("--tls-certificate", type=_InputFile, metavar="FILE", help="To answer https://; with --tls-key.")
@click.option("--tls-key", type=_InputFile, metavar="FILE", help="The certificate's key.")
@click.option("--plain-http", is_flag=True, help="Answer other machines without encryption, where it can be trusted.")
@click.option("--patches", type=_Folder, metavar="DIR", help="The pictures, if they were moved since they were dealt.")
def annotate(round_folder: Path, **flags: Any) -> None:
    """Serve a round of annotation: people judge candidates in the browser.

    Every answer is a file as soon as the page says so; stop and start the server whenever you like. /admin shows how
    the round is going. Other machines are let in with --accounts only, and over https:// unless you say --plain-http.
    """
    from hggt_data.annotate.web.serve import ServerSettings, serve_round

    serve_round(round_folder, ServerSettings(**flags), click.echo)


@main.group(cls=HggtGroup)
def accounts() -> None:
    """Let people in: personal URLs for hggt-data annotate."""


_accounts_option = click.option(
    "--accounts",
    "accounts_file",
    type=_OutputFile,
    default="accounts.json",
    show_default=True,
    metavar="FILE",
    help="Made if need be; holds hashes of the secrets.",
)


@accounts.command("add")
@click.argument("name")
@_accounts_option
@click.option(
    "--url", default="http://127.0.0.1:8000/", show_default=True, metavar="URL", help="Where people find the server."
)
@click.option("--admin", is_flag=True, help="For /admin; sees everybody's answers, cannot judge.")
@click.option("--renew", is_flag=True, help="Make a new URL for a name that has one; the old one is void.")
def add_account(name: str, accounts_file: Path, url: str, admin: bool, renew: bool) -> None:
    """Print a personal URL for NAME. It is shown this once; whoever has it is NAME."""
    from hggt_data.annotate.web.accounts import Account
    from hggt_data.annotate.web.accounts import add_account as run

    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise click.UsageError(f"--url {url!r} is not where a server is; expected one such as https://lab.example.org/")
    token = run(accounts_file, Account(name, admin), renew=renew)
    click.echo(f"{url.rstrip('/')}/{'admin' if admin else ''}#{token}")


@accounts.command("remove")
@click.argument("name")
@_accounts_option
def remove_account(name: str, accounts_file: Path) -> None:
    """Void the URL of NAME, also for a server that is running. Answers stay."""
    from hggt_data.annotate.web.accounts import remove_account as run

    run(accounts_file, name)


@accounts.command("list")
@_accounts_option
def list_accounts(accounts_file: Path) -> None:
    """Show who has a URL."""
    from hggt_data.annotate.web.accounts import Accounts

    for account in Accounts(accounts_file).all():
        click.echo(f"{account.name} (admin)" if account.is_admin else account.name)


@main.command()
@click.argument("folder", type=_OutputFolder)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the simulated annotators and the LR noise.")
def demo(folder: Path, seed: int) -> None:
    """Write a small HGGT tree from real pictures, and two restored folders, to try the commands on.

    FOLDER gets Train/, Test/, sources.csv and restored/. The annotators are simulated.
    """
    from hggt_data.tree.demo import write_demo_restored, write_demo_tree

    tree = write_demo_tree(folder, seed)
    restored = write_demo_restored(tree.lr, folder / "restored")
    for path in (tree.train, tree.test, tree.sources, *restored):
        click.echo(path)
