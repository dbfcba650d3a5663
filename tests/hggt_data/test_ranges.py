"""Every settings class refuses values that it cannot use, and says which and why."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from hggt_data import (
    BuildSettings,
    DealSettings,
    PairSettings,
    PatchSettings,
    PushSettings,
    SettingsError,
    SplitSettings,
    SubimageSettings,
    cut_patches,
    deal_groups,
    export_positives,
    extract_subimages,
    merge_round,
    validate_tree,
)

BUILD = {"trees": ["Train"], "output": "hggt"}
PUSH = {"dataset": "hggt", "repo_id": "lab/hggt"}


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (BuildSettings, {**BUILD, "groups_per_shard": 0}, "`groups_per_shard` is 0; expected 1 or more"),
        (BuildSettings, {**BUILD, "workers": 0}, "`workers` is 0; expected 1 or more"),
        (DealSettings, {"votes": 27}, "`votes` is 27; expected 1 to 26"),
        (DealSettings, {"votes": "3"}, "`votes` is '3'; expected a whole number, 1 to 26"),
        (DealSettings, {"batches": "x"}, "`batches` is 'x'; expected lists or links or copies"),
        (
            PairSettings,
            {"kinds": ["P>S", "x"]},
            "`kinds` has x; expected P-S or P-N or S-N or P-or",
        ),
        (PairSettings, {"min_margin": math.nan}, "`min_margin` is nan; expected -2 to 2"),
        (PatchSettings, {"step": 32}, "`step` is 32; expected 33 or more"),
        (PushSettings, {**PUSH, "gated": "x"}, "`gated` is 'x'; expected auto or manual"),
        (PushSettings, {**PUSH, "repo_id": "hggt"}, "'hggt' is not a repository name; expected ORG/NAME"),
        (
            SplitSettings,
            {"test_groups": 0, "min_positives": -1},
            "is 0; expected 1 or more; `min_positives` is -1",
        ),
        (SubimageSettings, {"threshold": -1}, "`threshold` is -1; expected 0 or more"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(settings: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: deal_groups("in", "out", ["Ann"], DealSettings(), workers=0), "`workers` is 0; expected 1 or more"),
        (lambda: merge_round("round", "out", workers=0), "`workers` is 0"),
        (lambda: cut_patches("in", "out", PatchSettings(), workers=0), "`workers` is 0"),
        (lambda: extract_subimages(["in"], "out", SubimageSettings(), workers=0), "`workers` is 0"),
        (lambda: validate_tree("Train", expect_groups=-1, scale=0), "`expect_groups` is -1; expected 0 or more"),
        (lambda: export_positives("Train", "p.csv", min_agreement=1), "`min_agreement` is 1; expected 2 or more"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        call()
    assert message in str(caught.value)
