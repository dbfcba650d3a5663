"""The report in a real browser: headless Chromium, laptop and phone."""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from hggt_data import name_methods, open_groups
from hggt_data.restored.matching import match_restored
from hggt_data.tree.demo import write_demo
from hggt_eval import GroundTruth, score
from hggt_eval.metrics import METRICS
from hggt_eval.protocol import evaluate
from hggt_eval.report.page import choose_groups, format_page
from hggt_eval.report.pictures import ScoredPictures
from hggt_eval.scores.comparison import compare_methods
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings
from hggt_eval.scores.scores import GroupScores, MethodScores

GROUP = "rocket-214-329"
METHODS = ("bicubic", "lanczos", "realesrgan")


@pytest.fixture(scope="module")
def evaluation(fixtures: Path) -> Evaluation:
    source = open_groups(fixtures / "Test")
    methods = name_methods([(None, fixtures / "restored" / name) for name in METHODS])
    return evaluate(source, match_restored(methods, source), [METRICS[name].load() for name in ("psnr", "ssim")])


@pytest.fixture(scope="module")
def settings(fixtures: Path) -> Settings:
    restored = {name: str(fixtures / "restored" / name) for name in METHODS}
    off = {"psnr": 2e-5}
    return Settings(("psnr", "ssim"), 4, "rgb", "cuda", str(fixtures / "Test"), "0" * 64, off, restored=restored)


@pytest.fixture(scope="module")
def report(evaluation: Evaluation, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    comparison = compare_methods(evaluation, "bicubic")
    pictures = ScoredPictures(evaluation, settings)
    path.write_text(format_page(evaluation, settings, comparison, pictures, num_shown=1), "utf-8")
    return path


Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens reports in pages, which must have neither errors nor requests to the network."""
    pages: list[Page] = []
    errors: list[str] = []

    def open_page(report: Path, width: int = 1366, height: int = 768) -> Page:
        page = browser.new_page(viewport={"width": width, "height": height})
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: errors.append(request.url) if request.url.startswith("http") else None)
        page.goto(report.as_uri())
        if page.locator("#gallery-body").is_visible():
            expect(page.locator("#panes figure").first).to_be_visible()
            page.wait_for_function("panes.length && panes.every(({image}) => image.complete && image.naturalWidth)")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert errors == []


@pytest.fixture
def page(opened: Open, report: Path) -> Page:
    return opened(report)


def data_of(report: Path) -> Any:
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', report.read_text("utf-8"), re.S)
    return json.loads(text)


def test_the_tables_are_those_of_the_comparison(page: Page, evaluation: Evaluation) -> None:
    expect(page.locator("h1")).to_have_text("Scores of bicubic, lanczos, realesrgan")
    expect(page.locator("#facts")).to_be_hidden()
    page.locator("#provenance summary").click()
    expect(page.locator("#facts")).to_be_visible()
    expect(page.locator("#facts")).to_contain_text("cuda (differs from the CPU by at most 2.0e-05 on one image)")
    expect(page.locator("#licence")).to_contain_text("HGGT terms: non-commercial academic research, no redistribution")
    scores = page.locator("section", has_text="Mean over groups").locator("tbody tr")
    expect(scores).to_have_count(3)
    best = max(method.mean["psnr"] for method in evaluation.methods)
    expect(page.locator("td.best").first).to_contain_text(f"{best:.2f}")
    expect(page.locator("h2", has_text="Difference from bicubic")).to_be_visible()


def test_the_report_answers_first_and_then_shows_why(page: Page) -> None:
    expect(page.locator("#verdict p")).to_have_text(
        re.compile("^None of 2 methods is clearly better than bicubic in PSNR; ")
    )
    order = ["#verdict", "section:has-text('Mean over groups')", ".forests", "#images", "#gallery", "#provenance"]
    tops = [page.locator(part).first.bounding_box() for part in order]
    assert all(box is not None for box in tops)
    assert sorted(tops, key=lambda box: box["y"] if box else 0) == tops


def test_forest_plots_show_every_difference_with_its_interval(opened: Open, settings: Settings, tmp_path: Path) -> None:
    values = {f"{k:02d}": 25.0 + k for k in range(12)}
    shifted = {name: {k: v + by for k, v in values.items()} for name, by in (("better", 1.0), ("worse", -1.0))}
    noisy = {k: v + (-1) ** number for number, (k, v) in enumerate(values.items())}
    evaluation = scored(base=values, **shifted, noisy=noisy, perfect=dict.fromkeys(values, math.inf))
    page = opened(written(evaluation, settings, tmp_path, "base"))
    rows = page.locator(".forests svg > g")
    expect(rows).to_have_count(4)
    marks = [rows.nth(k).locator("g").get_attribute("class") for k in range(3)]
    assert marks == ["better", "worse", "unclear"]
    expect(rows.nth(3).locator("circle")).to_have_count(0)  # no finite difference
    zero = float(page.locator("line.zero").first.get_attribute("x1") or "nan")
    x = [float(rows.nth(k).locator("circle").get_attribute("cx") or "nan") for k in range(3)]
    assert x[1] < zero < x[0]
    assert x[2] == pytest.approx(zero, abs=0.1)
    low, high = (float(rows.nth(2).locator("line").first.get_attribute(end) or "nan") for end in ("x1", "x2"))
    [noise] = [d for d in compare_methods(evaluation, "base").differences if d.method == "noisy"]
    assert noise.low is not None
    assert noise.high is not None
    assert (low - zero) / (x[0] - zero) == pytest.approx(noise.low, abs=0.02)
    assert (high - zero) / (x[0] - zero) == pytest.approx(noise.high, abs=0.02)
    label = page.locator(".forests svg").first.get_attribute("aria-label") or ""
    assert "better: +1.00 [+1.00, +1.00], better; worse: \u22121.00 [\u22121.00, \u22121.00], worse; noisy: " in label
    page.get_by_text("Numbers and p-values").click()
    expect(page.locator("details tr.group")).to_have_text(["PSNR ↑"])


def test_the_method_column_stays_when_a_phone_scrolls(opened: Open, settings: Settings, tmp_path: Path) -> None:
    many = {f"method-{k}": {f"{n}": 20.0 + n + k for n in range(6)} for k in range(12)}
    page = opened(written(scored(**many), settings, tmp_path), 390, 844)
    expect(page.locator("h1")).to_have_text("Scores of 12 methods")
    for table in (page.locator("section table").first, page.locator("#image-table")):
        name = table.locator("tbody th").nth(3)
        before = name.bounding_box()
        moved = table.evaluate("(e) => { const s = e.closest('.scroll'); s.scrollLeft = 120; return s.scrollLeft }")
        assert moved > 0
        assert name.bounding_box() == before


def test_scores_without_ground_truths_have_a_gallery(opened: Open, tmp_path: Path) -> None:
    *_, bicubic, sharper = write_demo(tmp_path)
    methods = {"bicubic": bicubic, "sharper": sharper}
    score(methods, GroundTruth(no_gt=True), metrics="niqe", border=0).report(tmp_path / "scores")
    page = opened(tmp_path / "scores" / "report.html")
    expect(page.locator("#panes figcaption > span:first-child")).to_have_text(["bicubic", "sharper"])
    expect(page.locator("#groups img").first).to_be_visible()
    expect(page.locator("#licence")).to_have_text("Licence of the pictures: not known; ask the author.")


def test_a_page_without_scores_of_single_pictures_has_tables_only(
    opened: Open, settings: Settings, tmp_path: Path
) -> None:
    nothing = GroupScores("p-0-0", "p", "x", {}, {"01": {}})
    evaluation = Evaluation((METRICS["psnr"],), (MethodScores("a", (nothing,)), MethodScores("b", (nothing,))), (), 1)
    page = opened(written(evaluation, settings, tmp_path))
    expect(page.locator("#images")).to_be_hidden()
    expect(page.locator("section table").first).to_be_visible()


def column(page: Page) -> list[str]:
    return page.locator("#image-table tbody th").all_text_contents()


def test_images_are_filtered_by_id_and_sorted_by_any_column_by_keyboard(page: Page, evaluation: Evaluation) -> None:
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
    page.fill("#filter", "COFFEE")
    assert set(column(page)) == {"coffee-27-433", "coffee-163-150"}
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
    """Number of pixels of a plot with a colour."""
    return int(
        page.evaluate(
            "([id, [r, g, b]]) => { const c = document.getElementById(id);"
            " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
            " for (let k = 0; k < d.length; k += 4)"
            " n += Math.abs(d[k] - r) + Math.abs(d[k+1] - g) + Math.abs(d[k+2] - b) < 9 && d[k+3] > 150; return n }",
            [plot, list(colour)],
        )
    )


def test_a_method_can_be_hidden_from_the_plots(page: Page) -> None:
    orange = (0xD5, 0x5E, 0x00)  # the second method
    button = page.locator("#legend button", has_text="lanczos")
    for visible in (True, False, True):
        for plot in ("sorted-plot", "scatter-plot"):
            assert (ink(page, plot, orange) > 20) == visible
        expect(button).to_have_attribute("aria-pressed", str(visible).lower())
        button.click()


def test_differences_from_the_baseline_can_be_plotted(page: Page, evaluation: Evaluation) -> None:
    page.select_option("#order", "difference:realesrgan")
    points = page.evaluate("sortedPlot.points.filter((p) => p.method === 'realesrgan').map((p) => p.y)")
    base, net = evaluation.methods[0].groups, evaluation.methods[2].groups
    expected = sorted(b.mean["psnr"] - a.mean["psnr"] for a, b in zip(base, net, strict=True))
    assert points == pytest.approx(expected)


def test_the_gallery_holds_every_picture_without_loss_and_maps_differences(page: Page, fixtures: Path) -> None:
    page.locator("#groups button", has_text=GROUP).click()
    names = page.locator("#panes figcaption > span:first-child")
    expect(names).to_have_text(["LR", "original", "01", "02", "03", "04", "bicubic", "lanczos", "realesrgan"])
    expect(page.locator("#panes .chip")).to_have_text(["Positive", "Positive", "Negative", "Negative"])
    expect(page.locator("#panes figure").last).to_contain_text("PSNR")
    group = open_groups(fixtures / "Test")[GROUP]
    pixels = page.evaluate("Array.from(pixelsOf(panes[2].image).data)")
    assert (np.array(pixels).reshape(160, 160, 4)[..., :3] == group.read("01")).all()
    page.select_option("#difference", "original")
    page.locator("#gain").fill("3")
    shown = page.evaluate(
        "(() => { const c = panes.find(({picture}) => picture.name === '01').canvas;"
        " return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data) })()"
    )
    difference = np.abs(group.read("01").astype(int) - group.read("original"))
    assert (np.array(shown).reshape(160, 160, 4)[..., :3] == np.minimum(3 * difference, 255)).all()
    hidden = page.evaluate("Object.fromEntries(panes.map(({picture, canvas}) => [picture.name, canvas.hidden]))")
    assert [hidden[name] for name in ("LR", "original", "01", "bicubic")] == [True, True, False, False]
    page.select_option("#difference", "")
    assert page.evaluate("panes.every(({canvas}) => canvas.hidden)")


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
    page.locator("#pixels").click()
    large = page.evaluate("panes[1].frame.clientWidth * view.scale / panes[1].image.naturalWidth")
    # A picture smaller than its frame cannot be shrunk further.
    assert large == pytest.approx(max(1, page.evaluate("panes[1].frame.clientWidth") / 160))


def test_pictures_that_are_hidden_stay_hidden_in_the_next_group(page: Page) -> None:
    page.get_by_label("LR", exact=True).uncheck()
    expect(page.locator("#panes figure").first).to_be_hidden()
    page.locator("#groups button").nth(1).click()
    expect(page.locator("#groups button").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#panes figure").first).to_be_hidden()
    expect(page.locator("#panes figure").nth(1)).to_be_visible()


def test_the_later_of_two_quick_clicks_counts(page: Page, report: Path) -> None:
    wanted = data_of(report)["gallery"][2]
    page.evaluate("[1, 2].forEach((number) => document.querySelectorAll('#groups button')[number].click())")
    expect(page.locator("#groups button[aria-pressed=true]")).to_contain_text(wanted["id"])
    source = wanted["pictures"][0]["src"]
    page.wait_for_function("(source) => panes[0].image.src === source && panes[0].image.style.transform", arg=source)
    page.wait_for_timeout(300)
    assert page.evaluate("panes[0].image.src") == source


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
def test_nothing_is_cut_off_and_everything_is_accessible(opened: Open, report: Path, width: int, height: int) -> None:
    page = opened(report, width, height)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, input[type=search]')].filter((e) => e.offsetParent"
        " && e.getBoundingClientRect().height < 39.5).map((e) => e.outerHTML)"
    )
    assert small == []


def scored(**psnr: dict[str, float]) -> Evaluation:
    """PSNR of methods, by the name of the source picture."""
    methods = [
        MethodScores(name, tuple(GroupScores(f"{k}-0-0", k, "x", {}, {"01": {"psnr": v}}) for k, v in values.items()))
        for name, values in psnr.items()
    ]
    return Evaluation((METRICS["psnr"],), tuple(methods), (), 9)


def written(evaluation: Evaluation, settings: Settings, folder: Path, baseline: str | None = None) -> Path:
    """The path of a page without pictures."""
    path = folder / "report.html"
    comparison = compare_methods(evaluation, baseline)
    pictures = ScoredPictures(evaluation, settings)
    path.write_text(format_page(evaluation, settings, comparison, pictures, num_shown=0), "utf-8")
    return path


def test_many_images_are_shown_in_pages(opened: Open, settings: Settings, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    many = scored(**{name: {f"{n:03d}": float(v) for n, v in enumerate(rng.normal(25, 3, 120))} for name in "ab"})
    page = opened(written(many, settings, tmp_path))
    expect(page.locator("#gallery-note")).to_contain_text("This report was made without pictures")
    expect(page.locator("#range")).to_have_text("1 to 50 of 120")
    page.locator("#next").click()
    expect(page.locator("#range")).to_have_text("51 to 100 of 120")
    page.locator("#image-table th button", has_text="b").click()
    best = max(group.mean["psnr"] for group in many.methods[1].groups)
    expect(page.locator("#image-table tbody tr").first.locator("td").last).to_have_text(f"{best:.2f}")
    assert len(page.evaluate("sortedPlot.points")) == 240


def test_names_are_escaped(opened: Open, evaluation: Evaluation, settings: Settings, tmp_path: Path) -> None:
    name = "</script><b>&\"'/*JS*/"
    odd = replace(evaluation, methods=(replace(evaluation.methods[0], name=name),))
    named = replace(settings, restored={name: settings.restored["bicubic"]})
    path = tmp_path / "report.html"
    path.write_text(format_page(odd, named, compare_methods(odd), ScoredPictures(odd, named)), "utf-8")
    page = opened(path)
    expect(page.locator("h1")).to_have_text(f"Scores of {name}")
    expect(page.locator("#legend button")).to_have_text(name)
    assert page.title() == f"Scores of {name}"


def test_the_page_is_self_contained(report: Path) -> None:
    text = report.read_text("utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)=[\"']?https?:|url\(http|@import", text)
    assert {group["id"] for group in data_of(report)["gallery"]} <= {group["id"] for group in data_of(report)["groups"]}


def test_the_gallery_shows_the_best_and_worst_groups_by_the_mean_over_methods() -> None:
    both = scored(a={"p": 20.0, "q": 30.0, "r": 25.0, "s": 24.0}, b={"p": 31.0, "q": 20.0, "r": 27.0, "s": 20.0})
    assert choose_groups(both, 1) == {"r-0-0": ["best PSNR"], "s-0-0": ["worst PSNR"]}
    assert len(choose_groups(both, 9)) == 4
    assert choose_groups(both, 0) == {}
    assert choose_groups(scored(a={"p": 20.0}), 1) == {"p-0-0": ["best PSNR"]}
    one_lacks_r = scored(a={"p": 20.0, "q": 30.0, "r": 40.0}, b={"p": 31.0, "q": 20.0})
    assert "r-0-0" not in choose_groups(one_lacks_r, 2)
