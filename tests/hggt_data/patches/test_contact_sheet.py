"""Contact sheets: the position of each part."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hggt_data.io.images import Pixels
from hggt_data.patches.contact_sheet import SheetGroup, draw_page, find_window
from tests.hggt_data.trees import noise


def changed(pixels: Pixels, top: int, left: int, side: int) -> Pixels:
    result = pixels.copy()
    result[top : top + side, left : left + side] ^= 128
    return result


def group(side: int, name: str = "0001-2-3") -> SheetGroup:
    original = noise((side, side), name)
    versions = {"original": original, "01": changed(original, 0, 0, side // 2), "02": original}
    return SheetGroup(name, "score 1.00", versions, {key: key for key in versions}, "01")


def holds(page: Pixels, part: Pixels) -> bool:
    """Whether the page contains the part, pixel by pixel."""
    height, width = part.shape[:2]
    places = np.argwhere((page[: -height + 1, : -width + 1] == part[0, 0]).all(axis=2))
    return any(np.array_equal(page[top : top + height, left : left + width], part) for top, left in places)


class TestWindow:
    def test_it_is_where_candidates_differ_most(self) -> None:
        original = noise((200, 200), "a")
        versions = [original, changed(original, 104, 40, 50), changed(original, 0, 150, 20)]
        top, left = find_window(versions, 50)
        assert abs(top - 104) <= 4
        assert left == 40

    def test_equal_versions_show_the_first_corner(self) -> None:
        assert find_window([noise((60, 60), "a")] * 3, 30) == (0, 0)

    @settings(max_examples=50)
    @given(side=st.integers(1, 60), window=st.integers(1, 60), seed=st.integers(0, 20))
    def test_no_other_window_on_its_grid_differs_more(self, side: int, window: int, seed: int) -> None:
        window = min(side, window)
        original, candidate = noise((side, side), f"{seed} a"), noise((side, side), f"{seed} b")
        difference = np.abs(original.astype(int) - candidate).sum(axis=2)

        def total(top: int, left: int) -> int:
            return int(difference[top : top + window, left : left + window].sum())

        starts = range(0, side - window + 1, 8)
        found = find_window([original, candidate], window)
        assert total(*found) == max(total(top, left) for top in starts for left in starts)


class TestPage:
    def test_small_patches_are_shown_whole(self) -> None:
        groups = [group(64, "a-0-0"), group(64, "b-0-0")]
        page = draw_page(groups, "title", "subtitle")
        assert all(holds(page, pixels) for one in groups for pixels in one.versions.values())

    def test_large_patches_are_cropped_not_scaled(self) -> None:
        one = group(400)
        page = draw_page([one], "title", "subtitle")
        row, column = find_window(list(one.versions.values()), 160)
        for pixels in one.versions.values():
            assert holds(page, pixels[row : row + 160, column : column + 160])

    @pytest.mark.parametrize("name", ["x" * 300 + "-1-2", "照片-1-2"])
    def test_any_name_fits(self, name: str) -> None:
        assert draw_page([group(64, name)], "title", "sub").shape == draw_page([group(64)], "title", "sub").shape

    def test_the_header_is_never_shortened(self) -> None:
        short, long = "a few words", "a few words " * 20
        pages = [draw_page([group(33)], "title", text) for text in (short, long)]
        assert pages[0].shape[1] < pages[1].shape[1]
        assert (pages[1][:, -24:] == pages[1][0, 0]).all()  # nothing in the margin
        assert (pages[1][40:64, -60:-24] != pages[1][0, 0]).any()

    def test_the_same_groups_give_the_same_page(self) -> None:
        assert np.array_equal(draw_page([group(64)], "t", "s"), draw_page([group(64)], "t", "s"))
        assert not np.array_equal(draw_page([group(64)], "t", "s"), draw_page([group(64)], "u", "s"))
