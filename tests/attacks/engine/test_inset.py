"""Gradients slightly inside the bounds, for models that lose them at the bounds."""

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import linear, problem_of, search_on
from attacks.networks import Recorded
from minnorm.attacks import ddn, deepfool, normal_pursuit
from minnorm.attacks.contract import Attack, AttackResult
from minnorm.attacks.engine.inset import (
    BoundWatch,
    InsetGradients,
    inset,
    loses_gradients,
    lost_share,
    may_be_lost,
    restore_origins,
)
from minnorm.attacks.engine.search import Search

PLAIN = linear([[-1.0, -2.0, -3.0], [1.0, 2.0, 3.0]], [3.0, -3.0])

GUARDS: dict[str, Callable[[Tensor], Tensor]] = {
    "clamp": lambda points: points.clamp(0, 1),
    "clip from below": lambda points: points.clip(min=0),
    "hardtanh": lambda points: torch.nn.functional.hardtanh(points, 0, 1),
    "relu6": lambda points: torch.nn.functional.relu6(6 * points) / 6,
    "normalized": lambda points: ((points - 0.5) / 0.25).clamp(-2, 2) * 0.25 + 0.5,
    "one channel": lambda points: torch.cat([points[:, :1].clamp(0, 1), points[:, 1:]], 1),
    "square root": lambda points: points.sqrt().square(),
    "maximum": lambda points: torch.maximum(points, torch.zeros_like(points)),
}


def guarded(name: str) -> Callable[[Tensor], Tensor]:
    return lambda points: PLAIN(GUARDS[name](points))


@pytest.mark.parametrize("name", GUARDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_models_that_guard_their_inputs_lose_gradients(name: str, dtype: torch.dtype) -> None:
    inputs = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert loses_gradients(guarded(name), inputs, (0.0, 1.0))


def test_a_bound_far_away_does_not_hide_a_guard_at_the_other_one() -> None:
    inputs = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    model = guarded("clip from below")
    assert loses_gradients(model, inputs, (0.0, 1e6))
    points = torch.tensor([[0.0, 0.5, 1.0]])
    assert float((inset(points, (0.0, 1e6)) - points).abs().max()) < 1e-4


def test_a_bound_far_away_is_no_place_to_compare_gradients() -> None:
    inputs = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)) + 1

    def curved(points: Tensor) -> Tensor:  # far away, its gradients are those of overflow
        return PLAIN(points) + 1e-3 * torch.stack([points.pow(4).sum(1), points.sum(1)], 1)

    assert not loses_gradients(curved, inputs, (-1e6, 1e6))


@pytest.mark.parametrize(
    "model",
    [
        PLAIN,
        lambda points: PLAIN(points.clamp(-0.1, 1.1)),
        lambda points: PLAIN(points.relu()),  # 0 at 0, and next to it 1: see the next test
        lambda points: 0 * PLAIN(points),
        lambda points: PLAIN(points).detach(),
    ],
    ids=["plain", "guard outside of the bounds", "zero", "flat", "no gradient"],
)
def test_other_models_do_not(model: Callable[[Tensor], Tensor]) -> None:
    inputs = 0.1 + 0.8 * torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    bounds = (-0.05, 1.05)
    assert not loses_gradients(model, inputs, bounds)


@pytest.mark.parametrize("bounds", [(-math.inf, math.inf), (0.0, math.inf)])
def test_infinite_bounds_lose_nothing(bounds: tuple[float, float]) -> None:
    model, inputs = guarded("clip from below"), torch.rand(4, 3)
    low, high = bounds
    of_features = (torch.full((3,), low), high)
    for box in (bounds, of_features):
        assert loses_gradients(model, inputs, box) is math.isfinite(low)


@pytest.mark.parametrize("bias", [-2e-5, 0.0])
def test_a_kink_near_the_bounds_loses_nothing(bias: float) -> None:
    def kinked(points: Tensor) -> Tensor:  # the sum of all features matters from 2e-5 on
        hidden = (points.flatten(1).sum(1) + bias).relu()
        return torch.stack([hidden, 1 - hidden], dim=1)

    black = torch.zeros(4, 10)
    if bias < 0:
        inside = inset(black, (0.0, 1.0))
        assert (inside.sum(1) + bias > 0).all()  # beyond the kink
        assert not loses_gradients(kinked, black, (0.0, 1.0))
    else:
        assert loses_gradients(kinked, black, (0.0, 1.0))  # the kink is at the bounds
    with warnings.catch_warnings(record=True) as caught:
        ddn(kinked, black, torch.ones(4, dtype=torch.int64), steps=3)
    assert bool(caught) == (bias == 0)


def test_of_no_samples_nothing_is_lost() -> None:
    assert not loses_gradients(PLAIN, torch.zeros(0, 3), (0.0, 1.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-2.0, 3.0), (0.0, 255.0), (10.0, 20.0)])
def test_inset_points_are_inside_and_near(dtype: torch.dtype, bounds: tuple[float, float]) -> None:
    points = torch.tensor([bounds], dtype=dtype)
    inside = inset(points, bounds)
    low, high = (float(bound) for bound in points[0])
    assert low < float(inside[0, 0])
    assert float(inside[0, 1]) < high
    share = max(2.0**-17, 4 * torch.finfo(dtype).eps)
    largest = max(abs(bound) for bound in bounds)
    assert (inside - points).abs().max() <= 2 * share * max(largest, bounds[1] - bounds[0])


def test_a_sample_with_all_entries_at_a_bound_moves_too() -> None:
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    inside = inset(points, (0.0, 1.0))
    assert (inside > 0).all()
    assert (inside < 1).all()


def test_points_inside_the_bounds_do_not_move() -> None:
    points = torch.tensor([[0.001, 0.5, 0.999]])
    assert torch.equal(inset(points, (0.0, 1.0)), points)
    assert torch.equal(inset(points, (-math.inf, math.inf)), points)


def test_lost_gradients_are_counted_at_the_bounds() -> None:
    at_bounds = torch.tensor([[True, True, True, True, False, True]])
    inside = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]])
    gradients = torch.tensor([[0.0, math.nan, 0.5, 0.9, 0.0, 0.0]])
    assert lost_share(gradients, inside, at_bounds) == 0.75
    assert lost_share(inside, inside, at_bounds) == 0.0
    assert lost_share(inside, inside, torch.zeros(1, 6).bool()) == 0.0


@pytest.mark.parametrize(
    ("gradients", "points", "lost"),
    [
        ([0.0, 1.0], [0.0, 0.5], True),  # at the lower bound alone
        ([0.0, 1.0], [1.0, 0.5], True),
        ([0.0, math.inf], [0.0, 1.0], True),  # all entries are at a bound, none is usable
        ([0.0, 2.0], [0.0, 1.0], True),  # at one of the bounds
        ([0.0, 0.0], [0.0, 1.0], True),  # all entries are at a bound
        ([0.0, 0.0], [0.0, 0.5], False),  # no gradient anywhere
        ([1.0, 1.0], [0.0, 1.0], False),
        ([0.0, 1.0], [0.5, 0.5], False),  # not at a bound
    ],
)
def test_gradients_may_be_lost(gradients: list[float], points: list[float], lost: bool) -> None:
    found = may_be_lost(torch.tensor([gradients]), torch.tensor([points]), (0.0, 1.0))
    assert bool(found) is lost


def visit(search: Search, points: Tensor) -> Tensor:
    visited = search.visit(points)
    return visited.pull_back(search.goal.margin_direction(visited.logits))


@pytest.mark.parametrize("name", ["clamp", "hardtanh", "square root"])
def test_a_search_notices_lost_gradients(name: str) -> None:
    inputs = torch.tensor([[0.0, 0.25, 0.0]])
    search = search_on(guarded(name), inputs)
    with pytest.warns(UserWarning, match="zero or not finite where an input is exactly at a"):
        gradients = visit(search, inputs)
    assert search.watch.active
    assert torch.allclose(gradients, torch.tensor([[-2.0, -4.0, -6.0]]), rtol=1e-3)


def test_from_then_on_a_visit_costs_one_pass_inside_the_bounds() -> None:
    model = Recorded(guarded("clamp"))
    inputs = torch.tensor([[0.0, 1.0, 0.5]])
    search = Search(problem_of(inputs), model, watch=BoundWatch(active=True))
    visit(search, inputs)
    assert len(model.batches) == 1
    assert torch.equal(model.batches[0], inset(inputs, (0.0, 1.0)))


def test_with_levels_decisions_are_about_the_points_themselves() -> None:
    model = Recorded(guarded("clamp"))
    inputs = torch.tensor([[0.0, 1.0, 0.5]])
    search = Search(problem_of(inputs, levels=3), model, watch=BoundWatch(active=True))
    gradients = visit(search, inputs)
    assert (gradients != 0).all()
    assert [batch.tolist() for batch in model.batches] == [
        inset(inputs, (0.0, 1.0)).tolist(),
        inputs.tolist(),
    ]


def test_parts_of_a_search_share_what_it_has_noticed() -> None:
    search = search_on(guarded("clamp"), torch.zeros(2, 3))
    part = search.part()
    with pytest.warns(UserWarning, match="zero or not finite"):
        visit(part, torch.zeros(2, 3))
    assert search.watch.active
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        visit(search.part(), torch.zeros(2, 3))


def test_a_search_on_another_model_costs_nothing_more() -> None:
    model = Recorded(PLAIN)
    search = search_on(model, torch.zeros(2, 3))
    for _ in range(12):
        visit(search, torch.zeros(2, 3))
    assert len(model.batches) == 12
    assert not search.watch.active


def test_a_model_without_gradients_is_compared_twice_at_most() -> None:
    # The first entry never has a gradient, which looks like a guard.
    model = Recorded(lambda points: PLAIN(torch.cat([0 * points[:, :1], points[:, 1:]], 1)))
    inputs = torch.tensor([[0.0, 0.5, 0.5]])
    search = search_on(model, inputs)
    for _ in range(100):
        visit(search, inputs)
    assert len(model.batches) == 102
    assert not search.watch.active


def test_what_was_moved_by_the_inset_alone_moves_back() -> None:
    origins = torch.tensor([[0.0, 1.0, 0.6], [0.0, 0.0, 0.0]])
    found = inset(origins, (0.0, 1.0))
    found[0, 2] = 0.9
    result = AttackResult(found, torch.ones(2), torch.tensor([True, False]))
    restored = restore_origins(PLAIN, result, problem_of(origins))
    assert restored.adversarials[0].tolist() == [0.0, 1.0, float(found[0, 2])]
    assert restored.distances.tolist() == pytest.approx([0.3, math.inf])


def test_what_is_adversarial_by_the_inset_alone_stays() -> None:
    origins = torch.tensor([[0.5, 1.0, 1.0]])
    found = inset(origins, (0.0, 1.0))
    # Adversarial is what has less than 1 in the last entry.
    model = linear([[0.0, 0.0, 0.0], [0.0, 0.0, -1.0]], [0.0, 1.0 - 1e-6])
    result = AttackResult(found, torch.ones(1), torch.tensor([True]))
    restored = restore_origins(model, result, problem_of(origins))
    assert torch.equal(restored.adversarials, found)
    assert 0 < float(restored.distances) < 1e-4


def test_a_model_for_other_attacks_has_its_own_logits_and_gradients_inside() -> None:
    inputs = torch.tensor([[0.0, 0.25, 1.0]])
    model = InsetGradients(guarded("clamp"), (0.0, 1.0))
    assert torch.equal(model(inputs), PLAIN(inputs))
    variables = inputs.clone().requires_grad_()
    (gradients,) = torch.autograd.grad(model(variables)[:, 1].sum(), variables)
    assert torch.allclose(gradients, torch.tensor([[1.0, 2.0, 3.0]]))
    with torch.no_grad():
        assert torch.equal(model(variables), PLAIN(inputs))


FEATURES: dict[str, Callable[[Tensor], Tensor]] = {
    "clamp": lambda column: column.clamp(0, 1),
    "clip from below": lambda column: column.clip(min=0),
    "clip from above": lambda column: column.clip(max=1),
    "absolute value": lambda column: column.abs(),
    "square root": lambda column: column.sqrt(),
    "logarithm": lambda column: column.log().clamp_min(-20),
}


def with_one_of_forty_guarded(name: str) -> Callable[[Tensor], Tensor]:
    weights = torch.linspace(-1, 1, 80).view(40, 2)
    return lambda points: (
        torch.cat([FEATURES[name](points[:, :1]), points[:, 1:]], 1).nan_to_num() @ weights
    )


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("samples", [8, 100])
def test_one_guarded_column_of_many_is_enough(name: str, samples: int) -> None:
    inputs = torch.rand(samples, 40, generator=torch.Generator().manual_seed(0))
    assert loses_gradients(with_one_of_forty_guarded(name), inputs, (0.0, 1.0))


@pytest.mark.parametrize("name", FEATURES)
def test_a_search_notices_one_guarded_column_of_many(name: str) -> None:
    inputs = torch.rand(4, 40, generator=torch.Generator().manual_seed(0))
    inputs[:, ::3] = inputs[:, ::3].round()
    inputs[:, 0] = 1.0 if name == "clip from above" else 0.0
    search = search_on(with_one_of_forty_guarded(name), inputs)
    with pytest.warns(UserWarning, match="zero or not finite"):
        visit(search, inputs)
    assert search.watch.active


def test_a_column_without_a_gradient_anywhere_is_not_guarded() -> None:
    def without_the_first(points: Tensor) -> Tensor:
        return points[:, 1:] @ torch.ones(39, 2)

    inputs = torch.rand(8, 40, generator=torch.Generator().manual_seed(0)).round()
    assert not loses_gradients(without_the_first, inputs, (0.0, 1.0))


@pytest.mark.parametrize("bounds", [(0.0, 1e6), (0.0, math.inf)])
@pytest.mark.parametrize("largest", [1e2, 1e4])
@pytest.mark.parametrize("attack", [ddn, deepfool, normal_pursuit])
def test_one_large_column_does_not_move_the_others(
    attack: Attack, largest: float, bounds: tuple[float, float]
) -> None:
    # The margin is twice the sum of the first columns, less 2: the large one hardly counts.
    model = linear([[1.0, 1.0, 1.0, 1e-9], [-1.0, -1.0, -1.0, -1e-9]], [-1.0, 1.0])
    inputs = torch.tensor([[0.0, 0.1, 0.0, largest], [0.0, 0.0, 0.0, largest]])
    guarded_model = InsetGradients(lambda points: model(points.clamp(min=0)), bounds)
    found = attack(guarded_model, inputs, torch.ones(2, dtype=torch.int64), bounds=bounds)
    assert found.success.all()
    expected = torch.tensor([0.9, 1.0]) / math.sqrt(3)
    assert torch.allclose(found.distances, expected, rtol=0.03)
