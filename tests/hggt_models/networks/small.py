"""Networks small enough for tests, and the weights of the golden outputs; see tests/data/README.md."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hggt_models.networks import Network, build_network

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
OFFICIAL_SMALL: dict[str, Any] = json.loads((GOLDEN / "golden_scalars.json").read_text("utf-8"))
OFFICIAL_FULL: dict[str, Any] = json.loads((GOLDEN / "state_dicts.json").read_text("utf-8"))

# Two blocks where blocks alternate or form groups, so that the parts between them are tested too.
SMALL: dict[str, dict[str, Any]] = {
    "rrdb_pixelshuffle": {"num_feat": 6, "num_block": 1, "num_grow_ch": 4},
    "rrdb": {"num_feat": 6, "num_block": 1, "num_grow_ch": 4},
    "swinir": {"upscale": 2, "img_size": 8, "window_size": 4, "depths": [2, 3], "embed_dim": 8, "num_heads": [2, 4]},
    "rcan_no_upsample": {"num_feat": 8, "num_group": 2, "num_block": 2, "squeeze_factor": 4},
    "elan": {"window_sizes": [2, 4, 8], "m_elan": 2, "c_elan": 15},
    "unet_discriminator_sn": {"num_feat": 4},
}
GENERATORS = [name for name in SMALL if name != "unet_discriminator_sn"]


def small_network(name: str, **args: Any) -> Network:
    """A seeded network in eval mode, after some passes that fill the statistics of spectral and batch norms."""
    torch.manual_seed(5)
    network = build_network(name, **{**SMALL[name], **args})
    with torch.no_grad():
        for seed in range(5):
            network(random_images(1, 3, 16, 16, seed=seed))
    return network.eval()


def random_images(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def set_golden_weights(network: Network) -> None:
    """Set weights by a formula over the sorted keys; integers, masks and frozen parameters stay unchanged."""
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    state = network.state_dict()
    for number, key in enumerate(sorted(state)):
        value = state[key]
        if key in frozen or key.endswith("attn_mask") or not value.is_floating_point():
            continue
        if key.endswith(("running_mean", "running_var")):
            value.fill_(float(key.endswith("running_var")))
            continue
        wave = torch.from_numpy(0.05 * np.sin(0.37 * np.arange(value.numel()) + number)).float()
        if key.endswith(("weight_u", "weight_v")):
            wave /= wave.norm()
        value.copy_(wave.view_as(value))
