"""Geometry on batches: norms, spheres, boxes and grids. Pure functions, no model.

Shapes: `b` is the batch, `*d` the shape of one sample (none, one or many dimensions).
Norms and distances are computed sample by sample, in float32 at least, so that half precision
inputs do not give half precision distances.
"""

import math
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

Bounds: TypeAlias = tuple[float, float]
"""The lowest and the highest value that an input may have; either may be infinite."""

Norm: TypeAlias = Literal["l0", "l1", "l2", "linf"]
"""The name of a norm."""

NORM_ORDERS: dict[Norm, float] = {"l0": 0.0, "l1": 1.0, "l2": 2.0, "linf": math.inf}
"""The order of each norm, as `torch.linalg.vector_norm` takes it."""


def rows(values: Float[Tensor, "b *d"]) -> Float[Tensor, "b n"]:
    """Gives each sample as one row, also for samples of no dimension and for empty batches."""
    return values.flatten(1) if values.ndim > 1 else values.unsqueeze(1)


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Reshapes `values [b]` to `[b 1 ... 1]`, so that it broadcasts over `like [b *d]`."""
    return values.view(-1, *(1,) * (like.ndim - 1))


def norms(values: Float[Tensor, "b *d"], norm: Norm = "l2") -> Float[Tensor, "b"]:
    """Gives the norm of each sample, in float32 or the dtype of `values` if that is wider.

    Args:
        values: Any batch of vectors.
        norm: `l0` counts the entries that are not zero, `l1`, `l2` and `linf` are the p-norms.
    """
    wide = torch.promote_types(values.dtype, torch.float32)
    result: Tensor = torch.linalg.vector_norm(rows(values), NORM_ORDERS[norm], dim=1, dtype=wide)
    return result


def distances(
    points: Float[Tensor, "b *d"], origins: Float[Tensor, "b *d"], norm: Norm = "l2"
) -> Float[Tensor, "b"]:
    """Gives the distance from each of `origins` to its one of `points`; see `norms`."""
    wide = torch.promote_types(points.dtype, torch.float32)
    return norms(points.to(wide) - origins.to(wide), norm)


def unit(values: Float[Tensor, "b *d"], fallback: Float[Tensor, "*d"]) -> Float[Tensor, "b *d"]:
    """Scales each sample to an L2 norm of 1.

    A sample that has no direction (zero, or with an entry that is NaN or infinite) becomes
    `fallback` scaled to norm 1. The largest entry is divided out first, so that gradients whose
    squares would underflow or overflow keep their direction.

    Args:
        values: A batch of vectors, for example gradients.
        fallback: The direction of the samples that have none; not zero.
    """
    # Zero: no entry to divide by. NaN or infinite: the division leaves NaN. Both are replaced.
    peaks = per_sample(torch.linalg.vector_norm(rows(values), math.inf, dim=1), values)
    scaled = values / peaks
    lengths = per_sample(torch.linalg.vector_norm(rows(scaled), dim=1), values)
    direction = fallback / torch.linalg.vector_norm(fallback)
    return torch.where(lengths.isfinite(), scaled / lengths, direction)


def on_sphere(
    perturbations: Float[Tensor, "b *d"], radii: Float[Tensor, "b"]
) -> Float[Tensor, "b *d"]:
    """Scales each perturbation to the L2 norm `radii`; one that is zero stays zero."""
    # The largest entry is divided out first, for the same reason as in `unit`; the length of what
    # is left is at least 1, unless all of it is zero.
    peaks = per_sample(norms(perturbations, "linf"), perturbations)
    scaled = perturbations / torch.where(peaks > 0, peaks, 1.0)
    scales = radii / norms(scaled).clamp_min(1.0)
    return (scaled * per_sample(scales, scaled)).to(perturbations.dtype)


def farthest_corner(inputs: Float[Tensor, "b *d"], bounds: Bounds) -> Float[Tensor, "b"]:
    """Gives the L2 distance from each input to the farthest corner of the box `bounds`.

    No point inside the bounds is farther away, so no perturbation needs to be larger.
    """
    low, high = bounds
    return norms(torch.maximum(inputs - low, high - inputs))


def span(bounds: Bounds) -> float:
    """Gives `high - low`, or 1 where a bound is infinite: the unit in which sizes are given."""
    low, high = bounds
    return high - low if math.isfinite(high - low) else 1.0


def quantize(inputs: Float[Tensor, "b *d"], levels: int, bounds: Bounds) -> Float[Tensor, "b *d"]:
    """Rounds each entry to the nearest of `levels` evenly spaced values from low to high.

    With 256 levels on (0, 1) that is the grid of 8-bit images.
    """
    low, high = bounds
    steps = (levels - 1) / (high - low)
    # Rounding errors of the last operation can lead out of the bounds.
    return ((inputs - low) * steps).round_().div_(steps).add_(low).clamp_(low, high)
