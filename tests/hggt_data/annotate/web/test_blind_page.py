"""The page of a blind round in a real browser."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from hggt_data.annotate.round import Kind, KnownAnswer
from hggt_data.annotate.web.study import open_store
from hggt_data.schema import ORIGINAL, Label, Protocol
from tests.hggt_data.annotate.rounds import votes
from tests.hggt_data.annotate.web.test_page import (
    LEVELS,
    Session,
    accessibility_faults,
    middle_of,
    open_page,
    press,
    saving,
    serve,
    shown,
    wait_until,
)

QUESTION = "Which looks more <i>natural</i>?"
SIZES = ((1366, 768), (1920, 1080), (390, 844))


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Session]]:
    """Annotators with practice and two groups, in a round that requires 100 %."""
    [practice] = [replace(item, kind=Kind.PRACTICE) for item in votes("practice-0-0")]
    known = {practice.group: KnownAnswer((Label.POSITIVE,) * 4, "{01} is the darkest.")}
    batches = {f"Ann {k}": [(practice,), votes("g0-0-0", "g1-0-0")] for k in range(6)}
    protocol = Protocol(blind=True, question=QUESTION, versions_at_once=2, full_zoom=True)
    sessions = serve(tmp_path_factory.mktemp("blind"), batches, side=256, known=known, protocol=protocol)
    with sessions[0].server:
        yield sessions


def choose_darker(page: Page) -> None:
    """Look at all of both versions, choose the darker one by key, and go on."""
    shown(page)
    levels = [middle_of(page, position) for position in (0, 1)]
    press(page, "1" if levels[0] < levels[1] else "2", "Enter")
    while page.locator("#status").inner_text().startswith("Versions not completely seen"):
        page.wait_for_timeout(1100)
        press(page, "Enter")


@pytest.mark.parametrize("size", SIZES)
def test_a_round_by_keyboard(browser: Browser, sessions: list[Session], size: tuple[int, int]) -> None:
    session = sessions.pop()
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    open_page(page, session)
    for _ in range(4):
        choose_darker(page)
        expect(page.locator("#feedback-dialog[open]")).to_contain_text("is the original")
        expect(page.locator("#feedback-dialog")).to_contain_text("Your choice is as expected.")
        press(page, "Enter")
        expect(page.locator("#feedback-dialog[open]")).to_have_count(0)  # the next key may be faster
    press(page, "Enter")
    for number in range(8):
        expect(page.locator("#progress")).to_have_text(f"{number} of 8 done")
        choose_darker(page)
    expect(page.locator("#done-title")).to_have_text("You have finished everything. Thank you!")
    saving(page, "All answers saved")
    store = open_store(session.round)
    answers = store.answers(session.annotator).values()
    assert [answer.labels for answer in answers] == [(Label.POSITIVE,) * 4] * 3  # every candidate is darker
    assert set(store.full_zoom(session.annotator).values()) == {True}
    context.close()


def test_nothing_on_the_page_names_the_original(page: Page, sessions: list[Session]) -> None:
    open_page(page, sessions[-1])
    expect(page.locator("h1")).to_have_text(QUESTION)
    expect(page.locator(".pane .long")).to_have_text(["Version 1", "Version 2"])
    assert "original" not in page.locator("body").inner_text().lower()
    assert "original" not in page.locator("#stage").evaluate("stage => stage.innerHTML").lower()
    press(page, "h")
    assert "original" not in page.locator("#help-dialog").inner_text().lower()
    press(page, "Escape")
    assert accessibility_faults(page) == []


def test_versions_swap_slide_and_enlarge(page: Page, sessions: list[Session]) -> None:
    open_page(page, sessions[-1])
    before = [middle_of(page, position) for position in (0, 1)]
    assert LEVELS[ORIGINAL] in before
    page.keyboard.down(" ")
    assert [middle_of(page, position) for position in (0, 1)] == before[::-1]
    page.keyboard.up(" ")
    press(page, "z", ".", ".")  # the other version on the left, past the middle
    assert [middle_of(page, position) for position in (0, 1)] == before[::-1]
    press(page, "z", "f")
    expect(page.locator(".pane:visible")).to_have_count(1)
    press(page, "Shift+ArrowRight")
    expect(page.locator(".pane:visible .long")).to_have_text("Version 2")
    press(page, "s")
    expect(page.locator('.pane:visible [aria-pressed="true"]')).to_have_text("= Same S")
    press(page, "f", "1")
    expect(page.locator('.labels [aria-pressed="true"]')).to_have_count(1)
    press(page, "u")
    expect(page.locator('.labels [aria-pressed="true"]')).to_have_count(2)


def test_a_reload_in_the_middle_and_a_skip(page: Page, sessions: list[Session]) -> None:
    session = sessions.pop()
    open_page(page, session)
    page.locator("#batch").select_option("1")
    expect(page.locator("#progress")).to_have_text("0 of 8 done")
    choose_darker(page)
    expect(page.locator("#progress")).to_have_text("1 of 8 done")
    saving(page, "All answers saved")
    page.reload()
    shown(page)
    page.locator("#batch").select_option("1")
    expect(page.locator("#progress")).to_have_text("1 of 8 done")
    shown(page)
    press(page, "x")
    page.locator("#skip-dialog button.main").click()
    expect(page.locator("#progress")).to_have_text("5 of 8 done")  # all pairs of the second group
    wait_until(lambda: len(session.skips()) == 1, "the skip is on disk")
