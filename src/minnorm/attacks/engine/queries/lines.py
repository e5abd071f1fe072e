"""Lines from the inputs to the boundary, known by the predicted classes of points on them.

Lengths are in units of the inputs, and in the norm of the problem.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minnorm import boxes
from minnorm.attacks.engine.problem import Problem
from minnorm.attacks.engine.queries.quota import Quota
from minnorm.geometry import Norm, norms, per_sample, wide

_ITERATIONS = 12
"""Iterations for the length of a clipped line."""

_FASTEST = 4.0
"""The largest factor on the multiplier in one of them."""

_WIDE = 4.0
"""An interval is wide if its ends differ by this factor: then its geometric mean is next."""


@dataclass(frozen=True)
class Line:
    """A line from each input, and the interval of lengths that holds the boundary.

    Attributes:
        directions: The directions, of norm 1; points are clipped to the bounds.
        low: The longest length known to be before the boundary.
        high: The shortest length known to be beyond it; infinite where no adversarial is known.
    """

    directions: Float[Tensor, "b *d"]
    low: Float[Tensor, "b"]
    high: Float[Tensor, "b"]

    @property
    def middle(self) -> Float[Tensor, "b"]:
        """The middle of the interval."""
        return (self.low + self.high) / 2

    def where(self, yes: Bool[Tensor, "b"], other: "Line") -> "Line":
        """Return these lines where `yes`, otherwise other ones."""
        return Line(
            torch.where(per_sample(yes, self.directions), self.directions, other.directions),
            torch.where(yes, self.low, other.low),
            torch.where(yes, self.high, other.high),
        )


def line_through(problem: Problem, points: Float[Tensor, "b *d"], found: Bool[Tensor, "b"]) -> Line:
    """Return the lines through adversarial points.

    Args:
        problem: The problem.
        points: The points.
        found: Which of them are adversarial; the length is infinite for the others.
    """
    moves = wide(points) - wide(problem.origins)
    lengths = norms(moves, problem.norm)
    # A sample that is adversarial itself, or has no adversarial, has no direction.
    divisors = torch.where(lengths > 0, lengths, 1.0)
    high = torch.where(found, lengths, torch.inf)
    return Line(moves / per_sample(divisors, moves), torch.zeros_like(high), high)


def points_at(
    problem: Problem, directions: Float[Tensor, "b *d"], lengths: Float[Tensor, "b"]
) -> Float[Tensor, "b *d"]:
    """Return the feasible points of these lengths on lines that are clipped to the bounds.

    The length of a clipped line is a concave function of the multiplier of its direction, so the
    iteration never overshoots.
    """
    origins = wide(problem.origins)
    lengths = torch.where(lengths.isfinite(), lengths, 0.0)
    multipliers = lengths
    for _ in range(_ITERATIONS):
        moves = boxes.clip_(origins + directions * per_sample(multipliers, origins), problem.bounds)
        reached = norms(moves.sub_(origins), problem.norm)
        factors = (lengths / reached).nan_to_num(1.0, _FASTEST)  # 0 / 0 without a direction
        multipliers = multipliers * factors.clamp(1.0, _FASTEST)
    points = origins + directions * per_sample(multipliers, origins)
    return problem.feasible_(points.to(problem.origins.dtype))


def narrowed(quota: Quota, line: Line, queries: int) -> Line:
    """Return the lines with a smaller interval, after queries inside of it.

    The first queries of a line without a lower end try lengths that fall faster and faster, since
    an adversarial may be very far away.

    Args:
        quota: The queries.
        line: The lines.
        queries: The number of queries.
    """
    low, high = line.low, line.high
    counts = high.isfinite()
    fall = torch.full_like(low, 0.5)
    for _ in range(queries):
        if quota.left == 0:
            break
        middle = torch.where(high > _WIDE * low, (low * high).sqrt(), (low + high) / 2)
        middle = torch.where(low > 0, middle, fall * high)
        hits = quota.adversarial_at(points_at(quota.search.problem, line.directions, middle))
        fall = torch.where(hits, fall.square(), fall)
        high = torch.where(counts & hits, middle, high)
        low = torch.where(counts & ~hits, middle, low)
    return replace(line, low=low, high=high)


def narrowed_again(quota: Quota, line: Line, queries: int) -> Line:
    """Return the lines with a smaller interval, or with a lower one if none of it was harmless."""
    new = narrowed(quota, line, queries)
    # The lower end may be a guess, and the boundary may be below it.
    lower = (2 * new.low - new.high).clamp_min(0)
    return replace(new, low=torch.where(new.low == line.low, lower, new.low))


def directed(values: Float[Tensor, "b *d"], norm: Norm = "l2") -> tuple[Tensor, Tensor]:
    """Return values of norm 1, and the norms that they had, `[b 1 ... 1]`; that of zeros is 1."""
    lengths = per_sample(norms(values, norm), values)
    lengths = torch.where(lengths > 0, lengths, 1.0)
    return values / lengths, lengths
