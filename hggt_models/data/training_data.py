"""What a run learns from, and the source pictures that it never learns from but is validated on.

Patches of one source picture are alike, so whole source pictures are held out. A test set is refused.
"""

import os
import random
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hggt_data.dataset.manifest import is_built_dataset
from hggt_data.errors import DatasetError, TreeError
from hggt_data.groups import GroupSource, hash_labels
from hggt_data.io.files import sha256_of
from hggt_data.io.images import PICTURE_ENDINGS, Pixels, is_picture_name, read_picture
from hggt_data.io.text import plural
from hggt_data.licence import HGGT_LICENSE_NAME
from hggt_data.loading import open_groups, split_or_default
from hggt_data.schema import LR, ORIGINAL, PatchGroup
from hggt_models.config.train import TargetKind, TrainConfig
from hggt_models.data.checks import require_usable_groups, require_usable_pictures
from hggt_models.data.group_dataset import GroupDataset
from hggt_models.data.picture_dataset import PictureDataset
from hggt_models.data.samples import SampleDataset
from hggt_models.data.targets import GroupLabels

# Sub-images of `0001.png` are `0001_s001.png`, those of its smaller versions `0001T0_s001.png`.
_SUB_IMAGE = re.compile(r"(T\d+)?_s\d+$")
_TEST_FOLDER = re.compile(r"GT|Test|Test-.*")
_HELD_OUT_SHARE = 10  # one of so many source pictures, at most, but one of two


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A picture to validate on.

    Attributes:
        name: of it.
        source: gives the pixels that its LR is made of.
        references: give the pixels that the output is compared with; the score is the mean over them.
    """

    name: str
    source: Callable[[], Pixels]
    references: tuple[Callable[[], Pixels], ...]


@dataclass(frozen=True, slots=True)
class ResumeState:
    """What a run has kept of its data, for when it goes on.

    Attributes:
        identity, names: of its `TrainingData`.
    """

    identity: Mapping[str, Any]
    names: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Opened training data.

    Attributes:
        source: as the user named it.
        noun: what it consists of, `picture` or `group`.
        samples: by their number.
        names: of all pictures or groups, and whether the run learns from each; that of a group tells its labels, too.
        num_missing: pictures or groups that a run began with and that are not there any more.
        held_out: to validate on.
        identity: what the data is, for the record; a run only goes on with the same, or with a part of it.
        revision: of the data: a commit of the Hub, or a digest.
        license: licence id; null where it is not known.
        description: a line for the user.
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


def open_training_data(
    source: str, config: TrainConfig, revision: str | None = None, beginning: ResumeState | None = None
) -> TrainingData:
    """Open what a run is to learn from.

    Args:
        source: for the target `picture` a folder of pictures, with folders in it or not; for the others a tree, a built
            dataset or `ORG/NAME` on the Hub, of which the training split is taken.
        config: of the run.
        revision: for the Hub: a tag, branch or commit.
        beginning: of the run that is to go on. Where some of its pictures or groups are missing, the next ones take
            their turns; all others keep theirs, and what is held out stays so.

    Raises:
        TreeError, DatasetError, HubError: there is no such data, it is a test set, the target cannot learn from it, or
            pictures cannot be used, by what their heads say.
    """
    if config.target == "picture":
        if revision is not None or not Path(source).is_dir():
            raise TreeError(f"{source}: the target 'picture' learns from a folder of pictures, and this is none here")
        return _open_pictures(Path(source), config, beginning)
    return _open_groups(source, config, revision, beginning)


def _open_groups(source: str, config: TrainConfig, revision: str | None, beginning: ResumeState | None) -> TrainingData:
    target = config.target
    split = split_or_default(source, None, "train")
    groups = open_groups(source, split, revision=revision)
    _refuse_test_set(groups, source, is_tree=split is None)
    labelled: list[GroupLabels] = []
    names: list[str] = []

    def kept() -> Iterator[PatchGroup]:
        for group in groups:
            labelled.append(GroupLabels.of(group))
            names.append(f"{group.id} {hash_labels([group])[:16]}")
            yield group

    digest = hash_labels(kept())  # reads each label once for all
    images = [group_id.image for group_id in groups.ids]
    identity = {"kind": "groups", "labels_sha256": digest}
    chosen = _choose(identity, names, images, [one.serves(target) for one in labelled], config, beginning)
    serving, held = chosen.positions, chosen.held
    if not serving:
        raise TreeError(
            f"{source}: of {plural(len(groups), 'group')}, none has what the target {target!r} learns from "
            f"({plural(len(held), 'source picture')} held out); is it labelled?"
        )
    samples = GroupDataset(
        groups,
        serving,
        [labelled[number] for number in serving],
        target,
        source_px=config.source_px,
        flip=config.flip,
        rotate=config.rotate,
        seed=config.seed,
    )
    held_out = _spread([number for number, image in enumerate(images) if image in held], config)
    require_usable_groups(groups, [*serving, *held_out], labelled, config)
    return TrainingData(
        source=source,
        noun="group",
        samples=samples,
        names=chosen.names,
        num_missing=chosen.num_missing,
        held_out=[_held_out_group(groups, number, labelled[number], target) for number in held_out],
        identity=chosen.identity,
        revision=groups.revision or chosen.identity["labels_sha256"][:12],
        license=groups.license or HGGT_LICENSE_NAME,
        description=f"{len(serving):,} of {plural(len(groups), 'group')} serve the target {target!r}; {_tell(held)}",
    )


def _refuse_test_set(groups: GroupSource, source: str, *, is_tree: bool) -> None:
    if is_tree and _TEST_FOLDER.fullmatch(Path(source).resolve().name):
        raise DatasetError(f"{source} is a test set, by the official names of its folders; pass the training tree")
    if any(groups.has_picture(number, LR) for number in range(len(groups))):
        raise DatasetError(f"{source} has low-resolution pictures, as only a test set does; pass the training tree")


def _held_out_group(groups: GroupSource, number: int, labelled: GroupLabels, target: TargetKind) -> HeldOut:
    positives = [name for name, _ in labelled.positives] if target != "original" else []
    references = tuple(partial(groups.read, number, name) for name in positives or [ORIGINAL])
    return HeldOut(str(groups.ids[number]), partial(groups.read, number, ORIGINAL), references)


def _open_pictures(folder: Path, config: TrainConfig, beginning: ResumeState | None) -> TrainingData:
    if is_built_dataset(folder) or {"images", "labels"} <= {path.name for path in folder.iterdir()}:
        raise TreeError(
            f"{folder} is a tree or a dataset, whose candidates are no targets of their own; the target 'picture' "
            "learns from a plain folder of pictures, such as its images/original"
        )
    paths = sorted(_walk_pictures(folder))
    if not paths:
        raise TreeError(f"{folder}: no pictures; expected {', '.join(PICTURE_ENDINGS)}")
    # A name on the disk may be no text.
    names = [os.fsencode(path.relative_to(folder).with_suffix("")).decode(errors="replace") for path in paths]
    # Whatever the folder: crops of a picture and of its smaller versions often lie in two.
    images = [_SUB_IMAGE.sub("", name.rpartition(os.sep)[2]) for name in names]
    sizes = require_usable_pictures(paths, config.source_px)
    listed = "\n".join(f"{name} {height} {width}" for name, (height, width) in zip(names, sizes, strict=True))
    identity = {"kind": "pictures", "names_and_sizes_sha256": sha256_of(listed.encode())}
    files = [f"{name}{path.suffix}" for name, path in zip(names, paths, strict=True)]
    chosen = _choose(identity, files, images, [True] * len(files), config, beginning)
    used, held = [paths[number] for number in chosen.positions], chosen.held
    samples = PictureDataset(used, source_px=config.source_px, flip=config.flip, rotate=config.rotate, seed=config.seed)
    held_out = [number for number, image in enumerate(images) if image in held]
    return TrainingData(
        source=str(folder),
        noun="picture",
        samples=samples,
        names=chosen.names,
        num_missing=chosen.num_missing,
        held_out=[_held_out_picture(paths[number], names[number]) for number in _spread(held_out, config)],
        identity=chosen.identity,
        revision=chosen.identity["names_and_sizes_sha256"][:12],
        license=None,
        description=f"{len(used):,} of {plural(len(paths), 'picture')} to learn from; {_tell(held)}",
    )


def _walk_pictures(folder: Path) -> Iterator[Path]:
    """All pictures in a folder and in the folders inside, links to folders included."""
    seen: set[str] = set()  # a link may lead back to where it lies
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if os.path.realpath(Path(parent, name)) not in seen]
        seen.update(os.path.realpath(Path(parent, name)) for name in folders)
        yield from (Path(parent, name) for name in names if is_picture_name(name))


def _held_out_picture(path: Path, name: str) -> HeldOut:
    read = partial(read_picture, path)
    return HeldOut(name.replace(os.sep, "-"), read, (read,))


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What of the data a run learns from.

    Attributes:
        held: source pictures that are held out.
        positions: of what each sample is made of.
        names, num_missing, identity: as in `TrainingData`.
    """

    held: set[str]
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
    beginning: ResumeState | None,
) -> _Chosen:
    """Choose what is learned from, as a run's beginning did if this is a part of what that had.

    Args:
        identity: kind and digest of the data.
        names, images, serves: of each picture or group: its name, its source picture, and whether the target can learn
            from it.
        config, beginning: as in `open_training_data`.
    """

    def serving(held: Collection[str]) -> list[int]:
        return [number for number, image in enumerate(images) if image not in held and serves[number]]

    if beginning and len(names) < len(beginning.names) and beginning.names.keys() >= set(names):
        held = set(beginning.identity["held_out"])
        there = {names[number]: number for number in serving(held)}
        used = [name for name, is_used in beginning.names.items() if is_used]
        missing = len(beginning.names) - len(names)
        if there:
            return _Chosen(held, _stood_in(used, there), beginning.names, missing, beginning.identity)
    held = _hold_out(images, config)
    positions = serving(held)
    used_positions = set(positions)
    return _Chosen(
        held,
        positions,
        {name: number in used_positions for number, name in enumerate(names)},
        0,
        {**identity, f"num_{identity['kind']}": len(names), "num_used": len(positions), "held_out": sorted(held)},
    )


def _stood_in(names: Sequence[str], there: Mapping[str, int]) -> list[int]:
    """The position of each name; where it has none, that of the next one that has, the first following the last."""
    position = next(there[name] for name in names if name in there)
    backwards = [position := there.get(name, position) for name in reversed(names)]
    return backwards[::-1]


def _hold_out(images: Sequence[str], config: TrainConfig) -> set[str]:
    """Source pictures to validate on, the same for the same seed."""
    known = sorted(set(images))
    most = max(len(known) // _HELD_OUT_SHARE, 1) if len(known) > 1 else 0
    number = min(config.validation.pictures, most)
    return set(random.Random(f"{config.seed}/held out").sample(known, number))


def _spread(numbers: Sequence[int], config: TrainConfig) -> list[int]:
    """At most as many as are to be validated, from all over."""
    wanted = min(len(numbers), config.validation.images)
    return [numbers[k * len(numbers) // wanted] for k in range(wanted)]


def _tell(held: set[str]) -> str:
    return (
        f"{plural(len(held), 'source picture')} held out for validation" if held else "nothing held out, no validation"
    )
