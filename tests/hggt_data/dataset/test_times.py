"""Times as text."""

import pytest

from hggt_data.dataset.times import parse_time
from hggt_data.errors import DatasetError


@pytest.mark.parametrize("text", ["", "yesterday", "2022-08-05T17:01:12+02:00"])
def test_a_text_that_is_not_a_local_time_is_named(text: str) -> None:
    with pytest.raises(DatasetError, match=r"expected one such as 2022-08-05T17:01:12$") as error:
        parse_time(text)
    assert repr(text) in str(error.value)
