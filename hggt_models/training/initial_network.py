"""The networks that a run starts from, and what its settings take from them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from hggt_data.io.text import format_examples, plural
from hggt_models.config.train import TrainConfig
from hggt_models.networks import Network
from hggt_models.networks.checkpoint import Checkpoint, CheckpointError
from hggt_models.networks.community import opens_in_spandrel
from hggt_models.networks.external import ExternalNetwork
from hggt_models.networks.external_classes import is_external, runs_own_code
from hggt_models.networks.weights import StateDict
from hggt_models.training.prepare import TrainingRun


def initial_weights(run: TrainingRun) -> StateDict | None:
    """The weights to start from, which must be those of the network that the recipe trains."""
    initial, wanted = run.init, run.config.generator
    if initial is None:
        return None
    if initial.network_name != wanted.name:
        advice = f"; if you trust it, set generator.name={initial.network_name}"
        raise CheckpointError(
            f"`init` {initial.path} is {initial.network_name}, but the recipe trains {wanted.name}"
            + (advice if runs_own_code(initial.network_name) else "")
        )
    changes = [
        f"{name} is {initial.args.get(name)!r} in the file and {value!r} in the settings"
        for name, value in wanted.args.items()
        if initial.args.get(name) != value
    ]
    if changes:
        raise CheckpointError(
            f"`init` {initial.path} is {wanted.name} with other arguments: {'; '.join(changes)}; change the "
            "settings generator.NAME"
        )
    return initial.state


def adopted_settings(
    initial: Checkpoint, configured: Callable[[], TrainConfig], assignments: Sequence[str]
) -> list[str]:
    """The settings, `KEY=VALUE`, with which a recipe trains the network of another project or program at its scale.

    None for a network that hggt has written and the recipe trains, and for classes that only the user may name. If
    settings in `assignments` name another generator, nothing is adopted. `configured` gives the config without this.
    """
    chosen = [text.partition("=")[0].strip() for text in assignments]
    named = [text.partition("=")[2].strip(" '\"") for text in assignments if text.startswith("generator.name=")]
    if is_external(initial.network_name):
        if named[-1:] != [initial.network_name] and (named or runs_own_code(initial.network_name)):
            return []
    elif initial.names_itself or any(key.split(".")[0] == "generator" for key in chosen):
        return []
    else:
        wanted = configured().generator
        if (wanted.name, dict(wanted.args)) == (initial.network_name, dict(initial.args)):
            return []
    table = {"name": initial.network_name, **initial.args}
    stated = ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    return [f"generator={{{stated}}}", f"degradation.scale={initial.scale}"]


def describe_networks(generator: Network, frozen: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What to know of networks of other projects."""
    for key, names in frozen.items():
        found = f"{plural(len(names), 'parameter')} ({format_examples(names, 1)})"
        yield f"{found} of the {key} get no gradient and are frozen"
    if not isinstance(generator, ExternalNetwork) or runs_own_code(generator.name):
        return
    if not opens_in_spandrel(generator):
        yield (
            f"warning: spandrel, and with it chaiNNer, will not open the weights as this network: it cannot infer from "
            f"them all arguments of {generator.name} that are set here"
        )
