"""The rest of an attack where scores jump: their differences say little, decisions more."""

from itertools import chain

import torch
from jaxtyping import Bool
from torch import Tensor

from minnorm.attacks.engine.queries.bases import basis_of
from minnorm.attacks.engine.queries.images import images
from minnorm.attacks.engine.queries.quota import Quota
from minnorm.attacks.engine.queries.rounds import Plan, pursue
from minnorm.attacks.engine.search import Search
from minnorm.boxes import rows

_PLAN = Plan(probes=30, radii=(0.3, 0.1))
"""The probes: fewer and farther than those of `decision_pursuit`, since a boundary of jumps has
corners."""

_WIDE_PLAN = Plan(probes=30, radii=(0.3, 0.3))
"""The same where single features return at the end."""

_AFTER_FAILURE = 0.25
"""The factor on the share of a feature's change that is tried next, after a failure."""

_LEAST = 1e-3
"""The least share of a change that is tried."""


def by_decisions(
    search: Search, chosen: Bool[Tensor, "b"], queries: int, returning: float, *, started: bool
) -> None:
    """Spend queries of some of the samples on decisions: lines that turn, as in `decision_pursuit`.

    Args:
        search: The search, which keeps what is found.
        chosen: The samples.
        queries: The number of queries.
        returning: The share of the queries after which single features return to the input.
        started: Whether the first line goes through the closest adversarials. What slopes have led
            to is often a bad place to begin with, but the caller may have given points.
    """
    positions = chosen.nonzero().squeeze(1)
    # Even if it is empty: the random numbers of a part follow from the number of parts before it.
    part = search.part(positions)
    if len(positions) == 0:
        return
    part.absorb(search.incumbent.part(positions).result())
    basis, returns = basis_of(part.problem.origins), int(returning * queries)
    quota = Quota(part, queries - returns)  # scores need no confirmation
    candidates = chain([part.incumbent.points] if started else [], images(part, basis))
    pursue(quota, basis, candidates, _PLAN if returns == 0 else _WIDE_PLAN)
    restore(part, returns)
    search.absorb(part.incumbent.result(), positions)


def restore(search: Search, queries: int) -> None:
    """Return features of the closest adversarials towards the inputs while they stay adversarial.

    The next feature is the one whose return shortens the perturbation most. It returns completely
    at first; after a failure a quarter of that is tried. Where scores jump, few features
    have to change.

    Args:
        search: The search.
        queries: The number of queries.
    """
    problem = search.problem
    origins = problem.origins
    shares = torch.ones_like(rows(origins))
    for _ in range(queries):
        points = search.incumbent.points
        moves = rows(points - origins)
        trials = moves.abs() if problem.norm == "linf" else moves.square()
        trials = trials * shares * (shares > _LEAST)
        chosen = trials.argmax(1, keepdim=True)
        steps = -(shares * moves).gather(1, chosen)
        moved = rows(points).scatter_add(1, chosen, steps).view_as(points)
        before = search.incumbent.distances
        search.adversarial_at(problem.feasible_(moved))
        # An adversarial that the search does not keep, such as a tie, is a failure too.
        hits = search.incumbent.distances < before
        now = shares.gather(1, chosen)
        shares = shares.scatter(
            1, chosen, torch.where(hits.unsqueeze(1), now, _AFTER_FAILURE * now)
        )
