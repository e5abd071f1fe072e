"""Losses on labels, on perturbed inputs and on both."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm.errors import InputError
from minnorm.training.objectives.losses import (
    logits_of_both,
    loss_on_points,
    mixed_loss,
    smoothed_cross_entropy,
)

LABELS = torch.tensor([0, 1, 2, 0, 1])


def logits(seed: int) -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))


def test_smoothing_spreads_a_share_of_the_label_over_all_classes() -> None:
    logarithms = -logits(0).log_softmax(1)
    expected = 0.7 * logarithms[range(5), LABELS].mean() + 0.3 * logarithms.mean()
    torch.testing.assert_close(smoothed_cross_entropy(0.3)(logits(0), LABELS), expected)


@pytest.mark.parametrize("share", [-1e-9, 1, 1.5, float("nan"), "much", True])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="label_smoothing="):
        smoothed_cross_entropy(share)


def test_the_loss_on_points_does_not_look_at_the_inputs() -> None:
    loss = loss_on_points(0.1)(nn.Identity(), torch.full((5, 3), torch.nan), logits(1), LABELS)
    torch.testing.assert_close(loss, cross_entropy(logits(1), LABELS, label_smoothing=0.1))


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5])
def test_a_mixed_loss_weighs_the_loss_on_the_inputs(weight: float) -> None:
    clean, perturbed = (cross_entropy(logits(seed), LABELS) for seed in (0, 1))
    loss = mixed_loss(weight, 0.0)(nn.Identity(), logits(0), logits(1), LABELS)
    torch.testing.assert_close(loss, weight * clean + (1 - weight) * perturbed)


def test_the_logits_of_both_come_from_one_batch() -> None:
    seen: list[Tensor] = []

    class Recording(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(inputs)
            return 2 * inputs

    clean, perturbed = logits_of_both(Recording(), logits(0)[:4], logits(1))
    (batch,) = seen
    assert batch.equal(torch.cat([logits(0)[:4], logits(1)]))
    assert clean.equal(2 * logits(0)[:4])
    assert perturbed.equal(2 * logits(1))
