"""Geometry of norms, directions and boxes: each function against its definition."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from batches import ALL_NORMS, batches, boxed
from minnorm.boxes import Interval, rows
from minnorm.geometry import (
    NORM_ORDERS,
    Norm,
    distances,
    dot,
    farthest_corner,
    has_direction,
    norm_of_word,
    norms,
    per_sample,
    unit,
)


@given(batches())
def test_per_sample_values_broadcast_over_their_sample(values: Tensor) -> None:
    numbers = torch.arange(len(values), dtype=values.dtype)
    spread = (torch.zeros_like(values) + per_sample(numbers, values)).numpy()
    for number, sample in enumerate(spread):
        assert (sample == number).all()


@given(batches(), st.sampled_from(ALL_NORMS))
def test_norms_are_those_of_numpy(values: Tensor, norm: Norm) -> None:
    expected = [np.linalg.norm(sample.ravel(), NORM_ORDERS[norm]) for sample in values.numpy()]
    assert norms(values, norm).shape == (len(values),)
    np.testing.assert_allclose(norms(values, norm).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("norm", ALL_NORMS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_norms_and_distances_of_half_precision_are_in_float32(
    dtype: torch.dtype, norm: Norm
) -> None:
    values = torch.rand(2, 3000, dtype=torch.float32).to(dtype)
    expected = norms(values.double(), norm)
    for found in (norms(values, norm), distances(values, torch.zeros_like(values), norm)):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=0)


def test_distances_of_half_precision_are_differences_in_float32() -> None:
    points = torch.tensor([[1.0], [2.0]], dtype=torch.bfloat16)
    origins = torch.tensor([[2**-12], [-(2**-12)]], dtype=torch.bfloat16)
    assert distances(points, origins).tolist() == [1 - 2**-12, 2 + 2**-12]


@given(batches(), st.sampled_from(ALL_NORMS), st.floats(-5, 5))
def test_distances_are_norms_of_differences(values: Tensor, norm: Norm, shift: float) -> None:
    origins = values.flip(0) + shift
    assert torch.equal(distances(values, origins, norm), norms(values - origins, norm))
    assert torch.equal(distances(values, values, norm), torch.zeros(len(values)).double())


@given(batches())
def test_dot_is_the_sum_of_the_products(values: Tensor) -> None:
    others = values.flip(0) + 0.5
    expected = [
        float(np.sum(one * other))
        for one, other in zip(values.numpy(), others.numpy(), strict=True)
    ]
    assert dot(values, others).dtype == torch.float64
    np.testing.assert_allclose(dot(values, others).numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dot_sums_in_float32_at_least(dtype: torch.dtype) -> None:
    # Half precision cannot hold 4,099, and a sum in half precision would stop at 2,048 or 256.
    ones = torch.ones(2, 4099, dtype=dtype)
    found = dot(ones, ones)
    assert found.dtype == torch.float32
    assert found.tolist() == [4099, 4099]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_sample_has_a_direction_if_it_is_finite_and_not_zero(dtype: torch.dtype) -> None:
    values = torch.zeros(6, 2, 2, dtype=dtype)
    special = [0.0, math.nan, math.inf, -math.inf, 6e-8, -1.0]  # 6e-8: the smallest of float16
    values[:, 1, 0] = torch.tensor(special)
    values[1:4, 0, 0] = 1.0
    assert has_direction(values).tolist() == [False, False, False, False, True, True]


def test_each_sample_has_a_direction_of_its_own() -> None:
    sizes = torch.tensor([1e-30, 1e30])  # the squares of which underflow and overflow
    assert has_direction(sizes.unsqueeze(1).expand(2, 3)).tolist() == [True, True]
    assert has_direction(torch.tensor([0.0, -3.0, math.nan])).tolist() == [False, True, False]
    assert has_direction(torch.zeros(0, 3)).shape == (0,)


@given(batches(torch.float32, exponents=(-37, 37)))
def test_unit_has_norm_one_and_the_same_direction(values: Tensor) -> None:
    fallback = torch.ones(values.shape[1:])
    result = unit(values, fallback)
    torch.testing.assert_close(norms(result), torch.ones(len(values)), rtol=1e-5, atol=0)
    for sample, scaled in zip(rows(values.double()), rows(result.double()), strict=True):
        expected = sample / sample.norm() if sample.any() else torch.ones_like(sample)
        torch.testing.assert_close(scaled, expected / expected.norm(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_unit_of_a_sample_without_direction_is_the_fallback(
    value: float, dtype: torch.dtype
) -> None:
    values = torch.zeros(2, 2, 2, dtype=dtype)
    values[0, 0, 1] = value
    values[1] = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    fallback = torch.tensor([[0.0, -2.0], [0.0, 0.0]], dtype=dtype)
    expected = torch.tensor([[[0, -1], [0, 0]], [[0.6, 0], [0, 0.8]]], dtype=dtype)
    torch.testing.assert_close(unit(values, fallback), expected)


def test_unit_of_samples_without_dimensions_is_the_sign() -> None:
    values = torch.tensor([-3.0, 1e-30, 0.0, math.nan])
    assert unit(values, torch.tensor(-2.0)).tolist() == [-1, 1, -1, -1]


@pytest.mark.parametrize("size", [1e-30, 1e-44, 1e30, 3e38])
def test_unit_keeps_the_direction_of_gradients_whose_squares_underflow_or_overflow(
    size: float,
) -> None:
    values = torch.tensor([[size, 0.0, -size, 0.0]])
    expected = torch.tensor([[0.5**0.5, 0.0, -(0.5**0.5), 0.0]])
    torch.testing.assert_close(unit(values, torch.ones(4)), expected)


@given(boxed())
def test_the_farthest_corner_is_the_farthest_of_all_corners(
    problem: tuple[Tensor, Interval],
) -> None:
    inputs, bounds = problem
    samples = rows(inputs)
    assume(samples.shape[1] <= 7)
    corners = torch.tensor(list(itertools.product(bounds, repeat=samples.shape[1])))
    expected = torch.cdist(samples.double(), corners.double()).amax(1)
    torch.testing.assert_close(farthest_corner(inputs, bounds), expected.float())


def test_the_farthest_corner_of_an_unbounded_box_is_infinitely_far() -> None:
    inputs = torch.zeros(2, 3)
    assert farthest_corner(inputs, (0.0, math.inf)).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize(
    ("words", "norm"),
    [
        (["l2", "L2", "l_2", "L-2", "2", 2, 2.0, np.float32(2)], "l2"),
        (["linf", "Linf", "L_inf", "inf", "np.inf", "infinity", "L∞", math.inf, np.inf], "linf"),
        (["l1", "L1", 1], "l1"),
        (["l0", "L0", 0], "l0"),
        (["l3", "3", 3, 10**400, "", "l", None, True, math.nan, [2], "linfl2"], None),
    ],
)
def test_a_norm_may_be_written_in_many_ways(words: list[object], norm: str | None) -> None:
    assert [norm_of_word(word) for word in words] == [norm] * len(words)
