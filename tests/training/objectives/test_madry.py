"""Training on the last points of PGD."""

import pytest
import torch

from minnorm.errors import InputError
from minnorm.geometry import distances
from minnorm.training import load_objective, madry
from training.objectives.cases import gradients_of, points_of, problem


def test_each_sample_starts_at_a_point_of_its_own() -> None:
    model, inputs, labels = problem()
    same = inputs[:1].expand(12, 20).contiguous()
    objective = madry(epsilon=0.5, steps=1, step_size=1e-6)
    points = points_of(objective, model, same, labels[:1].expand(12))
    assert len({tuple(point.tolist()) for point in points}) == 12


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_starts_are_uniform_in_the_ball(norm: str) -> None:
    model, inputs, labels = problem()
    middle = torch.full_like(inputs, 0.5)  # far from the bounds, so that nothing is clipped
    objective = madry(epsilon=0.4, norm=norm, steps=1, step_size=1e-6)  # type: ignore[arg-type]
    shares = []
    for _ in range(20):
        points = points_of(objective, model, middle, labels)
        shares.append(distances(points, middle, norm) / 0.4)  # type: ignore[arg-type]
    assert torch.cat(shares).max() <= 1 + 1e-4
    uniform = torch.cat(shares) ** 20  # the volume inside, in 20 dimensions
    assert uniform.mean() == pytest.approx(0.5, abs=0.1)


def test_a_step_goes_along_the_gradient_from_the_start() -> None:
    model, inputs, labels = problem()
    objective = madry(epsilon=0.5, steps=1, step_size=0.02, warm_start=True)
    assert objective.warm_start
    points = points_of(objective, model, inputs, labels, inputs)
    gradients = gradients_of(model, inputs, labels)
    expected = inputs + 0.02 * gradients / gradients.norm(dim=1, keepdim=True)
    torch.testing.assert_close(points, expected.clamp(0, 1))


def test_a_start_outside_the_ball_is_projected_onto_it() -> None:
    model, inputs, labels = problem()
    far = (inputs + 0.9 * torch.randn(inputs.shape)).clamp(0, 1)
    near = inputs + 0.01 * (far - inputs)
    for starts, expected in ((far, 0.5), (near, distances(near, inputs))):
        objective = madry(epsilon=0.5, steps=1, step_size=1e-7, warm_start=True)
        points = points_of(objective, model, inputs, labels, starts)
        torch.testing.assert_close(
            distances(points, inputs), torch.as_tensor(expected).expand(12), rtol=0, atol=1e-5
        )


def test_it_takes_ten_steps_of_a_quarter_radius_by_default() -> None:
    objectives = madry(epsilon=0.5), madry(epsilon=0.5, steps=10, step_size=0.125, norm="l2")
    assert not objectives[0].warm_start
    model, inputs, labels = problem()
    points = []
    for objective in objectives:
        torch.manual_seed(0)
        points.append(points_of(objective, model, inputs, labels))
    assert points[0].equal(points[1])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("madry(epsilon=-1)", "epsilon=-1"),
        ("madry(epsilon=1, steps=0)", "steps=0"),
        ("madry(epsilon=1, step_size=0)", "step_size=0"),
        ("madry(epsilon=1, norm='l0')", "l0"),
        ("madry(epsilon=1, warm_start='no')", "warm_start='no': expected True or False"),
    ],
)
def test_arguments_of_madry_are_checked(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_objective(spec)
