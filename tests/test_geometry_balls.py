"""Geometry of balls, dual norms and halfspaces: each function against its definition."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from batches import ALL_NORMS, BALL_NORMS, BOXES, SHAPES, batches
from minnorm.boxes import Bounds, quantize, rows
from minnorm.errors import InputError
from minnorm.geometry import (
    Norm,
    check_ball,
    check_norm,
    distances,
    dot,
    dual_norms,
    has_direction,
    inner_radii,
    norms,
    per_sample,
    project_onto_ball,
    rounding,
    scale_to_norm,
    steepest,
    to_halfspace,
    uniform_in_unit_ball,
)
from reference.linear import distance_to_halfspace


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


def test_the_reference_keeps_bounds_that_float32_would_round() -> None:
    point, towards = torch.tensor([0.5], dtype=torch.float64), torch.tensor([-1.0]).double()
    assert distance_to_halfspace(point, towards, 0.9, 0.1, 0.9) == pytest.approx(0.4, abs=1e-12)


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


@pytest.mark.parametrize(
    ("norm", "hint"),
    [("L2", " Did you mean 'l2'[?]"), ("", ""), (2, " Did you mean 'l2'[?]"), (None, "")],
)
def test_an_unknown_norm_is_refused(norm: object, hint: str) -> None:
    message = f"^norm={norm!r}: expected one of l0, l1, l2, linf.{hint}$"
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
