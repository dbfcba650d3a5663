"""Label statistics as plain text for the terminal, and the tables that text and page (`stats_page.py`) share."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hggt_data.io.text import aligned, plural
from hggt_data.schema import Label
from hggt_data.statistics.agreement import vote_of
from hggt_data.statistics.counts import DawidSkeneSummary, LabelCounts, LabelStatistics, RaterAgreement, ratio

# A table of all pairs of 20 annotators would bury the rest; the pairs that agree least are the ones to look at.
_MAX_PAIRS = 15


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of finished text; the first `num_names` columns name the row, the others are numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_names: int = 1


def percent(share: float) -> str:
    """A share such as `12.3%`; a dash where there is none."""
    return "-" if math.isnan(share) else f"{share:.1%}"


def decimal(value: float) -> str:
    """Three decimals; `undefined` where there is none."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def seconds(value: float) -> str:
    """One decimal; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.1f}"


def overview(stats: LabelStatistics) -> str:
    """What was counted, in one line."""
    parts = [
        plural(stats.num_groups, "patch group"),
        f"{plural(len(stats.candidates), 'candidate')} each ({', '.join(stats.candidates)})",
        f"{plural(len(stats.slots), 'slot')} ({', '.join(stats.slots) or 'none'})",
    ]
    if stats.annotators:
        parts.append(plural(len(stats.annotators), "known annotator"))
    return ", ".join(parts)


def rater_note(stats: LabelStatistics) -> str:
    """What a slot, or an annotator, means in these figures."""
    if stats.annotators:
        return "A slot is a place that any annotator may fill; people are listed apart where their names are known."
    return (
        "Statistics of slots: who filled a slot is not recorded, in the official data several people did, "
        "so a slot's figures are not those of one person."
    )


def label_table(stats: LabelStatistics, counts: Sequence[LabelCounts], header: tuple[str, str]) -> Table:
    """The header names the first column, the candidates, and the last, what has no label."""
    rows = tuple(
        (name, *(percent(count.share(label)) for label in Label), f"{count.given:,}", f"{count.missing:,}")
        for name, count in zip(stats.candidates, counts, strict=True)
    )
    return Table((header[0], *(label.class_name for label in Label), "labels", header[1]), rows)


def facts_of_groups(stats: LabelStatistics) -> Table:
    """How many groups have a positive, none, or no consensus."""
    facts = {
        "with at least one positive": stats.num_with_positive,
        "with similar candidates only": stats.num_all_similar,
        "with a candidate without consensus": stats.num_without_consensus,
    }
    rows = tuple((name, f"{count:,}", percent(ratio(count, stats.num_groups))) for name, count in facts.items())
    return Table(("groups", "number", "share"), rows)


def _groups_table(stats: LabelStatistics) -> Table:
    pairs = zip(stats.groups_by_positives, stats.groups_by_negatives, strict=True)
    rows = tuple((str(k), f"{positive:,}", f"{negative:,}") for k, (positive, negative) in enumerate(pairs))
    return Table(("candidates of that kind", "positive", "negative"), rows)


def _levels_table(stats: LabelStatistics) -> Table:
    whole = sum(count for _, count in stats.agreement_levels)
    rows = tuple(
        (level_name(level), f"{count:,}", percent(ratio(count, whole))) for level, count in stats.agreement_levels
    )
    return Table(("who gave the consensus label", "pictures", "share"), rows)


def level_name(level: int) -> str:
    """An agreement level in words."""
    return "1 (no majority: similar)" if level == 1 else f"{level} raters"


def coefficients_table(stats: LabelStatistics) -> Table:
    """Krippendorff's alpha and Fleiss' kappa."""
    rows = (
        ("Krippendorff's alpha, ordinal", decimal(stats.alpha_ordinal)),
        ("Krippendorff's alpha, nominal", decimal(stats.alpha_nominal)),
        (f"Fleiss' kappa ({stats.num_fleiss_items:,} pictures with every vote)", decimal(stats.fleiss)),
    )
    return Table(("coefficient", "value"), rows)


COEFFICIENTS_NOTE = (
    "1 is perfect agreement, 0 is chance. Ordinal alpha counts positive against negative as worse than either "
    "against similar."
)
CONFUSION_NOTE = "A rater's own vote is part of the consensus, so these figures flatter."
SECONDS_NOTE = "As the annotation tool recorded them; annotations with a missing or impossible time count as 'no time'."


def pairs_table(agreement: RaterAgreement) -> tuple[Table, str]:
    """The pairs that agree least, and a note if there are more."""
    pairs = [
        (agreement.share[i][j], f"{a} and {b}", agreement.shared_items[i][j])
        for i, a in enumerate(agreement.raters)
        for j, b in enumerate(agreement.raters)
        if i < j and agreement.shared_items[i][j]
    ]
    shown = sorted(pairs) if len(pairs) > _MAX_PAIRS else pairs
    rows = tuple((names, percent(share), f"{items:,}") for share, names, items in shown[:_MAX_PAIRS])
    note = f"The {_MAX_PAIRS} of {len(pairs)} pairs that agree least." if len(pairs) > _MAX_PAIRS else ""
    return Table(("pair", "same label", "pictures"), rows), note


def _confusion_table(agreement: RaterAgreement, kind: str) -> Table:
    rows = tuple(
        (rater if consensus is Label.POSITIVE else "", consensus.class_name, *shares, f"{total:,}")
        for rater, matrix in zip(agreement.raters, agreement.confusion, strict=True)
        for consensus, shares, total in _confusion_rows(matrix)
    )
    header = (kind, "where consensus is", *(f"said {label.class_name}" for label in Label), "pictures")
    return Table(header, rows, num_names=2)


def _confusion_rows(matrix: tuple[tuple[int, ...], ...]) -> Iterable[tuple[Label, list[str], int]]:
    """(consensus, share of each label given, pictures), best label first."""
    for consensus in Label:
        row = matrix[vote_of(consensus)]
        yield consensus, [percent(ratio(row[vote_of(label)], sum(row))) for label in Label], sum(row)


def seconds_table(stats: LabelStatistics) -> Table:
    """Seconds per group, by slot."""
    rows = tuple(
        (
            slot,
            seconds(times.median),
            f"{seconds(times.lower_quartile)}-{seconds(times.upper_quartile)}" if times.num_groups else "-",
            seconds(times.mean),
            f"{times.num_groups:,}",
            f"{times.num_missing:,}",
        )
        for slot, times in zip(stats.slots, stats.seconds, strict=True)
    )
    return Table(("slot", "median", "quartiles", "mean", "groups", "no time"), rows)


def accuracy_table(inferred: DawidSkeneSummary) -> Table:
    """How reliable the Dawid-Skene model finds each rater."""
    rows = tuple((rater, percent(accuracy)) for rater, accuracy in inferred.accuracies)
    return Table((inferred.raters_are, "votes that are right"), rows)


def inferred_note(inferred: DawidSkeneSummary) -> str:
    """What the Dawid-Skene model would change."""
    changed = percent(ratio(inferred.num_changed, inferred.num_consensus))
    note = f"The model would change {inferred.num_changed:,} of {inferred.num_consensus:,} consensus labels ({changed})"
    return f"{note} and give one to {plural(inferred.num_filled, 'picture')} without consensus."


def format_statistics(stats: LabelStatistics) -> str:
    """The statistics as plain text of at most 100 columns, unless names are very long."""
    blocks = [
        _wrap(f"{overview(stats)}."),
        _wrap(rater_note(stats)),
        _block("Labels per candidate: all votes", label_table(stats, stats.votes, ("candidate", "missing"))),
        _block("Labels per candidate: consensus", label_table(stats, stats.consensus, ("candidate", "no consensus"))),
        _block("Groups", facts_of_groups(stats)),
        _block("Groups by how many of their candidates are positive, or negative", _groups_table(stats)),
        _block("Agreement on a picture", _levels_table(stats)),
        _block("Agreement beyond chance", coefficients_table(stats), COEFFICIENTS_NOTE),
        *_rater_blocks(stats.by_slot, "slot"),
    ]
    if stats.by_annotator is not None:
        blocks += _rater_blocks(stats.by_annotator, "annotator")
    blocks.append(_block("Seconds per group", seconds_table(stats), SECONDS_NOTE))
    if stats.dawid_skene is not None:
        title = "Dawid-Skene model: how reliable each rater is"
        blocks.append(_block(title, accuracy_table(stats.dawid_skene), inferred_note(stats.dawid_skene)))
    return "\n\n".join(blocks) + "\n"


def _rater_blocks(agreement: RaterAgreement, kind: str) -> list[str]:
    pairs, note = pairs_table(agreement)
    return [
        _block(f"How often two {kind}s give the same label", pairs, note),
        _block(f"What each {kind} said, by consensus", _confusion_table(agreement, kind), CONFUSION_NOTE),
    ]


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, width=100, initial_indent=indent, subsequent_indent=indent)


def _block(title: str, table: Table, note: str = "") -> str:
    lines = aligned([table.header, *table.rows], table.num_names)
    return "\n".join([title, *(f"  {line}" for line in lines), *([_wrap(note, "  ")] if note else [])])
