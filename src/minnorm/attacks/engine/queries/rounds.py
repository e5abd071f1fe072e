"""Pursuit by predicted classes: a tournament of lines, then probes and turns of the best one.

The loop of `decision_pursuit`, and of `score_pursuit` where scores jump.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minnorm.attacks.engine.queries.arcs import (
    Course,
    averaged,
    first_course,
    probes_of_round,
    turned_along_arc,
)
from minnorm.attacks.engine.queries.bases import Basis
from minnorm.attacks.engine.queries.lines import Line, line_through, narrowed
from minnorm.attacks.engine.queries.normals import (
    Sighting,
    first_sighting,
    probed,
    shortest,
    turned,
)
from minnorm.attacks.engine.queries.quota import Quota
from minnorm.boxes import rows
from minnorm.geometry import distances, per_sample

_SHRINKAGE, _NEARER = 0.7, 0.95
"""The distance of the second query of a candidate for the first line, as a share of the first one
that was adversarial; and the distance of the first query, as a share of the least one before."""

_CANDIDATES, _QUERIES_PER_CANDIDATE = (2, 16), 16
"""The least and the largest number of candidates, and the budget of a candidate in between."""

_FIRST_NARROWINGS, _LAST_NARROWINGS = 6, 6
"""The queries along the first line, and along the last one."""

_TURNS = 2
"""The attempts to turn the line after the probes of a round."""

_QUERIES_PER_ENTRANT, _ENTRANTS = 600, 8
"""The budget of each first line, and the largest number of them."""

_MOST_FEATURES = 20_000
"""The most features whose beliefs are worth their queries."""

_KEPT, _MORE_ROUNDS = 0.5, 2
"""The share of the lines that are kept after a heat, and the factor on the rounds of the next one.
"""


@dataclass(frozen=True)
class Plan:
    """The probes of the boundary.

    Attributes:
        probes: The number of a round.
        radii: Their distance from the line, as a share of its length: in the first round, and in
            the last one.
    """

    probes: int
    radii: tuple[float, float]

    def radius(self, left: float) -> float:
        """Return the distance when this share of the queries is left."""
        first, last = self.radii
        return float(last * (first / last) ** left)


def pursue(
    quota: Quota, basis: Basis, candidates: Iterator[Float[Tensor, "b *d"]], plan: Plan
) -> None:
    """Spend all queries; the search keeps what is found.

    Args:
        quota: The queries.
        basis: The basis of the beliefs about normals.
        candidates: Points that may be adversarial, without an end.
        plan: The probes.
    """
    problem = quota.search.problem
    if problem.norm == "l2" and rows(problem.origins).shape[1] > _MOST_FEATURES:
        _pursue_along_arcs(quota, basis, candidates, plan)
        return
    rounds = _Rounds(quota, basis, candidates, plan)
    number = min(max(quota.left // _QUERIES_PER_ENTRANT, 1), _ENTRANTS)
    if quota.search.goal.targeted:  # candidates after given ones are rarely of the target class
        number = 1
    lines = [_first_line(quota, candidates) for _ in range(number)]
    entrants = [first_sighting(line, basis) for line in lines]
    heat = 1
    while len(entrants) > 1:
        entrants = [rounds.after(heat, seen) for seen in entrants]
        entrants = shortest(entrants, int(_KEPT * len(entrants)))
        heat *= _MORE_ROUNDS
    seen = rounds.after(quota.left, entrants[0])
    narrowed(quota, seen.line, quota.left)


def _pursue_along_arcs(
    quota: Quota, basis: Basis, candidates: Iterator[Tensor], plan: Plan
) -> None:
    """Spend all queries on one line, which turns along arcs."""
    whole, spent = quota.left, 0
    course = first_course(_first_line(quota, candidates))
    while quota.left > _LAST_NARROWINGS:
        course = _course_started(quota, course)
        probes = min(probes_of_round(spent), quota.left - _LAST_NARROWINGS)
        course, ascent = averaged(
            quota,
            basis,
            course,
            probes=probes,
            radius=plan.radius(quota.left / whole),
            candidates=candidates,
        )
        course = turned_along_arc(quota, course, ascent)
        spent += probes
    narrowed(quota, course.line, quota.left)


def _course_started(quota: Quota, course: Course) -> Course:
    new, line = _found_late(quota, course.line)
    return first_course(line).where(new, course)


class _Rounds:
    """Rounds of probes and turns; the probes come closer to the line as the quota is used up.

    Args:
        quota: The queries.
        basis: The basis of the beliefs.
        candidates: Points that may be adversarial.
        plan: The probes.
    """

    def __init__(
        self, quota: Quota, basis: Basis, candidates: Iterator[Tensor], plan: Plan
    ) -> None:
        self._quota, self._basis, self._candidates = quota, basis, candidates
        self._plan, self._whole = plan, quota.left

    def after(self, rounds: int, seen: Sighting) -> Sighting:
        """Return the lines and beliefs after some rounds, or as many as there are queries for."""
        quota, basis = self._quota, self._basis
        for _ in range(rounds):
            if quota.left <= _LAST_NARROWINGS:
                break
            seen = _started(quota, basis, seen)
            radius = self._plan.radius(quota.left / self._whole)
            probes = min(self._plan.probes, quota.left - _LAST_NARROWINGS)
            seen = probed(
                quota,
                basis,
                seen,
                probes=probes,
                radius=radius,
                candidates=self._candidates,
            )
            seen = turned(quota, basis, seen, _TURNS)
        return seen


def _first_line(quota: Quota, candidates: Iterator[Tensor]) -> Line:
    """Return the lines through the closest adversarial of some points and of blends with inputs."""
    least, most = _CANDIDATES
    number = min(max(quota.left // _QUERIES_PER_CANDIDATE, least), most)
    problem = quota.search.problem
    points, origins = problem.origins, problem.origins
    best = torch.full_like(quota.search.incumbent.distances, torch.inf)
    for candidate in islice(candidates, number):
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
    new, line = _found_late(quota, seen.line)
    return first_sighting(line, basis).where(new, seen)


def _found_late(quota: Quota, line: Line) -> tuple[Bool[Tensor, "b"], Line]:
    """Return which samples had no adversarial when the round began, and lines through theirs."""
    incumbent = quota.search.incumbent
    found = incumbent.distances.isfinite()
    return line.high.isinf() & found, line_through(quota.search.problem, incumbent.points, found)
