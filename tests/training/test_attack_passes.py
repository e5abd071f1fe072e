"""Counting the passes of attacks."""

import torch
from torch import nn

from minnorm.training.attack_passes import AttackPasses


def test_samples_are_counted_forward_and_backward_in_evaluation_mode() -> None:
    network, other = nn.Linear(3, 2).eval(), nn.Linear(3, 2).eval()
    passes = AttackPasses([network, other])
    inputs = torch.rand(5, 3, requires_grad=True)
    network(inputs).sum().backward()
    assert (passes.forwards, passes.gradients) == (5, 5)
    logits = other(inputs[:2])
    for column in range(2):
        torch.autograd.grad(logits[:, column].sum(), inputs, retain_graph=True)
    assert (passes.forwards, passes.gradients) == (7, 9)
    with torch.no_grad():
        network(inputs)
    assert (passes.forwards, passes.gradients) == (12, 9)
    network.train()(inputs).sum().backward()
    assert (passes.forwards, passes.gradients) == (12, 9)
    passes.reset()
    assert (passes.forwards, passes.gradients) == (0, 0)
