import json
from pathlib import Path

import pytest

from hggt_data.annotate.consent import SECTIONS, Consents, hash_code, read_acceptance, read_consent, write_template
from hggt_data.annotate.round import Annotator
from hggt_data.errors import OutputError, RoundError
from hggt_data.io.files import sha256_of

ADA = Annotator("Ada", "annotator-ada")


def accept(folder: Path, consents: Consents) -> str | None:
    text = read_consent(folder)
    assert text
    return consents.accept(ADA, text.sha256)


def test_the_template_has_all_sections_and_is_not_complete_until_they_are_filled(tmp_path: Path) -> None:
    path = write_template(tmp_path)
    with pytest.raises(OutputError, match=r"consent\.md exists already"):
        write_template(tmp_path)
    text = read_consent(tmp_path)
    assert text
    assert text.missing == [name for name in SECTIONS if name != "how to withdraw"]
    path.write_text("\n".join(f"## {name.capitalize()}\nA text." for name in SECTIONS[:-2]) + "\n## 年龄 {#age}\n18\n")
    text = read_consent(tmp_path)
    assert text
    assert text.missing == ["how to withdraw"]


@pytest.mark.parametrize(("data", "message"), [(b"", "is empty"), (b"\xff", "is not UTF-8")])
def test_an_unusable_text_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "consent.md").write_bytes(data)
    with pytest.raises(RoundError, match=message):
        read_consent(tmp_path)


def test_consent_is_stored_with_the_text_and_a_hash_of_the_code(tmp_path: Path) -> None:
    (tmp_path / "consent.md").write_text("Please read.")
    consents = Consents(tmp_path)
    assert not consents.is_given(ADA)
    first = accept(tmp_path, consents)
    second = accept(tmp_path, consents)  # the first response was lost
    assert first
    assert second
    assert first != second
    consents.note_code(ADA)
    assert accept(tmp_path, consents) is None
    assert consents.is_given(ADA)
    assert Consents(tmp_path).is_given(ADA)  # after a restart
    path = tmp_path / "consent" / "annotator-ada.json"
    assert path.stat().st_mode & 0o777 == 0o600
    content = json.loads(path.read_text())
    assert content["sha256"] == sha256_of(b"Please read.")
    assert content["code_sha256"] == hash_code(second.upper().replace("-", " "))
    assert second.replace("-", "") not in path.read_text().replace("-", "")
    assert (tmp_path / "consent" / f"{content['sha256']}.md").read_text() == "Please read."


def test_a_changed_text_asks_again_and_keeps_the_code(tmp_path: Path) -> None:
    (tmp_path / "consent.md").write_text("First.")
    consents = Consents(tmp_path)
    accept(tmp_path, consents)
    consents.note_code(ADA)
    before = read_acceptance(tmp_path, ADA.pseudonym)
    assert before
    (tmp_path / "consent.md").write_text("Second.")
    assert not consents.is_given(ADA)
    with pytest.raises(ValueError, match="has changed"):
        consents.accept(ADA, before.sha256)
    assert accept(tmp_path, consents) is None
    after = read_acceptance(tmp_path, ADA.pseudonym)
    assert after
    assert (after.code_sha256, after.earlier) == (before.code_sha256, ((before.sha256, before.accepted),))
    (tmp_path / "consent.md").unlink()
    with pytest.raises(RoundError, match="is missing, but was there"):
        consents.is_given(ADA)
