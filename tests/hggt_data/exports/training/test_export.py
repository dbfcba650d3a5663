"""Exports of training pairs, read as the documentation of each trainer says, and by its own code if it is installed."""

import json
import sys
import tarfile
import tomllib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml  # type: ignore[import-untyped]
from torch import nn
from torch.utils.data import DataLoader, Dataset

from hggt_data.exports.training.export import TrainingSettings, export_training
from hggt_data.io.images import decode_png, read_pixels
from hggt_data.loading import open_groups
from hggt_data.tree.demo import write_demo_tree
from tests.hggt_data.exports.commands import done, read_table, refused
from tests.hggt_data.kills import FORKED, die_at_rename, died
from tests.hggt_data.trees import contents, write_tree

PAIRED = {"basicsr": "basicsr.yml", "neosr": "neosr.toml", "trainner-redux": "trainner-redux.yml"}
BASICSR = "pip install basicsr lets this test read an export with BasicSR's own code"
WEBDATASET = "pip install webdataset lets this test read an export with WebDataset's own code"


def export(tree: Path, output: Path, **settings: Any) -> Path:
    export_training(tree, output, TrainingSettings(**{"target": "positive", "format": "basicsr", **settings}))
    return output


def read_options(folder: Path, form: str) -> dict[str, Any]:
    text = (folder / PAIRED[form]).read_text("utf-8")
    options: dict[str, Any] = tomllib.loads(text) if form == "neosr" else yaml.safe_load(text)
    return {"scale": options["scale"], **options["datasets"]["train"]}


def basicsr_files(options: dict[str, Any]) -> list[tuple[Path, Path]]:
    """`meta_info_file` names a target a line, up to the first space; its LR has the same name."""
    names = [line.split(" ")[0] for line in Path(options["meta_info_file"]).read_text().splitlines()]
    return [(Path(options["dataroot_lq"], name), Path(options["dataroot_gt"], name)) for name in names]


def folder_files(lq: str, gt: str) -> list[tuple[Path, Path]]:
    """Two folders with the same names and nothing else."""
    pairs = list(zip(*(sorted(Path(folder).iterdir()) for folder in (lq, gt)), strict=True))
    assert all(one.name == other.name for one, other in pairs)
    return pairs


def neosr_files(options: dict[str, Any]) -> list[tuple[Path, Path]]:
    """`meta_info` would have the loader look for another key."""
    assert "meta_info" not in options
    return folder_files(options["dataroot_lq"], options["dataroot_gt"])


def trainner_files(options: dict[str, Any]) -> list[tuple[Path, Path]]:
    """Lists of folders; with `meta_info` the loader would name the paths by single letters."""
    assert "meta_info" not in options
    (lq,), (gt,) = options["dataroot_lq"], options["dataroot_gt"]
    return folder_files(lq, gt)


READERS: dict[str, Callable[[dict[str, Any]], list[tuple[Path, Path]]]] = {
    "basicsr": basicsr_files,
    "neosr": neosr_files,
    "trainner-redux": trainner_files,
}
CROPS = {"basicsr": ("gt_size", 4), "neosr": ("patch_size", 1), "trainner-redux": ("lq_size", 1)}


@pytest.mark.parametrize("form", PAIRED)
def test_a_paired_loader_finds_the_lr_of_each_target(fixtures: Path, tmp_path: Path, form: str) -> None:
    options = read_options(export(fixtures / "Test", tmp_path / "out", format=form, positives="all"), form)
    assert options["type"] == ("paired" if form == "neosr" else "PairedImageDataset")
    read = {gt.name: (lq.read_bytes(), gt.read_bytes()) for lq, gt in READERS[form](options)}
    expected = {
        f"{group.id}_{name}.png": (group.read_bytes("lr"), group.read_bytes(name))
        for group in open_groups(fixtures / "Test")
        for name in group.positives
    }
    assert read == expected != {}
    key, factor = CROPS[form]
    assert options["scale"] == 4
    assert options[key] * 4 == 160 * factor  # a whole picture, as it is smaller than the usual 256


def test_names_that_lists_cannot_hold_are_escaped(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "T", ["my photo.v2-0-0"], lr=True)
    for form in PAIRED:
        options = read_options(export(tree, tmp_path / form, target="original", format=form), form)
        assert [gt.name for _, gt in READERS[form](options)] == ["my%20photo%2Ev2-0-0.png"]
    assert read_table(tmp_path / "basicsr/pairs.csv")[0]["group"] == "my photo.v2-0-0"


def test_lists_of_absolute_paths(fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done("training", fixtures / "Test", "--output", "out", "--target", "positive-negative", "--format", "paths")
    lists = {
        role: [Path(line) for line in (tmp_path / f"out/{role}.txt").read_text().splitlines()]
        for role in ("gt", "lq", "negative")
    }
    assert all(path.is_absolute() and path.is_file() for paths in lists.values() for path in paths)
    assert [path.name for path in lists["gt"]] == [path.name for path in lists["lq"]]
    facts = {line["name"]: line for line in read_table(tmp_path / "out/pairs.csv")}
    assert [path.stem for path in lists["negative"]] == [name for name, line in facts.items() if line["negative"]] != []
    groups = open_groups(fixtures / "Test")
    for path in lists["negative"]:
        assert path.read_bytes() == groups[facts[path.stem]["group"]].read_bytes(facts[path.stem]["negative"])


def test_shards_have_all_pictures_and_facts_of_a_pair_under_one_key(fixtures: Path, tmp_path: Path) -> None:
    settings = {"target": "positive-negative", "format": "webdataset", "pairs_per_shard": 4}
    out = export(fixtures / "Test", tmp_path / "out", **settings)
    samples: dict[str, dict[str, bytes]] = {}
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                file = tar.extractfile(member)
                assert file
                samples.setdefault(key, {})[ending] = file.read()
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["LICENSE.txt", "export.json", "pairs-000000.tar", "pairs-000001.tar"]
    )
    groups = open_groups(fixtures / "Test")
    assert len(samples) == 6
    for key, sample in samples.items():
        facts = json.loads(sample["json"])
        group = groups[facts["group"]]
        assert (facts["name"], facts["image"]) == (key, group.image_name)
        assert sample["gt.png"] == group.read_bytes(facts["gt"])
        assert sample["lq.png"] == group.read_bytes("lr")
        assert sample.get("negative.png") == (group.read_bytes(facts["negative"]) if facts["negative"] else None)
    again = export(fixtures / "Test", tmp_path / "again", **settings)
    assert {k: v for k, v in contents(out).items() if k != "export.json"} == {
        k: v for k, v in contents(again).items() if k != "export.json"
    }


def test_sources_for_trainers_that_degrade_themselves(fixtures: Path, tmp_path: Path) -> None:
    out = export(fixtures / "Train", tmp_path / "out", on_the_fly=True)
    groups = open_groups(fixtures / "Train")
    assert not (out / "lq").exists()
    for line in read_table(out / "pairs.csv"):
        assert (out / f"source/{line['name']}.png").read_bytes() == groups[line["group"]].read_bytes("original")
        assert (out / f"gt/{line['name']}.png").read_bytes() == groups[line["group"]].read_bytes(line["gt"])
    options = read_options(out, "basicsr")
    assert (options["scale"], options["dataroot_lq"]) == (1, str(out / "source"))


def test_pictures_of_a_tree_are_linked_or_copied(fixtures: Path, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "T", ["a-0-0"], lr=True)
    linked = export(tree, tmp_path / "linked", target="original")
    copied = export(tree, tmp_path / "copied", target="original", copy=True)
    for name, path in (("gt", "images/0-9/original"), ("lq", "Blind_LR")):
        assert (linked / name / "a-0-0.png").samefile(tree / path / "a-0-0.png")
        assert not (copied / name / "a-0-0.png").samefile(tree / path / "a-0-0.png")
        assert (copied / name / "a-0-0.png").read_bytes() == (tree / path / "a-0-0.png").read_bytes()


def test_a_dataset_gives_the_pairs_of_its_tree(fixtures: Path, real_dataset: Path, tmp_path: Path) -> None:
    tree = contents(export(fixtures / "Train", tmp_path / "tree", on_the_fly=True))
    done(
        *("training", real_dataset, "--output", tmp_path / "data", "--target", "positive", "--format", "basicsr"),
        "--on-the-fly",
    )
    data = contents(tmp_path / "data")
    pictures = [name for name in tree if "/" in name]
    assert pictures
    assert {name: data[name] for name in [*pictures, "meta_info.txt", "pairs.csv"]} == {
        name: tree[name] for name in [*pictures, "meta_info.txt", "pairs.csv"]
    }
    done(
        *("training", real_dataset, "--split", "test", "--output", tmp_path / "test", "--target", "positive"),
        *("--format", "basicsr"),
    )
    assert set(contents(tmp_path / "test/lq")) == {f"{group.id}.png" for group in open_groups(fixtures / "Test")}


def test_the_terms_of_the_data_go_along(fixtures: Path, tmp_path: Path) -> None:
    arguments = ["training", fixtures / "Test", "--target", "positive", "--format", "webdataset"]
    done(*arguments, "--output", tmp_path / "hggt")
    done(*arguments, "--output", tmp_path / "free", "--license", "cc0-1.0")
    assert "HGGT terms" in (tmp_path / "hggt/LICENSE.txt").read_text()
    assert "cc0-1.0" in (tmp_path / "free/LICENSE.txt").read_text()


def test_outputs_that_are_filled_or_inside_the_source_are_refused(fixtures: Path, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "T", ["a-0-0"], lr=True)
    arguments = ["training", tree, "--target", "original", "--format", "basicsr", "--output"]
    refused("is inside the source", *arguments, tree / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    refused("is not empty", *arguments, tmp_path / "out")


class Paired(Dataset[dict[str, torch.Tensor]]):
    """A paired loader as trainers have one: float32 (3, H, W) of the LR and of the target."""

    def __init__(self, pairs: list[tuple[Path, Path]]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {
            role: torch.from_numpy(read_pixels(path)).permute(2, 0, 1) / 255
            for role, path in zip(("lq", "gt"), self.pairs[index], strict=True)
        }


def test_an_export_of_the_demo_trains_three_steps(tmp_path: Path) -> None:
    options = read_options(export(write_demo_tree(tmp_path / "demo").test, tmp_path / "out"), "basicsr")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 3 * options["scale"] ** 2, 3, padding=1), nn.PixelShuffle(options["scale"]))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for batch in DataLoader(Paired(basicsr_files(options)), batch_size=2):
        loss = nn.functional.l1_loss(network(batch["lq"]), batch["gt"])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert len(losses) == 3
    assert losses[2] < losses[0]


def test_basicsr_itself_reads_an_export(fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.transforms.functional

    renamed = types.ModuleType("torchvision.transforms.functional_tensor")  # basicsr 1.4.2 uses the old name
    vars(renamed)["rgb_to_grayscale"] = torchvision.transforms.functional.rgb_to_grayscale
    monkeypatch.setitem(sys.modules, renamed.__name__, renamed)
    basicsr = pytest.importorskip("basicsr.data", reason=BASICSR)
    options = read_options(export(fixtures / "Test", tmp_path / "out"), "basicsr")
    read = basicsr.build_dataset({**options, "phase": "train"})
    assert len(read) == len(read_table(tmp_path / "out/pairs.csv"))
    assert (read[0]["lq"].shape, read[0]["gt"].shape) == ((3, 40, 40), (3, 160, 160))


def test_webdataset_itself_reads_an_export(fixtures: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason=WEBDATASET)
    out = export(fixtures / "Test", tmp_path / "out", format="webdataset")
    samples = list(webdataset.WebDataset(str(out / "pairs-000000.tar"), shardshuffle=False))
    groups = open_groups(fixtures / "Test")
    assert len(samples) > 0
    for sample in samples:
        group = groups[json.loads(sample["json"])["group"]]
        assert (decode_png(sample["lq.png"]) == group.read("lr")).all()


def export_and_die(step: int, tree: Path, output: Path, settings: TrainingSettings) -> None:
    die_at_rename(step, lambda: export_training(tree, output, settings))


@pytest.mark.parametrize(("form", "copy"), [("basicsr", True), ("webdataset", False)])
def test_a_killed_export_is_resumed(tmp_path: Path, form: Any, copy: bool) -> None:
    FORKED.set_forkserver_preload(["hggt_data.exports.training.export"])
    tree = write_tree(tmp_path / "T", ["a-0-0"], candidates=("01",), size=(34, 32), lr=True)
    settings = TrainingSettings(target="original", format=form, copy=copy, pairs_per_shard=1)
    export_training(tree, tmp_path / "whole", settings)
    whole = {name: data for name, data in contents(tmp_path / "whole").items() if name != "basicsr.yml"}
    step = 0
    while died(export_and_die, step, tree, tmp_path / f"{step}", settings):
        if not (tmp_path / f"{step}").exists():
            export_training(tree, tmp_path / f"{step}", settings)
        files = contents(tmp_path / f"{step}")
        assert whole == {name: data for name, data in files.items() if name != "basicsr.yml"}
        assert not (tmp_path / f".{step}.unfinished").exists()
        step += 1
    assert step > 6


def test_other_settings_start_again(tmp_path: Path) -> None:
    FORKED.set_forkserver_preload(["hggt_data.exports.training.export"])
    tree = write_tree(tmp_path / "T", ["a-0-0", "b-0-0"], lr=True)
    settings = TrainingSettings(target="original", format="basicsr")
    assert died(export_and_die, 5, tree, tmp_path / "out", settings)
    assert contents(tmp_path / ".out.unfinished")
    out = export(tree, tmp_path / "out", target="original", format="webdataset")
    assert sorted(path.name for path in out.iterdir()) == ["LICENSE.txt", "export.json", "pairs-000000.tar"]
