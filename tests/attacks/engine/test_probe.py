"""Probes of a model: whether it takes the inputs, and whether its outputs can be attacked."""

import re

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import small_problem, threshold
from minnorm.attacks.engine.probe import clean_logits, doubt_about_gradients, doubt_about_logits
from minnorm.errors import InputError, OutOfMemoryError


def test_clean_logits_are_those_of_the_model() -> None:
    model, inputs, labels = small_problem()
    assert torch.equal(clean_logits(model, inputs, labels), model(inputs))


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_a_batch_that_is_too_large_for_memory_is_halved(most: int) -> None:
    sizes = []
    _, inputs, labels = small_problem(batch=7)

    def small(points: Tensor) -> Tensor:
        sizes.append(len(points))
        if len(points) > most:
            raise torch.OutOfMemoryError
        return threshold(points)

    assert torch.equal(clean_logits(small, inputs, labels % 2), threshold(inputs))
    assert sum(size for size in sizes if size <= most) == 7
    assert sizes[:2] == ([7] if most == 7 else [7, 3])


def test_labels_are_checked_part_by_part() -> None:
    def small(points: Tensor) -> Tensor:
        if len(points) > 2:
            raise torch.OutOfMemoryError
        return threshold(points)

    message = "labels range from 1 to 2, but the model has 2 classes"
    for source, start in (("", ""), ("mnist-sample", "mnist-sample: ")):
        with pytest.raises(InputError, match=f"^{start}{message}"):
            clean_logits(small, torch.rand(4, 1), torch.tensor([0, 1, 1, 2]), source)


def test_a_single_sample_that_is_too_large_is_an_error() -> None:
    def greedy(_: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    message = r"^there is not enough memory for a single sample\.$"
    with pytest.raises(OutOfMemoryError, match=message):
        clean_logits(greedy, torch.rand(5, 2), torch.zeros(5, dtype=torch.int64))


@pytest.mark.parametrize("source", ["", "mnist-sample"])
def test_what_does_not_fit_is_named_with_its_source(source: str) -> None:
    inputs, labels = torch.rand(2, 1), torch.tensor([0, 5])
    start = f"{source}: " if source else ""
    message = f"{start}labels range from 0 to 5, but the model has 2 classes: expected labels "
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        clean_logits(threshold, inputs, labels, source)

    def broken(_: Tensor) -> Tensor:
        raise RuntimeError("shapes\n  differ")

    origin = " from mnist-sample" if source else ""
    message = (
        f"the model cannot take inputs of shape [2, 1] (torch.float32){origin}: RuntimeError: "
        "shapes differ"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        clean_logits(broken, inputs, labels, source)


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
        "Some of the model's logits are NaN, on the samples probed. No attack succeeds on such "
        "samples, so they count as robust at every radius, which they are not."
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
