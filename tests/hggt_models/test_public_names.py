import pytest

import hggt_models


@pytest.mark.parametrize("name", hggt_models.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert callable(getattr(hggt_models, name))


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="module 'hggt_models' has no attribute 'nothing'"):
        hggt_models.nothing  # noqa: B018
