"""Networks in files, in the folder of a training run, or on the Hub, loaded without running code from a file.

An official `.pth` does not name its network: name and sizes are inferred from the keys and shapes of its tensors. Our
safetensors files carry them as JSON. The full state of a training run is kept elsewhere (`training/run_folder.py`).
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
from hggt_data.io.parsing import parse_json
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

_SOURCE_KEYS = ("params_ema", "params", "state_dict")  # in order of preference
_PARALLEL_PREFIX = "module."
# All metadata goes under one key: the order of several would differ from run to run, and with it the bytes.
_HEADER_KEY = "hggt"

# Files of a published network, and the folder where a training run keeps its weights by iteration.
WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"
RUN_WEIGHTS = "weights"


class UnknownNetworkError(CheckpointError):
    """The weights belong to none of our networks."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights of a network, with name, arguments and metadata.

    Attributes:
        path: The file.
        network_name: Key of `NETWORKS`.
        args: All arguments of the network.
        state: The weights, on the CPU.
        source_key: Entry of the file that held them, such as `params_ema`; None if the file holds only weights.
        sha256: Hash of the file.
        metadata: Further metadata of a safetensors file.
    """

    path: Path
    network_name: str
    args: Mapping[str, Any]
    state: StateDict
    source_key: str | None
    sha256: str
    metadata: Mapping[str, str]

    def build(self, device: str = "cpu") -> Network:
        """Build the network with these weights, in eval mode. CheckpointError if they do not fit."""
        with torch.device("meta"):  # compare shapes first, so that absurd sizes in a file cost no memory
            load_state(build_network(self.network_name, **self.args), self.state, str(self.path))
        network = build_network(self.network_name, **self.args)
        load_state(network, self.state, str(self.path))
        return network.eval().to(device)


def load_checkpoint(source: str | Path, revision: str | None = None) -> Checkpoint:
    """Read the weights of one of our networks and recognise which network it is.

    Arguments that cannot be inferred from a `.pth` file get their published values: RCAN's `res_scale`, `img_range` and
    `rgb_mean`; ELAN's `window_sizes`, `img_range` and `rgb_mean`; SwinIR's `img_range`, `drop_path_rate` and `pad`
    (`minimal`); the discriminator's `skip_connection`. See `load_network` for arguments and errors.
    """
    path = _find(source, revision)
    state, source_key, header = _read(path)
    identity = _identify(path, state, header)
    if identity is None:
        raise UnknownNetworkError(
            f"{path}: its {len(state):,} tensors ({next(iter(state))}, ...) belong to none of our networks "
            f"({', '.join(NETWORKS)}); load_community_network loads those of other projects"
        )
    try:
        args = asdict(network_args(*identity))
    except NetworkError as error:
        raise CheckpointError(f"{path}: {error}") from error
    metadata = {key: str(text) for key, text in header.items() if key != "network"}
    return Checkpoint(path, identity[0], args, state, source_key, sha256_of_file(path), metadata)


def load_network(source: str | Path, device: str = "cpu", *, revision: str | None = None) -> Network:
    """Load a network with its weights, in eval mode.

    Args:
        source: A `.pth` file (`params_ema` is preferred to `params` and `state_dict`), a `.safetensors` file, the
            folder of a training run (its last weights), or `ORG/NAME` on the Hub.
        device: Torch device.
        revision: Tag, branch or commit on the Hub.

    Returns:
        The network. It maps images, float (N, 3, H, W) in [0, 1], to (N, 3, scale * H, scale * W).

    Raises:
        WeightsError: The file does not exist, or the folder contains no weights.
        CheckpointError: The file is damaged, would run code, or belongs to none of our networks.
        HubError: The network is neither a local file nor available on the Hub.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_models import build_network, load_network, save_network
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "small.safetensors")
        ...     save_network(build_network("rrdb_pixelshuffle", num_block=1, num_feat=8, num_grow_ch=4), path)
        ...     load_network(path).scale
        4
    """
    return load_checkpoint(source, revision).build(device)


def load_community_network(source: str | Path, device: str = "cpu") -> Network:
    """Load a network of another project with its weights, in eval mode, using spandrel.

    Files of our own networks are refused: spandrel mistakes RRDB with a pixel-shuffle upsampler for an ESRGAN of scale
    1 and silently drops the upsampler's weights.
    """
    path = Path(source)
    state, _, header = _read(path)
    identity = _identify(path, state, header)
    if identity is not None:
        raise CheckpointError(f"{path} contains our own network {identity[0]}; use load_network")
    try:
        return CommunityNetwork(state).eval().to(device)
    except NetworkError as error:
        raise CheckpointError(f"{path}: {error}") from error


def save_network(network: Network, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network's weights, name and arguments as a safetensors file, atomically.

    Args:
        network: A network from `build_network` or `load_network`.
        path: File name that ends with `.safetensors`, in an existing folder.
        metadata: Further texts to store with the weights.

    Raises:
        CheckpointError: The network belongs to another project, or the file name has another ending.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hggt_models import build_network, save_network
        >>> path = Path(tempfile.mkdtemp(), "small.safetensors")
        >>> network = build_network("rrdb_pixelshuffle", num_block=1, num_feat=8, num_grow_ch=4)
        >>> save_network(network, path, {"trained_on": "nothing"})
        >>> path.is_file()
        True
    """
    path = Path(path)
    if network.name not in NETWORKS:
        raise CheckpointError(f"{path}: only our own networks can be saved; got {network.name}")
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: expected a name that ends with .safetensors")
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    header = json.dumps({"network": network.config, **(metadata or {})}, ensure_ascii=False)
    with atomic_file(path) as file:
        file.write(safetensors.torch.save(tensors, {_HEADER_KEY: header}))


def _find(source: str | Path, revision: str | None) -> Path:
    """Weights file of a source, downloaded if necessary."""
    path = Path(source)
    if is_hub_id(source) and path.suffix not in (".pth", ".safetensors"):  # a mistyped path
        try:
            fetched = Repository(str(source), "model").fetch_file(WEIGHTS_FILE, revision)
        except HubError as error:
            raise HubError(f"No file {source}; on the Hub: {error}") from None
        if fetched is None:
            raise HubError(f"{source} on the Hub has no {WEIGHTS_FILE}; expected a network pushed by hggt-models push")
        return fetched
    if revision is not None:
        raise CheckpointError(f"{path} is local and has no revisions; got revision {revision!r}")
    if not path.is_dir():
        return path
    kept = [file for file in (path / RUN_WEIGHTS).glob("*.safetensors") if file.stem.isdecimal()]
    if not kept:
        raise WeightsError(
            f"{path} has no {RUN_WEIGHTS}/ITERATION.safetensors; expected the folder of a training run, or a file"
        )
    return max(kept, key=lambda file: int(file.stem))


def _read(path: Path) -> tuple[dict[str, Tensor], str | None, dict[str, Any]]:
    """Weights of a file, the entry that held them, and the file's metadata."""
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
    """Metadata of one of our files; empty if another program wrote it."""
    text = metadata.get(_HEADER_KEY, "{}")
    try:
        header = parse_json(text)
    except ValueError:
        header = None
    network = header.get("network", {"name": ""}) if isinstance(header, dict) else None
    if not isinstance(network, dict) or "name" not in network:
        raise CheckpointError(f"{path}: metadata is {text!r:.60}; expected JSON with the network's name and arguments")
    return dict(header)


def _identify(path: Path, state: StateDict, header: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Name and arguments of the network, from the metadata or else from keys and shapes; None if it is not ours."""
    if "network" in header:
        config: dict[str, Any] = dict(header["network"])
        return str(config.pop("name")), config
    shapes = {key: tensor.shape for key, tensor in state.items()}
    for name, network in NETWORKS.items():
        try:
            args = network.recognise(shapes)
        except (LookupError, ValueError, ArithmeticError) as error:
            raise CheckpointError(f"{path} has keys of {name}, but not all that determine its sizes") from error
        if args is not None:
            return name, args
    return None
