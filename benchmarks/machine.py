"""Say on what machine a benchmark ran, so that its figures can stand in docs/benchmarks.md."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def describe_machine(*packages: str) -> str:
    """One line: processor, cores, system, Python, versions of the packages that matter."""
    cpu = next(
        (line.split(":")[1].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")),
        platform.processor(),
    )
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def _read(path: str) -> str:
    return Path(path).read_text("utf-8") if Path(path).exists() else ""
