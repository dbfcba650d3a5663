"""Positions of patches: the official selection with its own random draws, and each part of the rule."""

import json
import weakref
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hggt_data.io.images import Pixels, read_pixels
from hggt_data.patches.grid import (
    Draw,
    PatchSettings,
    Place,
    Verdict,
    cut,
    draw_grid,
    measure_change,
    measure_detail,
    seeded_draw,
    select_patches,
)
from tests.hggt_data.trees import noise

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data/golden/patch_select.json").read_text())
OFFICIAL = PatchSettings(GOLDEN["crop_size"], GOLDEN["step_size"], score="official")
SMALL = PatchSettings(crop=40, step=33)


def replay(draws: list[list[int]]) -> Draw:
    """The draws of another run, which must be requested in the same order and with the same bounds."""
    waiting = iter(draws)

    def draw(low: int, high: int) -> int:
        expected_low, expected_high, value = next(waiting)
        assert (low, high) == (expected_low, expected_high)
        return value

    return draw


def always(value: float) -> Draw:
    """Always the same fraction of the range: 0 is the smallest value, 1 the largest."""
    return lambda low, high: low + round(value * (high - low))


def read_versions(fixtures: Path, name: str) -> Iterator[Pixels]:
    folder = fixtures / "EnhancedGT"
    yield read_pixels(folder / "original" / f"{name}.png")
    for candidate in ("01", "02", "03", "04"):
        yield read_pixels(folder / candidate / f"{name}_{candidate}.png")


def ranked(places: list[Place]) -> list[Place]:
    return sorted((place for place in places if place.rank is not None), key=lambda place: place.rank or 0)


def test_the_official_selection_with_its_draws(fixtures: Path) -> None:
    draw = replay(GOLDEN["draws"])
    lines: list[str] = []
    verdicts: Counter[Verdict] = Counter()
    for name in GOLDEN["pictures"]:
        places = select_patches(read_versions(fixtures, name), OFFICIAL, draw)
        for place in ranked(places):
            lines.append(f"{name}-{place.top}-{place.left}-{place.score:.4f}-{len(lines) + 1}.png")
        verdicts.update(place.verdict for place in places)
    assert lines == GOLDEN["crop_area_info"]
    assert verdicts == {
        Verdict.KEPT: len(lines),
        Verdict.SMOOTH: GOLDEN["rejected_too_smooth"],
        Verdict.OVERHANGS: GOLDEN["rejected_overhang"],
    }
    with pytest.raises(StopIteration):
        draw(0, 0)


class TestGrid:
    @pytest.mark.parametrize(("side", "last"), [(1, 32), (1199, 32), (1200, 64), (2399, 64), (2400, 128), (9000, 128)])
    def test_it_begins_later_in_large_pictures(self, side: int, last: int) -> None:
        bounds: list[tuple[int, int]] = []

        def draw(low: int, high: int) -> int:
            bounds.append((low, high))
            return 0

        draw_grid((side, 1200), 5000, draw)
        assert bounds[:2] == [(0, last), (0, 64)]
        assert set(bounds[2:]) == {(-16, 16)}
        draw_grid((1200, side), 5000, draw)

    def test_cells_run_row_by_row_over_the_whole_picture(self) -> None:
        assert draw_grid((101, 60), 50, always(0.5)) == [(16, 16), (66, 16)]
        assert draw_grid((60, 117), 50, always(0.5)) == [(16, 16), (16, 66), (16, 116)]

    def test_places_outside_the_picture_are_moved_to_its_edge(self) -> None:
        assert draw_grid((60, 60), 40, always(0)) == [(0, 0), (0, 24), (24, 0), (24, 24)]

    @given(
        size=st.tuples(st.integers(1, 3000), st.integers(1, 3000)), step=st.integers(33, 700), seed=st.integers(0, 9)
    )
    def test_no_two_places_are_nearer_than_the_step_without_both_offsets(
        self, size: tuple[int, int], step: int, seed: int
    ) -> None:
        corners = draw_grid(size, step, seeded_draw(seed, "a"))
        for (top, left), (other_top, other_left) in pairwise(corners):
            near = min(step - 32, step - 16)  # 16 px each, or one of them was moved to the edge
            assert abs(top - other_top) >= near or abs(left - other_left) >= near
        assert len(set(corners)) == len(corners)
        assert all(top >= 0 and left >= 0 for top, left in corners)

    def test_draws_depend_on_seed_and_name(self) -> None:
        def first(seed: int, name: str) -> list[int]:
            draw = seeded_draw(seed, name)
            return [draw(0, 10**6) for _ in range(3)]

        assert first(0, "a") == first(0, "a")
        assert len({tuple(first(seed, name)) for seed in (0, 1) for name in ("a", "b", "1 a")}) == 6

    def test_draws_reach_both_ends_and_are_even(self) -> None:
        draw = seeded_draw(3, "x")
        counts = Counter(draw(-16, 16) for _ in range(33_000))
        assert sorted(counts) == list(range(-16, 17))
        assert min(counts.values()) > 800


def laplacian_by_definition(grey: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Each pixel's four neighbours minus four times itself; pixels beyond the edge are mirrored."""
    height, width = grey.shape

    def at(row: int, column: int) -> int:
        row, column = abs(row), abs(column)
        row = 2 * (height - 1) - row if row >= height else row
        column = 2 * (width - 1) - column if column >= width else column
        return int(grey[row, column])

    return np.array(
        [
            [
                at(r - 1, c) + at(r + 1, c) + at(r, c - 1) + at(r, c + 1) - 4 * at(r, c)  #
                for c in range(width)
            ]
            for r in range(height)
        ]
    )


class TestDetail:
    @given(height=st.integers(2, 9), width=st.integers(2, 9), seed=st.integers(0, 99))
    def test_it_is_the_variance_of_the_laplacian(self, height: int, width: int, seed: int) -> None:
        grey = noise((height, width), str(seed))[..., 0]
        pixels = np.repeat(grey[..., None], 3, axis=2)
        response = laplacian_by_definition(grey)
        assert measure_detail(pixels, "signed") == pytest.approx((grey.std(), response.var()))
        assert measure_detail(pixels, "official") == pytest.approx((grey.std(), np.clip(response, 0, 255).var()))

    def test_official_equals_opencv(self) -> None:
        cv2 = pytest.importorskip("cv2")
        pixels = noise((40, 50), "opencv")
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        same = np.repeat(grey[..., None], 3, axis=2)
        assert measure_detail(same)[1] == pytest.approx(cv2.Laplacian(grey, cv2.CV_8U).var())
        assert measure_detail(same, "signed")[1] == pytest.approx(cv2.Laplacian(grey, cv2.CV_64F).var())

    def test_grey_values_equal_those_of_pillow(self) -> None:
        pixels = np.zeros((2, 2, 3), np.uint8)
        pixels[0] = (255, 0, 0)  # 0.299 of 255 is 76
        assert measure_detail(pixels)[0] == 38

    def test_a_flat_picture_has_no_detail(self) -> None:
        assert measure_detail(np.full((8, 8, 3), 200, np.uint8), "signed") == (0, 0)

    @pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)])
    def test_a_patch_may_be_thin(self, size: tuple[int, int]) -> None:
        assert np.isfinite(measure_detail(noise(size, "thin"))).all()

    def test_a_view_gives_the_same_as_a_copy(self) -> None:
        pixels = noise((30, 30), "view")
        assert measure_detail(cut(pixels, (3, 5), 9)) == measure_detail(cut(pixels, (3, 5), 9).copy())


class TestChange:
    def test_lighter_and_darker_cancel_in_the_official_score_only(self) -> None:
        original = np.full((2, 2, 3), 100, np.uint8)
        candidate = original.copy()
        candidate[0], candidate[1] = 110, 92
        assert measure_change(original, candidate, "official") == 1
        assert measure_change(original, candidate, "absolute") == 9
        assert measure_change(candidate, original, "official") == 1

    @given(seed=st.integers(0, 99))
    def test_both_are_means_over_pixels_and_channels(self, seed: int) -> None:
        one, two = noise((6, 7), f"{seed} one"), noise((6, 7), f"{seed} two")
        difference = one.astype(float) - two
        assert measure_change(one, two, "official") == pytest.approx(abs(difference.mean()))
        assert measure_change(one, two, "absolute") == pytest.approx(np.abs(difference).mean())


def lighter(pixels: Pixels, by: int, share: float = 1) -> Pixels:
    """The picture with its left part made lighter; values must not exceed 255 - `by`."""
    result = pixels.copy()
    result[:, : round(pixels.shape[1] * share)] += np.uint8(by)
    return result


def rough(size: tuple[int, int], seed: str) -> Pixels:
    """A picture with enough detail for any patch, dark enough for `lighter`."""
    return np.repeat(noise(size, seed)[..., :1] // 2, 3, axis=2)


class TestSelection:
    def test_a_place_is_kept_if_one_version_has_detail(self) -> None:
        flat = np.full((80, 80, 3), 90, np.uint8)
        kept = select_patches([flat, flat, noise((80, 80), "a"), flat], SMALL, always(0))
        assert [place.verdict for place in kept if place.measures] == [Verdict.KEPT] * 4
        assert kept[0].most_detailed == kept[0].measures[2]
        smooth = select_patches([flat, flat], SMALL, always(0))
        assert {place.verdict for place in smooth if place.measures} == {Verdict.SMOOTH}
        assert all(place.rank is None for place in smooth)

    def test_both_thresholds_must_be_met_by_the_same_version(self) -> None:
        ramp = np.repeat(np.repeat(np.arange(40, dtype=np.uint8)[None, :, None] * 6, 40, axis=0), 3, axis=2)
        fine = noise((40, 40), "fine") // 8
        assert measure_detail(ramp)[0] > 30 > measure_detail(ramp)[1]
        assert measure_detail(fine)[1] > 30 > measure_detail(fine)[0]
        places = select_patches([ramp, fine], SMALL, always(0))
        assert places[0].verdict is Verdict.SMOOTH

    def test_signed_detail_keeps_patches_that_the_official_rule_rejects(self) -> None:
        """Light specks on dark: their own response is negative, that of their neighbours positive and a quarter."""
        specks = np.full((40, 40, 3), 100, np.uint8)
        specks[:, :20] = 30
        specks[1::4, 1::4] += 11
        assert measure_detail(specks)[1] != measure_detail(specks, "signed")[1]
        verdicts = {
            rule: select_patches([specks, specks], PatchSettings(40, 33, detail=rule), always(0))[0].verdict
            for rule in ("official", "signed")
        }
        assert verdicts["signed"] is Verdict.KEPT

    def test_the_score_is_that_of_the_most_changed_candidate(self) -> None:
        original = rough((40, 40), "a")
        versions = [original, lighter(original, 3), lighter(original, 9), lighter(original, 5)]
        place = select_patches(versions, SMALL, always(0))[0]
        assert [measure.score for measure in place.measures] == [0, 3, 9, 5]
        assert place.score == 9

    @pytest.mark.parametrize(("least", "verdict"), [(4.0, Verdict.KEPT), (4.01, Verdict.LITTLE_CHANGED)])
    def test_patches_that_changed_too_little_are_rejected(self, least: float, verdict: Verdict) -> None:
        original = rough((40, 40), "a")
        settings = PatchSettings(40, 33, min_difference=least)
        assert select_patches([original, lighter(original, 4)], settings, always(0))[0].verdict is verdict

    def test_ranks_fall_with_the_score_and_equals_keep_their_order(self) -> None:
        original = rough((40, 140), "a")
        candidate = lighter(original, 20, share=0.5)
        places = select_patches([original, candidate], SMALL, always(0))
        ordered = ranked(places)
        assert len(ordered) > 2
        assert [place.rank for place in ordered] == list(range(1, len(ordered) + 1))
        assert [(-place.score, place.left) for place in ordered] == sorted((-p.score, p.left) for p in ordered)
        equal = ranked(select_patches([original, lighter(original, 20)], SMALL, always(0)))
        assert len(equal) == len(ordered)
        assert [place.left for place in equal] == sorted(place.left for place in equal)

    @given(limit=st.integers(1, 12))
    def test_a_limit_keeps_the_highest_scores(self, limit: int) -> None:
        original = rough((110, 110), "a")
        candidate = lighter(original, 20, share=0.4)
        everything = ranked(select_patches([original, candidate], SMALL, seeded_draw(0, "a")))
        assert len(everything) in range(3, 12)
        limited = PatchSettings(40, 33, max_per_image=limit)
        places = select_patches([original, candidate], limited, seeded_draw(0, "a"))
        assert ranked(places) == everything[:limit]
        left_out = Counter(place.verdict for place in places)[Verdict.OVER_LIMIT]
        assert left_out == max(0, len(everything) - limit)

    @given(size=st.tuples(st.integers(1, 150), st.integers(1, 150)), seed=st.integers(0, 5))
    def test_patches_lie_inside_and_all_others_overhang(self, size: tuple[int, int], seed: int) -> None:
        original = rough(size, "a")
        for place in select_patches([original, original], SMALL, seeded_draw(seed, "a")):
            inside = place.top + 40 <= size[0] and place.left + 40 <= size[1]
            assert (place.verdict is not Verdict.OVERHANGS) == inside == bool(place.measures)

    def test_only_the_original_and_one_candidate_are_held(self) -> None:
        alive: list[weakref.ref[Any]] = []

        class Held(np.ndarray[Any, Any]):
            pass

        def versions() -> Iterator[Any]:
            for number in range(5):
                assert sum(reference() is not None for reference in alive) <= 1
                pixels = noise((60, 60), str(number)).copy().view(Held)
                alive.append(weakref.ref(pixels))
                yield pixels
                del pixels

        select_patches(versions(), SMALL, always(0))


class TestSettings:
    def test_the_defaults_are_the_official_sizes(self) -> None:
        settings = PatchSettings()
        assert (settings.crop, settings.step, settings.detail, settings.score) == (512, 288, "official", "absolute")
