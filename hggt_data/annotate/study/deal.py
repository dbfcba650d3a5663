"""Makes the round of a study from matched pictures: plan, comparisons, assignment, and the pictures themselves."""

import random
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path

from hggt_data.annotate.assignment import Assignment
from hggt_data.annotate.batches import with_batches
from hggt_data.annotate.instructions import INSTRUCTIONS, format_study_instructions
from hggt_data.annotate.round import PICTURES, Annotator, Checks, KnownAnswer, Round, write_round
from hggt_data.annotate.study.comparisons import Comparison, Comparisons
from hggt_data.annotate.study.damage import damage
from hggt_data.annotate.study.settings import StudySettings
from hggt_data.errors import OutputError, RoundError
from hggt_data.io.files import csv_file, link_or_copy, write_bytes, write_text
from hggt_data.io.folders import new_folder
from hggt_data.io.images import Pixels, decode_png, encode_png, hash_pixels, read_pixels
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import show_progress
from hggt_data.licence import HGGT_LICENSE_NAME
from hggt_data.schema import LR, ORIGINAL, Protocol
from hggt_data.study_plan import (
    PLAN_FILE,
    Reference,
    StudyPlan,
    damaged_name,
    format_now,
    read_plan,
    write_plan,
)
from hggt_data.tree.annotators import draw_pseudonym

PICTURES_FOLDER, ENLARGED_FOLDER = "pictures", "enlarged"
DIGEST_COLUMNS = ("group", "version", "digest")
_ENLARGEMENTS = {"nearest": 0, "bicubic": 3}  # of Pillow


@dataclass(frozen=True)
class StudyPictures:
    """The pictures of a new study.

    Attributes:
        groups: Ids of the pictures, in order.
        versions: Method to the file of each group.
        references: `original`, `lr` or both, to the function that reads the PNG file of a group.
        sizes: (height, width) of all versions of each group.
    """

    groups: Sequence[str]
    versions: Mapping[str, Mapping[str, Path]]
    references: Mapping[str, Callable[[str], bytes]]
    sizes: Mapping[str, tuple[int, int]]

    @property
    def reference_kind(self) -> Reference | None:
        """What the page can show as the reference."""
        if ORIGINAL in self.references:
            return "gt"
        return "lr" if LR in self.references else None


def require_no_study(output: Path, plan: StudyPlan) -> None:
    """Refuse an output that already has a study, and say in which way it is another one."""
    if not (output / PLAN_FILE).exists():
        return
    earlier = read_plan(output)
    names = (
        "methods",
        "design",
        "questions",
        "primary",
        "groups",
        "votes",
        "ties",
        "reference",
        "gold",
        "repeats",
        "seed",
    )
    changed = [
        f"{name} {_shown(getattr(earlier, name))}, not {_shown(getattr(plan, name))}"
        for name in names
        if getattr(earlier, name) != getattr(plan, name)
    ]
    design = f" with another design ({'; '.join(changed)})" if changed else ""
    raise OutputError(
        f"{output} already has a study{design}. Go on with hggt-data annotate, extend it with hggt-data reassign, or "
        "choose another folder"
    )


def make_plan(
    settings: StudySettings, methods: Sequence[str], pictures: StudyPictures, num_annotators: int
) -> StudyPlan:
    """The plan of a study that starts now."""
    first, second = settings.primary or methods[:2]
    kind = pictures.reference_kind
    is_shown = settings.reference == "shown" and kind is not None
    return StudyPlan(
        methods=tuple(methods),
        design=settings.design,
        questions=settings.questions,
        primary=(first, second),
        groups=len(pictures.groups),
        annotators=num_annotators,
        votes=settings.votes,
        ties=settings.ties,
        reference="shown" if is_shown else "hidden",
        reference_kind=kind,
        enlargement=settings.enlargement if is_shown and kind == "lr" else None,
        gold=settings.gold,
        repeats=settings.repeats,
        least_gold_share=settings.least_gold_share,
        seed=settings.seed,
        created=format_now(),
    )


def write_study(
    output: Path, names: Sequence[str], settings: StudySettings, plan: StudyPlan, pictures: StudyPictures
) -> tuple[Round, list[str]]:
    """Write a new study.

    Returns:
        Its round, and warnings.
    """
    comparisons = dict(_list_comparisons(plan, pictures.groups))
    gold = dict(_list_gold(plan, pictures.groups))
    study = Comparisons(plan, comparisons | gold, {})
    checks = Checks(gold=tuple(gold), repeats=plan.repeats)
    rng = random.Random(f"study {plan.seed}")
    assignment = Assignment(rng)
    for comparison in rng.sample(list(comparisons), len(comparisons)):
        assignment.fill(comparison, names, plan.votes)
    annotators: list[Annotator] = []
    for name in names:
        annotator = Annotator(name, draw_pseudonym({one.pseudonym for one in annotators}))
        rng = random.Random(f"batches {plan.seed} {name}")
        votes = assignment.groups_of(name)
        annotators.append(with_batches(annotator, votes, checks, settings.per_batch, rng, study=study))
    study = study.with_orders(items_of(annotators), random.Random(f"orders {plan.seed}"))
    with new_folder(output) as folder:
        round_ = Round(
            folder=folder,
            patches=folder / PICTURES_FOLDER,
            candidates=plan.methods,
            votes=plan.votes,
            per_batch=settings.per_batch,
            seed=plan.seed,
            secret=secrets.token_hex(16),
            annotators=tuple(annotators),
            known={id_: KnownAnswer(one.labels(one.correct)) for id_, one in gold.items()},
            protocol=_protocol(plan, full_zoom=settings.require_full_zoom),
            checks=checks,
            study=study,
            license=settings.license or HGGT_LICENSE_NAME,
        )
        warnings = _write_pictures(round_, plan, pictures, list(gold.values()))
        write_text(folder / INSTRUCTIONS, format_study_instructions(plan))
        write_plan(folder, plan)
        write_round(round_)
    return replace(round_, folder=output, patches=output / PICTURES_FOLDER), warnings


def extend_study(round_: Round, before: Round) -> Round:
    """A reassigned study, with orders for its new items, and the change in its plan."""
    assert round_.study is not None
    number = len(round_.study.orders) + len(round_.study.plan.extensions)
    study = round_.study.with_orders(items_of(round_.annotators), random.Random(f"orders {round_.seed} {number}"))
    active = [sum(one.is_active for one in either.annotators) for either in (before, round_)]
    if (round_.votes, active[1]) != (before.votes, active[0]) or any(
        one.is_active and one not in before.annotators for one in round_.annotators
    ):
        study = replace(study, plan=study.plan.with_extension(round_.votes, active[1]))
    return replace(round_, study=study)


def items_of(annotators: Sequence[Annotator]) -> list[tuple[str, list[str]]]:
    """Pseudonym and items of each annotator, as `Comparisons.with_orders` takes them."""
    return [(annotator.pseudonym, [str(item) for item in annotator.items]) for annotator in annotators]


def _protocol(plan: StudyPlan, *, full_zoom: bool) -> Protocol:
    question = plan.questions[0] if len(plan.questions) == 1 else None
    at_once = len(plan.sets_of_versions[0]) + (plan.reference == "shown")
    return Protocol(None, question, at_once, full_zoom)


def _list_comparisons(plan: StudyPlan, groups: Sequence[str]) -> Iterator[tuple[str, Comparison]]:
    """All comparisons by id."""
    everything = product(range(len(plan.questions)), groups, plan.sets_of_versions)
    for number, (question, group, versions) in enumerate(everything, start=1):
        yield f"c{number:05d}", Comparison(group, versions, question)


def _list_gold(plan: StudyPlan, groups: Sequence[str]) -> Iterator[tuple[str, Comparison]]:
    """Comparisons with one intact version, of each method in turn."""
    rng = random.Random(f"gold {plan.seed}")
    num_damaged = len(plan.sets_of_versions[0]) - 1
    for number, group in enumerate(rng.sample(groups, plan.gold), start=1):
        intact = plan.methods[(number - 1) % len(plan.methods)]
        # In pairs, blur and blocks take turns.
        damaged = range(1, num_damaged + 1) if plan.design == "best-of" else [(number - 1) % 2 + 1]
        yield f"g{number:05d}", Comparison(group, (intact, *map(damaged_name, damaged)), None, intact)


def _write_pictures(round_: Round, plan: StudyPlan, pictures: StudyPictures, gold: Sequence[Comparison]) -> list[str]:
    """Write all pictures, and a digest of each; returns warnings about equal ones."""
    digests: dict[tuple[str, str], str] = {}
    for group in show_progress(pictures.groups, len(pictures.groups), "pictures"):
        for name, read in pictures.references.items():
            data = read(group)
            write_bytes(round_.picture(group, name), data)
            pixels = decode_png(data)
            digests[group, name] = hash_pixels(pixels)
            if name == LR and plan.enlargement is not None:
                enlarged = _enlarge(pixels, pictures.sizes[group], plan.enlargement)
                write_bytes(round_.folder / ENLARGED_FOLDER / f"{group}.png", encode_png(enlarged))
        for method, files in pictures.versions.items():
            path = round_.picture(group, method)
            path.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(files[group], path)
            digests[group, method] = hash_pixels(read_pixels(path))
    for comparison in gold:
        assert comparison.correct is not None
        intact = read_pixels(round_.picture(comparison.group, comparison.correct))
        for name in comparison.versions[1:]:
            damaged = damage(intact, int(name.rpartition("-")[2]))
            path = round_.picture(comparison.group, name)
            write_bytes(path, encode_png(damaged))
            digests[comparison.group, name] = hash_pixels(damaged)
    with csv_file(round_.folder / PICTURES, DIGEST_COLUMNS) as write_line:
        for (group, version), digest in digests.items():
            write_line((group, version, digest))
    return list(_compare_methods(plan, pictures.groups, digests))


def _compare_methods(plan: StudyPlan, groups: Sequence[str], digests: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Warnings about methods with equal pictures; RoundError if all are equal."""
    for one, other in combinations(plan.methods, 2):
        equal = [group for group in groups if digests[group, one] == digests[group, other]]
        if len(equal) == len(groups):
            raise RoundError(
                f"{one} and {other} have the same pixels in all {plural(len(groups), 'picture')}: a method would be "
                "compared with itself; pass the folder of another method"
            )
        if equal:
            number = plural(len(equal), "picture")
            yield f"{one} and {other} have the same pixels in {number}: {format_examples(equal)}"


def _enlarge(pixels: Pixels, size: tuple[int, int], enlargement: str) -> Pixels:
    """A low-resolution picture in the size (height, width) of the versions."""
    import numpy as np
    from PIL import Image  # slow to import

    image = Image.fromarray(pixels).resize(size[::-1], _ENLARGEMENTS[enlargement])
    return np.asarray(image)


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
