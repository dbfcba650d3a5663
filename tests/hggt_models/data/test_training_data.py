import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.errors import DatasetError, HubError, SettingsError, TreeError
from hggt_data.groups import GroupSource
from hggt_data.io.images import encode_png, read_pixels
from hggt_data.io.names import look
from hggt_data.licence import HGGT_LICENSE_NAME
from hggt_data.loading import open_groups
from hggt_data.schema import PatchId
from hggt_models.config.recipes import load_config
from hggt_models.config.train import TrainConfig
from hggt_models.data import training_data
from hggt_models.data.group_dataset import GroupDataset
from hggt_models.data.training_data import ResumeState, TrainingData, open_training_data
from hggt_models.data.training_groups import require_training_set
from tests.hggt_data import sriqa_tree, table_tree
from tests.hggt_data.trees import noise, with_chunk, write_bytes, zip_folder
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
def test_no_patch_of_a_held_out_picture_is_among_the_samples(tree: Path, target: str) -> None:
    opened = open_groups_of(tree, target)
    (image,) = opened.identity["held_out"]
    held = [one.name for one in opened.held_out]
    assert held == [name for name in IDS if name.startswith(f"{image}-")]
    learned = {IDS[picture_of(code)[0]] for code in codes_of(opened)}
    assert not {name.split("-")[0] for name in learned} & {image}
    serving = {"original": "PNS", "positive": "P", "positive_negative": "PN"}[target]
    assert learned == {name for name in IDS if set(LABELS[name]) & set(serving)} - set(held)
    assert len(opened.samples) == len(learned) == opened.identity["num_used"]


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
        (79, "validation.pictures=8", 7),
        (1600, "validation.pictures=8", 8),
        (1600, "validation.every=0", 8),
    ],
)
def test_the_requested_number_of_source_pictures_is_held_out_but_at_most_a_tenth(
    known: int, setting: str, expected: int
) -> None:
    images = [f"{number:04d}" for number in range(known) for _ in range(3)]
    random.Random(0).shuffle(images)
    held = training_data._hold_out(images, config("original", setting))
    assert len(held) == expected
    assert held <= set(images)
    assert held == training_data._hold_out(sorted(images), config("original", setting))


@given(st.integers(0, 300), st.integers(1, 70))
def test_validated_patches_are_evenly_spaced(count: int, wanted: int) -> None:
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


def test_without_validation_the_run_learns_from_everything(tree: Path) -> None:
    opened = open_groups_of(tree, "original", "validation.pictures=0")
    assert (len(opened.samples), list(opened.held_out), opened.identity["held_out"]) == (6, [], [])
    assert opened.description == "learning from 6 of 6 groups (original); nothing held out, no validation"


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


def test_another_target_and_other_labels_are_other_data(tree: Path, tmp_path: Path) -> None:
    other = write_groups(tmp_path / "Train", {**LABELS, "p0-0-96": "PSSP"})
    identities = [open_groups_of(tree).identity, open_groups_of(tree, "positive").identity]
    assert open_groups_of(other).identity not in identities
    assert identities[0] != identities[1]


def test_a_test_set_is_refused_for_its_low_resolution_pictures(fixtures: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(fixtures / "Test", tmp_path / "mine"))
    with pytest.raises(DatasetError, match=r"mine has low-resolution images, so it is a test set; pass the trai"):
        open_groups_of(source)


def test_a_test_set_is_refused_even_if_its_first_group_has_no_lr(lr_of_some: GroupSource) -> None:
    with pytest.raises(DatasetError, match="has low-resolution images, so it is a test set"):
        require_training_set(lr_of_some, "mine", [lr_of_some.split])


@pytest.mark.parametrize("folder", ["Test", "Test/GT/Test-mini"])
def test_a_test_set_is_refused_for_its_official_names(fixtures: Path, folder: str) -> None:
    with pytest.raises(DatasetError, match=f"{folder} is a test set, as its folder name says; pass the"):
        open_groups_of(fixtures / folder)


def test_a_zipped_test_set_is_refused_for_its_name(fixtures: Path, tmp_path: Path) -> None:
    path = zip_folder(fixtures / "Test" / "GT" / "Test-mini", tmp_path / "Test.zip")
    with pytest.raises(DatasetError, match=r"Test\.zip is a test set, as its folder name says; pass the"):
        open_groups_of(path)


def test_the_training_split_of_a_dataset_is_used(tmp_path: Path, tree: Path, fixtures: Path) -> None:
    built = tmp_path / "hggt"
    build_dataset(
        BuildSettings(
            trees=(tree,), test_tree=fixtures / "Test", output=built, license="cc0-1.0", allow_overlap=True, workers=1
        )
    )
    assert open_groups_of(built).identity == open_groups_of(tree).identity


@pytest.mark.parametrize(
    ("target", "letters", "annotators"),
    [("positive", "SSNN", 3), ("positive_negative", "SSSS", 3), ("positive", "PPPP", 1)],
)
def test_data_without_the_labels_of_the_target_is_refused(
    tmp_path: Path, target: str, letters: str, annotators: int
) -> None:
    tree = write_groups(tmp_path / "Train", {"a-0-0": letters, "b-0-0": letters}, annotators=annotators)
    with pytest.raises(
        TreeError,
        match=rf"Train: none of 2 groups has the labels that the target '{target}' requires \(1 source picture held",
    ):
        open_groups_of(tree, target)
    assert len(open_groups_of(tree, "original").samples) == 1


def test_groups_that_are_too_small_are_reported(tree: Path, built: Path) -> None:
    with pytest.raises(TreeError, match=r"^6 of 6 groups cannot be used: 6 smaller than source_px 24 \(.*: 24 x 20 px"):
        open_groups_of(tree, "original", "source_px=24")
    with pytest.raises(TreeError, match=r"smaller than source_px 24 \(.*: picture original of p0-0-0: 24 x 20 px"):
        open_groups_of(built, "original", "source_px=24")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("nothing/here/at/all", TreeError, "nothing/here/at/all"),
        ("lab/hggt", HubError, "lab/hggt is not a local folder"),
    ],
)
def test_missing_data_is_named(
    source: str, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        open_training_data(source, config("original"))


def test_a_revision_is_for_the_hub(tree: Path) -> None:
    with pytest.raises(SettingsError, match="has no revisions"):
        open_training_data(str(tree), config("original"), "v1")
    with pytest.raises(TreeError, match="is not a folder; the target 'picture' requires a folder of pictures"):
        open_training_data(str(tree / "no"), config("picture"))


# Pictures


SUB_IMAGES = [
    f"{image}{version}_s{number:03d}.png"
    for image in ("0001", "0002", "0003")
    for version in ("", "T0", "T1", "T12")
    for number in (1, 2)
]


@pytest.mark.parametrize("arrangement", ["{name}", "HR/{name}", "{version}/{name}"])
def test_no_sub_image_of_a_held_out_picture_is_among_the_samples(tmp_path: Path, arrangement: str) -> None:
    # The last arrangement has the smaller versions in a folder of their own.
    names = [arrangement.format(name=name, version="multiscale" if "T" in name else "HR") for name in SUB_IMAGES]
    folder = write_pictures(tmp_path / "DF2K", names, (8, 8))
    opened = open_pictures(folder)
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


VERSIONS = ("0001-0-0", "0001-16-96", "0001", "0001T0", "0001T0_s001", "0001x4", "0001_s002-0-8", "LR/0001x4m")


@pytest.mark.parametrize(
    "names",
    [
        [name.replace("0001", image) for image in ("a", "b", "c-7") for name in VERSIONS],
        [
            f"{folder}/{image}{end}"
            for image in "abc"
            for folder, end in (("original", ""), ("01", "_01"), ("02", "_02"))
        ],
        ["a\u00e9-0-0", "ae\u0301-8-8", "A\u00c9T0", "b", "B_s001", "c-1-1", "C-2-2"],
    ],
)
def test_no_version_or_patch_of_a_held_out_picture_is_among_the_samples(tmp_path: Path, names: list[str]) -> None:
    names = [f"{name}.png" for name in names]
    folder = write_pictures(tmp_path / "HR", names, (8, 8))
    for seed in range(6):
        opened = open_pictures(folder, f"seed={seed}")
        learned = {look(names[code].rpartition("/")[2])[0] for code in codes_of(opened)}
        (image,) = opened.identity["held_out"]
        assert learned == {"a", "b", "c"} - {look(image)[0]}


def test_the_originals_of_a_tree_are_held_out_by_source_picture(tree: Path) -> None:
    (folder,) = (tree / "images").glob("*/original")
    opened = open_pictures(folder)
    (image,) = opened.identity["held_out"]
    assert image in {PatchId.parse(name).image for name in IDS}
    assert {PatchId.parse(one.name).image for one in opened.held_out} == {image}
    assert not any(name.startswith(f"{image}-") for name, is_used in opened.names.items() if is_used)


def test_a_picture_that_is_most_of_the_data_is_not_held_out(tmp_path: Path) -> None:
    names = [*(f"scene-{k}-{k}.png" for k in range(8)), "b.png", "c.png"]  # perhaps eight pictures
    folder = write_pictures(tmp_path / "HR", names, (8, 8))
    assert {open_pictures(folder, f"seed={seed}").identity["held_out"][0] for seed in range(12)} == {"b", "c"}
    for name in ("b.png", "c.png"):
        (folder / name).unlink()
    opened = open_pictures(folder)
    assert opened.description.endswith("nothing held out, no validation: all are of one source picture, 'scene'")


def test_pictures_are_found_in_all_folders_and_other_files_are_ignored(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "b/c.PNG", "b/d/e.png", "b/f.png"], (8, 8))
    for name in ("subimages.json", "readme.txt", "b/Thumbs.db", "b/._a.png", ".DS_Store", "b/notes.png.txt"):
        write_bytes(folder / name, b"no picture")
    (folder / "empty").mkdir()
    Image.new("RGB", (9, 8)).save(folder / "photo.jpg")
    Image.new("L", (8, 9)).save(folder / "grey.webp", lossless=True)
    opened = open_pictures(folder, "validation.pictures=0")
    assert len(opened.samples) == 6
    assert opened.identity["num_pictures"] == opened.identity["num_used"] == 6
    assert opened.description == "learning from 6 of 6 pictures; nothing held out, no validation"
    assert [opened.samples[number]["pictures"].shape for number in range(6)] == [(1, 3, 8, 8)] * 6


def test_links_to_folders_are_followed_but_never_in_a_circle(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "deep/b.png"], (8, 8))
    other = write_pictures(tmp_path / "other", ["c.png"], (8, 8))
    (folder / "linked").symlink_to(other)
    (folder / "deep/back").symlink_to(folder / "deep")
    (other / "back").symlink_to(other)
    opened = open_pictures(folder, "validation.pictures=0")
    assert opened.identity["num_pictures"] == len(opened.samples) == 3


def test_a_tree_or_a_dataset_is_not_a_folder_of_pictures(tree: Path, built: Path) -> None:
    for source in (tree, built):
        with pytest.raises(TreeError, match=r"is a tree or a dataset; .* its images/original"):
            open_pictures(source)
    opened = open_pictures(tree / "images/0-9/original")
    assert opened.identity["num_pictures"] == 6


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    write_bytes(tmp_path / "HR/deep/readme.txt", b"text")
    with pytest.raises(TreeError, match=r"HR contains no pictures; expected \.png, \.jpg"):
        open_pictures(tmp_path / "HR")


@pytest.mark.parametrize("seed", range(2))
def test_pictures_that_are_too_small_are_found_before_training(tmp_path: Path, seed: int) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "b.png", "c.png"], (8, 8))
    write_pictures(folder, ["d/low.png"], (7, 30))
    write_pictures(folder, ["e.png"], (30, 7))
    with pytest.raises(TreeError) as caught:
        open_pictures(folder, f"seed={seed}")
    assert str(caught.value) == (
        f"2 of 5 pictures cannot be used: 2 smaller than source_px 8 ({folder}/d/low.png: 7 x 30 px, {folder}/e.png: "
        "30 x 7 px). Remove, repair or convert them; if they are too small, set a smaller source_px"
    )


def test_pictures_that_cannot_be_read_without_loss_are_reported_by_kind(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "b.png", "small.png"], (8, 8))
    write_pictures(folder, ["small.png"], (7, 8))
    deep = np.full((8, 8), 40_000, np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    Image.fromarray(deep).save(folder / "deep.tif")
    Image.new("CMYK", (8, 8)).save(folder / "print.jpg")
    Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(folder / "clear.webp", lossless=True)
    write_bytes(folder / "empty.png", b"")
    (folder / "link.png").symlink_to(tmp_path / "nowhere.png")
    for name in ("opaque.png", "opaque.webp"):  # WebP does not store an opaque channel
        Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(folder / name, lossless=True)
    for mode in ("L", "P", "1"):
        Image.new(mode, (8, 8)).save(folder / f"fine-{mode}.png")
    with pytest.raises(TreeError) as caught:
        open_pictures(folder)
    assert str(caught.value).startswith("7 of 14 pictures cannot be used: 6 not readable as 8-bit RGB (")
    assert f"; 1 smaller than source_px 8 ({folder}/small.png: 7 x 8 px). Remove, repair or convert them" in str(
        caught.value
    )
    for name in ("deep.png", "deep.tif", "print.jpg", "clear.webp", "empty.png", "link.png", "small.png"):
        (folder / name).unlink()
    opened = open_pictures(folder, "validation.pictures=0")
    assert opened.notes == ["Dropped an opaque alpha or extra channel of 1 picture: opaque.png"]
    assert len([opened.samples[number] for number in range(7)]) == 7


def test_unusable_pictures_of_a_tree_are_reported_by_kind(tmp_path: Path) -> None:
    tree = write_groups(tmp_path / "Train", {f"p{k}-0-0": "PN" for k in range(6)})
    images = tree / "images/0-9"

    def replace(name: str, picture: Image.Image) -> None:
        picture.save(images / name)

    replace("01/p0-0-0_01.png", Image.new("RGB", (20, 23)))
    replace("02/p1-0-0_02.png", Image.new("RGB", (19, 24)))
    replace("original/p2-0-0.png", Image.new("L", (20, 24)))
    replace("original/p3-0-0.png", Image.new("RGB", (7, 24)))
    clear = encode_png(noise((24, 20), "clear"))
    clear = with_chunk(with_chunk(clear, b"tRNS", bytes(6)), b"tEXt", b"Comment\0any text")
    (images / "01/p5-0-0_01.png").write_bytes(clear)
    (images / "01/p4-0-0_01.png").write_bytes(b"no picture")
    with pytest.raises(TreeError) as caught:
        open_groups_of(tree, "positive_negative", "validation.pictures=0")
    text = str(caught.value)
    assert text.startswith("6 of 6 groups cannot be used: 2 that differ in size from their original (")
    assert f"{images}/01/p0-0-0_01.png: 23 x 20 px, not 24 x 20, " in text
    assert f"3 not readable as 8-bit RGB ({images}/original/p2-0-0.png: 8-bit grey, " in text
    assert f"{images}/01/p5-0-0_01.png: 8-bit RGB with a transparent colour)" in text
    assert f"1 smaller than source_px 8 ({images}/original/p3-0-0.png: 24 x 7 px)" in text
    with pytest.raises(TreeError, match="5 of 6 groups"):  # the negative of one is not looked at
        open_groups_of(tree, "positive", "validation.pictures=0")


# Resuming


def resume_state_of(opened: TrainingData) -> ResumeState:
    return ResumeState(opened.identity, opened.names)


def test_if_pictures_are_missing_the_order_of_the_others_stays(tmp_path: Path) -> None:
    names = [f"{number:02d}.png" for number in range(20)]
    folder = write_pictures(tmp_path / "HR", names, (8, 8))
    before = open_pictures(folder)
    turns = codes_of(before, 3)
    learned = [code for code, name in enumerate(names) if before.names[name]]
    assert len(learned) == 18
    held_out = before.held_out[0].name
    (folder / f"{held_out}.png").unlink()
    for code in (learned[4], learned[5], learned[-1]):
        (folder / names[code]).unlink()
    after = open_training_data(str(folder), config("picture"), resumed=resume_state_of(before))
    assert (after.identity, after.revision, after.names) == (before.identity, before.revision, before.names)
    assert (before.num_missing, after.num_missing, after.noun) == (0, 4, "picture")
    assert [one.name for one in after.held_out] == [one.name for one in before.held_out[1:]]
    instead = {learned[4]: learned[6], learned[5]: learned[6], learned[-1]: learned[0]}
    assert codes_of(after, 3) == [instead.get(code, code) for code in turns]


@pytest.mark.parametrize("target", ["original", "positive_negative"])
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


def test_samples_keep_their_size_if_the_group_with_most_positives_is_missing(tree: Path, tmp_path: Path) -> None:
    settings = config("positive", "validation.pictures=0", "positives=nearest")
    before = open_training_data(str(tree), settings)
    fewer = write_groups(
        tmp_path / "fewer", {name: letters for name, letters in LABELS.items() if "PPP" not in letters}
    )
    after = open_training_data(str(fewer), settings, resumed=resume_state_of(before))
    assert after.num_missing == 1
    for opened in (before, after):
        assert opened.samples[0]["pictures"].shape[0] == 4
        assert opened.samples[0]["has_target"].shape == (3,)


def test_more_or_other_pictures_are_other_data(tmp_path: Path) -> None:
    before = open_pictures(write_pictures(tmp_path / "HR", ["a.png", "b.png", "c.png"], (8, 8)))
    held_out = f"{before.held_out[0].name}.png"
    for names in (["a.png", "b.png", "c.png", "d.png"], ["x.png", "y.png"], [held_out]):
        folder = write_pictures(tmp_path / names[-1], names, (8, 8))
        opened = open_training_data(str(folder), config("picture"), resumed=resume_state_of(before))
        assert opened.identity["names_and_sizes_sha256"] != before.identity["names_and_sizes_sha256"]
        assert opened.num_missing == 0


def test_a_file_name_may_be_invalid_utf8(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "HR", ["a.png", "b.png"], (8, 8))
    shutil.copy(folder / "a.png", folder / os.fsdecode(b"caf\xe9.png"))
    opened = open_pictures(folder)
    for name in (*opened.identity["held_out"], *(one.name for one in opened.held_out), opened.revision):
        name.encode()
    assert len(opened.samples) == 2


PAIRS = "group,first,second,preferred\na,sharp,soft,first\nb,sharp,soft,tie\n"
LABELLED = "group,candidate,annotator,label\n" + "".join(
    f"{group},sharp,{name},Positive\n" for group in "ab" for name in ("ann", "bob")
)


def write_table(root: Path, votes: str, versions: tuple[str, ...]) -> Path:
    """Write a table of votes on two groups with these versions."""
    table_tree.write_pictures(root, dict.fromkeys("ab", versions))
    (root / "votes.csv").write_text(votes)
    return root


def test_a_table_of_labels_is_learnt_from(tmp_path: Path) -> None:
    opened = open_groups_of(write_table(tmp_path, LABELLED, ("original", "sharp")), "positive")
    assert (len(opened.samples), len(opened.held_out)) == (1, 1)


SCORES = "group,candidate,score\na,sharp,3\nb,sharp,4\n"
CHOICES = "group,shown,preferred\na,sharp;soft,sharp\nb,sharp;soft,soft\n"
BY_MODELS = LABELLED.replace("label\n", "label,annotator_kind\n", 1).replace("Positive", "Positive,model")
THREE = ("original", "sharp", "soft")


def write_sriqa(root: Path) -> Path:
    """Votes on pairs, with scores."""
    return sriqa_tree.write_sriqa_tree(root / "T", contents=("x1",), slots="A")


def table(votes: str, versions: tuple[str, ...] = THREE, groups: str = "") -> Callable[[Path], Path]:
    """Write a table of votes, and `groups.csv`."""

    def write(root: Path) -> Path:
        if groups:
            write_bytes(root / "T/groups.csv", groups.encode())
        return write_table(root / "T", votes, versions)

    return write


@pytest.mark.parametrize("is_built", [False, True])
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            write_sriqa,
            r"T has no label votes, only votes on pairs and scores \(layout sriqa\); training requires label",
        ),
        (table(PAIRS), r"T has no label votes, only votes on pairs \(layout table\); training requires"),
        (table(CHOICES), r"T has no label votes, only choices \(layout table\); training requires"),
        (table(SCORES), r"T has no label votes, only scores \(layout table\); training requires"),
        (table(BY_MODELS), "T has no label votes by people; training requires them"),
        (table(LABELLED, ("sharp",)), r"T: 2 groups without an original \(a, b\); training makes the low-resolution"),
        (
            table(LABELLED, groups="group,split\na,test\nb,test\n"),
            "T has no split 'train', only test; pass the training",
        ),
    ],
)
def test_data_that_cannot_train_is_refused_for_its_true_reason(
    write: Callable[[Path], Path], message: str, is_built: bool, tmp_path: Path
) -> None:
    tree = write(tmp_path)
    if is_built:
        tree = tree.rename(tmp_path / "tree")
        build_dataset(BuildSettings([tree], tmp_path / "T", license="cc0-1.0", workers=1))
        tree = tmp_path / "T"
    for refused in (lambda: open_groups_of(tree), lambda: GroupDataset(tree, "original", source_px=8)):
        with pytest.raises(DatasetError, match=message) as caught:
            refused()
        assert "\n" not in str(caught.value)
