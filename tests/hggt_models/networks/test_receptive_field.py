from hggt_models.networks.receptive_field import convolution, enlargement, receptive_field_px, reduction, windows


def test_convolutions_add_up() -> None:
    assert receptive_field_px([convolution(), convolution(3)]) == 4


def test_a_window_reaches_from_one_end_to_the_other() -> None:
    assert receptive_field_px([windows((8, 0))], period=8) == 7


def test_shifted_windows_add_half_a_window() -> None:
    assert receptive_field_px([windows((8, 0)), windows((8, 4)), windows((8, 0))], period=8) == 7 + 4 + 4


def test_a_span_grows_to_whole_windows_at_both_ends() -> None:
    assert windows((8, 4))((5, 12)) == (4, 19)
    assert windows((8, 0), (4, 2))((7, 8)) == (0, 15)


def test_windows_side_by_side_reach_as_far_as_the_farthest() -> None:
    assert receptive_field_px([windows((2, 0), (8, 0))], period=8) == 7


def test_a_radius_shrinks_with_the_picture_but_never_below_what_it_touches() -> None:
    assert receptive_field_px([convolution(3), enlargement(4)], scale=4) == 1
    assert receptive_field_px([convolution(4), enlargement(4)], scale=4) == 1
    assert receptive_field_px([convolution(5), enlargement(4)], scale=4) == 2


def test_an_unshuffled_picture_is_seen_in_whole_blocks() -> None:
    assert receptive_field_px([enlargement(2), convolution(), reduction(2)], scale=1, period=2) == 3
