"""The clean objective."""

import torch
from torch import nn

from minnorm.training import clean


def test_the_clean_objective_is_the_mean_cross_entropy() -> None:
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    expected = -logits.log_softmax(1)[range(5), labels].mean()
    torch.testing.assert_close(clean()(nn.Identity(), logits, labels), expected)
