"""Folders in, folders out, with small networks on real crops."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hggt_data.errors import ImageError, OutputError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.images import read_pixels, write_png
from hggt_data.io.picture_job import Source
from hggt_data.io.pictures import Picture
from hggt_data.loading import open_groups
from hggt_models.inference import tiling
from hggt_models.inference.folders import degrade, enhance, list_lr, list_pictures, upscale
from hggt_models.inference.tiling import TileError, run_tiled
from hggt_models.memory import DeviceMemoryError
from hggt_models.networks import build_network
from hggt_models.networks.checkpoint import CheckpointError, save_network
from tests.full_disk import FullDisk

SMALL: dict[str, dict[str, Any]] = {
    "rcan_no_upsample": {"num_feat": 8, "num_group": 1, "num_block": 1, "squeeze_factor": 2},
    "elan": {"m_elan": 2, "c_elan": 12, "window_sizes": (2, 4)},
    "rrdb": {"num_block": 1, "num_feat": 8, "num_grow_ch": 4},
}


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Files of small networks by name."""
    folder = tmp_path_factory.mktemp("weights")

    def path_of(name: str) -> Path:
        path = folder / f"{name}.safetensors"
        if not path.exists():
            torch.manual_seed(0)
            save_network(build_network(name, **SMALL[name]), path)
        return path

    return path_of


@pytest.fixture
def pictures(fixtures: Path) -> list[Source]:
    """Three real crops of 128 x 128."""
    found, others = list_pictures(fixtures / "Train" / "images" / "0-6" / "original")
    assert not others
    return found[:3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one small picture, `a.png`."""
    (tmp_path / "in").mkdir()
    write_png(tmp_path / "in" / "a.png", np.full((16, 16, 3), 90, np.uint8))
    return tmp_path / "in"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_enhance_writes_a_tree_of_candidates(
    pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path
) -> None:
    networks = {"01": weights("rcan_no_upsample"), "03": weights("elan")}
    outcome = enhance(networks, pictures, tmp_path / "out", tile=64)
    names = [source.name for source in pictures]
    assert outcome.describe() == ["3 pictures made"]
    assert sorted(files(tmp_path / "out")) == sorted(
        [f"01/{n}_01.png" for n in names]
        + [f"03/{n}_03.png" for n in names]
        + [f"original/{n}.png" for n in names]
        + ["enhance.json"]
    )
    for source in pictures:
        original = read_pixels(tmp_path / "out" / "original" / f"{source.name}.png")
        np.testing.assert_array_equal(original, source.read().pixels)
        enhanced = read_pixels(tmp_path / "out" / "01" / f"{source.name}_01.png")
        assert enhanced.shape == original.shape
        assert (enhanced != original).any()
    record = json.loads((tmp_path / "out" / "enhance.json").read_text())
    assert record["settings"] == {"tile": 64, "overlap": 24, "dtype": "fp32"}
    assert record["made_with"]["device"] == "cpu"
    assert record["weights"]["01"]["network"] == "rcan_no_upsample"
    assert len(record["weights"]["03"]["sha256"]) == 64


def test_a_rerun_makes_only_what_is_missing(
    pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path
) -> None:
    networks = {"01": weights("rcan_no_upsample")}
    enhance(networks, pictures, tmp_path, tile=64)
    before = files(tmp_path)
    lost = tmp_path / "01" / f"{pictures[1].name}_01.png"
    lost.unlink()
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    outcome = enhance(networks, pictures, tmp_path, tile=64)
    assert (outcome.made, outcome.kept) == (1, 2)
    assert files(tmp_path) == before
    kept = [path for path in times if pictures[1].name not in path.name]
    assert all(path.stat().st_mtime_ns == times[path] for path in kept)


def test_results_of_other_settings_or_weights_are_not_mixed(
    pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path
) -> None:
    enhance({"01": weights("rcan_no_upsample")}, pictures, tmp_path, tile=64)
    before = files(tmp_path)
    with pytest.raises(OutputError, match=r"results made with different settings \(see enhance\.json\)"):
        enhance({"01": weights("rcan_no_upsample")}, pictures, tmp_path, tile=128)
    with pytest.raises(OutputError, match="results made with different weights"):
        enhance({"01": weights("elan")}, pictures, tmp_path, tile=64)
    assert files(tmp_path) == before


def test_an_enhancer_keeps_the_size(pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="enlarges 4 times"):
        enhance({"01": weights("rrdb")}, pictures, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_upscale_writes_the_files_that_hggt_eval_expects(
    fixtures: Path, weights: Callable[[str], Path], tmp_path: Path
) -> None:
    groups = open_groups(fixtures / "Test")
    outcome = upscale(weights("rrdb"), list_lr(groups), tmp_path, suffix="x4")
    assert outcome.made == len(groups) == 6
    for group in groups:
        assert read_pixels(tmp_path / f"{group.id}_x4.png").shape == group.read("original").shape


def test_unreadable_pictures_are_listed_and_the_others_are_processed(
    folder: Path, weights: Callable[[str], Path], tmp_path: Path
) -> None:
    (folder / "text.png").write_text("no picture")
    (folder / "empty.jpg").write_bytes(b"")
    sources, _ = list_pictures(folder)
    outcome = upscale(weights("rrdb"), sources, tmp_path / "out")
    assert (outcome.made, len(outcome.faults)) == (1, 2)
    assert outcome.describe()[1:] == [
        "2 pictures could not be processed:",
        f"  {folder}/empty.jpg: empty file",
        f"  {folder}/text.png: cannot be read as PNG, JPEG, WebP, BMP or TIFF: it is damaged or of another format "
        "(starts with b'no pictu')",
    ]
    assert sorted(files(tmp_path / "out")) == ["a.png", "upscale.json"]


def test_a_picture_may_be_one_pixel(weights: Callable[[str], Path], tmp_path: Path) -> None:
    source = Source("dot", lambda: Picture(np.full((1, 1, 3), 90, np.uint8)))
    upscale(weights("rrdb"), [source], tmp_path)
    assert read_pixels(tmp_path / "dot.png").shape == (4, 4, 3)


def test_out_of_memory_halves_the_tile_of_upscale_with_a_message(
    pictures: list[Source],
    weights: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiles = []

    def short_of_memory(*arguments: Any, tile: int | None, **options: Any) -> torch.Tensor:
        tiles.append(tile)
        if tile is None:
            raise DeviceMemoryError("128 x 128 pixels at once do not fit into the memory of cuda")
        return run_tiled(*arguments, tile=tile, **options)

    monkeypatch.setattr(tiling, "run_tiled", short_of_memory)
    outcome = upscale(weights("rrdb"), pictures, tmp_path)
    assert tiles == [None, 64, 64, 64]  # remembered for the next pictures
    assert outcome.made == 3
    expected = "128 x 128 pixels at once do not fit into the memory of cuda: using tiles of 64 from now on\n"
    assert capsys.readouterr().err == expected
    tiles.clear()
    (tmp_path / f"{pictures[0].name}.png").unlink()
    upscale(weights("rrdb"), pictures, tmp_path)
    assert tiles == [64]  # and for the next run


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device on which nothing fits."""

    def fail(*_: Any, **__: Any) -> torch.Tensor:
        raise DeviceMemoryError("too large")

    monkeypatch.setattr(tiling, "run_tiled", fail)


@pytest.mark.usefixtures("no_memory")
def test_out_of_memory_is_an_error_where_the_tile_is_fixed(
    pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(DeviceMemoryError, match="Pass a smaller `tile`"):
        enhance({"01": weights("rcan_no_upsample")}, pictures, tmp_path / "enhanced", tile=128)
    with pytest.raises(DeviceMemoryError, match=r"too large\. Pass a smaller `tile`"):
        upscale(weights("rrdb"), pictures, tmp_path / "fixed", tile=128)
    with pytest.raises(
        DeviceMemoryError, match=r"too large\. Pass a smaller `tile`"
    ):  # a smaller tile would change the result
        upscale(weights("rcan_no_upsample"), pictures, tmp_path / "pools")


def test_processes_of_a_torchrun_share_the_files(
    pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscale(weights("rrdb"), pictures, tmp_path / "alone")
    monkeypatch.setenv("WORLD_SIZE", "2")
    made = []
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        made.append(upscale(weights("rrdb"), pictures, tmp_path / "shared").made)
    assert made == [1, 2]
    assert files(tmp_path / "shared") == files(tmp_path / "alone")


def test_a_full_disk_leaves_no_half_file(
    pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path, full_disk: FullDisk
) -> None:
    with full_disk(2), pytest.raises(OSError, match="No space left"):  # the record and one picture fit
        upscale(weights("rrdb"), pictures, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 1
    assert not list(tmp_path.glob(".*"))
    assert upscale(weights("rrdb"), pictures, tmp_path).made == 2


def test_degrade_gives_the_same_bytes_whatever_the_order_and_workers(folder: Path, tmp_path: Path) -> None:
    write_png(folder / "b.png", np.full((24, 16, 3), 90, np.uint8))
    pictures, _ = list_pictures(folder)
    degrade(pictures, tmp_path / "one", seed=3)
    degrade(pictures[::-1], tmp_path / "two", seed=3, workers=2)
    degrade(pictures, tmp_path / "other", seed=4)
    one, two, other = (files(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert all(one[name] != other[name] for name in one)
    assert read_pixels(tmp_path / "one" / "b.png").shape == (6, 4, 3)


def test_a_file_name_may_have_undecodable_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff")
    folder = tmp_path / name
    folder.mkdir()
    write_png(folder / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
    for made, kept in ((1, 0), (0, 1)):
        sources, _ = list_pictures(folder)
        outcome = degrade(sources, tmp_path / "out", origin=str(folder), seed=0)
        assert (outcome.made, outcome.kept) == (made, kept)
    assert (tmp_path / "out" / f"{name}.png").exists()


def test_degrade_crops_pictures_to_a_multiple_of_the_scale(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (66, 43, 3), np.uint8)
    small = Source("small", lambda: Picture(pixels[:3]))
    outcome = degrade([Source("odd", lambda: Picture(pixels)), small], tmp_path, seed=0)
    assert read_pixels(tmp_path / "odd.png").shape == (16, 10, 3)
    assert outcome.faults == ["small: 3 x 43 pixels; too small for scale 4"]
    with pytest.raises(OutputError, match="different settings"):
        degrade([Source("odd", lambda: Picture(pixels))], tmp_path, seed=0, scale=2)


def test_two_files_with_the_same_stem_are_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(TreeError, match=r"a\.jpg and a\.png would both become a\.png"):
        list_pictures(tmp_path)


def test_other_files_are_returned_and_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="no pictures"):
        list_pictures(tmp_path)
    write_png(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".DS_Store").write_text("")
    sources, others = list_pictures(tmp_path)
    assert [source.name for source in sources] == ["a"]
    assert others == ["notes.txt"]


def test_a_tree_without_lr_is_an_error(fixtures: Path) -> None:
    with pytest.raises(TreeError, match="no low-resolution images"):
        list_lr(open_groups(fixtures / "Train"))


def test_groups_without_lr_are_skipped(lr_of_some: GroupSource) -> None:
    found = list_lr(lr_of_some)
    assert [source.name for source in found] == [str(group_id) for group_id in lr_of_some.ids[1:]]
    assert found[0].read().pixels.shape == (40, 40, 3)


def test_a_network_whose_output_is_not_finite_writes_nothing(folder: Path, tmp_path: Path) -> None:
    network = build_network("rrdb", **SMALL["rrdb"])
    for name, weight in network.named_parameters():
        if name.startswith("body"):
            weight.data *= 1e9  # finite, but their output is not
    path = tmp_path / "overflowing.safetensors"
    save_network(network, path)
    sources, _ = list_pictures(folder)
    outcome = upscale(path, sources, tmp_path / "out")
    assert outcome.describe() == [
        "0 pictures made",
        "1 picture could not be processed:",
        f"  {folder}/a.png: cannot be restored by {path}: the network's output is NaN or infinite",
    ]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["upscale.json"]


def test_a_picture_for_which_the_tile_is_too_large_is_listed(
    weights: Callable[[str], Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiling, "_MOST_OUTPUT_PX", 1000)
    [fault] = upscale(weights("rrdb"), folder, tmp_path / "out", tile=16).faults
    assert fault.startswith(f"{folder}/a.png: 16 x 16 pixels at once give an output of more than 1,000 pixels")


def test_a_picture_that_fails_to_decode_is_listed(weights: Callable[[str], Path], tmp_path: Path) -> None:
    def fail() -> Any:
        raise ImageError("somewhere: cut off")

    assert upscale(weights("rrdb"), [Source("a", fail)], tmp_path).faults == ["somewhere: cut off"]


def test_files_of_unknown_origin_do_not_count_as_results(
    pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path
) -> None:
    theirs = tmp_path / f"{pictures[1].name}.png"
    write_png(theirs, np.zeros((8, 8, 3), np.uint8))
    before = files(tmp_path)
    with pytest.raises(OutputError, match=rf"{theirs.name} already exists, but upscale\.json is missing"):
        upscale(weights("rrdb"), pictures, tmp_path)
    assert files(tmp_path) == before


def test_results_of_another_command_or_input_are_not_mixed(
    pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path
) -> None:
    degrade(pictures, tmp_path, origin="mine", seed=0)
    with pytest.raises(OutputError, match="contains results of `hggt-models degrade`"):
        upscale(weights("rrdb"), pictures, tmp_path)
    with pytest.raises(OutputError, match=r"results made with different input \(see degrade\.json\)"):
        degrade(pictures, tmp_path, origin="other", seed=0)


def test_a_picture_that_has_changed_is_processed_again(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "a.png", folder / "b.png")
    sources, _ = list_pictures(folder)
    degrade(sources, tmp_path / "out", seed=0)
    later = (tmp_path / "out" / "a.png").stat().st_mtime + 10
    write_png(folder / "a.png", np.full((24, 16, 3), 90, np.uint8))
    os.utime(folder / "a.png", (later, later))
    outcome = degrade(sources, tmp_path / "out", seed=0)
    assert (outcome.made, outcome.kept) == (1, 1)
    assert read_pixels(tmp_path / "out" / "a.png").shape == (6, 4, 3)


def test_a_picture_replaced_by_an_older_one_is_processed_again(folder: Path, tmp_path: Path) -> None:
    """As `cp -p`, `rsync -a` and `unzip` do."""
    sources, _ = list_pictures(folder)
    degrade(sources, tmp_path / "out", seed=0)
    time.sleep(0.05)  # the file system's clock ticks
    write_png(tmp_path / "b.png", np.full((24, 16, 3), 90, np.uint8))
    os.utime(tmp_path / "b.png", (1, 1))
    shutil.copy2(tmp_path / "b.png", folder / "a.png")
    assert degrade(sources, tmp_path / "out", seed=0).made == 1
    assert read_pixels(tmp_path / "out" / "a.png").shape == (6, 4, 3)
    assert degrade(sources, tmp_path / "out", seed=0).kept == 1


@pytest.mark.parametrize(
    "touch", [lambda path: path.chmod(0o600), lambda path: path.with_name("link").hardlink_to(path)]
)
def test_a_stale_result_stays_stale_after_chmod_or_a_hard_link(
    folder: Path, tmp_path: Path, touch: Callable[[Path], None]
) -> None:
    """`split`, `merge` and `export` hard-link results."""
    sources, _ = list_pictures(folder)
    degrade(sources, tmp_path / "out", seed=0)
    time.sleep(0.05)  # the file system's clock ticks
    write_png(folder / "a.png", np.full((24, 16, 3), 90, np.uint8))
    time.sleep(0.05)
    touch(tmp_path / "out" / "a.png")
    assert degrade(sources, tmp_path / "out", seed=0).made == 1
    assert degrade(sources, tmp_path / "out", seed=0).kept == 1


def test_an_output_inside_the_input_is_refused(folder: Path, weights: Callable[[str], Path], tmp_path: Path) -> None:
    folder = folder.rename(tmp_path / "original")
    before = files(tmp_path)
    sources, _ = list_pictures(folder)
    with pytest.raises(
        OutputError, match=r"original is inside the folder of the pictures, .*; choose a folder outside"
    ):
        enhance({"01": weights("rcan_no_upsample")}, sources, tmp_path)  # writes original/ too
    with pytest.raises(OutputError, match="results is inside the folder of the pictures"):
        degrade(sources, folder / "results", seed=0)
    assert files(tmp_path) == before


def test_a_tile_is_refused_before_anything_is_written(
    pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(TileError, match="tile 30 is not a multiple of the network's window 4; use 28"):
        enhance({"01": weights("elan")}, pictures, tmp_path / "out", tile=30)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("unet_discriminator_sn", {"num_feat": 4}),
        ("rrdb_pixelshuffle", {"num_block": 1, "num_feat": 8, "num_grow_ch": 4, "num_in_ch": 1, "num_out_ch": 1}),
    ],
)
def test_only_a_network_from_rgb_to_rgb_restores(
    pictures: list[Source], tmp_path: Path, name: str, args: dict[str, Any]
) -> None:
    save_network(build_network(name, **args), tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=f"net.safetensors is a {name}, which returns .* for an RGB picture"):
        upscale(tmp_path / "net.safetensors", pictures, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_any_process_of_a_torchrun_may_be_the_first_to_start(
    pictures: list[Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert degrade(pictures, tmp_path / "new" / "out", seed=0).made == 1
    assert (tmp_path / "new" / "out" / "degrade.json").is_file()


@pytest.mark.usefixtures("no_memory")
def test_unreadable_pictures_are_also_printed_if_the_run_fails(
    pictures: list[Source], weights: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Any:
        raise ImageError("a.png: cut off")

    with pytest.raises(DeviceMemoryError):
        upscale(weights("rrdb"), [Source("a", fail), *pictures], tmp_path, tile=64)
    assert capsys.readouterr().err == "could not be processed: a.png: cut off\n"
