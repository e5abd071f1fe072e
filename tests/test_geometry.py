"""Geometry: each function against its definition, on shapes of every kind."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from minnorm.geometry import (
    NORM_ORDERS,
    Bounds,
    Norm,
    distances,
    farthest_corner,
    in_unit_ball,
    inner_radii,
    norms,
    on_sphere,
    onto_ball,
    per_sample,
    quantize,
    rows,
    span,
    to_halfspace,
    unit,
)

ALL_NORMS: tuple[Norm, ...] = ("l0", "l1", "l2", "linf")
SHAPES = st.sampled_from([(), (1,), (7,), (2, 3), (1, 4, 4), (2, 3, 2, 2)])


@st.composite
def batches(
    draw: st.DrawFn, dtype: torch.dtype = torch.float64, exponents: tuple[int, int] = (-3, 3)
) -> Tensor:
    """Draws a batch [b *d] of 0 to 4 samples, some of their entries zero, of any magnitude."""
    shape = (draw(st.integers(0, 4)), *draw(SHAPES))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    zeros = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.3]))
    scaled = values.masked_fill(zeros, 0) * 10.0 ** draw(st.integers(*exponents))
    return scaled.to(dtype)


BOXES = st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.1, 0.9), (-2.1, 2.6)])


@st.composite
def boxed(draw: st.DrawFn) -> tuple[Tensor, Bounds]:
    """Draws a batch [b *d] in float32 and the bounds in which it lies."""
    low, high = draw(BOXES)
    shape = (draw(st.integers(0, 4)), *draw(SHAPES))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    inputs = torch.rand(shape, generator=generator) * 1.2 - 0.1
    return (low + (high - low) * inputs).clamp(low, high), (low, high)


@given(batches())
def test_rows_are_the_samples(values: Tensor) -> None:
    expected = values.numpy().reshape(len(values), math.prod(values.shape[1:]))
    assert np.array_equal(rows(values).numpy(), expected)


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


@given(batches(), st.sampled_from(ALL_NORMS), st.floats(-5, 5))
def test_distances_are_norms_of_differences(values: Tensor, norm: Norm, shift: float) -> None:
    origins = values.flip(0) + shift
    assert torch.equal(distances(values, origins, norm), norms(values - origins, norm))
    assert torch.equal(distances(values, values, norm), torch.zeros(len(values)).double())


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


@given(batches(), st.just(0.0) | st.floats(1e-6, 100))
def test_on_sphere_has_the_radius_and_the_direction(values: Tensor, radius: float) -> None:
    radii = torch.linspace(0, radius, len(values), dtype=values.dtype)
    result = on_sphere(values, radii)
    lengths = norms(values)
    expected = torch.where(lengths > 0, radii, 0)
    torch.testing.assert_close(norms(result), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        result * per_sample(lengths, values),
        values * per_sample(radii, values),
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.parametrize("size", [1e-15, 1e-30, 1e30])
def test_on_sphere_has_the_radius_for_perturbations_of_any_size(size: float) -> None:
    result = on_sphere(torch.full((1, 4), size), torch.tensor([2.0]))
    torch.testing.assert_close(result, torch.ones(1, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [0.0, 1.0, 10.0, 1e4])
def test_on_sphere_leaves_a_perturbation_of_zero_at_zero(radius: float, dtype: torch.dtype) -> None:
    result = on_sphere(torch.zeros(1, 3, dtype=dtype), torch.tensor([radius]))
    assert result.tolist() == [[0, 0, 0]]


def test_on_sphere_keeps_the_dtype_of_the_perturbations() -> None:
    values = torch.tensor([[3.0, 4.0]], dtype=torch.float16)
    result = on_sphere(values, torch.tensor([10.0]))
    assert result.dtype == torch.float16
    assert result.tolist() == [[6, 8]]


@given(boxed())
def test_the_farthest_corner_is_the_farthest_of_all_corners(problem: tuple[Tensor, Bounds]) -> None:
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
    ("bounds", "expected"),
    [
        ((0.0, 1.0), 1.0),
        ((-1.0, 3.0), 4.0),
        ((0.0, math.inf), 1.0),
        ((-math.inf, math.inf), 1.0),
    ],
)
def test_the_span_is_one_where_a_bound_is_infinite(bounds: Bounds, expected: float) -> None:
    assert span(bounds) == expected


LEVELS = st.sampled_from([2, 3, 16, 256])


@given(boxed(), LEVELS)
def test_quantize_gives_the_nearest_value_of_the_grid(
    problem: tuple[Tensor, Bounds], levels: int
) -> None:
    inputs, (low, high) = problem
    grid = torch.linspace(low, high, levels, dtype=torch.float64)
    result = rows(quantize(inputs, levels, (low, high))).double()
    for sample, quantized in zip(rows(inputs).double(), result, strict=True):
        tolerance = 1e-6 * (high - low)
        off_grid = (quantized[:, None] - grid).abs().amin(1)
        assert (off_grid < tolerance).all()
        nearest = (sample[:, None] - grid).abs().amin(1)
        assert ((quantized - sample).abs() < nearest + tolerance).all()


@given(boxed(), LEVELS)
def test_quantize_again_changes_nothing(problem: tuple[Tensor, Bounds], levels: int) -> None:
    inputs, bounds = problem
    once = quantize(inputs, levels, bounds)
    assert torch.equal(quantize(once, levels, bounds), once)


@given(boxed(), LEVELS)
def test_quantize_stays_inside_the_bounds(problem: tuple[Tensor, Bounds], levels: int) -> None:
    inputs, (low, high) = problem
    result = quantize(inputs, levels, (low, high))
    assert torch.equal(result, result.clamp(low, high))


def test_quantize_keeps_8_bit_images_bit_by_bit() -> None:
    images = torch.arange(256, dtype=torch.uint8).to(torch.float32)[None] / 255
    assert torch.equal(quantize(images, 256, (0.0, 1.0)), images)


def test_quantize_leaves_its_input_alone() -> None:
    inputs = torch.tensor([0.3, 0.6])
    quantize(inputs, 2, (0.0, 1.0))
    assert torch.equal(inputs, torch.tensor([0.3, 0.6]))


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_points_in_the_unit_ball_are_uniform(norm: Norm) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, 3, generator=generator)
    shares = torch.rand(20_000, generator=generator)
    lengths = norms(in_unit_ball(noise, shares, norm), norm)
    assert lengths.max() <= 1 + 1e-6
    # A ball of a radius r holds the share r^3 of the volume.
    for radius in (0.3, 0.6, 0.9):
        assert float((lengths <= radius).float().mean()) == pytest.approx(radius**3, abs=0.01)


def test_to_halfspace_is_finite_where_the_box_cannot_hold_the_rise() -> None:
    steps = to_halfspace(
        torch.full((1, 4), 0.5),
        torch.tensor([[1.0, 1e-20, 0.0, 0.5]]),
        torch.tensor([10.0]),
        (0.0, 1.0),
    )
    assert torch.equal(steps, torch.tensor([[0.5, 0.5, 0.0, 0.5]]))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_points_at_an_inner_radius_are_within_the_radius(dtype: torch.dtype, norm: Norm) -> None:
    generator = torch.Generator().manual_seed(0)
    origins = torch.rand(50, 3, 16, 16, generator=generator).to(dtype)
    noise = torch.randn(50, 3, 16, 16, generator=generator).to(dtype)
    inner = inner_radii(0.5, origins, (-2.0, 2.0), norm)
    assert (inner >= 0.25).all()
    moves = onto_ball(noise.sign() if norm == "linf" else noise, inner, norm)
    assert (distances(origins + moves, origins, norm) <= 0.5).all()
    assert dtype != torch.float32 or (inner > 0.4999).all()
