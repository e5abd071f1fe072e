"""The closest adversarial of each sample so far."""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.attacks.contract import AttackResult
from minnorm.geometry import Norm, distances, per_sample

_UNCERTAIN = 1.5
"""The factor on the distance of a point that another summation order may make a failure."""


class Incumbent:
    """The closest adversarial seen so far of each sample, and its distance.

    It measures the points itself, so its result is consistent by construction. A point that may be
    adversarial only by rounding is replaced by one that certainly is, unless that is much farther.

    Args:
        origins: The inputs under attack, `[b *d]`.
        norm: The norm of the distances.
        limit: The largest distance accepted, a number or one for each sample.

    Attributes:
        origins: As given.
        points: The closest adversarials; the input where there is none.
        distances: Their distances, infinite where there is none.
    """

    def __init__(
        self,
        origins: Float[Tensor, "b *d"],
        norm: Norm = "l2",
        limit: float | Float[Tensor, "b"] = math.inf,
    ) -> None:
        self.origins = origins
        self._norm = norm
        self._limit = limit
        self.points = origins
        self.distances = distances(origins, origins, norm).fill_(torch.inf)
        self._ranks = self.distances

    def offer(
        self,
        points: Float[Tensor, "k *d"],
        adversarial: Bool[Tensor, "k"],
        certain: Bool[Tensor, "k"] | None = None,
        rows: Int64[Tensor, "k"] | None = None,
    ) -> None:
        """Accept each point that is adversarial and closer than the current one.

        Args:
            points: The points.
            adversarial: Which of them are adversarial.
            certain: Which of them stay adversarial under another summation order, as in a batch of
                another size; the others rank as if 1.5 times farther. By default all are certain.
            rows: The samples that the points belong to; by default one point for each sample.
        """
        if rows is not None:
            none = torch.zeros(len(self.origins), dtype=torch.bool, device=rows.device)
            points = self.origins.index_copy(0, rows, points)
            adversarial = none.index_copy(0, rows, adversarial)
            certain = None if certain is None else none.index_copy(0, rows, certain)
        offered = distances(points, self.origins, self._norm)
        # An input that is adversarial itself is at distance 0, certain or not.
        ranks = offered if certain is None else torch.where(certain, offered, _UNCERTAIN * offered)
        # Of points on one sphere the first one stays: rounding must not decide.
        closer = ranks < self._ranks * (1 - 8 * torch.finfo(offered.dtype).eps)
        better = adversarial & closer & (offered <= self._limit)
        self.distances = torch.where(better, offered, self.distances)
        self._ranks = torch.where(better, ranks, self._ranks)
        self.points = torch.where(per_sample(better, points), points, self.points)

    def part(self, rows: Int64[Tensor, "k"]) -> "Incumbent":
        """Return the incumbent of some of the samples."""
        limit = self._limit[rows] if isinstance(self._limit, Tensor) else self._limit
        chosen = type(self)(self.origins[rows], self._norm, limit)
        if self.points is not self.origins:
            chosen.points = self.points[rows]
        chosen.distances, chosen._ranks = self.distances[rows], self._ranks[rows]
        return chosen

    def result(self) -> AttackResult:
        """Return the closest of all points offered."""
        points = self.points.clone() if self.points is self.origins else self.points
        return AttackResult(points, self.distances, self.distances.isfinite())
