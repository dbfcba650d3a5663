from pathlib import Path

import pytest
import torch
from torchvision.models import vgg19

from hggt_data.errors import WeightsError
from hggt_eval.metrics import backbones
from hggt_eval.metrics.backbones import DamagedWeightsError
from hggt_models.networks import NetworkError, VggFeatures
from hggt_models.networks.weights import CheckpointError
from tests.hggt_models.networks.small import random_images

OFFICIAL_LAYERS = ["conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4"]


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like torchvision's, with random convolutions, in a cache like torch's."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("torch_home") / "hub/checkpoints/vgg19_features.pth"
    path.parent.mkdir(parents=True)
    torch.save({**VggFeatures(["conv5_4"], "random").state_dict(), "classifier.0.bias": torch.zeros(3)}, path)
    return path


def test_features_are_those_of_torchvision_before_the_relu(weights_file: Path) -> None:
    images = random_images(2, 3, 32, 40)
    found = VggFeatures(OFFICIAL_LAYERS, weights_file)(images)
    with torch.device("meta"):
        features = vgg19(weights=None).features
    state = torch.load(weights_file, weights_only=True)
    state = {key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")}
    features.load_state_dict(state, assign=True)
    values = (images - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    last = {"conv1_2": 2, "conv2_2": 7, "conv3_4": 16, "conv4_4": 25, "conv5_4": 34}
    assert list(found) == OFFICIAL_LAYERS
    with torch.inference_mode():
        for layer, position in last.items():
            torch.testing.assert_close(found[layer], features[: position + 1](values))
            assert found[layer].min() < 0


def test_the_relu_after_a_layer_leaves_its_features_unchanged() -> None:
    torch.manual_seed(0)
    network = VggFeatures(["conv1_1", "conv1_2"], "random")
    found = network(random_images(1, 3, 8, 8))
    assert found["conv1_1"].min() < 0
    torch.testing.assert_close(found["conv1_2"], network.features[2](found["conv1_1"].relu()))


def test_layers_are_in_network_order_and_later_ones_are_dropped() -> None:
    network = VggFeatures(["conv2_1", "conv1_2"], "random")
    assert list(network(random_images(1, 3, 8, 8))) == ["conv1_2", "conv2_1"]
    assert len(network.features) == 6


def test_gradients_reach_the_images_and_not_the_weights() -> None:
    network = VggFeatures(["conv1_2", "conv2_2"], "random")
    images = random_images(1, 3, 8, 8).requires_grad_()
    sum(values.square().mean() for values in network(images).values()).backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_weights_come_from_the_cache_of_torch(weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(weights_file.parents[2]))
    images = random_images(1, 3, 8, 8)
    found = VggFeatures(["conv2_1"])(images)
    assert torch.equal(found["conv2_1"], VggFeatures(["conv2_1"], weights_file)(images)["conv2_1"])


def test_missing_weights_are_named_with_their_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        WeightsError,
        match=r"^vgg19-dcbb9e9d\.pth .*is not in .*download it from https://.*vgg19-dcbb9e9d\.pth.*fetch-weights",
    ):
        VggFeatures(["conv1_2"])


@pytest.mark.parametrize("name", ["vgg19-dcbb9e9d.pth", "vgg19_features.pth"])
def test_nothing_in_the_cache_is_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Code:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "was run",)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save({"features.0.weight": Code()}, cache / name)
    # As if the file had the expected prefix of the SHA-256.
    monkeypatch.setattr(backbones, "sha256_of_file", lambda _: "dcbb9e9d" + "0" * 56)
    with pytest.raises(
        DamagedWeightsError, match=f"{name}: cannot be read as weights: it is damaged, or contains other objects"
    ):
        VggFeatures(["conv1_2"])
    assert not (tmp_path / "was run").exists()


def test_a_damaged_file_in_the_cache_is_not_reported_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / "vgg19-dcbb9e9d.pth").write_bytes(b"half a download")
    with pytest.raises(DamagedWeightsError, match=r"expected dcbb9e9d\. It is damaged: delete it"):
        VggFeatures(["conv1_2"])


def test_a_missing_file_and_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"vgg\.pth does not exist$"):
        VggFeatures(["conv1_2"], tmp_path / "vgg.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 11, 11)}, tmp_path / "alexnet.pth")
    with pytest.raises(
        CheckpointError, match=r"31 missing .*1 with the wrong shape \(0\.weight \(64, 3, 11, 11\) instead of"
    ):
        VggFeatures(["conv1_2"], tmp_path / "alexnet.pth")


@pytest.mark.parametrize(("layers", "got"), [(["conv1_3", "conv1_2"], "conv1_3, conv1_2"), ([], "none")])
def test_unknown_layers_are_refused(layers: list[str], got: str) -> None:
    with pytest.raises(NetworkError, match=f"^layers of VGG19 are conv1_1, .*, conv5_4; got {got}$"):
        VggFeatures(layers, "random")
