"""The worked examples in scripts/, run as users run them.

Tests have no Slurm: `srun`, `scontrol` and, for the batch script, `hggt-models` are stand-ins. `srun` starts two
processes on this machine and returns the highest of their exit codes, as Slurm's does. How Slurm reads the #SBATCH
lines and srun's options is not tested; that a real run stops on a signal and resumes is tested with `hggt-models`.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_models.config.recipes import load_config
from hggt_models.networks.checkpoint import load_checkpoint, load_network
from hggt_models.training.prepare import require_equal_shares
from tests.hub_client import HubClient
from tests.run_commands import run_commands

ROOT = Path(__file__).parents[1]
BATCH_SCRIPT = ROOT / "scripts" / "train.sbatch"

SRUN = """#!/bin/bash
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
HGGT_MODELS = """#!/bin/bash
trap 'exit 75' USR1
names="MASTER_ADDR MASTER_PORT HF_HUB_OFFLINE RANK LOCAL_RANK WORLD_SIZE"
for name in $names; do printf '%s\\n' "${!name}"; done > "process-$RANK"
printf '%s\\n' "$@" >> "process-$RANK"
touch "ready-$RANK"
EXIT
"""
SCONTROL = """#!/bin/bash
echo "$*" >> scontrol.log
if [[ $1 == show ]]; then printf '%s\\n' localhost another; fi
"""
JOB = 140_123


def submit(folder: Path, then: str, *arguments: str) -> subprocess.Popen[str]:
    """Start the batch script in `folder` with stand-ins; `then` is what each training process does."""
    commands = folder / "bin"
    commands.mkdir()
    programs = {"srun": SRUN, "scontrol": SCONTROL, "hggt-models": HGGT_MODELS.replace("EXIT", then)}
    for name, text in programs.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(commands), os.environ["PATH"])),
        "SLURM_JOB_ID": str(JOB),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "1",
    }
    return subprocess.Popen(
        ["bash", BATCH_SCRIPT, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that all of it can be ended
    )


def end(process: subprocess.Popen[str]) -> str:
    """What it prints until it ends; nothing is left running."""
    try:
        return process.communicate(timeout=60)[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class TestTrainSbatch:
    @pytest.mark.parametrize("exit_code", [1, 75])
    def test_each_process_knows_its_place_and_only_75_requeues_the_job(self, tmp_path: Path, exit_code: int) -> None:
        process = submit(tmp_path, f"exit {exit_code}", "rrdb-psnr", "my data", "my run", "--set", "log.wandb=a b")
        output = end(process)
        assert process.returncode == exit_code, output
        port = str(10_000 + JOB % 20_000)
        command = ["train", "rrdb-psnr", "--data", "my data", "--output", "my run", "--set", "log.wandb=a b"]
        for rank in ("0", "1"):
            found = (tmp_path / f"process-{rank}").read_text().splitlines()
            assert found == ["localhost", port, "1", rank, rank, "2", *command]
        calls = (tmp_path / "scontrol.log").read_text().splitlines()
        assert calls == ["show hostnames node[1-2]", *[f"requeue {JOB}"] * (exit_code == 75)]

    def test_a_signal_of_slurm_reaches_the_training_processes(self, tmp_path: Path) -> None:
        process = submit(tmp_path, "while true; do sleep 0.05; done", "rrdb-psnr", "data", "run")
        deadline = time.monotonic() + 60
        while not all((tmp_path / f"ready-{rank}").exists() for rank in (0, 1)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for pid in (tmp_path / "pids").read_text().split():
            os.kill(int(pid), signal.SIGUSR1)
        output = end(process)
        assert process.returncode == 75, output

    def test_too_few_arguments_start_nothing(self, tmp_path: Path) -> None:
        process = submit(tmp_path, "exit 0", "rrdb-psnr", "data")
        output = end(process)
        assert (process.returncode, output.count("\n")) == (2, 1)
        assert "RECIPE DATA OUTPUT" in output
        assert not (tmp_path / "scontrol.log").exists()

    def test_its_number_of_processes_divides_the_published_batches(self) -> None:
        asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", BATCH_SCRIPT.read_text(), re.MULTILINE))
        assert asked["gpus-per-node"] == asked["ntasks-per-node"]
        for network in ("rrdb", "swinir"):
            for target in ("original", "positive", "positive-negative"):
                config = load_config(f"{network}-gan-{target}")
                require_equal_shares(config, int(asked["nodes"]) * int(asked["ntasks-per-node"]))


class TestTrainFromHub:
    @pytest.fixture
    def researcher(self, member: HubClient, fixtures: Path) -> HubClient:
        """A user with a dataset of real pictures on the Hub, `lab/pairs`."""
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

    def test_both_stages_and_the_commands_that_it_prints(self, researcher: HubClient) -> None:
        settings = ("--set", "iterations=3", "--set", "validation.every=0", "--set", "log.tensorboard=false")
        script = (sys.executable, ROOT / "scripts" / "train_from_hub.py", "lab/pairs", "--revision", "v1.0")
        outcome = subprocess.run(
            [*script, "--output", "runs", "--small", "--workers", "0", *settings],
            cwd=researcher.folder,
            env={**researcher.environment, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert outcome.returncode == 0, outcome.stderr
        stages, _, commands = outcome.stdout.partition("Next:\n")
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
        following = [upscale, [*score, "--metrics", "psnr"], [*push, "--dry-run"]]
        printed = run_commands(following, researcher.folder, researcher.environment)
        assert "restored" in printed
        assert "lab/rrdb-gan-positive-negative" in printed
