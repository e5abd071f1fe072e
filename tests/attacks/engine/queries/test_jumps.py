"""The return of single features, against a model that needs two of them."""

import torch
from torch import Tensor

from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.problem import Problem
from minnorm.attacks.engine.queries.jumps import restore
from minnorm.attacks.engine.queries.searches import ScoreSearch


def test_features_that_are_not_needed_return() -> None:
    def trees(points: Tensor) -> Tensor:  # adversarial where two features have crossed 0.5 and 0.2
        beyond = ((points[:, 1] > 0.5) & (points[:, 4] > 0.2)).to(points.dtype)
        return torch.stack([0.5 - beyond, beyond], dim=1)

    inputs, labels = torch.zeros(3, 6), torch.zeros(3, dtype=torch.int64)
    search = ScoreSearch(Problem(inputs, Goal(labels, targeted=False)), trees)
    search.adversarial_at(torch.full((3, 6), 0.9))
    restore(search, 60)
    found = search.result()
    needed = torch.tensor([False, True, False, False, True, False])
    assert (found.adversarials[:, ~needed] == 0).all()
    assert (found.distances < 1.1 * (0.5**2 + 0.2**2) ** 0.5).all()
