"""Normal pursuit: rays that turn towards the average normal of the boundary that they hit.

A method of this package, see docs/normal-pursuit.md. It builds on DeepFool's linear model of the
boundary (Moosavi-Dezfooli et al., CVPR 2016, https://arxiv.org/abs/1511.04599), on the norm of DDN,
decoupled from the direction (Rony et al., CVPR 2019, https://arxiv.org/abs/1811.09600), and on
successive halving (Karnin, Koren, Somekh, ICML 2013).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry, schedules
from minnorm.attacks import checks
from minnorm.attacks._ddn import descend
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.gradients import ordinary
from minnorm.attacks.rays import Pursuit, Ray
from minnorm.attacks.search import search

FORWARD_COST = 0.4
"""What a forward pass costs, in gradients: a forward and a backward pass together cost 1."""


def normal_pursuit(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    budget: int = 100,
    levels: int | None = None,
    drop_finished: bool = True,
    bounds: geometry.Bounds = (0.0, 1.0),
    starts: Float[Tensor, "b *d"] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Finds adversarials of very small L2 norm in few gradients.

    A ray from the input hits the boundary somewhere, and the gradient of the margin there is the
    boundary's normal. At the closest point of the boundary ray and normal are parallel; so the ray
    turns towards the average of the normals that it meets, by less and less. Rays towards several
    classes compete in a tournament, in which the longer ones are given up; from a budget of 75 on
    they are aimed from random points near the input too, and from 150 on there are several
    tournaments, of which the second has rays to many classes, each with its own boundary up to the
    last round. Targeted, each tournament is of one ray.

    Where no ray gets anywhere, DDN goes on with what is left of the budget.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        budget: What a sample may cost, in gradients; a forward pass counts as 0.4 of one.
        levels: Round each point to that many evenly spaced values, as in `ddn`.
        drop_finished: Let a sample leave the batch when two tournaments in a row have improved its
            distance by less than a thousandth. Where a sample is in the batch does not change what
            becomes of it, but what is left of its budget is not spent.
        starts: Adversarial points through which a ray of the first tournament goes (a warm start);
            others are only looked at. That costs a forward pass more, and is not in the budget.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_count("budget", budget, least=2)
    checks.check_levels(levels, bounds)
    with search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        generator=generator,
        starts=starts,
        levels=levels,
    ) as state:
        pursuit = Pursuit(state, levels)
        rays = pursuit.first_rays(state.origins, plan(budget, targeted=targeted)[0].classes)
        tournaments = plan(budget, others=state.classes - 1, targeted=targeted)
        if starts is not None:
            rays.append(pursuit.through(pursuit.on_grid(ordinary(starts)), otherwise=rays[0]))
        stay = state.keep(state.incumbent.distances > 0)
        rays = [ray.part(stay) for ray in rays]
        spent = FORWARD_COST + len(rays)
        stay = _rescue(pursuit, rays, budget - spent, share=1.0)
        rays = [ray.part(stay) for ray in rays]
        stale = torch.zeros_like(state.incumbent.distances)
        left = float(budget)
        for number, tournament in enumerate(tournaments):
            if len(stale) == 0:
                break
            before = state.incumbent.distances
            state.progress(_FAR)
            if tournament.loyal:
                rays += pursuit.first_rays(state.origins, tournament.classes)
            for _ in range(tournament.points - (number == 0 or tournament.loyal)):
                rays += _rays_from_around(pursuit, rays, tournament.classes)
            stay = _compete(pursuit, rays, tournament, left)
            left -= tournament.cost()
            # What has not been found is no better off elsewhere.
            improved = (state.incumbent.distances < 0.999 * before[stay]) | before[stay].isinf()
            stale = torch.where(improved, 0.0, stale[stay] + 1)
            if drop_finished:
                stale = stale[state.keep(stale < 2)]
            rays = []
        return state.result()


@dataclass(frozen=True)
class Tournament:
    """How many rays compete, and for how long.

    Attributes:
        points: From how many points the first rays are aimed.
        classes: How many rays each point gives, each towards another class.
        loyal: Whether those of the first point are aimed from the inputs, and each ray goes on to
            the boundary of its class up to the last round. Otherwise a ray goes to the nearest
            boundary from the beginning.
        rounds: How many rays go on, and how many steps each of them takes, in each round.
        probes: Forward passes in the end for each ray that is left.
    """

    points: int
    classes: int
    loyal: bool
    rounds: tuple[tuple[int, int], ...]
    probes: int

    def cost(self, step: float = 1 + FORWARD_COST) -> float:
        """Gives what it costs, in gradients, if a step costs that much."""
        aims = self.points * (FORWARD_COST + self.classes)
        steps = sum(rays * number for rays, number in self.rounds)
        return aims + step * steps + FORWARD_COST * self.probes * self.rounds[-1][0]


def plan(budget: float, *, others: int = 9, targeted: bool = False) -> list[Tournament]:
    """Gives the tournaments that a budget, in gradients, is spent on: one for about each 100.

    Args:
        budget: The budget.
        others: How many classes there are to aim at.
        targeted: Whether there is one boundary to reach: all of a tournament is then for one ray.
    """
    number = max(round(budget / 100), 1)
    tournaments = [_tournament(budget / number, others, targeted=targeted)] * number
    if number > 1 and not targeted:
        tournaments[1] = _tournament(budget / number, others, loyal=True)
    return tournaments


def _tournament(
    budget: float, others: int, *, targeted: bool = False, loyal: bool = False
) -> Tournament:
    first = 9 if budget >= _FROM_SEVERAL else min(max(int(budget / 10), 1), 3)
    first = 1 if targeted else first
    classes = min(9 if loyal else 3, first, others)
    points = math.ceil(first / classes)
    sizes = (first, (first + 1) // 2, max(first // 4, 1))
    bare = Tournament(points, classes, loyal, ((sizes[-1], 0),), probes=4 if budget >= 20 else 1)
    # What the first rays and the last probes leave: a step is a gradient and a forward pass.
    steps = max(int((budget - bare.cost()) / (1 + FORWARD_COST)), 0)
    early = [
        max(round(share * steps / size), 1) for share, size in zip(_SHARES, sizes, strict=False)
    ]
    early = [min(steps, 1), 0] if first == 1 else early
    used = sum(size * number for size, number in zip(sizes, early, strict=False))
    late = max((steps - used) // sizes[-1], 0)
    return replace(bare, rounds=tuple(zip(sizes, [*early, late], strict=True)))


_FROM_SEVERAL = 75
"""The budget from which on rays are aimed from several points."""

_SHARES = (0.42, 0.26)
"""Of the steps, that the first two rounds take; the last one takes what is left."""


def _rays_from_around(pursuit: Pursuit, rays: Sequence[Ray], classes: int) -> list[Ray]:
    """Gives rays aimed from a random point, about as near as the closest adversarial so far.

    Where there is none: as near as the shortest of the rays, or at most 1 away without rays.
    """
    state = pursuit.state
    distances = state.incumbent.distances
    reach = torch.stack([ray.lengths for ray in rays]).amin(0) if rays else 1.0
    reach = torch.where(distances.isfinite(), distances / state.unit, reach)
    return pursuit.first_rays(pursuit.on_grid(state.points_in_ball(reach)), classes)


def _compete(
    pursuit: Pursuit, rays: list[Ray], tournament: Tournament, budget: float
) -> Int64[Tensor, "k"]:
    """Runs a tournament, and gives the positions of the samples that are still in the search.

    Args:
        pursuit: The pursuit.
        rays: The first rays; the list is emptied, to free what is given up.
        tournament: The tournament.
        budget: What is left, for this tournament and all later ones.
    """
    (first, steps), *later = tournament.rounds
    loyal = tournament.loyal
    shares = _early(steps) if later else _falling(steps)
    _go_on(pursuit, rays, first, shares, loyal=loyal, last=not later)
    begun = replace(tournament, rounds=((first, steps),), probes=0)
    stay = _rescue(pursuit, rays, budget - begun.cost(), share=_LOST, least=_LEAST_STEPS)
    if len(stay) == 0:
        return stay
    rays[:] = [ray.part(stay) for ray in rays]
    for place, (size, steps) in enumerate(later, start=1):
        last = place == len(later)
        shares = _falling(steps) if last else _early(steps)
        _go_on(pursuit, rays, size, shares, loyal=loyal and not last, last=last)
    pursuit.state.progress(1.0)
    while rays:
        pursuit.settle(rays.pop(), tournament.probes)
    return stay


def _go_on(
    pursuit: Pursuit,
    rays: list[Ray],
    size: int,
    shares: Sequence[float],
    *,
    loyal: bool,
    last: bool = False,
) -> None:
    """Lets the shortest of the rays take a step for each share; the others leave the list."""
    rays[:] = pursuit.shortest(rays, size)
    for number, share in enumerate(shares):
        pursuit.state.progress(max(number / len(shares), _FAR) if last else _FAR)
        rays[:] = [pursuit.turned(ray, share, loyal=loyal) for ray in rays]


def _early(steps: int) -> list[float]:
    """Gives the shares of the rounds before the last one."""
    return [_EARLY] * steps


def _falling(steps: int) -> list[float]:
    """Gives the shares of the last round."""
    return schedules.cosine(*_ANNEALING, steps) if steps else []


_FAR = 0.01
"""Of its way, what a search has gone before the last round: whatever is found then is improved."""

_EARLY = 0.8
"""The share of the new normal in a ray, before the last round."""

_ANNEALING = (0.7, 0.1)
"""The share of the new normal in a ray, in the first and in the last step of the last round."""

_LOST = 0.5
"""The share of its first margin that a ray that leads nowhere still has after the first round."""

_LEAST_STEPS = 30
"""So many steps of DDN have to be left then; with fewer it finds less than the rays."""


def _rescue(
    pursuit: Pursuit, rays: Sequence[Ray], budget: float, *, share: float, least: int = 1
) -> Int64[Tensor, "k"]:
    """Lets DDN go on with the samples whose rays lead nowhere; they leave the search.

    Args:
        pursuit: The pursuit.
        rays: The rays.
        budget: What is left of the budget.
        share: A ray leads nowhere that still has this share of its first margin.
        least: If fewer steps of DDN are left than that, nobody leaves.

    Returns:
        The positions of those that stay.
    """
    state, steps = pursuit.state, int(budget - FORWARD_COST)
    nowhere = torch.stack([ray.left >= share * ray.whole for ray in rays]).all(0)
    missed = state.incumbent.distances.isinf() & nowhere & (steps >= least)
    lost = missed.nonzero().squeeze(1)
    # Made even when it is empty: what is random in it follows from how many there were before.
    part = state.part(lost)
    if len(lost) > 0:
        descend(part, part.origins, steps=steps, levels=pursuit.levels)
        state.absorb(part.result(), lost)
    return state.keep(~missed)
