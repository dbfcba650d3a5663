"""What all hggt commands share: an error that hggt or the system raises on purpose ends in one message and exit 1.

So does a package of an extra that is not installed.
"""

import errno
import io
import re
import sys
from typing import Any

import click

from hggt_data.errors import RUN_AGAIN, HggtError, SettingsError

_ADVICE = {
    errno.ENOSPC: "; free some space and run again",
    errno.EDQUOT: "; free some space and run again",
    errno.ENOENT: "; is the path right, and is the file still there?",
    errno.EACCES: "; change the rights or choose another place",
    errno.EROFS: "; choose another place",
}

# Package of a command -> extra -> modules that it brings; `tests/test_extras.py` holds this against pyproject.toml.
_SCORING = {"lpips", "matplotlib", "piq", "scipy", "torchmetrics"}
EXTRAS = {
    "hggt_data": {"annotate": {"starlette", "uvicorn"}},
    "hggt_eval": {"eval": {"cv2", "torch", "torchvision", *_SCORING}},
    "hggt_models": {
        "models": {"cv2", "pydantic", "safetensors", "tensorboard", "torch", "torchvision"},
        "eval": _SCORING,
    },
}


class HggtCommand(click.Command):
    """A command whose expected errors are printed without a traceback.

    Exit codes: 0 done, 1 an error or, for checks, faults found; 2 wrong usage; 130 interrupted.
    """

    interrupted = "Interrupted."

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a log in Latin-1 has no arrows, and gets `\\u2191`
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.UsageError(name_flags(_with_notes(str(error), error), ctx)) from error
        except HggtError as error:
            raise click.ClickException(name_flags(_with_notes(str(error), error), ctx)) from error
        except BrokenPipeError:
            raise  # the reader of a pipe has had enough; click ends quietly
        except OSError as error:
            raise click.ClickException(_with_notes(_describe(error), error)) from error
        except ModuleNotFoundError as error:
            if (advice := _advise(error.name or "", self.callback.__module__ if self.callback else "")) is None:
                raise
            raise click.ClickException(advice) from error
        except KeyboardInterrupt:
            click.echo(self.interrupted, err=True)
            ctx.exit(130)


class ResumedCommand(HggtCommand):
    """A command that goes on where it was interrupted, and says so."""

    interrupted = f"Interrupted. {RUN_AGAIN}"


class HggtGroup(click.Group):
    """A group of `HggtCommand`s."""

    command_class = HggtCommand


def name_flags(message: str, ctx: click.Context) -> str:
    """Replace parameters in backticks by the command's flags: `` `allow_overlap` `` becomes ``--allow-overlap``.

    `` `split='train'` `` becomes ``--split train``, `` `flag=True` `` becomes ``--flag``, and a positional parameter
    becomes its metavar. Other words in backticks stay.
    """
    params = {param.name: param for param in ctx.command.params}

    def name_flag(match: re.Match[str]) -> str:
        param = params.get(match["name"])
        if param is None:
            return match[0]
        if isinstance(param, click.Argument):
            return param.make_metavar(ctx).strip("[].")
        value = "" if match["value"] in (None, "True") else " " + match["value"].strip("'\"")
        return max(param.opts, key=len) + value

    return re.sub(r"`(?P<name>\w+)(=(?P<value>[^`]+))?`", name_flag, message)


def _describe(error: OSError) -> str:
    """File, what the system says, and what to do; of a copy the file that could not be written."""
    name = error.filename2 or error.filename
    place = f"{name}: " if name else ""
    return f"{place}{error.strerror or error}{_ADVICE.get(error.errno or 0, '')}"


def _with_notes(message: str, error: Exception) -> str:
    return "\n".join([message, *getattr(error, "__notes__", [])])


def _advise(missing: str, module: str) -> str | None:
    """Which extra to install for a command of this module; null where no extra has what is missing."""
    name = missing.partition(".")[0]
    for extra, brought in EXTRAS.get(module.partition(".")[0], {}).items():
        if name in brought:
            return f"{name} is not installed, which this needs; pip install 'hggt[{extra}]'"
    return None
