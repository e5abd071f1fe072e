"""DDN against the closed form, against a naive transcription, and in its own details."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.networks import Curved, Linear, Recorded, problem
from minnorm.attacks import ddn
from reference.ddn import ddn_of_one_sample
from reference.linear import distance_to_halfspace, optimal_distance


@pytest.mark.parametrize("levels", [None, 256])
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 40])
def test_agrees_with_algorithm_1_step_by_step(
    steps: int, targeted: bool, levels: int | None
) -> None:
    model, inputs, labels = problem((1, 4, 4), batch=6, dtype=torch.float64, network=Curved)
    labels = (labels + 1) % 5 if targeted else labels
    recorded = Recorded(model)
    result = ddn(recorded, inputs, labels, targeted=targeted, steps=steps, levels=levels)
    assert len(recorded.batches) == steps + 1
    for index in range(len(inputs)):
        points, best = ddn_of_one_sample(
            model,
            inputs[index],
            int(labels[index]),
            targeted=targeted,
            steps=steps,
            levels=levels,
        )
        for batch, point in zip(recorded.batches, points, strict=True):
            assert torch.allclose(batch[index], point, atol=1e-6)
        assert bool(result.success[index]) == (best is not None)
        if best is not None:
            assert torch.allclose(result.adversarials[index], best, atol=1e-6)


@pytest.mark.parametrize("features", [2, 16, 784])
def test_within_two_per_cent_of_the_optimum_of_a_linear_model(features: int) -> None:
    model, inputs, labels = problem(
        (features,), batch=50, classes=2, dtype=torch.float64, network=Linear
    )
    result = ddn(model, inputs, labels, steps=300)
    assert result.success.all()
    for index in range(50):
        optimum = optimal_distance(
            model.weight.detach(),
            model.bias.detach(),
            inputs[index],
            int(labels[index]),
            targeted=False,
            low=0.0,
            high=1.0,
        )
        assert 1 - 1e-9 <= float(result.distances[index]) / optimum <= 1.02


@pytest.mark.parametrize("features", [2, 16, 784])
def test_with_several_classes_within_two_per_cent_of_the_boundary_it_went_to(
    features: int,
) -> None:
    # The cross-entropy leads to the likeliest other class, which need not be the nearest. Large
    # logits (margins above 10, as a trained network's) keep the further classes out of it.
    model, inputs, labels = problem(
        (features,), batch=50, classes=5, dtype=torch.float64, network=Linear, scale=100
    )
    result = ddn(model, inputs, labels, steps=300)
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
        assert 1 - 1e-9 <= float(result.distances[index]) / boundary <= 1.02


def test_levels_give_points_on_the_grid() -> None:
    model, inputs, labels = problem((1, 4, 4))
    inputs = (inputs * 255).round() / 255
    result = ddn(model, inputs, labels, levels=256)
    assert result.success.all()
    steps = result.adversarials * 255
    assert torch.allclose(steps, steps.round(), atol=1e-4)


def test_the_radius_does_not_outgrow_the_box() -> None:
    def constant(inputs: Tensor) -> Tensor:
        return torch.stack([inputs.sum(1) * 0 + 1, inputs.sum(1) * 0], dim=1)

    recorded = Recorded(constant)
    inputs = torch.full((2, 4), 0.5)
    ddn(recorded, inputs, torch.zeros(2, dtype=torch.int64), steps=2000)
    assert torch.stack(recorded.batches).isfinite().all()


def test_gradients_of_any_length_give_the_same_result() -> None:
    model, inputs, labels = problem((20,), dtype=torch.float32, network=Linear, classes=2)

    def faint(points: Tensor) -> Tensor:
        logits: Tensor = model(points)
        return 1e-30 * logits

    plain, small = ddn(model, inputs, labels), ddn(faint, inputs, labels)
    assert small.success.all()
    assert torch.allclose(plain.distances, small.distances, rtol=1e-3)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("steps=0", {"steps": 0}),
        ("steps=1.5", {"steps": 1.5}),
        ("steps=True", {"steps": True}),
        ("initial_norm=0", {"initial_norm": 0}),
        ("gamma=1", {"gamma": 1}),
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
