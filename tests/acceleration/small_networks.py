"""Small networks of convolutions and batch norms for the tests of acceleration."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Residual(nn.Module):
    """Three layers, each followed by a batch norm that can be folded into it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.before = nn.BatchNorm2d(8)
        self.body = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=2, bias=False)
        self.after = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)
        self.last = nn.BatchNorm1d(5)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.before(self.stem(inputs)))
        hidden = hidden + torch.relu(self.after(self.body(hidden)))
        result: Tensor = self.last(self.head(hidden.mean((2, 3))))
        return result


class Branching(Residual):
    """A network that cannot be traced as a whole, since what it does depends on values."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs if inputs.mean() > 0 else -inputs)


def network(kind: Callable[[], nn.Module] = Residual, *, seed: int = 0) -> nn.Module:
    """Return a network in evaluation mode whose batch norms have seen some images."""
    torch.manual_seed(seed)
    model = kind()
    for _ in range(3):
        model(torch.rand(16, 3, 10, 10))
    return model.eval()


def example(samples: int = 8, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return some images for these networks."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(samples, 3, 10, 10, generator=generator).to(dtype)


def batch_norms(model: object) -> int:
    """Return the number of batch norms in a module."""
    assert isinstance(model, nn.Module)
    return sum(isinstance(part, _BatchNorm) for part in model.modules())
