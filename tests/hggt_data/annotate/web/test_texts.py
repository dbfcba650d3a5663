"""All words of the pages are in `texts*.json`, once per language."""

import inspect
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from hggt_data.annotate.web import app, guard, progress, reading
from hggt_data.annotate.web.texts import Texts, read_texts
from hggt_data.errors import RoundError
from hggt_data.schema import BLIND_QUESTION, Protocol

STATIC = files("hggt_data.annotate.web") / "static"
PAGES = {entry.name: entry.read_text("utf-8") for entry in STATIC.iterdir() if entry.name.endswith((".js", ".html"))}
ENGLISH = [entry.name for entry in STATIC.iterdir() if re.fullmatch(r"texts\w*(?<!_zh)\.json", entry.name)]


def read(name: str) -> dict[str, str]:
    texts: dict[str, str] = json.loads((STATIC / name).read_bytes())
    return texts


def lang_of(texts: Texts, accepted: str) -> str:
    return texts.of(Headers({"accept-language": accepted}))["lang"]


@pytest.mark.parametrize("name", ENGLISH)
def test_a_translation_has_the_same_keys_and_values_in_braces(name: str) -> None:
    english, chinese = read(name), read(name.replace(".json", "_zh.json"))
    assert list(chinese) == list(english)
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", chinese[key])) == sorted(re.findall(r"\{\w+\}", text)), key
    if name == "texts.json":
        assert "not been proofread" in chinese["translation"]


def test_the_language_is_that_of_the_round_or_of_the_browser(tmp_path: Path) -> None:
    texts = Texts(tmp_path)
    for accepted, lang in {
        "zh-CN,zh;q=0.9,en;q=0.8": "zh-Hans",
        "de,zh;q=0.5,en;q=0.7": "en",
        "de, zh-TW;q=0.5": "zh-Hans",
        "fr": "en",
        "zh;q=0, en": "en",
        "zh;q=x": "en",
        "": "en",
    }.items():
        assert lang_of(texts, accepted) == lang, accepted
    assert lang_of(Texts(tmp_path, language="zh"), "en") == "zh-Hans"
    blind = Protocol(blind=True, question=BLIND_QUESTION)
    assert Texts(tmp_path, blind, "zh").of(Headers({}))["title"].startswith("哪个版本")


def test_texts_of_the_round_replace_the_default_ones(tmp_path: Path) -> None:
    (tmp_path / "texts.json").write_text('{"next": "Weiter"}', "utf-8")
    texts = Texts(tmp_path)
    found = texts.of(Headers({"accept-language": "zh"}))
    assert (found["next"], found["previous"]) == ("Weiter", "Previous")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"nxt": "Weiter"}', "unknown key 'nxt'; did you mean 'next'"),
        ('{"next": 3}', "expected a JSON object of strings"),
    ],
)
def test_invalid_texts_are_reported_at_the_start(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "texts.json").write_text(content)
    with pytest.raises(RoundError, match=message):
        read_texts(tmp_path)


def test_every_text_is_used_and_every_used_text_exists(tmp_path: Path) -> None:
    source = "\n".join([*PAGES.values(), *map(inspect.getsource, (app, guard, progress, reading))])
    texts = read_texts(tmp_path)
    prefixes = ("positive", "similar", "negative", "chosen", "same", "admin_column_", "key_")
    composed = {key for key in texts if key.startswith(prefixes)}
    used = {key for key in texts if re.search(rf"[\"'.\s]{key}[\"':\s]", source)}
    assert texts.keys() - composed - used == {"translation"} - used
    named = re.findall(r"\btext\(\"(\w+)\"|data-(?:text|label)=\"(\w+)\"|texts\[[\"'](\w+)", source)
    assert {"".join(groups) for groups in named} - texts.keys() == set()
    assert len(named) > 50


def test_the_pages_have_no_words_of_their_own() -> None:
    for name, source in PAGES.items():
        if name.endswith(".html"):
            visible = re.sub(r"<title>hggt</title>|<[^>]*>|\{needs_javascript\}", "", source)
            assert not re.search(r"\w", visible), name
            assert not re.search(r"(?:title|alt|placeholder|aria-label)=\"[^\"]", source), name
        else:
            code = re.sub(r"^\s*(//|/?\*).*|[^:]//.*", "", source, flags=re.MULTILINE)
            strings = [left or right for left, right in re.findall(r"\"([^\"\n]*)\"|`([^`]*)`", code)]
            plain = [re.sub(r"\$\{[^}]*\}", "", string) for string in strings]
            words = {string for string in plain if re.search(r"[a-z]{2,} [a-z]{2,}|^[A-Z][a-z]+\W*$", string)}
            assert not words - NO_WORDS, name


# Labels as they are stored, a header and a key of the keyboard.
NO_WORDS = {"Bearer ", "Digit", "Space", "Positive", "Similar", "Negative"}
