import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import DatasetError, HubError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.images import Pixels, decode_png, encode_png, read_pixels
from hggt_data.licence import HGGT_LICENSE_NAME
from hggt_data.loading import open_groups
from hggt_models.config.recipes import load_config
from hggt_models.config.train import TrainConfig
from hggt_models.data import checks as heads
from hggt_models.data import training_data
from hggt_models.data.training_data import ResumeState, TrainingData, open_training_data
from tests.hggt_data.trees import write_bytes
from tests.hggt_models.data.coded import cut_of, picture_of, write_groups, write_pictures
from tests.hggt_models.data.conftest import LABELS

IDS = list(LABELS)


def config(target: str, *more: str) -> TrainConfig:
    """Of small squares without turns."""
    recipe = {"picture": "rrdb-psnr"}.get(target, f"rrdb-gan-{target.replace('_', '-')}")
    return load_config(recipe, ["source_px=8", "crop_px=8", "loss.perceptual=0", "flip=false", *more])


def open_groups_of(source: Path, target: str = "original", *more: str) -> TrainingData:
    return open_training_data(str(source), config(target, *more))


def open_pictures(folder: Path, *more: str) -> TrainingData:
    return open_training_data(str(folder), config("picture", *more))


def codes_of(opened: TrainingData, epochs: int = 1) -> list[int]:
    """The codes of the first picture of each sample."""
    numbers = range(epochs * len(opened.samples))
    return [cut_of(opened.samples[number]["pictures"][0]).code for number in numbers]


# Groups


@pytest.mark.parametrize("target", ["original", "positive", "positive_negative"])
@pytest.mark.parametrize("seed", range(6))
def test_no_patch_of_a_held_out_picture_is_among_the_samples(tree: Path, target: str, seed: int) -> None:
    opened = open_groups_of(tree, target, f"seed={seed}")
    (image,) = opened.identity["held_out"]
    held = [one.name for one in opened.held_out]
    assert held == [name for name in IDS if name.startswith(f"{image}-")]
    learned = {IDS[picture_of(code)[0]] for code in codes_of(opened)}
    assert not {name.split("-")[0] for name in learned} & {image}
    serving = {"original": "PNS", "positive": "P", "positive_negative": "PN"}[target]
    assert learned == {name for name in IDS if set(LABELS[name]) & set(serving)} - set(held)
    assert len(opened.samples) == len(learned) == opened.identity["num_used"]


def test_every_source_picture_is_held_out_by_some_seed(tree: Path) -> None:
    found = {open_groups_of(tree, "original", f"seed={seed}").identity["held_out"][0] for seed in range(30)}
    assert found == {"p0", "p1", "p2", "p3"}


def test_what_is_held_out_does_not_depend_on_the_target_or_the_run(tree: Path, built: Path) -> None:
    found = {
        tuple(open_groups_of(source, target, *more).identity["held_out"])
        for source in (tree, built)
        for target in ("original", "positive", "positive_negative")
        for more in ((), ("learning_rate=1", "validation.images=1", "batch_size=3"))
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    ("known", "setting", "expected"),
    [
        (1, "validation.pictures=8", 0),
        (2, "validation.pictures=8", 1),
        (19, "validation.pictures=8", 1),
        (20, "validation.pictures=8", 2),
        (79, "validation.pictures=8", 7),
        (80, "validation.pictures=8", 8),
        (1600, "validation.pictures=8", 8),
        (1600, "validation.pictures=3", 3),
        (1600, "validation.pictures=1600", 160),
        (1600, "validation.pictures=0", 0),
        (1600, "validation.every=0", 8),
        (0, "validation.pictures=8", 0),
    ],
)
def test_as_many_source_pictures_are_held_out_as_asked_for_but_a_tenth_at_most(
    known: int, setting: str, expected: int
) -> None:
    images = [f"{number:04d}" for number in range(known) for _ in range(3)]
    random.Random(0).shuffle(images)
    held = training_data._hold_out(images, config("original", setting))
    assert len(held) == expected
    assert held <= set(images)
    assert held == training_data._hold_out(sorted(images), config("original", setting))


@given(st.integers(0, 300), st.integers(1, 70))
def test_validation_takes_so_many_patches_from_all_over(count: int, wanted: int) -> None:
    chosen = training_data._spread(range(count), config("original", f"validation.images={wanted}"))
    assert len(chosen) == min(count, wanted)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(count))
    steps = np.diff(chosen)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1


@pytest.mark.parametrize("target", ["original", "positive", "positive_negative"])
def test_the_lr_is_made_of_the_original_and_compared_with_the_positives(tree: Path, target: str) -> None:
    compared = {}
    for seed in range(20):
        for one in open_groups_of(tree, target, f"seed={seed}").held_out:
            pixels = read_pixels(tree / f"images/0-9/original/{one.name}.png")
            np.testing.assert_array_equal(one.source(), pixels)
            codes = [int(read()[0, 0, 2]) for read in one.references]
            group = IDS.index(one.name)
            assert {picture_of(code)[0] for code in codes} == {group}
            assert all(read().shape == pixels.shape for read in one.references)
            compared[one.name] = [picture_of(code)[1] for code in codes]
    positives = {
        name: [f"{k:02d}" for k, letter in enumerate(letters, start=1) if letter == "P"] or ["original"]
        for name, letters in LABELS.items()
    }
    assert compared == ({name: ["original"] for name in IDS} if target == "original" else positives)


def test_few_patches_of_many_are_validated_and_the_rest_is_not_learned_from(tmp_path: Path) -> None:
    labels = {f"q{k}-{8 * n}-0": "P" for k in range(3) for n in range(5)}
    tree = write_groups(tmp_path / "Train", labels, size=(8, 8))
    opened = open_groups_of(tree, "positive", "validation.images=2")
    (image,) = opened.identity["held_out"]
    assert [one.name for one in opened.held_out] == [f"{image}-0-0", f"{image}-16-0"]
    assert len(opened.samples) == 10


@pytest.mark.parametrize("setting", ["validation.pictures=0"])
def test_without_validation_everything_is_learned_from(tree: Path, setting: str) -> None:
    opened = open_groups_of(tree, "original", setting)
    assert (len(opened.samples), list(opened.held_out), opened.identity["held_out"]) == (6, [], [])
    assert opened.description == "6 of 6 groups serve the target 'original'; nothing held out, no validation"


def test_one_source_picture_is_not_held_out(tmp_path: Path) -> None:
    tree = write_groups(tmp_path / "Train", {"only-0-0": "P", "only-0-8": "P"})
    opened = open_groups_of(tree, "positive")
    assert (len(opened.samples), len(opened.held_out)) == (2, 0)
    assert "nothing held out, no validation" in opened.description


def test_a_tree_and_its_dataset_are_the_same_data(tree: Path, built: Path) -> None:
    ours, theirs = (open_groups_of(source, "positive_negative") for source in (tree, built))
    assert ours.identity == theirs.identity
    assert ours.revision == theirs.revision == ours.identity["labels_sha256"][:12]
    assert ours.description == theirs.description
    assert (ours.license, theirs.license) == (HGGT_LICENSE_NAME, "cc0-1.0")
    assert (ours.source, theirs.source) == (str(tree), str(built))
    assert codes_of(ours, 3) == codes_of(theirs, 3)
    assert ours.identity["labels_sha256"] == open_groups(tree).labels_sha256()
    assert ours.identity["num_groups"] == 6


def test_other_labels_are_other_data(tree: Path, tmp_path: Path) -> None:
    other = write_groups(tmp_path / "Train", {**LABELS, "p0-0-96": "PSSP"})
    assert open_groups_of(other).identity != open_groups_of(tree).identity


def test_another_target_or_seed_is_other_data(tree: Path) -> None:
    found = [open_groups_of(tree, target, "seed=0").identity for target in ("original", "positive")]
    assert found[0] != found[1]


@pytest.mark.parametrize("source", ["tree", "built"])
def test_opening_decodes_nothing(source: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def record(png: bytes) -> Pixels:
        decoded.append(png)
        return decode_png(png)

    monkeypatch.setattr("hggt_data.loading.decode_png", record)
    open_groups_of(request.getfixturevalue(source), "positive")
    assert decoded == []


def test_a_test_set_is_refused_for_its_low_resolution_pictures(fixtures: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(fixtures / "Test", tmp_path / "mine"))
    with pytest.raises(DatasetError, match=r"mine has low-resolution pictures, so it is a test set; pass the trai"):
        open_groups_of(source)


def test_a_test_set_is_refused_though_its_first_group_has_no_lr(
    lr_of_some: GroupSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hggt_models.data.training_data.open_groups", lambda *_, **__: lr_of_some)
    with pytest.raises(DatasetError, match="has low-resolution pictures, so it is a test set"):
        open_groups_of(Path("mine"))


@pytest.mark.parametrize("folder", ["Test", "Test/GT/Test-mini"])
def test_a_test_set_is_refused_for_its_official_names(fixtures: Path, folder: str) -> None:
    with pytest.raises(DatasetError, match=f"{folder} is a test set, as its folder name says; pass the"):
        open_groups_of(fixtures / folder)


def test_a_dataset_of_a_test_set_alone_is_refused(fixtures: Path, tmp_path: Path) -> None:
    built = tmp_path / "hggt"
    build_dataset(BuildSettings(trees=(), test_tree=fixtures / "Test", output=built, license="cc0-1.0", workers=1))
    with pytest.raises(DatasetError, match=r"hggt has no split 'train'; it has test"):
        open_groups_of(built)


def test_of_a_dataset_with_both_splits_the_training_split_is_taken(tmp_path: Path, tree: Path, fixtures: Path) -> None:
    built = tmp_path / "hggt"
    build_dataset(
        BuildSettings(
            trees=(tree,), test_tree=fixtures / "Test", output=built, license="cc0-1.0", allow_overlap=True, workers=1
        )
    )
    assert open_groups_of(built).identity == open_groups_of(tree).identity


@pytest.mark.parametrize(
    ("target", "letters"), [("positive", "SSNN"), ("positive_negative", "SSSS"), ("positive", "SSSS")]
)
def test_data_without_what_the_target_learns_from_is_refused(tmp_path: Path, target: str, letters: str) -> None:
    tree = write_groups(tmp_path / "Train", {"a-0-0": letters, "b-0-0": letters})
    with pytest.raises(
        TreeError,
        match=rf"Train: of 2 groups, none has what the target '{target}' learns from \(1 source picture held out\)",
    ):
        open_groups_of(tree, target)
    assert len(open_groups_of(tree, "original").samples) == 1


def test_labels_of_one_person_are_no_labels(tmp_path: Path) -> None:
    tree = write_groups(tmp_path / "Train", {"a-0-0": "PPPP", "b-0-0": "PPPP"}, annotators=1)
    with pytest.raises(TreeError, match=r"none has what the target 'positive' learns from .* is it labelled\?"):
        open_groups_of(tree, "positive")


def test_groups_that_are_too_small_are_told_at_once(tree: Path) -> None:
    with pytest.raises(TreeError, match=r"^6 of 6 groups cannot be used: 6 smaller than source_px 24 \(.*: 24 x 20 px"):
        open_groups_of(tree, "original", "source_px=24")


def test_groups_of_a_dataset_that_are_too_small_are_told_at_once(built: Path) -> None:
    with pytest.raises(TreeError, match=r"smaller than source_px 24 \(.*: picture original of p0-0-0: 24 x 20 px"):
        open_groups_of(built, "original", "source_px=24")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("nothing/here/at/all", TreeError, "nothing/here/at/all"),
        ("lab/hggt", HubError, "lab/hggt is not a local folder"),
    ],
)
def test_data_that_is_not_there_is_named(
    source: str, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        open_training_data(source, config("original"))


def test_a_revision_is_for_the_hub(tree: Path) -> None:
    with pytest.raises(DatasetError, match="has no revisions"):
        open_training_data(str(tree), config("original"), "v1")
    with pytest.raises(TreeError, match="learns from a folder of pictures, and this is none here"):
        open_training_data(str(tree), config("picture"), "v1")


def test_a_folder_of_pictures_is_no_tree(tmp_path: Path) -> None:
    with pytest.raises(TreeError):
        open_groups_of(write_pictures(tmp_path / "HR", ["a.png"]))


# Pictures


SUB_IMAGES = [
    f"{image}{version}_s{number:03d}.png"
    for image in ("0001", "0002", "0003")
    for version in ("", "T0", "T1", "T12")
    for number in (1, 2)
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("arrangement", ["{name}", "HR/{name}", "{version}/{name}"])
def test_no_sub_image_of_a_held_out_picture_is_among_the_samples(tmp_path: Path, seed: int, arrangement: str) -> None:
    # The last arrangement has the smaller versions in a folder of their own.
    names = [arrangement.format(name=name, version="multiscale" if "T" in name else "HR") for name in SUB_IMAGES]
    folder = write_pictures(tmp_path / "DF2K", names, (8, 8))
    opened = open_pictures(folder, f"seed={seed}")
    (image,) = opened.identity["held_out"]
    learned = [names[code] for code in codes_of(opened)]
    assert sorted(learned) == sorted(name for name in names if image not in name)
    assert len(learned) == 16
    held = [name for name in names if image in name]
    assert sorted(one.name for one in opened.held_out) == sorted(
        name.removesuffix(".png").replace("/", "-") for name in held
    )
    for one in opened.held_out:
        assert names[int(one.source()[0, 0, 2])] in held
        (reference,) = one.references
        np.testing.assert_array_equal(reference(), one.source())


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("0001_s001.png", "0001"),
        ("0001T0_s001.png", "0001"),
        ("0001T12_s1234.png", "0001"),
        ("0001.png", "0001"),
        ("0001T.png", "0001T"),
        ("sunset_s.png", "sunset_s"),
        ("my_s001_s002.png", "my_s001"),
        ("my.photo_s001.png", "my.photo"),
        ("deep/er/0001T3_s007.png", "0001"),
        ("été_s001.png", "été"),
    ],
)
def test_the_source_picture_of_a_name(tmp_path: Path, name: str, image: str) -> None:
    folder = write_pictures(tmp_path / "HR", [name, f"{image}_s999.png", "zzz.png"], (8, 8))
    found = {open_pictures(folder, f"seed={seed}").identity["held_out"][0] for seed in range(12)}
    assert found == {image, "zzz"}


def test_what_is_held_out_is_the_same_each_time(tmp_path: Path) -> None:
    names = [f"{number:04d}.png" for number in range(40)]
    one = write_pictures(tmp_path / "one", names, (8, 8))
    other = write_pictures(tmp_path / "other", names[::-1], (8, 8))
    opened = [open_pictures(folder) for folder in (one, other, one)]
    assert opened[0].identity == opened[1].identity == opened[2].identity
    assert len(opened[0].identity["held_out"]) == 4
    assert codes_of(opened[0], 2) == codes_of(opened[2], 2)
    assert open_pictures(one, "seed=1").identity["held_out"] != opened[0].identity["held_out"]


def test_pictures_are_looked_for_in_all_folders_and_other_files_left_alone(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "b/c.PNG", "b/d/e.png", "b/f.png"], (8, 8))
    for name in ("subimages.json", "readme.txt", "b/Thumbs.db", "b/._a.png", ".DS_Store", "b/notes.png.txt"):
        write_bytes(folder / name, b"no picture")
    (folder / "empty").mkdir()
    Image.new("RGB", (9, 8)).save(folder / "photo.jpg")
    Image.new("L", (8, 9)).save(folder / "grey.webp", lossless=True)
    opened = open_pictures(folder, "validation.pictures=0")
    assert len(opened.samples) == 6
    assert opened.identity["num_pictures"] == opened.identity["num_used"] == 6
    assert opened.description == "6 of 6 pictures to learn from; nothing held out, no validation"
    assert [opened.samples[number]["pictures"].shape for number in range(6)] == [(1, 3, 8, 8)] * 6


def test_links_to_folders_are_followed_but_never_in_a_circle(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "deep/b.png"], (8, 8))
    other = write_pictures(tmp_path / "other", ["c.png"], (8, 8))
    (folder / "linked").symlink_to(other)
    (folder / "deep/back").symlink_to(folder / "deep")
    (other / "back").symlink_to(other)
    opened = open_pictures(folder, "validation.pictures=0")
    assert opened.identity["num_pictures"] == len(opened.samples) == 3


def test_a_tree_or_a_dataset_is_no_folder_of_pictures(tree: Path, built: Path) -> None:
    for source in (tree, built):
        with pytest.raises(TreeError, match=r"whose candidates are no targets of their own; .* its images/original"):
            open_pictures(source)
    opened = open_pictures(tree / "images/0-9/original")
    assert opened.identity["num_pictures"] == 6


def test_pictures_have_no_known_licence_and_a_digest_of_their_names(tmp_path: Path) -> None:
    one = open_pictures(write_pictures(tmp_path / "one", ["a.png", "b.png"]))
    other = open_pictures(write_pictures(tmp_path / "other", ["a.png", "c.png"]))
    assert one.license is None
    assert one.revision == one.identity["names_and_sizes_sha256"][:12] != other.revision
    assert one.source == str(tmp_path / "one")


@pytest.mark.parametrize("inside", [[], ["readme.txt"], ["deep/readme.txt"]])
def test_a_folder_without_pictures_is_refused(tmp_path: Path, inside: list[str]) -> None:
    (tmp_path / "HR").mkdir()
    for name in inside:
        write_bytes(tmp_path / "HR" / name, b"text")
    with pytest.raises(TreeError, match=r"HR: no pictures; expected \.png, \.jpg"):
        open_pictures(tmp_path / "HR")


@pytest.mark.parametrize("source", ["nothing", "a.png", "lab/pictures"])
def test_what_is_no_folder_of_pictures_is_refused(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path, ["a.png"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TreeError, match=f"^{source}: the target 'picture' learns from a folder of pictures, and this"):
        open_training_data(source, config("picture"))


@pytest.mark.parametrize("seed", range(4))
def test_pictures_that_are_too_small_are_found_at_once_held_out_or_not(tmp_path: Path, seed: int) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "b.png", "c.png"], (8, 8))
    write_pictures(folder, ["d/low.png"], (7, 30))
    write_pictures(folder, ["e.png"], (30, 7))
    with pytest.raises(TreeError) as caught:
        open_pictures(folder, f"seed={seed}")
    assert str(caught.value) == (
        f"2 of 5 pictures cannot be used: 2 smaller than source_px 8 ({folder}/d/low.png: 7 x 30 px, {folder}/e.png: "
        "30 x 7 px). Leave them out, or mend or convert them; for small ones --set source_px=N"
    )


def test_pictures_that_cannot_be_read_are_found_at_once(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "b.png", "c.png"], (8, 8))
    write_bytes(folder / "aa.jpg", b"no picture")
    (folder / "ab.png").symlink_to(tmp_path / "nowhere.png")
    write_bytes(folder / "ac.png", b"")
    with pytest.raises(TreeError, match=r"^3 of 6 pictures cannot be used: .*aa\.jpg: its head cannot be read"):
        open_pictures(folder)


def test_pictures_that_would_lose_something_are_found_at_once_by_kind(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "b.png", "small.png"], (8, 8))
    write_pictures(folder, ["small.png"], (7, 8))
    deep = np.full((8, 8), 40_000, np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    Image.fromarray(deep).save(folder / "deep.tif")
    Image.new("CMYK", (8, 8)).save(folder / "print.jpg")
    Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(folder / "clear.webp", lossless=True)
    Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(folder / "clear.png")
    for name in ("opaque.png", "opaque.webp"):
        Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(folder / name, lossless=True)
    for mode in ("L", "P", "1"):
        Image.new(mode, (8, 8)).save(folder / f"fine-{mode}.png")
    with pytest.raises(TreeError) as caught:
        open_pictures(folder)
    assert str(caught.value).startswith("6 of 13 pictures cannot be used: 5 not readable as 8-bit RGB (")
    assert f"; 1 smaller than source_px 8 ({folder}/small.png: 7 x 8 px). Leave them out" in str(caught.value)
    for name in ("deep.png", "deep.tif", "print.jpg", "clear.webp", "clear.png", "small.png"):
        (folder / name).unlink()
    opened = open_pictures(folder, "validation.pictures=0")
    assert len([opened.samples[number] for number in range(7)]) == 7


def test_twenty_thousand_pictures_are_looked_at_in_seconds(tmp_path: Path) -> None:
    png = encode_png(np.zeros((8, 8, 3), np.uint8))
    folder = tmp_path / "HR"
    folder.mkdir()
    for number in range(20_000):
        (folder / f"{number}.png").write_bytes(png)
    started = time.process_time()
    open_pictures(folder)
    assert time.process_time() - started < 30


def test_pictures_of_a_tree_that_do_not_fit_are_found_at_once_by_kind(tmp_path: Path) -> None:
    tree = write_groups(tmp_path / "Train", {f"p{k}-0-0": "PN" for k in range(6)})
    images = tree / "images/0-9"

    def replace(name: str, picture: Image.Image) -> None:
        picture.save(images / name)

    replace("01/p0-0-0_01.png", Image.new("RGB", (20, 23)))
    replace("02/p1-0-0_02.png", Image.new("RGB", (19, 24)))
    replace("original/p2-0-0.png", Image.new("L", (20, 24)))
    replace("original/p3-0-0.png", Image.new("RGB", (7, 24)))
    (images / "01/p4-0-0_01.png").write_bytes(b"no picture")
    with pytest.raises(TreeError) as caught:
        open_groups_of(tree, "positive_negative", "validation.pictures=0")
    text = str(caught.value)
    assert text.startswith("5 of 6 groups cannot be used: 2 not of their original's size (")
    assert f"{images}/01/p0-0-0_01.png: 23 x 20 px, not 24 x 20, " in text
    assert f"2 not readable as 8-bit RGB ({images}/original/p2-0-0.png: 8-bit grey, " in text
    assert f"1 smaller than source_px 8 ({images}/original/p3-0-0.png: 24 x 7 px)" in text
    with pytest.raises(TreeError, match="4 of 6 groups"):  # the negative of one is not looked at
        open_groups_of(tree, "positive", "validation.pictures=0")


# Going on


def resume_state_of(opened: TrainingData) -> ResumeState:
    return ResumeState(opened.identity, opened.names)


def test_where_pictures_are_missing_all_others_keep_their_turns(tmp_path: Path) -> None:
    names = [f"{number:02d}.png" for number in range(20)]
    folder = write_pictures(tmp_path / "HR", names, (8, 8))
    before = open_pictures(folder)
    turns = codes_of(before, 3)
    learned = [code for code, name in enumerate(names) if before.names[name]]
    assert len(learned) == 18
    for code in (learned[4], learned[5], learned[-1]):
        (folder / names[code]).unlink()
    after = open_training_data(str(folder), config("picture"), resumed=resume_state_of(before))
    assert (after.identity, after.revision, after.names) == (before.identity, before.revision, before.names)
    assert (before.num_missing, after.num_missing, after.noun) == (0, 3, "picture")
    assert [one.name for one in after.held_out] == [one.name for one in before.held_out]
    instead = {learned[4]: learned[6], learned[5]: learned[6], learned[-1]: learned[0]}
    assert codes_of(after, 3) == [instead.get(code, code) for code in turns]


def test_a_held_out_picture_that_is_missing_changes_no_turn(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "HR", [f"{number:02d}.png" for number in range(20)], (8, 8))
    before = open_pictures(folder)
    turns = codes_of(before, 2)
    (folder / f"{before.held_out[0].name}.png").unlink()
    after = open_training_data(str(folder), config("picture"), resumed=resume_state_of(before))
    assert (after.num_missing, len(after.held_out)) == (1, len(before.held_out) - 1)
    assert codes_of(after, 2) == turns


@pytest.mark.parametrize("target", ["original", "positive", "positive_negative"])
def test_groups_may_be_missing_but_not_change(tree: Path, tmp_path: Path, target: str) -> None:
    before = open_groups_of(tree, target, "validation.pictures=0")
    fewer = write_groups(tmp_path / "fewer", {name: letters for name, letters in LABELS.items() if name != "p1-9-0"})
    settings = config(target, "validation.pictures=0")
    after = open_training_data(str(fewer), settings, resumed=resume_state_of(before))
    assert (after.identity, after.revision, after.num_missing) == (before.identity, before.revision, 1)
    assert len(after.samples) == len(before.samples)
    changed = write_groups(tmp_path / "changed", {"p0-0-0": "NNNN", "p3-0-0": LABELS["p3-0-0"]})
    other = open_training_data(str(changed), settings, resumed=resume_state_of(before))
    assert (other.num_missing, other.identity["num_groups"]) == (0, 2)


def test_more_pictures_or_others_are_no_part_of_what_was_there(tmp_path: Path) -> None:
    before = open_pictures(write_pictures(tmp_path / "HR", ["a.png", "b.png", "c.png"], (8, 8)))
    held_out = f"{before.held_out[0].name}.png"
    for names in (["a.png", "b.png", "c.png", "d.png"], ["x.png", "y.png"], [held_out]):
        folder = write_pictures(tmp_path / names[-1], names, (8, 8))
        opened = open_training_data(str(folder), config("picture"), resumed=resume_state_of(before))
        assert opened.identity["names_and_sizes_sha256"] != before.identity["names_and_sizes_sha256"]
        assert opened.num_missing == 0


def test_other_pictures_of_the_same_names_are_other_data(tmp_path: Path) -> None:
    """Crops of one picture have the same names whatever their size."""
    one, other = (
        open_pictures(write_pictures(tmp_path / str(side), ["a_s001.png", "b_s001.png"], (side, side)))
        for side in (8, 12)
    )
    assert one.identity != other.identity


def test_a_large_picture_is_not_decoded_to_be_found_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "b.png"], (8, 8))
    refused: list[Path] = []
    monkeypatch.setattr(heads, "read_picture", refused.append)
    monkeypatch.setattr("hggt_models.data.picture_dataset.read_picture", refused.append)
    assert len(open_pictures(folder).samples) == 1
    assert not refused


def test_a_name_that_is_no_text_is_a_name(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "b.png"], (8, 8))
    shutil.copy(folder / "a.png", folder / os.fsdecode(b"caf\xe9.png"))
    opened = open_pictures(folder)
    for name in (*opened.identity["held_out"], *(one.name for one in opened.held_out), opened.revision):
        name.encode()
    assert len(opened.samples) == 2
