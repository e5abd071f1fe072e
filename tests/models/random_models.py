"""Small random classifiers whose expectations are known."""

import random

import numpy as np
import torch
from torch import Tensor, nn

from evaluation.tiny_models import linear
from minnorm.models import averaged


class Shifted(nn.Module):
    """A two-class linear classifier of inputs shifted by normal noise.

    The logits are the sum of the entries and 0.

    Args:
        noise: The standard deviation of the noise.
        source: Where the noise comes from: `torch`, `numpy`, `python`, or a generator.
    """

    def __init__(self, noise: float = 0.1, source: object = "torch") -> None:
        super().__init__()
        self.noise = noise
        self.source = source
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        noise = self.noise * self.draw(inputs)
        sums = (inputs + noise).flatten(1).sum(1)
        return torch.stack([sums, torch.zeros_like(sums)], dim=1)

    def draw(self, inputs: Tensor) -> Tensor:
        """Draw noise of the shape of the batch."""
        if self.source == "torch":
            return torch.randn_like(inputs)
        if isinstance(self.source, torch.Generator):
            return torch.randn(inputs.shape, generator=self.source, dtype=inputs.dtype)
        numbers = int(np.prod(inputs.shape))
        if self.source == "numpy":
            drawn = np.random.normal(size=numbers)
        elif self.source == "python":
            drawn = np.array([random.gauss() for _ in range(numbers)])
        else:
            assert isinstance(self.source, np.random.Generator)
            drawn = self.source.normal(size=numbers)
        return torch.from_numpy(drawn).reshape(inputs.shape).to(inputs)


class Resized(nn.Module):
    """A classifier of images that are scaled to a random size and back."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 3)
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        size = int(torch.randint(5, 12, ()))
        small = nn.functional.interpolate(inputs, size=size, mode="bilinear")
        again = nn.functional.interpolate(small, size=8, mode="bilinear")
        logits: Tensor = self.linear(again.flatten(1))
        return logits


class Noise(nn.Module):
    """Normal noise on the inputs."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.deviation * torch.randn_like(inputs)


def noisy(deviation: float = 0.3) -> nn.Module:
    """Return a linear classifier of noisy digits, for specs."""
    return nn.Sequential(Noise(deviation), linear()).eval()


def noisy_digits(draws: int = 4, deviation: float = 0.3, threshold: float = 0.5) -> nn.Module:
    """Return the average of such a classifier."""
    return averaged(noisy(deviation), draws, threshold=threshold)
