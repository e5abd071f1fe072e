"""Beliefs about the normals of the boundary where lines meet it, from the classes of probes.

The steps of `decision_pursuit`, see docs/decision-pursuit.md.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minnorm import boxes
from minnorm.attacks.engine.autograd import noise_of_sample
from minnorm.attacks.engine.queries.bases import Basis
from minnorm.attacks.engine.queries.beliefs import (
    Belief,
    after_signs,
    prior,
    relaxed,
    rescaled,
)
from minnorm.attacks.engine.queries.lines import Line, directed, narrowed_again, points_at
from minnorm.attacks.engine.queries.quota import Quota
from minnorm.boxes import rows
from minnorm.geometry import dot, norms, per_sample, wide

_BEND = 3.0
"""How far the boundary may be from its tangent plane at the probes, as a multiple of the square of
their distance, and of how steep it is along a probe."""

_DRIFT = 0.02
"""The growth of the variance of that with each probe, as a share of the first one."""

_KEPT_OFFSET = 0.5
"""The share of the offset that is kept for the next probes."""

_FARTHEST = 0.15
"""The farthest that a probe is moved along the line, as a share of the length of the line."""

_CLOSER, _INSIDE = 0.9998, 0.5
"""A line has improved if it is shorter than this share of the one before, and than this place in
the interval that holds its boundary."""

_PACES = (0.01, 0.3)
"""How much shorter an improved line is expected to be at most, as a share of its length: the least
and the largest. The first is the largest one."""

_FASTER, _SLOWER = 5.0, 0.9
"""After a success, it is this multiple of what the line has become shorter; and the factor on it
after a failure."""

_NARROWINGS = 3
"""The queries that narrow the interval of a line after an attempt to turn it."""

_GROWTH, _SHRINKAGE = 1.3, 0.6
"""The factors on the share of the normal in a line, after a success and after a failure."""

_SHARES = (0.1, 0.5, 0.9)
"""That share: the least, the first, and the largest."""

_OUT_OF_DATE = 0.3
"""The part of a normal that is out of date, as a multiple of the move of the line."""

_KNEE = 0.25
"""The expected spectrum of a normal, before any probe: flat up to this share of the longer side of
an image, then its squares fall with the square of the frequency."""

_COLOR = 0.25
"""The expected squares for differences of colors, as a share of those for gray."""

_SIGN = math.sqrt(2 / math.pi)
"""The slope of the mean of a sign, in standard deviations from where both signs are equally likely.
"""

_DAMPING, _LEAST_WEIGHT, _LARGEST_WEIGHT = 2.0, 0.5, 2.0
"""The information about a band that counts as known before a round, and the least and the largest
factor of its squares after it."""


@dataclass(frozen=True)
class Sighting:
    """Lines, and beliefs about the normals where they meet the boundary.

    The features of the belief are displacements from the boundary, as shares of the L2 length of
    the line, in the coefficients of the basis.

    Attributes:
        line: The lines.
        belief: The beliefs.
        powers: The expected squares of the coefficients of a normal, before any probe.
        shares: The share of the normal in the next direction.
        paces: How much shorter the next line may become, as a share of its length.
    """

    line: Line
    belief: Belief
    powers: Float[Tensor, "b *d"]
    shares: Float[Tensor, "b"]
    paces: Float[Tensor, "b"]

    def where(self, yes: Bool[Tensor, "b"], other: "Sighting") -> "Sighting":
        """Return these lines and beliefs where `yes`, otherwise other ones."""

        def chosen(one: Tensor, two: Tensor) -> Tensor:
            return torch.where(per_sample(yes, one), one, two)

        return Sighting(
            self.line.where(yes, other.line),
            Belief(*map(chosen, self.belief, other.belief)),
            chosen(self.powers, other.powers),
            chosen(self.shares, other.shares),
            chosen(self.paces, other.paces),
        )


def first_sighting(line: Line, basis: Basis) -> Sighting:
    """Return lines with a belief that has no direction yet."""
    side = max(basis.frequencies.shape[-2:], default=1)
    powers = 1 / (1 + (basis.frequencies / (_KNEE * side)).square())
    if basis.colors is not None:
        powers = powers * powers.new_tensor([1.0, _COLOR, _COLOR]).view(-1, 1, 1)
    belief = prior(powers.expand_as(line.directions))
    shares = torch.full_like(line.low, _SHARES[1])
    paces = torch.full_like(line.low, _PACES[1])
    return Sighting(line, belief, belief.variances, shares, paces)


def shortest(sightings: list[Sighting], number: int) -> list[Sighting]:
    """Return sightings whose lines are the shortest ones of each sample, the shortest first."""
    order = torch.stack([one.line.high for one in sightings]).argsort(dim=0, stable=True)
    chosen = []
    for places in order[:number]:
        one = sightings[0]
        for place, other in enumerate(sightings[1:], 1):
            one = other.where(places == place, one)
        chosen.append(one)
    return chosen


def probed(
    quota: Quota,
    basis: Basis,
    seen: Sighting,
    *,
    probes: int,
    radius: float,
    candidates: Iterator[Float[Tensor, "b *d"]],
) -> Sighting:
    """Return the beliefs after probes at the boundary.

    A probe is displaced in a direction that is drawn from what is not known of the normal yet. It
    is moved along the line until both answers are equally likely, so that it tells most. Samples
    without an adversarial try a candidate instead.

    The answers also weigh the bands: where a band alone predicts them, its coefficients are larger
    than expected. Its weight is a damped step of Newton's method for the likelihood of the answers.

    Args:
        quota: The queries.
        basis: The basis of the beliefs.
        seen: The lines and beliefs.
        probes: The number of probes.
        radius: The distance of the probes from the line, as a share of its length.
        candidates: Points that may be adversarial.
    """
    problem, line = quota.search.problem, seen.line
    here = wide(points_at(problem, line.directions, line.middle))
    along, lengths = directed(here - wide(problem.origins))
    along_features = basis.coefficients(along)
    belief = seen.belief
    slopes = dot(belief.means, along_features).square()
    slopes = (slopes + dot(belief.variances, along_features.square())).sqrt()
    slopes = slopes.clamp_min(torch.finfo(slopes.dtype).tiny)  # 0 for a line without a direction
    interval = (line.high - line.low) / line.high * slopes
    # The expected square of the slope along a probe, which is drawn from the variances.
    steepness = dot(belief.variances, belief.variances) / rows(belief.variances).sum(1)
    bend = (_BEND * radius**2) ** 2 * steepness
    scores = infos = line.low.new_zeros(len(line.low), basis.count)
    lost = line.high.isinf()
    some_lost = bool(lost.any())
    belief = belief._replace(
        offsets=_KEPT_OFFSET * belief.offsets,
        spreads=(interval.square() / 12).nan_to_num(0.0) + bend,
    )
    for _ in range(probes):
        if quota.left == 0:
            break
        steps = problem.along_free(radius * basis.values(_drawn(quota, belief)))
        ahead = boxes.clip_(here + lengths * steps, problem.bounds)
        rises = belief.values(basis.coefficients((ahead - here) / lengths))
        back = (rises / slopes).clamp(-_FARTHEST, _FARTHEST)
        points = here + lengths * (steps - along * per_sample(back, along))
        points = problem.feasible_(points.to(problem.origins.dtype))
        if some_lost:
            points = torch.where(per_sample(lost, points), next(candidates), points)
        hits = quota.adversarial_at(points)
        belief = belief._replace(spreads=belief.spreads + _DRIFT * bend)
        features = basis.coefficients((wide(points) - here) / lengths)
        parts = _parts(belief, features, basis)
        scores = scores + _SIGN * torch.where(hits, 1.0, -1.0).unsqueeze(1) * parts
        infos = infos + _SIGN**2 * parts.square()
        belief = after_signs(belief, features, hits)
    weights = (1 + scores / (infos + _DAMPING)).clamp(_LEAST_WEIGHT, _LARGEST_WEIGHT)
    return _with_spectrum(replace(seen, belief=belief), basis.spread(weights))


def turned(quota: Quota, basis: Basis, seen: Sighting, turns: int) -> Sighting:
    """Return the lines after turns towards the mean of the normal, where that makes them shorter.

    Args:
        quota: The queries.
        basis: The basis of the beliefs.
        seen: The lines and beliefs.
        turns: The number of attempts.
    """
    problem = quota.search.problem
    normals = basis.values(seen.belief.means)
    ascent = directed(problem.along_free(normals))[0]
    if problem.norm == "linf":
        ascent = ascent.sign()
    line, shares, paces = seen.line, seen.shares, seen.paces
    moved = torch.zeros_like(shares)
    least, _, most = _SHARES
    for _ in range(turns):
        if quota.left == 0:
            break
        directions = torch.lerp(line.directions, ascent, per_sample(shares, ascent))
        directions, _ = directed(directions, problem.norm)
        found = line.high.isfinite()
        goal = torch.minimum(_CLOSER * line.high, torch.lerp(line.low, line.high, _INSIDE))
        closer = found & quota.adversarial_at(points_at(problem, directions, goal))
        trial = Line(directions, (1 - paces) * goal, goal)
        new = narrowed_again(quota, trial.where(closer, line), _NARROWINGS)
        gains = torch.where(found, 1 - new.high / line.high, 0.0)
        moves = 1 - _cosines(line.directions, new.directions) + gains
        moved = moved + torch.where(closer, moves, 0.0)
        line = new.where(found, line)
        shares = (shares * torch.where(closer, _GROWTH, _SHRINKAGE)).clamp(least, most)
        paces = torch.where(closer, _FASTER * gains, _SLOWER * paces).clamp(*_PACES)
    out_of_date = (_OUT_OF_DATE * moved).clamp_max(0.5)
    belief = relaxed(seen.belief, seen.powers, out_of_date)
    return replace(seen, line=line, belief=belief, shares=shares, paces=paces)


def _drawn(quota: Quota, belief: Belief) -> Float[Tensor, "b *d"]:
    """Draw directions from the belief's variances, orthogonal to its means; the noise is shared."""
    noise = noise_of_sample(quota.search.problem.origins, quota.search.generator)
    drawn = wide(noise) * belief.variances.sqrt()
    known, _ = directed(belief.means)
    return directed(drawn - known * per_sample(dot(known, drawn), known))[0]


def _parts(
    belief: Belief, features: Float[Tensor, "b *d"], basis: Basis
) -> Float[Tensor, "b bands"]:
    """Return the part of each band in the mean of the function, in standard deviations."""
    total = dot(belief.variances, features.square()) + belief.spreads
    total = total.clamp_min(torch.finfo(total.dtype).tiny)
    return basis.sums(belief.means * features) / total.sqrt().unsqueeze(1)


def _with_spectrum(seen: Sighting, weights: Float[Tensor, "b *d"]) -> Sighting:
    """Return the belief with another spectrum.

    The observations count as measurements of the coefficients, one by one, whose precision is that
    of the belief beyond the precision of the spectrum.

    Args:
        seen: The lines and beliefs.
        weights: The factors on the squares of the coefficients.
    """
    belief, powers = seen.belief, seen.powers * weights
    gained = (1 / belief.variances - 1 / seen.powers).clamp_min(0)
    variances = 1 / (1 / powers + gained)
    means = belief.means * variances / belief.variances
    scaled = rescaled(belief._replace(means=means, variances=variances))
    factors = norms(scaled.variances) / norms(variances)
    return replace(seen, belief=scaled, powers=powers * per_sample(factors, powers))


def _cosines(ones: Float[Tensor, "b *d"], others: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
    return dot(directed(ones)[0], directed(others)[0])
