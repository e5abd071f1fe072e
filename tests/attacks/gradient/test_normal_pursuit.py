"""Normal pursuit: its budget, its distance from the optimum, and rays that fail."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attacks.networks import Curved, Linear, problem
from minnorm import load_data, load_model
from minnorm.attacks import ddn, normal_pursuit
from minnorm.attacks.engine.rays import Pursuit, Ray
from minnorm.attacks.engine.tournaments import FORWARD_COST, Tournament, plan
from minnorm.evaluation.running.judge import CountingModel
from minnorm.schedules import cosine
from reference.linear import optimal_distance, optimal_distances

BUDGETS = [2, 3, 5, 8, 10, 17, 20, 30, 50, 100, 149, 150, 300]


def spent(model: CountingModel, samples: int) -> float:
    """Return the cost of a sample, in gradients."""
    forwards, backwards = model.forwards / samples, model.backwards / samples
    return FORWARD_COST * forwards + (1 - FORWARD_COST) * backwards


@pytest.fixture
def short_tournaments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide the budget into tournaments of 25 instead of 100; the second one fixes the classes."""

    def planned(budget: float, *, others: int = 9, targeted: bool = False) -> list[Tournament]:
        (one,) = plan(25, others=others, targeted=targeted)
        fixed_class = Tournament(1, 3, True, ((3, 1), (2, 1), (1, 5)), 4)
        return [one, fixed_class, *[one] * (round(budget / 25) - 2)]

    monkeypatch.setattr("minnorm.attacks.gradient.normal_pursuit.plan", planned)


@pytest.mark.parametrize("budget", BUDGETS)
def test_costs_as_much_as_its_plan(budget: int) -> None:
    model, inputs, labels = problem((1, 4, 4), classes=12, batch=3)
    counting = CountingModel(model)
    normal_pursuit(counting, inputs, labels, budget=budget, drop_finished=False)
    cost = spent(counting, len(inputs))
    assert cost == pytest.approx(sum(one.cost() for one in plan(budget, others=11)))
    assert budget - max(3, 0.1 * budget) <= cost <= budget + 1e-6


@pytest.mark.parametrize("budget", [10, 300])
def test_targeted_it_costs_as_much_as_its_plan(budget: int) -> None:
    model, inputs, labels = problem((1, 4, 4), classes=12, batch=3)
    counting = CountingModel(model)
    normal_pursuit(
        counting, inputs, (labels + 1) % 12, targeted=True, budget=budget, drop_finished=False
    )
    expected = sum(one.cost() for one in plan(budget, targeted=True))
    assert spent(counting, len(inputs)) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_within_one_percent_of_the_optimum_of_a_linear_model(classes: int) -> None:
    model, inputs, labels = problem(
        (30,), batch=40, classes=classes, dtype=torch.float64, network=Linear
    )
    result = normal_pursuit(model, inputs, labels)
    ratios = result.distances / optimal_distances(model.weight, model.bias, inputs, labels)
    assert ratios.min() >= 1 - 1e-6
    assert ratios.max() <= 1.01


def test_from_150_on_rays_go_to_unlikely_classes_too() -> None:
    def hidden_class(points: Tensor) -> Tensor:
        # Three classes are likely and far from the first; the last one is unlikely and near.
        likely = 0.5 + 0.25 * (points[:, :3] - 0.5)
        unlikely = -4 + 10 * (points[:, 3:4] - 0.5)
        return torch.cat([torch.ones_like(unlikely), likely, unlikely], 1)

    inputs, labels = torch.full((1, 100), 0.5, dtype=torch.float64), torch.tensor([0])
    found = [
        float(
            normal_pursuit(
                hidden_class, inputs, labels, budget=budget, bounds=(-9.0, 9.0)
            ).distances
        )
        for budget in (149, 150)
    ]
    assert found == [pytest.approx(2.0, rel=0.01), pytest.approx(0.5, rel=0.01)]


def test_the_shares_fall_and_the_classes_are_free_in_the_last_round_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[tuple[float, bool]] = []
    turned = Pursuit.turned

    def noted(pursuit: Pursuit, ray: Ray, share: float, *, fixed_class: bool = False) -> Ray:
        steps.append((share, fixed_class))
        return turned(pursuit, ray, share, fixed_class=fixed_class)

    monkeypatch.setattr(Pursuit, "turned", noted)
    model, inputs, labels = problem((20,), classes=12, batch=1)
    normal_pursuit(model, inputs, labels, budget=150, drop_finished=False)
    expected = []
    for number, tournament in enumerate(plan(150, others=11)):
        for size, length in tournament.rounds[:-1]:
            expected += [(0.8, number == 1)] * size * length
        size, length = tournament.rounds[-1]
        shares = cosine(0.7, 0.1, length)
        expected += [(share, False) for share in shares for _ in range(size)]
    assert steps == expected


@pytest.mark.usefixtures("short_tournaments")
def test_finished_samples_leave_and_lose_next_to_nothing() -> None:
    model, inputs, labels = problem((20,), batch=30)
    costs, results = [], []
    for drop_finished in (False, True):
        counting = CountingModel(model)
        results.append(
            normal_pursuit(counting, inputs, labels, budget=250, drop_finished=drop_finished)
        )
        costs.append(spent(counting, len(inputs)))
    assert costs[1] < 0.6 * costs[0]
    assert (results[1].distances <= 1.002 * results[0].distances).all()


@pytest.mark.usefixtures("short_tournaments")
@pytest.mark.parametrize("drop_finished", [False, True])
def test_a_long_search_does_not_depend_on_the_batch(drop_finished: bool) -> None:
    model, inputs, labels = problem((20,), batch=6, dtype=torch.float64, network=Curved)

    def run(chosen: slice) -> Tensor:
        return normal_pursuit(
            model, inputs[chosen], labels[chosen], budget=125, drop_finished=drop_finished
        ).adversarials

    parts = torch.cat([run(slice(0, 1)), run(slice(1, 6))])
    assert torch.allclose(run(slice(None)), parts, atol=1e-9)


@pytest.mark.slow
def test_more_budget_is_no_worse_where_there_are_many_boundaries() -> None:
    model, inputs, labels = problem((40,), batch=60, classes=10, scale=12.0)
    means = [
        float(normal_pursuit(model, inputs, labels, budget=budget).distances.mean())
        for budget in (10, 100, 400)
    ]
    assert means[0] >= means[1] >= means[2]


def test_reaches_adversarials_that_need_entries_at_their_bounds() -> None:
    weights = torch.ones(100, dtype=torch.float64)
    weights[:10] = 30
    inputs = torch.zeros(1, 100, dtype=torch.float64)
    inputs[:, :10] = 1  # these entries cannot rise any more
    weight = torch.stack([torch.zeros_like(weights), weights])
    bias = torch.tensor([0.0, -320.0], dtype=torch.float64)
    result = normal_pursuit(
        lambda points: points @ weight.T + bias, inputs, torch.tensor([0]), budget=10
    )
    optimum = optimal_distance(weight, bias, inputs[0], 0, targeted=False, low=0.0, high=1.0)
    assert 1 - 1e-6 <= float(result.distances) / optimum <= 1.002


@pytest.mark.slow
def test_targeted_it_finds_what_ddn_finds() -> None:
    model = load_model("zoo:mnist-cnn")
    images, _ = load_data("mnist-sample[:6]").batch(range(6))
    with torch.no_grad():
        least_likely = model(images).argmin(1)
    result = normal_pursuit(model, images, least_likely, targeted=True)
    reference = ddn(model, images, least_likely, targeted=True, steps=100)
    assert result.success.all()
    assert result.distances.mean() < 1.01 * reference.distances.mean()


def flat(points: Tensor) -> Tensor:
    """Return logits without any gradient: bright points belong to the second class."""
    rows = points.flatten(1)
    bright = (rows.mean(1) > 0.62).to(points.dtype)
    return torch.stack([0.5 + 0 * rows.sum(1), bright], 1)


@pytest.mark.parametrize("budget", [30, 100, 160])
def test_ddn_takes_the_rest_of_the_budget_where_there_are_no_gradients(budget: int) -> None:
    inputs = 0.2 + 0.2 * torch.rand(20, 60, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(20, dtype=torch.int64)
    counting = CountingModel(flat)
    result = normal_pursuit(counting, inputs, labels, budget=budget)
    assert budget - 1 < spent(counting, 20) <= budget
    shorter = ddn(flat, inputs, labels, steps=int(0.8 * budget))
    assert int(result.success.sum()) >= int(shorter.success.sum())
    if budget > 30:
        assert result.success.all()
        assert result.distances.median() <= 1.1 * shorter.distances.median()


def test_ddn_takes_over_where_ripples_mislead_the_rays() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(size, generator=generator) for size in ((30, 40), (40, 5))]

    def rippled(points: Tensor) -> Tensor:
        logits = (points @ weights[0]).relu() @ weights[1] / 8
        return logits + 0.02 * torch.sin(1e4 * points[:, :5])

    inputs = torch.rand(60, 30, generator=generator)
    labels = rippled(inputs).argmax(1)
    assert normal_pursuit(rippled, inputs, labels).success.float().mean() >= 0.9


@pytest.mark.slow
def test_two_takeovers_by_ddn_do_not_depend_on_the_batch() -> None:
    # The last sample has no gradient. The rays of the others follow a slope that leads nowhere, so
    # DDN takes them over later. Its random numbers must not depend on the first takeover.
    inputs = 0.2 + 0.2 * torch.rand(3, 61, generator=torch.Generator().manual_seed(1)).double()
    inputs[:, -1] = torch.tensor([0.95, 0.95, 0.05])
    labels = torch.zeros(3, dtype=torch.int64)

    def slopes(points: Tensor) -> Tensor:
        mean = points[:, :-1].mean(1)
        rise = torch.where(points[:, -1] > 0.5, 0.06 * points[:, 0].clamp_max(0.5), 0 * mean)
        bright = 3 * (mean > 0.55).to(points.dtype)
        return torch.stack([torch.ones_like(mean) + 0 * points.sum(1), rise + bright], 1)

    def run(chosen: slice) -> Tensor:
        return normal_pursuit(slopes, inputs[chosen], labels[chosen], budget=140).distances

    whole = run(slice(None))
    assert whole[:2].isfinite().any()
    assert whole[2].isfinite()
    assert torch.allclose(whole, torch.cat([run(slice(0, 2)), run(slice(2, 3))]))


@pytest.mark.usefixtures("short_tournaments")
def test_samples_without_an_adversarial_do_not_count_as_finished() -> None:
    model, inputs, _ = problem((10,), batch=40)

    def never(points: Tensor) -> Tensor:
        # Rays come ever nearer to a margin of 0.1, so DDN does not take over.
        margin = nn.functional.softplus(model(points)[:, 0], beta=5) + 0.1
        return torch.stack([margin, 0 * margin], 1)

    inputs = inputs[model(inputs)[:, 0] > 0.3]
    labels = torch.zeros(len(inputs), dtype=torch.int64)
    counting = CountingModel(never)
    result = normal_pursuit(counting, inputs, labels, budget=150)
    assert not result.success.any()
    assert spent(counting, len(inputs)) > 120


def _rounded(model: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def rounded(points: Tensor) -> Tensor:
        logits = model(points)
        return logits + (logits.round() - logits).detach()

    return rounded


def test_rays_do_not_creep_towards_a_boundary_that_rounding_hides() -> None:
    model, inputs, labels = problem((3, 8, 8), classes=2, batch=60, dtype=torch.bfloat16)
    reference = ddn(model, inputs, labels).distances
    assert (normal_pursuit(model, inputs, labels).distances <= 1.5 * reference).all()

    model, inputs, labels = problem((3, 8, 8), batch=60)
    rounded = _rounded(model)
    labels = rounded(inputs).argmax(1)
    assert normal_pursuit(rounded, inputs, labels, budget=30).success.all()


@pytest.mark.parametrize(("budget", "levels"), [(10, 4), (100, 256), (150, 4)])
def test_with_levels_and_starts_every_result_is_on_the_grid(budget: int, levels: int) -> None:
    model, inputs, labels = problem((20,), batch=40)
    starts = torch.rand(40, 20, generator=torch.Generator().manual_seed(0))
    result = normal_pursuit(model, inputs, labels, budget=budget, levels=levels, starts=starts)
    found = result.adversarials[result.success] * (levels - 1)
    assert result.success.float().mean() > 0.9
    assert (found - found.round()).abs().max() < 1e-3


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_starts_at_the_inputs_do_no_harm(noise: float) -> None:
    model, inputs, labels = problem((20,), batch=40)
    starts = (inputs + noise * torch.ones_like(inputs)).clamp(0, 1)
    started = normal_pursuit(model, inputs, labels, budget=10, starts=starts)
    plain = normal_pursuit(model, inputs, labels, budget=10)
    assert torch.equal(started.success, plain.success)
    # The nearest sample is at 0.001: rounding moves its boundary by more than a thousandth of that.
    assert (started.distances <= 1.001 * plain.distances + 1e-5).all()


def test_starts_that_are_not_adversarial_replace_no_ray() -> None:
    model, inputs, labels = problem((20,), batch=40)
    plain = normal_pursuit(model, inputs, labels, budget=30)
    started = normal_pursuit(model, inputs, labels, budget=30, starts=inputs)
    assert torch.equal(started.adversarials, plain.adversarials)


def test_a_good_start_is_kept_and_improved() -> None:
    model, inputs, labels = problem((20,), batch=40)
    starts = ddn(model, inputs, labels, steps=30).adversarials
    result = normal_pursuit(model, inputs, labels, budget=10, starts=starts)
    before = (starts - inputs).norm(dim=1)
    assert (result.distances <= before * (1 + 1e-6)).all()
    assert result.distances.mean() < 0.99 * before.mean()


@pytest.mark.parametrize("budget", [1, 2.5])
def test_a_budget_that_is_not_a_count_from_2_on_is_refused(budget: Any) -> None:
    model, inputs, labels = problem((20,))
    with pytest.raises(ValueError, match=f"budget={budget}"):
        inspect.unwrap(normal_pursuit)(model, inputs, labels, budget=budget)
