import json
import stat
from pathlib import Path

import pytest

from hggt_data.annotate.web.accounts import Account, Accounts, add_account, remove_account
from hggt_data.errors import RoundError


def test_only_its_token_finds_an_account(tmp_path: Path) -> None:
    ada = add_account(tmp_path / "accounts.json", Account("Ada"))
    admin = add_account(tmp_path / "accounts.json", Account("lab", is_admin=True))
    accounts = Accounts(tmp_path / "accounts.json")
    assert accounts.find(ada) == Account("Ada")
    assert accounts.find(admin) == Account("lab", is_admin=True)
    for wrong in ("", "Ada", ada[:-1], ada + "x", ada.swapcase(), "\ud800", "ü"):
        assert accounts.find(wrong) is None


def test_the_file_holds_no_token_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    tokens = [add_account(path, Account(name)) for name in ("Ada", "Bob")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(token in path.read_text() for token in tokens)
    assert len({len(token) for token in tokens}) == 1
    assert len(tokens[0]) >= 32  # 192 bits


def test_a_name_has_one_token(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    old = add_account(path, Account("Ada"))
    with pytest.raises(RoundError, match="Ada already has a personal URL; pass `renew`"):
        add_account(path, Account("Ada"))
    new = add_account(path, Account("Ada"), renew=True)
    accounts = Accounts(path)
    assert (accounts.find(old), accounts.find(new)) == (None, Account("Ada"))


def test_names_are_stripped(tmp_path: Path) -> None:
    add_account(tmp_path / "accounts.json", Account(" Bob "))
    assert Accounts(tmp_path / "accounts.json").all() == [Account("Bob")]
    with pytest.raises(RoundError, match="Bob already has a personal URL"):
        add_account(tmp_path / "accounts.json", Account("Bob "))


def test_changes_take_effect_at_once(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    add_account(path, Account("Ada"))
    accounts = Accounts(path)
    bob = add_account(path, Account("Bob"))
    assert accounts.find(bob) == Account("Bob")
    remove_account(path, "Bob")
    assert accounts.find(bob) is None


@pytest.mark.parametrize("damage", ["", "[1]", '[{"name": "Ada"}]'])
def test_a_damaged_file_is_an_error_at_the_start_and_refuses_everyone_later(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "accounts.json"
    token = add_account(path, Account("Ada"))
    accounts = Accounts(path)
    temporary = accounts.admit(Account("here"))
    path.write_text(damage)
    with pytest.raises(RoundError, match="not an accounts file"):
        Accounts(path)
    with pytest.raises(RoundError, match="not an accounts file"):
        add_account(path, Account("Bob"))
    assert path.read_text() == damage
    assert accounts.find(token) is None
    assert accounts.find(temporary) == Account("here")


def test_a_missing_file_says_how_to_create_one(tmp_path: Path) -> None:
    with pytest.raises(RoundError, match="no such file; create it with hggt-data accounts add"):
        Accounts(tmp_path / "accounts.json")


def test_removing_an_unknown_account(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    add_account(path, Account("Ada"))
    with pytest.raises(RoundError, match="no account named 'Adah'; did you mean 'Ada'"):
        remove_account(path, "Adah")


def test_invalid_names_create_no_file(tmp_path: Path) -> None:
    with pytest.raises(RoundError, match="is not a valid name"):
        add_account(tmp_path / "accounts.json", Account("a\x1b[2J"))
    assert not (tmp_path / "accounts.json").exists()


def test_the_format_of_the_file(tmp_path: Path) -> None:
    add_account(tmp_path / "accounts.json", Account("Ada"))
    [entry] = json.loads((tmp_path / "accounts.json").read_text())
    assert entry.keys() == {"name", "admin", "token_sha256"}
