"""`Accelerated`, which is called as its exact classifier, and the original of a model."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor, nn

from minnorm.acceleration import Accelerated, original
from minnorm.acceleration.accelerated import check_callable
from minnorm.errors import InputError
from minnorm.logits import Model


def _adds(value: float) -> Model:
    def classify(inputs: Tensor) -> Tensor:
        return inputs + value

    return classify


def test_an_accelerated_model_returns_the_logits_of_its_exact_classifier() -> None:
    fast = Accelerated(_adds(1), _adds(2), _adds(3), "used", ("note",))
    assert fast(torch.zeros(2, 3)).tolist() == [[2.0] * 3] * 2


def test_an_accelerated_model_cannot_be_changed() -> None:
    fast = Accelerated(_adds(1), _adds(2), None, "used", ())
    with pytest.raises(FrozenInstanceError):
        fast.used = "other"  # type: ignore[misc]


def test_the_original_of_a_model_that_is_not_accelerated_is_itself() -> None:
    given = _adds(1)
    assert original(Accelerated(given, _adds(2), None, "used", ())) is given
    assert original(given) is given


@pytest.mark.parametrize("model", ["zoo:mnist-cnn", None, torch.zeros(2)])
def test_a_model_that_cannot_be_called_is_refused(model: object) -> None:
    message = f"the model is a {type(model).__name__}; expected a function .*load_model"
    with pytest.raises(InputError, match=message):
        check_callable(model)


def test_modules_and_functions_can_be_called() -> None:
    check_callable(nn.Flatten())
    check_callable(_adds(1))
