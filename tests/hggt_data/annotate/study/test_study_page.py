"""Studies in a real browser, by keyboard, from `deal-study` to the merged table; the server is killed on the way."""

import csv
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from hggt_data.annotate.round import read_round
from hggt_data.annotate.web.accounts import Account, add_account
from hggt_data.cli.main import main
from hggt_data.io.images import encode_png
from tests.hggt_data.annotate.servers import Server
from tests.hggt_data.trees import write_bytes

IDS = ("p0", "p1", "p2")
LEVELS = {"dark": 60, "middle": 120, "light": 180}


def deal(folder: Path, *options: str) -> Path:
    """A study of three methods that can be told apart by brightness."""
    pattern = np.indices((96, 96)).sum(0) % 8
    for method, level in LEVELS.items():
        for group in IDS:
            pixels = np.repeat((pattern + level)[..., None], 3, 2).astype(np.uint8)
            write_bytes(folder / method / f"{group}.png", encode_png(pixels))
    (folder / "people.txt").write_text("Ada\n")
    command = ["deal-study", *(word for name in LEVELS for word in ("--restored", str(folder / name)))]
    command += ["--annotators", str(folder / "people.txt"), "--votes", "1", "--question", "Which is brighter?"]
    found = CliRunner().invoke(main, [*command, *options, "--output", str(folder / "round")])
    assert found.exit_code == 0, found.output
    return folder / "round"


def level_of(page: Page, position: int) -> float:
    """The red value in the middle of a pane."""
    return float(
        page.locator("#stage canvas")
        .nth(position)
        .evaluate("c => c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[0]")
    )


def open_study(page: Page, server: Server, token: str) -> None:
    page.goto(f"{server.url}#{token}")
    expect(page.locator("#instructions-dialog[open]")).to_contain_text("Which is brighter?")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_have_count(0)


def panes(page: Page, number: int) -> list[float]:
    """The brightness of all pictures of the next page."""
    expect(page.locator("#stage")).to_have_attribute("data-state", "shown")
    expect(page.locator(".pane")).to_have_count(number)
    return [level_of(page, 1 + position) for position in range(number)]  # the map is first


def merged(folder: Path, tree: Path) -> list[dict[str, str]]:
    found = CliRunner().invoke(main, ["merge", "--round", str(folder), "--output", str(tree)])
    assert found.exit_code == 0, found.output
    report = CliRunner().invoke(main, ["validate", str(tree)])
    assert report.exit_code == 0, report.output
    with open(tree / "votes.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_pairs_by_keyboard_from_the_command_to_the_table(page: Page, tmp_path: Path) -> None:
    gt = tmp_path / "middle"
    folder = deal(tmp_path, "--gt", str(gt), "--ties", "--design", "pairs")
    token = add_account(tmp_path / "accounts.json", Account("Ada"))
    with Server(folder, "--accounts", str(tmp_path / "accounts.json")) as server:
        open_study(page, server, token)
        for number in range(9):
            expect(page.locator("#progress")).to_have_text(f"{number} of 9 done")
            expect(page.locator("h1")).to_have_text("Which is brighter?")
            reference, left, right = panes(page, 3)
            assert abs(reference - LEVELS["middle"]) < 10
            if number == 3:
                page.keyboard.press("Enter")
                expect(page.locator("#status")).to_have_text("Please choose first: a version, or Same.")
                page.keyboard.down("Space")  # the reference in place of the versions
                assert level_of(page, 2) == level_of(page, 3) == reference
                page.keyboard.up("Space")
                server.kill()
                server.start()
            is_tie = {round(left / 60), round(right / 60)} == {1, 2}
            page.keyboard.press("s" if is_tie else "ArrowLeft" if left > right else "2")
            expect(page.locator('.labels [aria-pressed="true"]')).to_have_count(2 if is_tie else 1)
            page.keyboard.press("Enter")
        expect(page.locator("#done-title")).to_have_text("You have finished everything. Thank you!")
        expect(page.locator("#saving")).to_have_text("All answers saved")
    rows = merged(folder, tmp_path / "tree")
    assert len(rows) == 9
    for row in rows:
        pair = {row["first"], row["second"]}
        preferred = {"tie": "tie"}.get(row["preferred"], row.get(row["preferred"], ""))
        assert preferred == ("tie" if pair == {"dark", "middle"} else "light")
        assert float(row["seconds"]) >= 0
    assert abs(sum(1 if row["first"] == "light" else -1 for row in rows if "light" in row.values())) <= 2


def test_best_of_by_number_keys(page: Page, tmp_path: Path) -> None:
    folder = deal(tmp_path, "--gt", str(tmp_path / "middle"), "--design", "best-of", "--reference", "hidden")
    token = add_account(tmp_path / "accounts.json", Account("Ada"))
    with Server(folder, "--accounts", str(tmp_path / "accounts.json")) as server:
        open_study(page, server, token)
        for number in range(3):
            expect(page.locator("#progress")).to_have_text(f"{number} of 3 done")
            levels = panes(page, 3)
            page.keyboard.press("Enter")
            expect(page.locator("#status")).to_have_text("Please choose a version first.")
            page.keyboard.press(str(1 + levels.index(max(levels))))
            page.keyboard.press("Enter")
        expect(page.locator("#done-title")).to_have_text("You have finished everything. Thank you!")
        expect(page.locator("#saving")).to_have_text("All answers saved")
    assert {row["preferred"] for row in merged(folder, tmp_path / "tree")} == {"light"}
    assert read_round(folder).study is not None
