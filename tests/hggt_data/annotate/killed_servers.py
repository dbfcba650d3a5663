"""Servers that are killed while annotators save, and what is on disk afterwards.

Answers are changed all the time, so a kill often falls between the moment at which a change is on disk and its
acknowledgement. The file then has the newer answer, rightly: the page sends it again and learns that it was saved. A
check that expects the last *acknowledged* answer in every file reports such changes as lost (`Kills.naive`); the file
must have that answer or the one that was sent after it (`Kills.lost`).

`python -m tests.hggt_data.annotate.killed_servers 200` kills a server so many times.
"""

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from hggt_data.annotate.round import Annotator, Round
from hggt_data.annotate.web.accounts import Account, add_account
from hggt_data.annotate.web.serve import ServerSettings, serve_round
from hggt_data.annotate.web.store import AnswerStore
from hggt_data.annotate.web.study import open_store
from hggt_data.schema import HGGT_PROTOCOL, Label, Protocol
from tests.hggt_data.annotate.rounds import make_round, votes
from tests.hggt_data.annotate.servers import free_port

_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload([__name__])  # a server starts within milliseconds


class ForkedServer:
    """A server that can be killed and started again quickly.

    Args:
        folder: The round.
        accounts: Its accounts file.
    """

    def __init__(self, folder: Path, accounts: Path) -> None:
        self._arguments = (folder, ServerSettings(port=free_port(), accounts=accounts))
        self.url = f"http://127.0.0.1:{self._arguments[1].port}/"

    def start(self, dies_after: int | None = None) -> None:
        """Start; the process kills itself when so many answers are on disk, before it acknowledges the last."""
        self._process = _START.Process(target=_serve, args=(*self._arguments, dies_after))
        self._process.start()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(httpx2.TransportError):
                httpx2.get(f"{self.url}api/texts", timeout=5)
                return
            time.sleep(0.005)
        raise AssertionError("the server does not respond")

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self.wait()

    def wait(self) -> None:
        """Wait until the process has ended."""
        self._process.join(60)
        assert self._process.exitcode == -signal.SIGKILL


def _serve(folder: Path, settings: ServerSettings, dies_after: int | None) -> None:
    save, lock, saved = AnswerStore.save, threading.Lock(), 0

    def save_and_die(*arguments: Any) -> Any:
        nonlocal saved
        with lock:
            found = save(*arguments)
            saved += 1
            if saved == dies_after:
                os.kill(os.getpid(), signal.SIGKILL)
        return found

    if dies_after is not None:
        AnswerStore.save = save_and_die  # type: ignore[assignment]
    serve_round(folder, settings, lambda _: None)


class Sender:
    """Answers all groups as the page does, and changes each answer: sends until the server acknowledges it.

    Attributes:
        acknowledged: Labels of the last acknowledged answer, by the id of its page.
        sent: Labels of the last answer that was sent, acknowledged or not.
        num_acknowledged: Acknowledged answers, changes included.
    """

    def __init__(self, url: str, token: str, num_labels: int) -> None:
        self._num_labels = num_labels
        self._client = httpx2.Client(base_url=f"{url}api/", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        self.acknowledged: dict[str, list[str]] = {}
        self.sent: dict[str, list[str]] = {}
        self.num_acknowledged = 0
        self.is_stopped = False

    def run(self, times: int = sys.maxsize) -> None:
        """Answer each group so many times, or until stopped."""
        rng = random.Random(0)
        versions: dict[str, str] = {}
        items = [item["id"] for item in self._request("GET", "batches/0").json()]
        for _ in range(times):
            for item in items:
                if self.is_stopped:
                    return
                labels = [rng.choice(list(Label)).value for _ in range(self._num_labels)]
                body = {"labels": labels, "seconds": 3, "end_ms": 1.7e12, "utc_offset_min": 0}
                self.sent[item] = labels
                answer = self._request("PUT", f"items/{item}/answer", body | {"replaces": versions.get(item)})
                versions[item] = answer.json()["version"]
                self.acknowledged[item] = labels
                self.num_acknowledged += 1

    def _request(self, method: str, path: str, body: object = None) -> httpx2.Response:
        while True:
            try:
                return self._client.request(method, path, json=body).raise_for_status()
            except httpx2.TransportError:
                time.sleep(0.02)  # the server was killed


def saved_labels(round_: Round, annotator: Annotator) -> dict[str, list[str | None]]:
    """The labels on disk by the id of their page."""
    store = open_store(round_)
    pages = (page for batch in annotator.batches for page in store.pages(annotator, batch))
    found = {store.item_id(annotator, page): store.read(annotator, page) for page in pages}
    return {id_: [label and label.value for label in saved.labels] for id_, saved in found.items() if saved}


@dataclass
class Kills:
    """A round, its annotators who save all the time, and the result of the checks after each kill.

    Attributes:
        lost: Acknowledged answers that are neither on disk nor replaced by the one sent after them.
        naive: Answers that a check would report as lost if it expected the last acknowledged answer on disk.
        kills: How often the server was killed.
    """

    round: Round
    server: ForkedServer
    senders: list[Sender]
    lost: list[str] = field(default_factory=list)
    naive: list[str] = field(default_factory=list)
    kills: int = 0

    @property
    def num_acknowledged(self) -> int:
        """Acknowledged answers of all annotators."""
        return sum(sender.num_acknowledged for sender in self.senders)

    def wait_for(self, number: int) -> None:
        """Wait until so many answers were acknowledged."""
        deadline = time.monotonic() + 120
        while self.num_acknowledged < number:
            assert time.monotonic() < deadline, f"{self.num_acknowledged} of {number} answers"
            time.sleep(0.001)

    def check(self) -> None:
        """Compare the files with what was acknowledged and sent; the server has been killed."""
        self.kills += 1
        for annotator, sender in zip(self.round.annotators, self.senders, strict=True):
            saved = saved_labels(self.round, annotator)
            for item, labels in list(sender.acknowledged.items()):
                place = f"kill {self.kills}, {annotator.name}, {item}: {saved.get(item)}"
                if saved.get(item) not in (labels, sender.sent[item]):
                    self.lost.append(place)
                if saved.get(item) != labels:
                    self.naive.append(place)


def prepare(folder: Path, names: Sequence[str], num_groups: int, protocol: Protocol = HGGT_PROTOCOL) -> Kills:
    """A round in which all annotators judge all groups."""
    groups = votes(*(f"p{k}-0-0" for k in range(num_groups)))
    round_ = make_round(folder, {name: [groups] for name in names}, size=(4, 4), protocol=protocol)
    accounts = folder / "accounts.json"
    tokens = [add_account(accounts, Account(annotator.name)) for annotator in round_.annotators]
    server = ForkedServer(round_.folder, accounts)
    return Kills(round_, server, [Sender(server.url, token, 1 if protocol.blind else 4) for token in tokens])


def kill_at_random(folder: Path, number: int) -> Kills:
    """Kill a server so many times, each time after at least one acknowledged answer."""
    rng = random.Random(number)
    kills = prepare(folder, ("Ada", "Bob", "Dan", "Eve", "Fay"), 10)
    kills.server.start()
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(sender.run) for sender in kills.senders]
        for _ in range(number):
            kills.wait_for(kills.num_acknowledged + 1)
            time.sleep(rng.uniform(0, 0.05))
            kills.server.kill()
            kills.check()
            kills.server.start()
        for sender in kills.senders:
            sender.is_stopped = True
        for future in running:
            future.result()
    kills.server.kill()
    kills.check()
    return kills


def main() -> None:
    """Print the result of many kills."""
    with tempfile.TemporaryDirectory() as folder:
        kills = kill_at_random(Path(folder), int(sys.argv[1]))
    print(f"{kills.kills} kills, {kills.num_acknowledged} acknowledged answers, {len(kills.lost)} lost")
    print(f"A check that expects the last acknowledged answer on disk would report {len(kills.naive)} as lost.")
    sys.exit(bool(kills.lost))


if __name__ == "__main__":
    main()
