"""One patch group as one row of the dataset, and back: the columns, their types and their names.

The images are columns of type `Image` that hold the PNG files untouched; labels are `ClassLabel` with the names
positive, similar, negative. Times are text, which PyTorch's and JAX's formatters pass on; in schema version 1 they were
timestamps. `datasets` is imported only where a schema is made.
"""

import json
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from hggt_data.dataset.times import format_time, parse_time
from hggt_data.dataset.vote_columns import VotesRow, vote_features, votes_from_row, votes_to_row
from hggt_data.io.parsing import read_value
from hggt_data.schema import (
    LR,
    ORIGINAL,
    Annotation,
    AnnotatorKind,
    Label,
    PatchGroup,
    VoteKind,
    label_from_class_id,
    require_group_id,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

CLASS_NAMES = [label.class_name for label in Label]
SOURCE_COLUMNS = ("origin", "author", "licence")
CAPTION = "caption"
_CANDIDATE_PREFIX = "enhanced_"


def image_column(name: str) -> str:
    """The column of a picture: `original`, `lr`, and `enhanced_01` for candidate `01`."""
    return name if name in (ORIGINAL, LR) else _CANDIDATE_PREFIX + name


def picture_of_column(column: str) -> str:
    """The picture's name; the inverse of `image_column`."""
    return column.removeprefix(_CANDIDATE_PREFIX)


def candidates_of_columns(columns: list[str]) -> tuple[str, ...]:
    """The candidates that a dataset with these columns has."""
    return tuple(picture_of_column(c) for c in columns if c.startswith(_CANDIDATE_PREFIX))


def image_columns(candidates: tuple[str, ...], has_lr: bool) -> list[str]:
    """All picture columns, in the order of a row."""
    return [image_column(name) for name in (ORIGINAL, *candidates, *([LR] if has_lr else []))]


def dataset_features(
    candidates: tuple[str, ...],
    has_lr: bool,
    source_columns: tuple[str, ...],
    votes: Collection[str] = (),
    with_images: bool = True,
    has_captions: bool = False,
) -> "Features":
    """The schema of the dataset, or without images that of the `labels` config.

    `has_lr` if any group has a low-resolution image (null for the others); `source_columns` are those of
    `SOURCE_COLUMNS` that are known, `votes` those of `VOTE_COLUMNS` that the data has; `has_captions` if any group has
    a caption.
    """
    from datasets import ClassLabel, Features, Image, List, Value

    label = ClassLabel(names=CLASS_NAMES)
    images = {column: Image() for column in image_columns(candidates, has_lr)} if with_images else {}
    return Features(
        {
            "id": Value("string"),
            "image_name": Value("string"),
            "top": Value("int32"),
            "left": Value("int32"),
            "width": Value("int32"),
            "height": Value("int32"),
            **images,
            "annotations": List(
                {
                    "slot": Value("string"),
                    "annotator": Value("string"),
                    "labels": List(label, length=len(candidates)),
                    "start": Value("string"),
                    "end": Value("string"),
                    "seconds": Value("float64"),
                    "full_zoom": Value("bool"),
                    "annotator_kind": Value("string"),
                    "question": Value("string"),
                    "kind": Value("string"),
                }
            ),
            "consensus": List(label, length=len(candidates)),
            "agreement": List(Value("int32"), length=len(candidates)),
            "num_votes": List(Value("int32"), length=len(candidates)),
            "num_positive": Value("int32"),
            "num_negative": Value("int32"),
            **vote_features(votes, candidates),
            **({CAPTION: Value("string")} if has_captions else {}),
            **{column: Value("string") for column in source_columns},
        }
    )


def arrow_schema(features: "Features") -> "pa.Schema":
    """The schema of a Parquet file, with the features described in types that `datasets` 3.6 knows, too.

    `datasets` itself would write `List`, which it has had since version 4.
    """
    schema = features.arrow_schema
    content = json.loads(schema.metadata[b"huggingface"])
    return schema.with_metadata({"huggingface": json.dumps(_without_list_type(content))})


def _without_list_type(content: Any) -> Any:
    """`List` as `Sequence`, or as `[struct]`: a `Sequence` of a struct would be a struct of lists."""
    if not isinstance(content, dict):
        return content
    plain = {key: _without_list_type(value) for key, value in content.items()}
    if plain.get("_type") != "List":
        return plain
    return plain | {"_type": "Sequence"} if "_type" in plain["feature"] else [plain["feature"]]


def labels_to_row(group: PatchGroup, votes: Collection[str] = ()) -> dict[str, Any]:
    """The columns of a group's annotations, consensus, and those of `VOTE_COLUMNS` in `votes`."""
    return {
        "annotations": [
            {
                "slot": annotation.slot,
                "annotator": annotation.annotator,
                "labels": [None if label is None else label.class_id for label in annotation.labels],
                "start": format_time(annotation.start),
                "end": format_time(annotation.end),
                "seconds": annotation.seconds,
                "full_zoom": annotation.full_zoom,
                "annotator_kind": annotation.annotator_kind,
                "question": annotation.question,
                "kind": annotation.kind,
            }
            for annotation in group.annotations
        ],
        "consensus": [None if label is None else label.class_id for label in group.consensus],
        "agreement": list(group.agreement),
        "num_votes": list(group.num_votes),
        "num_positive": len(group.positives),
        "num_negative": len(group.negatives),
        **votes_to_row(group, votes),
    }


class _AnnotationRow(TypedDict):
    slot: str
    annotator: str | None
    labels: list[Literal[0, 1, 2] | None]
    start: str | datetime | None
    end: str | datetime | None
    seconds: float | None
    # Since schema version 3; null in the pseudonymous copy of an older dataset.
    full_zoom: NotRequired[bool | None]
    annotator_kind: NotRequired[AnnotatorKind | None]
    question: NotRequired[str | None]
    kind: NotRequired[VoteKind | None]


class _LabelRow(VotesRow):
    caption: NotRequired[str | None]
    id: str
    image_name: str
    top: int | None
    left: int | None
    annotations: list[_AnnotationRow]
    consensus: list[Literal[0, 1, 2] | None]
    agreement: list[int]
    num_votes: list[int]


class _AllVotesRow(VotesRow):
    annotations: list[_AnnotationRow]


def check_votes(rows: object) -> None:
    """ValueError if these are not the columns of votes of a table, as pyarrow returns its rows."""
    read_value(list[_AllVotesRow], rows)


def group_from_row(row: object, candidates: tuple[str, ...]) -> PatchGroup:
    """The patch group of a row from pyarrow; the inverse of `labels_to_row`. ValueError if it has another form."""
    values: _LabelRow = read_value(_LabelRow, row)
    group = PatchGroup(
        id=require_group_id(values["id"]),
        image_name=require_group_id(values["image_name"]),
        top=values["top"],
        left=values["left"],
        candidates=candidates,
        annotations=tuple(
            Annotation(
                slot=annotation["slot"],
                labels=tuple(map(label_from_class_id, annotation["labels"])),
                start=parse_time(annotation["start"]),
                end=parse_time(annotation["end"]),
                seconds=annotation["seconds"],
                annotator=annotation["annotator"],
                full_zoom=annotation.get("full_zoom"),
                annotator_kind=annotation.get("annotator_kind") or "person",
                question=annotation.get("question"),
                kind=annotation.get("kind") or "vote",
            )
            for annotation in values["annotations"]
        ),
        consensus=tuple(label_from_class_id(class_id) for class_id in values["consensus"]),
        agreement=tuple(values["agreement"]),
        num_votes=tuple(values["num_votes"]),
        caption=values.get("caption"),
        **votes_from_row(values, candidates),
    )
    lists = [group.consensus, group.agreement, group.num_votes, *(one.labels for one in group.annotations)]
    if any(len(one) != len(candidates) for one in lists):
        raise ValueError(f"{group.id} does not have one label for each of {len(candidates)} candidates")
    counts = zip(group.agreement, group.num_votes, strict=True)
    if not all(0 <= agreement <= num_votes <= len(group.annotations) for agreement, num_votes in counts):
        raise ValueError(f"{group.id} counts more agreement than votes, or more votes than it has")
    if len({annotation.slot for annotation in group.annotations}) != len(group.annotations):
        raise ValueError(f"{group.id} has two annotations of one slot")
    return group
