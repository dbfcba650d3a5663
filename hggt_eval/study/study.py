"""Analyse a user study of methods: from its votes to files in one call."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from hggt_data.annotate.study.votes import record_look
from hggt_data.errors import MatchError, RoundError, SettingsError
from hggt_data.io.folders import require_outside
from hggt_data.io.text import format_examples, nearest, parse_names, plural
from hggt_data.ranges import Range, require_arguments
from hggt_eval.metrics import SetMetric
from hggt_eval.scored import prepare_folder
from hggt_eval.scores.file import read_scores
from hggt_eval.study.analysis import analyse
from hggt_eval.study.bootstrap import NUM_RESAMPLES
from hggt_eval.study.files import require_own_folder, write_study
from hggt_eval.study.model import make_model
from hggt_eval.study.result import QuestionResult, StudyResult, find_caveat
from hggt_eval.study.source import StudySource, open_study
from hggt_eval.study.variance import Components, Size, assume_components, find_components, plan_size
from hggt_eval.study.votes import StudyVotes, collect_votes


def analyse_study(
    source: str | Path,
    *,
    baseline: str | None = None,
    scores: str | Path | None = None,
    unfinished: bool = False,
    split: str | None = None,
    revision: str | None = None,
    resamples: Annotated[int, Range(100)] = NUM_RESAMPLES,
    seed: int = 0,
    output: str | Path | None = None,
) -> StudyResult:
    """Analyse a user study: how often people preferred each method, with intervals and tests.

    Votes under different questions are never pooled, nor are votes on pairs and choices of the best.

    Args:
        source: The round of a study, whose plan records that its preferences were looked at; a tree or dataset with
            votes on pairs or choices, ORG/NAME on the Hub, or a CSV file of votes, which needs no pictures.
        baseline: Method that the others are tested against.  [default: the second method of the plan's primary
            comparison; without a plan the weakest, and then without p, as the votes chose it]
        scores: Scores of the same methods by metrics: scores.json of `hggt-eval`, or its folder.
        unfinished: Analyse a study that is not complete; the results have no p.
        split: The only split of a dataset to read.  [default: all]
        revision: Tag, branch or commit of a dataset on the Hub.
        resamples: Draws of the bootstrap.
        seed: Random seed of the bootstrap.
        output: Folder for study.json, study.csv, pairs.csv, table.md, table.tex, sentence.tex and report.html. Results
            of other commands are not overwritten.

    Returns:
        The results of each question.

    Raises:
        MatchError: There are no votes on pairs and no choices, or two methods have one name.
        SettingsError: The baseline is not a method of the study, or the scores are of other methods.
        RoundError: The study is not complete, and `unfinished` is not set; or the round is damaged.
        TableError: Rows of a table are faulty, such as a vote on a method against itself.
        OutputError: The output cannot be written to, is inside the source, or contains results of another command.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_eval import analyse_study
        >>> votes = Path(tempfile.mkdtemp()) / "votes.csv"
        >>> rows = [f"p{k % 30},a,b,ann-{k % 11},{'second' if k % 4 else 'first'}" for k in range(330)]
        >>> _ = votes.write_text("group,first,second,annotator,preferred\\n" + "\\n".join(rows) + "\\n")
        >>> found = analyse_study(votes, resamples=1000)
        >>> [(method.name, round(method.win_rate.value, 2)) for method in found.questions[0].main.methods]
        [('a', 0.25), ('b', 0.75)]
    """
    require_arguments(analyse_study, resamples=resamples)
    output = None if output is None else Path(output)
    opened = open_study(source, split, revision)
    _require_complete(opened, unfinished)
    methods = opened.plan.methods if opened.plan is not None else ()
    votes = [one for one in collect_votes(opened.groups, opened.picture_of, methods) if one.num_votes]
    _require_baseline(votes, baseline)
    of_metrics = {} if scores is None else _read_metrics(Path(scores), votes)
    if output is not None:
        if (folder := Path(opened.location)).is_dir():
            require_outside(output, folder, "the data")
        require_own_folder(output)
        prepare_folder(output)
    if opened.is_round:
        opened = replace(opened, plan=record_look(source, "hggt-eval study"))
    with_p = not find_caveat(opened.plan, opened.complete)
    failed = opened.find_failed()
    result = StudyResult(
        source=opened.location,
        questions=tuple(_analyse(one, opened, baseline, failed, resamples, seed, with_p) for one in votes),
        plan=opened.plan,
        complete=opened.complete,
        seed=seed,
        license=opened.license,
        notes=tuple(_notes(opened)),
        scores=of_metrics,
    )
    if output is not None:
        write_study(result, output)
    return result


def plan_study(
    pictures: Sequence[int],
    annotators: Sequence[int],
    *,
    votes: Annotated[int, Range(1)] | None = None,
    source: str | Path | None = None,
    picture_std: Annotated[float, Range(0, 0.5)] = 0.15,
    person_std: Annotated[float, Range(0, 0.5)] = 0.1,
) -> tuple[list[Size], Components]:
    """What studies of several sizes can detect between two methods.

    Args:
        pictures: Numbers of source pictures.
        annotators: Numbers of people.
        votes: Votes per comparison: how many of the people judge each picture.  [default: all]
        source: An earlier study, from whose votes the variance between pictures and people is estimated.
        picture_std: Assumed standard deviation of win rates between pictures, from 0 to 0.5.
        person_std: Assumed standard deviation of win rates between people.

    Returns:
        What studies of each number of pictures and people can detect, and the variance that this is based on.

    Raises:
        SettingsError: A number is too small, or there are more votes than annotators.
        MatchError: The variance cannot be estimated from the earlier study.

    Example:
        >>> from hggt_eval import plan_study
        >>> sizes, _ = plan_study([20, 80], [20], votes=5)
        >>> [round(size.detectable, 2) for size in sizes]
        [0.17, 0.1]
    """
    require_arguments(plan_study, votes=votes, picture_std=picture_std, person_std=person_std)
    faults = [f"`pictures` is {number}; expected 2 or more" for number in pictures if number < 2]
    faults += [f"`annotators` is {number}; expected 2 or more" for number in annotators if number < 2]
    faults += [
        f"`votes` is {votes}, more than {number} annotators; expected at most one vote of each"
        for number in annotators
        if votes is not None and votes > number
    ]
    if faults:
        raise SettingsError(*faults)
    components = assume_components(picture_std, person_std)
    if source is not None:
        components = _estimate_components(open_study(source))
    return [
        plan_size(components, p, a, a if votes is None else votes) for p in pictures for a in annotators
    ], components


def _estimate_components(source: StudySource) -> Components:
    """The largest variance among questions, so that a study is large enough for each."""
    found = [find_components(votes, make_model(votes)) for votes in collect_votes(source.groups, source.picture_of)]
    known = [components for components in found if components is not None]
    if not known:
        raise MatchError(
            f"{source.location}: the variance between pictures and people needs known annotators, each with votes on "
            "several pictures, pictures with votes by several of them, and votes that do not all agree; pass "
            "`picture_std` and `person_std`"
        )
    return max(known, key=lambda components: components.picture_std**2 + components.person_std**2)


def parse_sizes(text: str) -> tuple[int, ...]:
    """Numbers such as `20,40,80`.

    Raises:
        SettingsError: One is not a whole number.
    """
    parts = parse_names(text)
    if not parts or not all(part.isascii() and part.isdecimal() and len(part) < 7 for part in parts):
        raise SettingsError(f"{text!r} is not a list of whole numbers; expected a form such as 20,40,80")
    return tuple(map(int, parts))


def _notes(source: StudySource) -> Iterator[str]:
    for names in source.same_pictures:
        yield f"Source pictures that count as one: {format_examples(names)}."
    if source.plan is not None and source.complete and source.num_votes < source.plan.num_votes:
        yield (
            f"The results are of {source.num_votes:,} of the {source.plan.num_votes:,} planned votes: the others were "
            "withdrawn, or are not in this data."
        )


def _require_complete(source: StudySource, unfinished: bool) -> None:
    if source.plan is None or source.complete or unfinished:
        return
    raise RoundError(
        f"{source.location}: the study is not complete ({plural(source.num_votes, 'vote')} so far). Those who see "
        "results early may stop or extend when they like them, and then p is not valid. Wait until it is complete, or "
        "pass `unfinished` to look nevertheless, which plan.json records; the results then have no p"
    )


def _require_baseline(votes: Sequence[StudyVotes], baseline: str | None) -> None:
    if baseline is None:
        return
    for one in votes:
        if baseline not in one.methods:
            asked = f" under the question {one.question!r}" if one.question else ""
            raise SettingsError(
                f"`baseline` is {baseline!r}, which has no votes{asked}; {nearest(baseline, one.methods)}"
            )


def _analyse(
    votes: StudyVotes,
    source: StudySource,
    baseline: str | None,
    failed: frozenset[str] | None,
    resamples: int,
    seed: int,
    with_p: bool,
) -> QuestionResult:
    if baseline is None and source.plan is not None and source.plan.primary[1] in votes.methods:
        baseline = source.plan.primary[1]
    with_p = with_p and baseline is not None
    everyone = analyse(votes, baseline, resamples, seed, with_p=with_p)
    if votes.people is None or failed is None:
        return QuestionResult(everyone, None, None)
    failed = failed & set(votes.people)
    rest = votes.without(failed)
    if not failed or not rest.num_votes:
        return QuestionResult(everyone, None, len(failed))
    return QuestionResult(everyone, analyse(rest, everyone.baseline, resamples, seed, with_p=with_p), len(failed))


def _read_metrics(path: Path, votes: Sequence[StudyVotes]) -> dict[str, tuple[bool, dict[str, float]]]:
    """The scores of the study's methods by each metric."""
    evaluation = read_scores(path).evaluation
    methods = {name for one in votes for name in one.methods}
    scored = {method.name: method for method in evaluation.methods}
    if len(methods & scored.keys()) < 2:
        raise SettingsError(
            f"{path} has scores of {format_examples(sorted(scored), 8)}, but the study compares "
            f"{format_examples(sorted(methods), 8)}; expected two or more methods of the same names"
        )
    found = {}
    for metric in evaluation.metrics:
        means = {
            name: evaluation.distances[name][metric.name].value
            if isinstance(metric, SetMetric)
            else scored[name].mean[metric.name]
            for name in sorted(methods & scored.keys())
            if metric.name
            in (evaluation.distances.get(name, {}) if isinstance(metric, SetMetric) else scored[name].mean)
        }
        found[metric.title] = metric.higher_is_better, {k: v for k, v in means.items() if math.isfinite(v)}
    return found
