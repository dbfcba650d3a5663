"""The text to accept, the withdrawal code, the instructions with pictures, and the languages, in a real browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from hggt_data.annotate.consent import hash_code, read_acceptance
from hggt_data.annotate.web.texts import read_texts
from tests.hggt_data.annotate.rounds import votes
from tests.hggt_data.annotate.web.test_page import (
    Session,
    accessibility_faults,
    answer,
    press,
    serve,
    shown,
    wait_until,
)

TEXT = """# Before you begin
Read this, please. <b>No HTML.</b>
## Purpose
**To test.**
"""
EXAMPLES = """Look *closely*.
![Good: a clean edge](instructions/good.png) ![Bad](instructions/bad.png)
"""


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Session]]:
    batches = {name: [votes("p0-0-0", "p1-0-0")] for name in ("Ada", "Bob", "Cleo")}
    folder = tmp_path_factory.mktemp("consent")
    sessions = serve(folder, batches)
    (folder / "round" / "instructions").mkdir()
    for name, level in (("good", "original"), ("bad", "01")):
        data = (folder / "pictures" / level / f"p0-0-0{'' if level == 'original' else '_01'}.png").read_bytes()
        (folder / "round" / "instructions" / f"{name}.png").write_bytes(data)
    (folder / "round" / "instructions.md").write_text(EXAMPLES)
    (folder / "round" / "consent.md").write_text(TEXT)
    with sessions[0].server:
        yield sessions


def test_consent_the_code_and_the_instructions_come_first(page: Page, sessions: list[Session]) -> None:
    session, requests = sessions[0], list[str]()
    page.on("request", lambda request: requests.append(request.url))
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(session.url)
    page.locator("#consent-dialog button[value=decline]").click()
    expect(page.locator("body")).to_have_text(re.compile("nothing was saved"))
    assert read_acceptance(session.round.folder, session.annotator.pseudonym) is None
    page.reload()  # who declined may change their mind
    text = page.locator("#consent-text")
    expect(text).to_contain_text("<b>No HTML.</b>")
    expect(text.locator("strong")).to_have_text("To test.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert accessibility_faults(page) == []
    for key in ("Escape", "Escape", "Enter", "p"):
        page.keyboard.press(key)
    expect(page.locator("#consent-dialog")).to_be_visible()
    assert not [url for url in requests if "/items/" in url or "/batches/" in url or "/instructions/" in url]
    page.locator("#consent-dialog button[value=accept]").click()
    code = page.locator("#code")
    expect(code).to_have_text(re.compile(r"([a-z2-9]{4}-){5}[a-z2-9]{4}"))
    assert accessibility_faults(page) == []
    shown_code = code.inner_text()
    page.reload()  # before it was noted: a new code
    expect(code).to_have_text(re.compile(".{29}"))
    assert code.inner_text() != shown_code
    shown_code = code.inner_text()
    page.keyboard.press("Escape")
    expect(code).to_be_visible()
    page.locator("#code-dialog button.main").click()
    pictures = page.locator("#instructions-dialog img")
    expect(pictures).to_have_count(2)
    loaded = "[...document.images].every((image) => image.naturalWidth === 64)"
    wait_until(lambda: page.evaluate(loaded) is True, "the pictures are there")
    expect(page.locator("#instructions-dialog figcaption").first).to_have_text("Good: a clean edge")
    assert accessibility_faults(page) == []
    press(page, "Enter")
    shown(page)
    accepted = read_acceptance(session.round.folder, session.annotator.pseudonym)
    assert accepted
    assert accepted.code_sha256 == hash_code(shown_code)
    press(page, *"psnp", "Enter")
    session.wait_for(1)
    page.reload()
    shown(page)  # neither is asked again
    press(page, "i")
    expect(pictures).to_have_count(2)
    assert all(url.startswith((session.server.url, "blob:")) for url in requests)


def test_the_page_is_chinese_in_a_chinese_browser(browser: Browser, sessions: list[Session]) -> None:
    context = browser.new_context(locale="zh-CN", viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(sessions[1].url)
    texts = read_texts(Path("no round"), language="zh")
    expect(page.locator("#consent-dialog .main")).to_have_text(texts["consent_accept"])
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    page.locator("#consent-dialog .main").click()
    page.locator("#code-dialog .main").click()
    page.locator("#instructions-dialog .main").click()
    shown(page)
    expect(page.locator("#next")).to_have_text(texts["next"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    press(page, "h")
    expect(page.locator("#help-dialog")).to_contain_text("not been proofread")
    context.close()


VISIBLE = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (!walker.currentNode.parentElement.closest("noscript, kbd, #consent-text, #instructions-text, #code")) {
      found.push(walker.currentNode.data);
    }
  }
  for (const element of document.querySelectorAll("body *")) {
    for (const name of ["title", "aria-label", "placeholder"]) {
      found.push(element.getAttribute(name) ?? "");
    }
  }
  const bare = (text) => (/«[^«»]*»/u.test(text) ? bare(text.replace(/«[^«»]*»/gu, "")) : text);
  return [document.title, ...found].filter((text) => /\\p{Letter}/u.test(bare(text)));
}"""


def test_every_word_on_the_page_is_from_the_texts(page: Page, sessions: list[Session], tmp_path: Path) -> None:
    """With all texts in guillemets, no letter stands outside of them, but keys, names and what the round says."""
    marked = {key: f"«{text}»" for key, text in read_texts(tmp_path).items() if key not in ("lang", "translation")}
    page.route("**/api/texts", lambda route: route.fulfill(body=json.dumps(marked | {"lang": "en", "translation": ""})))
    page.goto(sessions[2].url)
    expect(page.locator("#consent-dialog")).to_be_visible()
    assert page.evaluate(VISIBLE) == []
    page.locator("#consent-dialog .main").click()
    page.locator("#code-dialog .main").click()
    page.locator("#instructions-dialog .main").click()
    shown(page)
    press(page, "p")
    for key, name in (("h", "help"), ("b", "pause"), ("x", "skip")):
        press(page, key)
        expect(page.locator(f"#{name}-dialog")).to_be_visible()
        assert page.evaluate(VISIBLE) == []
        press(page, "Escape")
    for _ in range(2):
        answer(page)
    expect(page.locator("#done-dialog")).to_be_visible()
    assert page.evaluate(VISIBLE) == []
    page.goto(sessions[2].server.admin_url)
    expect(page.locator("#annotators tr")).to_have_count(3)
    names = r"(Ada|Bob|Cleo|p\d-0-0)((: | )«.*»)?|p\d-0-0 0\d"  # of people, groups and candidates
    assert [text for text in page.evaluate(VISIBLE) if not re.fullmatch(names, text)] == []
