"""Converts the votes of a study to a tree in the layout `table`: `votes.csv`, the pictures, and the plan.

Annotators appear by pseudonym. How pages were looked at (zoom, seconds at 100 %) is in `viewing.csv`, which no build or
push takes along.
"""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hggt_data.annotate.answers import read_answers
from hggt_data.annotate.copies import note_copy
from hggt_data.annotate.merge import MergeResult, merge_round
from hggt_data.annotate.round import PICTURES, Kind, Round
from hggt_data.annotate.study.sriqa import require_sriqa, write_sriqa
from hggt_data.annotate.study.votes import StudyVote, count_missing, read_study_round, read_votes
from hggt_data.errors import HggtError, RoundError, SettingsError
from hggt_data.io.files import csv_file, link_or_copy, read_csv
from hggt_data.io.folders import new_folder, require_outside
from hggt_data.io.images import hash_pixels, read_pixels
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import show_progress
from hggt_data.ranges import Count
from hggt_data.schema import LR, ORIGINAL, ChoiceVote, PairVote, group_order
from hggt_data.study_plan import PLAN_FILE, StudyPlan, is_damaged_name, write_plan
from hggt_data.tree.hggt_folders import picture_name
from hggt_data.tree.protocol import write_protocol
from hggt_data.tree.table_votes import VOTES_FILE

VIEWING_FILE = "viewing.csv"
_FACTS = ("annotator", "preferred", "question", "start", "end", "seconds", "kind")
_VIEWING = ("zoom", "flips", "device_pixel_ratio", "full_zoom_s")
_MOST_SHOWN = 5


@dataclass(frozen=True)
class MergedStudy:
    """A study as a tree.

    Attributes:
        output: The tree.
        plan: The plan of the study, with this look.
        votes: Number of votes of each kind.
        missing: Votes that the study lacks.
        faults: Answer files that are not valid.
        skips: Why comparisons were skipped.
        layout: Layout of the tree.
    """

    output: Path
    plan: StudyPlan
    votes: Counter[str]
    missing: int
    faults: tuple[str, ...] = ()
    skips: tuple[str, ...] = ()
    layout: str = "table"

    def describe(self) -> list[str]:
        """Summary lines, and what to do next."""
        checks = [f"{plural(self.votes[kind], noun)}" for kind, noun in (("gold", "gold answer"), ("repeat", "repeat"))]
        lines = [
            f"{self.output}: {plural(self.votes['vote'], 'vote')} on {plural(self.plan.groups, 'picture')}, "
            f"{' and '.join(checks)} (layout: {self.layout})"
        ]
        if self.missing:
            lines.append(
                f"The study is not complete: {plural(self.missing, 'vote')} missing. Its plan records that the "
                "preferences were looked at; if the study is extended now, p values are withheld."
            )
        if self.faults:
            count, shown = plural(len(self.faults), "file"), format_examples(self.faults, _MOST_SHOWN)
            lines.append(f"{count} not counted as votes: {shown}")
        if self.skips:
            count, shown = plural(len(self.skips), "comparison"), format_examples(self.skips, _MOST_SHOWN)
            lines.append(f"Annotators skipped {count}: {shown}")
        output = shlex.quote(str(self.output))
        return [*lines, f"Next: hggt-data validate {output}; then hggt-eval study {output} --output DIR"]


def merge_votes(
    folder: str | Path,
    output: str | Path,
    *,
    copy: bool = False,
    patches: str | Path | None = None,
    workers: Count | None = None,
    unfinished: bool = False,
    layout: Literal["table", "sriqa"] = "table",
) -> MergeResult | MergedStudy:
    """Convert the votes of a round of labels or of a study, see `merge_round` and `merge_study`.

    Args:
        folder: Round to merge.
        output: New or empty folder for the tree.
        copy: Copy the pictures [default: hard links, if both folders are on the same disk].
        patches: Folder of the patches, if they were moved.
        workers: Worker processes that compare the pictures with those that were assigned [default: one per core, at
            most 8].
        unfinished: Merge a study that is not complete.
        layout: Layout of a study's tree; sriqa is for pairs with ground truths and low-resolution pictures.
    """
    if (Path(folder) / PLAN_FILE).exists():
        if patches is not None:
            raise SettingsError("the pictures of a study are in its round; leave out `patches`")
        return merge_study(folder, output, copy=copy, unfinished=unfinished, layout=layout)
    if layout != "table":
        raise SettingsError("`layout` is for studies; a round of labels becomes an official tree")
    if unfinished:
        raise SettingsError("`unfinished` is for studies; a round of labels is merged group by group")
    return merge_round(folder, output, copy=copy, patches=patches, workers=workers)


def merge_study(
    folder: str | Path,
    output: str | Path,
    *,
    copy: bool = False,
    unfinished: bool = False,
    layout: Literal["table", "sriqa"] = "table",
) -> MergedStudy:
    """Convert the votes of a study to a tree; the study can be merged again.

    The plan of the study records that its preferences were looked at: an extension after that is marked in all results.

    Args:
        folder: Round of the study.
        output: New or empty folder for the tree.
        copy: Copy the pictures [default: hard links, if both folders are on the same disk].
        unfinished: Merge a study that is not complete.
        layout: `table`, or `sriqa` for pairs with ground truths and low-resolution pictures, without gold and repeats,
            annotators and times.

    Returns:
        What the tree has.

    Raises:
        RoundError: This is not a study, it is not complete, it has no votes, or pictures have changed.
        OutputError: The output is not empty, or is inside the round.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import StudySettings, deal_study, merge_study, write_demo_tree
        >>> from hggt_data.tree.demo import write_demo_restored
        >>> folder = Path(tempfile.mkdtemp())
        >>> demo = write_demo_tree(folder)
        >>> restored = [str(path) for path in write_demo_restored(demo.lr, folder / "restored")]
        >>> settings = StudySettings(questions=("Which version looks better?",), votes=1)
        >>> study = deal_study(restored, folder / "round", ["Ann"], settings, dataset=demo.test)
        >>> try:
        ...     merge_study(folder / "round", folder / "merged")
        ... except ValueError as error:
        ...     print(str(error).partition("; ")[0].partition(": ")[2])
        the study is not complete, 6 of 6 votes are missing
    """
    folder, output = Path(folder), Path(output)
    round_ = read_study_round(folder)
    assert round_.study is not None
    require_outside(output, folder, "the round")
    answers = [read_answers(round_, annotator) for annotator in round_.annotators]
    votes = list(read_votes(round_, answers))
    missing = count_missing(round_, votes)
    number = Counter(one.item.kind.value for one in votes)
    if missing and not unfinished:
        raise RoundError(
            f"{folder}: the study is not complete, {missing:,} of {missing + number['vote']:,} votes are missing; go "
            f"on with hggt-data annotate {shlex.quote(str(folder))}. Whoever sees preferences now may stop or extend "
            "the study because of them; pass `unfinished` to look nevertheless, which plan.json records"
        )
    if not number["vote"]:
        raise RoundError(f"{folder}: the study has no votes yet; go on with hggt-data annotate")
    if layout == "sriqa":
        require_sriqa(round_)
    _require_same_pictures(round_)
    plan = round_.study.plan.with_look(number["vote"], "hggt-data merge", missing)
    with new_folder(output) as staging:
        if layout == "sriqa":
            write_sriqa(round_, staging, votes, copy=copy)
        else:
            _write_votes(staging, plan, votes)
            _write_pictures(round_, staging, copy=copy)
        write_protocol(staging, round_.protocol)
        write_plan(staging, plan)
        if plan != round_.study.plan:
            write_plan(folder, plan)  # before anybody sees the votes
    note_copy(folder, output, "hggt-data merge")
    faults = [path.relative_to(folder).as_posix() for found in answers for path in found.faults]
    skips = [reason for found in answers for item, reason in found.skips.items() if item.kind is Kind.VOTE]
    return MergedStudy(output, plan, number, missing, tuple(faults), tuple(skips), layout)


def vote_columns(plan: StudyPlan) -> tuple[str, ...]:
    """The columns of `votes.csv`."""
    return ("group", *(("first", "second") if plan.design == "pairs" else ("shown",)), *_FACTS)


def vote_rows(votes: Sequence[StudyVote]) -> Iterator[list[Any]]:
    """The rows of `votes.csv`; of a pair, `first` was on the left."""
    for one in sorted(votes, key=lambda one: (group_order(one.comparison.group), one.item.group)):
        yield [one.comparison.group, *_versions(one.vote), *(_cell(getattr(one.vote, name)) for name in _FACTS)]


def _cell(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _versions(vote: PairVote | ChoiceVote) -> tuple[str, ...]:
    return (vote.first, vote.second) if isinstance(vote, PairVote) else (";".join(vote.shown),)


def _write_votes(folder: Path, plan: StudyPlan, votes: Sequence[StudyVote]) -> None:
    columns = vote_columns(plan)
    with csv_file(folder / VOTES_FILE, columns) as write_line:
        for row in vote_rows(votes):
            write_line(row)
    versions = columns[1 : columns.index("annotator")]
    with csv_file(
        folder / VIEWING_FILE, ("group", *versions, "annotator", "question", "kind", *_VIEWING)
    ) as write_line:
        for one in votes:
            seen = [one.full_zoom_s.get(name) for name in one.comparison.versions]
            least = None if None in seen or not seen else min(value for value in seen if value is not None)
            who = (one.vote.annotator, one.vote.question, one.vote.kind)
            viewed = (*(one.display.get(name) for name in _VIEWING[:-1]), least)
            write_line((one.comparison.group, *_versions(one.vote), *who, *viewed))


def _write_pictures(round_: Round, folder: Path, *, copy: bool) -> None:
    """The pictures of all versions, the damaged ones of gold comparisons, and the references."""
    for group, version in _pictures_of(round_):
        target = folder / version / picture_name(group, version)
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(round_.picture(group, version), target, copy=copy)


def _pictures_of(round_: Round) -> list[tuple[str, str]]:
    """(group, version) of each picture."""
    assert round_.study is not None
    found = {(one.group, name) for one in round_.study.by_id.values() for name in one.versions}
    groups = {group for group, _ in found}
    kinds = [kind for kind in (ORIGINAL, LR) if (round_.patches / kind).is_dir()]
    found |= {(group, kind) for group in groups for kind in kinds}
    return sorted(found, key=lambda pair: (is_damaged_name(pair[1]), pair[1], group_order(pair[0])))


def _require_same_pictures(round_: Round) -> None:
    """RoundError if a picture is missing, damaged or not the one that was judged."""
    expected = {(line["group"], line["version"]): line["digest"] for line in read_csv(round_.folder / PICTURES)[1]}
    faults = []
    pictures = _pictures_of(round_)
    for group, version in show_progress(pictures, len(pictures), "comparing pictures", "picture"):
        path = round_.picture(group, version)
        try:
            if hash_pixels(read_pixels(path)) != expected.get((group, version)):
                faults.append(f"{path} was replaced after the study had been dealt")
        except (HggtError, OSError) as error:
            faults.append(str(error) if isinstance(error, HggtError) else f"{path}: {error.strerror}")
    if faults:
        raise RoundError(
            f"{plural(len(faults), 'picture')} of {len(pictures):,} cannot be used: {format_examples(faults)}. Restore "
            "the pictures that were judged"
        )
