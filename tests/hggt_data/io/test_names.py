"""Names that look the same to people."""

import pytest

from hggt_data.io.names import by_look, compare_names, find_lookalikes, look, note_lookalike

NFC, NFD = "Caf\u00e9", "Cafe\u0301"


@pytest.mark.parametrize(
    ("name", "other"), [(NFC, NFD), ("A.png", "a.PNG"), (NFC.upper(), NFD), ("K", "\u212a"), ("\u00df", "SS")]
)
def test_names_that_look_the_same_have_the_same_key(name: str, other: str) -> None:
    assert look(name) == look(other)
    assert list(find_lookalikes([name, other, name])) == [(other, name)]


@pytest.mark.parametrize(("name", "other"), [("Cafe", NFC), ("a-1-0", "a-10"), ("O", "0"), ("a ", "a")])
def test_names_that_people_can_tell_apart_have_different_keys(name: str, other: str) -> None:
    assert look(name) != look(other)


@pytest.mark.parametrize(
    ("name", "other", "text"),
    [
        (NFD, NFC, r"'Cafe\u0301' differs from 'Caf\xe9' only in Unicode form"),
        ("CAFÉ", "café", "'CAFÉ' differs from 'café' only in case"),
        ("CAFÉ", NFD, r"'CAF\xc9' differs from 'Cafe\u0301' only in case and Unicode form"),
    ],
)
def test_a_message_shows_in_what_names_differ(name: str, other: str, text: str) -> None:
    assert compare_names(name, other) == text
    assert note_lookalike(name, by_look([other])) == f"; {text}"
    assert note_lookalike(name, by_look([name])) == note_lookalike(name, {}) == ""
