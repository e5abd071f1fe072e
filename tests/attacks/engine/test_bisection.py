"""Bisection between inputs and adversarials."""

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import search_on, threshold
from attacks.networks import Recorded
from minnorm.attacks.engine.bisection import bisect


def column(*entries: float, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(entries, dtype=dtype).unsqueeze(1)


def test_each_bisection_halves_the_interval_with_the_boundary() -> None:
    recorded = Recorded(threshold)
    search = search_on(recorded, column(0.0, 0.25, 0.0))
    search.adversarial_at(column(1.0, 0.75, 0.625))
    recorded.batches.clear()
    bisect(search, 3)
    asked = [batch.flatten().tolist() for batch in recorded.batches]
    assert asked == [
        [0.5, 0.5, 0.3125],
        [0.75, 0.625, 0.46875],
        [0.625, 0.5625, 0.546875],
    ]
    assert search.incumbent.distances.tolist() == [0.625, 0.3125, 0.546875]


def test_many_bisections_end_at_the_boundary() -> None:
    search = search_on(threshold, column(0.1, 0.3))
    search.adversarial_at(column(1.0, 0.8))
    bisect(search, 100)
    assert search.incumbent.distances.tolist() == pytest.approx([0.4, 0.2], rel=2e-3)


@pytest.mark.parametrize(
    ("dtype", "most"), [(torch.float64, 41), (torch.float32, 12), (torch.bfloat16, 12)]
)
def test_it_stops_where_rounding_would_decide(dtype: torch.dtype, most: int) -> None:
    for bisections in (most - 1, most, most + 1, 1000):
        recorded = Recorded(threshold)
        search = search_on(recorded, column(0.0, dtype=dtype))
        bisect(search, bisections, column(1.0, dtype=dtype))
        assert len(recorded.batches) == min(bisections, most)


def test_samples_without_an_adversarial_or_misclassified_ones_do_not_change() -> None:
    search = search_on(threshold, column(0.1, 0.7))
    search.adversarial_at(column(0.2, 0.7))
    bisect(search, 5)
    result = search.result()
    assert result.success.tolist() == [False, True]
    assert torch.equal(result.adversarials, column(0.1, 0.7))


def test_the_ends_may_be_given() -> None:
    recorded = Recorded(threshold)
    search = search_on(recorded, column(0.0))
    search.adversarial_at(column(0.75))
    bisect(search, 1, column(1.0))
    assert recorded.batches[-1].tolist() == [[0.5]]


def test_without_bisections_the_model_is_not_evaluated() -> None:
    recorded = Recorded(threshold)
    bisect(search_on(recorded, column(0.0)), 0)
    assert recorded.batches == []


def test_points_are_on_the_levels() -> None:
    recorded = Recorded(threshold)
    search = search_on(recorded, column(0.0), levels=5)
    search.adversarial_at(column(1.0))
    bisect(search, 4)
    assert {float(batch) for batch in recorded.batches} <= {0, 0.25, 0.5, 0.75, 1}
    assert search.incumbent.distances.tolist() == [0.75]


def test_whole_images_are_bisected_by_one_number_each() -> None:
    inputs = torch.zeros(2, 1, 2, 2)
    search = search_on(threshold, inputs)
    ends = torch.stack([torch.ones(1, 2, 2), torch.full((1, 2, 2), 0.75)])
    bisect(search, 8, ends)
    found = search.result().adversarials
    assert torch.equal(found, found[:, :, :1, :1].expand_as(found))
    assert search.incumbent.distances.tolist() == pytest.approx([1, 1], abs=0.01)
