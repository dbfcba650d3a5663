"""Exports training pairs in the forms that other trainers read."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hggt_data.dataset.manifest import MANIFEST_FILE, is_built_dataset
from hggt_data.errors import DatasetError
from hggt_data.exports.source import OpenedSource, as_opened
from hggt_data.exports.training.degrade import SCALES, Degradation, degrade_folder, require_degrade
from hggt_data.exports.training.files import (
    GT,
    LQ,
    NEGATIVE,
    SOURCE,
    Pictures,
    place_picture,
    write_folders,
    write_shards,
)
from hggt_data.exports.training.options import META_INFO, Format, format_meta_info, format_options, format_paths
from hggt_data.exports.training.pairs import PairPlan, PositiveRule, Target, file_stem, plan_pairs
from hggt_data.groups import GroupSource
from hggt_data.io.files import csv_file, sha256_of_file, write_text
from hggt_data.io.folders import resumed_folder
from hggt_data.io.text import format_examples, plural
from hggt_data.io.workers import show_progress
from hggt_data.licence import LICENSE_FILE, describe_license
from hggt_data.ranges import Count, require_ranges
from hggt_data.schema import ORIGINAL

RECORD = "export.json"
_WORK = ".lr"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Which training pairs to export, and for which program.

    Attributes:
        target: What outputs are compared with: the original, a positive, or a positive with a negative beside it. As in
            training, a group without the required labels is left out.
        format: Program to write for: basicsr, neosr and trainner-redux get folders and their options, paths lists of
            files, webdataset tar shards.
        positives: Which positive of a group, and which negative: uniform draws one, agreement draws one weighted by its
            agreement, best takes that with most agreement; all writes a pair for each positive.
        seed: Random seed for the choices and the degradation.
        degradation: Published degradation that makes the missing LR images: sr, enhance-01 to enhance-04, realesrgan or
            bsrgan.
        on_the_fly: Write originals to source/ in place of LR images to lq/, for trainers that degrade in training.
        copy: Copy pictures instead of hard-linking them.
        pairs_per_shard: Pairs per tar shard.

    Raises:
        SettingsError: A value is out of range.
    """

    target: Target
    format: Format
    positives: PositiveRule = "uniform"
    seed: int = 0
    degradation: Degradation = "sr"
    on_the_fly: bool = False
    copy: bool = False
    pairs_per_shard: Count = 1000

    def __post_init__(self) -> None:
        require_ranges(self)


def export_training(source: OpenedSource | str | Path, output: str | Path, settings: TrainingSettings) -> list[str]:
    """Write pairs of LR and target, with equal names, as the chosen program reads them.

    `lq/NAME.png` is the LR of the group's original, `gt/NAME.png` the target, `negative/NAME.png` a negative. LR images
    of the data are used where they exist; a child process makes the others, which requires the extra `models`. Of a
    dataset with several splits, the training split is exported. An interrupted run is resumed.

    Args:
        source: Data to export: see `open_source`.
        output: New or empty folder outside the source.
        settings: Which pairs to write, and for which program.

    Returns:
        What was written, one line each.

    Raises:
        DatasetError: No group has the required labels, or LR images have several scales.
        ImageError: Pictures are damaged or do not fit each other.
        OutputError: The output is not empty, or is inside the source.
        WorkerError: LR images cannot be made.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import TrainingSettings, export_training, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> settings = TrainingSettings(target="positive", format="basicsr")
        >>> lines = export_training(write_demo_tree(folder).test, folder / "pairs", settings)
        >>> sorted(path.name for path in (folder / "pairs").iterdir())
        ['LICENSE.txt', 'basicsr.yml', 'export.json', 'gt', 'lq', 'meta_info.txt', 'pairs.csv']
    """
    source, output = as_opened(source), Path(output)
    source.require_outside(output)
    groups = source.training_split
    plan = plan_pairs(groups, settings.target, settings.positives, settings.seed, with_lr=not settings.on_the_fly)
    scale = None if settings.on_the_fly else _require_scale(groups, plan, settings)
    missing = [] if settings.on_the_fly else plan.missing_lr
    if missing:
        require_degrade(f"{plural(len(missing), 'group')} of {source.location} have no LR; making it")
    with resumed_folder(output, _describe_run(source, groups, settings), RECORD) as staging:
        work = staging / _WORK
        pictures = Pictures(groups, plan, made_lr=work / LQ, scale=scale)
        is_folder = settings.format != "webdataset"
        linked = is_folder and write_folders(pictures, staging, copy=settings.copy, made=False)
        if missing:
            _make_lr(groups, missing, work, settings)
        if is_folder:
            write_folders(pictures, staging, copy=False, made=True)
            lines = [_describe_links(linked), *_write_lists(pictures, staging, output.resolve(), settings)]
        else:
            shards = write_shards(pictures, staging, settings.pairs_per_shard)
            lines = [f'webdataset.WebDataset("{output.resolve()}/pairs-{{000000..{len(shards) - 1:06d}}}.tar")']
        source.write_licence(staging / LICENSE_FILE)
        if work.exists():
            shutil.rmtree(work)
    return [f"{output}: {_title(pictures, settings)}", _describe_lr(pictures, len(missing), settings), *lines]


def _require_scale(groups: GroupSource, plan: PairPlan, settings: TrainingSettings) -> int:
    """The scale of all LR images, given and to be made."""
    made = SCALES[settings.degradation]
    if not plan.missing_lr:
        return plan.scale or made
    if plan.scale not in (None, made):
        raise DatasetError(
            f"{groups.location}: some groups have LR images of the scale {plan.scale}, and `degradation` "
            f"{settings.degradation} would make the others with {made}; give all groups an LR image, or none"
        )
    small = [groups.ids[index] for index in plan.missing_lr if min(plan.sizes[index]) < made]
    if small:
        raise DatasetError(f"{groups.location}: originals smaller than {made} px: {format_examples(small)}")
    return made


def _describe_run(source: OpenedSource, groups: GroupSource, settings: TrainingSettings) -> dict[str, Any]:
    """What decides the files of an export: a run resumes only one with the same."""
    folder = Path(source.location)
    return {
        "schema_version": 1,
        "source": groups.location,
        "split": groups.split,
        "revision": groups.revision,
        "labels_sha256": groups.labels_sha256(),
        "manifest_sha256": sha256_of_file(folder / MANIFEST_FILE) if is_built_dataset(folder) else None,
        "license": describe_license(source.license),
        "settings": asdict(settings),
        "made_with": {"hggt": version("hggt")},
    }


def _make_lr(groups: GroupSource, indices: Sequence[int], work: Path, settings: TrainingSettings) -> None:
    """Write the LR of these groups to `lq/` in the folder `work`."""
    originals = work / ORIGINAL
    originals.mkdir(parents=True, exist_ok=True)
    for index in show_progress(indices, len(indices), "collecting originals"):
        place_picture(groups, index, ORIGINAL, originals / f"{file_stem(groups.ids[index])}.png")
    degrade_folder(originals, work / LQ, settings.degradation, settings.seed)


def _write_lists(pictures: Pictures, folder: Path, final: Path, settings: TrainingSettings) -> list[str]:
    """Write the lists and options beside the folders; `final` is where `folder` is in the end. Return what to use."""
    pairs = pictures.plan.pairs
    sizes = [pictures.target_size(pair) for pair in pairs]
    write_text(folder / META_INFO, format_meta_info([pair.name for pair in pairs], sizes))
    facts = [pictures.describe(pair) for pair in pairs]
    with csv_file(folder / "pairs.csv", list(facts[0])) as write_line:
        for fact in facts:
            write_line(fact.values())
    files = format_options(settings.format, final, _title(pictures, settings), pictures.scale, min(map(min, sizes)))
    if settings.format == "paths":
        for role in (LQ, SOURCE, GT, NEGATIVE):
            if names := [pair.name for pair in pairs if role in pictures.names(pair)]:
                files[f"{role}.txt"] = format_paths(final / role, names)
    for name, text in files.items():
        write_text(folder / name, text)
    return [str(final / name) for name in files]


def _describe_links(linked: bool) -> str:
    return f"The pictures are {'hard links, so an edit in place also changes the source' if linked else 'copies'}"


def _title(pictures: Pictures, settings: TrainingSettings) -> str:
    """What the pairs are, in one line."""
    pairs = pictures.plan.pairs
    num_groups = len({pair.index for pair in pairs})
    left_out = len(pictures.groups) - num_groups
    return (
        f"{plural(len(pairs), 'pair')} of {plural(num_groups, 'group')}, target {settings.target}"
        + (f", positives {settings.positives}" if settings.target != "original" else "")
        + (
            f", {sum(pair.negative is not None for pair in pairs):,} with a negative"
            if NEGATIVE in settings.target
            else ""
        )
        + (f"; {plural(left_out, 'group')} without the required labels left out" if left_out else "")
    )


def _describe_lr(pictures: Pictures, num_made: int, settings: TrainingSettings) -> str:
    if pictures.scale is None:
        return "source/ has the originals, to be degraded in training"
    made = f"{num_made:,} made by degradation {settings.degradation} with seed {settings.seed}"
    return f"LR: scale {pictures.scale}; {len(pictures.plan.given_lr):,} of the data, {made}"
