"""Linear models of the differences of logits at a point, and steps to the boundary in them.

The steps of `score_pursuit`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm import boxes, geometry
from minnorm.attacks.engine.queries.differences import Differences
from minnorm.attacks.engine.queries.images import usual_reach
from minnorm.attacks.engine.queries.lines import points_at
from minnorm.attacks.engine.queries.patches import Patches
from minnorm.attacks.engine.queries.slopes import Slopes, after_changes, drifted, with_powers
from minnorm.geometry import norms, per_sample, wide

_FIRST_RADIUS, _RADIUS = 0.02, 0.05
"""The distance of probes: at the input in units, later as a share of the L2 length of the
perturbation."""

_MANY_ZEROS, _FEW_ZEROS = 0.5, 0.1
"""Above this share of probes that change no score, the next ones are farther away; below the other
share they are closer again."""

_WIDER, _NARROWER, _WIDEST = 2.0, 1.5, 50.0
"""The factors on their distance, and the most by which it grows."""

_ASKED = 0.02
"""The share of the variance of a coefficient that is left at least after its probe, so that the
bounds, which change probes, do not let it be asked at once again."""

_LAST_WEIGHT = 0.95
"""The weight of the last coefficient against the first one in the choice of the next probe."""

_AS_LONG = 0.99
"""A probe goes backwards if the bounds leave it less than this share of that length forwards."""

_ROUNDED = 1e-5
"""Entries of a gradient below this share of the largest one count as 0."""

_LEAST_WAY = 1e-3
"""The least way, as a share of the perturbation, over which a change tells a slope."""

_CANDIDATES = 4
"""The probes of a round that samples without an adversarial spend on other points."""

_OVERSHOOT = 0.01
"""By how much a step goes beyond the boundary of the linear model."""

_BEYOND = 1e-3
"""The margin aimed at by the queries of a line, as a share of that of the input."""

_NEAR = 1.1
"""A step is taken if it ends within this multiple of the distance of the closest adversarial."""

_DRIFT = 0.02
"""The share of the gradient that is out of date after a step."""

_LINE = 2
"""The queries along the line of a step."""


@dataclass(frozen=True)
class Tangent:
    """The linear model of each sample at a point.

    Attributes:
        points: The points, in float32 or wider.
        differences: The differences of logits at these.
        slopes: Their gradients in the coefficients of a basis.
        stretch: The factor on the distance of the probes.
        trust: The longest step, in L2, as long as no step has reached the boundary.
        crossed: Whether a step has reached it.
        prior: The powers of the gradients before any query.
        gaps: The margin closest to 0 at the end of a step, without its sign, on average over the
            steps; the last one counts half.
    """

    points: Float[Tensor, "b *d"]
    differences: Float[Tensor, "b k"]
    slopes: Slopes
    stretch: Float[Tensor, "b"]
    trust: Float[Tensor, "b"]
    crossed: Bool[Tensor, "b"]
    prior: Float[Tensor, "b n"]
    gaps: Float[Tensor, "b"]

    def part(self, rows: Int64[Tensor, "j"]) -> "Tangent":
        """Return the linear models of some of the samples."""
        return Tangent(
            self.points[rows],
            self.differences[rows],
            Slopes(*(one[rows] for one in self.slopes)),
            self.stretch[rows],
            self.trust[rows],
            self.crossed[rows],
            self.prior[rows],
            self.gaps[rows],
        )


def first_tangent(scores: Differences, basis: Patches) -> Tangent:
    """Return linear models at the inputs that know no gradient yet."""
    problem, first = scores.search.problem, scores.first
    origins = wide(problem.origins)
    free = problem.free
    movable = torch.ones_like(origins, dtype=torch.bool) if free is None else free
    powers = basis.first_powers(boxes.rows(movable.expand_as(origins)))
    means = powers.new_zeros(*first.shape, powers.shape[1])
    ones = torch.ones_like(powers[:, 0])
    infinite = torch.full_like(ones, torch.inf)
    crossed = torch.zeros_like(scores.search.goal.labels, dtype=torch.bool)
    return Tangent(
        origins, first, Slopes(means, powers, powers), ones, infinite, crossed, powers, infinite
    )


def probed(
    scores: Differences,
    basis: Patches,
    tangent: Tangent,
    probes: int,
    candidates: Iterator[Float[Tensor, "b *d"]] | None = None,
) -> Tangent:
    """Return the linear models after probes of the coefficients that are known least.

    Args:
        scores: The differences of logits.
        basis: The basis of the gradients.
        tangent: The linear models.
        probes: The number of probes.
        candidates: Points that may be adversarial, for the first probes of samples without one.
    """
    problem, slopes, here = scores.search.problem, tangent.slopes, tangent.points
    lengths = norms(here - wide(problem.origins))
    # Infinite bounds have no width.
    unit = usual_reach(wide(problem.origins)).clamp_max(torch.as_tensor(problem.unit).to(lengths))
    radii = tangent.stretch * torch.where(lengths > 0, _RADIUS * lengths, _FIRST_RADIUS * unit)
    if problem.levels is not None:  # shorter ones would be rounded away
        radii = torch.maximum(radii, problem.unit * problem.least_step() / basis.per_patch)
    radii = torch.minimum(radii, torch.maximum(unit, lengths))
    zeros = torch.zeros_like(radii)
    # Of coefficients that are equally uncertain, the first one: rounding must not decide.
    order = torch.linspace(1, _LAST_WEIGHT, slopes.variances.shape[1]).to(radii)
    for number in range(probes):
        chosen = (order * slopes.variances).argmax(1, keepdim=True)
        pattern = torch.zeros_like(slopes.variances).scatter_(1, chosen, 1.0)
        moves = problem.along_free(basis.values(pattern)) * per_sample(radii, here)
        ends = [boxes.clip_(here + sign * moves, problem.bounds) for sign in (1, -1)]
        more = norms(ends[0] - here) >= _AS_LONG * norms(ends[1] - here)
        farther = torch.where(per_sample(more, here), ends[0], ends[1])
        points = problem.feasible_(farther.to(problem.origins.dtype))
        lost = torch.zeros_like(tangent.crossed)
        if candidates is not None and number < _CANDIDATES:
            lost = ~scores.found
            points = torch.where(per_sample(lost, points), next(candidates), points)
        differences = scores.at(points)
        changes = differences - tangent.differences
        zeros = zeros + (changes == 0).all(1)
        before = slopes.variances.gather(1, chosen)
        asked = torch.where(lost, 0.0, 1.0).unsqueeze(1)
        moves = basis.coefficients(wide(points) - here) * asked
        slopes = after_changes(slopes, moves, changes)
        slopes = slopes._replace(
            variances=slopes.variances.scatter(
                1, chosen, torch.where(asked > 0, _ASKED, 1.0) * before
            )
        )
    powers = basis.powers(tangent.prior, slopes.energies, slopes.known)
    slopes = with_powers(slopes, powers)
    wider = torch.where(zeros < _FEW_ZEROS * probes, 1 / _NARROWER, 1.0)
    wider = torch.where(zeros > _MANY_ZEROS * probes, _WIDER, wider)
    return replace(tangent, slopes=slopes, stretch=(tangent.stretch * wider).clamp(1.0, _WIDEST))


def stepped(scores: Differences, basis: Patches, tangent: Tangent) -> Tangent:
    """Return the linear models after a step to the closest point of the boundary in them.

    The first query is at that point, the next ones on the line from the input through it, where the
    slope says that the boundary is.
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
        better = torch.where(tangent.crossed, lengths < _NEAR * closest, lower) & margins.isfinite()
        best = torch.where(per_sample(better, best), points, best)
        values = torch.where(better.unsqueeze(1), differences, values)
        taken, crossed = taken | better, crossed | (margins <= 0)
        divisors = torch.where(lengths > 0, lengths, 1.0)
        lines = (points - origins) / per_sample(divisors, points)
        chosen = scores.deciding(differences).unsqueeze(1)
        falls = -slopes.changes(basis.coefficients(lines)).gather(1, chosen).squeeze(1)
        if before is not None:
            secants = (before[1] - margins) / (lengths - before[0])
            apart = (lengths - before[0]).abs() > _LEAST_WAY * lengths
            falls = torch.where(apart & secants.isfinite() & (secants > 0), secants, falls)
        before = lengths, margins
        falls = torch.where(falls > 0, falls, first / divisors)
        reach = lengths + (margins + _BEYOND * first) / falls
        reach = torch.minimum(torch.maximum(reach, lengths / 2), 1.5 * lengths)
        reach = reach.nan_to_num(0.0, 0.0, 0.0)
        points = wide(points_at(problem, lines, reach))
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


def _target(scores: Differences, basis: Patches, tangent: Tangent) -> Float[Tensor, "b *d"]:
    """Return the closest points to the inputs that are beyond the boundary in the linear models."""
    problem, norm = scores.search.problem, scores.search.problem.norm
    origins, here, slopes = wide(problem.origins), tangent.points, tangent.slopes
    values = tangent.differences.nan_to_num(torch.inf)
    values = values + slopes.changes(basis.coefficients(origins - here))
    count = values.shape[1]
    gradients = [problem.along_free(basis.values(slopes.means[:, k])) for k in range(count)]
    speeds = torch.stack([geometry.dual_norms(one, norm) for one in gradients], 1)
    reach = torch.where(speeds > 0, values.clamp_min(0) / speeds, torch.inf)
    if scores.search.goal.targeted:
        chosen = scores.deciding(tangent.differences)
    else:
        chosen = reach.argmin(1)
    index = chosen.view(-1, 1)
    gradient = torch.stack(gradients, 1)[torch.arange(len(index)), chosen]
    # What only rounding has left has no sign.
    largest = per_sample(norms(gradient, "linf"), gradient)
    gradient = torch.where(gradient.abs() > _ROUNDED * largest, gradient, 0.0)
    rises = values.gather(1, index).squeeze(1).clamp_min(1e-9) * (1 + _OVERSHOOT)
    rises = rises.nan_to_num(0.0, 0.0, 0.0)
    steps = geometry.to_halfspace(origins, -gradient, rises, problem.bounds, norm)
    lengths = norms(steps, norm)
    directions = steps / per_sample(torch.where(lengths > 0, lengths, 1.0), steps)
    # Never farther than what is known.
    closest = scores.search.incumbent.distances
    lengths = torch.where(tangent.crossed, torch.minimum(lengths, closest), lengths)
    points = wide(points_at(problem, directions, lengths))
    far = norms(points - here)
    shares = (tangent.trust / torch.where(far > 0, far, 1.0)).clamp_max(1.0)
    points = torch.lerp(here, points, per_sample(shares, here))
    return wide(problem.feasible_(points.to(problem.origins.dtype)))
