"""Square's random search in balls: windows that change, kept where the loss falls.

Andriushchenko, Croce, Flammarion, Hein: "Square Attack: a query-efficient black-box adversarial
attack via random search", ECCV 2020, https://arxiv.org/abs/1912.00049. Line numbers are those of
its algorithms 2 (Linf) and 3 (L2).
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm import boxes, geometry
from minnorm.attacks.engine.queries.windows import (
    Window,
    Windows,
    bumps,
    draws_of_tiles,
    picture,
    place,
    place_on,
    share_at,
    sides,
    tiles,
)
from minnorm.attacks.engine.search import DROP_STEPS, Search
from minnorm.checks import check_choice, check_count, check_number
from minnorm.geometry import per_sample

ScoreLoss: TypeAlias = Literal["margin", "cross-entropy"]
"""The losses that Square minimizes."""

_FILLINGS = 3
"""How often the norm that clipping takes away is given back, in L2."""

_NOISE = 1e-5
"""A window whose norm is below this share of the radius holds errors of rounding only."""

_CANCELED = 1e-3
"""A change that is shorter than this share counts as none: of the radius in Linf, of the patterns
that cancel each other in L2."""

_DROP_EVERY = 10
"""Finished samples leave after at most this many steps: each step costs them a query."""


def check_random_search(budget: int, initial_share: float, loss: str, norm: geometry.Norm) -> None:
    """Check the arguments that `square` and `square_min_norm` share.

    Args:
        budget: The queries of a sample.
        initial_share: The share of the image that the first windows cover.
        loss: The loss to minimize.
        norm: The norm of the balls.

    Raises:
        InputError: If one is not as described.
    """
    check_count("budget", budget, 2)
    check_number("initial_share", initial_share, 0, 1 + 1e-9)
    check_choice("loss", loss, ("margin", "cross-entropy"))
    geometry.check_ball(norm)


def random_search(
    search: Search,
    radii: Float[Tensor, "b"],
    *,
    queries: int,
    initial_share: float,
    loss: ScoreLoss,
) -> None:
    """Search for adversarials within balls around the inputs; samples leave once one is found.

    Everything random is the same for all samples: signs, windows and their order.

    Args:
        search: The search; it keeps what is found.
        radii: The radii of the balls, in units.
        queries: The forward passes of a sample.
        initial_share: The share of the image that the first windows cover.
        loss: The loss to minimize.
    """
    draws = draws_of_steps(search, queries - 1)
    first = geometry.scale_to_norm(first_pattern(search), radii, search.problem.norm)
    points = points_at(search, first, radii)
    values = losses_at(search, points, loss)
    for step, numbers in enumerate(draws):
        if step in DROP_STEPS or step % _DROP_EVERY == 0:
            stay = search.drop_found()
            if len(stay) == 0:
                return
            if len(stay) < len(radii):
                radii, points, values = radii[stay], points[stay], values[stay]
        share = share_at(step, queries - 1, initial_share)
        candidates = proposal(search, points, radii, share, numbers)
        new_values = losses_at(search, candidates, loss)
        better = new_values <= values  # on a plateau any change may lead to its edge
        values = torch.where(better, new_values, values)
        points = torch.where(per_sample(better, points), candidates, points)


def losses_at(search: Search, points: Float[Tensor, "b *d"], loss: ScoreLoss) -> Float[Tensor, "b"]:
    """Return the losses at the points; the search keeps what is adversarial."""
    if loss == "margin":
        return search.margins_at(points)
    return search.goal.soft_margins(search.logits_at(points))


def uniform_numbers(search: Search, number: int, each: int) -> list[list[float]]:
    """Draw uniform numbers for all steps at once, since reading them waits for the device."""
    shape = (number, each)
    generator = search.generator
    drawn: list[list[float]] = torch.rand(
        shape, generator=generator, device=generator.device
    ).tolist()
    return drawn


def draws_of_steps(search: Search, steps: int) -> list[list[float]]:
    """Draw the random numbers of all steps; see `proposal`."""
    channels, _, _ = picture(search.problem.origins.shape[1:])
    return uniform_numbers(search, steps, 5 + channels)


def first_pattern(search: Search) -> Float[Tensor, "b c h w"]:
    """Return the perturbations to begin with, of any size: stripes in Linf, tiles in L2."""
    origins = search.problem.origins
    channels, height, width = picture(origins.shape[1:])
    if search.problem.norm == "linf":  # stripes, which change predictions more than noise
        (numbers,) = uniform_numbers(search, 1, channels * width)
        pattern = torch.tensor(_signs(numbers)).view(channels, 1, width).expand(-1, height, -1)
    else:
        (numbers,) = uniform_numbers(search, 1, draws_of_tiles(channels, height, width))
        pattern = tiles(channels, height, width, numbers)
    wide = torch.promote_types(origins.dtype, torch.float32)
    return pattern.to(wide).to(origins.device).expand(len(origins), -1, -1, -1)


def _signs(numbers: Sequence[float]) -> list[float]:
    return [1.0 if number < 0.5 else -1.0 for number in numbers]


def proposal(
    search: Search,
    points: Float[Tensor, "b *d"],
    radii: Float[Tensor, "b"],
    share: float,
    numbers: Sequence[float],
) -> Float[Tensor, "b *d"]:
    """Return the points with another window.

    Args:
        search: The search.
        points: The best points so far.
        radii: The radii of the balls, in units.
        share: The share of the image that the window covers.
        numbers: Random numbers in 0..1: two for each place, one for an orientation, and one for the
            sign of each channel.
    """
    images = images_at(search, points)
    height, width = images.shape[2:]
    size = sides(share, height, width, odd=search.problem.norm == "l2")
    first = _window(search, size, numbers[0:2])
    signs = torch.tensor(_signs(numbers[5:]), dtype=images.dtype).to(images.device).view(-1, 1, 1)
    if search.problem.norm == "linf":
        # Lines 5 to 8: 2 epsilon more or less, projected onto the ball, is epsilon more or less.
        changes = per_sample(radii, images).to(images.dtype) * signs
        candidates, opposite = (
            points_at(search, first.filled(images, sign * changes), radii) for sign in (1, -1)
        )
        # A window that has these signs already would waste a query.
        moves = geometry.norms(search.problem.in_units(candidates - points), "linf")
        unchanged = moves <= _CANCELED * radii
        return torch.where(per_sample(unchanged, points), opposite, candidates)
    second = _window(search, size, numbers[2:4])
    pattern = signs * bumps(*size, numbers[4]).to(images.dtype).to(images.device)
    return points_at(search, _moved_mass(images, radii, first, second, pattern), radii)


def _window(search: Search, size: tuple[int, int], draws: Sequence[float]) -> Window | Windows:
    """Return a window at a random place; one that only holds fixed features wastes a query."""
    origins, free = search.problem.origins, search.problem.free
    image = picture(origins.shape[1:])
    if free is None:
        return place(size, image[1:], draws)
    return place_on(size, free.expand_as(origins).reshape(-1, *image).any(1), draws)


def _moved_mass(
    images: Float[Tensor, "b c h w"],
    radii: Float[Tensor, "b"],
    first: Window | Windows,
    second: Window | Windows,
    pattern: Float[Tensor, "c k l"],
) -> Float[Tensor, "b c h w"]:
    """Return perturbations whose second window has moved into the first one (algorithm 3).

    Args:
        images: The perturbations.
        radii: The norms that the new ones have.
        first: The window that becomes larger.
        second: The window that becomes zero.
        pattern: What is added to the direction of the first window.
    """
    union = second.filled(first.filled(torch.zeros_like(images[:, :1]), 1.0), 1.0)
    unused = (radii.square() - images.square().sum((1, 2, 3))).clamp_min(0)  # line 2
    inside = (images.square() * union).sum((2, 3))
    lengths = (inside + (unused / images.shape[1]).unsqueeze(1)).sqrt()  # line 9
    least = per_sample(_NOISE * radii, images)
    mixed = pattern + _of_norm_one(first.cut(images), least)  # line 8
    # Where the window holds the opposite pattern, nothing but errors of rounding is left.
    left = torch.linalg.vector_norm(mixed, dim=(2, 3), keepdim=True) > _CANCELED
    mixed = torch.where(left, mixed, pattern)
    enlarged = _of_norm_one(mixed, _CANCELED) * lengths[..., None, None].to(images.dtype)
    return first.filled(second.filled(images, 0.0), enlarged)  # line 10


def _of_norm_one(
    images: Float[Tensor, "b c h w"], least: float | Float[Tensor, "b 1 1 1"]
) -> Float[Tensor, "b c h w"]:
    """Scale each channel to norm 1; one whose norm is below `least` becomes zero."""
    lengths = torch.linalg.vector_norm(images, dim=(2, 3), keepdim=True)
    return torch.where(lengths > least, images / lengths, 0.0)


def images_at(search: Search, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b c h w"]:
    """Return the perturbations of the points as images, in float32 or wider."""
    perturbations = geometry.wide(search.problem.perturbations(points))
    return perturbations.view(-1, *picture(points.shape[1:]))


def points_at(
    search: Search, images: Float[Tensor, "b c h w"], radii: Float[Tensor, "b"]
) -> Float[Tensor, "b *d"]:
    """Return the feasible points at perturbations that are written as images.

    In L2, the norm that clipping takes away is given to the entries inside the bounds.
    """
    problem = search.problem
    perturbations = images.reshape(problem.origins.shape)
    for _ in range(_FILLINGS if problem.norm == "l2" else 0):
        moved = problem.moved(problem.origins, perturbations.to(problem.origins.dtype))
        inside = problem.perturbations(boxes.clip_(moved, problem.bounds))
        perturbations = geometry.scale_to_norm(inside, radii)
    return problem.points(perturbations.to(problem.origins.dtype))
