"""The search on an accelerated model, on classifiers of one number that count and lie."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from minnorm.acceleration import Accelerated
from minnorm.attacks.engine.coarse import AcceleratedSearch, moved_away
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.problem import Problem
from minnorm.attacks.engine.search import Search
from minnorm.geometry import Norm
from minnorm.logits import Model


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    """Record no graph, as inside an attack."""
    with torch.no_grad():
        yield


@dataclass
class Threshold:
    """A classifier of one number: class 1 above `at`, class 0 below; it keeps what it is given."""

    at: float
    batches: list[list[float]] = field(default_factory=list)

    def __call__(self, inputs: Tensor, /) -> Tensor:
        self.batches.append([round(value, 6) for value in inputs.flatten().tolist()])
        return torch.cat([self.at - inputs, inputs - self.at], 1)


@dataclass
class Three:
    """The three classifiers of an accelerated model, and a search on it."""

    original: Threshold
    exact: Threshold
    coarse: Threshold | None
    search: AcceleratedSearch

    def asked(self) -> list[str]:
        """Return which classifiers have been called since the last time."""
        names = []
        for name in ("original", "exact", "coarse"):
            classifier = getattr(self, name)
            if classifier is not None and classifier.batches:
                names += [name] * len(classifier.batches)
                classifier.batches.clear()
        return names


def _problem(origins: list[float], *, targeted: bool = False, **settings: object) -> Problem:
    points = torch.tensor(origins).unsqueeze(1)
    labels = torch.full((len(origins),), int(targeted))
    return Problem(points, Goal(labels, targeted), **settings)  # type: ignore[arg-type]


def _search(
    samples: int = 1,
    *,
    original: float = 0.5,
    exact: float | None = None,
    coarse: float | None = 0.5,
    problem: Problem | None = None,
) -> Three:
    """Begin a search for samples at 0 of class 0; the arguments are the thresholds."""
    problem = problem or _problem([0.0] * samples)
    by_itself = Threshold(original)
    fast = by_itself if exact is None else Threshold(exact)
    low = None if coarse is None else Threshold(coarse)
    accelerated = Accelerated(by_itself, fast, low, "by hand", ())
    return Three(by_itself, fast, low, AcceleratedSearch(problem, accelerated))


def _points(*values: float) -> Tensor:
    return torch.tensor(values).unsqueeze(1)


def _distances(three: Three) -> list[float]:
    return [round(value, 6) for value in three.search.incumbent.distances.tolist()]


INF = float("inf")


def test_the_coarse_classifier_answers_between_the_first_and_the_last_steps() -> None:
    three = _search(exact=0.5)
    answers = []
    for share in (0.0, 0.01, 0.5, 0.79, 0.8, 0.99, 1.0):
        three.search.report_progress(share)
        three.asked()
        three.search.adversarial_at(_points(0.3))
        answers += three.asked()
    assert answers == ["exact", "coarse", "coarse", "coarse", "exact", "exact", "exact"]


def test_before_the_first_report_the_exact_classifier_answers() -> None:
    three = _search(exact=0.5)
    three.search.adversarial_at(_points(0.3))
    assert three.asked() == ["exact"]


def test_the_report_returns_when_the_exact_classifier_takes_over() -> None:
    search = _search().search
    shares = [0.0, 0.1, 0.5, 0.8, 0.9, 1.0, 0.2, 0.0, 0.0]
    returned = [search.report_progress(share) for share in shares]
    assert returned == [False, False, False, True, False, False, False, True, False]


def test_a_confirmation_on_the_way_is_not_a_takeover() -> None:
    search = _search().search
    assert not any(search.report_progress(0.5) for _ in range(50))


def test_without_a_coarse_classifier_the_exact_one_answers_always() -> None:
    three = _search(exact=0.5, coarse=None)
    for share in (0.0, 0.5, 0.8):
        assert not three.search.report_progress(share)
        three.search.adversarial_at(_points(0.3))
    assert three.asked() == ["exact"] * 3


def test_a_report_means_nothing_to_a_model_that_is_not_accelerated() -> None:
    model = Threshold(0.5)
    search = Search(_problem([0.0]), model)
    assert not any(search.report_progress(share) for share in (0.0, 0.5, 0.8, 1.0))
    assert search.model is model
    assert model.batches == []


def test_every_twenty_coarse_steps_the_exact_classifier_is_asked_about_the_closest_point() -> None:
    three = _search(exact=0.7)
    search = three.search
    confirmed = {}
    for step in range(1, 45):
        search.report_progress(0.5)
        if three.exact.batches:
            confirmed[step] = three.exact.batches.copy()
            three.exact.batches.clear()
        if step == 2:
            search.adversarial_at(_points(0.8))  # adversarial for both
            search.adversarial_at(_points(0.9))
        if step == 22:
            search.adversarial_at(_points(0.6))  # adversarial for the coarse classifier alone
            assert _distances(three) == [0.6]
        if step == 42:
            assert _distances(three) == [0.8]
        search.adversarial_at(_points(0.3))
    # Once each time: points farther away are asked about before the last steps alone.
    assert confirmed == {20: [[0.8]], 40: [[0.6]]}


def test_between_confirmations_the_coarse_classifier_goes_on_answering() -> None:
    three = _search(exact=0.7)
    for _ in range(20):
        three.search.report_progress(0.5)
    three.asked()
    three.search.adversarial_at(_points(0.6))
    assert three.asked() == ["coarse"]


@pytest.mark.parametrize(
    ("exact", "expected", "questions"),
    [
        (0.3, 0.4, [0.4]),
        (0.41, 0.42, [0.4, 0.42]),
        (0.45, 0.5, [0.4, 0.42, 0.5]),
        (0.7, 0.8, [0.4, 0.42, 0.5, 0.8]),
        (0.9, INF, [0.4, 0.42, 0.5, 0.8]),
    ],
)
def test_before_the_last_steps_points_farther_away_are_tried_for_a_rejected_adversarial(
    exact: float, expected: float, questions: list[float]
) -> None:
    three = _search(original=exact, exact=exact, coarse=0.35)
    three.search.report_progress(0.5)
    three.search.adversarial_at(_points(0.4))
    assert three.exact.batches == []
    three.search.report_progress(0.8)
    assert three.exact.batches == [[point] for point in questions]
    assert _distances(three) == [expected]
    assert three.search.result().distances.tolist() == pytest.approx([expected])


def test_points_farther_away_are_tried_for_the_rejected_samples_alone() -> None:
    three = _search(3, exact=0.45, coarse=0.35)
    three.search.report_progress(0.5)
    three.search.adversarial_at(_points(0.4, 0.6, 0.1))
    three.search.report_progress(0.8)
    # The third sample has no adversarial: its point is the input.
    assert three.exact.batches == [[0.4, 0.6, 0.0], [0.42], [0.5]]
    assert _distances(three) == [0.5, 0.6, INF]


def test_a_point_farther_away_than_a_confirmed_adversarial_is_not_tried() -> None:
    three = _search(exact=0.405, coarse=0.35)
    three.search.adversarial_at(_points(0.41))
    three.exact.batches.clear()
    three.search.report_progress(0.5)
    three.search.adversarial_at(_points(0.4))
    three.search.report_progress(0.8)
    assert three.exact.batches == [[0.4]]
    assert _distances(three) == [0.41]


def test_a_point_nearer_than_a_confirmed_adversarial_is_tried() -> None:
    three = _search(exact=0.41, coarse=0.35)
    three.search.adversarial_at(_points(0.5))
    three.search.report_progress(0.5)
    three.search.adversarial_at(_points(0.4))
    three.search.report_progress(0.8)
    assert _distances(three) == [0.42]


def test_a_point_that_may_be_adversarial_by_rounding_gives_way_to_one_that_surely_is() -> None:
    def shifted(threshold: float) -> Model:
        """Return a classifier whose large logits make points near the boundary uncertain."""
        return lambda inputs: torch.cat([threshold - inputs, inputs - threshold], 1) + 1e4

    accelerated = Accelerated(shifted(0.4), shifted(0.4), shifted(0.35), "by hand", ())
    search = AcceleratedSearch(_problem([0.0]), accelerated)
    search.report_progress(0.5)
    search.adversarial_at(_points(0.385))
    search.report_progress(0.8)
    assert search.incumbent.distances.tolist() == pytest.approx([0.385 * 1.05])
    search.adversarial_at(_points(0.5))
    assert search.incumbent.distances.tolist() == pytest.approx([0.5])


def test_finished_samples_leave_only_if_the_exact_classifier_agrees() -> None:
    three = _search(4, original=0.5, exact=0.5, coarse=0.35)
    search = three.search
    search.report_progress(0.5)
    # A rejected adversarial, an accepted one, no adversarial, and one that is not finished.
    search.adversarial_at(_points(0.4, 0.6, 0.1, 0.4))
    stay = search.drop(torch.tensor([True, True, True, False]))
    assert stay.tolist() == [0, 3]
    assert search.rows.tolist() == [0, 3]
    assert _distances(three) == [INF, INF]
    assert three.asked() == ["exact", "coarse"]
    search.adversarial_at(_points(0.4, 0.4))
    assert three.asked() == ["exact"]
    search.report_progress(0.5)
    search.adversarial_at(_points(0.4, 0.4))
    assert three.asked() == ["coarse"]
    result = search.result()
    assert result.success.tolist() == [False, True, False, False]


def test_found_samples_leave_only_if_the_exact_classifier_agrees() -> None:
    three = _search(2, exact=0.5, coarse=0.35)
    three.search.report_progress(0.5)
    three.search.adversarial_at(_points(0.4, 0.6))
    assert three.search.drop_found().tolist() == [0]


def test_nothing_is_confirmed_when_no_sample_is_finished() -> None:
    three = _search(2, exact=0.5, coarse=0.35)
    three.search.report_progress(0.5)
    three.search.adversarial_at(_points(0.4, 0.6))
    assert three.search.drop(torch.tensor([False, False])).tolist() == [0, 1]
    assert three.asked() == ["coarse"]


def test_without_coarse_steps_samples_leave_at_once() -> None:
    three = _search(2, exact=0.5, coarse=0.35)
    three.search.adversarial_at(_points(0.6, 0.1))
    assert three.search.drop(torch.tensor([True, False])).tolist() == [1]
    assert three.asked() == ["exact"]


def test_a_result_during_coarse_steps_is_confirmed_by_exact_and_original() -> None:
    three = _search(2, exact=0.5, coarse=0.35)
    three.search.report_progress(0.5)
    three.search.adversarial_at(_points(0.4, 0.6))
    three.asked()
    result = three.search.result()
    assert three.exact.batches == [[0.4, 0.6]]
    assert three.original.batches == [[0.6]]
    assert result.success.tolist() == [False, True]
    assert result.distances.tolist() == pytest.approx([INF, 0.6])
    assert result.adversarials.flatten().tolist() == pytest.approx([0.0, 0.6])


def test_an_original_that_is_the_exact_classifier_is_not_asked_twice() -> None:
    three = _search(exact=None, coarse=None)
    three.search.adversarial_at(_points(0.6))
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
    three = _search(original=original, exact=0.35, coarse=None)
    three.search.adversarial_at(_points(0.4))
    result = three.search.result()
    assert three.original.batches == [[point] for point in questions]
    assert result.distances.tolist() == pytest.approx([expected])
    success = expected < INF
    assert result.success.tolist() == [success]
    assert result.adversarials.tolist() == [pytest.approx([expected if success else 0.0])]


def test_only_unconfirmed_adversarials_move_away_including_those_that_have_left() -> None:
    three = _search(4, original=0.4003, exact=0.35, coarse=None)
    three.search.adversarial_at(_points(0.4, 0.6, 0.1, 0.4))
    three.search.drop(torch.tensor([True, False, False, False]))
    result = three.search.result()
    assert three.original.batches == [[0.4, 0.6, 0.4], [0.40004, 0.40004], [0.4004, 0.4004]]
    assert result.distances.tolist() == pytest.approx([0.4004, 0.6, INF, 0.4004])


def test_a_point_beyond_the_radius_limit_is_not_confirmed() -> None:
    problem = _problem([0.0], radius_limit=0.4002)
    three = _search(original=0.4003, exact=0.35, coarse=None, problem=problem)
    three.search.adversarial_at(_points(0.4))
    assert three.search.result().success.tolist() == [False]


def test_on_levels_an_unconfirmed_adversarial_moves_by_a_level() -> None:
    problem = _problem([0.0], levels=11)
    three = _search(original=0.45, exact=0.35, coarse=None, problem=problem)
    three.search.adversarial_at(_points(0.4))
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
    problem = _problem([0.5] * 5, levels=levels)
    points = _points(0.9, 0.5, 0.3, 0.7, 0.1)
    moved = moved_away(problem, points, growth)
    assert moved.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert points.flatten().tolist() == pytest.approx([0.9, 0.5, 0.3, 0.7, 0.1])


def test_moving_away_by_a_level_stays_within_a_linf_radius() -> None:
    norm: Norm = "linf"
    problem = _problem([0.0, 0.0], levels=11, norm=norm, radius_limit=0.25)
    moved = moved_away(problem, _points(0.1, 0.2), 1e-4)
    assert moved.flatten().tolist() == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize(
    ("targeted", "unit"), [(False, 1.0), (True, 1.0), (False, 2.0), (True, 2.0)]
)
def test_an_input_on_the_boundary_moves_along_the_gradient(targeted: bool, unit: float) -> None:
    problem = _problem([0.5, 0.3], targeted=targeted, bounds=(0.0, unit), unit=unit)
    three = _search(original=0.50002, exact=0.49999, coarse=None, problem=problem)
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
    problem = _problem([0.5])
    three = _search(original=0.4, exact=0.45, coarse=None, problem=problem)
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

    problem = _problem([0.5])
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
    problem = _problem([origin], levels=11)
    three = _search(original=0.52, exact=0.4, coarse=None, problem=problem)
    three.search.adversarial_at(problem.origins)
    result = three.search.result()
    assert three.original.batches == questions
    assert result.adversarials.flatten().tolist() == pytest.approx([expected])
    assert result.distances.tolist() == pytest.approx([abs(expected - origin)], abs=1e-6)


def test_a_part_of_a_search_is_accelerated_too_and_not_verified() -> None:
    three = _search(3, original=0.5, exact=0.5, coarse=0.35)
    part = three.search.part(torch.tensor([1, 2]))
    part.report_progress(0.5)
    part.adversarial_at(_points(0.4, 0.6))
    assert three.asked() == ["coarse"]
    found = part.result()
    assert three.asked() == ["exact"]
    assert found.success.tolist() == [False, True]
    three.search.absorb(found, torch.tensor([1, 2]))
    result = three.search.result()
    assert three.asked() == ["original"]
    assert result.distances.tolist() == pytest.approx([INF, INF, 0.6])


@pytest.mark.parametrize("seed", [0, 5])
def test_random_numbers_follow_from_the_seed_as_in_any_search(seed: int) -> None:
    problem, model = _problem([0.0, 0.0]), Threshold(0.5)
    accelerated = AcceleratedSearch(problem, Accelerated(model, model, None, "by hand", ()), seed)
    plain = Search(problem, model, seed)
    assert torch.equal(accelerated.noise(), plain.noise())
    assert torch.equal(accelerated.part().noise(), plain.part().noise())
    assert torch.equal(
        AcceleratedSearch(problem, Accelerated(model, model, None, "by hand", ())).noise(),
        Search(problem, model).noise(),
    )


def test_a_part_of_a_coarse_search_begins_with_the_exact_classifier() -> None:
    three = _search(2, exact=0.5, coarse=0.35)
    three.search.report_progress(0.5)
    part = three.search.part()
    part.adversarial_at(_points(0.4, 0.6))
    assert three.asked() == ["exact"]
    three.search.adversarial_at(_points(0.4, 0.6))
    assert three.asked() == ["coarse"]
