"""Base of all hggt commands: expected errors, and missing packages of an extra, are one message and exit code 1."""

import errno
import gc
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import click

from hggt_data.cli.options import Detail, Target
from hggt_data.errors import RUN_AGAIN, HggtError, SettingsError
from hggt_data.io.text import Lines, join_lines, printable_lines

# Nearly all objects made while a command starts live until it ends; searching them for garbage takes a tenth of that.
gc.set_threshold(50_000)

_ADVICE = {
    errno.ENOSPC: "; free some space and run again",
    errno.EDQUOT: "; free some space and run again",
    errno.ENOENT: "; check the path",
    errno.EACCES: "; change the permissions or choose another place",
    errno.EROFS: "; choose another place",
}

# Package of a command -> extra -> modules that it installs; `tests/test_extras.py` compares this with pyproject.toml.
_SCORING = {"lpips", "matplotlib", "piq", "scipy", "torchmetrics"}
EXTRAS = {
    "hggt_data": {"annotate": {"h11", "starlette", "uvicorn"}},
    "hggt_eval": {"eval": {"cv2", "torch", "torchvision", *_SCORING}},
    "hggt_models": {
        "models": {"cv2", "pydantic", "safetensors", "tensorboard", "torch", "torchvision"},
        "eval": _SCORING,
    },
}


_MOST_SHOWN = 4000  # characters of a line of an error, which may quote a whole file
_CONTEXT = {"max_content_width": 110, "help_option_names": ["-h", "--help"]}


class HggtCommand(click.Command):
    """A command whose options may be those of what it calls, and whose expected errors have no traceback.

    Exit codes: 0 done, 1 an error or, for checks, faults found; 2 wrong usage; 130 interrupted.

    Args:
        options_of: Settings class or function, or several: see `options.Target`.
        details: What their signatures do not say; None for a parameter that is not an option.
        **attributes: As for `click.Command`.
    """

    interrupted = "Interrupted."

    def __init__(
        self,
        name: str | None = None,
        *,
        options_of: str | Sequence[str] = (),
        details: Mapping[str, Detail] | None = None,
        context_settings: dict[str, Any] | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(name, context_settings={**_CONTEXT, **(context_settings or {})}, **attributes)
        self._details = details or {}
        names = [options_of] if isinstance(options_of, str) else options_of
        self.targets: list[Target] = []
        for target in names:
            self.targets.append(Target(target, self._details, tuple(self.targets)))

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The derived options and those of the command itself; positional ones in the order of the details."""
        derived = [param for target in self.targets for param in target.params()]
        order = list(self._details)
        derived.sort(key=lambda param: order.index(str(param.name)) if isinstance(param, click.Argument) else 0)
        params = [*derived, *super().get_params(ctx)]
        for param in derived:
            if isinstance(param, click.Option):
                param.help = name_flags(param.help or "", params, ctx).replace("`", "")
        return params

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; some values are parsed by the library, whose extra may be missing."""
        with self._printed_errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a log in Latin-1 has no arrows, and gets `\\u2191`
        with self._printed_errors(ctx):
            return self._call(ctx)

    @contextmanager
    def _printed_errors(self, ctx: click.Context) -> Iterator[None]:
        """Turn expected errors into click's, which it prints on one line."""
        try:
            yield
        except click.ClickException as error:
            vars(error)["message"] = printable_lines(error.message)  # may name a file
            raise
        except SettingsError as error:
            raise click.UsageError(self._format(str(error), error, ctx), ctx) from error
        except HggtError as error:
            raise click.ClickException(self._format(str(error), error, ctx)) from error
        except BrokenPipeError:
            raise  # the reader of a pipe has closed it; click exits quietly
        except OSError as error:
            raise click.ClickException(self._format(_describe(error), error, ctx)) from error
        except ModuleNotFoundError as error:
            if (advice := _advise(error.name or "", self.callback.__module__ if self.callback else "")) is None:
                raise
            raise click.ClickException(advice) from error
        except KeyboardInterrupt:
            click.echo(self.interrupted, err=True)
            ctx.exit(130)

    def _call(self, ctx: click.Context) -> Any:
        assert self.callback
        built = [target.build(ctx) for target in self.targets]
        derived = {param.name for target in self.targets for param in target.params()}
        return ctx.invoke(self.callback, *built, **{name: ctx.params[name] for name in ctx.params.keys() - derived})

    def _format(self, message: str, error: Exception, ctx: click.Context) -> str:
        """A message with the notes of its error, and with flags for parameters."""
        if error.args and isinstance(error.args[0], Lines):
            message = error.args[0]
        text = join_lines([message, *getattr(error, "__notes__", [])])
        lines = name_flags(text, self.get_params(ctx), ctx).split("\n")
        return "\n".join(line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}..." for line in lines)


class ResumedCommand(HggtCommand):
    """A command that resumes after an interruption, and says so."""

    interrupted = f"Interrupted. {RUN_AGAIN}"


class HggtGroup(click.Group):
    """A group of `HggtCommand`s."""

    command_class = HggtCommand

    def __init__(
        self, name: str | None = None, *, context_settings: dict[str, Any] | None = None, **attributes: Any
    ) -> None:
        super().__init__(name, context_settings={**_CONTEXT, **(context_settings or {})}, **attributes)


class Outcome(Protocol):
    """What a command reports: lines, and files that it could not use."""

    @property
    def faults(self) -> Sequence[str]:
        """Files that could not be used, and why."""

    def describe(self) -> Iterable[str]:
        """What was done, a line each."""


def echo_all(lines: Iterable[object], *, err: bool = False) -> None:
    """Print lines, with flags for parameters. Commands print in no other way.

    Names and other text from files cannot control the terminal or start a line; see `printable_lines`.
    """
    ctx = click.get_current_context()
    params = ctx.command.get_params(ctx)
    for line in lines:
        click.echo(name_flags(printable_lines(line if isinstance(line, str) else str(line)), params, ctx), err=err)


def echo_outcome(outcome: Outcome, before_exit: Callable[[], object] = lambda: None) -> None:
    """Print what was done; exit with 1 if there were faults."""
    echo_all(outcome.describe())
    before_exit()
    if outcome.faults:
        click.get_current_context().exit(1)


def name_flags(message: str, params: Sequence[click.Parameter], ctx: click.Context) -> str:
    """Replace parameters in backticks by the command's flags: `` `allow_overlap` `` becomes ``--allow-overlap``.

    `` `split='train'` `` becomes ``--split train``, `` `flag=True` `` becomes ``--flag``, and a positional parameter
    becomes its metavar. Other words in backticks stay.
    """
    known = {param.name: param for param in params}

    def name_flag(match: re.Match[str]) -> str:
        param = known.get(match["name"])
        if param is None:
            return match[0]
        if isinstance(param, click.Argument):
            return param.make_metavar(ctx).strip("[].")
        value = "" if match["value"] in (None, "True") else " " + match["value"].strip("'\"")
        return max(param.opts, key=len) + value

    return re.sub(r"`(?P<name>\w+)(=(?P<value>[^`]+))?`", name_flag, message)


def _describe(error: OSError) -> str:
    """The file, the system's message and advice. After a failed copy, the file is the one to be written."""
    name = error.filename2 or error.filename
    place = f"{name}: " if name else ""
    return f"{place}{error.strerror or error}{_ADVICE.get(error.errno or 0, '')}"


def _advise(missing: str, module: str) -> str | None:
    """Which extra to install for a command of this module, or None if no extra contains the missing package."""
    name = missing.partition(".")[0]
    for extra, brought in EXTRAS.get(module.partition(".")[0], {}).items():
        if name in brought:
            return f"{name} is not installed, but is needed here; pip install 'hggt[{extra}]'"
    return None
