"""The page in a real browser, against a real server."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from hggt_data.annotate.round import Item, Kind, KnownAnswer, Round, write_round
from hggt_data.annotate.web.accounts import Account, add_account
from hggt_data.annotate.web.store import Answer, AnswerStore
from hggt_data.io.images import encode_png
from hggt_data.schema import Label, PatchId
from tests.chromium import Launch
from tests.hggt_data.annotate.rounds import make_round, votes
from tests.hggt_data.annotate.servers import Server
from tests.hggt_data.trees import FOUR, write_bytes

SIDE = 64
PATTERN = ("p", "s", "n", "p")
LABELS = ["Positive", "Similar", "Negative", "Positive"]
# A flat grey level for each picture, so that what is on the screen tells which it is; and a corner of single pixels.
LEVELS = {"original": 200, "01": 20, "02": 60, "03": 100, "04": 140}


def write_pictures(folder: Path, ids: list[str]) -> Path:
    for group in ids:
        for name, level in LEVELS.items():
            pixels = np.full((SIDE, SIDE, 3), level, np.uint8)
            pixels[0:8:2, 0:8:2] = 255
            ending = "" if name == "original" else f"_{name}"
            write_bytes(folder / name / f"{group}{ending}.png", encode_png(pixels))
    return folder


def groups(number: int) -> list[str]:
    return [f"p{k}-0-0" for k in range(number)]


@pytest.fixture
def dealt(tmp_path: Path) -> Round:
    """Six groups, the same for two people; the first is practice for Ada."""
    ids = groups(6)
    practice = (Item(Kind.PRACTICE, PatchId.parse(ids[0])),)
    known = {PatchId.parse(ids[0]): KnownAnswer((Label.NEGATIVE,) * 4, "All of them are spoilt.")}
    patches = write_pictures(tmp_path / "pictures", ids)
    batches = {"Ada": [practice, votes(*ids[1:])], "Bob": [votes(*ids[1:])]}
    return make_round(tmp_path, batches, patches=patches, known=known)


@pytest.fixture
def server(dealt: Round) -> Iterator[Server]:
    with Server(dealt.folder, "--annotator", "Ada") as server:
        yield server


@dataclass(frozen=True)
class Voting:
    """A round with five groups and nothing else for one person, its server, and the person's URL."""

    dealt: Round
    server: Server
    url: str


@pytest.fixture
def voting(tmp_path: Path) -> Iterator[Voting]:
    ids = groups(5)
    dealt = make_round(tmp_path, {"Ada": [votes(*ids)]}, patches=write_pictures(tmp_path / "pictures", ids))
    token = add_account(tmp_path / "accounts.json", Account("Ada"))
    with Server(dealt.folder, "--accounts", str(tmp_path / "accounts.json")) as server:
        yield Voting(dealt, server, f"{server.url}#{token}")


def shown(page: Page) -> None:
    expect(page.locator("#stage")).to_have_attribute("data-state", "shown")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
        if key == "Escape":  # closes a dialog only after the key is dealt with, and the next key may be faster
            expect(page.locator("dialog[open]")).to_have_count(0)


def answers(dealt: Round, person: int = 0) -> dict[str, list[str]]:
    """Each answered vote with its labels, in the order shown."""
    store = AnswerStore(dealt)
    annotator = dealt.annotators[person]
    found = {}
    for item in annotator.items:
        saved = store.read(annotator, item)
        if saved and item.kind is Kind.VOTE:
            found[str(item.group)] = [label.value for label in saved.labels]
    return found


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def grey_in_the_middle(page: Page, position: int) -> int:
    """What the person sees: the grey level at the middle of a pane."""
    script = """canvas => {
        const [x, y] = [canvas.width >> 1, canvas.height >> 1];
        return canvas.getContext("2d").getImageData(x, y, 1, 1).data[0];
    }"""
    return int(page.locator(f'[data-position="{position}"] canvas').evaluate(script))


def rows_of(page: Page, position: int) -> Any:
    """The pixels of a pane's canvas, (H, W) of the red channel."""
    script = """canvas => {
        const {width, height} = canvas;
        return [width, height, Array.from(canvas.getContext("2d").getImageData(0, 0, width, height).data)];
    }"""
    width, height, data = page.locator(f'[data-position="{position}"] canvas').evaluate(script)
    return np.array(data, np.uint8).reshape(height, width, 4)[..., 0]


def test_a_whole_batch_by_keyboard(page: Page, server: Server, dealt: Round) -> None:
    page.goto(server.url_of("Ada"))
    shown(page)
    expect(page.locator("#batch option")).to_have_text(["Practice", "Batch 1"])
    press(page, *PATTERN, "Enter")
    feedback = page.locator("#feedback-dialog")
    expect(feedback).to_contain_text("Version 1: you said Positive, expected was Negative.")
    expect(feedback).to_contain_text("All of them are spoilt.")
    expect(feedback.locator("li")).to_have_count(3)
    press(page, "Enter")
    expect(page.locator("#done-title")).to_have_text("This batch is done.")
    press(page, "Enter")
    for number in range(5):
        shown(page)
        expect(page.locator("#progress")).to_have_text(f"{number} of 5 done")
        press(page, *PATTERN, "Enter")
    expect(page.locator("#done-title")).to_have_text("All is done. Thank you!")
    expect(page.locator("#saving")).to_have_text("All saved")
    assert answers(dealt) == dict.fromkeys(groups(6)[1:], LABELS)
    assert (dealt.folder / "practice" / dealt.annotators[0].pseudonym / "p0-0-0.json").is_file()


def test_not_all_judged_goes_nowhere(page: Page, voting: Voting) -> None:
    dealt = voting.dealt
    page.goto(voting.url)
    shown(page)
    press(page, "p", "2", "n", "Enter")
    expect(page.locator("#status")).to_have_text("Judge every version first: 3, 4 left.")
    expect(page.locator("#progress")).to_have_text("0 of 5 done")
    assert answers(dealt) == {}


def test_clicks_do_what_keys_do(page: Page, voting: Voting) -> None:
    dealt = voting.dealt
    page.goto(voting.url)
    shown(page)
    for position, label in enumerate(LABELS, start=1):
        page.locator(f'[data-position="{position}"] button.{label.lower()}').click()
    press(page, "Enter")  # the last click leaves the keys with the page
    expect(page.locator("#progress")).to_have_text("1 of 5 done")
    wait_until(lambda: len(answers(dealt)) == 1, "the answer is on disk")
    assert list(answers(dealt).values()) == [LABELS]


def test_flipping_shows_the_original_in_place(page: Page, voting: Voting) -> None:
    dealt = voting.dealt
    page.goto(voting.url)
    shown(page)
    store, ada = AnswerStore(dealt), dealt.annotators[0]
    order = [LEVELS[name] for name in store.order(ada, ada.items[0])]
    assert [grey_in_the_middle(page, k) for k in range(5)] == [200, *order]
    page.keyboard.down(" ")
    assert [grey_in_the_middle(page, k) for k in range(5)] == [200] * 5
    page.keyboard.up(" ")
    assert [grey_in_the_middle(page, k) for k in range(5)] == [200, *order]


def test_the_slider_shows_the_original_on_its_left(page: Page, voting: Voting) -> None:
    page.goto(voting.url)
    shown(page)
    level = grey_in_the_middle(page, 1)
    press(page, "z", *["."] * 6)
    assert grey_in_the_middle(page, 1) == 200
    press(page, *[","] * 10)
    assert grey_in_the_middle(page, 1) == level


@pytest.mark.parametrize("scaling", [1, 1.25, 1.5, 2])
def test_pixels_are_squares_of_whole_device_pixels(launch: Launch, voting: Voting, scaling: float) -> None:
    page = launch(f"--force-device-scale-factor={scaling}").new_page(no_viewport=True)
    page.goto(voting.url)
    shown(page)
    assert page.evaluate("devicePixelRatio") == scaling
    canvas = page.locator('[data-position="1"] canvas')
    device = canvas.evaluate("canvas => [canvas.width, canvas.getBoundingClientRect().width * devicePixelRatio]")
    assert device[0] == pytest.approx(device[1], abs=1)
    press(page, "+")
    scale = canvas.evaluate("canvas => Number(canvas.dataset.scale)")
    assert scale == int(scale) > 1
    press(page, *["Shift+ArrowLeft"] * 9, *["Shift+ArrowUp"] * 9)
    rows = rows_of(page, 1)
    marks = np.flatnonzero((rows == 255).any(axis=0))
    runs = np.split(marks, np.flatnonzero(np.diff(marks) > 1) + 1)
    assert [len(run) for run in runs] == [scale] * 4
    assert all(set(np.unique(rows[:, run])) <= {0, 255, grey_in_the_middle(page, 1)} for run in runs)


def test_all_panes_show_the_same_place(page: Page, voting: Voting) -> None:
    page.goto(voting.url)
    shown(page)
    before = float(page.locator('[data-position="1"] canvas').get_attribute("data-scale") or 0)
    box = page.locator('[data-position="3"] canvas').bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(3):
        page.mouse.wheel(0, -100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 900, box["y"] + box["height"] / 2 + 900, steps=4)
    page.mouse.up()
    page.mouse.move(2, 2)
    expect(page.locator('[data-position="3"]')).to_have_class("pane selected")
    marks = [np.argwhere(rows_of(page, k) == 255) for k in range(5)]
    assert len(marks[0]) > 0
    assert all(np.array_equal(mark, marks[0]) for mark in marks)
    scales = {page.locator(f'[data-position="{k}"] canvas').get_attribute("data-scale") for k in range(5)}
    assert len(scales) == 1
    assert float(scales.pop() or 0) > before


@pytest.mark.parametrize(("width", "height"), [(768, 1024), (1000, 1000), (1366, 768), (390, 844)])
def test_the_whole_of_a_picture_is_seen_at_one_scale(page: Page, voting: Voting, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(voting.url)
    shown(page)
    scales = {page.locator(f'[data-position="{k}"] canvas').get_attribute("data-scale") for k in range(5)}
    assert len(scales) == 1
    assert float(scales.pop() or 0) * SIDE <= min(
        page.locator(f'[data-position="{k}"] canvas').evaluate("canvas => Math.min(canvas.width, canvas.height)")
        for k in range(5)
    )


def test_large_shows_one_version_and_keeps_its_keys(page: Page, voting: Voting) -> None:
    page.goto(voting.url)
    shown(page)
    press(page, "f")
    expect(page.locator(".pane:visible")).to_have_count(1)
    press(page, "p")
    expect(page.locator(".pane:visible")).to_have_attribute("data-position", "2")
    press(page, "f")
    expect(page.locator(".pane:visible")).to_have_count(5)


def test_a_reload_in_the_middle_goes_on_where_it_was(page: Page, voting: Voting) -> None:
    dealt = voting.dealt
    page.goto(voting.url)
    for _ in range(2):
        shown(page)
        press(page, *PATTERN, "Enter")
    shown(page)
    expect(page.locator("#saving")).to_have_text("All saved")
    press(page, "n", "n")
    page.reload()
    shown(page)
    expect(page.locator("#progress")).to_have_text("2 of 5 done")
    expect(page.locator('button[aria-pressed="true"].negative')).to_have_count(0)
    assert len(answers(dealt)) == 2


def test_undo_takes_back_a_label_and_then_a_group(page: Page, voting: Voting) -> None:
    dealt = voting.dealt
    page.goto(voting.url)
    shown(page)
    press(page, *PATTERN, "Enter")
    expect(page.locator("#progress")).to_have_text("1 of 5 done")
    shown(page)
    press(page, "p", "u")
    expect(page.locator('[data-position="1"] button.positive')).to_have_attribute("aria-pressed", "false")
    press(page, "u")
    expect(page.locator('[data-position="3"] button.negative')).to_have_attribute("aria-pressed", "true")
    shown(page)
    press(page, "3", "s", "Enter")
    shown(page)
    expect(page.locator("#progress")).to_have_text("1 of 5 done")
    first = str(dealt.annotators[0].items[0].group)
    changed = ["Positive", "Similar", "Similar", "Positive"]
    wait_until(lambda: answers(dealt) == {first: changed}, "the change is on disk")


def test_back_and_forth_changes_nothing(page: Page, voting: Voting) -> None:
    dealt = voting.dealt
    page.goto(voting.url)
    shown(page)
    press(page, *PATTERN, "Enter")
    expect(page.locator("#progress")).to_have_text("1 of 5 done")
    shown(page)
    wait_until(lambda: len(answers(dealt)) == 1, "the answer is on disk")
    path = dealt.answer_path(dealt.annotators[0], dealt.annotators[0].items[0])
    stamp = path.stat().st_mtime_ns
    press(page, "Backspace")
    expect(page.locator('[data-position="3"] button.negative')).to_have_attribute("aria-pressed", "true")
    shown(page)
    press(page, "Enter")
    expect(page.locator('button[aria-pressed="true"].negative')).to_have_count(0)
    shown(page)
    assert path.stat().st_mtime_ns == stamp


def test_a_group_is_skipped_with_a_reason(page: Page, voting: Voting) -> None:
    dealt = voting.dealt
    page.goto(voting.url)
    shown(page)
    press(page, "x")
    page.locator("#skip-text").fill("too dark")
    page.get_by_role("button", name="Skip this group").click()
    expect(page.locator("#progress")).to_have_text("1 of 5 done")
    ada = dealt.annotators[0]
    wait_until(lambda: bool(AnswerStore(dealt).skips(ada)), "the reason is on disk")
    assert AnswerStore(dealt).skips(ada) == {ada.items[0]: "I cannot decide: too dark"}


def test_an_answered_group_is_not_skipped(page: Page, voting: Voting) -> None:
    page.goto(voting.url)
    shown(page)
    press(page, *PATTERN, "Enter")
    expect(page.locator("#progress")).to_have_text("1 of 5 done")
    shown(page)
    press(page, "Backspace")
    shown(page)
    press(page, "x")
    expect(page.locator("#status")).to_have_text("This group has your answer. Change its labels instead.")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_skipping_what_another_window_has_answered_stops_nothing(browser: Browser, voting: Voting) -> None:
    one, two = (browser.new_context(viewport={"width": 1366, "height": 768}).new_page() for _ in range(2))
    puts: list[str] = []
    two.on("request", lambda request: puts.append(request.url) if request.method == "PUT" else None)
    for page in (one, two):
        page.goto(voting.url)
        shown(page)
    press(one, *PATTERN, "Enter")
    expect(one.locator("#saving")).to_have_text("All saved")
    press(two, "x")
    two.get_by_role("button", name="Skip this group").click()
    expect(two.locator("#notice")).to_contain_text("skipped was answered in another window. That answer stays.")
    for number in range(1, 5):
        shown(two)
        press(two, *PATTERN, "Enter")
        if number < 4:
            expect(two.locator("#notice")).to_be_hidden()  # it was about another group
            expect(two.locator("#progress")).to_have_text(f"{number + 1} of 5 done")
    wait_until(lambda: len(answers(voting.dealt)) == 5, "all five are on disk")
    expect(two.locator("#done-text")).not_to_contain_text("skipped")
    time.sleep(1)
    assert len(puts) == 5
    for page in (one, two):
        page.context.close()


def test_what_was_begun_is_there_when_one_comes_back(page: Page, voting: Voting) -> None:
    page.goto(voting.url)
    shown(page)
    press(page, *PATTERN, "Enter")
    expect(page.locator("#progress")).to_have_text("1 of 5 done")
    shown(page)
    press(page, "n", "s")
    time.sleep(1)
    press(page, "Backspace")
    expect(page.locator('button[aria-pressed="true"].positive')).to_have_count(2)
    shown(page)
    press(page, "2", "n", "Backspace")  # the first there is: stays
    press(page, "Enter")
    expect(page.locator('[data-position="1"] button.negative')).to_have_attribute("aria-pressed", "true")
    expect(page.locator('[data-position="2"] button.similar')).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".pane.selected")).to_have_attribute("data-position", "3")
    shown(page)
    press(page, "p", "p", "Enter")
    shown(page)
    wait_until(lambda: len(answers(voting.dealt)) == 2, "both are on disk")
    first, second = voting.dealt.annotators[0].items[:2]
    assert answers(voting.dealt) == {
        str(first.group): ["Positive", "Negative", "Negative", "Positive"],
        str(second.group): ["Negative", "Similar", "Positive", "Positive"],
    }
    shown_how = json.loads(voting.dealt.shown_path(voting.dealt.annotators[0], second).read_text())
    assert shown_how["seconds"] >= 1  # what was looked at before it was left counts


def test_a_new_url_sends_what_the_old_one_could_not(page: Page, tmp_path: Path, voting: Voting) -> None:
    page.goto(voting.url)
    shown(page)
    token = add_account(tmp_path / "accounts.json", Account("Ada"), renew=True)
    press(page, *PATTERN, "Enter")
    expect(page.locator("#notice")).to_contain_text("needs your personal URL")
    expect(page.locator("#notice")).to_contain_text("kept in this browser")
    expect(page.locator("#saving")).to_have_text("1 could not be saved")
    page.goto(f"{voting.server.url}#{token}")
    shown(page)
    expect(page.locator("#saving")).to_have_text("All saved")
    expect(page.locator("#progress")).to_have_text("1 of 5 done")
    assert list(answers(voting.dealt).values()) == [LABELS]


def test_pictures_that_an_old_url_cannot_have_are_told_of(page: Page, tmp_path: Path, voting: Voting) -> None:
    num_left = len(PATTERN) + 1  # those of the first group; what is loaded ahead is not there

    def reply(route: Route) -> None:
        nonlocal num_left
        num_left -= 1
        route.continue_() if num_left >= 0 else route.abort()

    page.route("**/pictures/*", reply)
    page.goto(voting.url)
    shown(page)
    add_account(tmp_path / "accounts.json", Account("Ada"), renew=True)
    page.unroute_all(behavior="ignoreErrors")
    press(page, *PATTERN, "Enter")
    expect(page.locator("#notice")).to_contain_text("needs your personal URL")


def test_a_disk_that_is_full_is_called_so(page: Page, voting: Voting) -> None:
    page.goto(voting.url)
    shown(page)
    blocked = voting.dealt.folder / "shown"
    blocked.write_text("")  # no folder can be made here, as on a broken disk
    press(page, *PATTERN, "Enter")
    expect(page.locator("#saving")).to_have_text(
        "1 not saved yet (the server cannot read or write its files: File exists). Go on: they are kept here "
        "and sent again."
    )
    assert f"File exists: '{blocked}" in voting.server.log
    blocked.unlink()
    expect(page.locator("#saving")).to_have_text("All saved", timeout=30_000)
    assert list(answers(voting.dealt).values()) == [LABELS]


@pytest.mark.parametrize("body", ['{"version": 1', "<html>Please log in</html>"])
def test_a_reply_that_is_no_json_is_no_reply(page: Page, voting: Voting, body: str) -> None:
    """Cut off by a lost network, or from somebody else such as a hotel's login page."""
    broken = 2

    def reply(route: Route) -> None:
        nonlocal broken
        if route.request.method != "PUT" or not broken:
            route.continue_()
            return
        broken -= 1
        if broken:
            route.fetch()  # it had arrived
        route.fulfill(status=200, content_type="application/json", body=body)

    page.route("**/answer", reply)
    page.goto(voting.url)
    for number in range(5):
        shown(page)
        press(page, *PATTERN, "Enter")
        if number < 4:
            expect(page.locator("#progress")).to_have_text(f"{number + 1} of 5 done")
    expect(page.locator("#saving")).to_have_text("All saved", timeout=30_000)
    assert answers(voting.dealt) == dict.fromkeys(groups(5), LABELS)


def test_one_person_alone_has_the_same_url_after_a_restart_and_loses_nothing(page: Page, server: Server) -> None:
    url = server.url_of("Ada")
    page.goto(url)
    shown(page)
    server.kill()
    press(page, *PATTERN, "Enter")
    expect(page.locator("#saving")).to_contain_text("1 not saved yet")
    server.start()
    assert server.url_of("Ada") == url
    expect(page.locator("#saving")).to_have_text("All saved", timeout=30_000)


def test_late_feedback_is_about_what_was_answered_and_disturbs_nothing(page: Page, tmp_path: Path) -> None:
    ids = groups(3)
    practice = tuple(Item(Kind.PRACTICE, PatchId.parse(group)) for group in ids[:2])
    known = {item.group: KnownAnswer((Label.POSITIVE,) * 4, "Look.") for item in practice}
    patches = write_pictures(tmp_path / "pictures", ids)
    dealt = make_round(tmp_path, {"Ada": [practice, votes(ids[2])]}, patches=patches, known=known)
    with Server(dealt.folder, "--annotator", "Ada") as server:
        page.goto(server.url_of("Ada"))
        shown(page)
        page.wait_for_load_state("networkidle")  # the next group is there
        page.context.set_offline(True)
        press(page, "p", "p", "p", "p", "Enter")
        expect(page.locator("#saving")).to_contain_text("1 not saved yet")
        press(page, "Enter")
        expect(page.locator('button[aria-pressed="true"].positive')).to_have_count(0)
        page.context.set_offline(False)
        expect(page.locator("#feedback-dialog")).to_be_visible(timeout=30_000)
        expect(page.locator("#feedback-list")).not_to_contain_text("you said")
        press(page, "Enter")
        shown(page)
        expect(page.locator("#progress")).to_have_text("1 of 2 done")
        press(page, "n", "n", "n", "n")
        expect(page.locator('button[aria-pressed="true"].negative')).to_have_count(4)


def test_twelve_people_behind_one_address_open_the_page_at_once(browser: Browser, voting: Voting) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    pages = [context.new_page() for _ in range(12)]
    for window in pages:
        window.goto(voting.url, wait_until="commit")
    for window in pages:
        shown(window)
    context.close()


def test_a_pause_hides_the_pictures_and_stops_the_clock(page: Page, voting: Voting) -> None:
    dealt = voting.dealt
    page.goto(voting.url)
    shown(page)
    press(page, "b")
    expect(page.locator("#pause-dialog")).to_be_visible()
    press(page, "p", "p", "p", "p")  # do not judge what is hidden
    time.sleep(2)
    press(page, "Enter")
    expect(page.locator("#pause-dialog")).to_be_hidden()
    press(page, *PATTERN, "Enter")
    wait_until(lambda: len(answers(dealt)) == 1, "the answer is on disk")
    ada = dealt.annotators[0]
    content = json.loads(dealt.shown_path(ada, ada.items[0]).read_text())
    assert [pause["seconds"] >= 2 for pause in content["pauses"]] == [True]
    annotation = AnswerStore(dealt).answers(ada)[ada.items[0]]
    assert annotation.start
    assert annotation.end
    took = (annotation.end - annotation.start).total_seconds()
    assert content["seconds"] + 2 <= took + 1
    assert content["seconds"] < took


def test_a_clock_that_is_set_back_changes_no_duration(page: Page, voting: Voting) -> None:
    dealt = voting.dealt
    page.goto(voting.url)
    shown(page)
    time.sleep(1)
    page.evaluate("const now = Date.now; Date.now = () => now() - 3600 * 1000")
    press(page, *PATTERN, "Enter")
    wait_until(lambda: len(answers(dealt)) == 1, "the answer is on disk")
    ada = dealt.annotators[0]
    annotation = AnswerStore(dealt).answers(ada)[ada.items[0]]
    assert annotation.start
    assert annotation.end
    assert 0 <= (annotation.end - annotation.start).total_seconds() < 60
    assert 1 <= json.loads(dealt.shown_path(ada, ada.items[0]).read_text())["seconds"] < 60


def test_two_people_at_once(browser: Browser, dealt: Round, tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    tokens = {name: add_account(path, Account(name)) for name in ("Ada", "Bob")}
    with Server(dealt.folder, "--accounts", str(path)) as server:
        pages = {}
        for name, token in tokens.items():
            pages[name] = browser.new_context().new_page()
            pages[name].goto(f"{server.url}#{token}")
            pages[name].locator("#batch").select_option(label="Batch 1")
        for _ in range(5):
            for name, page in pages.items():
                shown(page)
                press(page, *(PATTERN if name == "Ada" else "nnnn"), "Enter")
        for page in pages.values():
            expect(page.locator("#done-title")).to_be_visible()
            expect(page.locator("#saving")).to_have_text("All saved")
        assert answers(dealt, 0) == dict.fromkeys(groups(6)[1:], LABELS)
        assert answers(dealt, 1) == dict.fromkeys(groups(6)[1:], ["Negative"] * 4)
        for page in pages.values():
            page.context.close()


def test_of_two_windows_of_one_person_the_first_answer_stays(browser: Browser, voting: Voting) -> None:
    dealt = voting.dealt
    one, two = (browser.new_context().new_page() for _ in range(2))
    for page in (one, two):
        page.goto(voting.url)
        shown(page)
    press(one, *PATTERN, "Enter")
    expect(one.locator("#saving")).to_have_text("All saved")
    press(two, "n", "n", "n", "n", "Enter")
    expect(two.locator("#notice")).to_contain_text("answered in another window")
    expect(two.locator("#progress")).to_have_text("1 of 5 done")
    assert list(answers(dealt).values()) == [LABELS]
    for page in (one, two):
        page.context.close()


def test_a_server_lost_for_five_seconds_costs_nothing(page: Page, voting: Voting) -> None:
    dealt, server = voting.dealt, voting.server
    page.goto(voting.url)
    shown(page)
    page.wait_for_load_state("networkidle")  # the next two groups are there
    server.kill()
    for number in range(3):
        shown(page)
        press(page, *PATTERN, "Enter")
        expect(page.locator("#progress")).to_have_text(f"{number + 1} of 5 done")
    expect(page.locator("#saving")).to_contain_text("3 not saved yet")
    expect(page.locator("#status")).to_contain_text("The pictures cannot be loaded; trying again.")
    time.sleep(5)
    assert answers(dealt) == {}
    server.start()
    expect(page.locator("#saving")).to_have_text("All saved", timeout=30_000)
    for _ in range(2):
        shown(page)
        press(page, *PATTERN, "Enter")
    expect(page.locator("#done-title")).to_be_visible()
    expect(page.locator("#saving")).to_have_text("All saved")
    assert answers(dealt) == dict.fromkeys(groups(5), LABELS)


def test_an_answer_to_what_was_dealt_to_another_meanwhile_is_kept_and_told(page: Page, voting: Voting) -> None:
    dealt, server = voting.dealt, voting.server
    ada = dealt.annotators[0]
    page.goto(voting.url)
    shown(page)
    server.kill()
    press(page, *PATTERN, "Enter")
    expect(page.locator("#saving")).to_contain_text("1 not saved yet")
    write_round(dealt.with_annotators((replace(ada, batches=(ada.items[1:],)),)))
    server.start()
    expect(page.locator("#notice")).to_contain_text("not among what was given to you")
    expect(page.locator("#notice")).to_contain_text("kept in this browser")
    assert answers(dealt) == {}
    server.kill()
    write_round(dealt)
    server.start()
    page.reload()
    wait_until(lambda: len(answers(dealt)) == 1, "the answer is on disk")
    assert list(answers(dealt).values()) == [LABELS]


def test_a_page_in_another_language(page: Page, voting: Voting) -> None:
    (voting.dealt.folder / "texts.json").write_text('{"lang": "de", "next": "Weiter"}', "utf-8")
    voting.server.kill()
    voting.server.start()
    page.goto(voting.url)
    shown(page)
    expect(page.locator("#next")).to_have_text("Weiter")
    expect(page.locator("html")).to_have_attribute("lang", "de")


def test_pictures_that_cannot_be_loaded_are_tried_again(page: Page, voting: Voting) -> None:
    path = next((voting.dealt.patches / "original").glob(f"{voting.dealt.annotators[0].items[0].group}.png"))
    path.rename(path.with_suffix(".away"))
    page.goto(voting.url)
    expect(page.locator("#status")).to_contain_text("The pictures cannot be loaded; trying again.")
    press(page, *PATTERN, "Enter")  # nothing is judged that was not seen
    assert answers(voting.dealt) == {}
    path.with_suffix(".away").rename(path)
    shown(page)


def test_a_damaged_picture_is_asked_for_ever_more_seldom_and_can_be_skipped(page: Page, voting: Voting) -> None:
    item = voting.dealt.annotators[0].items[0]
    path = voting.dealt.patches / "original" / f"{item.group}.png"
    path.write_bytes(path.read_bytes()[:60])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/pictures/0") else None)
    page.goto(voting.url)
    expect(page.locator("#status")).to_contain_text("Skip goes on without them")
    page.wait_for_timeout(4000)
    assert 3 <= asked.count(asked[0]) <= 6
    press(page, "x")
    expect(page.locator('input[value="skip_broken"]')).to_be_checked()
    page.get_by_role("button", name="Skip this group").click()
    shown(page)
    expect(page.locator("#progress")).to_have_text("1 of 5 done")
    wait_until(lambda: bool(AnswerStore(voting.dealt).skips(voting.dealt.annotators[0])), "the reason is on disk")
    assert list(AnswerStore(voting.dealt).skips(voting.dealt.annotators[0])) == [item]


def test_a_picture_that_was_damaged_is_not_kept_by_the_browser(page: Page, voting: Voting) -> None:
    path = voting.dealt.patches / "original" / f"{voting.dealt.annotators[0].items[0].group}.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:60])
    page.goto(voting.url)
    expect(page.locator("#status")).to_contain_text("trying again")
    path.write_bytes(whole)
    shown(page)


def test_what_waits_for_the_server_survives_closing_the_page(browser: Browser, voting: Voting) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(voting.url)
    shown(page)
    voting.server.kill()
    press(page, *PATTERN, "Enter")
    expect(page.locator("#saving")).to_contain_text("1 not saved yet")
    page.close(run_before_unload=False)
    voting.server.start()
    page = context.new_page()
    page.goto(voting.url)
    shown(page)
    expect(page.locator("#progress")).to_have_text("1 of 5 done")
    wait_until(lambda: len(answers(voting.dealt)) == 1, "the answer is on disk")
    context.close()


def test_an_answer_changed_before_it_arrived_arrives_as_it_was_changed(page: Page, voting: Voting) -> None:
    """The server has the first answer, but its reply was lost; meanwhile the person has changed it."""
    dealt = voting.dealt
    lost: list[str] = []

    def lose_reply(route: Any) -> None:
        if route.request.method == "PUT" and not lost:
            route.fetch()
            lost.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.route("**/answer", lose_reply)
    page.goto(voting.url)
    shown(page)
    press(page, *PATTERN, "Enter")
    expect(page.locator("#saving")).to_contain_text("1 not saved yet")
    press(page, "u")
    expect(page.locator('[data-position="3"] button.negative')).to_have_attribute("aria-pressed", "true")
    shown(page)
    press(page, "3", "s", "Enter")
    expect(page.locator("#saving")).to_have_text("All saved", timeout=20_000)
    expect(page.locator("#notice")).to_be_hidden()
    assert list(answers(dealt).values()) == [["Positive", "Similar", "Similar", "Positive"]]


def test_of_200_acknowledged_saves_none_is_lost_to_kill_9(tmp_path: Path) -> None:
    """The server is killed at random moments while answers come in, as fast as they can."""
    ids = groups(200)
    dealt = make_round(tmp_path, {"Ada": [votes(*ids)]}, size=(4, 4))
    token = add_account(tmp_path / "accounts.json", Account("Ada"))
    headers = {"Authorization": f"Bearer {token}"}
    rng = random.Random(0)
    body = {"seconds": 3, "pauses": [], "end_ms": 1.7e12, "utc_offset_min": 0, "display": {}, "replaces": None}
    acknowledged: dict[str, list[str]] = {}
    kills = 0
    with Server(dealt.folder, "--accounts", str(tmp_path / "accounts.json")) as server:
        items = [item["id"] for item in httpx2.get(f"{server.url}api/batches/0", headers=headers).json()]
        killer: threading.Timer | None = None
        while len(acknowledged) < 200:
            item = items[len(acknowledged)]
            labels = [rng.choice([label.value for label in Label]) for _ in FOUR]
            if kills < 6 and len(acknowledged) >= 30 * kills and not (killer and killer.is_alive()):
                kills += 1
                killer = threading.Timer(rng.uniform(0.01, 0.4), server.kill)
                killer.start()
            try:
                path = f"{server.url}api/items/{item}/answer"
                response = httpx2.put(path, json=body | {"labels": labels}, headers=headers)
            except httpx2.TransportError:
                server.kill()
                server.start()
                continue
            if response.status_code == 409:  # it was on disk, but the reply was lost with the server
                labels = response.json()["labels"]
            else:
                assert response.status_code == 200, response.text
            acknowledged[item] = labels
        assert killer
        killer.join()
    assert kills >= 4
    store, ada = AnswerStore(dealt), dealt.annotators[0]
    assert not store.unreadable
    saved = {store.item_id(ada, item): store.read(ada, item) for item in ada.items}
    assert {item: [label.value for label in answer.labels] for item, answer in saved.items() if answer} == acknowledged


def test_a_wrong_url_says_so_and_can_be_corrected(page: Page, voting: Voting) -> None:
    page.goto(f"{voting.server.url}#wrong")
    expect(page.locator("#notice")).to_contain_text("needs your personal URL")
    page.goto(voting.url)
    shown(page)
    expect(page.locator("#notice")).to_be_hidden()


def test_the_instructions_open_the_first_time(page: Page, voting: Voting) -> None:
    (voting.dealt.folder / "instructions.txt").write_text("Look <b>closely</b>.", "utf-8")
    page.goto(voting.url)
    expect(page.locator("#instructions-text")).to_have_text("Look <b>closely</b>.")
    expect(page.locator("#instructions-dialog")).to_be_visible()
    press(page, "Enter")
    page.reload()
    shown(page)
    expect(page.locator("#instructions-dialog")).to_be_hidden()
    press(page, "i")
    expect(page.locator("#instructions-dialog")).to_be_visible()


def test_nothing_is_asked_of_other_hosts(page: Page, voting: Voting) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(voting.url)
    shown(page)
    assert len(asked) > 10
    assert all(url.startswith((voting.server.url, f"blob:{voting.server.url}")) for url in asked)
    assert not any("Ada" in url or "p0" in url for url in asked)


def accessibility_faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{fault['id']}: {node['html']}" for fault in found for node in fault["nodes"]]


def test_axe_finds_nothing(page: Page, server: Server, dealt: Round) -> None:
    (dealt.folder / "instructions.txt").write_text("Look closely.", "utf-8")
    page.goto(server.url_of("Ada"))
    expect(page.locator("#instructions-dialog")).to_be_visible()
    assert accessibility_faults(page) == []
    press(page, "Enter")
    shown(page)
    press(page, "p", "s", "n")
    assert accessibility_faults(page) == []
    for key, dialog in (("h", "help"), ("x", "skip"), ("b", "pause")):
        press(page, key)
        expect(page.locator(f"#{dialog}-dialog")).to_be_visible()
        assert accessibility_faults(page) == []
        press(page, "Escape")
    page.set_viewport_size({"width": 390, "height": 800})
    assert accessibility_faults(page) == []


def test_a_phone_shows_all_labels_whole(page: Page, voting: Voting) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(voting.url)
    shown(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    boxes = [button.bounding_box() for button in page.locator(".labels button:visible").all()]
    assert len(boxes) == 12
    assert all(box and box["x"] + box["width"] <= 390 and min(box["width"], box["height"]) >= 36 for box in boxes)


def test_keys_alone_reach_everything(page: Page, voting: Voting) -> None:
    page.goto(voting.url)
    shown(page)
    reached = set()
    for _ in range(40):
        press(page, "Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    expected = {"batch", "pause", "help", "previous", "undo", "skip", "next", "focus", "slider", "positive", "negative"}
    assert expected <= reached


def test_the_admin_sees_progress_and_contradictions(browser: Browser, dealt: Round) -> None:
    store = AnswerStore(dealt)
    for annotator, label in zip(dealt.annotators, (Label.POSITIVE, Label.NEGATIVE), strict=True):
        for item in annotator.items:
            store.save(annotator, item, Answer((label,) * 4, 20), None)
    page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
    with Server(dealt.folder, "--annotator", "Ada") as server:
        page.goto(server.admin_url)
        expect(page.locator("#people tr")).to_have_count(2)
        expect(page.locator("#people tr").first).to_contain_text("5 / 5")
        expect(page.locator("#totals")).to_contain_text("10 / 10 (100 %)")
        expect(page.locator("#contrary .group")).to_have_count(5)
        expect(page.locator("#contrary .group").first).to_contain_text("Ada: Positive")
        expect(page.locator("#contrary .group").first).to_contain_text("Bob: Negative")
        with page.expect_download() as download:
            page.locator("#export").click()
        assert download.value.path().read_text().count("\n") == 12
        assert accessibility_faults(page) == []
        page.set_viewport_size({"width": 390, "height": 800})
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390
    page.context.close()
