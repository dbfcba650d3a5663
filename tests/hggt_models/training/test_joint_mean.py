from dataclasses import dataclass, field

import torch
from torch import Tensor

from hggt_models.runtime import Runtime
from hggt_models.training.joint_mean import joint_mean


@dataclass(frozen=True)
class FirstOfTwo(Runtime):
    """The first of two processes; the other one contributes these numbers, one in each exchange."""

    world: int = 2
    contributed: list[float] = field(default_factory=list)

    def sum_up(self, values: Tensor) -> Tensor:
        return values.add_(self.contributed.pop(0))


def test_the_mean_and_its_gradient_are_those_of_one_process_with_both_batches() -> None:
    """Each process has a loss of its own, and their mean is minimised."""
    both = torch.tensor([[1.0, 3.0], [5.0, 7.0]], requires_grad=True)
    mean = both.mean()
    (torch.tensor([3.0, 11.0]) * mean.square()).mean().backward()  # type: ignore[no-untyped-call]
    assert both.grad is not None
    own = both[0].detach().requires_grad_()
    joint = joint_mean(own, FirstOfTwo(contributed=[6.0, 2 * 11.0 * mean.item()]))
    assert joint.item() == mean.item() == 4
    (3 * joint.square()).backward()  # type: ignore[no-untyped-call]
    assert own.grad is not None
    torch.testing.assert_close(own.grad / 2, both.grad[0])  # gradients are averaged over both processes afterwards
