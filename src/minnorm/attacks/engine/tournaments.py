"""How normal pursuit spends its budget: tournaments of rays, in rounds.

See docs/normal-pursuit.md.
"""

import math
from dataclasses import dataclass, replace

FORWARD_COST = 0.4
"""The cost of a forward pass, in gradients: a forward and a backward pass together cost 1."""

_SEVERAL_POINTS_FROM = 75
"""The smallest budget at which rays are aimed from several points."""

_SHARES = (0.42, 0.26)
"""The shares of the steps that the first two rounds take; the last round takes the rest."""


@dataclass(frozen=True)
class Tournament:
    """How many rays compete, and for how long.

    Attributes:
        points: The number of points from which the first rays are aimed.
        classes: The number of rays from each point, each towards another class.
        fixed_class: Whether the first point is the input, and each ray keeps to the boundary of its
            own class until the last round. Otherwise a ray follows the nearest boundary.
        rounds: For each round, how many rays take part and how many steps each of them takes.
        probes: Forward passes at the end for each remaining ray.
    """

    points: int
    classes: int
    fixed_class: bool
    rounds: tuple[tuple[int, int], ...]
    probes: int

    def cost(self, step: float = 1 + FORWARD_COST) -> float:
        """Return its cost, in gradients, if a step costs `step` gradients."""
        aims = self.points * (FORWARD_COST + self.classes)
        steps = sum(rays * number for rays, number in self.rounds)
        return aims + step * steps + FORWARD_COST * self.probes * self.rounds[-1][0]


def plan(budget: float, *, others: int = 9, targeted: bool = False) -> list[Tournament]:
    """Return the tournaments that a budget, in gradients, is spent on: one for about each 100.

    Args:
        budget: The budget.
        others: The number of classes to aim at.
        targeted: Whether there is only one boundary to reach; then each tournament has one ray.
    """
    number = max(round(budget / 100), 1)
    tournaments = [_tournament(budget / number, others, targeted=targeted)] * number
    if number > 1 and not targeted:
        tournaments[1] = _tournament(budget / number, others, fixed_class=True)
    return tournaments


def _tournament(
    budget: float, others: int, *, targeted: bool = False, fixed_class: bool = False
) -> Tournament:
    first = 9 if budget >= _SEVERAL_POINTS_FROM else min(max(int(budget / 10), 1), 3)
    first = 1 if targeted else first
    classes = min(9 if fixed_class else 3, first, others)
    points = math.ceil(first / classes)
    sizes = (first, (first + 1) // 2, max(first // 4, 1))
    probes = 4 if budget >= 20 else 1
    bare = Tournament(points, classes, fixed_class, ((sizes[-1], 0),), probes=probes)
    # The steps share the budget that the first rays and the last probes do not use.
    steps = max(int((budget - bare.cost()) / (1 + FORWARD_COST)), 0)
    early = [
        max(round(share * steps / size), 1) for share, size in zip(_SHARES, sizes, strict=False)
    ]
    early = [min(steps, 1), 0] if first == 1 else early
    used = sum(size * number for size, number in zip(sizes, early, strict=False))
    late = max((steps - used) // sizes[-1], 0)
    return replace(bare, rounds=tuple(zip(sizes, [*early, late], strict=True)))
