"""The file annotators.csv: who voted in which slot."""

from pathlib import Path

import pytest

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import HggtError
from hggt_data.exports.tree import export_tree
from hggt_data.loading import open_groups
from hggt_data.statistics.counts import measure_labels
from hggt_data.statistics.page import format_statistics_html
from hggt_data.statistics.text import FULL_ZOOM_TITLE, format_statistics
from hggt_data.tree.annotators import read_annotators
from hggt_data.tree.layouts import list_tree
from tests.hggt_data.trees import write_tree

IDS = ("a-0-0", "a-16-0", "b-0-32")


def write_csv(root: Path, *lines: str) -> None:
    (root / "annotators.csv").write_text("\ufeff" + "\n".join(["group,slot,pseudonym", *lines]) + "\n", "utf-8")


def test_the_annotator_of_each_slot(tmp_path: Path) -> None:
    assert read_annotators(tmp_path) == {}
    write_csv(write_tree(tmp_path, IDS), "a-0-0,A,owl", "a-0-0,B,", "a-0-0,C,fox", "b-0-32,A,hen")
    listing = list_tree(tmp_path)
    names = [{slot: listed.pseudonym for slot, listed in files.annotators.items()} for files in listing]
    assert names == [{"A": "owl", "C": "fox"}, {}, {"A": "hen"}]
    assert listing.problems == []


def test_who_saw_every_candidate_at_100_percent(tmp_path: Path) -> None:
    write_tree(tmp_path, IDS)
    lines = ["group,slot,pseudonym,full_zoom", "a-0-0,A,owl,yes", "a-0-0,B,fox,", "a-16-0,A,owl,no", "b-0-32,C,hen,yes"]
    (tmp_path / "annotators.csv").write_text("\n".join(lines), "utf-8")
    build_dataset(BuildSettings([tmp_path], tmp_path.parent / "built", workers=1))
    export_tree(tmp_path.parent / "built", tmp_path.parent / "exported")
    for source in (tmp_path, tmp_path.parent / "built", tmp_path.parent / "exported/Train"):
        assert [[annotation.full_zoom for annotation in group.annotations] for group in open_groups(source)] == [
            [True, None, None],
            [False, None, None],
            [None, None, True],
        ]
    stats = measure_labels(open_groups(tmp_path))
    assert stats.full_zoom == (("hen", 1, 1), ("owl", 1, 2))
    assert stats.to_json()["full_zoom"]["owl"] == {"groups": 1, "of": 2}
    table = [line.split() for line in format_statistics(stats).partition(FULL_ZOOM_TITLE)[2].splitlines()[1:4]]
    assert table == [["annotator", "groups", "of", "share"], ["hen", "1", "1", "100.0%"], ["owl", "1", "2", "50.0%"]]
    assert FULL_ZOOM_TITLE in format_statistics_html(stats, "tree")
    build_dataset(BuildSettings([tmp_path], tmp_path.with_name("dataset"), workers=1))
    assert measure_labels(open_groups(tmp_path.with_name("dataset"))).full_zoom == stats.full_zoom


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"group,slot\na-0-0,A\n", "columns pseudonym are missing; found group, slot"),
        (b"group,slot,pseudonym\na-0-0,A,\xff\n", "not UTF-8"),
        (
            b"group,slot,pseudonym,full_zoom\na-0-0,A,owl,1\n",
            "group a-0-0, slot A has '1' as full_zoom; expected yes, no",
        ),
        (b"group,slot,pseudonym\na-0-0,A,owl\na-0-0,A,fox\n", "group a-0-0, slot A is listed twice"),
    ],
)
def test_a_faulty_file_is_reported_among_other_problems_and_ignored(tmp_path: Path, data: bytes, message: str) -> None:
    write_tree(tmp_path, IDS)
    (tmp_path / "annotators.csv").write_bytes(data)
    (tmp_path / "images/0-9/01/notes.txt").touch()
    with pytest.raises(HggtError, match=message):
        read_annotators(tmp_path)
    listing = list_tree(tmp_path)
    assert [problem.kind for problem in listing.problems] == ["bad-annotators", "extra-file"]
    assert message in listing.problems[0].message
    assert not any(files.annotators for files in listing)


def test_an_unknown_group_is_a_warning(tmp_path: Path) -> None:
    write_csv(write_tree(tmp_path, IDS), "z-1-1,A,fox")
    (problem,) = list_tree(tmp_path).problems
    assert (problem.kind, problem.severity) == ("unknown-annotation", "warning")
    assert problem.message == "lists group z-1-1, slot A, which is not in the tree"


def test_names_that_look_the_same_are_explained(tmp_path: Path) -> None:
    write_csv(write_tree(tmp_path, ["caf\u00e9-0-0"]), "cafe\u0301-0-0,a,Ada", "caf\u00e9-0-0,B,ADA")
    problems = list_tree(tmp_path).problems
    assert [(problem.kind, problem.message.partition("; ")[2] or problem.message) for problem in problems] == [
        (
            "unknown-annotation",
            r"'cafe\u0301-0-0' differs from 'caf\xe9-0-0' only in Unicode form; 'a' differs from 'A' only in case",
        ),
        ("lookalike-annotator", "'Ada' differs from 'ADA' only in case"),
    ]


def test_a_link_that_points_outside_the_tree_is_not_followed(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "T", IDS)
    write_csv(tmp_path, f"{IDS[0]},A,owl")
    (root / "annotators.csv").symlink_to(tmp_path / "annotators.csv")
    listing = list_tree(root)
    assert [(problem.kind, problem.path) for problem in listing.problems] == [("link-leaves-tree", "annotators.csv")]
    assert not any(files.annotators for files in listing)
