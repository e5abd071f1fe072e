"""HopSkipJump: gradients of the decision at the boundary, estimated from predicted classes.

Chen, Jordan, Wainwright: "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack", IEEE S&P
2020, https://arxiv.org/abs/1904.02144.
"""

import math
from itertools import chain, islice

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated, needs
from minnorm.attacks.engine.autograd import ordinary
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.queries.bases import basis_of
from minnorm.attacks.engine.queries.images import finite_bounds, images, uniform_points
from minnorm.attacks.engine.queries.quota import LEAST_BUDGET, SampleQuota
from minnorm.boxes import Bounds
from minnorm.checks import check_count
from minnorm.geometry import (
    Norm,
    check_ball,
    distances,
    norms,
    per_sample,
    project_onto_ball,
    steepest,
    wide,
)

_MOST_PROBES = 10_000
"""The most probes of an iteration, as in the authors' code."""

_FIRST_DELTA = 0.1
"""The distance of the probes in the first iteration, as a share of the width of the bounds; as in
the authors' code."""

_HALVINGS = 30
"""The most halvings of a step: in the paper they end when the point is adversarial."""


@accepts_accelerated
@needs("decisions")
def hop_skip_jump(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    budget: int = 1000,
    norm: Norm = "l2",
    initial_probes: int = 100,
    draws: int = 100,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    starts: Float[Tensor, "b *d"] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Step along estimated gradients of the decision, and return to the boundary (algorithm 2).

    Each iteration estimates the gradient at a point on the boundary, as the average of random
    directions that are weighted by the decisions there. It steps along it, by less and less until
    the point is adversarial, and moves towards the input by bisection.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask: See `minnorm.attacks.ddn`.
        budget: The most queries of a sample, at least 3: forward passes of the model. Up to 4 of
            them confirm the result, another one with `levels`.
        norm: The norm to minimize, `l2` or `linf`.
        initial_probes: The probes of the first iteration, B_0; that of iteration t is larger by the
            square root of t.
        draws: The most points that are drawn uniformly from the bounds until one is adversarial,
            and then the most black, white, inverted and noisy images.
        starts: Adversarial points (a warm start), for example images of the target class. Without
            them, a targeted attack may find no point of that class. Points that are not adversarial
            have no effect.
        generator: The source of all random numbers, which the samples of the batch share; by
            default a generator with a fixed seed.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("budget", budget, least=LEAST_BUDGET)
    check_count("initial_probes", initial_probes, least=2)
    check_count("draws", draws)
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
        quota = SampleQuota(search, budget)
        wrong = quota.adversarial_at(search.problem.origins, quota.left > 0)
        points, found = _first_points(quota, starts, draws, ~wrong)
        entries = math.prod(inputs.shape[1:])
        low, high = finite_bounds(search)
        widths = norms((high - low).expand_as(points), "linf")
        points = _at_boundary(quota, points, found, widths)
        iteration = 0
        while bool((found & (quota.left > 0)).any()):
            iteration += 1
            probes = min(int(initial_probes * math.sqrt(iteration)), _MOST_PROBES)
            lengths = distances(points, search.problem.origins, norm)
            deltas = _FIRST_DELTA * widths if iteration == 1 else lengths / entries
            directions = _estimated(quota, points, deltas, probes, found)
            points = _stepped(quota, points, directions, lengths / math.sqrt(iteration), found)
            points = _at_boundary(quota, points, found, widths)
        return search.result()


def _first_points(
    quota: SampleQuota, starts: Tensor | None, draws: int, wanted: Bool[Tensor, "b"]
) -> tuple[Float[Tensor, "b *d"], Bool[Tensor, "b"]]:
    """Return the adversarial starts, or else the first adversarial of uniform draws.

    Args:
        quota: The queries.
        starts: The starts.
        draws: The most draws.
        wanted: The samples that need a point.

    Returns:
        The points, and for which samples there is one.
    """
    search = quota.search
    problem, points = search.problem, search.problem.origins
    found = torch.zeros_like(wanted)
    if starts is not None:
        points = problem.feasible_(ordinary(starts).clone())
        found = quota.adversarial_at(points, wanted)
    # Where no uniform draw is adversarial, other points may be: these are not in the paper.
    others = islice(images(search, basis_of(problem.origins)), draws)
    for drawn in chain(islice(uniform_points(search), draws), others):
        missing = wanted & ~found & (quota.left > 0)
        if not bool(missing.any()):
            break
        hits = quota.adversarial_at(drawn, missing)
        points = torch.where(per_sample(hits, points), drawn, points)
        found = found | hits
    return points, found


def _at_boundary(
    quota: SampleQuota, points: Tensor, found: Bool[Tensor, "b"], widths: Float[Tensor, "b"]
) -> Float[Tensor, "b *d"]:
    """Move adversarial points to the boundary by bisection (algorithm 1).

    In L2 that is on the line to the input; in Linf, by projection onto smaller and smaller balls.
    The widths of the bounds are the unit of the tolerance.
    """
    problem = quota.search.problem
    lengths = distances(points, problem.origins, problem.norm)
    is_l2 = problem.norm == "l2"
    high = torch.ones_like(lengths) if is_l2 else lengths
    entries = math.prod(points.shape[1:])
    # In L2 a share of the line; in Linf a length, or a share of the first length.
    least = torch.minimum(widths.to(high.dtype), lengths) * entries**-2.0
    least = torch.full_like(high, entries**-1.5) if is_l2 else least
    # Beyond the precision of the dtype there is nothing to bisect. The factor: halves may be equal
    # to the tolerance but for rounding.
    least = 1.000001 * torch.maximum(least, torch.finfo(points.dtype).eps * high)
    low, ends = torch.zeros_like(high), points
    while bool((active := found & (quota.left > 0) & (high - low > least)).any()):
        middle = (low + high) / 2
        inside = problem.feasible_((_blended if is_l2 else _in_ball)(ends, problem.origins, middle))
        hits = quota.adversarial_at(inside, active)
        points = torch.where(per_sample(hits, points), inside, points)
        high = torch.where(hits, middle, high)
        low = torch.where(active & ~hits, middle, low)
    return points


def _blended(ends: Tensor, origins: Tensor, shares: Float[Tensor, "b"]) -> Tensor:
    return torch.lerp(origins, ends, per_sample(shares, ends).to(ends.dtype))


def _in_ball(ends: Tensor, origins: Tensor, radii: Float[Tensor, "b"]) -> Tensor:
    return origins + project_onto_ball(ends - origins, radii, "linf")


def _estimated(
    quota: SampleQuota,
    points: Float[Tensor, "b *d"],
    deltas: Float[Tensor, "b"],
    probes: int,
    found: Bool[Tensor, "b"],
) -> Float[Tensor, "b *d"]:
    """Estimate the gradients of the decision at points on the boundary (eq. 9 and 16).

    Returns:
        Directions of norm 1 along which the points become adversarial.
    """
    search = quota.search
    problem, here = search.problem, wide(points)
    totals, weighted = torch.zeros_like(here), torch.zeros_like(here)
    signs, asked = torch.zeros_like(deltas), torch.zeros_like(deltas)
    distance = per_sample(deltas, here)
    for _ in range(probes):
        active = found & (quota.left > 0)
        noise = wide(search.noise())
        noise = 2 * torch.special.ndtr(noise) - 1 if problem.norm == "linf" else noise
        noise = noise / per_sample(norms(noise), noise)
        probe = problem.feasible_((here + distance * noise).to(points.dtype))
        decisions = torch.where(quota.adversarial_at(probe, active), 1.0, -1.0) * active
        moved = (wide(probe) - here) / distance * per_sample(active, here)
        totals = totals + moved
        weighted = weighted + moved * per_sample(decisions, here).to(here.dtype)
        signs, asked = signs + decisions, asked + active
    means = signs / asked.clamp_min(1)
    estimate = weighted - totals * per_sample(means, here)
    # All decisions were the same: eq. 16 is 0, and the authors' code follows the plain average.
    estimate = torch.where(per_sample(means.abs() == 1, here), weighted, estimate)
    return steepest(estimate, torch.ones_like(here[:1]), problem.norm)


def _stepped(
    quota: SampleQuota,
    points: Float[Tensor, "b *d"],
    directions: Float[Tensor, "b *d"],
    steps: Float[Tensor, "b"],
    found: Bool[Tensor, "b"],
) -> Float[Tensor, "b *d"]:
    """Step along the directions, by half as much until the point is adversarial."""
    problem, here = quota.search.problem, wide(points)
    missing = found
    for _ in range(_HALVINGS):
        missing = missing & (quota.left > 0)
        if not bool(missing.any()):
            break
        ahead = here + directions * per_sample(steps, here)
        ahead = problem.feasible_(ahead.to(points.dtype))
        hits = quota.adversarial_at(ahead, missing)
        points = torch.where(per_sample(hits, points), ahead, points)
        missing = missing & ~hits
        steps = torch.where(missing, steps / 2, steps)
    return points
