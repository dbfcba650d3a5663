"""What `import hggt_data`, `hggt_eval` and `hggt_models` offer."""

import importlib
import inspect
import pydoc
import re
from typing import Any

import pytest

from hggt_data.errors import SettingsError
from hggt_eval import Evaluation

PACKAGES = ("hggt_data", "hggt_eval", "hggt_models")
NO_SCORES = Evaluation((), (), (), 0)
WORK = {"sources": (), "output": "x"}


def missing_sections(value: Any) -> list[str]:
    """What the docstring of a function or class lacks."""
    text = inspect.getdoc(value) or ""
    if inspect.isclass(value):
        return [] if text else ["anything"]
    signature = inspect.signature(value)
    missing = [name for name in signature.parameters if not re.search(rf"^ +[*]*{name}: ", text, re.MULTILINE)]
    if signature.return_annotation is not None and not re.search(r"^(Returns|Yields):$", text, re.MULTILINE):
        missing.append("what it returns")
    return missing if "\nExample:\n" in text else [*missing, "an example"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_loads_is_listed_and_explains_itself(package: str) -> None:
    module = importlib.import_module(package)
    shown = pydoc.plain(pydoc.render_doc(module))
    assert sorted(module.__all__) == dir(module)
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value):
            assert value.__name__ == name
            assert not missing_sections(value), f"{package}.{name} does not document {missing_sections(value)}"
            assert not value.__doc__.startswith(f"{name}("), f"{package}.{name} has only dataclass's own docstring"
        assert name in shown


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "hggt_eval.MetricSettings",
            {"border": -1, "colour": "x"},
            "`border` is -1; expected 0 or more; `colour` is 'x'",
        ),
        (
            "hggt_eval.compare_methods",
            {"evaluation": NO_SCORES, "num_resamples": 0},
            "`num_resamples` is 0; expected 1",
        ),
        ("hggt_eval.draw_figure", {"scores": "x", "crops": (), "width_in": 0}, "`width_in` is 0; expected 2 to 40"),
        ("hggt_eval.draw_figure", {"scores": "x", "crops": "a-0-0:0,0,9"}, "`crops` is 'a-0-0:0,0,9'; expected a list"),
        ("hggt_models.enhance", {**WORK, "weights": {}, "tile": 0, "overlap": -1}, "`tile` is 0; .*; `overlap` is -1"),
        ("hggt_models.upscale", {**WORK, "weights": "x", "dtype": "fp8"}, "`dtype` is 'fp8'; expected fp32 or bf16"),
        (
            "hggt_models.degrade",
            {**WORK, "seed": 0, "degradation": "x"},
            "`degradation` is 'x'; expected sr or enhance",
        ),
        ("hggt_models.degrade", {"sources": ".", "output": "x", "seed": 0}, "`output` x is inside `sources` ."),
        ("hggt_models.write_map_pictures", {"groups": "x", "output": "x", "num": 0}, "`num` is 0; expected 1 or more"),
        (
            "hggt_models.train",
            {"recipe": "x", "data": "x", "output": "x", "workers": -1},
            "`workers` is -1; expected 0",
        ),
    ],
)
def test_an_argument_out_of_range_is_named_with_what_is_expected(
    name: str, arguments: dict[str, Any], message: str
) -> None:
    package, _, function = name.partition(".")
    with pytest.raises(SettingsError, match=f"^{message}"):
        getattr(importlib.import_module(package), function)(**arguments)


def test_a_path_in_place_of_an_opened_thing_is_named_with_what_to_pass() -> None:
    import hggt_eval

    with pytest.raises(SettingsError, match=r"^`evaluation` is 'scores'; expected Evaluation: .*read_scores\(FOLDER\)"):
        hggt_eval.compare_methods("scores")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"^`metrics` is 'psnr'; expected LoadedMetric: such as METRICS\[NAME\]"):
        hggt_eval.evaluate((), [], ["psnr"])  # type: ignore[arg-type, list-item]
    with pytest.raises(SettingsError, match=r"^`ground_truth` is 'Test'; expected GroundTruth: such as GroundTruth\("):
        hggt_eval.score([], "Test")  # type: ignore[arg-type]


def test_other_names_are_attribute_errors() -> None:
    import hggt_models

    with pytest.raises(AttributeError, match="hggt_models attribute nothing"):
        _ = hggt_models.nothing  # type: ignore[attr-defined]
