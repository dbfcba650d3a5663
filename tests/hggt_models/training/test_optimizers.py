"""Optimizers against plain PyTorch, learning rates against numbers written out."""

import pytest
import torch
from torch import nn

from hggt_models.config.recipes import load_config
from hggt_models.training.optimizers import learning_rate, make_optimizer, reserve_state

RATES = {
    "schedule=cosine": [1, 0.9755283, 0.9045085, 0.7938926, 0.6545085, 0.5, 0.3454915, 0.2061074, 0.0954915, 0.0244717],
    "warmup=3": [0.25, 0.5, 0.75, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5],
    "both": [1 / 3, 2 / 3, 1, 0.9619398, 0.8535534, 0.6913417, 0.5, 0.3086583, 0.1464466, 0.0380602],
}


@pytest.mark.parametrize("case", RATES)
def test_the_rate_rises_and_falls(case: str) -> None:
    more = ["schedule=cosine", "warmup=2"] if case == "both" else [case]
    config = load_config("rrdb-psnr", ["iterations=10", "milestones=[5]", "learning_rate=0.002", *more])
    found = [learning_rate(config, iteration) for iteration in range(10)]
    assert found == pytest.approx([0.002 * share for share in RATES[case]], rel=1e-5)


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_weights_decay_as_in_pytorch(name: str, kind: type[torch.optim.Adam]) -> None:
    """Also after the memory of the optimizer was reserved, which changes nothing."""
    config = load_config("rrdb-psnr", [f"optimizer={name}", "weight_decay=0.1", "learning_rate=0.01"])
    ours, plain = nn.Linear(3, 2), nn.Linear(3, 2)
    plain.load_state_dict(ours.state_dict())
    optimizer, expected = make_optimizer(ours, config), kind(plain.parameters(), 0.01, (0.9, 0.99), weight_decay=0.1)
    reserve_state(optimizer)
    for _ in range(3):
        for network, one in ((ours, optimizer), (plain, expected)):
            one.param_groups[0]["lr"] = 0.01
            one.zero_grad()
            network(torch.ones(1, 3)).square().sum().backward()
            one.step()
    torch.testing.assert_close(ours.weight, plain.weight)
    undecayed = make_optimizer(ours, load_config("rrdb-psnr"))
    assert undecayed.param_groups[0]["weight_decay"] == 0
