"""Projected ascent inside balls: the inner loop of PGD, of the Madry defense and of TRADES.

Madry, Makelov, Schmidt, Tsipras, Vladu: "Towards Deep Learning Models Resistant to Adversarial
Attacks", ICLR 2018, https://arxiv.org/abs/1706.06083.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from minnorm import geometry
from minnorm.attacks.engine.search import DROP_STEPS, Search


def default_step_size(epsilon: float, steps: int) -> float:
    """Return a step size with which every point of the ball can be reached."""
    return 2.5 * epsilon / steps


def ascend(
    search: Search,
    points: Float[Tensor, "b *d"],
    radii: Float[Tensor, "b"],
    *,
    steps: int,
    step_size: float | Float[Tensor, "b"],
    until_found: bool = False,
    direction: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, "k *d"]:
    """Climb a loss inside the balls, and return the last points, adversarial or not.

    This is the inner maximization of adversarial training (eq. 7), which needs the point of high
    loss, not the closest adversarial.

    Args:
        search: The search.
        points: Where to begin.
        radii: The radii of the balls, in units.
        steps: The number of gradients.
        step_size: The length of a step, in units; a number, or one for each sample.
        until_found: Whether samples leave the search once an adversarial has been found. Then the
            points are those of the samples that stay.
        direction: Maps logits `[b c]` to the gradient of the loss with respect to them; by default
            that of the cross-entropy.
    """
    uphill = direction or search.goal.cross_entropy_direction
    norm = search.problem.norm
    for step in range(steps):
        if until_found and step in DROP_STEPS:
            stay = search.drop_found()
            if len(stay) == 0:
                return points[stay]
            points, radii = points[stay], radii[stay]
            step_size = step_size[stay] if isinstance(step_size, Tensor) else step_size
            uphill = direction or search.goal.cross_entropy_direction
        search.report_progress(step / steps)
        visit = search.visit(points)
        gradients = visit.pull_back(uphill(visit.logits))
        directions = geometry.steepest(gradients, search.noise(), norm)
        moved = _stepped(search.problem.perturbations(points), directions, step_size)
        points = search.problem.points(geometry.project_onto_ball(moved, radii, norm))
    return points


def _stepped(here: Tensor, directions: Tensor, step_size: float | Tensor) -> Tensor:
    if isinstance(step_size, Tensor):
        return here + directions * geometry.per_sample(step_size, directions).to(here.dtype)
    return here.add_(directions, alpha=step_size)
