"""Count the labels of a tree or dataset and how well annotators agree, and show it as text, JSON or one HTML page.

The numbers come from `agreement.py`; nothing here reads pictures. The page is self-contained: inline SVG and CSS, no
script, nothing fetched.
"""

import math
import textwrap
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hggt_data.agreement import (
    MISSING,
    ORDINAL_LABELS,
    VoteTable,
    confusion_with_consensus,
    dawid_skene,
    fleiss_kappa,
    krippendorff_alpha,
    labels_by_annotator,
    labels_by_slot,
    pairwise_agreement,
    vote_of,
)
from hggt_data.loading import GroupSource
from hggt_data.schema import Label, PatchGroup

# A table of all pairs of 20 annotators would bury the rest; the pairs that agree least are the ones to look at.
_MAX_PAIRS = 15

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """How often each label was given; `missing` counts votes that are missing, or pictures without a consensus."""

    positive: int
    similar: int
    negative: int
    missing: int

    @property
    def given(self) -> int:
        """How many labels there are."""
        return self.positive + self.similar + self.negative

    def count(self, label: Label) -> int:
        """How often a label was given."""
        return {Label.POSITIVE: self.positive, Label.SIMILAR: self.similar, Label.NEGATIVE: self.negative}[label]

    def share(self, label: Label) -> float:
        """The label's share of those given; NaN if none was."""
        return _ratio(self.count(label), self.given)

    def to_json(self) -> dict[str, Any]:
        """Counts and shares as a plain dict."""
        return {
            "given": self.given,
            "missing": self.missing,
            "counts": {label.class_name: self.count(label) for label in Label},
            "shares": {label.class_name: _json_number(self.share(label)) for label in Label},
        }


@dataclass(frozen=True, slots=True)
class RaterAgreement:
    """How raters, all slots or all annotators, agree with each other and with the consensus.

    Attributes:
        raters: their names, sorted.
        share: `[a][b]` the share of pictures judged by both on which they agree, NaN if there is none.
        shared_items: `[a][b]` how many pictures both judged.
        confusion: `[rater][consensus][given]` counts, labels in the order of `agreement.ORDINAL_LABELS`.
    """

    raters: tuple[str, ...]
    share: tuple[tuple[float, ...], ...]
    shared_items: tuple[tuple[int, ...], ...]
    confusion: tuple[tuple[tuple[int, ...], ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Names as keys: pairs as `{a: {b: ...}}`, confusion as `{rater: {consensus: {given: count}}}`."""
        names = [label.class_name for label in ORDINAL_LABELS]
        return {
            "pairwise": {
                a: {
                    b: {"share": _json_number(self.share[i][j]), "shared_items": self.shared_items[i][j]}
                    for j, b in enumerate(self.raters)
                    if i != j
                }
                for i, a in enumerate(self.raters)
            },
            "confusion_with_consensus": {
                rater: {names[k]: dict(zip(names, row, strict=True)) for k, row in enumerate(matrix)}
                for rater, matrix in zip(self.raters, self.confusion, strict=True)
            },
        }


@dataclass(frozen=True, slots=True)
class SecondsSummary:
    """Seconds that a slot took for a group. All but the counts are NaN where no time is known.

    Attributes:
        num_groups: groups whose time is known.
        num_missing: groups that the slot annotated without a usable time.
        mean, lowest_5_percent, lower_quartile, median, upper_quartile, highest_5_percent: the 5 percent are where the
            fastest and slowest twentieth begin; single forgotten clocks do not move them.
    """

    num_groups: int
    num_missing: int
    mean: float
    lowest_5_percent: float
    lower_quartile: float
    median: float
    upper_quartile: float
    highest_5_percent: float

    def to_json(self) -> dict[str, Any]:
        """The fields as a plain dict."""
        counts = {"num_groups": self.num_groups, "num_missing": self.num_missing}
        names = [name for name in self.__slots__ if name not in counts]
        return {**counts, **{name: _json_number(getattr(self, name)) for name in names}}


@dataclass(frozen=True, slots=True)
class DawidSkeneSummary:
    """What the Dawid-Skene model would decide otherwise.

    Attributes:
        raters_are: `annotator` where every annotation names its annotator, else `slot`.
        accuracies: (rater, how likely a vote of theirs is right according to the model).
        num_consensus: pictures that have a consensus.
        num_changed: of these, how many would get another label.
        num_filled: pictures without a consensus, but with a vote, that would get a label.
    """

    raters_are: Literal["slot", "annotator"]
    accuracies: tuple[tuple[str, float], ...]
    num_consensus: int
    num_changed: int
    num_filled: int

    def to_json(self) -> dict[str, Any]:
        """The fields as a plain dict, accuracies by rater."""
        return {
            "raters_are": self.raters_are,
            "accuracies": {rater: _json_number(accuracy) for rater, accuracy in self.accuracies},
            "num_consensus": self.num_consensus,
            "num_changed": self.num_changed,
            "num_filled": self.num_filled,
        }


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """Counts and agreement over all groups of a source. A *picture* is one candidate of one group.

    Attributes:
        num_groups, candidates, slots, annotators: what there is; annotators are those known by name.
        votes: one per candidate, over all votes.
        consensus: one per candidate.
        groups_by_positives, groups_by_negatives: `[k]` is how many groups have k candidates with that consensus.
        num_with_positive: groups with at least one Positive.
        num_all_similar: groups all of whose candidates are Similar; they cannot serve positive+negative training.
        num_without_consensus: groups with a candidate that has no consensus.
        agreement_levels: (how many gave the consensus label, how many pictures), over pictures with a consensus; 1
            means that the votes were tied or all different and fell to Similar.
        alpha_nominal, alpha_ordinal, fleiss, num_fleiss_items: see `agreement.py`. Over slots; alpha
            is the same over people.
        by_slot: agreement of slots, each of which several people may have filled.
        by_annotator: agreement of people; null if none is known.
        seconds: one per slot.
        dawid_skene: null if not asked for, or if there is no vote.
    """

    num_groups: int
    candidates: tuple[str, ...]
    slots: tuple[str, ...]
    annotators: tuple[str, ...]
    votes: tuple[LabelCounts, ...]
    consensus: tuple[LabelCounts, ...]
    groups_by_positives: tuple[int, ...]
    groups_by_negatives: tuple[int, ...]
    num_with_positive: int
    num_all_similar: int
    num_without_consensus: int
    agreement_levels: tuple[tuple[int, int], ...]
    alpha_nominal: float
    alpha_ordinal: float
    fleiss: float
    num_fleiss_items: int
    by_slot: RaterAgreement
    by_annotator: RaterAgreement | None
    seconds: tuple[SecondsSummary, ...]
    dawid_skene: DawidSkeneSummary | None

    def to_json(self) -> dict[str, Any]:
        """A plain dict for a JSON file: numbers unrounded, what is undefined is null."""
        return {
            "num_groups": self.num_groups,
            "candidates": list(self.candidates),
            "slots": list(self.slots),
            "annotators": list(self.annotators),
            "votes": {name: counts.to_json() for name, counts in zip(self.candidates, self.votes, strict=True)},
            "consensus": {name: counts.to_json() for name, counts in zip(self.candidates, self.consensus, strict=True)},
            "groups": {
                "by_num_positive": list(self.groups_by_positives),
                "by_num_negative": list(self.groups_by_negatives),
                "with_positive": self.num_with_positive,
                "all_similar": self.num_all_similar,
                "without_consensus": self.num_without_consensus,
            },
            "agreement_levels": {str(level): count for level, count in self.agreement_levels},
            "krippendorff_alpha": {
                "nominal": _json_number(self.alpha_nominal),
                "ordinal": _json_number(self.alpha_ordinal),
            },
            "fleiss_kappa": {"kappa": _json_number(self.fleiss), "num_items": self.num_fleiss_items},
            "by_slot": self.by_slot.to_json(),
            "by_annotator": self.by_annotator and self.by_annotator.to_json(),
            "seconds_per_group": {
                slot: seconds.to_json() for slot, seconds in zip(self.slots, self.seconds, strict=True)
            },
            "dawid_skene": self.dawid_skene and self.dawid_skene.to_json(),
        }


def count_labels(source: GroupSource, dawid_skene: bool = False) -> LabelStatistics:
    """Count labels and measure agreement, in one pass over the groups.

    Labels are kept as a byte each and times as eight: 20,000 groups of three annotators peak at about 13 MB.

    Args:
        source: a tree or dataset, from `open_groups`. Only labels are read.
        dawid_skene: also infer labels with the Dawid-Skene model and compare.

    Raises:
        AnnotationError: an annotation has faults.
        OSError: one cannot be read.

    Example:
        >>> from hggt_data import open_groups
        >>> from hggt_data.demo import write_demo_tree
        >>> statistics = count_labels(open_groups(write_demo_tree(getfixture("tmp_path")).train))
        >>> statistics.slots, statistics.seconds[0].num_missing
        (('A', 'B', 'C'), 0)
    """
    tally = _Tally(source.candidates)
    for group in source:
        tally.add(group)
    return tally.result(dawid_skene)


class _Tally:
    """What one pass over the groups collects."""

    def __init__(self, candidates: tuple[str, ...]) -> None:
        self._candidates = candidates
        self._num_groups = 0
        self._by_slot = VoteTable()
        self._by_annotator = VoteTable()
        self._all_named = True
        self._consensus = array("b")
        self._agreement = array("i")
        self._seconds: dict[str, array[float]] = {}
        self._num_untimed: dict[str, int] = {}

    def add(self, group: PatchGroup) -> None:
        self._num_groups += 1
        self._by_slot.add(len(self._candidates), labels_by_slot(group))
        self._by_annotator.add(len(self._candidates), labels_by_annotator(group))
        self._consensus.extend(vote_of(label) for label in group.consensus)
        self._agreement.extend(group.agreement)
        for annotation in group.annotations:
            self._all_named &= annotation.annotator is not None
            times = self._seconds.setdefault(annotation.slot, array("d"))
            if annotation.seconds is None:
                self._num_untimed[annotation.slot] = self._num_untimed.get(annotation.slot, 0) + 1
            else:
                times.append(annotation.seconds)

    def result(self, infer: bool) -> LabelStatistics:
        votes, people = self._by_slot.votes(), self._by_annotator.votes()
        consensus = np.array(self._consensus, dtype=np.int8)
        agreement = np.array(self._agreement, dtype=np.int32)[consensus != MISSING]
        levels, level_counts = np.unique(agreement, return_counts=True)
        table = consensus.reshape(self._num_groups, len(self._candidates))
        positives = (table == vote_of(Label.POSITIVE)).sum(axis=1)
        negatives = (table == vote_of(Label.NEGATIVE)).sum(axis=1)
        kappa, num_complete = fleiss_kappa(votes)
        by_person = self._all_named and people.shape[1] > 0
        raters, rater_votes = (self._by_annotator, people) if by_person else (self._by_slot, votes)
        inferred = None
        if infer and (votes != MISSING).any():
            kind: Literal["slot", "annotator"] = "annotator" if by_person else "slot"
            inferred = _infer_labels(kind, raters.raters, rater_votes, consensus)
        return LabelStatistics(
            num_groups=self._num_groups,
            candidates=self._candidates,
            slots=self._by_slot.raters,
            annotators=self._by_annotator.raters,
            votes=self._count_per_candidate(votes),
            consensus=self._count_per_candidate(consensus[:, None]),
            groups_by_positives=self._count_groups(positives),
            groups_by_negatives=self._count_groups(negatives),
            num_with_positive=int((positives > 0).sum()),
            num_all_similar=int((table == vote_of(Label.SIMILAR)).all(axis=1).sum()),
            num_without_consensus=int((table == MISSING).any(axis=1).sum()),
            agreement_levels=tuple(zip(levels.tolist(), level_counts.tolist(), strict=True)),
            alpha_nominal=krippendorff_alpha(votes, "nominal"),
            alpha_ordinal=krippendorff_alpha(votes, "ordinal"),
            fleiss=kappa,
            num_fleiss_items=num_complete,
            by_slot=_measure_agreement(self._by_slot.raters, votes, consensus),
            by_annotator=_measure_agreement(self._by_annotator.raters, people, consensus) if people.shape[1] else None,
            seconds=tuple(
                _summarise_seconds(self._seconds[slot], self._num_untimed.get(slot, 0)) for slot in self._by_slot.raters
            ),
            dawid_skene=inferred,
        )

    def _count_per_candidate(self, votes: Int8Array) -> tuple[LabelCounts, ...]:
        """Votes are (groups x candidates, raters)."""
        per_candidate = votes.reshape(self._num_groups, len(self._candidates), votes.shape[1])
        return tuple(
            LabelCounts(
                **{label.class_name: int((per_candidate[:, k] == vote_of(label)).sum()) for label in Label},
                missing=int((per_candidate[:, k] == MISSING).sum()),
            )
            for k in range(len(self._candidates))
        )

    def _count_groups(self, numbers: npt.NDArray[np.int64]) -> tuple[int, ...]:
        return tuple(np.bincount(numbers, minlength=len(self._candidates) + 1).tolist())


def _measure_agreement(raters: tuple[str, ...], votes: Int8Array, consensus: Int8Array) -> RaterAgreement:
    share, shared_items = pairwise_agreement(votes)
    confusion = confusion_with_consensus(votes, consensus)
    return RaterAgreement(
        raters,
        share=tuple(tuple(row) for row in share.tolist()),
        shared_items=tuple(tuple(row) for row in shared_items.tolist()),
        confusion=tuple(tuple(tuple(row) for row in matrix) for matrix in confusion.tolist()),
    )


def _summarise_seconds(seconds: "array[float]", num_missing: int) -> SecondsSummary:
    if not seconds:
        return SecondsSummary(0, num_missing, *[math.nan] * 6)
    low, lower, median, upper, high = np.percentile(seconds, [5, 25, 50, 75, 95]).tolist()
    return SecondsSummary(len(seconds), num_missing, float(np.mean(seconds)), low, lower, median, upper, high)


def _infer_labels(
    raters_are: Literal["slot", "annotator"], raters: tuple[str, ...], votes: Int8Array, consensus: Int8Array
) -> DawidSkeneSummary:
    posterior, confusion, prior = dawid_skene(votes)
    inferred = posterior.argmax(axis=1)
    decided = consensus != MISSING
    return DawidSkeneSummary(
        raters_are,
        tuple((rater, float(prior @ np.diag(matrix))) for rater, matrix in zip(raters, confusion, strict=True)),
        num_consensus=int(decided.sum()),
        num_changed=int((inferred != consensus)[decided].sum()),
        num_filled=int(((votes != MISSING).any(axis=1) & ~decided).sum()),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _json_number(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if math.isnan(value) else value


# What text and page have in common: headings, notes and tables as rows of finished strings.


@dataclass(frozen=True, slots=True)
class _Table:
    """Columns and rows of finished text; the first `num_names` columns name the row, the others are numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_names: int = 1


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}"


def _decimal(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _seconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _overview(stats: LabelStatistics) -> str:
    parts = [
        _plural(stats.num_groups, "patch group"),
        f"{_plural(len(stats.candidates), 'candidate')} each ({', '.join(stats.candidates)})",
        f"{_plural(len(stats.slots), 'slot')} ({', '.join(stats.slots) or 'none'})",
    ]
    if stats.annotators:
        parts.append(_plural(len(stats.annotators), "known annotator"))
    return ", ".join(parts)


def _rater_note(stats: LabelStatistics) -> str:
    if stats.annotators:
        return "A slot is a place that any annotator may fill; people are listed apart where their names are known."
    return (
        "Statistics of slots: who filled a slot is not recorded, in the official data several people did, "
        "so a slot's figures are not those of one person."
    )


def _label_table(stats: LabelStatistics, counts: Sequence[LabelCounts], header: tuple[str, str]) -> _Table:
    """The header names the first column, the candidates, and the last, what has no label."""
    rows = tuple(
        (name, *(_percent(count.share(label)) for label in Label), f"{count.given:,}", f"{count.missing:,}")
        for name, count in zip(stats.candidates, counts, strict=True)
    )
    return _Table((header[0], *(label.class_name for label in Label), "labels", header[1]), rows)


def _facts_of_groups(stats: LabelStatistics) -> _Table:
    facts = {
        "with at least one positive": stats.num_with_positive,
        "with similar candidates only": stats.num_all_similar,
        "with a candidate without consensus": stats.num_without_consensus,
    }
    rows = tuple((name, f"{count:,}", _percent(_ratio(count, stats.num_groups))) for name, count in facts.items())
    return _Table(("groups", "number", "share"), rows)


def _groups_table(stats: LabelStatistics) -> _Table:
    pairs = zip(stats.groups_by_positives, stats.groups_by_negatives, strict=True)
    rows = tuple((str(k), f"{positive:,}", f"{negative:,}") for k, (positive, negative) in enumerate(pairs))
    return _Table(("candidates of that kind", "positive", "negative"), rows)


def _levels_table(stats: LabelStatistics) -> _Table:
    whole = sum(count for _, count in stats.agreement_levels)
    rows = tuple(
        (_level_name(level), f"{count:,}", _percent(_ratio(count, whole))) for level, count in stats.agreement_levels
    )
    return _Table(("who gave the consensus label", "pictures", "share"), rows)


def _level_name(level: int) -> str:
    return "1 (no majority: similar)" if level == 1 else f"{level} raters"


def _coefficients_table(stats: LabelStatistics) -> _Table:
    rows = (
        ("Krippendorff's alpha, ordinal", _decimal(stats.alpha_ordinal)),
        ("Krippendorff's alpha, nominal", _decimal(stats.alpha_nominal)),
        (f"Fleiss' kappa ({stats.num_fleiss_items:,} pictures with every vote)", _decimal(stats.fleiss)),
    )
    return _Table(("coefficient", "value"), rows)


_COEFFICIENTS_NOTE = (
    "1 is perfect agreement, 0 is chance. Ordinal alpha counts positive against negative as worse than either "
    "against similar."
)
_CONFUSION_NOTE = "A rater's own vote is part of the consensus, so these figures flatter."
_SECONDS_NOTE = (
    "As the annotation tool recorded them; annotations with a missing or impossible time count as 'no time'."
)


def _pairs_table(agreement: RaterAgreement) -> tuple[_Table, str]:
    """The pairs that agree least, and a note if there are more."""
    pairs = [
        (agreement.share[i][j], f"{a} and {b}", agreement.shared_items[i][j])
        for i, a in enumerate(agreement.raters)
        for j, b in enumerate(agreement.raters)
        if i < j and agreement.shared_items[i][j]
    ]
    shown = sorted(pairs) if len(pairs) > _MAX_PAIRS else pairs
    rows = tuple((names, _percent(share), f"{items:,}") for share, names, items in shown[:_MAX_PAIRS])
    note = f"The {_MAX_PAIRS} of {len(pairs)} pairs that agree least." if len(pairs) > _MAX_PAIRS else ""
    return _Table(("pair", "same label", "pictures"), rows), note


def _confusion_table(agreement: RaterAgreement, kind: str) -> _Table:
    rows = tuple(
        (rater if consensus is Label.POSITIVE else "", consensus.class_name, *shares, f"{total:,}")
        for rater, matrix in zip(agreement.raters, agreement.confusion, strict=True)
        for consensus, shares, total in _confusion_rows(matrix)
    )
    header = (kind, "where consensus is", *(f"said {label.class_name}" for label in Label), "pictures")
    return _Table(header, rows, num_names=2)


def _confusion_rows(matrix: tuple[tuple[int, ...], ...]) -> Iterable[tuple[Label, list[str], int]]:
    """(consensus, share of each label given, pictures), best label first."""
    for consensus in Label:
        row = matrix[vote_of(consensus)]
        yield consensus, [_percent(_ratio(row[vote_of(label)], sum(row))) for label in Label], sum(row)


def _seconds_table(stats: LabelStatistics) -> _Table:
    rows = tuple(
        (
            slot,
            _seconds(times.median),
            f"{_seconds(times.lower_quartile)}-{_seconds(times.upper_quartile)}" if times.num_groups else "-",
            _seconds(times.mean),
            f"{times.num_groups:,}",
            f"{times.num_missing:,}",
        )
        for slot, times in zip(stats.slots, stats.seconds, strict=True)
    )
    return _Table(("slot", "median", "quartiles", "mean", "groups", "no time"), rows)


def _accuracy_table(inferred: DawidSkeneSummary) -> _Table:
    rows = tuple((rater, _percent(accuracy)) for rater, accuracy in inferred.accuracies)
    return _Table((inferred.raters_are, "votes that are right"), rows)


def _inferred_note(inferred: DawidSkeneSummary) -> str:
    changed = _percent(_ratio(inferred.num_changed, inferred.num_consensus))
    note = f"The model would change {inferred.num_changed:,} of {inferred.num_consensus:,} consensus labels ({changed})"
    return f"{note} and give one to {_plural(inferred.num_filled, 'picture')} without consensus."


def format_statistics(stats: LabelStatistics) -> str:
    """The statistics as plain text of at most 100 columns, unless names are very long."""
    blocks = [
        _wrap(f"{_overview(stats)}."),
        _wrap(_rater_note(stats)),
        _block("Labels per candidate: all votes", _label_table(stats, stats.votes, ("candidate", "missing"))),
        _block("Labels per candidate: consensus", _label_table(stats, stats.consensus, ("candidate", "no consensus"))),
        _block("Groups", _facts_of_groups(stats)),
        _block("Groups by how many of their candidates are positive, or negative", _groups_table(stats)),
        _block("Agreement on a picture", _levels_table(stats)),
        _block("Agreement beyond chance", _coefficients_table(stats), _COEFFICIENTS_NOTE),
        *_rater_blocks(stats.by_slot, "slot"),
    ]
    if stats.by_annotator is not None:
        blocks += _rater_blocks(stats.by_annotator, "annotator")
    blocks.append(_block("Seconds per group", _seconds_table(stats), _SECONDS_NOTE))
    if stats.dawid_skene is not None:
        title = "Dawid-Skene model: how reliable each rater is"
        blocks.append(_block(title, _accuracy_table(stats.dawid_skene), _inferred_note(stats.dawid_skene)))
    return "\n\n".join(blocks) + "\n"


def _rater_blocks(agreement: RaterAgreement, kind: str) -> list[str]:
    pairs, note = _pairs_table(agreement)
    return [
        _block(f"How often two {kind}s give the same label", pairs, note),
        _block(f"What each {kind} said, by consensus", _confusion_table(agreement, kind), _CONFUSION_NOTE),
    ]


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, width=100, initial_indent=indent, subsequent_indent=indent)


def _block(title: str, table: _Table, note: str = "") -> str:
    lines = [table.header, *table.rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(table.header))]
    shown = [
        "  ".join(
            cell.ljust(width) if k < table.num_names else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([title, *(f"  {line}" for line in shown), *([_wrap(note, "  ")] if note else [])])


# The page. Drawings are 340 units wide, about as many pixels as a phone's card has, so that 13 units of text are 13 px.

_WIDTH = 340
_LINE = 20
_LONGEST_NAME = 16
# Okabe and Ito's colours that the common kinds of colour blindness keep apart; also light, lighter, dark in grey.
_COLOURS = {Label.POSITIVE: "#0072b2", Label.SIMILAR: "#c9ced6", Label.NEGATIVE: "#e69f00"}
_TEXT_ON = {Label.POSITIVE: "#ffffff", Label.SIMILAR: "#1c2530", Label.NEGATIVE: "#1c2530"}
_BAR = "#56798f"
# Light enough at its strongest for dark text.
_HEAT_RGB = (86, 180, 233)

_CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f3f5f7; color: #1c2530; font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 82rem; margin: 0 auto; padding: 1.5rem 0.75rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 0.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; line-height: 1.3; margin: 0 0 0.6rem; }
h3 { font-size: 1rem; margin: 0.9rem 0 0.4rem; overflow-wrap: anywhere; }
p { margin: 0 0 0.6rem; max-width: 46rem; }
.note { color: #4a5663; font-size: 0.875rem; margin: 0.6rem 0 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.75rem; margin: 1rem 0; }
.tile, .card { background: #fff; border: 1px solid #dde2e8; border-radius: 10px; }
.tile { padding: 0.7rem 0.85rem; font-size: 0.875rem; color: #4a5663; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.25; color: #1c2530; }
.cards { columns: 24rem; column-gap: 1rem; }
.cards + .card { margin-top: 1rem; }
.card { padding: 0.85rem; margin: 0 0 1rem; break-inside: avoid; }
.heats { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 0 1.5rem; }
svg { display: block; width: 100%; max-width: 30rem; height: auto; }
svg text { font-size: 13px; fill: #1c2530; }
svg .quiet { fill: #4a5663; }
svg .strong { font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; margin: 0 0 0.5rem; font-size: 0.875rem; }
.legend i { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px; margin-right: 0.4em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.25rem; text-align: right; border-bottom: 1px solid #e6eaee; vertical-align: bottom; }
th { font-weight: 600; }
.name { text-align: left; }
.heat th, .heat td { vertical-align: middle; }
.heat td, .heat th + th { border: 2px solid #fff; text-align: center; min-width: 3.6rem; }
.heat td small { display: block; font-size: 0.75rem; }
details { margin-top: 0.6rem; font-size: 0.875rem; }
details table { font-size: 0.8125rem; }
.note + .scroll { margin-top: 0.6rem; }
summary { cursor: pointer; padding: 0.25rem 0; }
"""


def format_statistics_html(stats: LabelStatistics, title: str) -> str:
    """The statistics as one HTML file with plots, for screens from phone to desktop.

    Args:
        stats: from `count_labels`.
        title: plain text for the heading, such as the name of the tree.

    Returns:
        A whole page that needs no script and no other file.
    """
    cards = [
        _card("Labels per candidate", _legend(), _draw_label_shares(stats), _label_details(stats)),
        _card("Agreement on a picture", _draw_levels(stats)),
        _card("Agreement beyond chance", _html_table(_coefficients_table(stats)), _note(_COEFFICIENTS_NOTE)),
        _pairs_card(stats.by_slot, "slot"),
    ]
    if stats.by_annotator is not None:
        cards.append(_pairs_card(stats.by_annotator, "annotator"))
    cards += [
        _card("Groups", _draw_groups(stats), _html_table(_facts_of_groups(stats))),
        _card("Seconds per group", _draw_seconds(stats), _html_table(_seconds_table(stats)), _note(_SECONDS_NOTE)),
    ]
    if stats.dawid_skene is not None:
        table = _html_table(_accuracy_table(stats.dawid_skene))
        cards.append(_card("Dawid-Skene model", table, _note(_inferred_note(stats.dawid_skene))))
    heats = [_confusion_card(stats.by_slot, "slot")]
    if stats.by_annotator is not None:
        heats.append(_confusion_card(stats.by_annotator, "annotator"))
    name = escape(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{name}</title>
<style>{_CSS}</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p>{escape(_overview(stats))}. A picture is one candidate of one group.</p>
<p>{escape(_rater_note(stats))}</p>
{_tiles(stats)}
<div class="cards">
{"".join(cards)}</div>
{"".join(heats)}</main>
</body>
</html>
"""


def _tiles(stats: LabelStatistics) -> str:
    figures = {
        "patch groups": f"{stats.num_groups:,}",
        "votes": f"{sum(counts.given for counts in stats.votes):,}",
        "of groups have a positive": _percent(_ratio(stats.num_with_positive, stats.num_groups)),
        "of groups are all similar": _percent(_ratio(stats.num_all_similar, stats.num_groups)),
        "ordinal alpha": _decimal(stats.alpha_ordinal),
    }
    tiles = "".join(f'<div class="tile"><b>{value}</b>{name}</div>' for name, value in figures.items())
    return f'<div class="tiles">{tiles}</div>'


def _card(title: str, *parts: str) -> str:
    return f'<section class="card"><h2>{escape(title)}</h2>{"".join(parts)}</section>\n'


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>' if text else ""


def _legend() -> str:
    entries = (f'<span><i style="background:{_COLOURS[label]}"></i>{label.class_name}</span>' for label in Label)
    return f'<div class="legend">{"".join(entries)}</div>'


def _html_table(table: _Table) -> str:
    def line(tag: str, cells: tuple[str, ...]) -> str:
        names = [' class="name"' if k < table.num_names else "" for k in range(len(cells))]
        shown = (f"<{tag}{name}>{escape(cell)}</{tag}>" for name, cell in zip(names, cells, strict=True))
        return f"<tr>{''.join(shown)}</tr>"

    body = "".join(line("td", row) for row in table.rows)
    return f'<div class="scroll"><table><thead>{line("th", table.header)}</thead><tbody>{body}</tbody></table></div>'


def _label_details(stats: LabelStatistics) -> str:
    header = ("", "none")  # short, so that six columns fit a phone
    votes = _html_table(_label_table(stats, stats.votes, header))
    consensus = _html_table(_label_table(stats, stats.consensus, header))
    return (
        "<details><summary>The same as numbers</summary>"
        f"<h3>All votes</h3>{votes}<h3>Consensus</h3>{consensus}</details>"
    )


def _pairs_card(agreement: RaterAgreement, kind: str) -> str:
    table, note = _pairs_table(agreement)
    return _card(f"How often two {kind}s give the same label", _html_table(table), _note(note))


def _confusion_card(agreement: RaterAgreement, kind: str) -> str:
    heats = "".join(
        f"<div><h3>{escape(kind.capitalize())} {escape(rater)}</h3>{_heat_table(matrix)}</div>"
        for rater, matrix in zip(agreement.raters, agreement.confusion, strict=True)
    )
    guide = "Each row: what was said of the pictures with that consensus; the darker, the larger its share of the row."
    return _card(
        f"What each {kind} said, by consensus", _note(f"{guide} {_CONFUSION_NOTE}"), f'<div class="heats">{heats}</div>'
    )


def _heat_table(matrix: tuple[tuple[int, ...], ...]) -> str:
    header = "".join(f"<th>said {label.class_name}</th>" for label in Label)
    rows = []
    for consensus in Label:
        row = matrix[vote_of(consensus)]
        cells = "".join(_heat_cell(row[vote_of(label)], sum(row)) for label in Label)
        rows.append(f'<tr><th class="name">{consensus.class_name}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table class="heat"><thead><tr><th class="name">consensus</th>{header}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heat_cell(count: int, total: int) -> str:
    share = count / total if total else 0.0
    colour = ",".join(str(round(255 - (255 - channel) * share)) for channel in _HEAT_RGB)
    return f'<td style="background:rgb({colour})">{_percent(_ratio(count, total))}<small>{count:,}</small></td>'


def _draw_label_shares(stats: LabelStatistics) -> str:
    """Two stacked bars for each candidate: all votes and consensus."""
    parts, y = [], 0
    for name, votes, consensus in zip(stats.candidates, stats.votes, stats.consensus, strict=True):
        parts.append(_text(0, y + 14, f"Candidate {_shorten(name)}", "strong"))
        for kind, counts in (("votes", votes), ("consensus", consensus)):
            y += _LINE + 2
            parts.append(_text(0, y + 14, kind, "quiet"))
            parts.append(_stacked_bar(76, y, _WIDTH - 76, counts))
        y += _LINE + 14
    return _svg(y, "Share of each label per candidate, by all votes and by consensus", parts)


def _stacked_bar(x: float, y: float, width: float, counts: LabelCounts) -> str:
    if not counts.given:
        return _text(x, y + 14, "none", "quiet")
    parts = []
    for label in Label:
        part = width * counts.share(label)
        hint = f"{label.class_name}: {counts.count(label):,} of {counts.given:,}"
        parts.append(_bar(x, y, max(part - 1, 0), _COLOURS[label], hint))  # a unit's gap parts the colours
        if part >= 30:
            colour = f' style="fill:{_TEXT_ON[label]}"'
            parts.append(_text(x + part / 2, y + 14, f"{counts.share(label):.0%}", anchor="middle", extra=colour))
        x += part
    return "".join(parts)


def _draw_groups(stats: LabelStatistics) -> str:
    """How many groups have 0, 1, .. positive candidates, and negative ones."""
    parts: list[str] = []
    y = 0.0
    kinds = ((Label.POSITIVE, stats.groups_by_positives), (Label.NEGATIVE, stats.groups_by_negatives))
    for label, numbers in kinds:
        parts.append(_text(0, y + 14, f"Groups by number of {label.class_name} candidates", "strong"))
        rows = [(str(k), number) for k, number in enumerate(numbers)]
        bars, y = _count_bars(y + _LINE + 2, rows, _COLOURS[label], name_width=24)
        parts.append(bars)
        y += 10
    return _svg(y, "Groups by number of positive and of negative candidates", parts)


def _draw_levels(stats: LabelStatistics) -> str:
    rows = [(_level_name(level), number) for level, number in stats.agreement_levels]
    bars, y = _count_bars(_LINE + 2, rows, _BAR, name_width=156)
    title = _text(0, 14, "Pictures by who gave the consensus label", "strong")
    return _svg(y, "Pictures by how many raters gave the consensus label", [title, bars])


def _count_bars(y: float, rows: Sequence[tuple[str, int]], colour: str, name_width: float) -> tuple[str, float]:
    """Horizontal bars with name, number and share; gives the drawing and the y below it."""
    whole = sum(number for _, number in rows)
    longest = max((number for _, number in rows), default=0)
    room = _WIDTH - name_width - 112  # the number and its share stand behind the bar
    parts = []
    for name, number in rows:
        width = room * number / longest if longest else 0.0
        parts.append(_text(0, y + 14, name, "quiet"))
        parts.append(_bar(name_width, y, width, colour, f"{name}: {number:,}"))
        parts.append(_text(name_width + width + 6, y + 14, f"{number:,} ({_percent(_ratio(number, whole))})"))
        y += _LINE + 2
    return "".join(parts), y


def _draw_seconds(stats: LabelStatistics) -> str:
    """A box plot for each slot: middle half, median, mean, and whiskers to the outer 5 percent."""
    known = [(slot, times) for slot, times in zip(stats.slots, stats.seconds, strict=True) if times.num_groups]
    if not known:
        return _note("No time is known.")
    longest = max(times.highest_5_percent for _, times in known) or 1.0
    left, room = 4, _WIDTH - 28
    step = _tick_step(longest)
    ticks = [k * step for k in range(math.floor(longest / step) + 1)]
    bottom = len(known) * 48
    parts = [_line(left + room * t / longest, 0, left + room * t / longest, bottom, "#e1e6eb") for t in ticks]
    for k, (slot, times) in enumerate(known):
        parts.append(_text(0, 48 * k + 14, f"{_shorten(slot)}: median {_seconds(times.median)} s", "strong"))
        parts.append(_box(left, 48 * k + 20, room / longest, times))
    parts += [_text(left + room * t / longest, bottom + 16, f"{t:g}", "quiet", "middle") for t in ticks[1:]]
    parts.append(_text(0, bottom + 16, "0 s", "quiet"))
    guide = "Box: the middle half of the groups. Line in it: median. Diamond: mean. Whiskers: all but 5% at either end."
    return _svg(bottom + 24, "Seconds per group for each slot", parts) + _note(guide)


def _box(left: float, y: float, scale: float, times: SecondsSummary) -> str:
    low, lower, median, upper, high, mean = (
        left + scale * value
        for value in (
            times.lowest_5_percent,
            times.lower_quartile,
            times.median,
            times.upper_quartile,
            times.highest_5_percent,
            times.mean,
        )
    )
    middle = y + 9
    hint = f"middle half {_seconds(times.lower_quartile)} to {_seconds(times.upper_quartile)} s"
    parts = [
        _line(low, middle, high, middle, "#4a5663"),
        _line(low, y + 4, low, y + 14, "#4a5663"),
        _line(high, y + 4, high, y + 14, "#4a5663"),
        _bar(lower, y, max(upper - lower, 1), "#a9c3d3", hint),
        _line(median, y, median, y + 18, "#1c2530", width=2.5),
    ]
    if mean <= _WIDTH - 8:  # a few forgotten clocks can put the mean far off the axis; the table has it
        diamond = f"{mean:.1f},{y + 4} {mean + 5:.1f},{middle} {mean:.1f},{y + 14} {mean - 5:.1f},{middle}"
        parts.append(f'<polygon points="{diamond}" fill="#fff" stroke="#1c2530"/>')
    return "".join(parts)


def _tick_step(longest: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, .. that gives at most six ticks."""
    power = 10.0 ** math.floor(math.log10(longest / 6))
    return next(power * factor for factor in (1, 2, 5, 10, 20) if longest / (power * factor) <= 6)


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _svg(height: float, label: str, parts: Iterable[str]) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{escape(label)}">{body}</svg>'


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start", extra: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}{extra}>{escape(text)}</text>'


def _bar(x: float, y: float, width: float, colour: str, hint: str) -> str:
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_LINE - 2}"'
    return f'<rect {shape} fill="{colour}"><title>{escape(hint)}</title></rect>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"/>'
