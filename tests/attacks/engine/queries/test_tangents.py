"""The probes of score pursuit, against the gradients of linear models."""

import pytest
import torch
from torch import Tensor

from attacks.networks import Linear, problem
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.problem import Problem
from minnorm.attacks.engine.queries.differences import Differences
from minnorm.attacks.engine.queries.patches import patches_of
from minnorm.attacks.engine.queries.searches import ScoreSearch
from minnorm.attacks.engine.queries.tangents import first_tangent, probed


@pytest.mark.parametrize("shape", [(12,), (1, 4, 4), (3, 8, 5)])
def test_a_probe_of_each_coefficient_tells_all_gradients(shape: tuple[int, ...]) -> None:
    model, inputs, labels = problem(shape, network=Linear, dtype=torch.float64)
    inputs = inputs / 2 + 0.25  # so that no probe ends at a bound
    labels = model(inputs).argmax(1)
    scores = Differences(ScoreSearch(Problem(inputs, Goal(labels, targeted=False)), model), 999)
    basis = patches_of(inputs)
    with torch.no_grad():
        found = probed(scores, basis, first_tangent(scores, basis), inputs[0].numel())
        others = found.slopes.means.shape[1]
        gradients = torch.stack(
            [basis.values(found.slopes.means[:, k]).flatten(1) for k in range(others)], 1
        )
        # Gradients of all differences from the label, in any order of the other classes.
        expected = model.weight[labels].unsqueeze(1) - model.weight
    apart = torch.cdist(gradients, expected).amin(2)
    assert apart.max() < 1e-6
    assert (found.stretch == 1).all()


def test_features_that_cannot_change_are_not_probed() -> None:
    seen: list[Tensor] = []

    def model(points: Tensor) -> Tensor:
        seen.append(points)
        return torch.stack([points.sum(1), 0 * points.sum(1)], 1)

    inputs = torch.full((2, 6), 0.5)
    low, high = torch.zeros(1, 6), torch.ones(1, 6)
    low[0, :3] = high[0, :3] = 0.5
    goal = Goal(torch.zeros(2, dtype=torch.int64), targeted=False)
    whole = Problem(inputs, goal, bounds=(low, high), unit=torch.ones(2))
    scores, basis = Differences(ScoreSearch(whole, model), 9), patches_of(inputs)
    found = probed(scores, basis, first_tangent(scores, basis), 3)
    moved = torch.stack(seen) != inputs
    assert not moved[..., :3].any()
    assert moved[..., 3:].any(0).all()
    assert torch.allclose(found.slopes.means[:, 0, 3:], torch.ones(2, 3), rtol=1e-3)


def test_probes_go_farther_where_scores_are_constant() -> None:
    inputs = torch.full((2, 6), 0.5)
    goal = Goal(torch.zeros(2, dtype=torch.int64), targeted=False)

    def model(points: Tensor) -> Tensor:
        return torch.tensor([1.0, 0.0]).expand(len(points), 2)

    scores, basis = Differences(ScoreSearch(Problem(inputs, goal), model), 99), patches_of(inputs)
    tangent = first_tangent(scores, basis)
    for factor in (2, 4, 8):
        tangent = probed(scores, basis, tangent, 4)
        assert (tangent.stretch == factor).all()
