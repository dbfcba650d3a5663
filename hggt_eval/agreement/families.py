"""Families of versions: what sort of method made them. Accuracies can be reported for each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hggt_data.errors import TableError
from hggt_data.groups import GroupSource
from hggt_data.io.files import iterate_csv
from hggt_data.io.text import format_examples, nearest
from hggt_data.schema import ORIGINAL
from hggt_eval.agreement.pairs import Pair

# SRIQA-Bench's MOS of some methods only, which tell the two families apart.
_FAMILIES_OF_MOS = {"MOS_Reg": "regression", "MOS_Gen": "generative"}


@dataclass(frozen=True, slots=True)
class Families:
    """The family of each version or group; a version that is not named is its own family.

    Attributes:
        of_versions: Version -> family.
        of_groups: Group -> family of all its versions.
    """

    of_versions: Mapping[str, str] = field(default_factory=dict)
    of_groups: Mapping[str, str] = field(default_factory=dict)

    def name(self, pair: Pair) -> str:
        """The families of a pair's two versions; one word if they are of the same.

        Example:
            >>> families = Families({"a": "generative", "b": "regression"})
            >>> families.name(Pair("x1", "x1", "b", "a", 1.0, "votes", "judged"))
            'generative, regression'
        """
        versions = [name for name in (pair.first, pair.second) if name != ORIGINAL]
        own = {self.of_groups.get(pair.group) or self.of_versions.get(name, name) for name in versions}
        return ", ".join([*sorted(own), *([ORIGINAL] if pair.has_original else [])])


def find_families(source: GroupSource, path: Path | None) -> Families:
    """The families in a CSV file; without one, regression and generative methods of SRIQA-Bench by its MOS files."""
    if path is not None:
        return _read_families(path, source)
    if source.layout != "sriqa":
        return Families()
    scored = ((score.candidate, score.question) for group in source for score in group.scores)
    return Families({name: _FAMILIES_OF_MOS[asked] for name, asked in scored if asked in _FAMILIES_OF_MOS})


def _read_families(path: Path, source: GroupSource) -> Families:
    """A CSV file with a line for every candidate (`version,family`) or group (`group,family`)."""
    columns, lines = iterate_csv(path)
    expected: Iterable[str] = source.candidates if tuple(columns) == ("version", "family") else source.ids
    if tuple(columns) not in (("version", "family"), ("group", "family")):
        raise TableError(f"{path}: columns {','.join(columns)}; expected version,family or group,family")
    known = set(expected)
    found: dict[str, str] = {}
    for number, (name, family) in lines:
        if name not in known:
            hint = source.suggest(name) if columns[0] == "group" else f"; {nearest(name, source.candidates)}"
            raise TableError(f"{path}, line {number}: {source.location} has no {columns[0]} {name!r}{hint}")
        if name in found or not family:
            fault = "occurs twice" if name in found else "has no family"
            raise TableError(f"{path}, line {number}: {columns[0]} {name} {fault}; expected one line with its family")
        found[name] = family
    if missing := sorted(known - found.keys()):
        raise TableError(f"{path} lacks {len(missing)} of {len(known)} {columns[0]}s: {format_examples(missing)}")
    return Families(found) if columns[0] == "version" else Families(of_groups=found)
