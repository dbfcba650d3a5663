import json
import stat
from pathlib import Path

import pytest

from hggt_data.annotate.web.accounts import Account, Accounts, add_account, remove_account
from hggt_data.errors import RoundError


def test_a_token_finds_its_account_and_no_other_word_does(tmp_path: Path) -> None:
    ada = add_account(tmp_path / "accounts.json", Account("Ada"))
    admin = add_account(tmp_path / "accounts.json", Account("lab", is_admin=True))
    accounts = Accounts(tmp_path / "accounts.json")
    assert accounts.find(ada) == Account("Ada")
    assert accounts.find(admin) == Account("lab", is_admin=True)
    for wrong in ("", "Ada", ada[:-1], ada + "x", ada.swapcase(), "\ud800", "ü"):
        assert accounts.find(wrong) is None


def test_the_file_holds_no_token_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    tokens = [add_account(path, Account(name)) for name in ("Ada", "Bob")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(token in path.read_text() for token in tokens)
    assert len({len(token) for token in tokens}) == 1
    assert len(tokens[0]) >= 32  # 192 bits


def test_a_name_has_one_token(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    old = add_account(path, Account("Ada"))
    with pytest.raises(RoundError, match="Ada has a URL already; --renew"):
        add_account(path, Account("Ada"))
    new = add_account(path, Account("Ada"), renew=True)
    accounts = Accounts(path)
    assert (accounts.find(old), accounts.find(new)) == (None, Account("Ada"))


def test_space_around_a_name_is_none_of_it(tmp_path: Path) -> None:
    add_account(tmp_path / "accounts.json", Account(" Bob "))
    assert Accounts(tmp_path / "accounts.json").all() == [Account("Bob")]
    with pytest.raises(RoundError, match="Bob has a URL already"):
        add_account(tmp_path / "accounts.json", Account("Bob "))


def test_changes_hold_at_once(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    add_account(path, Account("Ada"))
    accounts = Accounts(path)
    bob = add_account(path, Account("Bob"))
    assert accounts.find(bob) == Account("Bob")
    remove_account(path, "Bob")
    assert accounts.find(bob) is None


@pytest.mark.parametrize("damage", ["", "{", "[1]", '[{"name": "Ada"}]', '{"Ada": 1}'])
def test_a_damaged_file_is_an_error_at_first_and_lets_nobody_in_later(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "accounts.json"
    token = add_account(path, Account("Ada"))
    accounts = Accounts(path)
    passing = accounts.admit(Account("here"))
    path.write_text(damage)
    with pytest.raises(RoundError, match="no file of accounts"):
        Accounts(path)
    with pytest.raises(RoundError, match="no file of accounts"):
        add_account(path, Account("Bob"))
    assert path.read_text() == damage
    assert accounts.find(token) is None
    assert accounts.find(passing) == Account("here")


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RoundError, match="no such file; hggt-data accounts add makes it"):
        Accounts(tmp_path / "accounts.json")


def test_who_is_not_there_cannot_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    add_account(path, Account("Ada"))
    with pytest.raises(RoundError, match="nobody called 'Adah'; did you mean 'Ada'"):
        remove_account(path, "Adah")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[2J"])
def test_names_are_printable(tmp_path: Path, name: str) -> None:
    with pytest.raises(RoundError, match="is not a valid name"):
        add_account(tmp_path / "accounts.json", Account(name))
    assert not (tmp_path / "accounts.json").exists()


def test_entries_of_a_file_are_what_is_documented(tmp_path: Path) -> None:
    add_account(tmp_path / "accounts.json", Account("Ada"))
    [entry] = json.loads((tmp_path / "accounts.json").read_text())
    assert entry.keys() == {"name", "admin", "token_sha256"}
