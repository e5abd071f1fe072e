"""Boxes: bounds of each feature, masks and levels; each function against its definition."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Tensor

from batches import LEVELS, batches, boxed
from minnorm import boxes

INPUTS = torch.tensor([[0.0, 0.25, 0.5], [1.0, 0.75, 0.5]])
LOW = torch.tensor([0.0, -1.0, 0.5])
HIGH = torch.tensor([1.0, math.inf, 0.5])


def numbers(bounds: boxes.Bounds) -> list[Any]:
    return [bound.tolist() if isinstance(bound, Tensor) else bound for bound in bounds]


def test_two_numbers_stay_two_numbers() -> None:
    assert boxes.for_batch((0.0, 1.0), INPUTS) == (0.0, 1.0)
    converted = boxes.for_batch((np.float64(0), np.float32(1)), INPUTS)  # type: ignore[arg-type]
    assert {type(bound) for bound in converted} == {float}
    assert boxes.masked((0.0, 1.0), INPUTS, None) == (0.0, 1.0)
    assert boxes.free((0.0, 1.0)) is None
    assert boxes.part((0.0, 1.0), torch.tensor([0])) == (0.0, 1.0)
    assert boxes.spans((0.0, 3.0), INPUTS) == 3
    assert boxes.spans((0.0, math.inf), INPUTS) == 1


def test_tensors_take_dimensions_and_dtype_of_the_batch() -> None:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.float64)
    low, high = boxes.for_batch((torch.zeros(3, 1, 1), 2.0), images)
    assert isinstance(low, Tensor)
    assert isinstance(high, Tensor)
    assert (low.shape, high.shape) == ((1, 3, 1, 1), (1, 1, 1, 1))
    assert low.dtype == high.dtype == torch.float64


def test_a_mask_makes_the_value_of_a_feature_both_of_its_bounds() -> None:
    mask = torch.tensor([True, False, True])
    found = boxes.masked((-1.0, 2.0), INPUTS, mask)
    assert numbers(found) == [
        [[-1, 0.25, -1], [-1, 0.75, -1]],
        [[2, 0.25, 2], [2, 0.75, 2]],
    ]
    free = boxes.free(found)
    assert free is not None
    assert free.tolist() == 2 * [[True, False, True]]
    free = boxes.free(boxes.for_batch((LOW, HIGH), INPUTS))
    assert free is not None
    assert free.tolist() == [[True, True, False]]


def test_a_part_of_the_samples_has_its_own_bounds() -> None:
    low, high = boxes.part((INPUTS, INPUTS[:1]), torch.tensor([1, 1]))
    assert isinstance(low, Tensor)
    assert low.tolist() == 2 * [INPUTS[1].tolist()]
    assert numbers((low, high))[1] == [INPUTS[0].tolist()]


def test_lengths_follow_the_features_of_each_sample_that_can_change() -> None:
    low = torch.tensor([[0.0, 0.0], [0.0, 5.0], [1.0, 5.0], [0.0, -math.inf]])
    high = torch.tensor([[3.0, 2.0], [4.0, 5.0], [1.0, 5.0], [4.0, 1.0]])
    inputs = torch.zeros(4, 2)
    spans, largest = boxes.spans((low, high), inputs), boxes.largest((low, high), inputs)
    assert isinstance(spans, Tensor)
    assert isinstance(largest, Tensor)
    assert spans.tolist() == [3, 4, 1, 1]
    assert largest.tolist() == [3, 4, 0, 4]
    shared = boxes.spans((low[:1], high[:1]), inputs)
    assert isinstance(shared, Tensor)
    assert shared.tolist() == 4 * [3]


def test_levels_lie_between_the_bounds_of_each_feature() -> None:
    low, high = torch.tensor([[0.0, 10.0, 0.3]]), torch.tensor([[1.0, 20.0, 0.3]])
    values = torch.tensor([[0.3, 13.0, 0.3], [0.8, 17.6, 0.3]])
    expected = torch.tensor([[0.25, 12.5, 0.3], [0.75, 17.5, 0.3]])
    assert torch.equal(boxes.quantize(values, 5, (low, high)), expected)
    one = boxes.quantize(values[:, :1], 5, (0.0, 1.0))
    assert torch.equal(boxes.quantize(values, 5, (low, high))[:, :1], one)
    assert boxes.quantize(values, None, (low, high)) is values


def test_the_middle_of_a_box_leaves_features_that_cannot_change() -> None:
    box = boxes.masked((0.0, 4.0), INPUTS, torch.tensor([True, False, True]))
    assert boxes.middle(box, INPUTS).tolist() == [[2, 0.25, 2], [2, 0.75, 2]]
    assert boxes.middle((1.0, 4.0), INPUTS).tolist() == 2 * [3 * [2.5]]


def test_common_bounds_hold_for_every_sample() -> None:
    assert numbers(boxes.common((INPUTS, INPUTS + 1))) == [[[0, 0.25, 0.5]], [[2, 1.75, 1.5]]]
    assert boxes.common((0.0, 1.0)) == (0.0, 1.0)


def test_copies_of_bounds_do_not_share_memory() -> None:
    low, high = boxes.copied((LOW, 2.0))
    assert isinstance(low, Tensor)
    assert torch.equal(low, LOW)
    assert low.data_ptr() != LOW.data_ptr()
    assert high == 2


def test_checksums_tell_shapes_and_values_apart() -> None:
    mask = torch.arange(20) % 4 == 0
    masks = [mask, ~mask, mask.view(4, 5), mask[:10]]
    assert len({boxes.fingerprint(one) for one in masks}) == 4
    assert boxes.fingerprint(mask) == boxes.fingerprint(mask.clone())
    assert boxes.fingerprint(LOW, HIGH) != boxes.fingerprint(HIGH, LOW)


@given(batches())
def test_rows_are_the_samples(values: Tensor) -> None:
    expected = values.numpy().reshape(len(values), math.prod(values.shape[1:]))
    assert np.array_equal(boxes.rows(values).numpy(), expected)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((0.0, 1.0), 1.0),
        ((-1.0, 3.0), 4.0),
        ((0.0, math.inf), 1.0),
        ((-math.inf, math.inf), 1.0),
    ],
)
def test_the_span_is_one_where_a_bound_is_infinite(bounds: boxes.Interval, expected: float) -> None:
    assert boxes.span(bounds) == expected


@given(boxed(), LEVELS)
def test_quantize_returns_the_nearest_value_of_the_grid(
    problem: tuple[Tensor, boxes.Interval], levels: int
) -> None:
    inputs, (low, high) = problem
    grid = torch.linspace(low, high, levels, dtype=torch.float64)
    result = boxes.rows(boxes.quantize(inputs, levels, (low, high))).double()
    for sample, quantized in zip(boxes.rows(inputs).double(), result, strict=True):
        tolerance = 1e-6 * (high - low)
        off_grid = (quantized[:, None] - grid).abs().amin(1)
        assert (off_grid < tolerance).all()
        nearest = (sample[:, None] - grid).abs().amin(1)
        assert ((quantized - sample).abs() < nearest + tolerance).all()


@given(boxed(), LEVELS)
def test_quantize_again_changes_nothing(
    problem: tuple[Tensor, boxes.Interval], levels: int
) -> None:
    inputs, bounds = problem
    once = boxes.quantize(inputs, levels, bounds)
    assert torch.equal(boxes.quantize(once, levels, bounds), once)


@given(boxed(), LEVELS)
def test_quantize_stays_inside_the_bounds(
    problem: tuple[Tensor, boxes.Interval], levels: int
) -> None:
    inputs, (low, high) = problem
    result = boxes.quantize(inputs, levels, (low, high))
    assert torch.equal(result, result.clamp(low, high))


def test_quantize_moves_what_is_outside_the_bounds_to_the_nearest_bound() -> None:
    found = boxes.quantize(torch.tensor([-0.7, 1.9]), 5, (0.0, 1.0))
    assert found.tolist() == [0, 1]


def test_quantize_keeps_8_bit_images_bit_by_bit() -> None:
    images = torch.arange(256, dtype=torch.uint8).to(torch.float32)[None] / 255
    assert torch.equal(boxes.quantize(images, 256, (0.0, 1.0)), images)


def test_without_levels_nothing_is_rounded() -> None:
    inputs = torch.tensor([0.123, 7.0])
    assert boxes.quantize(inputs, None, (0.0, 1.0)) is inputs


def test_quantize_leaves_its_input_alone() -> None:
    inputs = torch.tensor([0.3, 0.6])
    boxes.quantize(inputs, 2, (0.0, 1.0))
    assert torch.equal(inputs, torch.tensor([0.3, 0.6]))


def test_the_range_of_bounds_keeps_every_digit_of_numbers() -> None:
    assert boxes.interval((-0.1, 1.1)) == (-0.1, 1.1)
    assert boxes.interval((torch.tensor([-2.0, 0.5]), 1.1)) == (-2.0, 1.1)
