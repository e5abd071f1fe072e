"""Linear models of the differences of logits at a point, and the probes that measure their slopes.

The probes of `score_pursuit`; `steps` has its steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm import boxes
from minnorm.attacks.engine.queries.differences import Differences
from minnorm.attacks.engine.queries.images import usual_reach
from minnorm.attacks.engine.queries.patches import Patches
from minnorm.attacks.engine.queries.slopes import Slopes, after_changes, with_powers
from minnorm.geometry import norms, per_sample, wide

_FIRST_RADIUS, _RADIUS = 0.02, 0.05
"""The L2 distance of probes: at the input as a share of the width of the bounds, or of a distance
that is large for its values if that is less; later as a share of the length of the perturbation.
"""

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

_CANDIDATES = 4
"""The probes of a round that samples without an adversarial spend on other points."""


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
    width = torch.as_tensor(boxes.widest(problem.bounds, problem.origins)).to(lengths)
    unit = torch.minimum(usual_reach(wide(problem.origins)), width)  # the width may be infinite
    radii = tangent.stretch * torch.where(lengths > 0, _RADIUS * lengths, _FIRST_RADIUS * unit)
    if problem.levels is not None:  # shorter ones would be rounded away
        step = problem.unit * replace(problem, norm="l2").least_step()
        radii = torch.maximum(radii, step / basis.per_patch)
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
        moves = basis.coefficients(wide(points) - here)
        left = _ASKED * slopes.variances.gather(1, chosen)
        if candidates is not None and number < _CANDIDATES:
            lost = ~scores.found
            points = torch.where(per_sample(lost, points), next(candidates), points)
            # Far away, a change tells no slope.
            moves = torch.where(lost.unsqueeze(1), 0.0, moves)
            left = torch.where(lost.unsqueeze(1), left / _ASKED, left)
        differences = scores.at(points)
        changes = differences - tangent.differences
        zeros = zeros + (changes == 0).all(1)
        slopes = after_changes(slopes, moves, changes)
        slopes = slopes._replace(variances=slopes.variances.scatter(1, chosen, left))
    powers = basis.powers(tangent.prior, slopes.energies, slopes.known)
    slopes = with_powers(slopes, powers)
    wider = torch.where(zeros < _FEW_ZEROS * probes, 1 / _NARROWER, 1.0)
    wider = torch.where(zeros > _MANY_ZEROS * probes, _WIDER, wider)
    return replace(tangent, slopes=slopes, stretch=(tangent.stretch * wider).clamp(1.0, _WIDEST))
