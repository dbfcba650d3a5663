"""Runs commands of hggt, and functions, in separate processes against the Hub of the tests.

The Hub's client reads endpoint, cache and offline mode when it is imported, and the tests' own process is offline. Each
process is forked from a clean one that has imported everything slow except the client, which takes a third of the time.
"""

import gc
import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from tests.hub_server import HubServer, User

P = ParamSpec("P")
T = TypeVar("T")

ROOT = Path(__file__).parents[1]
# What takes time to import: what `datasets` and the Hub's client (httpx before its version 2) are made of, and ours.
PARTS_OF_DATASETS = ("dill", "fsspec", "multiprocess.pool", "pandas", "pyarrow.dataset", "pyarrow.json", "xxhash")
PARTS_OF_CLIENT = ("filelock", "httpcore", "httpcore2", "httpx", "httpx2", "tqdm.contrib.concurrent", "truststore")
OURS = (
    "hggt_data.cli.main",
    "hggt_data.hub.download",
    "hggt_data.loading",
    "hggt_data.hub.push",
    "pytest",
    "unittest.mock",
)
LONGEST_RUN_S = 60

MEMBER, READER, OUTSIDER = "hf_mTokenOfAMember00", "hf_rTokenThatOnlyReads00", "hf_oTokenOfAnOutsider00"
USERS = {
    MEMBER: User("maria", orgs=("lab",)),
    READER: User("rosa", orgs=("lab",), role="read"),
    OUTSIDER: User("stan"),
}


@dataclass(frozen=True)
class Outcome:
    """How a process ended; `exit_code` is negative if a signal killed it."""

    exit_code: int
    out: str
    err: str


class ForkServer:
    """A clean process that others are forked from, one at a time, while a `with` block lasts.

    Attributes:
        pid: Id of the last process, so that another thread can end it.
    """

    pid: int

    def __init__(self, *modules: str) -> None:
        """`modules` are imported before the first fork, besides those that all tests need."""
        self._modules = modules

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.hub_client", *self._modules]
        # A session of its own: Ctrl-C is for the tests.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # the end of its input ends it

    def run(self, function: Callable[[], object], environment: Mapping[str, str], folder: Path) -> int:
        """Run a picklable function and return the exit code; its output goes to `out` and `err` in `folder`."""
        assert self._process.stdin
        assert self._process.stdout
        pickle.dump((dict(environment), folder, pickle.dumps(function)), self._process.stdin)
        self._process.stdin.flush()
        self.pid = pickle.load(self._process.stdout)
        exit_code: int = pickle.load(self._process.stdout)
        return exit_code


@dataclass(frozen=True)
class HubClient:
    """A user at a machine, who must never see a secret printed.

    Attributes:
        environment: names endpoint, token and caches.
        folder: where commands run.
        records: folder for what they print and return.
        waits: whether the client waits before it tries again.
    """

    processes: ForkServer = field(repr=False)
    environment: Mapping[str, str]
    folder: Path
    records: Path
    waits: bool = True

    def having(self, **environment: str) -> Self:
        """The same user with other environment variables."""
        return replace(self, environment={**self.environment, **environment})

    def hggt_data(self, *arguments: object) -> Outcome:
        """Run the command `hggt-data`."""
        return self._run(partial(_command, "hggt_data.cli.main", [str(argument) for argument in arguments]))

    def hggt_eval(self, *arguments: object) -> Outcome:
        """Run the command `hggt-eval`."""
        return self._run(partial(_command, "hggt_eval.cli", [str(argument) for argument in arguments]))

    def hggt_models(self, *arguments: object) -> Outcome:
        """Run the command `hggt-models`."""
        return self._run(partial(_command, "hggt_models.cli", [str(argument) for argument in arguments]))

    def call(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Return what a module's function returns there; an exception fails the test."""
        place = self.records / "value"
        outcome = self._run(partial(_write_value, place, partial(function, *arguments, **options)))
        assert outcome.exit_code == 0, outcome.err
        value: T = pickle.loads(place.read_bytes())
        return value

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill the running process, from another thread."""
        os.kill(self.processes.pid, how)

    def _run(self, function: Callable[[], object]) -> Outcome:
        setup = partial(_set_up, self.folder, self.waits, function)
        exit_code = self.processes.run(setup, self.environment, self.records)
        out, err = ((self.records / name).read_text("utf-8") for name in ("out", "err"))
        assert not find_secrets(out + err, self.environment["HF_TOKEN"])
        return Outcome(exit_code, out, err)


def sign_in(hub: HubServer, processes: ForkServer, machine: Path, token: str = MEMBER) -> HubClient:
    """A user whose folders `work`, `home` and `records` are in `machine`."""
    places = work, home, records = [machine / name for name in ("work", "home", "records")]
    for place in places:
        place.mkdir(exist_ok=True)
    # Streaming would import torch, which takes longer than all the rest.
    environment = {**os.environ, **hub.environment(token, home), "USE_TORCH": "0"}
    return HubClient(processes, environment, work, records)


def find_secrets(text: str, token: str) -> list[str]:
    """Secrets in a text: the token, the request header that contains it, the signed part of a URL."""
    return [secret for secret in (token, "Authorization", "Bearer ", "X-Amz-Signature") if secret and secret in text]


def _set_up(folder: Path, waits: bool, function: Callable[[], object]) -> None:
    os.chdir(folder)
    if not waits:
        time.sleep = lambda _: None
    function()


def _command(module: str, arguments: list[str]) -> None:
    importlib.import_module(module).main(arguments)


def _write_value(place: Path, function: Callable[[], object]) -> None:
    place.write_bytes(pickle.dumps(function()))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that pyarrow has reading ahead of a stream may abort the process while Python shuts down in the usual way.
    os._exit(0)


def _serve() -> Callable[[], None] | None:
    """Fork a process for each function that arrives, and return the function there; None at the end of the input."""
    for module in (*PARTS_OF_DATASETS, *PARTS_OF_CLIENT, *OURS, *sys.argv[1:]):
        with suppress(ModuleNotFoundError):
            importlib.import_module(module)
    assert "huggingface_hub" not in sys.modules
    gc.freeze()  # else each process copies all these objects when it looks for garbage
    while True:
        try:
            environment, folder, function = pickle.load(sys.stdin.buffer)
        except EOFError:
            return None
        pid = os.fork()
        if pid == 0:
            break
        pickle.dump(pid, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        _, status = os.waitpid(pid, 0)
        pickle.dump(os.waitstatus_to_exitcode(status), sys.stdout.buffer)
        sys.stdout.buffer.flush()
    signal.alarm(LONGEST_RUN_S)
    for descriptor, path in enumerate((Path(os.devnull), folder / "out", folder / "err")):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
    os.environ.update(environment)
    ready: Callable[[], None] = pickle.loads(function)
    return ready


if __name__ == "__main__":
    forked = _serve()
    if forked is not None:
        forked()
