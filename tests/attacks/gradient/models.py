"""Classifiers with boundaries at which single attacks might fail."""

import torch
from torch import Tensor, nn


class Tied(nn.Module):
    """Two classes that tie at a sum of 1, and a third one that is far away."""

    def forward(self, inputs: Tensor) -> Tensor:
        total = inputs.sum(1) - 1
        return torch.stack([total, -total, total - 3], dim=1)
