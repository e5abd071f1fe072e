"""Normal pursuit: its budget, how near it comes, and what it does where rays lead nowhere."""

import inspect

import pytest
import torch
from torch import Tensor

from attacks.networks import Curved, Linear, problem
from minnorm.attacks import attack, ddn, normal_pursuit
from minnorm.attacks._normal_pursuit import FORWARD_COST
from minnorm.evaluation.judge import CountingModel
from reference.linear import optimal_distance

BUDGETS = [2, 3, 5, 8, 10, 17, 20, 30, 50, 100, 149, 150, 300, 1000]


def spent(model: CountingModel, samples: int) -> float:
    """Gives the cost of a sample, in gradients."""
    forwards, backwards = model.forwards / samples, model.backwards / samples
    return FORWARD_COST * forwards + (1 - FORWARD_COST) * backwards


@pytest.mark.parametrize("budget", BUDGETS)
def test_spends_its_budget_and_no_more(budget: int) -> None:
    model, inputs, labels = problem((1, 4, 4), classes=12)
    counting = CountingModel(model)
    normal_pursuit(counting, inputs, labels, budget=budget, drop_finished=False)
    cost = spent(counting, len(inputs))
    assert cost <= budget + 1e-6
    assert cost >= budget - max(3, 0.1 * budget)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_near_the_optimum_among_many_classes(classes: int) -> None:
    model, inputs, labels = problem(
        (30,), batch=40, classes=classes, dtype=torch.float64, network=Linear
    )
    result = normal_pursuit(model, inputs, labels)
    optima = torch.tensor(
        [
            optimal_distance(
                model.weight.detach(),
                model.bias.detach(),
                one,
                int(label),
                targeted=False,
                low=0.0,
                high=1.0,
            )
            for one, label in zip(inputs, labels, strict=True)
        ]
    )
    ratios = result.distances / optima
    assert ratios.min() >= 1 - 1e-6
    assert ratios.max() <= 1.01


def test_finished_samples_leave_and_lose_next_to_nothing() -> None:
    model, inputs, labels = problem((20,), batch=30)
    costs, results = [], []
    for drop_finished in (False, True):
        counting = CountingModel(model)
        results.append(
            normal_pursuit(counting, inputs, labels, budget=1000, drop_finished=drop_finished)
        )
        costs.append(spent(counting, len(inputs)))
    assert costs[1] < 0.5 * costs[0]
    assert (results[1].distances <= 1.002 * results[0].distances).all()


@pytest.mark.parametrize("drop_finished", [False, True])
def test_a_long_search_does_not_depend_on_the_batch(drop_finished: bool) -> None:
    model, inputs, labels = problem((20,), batch=6, dtype=torch.float64, network=Curved)

    def run(chosen: slice) -> Tensor:
        return normal_pursuit(
            model, inputs[chosen], labels[chosen], budget=450, drop_finished=drop_finished
        ).adversarials

    parts = torch.cat([run(slice(0, 1)), run(slice(1, 4)), run(slice(4, 6))])
    assert torch.allclose(run(slice(None)), parts, atol=1e-9)


def test_more_budget_is_no_worse_where_there_are_many_boundaries() -> None:
    model, inputs, labels = problem((40,), batch=60, classes=10, scale=12.0)
    means = [
        float(normal_pursuit(model, inputs, labels, budget=budget).distances.mean())
        for budget in (10, 100, 1000)
    ]
    assert means[0] >= means[1] >= means[2]


@pytest.mark.parametrize("width", [0.02, 0.1])
def test_ddn_goes_on_where_the_model_is_flat(width: float) -> None:
    model, inputs, labels = problem((3, 6, 6), batch=20)

    def flat_around_the_inputs(points: Tensor) -> Tensor:
        # Each batch is a part of the inputs in their order; none of it is moved far.
        nearest = torch.cdist(points.flatten(1), inputs.flatten(1)).argmin(1)
        origins = inputs[nearest]
        logits: Tensor = model(origins + torch.nn.functional.softshrink(points - origins, width))
        return logits

    result = normal_pursuit(flat_around_the_inputs, inputs, labels, budget=150)
    reference = ddn(flat_around_the_inputs, inputs, labels, steps=100)
    assert result.success.sum() >= reference.success.sum() > 0


def test_the_default_attack_has_its_defaults() -> None:
    ours = inspect.signature(attack).parameters
    its = inspect.signature(normal_pursuit).parameters
    assert {name: its[name].default for name in ours} == {
        name: parameter.default for name, parameter in ours.items()
    }
