"""Radii: distances that equal a radius are within it, and balls inside balls."""

import math

import pytest
import torch
from torch import Tensor

from minnorm.boxes import Interval
from minnorm.geometry import NORM_ORDERS, Norm, distances, norms
from minnorm.radii import inscribed_radius, least_radii, measured_gaps


def is_within(points: Tensor, inputs: Tensor, radius: float, norm: Norm) -> list[bool]:
    """Return whether each point is within the radius."""
    measured = distances(points, inputs, norm)
    return (least_radii(measured, measured_gaps(inputs, points), norm) <= radius).tolist()


@pytest.mark.parametrize("levels", [1, 8, 77])
@pytest.mark.parametrize("norm", ["l0", "l1", "l2", "linf"])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (-2.1, 2.6), (0.0, 1e4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_move_by_whole_gray_levels_is_within_its_radius_and_not_within_a_smaller_one(
    levels: int, norm: Norm, bounds: Interval, dtype: torch.dtype
) -> None:
    low, width = bounds[0], bounds[1] - bounds[0]
    gray = torch.arange(0, 176).view(-1, 16).to(dtype)
    inputs, points = (low + (gray + more) / 255 * width for more in (0, levels))
    step = levels / 255 * width
    radius = {"l0": 16.0, "l1": 16 * step, "l2": 4 * step, "linf": step}[norm]
    assert all(is_within(points, inputs, radius, norm))
    assert not any(is_within(points, inputs, radius * (1 - 1e-3), norm))


def test_data_made_from_float32_are_compared_as_float32() -> None:
    levels = torch.arange(8, 200).view(-1, 8)
    inputs, points = ((levels + more).float().div(255).double() for more in (0, 8))
    assert all(is_within(points, inputs, 8 / 255, "linf"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_numbers_have_a_wider_tolerance(dtype: torch.dtype) -> None:
    inputs, points = (torch.full((1, 4), 0.7 + more).to(dtype) for more in (0.0, 0.1))
    assert is_within(points, inputs, 0.1, "linf") == [True]
    assert is_within(points, inputs, 0.04, "linf") == [False]


@pytest.mark.parametrize("levels", [4, 8, 77])
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_too_a_radius_is_met_and_not_a_smaller_one(
    dtype: torch.dtype, bounds: Interval, norm: Norm, levels: int
) -> None:
    low, width = bounds[0], bounds[1] - bounds[0]
    drawn = torch.randint(20, 170, (50, 192), generator=torch.Generator().manual_seed(0))
    inputs, points = ((low + (drawn + more) / 255 * width).to(dtype) for more in (0, levels))
    step = levels / 255 * width
    radius = step if norm == "linf" else step * math.sqrt(192)
    within = is_within(points, inputs, radius, norm)
    assert sum(within) >= 45  # with entries that all round to one side, a point may be outside
    assert not any(is_within(points, inputs, radius * (0.5 if levels == 4 else 0.7), norm))


def test_bounds_that_are_far_away_do_not_change_the_tolerance() -> None:
    inputs = torch.tensor([[0.25, 0.5]])
    gap = pytest.approx([0.5 * 2**-23])
    assert measured_gaps(inputs, inputs).tolist() == gap
    assert measured_gaps(inputs, inputs + 0.0314).tolist() == gap
    assert is_within(inputs + 0.0314, inputs, 8 / 255, "linf") == [False]


@pytest.mark.parametrize("move", [0.0, 1e-5])
@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_large_entry_that_hardly_changes_has_no_influence_on_the_tolerance(
    dtype: torch.dtype, norm: Norm, move: float
) -> None:
    drawn = torch.rand((50, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs = torch.cat([drawn, torch.full((50, 1), 1.7e9)], dim=1).to(dtype)
    points = inputs.clone()
    points[:, :6] += 0.05
    points[:, 6] += move
    distance = distances(points, inputs, norm)
    radii = least_radii(distance, measured_gaps(inputs, points), norm)
    assert (radii <= distance).all()
    assert (radii >= 0.99 * distance).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gap_is_that_of_the_brightest_pixel_also_where_it_stays_as_it_is(
    dtype: torch.dtype,
) -> None:
    inputs = torch.rand((20, 30), generator=torch.Generator().manual_seed(0)).to(dtype)
    points = inputs.clone()
    points[:, ::2] = 0.9 * points[:, ::2] + 0.01
    expected = inputs.amax(1).float() * 2**-23
    assert torch.equal(measured_gaps(inputs, points), expected)
    assert torch.equal(measured_gaps(inputs, inputs), expected)


@pytest.mark.parametrize("gap", [0.0, 1e-7, 1.0])
@pytest.mark.parametrize("norm", list(NORM_ORDERS))
def test_only_a_distance_of_0_is_within_a_radius_of_0(gap: float, norm: Norm) -> None:
    radii = least_radii(torch.tensor([0.0, 1e-30, 0.5]), torch.full((3,), gap), norm)
    assert (radii <= 0).tolist() == [True, False, False]


@pytest.mark.parametrize("norm", list(NORM_ORDERS))
def test_a_failure_is_within_no_radius(norm: Norm) -> None:
    radii = least_radii(torch.tensor([torch.inf]), torch.tensor([1e-7]), norm)
    assert radii.tolist() == [math.inf]


def test_least_radii_ascend_with_the_distances() -> None:
    measured = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for gap in (0.0, 1e-3, 1.0):
        radii = least_radii(measured, torch.full_like(measured, gap), "l2")
        assert (radii.diff() > 0).all()
        assert (radii <= measured).all()
        assert (radii >= measured / 1.5).all()


@pytest.mark.parametrize("dimensions", [1, 3, 1000])
@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("other", ["l1", "l2", "linf"])
def test_points_within_the_inscribed_radius_are_within_the_radius(
    norm: Norm, other: Norm, dimensions: int
) -> None:
    inner = inscribed_radius(0.5, norm, other)
    directions = torch.randn(50, dimensions, generator=torch.Generator().manual_seed(0))
    directions = torch.cat([directions, torch.eye(dimensions)[:5], torch.ones(1, dimensions)])
    points = inner * directions / norms(directions, other).unsqueeze(1)
    assert (norms(points, norm) <= 0.5 * (1 + 1e-5)).all()


@pytest.mark.parametrize(
    ("norm", "other", "expected"),
    [
        ("linf", "linf", 0.5), ("linf", "l2", 0.5), ("linf", "l1", 0.5), ("l2", "l1", 0.5),
        ("l2", "linf", 0.0), ("l1", "l2", 0.0), ("linf", "l0", 0.0), ("l0", "l2", 0.0),
    ],
)  # fmt: skip
def test_the_inscribed_radius_is_the_radius_or_0(norm: Norm, other: Norm, expected: float) -> None:
    assert inscribed_radius(0.5, norm, other) == expected
