"""What logits say: predictions, decisions, margins, and the direction of the cross-entropy."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from minnorm.losses import cross_entropy_direction, is_adversarial, margins, predictions


@st.composite
def decisions(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Draws logits [b c] in float64 of 0 to 5 samples and 2 to 6 classes, and labels [b]."""
    batch, classes = draw(st.integers(0, 5)), draw(st.integers(2, 6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    scale = 10.0 ** draw(st.integers(-3, 1))
    logits = scale * torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (batch,), generator=generator)


@given(decisions())
def test_predictions_are_the_largest_logits(problem: tuple[Tensor, Tensor]) -> None:
    logits, _ = problem
    assert torch.equal(predictions(logits), logits.argmax(1))


def test_logits_with_a_nan_predict_no_class() -> None:
    logits = torch.tensor([[math.nan, 1.0], [1.0, math.nan], [0.0, 1.0], [math.inf, -math.inf]])
    assert predictions(logits).tolist() == [-1, -1, 1, 0]


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_logits_with_a_nan_are_never_adversarial(label: int, targeted: bool) -> None:
    logits = torch.zeros(3, 3).fill_diagonal_(math.nan)
    logits[:, 2] = 9.0
    logits[2] = math.nan
    assert not is_adversarial(logits, torch.full((3,), label), targeted).any()


@given(decisions())
def test_margins_are_below_zero_exactly_when_the_sample_is_misclassified(
    problem: tuple[Tensor, Tensor],
) -> None:
    logits, labels = problem
    assert torch.equal(margins(logits, labels) < 0, is_adversarial(logits, labels, targeted=False))
    assert torch.equal(margins(logits, labels) > 0, is_adversarial(logits, labels, targeted=True))


@given(decisions())
def test_margins_are_the_own_logit_less_the_largest_other(problem: tuple[Tensor, Tensor]) -> None:
    logits, labels = problem
    expected = [
        row[label] - max(value for index, value in enumerate(row) if index != label)
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    assert margins(logits, labels).tolist() == expected


def test_a_tie_belongs_to_the_first_class() -> None:
    logits, labels = torch.ones(2, 2), torch.tensor([0, 1])
    assert is_adversarial(logits, labels, targeted=False).tolist() == [False, True]
    assert margins(logits, labels).tolist() == [0, 0]


@given(decisions())
def test_the_direction_is_that_of_the_gradient_of_the_cross_entropy(
    problem: tuple[Tensor, Tensor],
) -> None:
    logits, labels = problem
    logits.requires_grad_()
    loss = cross_entropy(logits, labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, logits)
    with torch.no_grad():
        direction = cross_entropy_direction(logits, labels)
        left_out = 1 - logits.softmax(1).gather(1, labels[:, None])
    torch.testing.assert_close(direction * left_out, gradient, rtol=1e-9, atol=1e-12)
    # Where less is left out than rounding leaves of it, the gradient is the one that is wrong.
    sound = left_out.squeeze(1) > 1e-6
    angles = cosine_similarity(direction[sound], gradient[sound], eps=1e-30)
    torch.testing.assert_close(angles, torch.ones_like(angles), rtol=1e-6, atol=0)


@pytest.mark.parametrize("margin", [20.0, 1e3, 1e30])
def test_the_direction_of_saturated_logits_is_not_zero(margin: float) -> None:
    logits = torch.tensor([[margin, 0.0, 0.0]], requires_grad=True)
    labels = torch.tensor([0])
    (gradient,) = torch.autograd.grad(cross_entropy(logits, labels), logits)
    assert not gradient[0, 0]  # what the direction is for: float32 has no gradient left here
    assert cross_entropy_direction(logits.detach(), labels).tolist() == [[-1, 0.5, 0.5]]


def test_the_direction_of_two_classes_is_from_one_to_the_other() -> None:
    direction = cross_entropy_direction(
        torch.tensor([[5.0, -2.0], [0.0, 90.0]]), torch.tensor([0, 0])
    )
    assert direction.tolist() == [[-1, 1], [-1, 1]]


def test_the_direction_leaves_the_logits_alone() -> None:
    logits = torch.tensor([[1.0, 2.0]])
    cross_entropy_direction(logits, torch.tensor([0]))
    margins(logits, torch.tensor([0]))
    assert logits.tolist() == [[1, 2]]
