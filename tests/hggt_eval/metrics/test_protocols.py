from pathlib import Path

import pytest

from hggt_data.errors import SettingsError
from hggt_eval.metrics import require_metric
from hggt_eval.metrics.protocols import PROTOCOLS, choose_protocol, find_protocol

MINE = """name = "mine"
border = 2
colour = "y"
[metrics]
psnr = ""
ssim = ""
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_a_file_describes_a_protocol(tmp_path: Path) -> None:
    protocol = find_protocol(_write(tmp_path, MINE))
    assert (protocol.name, protocol.border, protocol.colour, protocol.aggregation) == ("mine", 2, "y", "mean")
    assert protocol.choose(None) == ("psnr", "ssim")
    assert protocol.choose(["ssim"]) == ("ssim",)
    assert find_protocol("osediff") is PROTOCOLS["osediff"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("border", "boarder", "unknown key 'boarder'; did you mean 'border'"),
        ("border = 2", "", "missing border; expected name, border, colour, metrics"),
        ("border = 2", "border = -1", "`border` is -1"),
        ('"y"', '"yuv"', "colour"),
        ('"mine"', '"osediff"', "name 'osediff' is taken"),
        ('psnr = ""\nssim = ""\n', "", "the protocol mine has no metrics"),
        ('psnr = ""', 'psrn = ""', r"mine\.toml: metric 'psrn' is not known; did you mean 'psnr'"),
        ("border = 2", 'border = 2\naggregation = "median"', "mean.*best"),
        ("border = 2", 'border = 2\nsizes = "any"', "equal.*common"),
    ],
)
def test_a_file_with_faults_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as error:
        find_protocol(_write(tmp_path, MINE.replace(old, new)))
    assert len(str(error.value).splitlines()) == 1


def test_metrics_outside_the_protocol_and_other_versions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="protocol hggt does not contain niqe; its metrics are psnr, ssim, lpips"):
        PROTOCOLS["hggt"].choose(["psnr", "niqe"])
    path = _write(tmp_path, MINE.replace('psnr = ""', 'psnr = "0.0"'))
    with pytest.raises(SettingsError, match=r"mine requires numpy 0\.0 for psnr, found"):
        find_protocol(path).choose(None)


def test_what_papers_and_programs_compute() -> None:
    """Origins: the scripts `test_metrics.py` of cswry/OSEDiff, `cal_metrics_ref.py` and `cal_metrics_nonref.py` of
    zsyOAOA/InvSR, and the validation settings of XPixelGroup/BasicSR."""
    of_pyiqa = {"psnr_pyiqa", "ssim_pyiqa", "lpips", "dists", "niqe_pyiqa", "fid_clean", "clipiqa", "musiq"}
    expected = {
        "hggt": (4, "rgb", "equal", {"psnr", "ssim", "lpips", "dists"}),
        "osediff": (0, "y", "equal", of_pyiqa | {"maniqa-pipal"}),
        "invsr": (
            0,
            "y",
            "common",
            of_pyiqa | {"lpips-vgg", "fid_legacy_pytorch", "maniqa", "pi", "tres", "dbcnn"},
        ),
        "basicsr": (4, "rgb", "equal", {"psnr", "ssim", "niqe"}),
    }
    for name, (border, colour, sizes, metrics) in expected.items():
        protocol = PROTOCOLS[name]
        assert (protocol.border, protocol.colour, protocol.sizes, set(protocol.metrics)) == (
            border,
            colour,
            sizes,
            metrics,
        )
        assert protocol.aggregation == "mean"
        for metric in metrics:
            require_metric(metric)


def test_without_ground_truths_the_no_reference_metrics_of_a_protocol_are_chosen() -> None:
    _, metrics = choose_protocol("invsr", None, None, None, with_ground_truths=False)
    assert metrics == ("niqe_pyiqa", "clipiqa", "musiq", "maniqa", "pi", "tres", "dbcnn")
    with pytest.raises(SettingsError, match="all metrics of the protocol hggt compare with ground truths"):
        choose_protocol("hggt", None, None, None, with_ground_truths=False)
    with pytest.raises(SettingsError, match="lpips compares with ground truths, which `no_gt` excludes"):
        choose_protocol("invsr", ["lpips", "musiq"], None, None, with_ground_truths=False)


def test_unknown_protocols_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"'osedif' is neither a known name nor .*; did you mean 'osediff'"):
        find_protocol("osedif")
