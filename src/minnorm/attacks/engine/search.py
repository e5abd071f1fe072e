"""The search of an attack: the visited points, the closest adversarials, and the finished samples.

An attack evaluates points only through a `Search`: with `visit` if it needs gradients, otherwise
with `logits_at`, `margins_at` or `adversarial_at`. Every point evaluated counts towards the result,
so no attack can leave one out, not even the last one.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm import geometry
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.engine.autograd import differentiable, noise_of_sample, ordinary
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.incumbent import Incumbent
from minnorm.attacks.engine.inset import (
    BoundWatch,
    inset,
    keeps_decisions,
    may_be_lost,
    restore_origins,
)
from minnorm.attacks.engine.other_draws import hold_in_other_draws
from minnorm.attacks.engine.problem import Problem
from minnorm.geometry import per_sample
from minnorm.logits import check_logits, output_of

DROP_STEPS = frozenset(round(1.3**power) for power in range(40))
"""The steps after which finished samples are dropped: 1, 2, 3, 4, 5, 6, 8, 11, 14, 18, 23, ...

Dropping waits for the device, so it happens less and less often.
"""


class Visit(NamedTuple):
    """The output of the model at some points.

    Attributes:
        logits: Its logits.
        adversarial: Which of the points reach the goal.
        pull_back: Maps a direction in logit space to the gradient with respect to the inputs, in
            units of the problem, 0 for features that cannot change; see `differentiable`.
    """

    logits: Float[Tensor, "b c"]
    adversarial: Bool[Tensor, "b"]
    pull_back: Callable[..., Float[Tensor, "b *d"]]


class _CheckedPullBack:
    """A `pull_back` that moves inside the bounds if its first gradients are lost.

    Args:
        search: The search.
        pull_back: The function for the points themselves.
        points: The points.
    """

    def __init__(
        self,
        search: "Search",
        pull_back: Callable[..., Tensor],
        points: Float[Tensor, "b *d"],
    ) -> None:
        self._search = search
        self._pull_back = pull_back
        self._points = points
        self._is_checked = False

    def __call__(self, cotangents: Tensor, *, again: bool = False) -> Tensor:
        """Return the gradient with respect to the points; see `differentiable`."""
        gradients = self._pull_back(cotangents, again=again)
        if self._is_checked:
            return gradients
        self._is_checked = True
        watch, problem = self._search.watch, self._search.problem
        if watch.is_due() and may_be_lost(gradients, self._points, problem.bounds):
            inside_points = inset(self._points, problem.bounds, problem.usual_length)
            _, other = differentiable(self._search.model, inside_points)
            inside = other(cotangents, again=again)

            def nearest() -> Tensor:
                points = inset(self._points, problem.bounds, problem.usual_length, share=0.0)
                return differentiable(self._search.model, points)[1](cotangents)

            if watch.compare(gradients, inside, self._points, problem.bounds, nearest):
                self._pull_back = other
                return inside
        return gradients


class Search:
    """The samples under attack, and the closest adversarial of each so far.

    Args:
        problem: The problem to solve.
        model: The classifier.
        seed: The seed of all random numbers.
        watch: Whether gradients are taken inside the bounds; by default a check decides.

    Attributes:
        problem: The problem of the samples that are still under attack.
        model: The classifier in use at the moment.
        incumbent: The closest adversarials of these samples.
        rows: The positions of these samples in the batch.
        classes: The number of classes; 0 before the first evaluation of the model.
        generator: The source of what is random.
        watch: Whether gradients are taken inside the bounds.
        spent: The queries of each sample that the unit of length has cost of a budget.
    """

    def __init__(
        self, problem: Problem, model: Model, seed: int = 0, watch: BoundWatch | None = None
    ) -> None:
        origins = problem.origins
        self.problem = problem
        self.model = model
        self.incumbent = Incumbent(origins, problem.norm, problem.measured_limit)
        self.rows = torch.arange(len(origins), device=origins.device)
        self.classes = 0
        self.generator = torch.Generator(origins.device).manual_seed(seed)
        self.watch = BoundWatch() if watch is None else watch
        self.spent = torch.zeros_like(self.rows)
        self._seed = seed
        self._finished: list[tuple[Tensor, AttackResult]] = []
        self._parts = 0
        self._whole: Problem | None = problem  # None for a part of a search

    @property
    def goal(self) -> Goal:
        """The goal of the samples that are still under attack."""
        return self.problem.goal

    def report_progress(self, share: float) -> bool:  # noqa: ARG002 - for an accelerated model
        """Report the attack's progress, from 0 to 1, before each step.

        Returns:
            Whether another classifier is used from now on. Then what the attack has measured before
            may be wrong. This is always false for a model that is not accelerated.
        """
        return False

    def visit(self, points: Float[Tensor, "b *d"]) -> Visit:
        """Evaluate the model at the points, ready for gradients, and keep what is adversarial.

        A model that loses its gradients at the bounds is evaluated slightly inside of them. Where
        decisions need the points themselves, that costs another forward pass.
        """
        problem = self.problem
        if self.watch.active:
            inside = inset(points, problem.bounds, problem.usual_length)
            logits, pull_back = differentiable(self.model, inside)
            if keeps_decisions(problem):
                points = inside
            else:
                logits = output_of(self.model, points)
        else:
            logits, pull_back = differentiable(self.model, points)
            pull_back = _CheckedPullBack(self, pull_back, points)
        adversarial = self._keep(points, logits)
        return Visit(logits, adversarial, partial(_in_units, problem, pull_back))

    def logits_at(self, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b c"]:
        """Return the model's logits at the points, and keep what is adversarial."""
        logits: Tensor = output_of(self.model, points)
        self._keep(points, logits)
        return logits

    def adversarial_at(self, points: Float[Tensor, "b *d"]) -> Bool[Tensor, "b"]:
        """Return which of the points are adversarial, and keep these."""
        return self._keep(points, output_of(self.model, points))

    def margins_at(self, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
        """Return the margins at the points, and keep what is adversarial.

        A tie that is not adversarial has the smallest margin above 0.
        """
        logits = output_of(self.model, points)
        adversarial = self._keep(points, logits)
        margins = self.goal.margins(logits)
        least = torch.finfo(margins.dtype).tiny
        return torch.where(adversarial, margins, margins.clamp_min(least))

    def _keep(self, points: Tensor, logits: Tensor) -> Tensor:
        if self.classes == 0:  # once: the check waits for the device
            check_logits(logits, self.goal.labels)
            self.classes = logits.shape[1]
        adversarial, certain = self.goal.decide(logits)
        self.incumbent.offer(points, adversarial, certain)
        return adversarial

    def first_points(self, starts: Float[Tensor, "b *d"] | None) -> Float[Tensor, "b *d"]:
        """Return the points to begin at: the inputs, or the feasible `starts`.

        With `starts` the inputs are evaluated as well.
        """
        if starts is None:
            return self.problem.origins
        self.adversarial_at(self.problem.origins)
        return self.problem.feasible_(ordinary(starts).clone())

    def noise(self) -> Float[Tensor, "#b *d"]:
        """Draw normal noise of the shape of one sample, shared by the whole batch: `[1 *d]`.

        With tensor bounds it is 0 for features that cannot change, so it may differ from sample to
        sample.
        """
        noise = noise_of_sample(self.problem.origins, self.generator).unsqueeze(0)
        return self.problem.along_free(noise)

    def points_in_ball(self, radii: Float[Tensor, "b"]) -> Float[Tensor, "b *d"]:
        """Draw points around the inputs, uniformly from balls of these radii, in units.

        The direction, and the share of the radius, are the same for the whole batch.
        """
        problem, noise = self.problem, self.noise()
        share = torch.rand(1, generator=self.generator, device=self.generator.device).to(noise)
        drawn = geometry.uniform_in_unit_ball(noise, share, problem.norm, problem.entries)
        return problem.points(per_sample(radii, problem.origins).to(noise.dtype) * drawn)

    def with_directions(self, gradients: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Replace gradients that are zero, NaN or infinite by noise of L2 norm 1."""
        usable = geometry.has_direction(gradients)
        fallback = geometry.normalized(self.noise())
        return torch.where(per_sample(usable, gradients), gradients, fallback)

    def drop(self, finished: Bool[Tensor, "b"]) -> Int64[Tensor, "k"]:
        """Remove the finished samples from the search; waits for the device.

        Returns:
            The positions of the samples that stay, to cut the attack's own tensors.
        """
        stay, leave = (~finished).nonzero().squeeze(1), finished.nonzero().squeeze(1)
        if len(leave) > 0:
            self._finished.append((self.rows[leave], self.incumbent.part(leave).result()))
            self.problem = self.problem.part(stay)
            self.incumbent, self.rows = self.incumbent.part(stay), self.rows[stay]
            self.spent = self.spent[stay]
        return stay

    def drop_found(self) -> Int64[Tensor, "k"]:
        """Remove the samples for which an adversarial has been found; see `drop`."""
        return self.drop(self.incumbent.distances.isfinite())

    def part(self, rows: Int64[Tensor, "k"] | None = None) -> "Search":
        """Return a new search on some of the samples, or all of them; see `absorb`.

        Its random numbers follow from the number of parts before it, so they do not depend on how
        long the other samples of the batch take.
        """
        self._parts += 1
        seed = (self._seed * 6364136223846793005 + self._parts * 1442695040888963407) % 2**62
        part = self._begin(self.problem if rows is None else self.problem.part(rows), seed)
        part.classes = self.classes
        part.spent = self.spent if rows is None else self.spent[rows]
        part._whole = None
        return part

    def _begin(self, problem: Problem, seed: int) -> "Search":
        return type(self)(problem, self.model, seed, self.watch)

    def absorb(self, found: AttackResult, rows: Int64[Tensor, "k"] | None = None) -> None:
        """Keep what a search on some of the samples, or all of them, has found."""
        self.incumbent.offer(found.adversarials, found.success, rows=rows)

    def result(self) -> AttackResult:
        """Return the closest adversarials of all samples, in their order."""
        result = self.incumbent.result()
        if self._finished:
            parts = [*self._finished, (self.rows, result)]
            order = torch.cat([rows for rows, _ in parts]).argsort()
            result = AttackResult(
                torch.cat([part.adversarials for _, part in parts])[order],
                torch.cat([part.distances for _, part in parts])[order],
                torch.cat([part.success for _, part in parts])[order],
            )
        return result if self._whole is None else self._finalized(result, self._whole)

    def _finalized(self, result: AttackResult, whole: Problem) -> AttackResult:
        """Return the result of the whole batch in its final form."""
        return self._finalized_by(self.model, result, whole)

    def _finalized_by(self, model: Model, result: AttackResult, whole: Problem) -> AttackResult:
        if self.watch.active:
            result = restore_origins(model, result, whole)
        result = round_unmoved(model, result, whole)
        return hold_in_other_draws(model, result, whole)


def round_unmoved(model: Model, result: AttackResult, problem: Problem) -> AttackResult:
    """Round the inputs that are adversarial from the start, if they stay adversarial.

    An input that would leave the radius limit stays as it is.
    """
    if problem.levels is None:
        return result
    rounded = problem.feasible_(problem.origins.clone())
    moves = geometry.distances(rounded, problem.origins, problem.norm)
    movable = (moves > 0) & (moves <= problem.measured_limit)
    rows = (result.success & (result.distances == 0) & movable).nonzero().squeeze(1)
    if len(rows) == 0:
        return result
    adversarial, _ = problem.goal.part(rows).decide(output_of(model, rounded[rows]))
    chosen = rows[adversarial]
    points = result.adversarials.index_copy(0, chosen, rounded[chosen])
    moved = geometry.distances(points, problem.origins, problem.norm)
    return AttackResult(points, moved.where(result.success, torch.inf), result.success)


def _in_units(
    problem: Problem, pull_back: Callable[..., Tensor], cotangents: Tensor, *, again: bool = False
) -> Tensor:
    """Return the gradient of `pull_back` in units, 0 for features that cannot change."""
    return problem.along_free(problem.in_inputs(pull_back(cotangents, again=again)))
