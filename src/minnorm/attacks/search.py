"""What all attacks have in common: where they look, what they have seen, and when a sample is done.

An attack asks a `Search` to `visit` points (one forward pass, ready for backward passes) or only to
`judge` them (one forward pass). Whatever is visited or judged counts towards the result, so that no
attack can forget a point, its last one least of all.

Of an `Accelerated` model the coarse classifier is asked as long as the attack says that it is far
from its end (`progress`). What it calls adversarial counts until the exact classifier is asked
about it: before a sample leaves, and when the end comes near. In the end the original model
confirms all that was found.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.acceleration.accelerated import Accelerated
from minnorm.attacks import checks
from minnorm.attacks.confirmation import farther, verified
from minnorm.attacks.contract import AttackResult, Incumbent, Model
from minnorm.attacks.goal import Goal
from minnorm.attacks.gradients import (
    differentiable,
    draw_seed,
    noise_of_sample,
    ordinary,
    own_autograd_mode,
)
from minnorm.geometry import Bounds, Norm, per_sample
from minnorm.losses import check_logits

LOOKS = frozenset(round(1.3**power) for power in range(40))
"""After which steps to look which samples are done: 1, 2, 3, 4, 5, 6, 8, 11, 14, 18, 23, ...

The host has to wait for the device then, so that it is done ever more seldom.
"""

COARSE_SHARE = 0.8
"""Up to which share of an attack's way a coarse classifier is asked."""

_CONFIRM_EVERY = 20
"""After how many coarse steps the exact classifier is asked about what was found: the closest of
many adversarials by the coarse classifier's word is the one that is most likely none."""

_RESCUES = (0.05, 0.25, 1.0)
"""By how much farther those points lie that are asked about before an attack's last steps, where
the exact classifier denies what was claimed of a sample."""


class Visit(NamedTuple):
    """What the model says of some points.

    Attributes:
        logits: Its logits.
        adversarial: Which of the points are what the attack wants.
        pull_back: Takes a direction in logit space back to the inputs, see `differentiable`; in
            units of the width of the bounds.
    """

    logits: Float[Tensor, "b c"]
    adversarial: Bool[Tensor, "b"]
    pull_back: Callable[..., Float[Tensor, "b *d"]]


@dataclass
class Search(Goal):
    """The samples under attack, and the closest adversarial of each so far.

    Attributes:
        model: The classifier.
        origins: The inputs that are attacked.
        labels, targeted, confidence: What is wanted, see `Goal`.
        bounds: The lowest and the highest value of an input.
        norm: The norm of the distances.
        within: How far a point may be to be taken, in units of the inputs.
        unit: The width of the bounds, in which the attacks measure lengths.
        seed: Decides what is random.
        incumbent: The closest adversarials; some of them by the coarse classifier's word alone.
        rows: Which rows of the batch are still under attack.
        levels: The grid that adversarials have to be on, if any.
        classes: How many there are, known when the model has been asked.
    """

    model: Model
    origins: Float[Tensor, "b *d"]
    bounds: Bounds
    norm: Norm
    within: float
    unit: float
    seed: int
    incumbent: Incumbent
    rows: Int64[Tensor, "b"]
    levels: int | None = None

    def __post_init__(self) -> None:
        self._done: list[tuple[Tensor, AttackResult]] = []
        self._checked = False
        self._parts = 0
        self._coarse_steps = 0
        self._confirmed: Incumbent | None = None  # apart from `incumbent` while that is coarse
        self._whole: tuple[Tensor, Tensor] | None = (self.origins, self.labels)  # None of a part
        self.classes = 0
        self.generator = torch.Generator(self.origins.device).manual_seed(self.seed)

    def progress(self, share: float) -> bool:
        """Is told which share of its way the attack has gone, before each step.

        What comes first is always asked of the exact classifier, and so is what comes last.

        Returns:
            Whether the exact classifier takes over from here: what the attack learned of the
            boundary until now was the coarse one's word.
        """
        if not isinstance(self.model, Accelerated) or self.model.coarse is None:
            return False
        early = 0 < share < COARSE_SHARE
        coarse = self._confirmed is not None
        self._coarse_steps += 1
        if not early or self._coarse_steps % _CONFIRM_EVERY == 0:
            self._confirm(rescue=not early)
        if early and self._confirmed is None:
            self._confirmed = copy(self.incumbent)
        return coarse and not early

    @property
    def _classifier(self) -> Model:
        if self._confirmed is None or not isinstance(self.model, Accelerated):
            return self.model
        return self.model.coarse or self.model

    def _confirm(self, *, rescue: bool = False) -> None:
        """Goes over to the exact classifier, and asks it about what was found until now.

        Before the last steps also about points that lie a little farther: near the boundary the
        coarse classifier is wrong often, and a few small steps may not make up for it.
        """
        if self._confirmed is None:
            return
        coarse, self.incumbent, self._confirmed = self.incumbent, self._confirmed, None
        self.judge(coarse.points)
        for growth in _RESCUES if rescue else ():
            closer = (1 + growth) * coarse.distances < self.incumbent.distances
            rows = closer.nonzero().squeeze(1)  # waits for the device, a few times in an attack
            if len(rows) == 0:
                continue
            points = farther(self, coarse.points[rows], self.origins[rows], growth)
            adversarial, sure = self.judged(self._classifier(points), self.labels[rows])
            self.incumbent.offer(points, adversarial, sure, rows)

    def visit(self, points: Float[Tensor, "b *d"]) -> Visit:
        """Evaluates the model at the points, ready for gradients, and takes what is adversarial."""
        logits, pull_back = differentiable(self._classifier, points)
        adversarial = self._take(points, logits)

        def scaled(cotangents: Tensor, *, again: bool = False) -> Tensor:
            gradients = pull_back(cotangents, again=again)
            return gradients if self.unit == 1 else gradients * self.unit

        return Visit(logits, adversarial, scaled)

    def judge(self, points: Float[Tensor, "b *d"]) -> Bool[Tensor, "b"]:
        """Evaluates the model at the points, forward only, and takes what is adversarial."""
        return self._take(points, self._classifier(points))

    def logits_at(self, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b c"]:
        """Evaluates the model at the points, forward only, and gives its logits."""
        logits = self._classifier(points)
        self._take(points, logits)
        return logits

    def margins_at(self, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b"]:
        """Evaluates the model at the points, forward only, and gives their `margins`.

        A tie that is no adversarial has a margin above 0, though the smallest.
        """
        logits = self._classifier(points)
        adversarial = self._take(points, logits)
        margins = self.margins(logits)
        least = torch.finfo(margins.dtype).tiny
        return torch.where(adversarial, margins, margins.clamp_min(least))

    def _take(self, points: Tensor, logits: Tensor) -> Tensor:
        if not self._checked:  # once: it waits for the device
            check_logits(logits, self.labels)
            self._checked, self.classes = True, logits.shape[1]
        adversarial, sure = self.judged(logits, self.labels)
        self.incumbent.offer(points, adversarial, sure)
        return adversarial

    def points(self, perturbations: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Gives the points at these perturbations, in units, clipped to the bounds."""
        return torch.add(self.origins, perturbations, alpha=self.unit).clamp_(*self.bounds)

    def perturbations(self, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Gives the perturbations of the points, in units."""
        return points - self.origins if self.unit == 1 else (points - self.origins).div_(self.unit)

    def to_halfspace(
        self,
        points: Float[Tensor, "b *d"],
        normals: Float[Tensor, "b *d"],
        rises: Float[Tensor, "b"],
    ) -> Float[Tensor, "b *d"]:
        """Gives the smallest perturbations of the points, in units, that rise enough.

        See `geometry.to_halfspace`; the normals are gradients in units too.
        """
        low, high = self.bounds
        origin = low if math.isfinite(low) else 0.0
        box = ((low - origin) / self.unit, (high - origin) / self.unit)
        return geometry.to_halfspace((points - origin) / self.unit, normals, rises, box, self.norm)

    def radii(self) -> Float[Tensor, "b"]:
        """Gives radii, in units, whose points are `within` after their rounding too."""
        return geometry.inner_radii(self.within, self.origins, self.bounds, self.norm) / self.unit

    def noise(self) -> Float[Tensor, "*d"]:
        """Draws normal noise of the shape of one sample, to be shared by the whole batch."""
        return noise_of_sample(self.origins, self.generator)

    def begin(self, starts: Float[Tensor, "b *d"] | None) -> Float[Tensor, "b *d"]:
        """Gives the points to begin at: the inputs, or `starts`; then the inputs are judged too."""
        if starts is None:
            return self.origins
        self.judge(self.origins)
        return ordinary(starts)

    def points_in_ball(self, radii: Float[Tensor, "b"]) -> Float[Tensor, "b *d"]:
        """Draws points around the inputs, uniformly from balls of these radii, in units.

        The direction, and the share of the radius, are the same for the whole batch.
        """
        noise = self.noise().unsqueeze(0)
        share = torch.rand(1, generator=self.generator, device=self.generator.device)
        drawn = geometry.in_unit_ball(noise, share.to(noise), self.norm)
        return self.points(per_sample(radii, self.origins).to(noise.dtype) * drawn)

    def alive(self, gradients: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Puts noise of L2 norm 1 where a gradient is zero, NaN or infinite."""
        usable = geometry.has_direction(gradients)
        noise = self.noise()
        fallback = noise / torch.linalg.vector_norm(noise)
        return torch.where(per_sample(usable, gradients), gradients, fallback)

    def keep(self, active: Bool[Tensor, "b"]) -> Int64[Tensor, "k"]:
        """Lets all but the `active` samples leave the search; waits for the device.

        Returns:
            The positions of those that stay, by which the attack cuts its own tensors: also of
            those of which the exact classifier says that nothing has been found.
        """
        if self._confirmed is not None and not active.all():
            claimed = self.incumbent.distances.isfinite()
            self._confirm()
            active = active | (claimed & self.incumbent.distances.isinf())
        stay, leave = active.nonzero().squeeze(1), (~active).nonzero().squeeze(1)
        if len(leave) > 0:
            self._done.append((self.rows[leave], self.incumbent.part(leave).result()))
            self.origins, self.labels = self.origins[stay], self.labels[stay]
            self.incumbent, self.rows = self.incumbent.part(stay), self.rows[stay]
        return stay

    def keep_unfound(self) -> Int64[Tensor, "k"]:
        """Lets the samples leave of which an adversarial has been found; waits for the device."""
        return self.keep(~self.incumbent.distances.isfinite())

    def part(self, rows: Int64[Tensor, "k"] | None = None) -> "Search":
        """Gives a search on some of the samples, or all, that begins anew; see `absorb`.

        Its randomness is its own, and follows from how many parts there were before: how long the
        other samples of the batch go on makes no difference.
        """
        origins = self.origins if rows is None else self.origins[rows]
        self._parts += 1
        part = replace(
            self,
            origins=origins,
            labels=self.labels if rows is None else self.labels[rows],
            seed=(self.seed * 6364136223846793005 + self._parts * 1442695040888963407) % 2**62,
            incumbent=Incumbent(origins, self.norm, self.within),
            rows=torch.arange(len(origins), device=origins.device),
        )
        part._checked, part.classes = self._checked, self.classes
        part._whole = None
        return part

    def absorb(self, found: AttackResult, rows: Int64[Tensor, "k"] | None = None) -> None:
        """Takes what a search on some of the samples, or all, has found."""
        self.incumbent.offer(found.adversarials, found.success, rows=rows)
        self._checked = True

    def result(self) -> AttackResult:
        """Gives the closest adversarials of all samples, in their order."""
        self._confirm()
        result = self.incumbent.result()
        if self._done:
            parts = [*self._done, (self.rows, result)]
            order = torch.cat([rows for rows, _ in parts]).argsort()
            result = AttackResult(
                torch.cat([part.adversarials for _, part in parts])[order],
                torch.cat([part.distances for _, part in parts])[order],
                torch.cat([part.success for _, part in parts])[order],
            )
        if self._whole is None or not isinstance(self.model, Accelerated):
            return result
        if self.model.exact is self.model.original:
            return result
        return verified(self, self.model, result, *self._whole)


@contextmanager
def search(
    model: Model,
    inputs: Any,
    labels: Any,
    *,
    targeted: bool,
    bounds: Bounds,
    generator: Generator | None,
    norm: Norm = "l2",
    confidence: float = 0.0,
    within: float = math.inf,
    starts: Any = None,
    levels: int | None = None,
) -> Iterator[Search]:
    """Checks what an attack was given, and begins; inside, nothing is recorded by autograd.

    The tensors are annotated as anything, since this is where it is checked that they are tensors.

    Args:
        model: The classifier.
        inputs: The inputs to attack.
        labels: Their labels, or the wanted ones when `targeted`.
        targeted: Which of the two.
        bounds: The lowest and the highest value of an input.
        generator: The source of what is random; `None` for one with a fixed seed.
        norm: The norm of the distances.
        confidence: How negative the margin has to be for a point to be taken.
        within: How far a point may be to be taken, in units of the inputs.
        starts: Points from which the attack starts; checked here.
        levels: The grid that the attack's points are on, if any.

    Raises:
        ValueError: If one of them is not as the contract says.
    """
    checks.check_problem(model, inputs, labels, bounds, starts)
    with own_autograd_mode():
        origins = ordinary(inputs)
        yield Search(
            model=model,
            origins=origins,
            labels=ordinary(labels),
            targeted=targeted,
            bounds=bounds,
            norm=norm,
            confidence=confidence,
            within=within,
            unit=geometry.span(bounds),
            seed=draw_seed(generator),
            incumbent=Incumbent(origins, norm, within),
            rows=torch.arange(len(origins), device=origins.device),
            levels=levels,
        )
