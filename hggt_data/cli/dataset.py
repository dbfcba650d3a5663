"""Commands on datasets: build one, push it to the Hub, download it."""

from typing import TYPE_CHECKING, Any

import click

from hggt_data.cli.group import HggtCommand, ResumedCommand, echo_all
from hggt_data.cli.options import FILE, FOLDER, TABLE, TREE, Argument, Detail, Option
from hggt_data.cli.publishing import confirm_and_push, require_terminal

if TYPE_CHECKING:
    from hggt_data.dataset.build import BuildSettings
    from hggt_data.hub.push import PushSettings


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.dataset.build:BuildSettings",
    details={
        "trees": Option("--tree", TREE, required=False),
        "test_tree": TREE,
        "lr": TREE,
        "sources": Option(type=FILE, metavar="CSV"),
        "citation": FILE,
        **TABLE,
    },
)
def build(settings: "BuildSettings") -> None:
    """Build a Hugging Face dataset from HGGT trees.

    hggt-build-dataset and hggt-data build are the same command. After an interruption or a change of labels, run it
    again: it resumes and writes only what has changed.
    """
    from hggt_data.dataset.build import build_dataset
    from hggt_data.problems import summarise

    result = build_dataset(settings)
    echo_all([*([summarise(result.problems)] if result.problems else []), *result.describe()])


_PUSH = "hggt_data.hub.push:PushSettings"
_PUSH_DETAILS: dict[str, Detail] = {"dataset": Argument("DIR", FOLDER), "repo_id": Argument("ORG/NAME")}


@click.command(cls=ResumedCommand, options_of=_PUSH, details=_PUSH_DETAILS)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def push(settings: "PushSettings", yes: bool) -> None:
    """Push a built dataset to the Hugging Face Hub.

    The repository is private by default. Annotators' names are replaced with pseudonyms, and times are made relative.
    The new version appears in one commit, which is then compared with the manifest. After an interruption, run it
    again: it resumes.
    """
    from hggt_data.hub.push import open_push

    confirm_and_push(open_push(settings), "load_dataset", settings, yes=yes)


# The old name of `push`, kept for this version.
publish = ResumedCommand(
    "publish",
    callback=push.callback,
    params=push.params,
    help=push.help,
    hidden=True,
    options_of=_PUSH,
    details=_PUSH_DETAILS,
)


@click.command(
    cls=ResumedCommand,
    options_of="hggt_data.hub.download:download_dataset",
    details={"repo_id": Argument("ORG/NAME")},
)
def download(arguments: dict[str, Any]) -> None:
    """Download a published dataset and check every file.

    After an interruption, run it again: it resumes. Files that DIR already contains are not downloaded again.
    """
    from hggt_data.hub.download import download_dataset

    manifest = download_dataset(**arguments)
    echo_all([f"{arguments['output']}: {manifest.describe()}, all files match the manifest."])


@click.command(
    cls=HggtCommand,
    options_of="hggt_data.remove:remove_data",
    details={
        "path": Argument("PATH"),
        "groups": Option("--group", metavar="ID"),
        "source_pictures": Option("--source-picture", metavar="NAME"),
        "annotators": Option("--annotator", metavar="NAME"),
        "repositories": Option("--repository", metavar="ORG/NAME"),
    },
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def remove(arguments: dict[str, Any], yes: bool) -> None:
    """Remove groups, source pictures or an annotator's votes.

    PATH is a built dataset, which is replaced by its next version, a round of annotation, or a tree. With --repository,
    the command also lists the versions on the Hub that still hold what was removed, and the commands that delete them.
    """
    from hggt_data.remove import remove_data

    if not yes and "output" not in arguments:
        require_terminal("remove", "--output to write a new version of a dataset")
        click.confirm(f"Change {arguments['path']} itself? What is removed cannot be restored.", abort=True)
    echo_all(remove_data(**arguments))
