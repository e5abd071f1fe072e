"""The contract of every attack: what goes in, what comes out, and the holder of the best so far."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.geometry import Bounds, Norm, distances, per_sample


@runtime_checkable
class Model(Protocol):
    """A classifier: any callable that maps inputs `[b *d]` to logits `[b c]`, c at least 2.

    What it says of one sample must not depend on the others in the batch, and must be the same
    each time: a module is in evaluation mode.
    """

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Gives the logits of a batch."""
        ...


@dataclass(frozen=True)
class AttackResult:
    """What an attack found, sample by sample. The three always agree.

    Attributes:
        adversarials: The closest adversarial found; the original input where none was found, or
            where nothing had to change.
        distances: The distance of `adversarials` from the inputs, in the attack's norm, in
            float32 or wider; infinite where none was found, 0 where the input already was
            adversarial.
        success: Whether the model, in its own precision, says of `adversarials` what the attack
            wanted.
    """

    adversarials: Float[Tensor, "b *d"]
    distances: Float[Tensor, "b"]
    success: Bool[Tensor, "b"]


@runtime_checkable
class Attack(Protocol):
    """A function that looks for adversarials; its other arguments are its hyper-parameters.

    It changes nothing that it is given and no global state, and treats each sample as if it were
    alone: permuting or splitting the batch permutes or splits the result.

    Distances are taken in the norm that is the default of its parameter `norm`, in `l2` if it has
    none: an attack of one's own in another norm has such a parameter.
    """

    def __call__(
        self,
        model: Model,
        inputs: Float[Tensor, "b *d"],
        labels: Int64[Tensor, "b"],
        /,
        *,
        targeted: bool = False,
        bounds: Bounds = (0.0, 1.0),
        generator: torch.Generator | None = None,
    ) -> AttackResult:
        """Attacks a batch; see `minnorm.attacks.ddn` for the arguments."""
        ...


_UNSURE = 1.5
"""How much farther a point counts than it is, if rounding alone may make it adversarial."""


class Incumbent:
    """Holds the closest adversarial seen so far of each sample, and its distance.

    It measures the points itself, so that what it gives at the end agrees by construction. A point
    that may be adversarial by rounding alone gives way to one that surely is and not much farther.

    Args:
        origins: The inputs that are attacked, `[b *d]`.
        norm: The norm in which distances are taken.
        within: How far a point may be to be taken.

    Attributes:
        points: The closest adversarials; the input where there is none.
        distances: Their distances, infinite where there is none.
    """

    def __init__(
        self, origins: Float[Tensor, "b *d"], norm: Norm = "l2", within: float = math.inf
    ) -> None:
        self.origins = origins
        self._norm = norm
        self._within = within
        self.points = origins
        self.distances = distances(origins, origins, norm).fill_(torch.inf)
        self._counted = self.distances

    def offer(
        self,
        points: Float[Tensor, "k *d"],
        adversarial: Bool[Tensor, "k"],
        sure: Bool[Tensor, "k"] | None = None,
        rows: Int64[Tensor, "k"] | None = None,
    ) -> None:
        """Takes each point that is adversarial and closer than the one it has.

        Args:
            points: The points.
            adversarial: Which of them the model calls so.
            sure: Of which it would in a batch of another size too, where sums are rounded
                otherwise; by default of all. What is not counts as half as far again.
            rows: Of which samples they are; by default one of each.
        """
        if rows is not None:
            none = torch.zeros(len(self.origins), dtype=torch.bool, device=rows.device)
            points = self.origins.index_copy(0, rows, points)
            adversarial = none.index_copy(0, rows, adversarial)
            sure = None if sure is None else none.index_copy(0, rows, sure)
        offered = distances(points, self.origins, self._norm)
        # The inputs themselves, at distance 0, are what they are.
        counted = offered if sure is None else torch.where(sure, offered, _UNSURE * offered)
        # Of points on one sphere the first one stays: their rounding shall not decide.
        closer = counted < self._counted * (1 - 8 * torch.finfo(offered.dtype).eps)
        better = adversarial & closer & (offered <= self._within)
        self.distances = torch.where(better, offered, self.distances)
        self._counted = torch.where(better, counted, self._counted)
        self.points = torch.where(per_sample(better, points), points, self.points)

    def part(self, rows: Int64[Tensor, "k"]) -> "Incumbent":
        """Gives the holder of some of the samples."""
        chosen = Incumbent(self.origins[rows], self._norm, self._within)
        if self.points is not self.origins:
            chosen.points = self.points[rows]
        chosen.distances, chosen._counted = self.distances[rows], self._counted[rows]
        return chosen

    def result(self) -> AttackResult:
        """Gives the best of all points offered."""
        points = self.points.clone() if self.points is self.origins else self.points
        return AttackResult(points, self.distances, self.distances.isfinite())
