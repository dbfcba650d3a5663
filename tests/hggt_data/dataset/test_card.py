"""The card of a built dataset: the YAML head for programs and the text for readers."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.dataset.card import format_card
from hggt_data.dataset.features import dataset_features
from hggt_data.dataset.manifest import read_manifest
from hggt_data.errors import PublishError, SettingsError
from hggt_data.hub.push import PushSettings, open_push
from hggt_data.licence import is_restricted, read_license
from hggt_data.loading import open_groups
from tests.hggt_data.diffiqa_tree import write_diffiqa
from tests.hggt_data.sriqa_tree import write_sriqa_tree
from tests.hggt_data.table_tree import write_pictures
from tests.hggt_data.trees import FOUR, edit_text, write_tree


def head(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = DatasetCard.load(folder / "README.md").data.to_dict()
    return content


def body(folder: Path) -> str:
    return (folder / "README.md").read_text("utf-8").split("\n---\n", 1)[1]


def build(tmp_path: Path, **options: Any) -> Path:
    tree = tmp_path / "T"
    if not tree.exists():
        write_tree(tree, ["a-0-0", "b-0-0"], candidates=("01",))
    build_dataset(BuildSettings(trees=(tree,), output=tmp_path / "hggt", workers=1, **options))
    return tmp_path / "hggt"


def test_the_head_names_both_configs_and_their_files(real_dataset: Path) -> None:
    default, labels = head(real_dataset)["configs"]
    assert (default["config_name"], default["default"]) == ("default", True)
    assert default["data_files"] == [
        {"split": split, "path": [f"data/{split}-{number:05d}-of-00003.parquet" for number in range(3)]}
        for split in ("train", "test")
    ]
    assert labels["config_name"] == "labels"
    assert labels["data_files"] == [{"split": s, "path": f"labels/{s}.parquet"} for s in ("train", "test")]


def test_the_head_counts_rows_and_names_columns(real_dataset: Path) -> None:
    infos = {info["config_name"]: info for info in head(real_dataset)["dataset_info"]}
    for config in ("default", "labels"):
        assert {split["name"]: split["num_examples"] for split in infos[config]["splits"]} == {"train": 6, "test": 6}
        names = [feature["name"] for feature in infos[config]["features"]]
        assert names == list(dataset_features(FOUR, True, (), with_images=config == "default"))
    size = sum(path.stat().st_size for path in (real_dataset / "data").iterdir())
    assert infos["default"]["download_size"] == size
    assert head(real_dataset)["size_categories"] == "n<1K"


def test_without_a_licence_it_carries_the_terms_of_hggt(tmp_path: Path) -> None:
    folder = build(tmp_path)
    assert (head(folder)["license"], head(folder)["license_name"]) == ("other", "hggt-terms")
    text = body(folder)
    for part in (
        "non-commercial",
        "academic research",
        "copying",
        "distributing",
        "Do not make",
        "@inproceedings{chen2023human",
    ):
        assert part in text


def test_the_terms_and_the_paper_are_those_of_the_layout(tmp_path: Path) -> None:
    for layout, write in (("diffiqa", write_diffiqa), ("sriqa", write_sriqa_tree)):
        folder = build_dataset(BuildSettings([write(tmp_path / layout)], tmp_path / f"{layout}-out", workers=1)).output
        assert (head(folder)["license"], head(folder)["license_name"]) == ("other", "hggt-terms")
        assert "official data of HGGT, DiffIQA and SRIQA-Bench" in body(folder)
        assert "@inproceedings{chen2025toward" in body(folder)


def test_own_data_has_no_known_licence_and_no_paper(tmp_path: Path) -> None:
    table = write_pictures(tmp_path / "own", {"a": ("original", "x", "y"), "b": ("original", "x", "y")})
    rows = ["group,candidate,annotator,label,annotator_kind", "a,x,net,Positive,model", "b,x,net,Negative,model"]
    (table / "votes.csv").write_text("\n".join(rows))
    result = build_dataset(BuildSettings([table], tmp_path / "out", workers=1))
    assert "Licence: not known; ask the author. Do not make the dataset public." in result.describe()
    assert head(result.output)["license"] == "unknown"
    text = body(result.output)
    assert "No licence was given for this data: ask its author" in text
    assert "HGGT, DiffIQA" not in text
    assert "## Citation" not in text
    assert "several people" not in text  # only a model labelled
    assert open_groups(result.output).license == open_groups(table).license == "unknown"
    with (
        pytest.raises(PublishError, match="cannot be made public: No licence was given"),
        open_push(PushSettings(dataset=result.output, repo_id="me/own", public=True)),
    ):
        pass
    build_dataset(BuildSettings([table], tmp_path / "out", license="cc-by-4.0", workers=1))
    assert (head(tmp_path / "out")["license"], open_groups(tmp_path / "out").license) == ("cc-by-4.0", "cc-by-4.0")


def test_older_manifests_without_a_licence_are_under_the_terms_of_hggt(tmp_path: Path) -> None:
    folder = build(tmp_path)
    edit_text(folder / "manifest.json", '"license": "hggt-terms"', '"license": null')
    assert open_groups(folder).license == read_manifest(folder).license == "hggt-terms"


@pytest.mark.parametrize(
    ("license_id", "hint"),
    [
        (
            "hggt-terms",
            "expected an id of the Hub such as cc0-1.0 or cc-by-4.0, other:NAME for another licence, or none",
        ),
        ("nonsense", "expected an id"),
        ("CC-BY-4", "did you mean 'cc-by-4.0'? Otherwise expected an id of the Hub"),
        ("other:hggt-terms", "expected an id"),
        ("other:Our Own", "expected an id"),
        ("", "expected an id"),
    ],
)
def test_a_licence_that_is_not_an_id_is_refused(tmp_path: Path, license_id: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        BuildSettings((), tmp_path, license=license_id)
    assert str(caught.value).startswith(f"{license_id!r} is not a licence id; {hint}")


def test_another_licence_has_its_name_in_the_card(tmp_path: Path) -> None:
    folder = build(tmp_path, license="other:our-own-1.0")
    assert (head(folder)["license"], head(folder)["license_name"]) == ("other", "our-own-1.0")
    license_id = read_license((folder / "README.md").read_text("utf-8"))
    assert license_id == "other:our-own-1.0"
    assert not is_restricted(license_id)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("pretty_name: x\nlicense: 'mit'\ntags: []", "mit"),
        ("license:\n- mit", None),
        ("license: other\nlicense_name: hggt-terms", "other:hggt-terms"),
        ("", None),
    ],
)
def test_the_licence_of_a_card_is_that_of_its_head(head: str, expected: str | None) -> None:
    assert read_license(f"---\n{head}\n---\n# A card\nlicense: odbl\n") == expected


def test_a_licence_and_a_citation_take_their_place(tmp_path: Path) -> None:
    bib = tmp_path / "c.bib"
    bib.write_text('@misc{ours, title={Größe: "x" --- y}}\n', "utf-8")
    folder = build(tmp_path, license="cc-by-4.0", citation=bib)
    assert head(folder)["license"] == "cc-by-4.0"
    assert "license_name" not in head(folder)
    text = body(folder)
    assert "The data is under `cc-by-4.0`." in text
    assert '@misc{ours, title={Größe: "x" --- y}}' in text
    assert "non-commercial" not in text
    assert "chen2023human" not in text


def test_every_column_and_the_rule_of_the_labels_are_explained(real_dataset: Path) -> None:
    text = body(real_dataset)
    for column in dataset_features(FOUR, True, ()):
        assert f"| `{column}` |" in text
    for part in (
        "slots A, B, C",
        "strictly the most votes",
        "a tie",
        "`similar` with agreement 1",
        "fewer than two votes",
    ):
        assert part in text


def test_the_counts_are_those_of_the_rows(real_dataset: Path) -> None:
    text = body(real_dataset)
    for split in ("train", "test"):
        found = pq.read_table(real_dataset / "labels" / f"{split}.parquet").to_pylist()
        pictures = len({row["image_name"] for row in found})
        positive = sum(0 in row["consensus"] for row in found)
        negative = sum(2 in row["consensus"] for row in found)
        assert (
            f"- `{split}`: {len(found)} groups from {pictures} source pictures, 4 candidates each; "
            f"{positive} groups have a positive, {negative} a negative" in text
        )
        for k, candidate in enumerate(FOUR):
            counts = Counter(row["consensus"][k] for row in found)
            shares = " | ".join(f"{counts[c] / len(found):.1%}" for c in (0, 1, 2, None))
            assert f"| {split} | {candidate} | {shares} |" in text


def test_the_head_changes_with_the_content_so_that_no_old_cache_is_read(tmp_path: Path) -> None:
    before = head(build(tmp_path))
    assert head(build(tmp_path)) == before
    edit_text(tmp_path / "T/labels/0-9/A/a-0-0.json", '"Total": 30', '"Total": 31')
    assert head(build(tmp_path)) != before


def test_the_size_category_is_the_hubs_word(real_dataset: Path) -> None:
    table = pq.read_table(real_dataset / "labels/train.parquet")
    many = table.take([k % 6 for k in range(1000)])
    text = format_card(
        {"train": many},
        shards=read_manifest(real_dataset).shards,
        features=dataset_features(FOUR, True, ()),
        label_features=dataset_features(FOUR, True, (), with_images=False),
        license_id="cc0-1.0",
        citation=None,
        protocols={},
    )
    assert "size_categories: 1K<n<10K\n" in text
    assert "1,000 groups" in text


def test_the_code_of_the_card_runs(real_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(real_dataset, tmp_path / "PATH_OR_ID")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in body(real_dataset).split("```python\n")[1:]:
        exec(code.split("```")[0], names)
    assert len(names["groups"]) == len(names["labels"]) == 6
    group = open_groups(real_dataset, "train")[0]
    assert [np.asarray(picture).tolist() for picture in names["positives"]] == [
        group.read(name).tolist() for name in group.positives
    ]
    assert names["batch"]["original"].shape == (4, 3, 128, 128)
    assert names["positive"][0].tolist() == [name in group.positives for name in group.candidates]
