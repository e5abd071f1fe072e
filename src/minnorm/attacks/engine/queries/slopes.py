"""What is known of several linear functions of a sample from their values: linear regression.

The functions are differences of logits, which each query measures together. The gradients of all
have the same relative variances, in a basis in which these count as independent. An observation of
values is a Kalman step without errors of measurement; of a single entry, it is a finite difference,
and with equal variances an update of Broyden (1965). Pure functions.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Slopes(NamedTuple):
    """Gradients of several functions of each sample, and how uncertain they are.

    Attributes:
        means: The means of their entries.
        variances: The variances of the entries, relative to the square of the length of a gradient.
        powers: The same before any observation.
    """

    means: Float[Tensor, "b k n"]
    variances: Float[Tensor, "b n"]
    powers: Float[Tensor, "b n"]

    def changes(self, moves: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        """Return the expected changes of the functions along moves."""
        return torch.einsum("bkn,bn->bk", self.means, moves)

    @property
    def known(self) -> Float[Tensor, "b n"]:
        """How much of each entry is known, from 0 to 1."""
        shares = 1 - self.variances / self.powers.clamp_min(1e-30)
        return torch.where(self.powers > 0, shares.clamp(0, 1), 0.0)

    @property
    def energies(self) -> Float[Tensor, "b n"]:
        """The squares of the entries, in gradients of length 1, on average over the functions."""
        squares = self.means.square()
        totals = squares.sum(2, keepdim=True)
        return (squares / torch.where(totals > 0, totals, 1.0)).mean(1)


def after_changes(
    slopes: Slopes,
    moves: Float[Tensor, "b n"],
    changes: Float[Tensor, "b k"],
) -> Slopes:
    """Return what is known after the changes of the functions along moves have been observed.

    Args:
        slopes: What was known before.
        moves: The moves; one of length 0 has no effect.
        changes: The observed changes; NaN counts as what was expected.
    """
    shared = slopes.variances * moves
    totals = (shared * moves).sum(1, keepdim=True)
    gains = torch.where(totals > 0, shared / totals.clamp_min(1e-36), 0.0)
    surprises = (changes - slopes.changes(moves)).nan_to_num(0.0, 0.0, 0.0)
    means = torch.addcmul(slopes.means, surprises.unsqueeze(2), gains.unsqueeze(1))
    variances = (slopes.variances - shared * gains).clamp_min(0)
    return slopes._replace(means=means, variances=variances)


def with_powers(slopes: Slopes, powers: Float[Tensor, "b n"]) -> Slopes:
    """Return the same with other powers; the share of each entry that is known stays."""
    ratios = powers / slopes.powers.clamp_min(1e-30)
    variances = torch.where(slopes.powers > 0, slopes.variances * ratios, 0.0)
    return slopes._replace(variances=variances, powers=powers)


def drifted(slopes: Slopes, share: float) -> Slopes:
    """Return the same after a share of each gradient has become out of date."""
    grown = (slopes.powers + slopes.energies) / 2 * share
    return slopes._replace(variances=slopes.variances + grown)
