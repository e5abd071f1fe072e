"""Steps to the boundary in linear models of the differences of logits.

The steps of `score_pursuit`; `tangents` has the models and the probes.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm import geometry
from minnorm.attacks.engine.queries.differences import Differences
from minnorm.attacks.engine.queries.lines import points_at
from minnorm.attacks.engine.queries.patches import Patches
from minnorm.attacks.engine.queries.slopes import after_changes, drifted
from minnorm.attacks.engine.queries.tangents import Tangent
from minnorm.geometry import norms, per_sample, wide

_ROUNDED = 1e-5
"""Entries of a gradient below this share of the largest one count as 0."""

_LEAST_WAY = 1e-3
"""The least way, as a share of the perturbation, over which a change tells a slope."""

_OVERSHOOT = 0.01
"""By how much a step goes beyond the boundary of the linear model."""

_BEYOND = 1e-3
"""The margin aimed at by the queries of a line, as a share of that of the input."""

_NEAR, _LARGEST_MARGIN = 1.1, 0.3
"""Beyond the first crossing, a step is taken if it ends within this multiple of the distance of the
closest adversarial, at a margin below this share of that of the input."""

_DRIFT = 0.02
"""The share of the gradient that is out of date after a step."""

_LINE = 2
"""The queries along the line of a step."""

_ITERATIONS = 60
"""The iterations for the weights of the differences in a targeted attack."""


def stepped(scores: Differences, basis: Patches, tangent: Tangent) -> Tangent:
    """Return the linear models after a step to the closest point of the boundary in them.

    The first query is at that point, the next ones on the line from the input through it, where the
    slope says that the boundary is.

    Args:
        scores: The differences of logits.
        basis: The basis of the gradients.
        tangent: The linear models.
    """
    problem, norm = scores.search.problem, scores.search.problem.norm
    origins, here, slopes = wide(problem.origins), tangent.points, tangent.slopes
    closest = scores.search.incumbent.distances
    points = _target(scores, basis, tangent)
    best, values, taken = here, tangent.differences, torch.zeros_like(tangent.crossed)
    before: tuple[Tensor, Tensor] | None = None
    first = scores.margins(scores.first)
    least = torch.full_like(tangent.gaps, torch.inf)
    crossed = tangent.crossed
    for _ in range(_LINE):
        if scores.left == 0:
            break
        differences = scores.at(points.to(problem.origins.dtype))
        margins = scores.margins(differences)
        least = torch.minimum(least, margins.abs())
        lengths = norms(points - origins, norm)
        # Over shorter ways, changes are mostly rounding.
        far = norms(points - here) > _LEAST_WAY * norms(points - origins)
        moves = basis.coefficients((points - here) * per_sample(far, here))
        slopes = after_changes(slopes, moves, differences - tangent.differences)
        lower = margins < scores.margins(values)
        near = (lengths < _NEAR * closest) & (margins < _LARGEST_MARGIN * first)
        better = torch.where(tangent.crossed, near, lower) & margins.isfinite()
        best = torch.where(per_sample(better, best), points, best)
        values = torch.where(better.unsqueeze(1), differences, values)
        taken, crossed = taken | better, crossed | (margins <= 0)
        divisors = torch.where(lengths > 0, lengths, 1.0)
        lines = (points - origins) / per_sample(divisors, points)
        chosen = scores.deciding(differences).unsqueeze(1)
        falls = -slopes.changes(basis.coefficients(lines)).gather(1, chosen).squeeze(1)
        next_lengths = _lengths_at_boundary(lengths, margins, falls, first, before)
        points = wide(points_at(problem, lines, next_lengths))
        before = lengths, margins
    steps = norms(best - here)
    slopes = drifted(slopes, _DRIFT)
    tried = torch.minimum(norms(points - here), tangent.trust)
    trust = torch.where(taken, 2 * steps, tried / 3)
    return replace(
        tangent,
        points=best,
        differences=values,
        slopes=slopes,
        trust=torch.where(crossed, torch.inf, trust),
        crossed=crossed,
        gaps=torch.where(tangent.gaps.isfinite(), (tangent.gaps + least) / 2, least),
    )


def _lengths_at_boundary(
    lengths: Float[Tensor, "b"],
    margins: Float[Tensor, "b"],
    falls: Float[Tensor, "b"],
    first: Float[Tensor, "b"],
    before: tuple[Float[Tensor, "b"], Float[Tensor, "b"]] | None,
) -> Float[Tensor, "b"]:
    """Return the lengths on lines from the inputs at which margins fall to a little below 0.

    Args:
        lengths: The lengths of the last points.
        margins: The margins there.
        falls: How fast the margins fall along the lines, by the linear model.
        first: The margins at the inputs.
        before: The lengths and margins of other points on the lines; a secant through these and the
            last ones is better than the linear model.
    """
    if before is not None:
        secants = (before[1] - margins) / (lengths - before[0])
        apart = (lengths - before[0]).abs() > _LEAST_WAY * lengths
        falls = torch.where(apart & secants.isfinite() & (secants > 0), secants, falls)
    falls = torch.where(falls > 0, falls, first / torch.where(lengths > 0, lengths, 1.0))
    reach = lengths + (margins + _BEYOND * first) / falls
    reach = torch.minimum(torch.maximum(reach, lengths / 2), 1.5 * lengths)
    return reach.nan_to_num(0.0, 0.0, 0.0)


def _target(scores: Differences, basis: Patches, tangent: Tangent) -> Float[Tensor, "b *d"]:
    """Return the closest points to the inputs that are beyond the boundary in the linear models.

    Untargeted, one difference has to be below 0: the closest one. Targeted, all have to.
    """
    problem, norm = scores.search.problem, scores.search.problem.norm
    origins, here, slopes = wide(problem.origins), tangent.points, tangent.slopes
    values = tangent.differences.nan_to_num(torch.inf)
    values = values + slopes.changes(basis.coefficients(origins - here))
    count = values.shape[1]
    gradients = torch.stack(
        [problem.along_free(basis.values(slopes.means[:, k])) for k in range(count)], 1
    )
    if scores.search.goal.targeted:
        weights = boundary_weights(gradients.reshape(*values.shape, -1), values)
    else:
        speeds = torch.stack([geometry.dual_norms(one, norm) for one in gradients.unbind(1)], 1)
        reach = torch.where(speeds > 0, values.clamp_min(0) / speeds, torch.inf)
        weights = torch.zeros_like(values).scatter_(1, reach.argmin(1, keepdim=True), 1.0)
    gradient = torch.einsum("bk,bk...->b...", weights, gradients)
    rises = torch.where(weights > 0, weights * values, 0.0).sum(1).clamp_min(1e-9)
    # What only rounding has left has no sign.
    largest = per_sample(norms(gradient, "linf"), gradient)
    gradient = torch.where(gradient.abs() > _ROUNDED * largest, gradient, 0.0)
    rises = (rises * (1 + _OVERSHOOT)).nan_to_num(0.0, 0.0, 0.0)
    steps = geometry.to_halfspace(origins, -gradient, rises, problem.bounds, norm)
    lengths = norms(steps, norm)
    directions = steps / per_sample(torch.where(lengths > 0, lengths, 1.0), steps)
    if problem.levels is not None and norm == "linf":
        # All entries move by the same length: a shorter one would be rounded away everywhere.
        lengths = torch.maximum(lengths, problem.unit * problem.least_step())
    # Never farther than what is known.
    closest = scores.search.incumbent.distances
    lengths = torch.where(tangent.crossed, torch.minimum(lengths, closest), lengths)
    points = wide(points_at(problem, directions, lengths))
    far = norms(points - here)
    shares = (tangent.trust / torch.where(far > 0, far, 1.0)).clamp_max(1.0)
    points = torch.lerp(here, points, per_sample(shares, here))
    return wide(problem.feasible_(points.to(problem.origins.dtype)))


def boundary_weights(
    gradients: Float[Tensor, "b k n"], values: Float[Tensor, "b k"]
) -> Float[Tensor, "b k"]:
    """Return the weights of linear functions whose sum is below 0 exactly as far away as all are.

    These are the multipliers of the closest point, in L2, where no function is above 0. They
    maximize a concave quadratic function, here by projected gradients (Goldstein 1964).

    Args:
        gradients: The gradients of the functions.
        values: The values of the functions at the point from which the distance counts.

    Returns:
        The weights, at least 0: minus the weighted sum of the gradients leads to the closest point.
        A function without a gradient has the weight 0.
    """
    speeds = gradients.norm(dim=2)
    speeds = torch.where(speeds > 0, speeds, torch.inf)
    reach = (values / speeds).nan_to_num(0.0, 0.0, 0.0)
    units = gradients / speeds.unsqueeze(2)
    products = units @ units.mT
    rates = 1 / products.abs().sum(2).amax(1, keepdim=True).clamp_min(1)
    weights = reach.clamp_min(0)
    for _ in range(_ITERATIONS):
        rests = reach - (products @ weights.unsqueeze(2)).squeeze(2)
        weights = (weights + rates * rests).clamp_min(0)
    return weights / speeds
