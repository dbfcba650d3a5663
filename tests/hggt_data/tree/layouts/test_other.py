"""What a layout may leave out: originals, candidates of some groups, labels; and layouts that are mixed."""

import re
import shutil
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import TreeError
from hggt_data.exports.votes import export_votes
from hggt_data.groups import GroupSource
from hggt_data.io.images import encode_png
from hggt_data.loading import open_groups
from hggt_data.schema import Protocol, Score
from hggt_data.tree import layouts
from hggt_data.tree.folders import scan
from hggt_data.tree.layouts import list_tree
from hggt_data.tree.listing import GroupFiles, GroupName, Layout, Listing, ListOptions, Votes
from hggt_data.tree.validate import validate_tree
from tests.hggt_data.diffiqa_tree import write_diffiqa, write_splits
from tests.hggt_data.sriqa_tree import write_sriqa_tree
from tests.hggt_data.table_tree import write_pictures
from tests.hggt_data.trees import noise, write_bytes, write_tree


class ScoredFiles(GroupFiles):
    """One file of a score beside each picture."""

    @property
    def vote_files(self) -> tuple[Path, ...]:
        return tuple(path.with_suffix(".txt") for path in self.images.values())

    def read_votes(self, read: Callable[[Path], bytes]) -> Votes:
        scores = [Score(path.stem, float(read(path.with_suffix(".txt")))) for path in self.images.values()]
        return Votes(scores=tuple(scores))


class ScoredListing(Listing):
    """Folders of groups: `GROUP/VERSION.png`."""

    votes = ("scores",)

    def __init__(self, root: Path) -> None:
        super().__init__(LAYOUT, root, (root,))
        self._pictures = {entry.name: sorted((root / entry.name).glob("*.png")) for entry in scan(root)}
        self.candidates = tuple(sorted({path.stem for paths in self._pictures.values() for path in paths}))
        self.set_groups(GroupName(name, name.partition(" ")[0]) for name in self._pictures)

    def files(self, group_id: str) -> ScoredFiles:
        images = {path.stem: path for path in self._pictures[group_id]}
        return ScoredFiles(**self.common_facts(group_id), images=images)

    def picture_path(self, group_id: str) -> Path:
        return self._pictures[group_id][0]


def list_scored(folder: Path, options: ListOptions) -> ScoredListing:
    return ScoredListing(folder)


LAYOUT = Layout("scored", "majority", Protocol(), lambda folder: {"GROUP/VERSION.png": True}, list_scored, "cc0-1.0")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layouts, "LAYOUTS", (LAYOUT,))
    for group, versions in {"cat 2": ("ESRGAN+", "bicubic"), "cat 10": ("bicubic",)}.items():
        for name in versions:
            write_bytes(tmp_path / f"tree/{group}/{name}.png", encode_png(noise((8, 8), f"{group} {name}")))
            write_bytes(tmp_path / f"tree/{group}/{name}.txt", f"{len(name)}".encode())
    return tmp_path / "tree"


def facts(groups: GroupSource) -> list[object]:
    return [
        (
            group,
            [name for name in ("original", *group.candidates) if group.has_picture(name)],
            group.read_bytes("bicubic"),
        )
        for group in groups
    ]


def test_groups_without_original_labels_and_some_candidates_go_into_a_dataset_and_out(
    tree: Path, tmp_path: Path
) -> None:
    report = validate_tree(tree, workers=1)
    assert (
        report.describe() == "2 groups (layout: scored, candidates ESRGAN+, bicubic, slots none): 0 errors, 0 warnings"
    )
    groups = open_groups(tree)
    assert [(group.id, group.image_name, group.top, group.consensus, group.num_votes) for group in groups] == [
        ("cat 10", "cat", None, (None, None), (0, 0)),
        ("cat 2", "cat", None, (None, None), (0, 0)),
    ]
    assert groups[1].scores == (Score("ESRGAN+", 7.0), Score("bicubic", 7.0))
    assert not groups[0].has_picture("ESRGAN+")
    build_dataset(BuildSettings([tree], tmp_path / "built", workers=1))
    assert facts(open_groups(tmp_path / "built")) == facts(groups)
    with pytest.raises(KeyError, match="has no picture 'original'; it has bicubic"):
        open_groups(tmp_path / "built")[0].read("original")
    export_votes(tmp_path / "built", tmp_path / "votes")
    assert (tmp_path / "votes/votes.csv").read_text().splitlines() == [
        "group,candidate,score",
        "cat 10,bicubic,7.0",
        "cat 2,ESRGAN+,7.0",
        "cat 2,bicubic,7.0",
    ]


def write_table(folder: Path) -> Path:
    """A table of votes."""
    write_pictures(folder, {"cat": ("original", "a")})
    write_bytes(folder / "votes.csv", b"group,candidate,annotator,label\ncat,a,ann,Positive\n")
    return folder


WRITERS: dict[str, Callable[[Path], Path]] = {
    "hggt": lambda folder: write_tree(folder, ["a-0-0"], slots="A"),
    "diffiqa": write_diffiqa,
    "sriqa": lambda folder: write_sriqa_tree(folder, ("x1",), "A"),
    "table": write_table,
}


@pytest.mark.parametrize(("place", "is_zipped"), [("part", False), ("part/deeper", True)])
@pytest.mark.parametrize(("outer", "inner"), [*permutations(WRITERS, 2), ("table", "table")])
def test_a_layout_inside_another_is_refused(
    outer: str, inner: str, place: str, is_zipped: bool, tmp_path: Path
) -> None:
    tree = WRITERS[outer](tmp_path / "T")
    WRITERS[inner](tmp_path / "inner")
    (tree / place).parent.mkdir(exist_ok=True)
    (tmp_path / "inner").rename(tree / place)
    if is_zipped:
        tree = Path(shutil.make_archive(str(tmp_path / "Z"), "zip", tmp_path, "T"))
    expected = rf"^mixed layouts: \S+ has the layout {outer}, and \S+/{place} in it {inner}; expected one\. Separate"
    with pytest.raises(TreeError, match=expected):
        list_tree(tree)


def test_a_table_of_votes_among_other_files_is_not_overlooked(tmp_path: Path) -> None:
    tree = write_splits(tmp_path / "T")
    table = tree / "Train/images/votes.csv"
    write_bytes(table, b"group,candidate,annotator,label\n")
    (problem,) = validate_tree(tree, workers=1).errors
    assert re.match("mixed layouts: .*/images in it table", problem.message)
    table.rename(tree / "Train/images/01/votes.csv")  # too deep for a table with its pictures
    found = {(problem.kind, problem.path) for problem in validate_tree(tree, workers=1).problems}
    assert ("extra-file", "Train/images/01/votes.csv") in found
