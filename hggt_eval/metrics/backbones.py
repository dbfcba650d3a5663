"""ImageNet convolutions: where they lie, how they are had, what they must hold.

LPIPS needs AlexNet's, DISTS VGG16's, the perceptual loss of training VGG19's. Looked for in the folder the user named,
then in torch's cache, then downloaded from torchvision's address into that cache. A file that is found but damaged is
another error than one that cannot be had, and no reason to look further. Nothing in a file is run.
"""

import hashlib
import http.client
import pickle
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from hggt_data.errors import HggtError, WeightsError
from hggt_data.io.files import sha256_of_file

# A network that swallows packets would otherwise hold a run for minutes per address.
DOWNLOAD_TIMEOUT_S = 15.0
_ADVICE = "put it into a folder and pass that as --weights-dir"


class DamagedWeightsError(HggtError, ValueError):
    """A weights file was found, but is damaged or holds something else."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """An ImageNet network whose convolutions are needed.

    Attributes:
        name: torchvision's name of the network.
        file_name: torchvision's own file; its last part is how its SHA-256 begins.
        convolutions_sha256: `hash_tensors` of its convolutions; empty where nobody asks whether they are torchvision's.
    """

    name: str
    file_name: str
    convolutions_sha256: str = ""

    @property
    def url(self) -> str:
        """Where torchvision has its file."""
        return f"https://download.pytorch.org/models/{self.file_name}"

    @property
    def features_name(self) -> str:
        """The name of a file that holds the convolutions only."""
        return f"{self.name}_features.pth"

    @property
    def hash_prefix(self) -> str:
        """How the SHA-256 of `file_name` begins."""
        return Path(self.file_name).stem.rpartition("-")[2]


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            "alexnet", "alexnet-owt-7be5be79.pth", "44534cd66e37ce9a6258bb5e845ef8cd47c33aa68024441c7e616d63c0c1c41a"
        ),
        Backbone("vgg16", "vgg16-397923af.pth", "02ea23240491c2589ec6c79346a0cd2cde49db15b57118399c02f252fb928f83"),
        Backbone("vgg19", "vgg19-dcbb9e9d.pth"),
    )
}


@dataclass(frozen=True, slots=True)
class Convolutions:
    """The convolutions of a backbone.

    Attributes:
        weights: `features.N.weight` and `features.N.bias`, float32, on the CPU.
        path: the file they were read from.
        sha256: of that file.
        are_torchvisions: whether they are what torchvision trained on ImageNet, to the bit; of AlexNet and VGG16.
    """

    weights: Mapping[str, Tensor]
    path: Path
    sha256: str
    are_torchvisions: bool


def load_convolutions(name: str, weights_dir: Path | None = None, *, advice: str = _ADVICE) -> Convolutions:
    """The ImageNet convolutions of a network.

    Args:
        name: key of `BACKBONES`.
        weights_dir: looked at before torch's cache. It holds torchvision's own file or `NAME_features.pth`.
        advice: what to do with a file that was taken by hand, for the message.

    Raises:
        WeightsError: they cannot be had (one line: which file, where it was looked for, how to get it).
        DamagedWeightsError: the file that was found is damaged or holds other layers.
    """
    backbone = BACKBONES[name]
    path = find_weights(name, weights_dir) or _download(backbone, weights_dir, advice)
    sha256 = sha256_of_file(path)
    if path.name == backbone.file_name and not sha256.startswith(backbone.hash_prefix):
        raise DamagedWeightsError(
            f"{path}: its SHA-256 begins with {sha256[: len(backbone.hash_prefix)]}; expected {backbone.hash_prefix}. "
            f"It is damaged: delete it and take it anew from {backbone.url}"
        )
    weights = _read(backbone, path)
    return Convolutions(weights, path, sha256, hash_tensors(weights) == backbone.convolutions_sha256)


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names and numbers, in the order of the names, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def empty_network(name: str) -> torch.nn.Module:
    """torchvision's network without memory for its weights: no download, no slow random start of its classifier."""
    with torch.device("meta"):
        network: torch.nn.Module = getattr(torchvision.models, name)(weights=None)
    return network


def find_weights(name: str, weights_dir: Path | None = None) -> Path | None:
    """The file that `load_convolutions` would read; null where it would have to be downloaded."""
    backbone = BACKBONES[name]
    folders = [_cache_folder()] if weights_dir is None else [weights_dir, _cache_folder()]
    places = [folder / name for folder in folders for name in (backbone.features_name, backbone.file_name)]
    return next((place for place in places if place.is_file()), None)


def _cache_folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _download(backbone: Backbone, weights_dir: Path | None, advice: str) -> Path:
    """Fetch torchvision's file into torch's cache; torch checks its hash and never leaves half a file."""
    path = _cache_folder() / backbone.file_name
    timeout_before = socket.getdefaulttimeout()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
        torch.hub.download_url_to_file(backbone.url, str(path), backbone.hash_prefix, progress=sys.stderr.isatty())
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        looked = " and ".join(str(folder) for folder in (weights_dir, _cache_folder()) if folder is not None)
        raise WeightsError(
            f"{backbone.file_name} (or {backbone.features_name}) is not in {looked} and cannot be downloaded "
            f"({error}); take it from {backbone.url} on a machine with network, {advice}"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout_before)
    return path


def _read(backbone: Backbone, path: Path) -> dict[str, Tensor]:
    """The convolutions in a file, checked against torchvision's network: names, shapes, type."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # whose own words advise to read the file without this protection
        raise DamagedWeightsError(
            f"{path}: cannot be read as weights: it is damaged, or holds more than tensors"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedWeightsError(f"{path}: cannot be read as weights: {reason}") from error
    if not isinstance(found, dict):
        raise DamagedWeightsError(f"{path}: holds a {type(found).__name__}; expected a state dict of {backbone.name}")
    expected = {
        key: tensor.shape
        for key, tensor in empty_network(backbone.name).state_dict().items()
        if key.startswith("features.")
    }
    # torchvision's own file also holds the classifier, which no metric uses.
    found = {key: value for key, value in found.items() if not str(key).startswith("classifier.")}
    faults = [f"{key} is missing" for key in expected if key not in found]
    faults += [f"{key} is not expected" for key in found if key not in expected]
    for key, shape in expected.items():
        value = found.get(key)
        if value is not None and not (isinstance(value, Tensor) and value.shape == shape and value.is_floating_point()):
            faults.append(f"{key} should be floats of shape {tuple(shape)}")
        elif value is not None and not value.isfinite().all():
            faults.append(f"{key} holds values that are no finite numbers")
    if faults:
        raise DamagedWeightsError(f"{path}: not the convolutions of {backbone.name}: {'; '.join(faults)}")
    return {key: value.float() for key, value in found.items()}
