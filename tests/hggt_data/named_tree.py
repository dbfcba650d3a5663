"""A small tree whose annotators must stay anonymous, and its dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hggt_data.dataset.build import BuildSettings, build_dataset
from tests.hggt_data.trees import write_annotation, write_bytes, write_tree
from tests.hub_client import Outcome
from tests.hub_server import HubServer

REPO = "lab/hggt"
IDS = ("p0-0-0", "p1-0-0", "p2-0-0")
CANDIDATES = ("01", "02")
# Two annotators share the slots A and B, one slot is named after an annotator, and one annotation has no annotator.
ALICE, BOB, CAROL = "Alice Ng", "bob@example.org", "carol"
ANNOTATORS = {
    ("p0-0-0", "A"): ALICE,
    ("p0-0-0", "B"): BOB,
    ("p1-0-0", "A"): BOB,
    ("p1-0-0", "B"): ALICE,
    ("p2-0-0", "A"): ALICE,
}


@dataclass(frozen=True)
class Published:
    """A tree, the dataset built from it, the Hub that has it as `REPO`, and what the publisher saw."""

    hub: HubServer
    tree: Path
    dataset: Path
    outcome: Outcome


def remote_files(hub: HubServer, ref: str = "main") -> dict[str, bytes]:
    """The pushed files: all files of `REPO` except the one that the Hub itself creates."""
    return {path: data for path, data in hub.files(REPO, ref).items() if path != ".gitattributes"}


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by their relative paths."""
    for path, data in files.items():
        write_bytes(folder / path, data)
    return folder


def write_named_tree(
    root: Path, ids: Sequence[str] = IDS, annotators: Mapping[tuple[str, str], str] = ANNOTATORS
) -> Path:
    """Write a tree of 16 x 16 pictures with the slots A, B and carol."""
    write_tree(root, ids, candidates=CANDIDATES, slots="AB")
    for group_id in ids:
        write_annotation(root / f"labels/0-9/{CAROL}/{group_id}.json", group_id, CAROL, CANDIDATES)
    lines = [f"{group},{slot},{name}" for (group, slot), name in annotators.items() if group in ids]
    (root / "annotators.csv").write_text("\n".join(["group,slot,pseudonym", *lines, ""]), "utf-8")
    return root


def build_named(tree: Path, output: Path) -> Path:
    """Build a tree's dataset in shards of one group, under a licence that allows everything."""
    build_dataset(BuildSettings(trees=(tree,), output=output, license="cc0-1.0", groups_per_shard=1, workers=1))
    return output
