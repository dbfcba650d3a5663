"""Blind rounds: a page shows one candidate and its original, in random order, and does not say which is which.

The label that a page sends compares the first with the second. When all pairs of a group are judged, its label file is
written like that of any other round; `shown/` records each pair from its answer on.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

from hggt_data.annotate.answers import is_full_zoom
from hggt_data.annotate.round import Annotator, Item
from hggt_data.annotate.web.store import Answer, AnswerStore
from hggt_data.io.files import read_regular_file, write_json
from hggt_data.io.parsing import parse_json, read_value
from hggt_data.schema import ORIGINAL, Annotation, Label

# An original that returned at once would be recognised; groups are judged together in parts of at least so many.
_GROUPS_TOGETHER = 10
_OPPOSITE = {Label.POSITIVE: Label.NEGATIVE, Label.SIMILAR: Label.SIMILAR, Label.NEGATIVE: Label.POSITIVE}


class BlindStore(AnswerStore):
    """An `AnswerStore` whose pages are pairs: items with a candidate."""

    num_candidates = 1

    def pages(self, annotator: Annotator, batch: Sequence[Item]) -> Sequence[Item]:
        """The pairs of a batch: those of a group have as many others between them as there are groups in their part."""
        number = max(1, len(batch) // _GROUPS_TOGETHER)
        edges = [len(batch) * k // number for k in range(number + 1)]
        parts = [batch[first:last] for first, last in pairwise(edges)]
        return [
            Item(item.kind, item.group, name)
            for part in parts
            for names in zip(*(self._turns(annotator, item) for item in part), strict=True)
            for item, name in zip(part, names, strict=True)
        ]

    def _turns(self, annotator: Annotator, item: Item) -> Sequence[str]:
        """The candidates of a group in the order of their pages; the same for a repeat, which so stays far away."""
        return sorted(self.round.candidates, key=lambda name: self._digest(annotator, item.group, name))

    def order(self, annotator: Annotator, item: Item) -> tuple[str, ...]:
        """The two names of a pair in the order in which this annotator sees them."""
        assert item.candidate is not None
        return tuple(sorted((ORIGINAL, item.candidate), key=lambda name: self._digest(annotator, item, name)))

    def shown(self, annotator: Annotator, item: Item) -> tuple[str, ...]:
        return self.order(annotator, item)

    def correct(self, annotator: Annotator, item: Item) -> tuple[Label | None, ...]:
        correct = dict(zip(self.round.candidates, self.round.known[item.group].labels, strict=True))
        return self._labels_sent(annotator, item, [correct[str(item.candidate)]])

    def parse(self, content: object) -> Answer:
        return Answer.parse(content, num_labels=1, num_versions=2)

    def _page_answers(self, annotator: Annotator) -> Mapping[Item, Annotation]:
        return self._pairs[annotator.pseudonym]

    def _labels(self, annotator: Annotator, item: Item, sent: Sequence[Label]) -> tuple[Label, ...]:
        is_first = self.order(annotator, item)[0] == item.candidate
        return tuple(label if is_first else _OPPOSITE[label] for label in sent)

    def _labels_sent(
        self, annotator: Annotator, item: Item, labels: Sequence[Label | None]
    ) -> tuple[Label | None, ...]:
        known = [label for label in labels if label is not None]
        return self._labels(annotator, item, known) or (None,)  # both ways are the same

    def _history(self, annotator: Annotator, item: Item) -> list[Any]:
        record = _read_records(self.round.shown_path(annotator, item)).get(str(item.candidate), {})
        return list(record.get("earlier", []))

    def _write(self, annotator: Annotator, item: Item, annotation: Annotation, record: dict[str, Any]) -> None:
        known = self._page_answers(annotator)
        pages = [Item(item.kind, item.group, name) for name in self.round.candidates]
        pairs = [annotation if page == item else known.get(page) for page in pages]
        judged = [pair for pair in pairs if pair is not None]
        [label] = annotation.labels
        assert label is not None
        times = {"start": str(annotation.start), "end": str(annotation.end)}
        path = self.round.shown_path(annotator, item)
        records = _read_records(path) | {str(item.candidate): {"label": label.value, **times, **record}}
        # A candidate counts as seen for as long as the less seen one of its pair.
        seen = {name: min(pair["full_zoom_s"].values(), default=None) for name, pair in records.items()}
        full_zoom_s = {name: seconds for name, seconds in seen.items() if seconds is not None}
        if len(full_zoom_s) < len(pairs):
            full_zoom_s = {}
        write_json(path, {"full_zoom_s": full_zoom_s, "pairs": records})
        self._require_in_place()
        if len(judged) == len(pairs):
            self._write_answer(annotator, item.whole, _join(judged))
            self._full_zoom[annotator.pseudonym][item.whole] = is_full_zoom(full_zoom_s.values())
        self._pairs[annotator.pseudonym][item] = annotation


def _join(pairs: Sequence[Annotation]) -> Annotation:
    """The answer to a group: the labels of its pairs, from the first to the last time, with their seconds."""
    return Annotation(
        pairs[0].slot,
        tuple(pair.labels[0] for pair in pairs),
        min((pair.start for pair in pairs if pair.start), default=None),
        max((pair.end for pair in pairs if pair.end), default=None),
        sum(pair.seconds or 0 for pair in pairs),
        pairs[0].annotator,
    )


class _Record(TypedDict):
    full_zoom_s: dict[str, float]


class _Records(TypedDict):
    pairs: dict[str, Any]


def _read_records(path: Path) -> dict[str, Any]:
    """How the pairs of a group were shown, as far as this is recorded."""
    try:
        records = read_value(_Records, parse_json(read_regular_file(path)))["pairs"]
        for record in records.values():
            read_value(_Record, record)
    except (OSError, ValueError):
        return {}
    return records
