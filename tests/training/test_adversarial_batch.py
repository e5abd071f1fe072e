"""One batch of adversarial training: the attack, then the loss."""

from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Generator, Tensor, nn

from minnorm.errors import InputError
from minnorm.training import Adversarial, load_objective
from minnorm.training.adversarial_batch import perturb_and_loss
from training.objectives.cases import DEFENSES, MIXED, Watched, problem


@pytest.mark.parametrize("name", [*DEFENSES, *MIXED])
def test_the_attack_sees_the_frozen_model_in_evaluation_mode(name: str) -> None:
    model, inputs, labels = problem(dropout=0.5)
    model.network.bias.requires_grad_(False)
    objective = load_objective({**DEFENSES, **MIXED}[name])
    assert isinstance(objective, Adversarial)
    perturb_and_loss(objective, model, inputs, labels)
    assert len(model.trained_on) == 1
    assert not model.attacked_with_gradients
    assert model.training
    assert model.dropout.training
    assert not model.frozen.training
    assert model.network.weight.requires_grad
    assert not model.network.bias.requires_grad


def test_perturb_and_loss_are_called_as_the_contract_says() -> None:
    model, inputs, labels = problem()
    starts, called = inputs / 2, []

    def perturb(*given: Any) -> Tensor:
        called.append(given)
        return 1 - inputs

    def loss(*given: Any) -> Tensor:
        called.append(given)
        return torch.tensor(3.0)

    points, value = perturb_and_loss(Adversarial(perturb, loss), model, inputs, labels, starts)
    attacked, trained = called
    assert attacked[:4] == (model, inputs, labels, starts)
    assert isinstance(attacked[4], Generator)
    assert attacked[4].device == inputs.device
    assert trained == (model, inputs, points, labels)
    assert points.equal(1 - inputs)
    assert value == 3
    perturb_and_loss(Adversarial(perturb, loss), model, inputs, labels)
    assert called[2][3] is None


def test_low_precision_leaves_the_update_its_gradients() -> None:
    model, inputs, labels = problem()
    objective = load_objective("madry(epsilon=0.5)")
    assert isinstance(objective, Adversarial)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, loss = perturb_and_loss(objective, model, inputs, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    assert model.network.weight.grad is not None
    assert model.network.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("points", "found"),
    [("points", "str"), (torch.zeros(3, 20), r"\[3, 20\]")],
)
def test_something_else_than_points_is_refused(points: object, found: str) -> None:
    model, inputs, labels = problem()
    objective = Adversarial(Mock(return_value=points), Mock())
    with pytest.raises(
        InputError, match=rf"perturb returned {found}; expected .* of shape \[12, 20\]"
    ):
        perturb_and_loss(objective, model, inputs, labels)


def test_the_model_is_restored_when_the_attack_fails() -> None:
    model, inputs, labels = problem()

    def perturb(target: nn.Module, *_: Any) -> Tensor:
        assert isinstance(target, Watched)
        assert not target.training
        raise KeyError("no such thing")

    with pytest.raises(KeyError):
        perturb_and_loss(Adversarial(perturb, Mock()), model, inputs, labels)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
