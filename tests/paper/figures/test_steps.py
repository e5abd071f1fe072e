"""Figure 3: the recorded steps are those of the algorithm, the closest point is the closest."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from minnorm.attacks import ddn, normal_pursuit
from minnorm.paper.figures.plane import BOUNDS, closest_point, half_circles, plane_classifier
from minnorm.paper.figures.steps import Walk, ddn_steps, record
from reference.ddn import ddn_of_one_sample

WIDTH = BOUNDS[1] - BOUNDS[0]
ORIGIN = torch.tensor([-0.75, -1.5], dtype=torch.float64)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return plane_classifier()


@pytest.fixture(scope="module")
def walk(model: nn.Module) -> Walk:
    attack = partial(ddn, steps=20, initial_norm=1 / WIDTH, step_size=1 / WIDTH)
    return record(attack, model, ORIGIN, BOUNDS)


def test_the_classifier_is_always_the_same_and_right(model: nn.Module) -> None:
    state = torch.get_rng_state()
    again = plane_classifier()
    assert torch.equal(torch.get_rng_state(), state)
    points, labels = half_circles()
    assert torch.equal(again(points), model(points))
    assert torch.equal(model(points).argmax(1), labels)


def test_the_recorded_points_are_those_of_algorithm_1(model: nn.Module, walk: Walk) -> None:
    """The transcription works between 0 and 1, so there the plane is scaled."""

    def scaled(points: Tensor) -> Tensor:
        logits: Tensor = model(BOUNDS[0] + WIDTH * points)
        return logits

    start = (ORIGIN - BOUNDS[0]) / WIDTH
    expected = ddn_of_one_sample(
        scaled, start, walk.label, steps=20, initial_norm=1 / WIDTH, step_size=1 / WIDTH
    )
    assert len(walk.points) == 21
    torch.testing.assert_close(walk.points, BOUNDS[0] + WIDTH * torch.stack(expected))


def test_each_step_ends_on_its_sphere_in_the_direction_of_the_gradient_step(
    model: nn.Module, walk: Walk
) -> None:
    steps = ddn_steps(walk, model, initial_norm=1.0, gamma=0.05, step_size=1.0)
    assert [step.number for step in steps] == list(range(1, 21))
    radius = 1.0
    for step in steps:
        adversarial = int(model(step.start[None]).argmax()) != walk.label
        after = radius * (0.95 if adversarial else 1.05)
        assert step.radii == pytest.approx((radius, after))
        direction = step.start + step.gradient - ORIGIN
        expected = ORIGIN + after * direction / direction.norm()
        torch.testing.assert_close(step.end, expected)
        radius = after
    assert float(steps[0].gradient.norm()) == pytest.approx(1.0)
    assert float(steps[-1].gradient.norm()) == pytest.approx(0.01)


@pytest.mark.parametrize("name", ["ddn", "normal_pursuit"])
def test_what_is_found_is_the_closest_recorded_adversarial(
    name: str, model: nn.Module, walk: Walk
) -> None:
    if name == "normal_pursuit":
        walk = record(partial(normal_pursuit, budget=10), model, ORIGIN, BOUNDS)
    predictions = model(walk.points).argmax(1)
    assert walk.adversarial == tuple((predictions != walk.label).tolist())
    distances = (walk.points - ORIGIN).norm(dim=1)
    hits = predictions != walk.label
    assert walk.distance == pytest.approx(float(distances[hits].min()))
    torch.testing.assert_close(walk.found, walk.points[hits][distances[hits].argmin()])


def test_no_point_nearer_than_the_closest_is_adversarial(model: nn.Module, walk: Walk) -> None:
    closest = closest_point(model, ORIGIN, walk.label)
    assert int(model(closest[None]).argmax()) != walk.label
    distance = float((closest - ORIGIN).norm())
    assert distance <= walk.distance
    generator = torch.Generator().manual_seed(0)
    around = torch.randn(20_000, 2, generator=generator, dtype=torch.float64)
    lengths = torch.rand(20_000, 1, generator=generator, dtype=torch.float64).sqrt()
    inside = ORIGIN + 0.999 * distance * lengths * around / around.norm(dim=1, keepdim=True)
    assert (model(inside).argmax(1) == walk.label).all()


def test_the_closest_point_of_a_linear_classifier_is_the_projection() -> None:
    normal = torch.tensor([3.0, 4.0], dtype=torch.float64)

    def linear(points: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(points)), points @ normal - 5.0], 1)

    origin = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    missing = 5.0 - float(origin @ normal)
    expected = origin + missing * normal / 25
    torch.testing.assert_close(closest_point(linear, origin, 0), expected, atol=1e-6, rtol=0)
