"""The notebooks in docs/notebooks run, and show what they computed."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert {path.name for path in NOTEBOOKS} == {"score_and_compare.ipynb", "which_metric_agrees.ipynb"}


@pytest.mark.parametrize("name", [path.name for path in NOTEBOOKS])
def test_a_notebook_runs_and_its_outputs_are_up_to_date(name: str) -> None:
    run_notebook = runpy.run_path(str(ROOT / "scripts/run_notebooks.py"))["run_notebook"]
    text = (FOLDER / name).read_text("utf-8")
    assert run_notebook(text) == text, "run python scripts/run_notebooks.py and read the change"


def test_tables_are_shown_as_tables() -> None:
    cells = [cell for path in NOTEBOOKS for cell in json.loads(path.read_text("utf-8"))["cells"]]
    shown = [output["data"] for cell in cells for output in cell.get("outputs", ()) if "data" in output]
    tables = ["".join(data["text/html"]) for data in shown if "text/html" in data]
    assert len(tables) == 4
    assert all(table.count("<table>") == table.count("</table>") > 0 for table in tables)
