"""`report.html`: tables, plots and a gallery in one self-contained file.

The page's HTML, JavaScript and CSS are in `assets/`; this module inserts the numbers and pictures. Pictures are
embedded as lossless WebP, so that zoom and difference maps show what was scored.
"""

import base64
import io
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hggt_data.groups import Group
from hggt_data.io.images import Pixels
from hggt_data.io.text import escape_html, printable
from hggt_data.licence import UNKNOWN_LICENSE, describe_license
from hggt_data.schema import LR, ORIGINAL
from hggt_eval.report.forest import draw_forests
from hggt_eval.report.formats import format_html, format_html_table
from hggt_eval.report.notes import list_notes
from hggt_eval.report.pictures import ScoredPictures
from hggt_eval.report.style import read_style
from hggt_eval.report.tables import Table, comparison_tables, decimals_of, format_score, measures_table
from hggt_eval.report.verdict import describe_verdict
from hggt_eval.scores.comparison import Comparison
from hggt_eval.scores.evaluation import Evaluation
from hggt_eval.scores.file import Settings
from hggt_eval.scores.scores import GroupScores

_ASSETS = Path(__file__).with_name("assets")
# With more methods, the title counts them.
_MOST_NAMED = 4


def format_page(
    evaluation: Evaluation,
    settings: Settings,
    comparison: Comparison,
    pictures: ScoredPictures,
    *,
    num_shown: int = 1,
    decimals: Mapping[str, int] | None = None,
) -> str:
    """The page as HTML, with the best and worst `num_shown` groups of each metric in the gallery.

    MatchError, ImageError or OSError if a picture of the gallery has changed, is damaged or is missing.
    """
    methods = comparison.methods
    title = f"Scores of {', '.join(methods) if len(methods) <= _MOST_NAMED else f'{len(methods)} methods'}"
    names = [method.name for method in evaluation.methods]
    gallery = [
        _gallery_group(group_id, why, evaluation, pictures, decimals)
        for group_id, why in choose_groups(evaluation, num_shown).items()
    ]
    # Older scores do not record it.
    of_pictures = pictures.source.license if gallery and settings.license == UNKNOWN_LICENSE else settings.license
    data = {
        "metrics": [
            {
                "name": metric.name,
                "title": printable(metric.title),
                "higher_is_better": metric.higher_is_better,
                "decimals": decimals_of(metric.name, decimals),
            }
            for metric in evaluation.metrics
            if any(metric.name in group.mean for method in evaluation.methods for group in method.groups)
        ],
        "methods": names,
        "baseline": comparison.baseline if comparison.baseline in names else None,
        "groups": _groups(evaluation),
        "gallery": gallery,
    }
    means, *differences = comparison_tables(comparison, decimals)
    verdict, others = describe_verdict(evaluation, comparison, decimals)
    measures = [measures_table(evaluation, decimals)] if evaluation.label_measures else []
    sections = [
        format_html([means], []),
        *(_differences_section(table, comparison, decimals) for table in differences),
        format_html(measures, list_notes(evaluation, settings, comparison)),
    ]
    parts = {
        "<!--TITLE-->": escape_html(title),
        "/*CSS*/": read_style(),
        "<!--VERDICT-->": escape_html(verdict),
        "<!--VERDICTS-->": "".join(f"<li>{escape_html(line)}</li>" for line in others),
        "<!--TABLES-->": "\n".join(sections),
        "<!--FACTS-->": "".join(
            f"<dt>{escape_html(name)}</dt><dd>{escape_html(value)}</dd>\n"
            for name, value in _facts(evaluation, settings)
        ),
        "<!--LICENCE-->": escape_html(describe_license(of_pictures)),
        "/*DATA*/": _json(data),
        "/*JS*/": (_ASSETS / "report.js").read_text("utf-8"),
    }
    places = re.compile("|".join(map(re.escape, parts)))
    # In one pass, as inserted text may contain the name of another placeholder.
    return places.sub(lambda place: parts[place.group()], (_ASSETS / "report.html").read_text("utf-8"))


def _differences_section(table: Table, comparison: Comparison, decimals: Mapping[str, int] | None) -> str:
    """The forest plots, with their numbers folded below."""
    return (
        f"<section><h2>{escape_html(table.title)}</h2>\n{draw_forests(comparison, decimals)}\n"
        f"<details><summary>Numbers and p-values</summary>\n{format_html_table(table)}</details></section>"
    )


def choose_groups(evaluation: Evaluation, num_shown: int) -> dict[str, list[str]]:
    """The best and worst groups of each metric, by the mean over methods -> why they were chosen."""
    chosen: dict[str, list[str]] = {}
    for metric in evaluation.metrics:
        scores: dict[str, list[float]] = {}
        for method in evaluation.methods:
            for group in method.groups:
                if math.isfinite(score := group.mean.get(metric.name, math.nan)):
                    scores.setdefault(group.id, []).append(score)
        most = max(map(len, scores.values()), default=0)
        means = {group_id: math.fsum(own) / most for group_id, own in scores.items() if len(own) == most}
        best_first = sorted(means, key=means.__getitem__, reverse=metric.higher_is_better)
        best = best_first[: min(num_shown, (len(best_first) + 1) // 2)]
        worst = best_first[::-1][: min(num_shown, len(best_first) // 2)]
        for word, ids in (("best", best), ("worst", worst)):
            for group_id in ids:
                chosen.setdefault(group_id, []).append(f"{word} {metric.title}")
    return chosen


def _facts(evaluation: Evaluation, settings: Settings) -> list[tuple[str, str]]:
    """What was scored and what the scores depend on, as (name, value)."""
    scored = evaluation.num_groups - len(evaluation.without_positives)
    what = "an original" if evaluation.against_originals else "" if settings.no_gt else "a positive"
    versions = ", ".join(f"{package} {version}" for package, version in settings.versions.items())
    off = max(settings.differences_to_cpu.values(), default=0)
    return [
        ("Ground truths", settings.source + (f", split {settings.split}" if settings.split else "")),
        ("Groups", f"{scored} of {evaluation.num_groups} have {what}" if what else str(scored)),
        ("Protocol", settings.protocol),
        ("Border", f"{settings.border} pixels"),
        ("Colour", "luma for PSNR and SSIM" if settings.colour == "y" else "RGB"),
        ("Device", settings.device + (f" (differs from the CPU by at most {off:.1e} on one image)" if off else "")),
        ("Labels", settings.labels_sha256[:16]),
        *[(f"Weights {name}", sha256[:16]) for name, sha256 in settings.weights_sha256.items()],
        ("Versions", versions),
    ]


def _groups(evaluation: Evaluation) -> list[dict[str, Any]]:
    """All groups on which any method was scored, with each method's scores."""
    scored: dict[str, GroupScores] = {}
    scores: dict[str, dict[str, Any]] = {}
    for method in evaluation.methods:
        for group in method.groups:
            scored[group.id] = group
            numbers = {metric: value if math.isfinite(value) else str(value) for metric, value in group.mean.items()}
            scores.setdefault(group.id, {})[method.name] = numbers
    groups = sorted(scored.values(), key=lambda group: group.order)
    return [{"id": group.id, "image": group.image_name, "scores": scores[group.id]} for group in groups]


def _gallery_group(
    group_id: str,
    why: list[str],
    evaluation: Evaluation,
    pictures: ScoredPictures,
    decimals: Mapping[str, int] | None,
) -> dict[str, Any]:
    """A group with all its pictures."""
    group = pictures.group(group_id)
    shown = [
        *([_picture("LR", "lr", group.read(LR))] if group.has_picture(LR) else []),
        *(
            [_picture(pictures.title_of(ORIGINAL), ORIGINAL, pictures.ground_truth(group, ORIGINAL))]
            if group.has_picture(ORIGINAL)
            else []
        ),
        *(
            _candidate(group, name, pictures.ground_truth(group, name))
            for name in group.candidates
            if group.has_picture(name)
        ),
    ]
    for method in evaluation.methods:
        if scores := pictures.scores(method.name, group_id):
            note = ", ".join(
                f"{metric.title} {format_score(scores.mean[metric.name], decimals_of(metric.name, decimals))}"
                for metric in evaluation.metrics
            )
            picture = _picture(method.name, "restored", pictures.restored(method.name, group_id))
            shown.append({**picture, "note": note})
    return {"id": group_id, "why": why, "pictures": shown}


def _candidate(group: Group, name: str, pixels: Pixels) -> dict[str, Any]:
    index = group.candidates.index(name)
    label = group.consensus[index]
    agree = f"{group.agreement[index]} of {group.num_votes[index]} agree"
    return {
        **_picture(name, "candidate", pixels),
        **(
            {"label": label.value, "note": agree}
            if label
            else {"note": "no consensus"}
            if group.source.has_labels
            else {}
        ),
    }


def _picture(name: str, kind: str, pixels: Pixels) -> dict[str, Any]:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=50, method=2)
    source = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"name": name, "kind": kind, "note": f"{pixels.shape[0]} x {pixels.shape[1]}", "src": source}


def _json(data: Any) -> str:
    """JSON without `<`, as `</script` would end the script element."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
