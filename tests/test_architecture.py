"""Who may import whom; the rules are in CONTRIBUTING.md."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("hggt_data", "hggt_eval", "hggt_models")

# Inside a package a module or subpackage imports only from rows above its own: neither from below nor from a brother.
ORDER = {
    "hggt_data": [
        {"errors"},
        {"io", "ranges"},
        {"schema", "licence"},
        {"study_plan"},
        {"problems", "groups", "consensus", "unwanted", "palette"},
        {"statistics"},
        {"tree"},
        {"dataset", "patches", "annotate"},
        {"hub"},
        {"loading"},
        {"exports", "restored", "counting", "comparison", "remove", "withdraw"},
        {"deal_study"},
        {"cli"},
        {"__main__"},
    ],
    "hggt_eval": [
        {"metrics"},
        {"scores", "device_check", "feature_cache"},
        {"ground_truth", "group_scorer", "set_describer", "report"},
        {"protocol", "scored"},
        {"scoring"},
        {"agreement", "study"},
        {"cli"},
        {"__main__"},
    ],
    "hggt_models": [
        {"reflection", "memory"},
        {"runtime"},
        {"networks", "degradation"},
        {"losses", "inference", "push"},
        {"config"},
        {"data"},
        {"training", "show_map"},
        {"cli"},
        {"__main__"},
    ],
}


def imported_modules(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, whether it is imported when the file is) for each import in a file, wherever it stands."""
    tree = ast.parse(path.read_text("utf-8"))
    delayed = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) or is_type_checking(outer)
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in delayed
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", id(node) not in delayed


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def modules_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("hggt_data", ("hggt_models", "hggt_eval", "torch", "torchvision", "scripts", "tests")),
        ("hggt_eval", ("hggt_models", "scripts", "tests")),
        ("hggt_models", ("scripts", "tests")),
    ],
)
def test_a_package_does_not_import_what_it_must_not(package: str, forbidden: tuple[str, ...]) -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in modules_of(package)
        for module, _ in imported_modules(path)
        if module.split(".")[0] in forbidden
    ]
    assert not found


def test_models_import_only_the_metrics_of_eval() -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in modules_of("hggt_models")
        for module, _ in imported_modules(path)
        if module.startswith("hggt_eval") and not module.startswith("hggt_eval.metrics")
    ]
    assert not found


@pytest.mark.parametrize("package", ORDER)
def test_modules_import_only_from_below(package: str) -> None:
    rank = {module: number for number, row in enumerate(ORDER[package]) for module in row}
    found = []
    for path in modules_of(package):
        own = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        assert own in rank, f"{path.relative_to(ROOT)} has no place in ORDER"
        for module, _ in imported_modules(path):
            parts = module.split(".")
            if parts[0] == package and len(parts) > 1 and parts[1] != own and rank[parts[1]] >= rank[own]:
                found.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not found


@pytest.mark.parametrize("package", [*PACKAGES, "tests", "benchmarks", "scripts"])
def test_no_private_name_crosses_a_file(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {node.module}.{alias.name}"
        for path in modules_of(package)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (*PACKAGES, "tests")
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert not found


def test_text_reaches_a_terminal_only_where_it_is_made_printable() -> None:
    writers = {"hggt_data/cli/group.py", "hggt_data/io/workers.py", "hggt_models/training/run_log.py"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in PACKAGES
        for path in modules_of(package)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "click.echo", "click.secho", "tqdm.write")
        if path.relative_to(ROOT).as_posix() not in writers
    ]
    assert not found


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("hggt_data", {"torch", "datasets", "huggingface_hub", "pyarrow", "PIL", "numpy"}),
        ("hggt_data.cli.main", {"torch", "datasets", "huggingface_hub", "pyarrow", "PIL", "numpy"}),
        ("hggt_eval", {"torch", "datasets", "huggingface_hub", "pyarrow", "PIL", "numpy"}),
        ("hggt_eval.cli", {"torch", "torchvision", "lpips", "piq", "torchmetrics", "cv2", "datasets", "pyarrow"}),
        ("hggt_models", {"torch", "datasets", "huggingface_hub", "pyarrow", "PIL", "numpy"}),
        ("hggt_models.cli", {"torch", "datasets", "huggingface_hub", "pyarrow", "PIL", "numpy"}),
    ],
)
def test_importing_a_module_loads_nothing_heavy(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({heavy!r} & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not loaded
