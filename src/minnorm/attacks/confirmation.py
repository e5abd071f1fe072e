"""How the original of an accelerated model confirms what was found with the faster ones."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from minnorm import geometry
from minnorm.acceleration.accelerated import Accelerated
from minnorm.attacks.contract import AttackResult, Incumbent, Model
from minnorm.attacks.gradients import differentiable, noise_of_sample
from minnorm.geometry import per_sample, span
from minnorm.losses import margin_direction

if TYPE_CHECKING:
    from minnorm.attacks.search import Search

_ASIDE = 1e-4
"""How far beside itself, in units, a point is looked for where an input is on the boundary."""

_GROWTHS = (0.0, 1e-4, 1e-3, 1e-2)
"""By how much a perturbation that the original model does not confirm grows, until it does."""


def farther(search: "Search", points: Tensor, origins: Tensor, growth: float) -> Tensor:
    """Moves points away from the origins, by a share of their distances, on the search's grid.

    On a grid by at least one level, where rounding would undo the move.
    """
    levels, bounds = search.levels, search.bounds
    moved = (origins + (1 + growth) * (points - origins)).clamp_(*bounds)
    if levels is None:
        return moved
    level = span(bounds) / (levels - 1)
    next_ones = points + level * (points - origins).sign()
    moved = geometry.quantize(moved, levels, bounds)
    return geometry.quantize(torch.where(moved == points, next_ones, moved), levels, bounds)


def verified(
    search: "Search", model: Accelerated, result: AttackResult, origins: Tensor, labels: Tensor
) -> AttackResult:
    """Lets the original of an accelerated model confirm what was found.

    On the boundary itself the two may differ, by rounding: such a point is moved outwards. An input
    that is itself on it goes along the gradient.

    Args:
        search: The search that found it.
        model: Its model.
        result: What was found.
        origins: The inputs of all samples, also of those that left the search.
        labels: Their labels, or the wanted ones.
    """
    incumbent = Incumbent(origins, search.norm, search.within)
    found, missing = result.adversarials, result.success
    for growth in _GROWTHS:
        rows = missing.nonzero().squeeze(1)
        if len(rows) == 0:
            break
        points = found[rows]
        if growth > 0:
            points = farther(search, points, origins[rows], growth)
        adversarial, sure = search.judged(model.original(points), labels[rows])
        incumbent.offer(points, adversarial, sure, rows)
        missing = result.success & ~incumbent.distances.isfinite()
        on_it = missing & (result.distances == 0)
        if growth == 0 and on_it.any():
            aside = _aside(search, model.exact, origins, labels)
            found = torch.where(per_sample(on_it, found), aside, found)
    return incumbent.result()


def _aside(search: "Search", model: Model, origins: Tensor, labels: Tensor) -> Tensor:
    """Gives points a little beside inputs on the boundary, towards the goal."""
    logits, pull_back = differentiable(model, origins)
    direction = margin_direction(logits, labels)
    gradients = pull_back(direction if search.targeted else -direction)
    steps = geometry.unit(gradients, fallback=noise_of_sample(origins, search.generator))
    aside = (origins + _ASIDE * search.unit * steps).clamp_(*search.bounds)
    return geometry.quantize(aside, search.levels, search.bounds)
