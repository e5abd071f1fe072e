"""Decision pursuit: normal pursuit whose normals are learned from predicted classes.

A method of this package, see docs/decision-pursuit.md. It builds on the geometry of HopSkipJump
(Chen, Jordan, Wainwright, IEEE S&P 2020, https://arxiv.org/abs/1904.02144), on assumed-density
filtering (Minka, UAI 2001), and on the low frequencies of QEBA (Li et al., CVPR 2020).
"""

from collections.abc import Iterator
from itertools import chain, islice

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated, needs
from minnorm.attacks.engine.autograd import ordinary
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.queries.bases import Basis, basis_of
from minnorm.attacks.engine.queries.images import images
from minnorm.attacks.engine.queries.lines import Line, line_through, narrowed
from minnorm.attacks.engine.queries.normals import (
    Sighting,
    first_sighting,
    probed,
    shortest,
    turned,
)
from minnorm.attacks.engine.queries.quota import LEAST_BUDGET, Quota
from minnorm.boxes import Bounds
from minnorm.checks import check_count
from minnorm.geometry import Norm, check_ball, distances, per_sample

_SHRINKAGE, _NEARER = 0.7, 0.95
"""The distance of the second query of a candidate for the first line, as a share of the first one
that was adversarial; and the distance of the first query, as a share of the least one before."""

_CANDIDATES, _QUERIES_PER_CANDIDATE = (2, 16), 16
"""The least and the largest number of candidates, and the budget of a candidate in between."""

_FIRST_NARROWINGS, _LAST_NARROWINGS = 6, 6
"""The queries along the first line, and along the last one."""

_PROBES, _TURNS = 60, 2
"""The probes of a round, and then the attempts to turn the line."""

_RADII = (0.1, 0.05)
"""The distance of the probes from the line, as a share of its length: in the first round, and in
the last one."""

_QUERIES_PER_ENTRANT, _ENTRANTS = 600, 8
"""The budget of each first line, and the largest number of them."""

_KEPT, _MORE_ROUNDS = 0.5, 2
"""The share of the lines that are kept after a heat, and the factor on the rounds of the next one.
"""


@accepts_accelerated
@needs("decisions")
def decision_pursuit(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    budget: int = 1000,
    norm: Norm = "l2",
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    starts: Float[Tensor, "b *d"] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Find adversarials of small norm from predicted classes alone.

    A line from the input meets the boundary somewhere. At the closest point of the boundary, line
    and normal are parallel, so the line turns towards the normal. What is known about the normal is
    a Gaussian belief. Each query near the boundary improves it by Bayesian probit regression, and
    it is kept when the line moves. For images, it includes the spectrum of the normal.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask: See `minnorm.attacks.ddn`.
        budget: The most queries of a sample, at least 3: forward passes of the model. Up to 4 of
            them confirm the result, another one with `levels`.
        norm: The norm to minimize, `l2` or `linf`.
        starts: Adversarial points (a warm start), necessary in a targeted attack in most cases: for
            example images of the target class. Points that are not adversarial have no effect.
        generator: The source of all random numbers, which the samples of the batch share; by
            default a generator with a fixed seed.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("budget", budget, least=LEAST_BUDGET)
    check_ball(norm)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        norm=norm,
        starts=starts,
        levels=levels,
        access="decisions",
    ) as search:
        quota, basis = Quota(search, budget), basis_of(search.problem.origins)
        quota.adversarial_at(search.problem.origins)
        candidates = images(search, basis)
        if starts is not None:
            candidates = chain([search.problem.feasible_(ordinary(starts).clone())], candidates)
        rounds = _Rounds(quota, basis, candidates)
        number = min(max(quota.left // _QUERIES_PER_ENTRANT, 1), _ENTRANTS)
        if targeted:  # other candidates than the given starts are rarely of the target class
            number = 1
        lines = [_first_line(quota, candidates) for _ in range(number)]
        entrants = [first_sighting(line, basis) for line in lines]
        heat = 1
        while len(entrants) > 1:
            entrants = [rounds.after(heat, seen) for seen in entrants]
            entrants = shortest(entrants, int(_KEPT * len(entrants)))
            heat *= _MORE_ROUNDS
        seen = rounds.after(budget, entrants[0])
        narrowed(quota, seen.line, quota.left)
        return search.result()


class _Rounds:
    """Rounds of probes and turns; the probes come closer to the line as the quota is used up.

    Args:
        quota: The queries.
        basis: The basis of the beliefs.
        candidates: Points that may be adversarial.
    """

    def __init__(self, quota: Quota, basis: Basis, candidates: Iterator[Tensor]) -> None:
        self._quota, self._basis, self._candidates = quota, basis, candidates
        self._whole = quota.left

    def after(self, rounds: int, seen: Sighting) -> Sighting:
        """Return the lines and beliefs after some rounds, or as many as there are queries for."""
        quota, basis = self._quota, self._basis
        for _ in range(rounds):
            if quota.left <= _LAST_NARROWINGS:
                break
            seen = _started(quota, basis, seen)
            radius = _RADII[1] * (_RADII[0] / _RADII[1]) ** (quota.left / self._whole)
            probes = min(_PROBES, quota.left - _LAST_NARROWINGS)
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
    """Return lines through the adversarials of samples that had none when the round began."""
    incumbent = quota.search.incumbent
    new = seen.line.high.isinf() & incumbent.distances.isfinite()
    line = line_through(quota.search.problem, incumbent.points, incumbent.distances.isfinite())
    return first_sighting(line, basis).where(new, seen)
