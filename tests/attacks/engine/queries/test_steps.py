"""The weights of several linear functions, against the closest point where none is above 0."""

import torch

from minnorm.attacks.engine.queries.steps import boundary_weights


def test_the_weighted_sum_is_as_far_away_as_all_functions_are() -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(8, 4, 9, dtype=torch.float64, generator=generator)
    values = torch.randn(8, 4, dtype=torch.float64, generator=generator)
    weights = boundary_weights(gradients, values)
    steps = -torch.einsum("bk,bkn->bn", weights, gradients)
    after = values + torch.einsum("bkn,bn->bk", gradients, steps)
    # The conditions of Karush, Kuhn and Tucker: they hold at the closest point alone.
    assert (weights >= 0).all()
    assert after.max() < 1e-3
    assert (weights * after).abs().max() < 1e-3


def test_a_function_without_a_gradient_has_no_weight() -> None:
    gradients = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]])
    weights = boundary_weights(gradients, torch.tensor([[torch.inf, 10.0]]))
    assert torch.allclose(weights, torch.tensor([[0.0, 10 / 25]]))
