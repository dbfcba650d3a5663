"""A group as a row: names, types, and back."""

import json
import re
from datetime import datetime

from datasets import ClassLabel, Features, Image, List, Value

from hggt_data.consensus import judge_group
from hggt_data.dataset.features import (
    arrow_schema,
    candidates_of_columns,
    dataset_features,
    group_from_row,
    image_column,
    image_columns,
    labels_to_row,
)
from hggt_data.schema import Annotation, Label

LABEL = ClassLabel(names=["positive", "similar", "negative"])
P, S, N = Label


def test_the_columns_and_their_types_are_those_of_the_manual() -> None:
    expected = {
        "id": Value("string"),
        "image_name": Value("string"),
        "top": Value("int32"),
        "left": Value("int32"),
        "width": Value("int32"),
        "height": Value("int32"),
        "original": Image(),
        "enhanced_01": Image(),
        "enhanced_02": Image(),
        "enhanced_03": Image(),
        "enhanced_04": Image(),
        "lr": Image(),
        "annotations": List(
            {
                "slot": Value("string"),
                "annotator": Value("string"),
                "labels": List(LABEL, length=4),
                "start": Value("string"),
                "end": Value("string"),
                "seconds": Value("float64"),
                "full_zoom": Value("bool"),
                "annotator_kind": Value("string"),
                "question": Value("string"),
                "kind": Value("string"),
            }
        ),
        "consensus": List(LABEL, length=4),
        "agreement": List(Value("int32"), length=4),
        "num_votes": List(Value("int32"), length=4),
        "num_positive": Value("int32"),
        "num_negative": Value("int32"),
        "origin": Value("string"),
        "author": Value("string"),
        "licence": Value("string"),
    }
    features = dataset_features(("01", "02", "03", "04"), True, ("origin", "author", "licence"))
    assert features == Features(expected)
    assert list(features) == list(expected)


def test_a_file_describes_its_columns_in_types_that_older_versions_of_datasets_know() -> None:
    features = dataset_features(("01", "02"), True, ("author",))
    schema = arrow_schema(features)
    described = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert set(re.findall(r'"_type": "(\w+)"', json.dumps(described))) == {"Value", "ClassLabel", "Image", "Sequence"}
    [annotation] = described["annotations"]  # [struct]; a Sequence would be read as a struct of lists
    assert annotation["labels"]["_type"] == described["consensus"]["_type"] == "Sequence"
    assert Features.from_arrow_schema(schema) == features


def test_the_light_config_has_all_columns_but_the_pictures() -> None:
    whole = dataset_features(("01", "02"), True, ("author",))
    light = dataset_features(("01", "02"), True, ("author",), with_images=False)
    pictures = image_columns(("01", "02"), True)
    assert pictures == ["original", "enhanced_01", "enhanced_02", "lr"]
    assert list(light) == [column for column in whole if column not in pictures]
    assert "lr" not in dataset_features(("01",), False, ())


def test_names_of_columns() -> None:
    assert [image_column(name) for name in ("original", "lr", "07")] == ["original", "lr", "enhanced_07"]
    assert candidates_of_columns(["id", "original", "enhanced_01", "enhanced_12", "lr"]) == ("01", "12")


def test_a_group_comes_back_from_its_row() -> None:
    group = judge_group(
        "my-photo-3-4",
        ("01", "02"),
        [
            Annotation("A", (P, S), datetime(2022, 8, 5, 17), datetime(2022, 8, 5, 18), 42.5, "owl"),
            Annotation("B", (P, None), full_zoom=True, annotator_kind="model", question="sharper?", kind="gold"),
        ],
        image_name="my-photo",
        top=3,
    )
    row = labels_to_row(group)
    assert row["consensus"] == [None, None]
    assert (row["num_positive"], row["num_negative"]) == (0, 0)
    assert row["annotations"][0]["start"] == "2022-08-05T17:00:00"
    assert (
        group_from_row({"id": "my-photo-3-4", "image_name": "my-photo", "top": 3, "left": None, **row}, ("01", "02"))
        == group
    )


def test_a_group_without_consensus_comes_back_from_its_row() -> None:
    group = judge_group("a-0-0", ("01",), [Annotation("A", (N,))])
    row = labels_to_row(group)
    assert (row["consensus"], row["agreement"], row["num_votes"]) == ([None], [0], [1])
    assert (row["num_positive"], row["num_negative"]) == (0, 0)
    assert group_from_row({"id": "a-0-0", "image_name": "a-0-0", "top": None, "left": None, **row}, ("01",)) == group
