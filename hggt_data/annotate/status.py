"""How far a round is, in lines for a terminal: who, how far, how long, and how carefully.

Shows no one's labels, so that it may be looked at during a study.
"""

from pathlib import Path

from hggt_data.annotate.consent import read_acceptance, read_consent
from hggt_data.annotate.round import read_round
from hggt_data.annotate.web.progress import AnnotatorProgress, measure_progress
from hggt_data.annotate.web.study import open_store
from hggt_data.annotate.web.texts import read_texts
from hggt_data.annotate.withdraw import count_withdrawals
from hggt_data.io.text import aligned, plural

_SHARES = ("seen at 100 %", "gold", "repeats")
_COLUMNS = ("annotator", "done", "skipped", "s per group", "time left", *_SHARES, "last answer")


def describe_round(folder: str | Path) -> list[str]:
    """The progress of a round, or of a study, as lines; it may be served meanwhile.

    Args:
        folder: Round, or study.

    Returns:
        The totals, a table of the annotators with their real names, and whom to talk to.

    Raises:
        RoundError: This is not a round.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import DealSettings, deal_groups, describe_round, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> patches = write_demo_tree(folder).train / "images/0-6"
        >>> _ = deal_groups(patches, folder / "round", ["Ann", "Ben"], DealSettings(votes=2), workers=1)
        >>> describe_round(folder / "round")[0]
        '0 of 6 groups have all 2 votes; 0 of 12 votes given (0 %)'
    """
    folder = Path(folder)
    round_ = read_round(folder)
    store = open_store(round_)
    progress = measure_progress(store)
    share = 100 * progress.votes // progress.wanted if progress.wanted else 0
    what = "comparison" if round_.study is not None else "group"
    lines = [
        f"{progress.complete:,} of {plural(progress.groups, what)} have all {plural(round_.votes, 'vote')}; "
        f"{progress.votes:,} of {plural(progress.wanted, 'vote')} given ({share} %)"
    ]
    columns = [column.replace("group", what) for column in _COLUMNS]
    rows = [_row(annotator) for annotator in progress.annotators]
    text = read_consent(folder)
    if text is not None:
        columns.append("consent")
        for row, person in zip(rows, round_.annotators, strict=True):
            accepted = read_acceptance(folder, person.pseudonym)
            row.append("-" if accepted is None else "yes" if accepted.sha256 == text.sha256 else "to an earlier text")
    lines += aligned([columns, *rows])
    texts = read_texts(folder, round_.protocol, plan=None if round_.study is None else round_.study.plan)
    for annotator in progress.annotators:
        for flag in annotator.flags:
            values = {**flag.values, "label": texts.get(str(flag.values.get("label")).lower(), "")}
            lines.append(f"{annotator.name}: {texts[flag.text].format_map(values)}")
    if progress.unreadable:
        lines.append(f"{plural(len(progress.unreadable), 'file')} cannot be read as answers and do not count.")
    if withdrawals := count_withdrawals(folder):
        lines.append(f"{plural(withdrawals, 'withdrawal')} so far.")
    return lines


def _row(annotator: AnnotatorProgress) -> list[str]:
    return [
        annotator.name if annotator.is_active else f"{annotator.name} (dropped)",
        f"{annotator.done:,} of {annotator.assigned:,}",
        f"{annotator.skipped:,}",
        "-" if annotator.seconds is None else f"{annotator.seconds:.0f}",
        _duration(annotator.seconds_left) if annotator.is_active else "-",
        *(_share(*pair) for pair in (annotator.full_zoom, annotator.gold, annotator.repeats)),
        str(annotator.last or "-"),
    ]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} % of {whole:,}" if whole else "-"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes = -int(-seconds // 60)
    return f"{minutes} min" if minutes < 90 else f"{round(minutes / 60)} h"
