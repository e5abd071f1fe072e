"""The search: the points it keeps, the points it begins at, and its random numbers."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import (
    column,
    entries,
    linear,
    search_on,
    small_problem,
    threshold,
)
from attacks.networks import Recorded
from minnorm.attacks.engine.search import DROP_STEPS, Search
from minnorm.errors import InputError
from minnorm.geometry import Norm, norms, uniform_in_unit_ball


def test_samples_are_dropped_after_rarer_and_rarer_steps() -> None:
    assert sorted(DROP_STEPS)[:11] == [1, 2, 3, 4, 5, 6, 8, 11, 14, 18, 23]
    assert max(DROP_STEPS) > 10_000


def test_a_search_begins_with_all_samples_and_nothing_found() -> None:
    search = search_on(threshold, column(0.1, 0.2, 0.3), seed=7)
    assert search.rows.tolist() == [0, 1, 2]
    assert search.classes == 0
    assert search.generator.initial_seed() == 7
    assert search.goal is search.problem.goal
    assert search.report_progress(0.5) is False
    assert not search.result().success.any()
    assert Search(search.problem, threshold).generator.initial_seed() == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda search, points: search.visit(points),
        lambda search, points: search.logits_at(points),
        lambda search, points: search.margins_at(points),
        lambda search, points: search.adversarial_at(points),
    ],
    ids=["visit", "logits_at", "margins_at", "adversarial_at"],
)
def test_every_point_that_the_model_is_evaluated_at_counts(
    ask: Callable[[Search, Tensor], object],
) -> None:
    recorded = Recorded(threshold)
    search = search_on(recorded, column(0.25, 0.25, 0.75))
    ask(search, column(0.75, 0.25, 0.75))
    assert entries(search.incumbent.distances) == [0.5, math.inf, 0]
    ask(search, column(0.625, 0.375, 1.0))
    assert entries(search.incumbent.distances) == [0.375, math.inf, 0]
    assert len(recorded.batches) == 2
    assert search.classes == 2
    result = search.result()
    assert entries(result.adversarials) == [0.625, 0.25, 0.75]
    assert result.success.tolist() == [True, False, True]


def test_logits_and_decisions_are_those_of_the_model() -> None:
    points = column(0.75, 0.25)
    search = search_on(threshold, points)
    assert torch.equal(search.logits_at(points), threshold(points))
    assert search.adversarial_at(points).tolist() == [True, False]
    assert entries(search.margins_at(points)) == [-0.5, 0.5]


def test_the_margin_of_a_tie_is_above_zero_unless_it_is_adversarial() -> None:
    tie = column(0.5)
    tiny = torch.finfo(torch.float32).tiny
    assert entries(search_on(threshold, tie).margins_at(tie)) == [tiny]
    # The prediction of a tie is the first class: adversarial to the label 1.
    wrong = search_on(threshold, tie, torch.tensor([1]))
    assert entries(wrong.margins_at(tie)) == [0]
    assert wrong.incumbent.distances.tolist() == [0]
    in_half = tie.half()
    assert entries(search_on(threshold, in_half).margins_at(in_half)) == [
        torch.finfo(torch.float16).tiny
    ]


@pytest.mark.parametrize("targeted", [False, True])
def test_a_visit_has_logits_decisions_and_gradients(targeted: bool) -> None:
    weights, biases = [[1.0, 2.0], [3.0, -1.0]], [0.5, 0.0]
    inputs = torch.tensor([[0.2, 0.8], [0.9, 0.1]])
    search = search_on(linear(weights, biases), inputs, torch.tensor([1, 1]), targeted=targeted)
    visit = search.visit(inputs)
    torch.testing.assert_close(visit.logits, linear(weights, biases)(inputs))
    assert visit.adversarial.tolist() == ([False, True] if targeted else [True, False])
    assert not visit.logits.requires_grad
    directions = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    expected = [[1.0, 2.0], [2.0, -3.0]]
    assert visit.pull_back(directions, again=True).tolist() == expected
    assert visit.pull_back(directions).tolist() == expected
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        visit.pull_back(directions)


def test_gradients_are_per_unit() -> None:
    search = search_on(threshold, column(100.0), bounds=(0.0, 255.0))
    visit = search.visit(column(100.0))
    assert visit.pull_back(torch.tensor([[0.0, 1.0]])).tolist() == [[2 * 255]]


def test_a_confidence_is_part_of_the_decision() -> None:
    search = search_on(threshold, column(0.25), confidence=0.3)
    assert search.adversarial_at(column(0.625)).tolist() == [False]
    assert search.adversarial_at(column(0.75)).tolist() == [True]
    assert entries(search.incumbent.distances) == [0.5]


def test_a_point_that_rounding_made_adversarial_gives_way_to_a_certain_one_nearby() -> None:
    eps = torch.finfo(torch.float32).eps
    search = search_on(lambda points: threshold(points) + 1, column(0.25))
    assert search.adversarial_at(column(0.5 + eps)).tolist() == [True]
    search.adversarial_at(column(0.51))
    assert entries(search.incumbent.points) == [pytest.approx(0.51)]


@pytest.mark.parametrize("radius", [0.25, 0.3])
def test_a_limited_radius_leaves_out_what_is_farther(radius: float) -> None:
    search = search_on(threshold, column(0.25), radius_limit=radius)
    found = search.adversarial_at(column(0.25 + 1.1 * radius))
    assert found.tolist() == [True]
    assert not search.result().success.any()


def test_the_first_logits_are_checked_once() -> None:
    search = search_on(lambda points: points, torch.rand(2, 1))
    with pytest.raises(InputError, match="expected logits"):
        search.logits_at(torch.rand(2, 1))
    search = search_on(threshold, column(0.1, 0.2), torch.tensor([0, 2]))
    with pytest.raises(InputError, match="labels range from 0 to 2, but the model has 2 classes"):
        search.visit(column(0.1, 0.2))
    assert search.classes == 0


def test_it_begins_at_the_inputs_without_an_evaluation() -> None:
    recorded = Recorded(threshold)
    search = search_on(recorded, column(0.1, 0.7))
    assert search.first_points(None) is search.problem.origins
    assert recorded.batches == []


def test_it_begins_at_feasible_starts_after_an_evaluation_of_the_inputs() -> None:
    recorded = Recorded(threshold)
    search = search_on(recorded, column(0.1, 0.7), bounds=(0.0, 0.8), levels=5)
    starts = column(0.33, 1.7).requires_grad_()
    points = search.first_points(starts)
    assert entries(points) == pytest.approx([0.4, 0.8])
    assert not points.requires_grad
    assert entries(starts) == pytest.approx([0.33, 1.7])
    (asked,) = recorded.batches
    assert torch.equal(asked, search.problem.origins)
    assert entries(search.incumbent.distances) == [math.inf, 0]


def test_noise_is_normal_and_shared_by_the_batch() -> None:
    few = search_on(threshold, torch.zeros(1, 3000), seed=5)
    many = search_on(threshold, torch.zeros(4, 3000), seed=5)
    noise = few.noise()
    assert noise.shape == (1, 3000)
    assert float(noise.mean()) == pytest.approx(0, abs=0.1)
    assert float(noise.std()) == pytest.approx(1, abs=0.1)
    assert torch.equal(many.noise(), noise)
    assert not torch.equal(many.noise(), noise)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_points_in_balls_differ_only_by_their_radius(norm: Norm) -> None:
    origins = torch.full((3, 4), 2.0)
    search = search_on(threshold, origins, bounds=(0.0, 4.0), norm=norm, seed=1)
    points = search.points_in_ball(torch.tensor([0.1, 0.2, 0.0]))
    moves = search.problem.perturbations(points)
    torch.testing.assert_close(moves[1], 2 * moves[0])
    assert moves[2].tolist() == [0] * 4
    length = float(norms(moves, norm)[1])
    assert 0 < length <= 0.2
    assert not torch.equal(search.points_in_ball(torch.tensor([0.1, 0.2, 0.0])), points)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_points_in_balls_follow_from_the_seed_alone(norm: Norm) -> None:
    origins = torch.full((2, 3), 0.5, dtype=torch.float64)
    search, twin = (search_on(threshold, origins, norm=norm, seed=9) for _ in range(2))
    state = torch.random.get_rng_state()
    radii = torch.tensor([0.25, 0.125], dtype=torch.float64)
    points = search.points_in_ball(radii)
    assert torch.equal(torch.random.get_rng_state(), state)
    noise = twin.noise()
    share = torch.rand(1, generator=twin.generator).double()
    drawn = uniform_in_unit_ball(noise, share, norm)
    assert torch.equal(points, origins + radii.unsqueeze(1) * drawn)
    assert torch.equal(search.noise(), twin.noise())


def test_points_in_balls_are_uniform_and_clipped_to_the_bounds() -> None:
    search = search_on(threshold, torch.full((1, 2), 0.5))
    drawn = torch.cat([search.points_in_ball(torch.tensor([0.5])) for _ in range(500)]) - 0.5
    lengths = norms(drawn)
    for radius in (0.2, 0.35):
        share = float((lengths < radius).float().mean())
        assert share == pytest.approx((radius / 0.5) ** 2, abs=0.06)
    assert norms(drawn.mean(0, keepdim=True)).item() < 0.05
    wide = torch.cat([search.points_in_ball(torch.tensor([5.0])) for _ in range(20)])
    assert wide.min() == 0
    assert wide.max() == 1


def test_points_in_balls_have_the_dtype_of_the_inputs() -> None:
    search = search_on(threshold, torch.zeros(1, 2, dtype=torch.bfloat16))
    assert search.points_in_ball(torch.tensor([0.5])).dtype == torch.bfloat16


def test_gradients_without_a_direction_become_noise_of_norm_1() -> None:
    search, other = (search_on(threshold, torch.zeros(4, 5), seed=3) for _ in range(2))
    gradients = torch.ones(4, 5)
    gradients[0] = 0
    gradients[1, 2] = math.nan
    gradients[2, 0] = math.inf
    found = search.with_directions(gradients)
    noise = other.noise()
    assert norms(found)[:3].tolist() == pytest.approx([1, 1, 1])
    for row in found[:3]:
        torch.testing.assert_close(row, (noise / noise.norm())[0])
    assert found[3].tolist() == [1] * 5


def test_a_search_on_a_network_finds_what_the_network_says() -> None:
    model, inputs, labels = small_problem(batch=20)
    search = search_on(model, inputs, labels)
    points = torch.rand(inputs.shape, generator=torch.Generator().manual_seed(9)).to(inputs)
    search.adversarial_at(points)
    hit = model(points).argmax(1) != labels
    result = search.result()
    assert torch.equal(result.success, hit)
    torch.testing.assert_close(result.distances[hit], norms(points - inputs)[hit])
    assert torch.equal(result.adversarials, torch.where(hit[:, None], points, inputs))
