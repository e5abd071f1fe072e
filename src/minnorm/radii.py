"""Radii: whether a distance is within one, and balls inside balls. Pure functions.

Shapes: `b` is the batch, `*d` the shape of one sample.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.geometry import NORM_ORDERS, Norm, norms, rounding

_ROUNDED_GAPS = 4
"""Gaps between neighboring numbers by which rounding may change a measured distance."""

_COARSE = 1e-5
"""The share of a distance above which a gap is large beside it."""

_SIMILAR = 16
"""How many times as large as the gaps that differ the gap at the largest entry may be."""

_DOUBLE_SHARE = 2**-14
"""The share of a change in float64 that may be an error of inputs made from float32."""

_SUMMED_SHARE = 0.03
"""The largest share of a distance that the rounding errors of many entries may be together."""

ROUNDED_SHARE = 16 * torch.finfo(torch.float32).eps
"""The share of a radius by which rounding in float32 may change a measured distance."""


def measured_gaps(
    inputs: Float[Tensor, "b *d"], points: Float[Tensor, "b *d"]
) -> Float[Tensor, "b"]:
    """Return the gap between neighboring numbers by which rounding may change each distance.

    It is the gap at the largest entry of an input, unless that entry is much larger than those that
    differ from the point: a time of 1.7e9 seconds that stays as it is has no influence on the
    distance. Then it is the largest gap of an entry that differs, and at most its difference.

    It is that of float32, also for float64, since inputs are often made from float32. In a narrower
    dtype it is a sixth of the gap there: a point is rounded once, by half a gap, and four whole
    gaps would be as large as usual radii.

    Args:
        inputs: The inputs.
        points: The points whose distances to the inputs are measured. Where a point is its input,
            all entries count.
    """
    narrow = inputs.dtype.itemsize < torch.float32.itemsize
    counted, parts = (inputs, 6) if narrow else (inputs.float(), 1)
    largest = rounding(counted, (0.0, 0.0)) / parts
    share = _DOUBLE_SHARE if inputs.dtype == torch.float64 else 1.0
    moves = share * (points - inputs).abs()
    gaps = torch.maximum(inputs.abs(), points.abs()) * (torch.finfo(counted.dtype).eps / parts)
    moved = norms(torch.minimum(gaps, moves), "linf").to(largest.dtype)
    return torch.where((moved > 0) & (largest > _SIMILAR * moved), moved, largest)


def least_radii(
    measured: Float[Tensor, "b"], gaps: Float[Tensor, "b"], norm: Norm
) -> Float[Tensor, "b"]:
    """Return the smallest radius that each measured distance is within, with a tolerance.

    Rounding can make a distance that equals a radius slightly larger. So this function decides in
    the whole package whether a distance is within a radius. The tolerance is 4 gaps and 2e-6 of the
    radius, but at most half of the radius, so a radius of 0 has none. Where gaps are large beside
    the distance, as in half precision, it is up to 24 gaps and 3 % in other norms than `linf`.
    Counts (`l0`) are exact.

    Args:
        measured: The distances, in units of the inputs; infinite ones stay infinite.
        gaps: The gaps, see `measured_gaps`.
        norm: The norm of the distances.

    Returns:
        The radii: a distance is within a radius if its least radius is at most that.
    """
    if norm == "l0":
        return measured
    errors = _ROUNDED_GAPS * gaps
    if norm != "linf":  # the errors of many entries add up, which half precision does not hide
        summed = torch.minimum(6 * errors, _SUMMED_SHARE * measured)
        errors = torch.where(gaps > _COARSE * measured, torch.maximum(errors, summed), errors)
    rounded = (measured - errors) / (1 + ROUNDED_SHARE)
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
