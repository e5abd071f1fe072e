"""The search on an accelerated model: from the coarse classifier to the exact one.

An `Accelerated` model holds up to three classifiers. The coarse one, in lower precision, is used
until the attack reports that it is near its end. Its adversarials count only until the exact
classifier evaluates them: before samples leave, every few steps, and before the last steps. At the
end the original model confirms everything that was found.
"""

from copy import copy

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm import geometry
from minnorm.acceleration.accelerated import Accelerated
from minnorm.attacks.contract import AttackResult
from minnorm.attacks.engine.autograd import differentiable, noise_of_sample
from minnorm.attacks.engine.incumbent import Incumbent
from minnorm.attacks.engine.inset import BoundWatch
from minnorm.attacks.engine.problem import Problem
from minnorm.attacks.engine.search import Search
from minnorm.geometry import per_sample
from minnorm.logits import output_of

COARSE_SHARE = 0.8
"""The share of an attack's progress up to which the coarse classifier is used."""

_CONFIRM_EVERY = 20
"""Coarse steps between two confirmations. They are frequent because the closest of many points is
also the one that the coarse classifier most likely misjudges."""

_RETRY_GROWTHS = (0.05, 0.25, 1.0)
"""How much farther away the points are that the exact classifier evaluates before the last steps,
for samples whose coarse adversarial it rejects."""

CONFIRM_GROWTHS = (0.0, 1e-4, 1e-3, 1e-2)
"""By how much a perturbation grows until the model as given confirms it."""

_ASIDE = 1e-4
"""How far, in units, an input on the boundary is moved along the gradient."""


class AcceleratedSearch(Search):
    """A search that uses a coarse classifier first, and confirms with the exact one.

    Args:
        problem: The problem to solve.
        accelerated: The accelerated model.
        seed: The seed of all random numbers.
        watch: Whether gradients are taken inside the bounds; by default a check decides.
    """

    def __init__(
        self,
        problem: Problem,
        accelerated: Accelerated,
        seed: int = 0,
        watch: BoundWatch | None = None,
    ) -> None:
        super().__init__(problem, accelerated.exact, seed, watch)
        self._accelerated = accelerated
        self._coarse_steps = 0
        # What the exact classifier has confirmed; set only while the coarse one is in use.
        self._confirmed: Incumbent | None = None

    def _begin(self, problem: Problem, seed: int) -> "AcceleratedSearch":
        return type(self)(problem, self._accelerated, seed, self.watch)

    def report_progress(self, share: float) -> bool:
        """Report the attack's progress, from 0 to 1, before each step.

        The exact classifier is used in the first step and in the last ones.

        Returns:
            Whether the exact classifier takes over. What the attack has measured before comes from
            the coarse one, and may be wrong.
        """
        if self._accelerated.coarse is None:
            return False
        early = 0 < share < COARSE_SHARE
        was_coarse = self._confirmed is not None
        self._coarse_steps += 1
        if not early or self._coarse_steps % _CONFIRM_EVERY == 0:
            self._confirm(retry=not early)
        if early and self._confirmed is None:
            self._confirmed = copy(self.incumbent)
            self.model = self._accelerated.coarse
        return was_coarse and not early

    def _confirm(self, *, retry: bool = False) -> None:
        """Return to the exact classifier, and evaluate with it what the coarse one has found.

        Args:
            retry: Whether to evaluate points a little farther away as well. Near the boundary the
                coarse classifier is often wrong, and the last steps may be too short to correct it.
        """
        if self._confirmed is None:
            return
        coarse, self.incumbent, self._confirmed = self.incumbent, self._confirmed, None
        self.model = self._accelerated.exact
        self.adversarial_at(coarse.points)
        for growth in _RETRY_GROWTHS if retry else ():
            closer = (1 + growth) * coarse.distances < self.incumbent.distances
            rows = closer.nonzero().squeeze(1)  # waits for the device, a few times in an attack
            if len(rows) == 0:
                continue
            problem = self.problem.part(rows)
            points = moved_away(problem, coarse.points[rows], growth)
            adversarial, certain = problem.goal.decide(output_of(self.model, points))
            self.incumbent.offer(points, adversarial, certain, rows)

    def drop(self, finished: Bool[Tensor, "b"]) -> Int64[Tensor, "k"]:
        """Let the finished samples leave the search; waits for the device.

        Samples whose adversarial the exact classifier rejects stay.

        Returns:
            The positions of the samples that stay, to cut the attack's own tensors.
        """
        if self._confirmed is not None and finished.any():
            found = self.incumbent.distances.isfinite()
            self._confirm()
            finished = finished & ~(found & self.incumbent.distances.isinf())
        return super().drop(finished)

    def result(self) -> AttackResult:
        """Return the closest adversarials of all samples, confirmed by the original model."""
        self._confirm()
        return super().result()

    def _finalized(self, result: AttackResult, whole: Problem) -> AttackResult:
        accelerated = self._accelerated
        if accelerated.exact is not accelerated.original:
            result = self._verified(result, whole)
        return self._finalized_by(accelerated.original, result, whole)

    def _verified(self, result: AttackResult, whole: Problem) -> AttackResult:
        """Confirm a result with the original model.

        On the boundary the original and the exact classifier may differ by rounding. A point that
        is not confirmed moves away from the input; an input on the boundary moves along the
        gradient.
        """
        incumbent = Incumbent(whole.origins, whole.norm, whole.measured_limit)
        found, missing = result.adversarials, result.success
        for growth in CONFIRM_GROWTHS:
            rows = missing.nonzero().squeeze(1)
            if len(rows) == 0:
                break
            problem = whole.part(rows)
            points = moved_away(problem, found[rows], growth)
            logits = output_of(self._accelerated.original, points)
            incumbent.offer(points, *problem.goal.decide(logits), rows)
            missing = result.success & ~incumbent.distances.isfinite()
            on_boundary = missing & (result.distances == 0)
            if growth == 0 and on_boundary.any():
                found = torch.where(per_sample(on_boundary, found), self._aside(whole), found)
        return incumbent.result()

    def _aside(self, whole: Problem) -> Tensor:
        """Return points a little beside the inputs, towards the goal."""
        logits, pull_back = differentiable(self._accelerated.exact, whole.origins)
        gradients = pull_back(-whole.goal.margin_direction(logits))
        fallback = noise_of_sample(whole.origins, self.generator).unsqueeze(0)
        fallback = whole.along_free(fallback)
        steps = geometry.unit(whole.along_free(gradients), fallback=fallback)
        return whole.feasible_(whole.moved(whole.origins, steps, _ASIDE))


def moved_away(
    problem: Problem, points: Float[Tensor, "b *d"], growth: float
) -> Float[Tensor, "b *d"]:
    """Return points moved away from the inputs, by a share of their distances; by 0 as they are.

    With levels each entry moves by at least one level, since rounding would undo less.
    """
    if growth == 0:
        return points
    origins = problem.origins
    moved = problem.feasible_(origins + (1 + growth) * (points - origins))
    if problem.levels is None:
        return moved
    next_levels = points + problem.level * (points - origins).sign()
    return problem.feasible_(torch.where(moved == points, next_levels, moved))
