"""ImageNet convolutions: where pretrained weights are found, downloaded and checked.

LPIPS needs AlexNet's, DISTS VGG16's, and the perceptual loss of training VGG19's. They are searched in the user's
folder, then in torch's cache, then downloaded from torchvision into that cache. A damaged file ends the search with an
error. No code in a file is executed.
"""

import hashlib
import http.client
import pickle
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hggt_data.errors import HggtError, WeightsError
from hggt_data.io.files import LFS_POINTER, is_lfs_pointer, sha256_of_file
from hggt_eval.metrics.comparer import WEIGHTS_ADVICE

# A firewall that drops packets would otherwise delay a run by minutes per address.
DOWNLOAD_TIMEOUT_S = 15.0


class DamagedWeightsError(HggtError, ValueError):
    """A weights file was found, but is damaged or contains something else."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """An ImageNet network whose convolutions are used.

    Attributes:
        name: torchvision's name for the network.
        file_name: torchvision's file, whose name ends with the beginning of its SHA-256.
        convolutions_sha256: `hash_tensors` of its convolutions; empty if this is not checked.
    """

    name: str
    file_name: str
    convolutions_sha256: str = ""

    @property
    def url(self) -> str:
        """Address of torchvision's file."""
        return f"https://download.pytorch.org/models/{self.file_name}"

    @property
    def features_name(self) -> str:
        """Name of a file with the convolutions only."""
        return f"{self.name}_features.pth"

    @property
    def hash_prefix(self) -> str:
        """The beginning of the SHA-256 of `file_name`."""
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
        path: The file they were read from.
        sha256: SHA-256 of that file.
        are_torchvisions: Whether they are torchvision's, to the bit; for AlexNet and VGG16.
    """

    weights: Mapping[str, Tensor]
    path: Path
    sha256: str
    are_torchvisions: bool


def load_convolutions(
    name: str, weights_dir: str | Path | None = None, *, advice: str = WEIGHTS_ADVICE
) -> Convolutions:
    """The ImageNet convolutions of a network, by its key in `BACKBONES`.

    `weights_dir`, with torchvision's file or `NAME_features.pth`, is searched before torch's cache. `advice` tells the
    user what to do with a file downloaded by hand. WeightsError if no file is available, DamagedWeightsError if it is
    damaged or contains other layers.
    """
    backbone = BACKBONES[name]
    path = find_weights(name, weights_dir) or _download(backbone, weights_dir, advice)
    sha256 = sha256_of_file(path)
    if path.name == backbone.file_name and not sha256.startswith(backbone.hash_prefix):
        raise DamagedWeightsError(
            f"{path}: its SHA-256 begins with {sha256[: len(backbone.hash_prefix)]}; expected {backbone.hash_prefix}. "
            f"It is damaged: delete it and download it again from {backbone.url}"
        )
    weights = _read(backbone, path)
    return Convolutions(weights, path, sha256, hash_tensors(weights) == backbone.convolutions_sha256)


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names and numbers, in the order of the names, independent of the file format."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def empty_network(name: str) -> torch.nn.Module:
    """torchvision's network without memory for its weights, which saves a download and slow initialisation."""
    import torchvision  # loads PyTorch's compiler, which takes seconds

    with torch.device("meta"):
        network: torch.nn.Module = getattr(torchvision.models, name)(weights=None)
    return network


def find_weights(name: str, weights_dir: str | Path | None = None) -> Path | None:
    """The file that `load_convolutions` would read; None if it would be downloaded."""
    backbone = BACKBONES[name]
    folders = [cache_folder()] if weights_dir is None else [Path(weights_dir), cache_folder()]
    places = [folder / name for folder in folders for name in (backbone.features_name, backbone.file_name)]
    return next((place for place in places if place.is_file()), None)


def cache_folder() -> Path:
    """torch's cache of downloaded weights."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def _download(backbone: Backbone, weights_dir: str | Path | None, advice: str) -> Path:
    names = f"{backbone.file_name} (or {backbone.features_name})"
    return download(backbone.url, backbone.hash_prefix, names, weights_dir, advice)


def download(url: str, hash_prefix: str, names: str, weights_dir: str | Path | None, advice: str) -> Path:
    """Download a file into torch's cache; torch checks its hash and writes it atomically.

    WeightsError, with the `names` that were looked for and advice, if that fails.
    """
    path = cache_folder() / url.rpartition("/")[2]
    timeout_before = socket.getdefaulttimeout()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
        torch.hub.download_url_to_file(url, str(path), hash_prefix, progress=sys.stderr.isatty())
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        looked = " and ".join(str(folder) for folder in (weights_dir, cache_folder()) if folder is not None)
        raise WeightsError(
            f"{names} is not in {looked} and cannot be downloaded ({error}); download it from {url} on a machine with "
            f"network access, {advice}"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout_before)
    return path


def read_tensors(path: Path, network: str) -> dict[str, Any]:
    """Read a state dict without executing code in the file; DamagedWeightsError if it is none."""
    if is_lfs_pointer(path):
        raise DamagedWeightsError(f"{path}: {LFS_POINTER}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # its own message suggests disabling this protection
        raise DamagedWeightsError(
            f"{path}: cannot be read as weights: it is damaged, or contains other objects than tensors"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedWeightsError(f"{path}: cannot be read as weights: {reason}") from error
    if not isinstance(found, dict):
        raise DamagedWeightsError(f"{path}: contains a {type(found).__name__}; expected a state dict of {network}")
    return found


def _read(backbone: Backbone, path: Path) -> dict[str, Tensor]:
    """Read convolutions and check names, shapes and types against torchvision's network."""
    found = read_tensors(path, backbone.name)
    expected = {
        key: tensor.shape
        for key, tensor in empty_network(backbone.name).state_dict().items()
        if key.startswith("features.")
    }
    # torchvision's file also contains the classifier, which no metric uses.
    found = {key: value for key, value in found.items() if not str(key).startswith("classifier.")}
    faults = [f"{key} is missing" for key in expected if key not in found]
    faults += [f"{key} is not expected" for key in found if key not in expected]
    for key, shape in expected.items():
        value = found.get(key)
        if value is not None and not (isinstance(value, Tensor) and value.shape == shape and value.is_floating_point()):
            faults.append(f"{key} should be floats of shape {tuple(shape)}")
        elif value is not None and not value.isfinite().all():
            faults.append(f"{key} contains NaN or infinite values")
    if faults:
        raise DamagedWeightsError(f"{path}: not the convolutions of {backbone.name}: {'; '.join(faults)}")
    return {key: value.float() for key, value in found.items()}
