"""The incumbent: which of the points that were offered it keeps, and its result."""

import math

import pytest
import torch
from torch import Tensor

from minnorm.attacks.engine.incumbent import Incumbent
from minnorm.geometry import Norm

YES, NO = torch.tensor([True]), torch.tensor([False])


def at(*entries: float) -> Tensor:
    return torch.tensor([entries])


def test_without_an_offer_it_is_the_inputs_at_an_infinite_distance() -> None:
    origins = torch.rand(2, 3)
    result = Incumbent(origins).result()
    assert torch.equal(result.adversarials, origins)
    assert result.adversarials.data_ptr() != origins.data_ptr()
    assert result.distances.tolist() == [math.inf, math.inf]
    assert result.success.tolist() == [False, False]


@pytest.mark.parametrize(
    ("norm", "distance"), [("l0", 2.0), ("l1", 0.7), ("l2", 0.5), ("linf", 0.4)]
)
def test_it_measures_in_its_norm(norm: Norm, distance: float) -> None:
    incumbent = Incumbent(at(0.0, 1.0, 0.5), norm)
    incumbent.offer(at(0.3, 0.6, 0.5), YES)
    result = incumbent.result()
    assert result.distances.tolist() == pytest.approx([distance])
    assert result.success.tolist() == [True]
    torch.testing.assert_close(result.adversarials, at(0.3, 0.6, 0.5))


def test_each_sample_keeps_its_closest_adversarial() -> None:
    incumbent = Incumbent(torch.zeros(3, 1))
    incumbent.offer(torch.tensor([[3.0], [1.0], [2.0]]), torch.tensor([True, True, False]))
    incumbent.offer(torch.tensor([[2.0], [2.0], [-4.0]]), torch.tensor([True, True, True]))
    incumbent.offer(torch.tensor([[1.0], [0.5], [1.0]]), torch.tensor([False, False, False]))
    assert incumbent.points.tolist() == [[2], [1], [-4]]
    assert incumbent.distances.tolist() == [2, 1, 4]


def test_of_points_on_one_sphere_the_first_one_stays() -> None:
    eps = torch.finfo(torch.float32).eps
    incumbent = Incumbent(at(0.0, 0.0))
    incumbent.offer(at(1.0, 0.0), YES)
    incumbent.offer(at(0.0, 1.0), YES)
    incumbent.offer(at(0.0, 1 - 7 * eps), YES)
    assert incumbent.points.tolist() == [[1, 0]]
    incumbent.offer(at(0.0, 1 - 9 * eps), YES)
    assert incumbent.points.tolist() == [[0, 1 - 9 * eps]]


def test_in_half_precision_it_measures_in_float32() -> None:
    incumbent = Incumbent(torch.zeros(1, 300, dtype=torch.float16))
    incumbent.offer(torch.full((1, 300), 0.1, dtype=torch.float16), YES)
    assert incumbent.distances.dtype == torch.float32
    assert incumbent.distances.item() == pytest.approx(math.sqrt(3), rel=1e-3)
    closer = torch.full((1, 300), 0.1, dtype=torch.float16)
    closer[0, :10] = 0.099
    incumbent.offer(closer, YES)
    assert torch.equal(incumbent.points, closer)


def test_points_beyond_the_limit_do_not_count() -> None:
    incumbent = Incumbent(torch.zeros(3, 1), limit=0.5)
    incumbent.offer(torch.tensor([[0.5], [0.500001], [math.nan]]), torch.tensor([True] * 3))
    result = incumbent.result()
    assert result.success.tolist() == [True, False, False]
    assert result.adversarials.tolist() == [[0.5], [0], [0]]


def test_a_point_at_an_infinite_distance_does_not_count() -> None:
    incumbent = Incumbent(at(0.25))
    incumbent.offer(at(math.inf), YES)
    result = incumbent.result()
    assert result.adversarials.tolist() == [[0.25]]
    assert result.success.tolist() == [False]


def test_an_uncertain_point_ranks_one_and_a_half_times_farther() -> None:
    incumbent = Incumbent(at(0.0))
    incumbent.offer(at(1.0), YES, certain=NO)
    assert incumbent.distances.tolist() == [1]
    incumbent.offer(at(1.6), YES, certain=YES)
    assert incumbent.points.tolist() == [[1]]
    incumbent.offer(at(1.4), YES, certain=YES)
    assert incumbent.points.tolist() == [[pytest.approx(1.4)]]
    assert incumbent.distances.tolist() == [pytest.approx(1.4)]
    incumbent.offer(at(0.95), YES, certain=NO)  # ranks at 1.425
    assert incumbent.points.tolist() == [[pytest.approx(1.4)]]
    incumbent.offer(at(0.9), YES, certain=NO)  # ranks at 1.35
    assert incumbent.points.tolist() == [[pytest.approx(0.9)]]
    assert incumbent.distances.tolist() == [pytest.approx(0.9)]


def test_an_uncertain_point_counts_up_to_the_limit_by_its_own_distance() -> None:
    incumbent = Incumbent(at(0.0), limit=1.0)
    incumbent.offer(at(0.9), YES, certain=NO)
    assert incumbent.distances.tolist() == [pytest.approx(0.9)]


def test_an_input_that_is_adversarial_itself_stays_even_if_uncertain() -> None:
    incumbent = Incumbent(at(0.25))
    incumbent.offer(at(0.25), YES, certain=NO)
    incumbent.offer(at(0.3), YES, certain=YES)
    result = incumbent.result()
    assert result.distances.tolist() == [0]
    assert result.adversarials.tolist() == [[0.25]]


def test_points_of_some_of_the_samples_are_offered_by_rows() -> None:
    incumbent = Incumbent(torch.zeros(4, 1))
    rows = torch.tensor([3, 1])
    points = torch.tensor([[2.0], [1.0]])
    incumbent.offer(points, torch.tensor([True, True]), torch.tensor([True, False]), rows)
    assert incumbent.distances.tolist() == [math.inf, 1, math.inf, 2]
    assert incumbent.points.tolist() == [[0], [1], [0], [2]]
    # That of sample 1 was uncertain, that of sample 3 was not.
    again = torch.tensor([[2.5], [1.25]])
    incumbent.offer(again, torch.tensor([True, True]), rows=rows)
    assert incumbent.distances.tolist() == [math.inf, 1.25, math.inf, 2]
    incumbent.offer(torch.tensor([[0.1]]), NO, rows=torch.tensor([0]))
    assert incumbent.distances.tolist() == [math.inf, 1.25, math.inf, 2]


def test_a_part_keeps_what_was_found_its_norm_and_its_limit() -> None:
    incumbent = Incumbent(torch.zeros(3, 2), "linf", limit=1.0)
    points = torch.tensor([[0.1, 0.1], [0.4, 0.2], [0.3, 0.3]])
    certain = torch.tensor([True, False, True])
    incumbent.offer(points, torch.tensor([True, True, False]), certain)
    part = incumbent.part(torch.tensor([2, 1]))
    assert part.distances.tolist() == [math.inf, pytest.approx(0.4)]
    torch.testing.assert_close(part.points, torch.tensor([[0.0, 0.0], [0.4, 0.2]]))
    assert part.origins.shape == (2, 2)
    # Its second sample is uncertain: the rank goes with it.
    part.offer(torch.tensor([[1.1, 0.0], [0.5, 0.5]]), torch.tensor([True, True]))
    assert part.distances.tolist() == [math.inf, 0.5]
    assert incumbent.distances.tolist() == pytest.approx([0.1, 0.4, math.inf])


def test_a_part_without_anything_found_has_its_own_inputs() -> None:
    origins = torch.tensor([[1.0], [2.0], [3.0]])
    result = Incumbent(origins).part(torch.tensor([2, 0])).result()
    assert result.adversarials.tolist() == [[3], [1]]
    assert result.success.tolist() == [False, False]


def test_samples_may_have_no_dimensions() -> None:
    incumbent = Incumbent(torch.tensor([0.5, 0.25]))
    incumbent.offer(torch.tensor([0.75, 0.0]), torch.tensor([True, False]))
    assert incumbent.points.tolist() == [0.75, 0.25]
