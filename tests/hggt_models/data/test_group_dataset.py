import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch.utils.data import default_collate

from hggt_data.errors import DatasetError, ImageError
from hggt_data.groups import GroupSource
from hggt_data.io.images import encode_png
from hggt_data.loading import open_groups
from hggt_data.schema import PatchGroup
from hggt_data.tree.demo import write_demo_tree
from hggt_models.config.sections import PositiveRule, TargetKind
from hggt_models.data.group_dataset import GroupDataset
from hggt_models.data.samples import Sample
from tests.hggt_models.data.coded import coded, cut_of, picture_of, write_groups
from tests.hggt_models.data.conftest import LABELS
from tests.hggt_models.training.runs import assert_same

TARGETS: tuple[TargetKind, ...] = tuple(target for target in get_args(TargetKind) if target != "picture")
EPOCHS = 40
LETTERS = list(LABELS.values())


def dataset(groups: GroupSource, target: TargetKind, source_px: int = 8, seed: int = 0) -> GroupDataset:
    """Samples of all groups that serve a target."""
    return GroupDataset(groups, target, source_px=source_px, rotate=True, seed=seed)


class Counting(GroupSource):
    """The groups of another source, counting the pictures that are read."""

    def __init__(self, groups: GroupSource) -> None:
        self.location, self.candidates, self.ids, self.split = "some", groups.candidates, groups.ids, groups.split
        self._groups, self.num_read = groups, 0

    def _read_labels(self, index: int) -> PatchGroup:
        return self._groups._read_labels(index)

    def has_picture(self, index: int, name: str) -> bool:
        return self._groups.has_picture(index, name)

    def read_bytes(self, index: int, name: str) -> bytes:
        self.num_read += 1
        return self._groups.read_bytes(index, name)


def names_of(sample: Sample) -> tuple[int, list[str]]:
    """The group of a sample, and its pictures' names."""
    cuts = [cut_of(picture) for picture in sample["pictures"]]
    assert len({(cut.top, cut.left, cut.mirrored, cut.upended, cut.quarter) for cut in cuts}) == 1
    groups = {picture_of(cut.code)[0] for cut in cuts}
    assert len(groups) == 1
    return groups.pop(), [picture_of(cut.code)[1] for cut in cuts]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("original", range(6)),
        ("positive", [0, 1, 3, 5]),
        ("positive_negative", [0, 1, 2, 3, 5]),
        ("preference", [0, 1, 2, 3, 5]),
    ],
)
def test_only_groups_with_the_required_labels_are_used(tree: Path, target: TargetKind, expected: list[int]) -> None:
    samples = dataset(open_groups(tree), target)
    assert len(samples) == len(expected)
    for epoch in range(3):
        numbers = range(epoch * len(samples), (epoch + 1) * len(samples))
        assert sorted(names_of(samples[number])[0] for number in numbers) == list(expected)


def test_pictures_are_chosen_by_their_labels(tree: Path) -> None:
    samples = dataset(open_groups(tree), "positive_negative")
    seen: set[tuple[str, ...]] = set()
    for number in range(EPOCHS * len(samples)):
        sample = samples[number]
        group, names = names_of(sample)
        letters = dict(zip(("01", "02", "03", "04"), LETTERS[group], strict=True))
        has = {letter: letter in letters.values() for letter in "PN"}
        assert names[0] == "original"
        for name, letter in zip(names[1:], "PPN", strict=True):
            assert letters[name] == letter if has[letter] else name == "original"
        assert {name: value.item() for name, value in sample.items() if name != "pictures"} == {
            "number": number,
            "has_positive": has["P"],
            "has_negative": has["N"],
            "positive_agreement": 3,
            "negative_agreement": 3 * has["N"],
            "num_annotators": 3,
        }
        seen.add((LETTERS[group], *names[1:]))
    # Each positive, map positive and negative of the first group has come with each other.
    assert len([one for one in seen if one[0] == "PPNN"]) == 8


def test_a_positive_target_compares_with_each_positive(tree: Path) -> None:
    samples = dataset(open_groups(tree), "positive")
    seen = {(group, *names) for group, names in (names_of(samples[number]) for number in range(EPOCHS * len(samples)))}
    assert seen == {
        (group, "original", f"{k:02d}")
        for group, letters in enumerate(LETTERS)
        for k, letter in enumerate(letters, start=1)
        if letter == "P"
    }


@pytest.mark.parametrize(
    ("target", "numbers"), [("original", {1}), ("positive", {2}), ("positive_negative", {2, 3, 4})]
)
def test_each_picture_that_the_target_needs_is_read_once(tree: Path, target: TargetKind, numbers: set[int]) -> None:
    groups = Counting(open_groups(tree))
    samples = dataset(groups, target)
    assert groups.num_read == 0
    counts = set()
    for number in range(EPOCHS * len(samples)):
        groups.num_read = 0
        _, names = names_of(samples[number])
        assert groups.num_read == len(set(names))
        counts.add(groups.num_read)
    assert counts == numbers


@pytest.mark.parametrize("target", TARGETS)
def test_a_tree_and_its_dataset_give_the_same_samples(tree: Path, built: Path, target: TargetKind) -> None:
    ours, theirs = dataset(open_groups(tree), target), dataset(open_groups(built, "train"), target)
    for number in range(3 * len(ours)):
        assert_same(ours[number], theirs[number])


@pytest.mark.parametrize("target", TARGETS)
def test_samples_can_be_stacked(tree: Path, target: TargetKind) -> None:
    samples = dataset(open_groups(tree), target)
    batch = default_collate([samples[number] for number in range(4)])
    num_pictures = {"original": 1, "positive": 2, "positive_negative": 4, "preference": 4}[target]
    assert batch["pictures"].shape == (4, num_pictures, 3, 8, 8)
    assert batch["pictures"].dtype == torch.uint8
    assert batch["number"].tolist() == [0, 1, 2, 3]
    more = {"positive_agreement", "negative_agreement", "num_annotators", "has_positive", "has_negative"}
    assert batch.keys() == {"number", "pictures"} | (more if target.startswith("p") and target != "positive" else set())
    assert all(batch[name].dtype == torch.bool for name in batch.keys() & {"has_positive", "has_negative"})


@pytest.mark.parametrize("rule", ["nearest", "all"])
def test_all_positives_come_padded_behind_the_same_first_pictures(tree: Path, rule: PositiveRule) -> None:
    groups = open_groups(tree)
    plain = dataset(groups, "positive_negative")
    whole = GroupDataset(groups, "positive_negative", source_px=8, rotate=True, rule=rule)
    for number in range(4 * len(whole)):
        sample, (group, names) = whole[number], names_of(whole[number])
        first = plain[number]["pictures"]
        assert torch.equal(sample["pictures"][: len(first)], first)
        positives = [
            name for name, letter in zip(("01", "02", "03", "04"), LETTERS[group], strict=True) if letter == "P"
        ]
        targets = [names[1], *names[4:]]
        assert len(targets) == 3  # the most of any group
        used = [name for name, counts in zip(targets, sample["has_target"], strict=True) if counts]
        assert sorted(used) == (positives or ["original"])
        assert set(targets) == set(used)


@pytest.mark.parametrize("source", ["tree", "built"])
def test_samples_can_be_sent_to_another_process(source: str, request: pytest.FixtureRequest) -> None:
    groups = open_groups(request.getfixturevalue(source), "train" if source == "built" else None)
    samples = dataset(groups, "positive_negative")
    samples[0]  # opens files, which cannot be sent
    sent = pickle.loads(pickle.dumps(samples))
    for number in (7, 0, 30):
        assert_same(sent[number], samples[number])


def test_other_seeds_give_other_choices(tree: Path) -> None:
    groups = open_groups(tree)
    first, second = (dataset(groups, "positive_negative", seed=seed) for seed in (0, 1))
    assert [names_of(first[number]) for number in range(20)] != [names_of(second[number]) for number in range(20)]
    assert [names_of(first[number]) for number in range(5)] != [names_of(first[number]) for number in range(5, 10)]


def damaged(tree: Path, folder: Path, name: str, data: bytes) -> GroupDataset:
    """Samples of a copy of the tree in which one picture of the first group is another file."""
    copy = Path(shutil.copytree(tree, folder / "Train"))
    suffix = "" if name == "original" else f"_{name}"
    (copy / f"images/0-9/{name}/p0-0-0{suffix}.png").write_bytes(data)
    return dataset(open_groups(copy), "positive")


def fault_of(samples: GroupDataset) -> str:
    """The error when the samples of many epochs are read."""
    with pytest.raises(ImageError) as caught:
        list(map(samples.__getitem__, range(20 * len(samples))))
    return str(caught.value)


def test_a_group_that_is_too_small_is_named(tree: Path) -> None:
    samples = dataset(open_groups(tree), "positive", source_px=21)
    fault = fault_of(samples)
    assert fault.startswith(f"{tree}/images/0-9/original/p")
    assert "24 x 20 pixels, less than source_px 21; remove it, or set source_px to 20 or less" in fault


def test_a_candidate_of_another_size_is_named(tree: Path, tmp_path: Path) -> None:
    samples = damaged(tree, tmp_path, "02", encode_png(coded(2, (23, 20))))
    assert fault_of(samples) == f"{tmp_path}/Train/images/0-9/02/p0-0-0_02.png: 23 x 20 pixels; expected 24 x 20"


def test_a_damaged_candidate_is_named_when_it_is_drawn(tree: Path, tmp_path: Path) -> None:
    samples = damaged(tree, tmp_path, "02", encode_png(coded(2, (24, 20)))[:-20])
    assert fault_of(samples).startswith(f"{tmp_path}/Train/images/0-9/02/p0-0-0_02.png: cut off")
    unused = damaged(tree, tmp_path / "other", "03", b"")  # a negative, which this target never reads
    for number in range(20 * len(unused)):
        unused[number]


def test_a_negative_that_equals_a_positive_is_not_used(tmp_path: Path) -> None:
    tree = write_groups(tmp_path / "T", {"a-0-0": "PN", "b-0-0": "PN"})
    shutil.copy(tree / "images/0-9/01/a-0-0_01.png", tree / "images/0-9/02/a-0-0_02.png")
    samples = dataset(open_groups(tree), "positive_negative")
    used = {names_of(sample)[0]: bool(sample["has_negative"]) for sample in (samples[k] for k in range(len(samples)))}
    assert used == {0: False, 1: True}


def test_groups_without_the_required_labels_are_an_error(tmp_path: Path) -> None:
    tree = write_groups(tmp_path / "T", {"a-0-0": "SN"})
    with pytest.raises(DatasetError, match="has no groups that the target 'positive' can learn from"):
        GroupDataset(tree, "positive", source_px=8)


def test_the_documented_loop_trains(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs/training.md").read_text("utf-8")
    code = text.partition("## Your own training loop")[2].partition("```python\n")[2].partition("```")[0]
    write_demo_tree(tmp_path)
    for documented, quick in (
        ("batches, 1000", "batches, 2"),
        ("(4), 2)", "(4), 1)"),
        ("source_px=128", "source_px=64"),
    ):
        assert documented in code
        code = code.replace(documented, quick)
    (tmp_path / "loop.py").write_text(code)
    done = subprocess.run([sys.executable, "loop.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"2 steps, last loss 0\.\d+\n", done.stdout)
