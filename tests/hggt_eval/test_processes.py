"""Two processes share the groups and end with what one would have found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hggt_eval.processes import Processes

DATA = Path(__file__).parents[1] / "data" / "fixtures"


def test_two_processes_write_what_one_writes(random_weights: Path, tmp_path: Path) -> None:
    arguments = [
        *("--restored", str(DATA / "restored/bicubic"), "--restored", str(DATA / "restored/lanczos")),
        *("--dataset", str(DATA / "Test"), "--metrics", "psnr,ssim,lpips", "--weights-dir", str(random_weights)),
        *("--baseline", "bicubic", "--cache", str(tmp_path / "cache"), "--device", "cpu", "--output"),
    ]
    one = [sys.executable, "-m", "hggt_eval"]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "hggt_eval"]
    outputs = []
    for name, command in (("one", one), ("two", two)):
        done = subprocess.run([*command, *arguments, str(tmp_path / name)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.replace(str(tmp_path / name), ""))
    assert outputs[0] == outputs[1]  # only one process speaks
    single, shared = (json.loads((tmp_path / name / "scores.json").read_text()) for name in ("one", "two"))
    assert shared == single
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted(
        path.name for path in (tmp_path / "one").iterdir()
    )


@pytest.mark.parametrize(("rank", "own"), [(0, [0, 3, 6]), (1, [1, 4]), (2, [2, 5])])
def test_every_item_is_of_one_process(monkeypatch: pytest.MonkeyPatch, rank: int, own: list[int]) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "5")
    processes = Processes.of_environment()
    assert list(processes.own(range(7))) == own
    assert processes.leads == (rank == 0)
    assert [processes.own_device(device) for device in ("cuda", "cuda:1", "cpu")] == ["cuda:5", "cuda:1", "cpu"]


def test_one_process_alone_has_everything() -> None:
    processes = Processes()
    assert list(processes.own([1, 2, 3])) == [1, 2, 3]
    assert processes.gather("x") == ["x"]
    assert processes.own_device("cuda") == "cuda"
