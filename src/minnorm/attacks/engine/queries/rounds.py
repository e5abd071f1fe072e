"""Rounds of an attack by predicted classes: probes of the boundary, then turns of the lines to it.

The loop of `decision_pursuit`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.attacks.engine.queries.bases import Basis
from minnorm.attacks.engine.queries.lines import Line, line_through, narrowed
from minnorm.attacks.engine.queries.normals import Sighting, first_sighting, probed, turned
from minnorm.attacks.engine.queries.quota import Quota
from minnorm.geometry import distances, per_sample

_SHRINKAGE, _NEARER = 0.7, 0.95
"""The distance of the second query of a candidate for the first line, as a share of the first one
that was adversarial; and the distance of the first query, as a share of the least one before."""

_FIRST_NARROWINGS, _LAST_NARROWINGS = 6, 6
"""The queries along the first line, and along the last one."""

_TURNS = 2
"""The attempts to turn the line after the probes of a round."""


@dataclass(frozen=True)
class Plan:
    """How the queries are spent.

    Attributes:
        candidates: The least and the largest number of candidates for the first line.
        per_candidate: The budget of a candidate, in between.
        probes: The probes of a round.
        radii: The distance of the probes from the line, as a share of its length: in the first
            round, and in the last one.
    """

    candidates: tuple[int, int]
    per_candidate: int
    probes: int
    radii: tuple[float, float]


def pursue(
    quota: Quota, basis: Basis, candidates: Iterator[Float[Tensor, "b *d"]], plan: Plan
) -> None:
    """Spend all queries; the search keeps what is found.

    Args:
        quota: The queries.
        basis: The basis of the beliefs about normals.
        candidates: Points that may be adversarial.
        plan: How the queries are spent.
    """
    least, most = plan.candidates
    number = min(max(quota.left // plan.per_candidate, least), most)
    seen = first_sighting(_first_line(quota, islice(candidates, number)), basis)
    whole, (first, last) = quota.left, plan.radii
    while quota.left > _LAST_NARROWINGS:
        seen = _started(quota, basis, seen)
        radius = last * (first / last) ** (quota.left / whole)
        probes = min(plan.probes, quota.left - _LAST_NARROWINGS)
        seen = probed(quota, basis, seen, probes=probes, radius=radius, candidates=candidates)
        seen = turned(quota, basis, seen, _TURNS)
    narrowed(quota, seen.line, quota.left)


def _first_line(quota: Quota, candidates: Iterator[Tensor]) -> Line:
    """Return the lines through the closest adversarial of some points and of blends with inputs."""
    problem = quota.search.problem
    points, origins = problem.origins, problem.origins
    best = torch.full_like(quota.search.incumbent.distances, torch.inf)
    for candidate in candidates:
        far = distances(candidate, origins, problem.norm)
        shares = (_NEARER * best / far).nan_to_num(1.0).clamp_max(1.0)
        for _ in range(2):  # a candidate that is not adversarial is mirrored at the input
            weights = per_sample(shares, origins).to(origins.dtype)
            blend = problem.feasible_(torch.lerp(origins, candidate, weights))
            hits = quota.adversarial_at(blend)
            length = distances(blend, origins, problem.norm)
            closer = hits & (length < best)
            best = torch.where(closer, length, best)
            points = torch.where(per_sample(closer, points), blend, points)
            shares = shares * torch.where(hits, _SHRINKAGE, -1.0)
    line = line_through(problem, points, best.isfinite())
    return narrowed(quota, line, _FIRST_NARROWINGS)


def _started(quota: Quota, basis: Basis, seen: Sighting) -> Sighting:
    """Return lines through the adversarials of samples that had none when the round began."""
    incumbent = quota.search.incumbent
    new = seen.line.high.isinf() & incumbent.distances.isfinite()
    line = line_through(quota.search.problem, incumbent.points, incumbent.distances.isfinite())
    return first_sighting(line, basis).where(new, seen)
