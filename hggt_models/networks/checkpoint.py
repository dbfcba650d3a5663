"""Networks in files, in the folder of a training run, or on the Hub, read without running what a file says.

The official `.pth` does not say which network it holds: name and sizes are recognised from the keys and shapes of its
tensors. Our safetensors carry them as JSON. The state that a training run needs to go on is not kept here.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from hggt_data.errors import HubError, WeightsError
from hggt_data.hub.repository import Repository, is_hub_id
from hggt_data.io.files import atomic_file, sha256_of_file
from hggt_models.networks import NETWORKS, Network, NetworkError, build_network, network_args
from hggt_models.networks.community import CommunityNetwork
from hggt_models.networks.weights import (
    CheckpointError,
    StateDict,
    load_state,
    read_pth,
    read_safetensors,
    require_state_dict,
)

__all__ = ["Checkpoint", "CheckpointError", "load_checkpoint", "load_community_network", "load_network", "save_network"]

_SOURCE_KEYS = ("params_ema", "params", "state_dict")  # the first that is there wins
_PARALLEL_PREFIX = "module."
# All that a safetensors file says of itself stands under one key: with several, its bytes would differ from run to run.
_HEADER_KEY = "hggt"

# A published network, and the weights that a training run keeps in `weights/`, by iteration.
WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"
RUN_WEIGHTS = "weights"


class UnknownNetworkError(CheckpointError):
    """Weights are of none of our networks."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights of a network, with what is known of them.

    Attributes:
        path: the file.
        network_name: key of `NETWORKS`.
        args: all arguments to build the network with.
        state: the weights, on the CPU.
        source_key: the file's entry that held them, such as `params_ema`; None if the file holds nothing else.
        sha256: of the file.
        metadata: what a safetensors file says besides name and arguments.
    """

    path: Path
    network_name: str
    args: Mapping[str, Any]
    state: StateDict
    source_key: str | None
    sha256: str
    metadata: Mapping[str, str]

    def build(self, device: str = "cpu") -> Network:
        """The network with these weights, in eval mode.

        Raises:
            CheckpointError: a tensor is missing, not expected, of another shape or not finite.
        """
        with torch.device("meta"):  # whatever sizes a file claims, no memory is taken before they are compared
            load_state(build_network(self.network_name, **self.args), self.state, str(self.path))
        network = build_network(self.network_name, **self.args)
        load_state(network, self.state, str(self.path))
        return network.eval().to(device)


def load_checkpoint(source: str | Path, revision: str | None = None) -> Checkpoint:
    """Read the weights of one of our networks and find out which.

    What a file without JSON does not tell has its published value: RCAN's `res_scale`, `img_range` and `rgb_mean`;
    ELAN's `window_sizes`, `img_range` and `rgb_mean`; SwinIR's `img_range`, `drop_path_rate` and `pad` (`minimal`); the
    discriminator's `skip_connection`.

    Args:
        source: a `.pth` file with `params_ema` (preferred), `params`, `state_dict` or bare weights; `.safetensors`; the
            folder of a training run, for its last weights; or `ORG/NAME` on the Hub.
        revision: for the Hub: a tag, branch or commit.

    Raises:
        WeightsError: there is no such file, or no weights in the folder.
        HubError: it is no file here, and cannot be had from the Hub.
        CheckpointError: it is damaged, refused, or of none of our networks.
        OSError: it cannot be read.
    """
    path = _find(source, revision)
    state, source_key, header = _read(path)
    identity = _identify(path, state, header)
    if identity is None:
        raise UnknownNetworkError(
            f"{path}: its {len(state):,} tensors ({next(iter(state))}, ...) are of none of our networks "
            f"({', '.join(NETWORKS)}); load_community_network knows those of other projects"
        )
    try:
        args = asdict(network_args(*identity))
    except NetworkError as error:
        raise CheckpointError(f"{path}: {error}") from error
    metadata = {key: str(text) for key, text in header.items() if key != "network"}
    return Checkpoint(path, identity[0], args, state, source_key, sha256_of_file(path), metadata)


def load_network(source: str | Path, device: str = "cpu", *, revision: str | None = None) -> Network:
    """A network with its weights, in eval mode.

    Args:
        source, revision: as in `load_checkpoint`.
        device: as torch names it.

    Raises:
        CheckpointError, WeightsError, HubError, OSError: as `load_checkpoint` and `Checkpoint.build`.
    """
    return load_checkpoint(source, revision).build(device)


def load_community_network(source: str | Path, device: str = "cpu") -> Network:
    """A network of another project with its weights, in eval mode, through spandrel.

    A file of one of our own networks is refused: spandrel takes RRDB with a pixel-shuffle upsampler for an ESRGAN of
    scale 1 and drops the upsampler's weights without a word.

    Args:
        source: as in `load_checkpoint`.
        device: as torch names it.

    Raises:
        CheckpointError: the file is damaged, refused or of our own; or spandrel is not installed or does not know it.
        WeightsError, OSError: as `load_checkpoint`.
    """
    path = Path(source)
    state, _, header = _read(path)
    identity = _identify(path, state, header)
    if identity is not None:
        raise CheckpointError(f"{path} holds our own {identity[0]}; load_network loads it")
    try:
        return CommunityNetwork(state).eval().to(device)
    except NetworkError as error:
        raise CheckpointError(f"{path}: {error}") from error


def save_network(network: Network, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network's weights, name and arguments as safetensors; the file is either whole or not there.

    Args:
        network: one that `build_network` builds.
        path: ends with `.safetensors`; its folder exists.
        metadata: further texts to keep with the weights.

    Raises:
        CheckpointError: the network is of another project, or the name has another ending.
        OSError: the file cannot be written.
    """
    if network.name not in NETWORKS:
        raise CheckpointError(f"{path}: only our own networks are saved; got {network.name}")
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: expected a name that ends with .safetensors")
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    header = json.dumps({"network": network.config, **(metadata or {})}, ensure_ascii=False)
    with atomic_file(path) as file:
        file.write(safetensors.torch.save(tensors, {_HEADER_KEY: header}))


def _find(source: str | Path, revision: str | None) -> Path:
    """The file of weights that a source stands for."""
    path = Path(source)
    if is_hub_id(source) and path.suffix not in (".pth", ".safetensors"):  # as a mistyped path has
        try:
            fetched = Repository(str(source), "model").fetch_file(WEIGHTS_FILE, revision)
        except HubError as error:
            raise HubError(f"{source} is no file here. On the Hub: {error}") from None
        if fetched is None:
            raise HubError(
                f"{source} on the Hub has no {WEIGHTS_FILE}; expected a network that hggt-models push put there"
            )
        return fetched
    if revision is not None:
        raise CheckpointError(f"{path} is a file or folder and has no revisions; got revision {revision!r}")
    if not path.is_dir():
        return path
    kept = [file for file in (path / RUN_WEIGHTS).glob("*.safetensors") if file.stem.isdecimal()]
    if not kept:
        raise WeightsError(
            f"{path} has no {RUN_WEIGHTS}/ITERATION.safetensors; expected the folder of a training run, or a file"
        )
    return max(kept, key=lambda file: int(file.stem))


def _read(path: Path) -> tuple[dict[str, Tensor], str | None, dict[str, Any]]:
    """The weights in a file, under which of its entries they stood, and what the file says of itself."""
    content: object
    source_key: str | None = None
    header: dict[str, Any] = {}
    if path.suffix.lower() == ".safetensors":
        content, metadata = read_safetensors(path)
        header = _parse_header(path, metadata)
    elif path.suffix.lower() == ".pth":
        content = read_pth(path)
        if isinstance(content, dict):
            source_key = next((key for key in _SOURCE_KEYS if key in content), None)
            content = content[source_key] if source_key else content
    else:
        raise CheckpointError(f"{path}: expected a name that ends with .pth or .safetensors")
    state = require_state_dict(content, f"{path}: {source_key}" if source_key else str(path))
    if all(key.startswith(_PARALLEL_PREFIX) for key in state):
        state = {key.removeprefix(_PARALLEL_PREFIX): tensor for key, tensor in state.items()}
    return state, source_key, header


def _parse_header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """What one of our files says of itself; nothing where another program has written it."""
    said = metadata.get(_HEADER_KEY, "{}")
    try:
        header = json.loads(said)
    except ValueError:
        header = None
    network = header.get("network", {"name": ""}) if isinstance(header, dict) else None
    if not isinstance(network, dict) or "name" not in network:
        raise CheckpointError(
            f"{path}: says {said!r:.60} of itself; expected JSON with the network's name and arguments"
        )
    return dict(header)


def _identify(path: Path, state: StateDict, header: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Name and arguments of the network, by what the file says, else by its keys and shapes; None if not ours."""
    if "network" in header:
        config: dict[str, Any] = dict(header["network"])
        return str(config.pop("name")), config
    shapes = {key: tensor.shape for key, tensor in state.items()}
    for name, network in NETWORKS.items():
        try:
            args = network.recognise(shapes)
        except (LookupError, ValueError, ArithmeticError) as error:
            raise CheckpointError(f"{path} has keys of {name}, but not all that tell its sizes") from error
        if args is not None:
            return name, args
    return None
