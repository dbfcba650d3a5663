"""No acknowledged answer is lost to `kill -9`, and why a check may report losses that are none."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hggt_data.schema import HGGT_PROTOCOL, Protocol
from tests.hggt_data.annotate.killed_servers import kill_at_random, prepare, saved_labels


@pytest.mark.parametrize(("protocol", "num_groups"), [(HGGT_PROTOCOL, 20), (Protocol(blind=True), 5)])
def test_of_200_acknowledged_answers_none_is_lost_to_kill_9(
    tmp_path: Path, protocol: Protocol, num_groups: int
) -> None:
    kills = prepare(tmp_path, ("Ada", "Bob", "Dan", "Eve", "Fay"), num_groups, protocol)
    kills.server.start()
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(sender.run, 2) for sender in kills.senders]
        for number in (40, 90, 150):
            kills.wait_for(number)
            kills.server.kill()
            kills.check()
            kills.server.start()
        for future in running:
            future.result()
    kills.server.kill()
    assert kills.lost == []
    assert kills.num_acknowledged == 200
    for annotator, sender in zip(kills.round.annotators, kills.senders, strict=True):
        assert saved_labels(kills.round, annotator) == sender.sent


def test_of_answers_that_are_changed_all_the_time_none_is_lost(tmp_path: Path) -> None:
    kills = kill_at_random(tmp_path, 15)
    assert kills.num_acknowledged >= 15
    assert kills.lost == []


def test_a_change_on_disk_that_was_not_acknowledged_looks_like_a_loss(tmp_path: Path) -> None:
    """The server is killed when the sixth save is on disk, before it is acknowledged: the first change of an answer.

    The file has the change and not the acknowledged answer, so that a check which expects the latter reports a loss.
    After the restart the page sends the change again, is told that it was saved, and goes on.
    """
    kills = prepare(tmp_path, ("Ada",), 5)
    [sender], [annotator] = kills.senders, kills.round.annotators
    kills.server.start(dies_after=6)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(sender.run, 2)
        kills.server.wait()
        kills.check()
        assert (kills.num_acknowledged, len(kills.naive), kills.lost) == (5, 1, [])
        kills.server.start()
        running.result()
    kills.server.kill()
    assert kills.num_acknowledged == 10
    assert saved_labels(kills.round, annotator) == sender.acknowledged == sender.sent
