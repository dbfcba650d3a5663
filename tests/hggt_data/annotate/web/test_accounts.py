import json
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from hggt_data.annotate.web.accounts import Account, Accounts, add_account, remove_account
from hggt_data.cli.main import main
from hggt_data.errors import RoundError
from hggt_data.io.text import printable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.json"


def test_only_its_token_finds_an_account(path: Path) -> None:
    ada = add_account(path, Account("Ada"))
    admin = add_account(path, Account("lab", is_admin=True))
    accounts = Accounts(path)
    assert accounts.find(ada) == Account("Ada")
    assert accounts.find(admin) == Account("lab", is_admin=True)
    for wrong in ("", "Ada", ada[:-1], ada + "x", ada.swapcase(), "\ud800", "ü"):
        assert accounts.find(wrong) is None


def test_the_file_holds_hashes_of_the_tokens_and_only_its_owner_can_read_it(path: Path) -> None:
    tokens = [add_account(path, Account(name)) for name in ("Ada", "Bob")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(token in path.read_text() for token in tokens)
    assert all(len(token) >= 32 for token in tokens)  # 192 bits
    assert json.loads(path.read_text())[0].keys() == {"name", "admin", "token_sha256"}


def test_a_name_has_one_token(path: Path) -> None:
    old = add_account(path, Account(" Ada"))
    assert Accounts(path).all() == [Account("Ada")]
    with pytest.raises(RoundError, match="Ada already has a personal URL; pass `renew`"):
        add_account(path, Account("Ada "))
    new = add_account(path, Account("Ada"), renew=True)
    accounts = Accounts(path)
    assert (accounts.find(old), accounts.find(new)) == (None, Account("Ada"))


def test_changes_take_effect_at_once(path: Path) -> None:
    add_account(path, Account("Ada"))
    accounts = Accounts(path)
    bob = add_account(path, Account("Bob"))
    assert accounts.find(bob) == Account("Bob")
    remove_account(path, "Bob")
    assert accounts.find(bob) is None


@pytest.mark.parametrize("damage", ["", '[{"name": "Ada"}]'])
def test_a_damaged_file_is_an_error_at_the_start_and_refuses_everyone_later(path: Path, damage: str) -> None:
    token = add_account(path, Account("Ada"))
    accounts = Accounts(path)
    temporary = accounts.admit(Account("here"))
    path.write_text(damage)
    with pytest.raises(RoundError, match="not an accounts file"):
        Accounts(path)
    with pytest.raises(RoundError, match="not an accounts file"):
        add_account(path, Account("Bob"))
    assert path.read_text() == damage
    with pytest.raises(RoundError, match="not an accounts file"):
        accounts.find(token)
    assert accounts.find(temporary) == Account("here")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"admin": "false"}, "admin is 'false'; expected true or false"),
        ({"name": 7}, "name is 7; expected text"),
        ({"token_sha256": "x"}, "'x' is not a SHA-256"),
        ({"token_sha256": "00" * 32}, "the name 'Ada' occurs twice"),
    ],
)
def test_the_file_is_read_strictly(path: Path, changes: dict[str, object], message: str) -> None:
    add_account(path, Account("Ada"))
    [entry] = json.loads(path.read_text())
    entries = [entry, entry | changes] if "twice" in message else [entry | changes]
    path.write_text(json.dumps(entries))
    with pytest.raises(RoundError, match=message):
        Accounts(path)


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    token = add_account(path, Account("Ada"))
    accounts = Accounts(path)
    path.unlink()
    os.mkfifo(path)
    for read in (lambda: Accounts(path), lambda: accounts.find(token)):
        with pytest.raises(RoundError, match=r"accounts\.json cannot be read \(not a regular file\)"):
            read()


def test_a_huge_file_does_not_block_the_server(path: Path) -> None:
    path.write_bytes(b" " * (1 << 23))
    with pytest.raises(RoundError, match=r"accounts\.json cannot be read \(larger than"):
        Accounts(path)


def test_a_missing_file_or_account_is_reported(path: Path) -> None:
    with pytest.raises(RoundError, match="no such file; create it with hggt-data accounts add"):
        Accounts(path)
    with pytest.raises(RoundError, match="is not a valid name"):
        add_account(path, Account("a\x1b[2J"))
    assert not path.exists()
    add_account(path, Account("Ada"))
    with pytest.raises(RoundError, match="no account named 'Adah'; did you mean 'Ada'"):
        remove_account(path, "Adah")


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        ("a\x1b[2J", "a\\x1b[2J"),  # as `accounts list` prints it
        ("a\x1b[2J", "a\x1b[2J"),
        ("two\nlines", "two\\nlines"),
        (" Zoe\u0308", "Zo\u00eb"),
        ("", ""),
    ],
)
def test_an_account_that_was_added_before_names_were_checked_can_be_removed(
    path: Path, stored: str, given: str
) -> None:
    for name in ("Ada", "old"):
        add_account(path, Account(name))
    ada, old = json.loads(path.read_text())
    path.write_text(json.dumps([ada, old | {"name": stored}]))
    assert (
        CliRunner().invoke(main, ["accounts", "list", "--accounts", str(path)]).output == f"Ada\n{printable(stored)}\n"
    )
    result = CliRunner().invoke(main, ["accounts", "remove", given, "--accounts", str(path)])
    assert result.exit_code == 0, result.output
    assert Accounts(path).all() == [Account("Ada")]
