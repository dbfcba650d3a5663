"""Small annotation rounds whose assignments are written out in the test."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from hggt_data.annotate.round import Annotator, Item, Kind, KnownAnswer, Round, write_round
from hggt_data.schema import HGGT_PROTOCOL, Annotation, Label, Protocol
from hggt_data.tree.hggt_labels import format_annotation
from tests.hggt_data.trees import FOUR, write_bytes, write_tree

IDS = ("p0-0-0", "p1-0-0", "p2-0-0", "p3-0-0")


def votes(*ids: str) -> tuple[Item, ...]:
    return tuple(Item(Kind.VOTE, group) for group in ids)


def make_round(
    folder: Path,
    batches: Mapping[str, Sequence[tuple[Item, ...]]],
    *,
    patches: Path | None = None,
    candidates: tuple[str, ...] = FOUR,
    known: Mapping[str, KnownAnswer] | None = None,
    size: tuple[int, int] = (16, 16),
    protocol: Protocol = HGGT_PROTOCOL,
) -> Round:
    """Write a round for these annotators; pictures are noise unless `patches` has them."""
    if patches is None:
        groups = sorted({str(item.group) for assigned in batches.values() for batch in assigned for item in batch})
        patches = write_tree(folder / "pictures", groups, candidates=candidates, size=size) / "images" / "0-9"
    annotators = tuple(
        Annotator(name, f"annotator-{number:06x}", tuple(assigned))
        for number, (name, assigned) in enumerate(batches.items())
    )
    round_ = Round(
        folder / "round",
        patches,
        candidates,
        votes=2,
        per_batch=1000,
        seed=0,
        secret="a secret",
        annotators=annotators,
        known=known or {},
        protocol=protocol,
    )
    write_round(round_)
    return round_


def judge(round_: Round, annotator: Annotator, group: str, kind: Kind = Kind.VOTE) -> None:
    rng = random.Random(f"{annotator.name} {group}")
    labels = tuple(rng.choice(list(Label)) for _ in round_.candidates)
    start = datetime(2026, 1, 1) + timedelta(seconds=rng.randrange(10**6))
    annotation = Annotation("A", labels, start, start + timedelta(seconds=30), 30)
    text = format_annotation(annotation, group, round_.candidates)
    write_bytes(round_.answer_path(annotator, Item(kind, group)), text.encode())


def skip(round_: Round, annotator: Annotator, group: str) -> None:
    write_bytes(round_.skip_path(annotator, Item(Kind.VOTE, group)), b'{"reason": "black"}')
