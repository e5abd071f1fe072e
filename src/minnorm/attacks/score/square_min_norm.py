"""Square as a minimum-norm attack: a random search in balls that shrink.

Andriushchenko, Croce, Flammarion, Hein: "Square Attack: a query-efficient black-box adversarial
attack via random search", ECCV 2020, https://arxiv.org/abs/1912.00049. The paper has a given
radius; the search over radii is ours.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import boxes, geometry, schedules
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated, needs
from minnorm.attacks.engine.autograd import ordinary
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.queries.random_search import (
    ScoreLoss,
    check_random_search,
    draws_of_steps,
    first_pattern,
    images_at,
    losses_at,
    points_at,
    proposal,
)
from minnorm.attacks.engine.queries.windows import share_at
from minnorm.attacks.engine.search import Search
from minnorm.boxes import Bounds
from minnorm.checks import check_number
from minnorm.geometry import Norm, per_sample

_BISECTIONS = 12
"""The most radii that are tried with the first pattern."""

_SHRINK = (0.1, 0.005)
"""By how much the ball is smaller than the closest adversarial, at the beginning and at the end."""

_GROWTH = 1.05
"""The growth of the ball in each step, where the bounds do not limit it and nothing is found."""


@accepts_accelerated
@needs("scores")
def square_min_norm(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    norm: Norm = "l2",
    budget: int = 1000,
    initial_norm: float = 1.0,
    initial_share: float = 0.8,
    loss: ScoreLoss = "margin",
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
    starts: Float[Tensor, "b *d"] | None = None,
) -> AttackResult:
    """Find adversarials of small norm without gradients: Square in balls that shrink.

    A bisection of the radius, with a query for each radius, finds where the first pattern becomes
    adversarial. From then on each step is one of `square` in a ball that is a little smaller than
    the distance of the closest adversarial: by a tenth at first, by half a percent at the end. When
    the step finds an adversarial, the ball shrinks, and its point moves along.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        norm, initial_share, loss: See `minnorm.attacks.square`.
        budget: The queries of a sample, forward passes, with those that find its unit of length.
        initial_norm: The first radius, in units of the width of the bounds.
        starts: Adversarial points to improve: the bisection is on the line to them.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_number("initial_norm", initial_norm, 0)
    check_random_search(budget, initial_share, loss, norm)
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
        access="scores",
        budget=budget,
    ) as search:
        search.adversarial_at(search.problem.origins)
        stay = search.drop_found()
        if len(stay) == 0:
            return search.result()
        images = first_pattern(search)
        radii = torch.full_like(search.incumbent.distances, initial_norm)
        if starts is not None:
            given = images_at(search, search.problem.feasible_(ordinary(starts)[stay]))
            lengths = geometry.norms(given, norm)
            moved = lengths > 0  # a start at the input itself leads nowhere
            images = torch.where(per_sample(moved, given), given, images)
            radii = torch.where(moved, lengths, radii)
        bisections = min(_BISECTIONS, budget // 2)
        radii = _bisected(search, images, radii, bisections)
        radii = torch.minimum(radii, _largest_radii(search))
        images = geometry.scale_to_norm(images, radii, norm)
        shares = [share_at(step, budget, initial_share) for step in range(budget - 1 - bisections)]
        _shrink(search, images, radii, shares, loss)
        return search.result()


def _bisected(
    search: Search, images: Float[Tensor, "b c h w"], radii: Float[Tensor, "b"], bisections: int
) -> Float[Tensor, "b"]:
    """Search along perturbations for the boundary, and return the smallest radius beyond it.

    The radius doubles until an adversarial is found; without one the largest radius is returned.
    """
    low, high = torch.zeros_like(radii), torch.full_like(radii, torch.inf)
    for _ in range(bisections):
        scaled = geometry.scale_to_norm(images, radii, search.problem.norm)
        adversarial = search.adversarial_at(points_at(search, scaled, radii))
        high = torch.where(adversarial, radii, high)
        low = torch.where(adversarial, low, radii)
        radii = torch.where(high.isfinite(), (low + high) / 2, 2 * low)
    return torch.where(high.isfinite(), high, low)


def _shrink(
    search: Search,
    images: Float[Tensor, "b c h w"],
    radii: Float[Tensor, "b"],
    shares: Sequence[float],
    loss: ScoreLoss,
) -> None:
    problem = search.problem
    limits = _largest_radii(search)
    points = points_at(search, images, radii)
    values = torch.full_like(radii, torch.inf)  # not known at this radius
    shrinks = schedules.cosine(*_SHRINK, max(len(shares), 1))
    draws = draws_of_steps(search, len(shares))
    last = len(shares) - int(search.spent.max())  # of samples whose unit has cost queries
    for step, (share, numbers, shrink) in enumerate(zip(shares, draws, shrinks, strict=False)):
        if step == last:
            stay = search.drop(search.spent > 0)
            if len(stay) == 0:
                return
            problem, limits, radii = search.problem, limits[stay], radii[stay]
            points, values = points[stay], values[stay]
        closest = search.incumbent.distances / problem.unit
        grown = torch.minimum(_GROWTH * radii, limits)
        radii = torch.where(closest.isfinite(), (1 - shrink) * closest, grown)
        scaled = geometry.scale_to_norm(images_at(search, points), radii, problem.norm)
        points = points_at(search, scaled, radii)
        changed = proposal(search, points, radii, share, numbers)
        candidates = torch.where(per_sample(values.isinf(), points), points, changed)
        new_values = losses_at(search, candidates, loss)
        better = new_values <= values
        values = torch.where(better, new_values, values)
        points = torch.where(per_sample(better, points), candidates, points)
        nearer = search.incumbent.distances / problem.unit < closest
        values = torch.where(nearer, torch.inf, values)


def _largest_radii(search: Search) -> Float[Tensor, "b"]:
    """Return half the size of the box, in units; infinite without bounds."""
    problem = search.problem
    widths = torch.as_tensor(boxes.widest(problem.bounds, problem.origins)) / problem.unit
    entries = math.prod(problem.origins.shape[1:])
    size = widths * (math.sqrt(entries) / 2 if problem.norm == "l2" else 1.0)
    return size.to(search.incumbent.distances).expand_as(search.incumbent.distances)
