"""Objectives by their specs."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from minnorm.errors import InputError
from minnorm.training import Adversarial, Objective, clean, load_objective, madry
from training.objectives.cases import loss_of, problem


def of_a_user(*, weight: float) -> Objective:
    return lambda model, inputs, labels: weight * cross_entropy(model(inputs), labels)


def adversarial_of_a_user() -> Adversarial:
    return madry(epsilon=0.25, warm_start=True)


def no_objective() -> str:
    return "no"


def test_an_objective_of_the_user_is_named_by_its_function() -> None:
    model, inputs, labels = problem()
    half = loss_of(load_objective(f"{__name__}:of_a_user(weight=0.5)"), model, inputs, labels)
    torch.testing.assert_close(half, 0.5 * loss_of(clean(), model, inputs, labels))
    made = load_objective(f"{__name__}:adversarial_of_a_user")
    assert isinstance(made, Adversarial)
    assert made.warm_start


def test_what_is_no_objective_is_refused() -> None:
    with pytest.raises(InputError, match=r"no_objective' returned str; expected an objective"):
        load_objective(f"{__name__}:no_objective")
    with pytest.raises(InputError, match="of_a_user"):
        load_objective(f"{__name__}:of_a_user(width=0.5)")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cleam", "unknown objective 'cleam'. Did you mean 'clean'"),
        ("clean[:3]", "an objective has no slice"),
        ("madry", "'madry' requires epsilon: write madry"),
        ("madry(width=1)", "unknown parameter 'width' of madry"),
        ("madry(eps=1, epsilon=2)", "madry: epsilon is given twice"),
    ],
)
def test_wrong_specs_are_refused(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_objective(spec)


def test_common_words_for_parameters_are_understood() -> None:
    model, inputs, labels = problem()
    losses = []
    for spec in ("madry(epsilon=0.25, norm='linf')", "madry(eps=1/4, norm=Linf)"):
        torch.manual_seed(0)
        losses.append(loss_of(load_objective(spec), model, inputs, labels))
    assert torch.equal(*losses)
