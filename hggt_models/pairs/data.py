"""What a run learns from, and the source pictures that it never learns from but is validated on.

Patches of one source picture are alike, so whole source pictures are held out. A test set is refused.
"""

import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hggt_data.card import HGGT_LICENSE_NAME
from hggt_data.errors import DatasetError, ImageError, TreeError
from hggt_data.files import sha256_of
from hggt_data.hub import is_hub_id
from hggt_data.images import Pixels, read_picture, read_picture_size
from hggt_data.loading import GroupSource, hash_labels, is_built_dataset, open_groups
from hggt_data.pictures import PICTURE_ENDINGS, is_picture_name
from hggt_data.schema import LR, ORIGINAL, PatchGroup, plural
from hggt_models.config import TrainConfig
from hggt_models.pairs.group_dataset import GroupDataset
from hggt_models.pairs.picture_dataset import PictureDataset
from hggt_models.pairs.samples import SampleDataset
from hggt_models.targets import Labelled, TargetKind

# Sub-images of `0001.png` are `0001_s001.png`, those of its smaller versions `0001T0_s001.png`.
_SUB_IMAGE = re.compile(r"(T\d+)?_s\d+$")
_TEST_FOLDER = re.compile(r"GT|Test|Test-.*")
_HEADER_READERS = 16  # threads: most of the time is spent waiting for the disk
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
class TrainingData:
    """Opened training data.

    Attributes:
        source: as the user named it.
        samples: by their number.
        held_out: to validate on.
        identity: what the data is, for the record; a run only goes on with the same.
        revision: of the data: a commit of the Hub, or a digest.
        license: licence id; null where it is not known.
        description: a line for the user.
    """

    source: str
    samples: SampleDataset
    held_out: Sequence[HeldOut]
    identity: Mapping[str, Any]
    revision: str
    license: str | None
    description: str


def open_training_data(source: str, config: TrainConfig, revision: str | None = None) -> TrainingData:
    """Open what a run is to learn from.

    Args:
        source: for the target `picture` a folder of pictures, with folders in it or not; for the others a tree, a built
            dataset or `ORG/NAME` on the Hub, of which the training split is taken.
        config: of the run.
        revision: for the Hub: a tag, branch or commit.

    Raises:
        TreeError, DatasetError, HubError: there is no such data, it is a test set, or the target cannot learn from it.
        ImageError: a picture is smaller than `source_px`.
    """
    if config.target == "picture":
        if revision is not None or not Path(source).is_dir():
            raise TreeError(f"{source}: the target 'picture' learns from a folder of pictures, and this is none here")
        return _open_pictures(Path(source), config)
    return _open_groups(source, config, revision)


def _open_groups(source: str, config: TrainConfig, revision: str | None) -> TrainingData:
    target = config.target
    split = "train" if is_hub_id(source) or is_built_dataset(Path(source)) else None
    groups = open_groups(source, split, revision=revision)
    _refuse_test_set(groups, source, is_tree=split is None)
    labelled: list[Labelled] = []

    def kept() -> Iterator[PatchGroup]:
        for group in groups:
            labelled.append(Labelled.of(group))
            yield group

    digest = hash_labels(kept())  # reads each label once for both
    images = [group_id.image for group_id in groups.ids]
    held = _hold_out(images, config)
    serving = [number for number, one in enumerate(labelled) if images[number] not in held and one.serves(target)]
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
    samples[0]  # a size that does not fit is told before anything else happens
    held_out = [number for number, image in enumerate(images) if image in held]
    return TrainingData(
        source=source,
        samples=samples,
        held_out=[_held_out_group(groups, number, labelled[number], target) for number in _spread(held_out, config)],
        identity={
            "kind": "groups",
            "labels_sha256": digest,
            "num_groups": len(groups),
            "num_used": len(serving),
            "held_out": sorted(held),
        },
        revision=groups.revision or digest[:12],
        license=groups.license or HGGT_LICENSE_NAME,
        description=f"{len(serving):,} of {plural(len(groups), 'group')} serve the target {target!r}; {_tell(held)}",
    )


def _refuse_test_set(groups: GroupSource, source: str, *, is_tree: bool) -> None:
    if is_tree and _TEST_FOLDER.fullmatch(Path(source).resolve().name):
        raise DatasetError(f"{source} is a test set, by the official names of its folders; pass the training tree")
    try:
        groups.read_bytes(0, LR)
    except KeyError:
        return
    raise DatasetError(f"{source} has low-resolution pictures, as only a test set does; pass the training tree")


def _held_out_group(groups: GroupSource, number: int, labelled: Labelled, target: TargetKind) -> HeldOut:
    positives = [name for name, _ in labelled.positives] if target != "original" else []
    references = tuple(partial(groups.read, number, name) for name in positives or [ORIGINAL])
    return HeldOut(str(groups.ids[number]), partial(groups.read, number, ORIGINAL), references)


def _open_pictures(folder: Path, config: TrainConfig) -> TrainingData:
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
    held = _hold_out(images, config)
    used = [path for path, image in zip(paths, images, strict=True) if image not in held]
    _require_sizes(paths, config.source_px)
    samples = PictureDataset(used, source_px=config.source_px, flip=config.flip, rotate=config.rotate, seed=config.seed)
    held_out = [number for number, image in enumerate(images) if image in held]
    digest = sha256_of("\n".join(names).encode())
    return TrainingData(
        source=str(folder),
        samples=samples,
        held_out=[_held_out_picture(paths[number], names[number]) for number in _spread(held_out, config)],
        identity={
            "kind": "pictures",
            "names_sha256": digest,
            "num_pictures": len(paths),
            "num_used": len(used),
            "held_out": sorted(held),
        },
        revision=digest[:12],
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


def _require_sizes(paths: Sequence[Path], source_px: int) -> None:
    """Look at every picture's header: a small one is to be found now, not after a day."""

    def fault(path: Path) -> str | None:
        try:
            height, width = read_picture_size(path)
        except (ImageError, OSError) as error:
            return str(error)
        return f"{path}: {height:,} x {width:,} px" if min(height, width) < source_px else None

    with ThreadPoolExecutor(_HEADER_READERS) as pool:
        faults = [found for found in pool.map(fault, paths) if found]
    if faults:
        raise TreeError(
            f"{plural(len(faults), 'picture')} of {len(paths):,} cannot give a square of source_px {source_px} (first: "
            f"{faults[0]}); leave them out, cut large ones with hggt-data extract-subimages, or --set source_px=N"
        )


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
