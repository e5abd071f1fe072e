"""The unit of length of a problem: the width of the bounds, or less where the bounds are loose.

The hyper-parameters of the papers are lengths for inputs in 0..1, between bounds that perturbations
reach. Bounds far away from the data say nothing about the lengths that matter, so there the unit
follows from the distance to the decision boundary.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm import boxes, geometry
from minnorm.attacks.contract import Model
from minnorm.attacks.engine.autograd import differentiable, noise_of_sample
from minnorm.attacks.engine.inset import inset
from minnorm.attacks.engine.problem import LOOSE, USUAL_UNIT, Problem
from minnorm.boxes import Bounds, rows
from minnorm.geometry import per_sample
from minnorm.logits import check_logits, output_of, predictions

_SMALL = 0.03
"""The bounds may be loose for a sample whose values, or whose deviations from their mean, are below
this share of the width on average; or where most values that are not 0 are below it."""

_FAR = 0.25
"""The least distance of the mean from both bounds, as a share of the width, in the second case."""

_PROBES = tuple(sign * 8.0**power for power in range(-4, 6) for sign in (1, -1))
"""The lengths, relative to the usual size of a sample's values, at which its prediction is queried,
along a direction and its opposite."""

_SHARE = 3
"""The part of a budget in queries that the unit may cost: one in so many."""


def with_unit(problem: Problem, model: Model) -> Problem:
    """Return the problem, with a unit of length for each sample if bounds are loose.

    The unit of a problem is the width of the bounds. Where they are loose for a sample, it becomes
    five times the distance to the decision boundary in the linear model of the classifier at the
    input. That costs a gradient of the samples whose values vary little against the width, and of
    all samples where a bound is infinite. The unit of a sample does not depend on the rest of the
    batch.
    """
    suspects = _suspects(problem.origins, problem.bounds)
    return _with_unit(problem, model, suspects, _linear_distances)


def with_queried_unit(
    problem: Problem, model: Model, budget: int | None = None
) -> tuple[Problem, Int64[Tensor, "b"]]:
    """Return the problem with a unit as from `with_unit`, without gradients, and what it costs.

    The distance to the decision boundary is estimated along a random direction and its opposite:
    the shortest of lengths from 2e-4 to 3e4 times the usual size of the sample's values at which
    the prediction changes. That costs up to 21 queries of the same samples.

    Args:
        problem: The problem.
        model: The classifier.
        budget: The queries of a sample, of which the unit takes at most a third. With less than 63
            there are fewer lengths, and with less than 9 the unit stays the width of the bounds.

    Returns:
        The problem, and the queries of each sample that this takes from a budget: 0 or the same
        number, which does not depend on the rest of the batch.
    """
    origins = problem.origins
    probes = _probes(budget)
    spent = torch.zeros(len(origins), dtype=torch.int64, device=origins.device)
    if not probes:
        return problem, spent
    suspects = _suspects(origins, problem.bounds)
    found = _with_unit(problem, model, suspects, partial(_queried_distances, probes=probes))
    return found, spent.masked_fill(suspects, 1 + len(probes))


def _probes(budget: int | None) -> Sequence[float]:
    """Return the lengths to query, evenly chosen from all of them."""
    if budget is None:
        return _PROBES
    most = budget // _SHARE - 1  # one query is for the input
    return _PROBES[:: -(-len(_PROBES) // most)] if most > 1 else ()


def _with_unit(
    problem: Problem,
    model: Model,
    suspected: Bool[Tensor, "b"],
    estimate: Callable[[Problem, Model], Float[Tensor, "b"]],
) -> Problem:
    suspects = suspected.nonzero().squeeze(1)
    if len(suspects) == 0:
        return problem
    distances = estimate(problem.part(suspects), model)
    width = boxes.widest(problem.bounds, problem.origins)
    width = width[suspects] if isinstance(width, Tensor) else width
    loose = distances.isfinite() & (distances > 0) & (LOOSE * distances < width)
    if not loose.any():
        return problem
    units = distances.new_full((len(problem.origins),), 1.0) * problem.unit
    units[suspects[loose]] = (USUAL_UNIT * distances[loose]).to(units.dtype)
    return replace(problem, unit=units)


def _suspects(origins: Float[Tensor, "b *d"], bounds: Bounds) -> Bool[Tensor, "b"]:
    """Return the samples for which the bounds may be loose.

    Those whose features have different bounds are always among them.
    """
    if origins.numel() == 0:
        return torch.zeros(len(origins), dtype=torch.bool, device=origins.device)
    low, high, differ = _common_bounds(origins, bounds)
    width = high - low
    if not isinstance(width, Tensor) and math.isinf(width):
        return torch.full((len(origins),), fill_value=True, device=origins.device)
    free = boxes.free(bounds)
    free = None if free is None else rows(free.expand_as(origins))
    values = rows(origins).float()
    means = _mean(values, free)
    sizes = values.abs() if free is None else values.abs() * free
    # A single large value hides in the mean that the others are small; zeros say nothing.
    mostly = 2 * ((sizes > 0) & (sizes < _column(_SMALL * width))).sum(1) > (sizes > 0).sum(1)
    small = ((_mean(sizes, free) < _SMALL * width) | mostly) & (low <= 0) & (high >= 0)
    narrow = _mean((values - means.unsqueeze(1)).abs(), free) < _SMALL * width
    far = torch.minimum(means - low, high - means) > _FAR * width
    return small | (narrow & far) | differ


def _common_bounds(
    origins: Tensor, bounds: Bounds
) -> tuple[float | Tensor, float | Tensor, bool | Tensor]:
    """Return the bounds of all features, and for tensors where they differ or are infinite."""
    free = boxes.free(bounds)
    if free is None:
        return *bounds, False
    differ = torch.zeros(len(origins), dtype=torch.bool, device=origins.device)
    lowest: list[Tensor] = []
    for bound in bounds:
        lowest.append(rows(torch.where(free, bound, torch.inf).float()).amin(1))
        highest = rows(torch.where(free, bound, -torch.inf).float()).amax(1)
        differ = differ | (lowest[-1] != highest) | lowest[-1].isinf()
    low, high = (end.expand(len(origins)) for end in lowest)
    return low, high, differ


def _column(values: float | Tensor) -> float | Tensor:
    return values.unsqueeze(1) if isinstance(values, Tensor) else values


def _mean(values: Float[Tensor, "b n"], free: Bool[Tensor, "b n"] | None) -> Float[Tensor, "b"]:
    """Return the means of the entries that can change."""
    if free is None:
        return values.mean(1)
    return torch.where(free, values, 0.0).sum(1) / free.sum(1)


def _linear_distances(problem: Problem, model: Model) -> Float[Tensor, "b"]:
    """Return the distances of the inputs to the boundary in the linear model of the classifier."""
    typical = _typical_values(problem.along_free(problem.origins))
    inside = inset(problem.origins, problem.bounds, typical)
    logits, pull_back = differentiable(model, inside)
    check_logits(logits, problem.goal.labels)
    gradients = problem.along_free(pull_back(problem.goal.margin_direction(logits)))
    slopes = geometry.dual_norms(gradients, "linf" if problem.norm == "linf" else "l2")
    return problem.goal.margins(logits).abs().to(slopes.dtype) / slopes


def _queried_distances(
    problem: Problem, model: Model, *, probes: Sequence[float]
) -> Float[Tensor, "b"]:
    """Return how far from the inputs the prediction changes; infinite where it does not.

    The estimate is of the order of the distance to a boundary that is flat: along random directions
    that boundary is farther away, by about the norm of noise of variance 1.
    """
    origins = problem.origins
    noise = noise_of_sample(origins, torch.Generator(origins.device).manual_seed(0))
    typical = _typical_deviations(problem.along_free(origins))
    logits = output_of(model, origins)
    check_logits(logits, problem.goal.labels)
    before = predictions(logits)
    found = torch.full_like(typical, torch.inf)
    for number, factor in enumerate(probes, 1):
        steps = noise * per_sample(factor * typical, origins).to(noise.dtype)
        after = predictions(output_of(model, problem.feasible_(origins + steps)))
        changed = (after != before) & (after >= 0) & found.isinf()
        found = torch.where(changed, abs(factor) * typical, found)
        if number % 2 == 0 and found.isfinite().all():  # waits for the device, a few times
            break
    entries = torch.as_tensor(problem.entries, dtype=found.dtype, device=found.device)
    return found / entries.clamp_min(1.0).sqrt() if problem.norm == "linf" else found


def _typical_values(origins: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
    """Return the median of the sizes of the values that are not 0; infinite if all are 0."""
    sizes = rows(origins).abs().float()
    return sizes.where(sizes > 0, torch.nan).nanmedian(1).values.nan_to_num(torch.inf)


def _typical_deviations(origins: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
    """Return the mean deviation of the values, or their usual size if that is less; 1 for zeros."""
    values = rows(origins).float()
    deviations = (values - values.mean(1, keepdim=True)).abs().mean(1)
    sizes = _typical_values(origins)
    sizes = torch.where(sizes.isfinite(), sizes, 1.0)
    return torch.where(deviations > 0, torch.minimum(deviations, sizes), sizes)
