"""Folder in, folder out: enhance (several networks, one candidate folder each), upscale, degrade.

Files are written whole or not at all, and those that are there are not made again. A record beside them tells the
settings and the weights, and a rerun with others is refused: a folder never holds a mixture. What cannot be read is
listed, and the rest is done. Under `torchrun`, each process takes its share of the files.
"""

import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from hggt_data.errors import ImageError, OutputError, TreeError
from hggt_data.files import write_text
from hggt_data.images import Pixels, read_picture, write_png
from hggt_data.loading import GroupSource
from hggt_data.schema import LR, ORIGINAL, plural
from hggt_data.tree import is_system_file
from hggt_data.workers import advance, run_tasks
from hggt_eval.metrics.precision import full_precision
from hggt_models.checkpoint import CheckpointError, load_checkpoint
from hggt_models.degradation.chain import degrade_picture
from hggt_models.degradation.settings import PUBLISHED, DegradationError, DegradationSettings
from hggt_models.tiling import DeviceMemoryError, run_tiled

Precision = Literal["fp32", "bf16"]

# The official enhancement cut pictures so; with a network that pools over the whole tile they decide the result.
ENHANCE_TILE, ENHANCE_OVERLAP_PX = 1200, 24
# With the real x4 RRDB generator no pixel is more than one grey level from the whole picture's; see docs/networks.md.
UPSCALE_OVERLAP_PX = 64
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_SMALLEST_TILE = 64
_WRITERS = 4


@dataclass(frozen=True)
class Source:
    """A picture to work on: the name of its results, and how to read it."""

    name: str
    read: Callable[[], Pixels]


def list_pictures(folder: Path) -> tuple[list[Source], list[str]]:
    """The pictures of a folder, sorted by name, and the names of its other files, which are left out.

    Raises:
        TreeError: there is no picture, or two would give the same result's name.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not is_system_file(path.name))
    pictures = [path for path in files if path.suffix.lower() in PICTURE_ENDINGS]
    others = [path.name for path in files if path not in set(pictures)]
    if not pictures:
        raise TreeError(
            f"{folder}: no pictures; expected {', '.join(PICTURE_ENDINGS)}, found {plural(len(files), 'file')}"
        )
    first: dict[str, Path] = {}
    for path in pictures:
        if first.setdefault(path.stem, path) is not path:
            raise TreeError(f"{folder}: {first[path.stem].name} and {path.name} would both become {path.stem}.png")
    return [Source(path.stem, partial(read_picture, path)) for path in pictures], others


def list_lr(groups: GroupSource) -> list[Source]:
    """The low-resolution pictures of a data set's groups, named by their ids.

    Raises:
        TreeError: it has none.
    """
    try:
        groups[0].read_bytes(LR)
    except KeyError as error:
        raise TreeError(f"{groups.location} has no low-resolution pictures; is it the test split?") from error
    return [Source(str(group_id), partial(_read_lr, groups, number)) for number, group_id in enumerate(groups.ids)]


def _read_lr(groups: GroupSource, number: int) -> Pixels:
    return groups[number].read(LR)


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        made: pictures that are new.
        kept: pictures that were there already.
        faults: those that could not be read, a line each.
        notes: what else the user should know, such as a smaller tile.
    """

    made: int = 0
    kept: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def describe(self) -> list[str]:
        """What was done, a line each."""
        kept = f", {self.kept:,} were there already" if self.kept else ""
        lines = [*self.notes, f"{plural(self.made, 'picture')} made{kept}"]
        if self.faults:
            lines.append(f"{plural(len(self.faults), 'picture')} could not be read:")
        return lines + [f"  {fault}" for fault in self.faults]


def enhance(
    weights: Mapping[str, str | Path],
    sources: Sequence[Source],
    output: Path,
    *,
    tile: int = ENHANCE_TILE,
    overlap_px: int = ENHANCE_OVERLAP_PX,
    precision: Precision = "fp32",
    device: str = "cpu",
) -> Outcome:
    """Make the candidates of pictures: `original/NAME.png`, and `01/NAME_01.png` for the network called `01`.

    The tile is fixed, so that ground truths do not depend on the size of a GPU.

    Args:
        weights: candidate to checkpoint, as `load_checkpoint` takes it; the networks keep the size of a picture.
        sources: the pictures.
        output: the folder; made if missing, may hold an earlier run with the same settings.
        tile, overlap_px: how pictures are cut, see `run_tiled`.
        precision: bf16 computes under autocast.
        device: as torch names it.

    Raises:
        OutputError: the folder holds results of other settings or weights, or cannot be written to.
        CheckpointError, WeightsError: a network cannot be loaded, or changes the size.
        DeviceMemoryError: a tile does not fit into memory.
        OSError: the disk is full. What is finished stays.
    """
    restorers = {
        name: Restorer(path, tile=tile, overlap_px=overlap_px, precision=precision, device=device)
        for name, path in weights.items()
    }
    for name, restorer in restorers.items():
        if restorer.network.scale != 1:
            raise CheckpointError(
                f"{weights[name]} enlarges {restorer.network.scale} times; an enhancer keeps the size. "
                "hggt-models upscale runs it."
            )
    settings = {"tile": tile, "overlap_px": overlap_px, "precision": precision}
    _require_record(output, "enhance", settings, {name: r.identity for name, r in restorers.items()})

    def targets(source: Source) -> list[Path]:
        candidates = [output / name / f"{source.name}_{name}.png" for name in restorers]
        return [output / ORIGINAL / f"{source.name}.png", *candidates]

    def results(pixels: Pixels) -> Iterator[Pixels]:
        yield pixels
        for restorer in restorers.values():
            yield restorer(pixels)

    try:
        return _process(sources, targets, results, "enhancing")
    except DeviceMemoryError as error:
        raise DeviceMemoryError(
            f"{error}. Pass a smaller --tile and keep it for the whole data set (results depend on it a little), or "
            "use a device with more memory."
        ) from error


def upscale(
    weights: str | Path,
    sources: Sequence[Source],
    output: Path,
    *,
    tile: int | None = None,
    overlap_px: int = UPSCALE_OVERLAP_PX,
    precision: Precision = "fp32",
    device: str = "cpu",
    suffix: str | None = None,
) -> Outcome:
    """Restore pictures with one network: `NAME.png`, or `NAME_SUFFIX.png`.

    Args:
        weights: as `load_checkpoint` takes it.
        sources: the pictures.
        output: the folder; made if missing, may hold an earlier run with the same settings.
        tile: side of a tile; null starts with whole pictures and halves it whenever memory runs out. Where the result
            depends on the tile by nature (RCAN pools over all it sees), null is the fixed tile of `enhance`.
        overlap_px: as in `run_tiled`.
        precision: bf16 computes under autocast.
        device: as torch names it.
        suffix: of the written names.

    Raises:
        As `enhance`.
    """
    restorer = Restorer(weights, tile=tile, overlap_px=overlap_px, precision=precision, device=device)
    settings = {"tile": tile or "auto", "overlap_px": overlap_px, "precision": precision, "suffix": suffix}
    _require_record(output, "upscale", settings, {"network": restorer.identity})
    ending = f"_{suffix}" if suffix else ""
    outcome = _process(
        sources,
        lambda source: [output / f"{source.name}{ending}.png"],
        lambda pixels: iter([restorer(pixels)]),
        "upscaling",
    )
    outcome.notes += restorer.notes
    return outcome


def degrade(
    sources: Sequence[Source],
    output: Path,
    *,
    seed: int,
    recipe: str = "sr",
    scale: int | None = None,
    workers: int = 1,
) -> Outcome:
    """Write low-resolution versions of pictures, `NAME.png`: the same bytes for the same seed and names.

    A picture whose sides the scale does not divide is cut at its right and lower edge first.

    Args:
        sources: the pictures.
        output: the folder; made if missing, may hold an earlier run with the same settings.
        seed: of all random choices, together with the picture's name.
        recipe: key of `PUBLISHED`.
        scale: instead of the recipe's.
        workers: processes; does not change the result.

    Raises:
        OutputError: as `enhance`.
        OSError: the disk is full. What is finished stays.
    """
    settings = PUBLISHED[recipe] if scale is None else replace(PUBLISHED[recipe], scale=scale)
    _require_record(output, "degrade", {"recipe": recipe, "scale": settings.scale, "seed": seed}, {})
    outcome = Outcome()
    todo = [_DegradeTask(s, output / f"{s.name}.png", settings, seed) for s in _share(sources)]
    outcome.kept = sum(task.target.exists() for task in todo)
    todo = [task for task in todo if not task.target.exists()]
    for fault in run_tasks(_degrade_one, todo, workers, total=len(todo), label="degrading", unit="picture"):
        if fault:
            outcome.faults.append(fault)
    outcome.made = len(todo) - len(outcome.faults)
    return outcome


class Restorer:
    """A loaded network that maps pixels to pixels.

    Attributes:
        network: on the device, in eval mode.
        identity: what the record says of it.
        notes: where a tile had to be halved.
    """

    def __init__(
        self, weights: str | Path, *, tile: int | None, overlap_px: int, precision: Precision, device: str
    ) -> None:
        checkpoint = load_checkpoint(weights)
        self.network = checkpoint.build(device)
        self.identity = {"sha256": checkpoint.sha256, "network": checkpoint.network_name, **checkpoint.args}
        self.notes: list[str] = []
        self._overlap_px = overlap_px
        self._device = device
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        pools = self.network.receptive_field_px is None
        self._may_halve = tile is None and not pools
        self._tile = ENHANCE_TILE if tile is None and pools else tile

    def __call__(self, pixels: Pixels) -> Pixels:
        """Pixels uint8 (H, W, 3) to (scale * H, scale * W, 3).

        Raises:
            DeviceMemoryError: a tile does not fit into memory, and the tile is fixed or as small as it may become.
        """
        picture = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)  # (3, H, W)
        while True:
            try:
                with full_precision(self._device):
                    restored = run_tiled(
                        self.network,
                        picture,
                        tile=self._tile,
                        overlap_px=self._overlap_px,
                        device=self._device,
                        dtype=self._dtype,
                    )
                return restored.permute(1, 2, 0).numpy()  # (H, W, 3)
            except DeviceMemoryError as error:
                self._halve(error, max(picture.shape))

    def _halve(self, error: DeviceMemoryError, side: int) -> None:
        window = self.network.window
        smaller = min(self._tile or side, side) // 2 // window * window
        if not self._may_halve or smaller < max(_SMALLEST_TILE, window):
            raise error
        self._tile = smaller
        self.notes.append(f"{error}: tiles of {smaller} from here on")


@dataclass(frozen=True)
class _DegradeTask:
    source: Source
    target: Path
    settings: DegradationSettings
    seed: int


def _degrade_one(task: _DegradeTask) -> str | None:
    """Write one picture; what is wrong with it, if anything."""
    try:
        pixels = task.source.read()
        scale = task.settings.scale
        height, width = (side // scale * scale for side in pixels.shape[:2])
        if not height or not width:
            raise ImageError(f"{task.source.name}: {pixels.shape[0]} x {pixels.shape[1]} pixels are too few to shrink")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the last bit of a sum depends on how many share it
        try:
            degraded = degrade_picture(pixels[:height, :width], task.settings, f"{task.seed}/{task.source.name}")
        finally:
            torch.set_num_threads(threads)
    except (ImageError, DegradationError, OSError) as error:
        return str(error)
    finally:
        advance()
    write_png(task.target, degraded)
    return None


def _process(
    sources: Sequence[Source],
    targets: Callable[[Source], list[Path]],
    results: Callable[[Pixels], Iterator[Pixels]],
    label: str,
) -> Outcome:
    """Read, compute and write, each beside the others; what is there already is left alone."""
    from tqdm import tqdm

    outcome = Outcome()
    mine = _share(sources)
    todo = [source for source in mine if not all(path.exists() for path in targets(source))]
    outcome.kept = len(mine) - len(todo)
    for folder in sorted({path.parent for source in todo for path in targets(source)}):
        folder.mkdir(parents=True, exist_ok=True)
    quiet = not sys.stderr.isatty() or _rank()[0] > 0
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(_WRITERS) as writer:
        writing: deque[Future[None]] = deque()
        for source, reading in tqdm(_ahead(reader, todo), label, len(todo), unit="picture", disable=quiet):
            try:
                pixels = reading.result()
            except (ImageError, OSError) as error:
                outcome.faults.append(str(error))
                continue
            for path, result in zip(targets(source), results(pixels), strict=True):
                writing.append(writer.submit(write_png, path, result))
            while len(writing) > 2 * _WRITERS:
                writing.popleft().result()
            outcome.made += 1
        for written in writing:
            written.result()
    return outcome


def _ahead(reader: Executor, sources: Iterable[Source]) -> Iterator[tuple[Source, Future[Pixels]]]:
    """Each source, while the next one is being read."""
    waiting: deque[tuple[Source, Future[Pixels]]] = deque()
    for source in sources:
        waiting.append((source, reader.submit(source.read)))
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


def _require_record(output: Path, command: str, settings: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
    """Write what decides the results beside them, or compare it with what an earlier run wrote.

    Raises:
        OutputError: an earlier run had other settings or weights.
        OSError: the folder cannot be written to.
    """
    path = output / f"{command}.json"
    record = {"schema_version": 1, "settings": dict(settings), "weights": dict(weights)}
    record = json.loads(json.dumps(record))  # as it comes back from a file
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        if _rank()[0] == 0:
            text = json.dumps({**record, "tool_version": version("hggt")}, indent=2, ensure_ascii=False)
            write_text(path, text + "\n")
        return
    except ValueError as error:
        raise OutputError(f"{path} is damaged ({error}); choose a new folder") from error
    other = [key for key, value in record.items() if found.get(key) != value]
    if other:
        raise OutputError(
            f"{output} holds results of other {' and '.join(other)}, see {path.name}; choose a new folder, or the same "
            "options to go on"
        )


def _share(sources: Sequence[Source]) -> Sequence[Source]:
    """What this process of a `torchrun` is to do."""
    rank, world = _rank()
    return sources[rank::world]


def _rank() -> tuple[int, int]:
    """This process's number among those of a `torchrun`, and how many there are."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
