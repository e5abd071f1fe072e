"""Normal pursuit: rays that turn towards the average normal of the boundary that they hit.

A method of this package, see docs/normal-pursuit.md. It builds on DeepFool's linear model of the
boundary (Moosavi-Dezfooli et al., CVPR 2016, https://arxiv.org/abs/1511.04599), on the norm of DDN,
decoupled from the direction (Rony et al., CVPR 2019, https://arxiv.org/abs/1811.09600), and on
successive halving (Karnin, Koren, Somekh, ICML 2013).
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import schedules
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.descent import descend
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.rays import Pursuit, Ray
from minnorm.attacks.engine.tournaments import FORWARD_COST, Tournament, plan
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_flag

_EARLY_PROGRESS = 0.01
"""The progress reported before the last round: whatever is found there will be improved."""

_EARLY_SHARE = 0.8
"""The share of the new normal in a ray, before the last round."""

_LAST_SHARES = (0.7, 0.1)
"""The share of the new normal in a ray, in the first and in the last step of the last round."""

_FAILED = 0.5
"""After the first round, a ray has failed if this share of its first margin is left."""

_LEAST_DESCENT = 30
"""Steps of DDN that must be left after the first round; fewer find less than the rays."""

_IMPROVED = 0.999
"""A tournament has improved a sample if its distance has fallen below this share."""


@accepts_accelerated
def normal_pursuit(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    budget: int = 100,
    levels: int | None = None,
    drop_finished: bool = True,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    starts: Float[Tensor, "b *d"] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Find adversarials of very small L2 norm in few gradients.

    A ray from the input hits the boundary somewhere, and the gradient of the margin there is the
    boundary's normal. At the closest point of the boundary, ray and normal are parallel. So the ray
    turns towards the average of the normals that it has met, less with each step.

    Rays towards several classes compete in a tournament in which the longer ones are dropped. From
    a budget of 75 on, rays are aimed from random points near the input too. From 150 on there are
    several tournaments; in the second one the rays aim at many classes, and each ray keeps to the
    boundary of its class until the last round. In a targeted attack, each tournament has one ray.

    Samples whose rays all fail continue with DDN on the rest of their budget.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        budget: The cost of a sample, in gradients; a forward pass counts as 0.4 of one.
        drop_finished: Let a sample leave the batch when two tournaments in a row have improved its
            distance by less than a thousandth. This saves time; the rest of its budget is not
            spent.
        starts: Adversarial points (a warm start): a ray of the first tournament goes through each
            of them. Points that are not adversarial have no effect. Costs one more forward pass,
            beyond the budget.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("budget", budget, least=2)
    check_flag("drop_finished", drop_finished)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        starts=starts,
        levels=levels,
    ) as search:
        pursuit = Pursuit(search)
        first = plan(budget, targeted=targeted)[0]
        rays = pursuit.first_rays(search.problem.origins, first.classes)
        tournaments = plan(budget, others=search.classes - 1, targeted=targeted)
        if starts is not None:
            rays.append(pursuit.through(starts, otherwise=rays[0]))
        stay = search.drop(search.incumbent.distances == 0)
        rays = [ray.part(stay) for ray in rays]
        spent = FORWARD_COST + len(rays)
        stay = _descend_failed(pursuit, rays, budget - spent, failed=1.0)
        rays = [ray.part(stay) for ray in rays]
        stale = torch.zeros_like(search.incumbent.distances)
        left = float(budget)
        for number, tournament in enumerate(tournaments):
            if len(stale) == 0:
                break
            before = search.incumbent.distances
            search.report_progress(_EARLY_PROGRESS)
            if tournament.fixed_class:
                rays += pursuit.first_rays(search.problem.origins, tournament.classes)
            for _ in range(tournament.points - (number == 0 or tournament.fixed_class)):
                rays += _rays_from_around(pursuit, rays, tournament.classes)
            stay = _compete(pursuit, rays, tournament, left)
            left -= tournament.cost()
            # A sample without an adversarial is not finished.
            improved = search.incumbent.distances < _IMPROVED * before[stay]
            stale = torch.where(improved | before[stay].isinf(), 0.0, stale[stay] + 1)
            if drop_finished:
                stale = stale[search.drop(stale >= 2)]
            rays = []
        return search.result()


def _rays_from_around(pursuit: Pursuit, rays: Sequence[Ray], classes: int) -> list[Ray]:
    """Return rays aimed from a random point, about as far away as the closest adversarial.

    For a sample without an adversarial: as far as its shortest ray, or at most 1 without rays.
    """
    search = pursuit.search
    distances = search.incumbent.distances
    reach = torch.stack([ray.lengths for ray in rays]).amin(0) if rays else 1.0
    reach = torch.where(distances.isfinite(), distances / search.problem.unit, reach)
    return pursuit.first_rays(search.points_in_ball(reach), classes)


def _compete(
    pursuit: Pursuit, rays: list[Ray], tournament: Tournament, budget: float
) -> Int64[Tensor, "k"]:
    """Run a tournament.

    Args:
        pursuit: The pursuit.
        rays: The first rays; the list is emptied, which frees the rays that are dropped.
        tournament: The tournament.
        budget: The budget left for this tournament and all later ones.

    Returns:
        The positions of the samples that are still in the search.
    """
    (first, steps), *later = tournament.rounds
    fixed_class = tournament.fixed_class
    shares = _early_shares(steps) if later else _last_shares(steps)
    _play_round(pursuit, rays, first, shares, fixed_class=fixed_class, last=not later)
    played = replace(tournament, rounds=((first, steps),), probes=0)
    stay = _descend_failed(
        pursuit, rays, budget - played.cost(), failed=_FAILED, least=_LEAST_DESCENT
    )
    if len(stay) == 0:
        return stay
    rays[:] = [ray.part(stay) for ray in rays]
    for place, (size, steps) in enumerate(later, start=1):
        last = place == len(later)
        shares = _last_shares(steps) if last else _early_shares(steps)
        _play_round(pursuit, rays, size, shares, fixed_class=fixed_class and not last, last=last)
    pursuit.search.report_progress(1.0)
    while rays:
        pursuit.settle(rays.pop(), tournament.probes)
    return stay


def _play_round(
    pursuit: Pursuit,
    rays: list[Ray],
    size: int,
    shares: Sequence[float],
    *,
    fixed_class: bool,
    last: bool = False,
) -> None:
    """Take a step with the shortest `size` rays for each share; the others leave the list."""
    rays[:] = pursuit.shortest(rays, size)
    for number, share in enumerate(shares):
        progress = max(number / len(shares), _EARLY_PROGRESS) if last else _EARLY_PROGRESS
        pursuit.search.report_progress(progress)
        rays[:] = [pursuit.turned(ray, share, fixed_class=fixed_class) for ray in rays]


def _early_shares(steps: int) -> list[float]:
    return [_EARLY_SHARE] * steps


def _last_shares(steps: int) -> list[float]:
    return schedules.cosine(*_LAST_SHARES, steps) if steps else []


def _descend_failed(
    pursuit: Pursuit, rays: Sequence[Ray], budget: float, *, failed: float, least: int = 1
) -> Int64[Tensor, "k"]:
    """Continue with DDN on the samples whose rays have all failed; these leave the search.

    Args:
        pursuit: The pursuit.
        rays: The rays.
        budget: The budget that is left.
        failed: A ray has failed if this share of its first margin is left.
        least: The fewest steps of DDN; if fewer are left, no sample leaves.

    Returns:
        The positions of the samples that stay.
    """
    search, steps = pursuit.search, int(budget - FORWARD_COST)
    all_failed = torch.stack([ray.left >= failed * ray.whole for ray in rays]).all(0)
    missed = search.incumbent.distances.isinf() & all_failed & (steps >= least)
    lost = missed.nonzero().squeeze(1)
    # Even if it is empty: the random numbers of a part follow from the number of parts before it.
    part = search.part(lost)
    if len(lost) > 0:
        descend(part, part.problem.origins, steps=steps)
        search.absorb(part.result(), lost)
    return search.drop(missed)
