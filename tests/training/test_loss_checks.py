"""Checks of losses, gradients and weights."""

import math

import pytest
import torch
from torch import nn

from minnorm.errors import InputError
from minnorm.training.loss_checks import (
    check_finite,
    check_gradients,
    check_loss,
    naming_objective,
)


def test_a_scalar_with_a_gradient_is_a_loss() -> None:
    loss = torch.tensor(1.0, requires_grad=True)
    assert check_loss(loss) is loss


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("none", "the objective returned a str; expected a scalar tensor"),
        (torch.ones(32, requires_grad=True), r"torch.float32 of shape \[32\]; expected a scalar"),
        (torch.tensor(1.0), r"torch.float32 of shape \[\] without a gradient"),
        (torch.tensor(1), r"torch.int64 of shape \[\] without a gradient"),
    ],
)
def test_something_else_is_not(loss: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_loss(loss)


def test_errors_name_the_objective() -> None:
    raised = r"^objective: mine raised KeyError: 'no weight'$"
    with pytest.raises(InputError, match=raised), naming_objective("mine"):
        raise KeyError("no weight")
    with pytest.raises(InputError, match=r"^objective: mine: no points$"), naming_objective("mine"):
        raise InputError("no points")
    with pytest.raises(torch.OutOfMemoryError), naming_objective("mine"):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_the_loss_depends_on_the_weights_and_with_ranks_on_all() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    with pytest.raises(InputError, match="the loss of mine does not depend on the weights"):
        check_gradients(network, "mine", 1)
    network[0](torch.ones(1, 2)).sum().backward()
    check_gradients(network, "mine", 1)
    with pytest.raises(InputError, match=r"the parameters 1.weight, 1.bias take no part in the"):
        check_gradients(network, "mine", 2)
    network[1].requires_grad_(False)
    check_gradients(network, "mine", 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_losses_and_weights_are_finite(value: float) -> None:
    check_finite(1.0, [torch.ones(2)], 3, "digits")
    with pytest.raises(InputError, match=rf"the loss became {value} in epoch 3: .* check digits"):
        check_finite(value, [torch.ones(2)], 3, "digits")
    with pytest.raises(InputError, match="weights became infinite or NaN at the end of epoch 3"):
        check_finite(1.0, [torch.ones(2), torch.tensor([1.0, value])], 3, "digits")
