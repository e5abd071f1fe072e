"""The differences of logits, against the margins over all classes."""

import pytest
import torch
from torch import Tensor

from attacks.networks import Linear, problem
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.problem import Problem
from minnorm.attacks.engine.queries.differences import Differences
from minnorm.attacks.engine.queries.searches import ScoreSearch


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("classes", [2, 5, 11, 12, 200])
def test_margins_are_those_over_all_classes(classes: int, targeted: bool) -> None:
    model, inputs, labels = problem((20,), network=Linear, classes=classes)
    labels = (labels + 1) % classes if targeted else labels
    goal = Goal(labels, targeted)
    scores = Differences(ScoreSearch(Problem(inputs, goal), model), 3)
    assert torch.allclose(scores.margins(scores.first), goal.margins(model(inputs)))
    elsewhere = 1 - inputs  # other classes are the largest there
    found = scores.margins(scores.at(elsewhere))
    assert torch.allclose(found, goal.margins(model(elsewhere)))
    assert scores.left == 1


def test_a_class_without_a_logit_is_no_boundary() -> None:
    def model(points: Tensor) -> Tensor:
        return torch.tensor([3.0, torch.nan, 1.0]).expand(len(points), 3)

    labels = torch.zeros(2, dtype=torch.int64)
    search = ScoreSearch(Problem(torch.zeros(2, 4), Goal(labels, targeted=False)), model)
    scores = Differences(search, 2)
    assert (scores.margins(scores.first) == 2).all()
