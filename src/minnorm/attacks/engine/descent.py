"""The descent of DDN: steps along the gradient, on a sphere whose radius shrinks and grows.

Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger: "Decoupling Direction and Norm for Efficient
Gradient-Based L2 Adversarial Attacks and Defenses", CVPR 2019, https://arxiv.org/abs/1811.09600.
Line numbers are those of its algorithm 1.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm import geometry, schedules
from minnorm.attacks.engine.search import Search


def descend(
    search: Search,
    points: Float[Tensor, "b *d"],
    *,
    steps: int,
    initial_norm: float = 1.0,
    gamma: float = 0.05,
    step_size: float = 1.0,
) -> None:
    """Take the steps of the algorithm; the search keeps what they find.

    Args:
        search: The search.
        points: Where to begin.
        steps: The number of steps K.
        initial_norm: The first radius, in units, of samples that begin at the input.
        gamma: The factor by which the radius changes.
        step_size: The length of the first step, in units; annealed by a cosine to a hundredth.
    """
    problem = search.problem
    farthest = geometry.farthest_corner(problem.origins, problem.bounds) / problem.unit
    perturbations = problem.perturbations(points)
    lengths = geometry.norms(perturbations)
    radii = torch.where(lengths > 0, lengths, initial_norm)
    for step, rate in enumerate(schedules.cosine(step_size, 0.01 * step_size, steps)):
        search.report_progress(step / steps)
        visit = search.visit(points)
        gradients = visit.pull_back(search.goal.cross_entropy_direction(visit.logits))  # line 4
        directions = geometry.unit(gradients, fallback=search.noise())
        perturbations.add_(directions, alpha=rate)  # lines 5 and 6
        radii = torch.where(visit.adversarial, (1 - gamma) * radii, (1 + gamma) * radii)  # 7-11
        radii = torch.minimum(radii, farthest)
        points = problem.points(geometry.scale_to_norm(perturbations, radii))  # lines 12 and 13
        perturbations = problem.perturbations(points)
    search.adversarial_at(points)
