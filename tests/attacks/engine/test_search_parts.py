"""The search: samples that leave, searches on some of the samples, and rounding at the end."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import (
    column,
    entries,
    search_on,
    threshold,
)
from attacks.networks import Recorded
from minnorm.attacks import AttackResult
from minnorm.attacks.engine.search import round_unmoved


def test_finished_samples_leave_and_come_back_in_the_result() -> None:
    inputs = column(0.1, 0.2, 0.3, 0.4)
    search = search_on(threshold, inputs, torch.tensor([0, 0, 0, 0]))
    search.adversarial_at(column(0.6, 0.1, 0.8, 0.9))
    stay = search.drop(torch.tensor([False, True, True, False]))
    assert stay.tolist() == [0, 3]
    assert search.rows.tolist() == [0, 3]
    assert torch.equal(search.problem.origins, inputs[[0, 3]])
    assert search.goal.labels.shape == (2,)
    assert entries(search.incumbent.distances) == pytest.approx([0.5, 0.5])
    search.adversarial_at(column(0.1, 0.7))
    assert search.drop(torch.tensor([True, False])).tolist() == [1]
    assert search.rows.tolist() == [3]
    search.adversarial_at(column(0.6))
    result = search.result()
    assert entries(result.adversarials) == pytest.approx([0.6, 0.2, 0.8, 0.6])
    assert entries(result.distances) == pytest.approx([0.5, math.inf, 0.5, 0.2])
    assert result.success.tolist() == [True, False, True, True]


def test_nothing_changes_if_no_sample_is_finished() -> None:
    search = search_on(threshold, column(0.1, 0.2))
    problem, incumbent = search.problem, search.incumbent
    assert search.drop(torch.tensor([False, False])).tolist() == [0, 1]
    assert search.problem is problem
    assert search.incumbent is incumbent


def test_a_single_finished_sample_leaves() -> None:
    search = search_on(threshold, column(0.1))
    assert search.drop(torch.tensor([True])).tolist() == []
    assert len(search.problem.origins) == 0
    assert search.result().success.tolist() == [False]


def test_found_samples_leave() -> None:
    search = search_on(threshold, column(0.1, 0.7, 0.3))
    search.adversarial_at(column(0.6, 0.7, 0.2))
    assert search.drop_found().tolist() == [2]
    assert search.rows.tolist() == [2]
    assert search.drop_found().tolist() == [0]
    result = search.result()
    assert result.success.tolist() == [True, True, False]


def test_a_part_is_a_search_on_some_of_the_samples() -> None:
    search = search_on(threshold, column(0.1, 0.2, 0.3), seed=2)
    search.adversarial_at(column(0.9, 0.9, 0.9))
    part = search.part(torch.tensor([2, 0]))
    assert entries(part.problem.origins) == pytest.approx([0.3, 0.1])
    assert part.rows.tolist() == [0, 1]
    assert part.classes == 2
    assert part.model is search.model
    assert not part.incumbent.distances.isfinite().any()  # it knows nothing of what was found
    part.adversarial_at(column(0.6, 0.7))
    search.absorb(part.result(), torch.tensor([2, 0]))
    assert entries(search.incumbent.distances) == pytest.approx([0.6, 0.7, 0.3])
    whole = search.part()
    assert whole.problem is search.problem
    whole.adversarial_at(column(0.55, 0.2, 0.95))
    search.absorb(whole.result())
    assert entries(search.incumbent.distances) == pytest.approx([0.45, 0.7, 0.3])


def test_absorbing_a_failure_changes_nothing() -> None:
    search = search_on(threshold, column(0.1, 0.7))
    search.adversarial_at(column(0.6, 0.7))
    search.absorb(search.part().result())
    assert entries(search.incumbent.distances) == [0.5, 0]
    none = torch.zeros(0, dtype=torch.int64)
    search.absorb(search.part(none).result(), none)
    assert entries(search.incumbent.distances) == [0.5, 0]


def test_a_part_of_what_is_left_is_absorbed_by_its_place() -> None:
    search = search_on(threshold, column(0.1, 0.7, 0.3, 0.4))
    search.adversarial_at(search.problem.origins)
    search.drop_found()
    rows = torch.tensor([1, 2])
    part = search.part(rows)
    part.adversarial_at(column(0.6, 0.6))
    search.absorb(part.result(), rows)
    assert entries(search.result().distances) == pytest.approx([math.inf, 0, 0.3, 0.2])


def test_random_numbers_of_a_part_do_not_depend_on_the_other_samples() -> None:
    def draws(rows: list[int], used: int) -> list[Tensor]:
        search = search_on(threshold, torch.zeros(5, 8), seed=11)
        first = search.part(torch.tensor([0]))
        for _ in range(used):  # how long other samples take
            search.noise()
            first.noise()
        second = search.part(torch.tensor(rows))
        inner = second.part()
        return [second.noise(), inner.noise(), search.part().noise()]

    expected = draws([1, 2], 0)
    for found in (draws([1, 2], 3), draws([4], 1)):
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert len({float(one[0, 0]) for one in expected}) == 3


def test_parts_of_other_seeds_differ() -> None:
    seeds = {
        search_on(threshold, torch.zeros(1, 2), seed=seed).part().generator.initial_seed()
        for seed in (0, 1, 2**62 - 1)
    }
    assert len(seeds) == 3
    assert all(0 <= seed < 2**62 for seed in seeds)
    assert search_on(threshold, torch.zeros(1, 2)).part().generator.initial_seed() == (
        1442695040888963407
    )
    search = search_on(threshold, torch.zeros(1, 2), seed=1)
    search.part()
    assert search.part().generator.initial_seed() == (
        (6364136223846793005 + 2 * 1442695040888963407) % 2**62
    )


def test_the_order_of_a_part_with_dropped_samples_is_that_of_the_part() -> None:
    search = search_on(threshold, column(0.1, 0.2, 0.3))
    part = search.part(torch.tensor([2, 1, 0]))
    part.adversarial_at(column(0.1, 0.9, 0.1))
    part.drop_found()
    part.adversarial_at(column(0.6, 0.7))
    assert entries(part.result().adversarials) == pytest.approx([0.6, 0.9, 0.7])


def misclassified(settings: dict[str, Any]) -> AttackResult:
    """Attack three inputs off the grid; two are misclassified, one of them off it only.

    The levels are 0, 0.25, 0.5, 0.75 and 1. The first input, 0.6, becomes 0.5, which is correctly
    classified; the second one, 0.65, becomes 0.75.
    """
    search = search_on(threshold, column(0.6, 0.65, 0.1, 0.75), levels=5, **settings)
    search.adversarial_at(search.problem.origins)
    search.adversarial_at(column(1.0, 1.0, 0.75, 1.0))
    return search.result()


def test_inputs_misclassified_from_the_start_are_rounded_if_they_stay_misclassified() -> None:
    result = misclassified({})
    assert entries(result.adversarials) == pytest.approx([0.6, 0.75, 0.75, 0.75])
    assert entries(result.distances) == pytest.approx([0, 0.1, 0.65, 0])
    assert result.success.tolist() == [True] * 4


def test_without_levels_inputs_misclassified_from_the_start_do_not_move() -> None:
    search = search_on(threshold, column(0.6, 0.65))
    search.adversarial_at(search.problem.origins)
    result = search.result()
    assert entries(result.adversarials) == pytest.approx([0.6, 0.65])
    assert result.distances.tolist() == [0, 0]
    assert round_unmoved(threshold, result, search.problem) is result


def test_rounding_asks_the_model_only_about_inputs_that_move() -> None:
    recorded = Recorded(threshold)
    search = search_on(recorded, column(0.6, 0.25, 0.75, 0.65), levels=5)
    search.adversarial_at(search.problem.origins)
    search.result()
    assert entries(recorded.batches[-1]) == [0.5, 0.75]
    recorded.batches.clear()
    search = search_on(recorded, column(0.25, 0.75), levels=5)
    search.adversarial_at(search.problem.origins)
    search.result()
    assert len(recorded.batches) == 1


def test_parts_leave_the_rounding_to_the_whole_search() -> None:
    search = search_on(threshold, column(0.6, 0.65), levels=5)
    for part in (search.part(), search.part(torch.tensor([0, 1]))):
        part.adversarial_at(part.problem.origins)
        result = part.result()
        assert entries(result.adversarials) == pytest.approx([0.6, 0.65])
        assert result.distances.tolist() == [0, 0]
    search.absorb(result)
    assert entries(search.result().adversarials) == pytest.approx([0.6, 0.75])


def test_dropped_samples_are_rounded_too() -> None:
    search = search_on(threshold, column(0.65, 0.1, 0.65), levels=5)
    search.adversarial_at(search.problem.origins)
    search.drop_found()
    search.adversarial_at(column(0.75))
    result = search.result()
    assert entries(result.adversarials) == [0.75] * 3
    assert entries(result.distances) == pytest.approx([0.1, 0.65, 0.1])


def test_rounding_measures_in_the_norm_and_knows_the_label_of_each_sample() -> None:
    inputs = torch.tensor([[0.65, 0.1], [0.35, 0.1], [0.35, 0.1]])
    search = search_on(threshold, inputs, torch.tensor([0, 1, 1]), levels=5, norm="linf")
    search.adversarial_at(inputs)
    assert search.drop_found().tolist() == []
    result = search.result()
    torch.testing.assert_close(
        result.adversarials, torch.tensor([[0.75, 0.0], [0.25, 0.0], [0.25, 0.0]])
    )
    assert entries(result.distances) == pytest.approx([0.1, 0.1, 0.1])


@pytest.mark.parametrize(("radius", "moved"), [(0.09, False), (0.11, True)])
def test_an_input_that_rounding_would_move_outside_the_radius_does_not_move(
    radius: float, moved: bool
) -> None:
    search = search_on(threshold, column(0.65), levels=5, radius_limit=radius)
    search.adversarial_at(search.problem.origins)
    result = search.result()
    assert entries(result.adversarials) == [pytest.approx(0.75 if moved else 0.65)]
    assert entries(result.distances) == [pytest.approx(0.1 if moved else 0)]
    assert result.success.tolist() == [True]
