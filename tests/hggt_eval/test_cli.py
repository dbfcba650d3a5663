import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from hggt_data.dataset.build import BuildSettings, build_dataset
from hggt_data.io.images import read_pixels, write_png
from hggt_data.loading import open_groups
from hggt_eval.cli import main
from tests.hggt_eval.conftest import DATA
from tests.hub_client import HubClient
from tests.hub_server import HubServer

BICUBIC = str(DATA / "fixtures/restored/bicubic")
LANCZOS = str(DATA / "fixtures/restored/lanczos")
TREE = str(DATA / "fixtures/Test")
REPORTS = "scores.json, scores.csv, comparison.csv, table.md, table.tex"


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="hggt-eval")


def _succeed(*arguments: str | Path) -> Result:
    result = _run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def _scores(folder: Path) -> Any:
    return json.loads((folder / "scores.json").read_text())


def test_without_an_output_folder_a_table_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = _succeed(
        "--restored", BICUBIC, "--restored", f"sharp={LANCZOS}", "--dataset", TREE, "--metrics", "psnr,ssim"
    )
    assert result.stdout.splitlines() == [
        "method   groups   PSNR ↑  SSIM ↑",
        "bicubic       6  21.3140  0.5706",
        "sharp         6  21.4789  0.5742",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_map_may_lead_out_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(BICUBIC, "elsewhere")
    shutil.copytree(BICUBIC, "lists/net")
    (tmp_path / "elsewhere/link").symlink_to(tmp_path / "lists")
    names = sorted(path.name for path in Path(BICUBIC).glob("*.png"))
    ways = [
        "../elsewhere/{}",
        f"{tmp_path}/elsewhere/{{}}",
        "net/{}",
        f"{tmp_path}/lists/net/{{}}",
        "../elsewhere/link/net/{}",
    ]
    rows = [(name.removesuffix("_bicubic.png"), ways[k % len(ways)].format(name)) for k, name in enumerate(names)]
    Path("lists/files.csv").write_text("id,file\n" + "".join(f"{key},{file}\n" for key, file in rows))
    Path("lists/methods.toml").write_text('[mapped]\nmap = "files.csv"\n')
    _succeed("--methods", "lists/methods.toml", "--dataset", TREE, "--metrics", "psnr", "--output", "scores")
    page = (tmp_path / "scores/report.html").read_text()
    assert page.count('"kind": "restored"') == 2  # the best and the worst group
    _succeed("compare", "scores", "--gallery", "3", "--output", "compared")
    assert (tmp_path / "compared/report.html").read_text().count('"kind": "restored"') == 6
    _succeed("figure", "scores", "--crop", f"{rows[0][0]}:0,0,16", "--output", "zoom.png")


def test_every_output_file_is_written(tmp_path: Path, random_weights: Path) -> None:
    large = DATA / "fixtures/TestLarge"
    output = tmp_path / "deep" / "scores"
    result = _succeed(
        *("--restored", large / "restored/bicubic", "--restored", large / "restored/lanczos"),
        *("--gts", large / "GT/images", "--labels", large / "GT/labels", "--metrics", "psnr,ssim,lpips"),
        *("--weights-dir", random_weights, "--output", output, "--y-channel", "--device", "cpu"),
    )
    content = _scores(output)
    settings = content["settings"]
    assert (settings["colour"], settings["device"], len(settings["labels_sha256"])) == ("y", "cpu", 64)
    assert list(settings["weights_sha256"]) == ["alexnet_features.pth"]
    assert settings["restored"]["bicubic"] == str(large / "restored/bicubic")
    assert content["methods"][1]["groups"][0]["file"] == "coffee-0-120_lanczos.png"
    assert sorted(path.name for path in (output / "lanczos").iterdir()) == ["lpips.txt", "psnr_ssim.txt"]
    note = "so not comparable with published scores: LPIPS (alexnet_features.pth)"
    assert note in result.stdout
    for name in ("table.md", "table.tex", "report.html"):
        assert note.replace("_", r"\_" if name == "table.md" else "_") in (output / name).read_text()


def test_a_dataset_here_and_on_the_hub_is_scored_like_its_tree(
    hub: HubServer, member: HubClient, tmp_path: Path
) -> None:
    built = member.folder / "hggt"
    build_dataset(BuildSettings((), built, test_tree=DATA / "fixtures/Test", workers=1))
    assert member.hggt_data("push", "hggt", "lab/hggt", "--yes", "--tag", "v1.0", "--workers", "1").exit_code == 0
    commit = hub.repo("lab/hggt").find_commit("main").sha
    hub.push("lab/hggt", {"manifest.json": None})
    scored = ("--restored", BICUBIC, "--metrics", "psnr,ssim")
    result = _succeed(*scored, "--dataset", TREE, "--output", tmp_path / "tree")
    _succeed(*scored, "--dataset", built, "--output", tmp_path / "built")
    outcome = member.hggt_eval(*scored, "--dataset", "lab/hggt", "--revision", "v1.0", "--output", tmp_path / "hub")
    assert outcome.exit_code == 0, outcome.err
    assert outcome.out.splitlines()[:2] == result.stdout.splitlines()[:2]
    tree, *others = (_scores(tmp_path / name) for name in ("tree", "built", "hub"))
    for other, source in zip(others, (str(built), f"lab/hggt@{commit}"), strict=True):
        assert other["methods"] == tree["methods"]
        assert other["settings"]["labels_sha256"] == tree["settings"]["labels_sha256"]
        assert (other["settings"]["source"], other["settings"]["split"]) == (source, "test")
    assert tree["settings"]["split"] is None
    # Somebody else's scores must not make a command ask the Hub: their pictures come from the cache.
    asked, figure = (
        len(hub.requests),
        ("figure", tmp_path / "hub", "--crop", "chelsea-22-159:0,0,16", "--output", "z.png"),
    )
    assert member.hggt_eval(*figure).exit_code == 0
    outcome = member.having(HF_HUB_CACHE=str(tmp_path / "empty")).hggt_eval(*figure)
    assert f"lab/hggt, commit {commit}, is not completely in the Hub's cache" in outcome.err
    assert len(hub.requests) == asked
    outcome = member.hggt_eval(*scored, "--dataset", "lab/hggt")
    assert outcome.exit_code == 1
    assert outcome.err.startswith("Error: lab/hggt is not a local folder. On the Hub: lab/hggt has no manifest.json")


def test_without_weights_the_other_metrics_are_scored(tmp_path: Path) -> None:
    result = _succeed("--restored", BICUBIC, "--dataset", TREE, "--output", tmp_path)
    warnings = [line for line in result.stderr.splitlines() if line.startswith("Warning: ")]
    assert [line.split()[1] for line in warnings] == ["LPIPS", "DISTS"]
    assert "Metrics left out, as their weights or packages are not available: LPIPS, DISTS" in result.stdout
    content = _scores(tmp_path)
    assert content["settings"]["metrics"] == ["psnr", "ssim"]
    assert "alexnet-owt-7be5be79.pth" in warnings[0]
    assert torch.hub.get_dir() in warnings[0]
    assert content["settings"]["skipped_metrics"] == {
        "lpips": "weights of alexnet are not available",
        "dists": "weights of vgg16 are not available",
    }
    assert [path.name for path in (tmp_path / "bicubic").iterdir()] == ["psnr_ssim.txt"]


def test_damaged_weights_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "alexnet_features.pth").write_bytes(b"no weights")
    result = _run("--restored", BICUBIC, "--dataset", TREE, "--weights-dir", tmp_path, "--metrics", "psnr,lpips")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path}/alexnet_features.pth: cannot be read as weights")
    assert len(result.stderr.splitlines()) == 1


def test_read_only_output_fails_before_scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # root may write everywhere
    arguments = ("--restored", BICUBIC, "--dataset", TREE, "--metrics", "psnr", "--border", "1000")
    result = _run(*arguments, "--output", tmp_path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"Error: {tmp_path}: cannot be created or written to: Permission denied\n"


def test_faults_are_an_error_without_traceback_and_can_be_allowed(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BICUBIC, tmp_path / "net"))
    (folder / "rocket-214-329_bicubic.png").unlink()
    arguments = ("--restored", folder, "--dataset", TREE, "--metrics", "psnr")
    result = _run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the restored images do not match the groups:\nnet: groups without")
    result = _succeed(*arguments, "--allow-missing", "--output", tmp_path / "scores")
    for text in (
        result.stdout,
        (tmp_path / "scores/scores.json").read_text(),
        (tmp_path / "scores/scores.csv").read_text(),
    ):
        assert "rocket-214-329: no restored image" in text


def test_a_methods_file_and_folders_can_be_combined(tmp_path: Path) -> None:
    methods = tmp_path / "methods.toml"
    methods.write_text(f'[lz]\ndir = "{LANCZOS}"\npattern = "{{id}}_lanczos.png"\n')
    result = _run("--restored", BICUBIC, "--methods", methods, "--dataset", TREE, "--metrics", "psnr")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["method", "bicubic", "lz"]
    result = _run("--restored", f"LZ={BICUBIC}", "--methods", methods, "--dataset", TREE, "--metrics", "psnr")
    assert result.exit_code == 1
    assert "'lz' differs from 'LZ' only in case" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", TREE], "nothing to score; pass --restored or --methods"),
        (["--restored", BICUBIC], "no ground truths; pass one of --dataset, --gts and --labels, --gt, --no-gt"),
        (["--restored", BICUBIC, "--dataset", TREE, "--metrics", "snr"], "did you mean 'psnr'?"),
        (["--restored", BICUBIC, "--dataset", TREE, "--metrics", ","], "no metric is given"),
        (
            ["--restored", BICUBIC, "--dataset", "nowhere"],
            "'nowhere' is neither a folder or zip file nor a name on the Hub",
        ),
        (["--methods", "nowhere.toml", "--dataset", TREE], "'nowhere.toml' does not exist"),
        (["--restored", BICUBIC, "--dataset", TREE, "--border", "-1"], "-1 is not in the range x>=0"),
        (["--restored", BICUBIC, "--dataset", TREE, "--decimals", "psnr"], "'psnr'; expected a number from 0 to 10"),
        (["--restored", BICUBIC, "--dataset", TREE, "--metrics", "gmsd", "--device", "tpu9"], "tpu9 cannot be used"),
        (["--restored", BICUBIC, "--dataset", TREE, "--split", "train"], "has no split 'train'; it has test"),
        (["--restored", BICUBIC, "--dataset", TREE, "--baseline", "x"], "--baseline is 'x'; expected one of bicubic"),
        (["figure", TREE, "--crop", "rocket-0-0:0,0,9", "--output", "z.xyz"], "--output is z.xyz; expected a name"),
    ],
)
def test_contradictions_are_usage_errors(arguments: list[str], message: str) -> None:
    result = _run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--restored", "nowhere", "--dataset", TREE], "no such folder of restored images: nowhere"),
        (["--restored", f"a/b={BICUBIC}", "--dataset", TREE], "cannot be the name of a report folder"),
        (["--restored", BICUBIC, "--restored", BICUBIC, "--dataset", TREE], "two methods have the name 'bicubic'"),
        (["--restored", BICUBIC, "--dataset", TREE, "--suffix", "x9"], "groups without a restored image: 6 of 6"),
        (["--restored", BICUBIC, "--dataset", TREE, "--metrics", "multi_scale_ssim"], "needs 161 x 161 pixels"),
        (["--restored", BICUBIC, "--dataset", TREE, "--output", f"{__file__}/x"], "cannot be created"),
        (["compare", TREE], "scores.json does not exist; expected a folder that hggt-eval has written scores to"),
    ],
)
def test_impossible_requests_are_errors(arguments: list[str], message: str) -> None:
    result = _run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr


def test_an_output_inside_the_data_is_refused(tmp_path: Path) -> None:
    shutil.copytree(TREE, tmp_path / "Test")
    (tmp_path / "built").mkdir()
    (tmp_path / "built/manifest.json").write_text("{}")
    for option, folder in (("--output", "Test/scores"), ("--cache", "Test/scores"), ("--output", "built")):
        result = _run("--restored", BICUBIC, "--dataset", tmp_path / "Test", option, tmp_path / folder)
        assert result.exit_code == 2
        assert f"{option} {tmp_path}/{folder} is inside" in " ".join(result.output.split())
    assert not (tmp_path / "Test/scores").exists()
    assert [path.name for path in (tmp_path / "built").iterdir()] == ["manifest.json"]


def test_label_measures_are_printed_and_written(tmp_path: Path) -> None:
    options = ["--restored", BICUBIC, "--dataset", TREE, "--metrics", "psnr,ssim"]
    plain = _run(*options)
    result = _succeed(*options, "--label-measures", "--output", tmp_path)
    assert result.stdout.startswith(plain.stdout.rstrip("\n"))
    written = f"{REPORTS}, report.html and the official text files of each method"
    assert result.stdout.splitlines()[-1] == f"Written to {tmp_path}: {written}."
    assert "positives of 3 votes" in result.stdout
    assert "positive margin" not in result.stdout  # neither metric is a distance
    for name in ("table.md", "report.html"):
        assert "By label" in (tmp_path / name).read_text()
    method = _scores(tmp_path)["methods"][0]
    best = [max(scores["psnr"] for scores in group["positives"].values()) for group in method["groups"]]
    measures = method["label_measures"]
    assert measures["best_of_positives"]["psnr"]["mean"] == pytest.approx(sum(best) / len(best))
    with_negatives = [group for group in method["groups"] if "negatives" in group]
    assert measures["distance_to_negatives"]["psnr"]["num_groups"] == len(with_negatives) > 0
    rows = [line for line in (tmp_path / "scores.csv").read_text().splitlines() if line.endswith(",negative")]
    assert len(rows) == sum(len(group["negatives"]) for group in with_negatives)


def test_exchanged_red_and_blue_are_reported(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    for path in Path(BICUBIC).glob("*.png"):
        write_png(folder / path.name, np.ascontiguousarray(read_pixels(path)[..., ::-1]))
    result = _succeed("--restored", folder, "--dataset", TREE, "--metrics", "psnr", "--output", tmp_path / "scores")
    assert "net: red and blue appear to be swapped in 6 of 6 images" in result.stdout
    method = _scores(tmp_path / "scores")["methods"][0]
    assert method["num_swapped"] == 6


def test_images_of_a_single_colour_are_noted(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BICUBIC, tmp_path / "net"))
    path = sorted(folder.iterdir())[0]
    write_png(path, np.full_like(read_pixels(path), (9, 8, 7)))
    arguments = ("--dataset", TREE, "--metrics", "psnr")
    result = _succeed("--restored", folder, *arguments, "--output", tmp_path / "scores")
    note = f"net: nothing but a single colour in 1 of 6 images: {path.name}"
    assert note in result.stdout
    assert note in _succeed("compare", tmp_path / "scores").stdout


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of scores for each of two methods."""
    folder = tmp_path_factory.mktemp("scored")
    for name, place in (("bicubic", BICUBIC), ("lanczos", LANCZOS)):
        result = _run("--restored", place, "--dataset", TREE, "--metrics", "psnr,ssim", "--output", folder / name)
        assert result.exit_code == 0, result.output
    return folder


def test_score_is_the_default_command() -> None:
    options = ("--restored", BICUBIC, "--dataset", TREE, "--metrics", "psnr")
    assert _run("score", *options).stdout == _run(*options).stdout
    assert "compare" in _run("--help").stdout
    assert "Did you mean one of: 'agree', 'compare', 'score'?" in _run("comparee").stderr
    assert "--restored" in _run("score", "--help").stdout


def test_comparing_scores_equals_scoring_together(scored: Path, tmp_path: Path) -> None:
    together = _run(
        *("--restored", BICUBIC, "--restored", LANCZOS, "--dataset", TREE, "--metrics", "psnr,ssim"),
        *("--baseline", "bicubic", "--decimals", "3,ssim=2", "--output", tmp_path / "together"),
    )
    compared = _run(
        *("compare", scored / "bicubic", scored / "lanczos/scores.json", "--baseline", "bicubic"),
        *("--decimals", "3,ssim=2", "--output", tmp_path / "compared"),
    )
    assert compared.exit_code == 0, compared.output
    assert together.stdout.replace("together", "compared") == compared.stdout
    files = sorted(path.name for path in (tmp_path / "together").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "compared").iterdir())
    for name in ("scores.json", "table.md", "comparison.csv", "report.html", "lanczos/psnr_ssim.txt"):
        assert (tmp_path / "together" / name).read_text() == (tmp_path / "compared" / name).read_text(), name
    assert "| bicubic | 21.314" in (tmp_path / "compared/table.md").read_text()


def test_scores_are_not_overwritten_by_a_comparison_with_others(scored: Path) -> None:
    before = (scored / "bicubic/scores.json").read_bytes()
    result = _run("compare", scored / "bicubic", scored / "lanczos/scores.json", "--output", scored / "bicubic")
    assert result.exit_code == 2
    assert "contains scores that are compared" in " ".join(result.stderr.split())
    assert (scored / "bicubic/scores.json").read_bytes() == before
    alone = _run("compare", scored / "bicubic", "--output", scored / "bicubic", "--decimals", "1")
    assert alone.exit_code == 0, alone.output


def test_a_figure_is_drawn_from_scores(scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crop = "rocket-214-329:10,20,40"
    monkeypatch.chdir(tmp_path)
    shutil.copytree(scored / "bicubic", tmp_path / "scores")
    assert _run("figure", "--crop", crop, "--methods", "bicubic", "--output", "zoom.png").exit_code == 0
    assert Image.open("zoom.png").size[0] > 1000
    result = _run(
        *("figure", scored / "bicubic", "--crop", crop, "--metrics", "psnr", "--output", tmp_path / "zoom.pdf")
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "zoom.pdf").read_bytes().startswith(b"%PDF")
    result = _run("figure", scored / "bicubic", "--crop", "ro/cket:1,2,3", "--output", tmp_path / "zoom.png")
    assert result.exit_code == 2
    assert "'--crop': 'ro/cket:1,2,3': 'ro/cket' is not a group id" in result.stderr


def test_another_run_does_not_overwrite_scores(tmp_path: Path) -> None:
    options = ("--dataset", TREE, "--metrics", "psnr", "--gallery", "0", "--output", tmp_path / "scores")
    assert _run("--restored", BICUBIC, *options).exit_code == 0
    before = (tmp_path / "scores/scores.json").read_bytes()
    result = _run("--restored", LANCZOS, *options)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {tmp_path}/scores contains scores that would be lost: bicubic. Choose another folder for --output, or "
        "move them away\n"
    )
    assert (tmp_path / "scores/scores.json").read_bytes() == before
    assert _run("--restored", BICUBIC, "--restored", LANCZOS, *options).exit_code == 0


def test_scores_are_kept_even_if_a_picture_of_the_gallery_is_damaged(tmp_path: Path) -> None:
    """A candidate that is not Positive is only read for the report."""
    tree = Path(shutil.copytree(TREE, tmp_path / "Test"))
    group = next(g for g in open_groups(tree) if len(g.positives) < len(g.candidates))
    similar = next(name for name in group.candidates if name not in group.positives)
    [path] = tree.rglob(f"{group.id}_{similar}.png")
    path.write_bytes(path.read_bytes()[:200])
    options = ("--restored", BICUBIC, "--dataset", tree, "--metrics", "psnr", "--output", tmp_path / "scores")
    result = _run(*options, "--gallery", "6")
    assert result.exit_code == 1
    assert "bicubic       6  21.3140" in result.stdout
    assert result.stderr.startswith(f"Error: all scores are in {tmp_path}/scores, but report.html is missing: {path}: ")
    assert _scores(tmp_path / "scores")["methods"][0]["num_groups"] == 6
    assert "pass --no-pictures to make it without them" in result.stderr
    again = _run(*options, "--gallery", "6", "--no-pictures", "--plain")
    assert again.exit_code == 0, again.output
    assert "Resuming: 6 images were scored before" in again.stderr
    texts = {name: (tmp_path / "scores" / name).read_text() for name in ("report.html", "table.md", "table.tex")}
    assert "data:image" not in texts["report.html"]
    assert r"\hline" in texts["table.tex"]
    assert r"\toprule" not in texts["table.tex"]
    licence = "Licence of the pictures: HGGT terms: non-commercial academic research, no redistribution."
    assert [name for name, text in texts.items() if licence not in text] == []


@pytest.mark.parametrize("stream", ["latin-1", "full"])
def test_scores_are_kept_even_if_the_table_cannot_be_printed(tmp_path: Path, stream: str) -> None:
    """Because a log in Latin-1 has no arrows, or the disk is full."""
    command = [sys.executable, "-m", "hggt_eval", "--restored", BICUBIC, "--dataset", TREE, "--metrics", "psnr"]
    with open("/dev/full" if stream == "full" else tmp_path / "log", "wb") as log:
        done = subprocess.run(
            [*command, "--gallery", "0", "--output", str(tmp_path / "scores")],
            env={**os.environ, "PYTHONIOENCODING": "latin-1"},
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (tmp_path / "scores/report.html").exists()
    assert "Traceback" not in done.stderr
    if stream == "latin-1":
        assert r"PSNR \u2191" in (tmp_path / "log").read_text("latin-1")
