"""Square as a minimum-norm attack: its budget, its first radii, and its balls."""

import pytest
import torch
from torch import Tensor

from attacks.networks import Linear, Recorded, problem
from minnorm.attacks import square_min_norm
from minnorm.evaluation.running.judge import CountingModel
from minnorm.geometry import Norm, distances
from reference.apgd_min_norm import radii_of_one_sample


@pytest.mark.parametrize("budget", [2, 3, 20, 100])
def test_each_sample_costs_its_budget(budget: int) -> None:
    model, inputs, labels = problem((1, 6, 6), batch=6)
    counted = CountingModel(model)
    square_min_norm(counted, inputs, labels, budget=budget)
    assert counted.forwards == budget * 6
    assert counted.backwards == 0


@pytest.mark.parametrize("budget", [2, 8, 9, 20, 62, 100])
def test_the_queries_for_the_unit_are_within_the_budget(budget: int) -> None:
    model, inputs, labels = problem((1, 6, 6), batch=6)
    high = torch.linspace(1, 2, 6)
    for bounds in ((-torch.inf, torch.inf), (torch.zeros(6), high), (-900.0, 900.0)):
        counted = CountingModel(model)
        found = square_min_norm(counted, inputs, labels, budget=budget, bounds=bounds)
        assert counted.forwards <= budget * 6
        assert counted.forwards > (budget - 22) * 6  # nor does it leave many
        assert found.success.any() or budget < 20


def test_only_samples_with_a_unit_of_their_own_pay_for_it() -> None:
    model, inputs, _ = problem((1, 6, 6), batch=4, network=Linear)
    inputs = inputs * torch.tensor([1.0, 300.0, 1.0, 300.0]).view(4, 1, 1, 1)
    labels = model(inputs).argmax(1)
    together = square_min_norm(model, inputs, labels, budget=60, bounds=(0.0, 300.0))
    for row in range(4):
        one = slice(row, row + 1)
        counted = CountingModel(model)
        alone = square_min_norm(counted, inputs[one], labels[one], budget=60, bounds=(0.0, 300.0))
        assert counted.forwards == 60 or (row % 2 == 0 and counted.forwards < 60)
        assert torch.allclose(alone.distances, together.distances[one])


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_first_radii_are_bisected(norm: Norm) -> None:
    inputs = 0.4 * torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)).double() - 0.2
    labels = torch.tensor([0])

    def beyond(points: Tensor) -> Tensor:  # adversarial from a distance of 0.73 on
        far = distances(points, inputs, norm) - 0.73
        return torch.stack([torch.zeros_like(far), far], dim=1)

    recorded = Recorded(beyond)
    box = (-1.0, 1.0)
    square_min_norm(recorded, inputs, labels, norm=norm, bounds=box, initial_norm=0.05, budget=30)
    lengths = [float(distances(batch, inputs, norm)) for batch in recorded.batches[1:13]]
    expected = radii_of_one_sample(0.1, [one if one >= 0.73 else None for one in lengths])
    assert lengths == pytest.approx(expected, rel=1e-6)


def test_each_ball_is_smaller_than_the_closest_adversarial() -> None:
    model, inputs, labels = problem((1, 8, 8), batch=1, network=Linear, dtype=torch.float64)
    recorded = Recorded(model)
    square_min_norm(recorded, inputs, labels, budget=200)
    closest, shares = float("inf"), []
    for number, batch in enumerate(recorded.batches):
        length = float(distances(batch, inputs))
        if number > 12 and closest < float("inf"):
            shares.append(length / closest)
        if number > 0 and int(model(batch).argmax()) != int(labels):
            closest = min(closest, length)
    assert len(shares) == 200 - 13
    assert max(shares) < 1
    assert min(shares[:5]) > 0.85
    assert shares[-1] == pytest.approx(0.995, abs=1e-3)


def test_an_adversarial_start_helps() -> None:
    model, inputs, labels = problem((1, 8, 8), batch=10, classes=8)
    goal = (labels + 3) % 8
    patient = square_min_norm(model, inputs, goal, targeted=True, budget=200)
    again = square_min_norm(
        model, inputs, goal, targeted=True, budget=20, starts=patient.adversarials
    )
    assert patient.success.float().mean() > 0.8
    assert (again.distances <= patient.distances * 1.001).all()


def test_starts_at_the_inputs_change_nothing() -> None:
    model, inputs, labels = problem((1, 8, 8), batch=4)
    without = square_min_norm(model, inputs, labels, budget=40)
    found = square_min_norm(model, inputs, labels, budget=40, starts=inputs)
    assert torch.equal(found.adversarials, without.adversarials)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_larger_budget_finds_less_distance(norm: Norm) -> None:
    model, inputs, labels = problem((1, 8, 8), batch=20, network=Linear)
    few, many = (
        square_min_norm(model, inputs, labels, norm=norm, budget=budget).distances.mean()
        for budget in (40, 300)
    )
    assert many < 0.9 * few
