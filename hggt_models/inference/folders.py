"""Folder in, folder out: enhance (several networks, one candidate folder each), upscale, degrade.

Files are written whole or not at all, and those that are there and not older than their picture are not made again;
`record.py` sees to it that a folder never holds a mixture. What cannot be read is listed, and the rest is done. Under
`torchrun`, each process takes its share of the files.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from hggt_data.errors import ImageError, OutputError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.files import is_up_to_date, sha256_of_file
from hggt_data.io.folders import FolderRecord, read_record, require_outside
from hggt_data.io.images import Pixels, list_folder, read_picture, write_png
from hggt_data.io.text import plural
from hggt_data.io.workers import Processes, advance, print_line, report_faults, run_tasks, show_progress
from hggt_data.schema import LR, ORIGINAL
from hggt_eval.metrics.device import full_precision
from hggt_models.degradation.chain import degrade_picture
from hggt_models.degradation.settings import PUBLISHED, DegradationError, DegradationSettings
from hggt_models.inference.tiling import (
    ENHANCE_OVERLAP_PX,
    ENHANCE_TILE,
    UPSCALE_OVERLAP_PX,
    DeviceMemoryError,
    Tiler,
    require_fitting_tile,
)
from hggt_models.networks.checkpoint import (
    CheckpointError,
    UnknownNetworkError,
    load_checkpoint,
    load_community_network,
)

Dtype = Literal["fp32", "bf16"]

_WRITERS = 4


@dataclass(frozen=True)
class Source:
    """A picture to work on.

    Attributes:
        name: of its results.
        read: gives its pixels.
        path: its file, where it has one of its own.
    """

    name: str
    read: Callable[[], Pixels]
    path: Path | None = None


def list_pictures(folder: Path) -> tuple[list[Source], list[str]]:
    """The pictures of a folder, sorted by name, and the names of its other files, which are left out.

    Raises:
        TreeError: there is no picture, or two would give the same result's name.
    """
    found = list_folder(folder)
    first: dict[str, Path] = {}
    for path in found.pictures:
        if first.setdefault(path.stem, path) is not path:
            raise TreeError(f"{folder}: {first[path.stem].name} and {path.name} would both become {path.stem}.png")
    return [Source(path.stem, partial(read_picture, path), path) for path in found.pictures], found.others


def list_lr(groups: GroupSource) -> list[Source]:
    """The low-resolution pictures of a data set's groups, of those that have one, named by their ids.

    Raises:
        TreeError: none has.
    """
    sources = [
        Source(str(group_id), partial(groups.read, number, LR))
        for number, group_id in enumerate(groups.ids)
        if groups.has_picture(number, LR)
    ]
    if not sources:
        raise TreeError(f"{groups.location} has no low-resolution pictures; is it the test split?")
    return sources


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        made: pictures that are new.
        kept: pictures that were there already.
        faults: those that could not be read, a line each.
    """

    made: int = 0
    kept: int = 0
    faults: list[str] = field(default_factory=list)

    def describe(self) -> list[str]:
        """What was done, a line each."""
        kept = f", {self.kept:,} were there already" if self.kept else ""
        lines = [f"{plural(self.made, 'picture')} made{kept}"]
        if self.faults:
            lines.append(f"{plural(len(self.faults), 'picture')} could not be read:")
        return lines + [f"  {fault}" for fault in self.faults]


def enhance(
    weights: Mapping[str, str | Path],
    sources: Sequence[Source],
    output: Path,
    *,
    origin: str = "",
    tile: int = ENHANCE_TILE,
    overlap: int = ENHANCE_OVERLAP_PX,
    dtype: Dtype = "fp32",
    device: str = "cpu",
) -> Outcome:
    """Make the candidates of pictures: `original/NAME.png`, and `01/NAME_01.png` for the network called `01`.

    The tile is fixed, so that ground truths do not depend on the size of a GPU.

    Args:
        weights: candidate to checkpoint, as `load_checkpoint` takes it; the networks keep the size of a picture.
        sources: the pictures.
        output: the folder; made if missing, may hold an earlier run with the same settings.
        origin: where the pictures are from, for the record.
        tile, overlap: how pictures are cut, in pixels, see `run_tiled`.
        dtype: bf16 computes under autocast.
        device: as torch names it.

    Raises:
        OutputError: the folder holds results of other settings or weights, or cannot be written to.
        CheckpointError, WeightsError: a network cannot be loaded, or changes the size.
        DeviceMemoryError: a tile does not fit into memory.
        OSError: the disk is full. What is finished stays.
    """
    restorers = {
        name: Restorer(path, tile=tile, overlap=overlap, dtype=dtype, device=device) for name, path in weights.items()
    }
    for name, restorer in restorers.items():
        if restorer.network.scale != 1:
            raise CheckpointError(
                f"{weights[name]} enlarges {restorer.network.scale} times; an enhancer keeps the size. "
                "hggt-models upscale runs it."
            )
    settings = {"tile": tile, "overlap": overlap, "dtype": dtype}

    def targets(source: Source) -> list[Path]:
        candidates = [output / name / f"{source.name}_{name}.png" for name in restorers]
        return [*candidates, output / ORIGINAL / f"{source.name}.png"]

    identities = {name: restorer.identity for name, restorer in restorers.items()}
    content = {"input": origin, "settings": settings, "weights": identities}
    open_record(output, "enhance", content, device, *_places(sources, targets))

    def results(pixels: Pixels) -> Iterator[Pixels]:
        for restorer in restorers.values():
            yield restorer(pixels)
        yield pixels

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
    origin: str = "",
    tile: int | None = None,
    overlap: int = UPSCALE_OVERLAP_PX,
    dtype: Dtype = "fp32",
    device: str = "cpu",
    suffix: str | None = None,
) -> Outcome:
    """Restore pictures with one network: `NAME.png`, or `NAME_SUFFIX.png`.

    Args:
        weights: as `load_checkpoint` takes it.
        sources: the pictures.
        output: the folder; made if missing, may hold an earlier run with the same settings.
        origin: as in `enhance`.
        tile: side of a tile; null starts with whole pictures and halves it whenever memory runs out. Where the result
            depends on the tile by nature (RCAN pools over all it sees), null is the fixed tile of `enhance`.
        overlap: as in `enhance`.
        dtype: bf16 computes under autocast.
        device: as torch names it.
        suffix: of the written names.

    Raises:
        As `enhance`.
    """
    restorer = Restorer(weights, tile=tile, overlap=overlap, dtype=dtype, device=device)
    ending = f"_{suffix}" if suffix else ""
    settings = {"tile": tile or "auto", "overlap": overlap, "dtype": dtype, "suffix": suffix}

    def targets(source: Source) -> list[Path]:
        return [output / f"{source.name}{ending}.png"]

    content = {"input": origin, "settings": settings, "weights": {"network": restorer.identity}}
    record = open_record(output, "upscale", content, device, *_places(sources, targets))
    smallest = (read_record(record.path) or {}).get("smallest_tile")  # that an earlier run has come down to
    restorer.tiler.start_from(smallest if isinstance(smallest, int) else None)

    def note(error: DeviceMemoryError, tile: int) -> None:
        print_line(f"{error}: tiles of {tile} from here on")
        record.note(smallest_tile=tile)

    restorer.tiler.on_smaller_tile = note
    return _process(sources, targets, lambda pixels: iter([restorer(pixels)]), "upscaling")


def degrade(
    sources: Sequence[Source],
    output: Path,
    *,
    origin: str = "",
    seed: int,
    degradation: str = "sr",
    scale: int | None = None,
    workers: int = 1,
) -> Outcome:
    """Write low-resolution versions of pictures, `NAME.png`: the same bytes for the same seed and names.

    A picture whose sides the scale does not divide is cut at its right and lower edge first.

    Args:
        sources: the pictures.
        output: the folder; made if missing, may hold an earlier run with the same settings.
        origin: as in `enhance`.
        seed: of all random choices, together with the picture's name.
        degradation: key of `PUBLISHED`.
        scale: instead of the published one.
        workers: processes; does not change the result.

    Raises:
        OutputError: as `enhance`.
        OSError: the disk is full. What is finished stays.
    """
    settings = PUBLISHED[degradation] if scale is None else replace(PUBLISHED[degradation], scale=scale)

    def targets(source: Source) -> list[Path]:
        return [output / f"{source.name}.png"]

    kept = {"degradation": degradation, "scale": settings.scale, "seed": seed}
    content = {"input": origin, "settings": kept, "weights": {}}
    open_record(output, "degrade", content, "cpu", *_places(sources, targets))
    outcome = Outcome()
    todo = [_DegradeTask(s, targets(s)[0], settings, seed) for s in _to_do(sources, targets, outcome)]
    with report_faults(outcome.faults):
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
        tiler: cuts the pictures.

    Raises:
        CheckpointError, WeightsError, HubError: the network cannot be loaded, or restores no RGB pictures.
        TileError: the tile is no multiple of the network's window.
    """

    def __init__(
        self, weights: str | Path, *, tile: int | None, overlap: int, dtype: Dtype, device: str = "cpu"
    ) -> None:
        try:
            checkpoint = load_checkpoint(weights)
        except UnknownNetworkError:
            self.network = load_community_network(weights, device)
            print_line(f"{weights}: a network of another project, {self.network.config['architecture']}")
            self.identity = {"sha256": sha256_of_file(Path(weights)), **self.network.config}
        else:
            self.network = checkpoint.build(device)
            self.identity = {"sha256": checkpoint.sha256, "network": checkpoint.network_name, **checkpoint.args}
        if self.network.channels_last:
            self.network.to(memory_format=torch.channels_last)
        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
        self.tiler = Tiler(tile=tile, overlap_px=overlap, device=device, dtype=dtypes[dtype])
        self._require_restorer(weights, device)
        if tile is not None:
            require_fitting_tile(tile, self.network.window)

    def __call__(self, pixels: Pixels) -> Pixels:
        """Pixels uint8 (H, W, 3) to (scale * H, scale * W, 3).

        Raises:
            DeviceMemoryError: a tile does not fit into memory, and the tile is fixed or as small as it may become.
        """
        return self.tiler(self.network, pixels)

    def _require_restorer(self, weights: str | Path, device: str) -> None:
        """Try the network on a few pixels: a discriminator, or one for grey pictures, fails here."""
        side = self.network.window
        with full_precision(device):
            try:
                shape = tuple(self.network(torch.zeros(1, 3, side, side, device=device)).shape)
            except RuntimeError as error:
                shape = (str(error).splitlines()[0],)
        expected = (1, 3, self.network.scale * side, self.network.scale * side)
        if shape != expected:
            raise CheckpointError(
                f"{weights} holds {self.network.name}, which gives {shape} for an RGB picture of {side} x {side}; "
                f"expected {expected}, a network that restores pictures"
            )


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
            place = task.source.path or task.source.name
            raise ImageError(f"{place}: {pixels.shape[0]} x {pixels.shape[1]} pixels are too few to shrink")
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
    outcome = Outcome()
    todo = _to_do(sources, targets, outcome)
    for folder in sorted({path.parent for source in todo for path in targets(source)}):
        folder.mkdir(parents=True, exist_ok=True)
    with report_faults(outcome.faults), ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(_WRITERS) as writer:
        writing: deque[Future[None]] = deque()
        for source, reading in show_progress(_ahead(reader, todo), len(todo), label, "picture"):
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


def _places(sources: Sequence[Source], targets: Callable[[Source], list[Path]]) -> tuple[set[Path], list[Path]]:
    """The folders that the pictures lie in, and all results."""
    folders = {source.path.parent for source in sources if source.path}
    return folders, [path for source in sources for path in targets(source)]


def _to_do(sources: Sequence[Source], targets: Callable[[Source], list[Path]], outcome: Outcome) -> list[Source]:
    """What this process of a `torchrun` is to do; what it finds done is counted."""
    mine = Processes.from_environment().share(sources)
    todo = [source for source in mine if not is_up_to_date(targets(source), [source.path] if source.path else [])]
    outcome.kept = len(mine) - len(todo)
    return todo


def _ahead(reader: Executor, sources: Iterable[Source]) -> Iterator[tuple[Source, Future[Pixels]]]:
    """Each source, while the next one is being read."""
    waiting: deque[tuple[Source, Future[Pixels]]] = deque()
    for source in sources:
        waiting.append((source, reader.submit(source.read)))
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


COMMANDS = ("enhance", "upscale", "degrade")


def open_record(
    output: Path,
    command: str,
    content: Mapping[str, Any],
    device: str,
    folders: Collection[Path],
    results: Sequence[Path],
) -> FolderRecord:
    """Compare with what an earlier run has left, and keep the record where there was none.

    Every process of a `torchrun` does both, so that none runs ahead with other settings.

    Args:
        output: where the record lies.
        command: one of `COMMANDS`.
        content: what decides the results.
        device: as torch names it; is noted.
        folders: where the pictures lie.
        results: all files that will be written.

    Raises:
        OutputError: the folder holds results of other input, settings or weights, or of nobody knows what, or results
            would lie among the pictures.
        OSError: the folder cannot be written to.
    """
    for place in sorted({result.parent for result in results}):
        for folder in folders:
            require_outside(place, folder, "the folder of the pictures,")
    others = [name for name in COMMANDS if name != command and (output / f"{name}.json").exists()]
    if others:
        raise OutputError(f"{output} holds results of hggt-models {others[0]}; choose a new folder")
    made_with = {"hggt": version("hggt"), "torch": version("torch"), "device": device}
    record = FolderRecord(output / f"{command}.json", "results", content, made_with)
    first = next((path for path in results if path.exists()), None)
    if first is not None and not record.path.exists():
        raise OutputError(f"{first} is there, and no {record.path.name} that tells what made it; choose a new folder")
    if not record.require(is_filled=first is not None, has_results=first is not None):
        record.keep()
        record.require(is_filled=True, has_results=True)  # perhaps a process with other options has begun just now
    return record
