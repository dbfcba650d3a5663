"""What `import hggt_data`, `hggt_eval` and `hggt_models` offer."""

import importlib
import inspect
import pydoc

import pytest

from hggt_data.errors import SettingsError

PACKAGES = ("hggt_data", "hggt_eval", "hggt_models")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_loads_is_listed_and_explains_itself(package: str) -> None:
    module = importlib.import_module(package)
    shown = pydoc.plain(pydoc.render_doc(module))
    assert sorted(module.__all__) == dir(module)
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value):
            assert value.__name__ == name
            assert inspect.getdoc(value), f"{package}.{name} has no docstring"
            assert not value.__doc__.startswith(f"{name}("), f"{package}.{name} has only dataclass's own docstring"
        assert name in shown


def test_a_path_in_place_of_an_opened_thing_is_named_with_what_to_pass() -> None:
    import hggt_eval

    with pytest.raises(SettingsError, match=r"^`evaluation` is 'scores'; expected Evaluation: .*read_scores\(FOLDER\)"):
        hggt_eval.compare_methods("scores")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"^`ground_truth` is 'Test'; expected GroundTruth: such as GroundTruth\("):
        hggt_eval.score([], "Test")  # type: ignore[arg-type]


def test_other_names_are_attribute_errors() -> None:
    import hggt_models

    with pytest.raises(AttributeError, match="hggt_models attribute nothing"):
        _ = hggt_models.nothing  # type: ignore[attr-defined]
