"""Commands on folders of pictures: enhance (several networks, one candidate folder each), upscale, degrade.

A run can be interrupted and repeated, see `io/picture_job.py`; `enhance.json`, `upscale.json` or `degrade.json` in the
output is its record. Under `torchrun` each process processes its share of the pictures.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from hggt_data.errors import ImageError, OutputError, SettingsError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.files import sha256_of_file
from hggt_data.io.folders import require_outside
from hggt_data.io.images import Pixels, write_png
from hggt_data.io.picture_job import Outcome, PictureJob, PictureResult, Source
from hggt_data.io.pictures import Picture, list_folder, read_picture_with_notes
from hggt_data.io.workers import advance, print_line
from hggt_data.loading import opened
from hggt_data.ranges import Count, CountOrNone, require_arguments
from hggt_data.schema import LR, ORIGINAL
from hggt_eval.metrics.device import full_precision, own_device
from hggt_models.degradation.chain import degrade_picture
from hggt_models.degradation.limits import DegradationError
from hggt_models.degradation.settings import PUBLISHED, Degradation, PublishedName
from hggt_models.inference.tiling import (
    ENHANCE_OVERLAP_PX,
    ENHANCE_TILE,
    UPSCALE_OVERLAP_PX,
    NotFiniteError,
    TileError,
    Tiler,
    require_fitting_tile,
)
from hggt_models.memory import DeviceMemoryError
from hggt_models.networks.checkpoint import (
    CheckpointError,
    load_checkpoint,
    load_community_network,
)
from hggt_models.networks.identify import UnknownNetworkError

Dtype = Literal["fp32", "bf16"]

_WRITERS = 4


COMMANDS = ("enhance", "upscale", "degrade")


def list_pictures(folder: str | Path) -> tuple[list[Source], list[str]]:
    """List the pictures of a folder for `enhance`, `upscale` or `degrade`.

    Args:
        folder: Folder of pictures; its subfolders are not searched.

    Returns:
        The pictures, sorted by name, and the names of the other files.

    Raises:
        TreeError: There is no picture, or the results of two would have the same name.

    Example:
        >>> import tempfile
        >>> from hggt_data import write_demo_tree
        >>> from hggt_models import list_pictures
        >>> pictures, others = list_pictures(write_demo_tree(tempfile.mkdtemp()).lr)
        >>> len(pictures), pictures[0].name, others
        (6, 'coffee-0-0', [])
    """
    folder = Path(folder)
    found = list_folder(folder)
    first: dict[str, Path] = {}
    for path in found.pictures:
        if first.setdefault(path.stem, path) is not path:
            raise TreeError(f"{folder}: {first[path.stem].name} and {path.name} would both become {path.stem}.png")
    return [Source(path.stem, partial(read_picture_with_notes, path), path) for path in found.pictures], found.others


def list_lr(groups: GroupSource | str | Path) -> list[Source]:
    """List the low-resolution images of a tree or dataset, named by their group's id, for `upscale`.

    Args:
        groups: What `hggt_data.open_groups` returns, or what it opens: the test split of a dataset, or a tree. Groups
            without a low-resolution image are skipped.

    Returns:
        The images, in the order of the groups.

    Raises:
        TreeError: No group has a low-resolution image.

    Example:
        >>> import tempfile
        >>> from hggt_data import write_demo_tree
        >>> from hggt_models import list_lr
        >>> images = list_lr(write_demo_tree(tempfile.mkdtemp()).test)
        >>> len(images), images[0].name
        (6, 'coffee-0-0')
    """
    groups = opened(groups, "test")
    sources = [
        Source(group_id, partial(_read_lr, groups, number))
        for number, group_id in enumerate(groups.ids)
        if groups.has_picture(number, LR)
    ]
    if not sources:
        raise TreeError(f"{groups.location} has no low-resolution images; is it the test split?")
    return sources


def _read_lr(groups: GroupSource, number: int) -> Picture:
    return Picture(groups.read(number, LR))


def enhance(
    weights: Mapping[str, str | Path],
    sources: Sequence[Source] | str | Path,
    output: str | Path,
    *,
    origin: str = "",
    tile: Count = ENHANCE_TILE,
    overlap: CountOrNone = ENHANCE_OVERLAP_PX,
    dtype: Dtype = "fp32",
    device: str = "auto",
    trust: str | None = None,
) -> Outcome:
    """Make the candidates of pictures: `original/NAME.png`, and `01/NAME_01.png` for the network called `01`.

    The tile size is fixed, so that ground truths do not depend on the memory of a GPU.

    Args:
        weights: Candidate name to its network: a checkpoint, a training run's folder, or a name on the Hub. The
            networks keep the size of a picture.
        sources: Pictures from `list_pictures`, or a folder of them.
        output: New or empty folder, or the output of an interrupted run with the same options.
        origin: Where the pictures are from, for the record.  [default: the folder]
        tile: Side of a tile.
        overlap: Overlap between tiles.
        dtype: Number format for inference; bf16 uses autocast.
        device: Device for inference: auto (a GPU if available), cpu, cuda:1.
        trust: Class of your own, package.module:Class, whose code may run if the weights name it.

    Returns:
        How many pictures were made and kept, and which could not be read.

    Raises:
        SettingsError: An argument is out of range, or the output is inside the folder of pictures.
        OutputError: The folder contains results of different settings or networks.
        CheckpointError, WeightsError: A network cannot be loaded, or changes the size.
        DeviceMemoryError: A tile does not fit into memory.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from hggt_models import build_network, enhance, save_network
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "pictures").mkdir()
        >>> Image.new("RGB", (32, 24)).save(folder / "pictures" / "a.png")
        >>> network = build_network("rcan_no_upsample", num_feat=8, num_group=1, num_block=1, squeeze_factor=2)
        >>> save_network(network, folder / "01.safetensors")
        >>> enhance({"01": folder / "01.safetensors"}, folder / "pictures", folder / "EnhancedGT", device="cpu").made
        1
        >>> sorted(path.name for path in (folder / "EnhancedGT").rglob("*.png"))
        ['a.png', 'a_01.png']
    """
    require_arguments(enhance, tile=tile, overlap=overlap, dtype=dtype)
    output = Path(output)
    sources, origin = _listed(sources, origin, output)
    device = own_device(device)
    restorers = {
        name: Restorer(path, tile=tile, overlap=overlap, dtype=dtype, device=device, trust=trust)
        for name, path in weights.items()
    }
    for name, restorer in restorers.items():
        if restorer.network.scale != 1:
            raise CheckpointError(
                f"{weights[name]} enlarges {restorer.network.scale} times; an enhancer must keep the size. "
                "`hggt-models upscale` runs this network."
            )
    settings = {"tile": tile, "overlap": overlap, "dtype": dtype}
    identities = {name: restorer.identity for name, restorer in restorers.items()}
    job = _make_job(output, "enhance", {"input": origin, "settings": settings, "weights": identities}, device)

    def targets(source: Source) -> list[Path]:
        candidates = [output / name / f"{source.name}_{name}.png" for name in restorers]
        return [*candidates, output / ORIGINAL / f"{source.name}.png"]

    def results(pixels: Pixels) -> Iterator[Pixels]:
        for restorer in restorers.values():
            yield restorer(pixels)
        yield pixels

    try:
        with job.open_shared(sources, targets) as missing:
            _restore(job, missing, targets, results, "enhancing")
    except DeviceMemoryError as error:
        raise DeviceMemoryError(
            f"{error}. Pass a smaller `tile` and keep it for the whole data set (the results depend on it slightly), "
            "or use a device with more memory."
        ) from error
    return job.outcome


def upscale(
    weights: str | Path,
    sources: Sequence[Source] | str | Path,
    output: str | Path,
    *,
    origin: str = "",
    tile: Count | None = None,
    overlap: CountOrNone = UPSCALE_OVERLAP_PX,
    dtype: Dtype = "fp32",
    device: str = "auto",
    suffix: str | None = None,
    trust: str | None = None,
) -> Outcome:
    """Restore pictures with one network: `NAME.png`, or `NAME_SUFFIX.png`.

    Args:
        weights: Network to run: a checkpoint, a training run's folder, or ORG/NAME on the Hub.
        sources: Pictures from `list_pictures` or `list_lr`, or a folder of them.
        output: New or empty folder, or the output of an interrupted run with the same options.
        origin: Where the pictures are from, for the record.  [default: the folder]
        tile: Side of a tile. auto starts with whole pictures and halves the tile whenever memory runs out;
            networks whose result depends on the tile (RCAN, ELAN) then get the fixed tile of hggt-models enhance.
        overlap: Overlap between tiles.
        dtype: Number format for inference; bf16 uses autocast.
        device: Device for inference: auto (a GPU if available), cpu, cuda:1.
        suffix: Suffix of the written names: NAME_SUFFIX.png.
        trust: Class of your own, package.module:Class, whose code may run if the weights name it.

    Returns:
        How many pictures were made and kept, and which could not be read.

    Raises:
        SettingsError: An argument is out of range, or the output is inside the folder of pictures.
        OutputError: The folder contains results of different settings or networks.
        CheckpointError, WeightsError: The network cannot be loaded.
        DeviceMemoryError: A tile does not fit into memory, even at the smallest size allowed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from hggt_models import build_network, upscale, save_network
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "pictures").mkdir()
        >>> Image.new("RGB", (32, 24)).save(folder / "pictures" / "a.png")
        >>> save_network(build_network("rrdb", num_block=1, num_feat=8, num_grow_ch=4), folder / "x4.safetensors")
        >>> upscale(folder / "x4.safetensors", folder / "pictures", folder / "restored", device="cpu").made
        1
        >>> Image.open(folder / "restored" / "a.png").size
        (128, 96)
    """
    require_arguments(upscale, tile=tile, overlap=overlap, dtype=dtype)
    output = Path(output)
    sources, origin = _listed(sources, origin, output)
    if suffix is not None and not re.fullmatch(r"[\w.-]+", suffix):
        raise SettingsError(f"`suffix` {suffix!r}: expected letters, digits, '_', '.' and '-'")
    device = own_device(device)
    restorer = Restorer(weights, tile=tile, overlap=overlap, dtype=dtype, device=device, trust=trust)
    ending = f"_{suffix}" if suffix else ""
    settings = {"tile": tile or "auto", "overlap": overlap, "dtype": dtype, "suffix": suffix}
    content = {"input": origin, "settings": settings, "weights": {"network": restorer.identity}}
    job = _make_job(output, "upscale", content, device)

    def targets(source: Source) -> list[Path]:
        return [output / f"{source.name}{ending}.png"]

    def note(error: DeviceMemoryError, tile: int) -> None:
        print_line(f"{error}: using tiles of {tile} from now on")
        job.note(smallest_tile=tile)

    restorer.tiler.on_smaller_tile = note

    def results(pixels: Pixels) -> Iterator[Pixels]:
        yield restorer(pixels)

    try:
        with job.open_shared(sources, targets) as missing:
            smallest = (job.read_record() or {}).get("smallest_tile")  # of an earlier run
            restorer.tiler.start_from(smallest if isinstance(smallest, int) else None)
            _restore(job, missing, targets, results, "upscaling")
    except DeviceMemoryError as error:
        raise DeviceMemoryError(
            f"{error}. Pass a smaller `tile`, which changes the result of networks that average over it, or use a "
            "device with more memory."
        ) from error
    return job.outcome


def degrade(
    sources: Sequence[Source] | str | Path,
    output: str | Path,
    *,
    origin: str = "",
    seed: int,
    degradation: PublishedName = "sr",
    scale: Count | None = None,
    workers: Count = 1,
) -> Outcome:
    """Write low-resolution versions of pictures, `NAME.png`: the same bytes for the same seed and names.

    A picture whose sides are not multiples of the scale is cropped at its right and lower edge first.

    Args:
        sources: Pictures from `list_pictures`, or a folder of them.
        output: New or empty folder, or the output of an interrupted run with the same options.
        origin: Where the pictures are from, for the record.  [default: the folder]
        seed: Random seed. The same seed and file names give the same bytes.
        degradation: Published degradation: sr for super-resolution, enhance-01 to enhance-04 for training an enhancer,
            realesrgan or bsrgan for those baselines.
        scale: Scale factor between the results and the pictures.  [default: as published]
        workers: Worker processes; they do not change the result.

    Returns:
        How many pictures were made and kept, and which could not be read.

    Raises:
        SettingsError: An argument is out of range, or the output is inside the folder of pictures.
        OutputError: The folder contains results of different settings.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from hggt_models import degrade
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "HR").mkdir()
        >>> Image.new("RGB", (64, 48)).save(folder / "HR" / "a.png")
        >>> degrade(folder / "HR", folder / "LR", seed=0).made
        1
        >>> Image.open(folder / "LR" / "a.png").size
        (16, 12)
    """
    require_arguments(degrade, degradation=degradation, scale=scale, workers=workers)
    output = Path(output)
    sources, origin = _listed(sources, origin, output)
    settings = PUBLISHED[degradation] if scale is None else replace(PUBLISHED[degradation], scale=scale)
    compared = {"degradation": degradation, "scale": settings.scale, "seed": seed}
    job = _make_job(output, "degrade", {"input": origin, "settings": compared, "weights": {}}, "cpu")
    with job.open_shared(sources, lambda source: [output / f"{source.name}.png"]) as missing:
        tasks = [_DegradeTask(source, output / f"{source.name}.png", settings, seed) for source in missing]
        for _ in job.run(_degrade_one, tasks, workers=workers, label="degrading"):
            pass
    return job.outcome


def require_output_outside(output: Path, folder: Path, parameter: str) -> None:
    """Check that results are not written among the pictures, where the next run would read them."""
    try:
        require_outside(output, folder, f"`{parameter}`")
    except OutputError as error:
        raise SettingsError(f"`output` {error}") from error


def _listed(sources: Sequence[Source] | str | Path, origin: str, output: Path) -> tuple[Sequence[Source], str]:
    """The pictures and their origin; those of a folder if it is one."""
    if not isinstance(sources, str | Path):
        return sources, origin
    require_output_outside(output, Path(sources), "sources")
    return list_pictures(sources)[0], origin or str(sources)


class Restorer:
    """A loaded network that maps pixels, uint8 (H, W, 3), to pixels (scale * H, scale * W, 3).

    `identity` describes it in records. CheckpointError if it does not restore RGB pictures; TileError if the tile is
    not a multiple of its window. When called, NotFiniteError names the weights if their output is NaN or infinite.
    """

    def __init__(
        self,
        weights: str | Path,
        *,
        tile: int | None,
        overlap: int,
        dtype: Dtype,
        device: str = "cpu",
        trust: str | None = None,
    ) -> None:
        self._weights = weights
        try:
            checkpoint = load_checkpoint(weights)
        except UnknownNetworkError as ours:
            try:
                self.network = load_community_network(weights, device)
            except CheckpointError as theirs:
                raise CheckpointError(f"{ours}; {str(theirs).removeprefix(f'{weights}: ')}") from theirs
            print_line(f"{weights}: a network of another project, {self.network.config['architecture']}")
            self.identity = {"sha256": sha256_of_file(Path(weights)), **self.network.config}
        else:
            self.network = checkpoint.build(device, trust)
            self.identity = {"sha256": checkpoint.sha256, "network": checkpoint.network_name, **checkpoint.args}
        if self.network.channels_last:
            self.network.to(memory_format=torch.channels_last)
        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
        self.tiler = Tiler(tile=tile, overlap_px=overlap, device=device, dtype=dtypes[dtype])
        self._require_restorer(weights, device)
        if tile is not None:
            require_fitting_tile(tile, self.network.window)

    def __call__(self, pixels: Pixels) -> Pixels:
        try:
            return self.tiler(self.network, pixels)
        except NotFiniteError as error:
            raise NotFiniteError(f"{self._weights}: {error}") from error

    def _require_restorer(self, weights: str | Path, device: str) -> None:
        """Run the network on a few pixels: a discriminator, or a network for grey pictures, fails here."""
        side = self.network.window
        with full_precision(device):
            try:
                shape = tuple(self.network(torch.zeros(1, 3, side, side, device=device)).shape)
            except RuntimeError as error:
                shape = (str(error).splitlines()[0],)
        expected = (1, 3, self.network.scale * side, self.network.scale * side)
        if shape != expected:
            raise CheckpointError(
                f"{weights} is a {self.network.name}, which returns {shape} for an RGB picture of {side} x {side}; "
                f"expected {expected}: a network that restores pictures"
            )


@dataclass(frozen=True)
class _DegradeTask:
    source: Source
    target: Path
    settings: Degradation
    seed: int


def _degrade_one(task: _DegradeTask) -> PictureResult:
    try:
        picture = task.source.read()
        pixels = picture.pixels
        scale = task.settings.scale
        height, width = (side // scale * scale for side in pixels.shape[:2])
        if not height or not width:
            place = task.source.path or task.source.name
            raise ImageError(f"{place}: {pixels.shape[0]} x {pixels.shape[1]} pixels; too small for scale {scale}")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the last bit of a sum depends on the number of threads
        try:
            degraded = degrade_picture(pixels[:height, :width], task.settings, f"{task.seed}/{task.source.name}")
        finally:
            torch.set_num_threads(threads)
    except (ImageError, DegradationError, OSError) as error:
        return PictureResult(fault=str(error))
    finally:
        advance()
    write_png(task.target, degraded)
    return PictureResult(notes=picture.notes)


def _restore(
    job: PictureJob,
    sources: Sequence[Source],
    targets: Callable[[Source], list[Path]],
    results: Callable[[Pixels], Iterator[Pixels]],
    label: str,
) -> None:
    """Read, compute and write at the same time; `results` gives the pixels of each of the `targets`."""
    with ThreadPoolExecutor(_WRITERS) as writer:
        writing: deque[Future[None]] = deque()

        def restore(source: Source) -> PictureResult:
            try:
                picture = source.read()
            except (ImageError, OSError) as error:
                return PictureResult(fault=str(error))
            try:
                for path, result in zip(targets(source), results(picture.pixels), strict=True):
                    writing.append(writer.submit(write_png, path, result))
            except NotFiniteError as error:
                return PictureResult(fault=f"{source.path or source.name}: cannot be restored by {error}")
            except TileError as error:
                return PictureResult(fault=f"{source.path or source.name}: {error}")
            while len(writing) > 2 * _WRITERS:
                writing.popleft().result()
            return PictureResult(notes=picture.notes)

        job.run_here(restore, sources, label=label)
        for written in writing:
            written.result()


def _make_job(output: Path, command: str, content: Mapping[str, Any], device: str) -> PictureJob:
    """The job of one of the `COMMANDS`; OutputError if the folder contains results of another."""
    others = [name for name in COMMANDS if name != command and (output / f"{name}.json").exists()]
    if others:
        raise OutputError(f"{output} contains results of `hggt-models {others[0]}`; choose a new folder")
    made_with = {"hggt": version("hggt"), "torch": version("torch"), "device": device}
    return PictureJob(output, f"{command}.json", "results", content, made_with, Outcome())
