"""Projected ascent inside balls: the inner loop of PGD, of the Madry defense and of TRADES.

Madry, Makelov, Schmidt, Tsipras, Vladu: "Towards Deep Learning Models Resistant to Adversarial
Attacks", ICLR 2018, https://arxiv.org/abs/1706.06083.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from minnorm import geometry
from minnorm.attacks.search import LOOKS, Search


def default_step_size(epsilon: float, steps: int) -> float:
    """Gives the step size with which every point of the ball can be reached."""
    return 2.5 * epsilon / steps


def ascend(
    state: Search,
    points: Float[Tensor, "b *d"],
    radii: Float[Tensor, "b"],
    *,
    steps: int,
    step_size: float,
    until_found: bool = False,
    direction: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, "k *d"]:
    """Climbs a loss inside the balls, and gives the last points, adversarial or not.

    The inner maximisation of adversarial training (eq. 7), for which the point of high loss counts
    and not the closest adversarial.

    Args:
        state: The search.
        points: Where to begin.
        radii: Of the balls, in units of the width of the bounds; so is `step_size`.
        steps: Number of gradients.
        step_size: Length of a step.
        until_found: Let samples leave the search once an adversarial has been found; the points
            are those of the samples that stay.
        direction: Gives the gradient of the loss with respect to the logits `[b c]`, by default
            that of the cross-entropy.
    """
    uphill = direction or state.cross_entropy_direction
    for step in range(steps):
        if until_found and step in LOOKS:
            stay = state.keep_unfound()
            if len(stay) == 0:
                return points[stay]
            points, radii = points[stay], radii[stay]
        state.progress(step / steps)
        visit = state.visit(points)
        gradients = visit.pull_back(uphill(visit.logits))
        directions = geometry.steepest(gradients, state.noise(), state.norm)
        moved = state.perturbations(points).add_(directions, alpha=step_size)
        points = state.points(geometry.into_ball(moved, radii, state.norm))
    return points
