"""Geometry on batches: norms, spheres and boxes. Pure functions, no model.

Shapes: `b` is the batch, `*d` the shape of one sample (none, one or many dimensions).
Norms and distances are computed sample by sample, in float32 at least, so that half precision
inputs do not give half precision distances.
"""

import math
import re
from numbers import Real
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minnorm import boxes
from minnorm.boxes import Bounds, rows
from minnorm.errors import InputError

Norm: TypeAlias = Literal["l0", "l1", "l2", "linf"]
"""The name of a norm."""

NORM_ORDERS: dict[Norm, float] = {"l0": 0.0, "l1": 1.0, "l2": 2.0, "linf": math.inf}
"""The order of each norm, as `torch.linalg.vector_norm` takes it."""


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Reshape `values [b]` to `[b 1 ... 1]`, to broadcast over `like [b *d]`."""
    return values.view(-1, *(1,) * (like.ndim - 1))


def wide(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return the values in float32 or wider."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def norms(values: Float[Tensor, "b *d"], norm: Norm = "l2") -> Float[Tensor, "b"]:
    """Return the norm of each sample, in float32 or the dtype of `values` if that is wider.

    Args:
        values: Any batch of vectors.
        norm: `l0` counts the nonzero entries; `l1`, `l2` and `linf` are the p-norms.
    """
    wide = torch.promote_types(values.dtype, torch.float32)
    entries = rows(values)
    # On CPUs `vector_norm` takes 6 to 20 times as long for these two.
    if norm == "linf":
        return entries.abs().amax(1).to(wide)
    if norm == "l1":
        return entries.abs().sum(1, dtype=wide)
    result: Tensor = torch.linalg.vector_norm(entries, NORM_ORDERS[norm], dim=1, dtype=wide)
    return result


def distances(
    points: Float[Tensor, "b *d"], origins: Float[Tensor, "b *d"], norm: Norm = "l2"
) -> Float[Tensor, "b"]:
    """Return the distance between each pair of a point and an origin; see `norms`."""
    wide = torch.promote_types(points.dtype, torch.float32)
    return norms(points.to(wide) - origins.to(wide), norm)


def dot(ones: Float[Tensor, "b *d"], others: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
    """Return the inner product of each pair of samples, summed in float32 at least."""
    wide = torch.promote_types(ones.dtype, torch.float32)
    return (rows(ones) * rows(others)).sum(1, dtype=wide)


def unit(values: Float[Tensor, "b *d"], fallback: Float[Tensor, "..."]) -> Float[Tensor, "b *d"]:
    """Scale each sample to an L2 norm of 1.

    A sample without a direction (zero, or with an entry that is NaN or infinite) becomes `fallback`
    scaled to norm 1. Gradients whose squares would underflow or overflow keep their direction.

    Args:
        values: A batch of vectors, for example gradients.
        fallback: The direction for samples without one, `[*d]`, or one for each, `[b *d]`. Where
            it is zero, for a sample none of whose features can change, the result is zero.
    """
    scaled, _ = _by_peak(values)
    # Zero stays zero, and a NaN or infinite entry leaves NaN: both are replaced.
    lengths = per_sample(norms(scaled), values)
    usable = lengths.isfinite() & (lengths > 0)
    direction = normalized(fallback if fallback.ndim == values.ndim else fallback.unsqueeze(0))
    return torch.where(usable, scaled / lengths, direction).to(values.dtype)


def normalized(noise: Float[Tensor, "n *d"]) -> Float[Tensor, "n *d"]:
    """Scale noise of a usual size to an L2 norm of 1; zero stays zero."""
    if len(noise) == 1:
        length = torch.linalg.vector_norm(noise)
    else:
        length = per_sample(torch.linalg.vector_norm(rows(noise), dim=1), noise)
    return noise / torch.where(length > 0, length, 1.0)


def has_direction(values: Float[Tensor, "b *d"]) -> Bool[Tensor, "b"]:
    """Return which samples are nonzero and hold neither NaN nor infinite entries."""
    peaks = norms(values, "linf")
    return (peaks > 0) & peaks.isfinite()


def _by_peak(values: Float[Tensor, "b *d"]) -> tuple[Tensor, Tensor]:
    """Divide each sample by its largest entry, so that no square underflows or overflows.

    Returns:
        The divided samples, and their largest entries (1 for samples of zeros).
    """
    peaks = norms(values, "linf")
    peaks = torch.where(peaks > 0, peaks, 1.0)
    return values / per_sample(peaks, values), peaks


def farthest_corner(inputs: Float[Tensor, "b *d"], bounds: Bounds) -> Float[Tensor, "b"]:
    """Return the L2 distance from each input to the farthest corner of the box `bounds`.

    No point inside the bounds is farther away, so no perturbation needs to be larger.
    """
    low, high = bounds
    return norms(torch.maximum(inputs - low, high - inputs))


def steepest(
    gradients: Float[Tensor, "b *d"], fallback: Float[Tensor, "..."], norm: Norm
) -> Float[Tensor, "b *d"]:
    """Return the perturbations of norm 1 along which a linear function grows most.

    Args:
        gradients: The gradients of the function; one without a direction (see `unit`) becomes
            `fallback`.
        fallback: The direction for samples without one, see `unit`.
        norm: `l2` for the scaled gradient, or `linf` for its sign.

    Raises:
        InputError: If the norm is another one.
    """
    check_ball(norm)
    directions = unit(gradients, fallback)
    return directions if norm == "l2" else directions.sign()


def scale_to_norm(
    perturbations: Float[Tensor, "b *d"], radii: Float[Tensor, "b"], norm: Norm = "l2"
) -> Float[Tensor, "b *d"]:
    """Scale each perturbation to the norm `radii`; one that is zero stays zero.

    Raises:
        InputError: If the norm is not `l2` or `linf`.
    """
    check_ball(norm)
    scaled, _ = _by_peak(perturbations)
    if norm == "l2":
        # The largest entry is 1, so the norm is at least 1 unless all entries are zero.
        radii = radii / norms(scaled).clamp_min(1.0)
    return (scaled * per_sample(radii, scaled)).to(perturbations.dtype)


def project_onto_ball(
    perturbations: Float[Tensor, "b *d"], radii: Float[Tensor, "b"], norm: Norm
) -> Float[Tensor, "b *d"]:
    """Project each perturbation onto the ball of its radius; those inside do not change.

    Raises:
        InputError: If the norm is not `l2` or `linf`.
    """
    check_ball(norm)
    limits = per_sample(radii, perturbations).to(perturbations.dtype)
    if norm == "linf":
        return torch.maximum(torch.minimum(perturbations, limits), -limits)
    outside = per_sample(norms(perturbations) > radii, perturbations)
    return torch.where(outside, scale_to_norm(perturbations, radii), perturbations)


def uniform_in_unit_ball(
    noise: Float[Tensor, "b *d"],
    shares: Float[Tensor, "#b"],
    norm: Norm,
    entries: float | Float[Tensor, "b"] | None = None,
) -> Float[Tensor, "b *d"]:
    """Turn noise into points that are uniformly distributed in the unit ball.

    Args:
        noise: Normally distributed; an entry of 0 stays 0.
        shares: Uniformly distributed in 0..1; not used for `linf`.
        norm: `l2` or `linf`.
        entries: The number of entries that are not always 0; by default all of them.

    Raises:
        InputError: If the norm is not `l2` or `linf`.
    """
    check_ball(norm)
    if norm == "linf":
        # The distribution function of a normal variable makes it uniform.
        uniform: Tensor = torch.special.ndtr(noise)
        return uniform.mul_(2).sub_(1)
    entries = rows(noise).shape[1] if entries is None else entries
    return scale_to_norm(noise, shares ** (1 / entries))


def rounding(
    values: Float[Tensor, "b *d"],
    bounds: Bounds,
    reach: float | Float[Tensor, "b"] = math.inf,
) -> Float[Tensor, "b"]:
    """Return the gap between neighboring numbers of the dtype, at the largest value of each sample.

    Args:
        values: A batch of points.
        bounds: Finite bounds count as values.
        reach: How far from the values a bound counts.
    """
    peaks = norms(values, "linf")
    reached = (peaks + reach).clamp_max(boxes.largest(bounds, values))
    return torch.maximum(peaks, reached) * torch.finfo(values.dtype).eps


def inner_radii(
    radius: float,
    origins: Float[Tensor, "b *d"],
    bounds: Bounds,
    norm: Norm,
    level: float | Float[Tensor, "b"] = 0.0,
    *,
    reach: float | Float[Tensor, "b"] = math.inf,
    entries: float | Float[Tensor, "b"] | None = None,
) -> Float[Tensor, "b"]:
    """Return radii of balls whose points stay within `radius` when they are rounded.

    For `linf` the rounding is that of the dtype alone. For `l2` the points stay within the radius
    as far as the rounding of the entries behaves like random noise. The result is at least half
    the radius.

    Args:
        radius: The radius.
        origins: The centers.
        bounds: The lowest and the highest value of a point.
        norm: `l2` or `linf`.
        level: The distance of the levels that points are rounded to; 0 for none.
        reach: How far from the centers a bound counts.
        entries: The number of entries that can change; by default all of them.
    """
    gaps = rounding(origins, bounds, reach)
    if norm == "linf":
        inner = radius - gaps
    else:
        gaps = gaps.clamp_min(level)
        # The variance of a rounding is a twelfth of the square of the gap.
        entries = rows(origins).shape[1] if entries is None else entries
        inner = (radius**2 - entries * gaps.square() / 10).clamp_min(0).sqrt()
        # Its component along the perturbation has a standard deviation of level / sqrt(12).
        inner = inner - 2 * level / math.sqrt(12)
    return inner.clamp_min(radius / 2) * (1 - 8 * torch.finfo(gaps.dtype).eps)


def check_norm(norm: object) -> Norm:
    """Return the norm, after checking its name.

    Raises:
        InputError: If there is no such norm.
    """
    for known in NORM_ORDERS:
        if isinstance(norm, str) and norm == known:
            return known
    raise InputError(f"norm={norm!r}: expected one of {', '.join(NORM_ORDERS)}.{_meant(norm)}")


def read_norm(norm: object) -> Norm:
    """Return the norm that a word or an order stands for: `L2`, `inf` and 2 are norms too.

    Raises:
        InputError: If there is no such norm.
    """
    return norm_of_word(norm) or check_norm(norm)


def norm_of_word(word: object) -> Norm | None:
    """Return the name of the norm that a word or an order stands for: `L2`, `inf`, 2.

    Args:
        word: Any value; `None` is returned for what is no norm.
    """
    if isinstance(word, Real) and not isinstance(word, bool):
        return next((name for name, order in NORM_ORDERS.items() if word == order), None)
    if not isinstance(word, str):
        return None
    short = re.sub(r"^(np|numpy|math|torch)\.|[\W_]", "", word.lower().replace("∞", "inf"))
    short = re.sub(r"^l|inity$", "", short)
    return next((name for name, order in NORM_ORDERS.items() if f"{order:g}" == short), None)


def _meant(norm: object) -> str:
    """Suggest the norm that another way to write it stands for."""
    known = norm_of_word(norm)
    return f" Did you mean {known!r}?" if known and known != norm else ""


def check_ball(norm: Norm) -> None:
    """Check that a norm is one whose balls the attacks support.

    Raises:
        InputError: If it is not `l2` or `linf`.
    """
    if norm not in ("l2", "linf"):
        raise InputError(f"norm={norm!r}: expected 'l2' or 'linf'.{_meant(norm)}")


def dual_norms(values: Float[Tensor, "b *d"], norm: Norm) -> Float[Tensor, "b"]:
    """Return the dual norms: the fastest growth of a linear function with these gradients.

    Raises:
        InputError: If the norm is not `l2` or `linf`.
    """
    check_ball(norm)
    if norm == "linf":
        return norms(values, "l1")
    scaled, peaks = _by_peak(values)
    return norms(scaled) * peaks


def to_halfspace(
    points: Float[Tensor, "b *d"],
    normals: Float[Tensor, "b *d"],
    rises: Float[Tensor, "b"],
    bounds: Bounds,
    norm: Norm = "l2",
    *,
    iterations: int = 12,
) -> Float[Tensor, "b *d"]:
    """Return the smallest steps inside the box that raise a linear function by `rises`.

    They minimize `norm(step)` over `normals . step >= rises` with `points + step` in the bounds.
    The solution is `clip(multiplier * direction)`, with the direction of steepest ascent. The rise
    is a concave, piecewise linear function of the multiplier, so Newton's method from 0 never
    overshoots, and is exact once it has found which entries are at a bound.

    Args:
        points: Where the steps begin, inside the bounds.
        normals: The gradient of the linear function.
        rises: By how much it must rise; the step is 0 where this is negative.
        bounds: The lowest and the highest value of a point.
        norm: `l2` or `linf`.
        iterations: Iterations of Newton's method.

    Returns:
        The steps; if the rise cannot be reached inside the box, the steps of the largest rise.
    """
    check_ball(norm)
    low, high = bounds
    normals, peaks = _by_peak(normals)
    rises = rises / peaks
    ascent = normals if norm == "l2" else normals.sign()
    # How far each entry can move in its direction, and how fast it moves.
    room = torch.where(ascent > 0, high - points, points - low)
    speeds, gains = rows(ascent.abs()), rows(normals.abs())
    room = rows(room)
    multipliers = torch.zeros_like(rises)
    for _ in range(iterations):
        reach = speeds * multipliers.unsqueeze(1)
        free = reach < room
        rise = (gains * torch.minimum(reach, room)).sum(1)
        slope = (gains * speeds * free).sum(1)
        missing = (rises - rise).clamp_min(0)
        multipliers = multipliers + torch.where(slope > 0, missing / slope, 0.0)
        # A slope near zero would make it infinite, and infinity times zero is NaN.
        multipliers = multipliers.clamp_max(torch.finfo(multipliers.dtype).max / 2)
    steps = torch.minimum(speeds * multipliers.unsqueeze(1), room)
    return (steps.view_as(points) * ascent.sign()).to(points.dtype)
