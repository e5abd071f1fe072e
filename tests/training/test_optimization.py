"""Optimizers and schedules follow their formulas."""

from typing import Any

import pytest
import torch
from torch import nn

from minnorm.training import load_recipe
from minnorm.training.optimization import make_optimizer, share_of_rate
from minnorm.training.recipe import Optimizer, Schedule


@pytest.mark.parametrize(
    ("schedule", "epochs", "expected"),
    [
        (Schedule(), 4, {0: 1, 1.5: 1, 3.99: 1}),
        (Schedule(name="linear"), 4, {0: 1, 1: 0.75, 2: 0.5, 3.5: 0.125, 4: 0}),
        (Schedule(name="cosine"), 4, {0: 1, 1: 0.8535534, 2: 0.5, 3: 0.1464466, 4: 0}),
        (
            Schedule(name="milestones", milestones=(2, 3), factor=0.1),
            4,
            {0: 1, 1.99: 1, 2: 0.1, 2.99: 0.1, 3: 0.01, 4: 0.01},
        ),
        (Schedule(warmup=2), 4, {0: 0.001, 0.5: 0.25, 1: 0.5, 2: 1, 3: 1}),
        (Schedule(name="linear", warmup=1), 5, {0: 0.001, 0.5: 0.5, 1: 1, 3: 0.5, 5: 0}),
        (Schedule(name="cosine", warmup=1), 5, {0.5: 0.5, 1: 1, 3: 0.5, 5: 0}),
    ],
    ids=["constant", "linear", "cosine", "milestones", "warm", "warm linear", "warm cosine"],
)
def test_the_rate_follows_the_schedule(
    schedule: Schedule, epochs: int, expected: dict[float, float]
) -> None:
    shares = {epoch: share_of_rate(schedule, epoch, epochs) for epoch in expected}
    assert shares == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "sgd", "learning_rate": 0.1},
        {"name": "sgd", "learning_rate": 0.1, "momentum": 0.5, "weight_decay": 0.2},
        {"name": "sgd", "learning_rate": 0.1, "nesterov": True, "weight_decay": 0.2},
        {"name": "adamw", "learning_rate": 0.1, "weight_decay": 0.2},
    ],
)
def test_two_steps_are_those_of_the_formula(settings: dict[str, Any]) -> None:
    recipe = load_recipe("mnist-cnn").model_copy(update={"optimizer": Optimizer(**settings)})
    network = nn.Linear(3, 1, bias=False)
    expected = network.weight.detach().clone()
    optimizer = make_optimizer(recipe, network)
    decay, momentum = settings.get("weight_decay", 0.0), settings.get("momentum", 0.9)
    velocity, square = torch.zeros_like(expected), torch.zeros_like(expected)
    for step, gradient in enumerate((torch.tensor([[1.0, -2, 3]]), torch.tensor([[2.0, 0, 1]]))):
        network.weight.grad = gradient.clone()
        optimizer.step()
        if settings["name"] == "sgd":
            gradient = gradient + decay * expected  # noqa: PLW2901 - as in the formula
            velocity = momentum * velocity + gradient
            ahead = gradient + momentum * velocity if "nesterov" in settings else velocity
            expected = expected - 0.1 * ahead
        else:
            velocity = 0.9 * velocity + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            mean = velocity / (1 - 0.9 ** (step + 1))
            deviation = (square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
            expected = expected * (1 - 0.1 * decay) - 0.1 * mean / deviation
        torch.testing.assert_close(network.weight.detach(), expected)
