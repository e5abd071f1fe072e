"""A limited number of queries: forward passes of each sample."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from minnorm.attacks.engine.queries.searches import CONFIRMATION_QUERIES
from minnorm.attacks.engine.search import Search

LEAST_BUDGET = 3
"""The least budget in queries: for the input itself, to round it to levels, and to confirm it."""


def without_reserve(search: Search, budget: int) -> int:
    """Return the queries that are left without those that the end of the search may need.

    With a very small budget that is one, for the input itself: it costs one more to confirm it.
    """
    return max(budget - CONFIRMATION_QUERIES - (search.problem.levels is not None), 1)


class Quota:
    """The queries that an attack may still make, the same number for all samples.

    Args:
        search: The search; it keeps every adversarial that is met.
        left: The number of queries of each sample, see `without_reserve`.

    Attributes:
        search: As given.
        left: The number of queries that are left.
    """

    def __init__(self, search: Search, left: int) -> None:
        self.search = search
        self.left = left

    def adversarial_at(self, points: Float[Tensor, "b *d"]) -> Bool[Tensor, "b"]:
        """Return which of the points are adversarial; after the last query, none is."""
        if self.left <= 0:
            return torch.zeros_like(self.search.goal.labels, dtype=torch.bool)
        self.left -= 1
        return self.search.adversarial_at(points)


class SampleQuota:
    """The queries that an attack may still make, a number for each sample.

    Args:
        search: The search; it keeps every adversarial that is met.
        budget: The number of queries of each sample, with those of the end of the search.

    Attributes:
        search: As given.
        left: The number of queries that are left of each sample.
    """

    def __init__(self, search: Search, budget: int) -> None:
        self.search = search
        left = without_reserve(search, budget) - search.spent
        self.left = left.clamp_min(1)

    def adversarial_at(
        self, points: Float[Tensor, "b *d"], active: Bool[Tensor, "b"]
    ) -> Bool[Tensor, "b"]:
        """Return which of the points are adversarial, of the samples that ask and have queries.

        Only these are evaluated, for which the host waits for the device.
        """
        active = active & (self.left > 0)
        rows = active.nonzero().squeeze(1)
        if len(rows) == 0:
            return active
        self.left = self.left - active.to(self.left.dtype)
        if len(rows) == len(active):
            return self.search.adversarial_at(points)
        part = self.search.part(rows)
        hits = part.adversarial_at(points[rows])
        self.search.absorb(part.incumbent.result(), rows)
        return active.index_copy(0, rows, hits)
