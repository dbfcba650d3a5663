"""Networks in files, in the folder of a training run, or on the Hub, loaded without running code from a file.

An official `.pth` does not name its network: name and sizes are inferred from the keys and shapes of its tensors. Our
safetensors files carry them as JSON. The full state of a training run is kept elsewhere (`training/run_folder.py`).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor

from hggt_data.errors import HubError, WeightsError
from hggt_data.hub.repository import Repository, is_hub_id
from hggt_data.io.files import atomic_file, sha256_of_file
from hggt_data.ranges import require_kind
from hggt_models.networks import (
    Network,
    NetworkError,
    build_network,
    is_network_name,
    rebuild_network,
)
from hggt_models.networks.community import CommunityNetwork, plausible_numbers, trainable_network
from hggt_models.networks.external import ExternalNetwork, Traits
from hggt_models.networks.external_classes import is_external, runs_own_code
from hggt_models.networks.identify import UnknownNetworkError, format_header, identify, parse_header, read_traits
from hggt_models.networks.weights import (
    NOT_FINITE,
    WEIGHTS_ENDINGS,
    CheckpointError,
    StateDict,
    find_faults,
    load_state,
    read_metadata,
    read_pth,
    read_safetensors,
    require_state_dict,
)
from hggt_models.networks.wrappers import unwrap, variants

__all__ = ["Checkpoint", "CheckpointError", "load_checkpoint", "load_community_network", "load_network", "save_network"]

Known = TypeVar("Known")

# Files of a published network, and the folder where a training run keeps its weights by iteration.
WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"
RUN_WEIGHTS = "weights"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights of a network, with name, arguments and metadata.

    Attributes:
        path: The file.
        network_name: Key of `NETWORKS`, or the name of a class of another project.
        args: All arguments of the network.
        state: The weights, on the CPU.
        source_key: Entry of the file that held them, such as `params_ema` or `state_dict.generator`; None if the file
            holds only weights.
        sha256: Hash of the file.
        metadata: Further metadata of a safetensors file.
        names_itself: Whether the file names its network, as hggt writes it; else it was recognised.
        traits: What is known of a class of another project.
    """

    path: Path
    network_name: str
    args: Mapping[str, Any]
    state: StateDict
    source_key: str | None
    sha256: str
    metadata: Mapping[str, str]
    names_itself: bool = False
    traits: Traits | None = None

    @property
    def scale(self) -> int:
        """Output side divided by input side."""
        if self.traits is not None:
            return self.traits.scale
        with torch.device("cpu" if is_external(self.network_name) else "meta"):
            return self._rebuild().scale

    def build(self, device: str = "cpu", trust: str | None = None) -> Network:
        """Build the network with these weights, in eval mode.

        `trust` is the class of one's own that may run. CheckpointError if it is another, or if the weights do not fit.
        """
        if runs_own_code(self.network_name) and trust != self.network_name:
            raise CheckpointError(
                f"{self.path} is a network of the class {self.network_name}, whose code would run; if you trust it, "
                f"pass `trust` {self.network_name}" + (f" instead of {trust}" if trust else "")
            )
        if is_external(self.network_name):
            network = self._rebuild()
        else:
            with torch.device("meta"):  # compare shapes first, so that absurd sizes in a file cost no memory
                load_state(build_network(self.network_name, **self.args), self.state, str(self.path))
            network = build_network(self.network_name, **self.args)
        load_state(network, self.state, str(self.path))
        return network.eval().to(device)

    def _rebuild(self) -> Network:
        try:
            return rebuild_network(self.network_name, self.args, self.traits, plausible_numbers(self.state))
        except NetworkError as error:
            raise CheckpointError(f"{self.path}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the same network with its metadata, as `save_network` does; a class of one's own is not run."""
        if not runs_own_code(self.network_name):
            save_network(self.build(), path, self.metadata)
            return
        config = {"name": self.network_name, **self.args}
        _write(Path(path), self.state, config, self.traits, self.metadata)


def load_checkpoint(source: str | Path, revision: str | None = None) -> Checkpoint:
    """Read the weights of one of our networks and recognise which network it is.

    Arguments that cannot be inferred from a `.pth` file get their published values: RCAN's `res_scale`, `img_range` and
    `rgb_mean`; ELAN's `window_sizes`, `img_range` and `rgb_mean`; SwinIR's `img_range`, `drop_path_rate` and `pad`
    (`minimal`); the discriminator's `skip_connection`. See `load_network` for arguments and errors.
    """
    path = _find(source, revision)
    found, source_key, header = _read(path)
    name, args, state = identify(path, found, header)
    metadata = {key: str(text) for key, text in header.items() if key not in ("network", "traits")}
    traits = read_traits(path, header) if is_external(name) else None
    return Checkpoint(path, name, args, state, source_key, sha256_of_file(path), metadata, "network" in header, traits)


def load_initial_checkpoint(source: str | Path) -> Checkpoint:
    """Read weights to train further: those of one of our networks, or else of one that spandrel recognises."""
    try:
        return load_checkpoint(source)
    except UnknownNetworkError as ours:
        path = Path(source)
        state, source_key, _ = _read(path)
        try:
            network = _first_known(path, state, trainable_network)
        except CheckpointError as theirs:
            raise CheckpointError(f"{ours}; {str(theirs).removeprefix(f'{path}: ')}") from theirs
    args = {name: value for name, value in network.config.items() if name != "name"}
    kept = network.state_dict()
    return Checkpoint(path, network.name, args, kept, source_key, sha256_of_file(path), {}, traits=network.traits)


def load_weights(path: str | Path, network: torch.nn.Module) -> None:
    """Load the weights in a file into a network that they fit, whatever a training program put around them."""
    state, _, _ = _read(Path(path))
    expected = network.state_dict()
    fitting = (one for one in variants(state) if not find_faults(expected, one).keys() - {NOT_FINITE})
    load_state(network, next(fitting, state), str(path))


def load_metadata(source: str | Path) -> tuple[Path, dict[str, str]]:
    """The file of a source, as for `load_network`, and its metadata alone; a `.pth` file has none."""
    path = _find(source, None)
    if path.suffix.lower() != ".safetensors":
        if not path.is_file():
            raise WeightsError(f"{path} does not exist")
        return path, {}
    header = parse_header(path, read_metadata(path))
    return path, {key: str(text) for key, text in header.items() if key not in ("network", "traits")}


def load_network(
    source: str | Path, device: str = "cpu", *, revision: str | None = None, trust: str | None = None
) -> Network:
    """Load a network with its weights, in eval mode.

    Args:
        source: A file that `torch.save` wrote (`.pth`, `.pt`, `.ckpt`, `.bin`), also by usual training programs
            (averaged weights are preferred), a `.safetensors` file, the folder of a training run (its last weights), or
            `ORG/NAME` on the Hub.
        device: Torch device.
        revision: Tag, branch or commit on the Hub.
        trust: Class of your own, `package.module:Class`, whose code may run if the file names it.

    Returns:
        The network. It maps images, float (N, 3, H, W) in [0, 1], to (N, 3, scale * H, scale * W).

    Raises:
        WeightsError: The file does not exist, or the folder contains no weights.
        CheckpointError: The file is damaged, would run code that is not trusted, or belongs to no known network.
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
    return load_checkpoint(source, revision).build(device, trust)


def load_community_network(source: str | Path, device: str = "cpu") -> Network:
    """Load a network of another project with its weights, in eval mode, using spandrel.

    Files of our own networks are refused: spandrel mistakes RRDB with a pixel-shuffle upsampler for an ESRGAN of scale
    1 and silently drops the upsampler's weights.
    """
    path = Path(source)
    state, _, header = _read(path)
    try:
        name, *_ = identify(path, state, header)
    except UnknownNetworkError:
        pass
    else:
        raise CheckpointError(f"{path} contains our own network {name}; use load_network")
    return _first_known(path, state, CommunityNetwork).eval().to(device)


def _first_known(path: Path, state: StateDict, recognise: Callable[[StateDict], Known]) -> Known:
    """What spandrel recognises in the weights, or in those under a prefix."""
    faults = []
    for variant in variants(state):
        try:
            return recognise(variant)
        except NetworkError as error:
            faults.append(error)
    raise CheckpointError(f"{path}: {faults[0]}") from faults[0]


def save_network(network: Network, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network's weights, name and arguments as a safetensors file, atomically.

    Args:
        network: A network from `build_network` or `load_network`.
        path: File name that ends with `.safetensors`, in an existing folder.
        metadata: Further texts to store with the weights.

    Raises:
        SettingsError: The network is not one of hggt_models.
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
    require_kind(Network, "that of `build_network` or `load_network`", network=network)
    path = Path(path)
    if not is_network_name(network.name):
        raise CheckpointError(f"{path}: only networks of `build_network` can be saved; got {network.name}")
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: expected a name that ends with .safetensors")
    network.refresh()
    traits = network.complete_traits() if isinstance(network, ExternalNetwork) else None
    _write(path, network.state_dict(), network.config, traits, metadata or {})


def _write(
    path: Path, state: StateDict, config: Mapping[str, Any], traits: Traits | None, metadata: Mapping[str, str]
) -> None:
    # Weights that share memory, which safetensors refuses, are written separately.
    shared = Counter(tensor.untyped_storage().data_ptr() for tensor in state.values())
    tensors = {
        key: (tensor.detach().clone() if shared[tensor.untyped_storage().data_ptr()] > 1 else tensor.detach())
        .cpu()
        .contiguous()
        for key, tensor in state.items()
    }
    with atomic_file(path) as file:
        file.write(safetensors.torch.save(tensors, format_header(config, traits, metadata)))


def _find(source: str | Path, revision: str | None) -> Path:
    """Weights file of a source, downloaded if necessary."""
    path = Path(source)
    if is_hub_id(source) and path.suffix not in WEIGHTS_ENDINGS:  # a mistyped path
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
    ending = path.suffix.lower()
    if ending not in WEIGHTS_ENDINGS:
        raise CheckpointError(f"{path}: expected a name that ends with {', '.join(WEIGHTS_ENDINGS)}")
    if ending != ".safetensors":
        return *unwrap(read_pth(path), str(path)), {}
    content, metadata = read_safetensors(path)
    return require_state_dict(content, str(path)), None, parse_header(path, metadata)
