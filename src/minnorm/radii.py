"""Radii: whether a distance is within one, and balls inside balls. Pure functions.

Shapes: `b` is the batch, `*d` the shape of one sample.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.geometry import NORM_ORDERS, Norm, rounding

_ROUNDED_GAPS = 4
"""Gaps between neighboring numbers by which rounding may change a measured distance."""

ROUNDED_SHARE = 16 * torch.finfo(torch.float32).eps
"""The share of a radius by which rounding in float32 may change a measured distance."""


def measured_gaps(inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
    """Return the gap between neighboring numbers at the largest entry of each input.

    It is that of float32 or of a narrower dtype: wider inputs are often made from float32.
    """
    narrow = inputs.float() if inputs.dtype == torch.float64 else inputs
    return rounding(narrow, (0.0, 0.0))


def least_radii(
    measured: Float[Tensor, "b"], gaps: Float[Tensor, "b"], norm: Norm
) -> Float[Tensor, "b"]:
    """Return the smallest radius that each measured distance is within, with a tolerance.

    Rounding can make a distance that equals a radius slightly larger. So this function decides in
    the whole package whether a distance is within a radius. The tolerance is 4 gaps and 2e-6 of the
    radius, but at most half of the radius, so a radius of 0 has none. Counts (`l0`) are exact.

    Args:
        measured: The distances, in units of the inputs; infinite ones stay infinite.
        gaps: The gaps of the inputs, see `measured_gaps`.
        norm: The norm of the distances.

    Returns:
        The radii: a distance is within a radius if its least radius is at most that.
    """
    if norm == "l0":
        return measured
    rounded = (measured - _ROUNDED_GAPS * gaps) / (1 + ROUNDED_SHARE)
    return torch.maximum(rounded, measured / 1.5)


def inscribed_radius(radius: float, norm: Norm, other: Norm) -> float:
    """Return the radius of the largest ball in another norm that lies in a ball, in any dimension.

    It is the radius itself if the other norm is never smaller, as `l2` is never smaller than
    `linf`. Otherwise it is 0, since the ball of the other norm outgrows the first one as the number
    of dimensions grows.
    """
    if norm == other:
        return radius
    return radius if 1 <= NORM_ORDERS[other] < NORM_ORDERS[norm] else 0.0
