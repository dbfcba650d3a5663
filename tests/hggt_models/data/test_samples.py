import random
from collections import Counter
from itertools import islice, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hggt_data.errors import ImageError
from hggt_data.io.images import Pixels
from hggt_models.data.samples import SampleDataset, ShareSampler
from tests.hggt_models.data.coded import coded, cut_of

# Order


def dataset(
    length: int = 10, source_px: int = 8, flip: bool = False, rotate: bool = False, seed: int = 0
) -> SampleDataset:
    return SampleDataset(length, source_px=source_px, flip=flip, rotate=rotate, seed=seed)


def places(samples: SampleDataset, numbers: range) -> list[int]:
    return [samples.locate(number)[0] for number in numbers]


@given(st.integers(1, 60), st.integers(0, 2**70), st.integers(0, 10**6))
def test_each_sample_comes_exactly_once_an_epoch(length: int, seed: int, epoch: int) -> None:
    samples = dataset(length, seed=seed)
    assert sorted(places(samples, range(epoch * length, (epoch + 1) * length))) == list(range(length))


def test_every_epoch_has_a_new_order() -> None:
    samples = dataset(20)
    orders = {tuple(places(samples, range(epoch * 20, (epoch + 1) * 20))) for epoch in range(50)}
    assert len(orders) == 50
    assert tuple(range(20)) not in orders


def test_every_seed_has_its_own_order() -> None:
    assert len({tuple(places(dataset(20, seed=seed), range(20))) for seed in range(20)}) == 20


def test_every_sample_comes_first_with_equal_probability() -> None:
    firsts = Counter(dataset(5, seed=seed).locate(0)[0] for seed in range(1000))
    assert all(firsts[place] / 1000 == pytest.approx(1 / 5, abs=0.07) for place in range(5))


@given(st.lists(st.integers(0, 10**9), max_size=20), st.integers(1, 30), st.integers(0, 5))
def test_a_number_alone_decides_the_sample(numbers: list[int], length: int, seed: int) -> None:
    one, other = dataset(length, seed=seed), dataset(length, seed=seed)
    known = {number: (one.locate(number)[0], one.locate(number)[1].random()) for number in numbers}
    for number in reversed(numbers):
        place, rng = other.locate(number)
        assert (place, rng.random()) == known[number]


def test_no_two_numbers_or_seeds_share_their_other_choices() -> None:
    drawn = {dataset(3, seed=seed).locate(number)[1].random() for seed in range(30) for number in range(30)}
    assert len(drawn) == 900


# Shares


@given(
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2, 3, 5]),
    st.integers(0, 10**6),
    st.integers(1, 4),
)
def test_shares_and_parts_join_to_the_batches_of_one_process(
    world: int, parts: int, size: int, first: int, iterations: int
) -> None:
    batch_size = world * parts * size
    shares = [
        list(
            islice(
                ShareSampler(batch_size, rank=rank, world=world, parts=parts, first_iteration=first), iterations * parts
            )
        )
        for rank in range(world)
    ]
    assert all(len(part) == size for share in shares for part in share)
    for k in range(iterations):
        batch = [number for share in shares for part in share[k * parts : (k + 1) * parts] for number in part]
        assert batch == list(range((first + k) * batch_size, (first + k + 1) * batch_size))


def test_an_epoch_ends_inside_a_batch_and_nothing_is_lost() -> None:
    samples = dataset(7)
    numbers = [number for batch in islice(ShareSampler(4), 7) for number in batch]
    counts = Counter(samples.locate(number)[0] for number in numbers)
    assert counts == dict.fromkeys(range(7), 4)


def test_a_sampler_restarts_with_each_loop() -> None:
    sampler = ShareSampler(4, first_iteration=3)
    assert list(islice(sampler, 2)) == list(islice(sampler, 2)) == [[12, 13, 14, 15], [16, 17, 18, 19]]


# Cutting and turning


def cut_one(samples: SampleDataset, pixels: Pixels, seed: int) -> torch.Tensor:
    return samples.cut(["one"], lambda _: pixels, random.Random(seed))[0]


@pytest.mark.parametrize(
    ("flip", "rotate", "expected"),
    [
        (False, False, {(False, False, False)}),
        (True, False, {(False, False, False), (True, False, False)}),
        (False, True, set(product([False], [False, True], [False, True]))),
        (True, True, set(product([False, True], repeat=3))),
    ],
)
def test_every_requested_flip_has_equal_probability(flip: bool, rotate: bool, expected: set[object]) -> None:
    samples, picture = dataset(flip=flip, rotate=rotate), coded(7, (8, 8))
    cuts = [cut_of(cut_one(samples, picture, seed)) for seed in range(600)]
    turns = Counter((cut.mirrored, cut.upended, cut.quarter) for cut in cuts)
    if not flip:  # a quarter turn after an upending shows as one after a mirroring
        assert len(turns) == len(expected)
    else:
        assert set(turns) == expected
    assert all(number / 600 == pytest.approx(1 / len(expected), abs=0.07) for number in turns.values())


def test_with_rotation_all_eight_orientations_occur() -> None:
    samples, picture = dataset(flip=True, rotate=True), coded(7, (8, 8))
    found = {cut_one(samples, picture, seed).numpy().tobytes() for seed in range(200)}
    laid = [np.rot90(side, k) for k in range(4) for side in (picture, picture[:, ::-1])]
    assert found == {np.ascontiguousarray(one.transpose(2, 0, 1)).tobytes() for one in laid}


def test_the_place_is_anywhere_in_the_picture_with_equal_chances() -> None:
    samples, picture = dataset(source_px=8), coded(7, (10, 12))
    cuts = Counter((cut.top, cut.left) for cut in (cut_of(cut_one(samples, picture, seed)) for seed in range(1500)))
    assert set(cuts) == set(product(range(3), range(5)))
    assert all(number / 1500 == pytest.approx(1 / 15, abs=0.03) for number in cuts.values())


@given(st.integers(0, 2**32), st.integers(8, 12), st.integers(8, 12), st.booleans(), st.booleans())
def test_all_pictures_of_a_sample_are_cut_and_turned_alike(
    seed: int, height: int, width: int, flip: bool, rotate: bool
) -> None:
    samples = dataset(flip=flip, rotate=rotate)
    names = ["a", "b", "a", "c", "b"]
    cut = samples.cut(names, lambda k: coded(ord(names[k]), (height, width)), random.Random(seed))
    assert cut.shape == (5, 3, 8, 8)
    assert cut.dtype == torch.uint8
    cuts = [cut_of(picture) for picture in cut]
    assert [one.code for one in cuts] == [ord(name) for name in names]
    assert len({(one.top, one.left, one.mirrored, one.upended, one.quarter) for one in cuts}) == 1


def test_a_picture_that_is_used_several_times_is_read_once() -> None:
    read: list[int] = []

    def reader(place: int) -> Pixels:
        read.append(place)
        return coded(place, (8, 8))

    cut = dataset().cut(["a", "b", "a", "a", "b", "c"], reader, random.Random(0))
    assert read == [0, 1, 5]
    assert [cut_of(picture).code for picture in cut] == [0, 1, 0, 0, 1, 5]


def test_the_pixels_read_may_be_overwritten_afterwards() -> None:
    # And what cannot be written to may be read from.
    memory = coded(1, (9, 9))
    frozen = memory.view()
    frozen.flags.writeable = False
    cut = dataset().cut(["a"], lambda _: frozen, random.Random(0))
    before = cut.clone()
    memory[:] = 0
    assert torch.equal(cut, before)
    cut.zero_()


@pytest.mark.parametrize("size", [(7, 20), (20, 7), (1, 1)])
def test_a_picture_that_is_too_small_is_named_with_a_possible_size(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError) as caught:
        dataset().cut(["photo.png", "other.png"], lambda _: coded(0, size), random.Random(0))
    assert str(caught.value) == (
        f"photo.png: {size[0]} x {size[1]} pixels, less than source_px 8; remove it, or set source_px to "
        f"{min(size)} or less"
    )


@pytest.mark.parametrize("other", [(9, 8), (8, 9), (20, 20), (4, 4)])
def test_pictures_of_different_sizes_are_refused(other: tuple[int, int]) -> None:
    sizes = {"a": (8, 8), "b": (8, 8), "c": other}
    names = list(sizes)
    with pytest.raises(ImageError, match=f"^c: {other[0]} x {other[1]} pixels; expected 8 x 8$"):
        dataset().cut(names, lambda k: coded(0, sizes[names[k]]), random.Random(0))
