"""Starts a study: finds the methods' pictures as scoring does, checks them all, and writes the study's round."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hggt_data.annotate.deal import require_names
from hggt_data.annotate.round import Kind, Round
from hggt_data.annotate.study.deal import StudyPictures, make_plan, require_no_study, write_study
from hggt_data.annotate.study.settings import StudySettings
from hggt_data.errors import HggtError, MatchError, SettingsError
from hggt_data.groups import GroupSource
from hggt_data.io.files import read_regular_file
from hggt_data.io.folders import require_outside
from hggt_data.io.images import decode_png
from hggt_data.io.text import format_examples, join_lines, plural
from hggt_data.loading import open_groups, split_or_default
from hggt_data.ranges import require_lists
from hggt_data.restored.matching import RestoredFiles, match_restored
from hggt_data.restored.methods import Method, find_methods
from hggt_data.schema import LR, ORIGINAL
from hggt_data.study_plan import StudyPlan
from hggt_data.tree.picture_folders import NamesOnly, PictureFolders, find_pictures

_Read = Callable[[str], bytes]


@dataclass(frozen=True)
class DealtStudy:
    """A new study.

    Attributes:
        round: Its round.
        plan: Its plan.
        warnings: Methods with equal pictures.
    """

    round: Round
    plan: StudyPlan
    warnings: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """Summary lines, and what to do next."""
        plan, annotators = self.plan, self.round.annotators
        shown = "two at a time" if plan.design == "pairs" else f"{len(plan.methods)} at once"
        loads = [len(annotator.groups_to_vote_on) for annotator in annotators]
        number = len(self.round.groups_to_vote_on)
        span = (
            f"{min(loads):,} to {plural(max(loads), 'vote')}" if min(loads) < max(loads) else plural(loads[0], "vote")
        )
        lines = [
            f"{plural(len(plan.methods), 'method')} ({', '.join(plan.methods)}) on {plural(plan.groups, 'picture')}, "
            f"{shown}: {plural(number, 'comparison')}, {plural(plan.votes, 'vote')} each",
            f"{plural(len(annotators), 'annotator')} with {span} each",
            f"Primary comparison: {plan.primary[0]} and {plan.primary[1]}",
        ]
        lines += [f"The page asks: {question}" for question in plan.questions]
        if plan.reference_kind is None or plan.reference == "hidden":
            lines.append("The page shows no reference.")
        elif plan.enlargement is not None:
            lines.append(f"The page shows the low-resolution picture, enlarged ({plan.enlargement}), as the reference.")
        else:
            lines.append("The page shows the ground truth as the reference.")
        if plan.gold:
            lines.append(
                f"Each annotator also judges {plural(plan.gold, 'gold comparison')}; less than "
                f"{100 * plan.least_gold_share:g} % correct excludes the annotator."
            )
        if plan.repeats:
            most = max(sum(item.kind is Kind.REPEAT for item in annotator.items) for annotator in annotators)
            lines.append(f"Each annotator judges up to {plural(most, 'comparison')} twice.")
        lines += [f"Warning: {warning}" for warning in self.warnings]
        several = " --annotator NAME, or --accounts FILE for several annotators" if len(annotators) > 1 else ""
        return [*lines, f"Next: hggt-data annotate {shlex.quote(str(self.round.folder))}{several}"]


def deal_study(
    restored: Sequence[str],
    output: str | Path,
    names: Sequence[str],
    settings: StudySettings,
    *,
    gt: str | Path | None = None,
    lr: str | Path | None = None,
    dataset: str | Path | None = None,
    split: str | None = None,
    methods: str | Path | None = None,
    suffix: str | None = None,
) -> DealtStudy:
    """Start a study of restoration methods: write a round in which annotators compare their restored images.

    Args:
        restored: Folder of a method's restored images, named ID.png or ID_ANYTHING.png; repeatable. Without NAME, the
            method's name is the part of the path that distinguishes it.
        output: New or empty folder for the round.
        names: Names of the annotators, one per line in a file.
        settings: Settings of the study.
        gt: Folder of ground truths: one picture per group, shown as the reference.
        lr: Folder of low-resolution inputs; without ground truths, they are shown enlarged as the reference.
        dataset: Built dataset or tree whose originals are the references, or ORG/NAME on the Hub.
        split: Split of the dataset.  [default: test]
        methods: TOML file for methods with other file names: one table per method, with dir and either pattern
            ({id}x4.png) or map (a CSV file with the columns id and file).
        suffix: Only ID_SUFFIX.png and IDSUFFIX.png are files of a method without a pattern.  [default: any suffix]

    Returns:
        The round and its plan, and lines that describe them.

    Raises:
        SettingsError: Settings contradict each other, the methods or the number of annotators.
        MatchError: Two methods have one name, other pictures or other sizes; all faults are listed.
        RoundError: A name of an annotator cannot be used, or two methods are the same.
        OutputError: The output is not empty, or already has a study.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import StudySettings, deal_study, write_demo_tree
        >>> from hggt_data.tree.demo import write_demo_restored
        >>> folder = Path(tempfile.mkdtemp())
        >>> demo = write_demo_tree(folder)
        >>> settings = StudySettings(questions=("Which version looks better?",), votes=1)
        >>> restored = [str(path) for path in write_demo_restored(demo.lr, folder / "restored")]
        >>> study = deal_study(restored, folder / "round", ["Ann", "Ben"], settings, dataset=demo.test)
        >>> [len(annotator.items) for annotator in study.round.annotators]
        [3, 3]
    """
    require_lists(restored=restored, names=names)
    output = Path(output)
    names = require_names(names)
    found = find_methods(restored, None if methods is None else Path(methods))
    source, references = _open_references(gt, lr, dataset, split)
    settings.require_fit([method.name for method in found], len(names), len(source))
    _require_different(found)
    for method in found:
        require_outside(output, method.folder, f"the images of {method.name}")
    matched = match_restored(found, source, suffix=suffix)
    pictures = _gather(matched, source, references)
    plan = make_plan(settings, [method.name for method in found], pictures, len(names))
    require_no_study(output, plan)
    round_, warnings = write_study(output, names, settings, plan, pictures)
    return DealtStudy(round_, plan, tuple(warnings))


def _open_references(
    gt: str | Path | None, lr: str | Path | None, dataset: str | Path | None, split: str | None
) -> tuple[GroupSource, dict[str, _Read]]:
    """The groups, and how the PNG files of their references are read."""
    if (dataset is None) == (gt is None and lr is None):
        raise SettingsError("expected either `dataset`, or `gt` or `lr` or both of them")
    if split is not None and dataset is None:
        raise SettingsError("`split` requires `dataset`")
    if dataset is not None:
        groups = open_groups(dataset, split_or_default(str(dataset), split, "test"))
        kinds = [kind for kind in (ORIGINAL, LR) if all(groups.has_picture(k, kind) for k in range(len(groups)))]
        return groups, {kind: partial(_read_picture, groups, kind) for kind in kinds}
    references: dict[str, _Read] = {}
    source: GroupSource | None = None
    if gt is not None:
        source = PictureFolders([Path(gt).absolute()])
        references[ORIGINAL] = partial(_read_picture, source, ORIGINAL)
    if lr is not None:
        files = find_pictures(Path(lr))
        if source is None:
            source = NamesOnly(files)
        elif unlike := sorted(set(source.ids) ^ files.keys()):
            raise MatchError(
                f"{gt} and {lr} have different pictures: {plural(len(unlike), 'name')} are in one of them only "
                f"({format_examples(unlike)}); expected the same names"
            )
        references[LR] = lambda group: read_regular_file(files[group])
    assert source is not None
    return source, references


def _read_picture(groups: GroupSource, kind: str, group: str) -> bytes:
    return groups[group].read_bytes(kind)


def _require_different(methods: Sequence[Method]) -> None:
    """Refuse a method that would be compared with itself."""
    first: dict[tuple[Path, str | None, Path | None], str] = {}
    faults = []
    for method in methods:
        key = (method.folder.resolve(), method.pattern, method.map_file)
        if (other := first.setdefault(key, method.name)) != method.name:
            faults.append(f"{other} and {method.name} are the same files, in {method.folder}")
    if faults:
        raise MatchError(f"a method cannot be compared with itself: {'; '.join(faults)}")


def _gather(matched: Sequence[RestoredFiles], source: GroupSource, references: Mapping[str, _Read]) -> StudyPictures:
    """The pictures of a study, after checking that all methods have the same groups, and LR of a fitting size."""
    every = set().union(*(files.files for files in matched))
    faults = [
        f"{files.method.name}: no picture of {plural(len(absent), 'group')} that others have: {format_examples(absent)}"
        for files in matched
        if (absent := sorted(every - files.files.keys()))
    ]
    groups = [group for group in source.ids if group in every]
    sizes = matched[0].sizes
    if LR in references and not faults:
        faults += _check_lr(groups, sizes, references[LR])
    if faults:
        raise MatchError(
            join_lines(["the pictures of the methods do not fit each other:", *(f"  {f}" for f in faults)])
        )
    versions = {files.method.name: files.files for files in matched}
    return StudyPictures(groups, versions, references, sizes)


def _check_lr(groups: Sequence[str], sizes: Mapping[str, tuple[int, int]], read: _Read) -> list[str]:
    """Low-resolution pictures that cannot be read, or whose size is not a whole fraction of that of the versions."""
    faults = []
    for group in groups:
        try:
            height, width = decode_png(read(group)).shape[:2]
        except (HggtError, OSError) as error:
            faults.append(f"low-resolution picture of {group}: {error}")
            continue
        factor = sizes[group][0] // height
        if factor < 1 or sizes[group] != (factor * height, factor * width):
            faults.append(
                f"low-resolution picture of {group}: {height} x {width}; expected a whole fraction of "
                f"{sizes[group][0]} x {sizes[group][1]}, the size of the restored images"
            )
    return faults
