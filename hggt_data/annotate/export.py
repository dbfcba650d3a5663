"""Writes a round's answers and records as CSV and JSON, by pseudonym, for any other program.

What must not be published (screen and zoom, pauses, reasons) is written on request only, to a separate folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

from hggt_data.annotate.answers import Answers, read_answers
from hggt_data.annotate.consent import CONSENTS, read_acceptance
from hggt_data.annotate.copies import note_copy
from hggt_data.annotate.round import Item, Round, read_round
from hggt_data.annotate.study.votes import collect_study, question_of, read_votes, record_look
from hggt_data.annotate.withdraw import count_withdrawals
from hggt_data.errors import RoundError
from hggt_data.io.files import csv_file, read_regular_file, write_json, write_text
from hggt_data.io.folders import new_folder, require_outside
from hggt_data.io.parsing import parse_json
from hggt_data.io.text import plural
from hggt_data.schema import group_order

_ANSWERS = ("kind", "item", "group", "question", "pseudonym", "version", "label", "start", "end", "seconds")
_PEOPLE = ("pseudonym", "active", "assigned", "answered", "skipped", "consent_sha256", "consent_time")
_README = """# Answers of a round

`answers.csv` has one line for each label, in UTF-8:

| column | content |
|---|---|
| `kind` | vote, practice, gold (known answer) or repeat (the same person, a second time); only votes count |
| `item` | what was judged at once: a group, or a comparison of a study |
| `group` | the picture |
| `question` | what the page asked |
| `pseudonym` | stands for a person |
| `version` | the version that was labelled |
| `label` | Positive, Similar or Negative; in a study, Positive is the preferred version, and in a tie all are Similar |
| `start`, `end` | the person's local time |
| `seconds` | working time without pauses |

`people.csv` has one line per person:

| column | content |
|---|---|
| `pseudonym` | as in `answers.csv` |
| `active` | whether the person still takes part |
| `assigned`, `answered`, `skipped` | numbers of items |
| `consent_sha256`, `consent_time` | the text in `consent/` that the person accepted, and when (UTC) |

`round.json` has the protocol, the versions, the known answers, the licence of the pictures, the plan of a study, and
how many people withdrew.
"""
_PRIVATE = """
`private/` must not be published: `records.json` has how each item was shown (order, pauses, zoom, screen, earlier
answers), and `skips.csv` the reasons for skipped items.
"""


@dataclass(frozen=True)
class RoundExport:
    """What was exported: numbers of answers, people and records."""

    output: Path
    num_answers: int
    num_people: int
    num_records: int | None

    def describe(self) -> list[str]:
        """Summary lines."""
        lines = [f"{self.output}: {plural(self.num_answers, 'answer')} of {plural(self.num_people, 'annotator')}"]
        if self.num_records is None:
            lines.append("Left out what must not be published: screen, zoom, pauses and reasons; `private` adds it.")
        else:
            records = plural(self.num_records, "record")
            lines.append(f"{self.output / 'private'}: {records}. Do not publish this folder.")
        return lines


def export_round(folder: str | Path, output: str | Path, *, private: bool = False, look: bool = False) -> RoundExport:
    """Write all answers of a round as CSV and JSON, by pseudonym; the round may be served meanwhile.

    Args:
        folder: Round, or study.
        output: New or empty folder.
        private: Also write what must not be published: screen and zoom, pauses, and reasons for skipped groups.
        look: Export a study before it is complete. Its plan then records that its preferences were looked at.

    Returns:
        What was written.

    Raises:
        RoundError: This is not a round, or it is a study that is not complete.
        OutputError: The output is not empty, or is inside the round.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import DealSettings, deal_groups, export_round, write_demo_tree
        >>> folder = Path(tempfile.mkdtemp())
        >>> patches = write_demo_tree(folder).train / "images/0-6"
        >>> _ = deal_groups(patches, folder / "round", ["Ann", "Ben"], DealSettings(votes=2), workers=1)
        >>> export_round(folder / "round", folder / "answers").num_people
        2
    """
    folder, output = Path(folder), Path(output)
    round_ = read_round(folder)
    require_outside(output, folder, "the round")
    answers = [read_answers(round_, annotator) for annotator in round_.annotators]
    _require_complete(round_, answers, look=look)
    with new_folder(output) as staging:
        with csv_file(staging / "answers.csv", _ANSWERS) as write_line:
            for line in _answer_lines(round_, answers):
                write_line(line)
        with csv_file(staging / "people.csv", _PEOPLE) as write_line:
            for line in _people_lines(round_, answers):
                write_line(line)
        for path in sorted((folder / CONSENTS).glob("*.md")):
            (staging / CONSENTS).mkdir(exist_ok=True)
            copyfile(path, staging / CONSENTS / path.name)
        write_json(staging / "round.json", _describe_round(round_))
        num_records = _write_private(round_, answers, staging / "private") if private else None
        write_text(staging / "README.md", _README + (_PRIVATE if private else ""))
    note_copy(folder, output, "hggt-data round export")
    return RoundExport(output, sum(len(one.annotations) for one in answers), len(answers), num_records)


def _require_complete(round_: Round, answers: Sequence[Answers], *, look: bool) -> None:
    """Refuse to show the preferences of an incomplete study, or record that they were looked at."""
    if round_.study is None or collect_study(round_, list(read_votes(round_, answers))).complete:
        return
    if not look:
        raise RoundError(
            f"{round_.folder} is a study that is not complete, and its answers would show which method leads; wait for "
            "the remaining votes, or pass `look`, which the plan then records"
        )
    record_look(round_.folder, "hggt-data round export")


def _answer_lines(round_: Round, answers: Sequence[Answers]) -> Iterator[Sequence[object]]:
    for annotator, found in zip(round_.annotators, answers, strict=True):
        for item in sorted(found.annotations, key=lambda item: (item.kind.value, group_order(item.group))):
            answer, comparison = found.annotations[item], round_.comparison(item)
            group, question = item.group, round_.protocol.question
            if round_.study is not None and comparison is not None:
                group = comparison.group
                question = round_.study.plan.questions[question_of(round_, annotator, item)]
            for version, label in zip(round_.versions(item), answer.labels, strict=True):
                named = (item.kind.value, item.group, group, question, annotator.pseudonym, version)
                yield (*named, label and label.value, answer.start, answer.end, answer.seconds)


def _people_lines(round_: Round, answers: Sequence[Answers]) -> Iterator[Sequence[object]]:
    for annotator, found in zip(round_.annotators, answers, strict=True):
        accepted = read_acceptance(round_.folder, annotator.pseudonym)
        consent = (accepted.sha256, accepted.accepted) if accepted else (None, None)
        numbers = (len(annotator.items), len(found.annotations), len(found.skips))
        yield (annotator.pseudonym, "yes" if annotator.is_active else "no", *numbers, *consent)


def _describe_round(round_: Round) -> dict[str, Any]:
    return {
        "protocol": asdict(round_.protocol),
        "versions": list(round_.candidates),
        "votes": round_.votes,
        "license": round_.license,
        "known": {
            str(group): [label and label.value for label in answer.labels] for group, answer in round_.known.items()
        },
        "plan": None if round_.study is None else asdict(round_.study.plan),
        "withdrawals": count_withdrawals(round_.folder),
    }


def _write_private(round_: Round, answers: Sequence[Answers], folder: Path) -> int:
    """Write the records of how items were shown, and the reasons for skips; return the number of records."""
    records = []
    for annotator, found in zip(round_.annotators, answers, strict=True):
        for item in (*found.annotations, *sorted(found.begun, key=str)):
            if (record := _read_record(round_.shown_path(annotator, item))) is not None:
                records.append({**_name_item(item), "pseudonym": annotator.pseudonym, "shown": record})
    write_json(folder / "records.json", records)
    with csv_file(folder / "skips.csv", ("kind", "item", "pseudonym", "reason")) as write_line:
        for annotator, found in zip(round_.annotators, answers, strict=True):
            for item, reason in found.skips.items():
                write_line([item.kind.value, item.group, annotator.pseudonym, reason])
    return len(records)


def _read_record(path: Path) -> Mapping[str, Any] | None:
    try:
        content = parse_json(read_regular_file(path))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _name_item(item: Item) -> dict[str, str]:
    return {"kind": item.kind.value, "item": str(item.group)}
