"""Rays at their limits: at ties, in a box that clips them, and with logits that are extreme."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attacks.engine.rays import double, ray
from attacks.engine.searches import linear, search_on, threshold
from attacks.networks import Recorded
from minnorm.attacks.engine.rays import Pursuit
from minnorm.boxes import Bounds

WIDE: Bounds = (-9.0, 9.0)

# The boundary of the second class is at distance 1, that of the third at 2.
TWO_BOUNDARIES = linear([[0.0, 0.0], [1.0, 0.0], [1.8, 2.4]], [0.0, -1.0, -6.0])


def of_margin(margin: Callable[[Tensor], Tensor]) -> Recorded:
    """Return a recorded model of two classes with this margin of the first one."""

    def model(points: Tensor) -> Tensor:
        margins = margin(points)
        return torch.stack([margins, 0 * margins.nan_to_num(0, 0, 0)], 1)

    return Recorded(model)


def test_each_first_ray_is_aimed_at_the_boundary_of_its_own_class() -> None:
    recorded = Recorded(TWO_BOUNDARIES)
    inputs = double([0.0, 0.0])
    Pursuit(search_on(recorded, inputs, bounds=WIDE)).first_rays(inputs, 2)
    torch.testing.assert_close(recorded.batches[1], double([1.0, 0.0]))
    torch.testing.assert_close(recorded.batches[2], double([1.2, 1.6]))


def test_a_ray_with_a_fixed_class_has_the_length_for_the_boundary_of_that_class() -> None:
    recorded = Recorded(TWO_BOUNDARIES)
    pursuit = Pursuit(search_on(recorded, double([0.0, 0.0]), bounds=WIDE))
    before = ray(double([0.6, 0.8]), [1.5 / 18])._replace(rivals=torch.tensor([2]))
    after = pursuit.turned(before, 0.5, fixed_class=True)
    torch.testing.assert_close(recorded.batches[1], double([1.2, 1.6]))
    assert float(after.left) == pytest.approx(0, abs=1e-9)


def test_the_first_rays_free_the_graph_after_the_last_one() -> None:
    kept = []

    def model(points: Tensor) -> Tensor:
        kept.append(TWO_BOUNDARIES(points**2))
        return kept[-1]

    inputs = double([0.5, 0.5])
    Pursuit(search_on(model, inputs)).first_rays(inputs, 2)
    with pytest.raises(RuntimeError, match="second time"):
        kept[0].sum().backward()  # type: ignore[no-untyped-call]


def test_of_extreme_margins_the_rays_keep_finite_ones() -> None:
    margins = double([math.inf], [-math.inf], [math.nan], [1e40], [-1e40], [7.0])
    inputs = torch.full_like(margins, 0.5)
    pursuit = Pursuit(search_on(of_margin(lambda points: margins[:, 0] + 0 * points[:, 0]), inputs))
    (first,) = pursuit.first_rays(inputs, 1)
    assert first.whole.tolist() == [1e30, -1e30, 1e30, 1e30, -1e30, 7.0]


def test_logits_that_are_nan_are_far_before_the_boundary_of_a_fixed_class() -> None:
    recorded = Recorded(lambda points: torch.full((1, 2), math.nan) + 0 * points)
    pursuit = Pursuit(search_on(recorded, double([0.5, 0.5])))
    after = pursuit.turned(ray(double([1.0, 0.0]), [0.1]), 0.5, fixed_class=True)
    assert float(after.left) == 1e30


@pytest.mark.parametrize("side", [1, -1])
def test_a_boundary_farther_than_any_number_leaves_the_direction(side: int) -> None:
    # In float32 the distance of the boundary, 1e40, would be infinite.
    recorded = of_margin(lambda points: side * 1e25 - 1e-15 * points[:, 0])
    inputs = torch.tensor([[0.5, 0.5]])
    (first,) = Pursuit(search_on(recorded, inputs)).first_rays(inputs, 1)
    assert first.directions.tolist() == [[side, 0]]
    assert first.lengths.isfinite().all()


@pytest.mark.parametrize("width", [1.0, 8.0])
def test_a_first_ray_is_no_longer_than_the_box_in_units(width: float) -> None:
    recorded = of_margin(lambda points: 1 - 1e-3 * points[:, 0] / width)
    inputs = width * double([0.25, 0.25])
    search = search_on(recorded, inputs, bounds=(0.0, width))
    (first,) = Pursuit(search).first_rays(inputs, 1)
    # Three times as long after the chord.
    assert float(first.lengths) == pytest.approx(3 * math.sqrt(2) * 0.75)


@pytest.mark.parametrize("width", [1.0, 8.0])
def test_a_ray_that_the_box_clips_is_longer_in_units(width: float) -> None:
    recorded = of_margin(lambda points: 1.5 - points.sum(1) / width)
    inputs = width * double([0.9, 0.1])
    Pursuit(search_on(recorded, inputs, bounds=(0.0, width))).first_rays(inputs, 1)
    # The first entry has a tenth to go, so the second one goes four.
    torch.testing.assert_close(recorded.batches[1], width * double([1.0, 0.5]))


def test_a_clipped_ray_grows_threefold_at_most_in_each_of_four_corrections() -> None:
    # The first entry is next to its bound; by the second one alone, the boundary is far.
    normal = double([1.0, 0.1]) / math.sqrt(1.01)
    inputs = double([0.9999, 0.0])
    recorded = of_margin(lambda points: 0.01 - ((points - inputs) * normal).sum(1))
    Pursuit(search_on(recorded, inputs)).first_rays(inputs, 1)
    expected = 0.01 * 3**4 * normal[0, 1]
    assert float(recorded.batches[1][0, 1]) == pytest.approx(float(expected))


def test_an_input_on_the_boundary_gets_a_tiny_ray_that_grows() -> None:
    inputs = double([0.5])
    directions = set()
    for seed in range(8):
        recorded = Recorded(threshold)
        (first,) = Pursuit(search_on(recorded, inputs, seed=seed)).first_rays(inputs, 1)
        direction = float(first.directions)
        # Towards the other class the linear model shortens it, by half at most each time.
        least = 1e-6 / 2**4 if direction > 0 else 1e-6
        assert float(recorded.batches[1]) - 0.5 == pytest.approx(direction * least, rel=1e-6)
        assert float(first.lengths) == pytest.approx(1.5 * least)
        directions.add(direction)
    assert directions == {-1, 1}


def test_a_ray_between_equal_margins_grows() -> None:
    recorded = of_margin(lambda points: 0.5 + (points[:, 0] - 0.5).abs())
    inputs = double([0.0])
    (first,) = Pursuit(search_on(recorded, inputs)).first_rays(inputs, 1)
    assert float(recorded.batches[1]) == float(first.whole) == float(first.left) == 1
    assert float(first.lengths) == 1.5


def test_a_first_ray_shrinks_to_a_tenth_at_most() -> None:
    recorded = of_margin(lambda points: 0.8 - points[:, 0] - 1000 * (points[:, 0] > 0.7))
    inputs = double([0.0])
    (first,) = Pursuit(search_on(recorded, inputs)).first_rays(inputs, 1)
    assert float(recorded.batches[1]) == pytest.approx(0.8)
    assert float(first.lengths) == pytest.approx(0.08)


def test_the_correction_of_an_oblique_ray_divides_by_the_slope_along_it() -> None:
    recorded = of_margin(lambda points: 3 - points[:, 0] - 3 * (points[:, 0] - 1).clamp_min(0))
    pursuit = Pursuit(search_on(recorded, double([0.0, 0.0]), bounds=WIDE, unit=1.0))
    after = pursuit.turned(ray(double([0.6, 0.8]), [1.65]), 0.0)
    # From 0.99, just before the kink, the ray grows by half. Its slope is 0.6.
    left = 3 - 1.485 - 3 * 0.485
    assert float(after.left) == pytest.approx(left)
    assert float(after.lengths) == pytest.approx(1.001 * (1.5 * 1.65 + left / 0.6))


def test_a_ray_along_the_boundary_grows() -> None:
    # Of two equal logits the first one wins, which is adversarial for the second class.
    recorded = of_margin(lambda points: points[:, 0])
    search = search_on(recorded, double([0.0, 0.0]), torch.tensor([1]), bounds=WIDE, unit=1.0)
    after = Pursuit(search).turned(ray(double([0.0, 1.0]), [1.0]), 0.0)
    assert float(after.left) == 0
    assert float(after.lengths) == pytest.approx(1.001 * 1.5)


def test_settling_takes_a_point_on_the_boundary_as_beyond_it() -> None:
    recorded = Recorded(lambda points: threshold(1 - points))
    labels = torch.tensor([1])
    search = search_on(recorded, double([0.0]), labels, bounds=WIDE, unit=1.0)
    Pursuit(search).settle(ray(double([1.0]), [0.5]), 2)
    assert [float(batch) for batch in recorded.batches] == pytest.approx([0.5, 0.5 * 0.996])


def test_settling_halves_where_the_margins_are_infinite() -> None:
    recorded = of_margin(lambda points: torch.where(points[:, 0] < 0.499, torch.inf, -torch.inf))
    search = search_on(recorded, double([0.0]), bounds=WIDE, unit=1.0)
    Pursuit(search).settle(ray(double([1.0]), [0.5]), 3)
    asked = [float(batch) for batch in recorded.batches]
    assert asked == pytest.approx([0.5, 0.498, 0.499])
