import csv
import math
import re
from dataclasses import replace

import pytest

from hggt_eval.metrics import METRICS, require_metric
from hggt_eval.report.csv_files import format_comparison_csv
from hggt_eval.report.formats import format_html, format_markdown, format_text
from hggt_eval.report.latex import format_latex
from hggt_eval.report.notes import Note
from hggt_eval.report.tables import comparison_tables, decimals_of, measures_table
from hggt_eval.scores.comparison import Comparison
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.scores import MethodScores
from hggt_eval.scores.summary import Difference, Summary
from tests.hggt_eval.scores.test_label_measures import GROUPS

NOTES = (Note("net_1: 2 left out:", ("missing: a<b&c.png", "extra: 1 %.png")),)


def summary(method: str, metric: str, mean: float, **others: object) -> Summary:
    facts = {"low": mean - 1, "high": mean + 1, "num_groups": 9, "num_pictures": 5, "effective_pictures": 4.5, **others}
    return Summary(method, metric, mean, **facts)  # type: ignore[arg-type]


def compared(*summaries: Summary) -> Comparison:
    """Summaries of PSNR, one per method."""
    return Comparison(tuple(s.method for s in summaries), (METRICS["psnr"],), summaries, ())


@pytest.fixture
def comparison() -> Comparison:
    return Comparison(
        methods=("base_line", "net", "old"),
        metrics=(METRICS["psnr"], METRICS["lpips"]),
        summaries=(
            summary("base_line", "psnr", 24.004),
            summary("base_line", "lpips", 0.3),
            summary("net", "psnr", 24.001, num_seeds=3, deviation=0.1),
            summary("net", "lpips", 0.2, num_seeds=3, deviation=0.01),
            summary("old", "psnr", 23.0, low=None, high=None),
            summary("old", "lpips", 0.25),
        ),
        differences=(
            Difference("net", "base_line", "psnr", -0.003, -0.02, 0.01, 0.25, 0.5, 8, 5, 4.0),
            Difference("old", "base_line", "lpips", -0.05, None, None, None, None, 0, 0, 0.0),
        ),
        baseline="base_line",
    )


def test_markdown_marks_the_best_and_second_best(comparison: Comparison) -> None:
    text = format_markdown(comparison_tables(comparison), NOTES)
    assert text.count("\N{MINUS SIGN}") == 5
    lines = text.replace("\N{MINUS SIGN}", "-").splitlines()
    assert lines[2] == "| method | PSNR ↑ | LPIPS ↓ | groups | source pictures | seeds |"
    # 24.004 and 24.001 print the same, so both are the best; for LPIPS it is the lowest.
    assert lines[4] == (r"| base\_line | **24.00** [23.00, 25.00] | 0.3000 [-0.7000, 1.3000] | 9 | 5 | 1 |")
    assert lines[5] == ("| net | **24.00** ± 0.10 [23.00, 25.00] | **0.2000** ± 0.0100 [-0.8000, 1.2000] | 9 | 5 | 3 |")
    assert lines[6] == "| old | *23.00* | *0.2500* [-0.7500, 1.2500] | 9 | 5 | 1 |"
    assert lines[-5:] == ["### Notes", "", r"- net\_1: 2 left out:", "  - missing: a\\<b&c.png", "  - extra: 1 %.png"]
    assert r"### Difference from base\_line" in lines
    # A number that prints as zero has no sign.
    assert lines[14] == r"| PSNR ↑ | net | 0.00 | \[-0.02, +0.01\] | 0.2500 | 0.5000 | 8 | 5 |"
    assert lines[15] == "| LPIPS ↓ | old | -0.0500 | - | - | - | 0 | 0 |"


def test_latex_escapes_names_and_marks_the_best(comparison: Comparison) -> None:
    text = format_latex(comparison_tables(comparison, {"": 3}), NOTES)
    assert text.count(r"\begin{tabular}{lrrrrr}") == 1
    assert r"method & PSNR $\uparrow$ & LPIPS $\downarrow$ & groups & source pictures & seeds \\" in text
    assert r"base\_line & \textbf{24.004} & 0.300 & 9 & 5 & 1 \\" in text
    assert (
        r"net & \underline{24.001} {\scriptsize $\pm$ 0.100} & \textbf{0.200} {\scriptsize $\pm$ 0.010} & 9 & 5 & 3 \\"
        in text
    )
    assert r"PSNR $\uparrow$ & net & $-$0.003 & {[}$-$0.020, +0.010] & 0.2500 & 0.5000 & 8 & 5 \\" in text
    assert r" & {\scriptsize {[}23.004, 25.004]} & {\scriptsize {[}$-$0.700, 1.300]} &  &  &  \\" in text
    assert text.splitlines()[-3:] == ["% net_1: 2 left out:", "%   missing: a<b&c.png", "%   extra: 1 %.png"]
    for line in text.splitlines():
        assert line.startswith("%") or "%" not in line.replace(r"\%", "")


def test_plain_latex_needs_no_package(comparison: Comparison) -> None:
    usual = format_latex(comparison_tables(comparison), NOTES)
    text = format_latex(comparison_tables(comparison), NOTES, plain=True)
    rules = r"\\(top|mid|bottom)rule"
    assert text == re.sub(rules, r"\\hline", usual).replace(r"\usepackage{booktabs}", "No package is needed.")
    # Everything else is LaTeX itself.
    assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= {
        *("begin", "end", "hline", "textbf", "underline", "scriptsize", "pm", "uparrow", "downarrow", "infty")
    }


def test_comparison_csv_is_unrounded(comparison: Comparison) -> None:
    rows = list(csv.DictReader(format_comparison_csv(comparison).splitlines()))
    assert len(rows) == 6
    assert rows[0]["mean"] == "24.004"
    assert (rows[2]["difference"], rows[2]["p"], rows[2]["p_holm"]) == ("-0.003", "0.25", "0.5")
    assert (rows[0]["baseline"], rows[0]["difference"]) == ("", "")
    assert (rows[4]["low"], rows[5]["p"]) == ("", "")


def test_html_escapes_names() -> None:
    table = comparison_tables(compared(summary("<b>&", "psnr", 24.0)))
    html = format_html(table, NOTES)
    assert '<th scope="row">&lt;b&gt;&amp;</th>' in html
    assert "<td><span>24.00</span> <small>[23.00, 25.00]</small></td>" in html
    assert "<li>net_1: 2 left out:<ul><li>missing: a&lt;b&amp;c.png</li><li>extra: 1 %.png</li></ul></li>" in html
    assert "Notes" not in format_html(table, [])
    assert '<th scope="row">a\\u202e\\x1b</th>' in format_html(
        comparison_tables(compared(summary("a\u202e\x1b", "psnr", 24.0))), []
    )


def test_means_over_other_groups_are_not_ranked() -> None:
    """Otherwise a method that fails on hard pictures would win, and perfect images (infinite PSNR) would not count."""
    methods = (
        summary("easy", "psnr", 30.0, num_groups=4, num_missing=5),
        summary("partly_perfect", "psnr", 29.0, num_groups=8, num_infinite=1),
        summary("whole", "psnr", 24.0),
        summary("worse", "psnr", 23.0),
        summary("perfect", "psnr", math.inf, num_groups=0, num_infinite=9, low=None, high=None),
    )
    [table] = comparison_tables(compared(*methods))
    assert [(row[1].text, row[1].beside, row[1].mark) for row in table.rows] == [
        ("30.00", "", ""),
        ("29.00", "(n = 8)", ""),
        ("24.00", "", "second"),
        ("23.00", "", ""),
        ("∞", "(n = 0)", "best"),
    ]
    assert r"\textbf{$\infty$}" in format_latex([table], [])


def test_a_comment_warns_of_names_that_pdflatex_cannot_print() -> None:
    for name, warned in (("réseau_1", False), ("Ω", True)):
        tables = comparison_tables(compared(summary(name, "psnr", 24.0)))
        assert ("xelatex" in format_latex(tables, [])) is warned


def test_a_table_states_the_smallest_possible_p(comparison: Comparison) -> None:
    assert comparison_tables(comparison)[1].note.endswith(" With 5 source pictures p cannot be below 0.0625.")
    many = replace(comparison, differences=(replace(comparison.differences[0], num_pictures=11),))
    assert "p cannot" not in comparison_tables(many)[1].note


def test_a_single_method_is_not_marked_as_best_and_a_note_warns_of_few_source_pictures(comparison: Comparison) -> None:
    [table] = comparison_tables(compared(summary("a", "psnr", 24.0, effective_pictures=20.0)))
    assert [cell.mark for cell in table.rows[0]] == ["", "", "", ""]
    assert "seeds" not in table.columns
    assert "too narrow" not in table.note
    assert "as low as 4.5; below 20, intervals are too narrow if" in comparison_tables(comparison)[0].note


def test_a_missing_mean_is_a_dash() -> None:
    nothing = compared(summary("a", "psnr", math.nan, low=None, high=None, num_groups=0))
    [table] = comparison_tables(nothing)
    assert format_text(table).splitlines()[1].split() == ["a", "-", "0", "5"]
    assert format_comparison_csv(nothing).splitlines()[1].startswith("a,psnr,,,")


def test_each_label_measure_has_a_row_with_a_dash_for_missing_values() -> None:
    metrics = tuple(map(require_metric, ("lpips", "niqe", "psnr")))
    table = measures_table(Evaluation(metrics, (MethodScores("net", GROUPS),), (), 3, with_negatives=True))
    assert table.columns == ("measure", "method", "LPIPS", "PSNR", "groups")
    rows = [[cell.text for cell in row] for row in table.rows]
    assert rows[:4] == [
        ["best of positives", "net", "0.1333", "26.67", "3"],
        ["negatives", "net", "0.2500", "15.00", "2"],
        ["positive margin", "net", "0.0500", "-", "2"],
        ["nearer to a negative", "net", "0.5000", "-", "2"],
    ]


def test_the_methods_are_rows_within_a_label_measure() -> None:
    metrics = (require_metric("lpips"),)
    methods = (MethodScores("net", GROUPS), MethodScores("old", GROUPS))
    table = measures_table(Evaluation(metrics, methods, (), 3, with_negatives=True))
    names = [(row[0].text, row[1].text) for row in table.rows]
    assert names[:4] == [
        (measure, method) for measure in ("best of positives", "negatives") for method in ("net", "old")
    ]
    html = format_html([table], [])
    assert html.count('<th scope="rowgroup" colspan="3"><span>negatives</span>') == 1
    assert html.count('<tr><th scope="row">net</th>') == html.count('<tr><th scope="row">old</th>') == len(names) / 2


def test_decimals_are_chosen_by_metric() -> None:
    assert [decimals_of(name) for name in ("psnr", "lpips")] == [2, 4]
    assert [decimals_of(name, {"": 1, "lpips": 3}) for name in ("psnr", "lpips")] == [1, 3]
