"""Two processes share the groups and end with what one would have found."""

import json
import subprocess
import sys
from pathlib import Path

from hggt_data.io.workers import Processes
from hggt_eval.protocol import gather

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


def test_one_process_has_nobody_to_ask() -> None:
    assert gather("x", Processes()) == ["x"]
