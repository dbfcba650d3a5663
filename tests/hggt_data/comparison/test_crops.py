"""Patches found in the pictures they were cut out of."""

from pathlib import Path

import numpy as np

from hggt_data.comparison.crops import Place, find_landmark, find_places, is_at
from hggt_data.io.images import Pixels, read_pixels
from tests.hggt_data.trees import noise


def cut(pixels: Pixels, top: int, left: int, size: int = 32) -> Pixels:
    return pixels[top : top + size, left : left + size]


def test_a_patch_is_found_where_it_was_cut_out(fixtures: Path) -> None:
    picture = read_pixels(next(iter(sorted(fixtures.glob("Test/**/original/coffee-*.png")))))
    height, width, _ = picture.shape
    places = [(0, 0), (7, 13), (height - 32, width - 32)]
    landmarks = [find_landmark(cut(picture, *place)) for place in places]
    assert None not in landmarks
    found = find_places(picture, [landmark for landmark in landmarks if landmark])
    assert {Place(k, *place) for k, place in enumerate(places)} <= set(found)
    assert all(is_at(cut(picture, *place), picture, *place) for place in places)


def test_other_and_changed_patches_are_not_found(fixtures: Path) -> None:
    one, two, *_ = (read_pixels(path) for path in sorted(fixtures.glob("Train/images/0-6/original/*.png")))
    patch = cut(one, 5, 5).copy()
    patch[3, 3] ^= 1
    landmark = find_landmark(patch)
    assert landmark is not None
    assert not find_places(two, [landmark])
    assert not any(is_at(patch, one, place.top, place.left) for place in find_places(one, [landmark]))


def test_a_landmark_at_the_edge_of_a_picture_is_not_a_place() -> None:
    picture = noise((40, 60), "picture")
    landmark = find_landmark(picture[:32, :32])
    assert landmark is not None
    assert landmark[1:] != (0, 0)
    assert find_places(picture, [landmark]) == [Place(0, 0, 0)]
    assert find_places(picture[landmark.top :, landmark.left :], [landmark]) == []


def test_flat_and_narrow_patches_have_no_landmark() -> None:
    assert find_landmark(np.full((32, 32, 3), 7, np.uint8)) is None
    assert find_landmark(noise((32, 15), "narrow")) is None
