"""Lines that turn along an arc, towards an average of probes: for inputs of very many features.

Where the features outnumber the queries by far, answers say little about a normal. The line itself
is the best memory of them: a shorter line is closer to the normal. These are the steps of
`decision_pursuit` for such inputs, see docs/decision-pursuit.md.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import one_hot

from minnorm.attacks.engine.autograd import noise_of_sample
from minnorm.attacks.engine.queries.bases import Basis
from minnorm.attacks.engine.queries.lines import Line, directed, narrowed_again, points_at
from minnorm.attacks.engine.queries.quota import Quota
from minnorm.geometry import dot, per_sample, wide

_PROBES, _SHARE = 40, 0.05
"""The least number of probes of a round, and their number as a share of all probes before."""

_KNEES, _FIRST_GAINS = (0.4, 0.1), (1.0, 0.9)
"""The spectra of the probes: up to which share of the side they are flat; and how much shorter the
line is expected to become with each, which is tried first."""

_STALE = 1.1
"""The growth of this expectation in each round with another spectrum."""

_SAME, _OTHER = 1.2, 0.75
"""The factors on the step along the line after an answer like the one before, and after another."""

_STEPS = (0.005, 0.3, 1.0)
"""That step, as a share of the distance of the probes: the least, the first and the largest."""

_FARTHEST, _CLOSER, _WIDENED = 1.5, 0.4, 1.3
"""The farthest that a probe is moved along the line, as a multiple of its distance from it: farther
away, answers are about the bend of the boundary alone. The factor on the distance of the next
probes then, and the one after each round, up to the planned distance."""

_LEAST_CLOSENESS = 1e-3
"""The least distance, as a share of the planned one: closer points are hardly different numbers."""

_SLOPES = (0.01, 1.0, 8.0)
"""The tangent of the angle that is tried first: the least, the first of all, and the largest."""

_WIDER, _NARROWER = 2.0, 0.4
"""The factors on this tangent while all answers are adversarial, and while none is."""

_BISECTIONS, _NARROWINGS = 5, 4
"""The queries along an arc, and those along the line after it."""


@dataclass(frozen=True)
class Course:
    """Lines, and what earlier rounds say about the scale of the next one.

    Attributes:
        line: The lines.
        steps: How far the place of balanced answers moves with each answer, as a share of the
            distance of the probes.
        slopes: The tangent of the angle by which the line turned last.
        gains: How much shorter the lines are expected to become with each spectrum of probes.
        closeness: The distance of the probes, as a share of the planned one.
    """

    line: Line
    steps: Float[Tensor, "b"]
    slopes: Float[Tensor, "b"]
    gains: Float[Tensor, "b spectra"]
    closeness: Float[Tensor, "b"]

    def where(self, yes: Bool[Tensor, "b"], other: "Course") -> "Course":
        """Return these lines where `yes`, otherwise other ones."""
        return Course(
            self.line.where(yes, other.line),
            torch.where(yes, self.steps, other.steps),
            torch.where(yes, self.slopes, other.slopes),
            torch.where(yes.unsqueeze(1), self.gains, other.gains),
            torch.where(yes, self.closeness, other.closeness),
        )


def first_course(line: Line) -> Course:
    """Return lines that have not turned yet."""
    gains = line.low.new_tensor(_FIRST_GAINS).expand(len(line.low), -1)
    steps, slopes = (torch.full_like(line.low, first) for _, first, _ in (_STEPS, _SLOPES))
    return Course(line, steps, slopes, gains, torch.ones_like(line.low))


def probes_of_round(spent: int) -> int:
    """Return the number of probes of a round, in proportion to what the line knows already."""
    return max(_PROBES, math.ceil(_SHARE * spent))


def averaged(
    quota: Quota,
    basis: Basis,
    course: Course,
    *,
    probes: int,
    radius: float,
    candidates: Iterator[Float[Tensor, "b *d"]],
) -> tuple[Course, Float[Tensor, "b *d"]]:
    """Return an estimate of the normals: the mean of probes, weighted by their answers.

    After each answer, the place of the next probe moves along the line, so that half of the
    answers are adversarial, wherever the boundary bends. The step adapts: it grows while answers
    are alike. If that leads far away, the probes come closer to the line and begin again.
    """
    problem, line = quota.search.problem, course.line
    here = wide(points_at(problem, line.directions, line.high))
    moves = here - wide(problem.origins)
    along, lengths = directed(moves)
    lost = line.high.isinf()
    some_lost = bool(lost.any())
    steps, back, before = course.steps, torch.zeros_like(line.low), torch.zeros_like(line.low)
    total, balance = torch.zeros_like(here), torch.zeros_like(here)
    answers, counts, closeness = back, back, course.closeness
    for _ in range(probes):
        if quota.left == 0:
            break
        noise = wide(noise_of_sample(problem.origins, quota.search.generator)).unsqueeze(0)
        step = directed(problem.along_free(_shaped(basis, course, noise, 0.5)))[0]
        scale = lengths * per_sample(radius * closeness, lengths)
        points = here + scale * (step - along * per_sample(back, along))
        points = problem.feasible_(points.to(problem.origins.dtype))
        if some_lost:
            points = torch.where(per_sample(lost, points), next(candidates), points)
        signs = torch.where(quota.adversarial_at(points), 1.0, -1.0).to(back.dtype)
        moved = (wide(points) - here) / scale
        total = torch.addcmul(total, moved, per_sample(signs, moved))
        balance, answers, counts = balance + moved, answers + signs, counts + 1
        back = back + steps * signs
        factors = torch.where(signs == before, _SAME, torch.where(before == 0, 1.0, _OTHER))
        steps, before = (steps * factors).clamp(_STEPS[0], _STEPS[2]), signs
        away = back.abs() > _FARTHEST
        closeness = torch.where(away, _CLOSER * closeness, closeness)
        steps = torch.where(away, _STEPS[1], steps)
        kept = (~away).to(back.dtype)
        back, before, answers, counts = (kept * one for one in (back, before, answers, counts))
        total, balance = total * per_sample(kept, total), balance * per_sample(kept, balance)
    estimate = total - balance * per_sample(answers / counts.clamp_min(1), balance)
    estimate = problem.along_free(_shaped(basis, course, estimate, 1.0))
    closeness = (_WIDENED * closeness).clamp(_LEAST_CLOSENESS, 1.0)
    return replace(course, steps=steps, closeness=closeness), estimate


def _shaped(basis: Basis, course: Course, values: Tensor, power: float) -> Tensor:
    """Return the values with a power of the spectrum that promises most for each sample."""
    chosen = per_sample(course.gains.argmax(1), values)
    shaped = basis.shaped(values, _KNEES[0], power)
    for place, knee in enumerate(_KNEES[1:], 1):
        shaped = torch.where(chosen == place, basis.shaped(values, knee, power), shaped)
    return shaped


def turned_along_arc(quota: Quota, course: Course, ascent: Float[Tensor, "b *d"]) -> Course:
    """Return the lines after a turn towards an estimate of the normals.

    The arc belongs to the circle through the input and the end of the line, around their middle,
    in the plane of line and ascent. If the boundary is flat, it meets the arc where it is closest
    to the input in this plane, however little the ascent has in common with the normal. A
    bisection finds this place, and every turn that it accepts is a shorter line.
    """
    problem, line = quota.search.problem, course.line
    along = line.directions
    ascent = directed(ascent - along * per_sample(dot(ascent, along), ascent))[0]
    counts = line.high.isfinite()
    inner, outer = torch.zeros_like(line.low), torch.full_like(line.low, torch.inf)
    slope = course.slopes
    for _ in range(_BISECTIONS):
        if quota.left == 0:
            break
        directions, shares = _at_slope(along, ascent, slope)
        hits = counts & quota.adversarial_at(points_at(problem, directions, shares * line.high))
        inner, outer = torch.where(hits, slope, inner), torch.where(hits, outer, slope)
        between = torch.where(inner > 0, (inner * outer).sqrt(), _NARROWER * outer)
        slope = torch.where(outer.isinf(), _WIDER * inner, between)
    turned = inner > 0
    directions, shares = _at_slope(along, ascent, inner)
    high = torch.where(counts, shares * line.high, line.high)
    # Where a flat boundary would meet the new line if the old one and the arc were at its ends.
    steepest = torch.where(outer.isinf(), _WIDER * inner, outer)
    low = torch.where(
        turned, line.low * (1 + inner.square()).sqrt() / (1 + steepest * inner), line.low
    )
    low = torch.minimum(low, high)
    new = Line(torch.where(per_sample(turned, along), directions, along), low, high)
    slopes = torch.where(turned, inner, _NARROWER * course.slopes).clamp(_SLOPES[0], _SLOPES[2])
    new = narrowed_again(quota, new, _NARROWINGS)
    gained = torch.where(counts, (line.high / new.high).log(), 0.0).nan_to_num(0.0)
    used = one_hot(course.gains.argmax(1), len(_KNEES)).bool()
    gains = torch.where(used, gained.unsqueeze(1), _STALE * course.gains)
    return replace(course, line=new, slopes=slopes, gains=gains)


def _at_slope(
    along: Float[Tensor, "b *d"], ascent: Float[Tensor, "b *d"], slopes: Float[Tensor, "b"]
) -> tuple[Float[Tensor, "b *d"], Float[Tensor, "b"]]:
    """Return directions between two, and how long the arc is there, as a share of the line."""
    cosines = (1 + slopes.square()).rsqrt()
    directions = (along + ascent * per_sample(slopes, ascent)) * per_sample(cosines, along)
    return directions, cosines
