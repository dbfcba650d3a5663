"""The report in a real browser: headless Chromium, laptop and phone."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from hggt_data.loading import open_groups
from hggt_data.restored.matching import match_restored
from hggt_data.restored.methods import name_methods
from hggt_data.schema import PatchId
from hggt_eval.metrics import METRICS, MetricSettings
from hggt_eval.protocol import evaluate
from hggt_eval.report.page import choose_groups, format_page
from hggt_eval.report.pictures import ScoredPictures
from hggt_eval.scores.comparison import compare_methods
from hggt_eval.scores.file import Settings
from hggt_eval.scores.scores import Evaluation, GroupScores, MethodScores

GROUP = "rocket-214-329"


@pytest.fixture(scope="module")
def evaluation(fixtures: Path) -> Evaluation:
    source = open_groups(fixtures / "Test")
    methods = name_methods([(None, fixtures / "restored" / name) for name in ("bicubic", "lanczos", "realesrgan")])
    metrics = [METRICS[name].load(MetricSettings()) for name in ("psnr", "ssim")]
    return evaluate(source, match_restored(methods, source), metrics)


@pytest.fixture(scope="module")
def settings(fixtures: Path) -> Settings:
    restored = {name: str(fixtures / "restored" / name) for name in ("bicubic", "lanczos", "realesrgan")}
    return Settings(("psnr", "ssim"), 4, "rgb", "cpu", str(fixtures / "Test"), "0" * 64, restored=restored)


@pytest.fixture(scope="module")
def report(evaluation: Evaluation, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    comparison = compare_methods(evaluation, "bicubic")
    pictures = ScoredPictures(evaluation, settings)
    path.write_text(format_page(evaluation, settings, comparison, pictures, num_shown=1), "utf-8")
    return path


@pytest.fixture
def errors() -> list[str]:
    return []


def opened(browser: Browser, report: Path, errors: list[str], width: int = 1366, height: int = 768) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: errors.append(request.url) if request.url.startswith("http") else None)
    page.goto(report.as_uri())
    if page.locator("#gallery-body").is_visible():
        expect(page.locator("#panes figure").first).to_be_visible()
        page.wait_for_function("panes.length && panes.every(({image}) => image.complete && image.naturalWidth)")
    return page


@pytest.fixture
def page(browser: Browser, report: Path, errors: list[str]) -> Iterator[Page]:
    page = opened(browser, report, errors)
    yield page
    assert errors == []
    page.close()


def data_of(report: Path) -> Any:
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', report.read_text("utf-8"), re.S)
    return json.loads(text)


def test_the_tables_are_those_of_the_comparison(page: Page, evaluation: Evaluation) -> None:
    expect(page.locator("h1")).to_have_text("Scores of bicubic, lanczos, realesrgan")
    scores = page.locator("section", has_text="Mean over groups").locator("tbody tr")
    expect(scores).to_have_count(3)
    best = max(method.mean["psnr"] for method in evaluation.methods)
    expect(page.locator("td.best").first).to_contain_text(f"{best:.2f}")
    expect(page.locator("h2", has_text="Difference to bicubic")).to_be_visible()


def column(page: Page) -> list[str]:
    return page.locator("#image-table tbody th").all_text_contents()


def test_images_are_sorted_by_any_column_by_keyboard(page: Page, evaluation: Evaluation) -> None:
    ids = [str(group.id) for group in evaluation.methods[0].groups]
    assert column(page) == ids
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("id")
    page.locator("#image-table th button", has_text="lanczos").focus()
    page.keyboard.press("Enter")
    by_psnr = sorted(evaluation.methods[1].groups, key=lambda group: -group.mean["psnr"])
    assert column(page) == [str(group.id) for group in by_psnr]
    expect(page.locator("th[aria-sort=descending]")).to_have_text("lanczos")
    page.keyboard.press("Enter")
    assert column(page) == [str(group.id) for group in by_psnr][::-1]
    first = page.locator("#image-table tbody tr").first.locator("td").nth(1)
    expect(first).to_have_text(f"{by_psnr[-1].mean['psnr']:.2f}")
    page.select_option("#metric", "ssim")
    expect(first).to_have_text(re.compile(r"^0\.\d{4}$"))


def test_images_are_filtered_by_id(page: Page) -> None:
    page.fill("#filter", "COFFEE")
    assert column(page) == ["coffee-27-433", "coffee-163-150"]
    expect(page.locator("#range")).to_have_text("1 to 2 of 2")


def test_a_click_on_a_mark_finds_the_image_in_the_table_and_the_gallery(page: Page) -> None:
    x, y = page.evaluate(
        "(id) => { const p = sortedPlot.points.find((point) => point.group.id === id);"
        " return [sortedPlot.toX(p.x), sortedPlot.toY(p.y)] }",
        GROUP,
    )
    page.locator("#sorted-plot").click(position={"x": x, "y": y})
    expect(page.locator("#pointed")).to_contain_text(f"{GROUP}, ")
    expect(page.locator("#pointed")).to_contain_text("PSNR ")
    assert column(page) == [GROUP]
    expect(page.locator("#groups button[aria-pressed=true]")).to_contain_text(GROUP)


def ink(page: Page, plot: str, colour: tuple[int, int, int]) -> int:
    """How many pixels of a plot have a colour."""
    return int(
        page.evaluate(
            "([id, [r, g, b]]) => { const c = document.getElementById(id);"
            " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
            " for (let k = 0; k < d.length; k += 4)"
            " n += Math.abs(d[k] - r) + Math.abs(d[k+1] - g) + Math.abs(d[k+2] - b) < 9 && d[k+3] > 150; return n }",
            [plot, list(colour)],
        )
    )


@pytest.mark.parametrize("plot", ["sorted-plot", "scatter-plot"])
def test_a_method_can_be_hidden_from_the_plots(page: Page, plot: str) -> None:
    orange = (0xD5, 0x5E, 0x00)  # the second method
    assert ink(page, plot, orange) > 20
    button = page.locator("#legend button", has_text="lanczos")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert ink(page, plot, orange) == 0
    button.click()
    assert ink(page, plot, orange) > 20


def test_differences_to_the_baseline_can_be_plotted(page: Page, evaluation: Evaluation) -> None:
    page.select_option("#order", "difference:realesrgan")
    points = page.evaluate("sortedPlot.points.filter((p) => p.method === 'realesrgan').map((p) => p.y)")
    base, net = evaluation.methods[0].groups, evaluation.methods[2].groups
    expected = sorted(b.mean["psnr"] - a.mean["psnr"] for a, b in zip(base, net, strict=True))
    assert points == pytest.approx(expected)


def test_the_gallery_holds_every_picture_of_a_group_without_loss(page: Page, report: Path, fixtures: Path) -> None:
    page.locator("#groups button", has_text=GROUP).click()
    names = page.locator("#panes figcaption > span:first-child")
    expect(names).to_have_text(["LR", "original", "01", "02", "03", "04", "bicubic", "lanczos", "realesrgan"])
    expect(page.locator("#panes .chip")).to_have_text(["Positive", "Positive", "Negative", "Negative"])
    expect(page.locator("#panes figure").last).to_contain_text("PSNR")
    pixels = page.evaluate("Array.from(pixelsOf(panes[2].image).data).filter((_, k) => k % 4 < 3)")
    group = next(group for group in open_groups(fixtures / "Test") if str(group.id) == GROUP)
    assert (np.array(pixels).reshape(160, 160, 3) == group.read("01")).all()


def transforms(page: Page) -> list[str]:
    return list(page.evaluate("panes.map(({image}) => image.style.transform)"))


def test_all_pictures_zoom_and_move_together(page: Page) -> None:
    assert set(transforms(page)) == {"scale(1) translate(0%, 0%)"}
    page.locator("#zoom-in").click()
    [zoomed] = set(transforms(page))
    assert zoomed.startswith("scale(1.5)")
    page.locator("#panes").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    [moved] = set(transforms(page))
    assert moved.startswith("scale(2.25)")
    page.keyboard.press("0")
    assert set(transforms(page)) == {"scale(1) translate(0%, 0%)"}
    frame = page.locator("#panes .view").nth(3)
    box = frame.bounding_box()
    assert box
    frame.dblclick(position={"x": box["width"] / 4, "y": box["height"] / 4})
    [doubled] = set(transforms(page))
    assert doubled.startswith("scale(2)")
    left, top = map(float, re.findall(r"-([\d.]+)%", doubled))
    assert (left, top) == pytest.approx((12.5, 12.5), abs=0.5)
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 100 - box["width"] / 2, box["y"] + 100, steps=4)
    page.mouse.up()
    [dragged] = set(transforms(page))
    left, top = map(float, re.findall(r"-([\d.]+)%", dragged))
    assert (left, top) == pytest.approx((37.5, 12.5), abs=0.7)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_function("view.scale === 4")


def test_one_to_one_shows_one_pixel_on_one_of_the_screen(page: Page) -> None:
    for _ in range(3):
        page.locator("#zoom-in").click()
    page.locator("#pixels").click()
    large = page.evaluate("panes[1].frame.clientWidth * view.scale / panes[1].image.naturalWidth")
    # A picture smaller than its frame cannot be shown smaller than whole.
    assert large == pytest.approx(max(1, page.evaluate("panes[1].frame.clientWidth") / 160))


def test_difference_maps_are_the_absolute_difference_times_the_gain(page: Page, fixtures: Path) -> None:
    page.locator("#groups button", has_text=GROUP).click()
    page.select_option("#difference", "original")
    page.locator("#gain").fill("3")
    found = page.evaluate(
        "(() => { const p = panes.find(({picture}) => picture.name === '01'); const c = p.canvas;"
        " return [c.hidden, Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)] })()"
    )
    group = next(group for group in open_groups(fixtures / "Test") if str(group.id) == GROUP)
    difference = np.abs(group.read("01").astype(int) - group.read("original"))
    assert found[0] is False
    assert (np.array(found[1]).reshape(160, 160, 4)[..., :3] == np.minimum(3 * difference, 255)).all()
    hidden = page.evaluate("Object.fromEntries(panes.map(({picture, canvas}) => [picture.name, canvas.hidden]))")
    assert (hidden["LR"], hidden["original"], hidden["bicubic"]) == (True, True, False)
    page.select_option("#difference", "")
    assert page.evaluate("panes.every(({canvas}) => canvas.hidden)")


def test_pictures_can_be_left_out_and_stay_so_in_the_next_group(page: Page) -> None:
    page.get_by_label("LR", exact=True).uncheck()
    expect(page.locator("#panes figure").first).to_be_hidden()
    page.locator("#groups button").nth(1).click()
    expect(page.locator("#groups button").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#panes figure").first).to_be_hidden()
    expect(page.locator("#panes figure").nth(1)).to_be_visible()


def test_of_two_quick_clicks_the_later_counts(page: Page, report: Path) -> None:
    ids = [group["id"] for group in data_of(report)["gallery"]]
    page.evaluate("[1, 2].forEach((number) => document.querySelectorAll('#groups button')[number].click())")
    expect(page.locator("#groups button[aria-pressed=true]")).to_contain_text(ids[2])
    source = data_of(report)["gallery"][2]["pictures"][0]["src"]
    page.wait_for_function("(source) => panes[0].image.src === source && panes[0].image.style.transform", arg=source)
    page.wait_for_timeout(300)
    assert page.evaluate("panes[0].image.src") == source


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_nothing_is_cut_off_and_all_is_accessible(
    browser: Browser, report: Path, errors: list[str], width: int, height: int
) -> None:
    page = opened(browser, report, errors, width, height)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, input[type=search]')].filter((e) => e.offsetParent"
        " && e.getBoundingClientRect().height < 39.5).map((e) => e.outerHTML)"
    )
    assert small == []
    assert errors == []
    page.close()


def test_ten_thousand_images_of_ten_methods_stay_usable(
    browser: Browser, settings: Settings, errors: list[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    names = [f"method-{number}" for number in range(10)]
    methods = tuple(
        MethodScores(
            name,
            tuple(
                GroupScores(PatchId(f"{n:05d}", 0, 0), "x.png", {}, {"01": {"psnr": float(v), "ssim": float(v) / 50}})
                for n, v in enumerate(rng.normal(25, 3, 10_000))
            ),
        )
        for name in names
    )
    scored = Evaluation(("psnr", "ssim"), methods, (), 10_000)
    many = replace(settings, restored={})
    comparison = compare_methods(scored, num_resamples=100)
    path = tmp_path / "report.html"
    path.write_text(format_page(scored, many, comparison, ScoredPictures(scored, many), num_shown=0), "utf-8")
    page = opened(browser, path, errors)
    expect(page.locator("#gallery-note")).to_contain_text("No group was asked for")
    expect(page.locator("#range")).to_have_text("1 to 50 of 10000")
    page.locator("#next").click()
    expect(page.locator("#range")).to_have_text("51 to 100 of 10000")
    page.locator("#image-table th button", has_text="method-9").click()
    best = max(group.mean["psnr"] for group in methods[9].groups)
    expect(page.locator("#image-table tbody tr").first.locator("td").last).to_have_text(f"{best:.2f}")
    assert len(page.evaluate("sortedPlot.points")) == 100_000
    assert errors == []
    page.close()


def test_names_are_text_and_end_nothing(
    browser: Browser, evaluation: Evaluation, settings: Settings, errors: list[str], tmp_path: Path
) -> None:
    name = "</script><b>&\"'/*JS*/"
    odd = replace(evaluation, methods=(replace(evaluation.methods[0], name=name),))
    named = replace(settings, restored={name: settings.restored["bicubic"]})
    path = tmp_path / "report.html"
    pictures = ScoredPictures(odd, named)
    path.write_text(format_page(odd, named, compare_methods(odd), pictures), "utf-8")
    page = opened(browser, path, errors)
    expect(page.locator("h1")).to_have_text(f"Scores of {name}")
    expect(page.locator("#legend button")).to_have_text(name)
    assert page.title() == f"Scores of {name}"
    assert errors == []
    page.close()


def test_the_page_asks_for_nothing_from_outside(report: Path) -> None:
    text = report.read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)=[\"']?https?:|url\(http|@import", text)
    assert {group["id"] for group in data_of(report)["gallery"]} <= {group["id"] for group in data_of(report)["groups"]}


def scored(**psnr: dict[str, float]) -> Evaluation:
    methods = [
        MethodScores(
            name, tuple(GroupScores(PatchId(k, 0, 0), "x", {}, {"01": {"psnr": v}}) for k, v in values.items())
        )
        for name, values in psnr.items()
    ]
    return Evaluation(("psnr",), tuple(methods), (), 9)


def test_the_gallery_shows_the_best_and_the_worst_by_the_mean_over_methods() -> None:
    both = scored(a={"p": 20.0, "q": 30.0, "r": 25.0, "s": 24.0}, b={"p": 31.0, "q": 20.0, "r": 27.0, "s": 20.0})
    assert choose_groups(both, 1) == {PatchId("r", 0, 0): ["best PSNR"], PatchId("s", 0, 0): ["worst PSNR"]}
    assert len(choose_groups(both, 9)) == 4
    assert choose_groups(both, 0) == {}


def test_a_group_that_a_method_lacks_is_neither_best_nor_worst() -> None:
    fewer = scored(a={"p": 20.0, "q": 30.0, "r": 40.0}, b={"p": 31.0, "q": 20.0})
    assert PatchId("r", 0, 0) not in choose_groups(fewer, 2)


def test_one_group_is_the_best_and_not_the_worst_too() -> None:
    assert choose_groups(scored(a={"p": 20.0}), 1) == {PatchId("p", 0, 0): ["best PSNR"]}
