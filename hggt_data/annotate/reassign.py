"""Reassigns unanswered groups of a round when annotators join or leave.

Answers stay with their annotators; everything else may change hands.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hggt_data.annotate.answers import Answers, read_answers
from hggt_data.annotate.assignment import Assignment, Excluded, Reassignable
from hggt_data.annotate.batches import BATCHES, require_own_batches, with_batches, write_batches
from hggt_data.annotate.deal import DealResult, require_names
from hggt_data.annotate.round import Annotator, Round, groups_to_vote_on, lock_round, read_round, write_round
from hggt_data.annotate.study.deal import extend_study
from hggt_data.errors import RoundError
from hggt_data.io.folders import replaced_folder
from hggt_data.io.text import format_examples, plural
from hggt_data.ranges import Count, require_arguments, require_lists
from hggt_data.schema import ORIGINAL, group_order
from hggt_data.study_plan import write_plan
from hggt_data.tree.annotators import draw_pseudonym


def reassign_groups(
    round_folder: str | Path,
    add: Sequence[str] = (),
    drop: Sequence[str] = (),
    *,
    patches: str | Path | None = None,
    votes: Count | None = None,
) -> DealResult:
    """Reassign unanswered groups after annotators join or leave, or extend a study.

    Answers stay with their annotators, loads become as equal as answers and skips allow, and few groups change hands.
    A group that an annotator skipped goes to another one.

    Args:
        round_folder: Round to change.
        add: Annotator who joins, or comes back after being dropped; repeatable.
        drop: Annotator who leaves, but whose answers are kept; repeatable.
        patches: New folder of the patches, if they were moved.
        votes: Votes per comparison from now on, to extend a study; plan.json records it.

    Returns:
        The round as it is now and as it was before, and lines that describe the changes.

    Raises:
        RoundError: This is not a round, a name is unknown or already taken, too few annotators are left, or `votes`
            would not extend a study.
        OutputError: The round is being served.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import DealSettings, deal_groups, reassign_groups, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> patches = write_demo_tree(folder).train / "images/0-6"
        >>> _ = deal_groups(patches, folder / "round", ["Ann", "Ben"], DealSettings(votes=1), workers=1)
        >>> round_ = reassign_groups(folder / "round", add=["Cleo"], drop=["Ben"]).round
        >>> [(annotator.name, len(annotator.items)) for annotator in round_.annotators]
        [('Ann', 3), ('Ben', 0), ('Cleo', 3)]
    """
    require_lists(add=add, drop=drop)
    require_arguments(reassign_groups, votes=votes)
    round_folder = Path(round_folder)
    patches = None if patches is None else Path(patches)
    with lock_round(round_folder):
        before = read_round(round_folder, patches)
        if patches is not None:
            _require_patches(before)
        require_own_batches(before)
        wanted = before if votes is None else _with_votes(before, votes)
        annotators = _change_annotators(before, add, drop)
        answers = {annotator.name: read_answers(before, annotator) for annotator in annotators}
        result = replace(assign_again(wanted, annotators, answers), before=before)
        if result.round.study is None:
            with replaced_folder(round_folder / BATCHES) as staging:
                write_batches(result.round, staging)
        else:
            result = replace(result, round=extend_study(result.round, before))
            assert result.round.study is not None
            write_plan(round_folder, result.round.study.plan)
        write_round(result.round)  # last, so that after an interruption the same command gives the same result
    faults = [path.relative_to(round_folder).as_posix() for found in answers.values() for path in found.faults]
    return replace(result, faults=tuple(faults))


def assign_again(before: Round, annotators: Sequence[Annotator], answers: Mapping[str, Answers]) -> DealResult:
    """The round after these annotators joined or left, with the answers of each by name; writes nothing."""
    active = [annotator.name for annotator in annotators if annotator.is_active]
    if len(active) < before.votes:
        raise RoundError(
            f"{plural(len(active), 'annotator')} would remain; {plural(before.votes, 'vote')} per group need at least "
            f"{before.votes}: add annotators too"
        )
    assignment, reassignable, excluded = _keep_assignment(before, annotators, answers)
    assignment.complete(active, before.votes, reassignable, excluded)
    after = [
        with_batches(
            annotator,
            assignment.groups_of(annotator.name),
            before.checks,
            before.per_batch,
            assignment.rng,
            answers[annotator.name],
            before.study,
        )
        for annotator in annotators
    ]
    difference = assignment.explain_difference(active, reassignable)
    return DealResult(before.with_annotators(tuple(after)), before, difference=difference)


def _with_votes(before: Round, votes: int) -> Round:
    """The round with more votes; RoundError if it is not a study, or has so many already."""
    if before.study is None:
        raise RoundError(f"{before.folder} is not a study; the number of votes of a round of labels cannot be changed")
    if votes <= before.votes:
        raise RoundError(
            f"`votes` is {votes}; expected more than the {plural(before.votes, 'vote')} per comparison that the study "
            "has: a study can be extended, not shortened"
        )
    return replace(before, votes=votes)


def _require_patches(round_: Round) -> None:
    """Check that a new folder of patches has all pictures of the round."""
    if round_.study is not None:
        raise RoundError(f"{round_.folder} is a study, whose pictures are in its own folder; leave out `patches`")
    groups = sorted({item.group for annotator in round_.annotators for item in annotator.items}, key=group_order)
    paths = [round_.picture(group, name) for group in groups for name in (ORIGINAL, *round_.candidates)]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise RoundError(
            f"{round_.patches} lacks {plural(len(missing), 'picture')} of {len(paths):,} of this round: "
            f"{format_examples(missing)}; pass the folder that contains the patches of the round"
        )


def _change_annotators(before: Round, add: Sequence[str], drop: Sequence[str]) -> list[Annotator]:
    add, drop = require_names(add), require_names(drop)
    require_names([*add, *drop])
    by_name = {annotator.name: annotator for annotator in before.annotators}
    for name in drop:
        by_name[name] = replace(before.annotator(name), is_active=False)
    for name in add:
        if name in by_name and by_name[name].is_active:
            raise RoundError(f"{name} is already an annotator of this round")
        taken = {annotator.pseudonym for annotator in by_name.values()}
        by_name[name] = replace(by_name.get(name, Annotator(name, draw_pseudonym(taken))), is_active=True)
    require_names(list(by_name))
    return list(by_name.values())


def _keep_assignment(
    before: Round, annotators: Sequence[Annotator], answers: Mapping[str, Answers]
) -> tuple[Assignment, Reassignable, Excluded]:
    """The assignment that stays; what of it may still change hands; and who skipped what."""
    groups = sorted(before.groups_to_vote_on, key=group_order)
    answered = {name: groups_to_vote_on(found.annotations) for name, found in answers.items()}
    skipped = {name: groups_to_vote_on(found.skips) for name, found in answers.items()}
    begun = {name: groups_to_vote_on(found.begun) for name, found in answers.items()}
    names = " ".join(annotator.name for annotator in annotators if annotator.is_active)
    assignment = Assignment(random.Random(f"deal again {before.seed} {sum(map(len, answered.values()))} {names}"))
    reassignable: Reassignable = {annotator.name: {} for annotator in annotators}
    assigned = {annotator.name: annotator.groups_to_vote_on for annotator in annotators}
    for group in assignment.rng.sample(groups, len(groups)):
        assignment.annotators_of[group] = set()
        for annotator in annotators:
            name = annotator.name
            if group in answered[name]:
                assignment.add(group, name)
            elif annotator.is_active and group in assigned[name] and group not in skipped[name]:
                assignment.add(group, name)
                if group not in begun[name]:
                    reassignable[name][group] = None
    return assignment, reassignable, {(name, group) for name, groups in skipped.items() for group in groups}
