"""A limited number of queries: forward passes of each sample."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.attacks.engine.queries import CONFIRMATION_QUERIES
from minnorm.attacks.engine.search import Search
from minnorm.logits import predictions

LEAST_BUDGET = 3
"""The least budget in queries: for the input itself, to round it to levels, and to confirm it."""


def _without_reserve(search: Search, budget: int) -> int:
    """Return the queries that are left without those that the end of the search may need.

    With a very small budget that is one, for the input itself: it costs one more to confirm it.
    """
    return max(budget - CONFIRMATION_QUERIES - (search.problem.levels is not None), 1)


class Quota:
    """The queries that an attack may still make, the same number for all samples.

    Args:
        search: The search; it keeps every adversarial that is met.
        budget: The number of queries of each sample, with those of the end of the search.

    Attributes:
        search: As given.
        left: The number of queries that are left.
    """

    def __init__(self, search: Search, budget: int) -> None:
        self.search = search
        self.left = _without_reserve(search, budget)

    def classes_at(self, points: Float[Tensor, "b *d"]) -> Int64[Tensor, "b"]:
        """Return the predicted classes, -1 for no class; after the last query, -1 for all."""
        if self.left <= 0:
            return torch.full_like(self.search.goal.labels, -1)
        self.left -= 1
        return predictions(self.search.logits_at(points))

    def hits(
        self, classes: Int64[Tensor, "b"], only: Int64[Tensor, "b"] | None = None
    ) -> Bool[Tensor, "b"]:
        """Return which classes reach the goal.

        Args:
            classes: The predicted classes.
            only: The class that counts for each sample, -1 for any; by default any.
        """
        labels = self.search.goal.labels
        if self.search.goal.targeted:
            return classes == labels
        others = (classes >= 0) & (classes != labels)
        return others if only is None else others & ((only < 0) | (classes == only))


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
        self.left = torch.full_like(search.goal.labels, _without_reserve(search, budget))

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
