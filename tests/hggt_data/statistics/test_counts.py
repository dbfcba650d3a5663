"""Statistics against counts made by hand, and how the text and the page show them."""

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hggt_data import Annotation, GroupSource, Label, PatchGroup, open_groups
from hggt_data.consensus import judge_group
from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import SettingsError
from hggt_data.statistics.counts import LabelCounts, LabelStatistics, measure_labels
from hggt_data.statistics.page import format_statistics_html
from hggt_data.statistics.text import format_statistics
from tests.hggt_data.named_tree import REPO, Published
from tests.hub_client import ForkServer, sign_in

P, S, N = Label.POSITIVE, Label.SIMILAR, Label.NEGATIVE
Votes = dict[str, tuple[tuple[Label, ...], float | None]]


class ListSource(GroupSource):
    """Groups made by hand, without pictures."""

    def __init__(self, candidates: tuple[str, ...], groups: list[list[Annotation]]) -> None:
        self.location = "memory"
        self.candidates = candidates
        self.ids = [f"cat-0-{k}" for k in range(len(groups))]
        self._groups = groups

    def _read_labels(self, index: int) -> PatchGroup:
        return judge_group(self.ids[index], self.candidates, self._groups[index])

    def read_bytes(self, index: int, name: str) -> bytes:
        raise KeyError(name)


def source_of(*groups: Votes, candidates: tuple[str, ...] = ("01", "02"), named: bool = False) -> ListSource:
    """Groups from slot to (labels, seconds), of unknown annotators, or each of one who is named like the slot."""
    return ListSource(
        candidates,
        [
            [
                Annotation(slot, labels, seconds=time, annotator=slot if named else None)
                for slot, (labels, time) in votes.items()
            ]
            for votes in groups
        ],
    )


SMALL: list[Votes] = [
    {"A": ((P, N), 10), "B": ((P, N), 20), "C": ((P, S), 30)},
    {"A": ((S, S), None), "B": ((S, S), 40), "C": ((S, N), 50)},
    {"A": ((P, S), 30), "B": ((N, S), 60)},
    {"A": ((P, P), 50)},
]


@pytest.fixture(scope="module")
def small() -> LabelStatistics:
    """Four groups: one with a positive, two all similar (one of them by a tie), one without consensus."""
    return measure_labels(source_of(*SMALL))


def annotators_source() -> ListSource:
    """Two slots filled by three annotators, one candidate."""
    groups = [("kim", P, "lee", P), ("lee", S, "max", N), ("max", S, "kim", S), ("kim", N, "lee", N)]
    return ListSource(
        ("01",), [[Annotation("A", (x,), annotator=a), Annotation("B", (y,), annotator=b)] for a, x, b, y in groups]
    )


def test_labels_per_candidate(small: LabelStatistics) -> None:
    assert (small.num_groups, small.candidates) == (4, ("01", "02"))
    assert (small.slots, small.annotators, small.by_annotator) == (("A", "B", "C"), (), None)
    assert small.votes == (LabelCounts(5, 3, 1, missing=3), LabelCounts(1, 5, 3, missing=3))
    assert small.consensus == (LabelCounts(1, 2, 0, missing=1), LabelCounts(0, 2, 1, missing=1))
    assert small.votes[0].share(P) == 5 / 9


def test_groups_are_counted_by_their_labels(small: LabelStatistics) -> None:
    assert small.groups_by_positives == (3, 1, 0)
    assert small.groups_by_negatives == (3, 1, 0)
    assert (small.num_with_positive, small.num_all_similar, small.num_without_consensus) == (1, 2, 1)


def test_agreement_of_the_small_example(small: LabelStatistics) -> None:
    assert small.agreement_levels == ((1, 1), (2, 3), (3, 2))
    # Complete pictures are PPP, NNS, SSS, SSN: agreement 2/3; by chance (1/4)^2 + (1/4)^2 + (1/2)^2 = 3/8.
    assert small.fleiss == pytest.approx((2 / 3 - 3 / 8) / (5 / 8))
    assert small.num_fleiss_items == 4
    assert small.by_slot.share[0] == (1, 5 / 6, 1 / 2)
    assert small.by_slot.shared_items[0] == (8, 6, 4)
    # Consensus Negative, Similar, Positive; C said Similar of the one Negative, and one of each of the two Similar.
    assert small.by_slot.confusion[2] == ((0, 1, 0), (1, 1, 0), (0, 0, 1))


def test_nominal_alpha(small: LabelStatistics) -> None:
    # PPP, NNS, SSS, SSN, PN, SS: votes N 4, S 8, P 4 of 16; disagreeing coincidences 2 + 2 + 2.
    expected = (16 * 16 - 4 * 4 - 8 * 8 - 4 * 4) / 15
    assert small.alpha_nominal == pytest.approx(1 - 6 / expected)


def test_seconds(small: LabelStatistics) -> None:
    slot_a = small.seconds[0]
    assert (slot_a.num_groups, slot_a.num_missing, slot_a.mean) == (3, 1, 30)
    assert (slot_a.lower_quartile, slot_a.median, slot_a.upper_quartile) == (20, 30, 40)
    assert (slot_a.lowest_5_percent, slot_a.highest_5_percent) == pytest.approx((12, 48))
    assert [seconds.num_missing for seconds in small.seconds] == [1, 0, 0]


def test_dawid_skene_is_optional() -> None:
    inferred = measure_labels(source_of(*SMALL, named=True), dawid_skene=True).dawid_skene
    assert inferred is not None
    assert inferred.converged
    assert (inferred.num_consensus, inferred.num_filled) == (6, 2)
    assert [(annotator, votes) for annotator, votes, _ in inferred.right_votes] == [("A", 8), ("B", 6), ("C", 4)]
    assert all(0 <= right <= votes for _, votes, right in inferred.right_votes)
    assert sum(inferred.prior) == pytest.approx(1)
    assert measure_labels(annotators_source()).dawid_skene is None


def test_unanimous_votes_leave_dawid_skene_nothing_to_change() -> None:
    groups: list[Votes] = [dict.fromkeys("ABC", ((label,), None)) for label in (P, S, N, P)]
    inferred = measure_labels(source_of(*groups, candidates=("01",), named=True), dawid_skene=True).dawid_skene
    assert inferred is not None
    assert (inferred.num_changed, inferred.num_consensus) == (0, 4)


def test_votes_that_are_right_are_counted_and_ties_are_no_decision() -> None:
    pairs = [(N, P), (P, N), *[(S, S), (N, N), (P, P)] * 4]
    groups: list[Votes] = [{"A": ((a,), None), "B": ((b,), None)} for a, b in pairs]
    stats = measure_labels(source_of(*groups, candidates=("01",), named=True), dawid_skene=True)
    inferred = stats.dawid_skene
    assert inferred is not None
    assert (inferred.num_consensus, inferred.num_changed, inferred.num_filled, inferred.num_undecided) == (14, 0, 0, 2)
    # A is right in the 12 pictures on which they agree, as far as the model is sure of them, and in half of two.
    assert [right for _, _, right in inferred.right_votes] == pytest.approx([13, 13], abs=0.3)
    assert inferred.prior == pytest.approx((5 / 14, 4 / 14, 5 / 14), abs=0.001)
    text = format_statistics(stats)
    assert re.search(r"A +14 +12\.9 +91\.9%\n", text)
    assert "35.7% positive, 28.6% similar, 35.7% negative" in text
    assert "leaves 2 pictures undecided" in " ".join(text.split())
    assert "NOT CONVERGE" not in text
    assert "Dawid-Skene model" in [
        heading.text for heading in parse_page(format_statistics_html(stats, "x")).iter("h2")
    ]
    halted = format_statistics(replace(stats, dawid_skene=replace(inferred, converged=False, iterations=10_000)))
    assert "THE MODEL DID NOT CONVERGE in 10,000 iterations" in halted


def test_known_annotators_are_distinguished_from_slots() -> None:
    stats = measure_labels(annotators_source(), dawid_skene=True)
    assert stats.annotators == ("kim", "lee", "max")
    assert stats.by_slot.shared_items == ((4, 4), (4, 4))
    assert stats.by_annotator is not None
    assert stats.by_annotator.raters == ("kim", "lee", "max")
    assert stats.by_annotator.shared_items == ((3, 2, 1), (2, 3, 1), (1, 1, 2))
    assert stats.by_annotator.share[1][2] == 0
    # Consensus P, tie -> S, S, N. Kim said P, -, S, N.
    assert stats.by_annotator.confusion[0] == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert stats.dawid_skene is not None
    assert [annotator for annotator, *_ in stats.dawid_skene.right_votes] == ["kim", "lee", "max"]


def test_dawid_skene_is_refused_where_a_name_is_missing() -> None:
    source = annotators_source()
    source._groups[1][0] = replace(source._groups[1][0], annotator=None)
    by_annotator = measure_labels(source).by_annotator
    assert by_annotator is not None
    assert by_annotator.shared_items[1][1] == 2
    with pytest.raises(SettingsError) as caught:
        measure_labels(source, dawid_skene=True)
    assert str(caught.value) == (
        "memory: group cat-0-1, slot A: the annotator is not known, and several people may have filled a slot, so "
        "`dawid_skene` cannot be used. Name every annotator in the tree's annotators.csv."
    )


def test_nothing_of_an_annotator_is_said_of_a_slot_or_a_model() -> None:
    of_slot = Annotation("A", (P,), seconds=3, full_zoom=True)
    of_model = Annotation("M", (N,), seconds=0.1, annotator="net", annotator_kind="model", full_zoom=True)
    of_person = Annotation("B", (P,), seconds=5, annotator="kim", full_zoom=True)
    stats = measure_labels(ListSource(("01",), [[of_slot, of_model, of_person]]))
    assert (stats.slots, stats.annotators, stats.full_zoom) == (("A", "B"), ("kim",), (("kim", 1, 1),))
    assert [summary.mean for summary in stats.seconds] == [3, 5]
    without_slot = measure_labels(ListSource(("01",), [[of_model, of_person]]), dawid_skene=True)
    assert without_slot.dawid_skene is not None
    assert [annotator for annotator, *_ in without_slot.dawid_skene.right_votes] == ["kim"]


def test_counts_of_a_tree_are_those_of_its_files(fixtures: Path) -> None:
    stats = measure_labels(open_groups(fixtures / "Train"))
    paths = sorted((fixtures / "Train").rglob("labels/**/*.json"))
    counted: Counter[tuple[str, str]] = Counter()
    seconds: dict[str, list[float]] = {}
    for path in paths:
        content = json.loads(path.read_text())
        seconds.setdefault(path.parent.name, []).append(content["Time_cost"]["Total"])
        counted.update((content[f"Picture_{k}"]["File"], content[f"Picture_{k}"]["Label"]) for k in range(2, 6))
    assert stats.num_groups * len(stats.slots) == len(paths)
    for name, counts in zip(stats.candidates, stats.votes, strict=True):
        assert {label.value: counts.count(label) for label in Label} == {
            label.value: counted[name, label.value] for label in Label
        }
    for slot, summary in zip(stats.slots, stats.seconds, strict=True):
        assert summary.mean == pytest.approx(sum(seconds[slot]) / len(seconds[slot]))


def test_a_dataset_has_the_statistics_of_its_tree(fixtures: Path, tmp_path: Path) -> None:
    build_dataset(BuildSettings(trees=(fixtures / "Train",), output=tmp_path / "hggt", workers=1))
    of_dataset = measure_labels(open_groups(tmp_path / "hggt"))
    assert of_dataset == measure_labels(open_groups(fixtures / "Train"))


def test_json_is_strict_and_unrounded(small: LabelStatistics) -> None:
    found = json.loads(json.dumps(small.to_json(), allow_nan=False))
    assert found["votes"]["01"]["counts"] == {"positive": 5, "similar": 3, "negative": 1}
    assert found["votes"]["01"]["shares"]["positive"] == 5 / 9
    assert found["consensus"]["02"]["missing"] == 1
    assert found["agreement_levels"] == {"1": 1, "2": 3, "3": 2}
    assert found["by_slot"]["pairwise"]["A"]["B"] == {"share": 5 / 6, "shared_items": 6}
    assert found["by_slot"]["confusion_with_consensus"]["C"]["similar"] == {"negative": 1, "similar": 1, "positive": 0}
    assert found["seconds_per_group"]["A"]["median"] == 30
    assert found["by_annotator"] is None


def test_undefined_numbers_are_null_in_json() -> None:
    found: dict[str, Any] = measure_labels(source_of({"A": ((P, P), None)}, named=True), dawid_skene=True).to_json()
    assert found["krippendorff_alpha"] == {"nominal": None, "ordinal": None}
    assert found["fleiss_kappa"]["kappa"] is None
    assert found["seconds_per_group"]["A"]["mean"] is None
    assert found["consensus"]["01"]["shares"]["positive"] is None
    json.dumps(found, allow_nan=False)


def sources_at_the_limits() -> list[ListSource]:
    return [
        source_of(),
        source_of({}),
        source_of({"A": ((P, P), 0.0)}, named=True),
        source_of({"A": ((P, N), None), "B": ((P, N), None)}, named=True),
        annotators_source(),
    ]


@pytest.mark.parametrize(
    "source", sources_at_the_limits(), ids=["empty", "no votes", "one vote", "no time", "annotators"]
)
def test_text_and_page_have_words_for_undefined_numbers(source: ListSource) -> None:
    stats = measure_labels(source, dawid_skene=True)
    for shown in (format_statistics(stats), "".join(parse_page(format_statistics_html(stats, "x")).itertext())):
        assert not re.search(r"\b(nan|inf|None)\b", shown)


def test_text_fits_the_terminal_and_explains_slots(small: LabelStatistics) -> None:
    text = format_statistics(small)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "Statistics of slots" in text
    assert re.search(r"01 +55\.6% +33\.3% +11\.1% +9 +3\n", text)
    assert re.search(r"A and B +83\.3% +6\n", text)
    assert "How often two annotators" not in text
    named = format_statistics(measure_labels(annotators_source()))
    assert "How often two annotators give the same label" in named
    assert "Statistics of slots" not in named
    assert re.search(r"A +30\.0 +20\.0-40\.0 +30\.0 +3 +1\n", text)


def test_of_many_pairs_those_that_agree_least_are_listed() -> None:
    groups: list[Votes] = [{f"s{k:02}": ((N if k == 7 else P,), None) for k in range(12)}]
    text = format_statistics(measure_labels(source_of(*groups, candidates=("01",))))
    assert "The 15 of 66 pairs that agree least." in text
    assert re.search(r"s00 and s07 +0\.0%", text)
    assert "s10 and s11" not in text


def parse_page(page: str) -> ElementTree.Element:
    """The page as a tree: it is well-formed XML, so a parser checks that everything is closed and escaped."""
    return ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def test_page_is_self_contained(small: LabelStatistics) -> None:
    page = format_statistics_html(small, "Labels")
    tags = {element.tag for element in parse_page(page).iter()}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "image", "use"})
    assert not re.search(r"https?:|//|url\(|@import|\bon[a-z]+=|src=|href=", page)
    assert '<meta name="viewport"' in page


def test_page_shows_plots_and_tables(small: LabelStatistics) -> None:
    root = parse_page(format_statistics_html(small, "Labels of four groups"))
    headings = [element.text for element in root.iter("h2")]
    assert headings == [
        "Labels per candidate",
        "Agreement on a picture",
        "Agreement beyond chance",
        "How often two slots give the same label",
        "Groups",
        "Seconds per group",
        "Labels of each slot, by consensus",
    ]
    assert len(list(root.iter("svg"))) == 4
    assert [element.text for element in root.iter("h3")][-3:] == ["Slot A", "Slot B", "Slot C"]
    assert "Statistics of slots" in "".join(root.itertext())


def test_page_bars_are_as_long_as_their_shares(small: LabelStatistics) -> None:
    plot = next(parse_page(format_statistics_html(small, "x")).iter("svg"))
    bars = {bar[0].text: float(bar.attrib["width"]) + 1 for bar in plot.iter("rect")}
    whole = sum(bars[f"{name} of 9"] for name in ("positive: 5", "similar: 3", "negative: 1"))
    assert bars["positive: 5 of 9"] / whole == pytest.approx(5 / 9, abs=0.01)
    assert bars["negative: 1 of 9"] / whole == pytest.approx(1 / 9, abs=0.01)


def test_page_drawings_stay_inside_their_frame(small: LabelStatistics) -> None:
    for plot in parse_page(format_statistics_html(small, "x")).iter("svg"):
        _, _, width, height = map(float, plot.attrib["viewBox"].split())
        for element in plot.iter("rect"):
            assert float(element.attrib["x"]) >= 0
            assert float(element.attrib["x"]) + float(element.attrib["width"]) <= width
        for element in plot.iter("text"):
            assert 0 <= float(element.attrib["x"]) <= width
            assert 0 <= float(element.attrib["y"]) <= height


def test_a_forgotten_clock_does_not_flatten_the_box_plot() -> None:
    groups: list[Votes] = [{"A": ((P, P), 30 if k else 1e8)} for k in range(40)]
    page = format_statistics_html(measure_labels(source_of(*groups)), "x")
    xs = [float(x) for points in re.findall(r'points="([^"]*)"', page) for x in re.findall(r"([\d.]+),", points)]
    assert all(math.isfinite(x) and x <= 340 for x in xs)


def test_page_escapes_names() -> None:
    nasty = '<b onclick="x">&"\''
    groups = [[Annotation(nasty, (P,), seconds=3, annotator=nasty), Annotation("B", (P,), annotator="<i>")]]
    stats = measure_labels(ListSource((nasty,), groups), dawid_skene=True)
    root = parse_page(format_statistics_html(stats, f"<script>{nasty}</script>"))
    assert root.findtext("body/main/h1") == f"<script>{nasty}</script>"
    assert f"Candidate {nasty[:15]}…" in [element.text for element in root.iter("text")]
    assert not list(root.iter("script"))
    assert not [element for element in root.iter() if any(name.startswith("on") for name in element.attrib)]


def test_a_published_dataset(published: Published, processes: ForkServer, tmp_path: Path) -> None:
    reader = sign_in(published.hub, processes, tmp_path)
    outcome = reader.hggt_data("stats", REPO, "--revision", "v1.0", "--split", "train", "--html", "page.html")
    assert outcome.exit_code == 0, outcome.err
    assert outcome.out.startswith("3 patch groups, 2 candidates each (01, 02), ")
    assert "<title>hggt" in (reader.folder / "page.html").read_text()
