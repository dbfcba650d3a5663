"""The simulated groups of scripts/small_experiment.py: what people see is what was done to the candidates."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from hggt_data import open_groups
from hggt_data.schema import ORIGINAL, Label
from hggt_data.tree.hggt_folders import official_train

SCRIPTS = Path(__file__).parents[1] / "scripts"


def test_simulated_people_call_spoilt_candidates_negative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    from simulated_groups import detailed_patches, read_photograph, write_group

    photographs = sorted((files("hggt_data.tree") / "demo_pictures").iterdir(), key=lambda path: path.name)
    patches = [
        patch for path in photographs for patch in detailed_patches(path.name[:-4], read_photograph(Path(str(path))))
    ]
    section = official_train(tmp_path / "Train", len(patches))
    for patch, original in patches:
        write_group(section, str(patch), original, [original])

    distances: dict[Label | None, list[float]] = {label: [] for label in (*Label, None)}
    for group in open_groups(tmp_path / "Train"):
        original = group.read(ORIGINAL).astype(float)
        for name, label in zip(group.candidates, group.consensus, strict=True):
            distances[label].append(float(np.abs(group.read(name) - original).mean()))
    assert len(distances[Label.POSITIVE]) >= len(patches)
    assert np.mean(distances[Label.POSITIVE]) < np.mean(distances[Label.SIMILAR]) < np.mean(distances[Label.NEGATIVE])
