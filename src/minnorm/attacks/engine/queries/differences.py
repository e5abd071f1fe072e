"""Differences between logits, which tell an attack by scores how far each class is."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.attacks.engine.search import Search
from minnorm.geometry import wide
from minnorm.logits import likeliest_others, unusual_scales

_RIVALS = 10
"""The most other classes that are considered one by one: those with the largest logits at the
inputs. Of all the rest, the largest logit counts."""


class Differences:
    """The differences of logits that are below 0 beyond a boundary, and the queries that are left.

    Args:
        search: The search; it keeps every adversarial that is met.
        budget: The number of queries of each sample.

    Attributes:
        search: As given.
        left: The number of queries that are left.
        first: The differences at the inputs, which costs the first query.
    """

    def __init__(self, search: Search, budget: int) -> None:
        self.search = search
        self.left = budget - 1
        logits = wide(search.logits_at(search.problem.origins))
        self._rivals: Int64[Tensor, "b k"] = likeliest_others(logits, search.goal.labels, _RIVALS)
        self._scales = unusual_scales(logits).unsqueeze(1)
        self.first = self._of(logits)

    def at(self, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b k"]:
        """Return the differences at the points: a query of each sample."""
        self.left -= 1
        return self._of(wide(self.search.logits_at(points)))

    def _of(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b k"]:
        goal, logits = self.search.goal, logits / self._scales
        labels = goal.labels.unsqueeze(1)
        others = logits.gather(1, self._rivals)
        if logits.shape[1] > 1 + _RIVALS:
            chosen = torch.cat([labels, self._rivals], 1)
            rest = logits.scatter(1, chosen, -torch.inf).amax(1, keepdim=True)
            others = torch.cat([others, rest], 1)
        differences = logits.gather(1, labels) - others
        differences = differences.to(wide(self.search.problem.origins).dtype)
        return -differences if goal.targeted else differences

    def keep(self, rows: Int64[Tensor, "j"]) -> None:
        """Keep these samples of those that the search had; the others have left it."""
        self.first, self._rivals = self.first[rows], self._rivals[rows]
        self._scales = self._scales[rows]

    def deciding(self, differences: Float[Tensor, "b k"]) -> Int64[Tensor, "b"]:
        """Return the class that decides: the nearest one, or in a targeted attack the last one."""
        known = differences.nan_to_num(torch.inf)
        return known.argmax(1) if self.search.goal.targeted else known.argmin(1)

    def margins(self, differences: Float[Tensor, "b k"]) -> Float[Tensor, "b"]:
        """Return the margins: above 0 before the boundary, infinite where a logit is NaN."""
        chosen = self.deciding(differences).unsqueeze(1)
        return differences.nan_to_num(torch.inf).gather(1, chosen).squeeze(1)

    @property
    def found(self) -> Bool[Tensor, "b"]:
        """Which samples have an adversarial."""
        return self.search.incumbent.distances.isfinite()
