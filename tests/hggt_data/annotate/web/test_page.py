"""The pages in a real browser, against a real server.

One server serves all tests of this module; each test has an annotator of its own, with groups of their own.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from hggt_data.annotate.round import Annotator, Item, Kind, KnownAnswer, Round
from hggt_data.annotate.web.accounts import Account, add_account
from hggt_data.annotate.web.store import AnswerStore
from hggt_data.io.images import encode_png
from hggt_data.schema import Label, Protocol
from tests.chromium import Launch
from tests.hggt_data.annotate.rounds import make_round, votes
from tests.hggt_data.annotate.servers import Server
from tests.hggt_data.trees import write_bytes

SIDE = 64
PATTERN = ("p", "s", "n", "p")
LABELS = ["Positive", "Similar", "Negative", "Positive"]
# Each picture has its own grey level, so that the screen shows which one it is, and a corner of single pixels.
LEVELS = {"original": 200, "01": 20, "02": 60, "03": 100, "04": 140}
NUM_ANNOTATORS = 40


def write_pictures(folder: Path, groups: list[str], side: int) -> Path:
    for name, level in LEVELS.items():
        pixels = np.full((side, side, 3), level, np.uint8)
        pixels[0:8:2, 0:8:2] = 255
        data, ending = encode_png(pixels), "" if name == "original" else f"_{name}"
        for group in groups:
            write_bytes(folder / name / f"{group}{ending}.png", data)
    return folder


@dataclass(frozen=True)
class Session:
    """One annotator of a served round."""

    round: Round
    server: Server
    accounts: Path
    annotator: Annotator
    token: str

    @property
    def url(self) -> str:
        return f"{self.server.url}#{self.token}"

    def answers(self) -> dict[str, list[str]]:
        """Each answered vote with its labels, in the order shown."""
        store = AnswerStore(self.round)
        found = {item: store.read(self.annotator, item) for item in self.annotator.items if item.kind is Kind.VOTE}
        return {
            str(item.group): [label.value if label else "" for label in saved.labels]
            for item, saved in found.items()
            if saved
        }

    def skips(self) -> dict[Item, str]:
        return dict(AnswerStore(self.round).skips(self.annotator))

    def record(self, index: int = 0) -> Any:
        """The record of how a group was shown."""
        return json.loads(self.round.shown_path(self.annotator, self.annotator.items[index]).read_text())

    def wait_for(self, number: int) -> None:
        wait_until(lambda: len(self.answers()) == number, f"{number} answers are on disk")

    def all_answered(self) -> dict[str, list[str]]:
        """What `answers` gives after PATTERN in every group."""
        return {str(item.group): LABELS for item in self.annotator.items if item.kind is Kind.VOTE}


def serve(
    folder: Path, batches: dict[str, list[tuple[Item, ...]]], *, side: int = SIDE, **settings: Any
) -> list[Session]:
    groups = sorted({str(item.group) for assigned in batches.values() for batch in assigned for item in batch})
    round_ = make_round(folder, batches, patches=write_pictures(folder / "pictures", groups, side), **settings)
    accounts = folder / "accounts.json"
    tokens = [add_account(accounts, Account(name)) for name in batches]
    server = Server(round_.folder, "--accounts", str(accounts))
    return [Session(round_, server, accounts, *pair) for pair in zip(round_.annotators, tokens, strict=True)]


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Session]]:
    """The annotators of the served round that no test has used; the first two begin with practice."""
    practice = [Item(Kind.PRACTICE, f"practice{k}-0-0") for k in range(3)]
    known = {practice[0].group: KnownAnswer((Label.NEGATIVE,) * 4, "All have artefacts.")}
    known |= {item.group: KnownAnswer((Label.POSITIVE,) * 4, "Look.") for item in practice[1:]}
    batches = {f"Ann {k}": [votes(*(f"a{k}g{j}-0-0" for j in range(5)))] for k in range(NUM_ANNOTATORS)}
    batches["Ann 0"].insert(0, tuple(practice[:1]))
    batches["Ann 1"].insert(0, tuple(practice[1:]))
    sessions = serve(tmp_path_factory.mktemp("shared"), batches, known=known)
    with sessions[0].server:
        yield sessions


@pytest.fixture
def session(sessions: list[Session]) -> Session:
    """An annotator with five groups and no answers."""
    session = sessions.pop()
    if session.server.process.poll() is not None:  # a test failed after it had killed the server
        session.server.start()
    return session


@pytest.fixture(scope="module")
def large_sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Session]]:
    """Two annotators of pictures that are larger than their panes, in a round that requires 100 %."""
    batches = {name: [votes("large-0-0")] for name in ("Ada", "Bob")}
    sessions = serve(tmp_path_factory.mktemp("large"), batches, side=512, protocol=Protocol(full_zoom=True))
    with sessions[0].server:
        yield sessions


@pytest.fixture
def instructions(session: Session) -> Iterator[None]:
    path = session.round.folder / "instructions.md"
    path.write_text("Look <b>closely</b>.", "utf-8")
    yield
    path.unlink()


def open_page(page: Page, session: Session) -> None:
    page.goto(session.url)
    shown(page)


def shown(page: Page) -> None:
    expect(page.locator("#stage")).to_have_attribute("data-state", "shown")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
        if key == "Escape":  # the dialog closes after the key event, and the next key may be faster
            expect(page.locator("dialog[open]")).to_have_count(0)


def answer(page: Page, keys: tuple[str, ...] = PATTERN) -> None:
    """Answer the next group."""
    shown(page)
    press(page, *keys, "Enter")


def progress(page: Page, text: str) -> None:
    expect(page.locator("#progress")).to_have_text(text)


def saving(page: Page, text: str) -> None:
    expect(page.locator("#saving")).to_have_text(text, timeout=30_000)


def not_saved(page: Page, number: int) -> None:
    expect(page.locator("#saving")).to_contain_text(f"{number} not saved yet")


def pressed(page: Page, label: str) -> Any:
    return expect(page.locator(f'button[aria-pressed="true"].{label}'))


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def pixels_of(page: Page, position: int) -> Any:
    """The red channel of a pane's canvas, (H, W)."""
    script = """canvas => {
        const {width, height} = canvas;
        const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
        let text = ""; // one character per pixel: much faster to transfer than an array
        for (let k = 0; k < data.length; k += 4) text += String.fromCharCode(data[k]);
        return [width, height, text];
    }"""
    width, height, text = page.locator(f'[data-position="{position}"] canvas').evaluate(script)
    return np.frombuffer(text.encode("latin-1"), np.uint8).reshape(height, width)


def middle_of(page: Page, position: int) -> int:
    """The grey level in the middle of a pane."""
    pixels = pixels_of(page, position)
    return int(pixels[pixels.shape[0] // 2, pixels.shape[1] // 2])


def scales(page: Page) -> set[float]:
    canvases = [page.locator(f'[data-position="{k}"] canvas') for k in range(5)]
    return {float(canvas.get_attribute("data-scale") or 0) for canvas in canvases}


# Judging


def test_practice_and_a_batch_by_keyboard(page: Page, sessions: list[Session]) -> None:
    session = sessions[0]
    open_page(page, session)
    expect(page.locator("#batch option")).to_have_text(["Practice", "Batch 1"])
    answer(page)
    feedback = page.locator("#feedback-dialog")
    expect(feedback).to_contain_text("Version 1: your label was Positive, the expected label is Negative.")
    expect(feedback).to_contain_text("All have artefacts.")
    expect(feedback.locator("li")).to_have_count(3)
    press(page, "Enter")
    expect(page.locator("#done-title")).to_have_text("This batch is finished.")
    press(page, "Enter")
    for number in range(5):
        shown(page)
        progress(page, f"{number} of 5 done")
        answer(page)
    expect(page.locator("#done-title")).to_have_text("You have finished everything. Thank you!")
    saving(page, "All answers saved")
    assert session.answers() == session.all_answered()
    assert session.round.answer_path(session.annotator, session.annotator.items[0]).is_file()


def test_every_version_needs_a_label_by_key_or_click(page: Page, session: Session) -> None:
    open_page(page, session)
    press(page, "p", "2", "n", "Enter")
    expect(page.locator("#status")).to_have_text("Please label every version first. Still missing: 3, 4.")
    progress(page, "0 of 5 done")
    assert session.answers() == {}
    for position, label in enumerate(LABELS, start=1):
        page.locator(f'[data-position="{position}"] button.{label.lower()}').click()
    press(page, "Enter")
    progress(page, "1 of 5 done")
    session.wait_for(1)
    assert list(session.answers().values()) == [LABELS]


def test_undo_reverts_a_label_and_then_a_group(page: Page, session: Session) -> None:
    open_page(page, session)
    answer(page)
    progress(page, "1 of 5 done")
    shown(page)
    press(page, "p", "u")
    expect(page.locator('[data-position="1"] button.positive')).to_have_attribute("aria-pressed", "false")
    press(page, "u")
    expect(page.locator('[data-position="3"] button.negative')).to_have_attribute("aria-pressed", "true")
    shown(page)
    press(page, "3", "s", "Enter")
    shown(page)
    progress(page, "1 of 5 done")
    first = str(session.annotator.items[0].group)
    changed = ["Positive", "Similar", "Similar", "Positive"]
    wait_until(lambda: session.answers() == {first: changed}, "the change is on disk")


def test_reopening_an_answered_group_writes_nothing_and_it_cannot_be_skipped(page: Page, session: Session) -> None:
    open_page(page, session)
    answer(page)
    progress(page, "1 of 5 done")
    shown(page)
    session.wait_for(1)
    path = session.round.answer_path(session.annotator, session.annotator.items[0])
    stamp = path.stat().st_mtime_ns
    press(page, "Backspace")
    expect(page.locator('[data-position="3"] button.negative')).to_have_attribute("aria-pressed", "true")
    shown(page)
    press(page, "x")
    expect(page.locator("#status")).to_have_text("You have already answered this group. Change its labels instead.")
    expect(page.locator("dialog[open]")).to_have_count(0)
    press(page, "Enter")
    pressed(page, "negative").to_have_count(0)
    shown(page)
    assert path.stat().st_mtime_ns == stamp


def test_an_unfinished_answer_is_kept_until_one_comes_back(page: Page, session: Session) -> None:
    open_page(page, session)
    answer(page)
    progress(page, "1 of 5 done")
    shown(page)
    press(page, "n", "s")
    time.sleep(1)
    press(page, "Backspace")
    pressed(page, "positive").to_have_count(2)
    shown(page)
    press(page, "2", "n", "Backspace")  # the first group has none before it
    press(page, "Enter")
    expect(page.locator('[data-position="1"] button.negative')).to_have_attribute("aria-pressed", "true")
    expect(page.locator('[data-position="2"] button.similar')).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".pane.selected")).to_have_attribute("data-position", "3")
    answer(page, ("p", "p"))
    shown(page)
    session.wait_for(2)
    assert list(session.answers().values()) == [
        ["Positive", "Negative", "Negative", "Positive"],
        ["Negative", "Similar", "Positive", "Positive"],
    ]
    assert session.record(1)["seconds"] >= 1  # includes the time before the group was left


def test_a_group_is_skipped_with_a_reason(page: Page, session: Session) -> None:
    open_page(page, session)
    press(page, "x")
    page.locator("#skip-text").fill("too dark")
    page.get_by_role("button", name="Skip this group").click()
    progress(page, "1 of 5 done")
    wait_until(lambda: bool(session.skips()), "the reason is on disk")
    assert session.skips() == {session.annotator.items[0]: "I cannot decide: too dark"}


def test_late_feedback_is_about_the_answered_group_and_disturbs_nothing(page: Page, sessions: list[Session]) -> None:
    open_page(page, sessions[1])
    page.wait_for_load_state("networkidle")  # the next group is loaded
    page.context.set_offline(True)
    press(page, "p", "p", "p", "p", "Enter")
    not_saved(page, 1)
    press(page, "Enter")
    pressed(page, "positive").to_have_count(0)
    page.context.set_offline(False)
    expect(page.locator("#feedback-dialog")).to_be_visible(timeout=30_000)
    expect(page.locator("#feedback-list")).not_to_contain_text("your label was")
    press(page, "Enter")
    shown(page)
    progress(page, "1 of 2 done")
    press(page, "n", "n", "n", "n")
    pressed(page, "negative").to_have_count(4)


# Pictures


def test_space_and_the_slider_show_the_original_in_place_of_a_version(page: Page, session: Session) -> None:
    open_page(page, session)
    order = [LEVELS[name] for name in AnswerStore(session.round).order(session.annotator, session.annotator.items[0])]
    assert [middle_of(page, k) for k in range(5)] == [200, *order]
    page.keyboard.down(" ")
    assert [middle_of(page, k) for k in range(5)] == [200] * 5
    page.keyboard.up(" ")
    assert [middle_of(page, k) for k in range(5)] == [200, *order]
    press(page, "z", *["."] * 6)  # the original is on the left of the slider
    assert middle_of(page, 1) == 200
    press(page, *[","] * 10)
    assert middle_of(page, 1) == order[0]


@pytest.mark.parametrize("scaling", [1.25, 2])
def test_pixels_are_squares_of_whole_device_pixels(launch: Launch, session: Session, scaling: float) -> None:
    browser = launch(f"--force-device-scale-factor={scaling}")
    page = browser.new_page(no_viewport=True)
    open_page(page, session)
    assert page.evaluate("devicePixelRatio") == scaling
    canvas = page.locator('[data-position="1"] canvas')
    device = canvas.evaluate("canvas => [canvas.width, canvas.getBoundingClientRect().width * devicePixelRatio]")
    assert device[0] == pytest.approx(device[1], abs=1)
    press(page, "+")
    scale = canvas.evaluate("canvas => Number(canvas.dataset.scale)")
    assert scale == int(scale) > 1
    press(page, *["ArrowLeft"] * 9, *["ArrowUp"] * 9)
    rows = pixels_of(page, 1)
    marks = np.flatnonzero((rows == 255).any(axis=0))
    runs = np.split(marks, np.flatnonzero(np.diff(marks) > 1) + 1)
    assert [len(run) for run in runs] == [scale] * 4
    assert all(set(np.unique(rows[:, run])) <= {0, 255, middle_of(page, 1)} for run in runs)
    browser.close()


def test_all_panes_show_the_same_place(page: Page, session: Session) -> None:
    open_page(page, session)
    [before] = scales(page)
    box = page.locator('[data-position="3"] canvas').bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.down("Control")
    for _ in range(3):
        page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 900, box["y"] + box["height"] / 2 + 900, steps=4)
    page.mouse.up()
    page.mouse.move(2, 2)
    expect(page.locator('[data-position="3"]')).to_have_class("pane selected")
    marks = [np.argwhere(pixels_of(page, k) == 255) for k in range(5)]
    assert len(marks[0]) > 0
    assert all(np.array_equal(mark, marks[0]) for mark in marks)
    [scale] = scales(page)
    assert scale > before


def test_whole_pictures_fit_at_one_scale_in_any_window(page: Page, session: Session) -> None:
    open_page(page, session)
    for width, height in ((768, 1024), (1000, 1000), (1366, 768), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        wait_until(partial(page.evaluate, f"innerWidth === {width}"), "the window has its new width")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        [scale] = scales(page)
        smallest = min(
            page.locator(f'[data-position="{k}"] canvas').evaluate("canvas => Math.min(canvas.width, canvas.height)")
            for k in range(5)
        )
        assert scale * SIDE <= smallest, (width, height)


def test_pictures_larger_than_their_panes_open_at_100_percent_and_move_together(
    page: Page, large_sessions: list[Session]
) -> None:
    open_page(page, large_sessions[0])
    assert scales(page) == {1}
    zoom, guide = page.locator("#zoom"), page.locator("#guide-zoom")
    expect(guide).to_contain_text("100 %: pixels as they are")
    usual = zoom.evaluate("button => getComputedStyle(button).backgroundColor")
    press(page, "0")
    [whole] = scales(page)
    assert 0.5 < whole < 0.7
    expect(zoom).to_have_text(f"{round(100 * whole)} %")
    expect(guide).to_contain_text("too small to show every pixel. Press 0 for 100 %.")
    assert zoom.evaluate("button => getComputedStyle(button).backgroundColor") != usual
    zoom.click()
    assert scales(page) == {1}

    def moved(is_corner_shown: bool) -> bool:
        return all((255 in pixels_of(page, position)) == is_corner_shown for position in range(5))

    assert moved(False)
    press(page, *["ArrowLeft"] * 3, *["ArrowUp"] * 3)
    assert moved(True)
    press(page, "ArrowRight", "ArrowDown")
    assert moved(False)
    page.locator('[data-position="2"] canvas').hover()
    page.mouse.wheel(0, -500)
    page.mouse.wheel(-500, 0)
    wait_until(lambda: moved(True), "the wheel moves the pictures")
    overview = page.locator("aside canvas").bounding_box()
    assert overview
    page.mouse.click(overview["x"] + overview["width"] / 2, overview["y"] + overview["height"] / 2)
    assert moved(False)


def test_a_round_can_require_that_all_of_every_version_was_seen_at_100_percent(
    page: Page, large_sessions: list[Session]
) -> None:
    session = large_sessions[1]
    page.add_init_script("window.now = 0; performance.now = () => window.now")

    def look(seconds: float) -> None:
        """Let time pass, once the browser has laid out what the last key shows."""
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.evaluate(f"window.now += {1000 * seconds}")

    def missing(numbers: str) -> None:
        press(page, "Enter")
        expect(page.locator("#status")).to_contain_text(f"Versions not completely seen at 100 %: {numbers}.")

    def pale(place: float) -> bool:
        """Whether the map is pale at this share of its height, in the middle."""
        script = """(map, place) => {
            const [x, y] = [map.width / 2, map.height / 2 + (place - 0.5) * Math.min(map.width, map.height)];
            return map.getContext("2d").getImageData(x, y, 1, 1).data[0];
        }"""
        return int(page.locator("aside canvas").evaluate(script, place)) not in (LEVELS["original"], 80)

    open_page(page, session)
    press(page, *PATTERN)
    missing("1, 2, 3, 4")
    press(page, "f")
    look(1.5)
    missing("2, 3, 4")  # in turn, each as a whole
    press(page, "f", "0")
    look(5)
    missing("2, 3, 4")  # the whole picture is smaller than 100 %, and Enter shows its first part at 100 %
    assert scales(page) == {1}
    page.keyboard.down(" ")
    look(5)
    page.keyboard.up(" ")
    missing("2, 3, 4")  # the original was in their place
    look(1.5)
    missing("2, 3, 4")  # Enter goes on to the right
    look(0.6)
    missing("2, 3, 4")  # and stays until it was seen for a second
    look(0.6)
    wait_until(lambda: not pale(0.1) and pale(0.9), "the map shows that the lower parts are unseen")
    for _ in range(2):
        missing("2, 3, 4")
        look(1.2)
    wait_until(lambda: not pale(0.9), "the map shows that all has been seen")
    press(page, "Enter")
    session.wait_for(1)
    order = AnswerStore(session.round).order(session.annotator, session.annotator.items[0])
    seen = session.record()["full_zoom_s"]
    assert [round(seen[name], 3) for name in order] == [2.7, 1.2, 1.2, 1.2]


def test_one_enlarged_version_keeps_its_keys(page: Page, session: Session) -> None:
    open_page(page, session)
    press(page, "f")
    expect(page.locator(".pane:visible")).to_have_count(1)
    press(page, "p")
    expect(page.locator(".pane:visible")).to_have_attribute("data-position", "2")
    press(page, "f")
    expect(page.locator(".pane:visible")).to_have_count(5)


def test_a_damaged_picture_is_requested_less_and_less_until_it_is_repaired(page: Page, session: Session) -> None:
    path = session.round.picture(session.annotator.items[0].group, "original")
    whole = path.read_bytes()
    path.write_bytes(whole[:60])
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url) if request.url.endswith("/pictures/0") else None)
    page.goto(session.url)
    expect(page.locator("#status")).to_contain_text("The pictures cannot be loaded. Trying again")
    expect(page.locator("#status")).to_contain_text("skip this group")
    press(page, *PATTERN, "Enter")  # pictures that are not shown cannot be judged
    page.wait_for_timeout(4000)
    assert 3 <= requested.count(requested[0]) <= 6
    assert session.answers() == {}
    press(page, "x")
    expect(page.locator('input[value="skip_broken"]')).to_be_checked()
    press(page, "Escape")
    path.write_bytes(whole)
    expect(page.locator("#stage")).to_have_attribute("data-state", "shown", timeout=30_000)


# No answer is lost


def test_answers_are_kept_while_the_server_is_down(page: Page, session: Session) -> None:
    open_page(page, session)
    page.wait_for_load_state("networkidle")  # the next two groups are loaded
    session.server.kill()
    for number in range(3):
        answer(page)
        progress(page, f"{number + 1} of 5 done")
    not_saved(page, 3)
    expect(page.locator("#status")).to_contain_text("The pictures cannot be loaded. Trying again")
    time.sleep(2)
    assert session.answers() == {}
    session.server.start()
    saving(page, "All answers saved")
    answer(page)
    answer(page)
    expect(page.locator("#done-title")).to_be_visible()
    saving(page, "All answers saved")
    assert session.answers() == session.all_answered()


def test_unsent_answers_survive_closing_the_page_which_continues_with_the_next_group(
    browser: Browser, session: Session
) -> None:
    context = browser.new_context()
    page = context.new_page()
    open_page(page, session)
    context.set_offline(True)
    answer(page)
    not_saved(page, 1)
    stored = "the browser has what the page stored, which a page that is killed within milliseconds may lose"
    wait_until(lambda: '\\"labels\\"' in json.dumps(context.storage_state()), stored)
    page.wait_for_timeout(500)  # the state above is the page's, not yet the browser's
    page.close(run_before_unload=False)
    context.set_offline(False)
    page = context.new_page()
    open_page(page, session)
    progress(page, "1 of 5 done")
    session.wait_for(1)
    context.close()


def test_a_new_url_sends_what_the_old_one_could_not(page: Page, session: Session) -> None:
    open_page(page, session)
    token = add_account(session.accounts, Account(session.annotator.name), renew=True)
    answer(page)
    expect(page.locator("#notice")).to_contain_text("needs your complete personal URL")
    expect(page.locator("#notice")).to_contain_text("kept in this browser")
    saving(page, "1 could not be saved")
    page.goto(f"{session.server.url}#{token}")
    shown(page)
    saving(page, "All answers saved")
    progress(page, "1 of 5 done")
    assert list(session.answers().values()) == [LABELS]


def test_an_answer_to_a_reassigned_group_is_reported_and_sent_again_at_a_reload(page: Page, session: Session) -> None:
    refusal = json.dumps({"error": "This group is not assigned to you."})
    page.route("**/answer", lambda route: route.fulfill(status=404, content_type="application/json", body=refusal))
    open_page(page, session)
    answer(page)
    expect(page.locator("#notice")).to_contain_text("This group is not assigned to you. It is kept in this browser")
    assert session.answers() == {}
    page.unroute_all(behavior="ignoreErrors")
    page.reload()
    session.wait_for(1)
    assert list(session.answers().values()) == [LABELS]


def test_a_disk_error_is_reported(page: Page, session: Session) -> None:
    open_page(page, session)
    blocked = session.round.folder / "shown" / "votes" / session.annotator.pseudonym
    write_bytes(blocked, b"")  # this folder cannot be made now
    answer(page)
    saving(
        page,
        "1 not saved yet (the server cannot read or write its files: File exists). "
        "You can continue: they are kept and sent again.",
    )
    assert f"{blocked}: File exists" in session.server.log
    blocked.unlink()
    saving(page, "All answers saved")
    assert list(session.answers().values()) == [LABELS]


def test_a_response_that_is_not_json_does_not_count(page: Page, session: Session) -> None:
    """From a login page of the network, then cut off by a lost connection."""
    bodies = ['{"version": 1', "<html>Please log in</html>"]

    def reply(route: Route) -> None:
        if route.request.method != "PUT" or not bodies:
            route.continue_()
            return
        if len(bodies) == 1:
            route.fetch()  # the server got the answer
        route.fulfill(status=200, content_type="application/json", body=bodies.pop())

    page.route("**/answer", reply)
    page.goto(session.url)
    for number in range(2):
        answer(page)
        progress(page, f"{number + 1} of 5 done")
    saving(page, "All answers saved")
    assert bodies == []
    assert list(session.answers().values()) == [LABELS] * 2


def test_an_answer_changed_while_its_response_was_lost_arrives_changed(page: Page, session: Session) -> None:
    lost: list[str] = []

    def lose_response(route: Route) -> None:
        if route.request.method == "PUT" and not lost:
            route.fetch()
            lost.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.route("**/answer", lose_response)
    open_page(page, session)
    answer(page)
    not_saved(page, 1)
    press(page, "u")
    expect(page.locator('[data-position="3"] button.negative')).to_have_attribute("aria-pressed", "true")
    shown(page)
    press(page, "3", "s", "Enter")
    saving(page, "All answers saved")
    expect(page.locator("#notice")).to_be_hidden()
    assert list(session.answers().values()) == [["Positive", "Similar", "Similar", "Positive"]]


def test_the_first_answer_of_two_windows_is_kept_and_both_continue(browser: Browser, session: Session) -> None:
    one, two = (browser.new_context(viewport={"width": 1366, "height": 768}).new_page() for _ in range(2))
    puts: list[str] = []
    two.on("request", lambda request: puts.append(request.url) if request.method == "PUT" else None)
    for page in (one, two):
        open_page(page, session)
    answer(one)
    answer(one)
    saving(one, "All answers saved")
    answer(two, ("n", "n", "n", "n"))
    expect(two.locator("#notice")).to_contain_text("in another window. That answer is kept.")
    progress(two, "1 of 5 done")
    shown(two)
    press(two, "x")
    two.get_by_role("button", name="Skip this group").click()
    expect(two.locator("#notice")).to_contain_text("just skipped in another window. That answer is kept.")
    for number in range(2, 5):
        answer(two)
        if number < 4:
            expect(two.locator("#notice")).to_be_hidden()  # it was about another group
            progress(two, f"{number + 1} of 5 done")
    session.wait_for(5)
    expect(two.locator("#done-text")).to_be_empty()
    time.sleep(1)
    assert len(puts) == 5  # what was refused is not sent again
    assert session.answers() == session.all_answered()
    for page in (one, two):
        page.context.close()


# Time


def test_durations_exclude_pauses_and_survive_setting_the_clock_back(page: Page, session: Session) -> None:
    open_page(page, session)
    press(page, "b")
    expect(page.locator("#pause-dialog")).to_be_visible()
    press(page, "p", "p", "p", "p")  # hidden pictures cannot be judged
    time.sleep(2)
    press(page, "Enter")
    expect(page.locator("#pause-dialog")).to_be_hidden()
    time.sleep(1)
    page.evaluate("const now = Date.now; Date.now = () => now() - 3600 * 1000")
    answer(page)
    session.wait_for(1)
    content = session.record()
    assert [pause["seconds"] >= 2 for pause in content["pauses"]] == [True]
    annotation = AnswerStore(session.round).answers(session.annotator)[session.annotator.items[0]]
    assert annotation.start
    assert annotation.end
    took = (annotation.end - annotation.start).total_seconds()
    assert 1 <= content["seconds"] < took < 60
    assert content["seconds"] + 2 <= took + 1


# The page for everyone


def test_the_page_shows_the_texts_of_the_round(page: Page, session: Session) -> None:
    texts = httpx2.get(f"{session.server.url}api/texts").json() | {"lang": "de", "next": "Weiter"}
    page.route("**/api/texts", lambda route: route.fulfill(json=texts))
    open_page(page, session)
    expect(page.locator("#next")).to_have_text("Weiter")
    expect(page.locator("html")).to_have_attribute("lang", "de")


def test_a_wrong_url_is_reported_and_can_be_corrected(page: Page, session: Session) -> None:
    page.goto(f"{session.server.url}#wrong")
    expect(page.locator("#notice")).to_contain_text("needs your complete personal URL")
    open_page(page, session)
    expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.parametrize("path", ["", "admin"])
def test_a_page_whose_scripts_are_refused_says_why(page: Page, session: Session, path: str) -> None:
    def forward(route: Route) -> None:
        """As a web server that passes on another host."""
        headers = route.request.all_headers() | {"host": "localhost"}
        route.fulfill(response=route.fetch(headers=headers))

    page.route("**/*", forward)
    page.goto(session.server.url + path)
    expect(page.locator("body")).to_contain_text(
        "was addressed as 'localhost'. If this is its own page, the web server"
    )
    page.unroute_all(behavior="ignoreErrors")  # a request may still be under way


@pytest.mark.usefixtures("instructions")
def test_the_instructions_open_the_first_time(page: Page, session: Session) -> None:
    page.goto(session.url)
    expect(page.locator("#instructions-text")).to_have_text("Look <b>closely</b>.")
    expect(page.locator("#instructions-dialog")).to_be_visible()
    press(page, "Enter")
    page.reload()
    shown(page)
    expect(page.locator("#instructions-dialog")).to_be_hidden()
    press(page, "i")
    expect(page.locator("#instructions-dialog")).to_be_visible()


def test_nothing_is_requested_from_other_hosts_and_urls_reveal_no_group(page: Page, session: Session) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    open_page(page, session)
    assert len(requested) > 10
    assert all(url.startswith((session.server.url, f"blob:{session.server.url}")) for url in requested)
    group = session.annotator.items[0].group.split("-")[0]
    assert not any("Ann" in url or group in url for url in requested)


def accessibility_faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{fault['id']}: {node['html']}" for fault in found for node in fault["nodes"]]


@pytest.mark.usefixtures("instructions")
def test_axe_finds_no_accessibility_faults(page: Page, session: Session) -> None:
    page.goto(session.url)
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


def test_a_phone_shows_all_labels(page: Page, session: Session) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, session)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    boxes = [button.bounding_box() for button in page.locator(".labels button:visible").all()]
    assert len(boxes) == 12
    assert all(box and box["x"] + box["width"] <= 390 and min(box["width"], box["height"]) >= 36 for box in boxes)


def test_everything_fits_a_small_phone_also_enlarged(page: Page, session: Session) -> None:
    page.set_viewport_size({"width": 390, "height": 664})
    open_page(page, session)
    rows = {box["y"] for button in page.locator("footer button").all() if (box := button.bounding_box())}
    assert len(rows) == 2
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("document.documentElement.scrollHeight") == 664
        press(page, "f")  # one version: its labels and its picture are in the window


def test_a_touched_button_shows_the_original(browser: Browser, session: Session) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    page = context.new_page()
    open_page(page, session)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    button = page.locator("#flip")
    before = middle_of(page, 1)
    button.dispatch_event("pointerdown")
    assert middle_of(page, 1) == LEVELS["original"]
    button.dispatch_event("pointerup")
    assert middle_of(page, 1) == before
    assert len({box["y"] for other in page.locator("footer button").all() if (box := other.bounding_box())}) == 2
    context.close()


@pytest.mark.usefixtures("instructions")
def test_the_usual_instructions_fit_a_small_phone_and_longer_ones_scroll(page: Page, session: Session) -> None:
    page.set_viewport_size({"width": 390, "height": 664})
    page.goto(session.url)
    button = page.locator("#instructions-dialog button")
    expect(button).to_be_visible()
    usual = (files("hggt_data.annotate") / "instructions.md").read_text("utf-8")
    fill = "(element, text) => {element.textContent = text; return element.scrollHeight > element.clientHeight}"
    for content, scrolls in ((usual, False), (3 * usual, True)):
        assert page.locator("#instructions-text").evaluate(fill, content) == scrolls
        box = button.bounding_box()
        assert box
        assert box["y"] + box["height"] < 664


def test_keys_work_on_any_layout_and_input_method(page: Page, session: Session) -> None:
    open_page(page, session)

    def press_event(**event: object) -> list[str]:
        """Press a key, read the pressed labels and selected version, and undo them."""
        page.evaluate(
            "event => dispatchEvent.call(document.body, new KeyboardEvent('keydown', {bubbles: true, ...event}))", event
        )
        found = page.locator('.labels [aria-pressed="true"]').all()
        labels = [str(button.get_attribute("data-label")) for button in found]
        selected = page.locator(".pane.selected").get_attribute("data-position")
        press(page, "u" if labels else "1")
        return labels or ([] if selected == "1" else [f"version {selected}"])

    assert press_event(key="з", code="KeyP") == ["Positive"]  # Russian
    assert press_event(key="لا", code="KeyN") == ["Negative"]  # two letters at once
    assert press_event(key="Process", code="KeyS") == ["Similar"]  # an input method
    assert press_event(key="Unidentified", code="KeyP") == ["Positive"]
    assert press_event(key="p", code="KeyR") == ["Positive"]  # Dvorak
    assert press_event(key="l", code="KeyP") == []
    assert press_event(key="&", code="Digit1") == []
    assert press_event(key='"', code="Digit3") == ["version 3"]  # French
    assert press_event(key="+", code="Digit4") == ["version 4"]
    assert press_event(key="3", code="Digit3", shiftKey=True) == ["version 3"]
    for modifier in ("ctrlKey", "altKey", "metaKey", "shiftKey", "modifierAltGraph"):
        assert press_event(key="з", code="KeyP", **{modifier: True}) == []


def test_the_keyboard_reaches_everything(page: Page, session: Session) -> None:
    open_page(page, session)
    reached = set()
    for _ in range(40):
        press(page, "Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    expected = {"batch", "pause", "help", "previous", "undo", "skip", "next", "focus", "slider", "positive", "negative"}
    assert expected <= reached


def test_two_annotators_at_once_and_their_contradictions_on_the_admin_page(browser: Browser, tmp_path: Path) -> None:
    groups = [f"p{k}-0-0" for k in range(5)]
    other = "Bob" + "OfAVeryLongName" * 4  # is broken over lines
    sessions = serve(tmp_path, {name: [votes(*groups)] for name in ("Ada", other)})
    with sessions[0].server as server:
        pages = [browser.new_context().new_page() for _ in sessions]
        for page, session in zip(pages, sessions, strict=True):
            page.goto(session.url)
        for _ in groups:
            for page, label in zip(pages, "pn", strict=True):
                answer(page, (label,) * 4)
        for page in pages:
            expect(page.locator("#done-title")).to_be_visible()
            saving(page, "All answers saved")
        for session, label in zip(sessions, ("Positive", "Negative"), strict=True):
            assert session.answers() == dict.fromkeys(groups, [label] * 4)
        page = pages[0]
        page.goto(server.admin_url)
        page.set_viewport_size({"width": 1366, "height": 768})
        expect(page.locator("#annotators tr")).to_have_count(2)
        expect(page.locator("#annotators tr").first).to_contain_text("5 / 5")
        expect(page.locator("#totals")).to_contain_text("10 / 10 (100 %)")
        expect(page.locator("#totals")).to_contain_text("No better than chance. Krippendorff's alpha is")
        expect(page.locator("#flags")).to_contain_text(f"{other}: mostly one label: 20 of 20 labels are Negative")
        expect(page.locator("#contrary .group")).to_have_count(5)
        expect(page.locator("#contrary .group").first).to_contain_text("Ada: Positive")
        expect(page.locator("#contrary .group").first).to_contain_text(f"{other}: Negative")
        with page.expect_download() as download:
            page.locator("#export").click()
        assert download.value.path().read_text().count("\n") == 11
        assert accessibility_faults(page) == []
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        table = page.locator("#annotators").bounding_box()
        assert table
        assert table["x"] + table["width"] <= 390
        for page in pages:
            page.context.close()
