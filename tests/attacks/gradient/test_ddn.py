"""DDN: its transcription, its distance from the optimum, and its options."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.gradient.stepwise import (
    TARGETED,
    UNTARGETED,
    check_closest,
    check_same,
    check_transcription,
    one_sample,
    visited,
)
from attacks.networks import Linear, Recorded, problem
from minnorm.attacks import ddn
from reference.ddn import ddn_of_one_sample
from reference.linear import distance_to_halfspace, optimal_distance


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 1, **UNTARGETED},
        {"steps": 2, "levels": 256, **TARGETED},
        {"steps": 40, "levels": 256, **UNTARGETED},
        {"steps": 40, **TARGETED},
        {"steps": 30, "initial_norm": 0.3, "gamma": 0.1, "step_size": 0.5, **TARGETED},
    ],
    ids=str,
)
def test_transcription(settings: dict[str, Any]) -> None:
    check_transcription(ddn, ddn_of_one_sample, **settings)


@pytest.mark.parametrize(
    ("index", "shift", "levels"), [(0, 0.0, None), (1, 0.1, 8), (2, -0.2, None)]
)
def test_transcription_from_a_start(index: int, shift: float, levels: int | None) -> None:
    model, x, y = one_sample(index, targeted=False)
    start = (x + shift).clamp(0, 1)
    settings: dict[str, Any] = {"steps": 12, "initial_norm": 0.4, "levels": levels}
    if levels is not None:  # the attack begins on the grid
        start = (start * (levels - 1)).round() / (levels - 1)
    expected = ddn_of_one_sample(model, x, y, start=start, **settings)
    found, result = visited(ddn, model, x, y, bounds=(-1.0, 3.0), starts=start, **settings)
    check_same(found, [x, *expected])
    check_closest(result, model, expected, x, y, targeted=False)


def test_transcription_where_the_radius_grows_to_the_farthest_corner() -> None:
    slopes = torch.tensor([1.0, 0.1, 0.01], dtype=torch.float64)

    def never(points: Tensor) -> Tensor:
        rise = 1e-3 * (points @ slopes)
        return torch.stack([torch.ones_like(rise), rise], 1)

    x = torch.tensor([0.1, 0.4, 0.7], dtype=torch.float64)
    settings: dict[str, Any] = {"steps": 8, "gamma": 0.9, "step_size": 1e-3}
    expected = ddn_of_one_sample(never, x, 0, **settings)
    found, _ = visited(ddn, never, x, 0, bounds=(-1.0, 3.0), **settings)
    check_same(found, expected)


def test_the_defaults_are_those_of_the_paper() -> None:
    model, inputs, labels = problem((20,), batch=2)
    given = ddn(model, inputs, labels, steps=100, initial_norm=1.0, gamma=0.05, step_size=1.0)
    assert torch.equal(ddn(model, inputs, labels).adversarials, given.adversarials)


@pytest.mark.parametrize("features", [2, 784])
def test_within_one_percent_of_the_optimum_of_a_linear_model(features: int) -> None:
    model, inputs, labels = problem(
        (features,), batch=50, classes=2, dtype=torch.float64, network=Linear
    )
    result = ddn(model, inputs, labels, steps=150)
    assert result.success.all()
    weight, bias = model.weight.detach(), model.bias.detach()
    for index in range(50):
        optimum = optimal_distance(
            weight, bias, inputs[index], int(labels[index]), targeted=False, low=0.0, high=1.0
        )
        assert 1 - 1e-9 <= float(result.distances[index]) / optimum <= 1.01


@pytest.mark.parametrize("features", [2, 784])
def test_with_several_classes_within_one_percent_of_the_boundary_that_it_crosses(
    features: int,
) -> None:
    # The cross-entropy leads to the most likely other class, which may not be the nearest one. With
    # large logits (margins above 10, as of a trained network) the farther classes do not matter.
    model, inputs, labels = problem(
        (features,), batch=50, classes=5, dtype=torch.float64, network=Linear, scale=100
    )
    result = ddn(model, inputs, labels, steps=150)
    assert result.success.all()
    with torch.no_grad():
        reached = model(result.adversarials).argmax(1)
    weight, bias = model.weight.detach(), model.bias.detach()
    for index in range(50):
        label, other = int(labels[index]), int(reached[index])
        boundary = distance_to_halfspace(
            inputs[index],
            weight[label] - weight[other],
            float(bias[label] - bias[other]),
            low=0.0,
            high=1.0,
        )
        assert 1 - 1e-9 <= float(result.distances[index]) / boundary <= 1.01


def test_a_radius_that_grows_in_each_step_stays_finite() -> None:
    def constant(inputs: Tensor) -> Tensor:
        return torch.stack([inputs.sum(1) * 0 + 1, inputs.sum(1) * 0], dim=1)

    recorded = Recorded(constant)
    inputs = torch.full((2, 4), 0.5)
    # Without a limit the radius would be 1.9**150, more than float32 holds.
    ddn(recorded, inputs, torch.zeros(2, dtype=torch.int64), steps=150, gamma=0.9)
    assert torch.stack(recorded.batches).isfinite().all()


def test_gradients_of_any_length_give_the_same_result() -> None:
    model, inputs, labels = problem((20,), network=Linear, classes=2)
    plain = ddn(model, inputs, labels)
    small = ddn(lambda points: 1e-30 * model(points), inputs, labels)
    assert small.success.all()
    assert torch.allclose(plain.distances, small.distances, rtol=1e-3)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("steps=0", {"steps": 0}),
        ("steps=1.5", {"steps": 1.5}),
        ("steps=True", {"steps": True}),
        ("initial_norm=0", {"initial_norm": 0}),
        ("gamma=0", {"gamma": 0}),
        ("gamma=1", {"gamma": 1}),
        ("step_size=0", {"step_size": 0}),
        ("step_size=nan", {"step_size": float("nan")}),
        ("levels=1", {"levels": 1}),
        ("finite bounds", {"levels": 8, "bounds": (0.0, float("inf"))}),
        ("starts", {"starts": torch.zeros(3, 3)}),
    ],
)
def test_bad_parameters_are_refused(message: str, arguments: dict[str, Any]) -> None:
    model, inputs, labels = problem((20,))
    untyped: Any = inspect.unwrap(ddn)  # without the check of annotations, as users call it
    with pytest.raises(ValueError, match=message):
        untyped(model, inputs, labels, **arguments)
