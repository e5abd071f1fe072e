"""Adversarials of random models: moved until they hold in draws not used before.

An attack finds points on the decision boundary of an average over fixed draws. In other draws about
half of them are adversarial, and fewer if the average has few draws, since the attack has fitted
these. So the points move away from the inputs until they hold in enough draws of a second set. A
point of an attack within a radius, which may have no room left, descends inside the ball.
"""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm import geometry
from minnorm.access import access_of
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.engine.autograd import differentiable, noise_of_sample
from minnorm.attacks.engine.draw_shares import (
    CONFIRMING,
    draw_seeds,
    required_share,
    shares_of_draws,
)
from minnorm.attacks.engine.problem import Problem
from minnorm.geometry import Norm, per_sample
from minnorm.logits import is_adversarial, output_of
from minnorm.models.averaged import Averaged, averaged_part

_FIRST_STEPS = (1e-2, 1e-3)
"""The first step outwards, relative to the perturbation, and the least relative to a usual one."""

_DOUBLINGS, _HALVINGS = 14, 2
"""How often the step doubles until a point holds, and how often the last step is halved then."""

_DESCENT_STEPS = 8
"""The gradients of a descent within a radius; the points of steps 1, 2, 4, 8 are confirmed."""

_DESCENT_LENGTH = 0.25
"""The length of its steps, as a share of the radius."""


def hold_in_other_draws(model: Model, result: AttackResult, problem: Problem) -> AttackResult:
    """Move adversarials of a random model away from the inputs until they hold in other draws.

    Where no point within the radius limit holds in enough draws, it is the one that holds in most
    of them. The result for any other model is returned as it is.

    Args:
        model: The classifier.
        result: The result of an attack.
        problem: The problem of the whole batch.
    """
    part = averaged_part(model)
    rows = result.success.nonzero().squeeze(1)
    if part is None or len(rows) == 0:
        return result
    outward = _Outward(model, part, problem.part(rows), result.adversarials[rows])
    outward.search()
    outward.descend()
    # Rounding, or a far point behind the boundary, may undo an adversarial of the average itself.
    goal = problem.goal.part(rows)
    kept = is_adversarial(output_of(model, outward.points), goal.labels, goal.targeted)
    points = torch.where(
        per_sample(kept, outward.points), outward.points, result.adversarials[rows]
    )
    adversarials = result.adversarials.index_copy(0, rows, points)
    distances = geometry.distances(adversarials, problem.origins, problem.norm)
    return AttackResult(
        adversarials, torch.where(result.success, distances, torch.inf), result.success
    )


class _Outward:
    """The search for points that hold, along the lines from the inputs through the adversarials.

    Args:
        model: The classifier.
        part: Its average.
        problem: The problem of the samples that have an adversarial.
        points: Their adversarials.

    Attributes:
        points: The best point of each sample so far: the closest that holds, else the one that
            holds in most draws.
    """

    def __init__(
        self, model: Model, part: Averaged, problem: Problem, points: Float[Tensor, "b *d"]
    ) -> None:
        self._model, self._problem = model, problem
        self._seeds = draw_seeds(part, CONFIRMING)
        self._required = required_share(part)
        perturbations = points - problem.origins
        self._lengths = geometry.distances(points, problem.origins)
        none = self._lengths == 0
        self._directions = perturbations / per_sample(
            self._lengths.masked_fill(none, 1.0), perturbations
        ).to(perturbations.dtype)
        if none.any():
            aside = _downhill(model, problem, problem.origins, "l2")
            self._directions = torch.where(per_sample(none, aside), aside, self._directions)
        self._longest = _longest(problem, self._directions)
        relative, least = _FIRST_STEPS
        self._step = (relative * self._lengths).clamp_min(least * problem.usual_length)
        self.points = points
        self._shares = self._measure(points, torch.arange(len(points), device=points.device))

    @property
    def _holds(self) -> Bool[Tensor, "b"]:
        return self._shares >= self._required

    def search(self) -> None:
        """Step outwards until the points hold, with steps that double; then halve the last one."""
        failed, held = self._lengths, self._lengths
        moving = ~self._holds
        step = torch.zeros_like(self._step)
        for doubling in range(_DOUBLINGS):
            more = ~self._holds & (self._lengths + step < self._longest)
            rows = more.nonzero().squeeze(1)
            if len(rows) == 0:
                break
            failed = torch.where(self._holds, failed, self._lengths + step)
            step = torch.where(self._holds, step, self._step * (2.0**doubling))
            held = torch.where(self._holds, held, self._lengths + step)
            self._try(held, rows, closer=False)
        moved = moving & self._holds
        for _ in range(_HALVINGS):
            rows = moved.nonzero().squeeze(1)
            if len(rows) == 0:
                return
            middle = (failed + held) / 2
            accepted = self._try(middle, rows, closer=True)
            held = torch.where(accepted, middle, held)
            failed = torch.where(accepted, failed, middle)

    def _try(
        self, lengths: Float[Tensor, "b"], rows: Int64[Tensor, "k"], *, closer: bool
    ) -> Bool[Tensor, "b"]:
        """Measure the points at these lengths, and keep those that are better.

        Args:
            lengths: The lengths of the perturbations.
            rows: The samples to measure.
            closer: Whether points must hold to replace those kept; else they must hold more often.

        Returns:
            Which samples have such a point.
        """
        directions = self._directions[rows]
        reached = torch.minimum(lengths, self._longest)[rows]
        origins = self._problem.origins[rows]
        moved = origins + per_sample(reached, directions).to(directions.dtype) * directions
        points = self._problem.part(rows).feasible_(moved)
        return self._offer(points, rows, closer=closer)

    def descend(self) -> None:
        """Move the points that do not hold within a radius down the margin of the average."""
        whole = self._problem
        rows = (~self._holds).nonzero().squeeze(1)
        limited = math.isfinite(whole.radius_limit) and whole.norm in ("l2", "linf")
        if not limited or access_of(self._model) != "gradients":
            return
        points = self.points[rows]
        for step in range(1, _DESCENT_STEPS + 1):
            if len(rows) == 0:
                return
            problem = whole.part(rows)
            radii = problem.radii()
            directions = _downhill(self._model, problem, points)
            length = per_sample(_DESCENT_LENGTH * radii, points).to(points.dtype)
            moved = problem.perturbations(points) + length * directions
            moved = geometry.project_onto_ball(moved, radii, problem.norm)
            points = problem.points(moved)
            if step & (step - 1) == 0:  # a power of 2
                self._offer(points, rows, closer=False)
                stay = ~self._holds[rows]
                rows, points = rows[stay], points[stay]

    def _offer(
        self, points: Float[Tensor, "k *d"], rows: Int64[Tensor, "k"], *, closer: bool
    ) -> Bool[Tensor, "b"]:
        """Measure points of some of the samples, and keep those that are better; see `_try`."""
        problem = self._problem.part(rows)
        distances = geometry.distances(points, problem.origins, problem.norm)
        shares = self._measure(points, rows).masked_fill(distances > problem.measured_limit, -1.0)
        better = shares >= self._required if closer else shares > self._shares[rows]
        chosen = rows[better]
        self.points = self.points.index_copy(0, chosen, points[better])
        self._shares = self._shares.index_copy(0, chosen, shares[better])
        return torch.zeros_like(self._holds).index_fill(0, chosen, True)

    def _measure(self, points: Tensor, rows: Tensor) -> Tensor:
        goal = self._problem.goal.part(rows)
        return shares_of_draws(self._model, points, goal.labels, goal.targeted, self._seeds)


def _downhill(
    model: Model, problem: Problem, points: Float[Tensor, "b *d"], norm: Norm | None = None
) -> Float[Tensor, "b *d"]:
    """Return the directions of norm 1 in which the margin falls fastest.

    Without gradients it is the same random direction for all samples.

    Args:
        model: The classifier.
        problem: The problem of the samples.
        points: Where.
        norm: The norm, `l2` or `linf`; by default that of the problem.
    """
    generator = torch.Generator(points.device).manual_seed(0)
    directions = torch.zeros_like(points)
    if access_of(model) == "gradients":
        logits, pull_back = differentiable(model, points)
        directions = -pull_back(problem.goal.margin_direction(logits))
    fallback = problem.along_free(noise_of_sample(points, generator).expand_as(points))
    return geometry.steepest(problem.along_free(directions), fallback, norm or problem.norm)


def _longest(problem: Problem, directions: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
    """Return the L2 lengths along the directions at which the radius limit ends."""
    if problem.norm == "l0" or math.isinf(problem.radius_limit):
        return torch.full_like(geometry.norms(directions), torch.inf)
    return problem.radius_limit / geometry.norms(directions, problem.norm)
