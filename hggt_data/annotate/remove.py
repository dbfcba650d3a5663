"""Removes groups from a round, or a person's answers and name."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from hggt_data.annotate.batches import BATCHES, require_own_batches, write_batches
from hggt_data.annotate.consent import acceptance_path
from hggt_data.annotate.merge import REPORT
from hggt_data.annotate.round import PICTURES, Kind, Round, lock_round, read_round, write_round
from hggt_data.errors import NameFormatError, RoundError
from hggt_data.io.files import csv_file, read_csv
from hggt_data.io.folders import replaced_folder
from hggt_data.schema import PatchId
from hggt_data.unwanted import Unwanted


@dataclass(frozen=True)
class RoundRemoval:
    """What was removed from a round: groups, names of annotators, and files of answers and records."""

    groups: tuple[str, ...]
    annotators: tuple[str, ...]
    num_files: int


def remove_from_round(folder: Path, unwanted: Unwanted) -> RoundRemoval:
    """Remove groups, or annotators' answers and names, from a round that is not being served.

    A removed annotator stays as a pseudonym without answers, so that `reassign_groups` gives the groups to others.
    Answers are removed first and `assignments.json` is written last: after an interruption, the same call completes it.

    RoundError if this is not a round, or no group would remain.
    """
    with lock_round(folder):
        return remove_from_locked(folder, unwanted)


def remove_from_locked(folder: Path, unwanted: Unwanted) -> RoundRemoval:
    """The same for a round that the caller has locked."""
    round_ = read_round(folder)
    require_own_batches(round_)
    annotators = [one for one in round_.annotators if not unwanted.annotators.isdisjoint((one.name, one.pseudonym))]
    every = {item.group for one in round_.annotators for item in one.items} | round_.known.keys()
    groups = {group for group in every if unwanted.has_group(group, _image_name(group))}
    after = _without(round_, groups, {one.pseudonym for one in annotators})
    if groups and not after.groups_to_vote_on:
        raise RoundError(f"{folder}: no group would remain; delete the round instead")
    num_files = 0
    for place in (folder, folder / "shown", folder / "skips"):
        for kind in Kind:
            for annotator in annotators:
                own = place / kind.folder / annotator.pseudonym
                num_files += sum(path.is_file() for path in own.rglob("*"))
                if own.is_dir():
                    shutil.rmtree(own)
            for path in (place / kind.folder).glob("*/*"):
                if path.name.partition(".json")[0] in groups:  # also a broken one that a new answer replaced
                    path.unlink()
                    num_files += 1
    for annotator in annotators:
        consent = acceptance_path(folder, annotator.pseudonym)
        num_files += consent.is_file()
        consent.unlink(missing_ok=True)
    if groups or annotators:
        (folder / REPORT).unlink(missing_ok=True)  # quotes reasons for skips; merge writes it again
        with replaced_folder(folder / BATCHES) as staging:
            write_batches(after, staging)
        _remove_lines(folder / PICTURES, groups)
        write_round(after)
    return RoundRemoval(tuple(sorted(groups)), tuple(one.name for one in annotators), num_files)


def _image_name(group: str) -> str:
    try:
        return PatchId.parse(group).image
    except NameFormatError:
        return group


def _without(round_: Round, groups: set[str], pseudonyms: set[str]) -> Round:
    kept = []
    for annotator in round_.annotators:
        batches = [tuple(item for item in batch if item.group not in groups) for batch in annotator.batches]
        annotator = replace(annotator, batches=tuple(filter(None, batches)))
        if annotator.pseudonym in pseudonyms:
            annotator = replace(annotator, name=annotator.pseudonym, is_active=False)
        kept.append(annotator)
    known = {group: answer for group, answer in round_.known.items() if group not in groups}
    checks = round_.checks
    practice, gold = (tuple(one for one in these if one not in groups) for these in (checks.practice, checks.gold))
    checks = replace(checks, practice=practice, gold=gold)
    return replace(round_, annotators=tuple(kept), known=known, checks=checks)


def _remove_lines(path: Path, groups: set[str]) -> None:
    if not path.is_file():
        return
    columns, lines = read_csv(path)
    with csv_file(path, columns) as write_line:
        for line in lines:
            if line["group"] not in groups:
                write_line(line[column] for column in columns)
