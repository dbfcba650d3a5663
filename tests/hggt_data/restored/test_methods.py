"""Names of methods, and the file that lists them."""

from pathlib import Path

import pytest

from hggt_data.errors import MatchError
from hggt_data.restored.methods import REPORT_FILES, Method, name_methods, read_methods, require_distinct


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[m\n", "not a TOML file"),
        ("", "no methods"),
        ('[m]\npatern = "x"\ndir = "y"', r"unknown key 'patern'; did you mean 'pattern'\?"),
        ('[m]\npattern = "{id}.png"', "needs 'dir'"),
        ('[m]\ndir = "d"\npattern = "{name}.png"', "must contain {id} and no other braces"),
        ('[m]\ndir = "d"\npattern = "{id}.png"\nmap = "x.csv"', "has both 'pattern' and 'map'"),
        ("[m]\ndir = 3", "'dir' is 3; expected text"),
        ('m = "x"', "is not a table"),
    ],
)
def test_faults_of_a_methods_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "methods.toml").write_text(text)
    with pytest.raises(MatchError, match=message):
        read_methods(tmp_path / "methods.toml")


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["out/bicubic"], ["bicubic"]),
        (["out/swinir/Test-100", "out/rrdb/Test-100"], ["swinir", "rrdb"]),
        (["out/a/b/res", "out/c/d/res"], ["b", "d"]),
        (["a/1", "b/1", "b/2"], ["a-1", "b-1", "b-2"]),
        (["x/A", "y/a"], ["x-A", "y-a"]),
        (["out", "out/rrdb"], ["out", "rrdb"]),
    ],
)
def test_default_names(paths: list[str], names: list[str]) -> None:
    assert [method.name for method in name_methods([(None, Path(path)) for path in paths])] == names


def test_clashing_names_are_an_error() -> None:
    with pytest.raises(MatchError, match=r"'A' differs from 'a' only in case: x and y; name them with NAME=DIR"):
        require_distinct([Method("a", Path("x")), Method("A", Path("y"))])
    with pytest.raises(MatchError, match="two methods have the name 'rrdb'"):
        name_methods([(None, Path("rrdb")), (None, Path("rrdb"))])


@pytest.mark.parametrize("name", ["", "a/b", "a.", REPORT_FILES[0]])
def test_names_that_cannot_name_a_folder_are_refused(name: str) -> None:
    with pytest.raises(MatchError, match="choose another one with NAME=DIR"):
        Method(name, Path("x"))
