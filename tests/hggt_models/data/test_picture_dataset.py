import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from hggt_data.errors import ImageError
from hggt_models.data.picture_dataset import PictureDataset
from tests.hggt_models.data.coded import coded, cut_of, write_pictures
from tests.hggt_models.training.runs import assert_same


def dataset(paths: list[Path], source_px: int = 8, seed: int = 0, turns: bool = True) -> PictureDataset:
    return PictureDataset(paths, source_px=source_px, flip=turns, rotate=turns, seed=seed)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    names = [f"{number}.png" for number in range(7)]
    folder = write_pictures(tmp_path, names)
    return [folder / name for name in names]


def test_a_sample_is_a_square_of_its_picture(paths: list[Path]) -> None:
    samples = dataset(paths)
    assert len(samples) == 7
    for epoch in range(4):
        numbers = range(7 * epoch, 7 * epoch + 7)
        cuts = [cut_of(samples[number]["pictures"][0]) for number in numbers]
        assert sorted(cut.code for cut in cuts) == list(range(7))
        assert [samples[number]["number"].item() for number in numbers] == list(numbers)


def test_samples_can_be_stacked(paths: list[Path]) -> None:
    batch = default_collate([dataset(paths)[number] for number in range(3)])
    assert batch.keys() == {"number", "pictures"}
    assert batch["pictures"].shape == (3, 1, 3, 8, 8)
    assert batch["pictures"].dtype == torch.uint8


def test_a_sample_depends_on_its_number_and_not_on_the_process(paths: list[Path]) -> None:
    samples = dataset(paths)
    sent = pickle.loads(pickle.dumps(samples))
    for number in (20, 3, 11, 3):
        assert_same(sent[number], samples[number])
    assert any(not torch.equal(dataset(paths, seed=1)[k]["pictures"], samples[k]["pictures"]) for k in range(7))


def test_pictures_of_all_kinds_become_rgb(tmp_path: Path) -> None:
    pixels = np.full((8, 9, 3), 100, np.uint8)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", quality=100)
    Image.fromarray(pixels).save(tmp_path / "photo.bmp")
    samples = dataset(sorted(tmp_path.iterdir()))
    for number in range(3):
        assert (samples[number]["pictures"].int() - 100).abs().max() <= 1


def test_a_picture_is_rotated_by_its_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(coded(5, (8, 8))).save(tmp_path / "turned.png", exif=exif)
    cut = cut_of(dataset([tmp_path / "turned.png"], turns=False)[0]["pictures"][0])
    assert (cut.mirrored, cut.upended, cut.quarter) == (True, True, False)


def test_a_picture_with_a_fault_is_named(tmp_path: Path) -> None:
    small = write_pictures(tmp_path, ["small.png"], (7, 30)) / "small.png"
    with pytest.raises(
        ImageError, match=r"small\.png: 7 x 30 pixels, less than source_px 8; remove it, or set source_px to"
    ):
        dataset([small])[0]
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(small.read_bytes()[:-30])
    with pytest.raises(ImageError, match=r"damaged\.png: "):
        dataset([damaged])[0]
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        dataset([tmp_path / "gone.png"])[0]
