"""A little of `scripts/fuzz_images.py`, which tries many more files."""

import runpy
from pathlib import Path

import pytest

FUZZ = runpy.run_path(str(Path(__file__).parents[3] / "scripts/fuzz_images.py"))


@pytest.mark.parametrize("form", FUZZ["FORMATS"])
def test_what_is_accepted_has_the_same_pixels_in_datasets(form: str) -> None:
    result = FUZZ["fuzz"](form, 200)
    assert result.tried == 200
    assert result.accepted > 30
    assert not [what for what, _ in result.findings]
