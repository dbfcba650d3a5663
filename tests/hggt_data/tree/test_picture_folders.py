from pathlib import Path

import numpy as np
import pytest

from hggt_data.errors import TreeError
from hggt_data.io.images import write_png
from hggt_data.tree.picture_folders import PictureFolders, find_pictures


def _write(folder: Path, *stems: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, stem in enumerate(stems):
        write_png(folder / f"{stem}.png", np.full((4, 4, 3), number, np.uint8))
    return folder


@pytest.mark.parametrize(
    ("stems", "ids"),
    [
        (["Canon_001_HR", "Nikon_002_HR"], {"Canon_001", "Nikon_002"}),
        (["a_1", "a_2"], {"a_1", "a_2"}),
        (["only_HR"], {"only_HR"}),
        (["_x", "a_x"], {"_x", "a_x"}),
    ],
)
def test_an_ending_that_all_names_share_does_not_belong_to_the_ids(
    tmp_path: Path, stems: list[str], ids: set[str]
) -> None:
    assert set(find_pictures(_write(tmp_path, *stems))) == ids


def test_a_suffix_chooses_the_pictures(tmp_path: Path) -> None:
    _write(tmp_path, "0001_x4", "0002x4", "0001_lr")
    assert set(find_pictures(tmp_path, "x4")) == {"0001", "0002"}


def test_other_folders_give_more_ground_truths_and_may_lack_some(tmp_path: Path) -> None:
    first = _write(tmp_path / "a", "0002-0-8", "0001", "0002-0-0")
    groups = PictureFolders([first, _write(tmp_path / "b", "0001_02", "0002-0-0_02")])
    assert list(groups.ids) == ["0001", "0002-0-0", "0002-0-8"]
    assert [group.ground_truths for group in groups] == [("original", "gt2"), ("original", "gt2"), ("original",)]
    assert (groups[1].image_name, groups[1].top, groups[1].left) == ("0002", 0, 0)
    assert groups[1].read("gt2")[0, 0, 0] == 1
    assert not groups.has_labels


@pytest.mark.parametrize(
    ("stems", "message"),
    [([], "contains no pictures"), (["0001", "0003"], "1 of 2 names are not in .*a: 0003.png; expected .*0001.png")],
)
def test_folders_that_do_not_fit_are_refused(tmp_path: Path, stems: list[str], message: str) -> None:
    with pytest.raises(TreeError, match=message):
        PictureFolders([_write(tmp_path / "a", "0001", "0002"), _write(tmp_path / "b", *stems)])


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, "0001")
    (tmp_path / "0001.jpg").touch()
    with pytest.raises(TreeError, match="are one picture by name"):
        find_pictures(tmp_path)
