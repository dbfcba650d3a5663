"""A command's options are the parameters of what it calls: each is written once, in a signature and its docstring.

`@main.command(options_of="package.module:Name")` names a settings class or a function. Names, types, defaults and help
are read there when the command runs or explains itself. The command's own function gets the settings object, or the
keywords for the function.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from hggt_data.cli.signature import REQUIRED, Parameter, read_parameters
from hggt_data.errors import HggtError


class _Folder(click.Path):
    """A folder that exists; trees may also be zip files, see `TREE`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if Path(value).suffix.lower() == ".zip" and Path(value).is_file():
            self.fail(f"{value} is a zip file; expected a folder, unpack it first.", param, ctx)
        return super().convert(value, param, ctx)


FOLDER = _Folder(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


class Parsed(click.ParamType[Any]):
    """A value that a function of the library parses, `package.module:name`; its error is one of usage.

    With `each`, it parses one item of a repeatable option, otherwise all items at once.
    """

    def __init__(
        self, parser: str, metavar: str, inner: click.ParamType[Any] = click.STRING, *, each: bool = False
    ) -> None:
        self.name = metavar
        self.each = each
        self._parser = parser
        self._inner = inner

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What stands for the value in help."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse a value."""
        module, _, function = self._parser.partition(":")
        try:
            return attrgetter(function)(import_module(module))(self._inner.convert(value, param, ctx))
        except (HggtError, OSError) as error:
            self.fail(str(error), param, ctx)


TREE = Parsed("hggt_data.io.archive:require_place", "DIR", click.Path(path_type=Path), each=True)


@dataclass(frozen=True)
class Option:
    """What a signature does not say of an option.

    Attributes:
        flag: if it is not the parameter's name.
        type: if the annotation is not enough: paths that must exist, ranges, values to parse.
        metavar: what stands for the value in help.
        help: if the docstring's entry does not fit the command.
        default: if the signature has none, or not as users write it.
        value: what the flag stands for, if it is a switch for another type than bool.
        required: if it differs from the signature: a default that the command does not offer, or a missing one.
    """

    flag: str | None = None
    type: click.ParamType[Any] | None = None
    metavar: str | None = None
    help: str | None = None
    default: Any = None
    value: Any = None
    required: bool | None = None


@dataclass(frozen=True)
class Argument:
    """A positional parameter."""

    metavar: str
    type: click.ParamType[Any] | None = None


Detail = Option | Argument | click.ParamType[Any] | None

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
    "degradation": Option(metavar="NAME"),
}
LABEL_WORDS = Parsed("hggt_data.tree.table_options:parse_label_words", "WORD=LABEL,...")
# Of commands that read a tree.
TABLE: dict[str, Detail] = {
    "votes": Option(type=TREE, metavar="FILE"),
    "pictures": TREE,
    "label_words": Option("--labels", LABEL_WORDS),
    "source_pattern": Option(metavar="REGEX"),
}
_LONGEST_CHOICE = 60
_METAVARS = {"directory": "DIR", "file": "FILE", "integer": "N", "integer range": "N", "float range": "X"}
_UNSET = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


class Target:
    """What a command calls: a settings class or a function, named so that it need not be imported for help."""

    def __init__(self, name: str, details: Mapping[str, Detail], earlier: "Sequence[Target]" = ()) -> None:
        self.name = name
        self._details = {**_SHARED, **details}
        self._earlier = earlier

    def params(self) -> Iterator[click.Parameter]:
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
            elif parameter.default is REQUIRED or ctx.get_parameter_source(parameter.name) not in _UNSET:
                values[parameter.name] = ctx.params[parameter.name]
        module, _, name = self.name.partition(":")
        made = getattr(import_module(module), name)
        return made(**values) if isinstance(made, type) else values

    def _parameters(self) -> list[Parameter]:
        """Those that are options: not what the command itself passes, nor what an earlier target has."""
        omitted = {name for name, detail in self._details.items() if detail is None}
        omitted |= {str(param.name) for target in self._earlier for param in target.params()}
        parameters = read_parameters(self.name)
        # A parameter that is also a field of another one's settings is a shorthand for callers in Python.
        omitted |= {field.name for own in parameters if own.settings for field in read_parameters(own.settings)}
        return [parameter for parameter in parameters if parameter.name not in omitted]


def _make_param(parameter: Parameter, detail: Detail) -> click.Parameter:
    """The option or argument for a parameter."""
    is_required = parameter.default is REQUIRED
    if isinstance(detail, Argument):
        nargs = -1 if parameter.is_repeated else 1
        kind = _click_type(parameter, detail)
        return click.Argument([parameter.name], type=kind, metavar=detail.metavar, required=is_required, nargs=nargs)
    option = detail if isinstance(detail, Option) else Option(type=detail)
    names = [parameter.name, option.flag or "--" + parameter.name.replace("_", "-")]
    if parameter.kind is bool or option.value is not None:
        return click.Option(names, is_flag=True, flag_value=option.value or True, help=parameter.help)
    kind = _click_type(parameter, option)
    default = option.default if is_required else option.default or parameter.default
    if isinstance(kind, Parsed) and isinstance(default, tuple):
        default = ",".join(default)
    shown = {} if default in (None, (), "") else {"default": default, "show_default": True}
    return click.Option(
        names,
        type=kind,
        required=(is_required and default is None) if option.required is None else option.required,
        multiple=parameter.is_repeated and (not isinstance(kind, Parsed) or kind.each),
        metavar=None if _is_short_choice(kind) else option.metavar or _METAVARS.get(kind.name),
        help=option.help or parameter.help,
        **shown,
    )


def _click_type(parameter: Parameter, detail: Option | Argument) -> click.ParamType[Any]:
    if detail.type is not None:
        return detail.type
    if parameter.choices:
        return click.Choice(parameter.choices)
    if parameter.range:
        low, high = parameter.range
        is_whole = parameter.kind is int
        return click.IntRange(low, high) if is_whole else click.FloatRange(low, high)  # type: ignore[arg-type]
    if parameter.kind is Path:
        return click.Path(path_type=Path)
    if parameter.kind is None:
        raise TypeError(f"{parameter.name}: no option can be made of this annotation; name a click type for it")
    return click.types.convert_type(parameter.kind)


def _is_short_choice(kind: click.ParamType[Any]) -> bool:
    """Whether an option's values are few enough to stand in its help themselves."""
    return isinstance(kind, click.Choice) and len("|".join(kind.choices)) <= _LONGEST_CHOICE
