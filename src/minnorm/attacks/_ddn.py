"""DDN: the decoupled direction and norm attack.

Rony, Hafemann, Oliveira, Ben Ayed, Sabourin, Granger: "Decoupling Direction and Norm for Efficient
Gradient-Based L2 Adversarial Attacks and Defenses", CVPR 2019, https://arxiv.org/abs/1811.09600.
Line numbers below are those of its algorithm 1.
"""

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry, schedules
from minnorm.attacks import checks
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.search import Search, search


def ddn(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    steps: int = 100,
    initial_norm: float = 1.0,
    gamma: float = 0.05,
    step_size: float = 1.0,
    levels: int | None = None,
    bounds: geometry.Bounds = (0.0, 1.0),
    starts: Float[Tensor, "b *d"] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Finds adversarials of small L2 norm (algorithm 1 of the paper).

    Each step moves along the normalised gradient of the cross-entropy and projects the
    perturbation onto a sphere around the input, whose radius shrinks by `1 - gamma` when the point
    was adversarial and grows by `1 + gamma` when it was not. Costs `steps` gradients and one more
    forward pass, which judges the point that the last step made; with `starts` another one, for the
    inputs.

    Lengths (`initial_norm`, `step_size`) are in units of the width of the bounds, since the
    paper's are for inputs in 0..1; where a bound is infinite the unit is 1.

    Args:
        model: The classifier, inputs `[b *d]` to logits `[b c]`.
        inputs: The inputs to attack, floating point, inside the bounds.
        labels: Their true labels, or the wanted ones when `targeted`; in `[0, c)`.
        targeted: Look for points that are classified as `labels`, instead of as anything else.
        steps: Number of steps K, at least 1; the paper uses 100, 300 and 1,000.
        initial_norm: Radius of the first sphere; with `starts`, where a start is the input itself.
        gamma: Factor by which the radius changes, between 0 and 1.
        step_size: Length of the first step, annealed by a cosine to a hundredth in the last one.
        levels: Round each point to that many evenly spaced values (256 for 8-bit images, as in the
            paper's tables); `None` for no rounding. Rounding costs much where minimal norms are
            small: use it when the result must be an image file.
        bounds: The lowest and the highest value of an input.
        starts: Points from which to start, the first radius being their distance (a warm start).
        generator: Source of the random directions that stand in where a gradient is zero or NaN,
            the same for all samples of the batch; by default one of its own with a fixed seed.

    Returns:
        The closest adversarial of each sample among all points visited, with its L2 distance.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_count("steps", steps)
    checks.check_number("initial_norm", initial_norm, 0)
    checks.check_number("gamma", gamma, 0, 1)
    checks.check_number("step_size", step_size, 0)
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
        points = state.begin(starts)
        if starts is not None:
            points = geometry.quantize(points, levels, bounds)
        descend(
            state,
            points,
            steps=steps,
            initial_norm=initial_norm,
            gamma=gamma,
            step_size=step_size,
            levels=levels,
        )
        return state.result()  # line 15


def descend(
    state: Search,
    points: Float[Tensor, "b *d"],
    *,
    steps: int,
    initial_norm: float = 1.0,
    gamma: float = 0.05,
    step_size: float = 1.0,
    levels: int | None = None,
) -> None:
    """Goes through the steps of the algorithm; the search keeps what it finds."""
    farthest = geometry.farthest_corner(state.origins, state.bounds) / state.unit
    perturbations = state.perturbations(points)
    lengths = geometry.norms(perturbations)
    radii = torch.where(lengths > 0, lengths, initial_norm)
    for step, rate in enumerate(schedules.cosine(step_size, 0.01 * step_size, steps)):
        state.progress(step / steps)
        visit = state.visit(points)
        gradients = visit.pull_back(state.cross_entropy_direction(visit.logits))  # line 4
        directions = geometry.unit(gradients, fallback=state.noise())
        perturbations.add_(directions, alpha=rate)  # lines 5 and 6
        radii = torch.where(visit.adversarial, (1 - gamma) * radii, (1 + gamma) * radii)  # 7-11
        radii = torch.minimum(radii, farthest)
        points = state.points(geometry.on_sphere(perturbations, radii))  # lines 12 and 13
        points = geometry.quantize(points, levels, state.bounds)
        perturbations = state.perturbations(points)
    state.judge(points)
