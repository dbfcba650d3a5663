"""The worked examples in scripts/, run as a user runs them.

There is no Slurm in tests: `srun` and `scontrol` are stand-ins. `srun` starts two processes on this machine and gives
the highest of their exit codes, as Slurm's does; signals come from the test. What Slurm makes of the #SBATCH lines, and
of the options of srun, is not tested.
"""

import json
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_models.config.recipes import load_config
from hggt_models.networks.checkpoint import load_checkpoint, load_network
from hggt_models.training.prepare import require_equal_shares
from tests.hub_client import HubClient

ROOT = Path(__file__).parents[1]
BATCH_SCRIPT = ROOT / "scripts" / "train.sbatch"
FIRST_PORT = 10_000  # of the batch script, for job 0

TWO_PROCESSES = """#!/bin/bash
while [[ $1 == -* ]]; do shift; done
for number in 0 1; do
    SLURM_PROCID=$number SLURM_LOCALID=$number SLURM_NTASKS=2 "$@" &
    pids+=($!)
done
echo "${pids[@]}" > pids
highest=0
for pid in "${pids[@]}"; do
    code=0
    wait "$pid" || code=$?
    highest=$((code > highest ? code : highest))
done
exit "$highest"
"""
NO_PROCESS = """#!/bin/bash
printf '%s\\n' "$MASTER_ADDR" "$MASTER_PORT" "$HF_HUB_OFFLINE" "$@" > started
exit {exit_code}
"""
SCONTROL = """#!/bin/bash
echo "$*" >> scontrol.log
if [[ $1 == show ]]; then printf '%s\\n' localhost another; fi
"""
RECIPE = """
extends = "rrdb-gan-positive"
iterations = {iterations}
source_px = 128
crop_px = 64
batch_size = 4
pool_size = 8
generator = {{ num_block = 1, num_feat = 8, num_grow_ch = 4 }}
discriminator = {{ num_feat = 8 }}
loss = {{ perceptual = 0 }}
log = {{ every = 1, tensorboard = false }}
validation = {{ every = 0 }}
"""


@dataclass
class Job:
    """A batch job in `folder`, under the stand-ins of Slurm's commands.

    Attributes:
        folder: where it was submitted.
        number: of the job.
    """

    folder: Path
    number: int

    def submit(self, srun: str, *arguments: object) -> subprocess.Popen[str]:
        """Start the batch script; a job that was queued again is the same job."""
        commands = self.folder / "bin"
        commands.mkdir(exist_ok=True)
        for name, text in (("srun", srun), ("scontrol", SCONTROL)):
            (commands / name).write_text(text)
            (commands / name).chmod(0o755)
        environment = {
            **os.environ,
            "PATH": os.pathsep.join((str(commands), str(Path(sys.executable).parent), os.environ["PATH"])),
            "SLURM_JOB_ID": str(self.number),
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_CPUS_PER_TASK": "1",
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.Popen(
            ["bash", BATCH_SCRIPT, *map(str, arguments)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that all of it can be ended
        )

    def requeued(self) -> bool:
        """Whether it has been queued again; forgets it."""
        path = self.folder / "scontrol.log"
        shown, *others = path.read_text().splitlines()
        path.unlink()
        assert shown == "show hostnames node[1-2]"
        assert others in ([], [f"requeue {self.number}"])
        return bool(others)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose port is free."""
    for number in random.Random().sample(range(20_000), 100):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", FIRST_PORT + number))
            except OSError:
                continue
        return Job(tmp_path, 20_000 * 7 + number)
    raise AssertionError("no free port")


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Whatever happens in the block, nothing of the process is left after it."""
    try:
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(path: Path, process: subprocess.Popen[str], timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, f"{path} has not come in {timeout_s} s"
        time.sleep(0.02)


class TestTrainSbatch:
    def test_a_stopped_job_is_queued_again_and_goes_on(self, job: Job, fixtures: Path) -> None:
        recipe, run = job.folder / "tiny.toml", job.folder / "my run"
        recipe.write_text(RECIPE.format(iterations=100_000))
        (job.folder / "my data").symlink_to(fixtures / "Train")
        command = (TWO_PROCESSES, "tiny.toml", "my data", "my run", "--device", "cpu", "--workers", "0")

        process = job.submit(*command)
        with ended(process):
            wait_for(run / "log.jsonl", process)
            for pid in (job.folder / "pids").read_text().split():
                os.kill(int(pid), signal.SIGUSR1)
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 75, output
        assert job.requeued()
        assert "stopped by SIGUSR1" in output
        [saved] = (run / "checkpoints").iterdir()
        done = int(saved.name)

        recipe.write_text(RECIPE.format(iterations=done + 3))
        process = job.submit(*command)
        with ended(process):
            output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        assert not job.requeued()
        starts = json.loads((run / "run.json").read_text())["starts"]
        assert [(start["after_iterations"], start["devices"]) for start in starts] == [(0, 2), (done, 2)]
        assert load_checkpoint(run).metadata["iteration"] == str(done + 3)
        load_network(run)

    @pytest.mark.parametrize("exit_code", [0, 1, 75, 137])
    def test_only_75_queues_it_again_and_every_exit_code_is_passed_on(self, job: Job, exit_code: int) -> None:
        srun = NO_PROCESS.format(exit_code=exit_code)
        process = job.submit(srun, "rrdb-psnr", "my data", "my run", "--set", "log.wandb=a b")
        output, _ = process.communicate(timeout=10)
        assert process.returncode == exit_code, output
        assert job.requeued() == (exit_code == 75)
        address, port, offline, *arguments = (job.folder / "started").read_text().splitlines()
        assert (address, offline) == ("localhost", "1")
        assert FIRST_PORT <= int(port) < 30_000
        assert arguments[-7:] == ["rrdb-psnr", "--data", "my data", "--output", "my run", "--set", "log.wandb=a b"]

    def test_too_few_arguments_start_nothing(self, job: Job) -> None:
        process = job.submit(NO_PROCESS.format(exit_code=0), "rrdb-psnr", "data")
        output, _ = process.communicate(timeout=10)
        assert (process.returncode, output.count("\n")) == (2, 1)
        assert "RECIPE DATA OUTPUT" in output
        assert not (job.folder / "started").exists()

    def test_bash_finds_no_fault(self) -> None:
        checked = subprocess.run(["bash", "-n", BATCH_SCRIPT], capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")

    def test_as_many_processes_as_it_asks_for_can_share_the_published_batches(self) -> None:
        asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", BATCH_SCRIPT.read_text(), re.MULTILINE))
        assert asked["gpus-per-node"] == asked["ntasks-per-node"]
        for network in ("rrdb", "swinir"):
            for target in ("original", "positive", "positive-negative"):
                config = load_config(f"{network}-gan-{target}")
                require_equal_shares(config, int(asked["nodes"]) * int(asked["ntasks-per-node"]))


class TestTrainFromHub:
    @pytest.fixture
    def researcher(self, member: HubClient, fixtures: Path) -> HubClient:
        """Somebody for whom real pictures lie on the Hub, as `lab/pairs`."""
        settings = BuildSettings(
            trees=(fixtures / "Train",),
            test_tree=fixtures / "Test",
            output=member.folder / "pairs",
            license="cc0-1.0",
            allow_overlap=True,  # both hold crops of the same four photographs
            workers=1,
        )
        build_dataset(settings)
        outcome = member.hggt_data("push", "pairs", "lab/pairs", "--tag", "v1.0", "--yes", "--workers", "1")
        assert outcome.exit_code == 0, outcome.err
        return member

    def run(self, researcher: HubClient, *command: object) -> str:
        """What a command prints."""
        environment = {
            **researcher.environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        outcome = subprocess.run(
            list(map(str, command)),
            cwd=researcher.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout

    def test_both_stages_and_what_it_says_to_do_next(self, researcher: HubClient) -> None:
        settings = ("--set", "iterations=3", "--set", "validation.every=0", "--set", "log.tensorboard=false")
        script = (sys.executable, ROOT / "scripts" / "train_from_hub.py", "lab/pairs", "--revision", "v1.0")
        printed = self.run(researcher, *script, "--output", "runs", "--small", "--workers", "0", *settings)
        stages, _, commands = printed.partition("Next:\n")
        paths = [researcher.folder / line.split(": ")[1] for line in stages.splitlines()]
        assert len(paths) == 2

        first, second = map(load_checkpoint, paths)
        [snapshot] = Path(researcher.environment["HF_HUB_CACHE"]).glob("datasets--lab--pairs/snapshots/*")
        for checkpoint, recipe in ((first, "rrdb-gan-positive"), (second, "rrdb-gan-positive-negative")):
            known = checkpoint.metadata
            assert (known["recipe"], known["iteration"], known["data"]) == (recipe, "3", "lab/pairs")
            assert known["data_revision"] == snapshot.name
        assert "started_from" not in first.metadata
        assert second.metadata["started_from"] == f"rrdb-gan-positive sha256:{first.sha256}"
        load_network(paths[1])

        upscale, score, push = map(shlex.split, commands.splitlines())
        self.run(researcher, *upscale)
        assert "restored" in self.run(researcher, *score, "--metrics", "psnr")
        assert "lab/rrdb-gan-positive-negative" in self.run(researcher, *push, "--dry-run")
