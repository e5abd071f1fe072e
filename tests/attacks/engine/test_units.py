"""The unit of length: the width of the bounds, or less where the bounds are loose."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import linear, problem_of
from attacks.networks import Recorded
from minnorm import boxes
from minnorm.attacks import ATTACKS, apgd, deepfool, fab, fgsm, fmn, pgd
from minnorm.attacks.engine.units import with_queried_unit, with_unit

INF = math.inf

# The margin of a sample x of class 0 is 2 - 4 * x[0]: the boundary is 0.5 - x[0] away.
MODEL = linear([[-2.0, 0.0], [2.0, 0.0]], [1.0, -1.0])


def units(inputs: Tensor, **settings: Any) -> float | Tensor:
    return with_unit(problem_of(inputs, **settings), MODEL).unit


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_the_unit_of_images_is_the_width_and_costs_nothing(bounds: tuple[float, float]) -> None:
    low, high = bounds
    inputs = low + (high - low) * torch.rand(20, 30, generator=torch.Generator().manual_seed(0))
    model = Recorded(MODEL)
    assert with_unit(problem_of(inputs, bounds=bounds), model).unit == high - low
    assert model.batches == []


@pytest.mark.parametrize(
    "bounds", [(-1e3, 1e3), (-1e6, 1e6), (0.0, 1e4), (-INF, INF), (0.0, INF), (-INF, 1.0)]
)
def test_where_bounds_are_loose_the_unit_is_five_times_the_distance(
    bounds: tuple[float, float],
) -> None:
    found = units(torch.tensor([[0.1, 0.2], [0.4, 0.0]]), bounds=bounds)
    assert torch.allclose(torch.as_tensor(found), torch.tensor([2.0, 0.5]))


def test_far_from_zero_bounds_may_be_loose_as_well() -> None:
    inputs = torch.tensor([[500.1, 500.0]])
    model = linear([[-2.0, 0.0], [2.0, 0.0]], [1000.4, -1000.4])  # the boundary is at 500.2
    found = with_unit(problem_of(inputs, bounds=(0.0, 1e3)), model).unit
    assert torch.allclose(torch.as_tensor(found), torch.tensor([0.5]), rtol=1e-2)


def test_bounds_that_a_perturbation_may_reach_are_not_loose() -> None:
    assert units(torch.tensor([[0.1, 0.0]]), bounds=(-10.0, 10.0)) == 20.0


def test_only_samples_that_suggest_loose_bounds_are_evaluated() -> None:
    inputs = torch.tensor([[0.1, 0.2], [400.0, -300.0]])
    model = Recorded(MODEL)
    found = with_unit(problem_of(inputs, bounds=(-1e3, 1e3)), model).unit
    assert torch.allclose(torch.as_tensor(found), torch.tensor([2.0, 2e3]))
    assert [len(batch) for batch in model.batches] == [1]


def test_the_unit_of_a_sample_does_not_depend_on_its_batch() -> None:
    inputs = torch.tensor([[0.1, 0.2], [0.4, 0.0], [0.3, 0.1]])
    whole = torch.as_tensor(units(inputs, bounds=(-1e3, 1e3)))
    for row in range(3):
        alone = torch.as_tensor(units(inputs[row : row + 1], bounds=(-1e3, 1e3)))
        assert torch.equal(alone, whole[row : row + 1])


def test_the_unit_is_in_the_norm_of_the_problem() -> None:
    model = linear([[-2.0, -2.0], [2.0, 2.0]], [1.0, -1.0])
    inputs = torch.zeros(1, 2)  # 0.25 away in Linf, sqrt(2) times that in L2
    found = [
        float(with_unit(problem_of(inputs, bounds=(-1e3, 1e3), norm=norm), model).unit)
        for norm in ("linf", "l2")
    ]
    assert found == pytest.approx([1.25, 1.25 * math.sqrt(2)])


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_without_a_gradient_the_unit_is_the_width(value: float) -> None:
    def flat(points: Tensor) -> Tensor:
        return points.flatten(1) * value

    for bounds, width in (((-1e3, 1e3), 2e3), ((-INF, INF), 1.0)):
        found = with_unit(problem_of(torch.full((1, 2), 0.1), bounds=bounds), flat).unit
        assert found == width


def test_an_input_on_the_boundary_has_the_width_as_unit() -> None:
    assert units(torch.tensor([[0.5, 0.0]]), bounds=(-1e3, 1e3)) == 2e3


def test_an_empty_batch_has_the_width_as_unit() -> None:
    assert units(torch.zeros(0, 2), bounds=(-INF, INF)) == 1.0


@pytest.mark.parametrize("bounds", [(0.0, 1e6), (-1e6, 1e6)])
def test_one_large_value_of_a_sample_does_not_hide_that_bounds_are_loose(
    bounds: tuple[float, float],
) -> None:
    model = linear([[-2.0, 0.0, 0.0], [2.0, 0.0, 0.0]], [1.0, -1.0])
    inputs = torch.tensor([[0.1, 0.2, 9e5], [0.4, 0.1, 9e5]])
    unit = with_unit(problem_of(inputs, bounds=bounds), model).unit
    assert torch.allclose(torch.as_tensor(unit), torch.tensor([2.0, 0.5]))


@pytest.mark.parametrize("attack", [fgsm, pgd, apgd, deepfool, fab, fmn])
@pytest.mark.parametrize("bounds", [(0.0, 1e6), (-1e6, 1e6), (-INF, INF)])
def test_bounds_far_away_do_not_change_what_is_found_in_linf(
    attack: Any, bounds: tuple[float, float]
) -> None:
    # The margin of a sample of class 1 is 2 - 2 * the sum of its values.
    model = linear([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]], [-1.0, 1.0])
    inputs = torch.tensor([[0.2, 0.1, 0.3], [0.1, 0.2, 0.1]])
    settings = {"epsilon": 0.21} if attack in (fgsm, pgd, apgd) else {}
    norm = {} if attack is fab else {"norm": "linf"}
    found = attack(model, inputs, torch.tensor([1, 1]), bounds=bounds, **settings, **norm)
    expected = (1 - inputs.sum(1)) / (math.sqrt(3) if attack is fab else 3)
    assert found.success.all()
    if not settings:
        assert torch.allclose(found.distances, expected, rtol=0.05)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.slow
def test_a_sample_with_loose_bounds_does_not_change_the_others(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 10, generator=generator)
    model = linear(weights.tolist(), [0.1, 0.0, -0.1])
    inputs = 200 * torch.rand(4, 10, generator=generator) - 100
    inputs[0] *= 1e-3
    labels = model(inputs).argmax(1)
    given: dict[str, dict[str, Any]] = {
        "lbfgs": {"searches": 2},
        "carlini_wagner": {"steps": 20},
        **{attack: {"epsilon": 5.0} for attack in ("fgsm", "pgd", "apgd", "square")},
        "autoattack": {"epsilon": 5.0, "steps": 5, "budget": 50},
        "transfer": {"surrogates": linear((1.1 * weights).tolist(), [0.0, 0.1, 0.1]), "budget": 60},
    }
    attack = partial(ATTACKS[name], **given.get(name, {}), bounds=(-100.0, 100.0))
    whole, part = attack(model, inputs, labels), attack(model, inputs[1:], labels[1:])
    torch.testing.assert_close(whole.distances[1:], part.distances, rtol=1e-3, atol=0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("bounds", [(-INF, INF), (0.0, INF), (-1e9, 1e9)])
def test_without_gradients_the_unit_is_of_the_same_order(
    bounds: tuple[float, float], size: float, norm: Any
) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 40, generator=generator)
    inputs = size * torch.rand(30, 40, generator=generator)

    def model(points: Tensor) -> Tensor:
        return points @ weights.T / size - weights.sum(1) / 2

    def queried(points: Tensor) -> Tensor:
        return model(torch.from_numpy(points.numpy()))  # fails if gradients are recorded

    recorded = Recorded(queried)
    problem = problem_of(inputs, model(inputs).argmax(1), bounds=bounds, norm=norm)
    found = torch.as_tensor(with_queried_unit(problem, recorded)[0].unit)
    assert len(recorded.batches) <= 21
    ratios = found / torch.as_tensor(with_unit(problem, model).unit)
    assert 0.5 < ratios.median() < 8
    assert (ratios > 0.1).all()
    one = with_queried_unit(problem.part(torch.tensor([3])), queried)[0].unit
    assert torch.allclose(torch.as_tensor(one), found[3:4])


def test_without_gradients_features_that_cannot_change_do_not_count_in_the_unit() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 400, generator=generator)
    inputs = torch.rand(30, 400, generator=generator)

    def model(points: Tensor) -> Tensor:
        return points @ weights.T - weights.sum(1) / 2

    labels = model(inputs).argmax(1)
    bounds = boxes.masked((-INF, INF), inputs, torch.arange(400) < 4)
    problem = problem_of(inputs, labels, bounds=bounds, norm="linf")
    found = torch.as_tensor(with_queried_unit(problem, model)[0].unit)
    ratios = found / torch.as_tensor(with_unit(problem, model).unit)
    assert 0.5 < ratios.median() < 8


def test_without_gradients_the_unit_of_images_is_the_width_and_costs_nothing() -> None:
    recorded = Recorded(MODEL)
    inputs = torch.rand(20, 30, generator=torch.Generator().manual_seed(0))
    found, spent = with_queried_unit(problem_of(inputs), recorded)
    assert found.unit == 1.0
    assert recorded.batches == []
    assert spent.tolist() == [0] * 20


@pytest.mark.parametrize("budget", [2, 8, 9, 11, 40, 62, 63, 1000, None])
def test_without_gradients_the_unit_costs_at_most_a_third_of_a_budget(budget: int | None) -> None:
    inputs = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    recorded = Recorded(lambda points: torch.tensor([[2.0, 1.0]]).expand(len(points), 2))
    _, spent = with_queried_unit(problem_of(inputs, bounds=(-INF, INF)), recorded, budget)
    assert spent.tolist() == [len(recorded.batches)] * 3
    most = 21 if budget is None else budget // 3
    assert len(recorded.batches) <= min(most, 21)
    assert (len(recorded.batches) == 21) == (most >= 21)
    assert (len(recorded.batches) >= 3) == (most >= 3)


def test_without_gradients_a_prediction_that_never_changes_leaves_the_unit() -> None:
    inputs = torch.rand(3, 4)
    problem = problem_of(inputs, bounds=(-INF, INF))
    for constant in (torch.tensor([2.0, 1.0]), torch.tensor([torch.nan, 1.0])):
        found, _ = with_queried_unit(problem, lambda points, c=constant: c.expand(len(points), 2))
        assert found.unit == problem.unit
