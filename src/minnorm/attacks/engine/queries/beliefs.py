"""A Gaussian belief about a linear function, and what observations of the function change in it.

The function maps features to a number: a gradient times the features, plus an offset. The belief
has a mean and a variance for each entry of the gradient, and for the offset. An observation of the
sign of the function is Bayesian probit regression by assumed-density filtering (Minka, UAI 2001;
Graepel et al., ICML 2010). Pure functions.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minnorm.boxes import rows
from minnorm.geometry import dot, norms, per_sample

_LEAST_LEFT = 0.5
"""The least share of a variance that is left after one observation. The entries are independent in
the belief, so it is too certain after observations that have much in common."""

_MOST_SURPRISING = -8.0
"""The most surprising observation that counts in full, in standard deviations."""


class Belief(NamedTuple):
    """A Gaussian belief about a linear function of each sample.

    Attributes:
        means: The means of the gradient's entries.
        variances: Their variances.
        offsets: The means of the offsets.
        spreads: The variances of the offsets.
    """

    means: Float[Tensor, "b *d"]
    variances: Float[Tensor, "b *d"]
    offsets: Float[Tensor, "b"]
    spreads: Float[Tensor, "b"]

    def values(self, features: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
        """Return the mean of the function at the features."""
        return dot(self.means, features) + self.offsets


def prior(variances: Float[Tensor, "b *d"]) -> Belief:
    """Return a belief without a direction, scaled so that a gradient of norm 1 is expected."""
    totals = rows(variances).sum(1)
    zeros = torch.zeros_like(totals)
    scaled = variances / per_sample(totals, variances)
    return Belief(torch.zeros_like(scaled), scaled, zeros, zeros)


def after_signs(
    belief: Belief, features: Float[Tensor, "b *d"], positive: Bool[Tensor, "b"]
) -> Belief:
    """Return the belief after the signs of the function at the features have been observed."""
    # The covariances of the gradient and the function, and the variance of the function.
    shared = belief.variances * features
    total = dot(shared, features) + belief.spreads
    total = total.clamp_min(torch.finfo(total.dtype).tiny)
    deviations = total.sqrt()
    signs = torch.where(positive, 1.0, -1.0).to(total.dtype)
    # How far the observed side is from surprising, in standard deviations.
    expected = (signs * belief.values(features) / deviations).clamp_min(_MOST_SURPRISING)
    log_density = -expected.square() / 2 - math.log(2 * math.pi) / 2
    # The mean of a normal variable that is cut off at the expected place, and what it loses.
    shifts = (log_density - torch.special.log_ndtr(expected)).exp()
    gains, losses = signs * shifts / deviations, shifts * (shifts + expected) / total
    variances = torch.addcmul(
        belief.variances, shared.square(), per_sample(losses, shared), value=-1
    )
    spreads = belief.spreads - losses * belief.spreads.square()
    return Belief(
        torch.addcmul(belief.means, shared, per_sample(gains, shared)),
        torch.maximum(variances, _LEAST_LEFT * belief.variances),
        belief.offsets + gains * belief.spreads,
        spreads.clamp_min(0),
    )


def rescaled(belief: Belief) -> Belief:
    """Return the belief, scaled so that a gradient of norm 1 is expected.

    The sign of a function does not tell its scale.
    """
    squares = norms(belief.means).square() + rows(belief.variances).sum(1)
    squares = torch.where(squares > 0, squares, 1.0)
    scales = per_sample(squares.rsqrt(), belief.means)
    return Belief(
        belief.means * scales,
        belief.variances * scales.square(),
        belief.offsets * squares.rsqrt(),
        belief.spreads / squares,
    )


def relaxed(belief: Belief, powers: Float[Tensor, "b *d"], shares: Float[Tensor, "b"]) -> Belief:
    """Return the belief after a part of what it knows has become out of date.

    Args:
        belief: The belief before.
        powers: The expected squares of the gradient's entries.
        shares: The share of the gradient that is out of date, from 0 to 1.
    """
    out_of_date = per_sample(shares, powers)
    return belief._replace(
        means=belief.means * (1 - out_of_date).sqrt(),
        variances=torch.addcmul(belief.variances, powers, out_of_date),
    )
