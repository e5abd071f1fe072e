"""Probes of a model: whether its outputs can be attacked."""

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import small_problem, threshold
from minnorm.attacks.engine.doubts import doubt_about_gradients, doubt_about_logits
from minnorm.errors import InputError


def test_there_is_no_doubt_about_logits() -> None:
    model, inputs, _ = small_problem()
    assert doubt_about_logits(model(inputs)) is None
    # Negative numbers with the sum 1, and shares of more than 1, are no probabilities.
    assert doubt_about_logits(torch.tensor([[1.5, -0.5], [0.5, 0.5]])) is None
    assert doubt_about_logits(torch.tensor([[0.5, 0.5], [1.0, 0.01]])) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_probabilities_are_doubted(dtype: torch.dtype) -> None:
    model, inputs, _ = small_problem()
    expected = (
        "The model's outputs look like probabilities (from 0 to 1, with sum 1); attacks expect "
        "logits. Remove the softmax: its gradients vanish where the model is certain, so the model "
        "would look more robust than it is."
    )
    assert doubt_about_logits(model(inputs).softmax(1).to(dtype)) == expected
    assert doubt_about_logits(torch.tensor([[1.0, 0.0], [0.0, 1.0009]], dtype=dtype)) == expected


def test_nan_logits_are_doubted_first() -> None:
    logits = torch.tensor([[0.5, 0.5], [0.5, torch.nan]])
    assert doubt_about_logits(logits) == (
        "Some of the model's logits are NaN, on the samples probed. NaN is no class, so no "
        "attack succeeds on such samples. They are not robust: an evaluation counts them as "
        "misclassified."
    )


@pytest.mark.parametrize("grad", [False, True])
def test_there_is_no_doubt_about_gradients(grad: bool) -> None:
    model, inputs, _ = small_problem(batch=12)
    with torch.set_grad_enabled(grad):
        assert doubt_about_gradients(model, inputs) is None
        assert torch.is_grad_enabled() is grad


@pytest.mark.parametrize("place", range(3))
def test_each_sample_is_probed_for_another_class(place: int) -> None:
    # One class in all depends on the inputs, so only one of three samples shows a gradient.
    def model(points: Tensor) -> Tensor:
        logits = torch.zeros(len(points), 3)
        logits[:, place] = points.sum(1)
        return logits

    assert doubt_about_gradients(model, torch.ones(3, 2)) is None
    assert doubt_about_gradients(model, torch.ones(4, 2)) is None
    missed = doubt_about_gradients(model, torch.ones(place, 2))
    assert missed is not None
    assert missed.startswith("The model's gradients")


@pytest.mark.parametrize(
    "model",
    [
        lambda points: threshold(points.detach()),
        lambda points: threshold(points).round().sign(),
        lambda points: torch.ones(len(points), 2),
    ],
    ids=["detached", "rounded", "constant"],
)
def test_missing_gradients_are_doubted(model: torch.nn.Module) -> None:
    assert doubt_about_gradients(model, torch.rand(3, 2)) == (
        "The model's gradients with respect to its inputs are all zero, on the samples probed: its "
        "output does not depend on them, or one of its steps blocks gradients (.detach(), "
        "rounding, argmax). Attacks that use gradients find little, which says nothing about its "
        "robustness."
    )


def test_a_model_that_cannot_be_differentiated_is_an_error() -> None:
    def in_place(points: Tensor) -> Tensor:
        points += 1
        return threshold(points)

    message = "^the model cannot be differentiated with respect to its inputs: RuntimeError: a leaf"
    with pytest.raises(InputError, match=message):
        doubt_about_gradients(in_place, torch.rand(3, 2))
