"""Classes of other projects by name: `spandrel:NAME`, or a class of your own, `package.module:Class`.

Importing a module runs its code, so names of modules must come from the user, never from a file of weights.
"""

import importlib
import inspect
import pkgutil
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from hggt_data.io.text import format_examples, nearest
from hggt_models.networks.allowance import Allowance
from hggt_models.networks.network import NetworkError
from hggt_models.networks.weights import first_line

SPANDREL = "spandrel"
NEEDS_SPANDREL = "networks of other projects need spandrel: pip install 'hggt[community]'"
EXTERNAL_FORMS = (f"{SPANDREL}:NAME", "package.module:Class")
# What classes call their numbers of input and output channels, which are those of RGB images here.
CHANNELS = (
    *("num_in_ch", "num_out_ch", "in_chans", "colors", "n_colors", "in_nc", "out_nc", "in_ch", "out_ch", "dd_in"),
    *("in_channels", "out_channels", "inp_channels", "img_channel"),
)
# What they call the factor by which they enlarge.
_SCALES = ("upscale", "scale", "upscale_factor", "upscaling_factor", "up_scale")
MOST_NUMBERS = 10**9


def is_external(name: object) -> bool:
    """Whether a name is that of a class of another project."""
    return isinstance(name, str) and ":" in name


def runs_own_code(name: object) -> bool:
    """Whether a name is that of a class that is neither ours nor spandrel's."""
    return is_external(name) and not str(name).startswith(f"{SPANDREL}:")


def external_class(name: str) -> type[nn.Module]:
    """The class of a name; NetworkError if there is none. Imports its module."""
    place, _, class_name = name.partition(":")
    if place == SPANDREL:
        found = spandrel_classes()
        if class_name not in found:
            raise NetworkError(f"spandrel has no network {class_name!r}; {nearest(class_name, found)}")
        return found[class_name]
    module = _import(place, name)
    own: dict[str, type[nn.Module]] = {key: value for key, value in vars(module).items() if _is_module(value)}
    if class_name not in own:
        raise NetworkError(
            f"{place} has no torch.nn.Module {class_name!r}; {nearest(class_name, own) if own else 'it has none'}"
        )
    return own[class_name]


def external_args(name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a class with its defaults, and 3 channels where it asks for them.

    Lists become tuples. Defaults that no recipe can state, such as None and classes, are left out. NetworkError lists
    arguments that are unknown or missing.
    """
    known, takes_any = _parameters(external_class(name))
    faults = []
    if not takes_any:
        faults += [f"{arg} is not an argument of {name}; {nearest(arg, known)}" for arg in args if arg not in known]
    completed = {
        **{arg: value for arg, value in known.items() if _is_plain(value)},
        **{arg: 3 for arg in CHANNELS if arg in known},
        **{arg: as_tuples(value) for arg, value in args.items()},
    }
    missing = [arg for arg, value in known.items() if value is inspect.Parameter.empty and arg not in completed]
    faults += [f"{name} needs the argument {arg}" for arg in missing]
    if faults:
        raise NetworkError(*faults)
    return completed


def build_module(name: str, args: Mapping[str, Any], most_numbers: int = MOST_NUMBERS) -> nn.Module:
    """An instance of the class, in training mode; NetworkError if it cannot be built."""
    made = external_class(name)
    known, _ = _parameters(made)
    given = {arg: list(value) if isinstance(known.get(arg), list) else value for arg, value in args.items()}
    reason = f"its sizes claim more than {most_numbers:,} numbers"
    try:
        with Allowance(most_numbers, reason), warnings.catch_warnings(action="ignore"):
            module = made(**given).train()
    except Exception as error:  # every class fails in its own way
        raise NetworkError(f"{name} cannot be built with these arguments: {first_line(error)}") from error
    if empty := [key for key, weights in module.state_dict().items() if not weights.numel()]:
        raise NetworkError(f"{name} with these arguments is too small: {format_examples(empty, 1)} would be empty")
    return module


def scale_argument(name: str) -> str | None:
    """The argument that sets by how much a class enlarges, if it has one of the usual names."""
    known, _ = _parameters(external_class(name))
    return next((arg for arg in _SCALES if arg in known), None)


def spandrel_classes() -> dict[str, type[nn.Module]]:
    """The networks of spandrel's architecture modules, by the name of their class."""
    try:
        from spandrel import architectures
    except ImportError as error:
        raise NetworkError(NEEDS_SPANDREL) from error
    found: dict[str, type[nn.Module]] = {}
    for module in pkgutil.iter_modules(architectures.__path__, f"{architectures.__name__}."):
        if not module.name.rpartition(".")[2].startswith("_"):
            members = vars(importlib.import_module(module.name))
            found |= {name: members[name] for name in members["__all__"] if _is_module(members[name])}
    return dict(sorted(found.items()))


def _import(place: str, name: str) -> Any:
    """Import a module that the user names, also from the current folder."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise NetworkError(f"{name} cannot be imported: {first_line(error)}") from error
        raise NetworkError(
            f"{name} names the module {place}, which is neither installed nor in {here}; expected package.module:Class"
        ) from error
    except Exception as error:
        raise NetworkError(f"{name} cannot be imported: {first_line(error)}") from error


def _parameters(made: type[nn.Module]) -> tuple[dict[str, Any], bool]:
    """The arguments of a class with their defaults, and whether it takes any others."""
    parameters = inspect.signature(made).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    return {one.name: one.default for one in parameters if one.kind in named}, takes_any


def _is_module(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, nn.Module)


def as_tuples(value: Any) -> Any:
    """An argument with tuples for lists, as arguments are kept and compared."""
    return tuple(map(as_tuples, value)) if isinstance(value, list | tuple) else value


def _is_plain(value: object) -> bool:
    """Whether TOML can state a value."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str)
