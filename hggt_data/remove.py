"""Removes groups, source pictures or people's votes from data: what `hggt-data remove` calls."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hggt_data.annotate.remove import remove_from_round
from hggt_data.annotate.round import ASSIGNMENTS
from hggt_data.dataset.manifest import is_built_dataset
from hggt_data.dataset.remove import find_in_dataset, remove_from_dataset
from hggt_data.errors import SettingsError
from hggt_data.hub.holders import find_holders
from hggt_data.hub.pseudonyms import read_pseudonyms, write_pseudonyms
from hggt_data.hub.push import pseudonyms_file_of
from hggt_data.io.folders import recover
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import default_workers
from hggt_data.ranges import Count, require_lists
from hggt_data.tree.remove import remove_from_tree
from hggt_data.unwanted import Unwanted

_ELSEWHERE = (
    "Not searched: other trees, rounds, copies and backups, exports (make them again), networks trained on the data, "
    "and what others have downloaded."
)


def remove_data(
    path: str | Path,
    *,
    groups: Sequence[str] = (),
    source_pictures: Sequence[str] = (),
    annotators: Sequence[str] = (),
    output: str | Path | None = None,
    repositories: Sequence[str] = (),
    workers: Count | None = None,
) -> list[str]:
    """Remove groups, all groups of source pictures, or annotators' votes.

    For a dataset, the next version is written: consensus and strengths are computed again from the remaining votes, and
    shards without anything to remove are kept byte for byte. The file of pseudonyms beside it loses the annotator's
    name and keeps the pseudonym, so that no one else gets it. In a round, the answers are deleted, and an annotator's
    name is replaced by the pseudonym. In a tree, the files of groups are deleted, and in tables of votes the rows.

    Args:
        path: Built dataset, round, or tree.
        groups: Group to remove; repeatable.
        source_pictures: Source picture to remove with all its groups; repeatable.
        annotators: Annotator whose votes to remove, by name or pseudonym; repeatable.
        output: New or empty folder for the next version of a dataset.  [default: `path` is replaced]
        repositories: Dataset on the Hub to search in all its commits; repeatable.
        workers: Worker processes.  [default: one per core, at most 8]

    Returns:
        What was removed, what the repositories still hold, and the commands that delete it there; one line each.

    Raises:
        SettingsError: There is nothing to remove, or `path` does not have it.
        DatasetError: The dataset does not agree with its manifest, or nothing would remain.
        TreeError: It is not a tree, or votes are to be removed from it.
        RoundError: It is not a round, or nothing would remain.
        OutputError: `output` is not empty, the folder has other files, or the round is being served.
        HubError: A repository cannot be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import BuildSettings, build_dataset, open_groups, remove_data, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = build_dataset(BuildSettings([write_demo_tree(folder).train], folder / "hggt", workers=1))
        >>> lines = remove_data(folder / "hggt", source_pictures=["chelsea"], workers=1)
        >>> open_groups(folder / "hggt").ids
        ['astronaut-0-0', 'astronaut-16-96', 'astronaut-96-40']
    """
    require_lists(groups=groups, source_pictures=source_pictures, annotators=annotators, repositories=repositories)
    path = Path(path)
    unwanted = Unwanted(frozenset(groups), frozenset(source_pictures), frozenset(annotators))
    if unwanted == Unwanted():
        raise SettingsError("nothing to remove; pass `groups`, `source_pictures` or `annotators`")
    recover(path.resolve())  # a killed run may have left the dataset beside its place
    if is_built_dataset(path):
        pseudonyms = read_pseudonyms(pseudonyms_file_of(path))
        unwanted = replace(unwanted, annotators=_with_pseudonyms(annotators, pseudonyms))
        target = path if output is None else Path(output)
        lines = _remove_from_dataset(path, target, unwanted, pseudonyms, bool(repositories), workers)
    elif output is not None:
        raise SettingsError(f"{path} is not a built dataset, and is changed in place; leave out `output`")
    elif (path / ASSIGNMENTS).is_file():
        target = path
        lines = _remove_from_round(path, unwanted)
    else:
        target = path
        lines = _remove_from_tree(path, unwanted)
    for repo_id in repositories:
        lines += find_holders(repo_id, unwanted).describe(str(target))
    if not repositories:
        lines.append("Pass `repositories` to search all versions of a dataset on the Hub.")
    return [*lines, _ELSEWHERE]


def _with_pseudonyms(annotators: Sequence[str], pseudonyms: Mapping[str, str]) -> frozenset[str]:
    """The names of annotators with their pseudonyms, and the reverse."""
    pairs = [pair for pair in pseudonyms.items() if not {*annotators}.isdisjoint(pair)]
    return frozenset(annotators).union(*pairs)


def _require_found(path: Path, found: Collection[object], *, searched: bool) -> None:
    """SettingsError if there was nothing to remove here, unless repositories are searched, too."""
    if not found and not searched:
        raise SettingsError(f"{path} has nothing to remove under these names; check them with `hggt-data stats`")


def _remove_from_dataset(
    path: Path, output: Path, unwanted: Unwanted, pseudonyms: Mapping[str, str], searched: bool, workers: int | None
) -> list[str]:
    found = find_in_dataset(path, unwanted)
    named = [name for name in pseudonyms if name in unwanted.annotators and name != pseudonyms[name]]
    _require_found(path, [*filter(None, [found]), *named], searched=searched)
    lines = []
    if found:
        done = remove_from_dataset(path, output, found, unwanted, workers or default_workers())
        gone = [group for removed in found.gone.values() for group in removed]
        judged = [group for rejudged in found.rejudged.values() for group in rejudged.values()]
        lines.append(f"{output}: {done.manifest.describe()}")
        if gone:
            lines.append(f"Removed {plural(len(gone), 'group')}: {format_examples(sorted(gone))}")
        if judged:
            bare = sum(not (one.annotations or one.pairs or one.choices or one.scores) for one in judged)
            rest = f"; {plural(bare, 'group')} without a vote now" if bare else ""
            lines.append(f"Removed {plural(found.num_votes, 'vote')} on {plural(len(judged), 'other group')}{rest}")
        num_shards = len(done.manifest.shards)
        lines.append(f"{done.kept:,} of {plural(num_shards, 'shard')} kept byte for byte")
        if done.edited:
            lines.append(f"Replaced {' and '.join(done.edited)}, although edited; edit again what is still true.")
        lines.append("The next build from the trees would bring this back: remove it there as well.")
    else:
        lines.append(f"{path} has nothing to remove.")
    if named:
        kept = {pseudonyms[name] if name in named else name: pseudonyms[name] for name in pseudonyms}
        file = pseudonyms_file_of(output)
        write_pseudonyms(file, kept)
        lines.append(f"{file}: the name of {', '.join(pseudonyms[name] for name in named)} was removed")
    if found and output.resolve() != path.resolve():
        rest = f", and {pseudonyms_file_of(path).name} beside it" if named else ""
        lines.append(f"{path} still has what was removed{rest}; delete it when you no longer need it.")
    beside = [path.resolve().with_name(f".{path.resolve().name}.{what}") for what in ("partial", "push")]
    if there := [str(folder) for folder in beside if folder.is_dir()]:
        lines.append(f"Unfinished work may still hold it; delete {' and '.join(there)}.")
    return lines


def _remove_from_round(path: Path, unwanted: Unwanted) -> list[str]:
    done = remove_from_round(path, unwanted)
    _require_found(path, (*done.groups, *done.annotators), searched=False)
    lines = []
    if done.groups:
        lines.append(f"{path}: removed {plural(len(done.groups), 'group')}: {format_examples(done.groups)}")
    if done.annotators:
        lines.append(f"{path}: removed the answers and the name of {', '.join(done.annotators)}")
        lines.append(f"Run hggt-data reassign {path} to have others judge the groups.")
        lines.append("Remove the person from accounts files with hggt-data accounts remove.")
    lines.append(f"Deleted {plural(done.num_files, 'file')} of answers and records")
    lines.append("Trees merged from the round, and its folder of patches, are not changed: remove the same there.")
    return lines


def _remove_from_tree(path: Path, unwanted: Unwanted) -> list[str]:
    done = remove_from_tree(path, unwanted)
    _require_found(path, [*done.groups, *range(done.num_rows)], searched=False)
    what = f"{plural(done.num_files, 'file')}, {plural(done.num_rows, 'row')} of tables"
    lines = [f"{path}: removed {plural(len(done.groups), 'group')} ({what})"]
    if done.num_files:
        lines.append("Hard links to these files in other folders, such as those of `hggt-data split`, remain.")
    return lines
