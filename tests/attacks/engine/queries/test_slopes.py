"""Linear regression for gradients: against the closed form of a Gaussian posterior."""

import torch

from minnorm.attacks.engine.queries.slopes import Slopes, after_changes, with_powers


def test_observations_give_the_posterior_of_a_gaussian() -> None:
    generator = torch.Generator().manual_seed(0)
    powers = torch.rand(1, 6, dtype=torch.float64, generator=generator) + 0.1
    gradients = torch.randn(1, 3, 6, dtype=torch.float64, generator=generator)
    slopes = Slopes(torch.zeros_like(gradients), powers, powers)
    for entry in (4, 1, 3):  # single entries: then independent variances lose nothing
        moves = torch.zeros_like(powers)
        moves[0, entry] = 0.3
        slopes = after_changes(slopes, moves, torch.einsum("bkn,bn->bk", gradients, moves))
    asked = torch.tensor([False, True, False, True, True, False])
    assert torch.allclose(slopes.means, torch.where(asked, gradients, 0.0))
    assert torch.allclose(slopes.variances, torch.where(asked, 0.0, powers))
    assert torch.allclose(slopes.known, asked.double()[None])
    assert torch.allclose(with_powers(slopes, 2 * powers).known, asked.double()[None])


def test_a_move_in_many_entries_is_the_smallest_correction() -> None:
    """With equal variances it is the update of Broyden."""
    generator = torch.Generator().manual_seed(1)
    means, moves = torch.randn(2, 4, 5, dtype=torch.float64, generator=generator)
    changes = torch.randn(4, 1, dtype=torch.float64, generator=generator)
    ones = torch.ones_like(moves)
    found = after_changes(Slopes(means.unsqueeze(1), ones, ones), moves, changes)
    errors = changes - (means * moves).sum(1, keepdim=True)
    expected = means + errors * moves / (moves * moves).sum(1, keepdim=True)
    assert torch.allclose(found.means.squeeze(1), expected)
    unknown = after_changes(Slopes(means.unsqueeze(1), ones, ones), moves, changes * torch.nan)
    assert torch.equal(unknown.means.squeeze(1), means)
