"""How long the whole command `hggt-eval` takes, beside a plain script: PSNR and SSIM of one method.

python benchmarks/bench_eval_process.py [--groups 40] [--rounds 5]

Both are fresh processes that run in turn on the same 512 x 512 pictures of `bench_eval.py`; `plain_psnr_ssim.py` is the
plain script. Both must print the same scores. Memory is the largest resident set of the process. Python keeps compiled
modules, as it does in an installation, whatever PYTHONDONTWRITEBYTECODE says here.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from machine import describe_machine

PLAIN = Path(__file__).with_name("plain_psnr_ssim.py")


@click.command()
@click.option("--groups", default=40, show_default=True, help="Number of groups.")
@click.option("--rounds", default=5, show_default=True, help="Number of rounds; the median is printed.")
def main(groups: int, rounds: int) -> None:
    """Print time and memory of both."""
    print(describe_machine("numpy", "opencv-python-headless"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # In another process, as the memory of this one would count as that of its children.
        code = "from pathlib import Path; from bench_eval import write_pictures; "
        code += f"write_pictures(Path({folder!r}), {groups}, ['method'])"
        subprocess.run([sys.executable, "-c", code], cwd=PLAIN.parent, check=True)
        tree, method = root / "tree", root / "method"
        options = ("--metrics", "psnr,ssim", "--dataset", tree, "--restored", method)
        commands = {
            "plain script": [sys.executable, PLAIN, tree, method],
            "hggt-eval": [sys.executable, "-m", "hggt_eval", *options],
        }
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = str(root / "compiled")
        times: dict[str, list[float]] = {name: [] for name in commands}
        cores: dict[str, list[float]] = {name: [] for name in commands}
        memory: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            printed = {}
            for name, command in commands.items():
                seconds, cpu_s, peak_mb, printed[name] = run(list(map(str, command)), environment)
                if number:  # the first round fills the system's cache of files
                    times[name].append(seconds)
                    cores[name].append(cpu_s)
                    memory[name].append(peak_mb)
            scores = {" ".join(text.split()[-2:]) for text in printed.values()}
            assert len(scores) == 1, scores
        print(f"{groups} groups, {'/'.join(scores)} (PSNR, SSIM)")
        for name in commands:
            print(
                f"{name:<12} {statistics.median(times[name]):6.2f} s, {statistics.median(cores[name]):6.2f} s of CPU, "
                f"{max(memory[name]):5.0f} MB"
            )
        ratios = [plain / ours for plain, ours in zip(*times.values(), strict=True)]
        cpu = [plain / ours for plain, ours in zip(*cores.values(), strict=True)]
        print(f"ratio        {statistics.median(ratios):6.1f}, of CPU time {statistics.median(cpu):.1f}")


def run(command: list[str], environment: dict[str, str]) -> tuple[float, float, float, str]:
    """Wall and CPU seconds, peak memory in MB and the output of a process."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output


if __name__ == "__main__":
    main()
