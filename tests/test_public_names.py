"""What `import hggt_data`, `hggt_eval` and `hggt_models` offer."""

import importlib
import inspect
import pydoc

import pytest

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


def test_other_names_are_attribute_errors() -> None:
    import hggt_models

    with pytest.raises(AttributeError, match="hggt_models attribute nothing"):
        _ = hggt_models.nothing  # type: ignore[attr-defined]
