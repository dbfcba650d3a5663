"""The sets of pictures in `scores.json`: which pictures they have, and the file of their features beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from hggt_data.io.files import read_regular_file, sha256_of, write_bytes
from hggt_data.schema import require_group_id
from hggt_eval.metrics import SetMetric
from hggt_eval.scores.picture_sets import (
    FEATURES_PATTERN,
    PictureSets,
    SetDistance,
    SetGroup,
    unpack_features,
)


class _Group(TypedDict):
    id: str
    image_name: str
    ground_truths: dict[str, str]
    positives: NotRequired[dict[str, str]]


class SetsContent(TypedDict):
    """`sets` in `scores.json`."""

    features_file: str
    features_sha256: str
    groups: list[_Group]
    restored: dict[str, dict[str, str]]


def sets_content(sets: PictureSets) -> dict[str, Any]:
    """The sets as JSON; `parse_sets` reads them."""
    return {
        "features_file": sets.file_name,
        "features_sha256": sets.sha256,
        "groups": [
            {
                "id": group.id,
                "image_name": group.image_name,
                "ground_truths": dict(group.ground_truths),
                **({"positives": dict(group.positives)} if group.positives else {}),
            }
            for group in sets.groups
        ],
        "restored": {method: dict(own) for method, own in sets.restored.items()},
    }


def parse_sets(content: SetsContent, scores: Path) -> PictureSets:
    """The sets, with the features beside the `scores.json`; ValueError if these are missing or have changed."""
    path = scores.with_name(Path(content["features_file"]).name)
    try:
        data = read_regular_file(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path.name}, the features of its sets of pictures, is missing beside it") from error
    if sha256_of(data) != content["features_sha256"]:
        raise ValueError(f"{path.name}, the features of its sets of pictures, has changed")
    groups = [
        SetGroup(require_group_id(own["id"]), own["image_name"], own["ground_truths"], own.get("positives", {}))
        for own in content["groups"]
    ]
    return PictureSets(tuple(groups), content["restored"], unpack_features(data))


def require_sets(sets: PictureSets | None, metrics: Sequence[SetMetric], methods: Sequence[str]) -> None:
    """Check that the sets have what these metrics and methods need."""
    if sets is None:
        raise ValueError(f"{metrics[0].name} lacks its sets of pictures")
    if lacking := [name for name in methods if name not in sets.restored]:
        raise ValueError(f"the sets of pictures lack {lacking[0]}")
    for metric in metrics:
        known = sets.features.get(metric.view, {})
        for method in methods:
            by_id = {group.id: group for group in sets.groups}
            for group in sets.groups_of(metric, method):
                needed = (sets.restored[method][group], *by_id[group].pictures(metric).values())
                if any(sha256 not in known for sha256 in needed):
                    raise ValueError(f"{metric.name} lacks features of {group}")


def distance_content(distance: SetDistance) -> dict[str, Any]:
    """A distance as JSON, for people and other programs."""
    patches = {"num_patches": distance.num_patches} if distance.num_patches else {}
    return {
        "value": distance.value,
        "num_images": distance.num_images,
        "num_source_pictures": distance.num_sources,
        **patches,
    }


def write_features(sets: PictureSets, folder: Path) -> Path:
    """Write the features into the folder, beside those of its present `scores.json`, which may still be needed."""
    path = folder / sets.file_name
    write_bytes(path, sets.packed)
    return path


def remove_other_features(folder: Path, kept: Path | None) -> None:
    """Delete features of an earlier `scores.json`."""
    for path in folder.glob(FEATURES_PATTERN):
        if path != kept:
            path.unlink(missing_ok=True)
