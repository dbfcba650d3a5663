"""Label statistics as plain text for the terminal, and the tables that `page.py` shows too."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hggt_data.io.text import Lines, aligned, plural
from hggt_data.schema import Label
from hggt_data.statistics.agreement import vote_of
from hggt_data.statistics.counts import DawidSkeneSummary, LabelCounts, LabelStatistics, RaterAgreement
from hggt_data.statistics.numbers import ratio
from hggt_data.statistics.other_votes import ChoiceStatistics, ScoreStatistics
from hggt_data.statistics.pair_votes import PairStatistics

# All pairs of 20 annotators would be too long a table; the pairs that agree least matter most.
_MAX_PAIRS = 15


@dataclass(frozen=True, slots=True)
class TextTable:
    """Columns and rows as text; the first `num_names` columns are names, the others are numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_names: int = 1


def percent(share: float) -> str:
    """A share such as `12.3%`; a dash for NaN."""
    return "-" if math.isnan(share) else f"{share:.1%}"


def decimal(value: float) -> str:
    """Three decimals; `undefined` for NaN."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def seconds(value: float) -> str:
    """One decimal; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.1f}"


def overview(stats: LabelStatistics) -> str:
    """The size of the data, in one line."""
    parts = [
        plural(stats.num_groups, "patch group"),
        f"{plural(len(stats.candidates), 'candidate')} each ({', '.join(stats.candidates)})",
        f"{plural(len(stats.slots), 'slot')} ({', '.join(stats.slots)})" if stats.slots else "no label votes",
    ]
    if stats.annotators:
        parts.append(plural(len(stats.annotators), "known annotator"))
    return ", ".join(parts)


def rater_note(stats: LabelStatistics) -> str:
    """A note on what slots and annotators are."""
    if stats.annotators:
        return "Any annotator may fill a slot; annotators whose names are known are listed separately."
    return (
        "Statistics of slots: the annotators are not recorded. In the official data several people filled each slot, "
        "so the figures of a slot are not those of one person."
    )


def label_table(stats: LabelStatistics, counts: Sequence[LabelCounts], header: tuple[str, str]) -> TextTable:
    """Shares of labels per candidate; `header` names the first column (candidates) and the last (missing labels)."""
    rows = tuple(
        (name, *(percent(count.share(label)) for label in Label), f"{count.given:,}", f"{count.missing:,}")
        for name, count in zip(stats.candidates, counts, strict=True)
    )
    return TextTable((header[0], *(label.class_name for label in Label), "labels", header[1]), rows)


def facts_of_groups(stats: LabelStatistics) -> TextTable:
    """Numbers of groups with positives, with similar candidates only, or without consensus."""
    facts = {
        "with at least one positive": stats.num_with_positive,
        "with similar candidates only": stats.num_all_similar,
        "with a candidate that has no consensus": stats.num_without_consensus,
    }
    rows = tuple((name, f"{count:,}", percent(ratio(count, stats.num_groups))) for name, count in facts.items())
    return TextTable(("groups", "number", "share"), rows)


def _groups_table(stats: LabelStatistics) -> TextTable:
    pairs = zip(stats.groups_by_positives, stats.groups_by_negatives, strict=True)
    rows = tuple((str(k), f"{positive:,}", f"{negative:,}") for k, (positive, negative) in enumerate(pairs))
    return TextTable(("number of candidates", "positive", "negative"), rows)


def _levels_table(stats: LabelStatistics) -> TextTable:
    whole = sum(count for _, count in stats.agreement_levels)
    rows = tuple(
        (level_name(level), f"{count:,}", percent(ratio(count, whole))) for level, count in stats.agreement_levels
    )
    return TextTable(("votes for the consensus label", "pictures", "share"), rows)


def level_name(level: int) -> str:
    """An agreement level as text."""
    return "1 (no majority: similar)" if level == 1 else str(level)


def coefficients_table(stats: LabelStatistics) -> TextTable:
    """Krippendorff's alpha and Fleiss' kappa."""
    rows = (
        ("Krippendorff's alpha, ordinal", decimal(stats.alpha_ordinal)),
        ("Krippendorff's alpha, nominal", decimal(stats.alpha_nominal)),
        (f"Fleiss' kappa ({stats.num_fleiss_items:,} pictures with all votes)", decimal(stats.fleiss)),
    )
    return TextTable(("coefficient", "value"), rows)


COEFFICIENTS_NOTE = (
    "1 is perfect agreement, 0 is chance. Ordinal alpha treats positive against negative as worse than either "
    "against similar."
)
CONFUSION_NOTE = "Each vote is also part of the consensus, so these figures overestimate agreement."
FULL_ZOOM_TITLE = "Groups with all of every candidate seen at 100 %"
STRENGTHS_TITLE = "Strength of each version"
SECONDS_NOTE = "As recorded by the annotation tool; annotations with a missing or impossible time count as 'no time'."


def pairs_table(agreement: RaterAgreement) -> tuple[TextTable, str]:
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
    return TextTable(("pair", "same label", "pictures"), rows), note


def _confusion_table(agreement: RaterAgreement, kind: str) -> TextTable:
    rows = tuple(
        (rater if consensus is Label.POSITIVE else "", consensus.class_name, *shares, f"{total:,}")
        for rater, matrix in zip(agreement.raters, agreement.confusion, strict=True)
        for consensus, shares, total in _confusion_rows(matrix)
    )
    header = (kind, "consensus", *(f"labelled {label.class_name}" for label in Label), "pictures")
    return TextTable(header, rows, num_names=2)


def _confusion_rows(matrix: tuple[tuple[int, ...], ...]) -> Iterable[tuple[Label, list[str], int]]:
    """(consensus, share of each given label, number of pictures), best label first."""
    for consensus in Label:
        row = matrix[vote_of(consensus)]
        yield consensus, [percent(ratio(row[vote_of(label)], sum(row))) for label in Label], sum(row)


def seconds_table(stats: LabelStatistics) -> TextTable:
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
    return TextTable(("slot", "median", "quartiles", "mean", "groups", "no time"), rows)


def full_zoom_table(stats: LabelStatistics) -> TextTable:
    """In how many groups each annotator saw every candidate at 100 %."""
    rows = tuple(
        (rater, f"{seen:,}", f"{known:,}", percent(ratio(seen, known))) for rater, seen, known in stats.full_zoom
    )
    return TextTable(("annotator", "groups", "of", "share"), rows)


def right_votes_table(inferred: DawidSkeneSummary) -> TextTable:
    """How many of each annotator's votes are right according to the Dawid-Skene model."""
    rows = tuple(
        (annotator, f"{votes:,}", f"{right:,.1f}", percent(ratio(right, votes)))
        for annotator, votes, right in inferred.right_votes
    )
    return TextTable(("annotator", "votes", "right votes", "share"), rows)


def inferred_note(inferred: DawidSkeneSummary) -> str:
    """What the Dawid-Skene model assumes, whether it has converged, and labels that it would change, as text."""
    changed = percent(ratio(inferred.num_changed, inferred.num_consensus))
    shares = ", ".join(
        f"{percent(share)} {label.class_name}" for label, share in zip(Label, inferred.prior, strict=True)
    )
    parts = [
        "Expected numbers: the true labels are not known.",
        f"Its prior, the share of each label that it found: {shares}.",
        f"The model changes {inferred.num_changed:,} of {inferred.num_consensus:,} consensus labels ({changed}), "
        f"labels {plural(inferred.num_filled, 'picture')} without consensus, and leaves "
        f"{plural(inferred.num_undecided, 'picture')} undecided (exact ties).",
        "With few pictures, or three votes by annotators of similar care, the consensus is usually better.",
    ]
    if not inferred.converged:
        parts.insert(
            0, f"THE MODEL DID NOT CONVERGE in {inferred.iterations:,} iterations: do not rely on these figures."
        )
    return " ".join(parts)


def title_of(votes: PairStatistics | ChoiceStatistics | ScoreStatistics) -> str:
    """A title for the votes of one kind under one question."""
    kinds = {ChoiceStatistics: "Choices among versions", ScoreStatistics: "Opinion scores"}
    kind = kinds.get(type(votes), "Votes on pairs of versions")
    return kind + (f": {votes.question}" if votes.question else "")


def pair_facts(pairs: PairStatistics) -> TextTable:
    """Numbers of votes, ties and pairs; agreement; how often the version shown first was preferred."""
    fewest, most = f"{pairs.fewest:,}", f"{pairs.most:,}"
    facts = [
        ("votes by people", f"{pairs.num_votes:,}", ""),
        ("ties", f"{pairs.num_ties:,}", percent(ratio(pairs.num_ties, pairs.num_votes))),
        ("pairs with votes", f"{pairs.num_pairs:,}", ""),
        ("votes per pair", fewest if fewest == most else f"{fewest} to {most}", ""),
        ("two votes on a pair agree", "", percent(pairs.agreement)),
        ("the same by chance", "", percent(pairs.chance)),
        ("for the version shown first (left)", "", percent(pairs.first_share)),
        *((f"not counted: {kind}", f"{number:,}", "") for kind, number in pairs.num_other.items()),
    ]
    if pairs.num_in_shares:
        facts.insert(2, ("known as shares only, without ties", f"{pairs.num_in_shares:,}", ""))
    return TextTable(("pairs", "number", "share"), tuple(facts))


def strengths_table(pairs: PairStatistics) -> TextTable:
    """Strength of each version, strongest first, and how its votes went."""
    ordered = sorted(pairs.versions, key=lambda version: (math.isnan(version.strength), -version.strength))
    rows = tuple(
        (
            version.name,
            "-" if math.isnan(version.strength) else f"{version.strength:+.2f}",
            percent(version.win_rate),
            f"{version.wins:,.10g}",
            f"{version.ties:,.10g}",
            f"{version.losses:,.10g}",
        )
        for version in ordered
    )
    return TextTable(("version", "strength", "win rate", "wins", "ties", "losses"), rows)


def choices_table(choices: ChoiceStatistics) -> TextTable:
    """How often each version was chosen of the times that it was shown."""
    rows = tuple(
        (name, f"{shown:,}", f"{choices.chosen[name]:,}", percent(ratio(choices.chosen[name], shown)))
        for name, shown in choices.shown.items()
    )
    return TextTable(("version", "shown", "chosen", "share"), rows)


def scores_table(scores: ScoreStatistics) -> TextTable:
    """The mean score of each version."""
    rows = tuple((name, f"{scores.means[name]:.2f}", f"{number:,}") for name, number in scores.groups.items())
    return TextTable(("version", "mean", "groups"), rows)


def note_of_numbers(votes: ChoiceStatistics | ScoreStatistics) -> str:
    """How many votes there are, and how many others do not count."""
    if isinstance(votes, ChoiceStatistics):
        text = f"{plural(votes.num_votes, 'choice')} by people."
    else:
        text = f"{plural(votes.num_scores, 'score')} by people; means over groups."
    others = ", ".join(f"{number:,} {kind}" for kind, number in votes.num_other.items())
    return f"{text} Not counted: {others}." if others else text


def pair_note(pairs: PairStatistics) -> str:
    """What the strengths mean, and where votes do not determine them."""
    parts = [
        "Strengths are log odds (Bradley-Terry, ties by Davidson) over all groups; they sum to 0. "
        "A win rate counts a tie as half."
    ]
    if math.isnan(pairs.first_share):
        parts.append("No two versions were shown in both orders, so the effect of the side is unknown.")
    else:
        parts.append(f"Of two equal versions the first is preferred by {pairs.side:+.2f} log odds.")
    if pairs.won_all:
        parts.append(f"Won every vote: {', '.join(pairs.won_all)}.")
    if pairs.won_nothing:
        parts.append(f"Lost every vote: {', '.join(pairs.won_nothing)}.")
    if pairs.separated:
        parts.append(
            "SOME VERSIONS WON EVERY VOTE AGAINST ALL OTHERS: how much stronger they are follows from the prior only."
        )
    if len(pairs.parts) > 1:
        shown = "; ".join(", ".join(part) for part in pairs.parts)
        parts.append(f"NO VOTES CONNECT these parts, so compare strengths within each only: {shown}.")
    return " ".join(parts)


def format_statistics(stats: LabelStatistics) -> Lines:
    """The statistics as plain text, at most 100 columns wide unless names are very long."""
    blocks = [_wrap(text) for text in (f"{overview(stats)}.", stats.protocol.describe()) if text]
    if stats.slots:
        blocks += _label_blocks(stats)
    for pairs in stats.pairs:
        blocks.append(_block(title_of(pairs), pair_facts(pairs)))
        blocks.append(_block(STRENGTHS_TITLE, strengths_table(pairs), pair_note(pairs)))
    blocks += [_block(title_of(one), choices_table(one), note_of_numbers(one)) for one in stats.choices]
    blocks += [_block(title_of(one), scores_table(one), note_of_numbers(one)) for one in stats.scores]
    if stats.dawid_skene is not None:
        title = "Dawid-Skene model: reliability of each annotator"
        blocks.append(_block(title, right_votes_table(stats.dawid_skene), inferred_note(stats.dawid_skene)))
    return Lines("\n\n".join(blocks) + "\n")


def _label_blocks(stats: LabelStatistics) -> list[str]:
    blocks = [
        _wrap(rater_note(stats)),
        _block("Labels per candidate: all votes", label_table(stats, stats.votes, ("candidate", "missing"))),
        _block("Labels per candidate: consensus", label_table(stats, stats.consensus, ("candidate", "no consensus"))),
        _block("Groups", facts_of_groups(stats)),
        _block("Groups by number of positive and of negative candidates", _groups_table(stats)),
        _block("Agreement on a picture", _levels_table(stats)),
        _block("Agreement beyond chance", coefficients_table(stats), COEFFICIENTS_NOTE),
        *_rater_blocks(stats.by_slot, "slot"),
    ]
    if stats.by_annotator is not None:
        blocks += _rater_blocks(stats.by_annotator, "annotator")
    blocks.append(_block("Seconds per group", seconds_table(stats), SECONDS_NOTE))
    if stats.full_zoom:
        blocks.append(_block(FULL_ZOOM_TITLE, full_zoom_table(stats)))
    return blocks


def _rater_blocks(agreement: RaterAgreement, kind: str) -> list[str]:
    pairs, note = pairs_table(agreement)
    return [
        _block(f"How often two {kind}s give the same label", pairs, note),
        _block(f"Labels of each {kind}, by consensus", _confusion_table(agreement, kind), CONFUSION_NOTE),
    ]


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, width=100, initial_indent=indent, subsequent_indent=indent)


def _block(title: str, table: TextTable, note: str = "") -> str:
    lines = aligned([table.header, *table.rows], table.num_names)
    return "\n".join([title, *(f"  {line}" for line in lines), *([_wrap(note, "  ")] if note else [])])
