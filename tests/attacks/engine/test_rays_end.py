"""The end of a pursuit: the shortest rays, and the boundary along a ray."""

import pytest
import torch
from torch import Tensor

from attacks.engine.rays import double, ray
from attacks.engine.searches import search_on, threshold
from attacks.networks import Recorded
from minnorm.attacks.engine.rays import Pursuit


@pytest.mark.parametrize("length", [0.1, 0.498, 0.5, 0.502, 0.7])
def test_settling_finds_the_boundary_along_a_ray(length: float) -> None:
    recorded = Recorded(lambda points: threshold(points + 0.5))
    search = search_on(recorded, double([-0.5]), bounds=(-9.0, 9.0))
    Pursuit(search).settle(ray(double([1.0]), [length / 18]), 12)
    assert len(recorded.batches) == 12
    found = float(search.incumbent.distances)
    assert 0.5 <= found <= 0.5 * 1.0005


def test_settling_a_few_probes_follow_the_chord_leaning_beyond() -> None:
    def curved(points: Tensor) -> Tensor:
        margin = 1 - points[:, 0] ** 2
        return torch.stack([margin, 0 * margin], 1)

    recorded = Recorded(curved)
    search = search_on(recorded, double([0.0]), bounds=(0.0, 9.0), unit=1.0)
    Pursuit(search).settle(ray(double([1.0]), [1.002]), 4)
    asked = [float(batch) for batch in recorded.batches]
    # Beyond the boundary; then before it by 4 in a thousand; then between, leaning beyond.
    assert asked[:2] == pytest.approx([1.002, 1.002 * 0.996])
    before, beyond = 1 - asked[1] ** 2, 1 - asked[0] ** 2
    share = 1.15 * before / (before - beyond)
    assert asked[2] == pytest.approx(asked[1] + (asked[0] - asked[1]) * share)
    assert 1 < asked[2] < asked[0]
    assert asked[3] < asked[2]


def test_settling_beyond_an_adversarial_goes_back_step_by_step() -> None:
    recorded = Recorded(lambda points: threshold(points + 0.5))
    search = search_on(recorded, double([0.0]), bounds=(-9.0, 9.0), unit=1.0)
    Pursuit(search).settle(ray(double([1.0]), [0.2]), 3)
    asked = [float(batch) for batch in recorded.batches]
    assert asked == pytest.approx([0.2, 0.2 * 0.996, 0.2 * 0.996 * (1 - 0.012)])


def test_settling_before_the_boundary_grows_fast_until_something_is_found() -> None:
    recorded = Recorded(threshold)
    search = search_on(recorded, double([0.0]), bounds=(-9.0, 9.0), unit=1.0)
    Pursuit(search).settle(ray(double([1.0]), [0.1]), 4)
    asked = [float(batch) for batch in recorded.batches]
    assert asked == pytest.approx([0.1, 0.15, 0.225, 0.3375])
    recorded.batches.clear()
    search.adversarial_at(double([0.6]))
    recorded.batches.clear()
    Pursuit(search).settle(ray(double([1.0]), [0.3]), 3)
    asked = [float(batch) for batch in recorded.batches]
    assert asked == pytest.approx([0.3, 0.3 * 1.004, 0.3 * 1.004 * 1.012])


def test_the_shortest_rays_are_those_with_the_nearest_points() -> None:
    inputs = double([0.0, 0.5], [0.0, 0.5])
    search = search_on(threshold, inputs)
    across, up = double([1.0, 0.0], [1.0, 0.0]), double([0.0, 1.0], [0.0, 1.0])
    rays = [ray(across, [0.6, 0.2]), ray(up, [3.0, 0.4]), ray(across, [0.7, 0.7])]
    # The second ray is clipped to 0.5.
    pursuit = Pursuit(search)
    (first,) = pursuit.shortest(rays, 1)
    assert first.lengths.tolist() == [3.0, 0.2]
    assert first.directions.tolist() == [[0, 1], [1, 0]]
    first, second = pursuit.shortest(rays, 2)
    assert first.lengths.tolist() == [3.0, 0.2]
    assert second.lengths.tolist() == [0.6, 0.4]
    for number in (3, 4):
        assert pursuit.shortest(rays, number) == rays


def test_of_rays_of_the_same_length_the_first_ones_stay() -> None:
    pursuit = Pursuit(search_on(threshold, double([0.5, 0.5])))
    rays = [ray(double([1.0, 0.0]), [0.3], whole=float(number)) for number in range(20)]
    assert [float(one.whole) for one in pursuit.shortest(rays, 3)] == [0, 1, 2]
