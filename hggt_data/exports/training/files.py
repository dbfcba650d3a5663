"""Puts the pictures of training pairs into folders or tar shards. Files that an interrupted run left are kept."""

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hggt_data.exports.source import picture_file, read_checked
from hggt_data.exports.training.pairs import PairPlan, Size, TrainingPair, file_stem
from hggt_data.groups import GroupSource
from hggt_data.io.files import atomic_file, is_up_to_date, link_or_copy
from hggt_data.io.images import encode_png
from hggt_data.io.workers import show_progress
from hggt_data.schema import LR, ORIGINAL

LQ, GT, SOURCE, NEGATIVE = "lq", "gt", "source", "negative"


@dataclass(frozen=True)
class Pictures:
    """The pictures of the pairs of an export.

    Attributes:
        groups: Where they are read from.
        plan: The pairs.
        made_lr: Folder of the LR images that were made, by the file stem of the group.
        scale: Side of a target divided by side of its LR; targets are cropped to multiples of it. None without LR.
    """

    groups: GroupSource
    plan: PairPlan
    made_lr: Path
    scale: int | None

    def names(self, pair: TrainingPair) -> dict[str, str]:
        """The pictures of a pair by their role: folder, or ending in a shard."""
        names = {LQ: LR} if self.scale else {SOURCE: ORIGINAL}
        names[GT] = pair.target
        return {**names, NEGATIVE: pair.negative} if pair.negative else names

    def is_made(self, pair: TrainingPair, name: str) -> bool:
        """Whether this is an LR image that the data does not have."""
        return name == LR and pair.index not in self.plan.given_lr

    def target_size(self, pair: TrainingPair) -> Size:
        """(height, width) of a pair's target as it is exported."""
        height, width = self.plan.sizes[pair.index]
        scale = self.scale or 1
        return height // scale * scale, width // scale * scale

    def find(self, pair: TrainingPair, name: str) -> Path | None:
        """The file of a picture, if one has exactly the bytes to export."""
        if self.is_made(pair, name):
            return self.made_lr / f"{file_stem(self.groups.ids[pair.index])}.png"
        return None if self._is_cropped(pair, name) else picture_file(self.groups, pair.index, name)

    def read(self, pair: TrainingPair, name: str) -> bytes:
        """The PNG file of a picture as it is exported."""
        if path := self.find(pair, name):
            return path.read_bytes()
        group = self.groups[pair.index]
        if not self._is_cropped(pair, name):
            return read_checked(group, name)
        height, width = self.target_size(pair)
        return encode_png(group.read(name)[:height, :width])

    def describe(self, pair: TrainingPair) -> dict[str, object]:
        """What a pair is made of."""
        return {
            "name": pair.name,
            "group": self.groups.ids[pair.index],
            "image": self.groups.image_names[pair.index],
            GT: pair.target,
            "agreement": pair.agreement,
            NEGATIVE: pair.negative,
            "negative_agreement": pair.negative_agreement,
        }

    def _is_cropped(self, pair: TrainingPair, name: str) -> bool:
        return name != LR and self.target_size(pair) != self.plan.sizes[pair.index]


def write_folders(pictures: Pictures, folder: Path, *, copy: bool, made: bool) -> bool:
    """Write `ROLE/NAME.png` of each pair: LR images that were made, or all others. Return whether all are links.

    LR images are made when the others are written: a link to an original makes it look newer than an existing LR.
    """
    linked = True
    pairs = pictures.plan.pairs
    for pair in show_progress(pairs, len(pairs), "exporting", "pair"):
        for role, name in pictures.names(pair).items():
            if pictures.is_made(pair, name) is not made:
                continue
            path = folder / role / f"{pair.name}.png"
            if file := pictures.find(pair, name):
                linked &= _place_file(file, path, copy=copy)
            else:
                linked = False
                _write_once(path, partial(pictures.read, pair, name))
    return linked


def place_picture(groups: GroupSource, index: int, name: str, path: Path) -> None:
    """Link a picture of a tree, or write one of a dataset, unless that has been done."""
    if file := picture_file(groups, index, name):
        _place_file(file, path)
    else:
        _write_once(path, lambda: read_checked(groups[index], name))


def _place_file(source: Path, target: Path, *, copy: bool = False) -> bool:
    """Link or copy a file, unless that has been done; return whether it is a link."""
    if target.exists() and target.samefile(source):
        return True
    if is_up_to_date([target], [source]):
        return False
    target.parent.mkdir(exist_ok=True)
    temporary = target.with_name(f".{target.name}.0.tmp")  # a killed run leaves it, and the next one replaces it
    temporary.unlink(missing_ok=True)
    linked = link_or_copy(source, temporary, copy=copy)
    temporary.replace(target)
    return linked


def _write_once(path: Path, read: Callable[[], bytes]) -> None:
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with atomic_file(path) as file:
            file.write(read())


def write_shards(pictures: Pictures, folder: Path, pairs_per_shard: int) -> list[str]:
    """Write tar shards with `NAME.ROLE.png` and `NAME.json` of each pair; return their names."""
    pairs = pictures.plan.pairs
    starts = range(0, len(pairs), pairs_per_shard)
    names = [f"pairs-{number:06d}.tar" for number in range(len(starts))]
    for name, start in zip(show_progress(names, len(names), "exporting", "shard"), starts, strict=True):
        if not (folder / name).exists():
            _write_shard(folder / name, pictures, pairs[start : start + pairs_per_shard])
    return names


def _write_shard(path: Path, pictures: Pictures, pairs: Sequence[TrainingPair]) -> None:
    with atomic_file(path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for pair in pairs:
            members = {f"{role}.png": pictures.read(pair, name) for role, name in pictures.names(pair).items()}
            members["json"] = json.dumps(pictures.describe(pair), ensure_ascii=False).encode()
            for ending, data in members.items():
                member = tarfile.TarInfo(f"{pair.name}.{ending}")  # its time is 1970: equal exports have equal bytes
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
