"""Removes everything that a person has given to a round, by the code that the page showed them once.

`withdrawals.json` counts the withdrawals. While one is at work it also holds whose it is, so that after an interruption
the next call completes it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from hggt_data.annotate.consent import hash_code, read_acceptance
from hggt_data.annotate.remove import remove_from_locked
from hggt_data.annotate.round import lock_round, read_round
from hggt_data.annotate.web.accounts import Accounts, remove_account
from hggt_data.errors import RoundError
from hggt_data.io.files import read_json, write_json
from hggt_data.io.parsing import read_value
from hggt_data.unwanted import Unwanted

WITHDRAWALS = "withdrawals.json"


@dataclass(frozen=True)
class Withdrawal:
    """What was removed for one person.

    Attributes:
        pseudonym: Stays in the round, without a name, so that their groups can be dealt again.
        num_files: Files of answers, records and consent.
        num_accounts: Removed entries of the accounts file.
        num_withdrawals: All withdrawals from this round so far.
    """

    pseudonym: str
    num_files: int
    num_accounts: int
    num_withdrawals: int


class _Pending(TypedDict):
    pseudonym: str
    code_sha256: str


class _Withdrawals(TypedDict):
    count: int
    pending: NotRequired[_Pending]


def count_withdrawals(folder: Path) -> int:
    """How many people have withdrawn from a round."""
    return _read(folder)["count"]


def withdraw_from_round(folder: Path, code: str, accounts: Path | None = None) -> Withdrawal:
    """Remove a person's answers, records, consent, name and account; others are to judge their groups.

    RoundError if no one has this code; OutputError if the round is being served.
    """
    with lock_round(folder):
        state = _read(folder)
        pending = state.get("pending")
        if pending is None or pending["code_sha256"] != hash_code(code):
            if pending is not None:
                _complete(folder, pending, state["count"], accounts)  # another annotator's, which was interrupted
            pending = _Pending(pseudonym=_find_pseudonym(folder, code), code_sha256=hash_code(code))
            state = _Withdrawals(count=state["count"] + 1, pending=pending)
            write_json(folder / WITHDRAWALS, state, private=True)
        return _complete(folder, pending, state["count"], accounts)


def _find_pseudonym(folder: Path, code: str) -> str:
    for annotator in read_round(folder).annotators:
        accepted = read_acceptance(folder, annotator.pseudonym)
        if accepted is not None and accepted.code_sha256 == hash_code(code):
            return annotator.pseudonym
    raise RoundError(
        f"{folder}: no one has this withdrawal code, or its answers are already removed; compare it letter by letter. "
        "For a lost code, hggt-data remove ROUND --annotator NAME does the same"
    )


def _complete(folder: Path, pending: _Pending, count: int, accounts: Path | None) -> Withdrawal:
    pseudonym = pending["pseudonym"]
    name = next(one.name for one in read_round(folder).annotators if one.pseudonym == pseudonym)
    num_accounts = 0
    if accounts is not None:
        listed = {account.name for account in Accounts(accounts).all()}
        if name in listed:
            remove_account(accounts, name)
            num_accounts = 1
    removed = remove_from_locked(folder, Unwanted(annotators=frozenset((pseudonym,))))
    write_json(folder / WITHDRAWALS, _Withdrawals(count=count), private=True)
    return Withdrawal(pseudonym, removed.num_files, num_accounts, count)


def _read(folder: Path) -> _Withdrawals:
    path = folder / WITHDRAWALS
    try:
        return read_value(_Withdrawals, read_json(path, RoundError, "restore it from a copy"))
    except FileNotFoundError:
        return _Withdrawals(count=0)
    except ValueError as error:
        if isinstance(error, RoundError):
            raise
        raise RoundError(f"{path} is damaged ({error}); restore it from a copy") from error
