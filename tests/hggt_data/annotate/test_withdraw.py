"""Withdrawal by code: everything of that person goes, at once or after a kill, and nothing of anyone else."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hggt_data import merge_round, reassign_groups, withdraw_person
from hggt_data.annotate.consent import Consents
from hggt_data.annotate.export import export_round
from hggt_data.annotate.round import Item, Kind, Round, lock_round, read_round
from hggt_data.annotate.status import describe_round
from hggt_data.annotate.web.accounts import Account, Accounts, add_account
from hggt_data.annotate.withdraw import count_withdrawals
from hggt_data.errors import OutputError, RoundError
from hggt_data.io.files import write_json
from tests.hggt_data.annotate.rounds import IDS, judge, make_round, skip, votes

CHECKS = (Item(Kind.GOLD, IDS[2]), Item(Kind.REPEAT, IDS[0]))


@pytest.fixture
def codes(tmp_path: Path) -> dict[str, str]:
    """The codes of three annotators: two judged two groups, and all of them checks, and skipped one."""
    round_ = make_round(tmp_path, {name: [(*votes(*IDS), *CHECKS)] for name in ("Ada", "Bob", "Cleo")})
    (round_.folder / "consent.md").write_text("Please read.")
    consents, codes = Consents(round_.folder), {}
    text = consents.text()
    assert text
    for annotator in round_.annotators:
        codes[annotator.name] = str(consents.accept(annotator, text.sha256))
        for kind, group in ((Kind.VOTE, IDS[0]), (Kind.VOTE, IDS[1]), *((item.kind, item.group) for item in CHECKS)):
            if (kind, annotator.name) != (Kind.VOTE, "Cleo"):
                judge(round_, annotator, str(group), kind)
            write_json(round_.shown_path(annotator, Item(kind, group)), {"display": {"zoom": 4}})
        skip(round_, annotator, IDS[3])
        add_account(tmp_path / "accounts.json", Account(annotator.name))
    (round_.folder / "merge.json").write_text('{"skipped": "black"}')
    return codes


def files_of(round_: Round, pseudonym: str) -> list[Path]:
    """The files of a round that lie in a folder of this person, or mention it, but for assignments and batches."""
    own = [path for path in round_.folder.rglob("*") if path.is_file() and pseudonym in str(path)]
    return [path for path in own if "batches" not in path.parts]


def test_everything_of_one_person_is_removed_and_their_groups_are_dealt_again(
    codes: dict[str, str], tmp_path: Path
) -> None:
    folder, accounts = tmp_path / "round", tmp_path / "accounts.json"
    before = read_round(folder)
    ada, bob, _ = before.annotators
    assert len(files_of(before, ada.pseudonym)) == 10
    kept = {path: path.read_bytes() for path in files_of(before, bob.pseudonym)}
    merge_round(folder, tmp_path / "tree", workers=1)
    export_round(folder, tmp_path / "answers")
    code = codes["Ada"].upper().replace("-", " ")
    lines = "\n".join(withdraw_person(folder, code, accounts=accounts))
    assert f"removed the answers, records, consent and name of {ada.pseudonym} (10 files); 1 withdrawal so far" in lines
    assert f"{tmp_path / 'tree'} (made by hggt-data merge on" in lines
    assert f"{tmp_path / 'answers'} (made by hggt-data round export on" in lines
    assert f"hggt-data remove DATASET --annotator {ada.pseudonym}" in lines
    assert "Ada" not in lines
    after = read_round(folder)
    assert files_of(after, ada.pseudonym) == []
    assert not [path for path in folder.rglob("*") if path.is_file() and b"Ada" in path.read_bytes()]
    assert {path: path.read_bytes() for path in files_of(after, bob.pseudonym)} == kept
    assert not (folder / "merge.json").exists()
    assert [account.name for account in Accounts(accounts).all()] == ["Bob", "Cleo"]
    assert count_withdrawals(folder) == 1
    assert describe_round(folder)[-1] == "1 withdrawal so far."
    with pytest.raises(RoundError, match="no one has this withdrawal code"):
        withdraw_person(folder, code, accounts=accounts)
    dealt = reassign_groups(folder, add=["Dora"]).round
    dora = dealt.annotators[-1]
    assert dora.groups_to_vote_on
    assert dora.pseudonym != ada.pseudonym


def _withdraw_and_die(dies_at: int, folder: Path, code: str, accounts: Path) -> None:
    left = dies_at

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **settings: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **settings)

        return run

    shutil.rmtree = dying(shutil.rmtree)  # type: ignore[assignment]
    Path.replace = dying(Path.replace)  # type: ignore[method-assign]
    withdraw_person(folder, code, accounts=accounts)


@pytest.mark.parametrize("dies_at", range(1, 9))
def test_after_a_kill_the_same_command_completes_it(codes: dict[str, str], tmp_path: Path, dies_at: int) -> None:
    """The process kills itself before one of the changes to files: deletions and renames."""
    folder, accounts = tmp_path / "round", tmp_path / "accounts.json"
    ada = read_round(folder).annotators[0]
    process = multiprocessing.get_context("fork").Process(
        target=_withdraw_and_die, args=(dies_at, folder, codes["Ada"], accounts)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    if dies_at == 1:
        assert withdraw_person(folder, codes["Bob"], accounts=accounts)  # another one is not lost by it
        assert len(files_of(read_round(folder), ada.pseudonym)) == 10
    withdraw_person(folder, codes["Ada"], accounts=accounts)
    assert files_of(read_round(folder), ada.pseudonym) == []
    assert not [path for path in folder.rglob("*") if path.is_file() and b"Ada" in path.read_bytes()]
    assert "Ada" not in {account.name for account in Accounts(accounts).all()}
    assert count_withdrawals(folder) == 1 + (dies_at == 1)


def test_an_interrupted_withdrawal_is_completed_by_the_next_one(codes: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "round"
    ada = read_round(folder).annotators[0]
    withdraw_person(folder, codes["Bob"])
    pending = {"pseudonym": ada.pseudonym, "code_sha256": "0" * 64}
    write_json(folder / "withdrawals.json", {"count": 2, "pending": pending})
    withdraw_person(folder, codes["Cleo"])
    assert files_of(read_round(folder), ada.pseudonym) == []
    assert count_withdrawals(folder) == 3


def test_a_wrong_code_or_a_served_round_changes_nothing(codes: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "round"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(RoundError, match="no one has this withdrawal code"):
        withdraw_person(folder, "abcd-efgh-jkmn-pqrs-tuvw-xyz2")
    with lock_round(folder), pytest.raises(OutputError, match="stop that first"):
        withdraw_person(folder, codes["Ada"])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
