"""Probes of a model: whether its outputs can be attacked."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.engine.searches import small_problem, threshold
from minnorm.attacks import ddn
from minnorm.attacks.engine.autograd import without_gradients
from minnorm.attacks.engine.doubts import (
    doubt_about_gradients,
    doubt_about_labels,
    doubt_about_nan,
    doubt_about_probabilities,
    doubt_about_repeatability,
    doubt_about_saturation,
    doubt_about_successes,
    same_logits,
)
from minnorm.doubts import Doubt
from minnorm.errors import InputError
from minnorm.logits import Model


def test_several_samples_that_are_all_misclassified_are_doubtful() -> None:
    logits = torch.eye(3)[[0, 1, 2, 0]]
    counted_from_1 = logits.argmax(1) + 1
    doubt = doubt_about_labels(logits, counted_from_1)
    assert doubt is not None
    assert doubt.kind == "chance"
    assert "misclassifies all of the first 4 inputs" in doubt.text
    assert doubt_about_labels(logits[:3], counted_from_1[:3]) is None
    counted_from_1[2] = 2
    assert doubt_about_labels(logits, counted_from_1) is None


def test_there_is_no_doubt_about_probabilities() -> None:
    model, inputs, _ = small_problem()
    assert doubt_about_probabilities(model(inputs)) is None
    # Negative numbers with the sum 1, and shares of more than 1, are no probabilities.
    assert doubt_about_probabilities(torch.tensor([[1.5, -0.5], [0.5, 0.5]])) is None
    assert doubt_about_probabilities(torch.tensor([[0.5, 0.5], [1.01, 0.01]])) is None
    assert doubt_about_probabilities(torch.tensor([[0.5, 0.5], [3.0, 97.5]])) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_probabilities_are_doubted(dtype: torch.dtype) -> None:
    model, inputs, _ = small_problem()
    expected = Doubt(
        "probabilities",
        "The model's outputs look like probabilities (from 0 to 1, with sum 1); attacks expect "
        "logits. Remove the softmax: its gradients vanish where the model is certain, so the model "
        "would look more robust than it is. If the model returns nothing else, attack it without "
        "gradients: minnorm.models.predict_only(model, outputs='probabilities').",
    )
    assert doubt_about_probabilities(model(inputs).softmax(1).to(dtype)) == expected
    assert (
        doubt_about_probabilities(torch.tensor([[1.0, 0.0], [0.0, 1.0009]], dtype=dtype))
        == expected
    )


def test_only_probabilities_with_sum_1_are_doubted_as_scores() -> None:
    model, inputs, _ = small_problem()
    doubt = doubt_about_probabilities(model(inputs).softmax(1), "scores")
    assert doubt is not None
    assert "outputs='probabilities'" in doubt.text
    for scores in (model(inputs).sigmoid(), 100 * model(inputs).softmax(1)):
        assert doubt_about_probabilities(scores, "scores") is None
    assert doubt_about_probabilities(model(inputs).softmax(1), "decisions") is None


def test_a_single_probability_is_no_logit() -> None:
    def doubt(column: list[float]) -> Doubt | None:
        logits = torch.tensor(column)[:, None] * torch.tensor([0.0, 1.0])
        return doubt_about_probabilities(logits, "scores")

    found = doubt([0.9, 0.03, 0.5])
    assert found is not None
    assert found.kind == "probabilities"
    assert "single output" in found.text
    assert doubt([0.9, -0.03, 0.5]) is doubt([0.9, 1.5, 0.5]) is doubt([0.0, 0.0]) is None


def test_nan_logits_are_doubted() -> None:
    assert doubt_about_nan(torch.tensor([[0.5, 0.5]])) is None
    assert doubt_about_nan(torch.tensor([[0.5, 0.5], [0.5, torch.nan]])) == Doubt(
        "nan",
        "Some of the model's logits are NaN, on the samples probed. NaN is no class: a "
        "point with NaN is not adversarial, so an attack may miss what is close. Such "
        "samples are not robust: an evaluation counts them as misclassified.",
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
    assert missed.text.startswith("The model's gradients")


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
    assert doubt_about_gradients(model, torch.rand(3, 2)) == Doubt(
        "zero-gradients",
        "The model's gradients with respect to its inputs are all zero, on the samples probed: its "
        "output does not depend on them, or one of its steps blocks gradients (.detach(), "
        "rounding, argmax, NumPy). Attacks that use gradients find little, which says nothing "
        f"about its robustness. {without_gradients()}",
    )


def test_a_model_that_cannot_be_differentiated_is_an_error() -> None:
    def outside_of_autograd(points: Tensor) -> Tensor:
        return threshold(torch.from_numpy(points.numpy()))

    message = "^the model cannot be differentiated .* since it passes them to NumPy. Put minnorm"
    with pytest.raises(InputError, match=message):
        doubt_about_gradients(outside_of_autograd, torch.rand(3, 2))

    def broken_by_gradients(points: Tensor) -> Tensor:
        if points.requires_grad:
            raise OSError("no gradients here")
        return threshold(points)

    with pytest.raises(InputError, match=r"with respect to its inputs: OSError: no gradients here"):
        doubt_about_gradients(broken_by_gradients, torch.rand(3, 2))


def test_a_sigmoid_for_each_class_is_doubted() -> None:
    model, inputs, _ = small_problem()
    doubt = doubt_about_probabilities(model(inputs).sigmoid())
    assert doubt is not None
    assert "(from 0 to 1); attacks expect logits. Remove the sigmoid" in doubt.text


def test_percentages_are_doubted() -> None:
    model, inputs, _ = small_problem()
    doubt = doubt_about_probabilities(100 * model(inputs).softmax(1))
    assert doubt is not None
    assert "(from 0 to 100, with sum 100); attacks expect logits. Remove the softmax" in doubt.text


def test_saturated_logits_are_doubted_where_the_cross_entropy_has_no_gradient() -> None:
    certain = torch.tensor([[9.0, 4.0, -5.0], [2.0, -4.0, 3.0], [-1.0, 8.0, 0.0]])
    assert doubt_about_saturation(certain) is None
    assert doubt_about_saturation(10 * certain) is None
    for scale, labels in ((10, certain.argmax(1)), (200, certain.argmax(1))):
        logits = (scale * certain).requires_grad_()
        (gradients,) = torch.autograd.grad(cross_entropy(logits, labels), logits)
        assert gradients.any() == (doubt_about_saturation(logits.detach()) is None)
    doubt = doubt_about_saturation(200 * certain)
    assert doubt is not None
    assert "exactly 0 or 1 for 3 of 3 samples" in doubt.text


def test_a_few_saturated_samples_are_not_doubted() -> None:
    assert doubt_about_saturation(torch.tensor([[500.0, 0.0], [1.0, 0.0]])) is None


MASKS = [-10.0, -1e4, -1e9, -torch.inf]


def masked(model: Model, value: float) -> Model:
    """Return a model with two more classes, whose logits are this value."""

    def classify(inputs: Tensor) -> Tensor:
        logits = model(inputs)
        return torch.cat([logits, logits.new_full((len(logits), 2), value)], 1)

    return classify


class Noisy(nn.Module):
    """A network that adds noise to its logits."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, inputs: Tensor) -> Tensor:
        logits = threshold(inputs)
        return logits + self.noise * torch.randn_like(logits)


@pytest.mark.parametrize("noise", [1.0, 0.02, 1e-3])
def test_logits_that_change_from_call_to_call_are_doubted(noise: float) -> None:
    model, inputs = Noisy(noise).eval(), torch.rand(4, 2)
    doubt = doubt_about_repeatability(model, inputs, model(inputs))
    assert doubt is not None
    assert doubt.text.startswith(
        "The model returns different logits for the same inputs each time: it"
    )
    assert "draws random numbers in evaluation mode too" in doubt.text
    # A function has no mode, so that may be the cause.
    doubt = doubt_about_repeatability(partial(model), inputs, model(inputs))
    assert doubt is not None
    assert "it is in training mode (dropout) or draws random numbers" in doubt.text


@pytest.mark.parametrize("value", MASKS)
def test_masked_classes_do_not_hide_randomness(value: float) -> None:
    inputs = torch.rand(4, 2)
    for noise, doubted in ((0.02, True), (0.0, False)):
        model = masked(Noisy(noise).eval(), value)
        doubt = doubt_about_repeatability(model, inputs, model(inputs))
        assert (doubt is not None) == doubted


@pytest.mark.parametrize("value", MASKS)
def test_masked_classes_do_not_hide_that_samples_depend_on_their_batch(value: float) -> None:
    logits = masked(threshold, value)(torch.rand(4, 2) + torch.tensor([0.0, 1.0]))
    alone = logits[:1] + torch.tensor([0.5, 0.0, 0.0, 0.0])
    assert not same_logits(alone, logits[:1], scale=logits, repeated=False)
    alone = logits[:1] * torch.tensor([1.001, 1.0, 1.001, 1.0])
    assert same_logits(alone, logits[:1], scale=logits, repeated=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_there_is_no_doubt_about_logits_that_stay_the_same(dtype: torch.dtype) -> None:
    model, inputs = Noisy(0.0).eval(), torch.rand(4, 2, dtype=dtype)
    assert doubt_about_repeatability(model, inputs, model(inputs)) is None
    broken = torch.full((4, 2), torch.nan)
    assert doubt_about_repeatability(lambda _: broken, inputs, broken) is None


def test_logits_of_other_batches_may_round_differently() -> None:
    logits = torch.tensor([[1.0, 2.0]])
    other = logits * 1.005
    assert same_logits(other, logits, repeated=False)
    assert not same_logits(other, logits, repeated=True)
    assert not same_logits(logits * 1.02, logits, repeated=False)
    assert same_logits(logits * 1.02, logits, scale=100 * logits, repeated=False)


@pytest.mark.parametrize("targeted", [False, True])
def test_adversarials_that_are_none_any_more_are_doubted(targeted: bool) -> None:
    model, inputs, labels = small_problem()
    wanted = (labels + 1) % model(inputs).shape[1] if targeted else labels
    found = ddn(model, inputs, wanted, targeted=targeted, steps=20)
    assert doubt_about_successes(model, found, wanted, targeted=targeted) is None
    fake = replace(found, adversarials=inputs)
    doubt = doubt_about_successes(model, fake, wanted, targeted=targeted)
    assert doubt is not None
    assert f"{len(inputs)} of {len(inputs)} adversarials are not adversarial" in doubt.text
    none = replace(fake, success=torch.zeros(len(inputs), dtype=torch.bool))
    assert doubt_about_successes(model, none, wanted, targeted=targeted) is None


@pytest.mark.parametrize("value", MASKS)
@pytest.mark.parametrize("targeted", [False, True])
def test_masked_classes_do_not_hide_that_adversarials_are_none(
    value: float, targeted: bool
) -> None:
    plain, inputs, labels = small_problem()
    model = masked(plain, value)
    wanted = (labels + 1) % plain(inputs).shape[1] if targeted else labels
    found = ddn(model, inputs, wanted, targeted=targeted, steps=20)
    assert doubt_about_successes(model, found, wanted, targeted=targeted) is None
    fake = replace(found, adversarials=inputs)
    assert doubt_about_successes(model, fake, wanted, targeted=targeted) is not None
