"""Geometry: each function against its definition, on shapes of every kind."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from minnorm.errors import InputError
from minnorm.geometry import (
    NORM_ORDERS,
    Bounds,
    Norm,
    check_ball,
    check_norm,
    distances,
    dot,
    dual_norms,
    farthest_corner,
    has_direction,
    inner_radii,
    norms,
    per_sample,
    project_onto_ball,
    quantize,
    rounding,
    rows,
    scale_to_norm,
    span,
    steepest,
    to_halfspace,
    uniform_in_unit_ball,
    unit,
)
from reference.linear import distance_to_halfspace

ALL_NORMS: tuple[Norm, ...] = ("l0", "l1", "l2", "linf")
BALL_NORMS = st.sampled_from(["l2", "linf"])
SHAPES = st.sampled_from([(), (1,), (7,), (2, 3), (1, 4, 4), (2, 3, 2, 2)])


@st.composite
def batches(
    draw: st.DrawFn, dtype: torch.dtype = torch.float64, exponents: tuple[int, int] = (-3, 3)
) -> Tensor:
    """Draw a batch [b *d] of 0 to 4 samples, some of their entries zero, of any magnitude."""
    shape = (draw(st.integers(0, 4)), *draw(SHAPES))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    zeros = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.3]))
    scaled = values.masked_fill(zeros, 0) * 10.0 ** draw(st.integers(*exponents))
    return scaled.to(dtype)


BOXES = st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.1, 0.9), (-2.1, 2.6)])


@st.composite
def boxed(draw: st.DrawFn) -> tuple[Tensor, Bounds]:
    """Draw a batch [b *d] in float32 and the bounds in which it lies."""
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


@given(batches(), st.just(0.0) | st.floats(1e-6, 100))
def test_scale_to_norm_sets_the_length_and_keeps_the_direction(
    values: Tensor, radius: float
) -> None:
    radii = torch.linspace(0, radius, len(values), dtype=values.dtype)
    result = scale_to_norm(values, radii)
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
def test_scale_to_norm_works_for_perturbations_of_any_size(size: float) -> None:
    result = scale_to_norm(torch.full((1, 4), size), torch.tensor([2.0]))
    torch.testing.assert_close(result, torch.ones(1, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [0.0, 1.0, 10.0, 1e4])
def test_scale_to_norm_leaves_zero_at_zero(radius: float, dtype: torch.dtype) -> None:
    result = scale_to_norm(torch.zeros(1, 3, dtype=dtype), torch.tensor([radius]))
    assert result.tolist() == [[0, 0, 0]]


def test_scale_to_norm_keeps_the_dtype_of_the_perturbations() -> None:
    values = torch.tensor([[3.0, 4.0]], dtype=torch.float16)
    result = scale_to_norm(values, torch.tensor([10.0]))
    assert result.dtype == torch.float16
    assert result.tolist() == [[6, 8]]


@given(batches(torch.float32), BALL_NORMS)
def test_steepest_has_norm_one_and_grows_as_fast_as_the_dual_norm(
    gradients: Tensor, norm: Norm
) -> None:
    gradients = gradients[has_direction(gradients)]
    steps = steepest(gradients, torch.zeros(gradients.shape[1:]), norm)
    torch.testing.assert_close(norms(steps, norm), torch.ones(len(steps)))
    growth = dot(steps.double(), gradients.double()).float()
    torch.testing.assert_close(growth, dual_norms(gradients, norm))


def test_steepest_is_the_scaled_gradient_or_its_sign() -> None:
    gradients = torch.tensor([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0], [0.0, math.nan, 1.0]])
    fallback = torch.tensor([0.0, 5.0, -12.0])
    expected = torch.tensor([[3 / 5, -4 / 5, 0], [0, 5 / 13, -12 / 13], [0, 5 / 13, -12 / 13]])
    torch.testing.assert_close(steepest(gradients, fallback, "l2"), expected)
    torch.testing.assert_close(steepest(gradients, fallback, "linf"), expected.sign())


@given(batches(), BALL_NORMS)
def test_dual_norms_are_the_norms_of_the_dual_space(values: Tensor, norm: Norm) -> None:
    order = 2 if norm == "l2" else 1
    expected = [np.linalg.norm(sample.ravel(), order) for sample in values.numpy()]
    np.testing.assert_allclose(dual_norms(values, norm).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-30, 1e30])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_dual_norms_of_tiny_and_huge_gradients_are_exact(norm: Norm, size: float) -> None:
    values = torch.tensor([[3 * size, -4 * size], [0.0, 0.0]])
    expected = (5 if norm == "l2" else 7) * size
    torch.testing.assert_close(
        dual_norms(values, norm), torch.tensor([expected, 0.0]), atol=0, rtol=1e-6
    )


@given(batches(), st.floats(1e-6, 100), BALL_NORMS)
def test_project_onto_ball_is_the_nearest_point_of_the_ball(
    values: Tensor, radius: float, norm: Norm
) -> None:
    radii = torch.linspace(radius, radius / 2, len(values), dtype=values.dtype)
    result = project_onto_ball(values, radii, norm)
    lengths = norms(values, norm)
    inside = lengths <= radii
    assert torch.equal(result[inside], values[inside])
    assert (norms(result, norm) <= radii * (1 + 1e-12)).all()
    for sample, projected, limit in zip(rows(values), rows(result), radii, strict=True):
        if norm == "linf":
            assert torch.equal(projected, sample.clamp(-limit, limit))
        elif sample.norm() > limit:
            torch.testing.assert_close(projected, sample * (limit / sample.norm()))


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_project_onto_ball_leaves_points_on_the_sphere_bit_by_bit(norm: Norm) -> None:
    values = torch.randn(200, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(project_onto_ball(values, norms(values, norm), norm), values)


def test_project_onto_ball_keeps_the_dtype_and_what_it_is_given() -> None:
    values = torch.tensor([[3.0, 4.0], [0.3, 0.4], [-30.0, 0.0]], dtype=torch.float16)
    radii = torch.tensor([1.0, 2.0, 2.0])
    before = values.clone()
    expected = {
        "l2": torch.tensor([[0.6, 0.8], [0.3, 0.4], [-2.0, 0.0]]).half(),
        "linf": torch.tensor([[1.0, 1.0], [0.3, 0.4], [-2.0, 0.0]]).half(),
    }
    for norm, points in expected.items():
        torch.testing.assert_close(project_onto_ball(values, radii, norm), points)  # type: ignore[arg-type]
    assert torch.equal(values, before)


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
def test_quantize_returns_the_nearest_value_of_the_grid(
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


def test_quantize_moves_what_is_outside_the_bounds_to_the_nearest_bound() -> None:
    found = quantize(torch.tensor([-0.7, 1.9]), 5, (0.0, 1.0))
    assert found.tolist() == [0, 1]


def test_quantize_keeps_8_bit_images_bit_by_bit() -> None:
    images = torch.arange(256, dtype=torch.uint8).to(torch.float32)[None] / 255
    assert torch.equal(quantize(images, 256, (0.0, 1.0)), images)


def test_without_levels_nothing_is_rounded() -> None:
    inputs = torch.tensor([0.123, 7.0])
    assert quantize(inputs, None, (0.0, 1.0)) is inputs


def test_quantize_leaves_its_input_alone() -> None:
    inputs = torch.tensor([0.3, 0.6])
    quantize(inputs, 2, (0.0, 1.0))
    assert torch.equal(inputs, torch.tensor([0.3, 0.6]))


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_points_in_the_unit_ball_are_uniform(norm: Norm) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, 3, generator=generator)
    shares = torch.rand(20_000, generator=generator)
    lengths = norms(uniform_in_unit_ball(noise, shares, norm), norm)
    assert lengths.max() <= 1 + 1e-6
    # A ball of a radius r holds the share r^3 of the volume.
    for radius in (0.3, 0.6, 0.9):
        assert float((lengths <= radius).float().mean()) == pytest.approx(radius**3, abs=0.01)


@pytest.mark.parametrize(
    ("norm", "expected"), [("l2", [-0.25, 0.5]), ("linf", [-0.3829249, 0.9544997])]
)
def test_points_in_the_unit_ball_of_samples_without_dimensions(
    norm: Norm, expected: list[float]
) -> None:
    # In one dimension the share is the distance; for `linf` the noise decides alone.
    noise, shares = torch.tensor([-0.5, 2.0]), torch.tensor([0.25, 0.5])
    assert uniform_in_unit_ball(noise, shares, norm).tolist() == pytest.approx(expected)


def test_points_in_the_unit_ball_keep_the_direction_of_the_noise() -> None:
    noise = torch.tensor([[3.0, 0.0, -4.0]])
    found = uniform_in_unit_ball(noise, torch.tensor([0.125]), "l2")
    torch.testing.assert_close(found, torch.tensor([[0.3, 0.0, -0.4]]))
    assert torch.equal(noise, torch.tensor([[3.0, 0.0, -4.0]]))


@st.composite
def halfspaces(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Bounds]:
    """Draw points in a box, normals with some zeros, and rises from below 0 to out of reach."""
    low, high = draw(BOXES)
    shape = (draw(st.integers(1, 4)), *draw(SHAPES))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    points = low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)
    normals = torch.randn(shape, generator=generator, dtype=torch.float64)
    normals = normals.masked_fill(torch.rand(shape, generator=generator) < 0.2, 0.0)
    normals = normals * 10.0 ** draw(st.integers(-3, 3))
    farthest = torch.maximum(normals * (high - points), normals * (low - points))
    shares = torch.rand(len(points), generator=generator) * 1.4 - 0.2
    return points, normals, rows(farthest).sum(1) * shares, (low, high)


@given(halfspaces(), BALL_NORMS)
def test_to_halfspace_takes_the_smallest_step_in_the_box(
    problem: tuple[Tensor, Tensor, Tensor, Bounds], norm: Norm
) -> None:
    points, normals, rises, (low, high) = problem
    steps = to_halfspace(points, normals, rises, (low, high), norm)
    assert steps.shape == points.shape
    moved = rows(points + steps)
    assert (moved >= low - 1e-12).all()
    assert (moved <= high + 1e-12).all()
    risen = dot(normals, steps)
    corners = torch.where(normals > 0, high, low) - points
    most = dot(normals, corners)
    scale = norms(normals, "l1")
    assert (risen >= torch.minimum(rises, most) - 1e-9 * scale).all()
    lengths = norms(steps, norm)
    assert (lengths[rises <= 0] == 0).all()
    for index, (point, normal) in enumerate(zip(rows(points), rows(normals), strict=True)):
        offset = float(rises[index] + normal @ point)
        optimum = distance_to_halfspace(point, -normal, offset, low, high, norm=norm)
        if math.isfinite(optimum) and normal.any():
            assert float(lengths[index]) == pytest.approx(optimum, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_to_halfspace_goes_as_far_as_the_box_if_the_rise_is_out_of_reach(norm: Norm) -> None:
    steps = to_halfspace(
        torch.tensor([[0.25, 0.75, 0.5]]),
        torch.tensor([[1.0, -2.0, 0.0]]),
        torch.tensor([10.0]),
        (0.0, 1.0),
        norm,
    )
    assert steps.tolist() == [[0.75, -0.75, 0.0]]


def test_to_halfspace_iterates_until_all_entries_at_a_bound_are_found() -> None:
    # Each iteration finds one more entry at its bound.
    points = torch.zeros(1, 5, dtype=torch.float64)
    points[0] = torch.tensor([0.9, 0.8, 0.6, 0.2, 0.0])
    normals = torch.ones(1, 5, dtype=torch.float64)
    rises = torch.tensor([2.4], dtype=torch.float64)
    expected = [0.1, 0.2, 0.4, 0.8, 0.9]
    found = to_halfspace(points, normals, rises, (0.0, 1.0))
    assert found[0].tolist() == pytest.approx(expected)
    early = to_halfspace(points, normals, rises, (0.0, 1.0), iterations=1)
    assert early[0].tolist() == pytest.approx([0.1, 0.2, 0.4, 0.48, 0.48])
    assert not to_halfspace(points, normals, rises, (0.0, 1.0), iterations=0).any()


def test_to_halfspace_does_not_count_on_entries_at_their_bound() -> None:
    points, normals = torch.tensor([[1.0, 0.5]]), torch.ones(1, 2)
    found = to_halfspace(points, normals, torch.tensor([0.25]), (0.0, 1.0), iterations=1)
    assert found.tolist() == [[0, 0.25]]


def test_to_halfspace_keeps_the_dtype_of_the_points() -> None:
    points = torch.tensor([[0.5, 0.5]], dtype=torch.float16)
    normals = torch.tensor([[1.0, 0.0]], dtype=torch.float16)
    steps = to_halfspace(points, normals, torch.tensor([0.25]), (0.0, 1.0))
    assert steps.dtype == torch.float16
    assert steps.tolist() == [[0.25, 0]]


@pytest.mark.parametrize("bounds", [(0.0, math.inf), (-math.inf, math.inf)])
def test_to_halfspace_works_with_infinite_bounds(bounds: Bounds) -> None:
    steps = to_halfspace(
        torch.tensor([[1.0, 1.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([50.0]), bounds
    )
    torch.testing.assert_close(steps, torch.tensor([[6.0, 8.0]]))


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
    moves = scale_to_norm(noise.sign() if norm == "linf" else noise, inner, norm)
    assert (distances(origins + moves, origins, norm) <= 0.5).all()
    assert dtype != torch.float32 or (inner > 0.4999).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((0.0, 1.0), [1, 4, 4]),
        ((-8.0, 1.0), [8, 8, 8]),
        ((-1.0, 2.0), [2, 4, 4]),
        ((-math.inf, 2.0), [2, 4, 4]),
        ((-math.inf, math.inf), [0.25, 4, 4]),
    ],
)
def test_rounding_is_that_of_the_largest_value(
    dtype: torch.dtype, bounds: Bounds, expected: list[float]
) -> None:
    values = torch.tensor([[0.25, 0.0], [4.0, 1.0], [-4.0, 1.0]], dtype=dtype)
    gaps = torch.tensor(expected, dtype=torch.float64) * torch.finfo(dtype).eps
    torch.testing.assert_close(rounding(values, bounds).double(), gaps, rtol=0, atol=0)


@pytest.mark.parametrize(("entries", "radius"), [(3000, 1.0), (100, 0.2), (100, 3.0)])
def test_nearly_all_points_at_an_inner_radius_stay_within_the_radius_on_a_grid(
    entries: int, radius: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    origins = torch.rand(400, entries, generator=generator)
    noise = torch.randn(400, entries, generator=generator)
    inner = inner_radii(radius, origins, (0.0, 1.0), "l2", level=1 / 255)
    # Bounds so wide that nothing is clipped; the gaps of the grid are the same.
    points = quantize(origins + scale_to_norm(noise, inner), 19 * 255 + 1, (-9.0, 10.0))
    assert float((distances(points, origins) <= radius).float().mean()) > 0.95


def test_inner_radii_allow_for_the_rounding_of_all_entries() -> None:
    origins = torch.zeros(1, 40)
    (found,) = inner_radii(0.5, origins, (0.0, 1.0), "l2", level=0.05).tolist()
    expected = math.sqrt(0.25 - 40 * 0.05**2 / 10) - 2 * 0.05 / math.sqrt(12)
    assert found == pytest.approx(expected, rel=1e-5)
    assert found < expected
    (unrounded,) = inner_radii(0.5, origins.half(), (0.0, 16.0), "l2").tolist()
    assert unrounded == pytest.approx(math.sqrt(0.25 - 40 * 2**-12 / 10), rel=1e-5)
    (least,) = inner_radii(0.5, origins, (0.0, 1.0), "l2", level=1.0).tolist()
    assert least == pytest.approx(0.25, rel=1e-5)
    # A level does not matter for `linf`, where entries that leave the ball go back a level.
    (linf,) = inner_radii(0.5, origins, (0.0, 4.0), "linf", level=1.0).tolist()
    eps = torch.finfo(torch.float32).eps
    assert linf == pytest.approx((0.5 - 4 * eps) * (1 - 8 * eps), rel=1e-7)


def test_inner_radii_of_half_precision_are_in_float32() -> None:
    origins = torch.zeros(2, 3, dtype=torch.bfloat16)
    inner = inner_radii(0.5, origins, (0.0, 1.0), "linf")
    assert inner.dtype == torch.float32
    assert inner.tolist() == pytest.approx([0.5 - 2**-7] * 2, rel=1e-5)
    assert inner_radii(0.5, origins.double(), (0.0, 1.0), "linf").dtype == torch.float64


def test_a_known_norm_is_returned() -> None:
    assert [check_norm(norm) for norm in ALL_NORMS] == list(ALL_NORMS)


@pytest.mark.parametrize("norm", ["L2", "", 2, None])
def test_an_unknown_norm_is_refused(norm: object) -> None:
    message = f"^norm={norm!r}: expected one of l0, l1, l2, linf.$"
    with pytest.raises(InputError, match=message):
        check_norm(norm)


def test_a_ball_has_norm_l2_or_linf() -> None:
    check_ball("l2")
    check_ball("linf")


@pytest.mark.parametrize("norm", ["l0", "l1"])
def test_functions_of_balls_refuse_other_norms(norm: Norm) -> None:
    values, numbers = torch.ones(1, 2), torch.ones(1)
    calls: list[Callable[[], object]] = [
        lambda: check_ball(norm),
        lambda: steepest(values, values[0], norm),
        lambda: scale_to_norm(values, numbers, norm),
        lambda: project_onto_ball(values, numbers, norm),
        lambda: uniform_in_unit_ball(values, numbers, norm),
        lambda: dual_norms(values, norm),
        lambda: to_halfspace(values, values, numbers, (0.0, 1.0), norm),
    ]
    for call in calls:
        with pytest.raises(InputError, match=f"^norm='{norm}': expected 'l2' or 'linf'.$"):
            call()
