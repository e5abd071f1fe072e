"""Whether two classifiers agree in their logits and gradients."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from minnorm.acceleration.agreement import agree, input_gradients, median_cosine
from minnorm.logits import Model

INPUTS = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)) + 0.5
WEIGHT = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))


def _exact(inputs: Tensor) -> Tensor:
    return inputs @ WEIGHT.to(inputs.dtype)


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    """Record no graph, as `accelerate` does."""
    with torch.no_grad():
        yield


def test_gradients_are_those_of_the_largest_logits() -> None:
    expected = WEIGHT.T[_exact(INPUTS).argmax(1)]
    torch.testing.assert_close(input_gradients(_exact, INPUTS), expected)
    with torch.no_grad():
        torch.testing.assert_close(input_gradients(_exact, INPUTS), expected)
    assert not INPUTS.requires_grad


@pytest.mark.parametrize("trained", [False, True])
def test_logits_that_do_not_depend_on_the_inputs_have_zero_gradients(trained: bool) -> None:
    weights = torch.ones(3, requires_grad=trained)
    gradients = input_gradients(lambda inputs: weights.expand(len(inputs), 3), INPUTS)
    assert torch.equal(gradients, torch.zeros_like(INPUTS))


def test_a_classifier_agrees_with_itself() -> None:
    assert agree(_exact, _exact, INPUTS)


@pytest.mark.parametrize(
    ("dtype", "share", "expected"),
    [
        (torch.float32, 0.9e3, True),
        (torch.float32, 1.1e3, False),
        (torch.float64, 0.9e3, True),
        (torch.float64, 1.1e3, False),
    ],
)
def test_logits_may_differ_by_rounding(dtype: torch.dtype, share: float, expected: bool) -> None:
    inputs = INPUTS.to(dtype)[:1]
    largest = float(_exact(inputs).abs().max())
    error = share * torch.finfo(dtype).eps * largest
    assert agree(lambda given: _exact(given) + error, _exact, inputs) == expected
    assert agree(lambda given: _exact(given) - error, _exact, inputs) == expected


@pytest.mark.parametrize("mask", [-10.0, -1e9, -torch.inf])
def test_masked_classes_do_not_hide_other_logits(mask: float) -> None:
    def masked(inputs: Tensor, error: float = 0.0) -> Tensor:
        logits = _exact(inputs) + torch.tensor([error, 0.0, 0.0])
        return torch.cat([logits, torch.full((len(logits), 1), mask)], 1)

    assert agree(masked, masked, INPUTS)
    assert not agree(lambda inputs: masked(inputs, 0.1), masked, INPUTS)


def test_logits_of_another_shape_or_dtype_do_not_agree() -> None:
    assert not agree(lambda inputs: _exact(inputs)[:, :2], _exact, INPUTS)
    assert not agree(lambda inputs: _exact(inputs).double(), _exact, INPUTS)
    assert not agree(lambda inputs: _exact(inputs) * torch.nan, _exact, INPUTS)


def test_logits_of_a_single_sample_are_compared_too() -> None:
    def of_batches(inputs: Tensor) -> Tensor:
        return _exact(inputs) + (len(inputs) == 1)

    assert not agree(of_batches, _exact, INPUTS)


class _OtherGradients(torch.autograd.Function):
    """The identity, whose gradients are off by a share for some of the samples."""

    @staticmethod
    def forward(ctx: object, inputs: Tensor, share: float, samples: int) -> Tensor:
        ctx.share, ctx.samples = share, samples  # type: ignore[attr-defined]
        return inputs.clone()

    @staticmethod
    def backward(ctx: object, gradients: Tensor) -> tuple[Tensor, None, None]:
        factors = torch.ones(len(gradients), 1)
        factors[: ctx.samples] += ctx.share  # type: ignore[attr-defined]
        return gradients * factors, None, None


def _other_gradients(share: float, samples: int) -> Model:
    def classify(inputs: Tensor) -> Tensor:
        return _exact(_OtherGradients.apply(inputs, share, samples))

    return classify


@pytest.mark.parametrize(
    ("share", "samples", "expected"),
    [(0.04, 8, True), (0.06, 8, False), (10.0, 4, True), (10.0, 5, False), (-1.0, 8, False)],
)
def test_half_of_the_gradients_must_agree(share: float, samples: int, expected: bool) -> None:
    assert agree(_other_gradients(share, samples), _exact, INPUTS) == expected


def test_two_classifiers_without_gradients_agree() -> None:
    constant = nn.Parameter(torch.ones(3), requires_grad=False)

    def classify(inputs: Tensor) -> Tensor:
        return constant.expand(len(inputs), 3)

    assert agree(classify, classify, INPUTS)


@pytest.mark.parametrize(("samples", "expected"), [(0, 1.0), (3, 1.0), (5, -1.0), (8, -1.0)])
def test_the_median_cosine_of_gradients_some_of_which_are_reversed(
    samples: int, expected: float
) -> None:
    assert median_cosine(_other_gradients(-3.0, samples), _exact, INPUTS) == pytest.approx(expected)


def test_a_model_that_works_in_place_has_gradients_and_leaves_the_inputs_as_they_are() -> None:
    def in_place(points: Tensor) -> Tensor:
        points -= 0.5
        return points.square()

    inputs = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    given = inputs.clone()
    gradients = input_gradients(in_place, inputs)
    expected = torch.zeros(4, 3).scatter_(1, (given - 0.5).abs().argmax(1, keepdim=True), 1.0)
    torch.testing.assert_close(gradients, expected * 2 * (given - 0.5))
    assert torch.equal(inputs, given)
