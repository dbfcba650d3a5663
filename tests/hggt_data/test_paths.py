"""What functions that `hggt_data` exports do with paths: text is a path, and a missing one is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hggt_data as hd


def test_labels_are_counted_and_files_matched_by_the_path_of_a_tree(
    fixtures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fixtures)
    groups = hd.open_groups("Test")
    assert hd.count_labels("Test") == hd.count_labels(groups)
    [found] = hd.match_restored([hd.Method("bicubic", "restored/bicubic")], "Test")
    assert list(found.files) == groups.ids
    with pytest.raises(hd.SettingsError, match="already open; pass `split` and `revision` when you open it"):
        hd.count_labels(groups, "test")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hd.count_labels("no"), hd.TreeError, "no: no such folder; expected a tree, a built dataset, or"),
        (lambda: hd.cut_patches("no", "out", hd.PatchSettings()), hd.TreeError, "no: no such folder"),
        (lambda: hd.extract_subimages(["no"], "out", hd.SubimageSettings()), hd.TreeError, "no: no such folder"),
        (lambda: hd.match_restored([hd.Method("m", "no")], "Test"), hd.MatchError, "no such folder of restored images"),
        (lambda: hd.read_methods("no.toml"), hd.MatchError, "no.toml: no such file"),
        (lambda: hd.reassign_groups("no"), hd.RoundError, "no: no such folder; expected an annotation round"),
        (lambda: build(sources="no.csv"), hd.TableError, "no.csv: no such file"),
        (lambda: build(citation="no.bib"), hd.TreeError, "no.bib: no such file"),
    ],
)
def test_a_missing_path_is_named(
    fixtures: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[], object], error: type[Exception], message: str
) -> None:
    monkeypatch.chdir(fixtures)
    with pytest.raises(error, match=message):
        call()
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: hd.BuildSettings("Train", "out"), "trees"),
        (lambda: hd.deal_groups("patches", "out", "Ada", hd.DealSettings()), "names"),
        (lambda: hd.reassign_groups("round", drop="Ada"), "drop"),
        (lambda: hd.extract_subimages("pictures", "out", hd.SubimageSettings()), "inputs"),
    ],
)
def test_a_text_is_not_a_list_of_letters(call: Callable[[], object], name: str) -> None:
    with pytest.raises(hd.SettingsError, match=f"`{name}` is '[A-Za-z]+'; expected a list"):
        call()


def test_another_kind_of_argument_is_named(fixtures: Path) -> None:
    groups = hd.open_groups(fixtures / "Train")
    with pytest.raises(hd.SettingsError, match=r"`group` is <6 groups.*; expected PatchGroup: a group of"):
        hd.preference_pairs(groups)  # type: ignore[arg-type]
    with pytest.raises(hd.SettingsError, match="`methods` is 'a'; expected Method: make them with `name_methods`"):
        hd.match_restored("a", groups)  # type: ignore[arg-type]


def build(**inputs: Any) -> hd.BuildResult:
    return hd.build_dataset(hd.BuildSettings(["Train"], "out", **inputs))
