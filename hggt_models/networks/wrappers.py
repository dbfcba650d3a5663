"""The weights inside what training programs save: nested dictionaries, averaged models, prefixes, counters."""

from collections.abc import Iterator
from numbers import Number

from torch import Tensor

from hggt_models.networks.weights import StateDict, require_state_dict

# Entries that hold a network's weights, in order of preference: averaged weights come first.
_ENTRIES = (
    *("params_ema", "params-ema", "state_dict_ema", "generator_ema", "net_g_ema", "model_ema", "ema"),
    *("params", "state_dict", "model_state_dict", "generator", "net_g", "netG", "model", "net", "network", "weights"),
)
# Prefixes of keys in order of preference. `model.` is also a true part of the keys of the first ESRGAN.
_PREFIXES = (
    *("module.", "_orig_mod.", "generator_ema.", "net_g_ema.", "model_ema.", "ema_model."),
    *("generator.", "net_g.", "netG.", "model.", "net.", "network."),
)
_COUNTERS = ("n_averaged", "step_counter", "total_ops", "total_params")
_DEEPEST = 4


def unwrap(content: object, where: str) -> tuple[dict[str, Tensor], str | None]:
    """The weights in the content of a file, and the entries that led to them, such as `state_dict.generator`.

    Numbers and texts beside the weights are dropped. CheckpointError, starting with `where`, if there are no weights.
    """
    entries: list[str] = []
    while isinstance(content, dict) and len(entries) < _DEEPEST:
        known = [entry for entry in _ENTRIES if isinstance(content.get(entry), dict) and content[entry]]
        nested = [key for key, value in content.items() if isinstance(value, dict) and isinstance(key, str)]
        if not known and (len(nested) != 1 or any(isinstance(value, Tensor) for value in content.values())):
            break
        entries.append((known or nested)[0])
        content = content[entries[-1]]
    source_key = ".".join(entries) or None
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if not _is_beside(key, value)}
    return require_state_dict(content, f"{where}: {source_key}" if source_key else where), source_key


def variants(state: StateDict, depth: int = 0) -> Iterator[StateDict]:
    """The weights as they are, then those under each prefix that wrappers put before the keys."""
    yield state
    for prefix in _PREFIXES if depth < _DEEPEST else ():
        below = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
        if below:
            yield from variants(below, depth + 1)


def _is_beside(key: object, value: object) -> bool:
    """Whether an entry is no weight: a counter of a wrapper, a number, a text, or nothing."""
    if isinstance(value, Tensor):
        return isinstance(key, str) and key.rpartition(".")[2] in _COUNTERS
    return value is None or isinstance(value, Number | str)
