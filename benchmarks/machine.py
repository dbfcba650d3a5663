"""Describe the machine of a benchmark for docs/benchmarks.md, and run single cases in fresh processes."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


def describe_machine(*packages: str) -> str:
    """One line: processor, cores, system, Python, versions of the relevant packages."""
    cpu = next(
        (line.split(":")[1].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")),
        platform.processor(),
    )
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def run_alone(script: str, case: dict[str, Any], timeout_s: float | None = None) -> dict[str, Any]:
    """Run `SCRIPT --one CASE` in a fresh process and return the JSON it prints last, or its error under `fault`."""
    command = [sys.executable, script, "--one", json.dumps(case)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return {"fault": f"not done within {timeout_s:.0f} s"}
    lines = run.stdout.splitlines()
    if run.returncode or not lines:
        print("\n".join(run.stderr.splitlines()[-3:]), file=sys.stderr)
        return {"fault": "out of memory" if "OutOfMemory" in run.stderr else f"failed ({run.returncode})"}
    return dict(json.loads(lines[-1]))


def _read(path: str) -> str:
    return Path(path).read_text("utf-8") if Path(path).exists() else ""
