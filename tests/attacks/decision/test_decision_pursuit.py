"""Decision pursuit: the optima of linear models, its budget, its starts and hard goals."""

from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.hard_models import Constant
from attacks.networks import Curved, Linear, Recorded, problem
from minnorm.attacks import decision_pursuit
from minnorm.attacks.engine.queries.quota import LEAST_BUDGET
from minnorm.geometry import Norm, distances
from reference.linear import optimal_distances

ROUNDS = "minnorm.attacks.engine.queries.rounds"


def ratios(norm: Norm, budget: int, shape: tuple[int, ...], *, targeted: bool = False) -> Tensor:
    """Return the distances that are found over those of the closest points of linear models."""
    model, inputs, labels = problem(
        shape, batch=10, classes=4, dtype=torch.float64, network=Linear, seed=3
    )
    starts, goals = None, labels
    if targeted:  # samples of the target class
        goals = labels.roll(1)
        starts = inputs.roll(1, 0)
    result = decision_pursuit(
        model, inputs, goals, targeted=targeted, norm=norm, budget=budget, starts=starts
    )
    assert result.success.all()
    found = result.distances / optimal_distances(
        model.weight, model.bias, inputs, goals, targeted=targeted, norm=norm
    )
    already = goals == labels if targeted else torch.zeros_like(goals, dtype=torch.bool)
    assert (found[~already] >= 1 - 1e-9).all()
    return found[~already]


@pytest.mark.parametrize(("norm", "most"), [("l2", 1.03), ("linf", 1.1)])
def test_comes_near_the_optimum_in_a_box(norm: Norm, most: float) -> None:
    assert ratios(norm, 1000, (20,)).median() < most


def test_comes_near_the_optimum_for_images_and_targets() -> None:
    assert ratios("l2", 1000, (1, 8, 8)).median() < 1.1
    assert ratios("l2", 600, (20,), targeted=True).median() < 1.05


@pytest.mark.parametrize("budget", [LEAST_BUDGET, 10, 37, 150])
@pytest.mark.parametrize("levels", [None, 16])
def test_never_exceeds_the_budget(budget: int, levels: int | None) -> None:
    model, inputs, labels = problem((1, 4, 4), batch=3)
    recorded = Recorded(model)
    result = decision_pursuit(recorded, inputs, labels, budget=budget, levels=levels)
    # The confirmation at the end may evaluate some of the samples only.
    assert len(recorded.batches) <= budget
    assert len(recorded.batches) >= min(budget - 5, 2)
    if levels is not None:
        steps = result.adversarials[result.success] * (levels - 1)
        assert torch.allclose(steps, steps.round(), atol=1e-4)


def test_a_larger_budget_finds_closer_points() -> None:
    medians = [float(ratios("l2", budget, (30,)).median()) for budget in (60, 200, 800)]
    assert medians[0] > medians[1] > medians[2]


def test_a_model_that_never_changes_its_answer() -> None:
    inputs = torch.rand(3, 1, 4, 4)
    result = decision_pursuit(
        Constant(connected=False).eval(), inputs, torch.zeros(3, dtype=torch.int64), budget=100
    )
    assert not result.success.any()
    assert torch.equal(result.adversarials, inputs)


def test_inputs_that_are_misclassified_from_the_start() -> None:
    model, inputs, labels = problem((6,), batch=4)
    wrong = torch.tensor([True, False, True, False])
    labels = torch.where(wrong, (labels + 1) % 5, labels)
    result = decision_pursuit(model, inputs, labels, budget=60)
    assert torch.equal(result.distances == 0, wrong)
    assert torch.equal(result.adversarials[wrong], inputs[wrong])


def rare(shift: float) -> Any:
    """Return a model whose class 1 is a small ball around one corner of the box."""

    def model(points: Tensor) -> Tensor:
        inside = (points - 0.9).flatten(1).norm(dim=1) < shift
        return torch.stack([(~inside).to(points), inside.to(points)], 1)

    return model


def test_a_start_is_used_where_no_other_point_is_adversarial() -> None:
    inputs = torch.full((2, 8), 0.3, dtype=torch.float64)
    labels = torch.zeros(2, dtype=torch.int64)
    starts = torch.full_like(inputs, 0.9)
    starts[1] = inputs[1]  # not adversarial: without effect
    result = decision_pursuit(rare(0.1), inputs, labels, starts=starts, budget=400)
    assert result.success.tolist() == [True, False]
    assert float(result.distances[0]) < 1.02 * (0.6 * 8**0.5 - 0.1)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_sample_that_is_found_late_continues_with_what_is_left(norm: Norm) -> None:
    # Class 1 is hit by noise of one strength now and then, not by the first candidates.
    model, inputs, labels = problem((4,), batch=3, classes=2, network=Linear, dtype=torch.float64)

    def hidden(points: Tensor) -> Tensor:
        logits: Tensor = model(points)
        corner = ((points - 0.5).abs() > 0.45).any(1, keepdim=True)
        return torch.where(corner, torch.nn.functional.one_hot(labels, 2).double(), logits)

    result = decision_pursuit(hidden, inputs, labels, norm=norm, budget=600)
    assert result.success.any()
    assert torch.equal(
        distances(result.adversarials, inputs, norm).where(result.success, torch.inf),
        result.distances,
    )


def test_a_larger_budget_on_curved_boundaries() -> None:
    model, inputs, labels = problem((1, 6, 6), batch=6, network=Curved, dtype=torch.float64)
    short = decision_pursuit(model, inputs, labels, budget=150)
    long = decision_pursuit(model, inputs, labels, budget=1200)
    assert (long.distances <= short.distances * 1.05).all()
    assert long.distances.mean() < 0.8 * short.distances.mean()


@pytest.mark.slow
def test_the_tournament_of_a_sample_does_not_depend_on_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ROUNDS + "._QUERIES_PER_ENTRANT", 150)
    # Most of what is far away is class 0: some first lines of some samples find nothing.
    model, inputs, _ = problem((1, 4, 4), batch=2, network=Curved, dtype=torch.float64)
    labels = torch.zeros(2, dtype=torch.int64)

    def hard(points: Tensor) -> Tensor:
        logits: Tensor = model(points)
        far = ((points - 0.5).abs() > 0.45).flatten(1).any(1, keepdim=True)
        rare = (points[:, 0, 0, :1] * 1000).floor() % 7 != 0
        zero = torch.nn.functional.one_hot(labels[:1], logits.shape[1]).to(logits)
        return torch.where(far & rare, zero, logits)

    together = decision_pursuit(hard, inputs, labels, budget=400)
    alone = [
        decision_pursuit(hard, inputs[row : row + 1], labels[row : row + 1], budget=400)
        for row in range(2)
    ]
    assert together.success.all()
    parts = torch.cat([result.distances for result in alone])
    torch.testing.assert_close(together.distances, parts, rtol=1e-6, atol=0)
