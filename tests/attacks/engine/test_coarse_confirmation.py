"""The confirmation of a result by the original of an accelerated model."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from attacks.engine.thresholds import INF, points_at, problem_at, search_on
from minnorm.acceleration import Accelerated
from minnorm.attacks.engine.coarse import AcceleratedSearch, moved_away
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.problem import Problem
from minnorm.geometry import Norm
from minnorm.logits import Model


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    """Record no graph, as inside an attack."""
    with torch.no_grad():
        yield


def test_a_result_during_coarse_steps_is_confirmed_by_exact_and_original() -> None:
    three = search_on(2, exact=0.5, coarse=0.35)
    three.search.report_progress(0.5)
    three.search.adversarial_at(points_at(0.4, 0.6))
    three.asked()
    result = three.search.result()
    assert three.exact.batches == [[0.4, 0.6]]
    assert three.original.batches == [[0.6]]
    assert result.success.tolist() == [False, True]
    assert result.distances.tolist() == pytest.approx([INF, 0.6])
    assert result.adversarials.flatten().tolist() == pytest.approx([0.0, 0.6])


def test_an_original_that_is_the_exact_classifier_is_not_asked_twice() -> None:
    three = search_on(exact=None, coarse=None)
    three.search.adversarial_at(points_at(0.6))
    three.asked()
    assert three.search.result().success.tolist() == [True]
    assert three.asked() == []


@pytest.mark.parametrize(
    ("original", "expected", "questions"),
    [
        (0.3, 0.4, [0.4]),
        (0.40003, 0.40004, [0.4, 0.40004]),
        (0.4003, 0.4004, [0.4, 0.40004, 0.4004]),
        (0.403, 0.404, [0.4, 0.40004, 0.4004, 0.404]),
        (0.41, INF, [0.4, 0.40004, 0.4004, 0.404]),
    ],
)
def test_an_adversarial_moves_away_until_the_original_confirms_it(
    original: float, expected: float, questions: list[float]
) -> None:
    three = search_on(original=original, exact=0.35, coarse=None)
    three.search.adversarial_at(points_at(0.4))
    result = three.search.result()
    assert three.original.batches == [[point] for point in questions]
    assert result.distances.tolist() == pytest.approx([expected])
    success = expected < INF
    assert result.success.tolist() == [success]
    assert result.adversarials.tolist() == [pytest.approx([expected if success else 0.0])]


def test_only_unconfirmed_adversarials_move_away_including_those_that_have_left() -> None:
    three = search_on(4, original=0.4003, exact=0.35, coarse=None)
    three.search.adversarial_at(points_at(0.4, 0.6, 0.1, 0.4))
    three.search.drop(torch.tensor([True, False, False, False]))
    result = three.search.result()
    assert three.original.batches == [[0.4, 0.6, 0.4], [0.40004, 0.40004], [0.4004, 0.4004]]
    assert result.distances.tolist() == pytest.approx([0.4004, 0.6, INF, 0.4004])


def test_a_point_beyond_the_radius_limit_is_not_confirmed() -> None:
    problem = problem_at([0.0], radius_limit=0.4002)
    three = search_on(original=0.4003, exact=0.35, coarse=None, problem=problem)
    three.search.adversarial_at(points_at(0.4))
    assert three.search.result().success.tolist() == [False]


def test_on_levels_an_unconfirmed_adversarial_moves_by_a_level() -> None:
    problem = problem_at([0.0], levels=11)
    three = search_on(original=0.45, exact=0.35, coarse=None, problem=problem)
    three.search.adversarial_at(points_at(0.4))
    result = three.search.result()
    assert three.original.batches == [[0.4], [0.5]]
    assert result.adversarials.tolist() == [pytest.approx([0.5])]


@pytest.mark.parametrize(
    ("growth", "levels", "expected"),
    [
        (0.5, None, [1.0, 0.5, 0.2, 0.8, 0.0]),
        (0.0, None, [0.9, 0.5, 0.3, 0.7, 0.1]),
        (1e-4, 11, [1.0, 0.5, 0.2, 0.8, 0.0]),
        (0.5, 11, [1.0, 0.5, 0.2, 0.8, 0.0]),
        (1.0, 11, [1.0, 0.5, 0.1, 0.9, 0.0]),
    ],
)
def test_points_move_away_from_the_inputs_within_bounds_and_on_levels(
    growth: float, levels: int | None, expected: list[float]
) -> None:
    problem = problem_at([0.5] * 5, levels=levels)
    points = points_at(0.9, 0.5, 0.3, 0.7, 0.1)
    moved = moved_away(problem, points, growth)
    assert moved.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert points.flatten().tolist() == pytest.approx([0.9, 0.5, 0.3, 0.7, 0.1])


def test_moving_away_by_a_level_stays_within_a_linf_radius() -> None:
    norm: Norm = "linf"
    problem = problem_at([0.0, 0.0], levels=11, norm=norm, radius_limit=0.25)
    moved = moved_away(problem, points_at(0.1, 0.2), 1e-4)
    assert moved.flatten().tolist() == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize(
    ("targeted", "unit"), [(False, 1.0), (True, 1.0), (False, 2.0), (True, 2.0)]
)
def test_an_input_on_the_boundary_moves_along_the_gradient(targeted: bool, unit: float) -> None:
    problem = problem_at([0.5, 0.3], targeted=targeted, bounds=(0.0, unit), unit=unit)
    three = search_on(original=0.50002, exact=0.49999, coarse=None, problem=problem)
    three.search.adversarial_at(problem.origins)  # adversarial at distance 0, by rounding
    result = three.search.result()
    assert result.success.tolist() == [True, False]
    expected = [unit * 1e-4, INF]
    assert result.distances.tolist() == pytest.approx(expected, rel=1e-2)
    assert result.adversarials.tolist()[0] == pytest.approx([0.5 + unit * 1e-4], abs=1e-6)
    assert three.original.batches == [[0.5], [round(0.5 + unit * 1e-4, 6)]]


def test_an_input_on_the_boundary_moves_by_a_small_distance_in_any_dimension() -> None:
    weights = torch.tensor([3.0, -4.0])

    def shifted(by: float) -> Model:
        def classify(inputs: Tensor) -> Tensor:
            beyond = (inputs - 0.5) @ weights.unsqueeze(1) + by
            return torch.cat([-beyond, beyond], 1)

        return classify

    problem = Problem(torch.full((1, 2), 0.5), Goal(torch.zeros(1, dtype=torch.int64), False))
    accelerated = Accelerated(shifted(-1e-4), shifted(1e-4), None, "by hand", ())
    search = AcceleratedSearch(problem, accelerated)
    search.adversarial_at(problem.origins)
    moves = (search.result().adversarials - 0.5).squeeze(0)
    assert moves.tolist() == pytest.approx([0.6e-4, -0.8e-4], rel=1e-2)


def test_an_input_that_the_original_misclassifies_too_stays() -> None:
    problem = problem_at([0.5])
    three = search_on(original=0.4, exact=0.45, coarse=None, problem=problem)
    three.search.adversarial_at(problem.origins)
    result = three.search.result()
    assert three.original.batches == [[0.5]]
    assert (result.distances.tolist(), result.adversarials.tolist()) == ([0.0], [[0.5]])


def test_an_input_on_the_boundary_without_a_gradient_moves_at_random() -> None:
    def exact(inputs: Tensor) -> Tensor:
        return torch.tensor([[0.0, 1.0]]).expand(len(inputs), 2)

    def original(inputs: Tensor) -> Tensor:
        beyond = (inputs - 0.5).abs() - 5e-5
        return torch.cat([-beyond, beyond], 1)

    problem = problem_at([0.5])
    search = AcceleratedSearch(problem, Accelerated(original, exact, None, "by hand", ()))
    search.adversarial_at(problem.origins)
    result = search.result()
    assert result.success.tolist() == [True]
    assert result.distances.tolist() == pytest.approx([1e-4], rel=1e-2)


@pytest.mark.parametrize(
    ("origin", "expected", "questions"),
    [(0.56, 0.6, [[0.56], [0.6]]), (0.53, 0.53, [[0.53], [0.5]]), (0.6, 0.6, [[0.6]])],
)
def test_a_misclassified_input_is_rounded_if_the_original_agrees(
    origin: float, expected: float, questions: list[list[float]]
) -> None:
    problem = problem_at([origin], levels=11)
    three = search_on(original=0.52, exact=0.4, coarse=None, problem=problem)
    three.search.adversarial_at(problem.origins)
    result = three.search.result()
    assert three.original.batches == questions
    assert result.adversarials.flatten().tolist() == pytest.approx([expected])
    assert result.distances.tolist() == pytest.approx([abs(expected - origin)], abs=1e-6)
