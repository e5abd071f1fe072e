"""Models with one logit, as classifiers of two classes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import minnorm
from minnorm.errors import InputError
from minnorm.models import Binary, binary


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_the_two_logits_have_the_loss_and_the_gradients_of_the_one(shape: tuple[int, ...]) -> None:
    inputs = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    model = binary(lambda batch: (batch @ weights).reshape(shape))
    labels = torch.tensor([0, 1, 1, 0, 1])
    loss = nn.functional.cross_entropy(model(inputs), labels)
    alone = nn.functional.binary_cross_entropy_with_logits(inputs @ weights, labels.double())
    torch.testing.assert_close(loss, alone)
    torch.testing.assert_close(*(torch.autograd.grad(one, inputs)[0] for one in (loss, alone)))
    torch.testing.assert_close(model(inputs).argmax(1), (inputs @ weights > 0).long())


def test_the_closest_adversarial_of_a_linear_model_is_its_projection() -> None:
    weights = torch.tensor([3.0, 4.0]) / 5
    inputs = torch.tensor([[0.2, 0.1], [0.9, 0.8]])
    logits = inputs @ weights - 0.5
    result = minnorm.attack(
        binary(lambda batch: batch @ weights - 0.5), inputs, (logits > 0).long(), budget=30
    )
    torch.testing.assert_close(result.distances, logits.abs(), rtol=1e-3, atol=0)


def test_the_wrapper_has_the_mode_and_the_parts_of_its_model() -> None:
    network = nn.Sequential(nn.Linear(2, 1), nn.Dropout())
    assert binary(network).training
    wrapped = binary(network.eval())
    assert not wrapped.training
    assert wrapped.state_dict().keys() == {"model.0.weight", "model.0.bias"}
    assert isinstance(wrapped, Binary)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (lambda batch: batch, r"returned \[4, 2\] for 4 inputs"),
        (lambda batch: batch.sum(), r"returned \[\] for 4 inputs"),
        (lambda batch: batch[:2].sum(1), r"returned \[2\] for 4 inputs"),
        (lambda _: [0.0] * 4, "returned list for 4 inputs"),
    ],
)
def test_other_outputs_than_one_logit_are_refused(
    function: Callable[[Tensor], Tensor], found: str
) -> None:
    with pytest.raises(InputError, match=found + r".*one logit for each, \[4\] or \[4, 1\]"):
        binary(function)(torch.ones(4, 2))


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(InputError, match="the model is a str; expected a function"):
        binary("zoo:mnist-cnn")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_a_model_with_one_logit_is_refused_with_the_name_of_the_wrapper(
    shape: tuple[int, ...],
) -> None:
    inputs, labels = torch.rand(3, 4), torch.tensor([0, 1, 0])
    with pytest.raises(InputError, match=r"class 1 of two, wrap the model: minnorm\.models\.bin"):
        minnorm.ddn(lambda batch: batch.sum(1).reshape(shape), inputs, labels)
