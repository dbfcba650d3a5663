import socket
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from hggt_data.errors import WeightsError
from hggt_eval.metrics import backbones
from hggt_eval.metrics.backbones import (
    BACKBONES,
    DamagedWeightsError,
    empty_network,
    load_convolutions,
)


def cache() -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def alexnet_features(random_weights: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(random_weights / "alexnet_features.pth", weights_only=True)
    return state


def test_published_weights_are_recognised(random_weights: Path, real_weights: Path) -> None:
    for name in ("alexnet", "vgg16"):
        assert load_convolutions(name, real_weights).are_torchvisions
        assert not load_convolutions(name, random_weights).are_torchvisions


def test_the_classifier_in_the_file_of_torchvision_is_ignored(
    random_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    torch.save({**alexnet_features(random_weights), "classifier.1.weight": torch.zeros(2, 2)}, path)
    monkeypatch.setattr(backbones, "sha256_of_file", lambda _: "7be5be79" + "0" * 56)
    found = load_convolutions("alexnet", tmp_path)
    assert found.path == path
    assert "classifier.1.weight" not in found.weights


def test_the_cache_of_torch_is_searched_after_the_folder(random_weights: Path, tmp_path: Path) -> None:
    cached = cache() / "alexnet_features.pth"
    torch.save(alexnet_features(random_weights), cached)
    assert load_convolutions("alexnet").path == cached
    assert load_convolutions("alexnet", tmp_path).path == cached
    assert load_convolutions("alexnet", random_weights).path.parent == random_weights


def test_missing_weights_are_a_one_line_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as error:
        load_convolutions("vgg16", tmp_path)
    text = str(error.value)
    assert "\n" not in text
    expected = ("vgg16-397923af.pth", "vgg16_features.pth", str(tmp_path), torch.hub.get_dir(), "`weights_dir`")
    assert all(part in text for part in expected)
    assert BACKBONES["vgg16"].url in text


def test_a_download_has_a_timeout_and_a_hash(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def download(url: str, destination: str, hash_prefix: str, progress: bool) -> None:
        seen.extend((url, hash_prefix, socket.getdefaulttimeout()))
        torch.save(alexnet_features(random_weights), destination)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(backbones, "sha256_of_file", lambda _: "7be5be79" + "0" * 56)
    assert load_convolutions("alexnet").path.parent == cache()
    assert seen == [BACKBONES["alexnet"].url, "7be5be79", backbones.DOWNLOAD_TIMEOUT_S]
    assert socket.getdefaulttimeout() is None


def test_a_failed_download_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> None:
        raise URLError("timed out")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(WeightsError, match=r"cannot be downloaded .*timed out"):
        load_convolutions("alexnet")


def test_a_wrong_hash_is_an_error(tmp_path: Path, random_weights: Path) -> None:
    torch.save(alexnet_features(random_weights), tmp_path / "alexnet-owt-7be5be79.pth")
    with pytest.raises(DamagedWeightsError, match=r"SHA-256 begins with [0-9a-f]{8}; expected 7be5be79"):
        load_convolutions("alexnet", tmp_path)


@pytest.mark.parametrize("content", [b"no weights", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "alexnet_features.pth").write_bytes(content)
    with pytest.raises(DamagedWeightsError, match=r"alexnet_features\.pth: cannot be read as weights"):
        load_convolutions("alexnet", tmp_path)


def test_all_faults_of_the_layers_are_reported(tmp_path: Path, random_weights: Path) -> None:
    state = alexnet_features(random_weights)
    del state["features.0.bias"]
    state["features.6.bias"][5] = torch.nan
    state["features.3.weight"] = torch.zeros(1)
    state["fc.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "alexnet_features.pth")
    with pytest.raises(DamagedWeightsError) as error:
        load_convolutions("alexnet", tmp_path)
    for fault in (
        "features.0.bias is missing",
        "features.3.weight should be floats of shape (192, 64, 5, 5)",
        "fc.weight is not expected",
        "features.6.bias contains NaN or infinite values",
    ):
        assert fault in str(error.value)


def test_a_network_without_weights_takes_no_memory() -> None:
    assert all(parameter.is_meta for parameter in empty_network("vgg16").parameters())
