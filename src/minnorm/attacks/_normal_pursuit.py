"""Normal pursuit: rays that turn towards the average normal of the boundary that they hit.

A method of this package, see docs/normal-pursuit.md. It builds on DeepFool's linear model of the
boundary (Moosavi-Dezfooli et al., CVPR 2016, https://arxiv.org/abs/1511.04599), on the norm of DDN,
decoupled from the direction (Rony et al., CVPR 2019, https://arxiv.org/abs/1811.09600), and on
successive halving (Karnin, Koren, Somekh, ICML 2013).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry, schedules
from minnorm.attacks import checks
from minnorm.attacks._ddn import descend
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.gradients import ordinary
from minnorm.attacks.search import Search, search
from minnorm.geometry import per_sample, rows
from minnorm.losses import logit_differences

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
    classes compete in a tournament, in which the longer ones are given up. From a budget of 150 on
    there are several tournaments, all but the first one from random points near the input.

    Where the first rays hit nothing, DDN goes on with what is left of the budget.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        budget: What a sample may cost, in gradients; a forward pass counts as 0.4 of one.
        levels: Round each point to that many evenly spaced values, as in `ddn`.
        drop_finished: Let a sample leave the batch when two tournaments in a row have improved its
            distance by less than a thousandth. Where a sample is in the batch does not change what
            becomes of it, but what is left of its budget is not spent.
        starts: Points towards which a ray of the first tournament goes (a warm start). That costs a
            forward pass more, and is not in the budget.

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
    ) as state:
        stale = torch.zeros_like(state.incumbent.distances)
        for number, tournament in enumerate(plan(budget)):
            before = state.incumbent.distances
            near = torch.where(before.isfinite(), before / state.unit, 1.0)
            points = state.points_in_ball(near) if number else state.origins
            rays = _Pursuit.of(state, levels).first_rays(points, tournament.rays)
            if number == 0:
                if starts is not None:
                    state.judge(ordinary(starts))
                    rays.append(_Pursuit.of(state, levels).ray_to(ordinary(starts)))
                stay = state.keep(state.incumbent.distances > 0)
                rays, stale, before = [ray.part(stay) for ray in rays], stale[stay], before[stay]
            if len(stale) == 0:
                break
            stay = _compete(state, rays, tournament, levels)
            improved = state.incumbent.distances < 0.999 * before[stay]
            stale = torch.where(improved, 0.0, stale[stay] + 1)
            if drop_finished:
                stale = stale[state.keep(stale < 2)]
            if len(stale) == 0:
                break
        return state.result()


@dataclass(frozen=True)
class Tournament:
    """How many rays compete, and for how long.

    Attributes:
        rays: The rays to begin with, towards the likeliest classes.
        rounds: How many go on, and how many steps each of them takes, in each round.
        probes: Forward passes in the end for each ray that is left.
    """

    rays: int
    rounds: tuple[tuple[int, int], ...]
    probes: int


def plan(budget: float) -> list[Tournament]:
    """Gives the tournaments that a budget, in gradients, is spent on: one for about each 100."""
    number = max(round(budget / 100), 1)
    return [_tournament(budget / number)] * number


def _tournament(budget: float) -> Tournament:
    rays = min(max(int(budget / 10), 1), 9)
    sizes = (rays, (rays + 1) // 2, max(rays // 4, 1))
    probes = 4 if budget >= 20 else 2
    # What the first rays and the last probes leave: a step is a gradient and a forward pass.
    left = budget - FORWARD_COST - rays - FORWARD_COST * probes * sizes[-1]
    steps = max(int(left / (1 + FORWARD_COST)), 0)
    if rays == 1:
        return Tournament(1, ((1, steps),), probes)
    early = [
        max(round(share * steps / size), 1) for share, size in zip(_SHARES, sizes, strict=False)
    ]
    used = sum(size * number for size, number in zip(sizes, early, strict=False))
    late = max((steps - used) // sizes[-1], 1)
    return Tournament(rays, tuple(zip(sizes, [*early, late], strict=True)), probes)


_SHARES = (0.42, 0.26)
"""Of the steps, that the first two rounds take; the last one takes what is left."""


class _Ray(NamedTuple):
    """A ray from each input, and how far along it to look; in units of the width of the bounds.

    The point at a length is clipped to the bounds, so that it may be nearer than that.

    Attributes:
        directions: Of L2 norm 1.
        lengths: Where the boundary is thought to be.
        whole: The margin where the rays' directions come from.
        left: The margin where the model was last asked; infinite where it has not been.
    """

    directions: Float[Tensor, "b *d"]
    lengths: Float[Tensor, "b"]
    whole: Float[Tensor, "b"]
    left: Float[Tensor, "b"]

    def part(self, chosen: Int64[Tensor, "k"]) -> "_Ray":
        return _Ray(*(part[chosen] for part in self))


def _compete(
    state: Search, rays: list[_Ray], tournament: Tournament, levels: int | None
) -> Int64[Tensor, "k"]:
    """Runs a tournament, and gives the positions of the samples that are still in the search."""
    stay = torch.arange(len(state.origins), device=state.origins.device)
    last = len(tournament.rounds) - 1
    for number, (size, steps) in enumerate(tournament.rounds):
        pursuit = _Pursuit.of(state, levels)
        rays = pursuit.shortest(rays, size)
        shares = schedules.cosine(*_ANNEALING, steps) if number == last and steps else [1.0] * steps
        for place, ray in enumerate(rays):
            for share in shares:
                ray = pursuit.turned(ray, share)  # noqa: PLW2901 - one step after the other
            rays[place] = ray
        if number == 0 and last > 0:
            left = sum(size * steps for size, steps in tournament.rounds[1:])
            stay = _rescue(state, rays, int((1 + FORWARD_COST) * left), levels)
            rays = [ray.part(stay) for ray in rays]
            if len(stay) == 0:
                return stay
    pursuit = _Pursuit.of(state, levels)
    for ray in rays:
        pursuit.settle(ray, tournament.probes)
    return stay


_ANNEALING = (0.7, 0.1)
"""The share of the new normal in a ray, in the first and in the last step of the last round."""


def _rescue(
    state: Search, rays: Sequence[_Ray], steps: int, levels: int | None
) -> Int64[Tensor, "k"]:
    """Lets DDN go on with the samples whose rays lead nowhere; they leave the search."""
    nowhere = torch.stack([ray.left > _LITTLE * ray.whole for ray in rays]).all(0)
    missed = state.incumbent.distances.isinf() & nowhere
    lost = missed.nonzero().squeeze(1)
    if len(lost) == 0:
        return torch.arange(len(state.origins), device=state.origins.device)
    part = state.part(lost)
    descend(part, part.origins, steps=max(steps, 1), levels=levels)
    state.absorb(part.result(), lost)
    return state.keep(~missed)


_LITTLE = 0.5
"""How much of the input's margin a ray that leads somewhere may have left."""


@dataclass(frozen=True)
class _Pursuit:
    """What is done with rays.

    Attributes:
        state: The search.
        farthest: The distance of the farthest corner of the bounds: no ray needs to be longer.
        below: How far each entry is from the lower bound, as a perturbation.
        above: The same for the upper bound.
        levels: The grid to which points are rounded.
    """

    state: Search
    farthest: Float[Tensor, "b"]
    below: Float[Tensor, "b *d"]
    above: Float[Tensor, "b *d"]
    levels: int | None

    @classmethod
    def of(cls, state: Search, levels: int | None) -> "_Pursuit":
        farthest = geometry.farthest_corner(state.origins, state.bounds) / state.unit
        below, above = ((bound - state.origins) / state.unit for bound in state.bounds)
        return cls(state, farthest.clamp_max(_LONGEST), below, above, levels)

    def points(self, ray: _Ray) -> Float[Tensor, "b *d"]:
        """Gives the points at the lengths of the rays."""
        lengths = per_sample(ray.lengths, ray.directions).to(ray.directions.dtype)
        points = self.state.points(ray.directions * lengths)
        if self.levels is None:
            return points
        return geometry.quantize(points, self.levels, self.state.bounds)

    def first_rays(self, points: Float[Tensor, "b *d"], number: int) -> list[_Ray]:
        """Gives rays to where linear models put the boundaries of the likeliest classes.

        Costs a forward pass, and for each ray a backward and a forward pass. The linear models are
        those at the points, and the rays go to their nearest points from there.
        """
        state = self.state
        visit = state.visit(points)
        before, here = _finite(state.margins(visit.logits)), state.perturbations(points)
        rays = []
        for ones, others, last in _pairs(state, visit.logits, number):
            index = torch.stack([ones, others], dim=1)
            signs = torch.tensor([-1.0, 1.0], device=index.device).to(visit.logits.dtype)
            cotangents = torch.zeros_like(visit.logits).scatter_(
                1, index, signs.expand(len(index), 2)
            )
            gradients = state.alive(visit.pull_back(cotangents, again=not last))
            normals, slopes = _normals(gradients), _slopes(gradients)
            gaps = _finite(logit_differences(visit.logits, ones, others)) / slopes
            ahead = here + normals * per_sample(gaps, normals).to(normals.dtype)
            directions = geometry.unit(ahead, fallback=state.noise())
            guesses = geometry.norms(ahead)
            lengths = self._crossing(directions, normals, gaps + _dot(normals, here), guesses)
            ray = _Ray(directions, lengths, before, before)
            after = _finite(state.margins_at(self.points(ray)))
            # The chord between the two margins; where the margin did not fall, a longer ray.
            ratio = before / (before - after)
            chord = torch.where((after < before) & (before > 0), ratio, _GROWTH)
            lengths = ray.lengths * chord.nan_to_num(_GROWTH).clamp(0.1, 3.0)
            rays.append(ray._replace(lengths=torch.minimum(lengths, self.farthest), left=after))
        return rays

    def ray_to(self, points: Float[Tensor, "b *d"]) -> _Ray:
        """Gives the rays through the points."""
        moves = self.state.perturbations(points)
        lengths = geometry.norms(moves)
        directions = geometry.unit(moves, fallback=self.state.noise())
        return _Ray(
            directions, lengths, torch.zeros_like(lengths), torch.full_like(lengths, torch.inf)
        )

    def turned(self, ray: _Ray, share: float) -> _Ray:
        """Takes a step: turns the rays towards the normals at their points, and finds the boundary.

        Costs a gradient and a forward pass.
        """
        state = self.state
        points = self.points(ray)
        visit = state.visit(points)
        gradients = state.alive(visit.pull_back(-state.margin_direction(visit.logits)))
        normals, slopes = _normals(gradients), _slopes(gradients)
        rises = _finite(state.margins(visit.logits)) / slopes
        rises = rises + _dot(normals, state.perturbations(points))
        directions = torch.lerp(ray.directions, normals, share)
        directions = geometry.unit(directions, fallback=state.noise())
        lengths = self._crossing(directions, normals, rises, ray.lengths)
        lengths = lengths.clamp(min=ray.lengths / 2, max=_GROWTH * ray.lengths)
        ahead = ray._replace(directions=directions, lengths=torch.minimum(lengths, self.farthest))
        # The linear model errs: its slope along the ray, and the margin that is really there, give
        # a better length.
        falls = slopes * _dot(normals, directions)
        left = _finite(state.margins_at(self.points(ahead)))
        rest = left / falls
        better = torch.where(falls > 0, ahead.lengths + rest, _GROWTH * ahead.lengths)
        better = better.clamp(min=0.7 * ahead.lengths, max=_GROWTH * ahead.lengths)
        lengths = torch.minimum(better * _BEYOND, self.farthest)
        return ahead._replace(lengths=lengths, left=left)

    def settle(self, ray: _Ray, probes: int) -> None:
        """Looks for the boundary along the rays, around their lengths, by forward passes."""
        near, far = torch.zeros_like(ray.lengths), torch.full_like(ray.lengths, torch.inf)
        before, beyond = torch.full_like(near, torch.nan), torch.full_like(near, torch.nan)
        lengths, width = ray.lengths, 0.004
        for _ in range(probes):
            margins = self.state.margins_at(self.points(ray._replace(lengths=lengths)))
            across = margins <= 0
            far, beyond = torch.where(across, lengths, far), torch.where(across, margins, beyond)
            near, before = torch.where(across, near, lengths), torch.where(across, before, margins)
            # A little beyond where the chord crosses, since a point before it is of no use.
            share = (1.15 * before / (before - beyond)).nan_to_num(0.5).clamp(0.15, 0.9)
            between = near + (far - near) * share
            outside = torch.where(across, lengths * (1 - width), lengths * (1 + width))
            bracketed = (near > 0) & far.isfinite()
            lengths = torch.where(bracketed, between, torch.minimum(outside, self.farthest))
            width *= 3

    def shortest(self, rays: Sequence[_Ray], number: int) -> list[_Ray]:
        """Gives, for each sample, the rays whose points are nearest to the input."""
        if number >= len(rays):
            return list(rays)
        distances = [geometry.norms(self.state.perturbations(self.points(ray))) for ray in rays]
        order = torch.stack(distances).argsort(dim=0, stable=True)[:number]
        parts = [torch.stack(part) for part in zip(*rays, strict=True)]
        samples = torch.arange(len(self.farthest), device=order.device)
        return [_Ray(*(part[place, samples] for part in parts)) for place in order]

    def _crossing(
        self,
        directions: Float[Tensor, "b *d"],
        normals: Float[Tensor, "b *d"],
        rises: Float[Tensor, "b"],
        guesses: Float[Tensor, "b"],
    ) -> Float[Tensor, "b"]:
        """Gives the lengths at which a linear function has risen enough along the clipped rays."""
        lengths = guesses.clamp(min=_SHORTEST)
        for _ in range(_NEWTON_STEPS):
            moves = directions * per_sample(lengths, directions).to(directions.dtype)
            clipped = torch.maximum(torch.minimum(moves, self.above), self.below)
            missing = rises - _dot(normals, clipped)
            slopes = _dot(normals, directions * (clipped == moves))
            steps = torch.where(slopes > 1e-6, missing / slopes, lengths)
            lengths = (lengths + steps).clamp(min=lengths / 2, max=3 * lengths)
        return torch.minimum(lengths, self.farthest)


_BEYOND = 1.001
_GROWTH = 1.5
_LARGEST = 1e30
_LONGEST = 1e6
_SHORTEST = 1e-6
_NEWTON_STEPS = 4


def _pairs(state: Search, logits: Tensor, number: int) -> list[tuple[Tensor, Tensor, bool]]:
    """Gives pairs of classes `(falling, rising)`, and whether it is the last one.

    Untargeted: from the label to each of the likeliest others. Targeted: from each of the likeliest
    others to the label.
    """
    others = logits.nan_to_num().scatter(1, state.labels.unsqueeze(1), -torch.inf)
    rivals = others.topk(min(number, logits.shape[1] - 1), dim=1).indices.unbind(1)
    return [
        (
            *((rival, state.labels) if state.targeted else (state.labels, rival)),
            place == len(rivals),
        )
        for place, rival in enumerate(rivals, start=1)
    ]


def _normals(gradients: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
    scaled = gradients / per_sample(geometry.norms(gradients, "linf"), gradients).to(
        gradients.dtype
    )
    return scaled / per_sample(geometry.norms(scaled), scaled).to(scaled.dtype)


def _slopes(gradients: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
    return geometry.dual_norms(gradients, "l2")


def _dot(ones: Float[Tensor, "b *d"], others: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
    wide = torch.promote_types(ones.dtype, torch.float32)
    return (rows(ones) * rows(others)).sum(1, dtype=wide)


def _finite(values: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
    wide = torch.promote_types(values.dtype, torch.float32)
    return values.to(wide).nan_to_num(_LARGEST, _LARGEST, -_LARGEST).clamp(-_LARGEST, _LARGEST)
