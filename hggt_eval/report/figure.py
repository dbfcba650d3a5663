"""The zoom figure of SR papers: a picture with a box, and each method's version of the box, labelled.

Pixels are shown without smoothing. Drawn by matplotlib; in PDF and SVG, text stays text.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hggt_data.errors import MatchError, OutputError, SettingsError
from hggt_data.groups import Group
from hggt_data.io.files import atomic_file
from hggt_data.licence import describe_license
from hggt_data.palette import PALETTE
from hggt_data.ranges import Range, require_arguments, require_lists
from hggt_data.schema import LR, ORIGINAL
from hggt_eval.metrics import Metric, SetMetric
from hggt_eval.report.figure_layout import FONT_PT, GAP_IN, Crop, Tile, draw_row, row_height
from hggt_eval.report.pictures import ScoredPictures
from hggt_eval.report.tables import decimals_of, heading_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".pdf", ".png", ".svg")
# Where the metadata of each format states the licence.
_LICENCE_FIELDS = {".pdf": "Subject", ".png": "Copyright", ".svg": "Rights"}
# The two columns of a CVPR page.
WIDTH_IN = 6.875
# Some conferences refuse Type 3 fonts, matplotlib's default.
_STYLE: Any = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none", "font.size": FONT_PT}


def draw_figure(
    scores: ScoredPictures | str | Path,
    crops: Sequence[Crop | str],
    methods: Sequence[str] = (),
    *,
    candidates: Sequence[str] = (),
    metrics: Sequence[str] = (),
    decimals: Mapping[str, int] | None = None,
    width_in: Annotated[float, Range(2, 40)] = WIDTH_IN,
) -> "Figure":
    """Draw the figure, with one row per crop.

    Args:
        scores: Folder of scores or its scores.json, whose pictures are read from their recorded paths.
        crops: Square of a group to show, in pixels of the ground truth; each has a separate row; repeatable.
        methods: Methods to show, in this order.  [default: all]
        candidates: Candidates to show in addition to the methods, such as original or 01.  [default: the original and
            the positive with the highest agreement]
        metrics: Metrics to print below each method, in bold if the method is best in all of them.  [default: none]
        decimals: Decimals of the printed metrics.  [default: psnr=2, others 4]
        width_in: Width of the figure in inches.

    Returns:
        The figure; its `savefig` writes it.

    Raises:
        SettingsError: The scores have no such method or metric, a group has no such candidate, a crop is malformed,
            or the width is out of range.
        MatchError: The scores cannot be read, a group or score does not exist, a crop lies outside its picture, an
            image has changed since it was scored, or the font lacks letters.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_data import name_methods
        >>> from hggt_data.tree.demo import write_demo
        >>> from hggt_eval import GroundTruth, compare_methods, draw_figure, score, write_reports
        >>> folder = Path(tempfile.mkdtemp())
        >>> _, test, _, bicubic, sharper = write_demo(folder)
        >>> methods = name_methods([(None, bicubic), (None, sharper)])
        >>> scored = score(methods, GroundTruth(dataset=test), metrics=["psnr"])
        >>> comparison = compare_methods(scored.evaluation)
        >>> files = write_reports(scored.evaluation, scored.settings, comparison, folder / "scores")
        >>> figure = draw_figure(folder / "scores", ["coffee-0-0:60,40,48"], ["bicubic", "sharper"])
        >>> figure.savefig(folder / "zoom.png", dpi=300)
        >>> float(figure.get_figwidth())
        6.875
    """
    import matplotlib
    from matplotlib.figure import Figure

    require_lists(crops=crops, methods=methods, candidates=candidates, metrics=metrics)
    require_arguments(draw_figure, width_in=width_in)
    pictures = scores if isinstance(scores, ScoredPictures) else ScoredPictures.open(scores)
    known = {m.name: m for m in pictures.evaluation.metrics if not isinstance(m, SetMetric)}  # which has no picture's
    scored = [method.name for method in pictures.evaluation.methods]
    for what, names, available in (("metric", metrics, list(known)), ("method", methods, scored)):
        if unknown := [name for name in names if name not in available]:
            raise SettingsError(f"the scores have no {what} {unknown[0]!r}; they have {', '.join(available)}")
    methods = methods or scored
    printed = [known[name] for name in metrics]
    rows = []
    places = [Crop.parse(crop) if isinstance(crop, str) else crop for crop in crops]
    for crop in places:
        group = pictures.group(crop.id)
        has_original = group.has_picture(ORIGINAL)
        original = pictures.ground_truth(group, ORIGINAL) if has_original else pictures.restored(methods[0], group.id)
        crop.require_inside(original)
        tiles = [
            *_lr_tile(group),
            *_method_tiles(pictures, group, methods, printed, decimals or {}),
            *_candidate_tiles(pictures, group, candidates),
        ]
        rows.append((crop, original, tiles))
    _require_letters([crop.id for crop in places] + [line for *_, tiles in rows for t in tiles for line in t.lines])
    titles = " / ".join(map(heading_of, printed))
    num_lines = 1 + bool(metrics)
    with matplotlib.rc_context(_STYLE):
        heights = [row_height(original, len(tiles), num_lines, width_in) for _, original, tiles in rows]
        figure = Figure(figsize=(width_in, sum(heights) + GAP_IN * (len(rows) - 1)))
        top_in = figure.get_figheight()
        for (crop, original, tiles), height in zip(rows, heights, strict=True):
            draw_row(figure, crop, original, tiles, top_in, (crop.id, titles)[:num_lines], width_in)
            top_in -= height + GAP_IN
    figure.set_label(f"Licence of the pictures: {describe_license(pictures.source.license)}")
    return figure


def _require_letters(texts: Iterable[str]) -> None:
    """Check that the font has all letters; it would draw boxes in place of missing ones."""
    from matplotlib import font_manager

    known = font_manager.get_font(font_manager.findfont(font_manager.FontProperties())).get_charmap()
    absent = sorted({letter for text in texts for letter in text if ord(letter) not in known})
    if absent:
        raise MatchError(f"the figure's font lacks {' '.join(absent)}; rename the method or picture with other letters")


def require_format(path: Path) -> None:
    """Check that the name ends like a format that figures are written in."""
    if path.suffix.lower() not in FORMATS:
        raise SettingsError(f"`path` is {path}; expected a name that ends in {', '.join(FORMATS)}")


def write_figure(figure: "Figure", path: Path, dpi: Annotated[int, Range(50, 1200)] = 300) -> None:
    """Write a figure, with the licence of its pictures in the metadata of the file.

    Args:
        figure: What `draw_figure` returns.
        path: File to write: PDF, PNG or SVG, by its ending.
        dpi: Resolution, for PNG output.
    """
    import matplotlib

    require_format(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file, matplotlib.rc_context(_STYLE):
            ending = path.suffix.lower()
            metadata = {_LICENCE_FIELDS[ending]: figure.get_label()}
            figure.savefig(file, format=ending[1:], dpi=dpi, metadata=metadata)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _lr_tile(group: Group) -> Iterator[Tile]:
    if group.has_picture(LR):
        yield Tile(group.read(LR), ("LR", ""), (False, False))


def _method_tiles(
    pictures: ScoredPictures,
    group: Group,
    methods: Sequence[str],
    metrics: Sequence[Metric],
    decimals: Mapping[str, int],
) -> Iterator[Tile]:
    scores: dict[str, list[str]] = {}
    for method in methods:
        found = pictures.scores(method, group.id)
        if found is None:
            raise MatchError(f"{method} has no score of {group.id}; see the scores.json")
        scores[method] = [f"{found.mean[m.name]:.{decimals_of(m.name, decimals)}f}" for m in metrics]
    best = [
        (max if metric.higher_is_better else min)(column, key=float)
        for metric, column in zip(metrics, zip(*scores.values(), strict=True), strict=False)
    ]
    for method in methods:
        # Bold if the method is best in all metrics: marking single scores would need two fonts in one line.
        is_best = len(methods) > 1 and bool(metrics) and scores[method] == best
        yield Tile(pictures.restored(method, group.id), (method, " / ".join(scores[method])), (False, is_best))


def _candidate_tiles(pictures: ScoredPictures, group: Group, candidates: Sequence[str]) -> Iterator[Tile]:
    chosen = list(candidates)
    if not chosen:
        agreement = dict(zip(group.candidates, group.agreement, strict=True))
        originals = [ORIGINAL] if group.has_picture(ORIGINAL) else []
        chosen = [*originals, *sorted(group.positives, key=lambda name: -agreement[name])[:1]]
    for name in chosen:
        if name not in (ORIGINAL, *group.candidates) or not group.has_picture(name):
            raise SettingsError(
                f"{group.id} has no candidate {name!r}; it has {ORIGINAL}, {', '.join(group.candidates)}"
            )
        label = None if name == ORIGINAL else group.consensus[group.candidates.index(name)]
        pixels = pictures.ground_truth(group, name)
        if label is None:
            yield Tile(pixels, (pictures.title_of(name), ""), (False, False))
        else:
            yield Tile(pixels, (f"{name} ({label.value})", ""), (False, False), PALETTE[label].on_light)
