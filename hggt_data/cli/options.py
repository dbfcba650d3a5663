"""A command's options are the parameters of what it calls: each is written once, in a signature and its docstring.

`@main.command(options_of="package.module:Name")` names a settings class or a function. Names, types, defaults and help
come from there when the command runs or explains itself, so `hggt-data --help` reads none of them. The command's function
gets the settings object, or the keywords for the function.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from hggt_data.cli.signature import REQUIRED, Parameter, read_parameters

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


class CommaList(click.ParamType):
    """`psnr,ssim`: a sequence in one word; `none` is an empty one."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split at commas."""
        if not isinstance(value, str):
            return tuple(value)
        words = tuple(word.strip() for word in value.split(",") if word.strip())
        return () if words == ("none",) else words


@dataclass(frozen=True)
class Option:
    """What a signature does not say of an option.

    Attributes:
        flag: if it is not the parameter's name.
        type: if the annotation is not enough: paths that must exist, ranges.
        metavar: what stands for the value in help.
        value: what the flag stands for, if it is a switch for another type than bool.
    """

    flag: str | None = None
    type: click.ParamType | None = None
    metavar: str | None = None
    value: Any = None


@dataclass(frozen=True)
class Argument:
    """A positional parameter."""

    metavar: str
    type: click.ParamType | None = None


Detail = Option | Argument | click.ParamType | None

# One name means the same in every command; these need more than their annotation says.
_SHARED: dict[str, Detail] = {
    "output": NEW_FOLDER,
    "workers": click.IntRange(1),
    "scale": click.IntRange(1),
    "seed": Option(metavar="N"),
    "revision": Option(metavar="TAG"),
    "license": Option(metavar="ID"),
    "device": Option(metavar="DEVICE"),
    "tag": Option(metavar="TAG"),
    "suffix": Option(metavar="SUFFIX"),
    "split": Option(metavar="SPLIT"),
    "repo_id": Argument("ORG/NAME"),
}
_METAVARS = {"directory": "DIR", "file": "FILE", "integer": "N", "integer range": "N", "float range": "X", "list": "LIST"}


class Target:
    """What a command calls: a settings class or a function, named so that it need not be imported for help."""

    def __init__(self, name: str, details: Mapping[str, Detail]) -> None:
        self._name = name
        self._details = {**_SHARED, **details}
        self._omitted = {name for name, detail in details.items() if detail is None}

    def params(self) -> Iterable[click.Parameter]:
        """The options and arguments."""
        for parameter in self._parameters():
            if parameter.settings:
                yield from Target(parameter.settings, self._details).params()
            else:
                yield _make_param(parameter, self._details.get(parameter.name))

    def build(self, ctx: click.Context) -> Any:
        """The settings object, or the keywords for the function; what was not passed keeps its own default."""
        values: dict[str, Any] = {}
        for parameter in self._parameters():
            if parameter.settings:
                values[parameter.name] = Target(parameter.settings, self._details).build(ctx)
            elif ctx.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT:
                values[parameter.name] = ctx.params[parameter.name]
        module, _, name = self._name.partition(":")
        made = getattr(import_module(module), name)
        return made(**values) if isinstance(made, type) else values

    def _parameters(self) -> list[Parameter]:
        return [parameter for parameter in read_parameters(self._name) if parameter.name not in self._omitted]


def _make_param(parameter: Parameter, detail: Detail) -> click.Parameter:
    """The option or argument for a parameter."""
    is_required = parameter.default is REQUIRED
    if isinstance(detail, Argument):
        nargs = -1 if parameter.is_repeated else 1
        return click.Argument(
            [parameter.name], type=_click_type(parameter, detail), metavar=detail.metavar, required=is_required, nargs=nargs
        )
    option = detail if isinstance(detail, Option) else Option(type=detail)
    flag = option.flag or "--" + parameter.name.replace("_", "-")
    if parameter.type is bool or option.value is not None:
        value = {} if option.value is None else {"flag_value": option.value}
        return click.Option([parameter.name, flag], is_flag=True, help=parameter.help, **value)
    kind = _click_type(parameter, option)
    default = None if parameter.default in (REQUIRED, (), "") else parameter.default
    if isinstance(kind, CommaList) and default is not None:
        default = ",".join(map(str, default))
    return click.Option(
        [parameter.name, flag],
        type=kind,
        default=default,
        show_default=default is not None,
        required=is_required,
        multiple=parameter.is_repeated and not isinstance(kind, CommaList),
        metavar=option.metavar or _METAVARS.get(kind.name),
        help=parameter.help,
    )


def _click_type(parameter: Parameter, detail: Option | Argument) -> click.ParamType:
    if detail.type is not None:
        return detail.type
    if parameter.choices:
        return click.Choice(parameter.choices)
    if parameter.type is Path:
        return click.Path(path_type=Path)
    if parameter.type is None:
        raise TypeError(f"{parameter.name}: no option can be made of this annotation; name a click type for it")
    return click.types.convert_type(parameter.type)


def echo_all(lines: Iterable[object]) -> None:
    """Print lines."""
    for line in lines:
        click.echo(line)
