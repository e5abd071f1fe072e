"""The goal of an attack: its decisions, margins and directions."""

import math

import pytest
import torch
from torch import Tensor

from minnorm.attacks.engine.goal import Goal
from minnorm.logits import (
    cross_entropy_direction,
    is_adversarial,
    logits_ratio,
    margin_direction,
    margins,
)

EPS = torch.finfo(torch.float32).eps


def goal(*labels: int, targeted: bool = False, confidence: float = 0.0) -> Goal:
    return Goal(torch.tensor(labels), targeted, confidence)


def random_logits(samples: int = 30, classes: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(samples, classes, generator=generator)
    return logits, torch.randint(classes, (samples,), generator=generator)


def test_a_part_is_the_goal_of_some_of_the_samples() -> None:
    part = goal(3, 1, 2, targeted=True, confidence=0.5).part(torch.tensor([2, 0]))
    assert part.labels.tolist() == [2, 3]
    assert part.targeted
    assert part.confidence == 0.5


@pytest.mark.parametrize("targeted", [False, True])
def test_decisions_follow_the_predictions(targeted: bool) -> None:
    logits, labels = random_logits()
    adversarial, certain = Goal(labels, targeted).decide(logits)
    assert torch.equal(adversarial, is_adversarial(logits, labels, targeted))
    assert certain is not None
    assert torch.equal(certain, adversarial)  # no random point is so near the boundary
    assert adversarial.any()
    assert not adversarial.all()


@pytest.mark.parametrize("targeted", [False, True])
def test_a_confidence_asks_for_a_margin_beyond_the_boundary(targeted: bool) -> None:
    # The margins of the goal are 1, -0.25, -0.5, -0.75.
    ahead = torch.tensor([-1.0, 0.25, 0.5, 0.75])
    logits = torch.stack([torch.zeros(4), ahead], 1)
    labels = torch.full((4,), int(targeted))
    adversarial, certain = Goal(labels, targeted, confidence=0.5).decide(logits)
    assert adversarial.tolist() == [False, False, True, True]
    assert certain is not None
    assert certain.tolist() == [False, False, False, True]


def test_a_tie_is_adversarial_only_for_the_second_class_and_never_certain() -> None:
    logits = torch.ones(2, 3)
    adversarial, certain = goal(0, 1).decide(logits)
    assert adversarial.tolist() == [False, True]
    assert certain is not None
    assert certain.tolist() == [False, False]


@pytest.mark.parametrize("largest", [1.0, 100.0])
def test_a_point_is_certain_16_roundings_of_the_largest_logit_beyond_the_boundary(
    largest: float,
) -> None:
    # The largest logit by size is negative and belongs to a third class.
    beyond = torch.tensor([0.0, 15.0, 16.0, 17.0]) * EPS * largest
    logits = torch.stack([torch.zeros(4), beyond, torch.full((4,), -largest)], 1)
    adversarial, certain = goal(0, 0, 0, 0).decide(logits)
    assert adversarial.tolist() == [False, True, True, True]
    assert certain is not None
    assert certain.tolist() == [False, False, True, True]


@pytest.mark.parametrize("mask", [-1e4, -1e9, -3e38, -math.inf])
def test_a_masked_class_does_not_make_a_point_uncertain(mask: float) -> None:
    beyond = torch.tensor([15.0, 17.0]) * EPS * 100  # the size that a bound allows at least
    logits = torch.stack([torch.full((2,), 0.5), 0.5 + beyond, torch.full((2,), mask)], 1)
    _, certain = goal(0, 0).decide(logits)
    assert certain is not None
    assert certain.tolist() == [False, True]


def test_certainty_does_not_depend_on_the_logits_of_other_samples() -> None:
    logits = torch.tensor([[0.0, 1e-4, 0.0], [0.0, 1e6, 0.0]])
    _, certain = goal(0, 0).decide(logits)
    assert certain is not None
    assert certain.tolist() == [True, True]


def test_roundings_of_float64_are_smaller() -> None:
    logits = torch.tensor([[0.0, EPS, 1.0]], dtype=torch.float64)
    logits = torch.cat([logits, torch.tensor([[0.0, 1e-15, 1.0]]).double()])
    _, certain = goal(0, 0).decide(logits[:, [0, 1]] - torch.tensor([1.0, 1.0]).double())
    assert certain is not None
    assert certain.tolist() == [True, False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_no_point_is_called_certain(dtype: torch.dtype) -> None:
    adversarial, certain = goal(0, 0).decide(torch.tensor([[0, 1], [1, 0]], dtype=dtype))
    assert adversarial.tolist() == [True, False]
    assert certain is None


@pytest.mark.parametrize("confidence", [0.0, 1.0])
@pytest.mark.parametrize("targeted", [False, True])
def test_logits_with_a_nan_are_neither_adversarial_nor_certain(
    targeted: bool, confidence: float
) -> None:
    logits = torch.tensor([[math.nan, 9.0, 0.0], [0.0, 9.0, math.nan], [9.0, math.nan, 0.0]])
    labels = torch.full((3,), int(targeted))
    adversarial, certain = Goal(labels, targeted, confidence).decide(logits)
    assert not adversarial.any()
    assert certain is not None
    assert not certain.any()


def test_margins_are_positive_before_the_boundary_and_negative_beyond() -> None:
    logits, labels = random_logits()
    untargeted, targeted = Goal(labels, targeted=False), Goal(labels, targeted=True)
    assert torch.equal(untargeted.margins(logits), margins(logits, labels))
    assert torch.equal(targeted.margins(logits), -margins(logits, labels))
    assert torch.equal(untargeted.margins(logits) < 0, untargeted.decide(logits)[0])
    assert torch.equal(targeted.margins(logits) < 0, targeted.decide(logits)[0])


@pytest.mark.parametrize("targeted", [False, True])
def test_margins_of_nan_are_infinite_and_infinite_ones_stay(targeted: bool) -> None:
    logits = torch.tensor([[math.nan, 1.0], [math.inf, 1.0], [-math.inf, 1.0]])
    found = goal(0, 0, 0, targeted=targeted).margins(logits).tolist()
    sign = -1 if targeted else 1
    assert found == [math.inf, sign * math.inf, -sign * math.inf]


@pytest.mark.parametrize("targeted", [False, True])
def test_directions_lead_away_from_the_goal_and_towards_it(targeted: bool) -> None:
    logits, labels = random_logits()
    aim = Goal(labels, targeted)
    sign = -1.0 if targeted else 1.0
    assert torch.equal(aim.margin_direction(logits), sign * margin_direction(logits, labels))
    entropy = sign * cross_entropy_direction(logits, labels)
    assert torch.equal(aim.cross_entropy_direction(logits), entropy)
    before = aim.margins(logits)
    assert (aim.margins(logits + 1e-3 * aim.margin_direction(logits)) > before).all()
    assert (aim.margins(logits + 1e-3 * aim.cross_entropy_direction(logits)) < before).all()


@pytest.mark.parametrize("targeted", [False, True])
def test_logits_ratios_have_the_sign_of_the_margins_and_grow_along_their_direction(
    targeted: bool,
) -> None:
    logits, labels = random_logits(samples=5)
    logits = logits.double()
    aim = Goal(labels, targeted)
    values, directions = aim.logits_ratios(logits)
    ratios = logits_ratio(logits, labels)
    assert torch.equal(values, -ratios if targeted else ratios)
    assert torch.equal(values > 0, aim.margins(logits) > 0)
    # Targeted, the divisor counts as constant: then the direction is that of the margins.
    if targeted:
        first, _, third = logits.topk(3, dim=1).values.unbind(1)
        expected = aim.margin_direction(logits) / (first - third).unsqueeze(1)
        torch.testing.assert_close(directions, expected)
        return
    for entry in range(logits.shape[1]):
        moved = logits.clone()
        moved[:, entry] += 1e-7
        slopes = (aim.logits_ratios(moved)[0] - values) / 1e-7
        torch.testing.assert_close(directions[:, entry], slopes, atol=1e-5, rtol=1e-5)


def test_the_targeted_ratio_has_a_gradient_for_the_third_likeliest_class() -> None:
    logits, _ = random_logits()
    third = logits.argsort(1, descending=True)[:, 2]
    values, directions = Goal(third, targeted=True).logits_ratios(logits)
    assert torch.allclose(values, torch.ones(len(values)))
    assert (directions.norm(dim=1) > 0).all()
