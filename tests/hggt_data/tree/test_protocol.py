"""How annotators were asked, from the round to the dataset."""

from dataclasses import replace
from pathlib import Path

import pytest

from hggt_data.counting import count_labels
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import TreeError
from hggt_data.exports.tree import export_tree
from hggt_data.loading import open_groups
from hggt_data.schema import HGGT_PROTOCOL, Protocol
from hggt_data.statistics.page import format_statistics_html
from hggt_data.statistics.text import format_statistics
from hggt_data.tree.protocol import read_protocol, write_protocol
from hggt_data.tree.split import SplitSettings, split_tree
from tests.hggt_data.trees import write_tree

PROTOCOL = Protocol(blind=True, question="Which *looks* sharper?", versions_at_once=2, full_zoom=True)


def test_a_tree_without_the_file_is_asked_as_the_official_one(tmp_path: Path) -> None:
    write_tree(tmp_path, ["a-0-0"])
    assert open_groups(tmp_path).protocol == HGGT_PROTOCOL
    write_protocol(tmp_path, PROTOCOL)
    assert open_groups(tmp_path).protocol == PROTOCOL


def test_a_split_a_dataset_and_an_export_keep_it(tmp_path: Path) -> None:
    write_protocol(write_tree(tmp_path / "tree", ["a-0-0", "b-0-0"]), PROTOCOL)
    split_tree(tmp_path / "tree", tmp_path / "split", SplitSettings(test_groups=1, min_positives=0))
    train, test = tmp_path / "split/Train", tmp_path / "split/Test"
    build_dataset(BuildSettings([train], tmp_path / "dataset", test_tree=test, workers=1))
    export_tree(tmp_path / "dataset", tmp_path / "export")
    sides = [open_groups(tmp_path / "dataset", "train"), open_groups(tmp_path / "dataset", "test")]
    sides += [open_groups(tmp_path / "export" / name) for name in ("Train", "Test")]
    assert [side.protocol for side in sides] == [PROTOCOL] * 4
    card = (tmp_path / "dataset/README.md").read_text()
    assert (
        "\n\nThe annotators were asked: *Which \\*looks\\* sharper?* Positive is the answer for the candidate, "
        "Negative for the original. The original was hidden: it was one of two versions in random order. 2 pictures "
        "were compared at once. An answer required every version to have been seen at 100 %.\n" in card
    )


def test_statistics_say_how_annotators_were_asked(tmp_path: Path) -> None:
    write_protocol(write_tree(tmp_path / "tree", ["a-0-0"]), PROTOCOL)
    statistics = count_labels(tmp_path / "tree")
    assert statistics.to_json()["protocol"]["full_zoom"] is True
    for shown in (format_statistics(statistics), format_statistics_html(statistics, "x")):
        assert "The annotators were asked: Which *looks* sharper? Positive is" in " ".join(shown.split())
        assert "An answer required every version to have been seen at 100 %." in " ".join(shown.split())
    assert "asked" not in format_statistics(replace(statistics, protocol=Protocol()))


def test_a_build_warns_of_trees_that_were_asked_otherwise(tmp_path: Path) -> None:
    trees = [write_tree(tmp_path / name, [f"{name}-0-0"], seed=k) for k, name in enumerate("abc")]
    write_protocol(trees[1], Protocol(blind=True, versions_at_once=2))
    result = build_dataset(BuildSettings(trees, tmp_path / "dataset", workers=1))
    [problem] = [problem for problem in result.problems if problem.kind == "protocol-differs"]
    assert problem.path == str(trees[1] / "protocol.json")
    assert problem.message == "annotators were asked differently from those of train-0: blind is False and True"
    assert open_groups(tmp_path / "dataset").protocol == Protocol()


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is damaged"), ('{"blind": 1}', "'?blind"), ('{"blnd": true}', "unknown key")]
)
def test_a_faulty_file_stops_a_build(tmp_path: Path, content: str, message: str) -> None:
    write_tree(tmp_path / "tree", ["a-0-0"])
    (tmp_path / "tree/protocol.json").write_text(content)
    with pytest.raises(TreeError, match=message):
        read_protocol(tmp_path / "tree", Protocol(), "hggt")
    with pytest.raises(TreeError, match=r"bad-protocol .*\n.*protocol\.json"):
        build_dataset(BuildSettings([tmp_path / "tree"], tmp_path / "dataset", workers=1))
