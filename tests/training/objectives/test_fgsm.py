"""Training on single steps."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from minnorm.errors import InputError
from minnorm.training import fgsm, load_objective
from training.objectives.cases import gradients_of, loss_of, points_of, problem


def test_the_step_is_along_the_sign_of_the_gradient() -> None:
    model, inputs, labels = problem()
    points = points_of(fgsm(epsilon=0.1), model, inputs, labels)
    expected = inputs + 0.1 * gradients_of(model, inputs, labels).sign()
    torch.testing.assert_close(points, expected.clamp(0, 1))


def test_in_l2_the_step_is_along_the_gradient() -> None:
    model, inputs, labels = problem()
    points = points_of(fgsm(epsilon=0.1, norm="l2"), model, inputs, labels)
    gradients = gradients_of(model, inputs, labels)
    expected = inputs + 0.1 * gradients / gradients.norm(dim=1, keepdim=True)
    torch.testing.assert_close(points, expected.clamp(0, 1))


@pytest.mark.parametrize("weight", [0, 0.3, None])
def test_the_losses_on_inputs_and_points_are_weighed(weight: float | None) -> None:
    model, inputs, labels = problem()
    objective = fgsm(epsilon=0.1) if weight is None else fgsm(epsilon=0.1, weight=weight)
    loss = loss_of(objective, model, inputs, labels)
    share = 0.5 if weight is None else weight
    points = model.trained_on[0][12:]
    expected = share * cross_entropy(model(inputs), labels)
    expected += (1 - share) * cross_entropy(model(points), labels)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fgsm(epsilon=0)", "epsilon=0: expected a number above 0"),
        ("fgsm(epsilon=0.1, weight=1.0)", "weight=1.0: expected .* of at least 0 and below 1"),
        ("fgsm(epsilon=0.1, weight=-0.1)", "weight=-0.1: expected .* of at least 0"),
        ("fgsm(epsilon=0.1, norm='l0')", "l0"),
    ],
)
def test_arguments_of_fgsm_are_checked(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_objective(spec)
