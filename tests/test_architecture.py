"""Who may import whom; the rules are in CONTRIBUTING.md."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("hggt_data", "hggt_eval", "hggt_models")

# Inside a package a module imports only from rows above its own; the last row is the command line.
LAYERS = {
    "hggt_data": [
        {"errors", "wording", "processes"},
        {"schema", "files", "command", "workers", "hub_errors"},
        {"images", "annotation", "consensus", "agreement", "manifest", "features", "staging", "preferences", "seating"},
        {"tree", "shards", "card", "hub", "patches", "contact_sheet", "resumed_folder"},
        {"validate", "assembly", "pictures", "rounds", "places_file", "hub_command"},
        {"download"},
        {"loading", "shard_task", "pseudonyms", "answers", "batches"},
        {"build", "publish", "stats", "demo", "subimages", "split", "export", "selection", "deal", "merge"},
        {"stats_text", "annotate"},
        {"stats_page"},
        {"cli"},
        {"__main__"},
    ],
    "hggt_eval": [
        {"metrics", "processes", "methods"},
        {"matching", "feature_cache"},
        {"scores", "device_check"},
        {"comparison", "label_measures"},
        {"scores_file"},
        {"notes"},
        {"tables"},
        {"joining", "journal", "scored_pictures"},
        {"protocol", "report", "report_page", "figure"},
        {"scoring"},
        {"cli"},
        {"__main__"},
    ],
    "hggt_models": [
        {"reflection", "typed_settings"},
        {"networks", "degradation", "targets", "runtime", "stopping"},
        {"checkpoint", "tiling", "record", "losses"},
        {"config", "inference", "push", "map_picture"},
        {"recipes", "pairs"},
        {"training"},
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


@pytest.mark.parametrize("package", LAYERS)
def test_modules_import_only_from_below(package: str) -> None:
    layers = LAYERS[package]
    rank = {module: number for number, layer in enumerate(layers) for module in layer}
    found = []
    for path in modules_of(package):
        own = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        assert own in rank, f"{path.relative_to(ROOT)} stands in no layer; add it where it belongs"
        for module, _ in imported_modules(path):
            parts = module.split(".")
            if parts[0] == package and len(parts) > 1 and parts[1] != own and rank[parts[1]] >= rank[own]:
                found.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not found


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("hggt_data", {"torch", "datasets", "huggingface_hub", "PIL"}),
        ("hggt_data.cli", {"torch", "datasets", "huggingface_hub", "pyarrow", "PIL", "numpy"}),
        ("hggt_eval.cli", {"torch", "torchvision", "lpips", "piq", "torchmetrics", "cv2", "datasets", "pyarrow"}),
        ("hggt_models", {"torch", "datasets", "huggingface_hub", "PIL", "numpy"}),
        ("hggt_models.cli", {"torch", "datasets", "huggingface_hub", "pyarrow", "PIL", "numpy"}),
    ],
)
def test_importing_a_module_loads_nothing_heavy(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({heavy!r} & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not loaded
