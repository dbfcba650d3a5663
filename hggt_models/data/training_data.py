"""Opens what a run learns from, and holds out the source pictures that it is validated on.

Patches of one source picture are similar, so whole source pictures are held out. A test set is refused.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hggt_data.dataset.manifest import is_built_dataset
from hggt_data.errors import TreeError
from hggt_data.groups import GroupSource, hash_labels
from hggt_data.io.files import sha256_of
from hggt_data.io.images import Pixels
from hggt_data.io.names import by_look, look
from hggt_data.io.pictures import PICTURE_ENDINGS, describe_notes, is_picture_name, read_picture
from hggt_data.io.text import plural
from hggt_data.schema import ORIGINAL, PatchGroup, source_picture
from hggt_models.config.sections import WHOLE_GROUP, TargetKind
from hggt_models.config.train import TrainConfig
from hggt_models.data.checks import require_usable_groups, require_usable_pictures
from hggt_models.data.group_dataset import GroupDataset
from hggt_models.data.picture_dataset import PictureDataset
from hggt_models.data.samples import SampleDataset
from hggt_models.data.targets import GroupLabels, most_positives
from hggt_models.data.training_groups import open_training_groups, require_labels_and_originals, require_rejected

_HELD_OUT_SHARE = 10  # at most one of so many source pictures; but one of 2 to 9


Read = Callable[[], Pixels]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A picture to validate on.

    Attributes:
        name: Name of its result file.
        source: Reads the pixels that its LR is made from.
        references: Read the pixels that the output is compared with; its score is the mean over them.
        positives: Read the positives of its group, each with its agreement, for label measures.
        negatives: Read its negatives.
    """

    name: str
    source: Read
    references: tuple[Read, ...]
    positives: tuple[tuple[Read, int], ...] = ()
    negatives: tuple[Read, ...] = ()

    @property
    def labelled(self) -> tuple[Read, ...]:
        """All positives and negatives."""
        return (*(read for read, _ in self.positives), *self.negatives)


@dataclass(frozen=True, slots=True)
class ResumeState:
    """What a run has recorded of its data, see `TrainingData`."""

    identity: Mapping[str, Any]
    names: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Opened training data.

    Attributes:
        source: Path or repository id, as the user gave it.
        noun: What it consists of, `picture` or `group`.
        samples: Samples by their number.
        names: Names of all pictures or groups, and whether the run learns from each. That of a group includes a digest
            of its labels.
        num_missing: Number of pictures or groups that a resumed run started with and that are missing now.
        held_out: Pictures to validate on.
        identity: What identifies the data; a run resumes only with the same data, or with a part of it.
        revision: A commit on the Hub, or a digest.
        license: Licence id; None if unknown.
        description: A line for the user.
        notes: Lines on what reading changes or ignores in the pictures.
    """

    source: str
    noun: str
    samples: SampleDataset
    names: Mapping[str, bool]
    num_missing: int
    held_out: Sequence[HeldOut]
    identity: Mapping[str, Any]
    revision: str
    license: str | None
    description: str
    notes: Sequence[str] = ()


def open_training_data(
    source: str | Path, config: TrainConfig, revision: str | None = None, resumed: ResumeState | None = None
) -> TrainingData:
    """Open what a run learns from, and check the header of every picture.

    `source` is a folder of pictures for the target `picture`, and otherwise a tree, a built dataset or `ORG/NAME` on
    the Hub, whose training split is used. `resumed` is what the run recorded when it started: if some of its pictures
    or groups are missing now, the next ones replace them, and all others keep their turns.
    """
    source = str(source)
    if config.target == "picture":
        if revision is not None or not Path(source).is_dir():
            raise TreeError(f"{source} is not a folder; the target 'picture' requires a folder of pictures")
        return _open_pictures(Path(source), config, resumed)
    return _open_groups(source, config, revision, resumed)


def _open_groups(source: str, config: TrainConfig, revision: str | None, resumed: ResumeState | None) -> TrainingData:
    target = config.target
    groups = open_training_groups(source, revision, accepts_pairs=target == "preference")
    labelled: list[GroupLabels] = []
    names: list[str] = []

    def kept() -> Iterator[PatchGroup]:
        for group in groups:
            labelled.append(GroupLabels.of(group, target))
            names.append(f"{group.id} {hash_labels([group])[:16]}")
            yield group

    digest = hash_labels(kept())  # reads each label once for all
    require_labels_and_originals(groups, labelled, accepts_pairs=target == "preference")
    images = [source_picture(f"{name}-0-0") for name in groups.image_names]  # the place protects numbers in a name
    identity: dict[str, Any] = {"kind": "groups", "labels_sha256": digest}
    if config.positives in WHOLE_GROUP:  # a run that resumes with a part of its data keeps the size of its samples
        identity["num_positives"] = most_positives(labelled)
    chosen = _choose(identity, names, images, [one.serves(target) for one in labelled], config, resumed)
    serving, held = chosen.positions, chosen.held
    if not serving:
        missing, remedy = f"the labels that the target {target!r} requires", "check that the data is labelled"
        if target == "preference":
            missing, remedy = "a preference pair", f"{remedy}, or has votes on pairs that are not all ties"
        raise TreeError(
            f"{source}: none of {plural(len(groups), 'group')} has {missing} ({plural(len(held), 'source picture')} "
            f"held out); {remedy}"
        )
    require_rejected(source, [labelled[number] for number in serving], config)
    samples = GroupDataset(
        groups,
        target,
        positions=serving,
        labelled=[labelled[number] for number in serving],
        source_px=config.source_px,
        flip=config.flip,
        rotate=config.rotate,
        seed=config.seed,
        rule=config.positives,
        num_positives=chosen.identity.get("num_positives"),
    )
    held_out = _spread(chosen.held_positions, config)
    require_usable_groups(groups, [*serving, *held_out], labelled, config)
    if config.validation.has_label_measures:
        require_usable_groups(groups, held_out, labelled, config, target="positive_negative")
    return TrainingData(
        source=source,
        noun="group",
        samples=samples,
        names=chosen.names,
        num_missing=chosen.num_missing,
        held_out=[_held_out_group(groups, number, labelled[number], target) for number in held_out],
        identity=chosen.identity,
        revision=groups.revision or chosen.identity["labels_sha256"][:12],
        license=groups.license,
        description=(
            f"learning from {len(serving):,} of {plural(len(groups), 'group')} ({target}); {_describe(held, images)}"
        ),
    )


def _held_out_group(groups: GroupSource, number: int, labelled: GroupLabels, target: TargetKind) -> HeldOut:
    source = partial(groups.read, number, ORIGINAL)
    positives = tuple((partial(groups.read, number, name), agreement) for name, agreement in labelled.positives)
    negatives = tuple(partial(groups.read, number, name) for name, _ in labelled.negatives)
    references = tuple(partial(groups.read, number, name) for name in labelled.best) if target != "original" else ()
    return HeldOut(groups.ids[number], source, references or (source,), positives, negatives)


def _open_pictures(folder: Path, config: TrainConfig, resumed: ResumeState | None) -> TrainingData:
    if is_built_dataset(folder) or {"images", "labels"} <= {path.name for path in folder.iterdir()}:
        raise TreeError(
            f"{folder} is a tree or a dataset; the target 'picture' requires a plain folder of pictures, such as its "
            "images/original"
        )
    paths = sorted(_walk_pictures(folder))
    if not paths:
        raise TreeError(f"{folder} contains no pictures; expected {', '.join(PICTURE_ENDINGS)}")
    # A file name may be invalid UTF-8.
    names = [os.fsencode(path.relative_to(folder).with_suffix("")).decode(errors="replace") for path in paths]
    # Regardless of the folder: crops of a picture and of its smaller versions often have different folders.
    images = [
        source_picture(name.rpartition(os.sep)[2], path.absolute().parent.name)
        for name, path in zip(names, paths, strict=True)
    ]
    sizes, notes = require_usable_pictures(paths, config.source_px)
    listed = "\n".join(f"{name} {height} {width}" for name, (height, width) in zip(names, sizes, strict=True))
    identity = {"kind": "pictures", "names_and_sizes_sha256": sha256_of(listed.encode())}
    files = [f"{name}{path.suffix}" for name, path in zip(names, paths, strict=True)]
    chosen = _choose(identity, files, images, [True] * len(files), config, resumed)
    used, held = [paths[number] for number in chosen.positions], chosen.held
    samples = PictureDataset(used, source_px=config.source_px, flip=config.flip, rotate=config.rotate, seed=config.seed)
    return TrainingData(
        source=str(folder),
        noun="picture",
        samples=samples,
        names=chosen.names,
        num_missing=chosen.num_missing,
        held_out=[_held_out_picture(paths[number], names[number]) for number in _spread(chosen.held_positions, config)],
        identity=chosen.identity,
        revision=chosen.identity["names_and_sizes_sha256"][:12],
        license=None,
        description=f"learning from {len(used):,} of {plural(len(paths), 'picture')}; {_describe(held, images)}",
        notes=describe_notes(notes),
    )


def _walk_pictures(folder: Path) -> Iterator[Path]:
    """All pictures in a folder and its subfolders, also behind symbolic links."""
    seen: set[str] = set()  # links may form a circle
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if os.path.realpath(Path(parent, name)) not in seen]
        seen.update(os.path.realpath(Path(parent, name)) for name in folders)
        yield from (Path(parent, name) for name in names if is_picture_name(name))


def _held_out_picture(path: Path, name: str) -> HeldOut:
    read = partial(read_picture, path)
    return HeldOut(name.replace(os.sep, "-"), read, (read,))


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The held-out source pictures, the positions of their pictures or groups and of what each sample is made from.

    The rest is as in `TrainingData`.
    """

    held: set[str]
    held_positions: Sequence[int]
    positions: Sequence[int]
    names: Mapping[str, bool]
    num_missing: int
    identity: Mapping[str, Any]


def _choose(
    identity: Mapping[str, Any],
    names: Sequence[str],
    images: Sequence[str],
    serves: Sequence[bool],
    config: TrainConfig,
    resumed: ResumeState | None,
) -> _Chosen:
    """Choose what to learn from; a resumed run whose data is now a part of what it had keeps its choice.

    `names`, `images` and `serves` are of each picture or group: its name, its source picture, and whether the target
    can learn from it.
    """
    keys = [look(image) for image in images]

    def divide(held: Collection[str]) -> tuple[list[int], list[int]]:
        barred = {look(image) for image in held}
        learned = [number for number, key in enumerate(keys) if key not in barred and serves[number]]
        return [number for number, key in enumerate(keys) if key in barred], learned

    if resumed and len(names) < len(resumed.names) and resumed.names.keys() >= set(names):
        held = set(resumed.identity["held_out"])
        held_positions, positions = divide(held)
        known = {names[number]: number for number in positions}
        used = [name for name, is_used in resumed.names.items() if is_used]
        missing = len(resumed.names) - len(names)
        if known:
            positions = _replace_missing(used, known)
            return _Chosen(held, held_positions, positions, resumed.names, missing, resumed.identity)
    held = _hold_out(images, config)
    held_positions, positions = divide(held)
    used_positions = set(positions)
    return _Chosen(
        held,
        held_positions,
        positions,
        {name: number in used_positions for number, name in enumerate(names)},
        0,
        {**identity, f"num_{identity['kind']}": len(names), "num_used": len(positions), "held_out": sorted(held)},
    )


def _replace_missing(names: Sequence[str], known: Mapping[str, int]) -> list[int]:
    """The position of each name, or of the next one that is known; after the last comes the first."""
    position = next(known[name] for name in names if name in known)
    backwards = [position := known.get(name, position) for name in reversed(names)]
    return backwards[::-1]


def _hold_out(images: Sequence[str], config: TrainConfig) -> set[str]:
    """Source pictures to validate on, which depend on the seed; none that makes up more than half of the data."""
    first = by_look(sorted(set(images)))
    counts = Counter(map(look, images))
    known = sorted(first[key] for key, count in counts.items() if 2 * count <= len(images))
    most = max(len(counts) // _HELD_OUT_SHARE, 1) if len(counts) > 1 else 0
    number = min(config.validation.pictures, most, len(known))
    return set(random.Random(f"{config.seed}/held out").sample(known, number))


def _spread(numbers: Sequence[int], config: TrainConfig) -> list[int]:
    """Up to `validation.images` of these, evenly spaced."""
    wanted = min(len(numbers), config.validation.images)
    return [numbers[k * len(numbers) // wanted] for k in range(wanted)]


def _describe(held: set[str], images: Sequence[str]) -> str:
    if held:
        return f"{plural(len(held), 'source picture')} held out for validation"
    is_one = len(set(map(look, images))) == 1
    return "nothing held out, no validation" + (f": all are of one source picture, {images[0]!r}" if is_one else "")
