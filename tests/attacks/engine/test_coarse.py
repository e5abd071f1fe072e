"""The handover from the coarse to the exact classifier, and the samples that leave meanwhile."""

from collections.abc import Iterator

import pytest
import torch

from attacks.engine.thresholds import INF, Three, Threshold, points_at, problem_at, search_on
from minnorm.acceleration import Accelerated
from minnorm.attacks.engine.coarse import AcceleratedSearch
from minnorm.attacks.engine.search import Search
from minnorm.logits import Model


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    """Record no graph, as inside an attack."""
    with torch.no_grad():
        yield


def _distances(three: Three) -> list[float]:
    return [round(value, 6) for value in three.search.incumbent.distances.tolist()]


def test_the_coarse_classifier_answers_between_the_first_and_the_last_steps() -> None:
    three = search_on(exact=0.5)
    answers = []
    for share in (0.0, 0.01, 0.5, 0.79, 0.8, 0.99, 1.0):
        three.search.report_progress(share)
        three.asked()
        three.search.adversarial_at(points_at(0.3))
        answers += three.asked()
    assert answers == ["exact", "coarse", "coarse", "coarse", "exact", "exact", "exact"]


def test_before_the_first_report_the_exact_classifier_answers() -> None:
    three = search_on(exact=0.5)
    three.search.adversarial_at(points_at(0.3))
    assert three.asked() == ["exact"]


def test_the_report_returns_when_the_exact_classifier_takes_over() -> None:
    search = search_on().search
    shares = [0.0, 0.1, 0.5, 0.8, 0.9, 1.0, 0.2, 0.0, 0.0]
    returned = [search.report_progress(share) for share in shares]
    assert returned == [False, False, False, True, False, False, False, True, False]


def test_a_confirmation_on_the_way_is_not_a_takeover() -> None:
    search = search_on().search
    assert not any(search.report_progress(0.5) for _ in range(50))


def test_without_a_coarse_classifier_the_exact_one_answers_always() -> None:
    three = search_on(exact=0.5, coarse=None)
    for share in (0.0, 0.5, 0.8):
        assert not three.search.report_progress(share)
        three.search.adversarial_at(points_at(0.3))
    assert three.asked() == ["exact"] * 3


def test_a_report_means_nothing_to_a_model_that_is_not_accelerated() -> None:
    model = Threshold(0.5)
    search = Search(problem_at([0.0]), model)
    assert not any(search.report_progress(share) for share in (0.0, 0.5, 0.8, 1.0))
    assert search.model is model
    assert model.batches == []


def test_every_twenty_coarse_steps_the_exact_classifier_is_asked_about_the_closest_point() -> None:
    three = search_on(exact=0.7)
    search = three.search
    confirmed = {}
    for step in range(1, 45):
        search.report_progress(0.5)
        if three.exact.batches:
            confirmed[step] = three.exact.batches.copy()
            three.exact.batches.clear()
        if step == 2:
            search.adversarial_at(points_at(0.8))  # adversarial for both
            search.adversarial_at(points_at(0.9))
        if step == 22:
            search.adversarial_at(points_at(0.6))  # adversarial for the coarse classifier alone
            assert _distances(three) == [0.6]
        if step == 42:
            assert _distances(three) == [0.8]
        search.adversarial_at(points_at(0.3))
    # Once each time: the exact model evaluates points farther away only before the last steps.
    assert confirmed == {20: [[0.8]], 40: [[0.6]]}


def test_between_confirmations_the_coarse_classifier_goes_on_answering() -> None:
    three = search_on(exact=0.7)
    for _ in range(20):
        three.search.report_progress(0.5)
    three.asked()
    three.search.adversarial_at(points_at(0.6))
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
    three = search_on(original=exact, exact=exact, coarse=0.35)
    three.search.report_progress(0.5)
    three.search.adversarial_at(points_at(0.4))
    assert three.exact.batches == []
    three.search.report_progress(0.8)
    assert three.exact.batches == [[point] for point in questions]
    assert _distances(three) == [expected]
    assert three.search.result().distances.tolist() == pytest.approx([expected])


def test_points_farther_away_are_tried_for_the_rejected_samples_alone() -> None:
    three = search_on(3, exact=0.45, coarse=0.35)
    three.search.report_progress(0.5)
    three.search.adversarial_at(points_at(0.4, 0.6, 0.1))
    three.search.report_progress(0.8)
    # The third sample has no adversarial: its point is the input.
    assert three.exact.batches == [[0.4, 0.6, 0.0], [0.42], [0.5]]
    assert _distances(three) == [0.5, 0.6, INF]


def test_a_point_farther_away_than_a_confirmed_adversarial_is_not_tried() -> None:
    three = search_on(exact=0.405, coarse=0.35)
    three.search.adversarial_at(points_at(0.41))
    three.exact.batches.clear()
    three.search.report_progress(0.5)
    three.search.adversarial_at(points_at(0.4))
    three.search.report_progress(0.8)
    assert three.exact.batches == [[0.4]]
    assert _distances(three) == [0.41]


def test_a_point_nearer_than_a_confirmed_adversarial_is_tried() -> None:
    three = search_on(exact=0.41, coarse=0.35)
    three.search.adversarial_at(points_at(0.5))
    three.search.report_progress(0.5)
    three.search.adversarial_at(points_at(0.4))
    three.search.report_progress(0.8)
    assert _distances(three) == [0.42]


def test_a_point_that_may_be_adversarial_by_rounding_gives_way_to_one_that_surely_is() -> None:
    def shifted(threshold: float) -> Model:
        """Return a classifier whose large logits make points near the boundary uncertain."""
        return lambda inputs: torch.cat([threshold - inputs, inputs - threshold], 1) + 1e4

    accelerated = Accelerated(shifted(0.4), shifted(0.4), shifted(0.35), "by hand", ())
    search = AcceleratedSearch(problem_at([0.0]), accelerated)
    search.report_progress(0.5)
    search.adversarial_at(points_at(0.385))
    search.report_progress(0.8)
    assert search.incumbent.distances.tolist() == pytest.approx([0.385 * 1.05])
    search.adversarial_at(points_at(0.5))
    assert search.incumbent.distances.tolist() == pytest.approx([0.5])


def test_finished_samples_leave_only_if_the_exact_classifier_agrees() -> None:
    three = search_on(4, original=0.5, exact=0.5, coarse=0.35)
    search = three.search
    search.report_progress(0.5)
    # A rejected adversarial, an accepted one, no adversarial, and one that is not finished.
    search.adversarial_at(points_at(0.4, 0.6, 0.1, 0.4))
    stay = search.drop(torch.tensor([True, True, True, False]))
    assert stay.tolist() == [0, 3]
    assert search.rows.tolist() == [0, 3]
    assert _distances(three) == [INF, INF]
    assert three.asked() == ["exact", "coarse"]
    search.adversarial_at(points_at(0.4, 0.4))
    assert three.asked() == ["exact"]
    search.report_progress(0.5)
    search.adversarial_at(points_at(0.4, 0.4))
    assert three.asked() == ["coarse"]
    result = search.result()
    assert result.success.tolist() == [False, True, False, False]


def test_found_samples_leave_only_if_the_exact_classifier_agrees() -> None:
    three = search_on(2, exact=0.5, coarse=0.35)
    three.search.report_progress(0.5)
    three.search.adversarial_at(points_at(0.4, 0.6))
    assert three.search.drop_found().tolist() == [0]


def test_nothing_is_confirmed_when_no_sample_is_finished() -> None:
    three = search_on(2, exact=0.5, coarse=0.35)
    three.search.report_progress(0.5)
    three.search.adversarial_at(points_at(0.4, 0.6))
    assert three.search.drop(torch.tensor([False, False])).tolist() == [0, 1]
    assert three.asked() == ["coarse"]


def test_without_coarse_steps_samples_leave_at_once() -> None:
    three = search_on(2, exact=0.5, coarse=0.35)
    three.search.adversarial_at(points_at(0.6, 0.1))
    assert three.search.drop(torch.tensor([True, False])).tolist() == [1]
    assert three.asked() == ["exact"]


def test_a_part_of_a_search_is_accelerated_too_and_not_verified() -> None:
    three = search_on(3, original=0.5, exact=0.5, coarse=0.35)
    part = three.search.part(torch.tensor([1, 2]))
    part.report_progress(0.5)
    part.adversarial_at(points_at(0.4, 0.6))
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
    problem, model = problem_at([0.0, 0.0]), Threshold(0.5)
    accelerated = AcceleratedSearch(problem, Accelerated(model, model, None, "by hand", ()), seed)
    plain = Search(problem, model, seed)
    assert torch.equal(accelerated.noise(), plain.noise())
    assert torch.equal(accelerated.part().noise(), plain.part().noise())
    assert torch.equal(
        AcceleratedSearch(problem, Accelerated(model, model, None, "by hand", ())).noise(),
        Search(problem, model).noise(),
    )


def test_a_part_of_a_coarse_search_begins_with_the_exact_classifier() -> None:
    three = search_on(2, exact=0.5, coarse=0.35)
    three.search.report_progress(0.5)
    part = three.search.part()
    part.adversarial_at(points_at(0.4, 0.6))
    assert three.asked() == ["exact"]
    three.search.adversarial_at(points_at(0.4, 0.6))
    assert three.asked() == ["coarse"]
