"""Rays that turn towards the normals of the boundary, where the answers are known."""

import math

import pytest
import torch
from torch import Tensor

from attacks.engine.rays import double, ray
from attacks.engine.searches import linear, search_on, small_problem, threshold
from attacks.networks import Recorded
from minnorm.attacks.engine.rays import Pursuit, Ray
from minnorm.boxes import Bounds
from minnorm.geometry import norms

WIDE: Bounds = (-9.0, 9.0)


def test_a_part_has_the_rays_of_some_of_the_samples() -> None:
    numbers = torch.arange(3)
    whole = Ray(torch.eye(3), 1.0 + numbers, 1.0 * numbers, 1.0 * numbers, numbers)
    part = whole.part(torch.tensor([2, 0]))
    assert part.directions.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert part.lengths.tolist() == [3, 1]
    assert part.whole.tolist() == part.left.tolist() == [2, 0]
    assert part.rivals.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("dtype", "longest"), [(torch.float64, 1e6), (torch.float32, 1e6), (torch.float16, 4094)]
)
def test_the_longest_ray_fits_the_dtype(dtype: torch.dtype, longest: float) -> None:
    pursuit = Pursuit(search_on(threshold, torch.zeros(1, 2, dtype=dtype)))
    assert pursuit.longest == longest


def test_the_points_of_rays_are_clipped_and_in_units() -> None:
    search = search_on(threshold, double([4.0, 4.0], [0.0, 7.0]), bounds=(0.0, 8.0))
    points = Pursuit(search).points(ray(double([0.6, 0.8], [0.0, 1.0]), [0.25, 0.5]))
    assert points.tolist() == [[pytest.approx(5.2), pytest.approx(5.6)], [0, 8]]


# Two classes, whose boundary is at the distance 1.5 from the origin in the direction (0.6, 0.8).
SLANTED = linear([[0.0, 0.0], [1.2, 1.6]], [3.0, 0.0])


@pytest.mark.parametrize("bounds", [(-9.0, 9.0), (-90.0, 90.0)])
def test_the_first_ray_of_a_linear_model_ends_at_its_boundary(bounds: Bounds) -> None:
    recorded = Recorded(SLANTED)
    inputs = double([0.0, 0.0], [0.6, 0.8])
    search = search_on(recorded, inputs, bounds=bounds)
    (first,) = Pursuit(search).first_rays(inputs, 3)
    unit = bounds[1] - bounds[0]
    torch.testing.assert_close(first.directions, double([0.6, 0.8], [0.6, 0.8]))
    torch.testing.assert_close(first.lengths * unit, double([1.5, 0.5])[0])
    torch.testing.assert_close(first.whole, double([3.0, 1.0])[0])
    assert first.left.abs().max() < 1e-9
    assert first.rivals.tolist() == [1, 1]
    assert len(recorded.batches) == 2


def test_the_first_rays_go_to_the_boundaries_of_the_likeliest_classes() -> None:
    model, inputs, labels = small_problem(batch=10, curved=False)
    inputs = 0.45 + inputs / 10  # far from the bounds
    labels = model(inputs).argmax(1)
    recorded = Recorded(model)
    search = search_on(recorded, inputs, labels, bounds=(-40.0, 41.0))
    rays = Pursuit(search).first_rays(inputs, 3)
    assert len(rays) == 3
    assert len(recorded.batches) == 1 + 3
    logits = model(inputs)
    order = logits.argsort(1, descending=True)
    for number, one in enumerate(rays, start=1):
        rivals = order[:, number]
        assert torch.equal(one.rivals, rivals)
        normals = model.weight[rivals] - model.weight[labels]
        torch.testing.assert_close(one.directions, normals / normals.norm(dim=1, keepdim=True))
        torch.testing.assert_close(one.whole, logits.amax(1) - logits.topk(2).values[:, 1])


def test_targeted_the_first_ray_goes_to_the_wanted_class() -> None:
    inputs = double([0.0, 0.0])
    search = search_on(SLANTED, inputs, torch.tensor([1]), targeted=True, bounds=WIDE)
    (first,) = Pursuit(search).first_rays(inputs, 1)
    torch.testing.assert_close(first.directions, double([0.6, 0.8]))
    assert float(first.lengths) * 18 == pytest.approx(1.5)
    assert first.rivals.tolist() == [0]
    assert float(first.whole) == pytest.approx(3.0)


def test_rays_aimed_from_another_point_begin_at_the_input() -> None:
    inputs = double([0.0, 0.0])
    search = search_on(SLANTED, inputs, bounds=WIDE)
    # The linear model at (1, 0): 1.5 - 0.6 from the boundary.
    (first,) = Pursuit(search).first_rays(double([1.0, 0.0]), 1)
    ahead = torch.tensor([1.0, 0.0]) + 0.9 * torch.tensor([0.6, 0.8])
    expected = (ahead / ahead.norm()).double()
    torch.testing.assert_close(first.directions[0], expected, atol=1e-6, rtol=0)
    along = 0.6 * expected[0] + 0.8 * expected[1]
    assert float(first.lengths) * 18 == pytest.approx(1.5 / float(along), rel=1e-5)
    assert float(first.whole) == pytest.approx(3.0 - 1.2)


def test_a_ray_is_longer_where_the_bounds_clip_it() -> None:
    # The first entry has 0.1 to go, the second one has to make up for it.
    model = linear([[0.0, 0.0], [1.0, 1.0]], [2.0, 0.0])
    inputs = double([0.9, 0.5])
    search = search_on(model, inputs)
    (first,) = Pursuit(search).first_rays(inputs, 1)
    point = Pursuit(search).points(first)
    # The rise of 0.6 needs 0.5 in the second entry, which is its bound.
    torch.testing.assert_close(point, double([1.0, 1.0]), atol=1e-6, rtol=0)
    inputs = double([0.9, 0.1])
    search = search_on(linear([[0.0, 0.0], [1.0, 1.0]], [1.5, 0.0]), inputs)
    (first,) = Pursuit(search).first_rays(inputs, 1)
    point = Pursuit(search).points(first)
    torch.testing.assert_close(point, double([1.0, 0.5]), atol=1e-3, rtol=0)


def test_a_ray_to_a_far_boundary_is_at_first_no_longer_than_the_box() -> None:
    model = linear([[0.0, 0.0], [1e-3, 0.0]], [1.0, 0.0])
    inputs = double([0.25, 0.25])
    recorded = Recorded(model)
    (first,) = Pursuit(search_on(recorded, inputs)).first_rays(inputs, 1)
    corner = math.sqrt(2) * 0.75
    assert recorded.batches[1].tolist() == [[1, 0.25]]
    # The margin fell by a little: the ray grows by as much as is allowed at once.
    assert float(first.lengths) == pytest.approx(3 * corner)


def test_a_ray_along_which_the_margin_rises_grows() -> None:
    def model(points: Tensor) -> Tensor:
        # Falls at the input, but rises beyond 0.2.
        rise = -points[:, 0] + 9 * (points[:, 0] - 0.2).clamp_min(0)
        return torch.stack([1 + rise, 0 * rise], 1)

    inputs = double([0.0, 0.0])
    (first,) = Pursuit(search_on(model, inputs)).first_rays(inputs, 1)
    assert float(first.lengths) == pytest.approx(1.5 * 1.0)
    assert float(first.left) == pytest.approx(1 - 1 + 9 * 0.8)


def test_a_ray_turns_towards_the_normal_by_a_share() -> None:
    inputs = double([0.0, 0.0])
    recorded = Recorded(SLANTED)
    pursuit = Pursuit(search_on(recorded, inputs, bounds=WIDE))
    before = ray(double([1.0, 0.0]), [2.5 / 18])
    after = pursuit.turned(before, 0.25)
    direction = 0.75 * torch.tensor([1.0, 0.0]) + 0.25 * torch.tensor([0.6, 0.8])
    direction = (direction / direction.norm()).double()
    torch.testing.assert_close(after.directions[0], direction)
    along = float(0.6 * direction[0] + 0.8 * direction[1])
    # It ends a thousandth beyond the boundary.
    assert float(after.lengths) * 18 == pytest.approx(1.001 * 1.5 / along, rel=1e-6)
    assert float(after.left) == pytest.approx(0, abs=1e-6)
    assert len(recorded.batches) == 2
    assert torch.equal(after.whole, before.whole)
    assert torch.equal(after.rivals, before.rivals)
    whole = pursuit.turned(before, 1.0)
    torch.testing.assert_close(whole.directions, double([0.6, 0.8]))
    none = pursuit.turned(before, 0.0)
    assert torch.equal(none.directions, before.directions)


@pytest.mark.parametrize(("length", "factor"), [(0.1, 1.5), (50.0, 0.5)])
def test_a_ray_grows_by_half_and_shrinks_to_half_at_most(length: float, factor: float) -> None:
    recorded = Recorded(SLANTED)
    pursuit = Pursuit(search_on(recorded, double([0.0, 0.0]), bounds=(-99.0, 99.0)))
    pursuit.turned(ray(double([0.6, 0.8]), [length / 198]), 0.5)
    assert float(norms(recorded.batches[1])) == pytest.approx(factor * length)


def test_the_correction_follows_the_slope_within_limits() -> None:
    def kinked(points: Tensor) -> Tensor:
        # Up to 1 the margin falls by 1 from 3 to 2, beyond it by 4.
        first = points[:, 0]
        margin = 3 - first - 3 * (first - 1).clamp_min(0)
        return torch.stack([margin, 0 * margin], 1)

    inputs = double([0.0, 0.0])
    recorded = Recorded(kinked)
    pursuit = Pursuit(search_on(recorded, inputs, bounds=WIDE))
    after = pursuit.turned(ray(double([1.0, 0.0]), [0.8 / 18]), 0.5)
    # The linear model puts the boundary at 3, but the ray grows to 1.2, where the margin is 1.2
    # and the slope of the model 1: 2.4 is more than half as long again.
    assert float(recorded.batches[1][0, 0]) == pytest.approx(1.2)
    assert float(after.left) == pytest.approx(1.2)
    assert float(after.lengths) * 18 == pytest.approx(1.001 * 1.8)
    after = pursuit.turned(ray(double([1.0, 0.0]), [2.0 / 18]), 0.5)
    # From beyond (margin -2, slope 4) back to the boundary at 1.5.
    assert float(after.lengths) * 18 == pytest.approx(1.001 * 1.5)
    # From just before the kink: the model puts the boundary at 3, a ray of 1.485 has a margin of
    # 0.06, so that the correction adds little.
    after = pursuit.turned(ray(double([1.0, 0.0]), [0.99 / 18]), 0.5)
    assert float(after.lengths) * 18 == pytest.approx(1.001 * (1.485 + 3 - 1.485 - 3 * 0.485))


def test_a_correction_backwards_takes_three_tenths_at_most() -> None:
    def steeper(points: Tensor) -> Tensor:
        first = points[:, 0]
        margin = 3 - first - 99 * (first - 1).clamp_min(0)
        return torch.stack([margin, 0 * margin], 1)

    pursuit = Pursuit(search_on(steeper, double([0.0, 0.0]), bounds=WIDE))
    after = pursuit.turned(ray(double([1.0, 0.0]), [0.99 / 18]), 0.5)
    assert float(after.lengths) * 18 == pytest.approx(1.001 * 0.7 * 1.485)


def test_a_ray_that_leaves_the_boundary_behind_grows() -> None:
    # The direction leads away from the boundary: the linear model falls along the normal only.
    pursuit = Pursuit(search_on(SLANTED, double([0.0, 0.0]), bounds=WIDE))
    after = pursuit.turned(ray(double([-0.6, -0.8]), [0.5 / 18]), 0.1)
    assert float(after.lengths) * 18 == pytest.approx(1.001 * 1.5 * 0.5)
    assert float(after.left) == pytest.approx(3.0 + 2 * 0.5)


# The boundary of the second class is at distance 1, that of the third at 2.
TWO_BOUNDARIES = linear([[0.0, 0.0], [1.0, 0.0], [1.8, 2.4]], [0.0, -1.0, -6.0])


def pursued(pursuit: Pursuit, inputs: Tensor, *, fixed_class: bool) -> Ray:
    """Return the ray to the third class after 12 steps; it begins beyond both boundaries."""
    (one,) = (one for one in pursuit.first_rays(inputs, 2) if int(one.rivals) == 2)
    one = one._replace(lengths=1.2 * one.lengths)
    for _ in range(12):
        one = pursuit.turned(one, 0.8, fixed_class=fixed_class)
    return one


@pytest.mark.parametrize(
    ("fixed_class", "direction", "length"), [(True, [0.6, 0.8], 2.0), (False, [1.0, 0.0], 1.0)]
)
def test_a_ray_follows_the_boundary_of_its_class_or_the_nearest_one(
    fixed_class: bool, direction: list[float], length: float
) -> None:
    inputs = double([0.0, 0.0])
    search = search_on(TWO_BOUNDARIES, inputs, bounds=WIDE)
    one = pursued(Pursuit(search), inputs, fixed_class=fixed_class)
    assert one.directions[0].tolist() == pytest.approx(direction, abs=1e-3)
    assert float(one.lengths) * 18 == pytest.approx(length, rel=0.01)


def test_targeted_a_ray_with_a_fixed_class_follows_the_boundary_with_that_class() -> None:
    inputs = double([0.0, 0.0])
    search = search_on(lambda points: -TWO_BOUNDARIES(points), inputs, targeted=True, bounds=WIDE)
    one = pursued(Pursuit(search), inputs, fixed_class=True)
    assert one.directions[0].tolist() == pytest.approx([0.6, 0.8], abs=1e-3)
    assert float(one.lengths) * 18 == pytest.approx(2.0, rel=0.01)


def test_targeted_a_ray_turns_towards_the_weighted_mean_of_the_normals() -> None:
    inputs = double([0.0, 0.0])
    search = search_on(lambda points: -TWO_BOUNDARIES(points), inputs, targeted=True, bounds=WIDE)
    after = Pursuit(search).turned(ray(double([0.6, 0.8]), [2.0 / 18]), 1.0)
    # At (1.2, 1.6) the logits of the other two classes are -0.2 and 0.
    weights = torch.tensor([-0.2, 0.0]).softmax(0)
    mean = weights[0] * torch.tensor([1.0, 0.0]) + weights[1] * torch.tensor([1.8, 2.4])
    torch.testing.assert_close(after.directions[0].float(), mean / mean.norm())


def test_rays_go_through_starts_that_are_adversarial() -> None:
    inputs = double([0.0, 0.0], [0.0, 0.0], [0.0, 0.0])
    recorded = Recorded(SLANTED)
    search = search_on(recorded, inputs, bounds=WIDE)
    pursuit = Pursuit(search)
    otherwise = ray(double([0.0, 1.0], [0.0, 1.0], [0.0, 1.0]), [0.1, 0.2, 0.3], whole=7, left=5)
    starts = double([3.0, 4.0], [0.1, 0.1], [20.0, 0.0])
    found = pursuit.through(starts.clone(), otherwise)
    torch.testing.assert_close(found.directions, double([0.6, 0.8], [0.0, 1.0], [1.0, 0.0]))
    assert (found.lengths * 18).tolist() == pytest.approx([5, 1e6 * 18, 9])  # clipped to 9
    assert found.whole.tolist() == [7, 7, 7]
    assert found.left.tolist() == [5, 5, 5]
    assert len(recorded.batches) == 1
    assert search.incumbent.distances.tolist() == [5, math.inf, 9]
    starts_before = starts.clone()
    pursuit.through(starts, otherwise)
    assert torch.equal(starts, starts_before)


def test_a_misclassified_input_as_start_has_a_random_direction() -> None:
    inputs = double([3.0, 4.0])
    search = search_on(SLANTED, inputs, bounds=WIDE)
    found = Pursuit(search).through(inputs, ray(double([0.0, 1.0]), [0.1]))
    assert float(found.lengths) == 0
    assert float(norms(found.directions)) == pytest.approx(1)


def test_samples_without_a_gradient_get_a_random_direction() -> None:
    def flat(points: Tensor) -> Tensor:
        return torch.tensor([[1.0, 0.0]], dtype=points.dtype).repeat(len(points), 1)

    inputs = double([0.5, 0.5], [0.2, 0.2])
    (first,) = Pursuit(search_on(flat, inputs)).first_rays(inputs, 1)
    assert norms(first.directions).tolist() == pytest.approx([1, 1])
    torch.testing.assert_close(first.directions[0], first.directions[1])
    assert first.lengths.isfinite().all()


def test_logits_that_are_not_finite_leave_finite_rays() -> None:
    def broken(points: Tensor) -> Tensor:
        logits = threshold(points)
        return torch.where(points[:, :1] > 0.3, torch.inf * logits, logits)

    inputs = double([0.1, 0.5], [0.4, 0.5])
    pursuit = Pursuit(search_on(broken, inputs))
    (one,) = pursuit.first_rays(inputs, 1)
    for _ in range(3):
        one = pursuit.turned(one, 0.5)
        for part in one:
            assert part.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rays_in_half_precision_have_their_lengths_in_float32(dtype: torch.dtype) -> None:
    inputs = torch.tensor([[0.25, 0.5]], dtype=dtype)
    pursuit = Pursuit(search_on(threshold, inputs))
    (first,) = pursuit.first_rays(inputs, 1)
    turned = pursuit.turned(first, 0.5)
    for one in (first, turned):
        assert one.directions.dtype == dtype
        assert one.lengths.dtype == one.left.dtype == torch.float32
        assert float(one.lengths) == pytest.approx(0.25, rel=0.02)
