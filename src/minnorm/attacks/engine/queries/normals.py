"""Beliefs about the normals of the boundary where lines meet it, from the classes of probes.

The steps of `decision_pursuit`, see docs/decision-pursuit.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minnorm import boxes
from minnorm.attacks.engine.autograd import noise_of_sample
from minnorm.attacks.engine.queries.bases import Basis
from minnorm.attacks.engine.queries.beliefs import Belief, after_signs, prior, relaxed, rescaled
from minnorm.attacks.engine.queries.lines import Line, narrowed, points_at
from minnorm.attacks.engine.queries.quota import Quota
from minnorm.geometry import Norm, dot, norms, per_sample, wide

_BEND = 0.25
"""How far the boundary may be from its tangent plane at the probes, as a multiple of the square of
their distance."""

_DRIFT = 0.02
"""The growth of the variance of that with each probe, as a share of the first one."""

_KEPT_OFFSET = 0.5
"""The share of the offset that is kept for the next probes."""

_FIRST_COSINE, _LEAST_COSINE = 0.3, 0.2
"""The cosine of line and normal: before it is known, and the least one that counts."""

_FARTHEST = 0.15
"""The farthest that a probe is moved along the line, as a share of the length of the line."""

_CLOSER = 0.998
"""A line has improved if it is shorter than this share of the one before."""

_LEAST_OF_BEFORE, _NARROWINGS = 0.7, 3
"""An improved line is expected to have at least this share of the length before; and the queries
that narrow that interval."""

_GROWTH, _SHRINKAGE = 1.3, 0.6
"""The factors on the share of the normal in a line, after a success and after a failure."""

_SHARES = (0.02, 0.5, 0.9)
"""That share: the least, the first, and the largest."""

_OUT_OF_DATE = 0.1
"""The part of a normal that is out of date, as a multiple of the move of the line."""

_KNEE, _FALL = 8.0, 2.0
"""The expected spectrum of a normal, before any probe: flat up to this frequency, then its squares
fall with this power of the square of the frequency."""


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
        cosines: The expected cosines of lines and normals.
    """

    line: Line
    belief: Belief
    powers: Float[Tensor, "b *d"]
    shares: Float[Tensor, "b"]
    cosines: Float[Tensor, "b"]

    def where(self, yes: Bool[Tensor, "b"], other: "Sighting") -> "Sighting":
        """Return these lines and beliefs where `yes`, otherwise other ones."""

        def chosen(one: Tensor, two: Tensor) -> Tensor:
            return torch.where(per_sample(yes, one), one, two)

        return Sighting(
            self.line.where(yes, other.line),
            Belief(*map(chosen, self.belief, other.belief)),
            chosen(self.powers, other.powers),
            chosen(self.shares, other.shares),
            chosen(self.cosines, other.cosines),
        )


def first_sighting(line: Line, basis: Basis) -> Sighting:
    """Return lines with a belief that has no direction yet."""
    powers = (1 + (basis.frequencies / _KNEE).square()) ** -_FALL
    belief = prior(powers.expand_as(line.directions))
    shares = torch.full_like(line.low, _SHARES[1])
    cosines = torch.full_like(line.low, _FIRST_COSINE)
    return Sighting(line, belief, belief.variances, shares, cosines)


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
    along, lengths = _directions(here - wide(problem.origins))
    along_features = basis.coefficients(along)
    interval = (line.high - line.low) / line.high * seen.cosines
    bend = (_BEND * radius**2) ** 2
    lost = line.high.isinf()
    some_lost = bool(lost.any())
    belief = seen.belief._replace(
        offsets=_KEPT_OFFSET * seen.belief.offsets,
        spreads=(interval.square() / 12).nan_to_num(0.0) + bend,
    )
    for _ in range(probes):
        if quota.left == 0:
            break
        steps = problem.along_free(radius * basis.values(_drawn(quota, belief)))
        ahead = boxes.clip_(here + lengths * steps, problem.bounds)
        rises = belief.values(basis.coefficients((ahead - here) / lengths))
        slopes = dot(belief.means, along_features).clamp_min(_LEAST_COSINE)
        back = (rises / slopes).clamp(-_FARTHEST, _FARTHEST)
        points = here + lengths * (steps - along * per_sample(back, along))
        points = problem.feasible_(points.to(problem.origins.dtype))
        if some_lost:
            points = torch.where(per_sample(lost, points), next(candidates), points)
        hits = quota.adversarial_at(points)
        belief = belief._replace(spreads=belief.spreads + _DRIFT * bend)
        belief = after_signs(belief, basis.coefficients((wide(points) - here) / lengths), hits)
    return _with_spectrum(replace(seen, belief=belief), basis)


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
    ascent = _directions(problem.along_free(normals))[0]
    if problem.norm == "linf":
        ascent = ascent.sign()
    line, shares, moved = seen.line, seen.shares, torch.zeros_like(seen.shares)
    least, _, most = _SHARES
    for _ in range(turns):
        if quota.left == 0:
            break
        directions = torch.lerp(line.directions, ascent, per_sample(shares, ascent))
        directions, _ = _directions(directions, problem.norm)
        goal = _CLOSER * line.high
        hits = quota.adversarial_at(points_at(problem, directions, goal))
        closer = hits & line.high.isfinite()
        low = torch.where(closer, _LEAST_OF_BEFORE * goal, goal)
        new = narrowed(quota, replace(line, directions=directions, low=low, high=goal), _NARROWINGS)
        moves = 1 - _cosines(line.directions, directions) + (1 - new.high / line.high)
        moved = moved + torch.where(closer, moves, 0.0)
        line = new.where(closer, line)
        factors = torch.where(closer, _GROWTH, _SHRINKAGE)
        shares = (shares * factors).clamp(least, most)
    out_of_date = (_OUT_OF_DATE * moved).clamp_max(0.5)
    belief = relaxed(seen.belief, seen.powers, out_of_date)
    cosines = _cosines(ascent, line.directions).clamp(0.1, 1.0)
    return replace(seen, line=line, belief=belief, shares=shares, cosines=cosines)


def _drawn(quota: Quota, belief: Belief) -> Float[Tensor, "b *d"]:
    """Draw directions from the belief's variances, orthogonal to its means; the noise is shared."""
    noise = noise_of_sample(quota.search.problem.origins, quota.search.generator)
    drawn = wide(noise) * belief.variances.sqrt()
    known, _ = _directions(belief.means)
    return _directions(drawn - known * per_sample(dot(known, drawn), known))[0]


def _with_spectrum(seen: Sighting, basis: Basis) -> Sighting:
    """Return the belief with the spectrum that it supports, by a step of expectation-maximization.

    The observations count as measurements of the coefficients, one by one, whose precision is that
    of the belief beyond the precision of the spectrum.
    """
    belief = rescaled(seen.belief)
    powers = basis.averaged(belief.means.square() + belief.variances)
    gained = (1 / belief.variances - 1 / seen.powers).clamp_min(0)
    variances = 1 / (1 / powers + gained)
    means = belief.means * variances / belief.variances
    belief = rescaled(belief._replace(means=means, variances=variances))
    return replace(seen, belief=belief, powers=powers)


def _directions(values: Float[Tensor, "b *d"], norm: Norm = "l2") -> tuple[Tensor, Tensor]:
    """Return values of norm 1, and the norms that they had, `[b 1 ... 1]`; that of zeros is 1."""
    lengths = per_sample(norms(values, norm), values)
    lengths = torch.where(lengths > 0, lengths, 1.0)
    return values / lengths, lengths


def _cosines(ones: Float[Tensor, "b *d"], others: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
    return dot(_directions(ones)[0], _directions(others)[0])
