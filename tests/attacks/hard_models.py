"""Models on which attacks go wrong: without gradients, with NaN, with nothing to find."""

from typing import Any

import torch
from torch import Tensor, nn

from minnorm.boxes import rows


class Constant(nn.Module):
    """The same logits for every input, with zero gradients or with none."""

    def __init__(self, *, connected: bool) -> None:
        super().__init__()
        self.connected = connected

    def forward(self, inputs: Tensor) -> Tensor:
        logits = torch.tensor([2.0, 1.0, 0.0]).expand(len(inputs), 3)
        return logits + 0 * rows(inputs).sum(1, keepdim=True) if self.connected else logits


class Flat(nn.Module):
    """Class 0, with zero gradients, up to a sum of 2; beyond it class 1."""

    def forward(self, inputs: Tensor) -> Tensor:
        total = rows(inputs).sum(1)
        beyond = torch.relu(total - 2)
        return torch.stack([torch.full_like(total, 1e-3), beyond], dim=1)


class NotANumber(nn.Module):
    """Class 0 inside half of the box, NaN beyond."""

    def forward(self, inputs: Tensor) -> Tensor:
        total = rows(inputs).mean(1)
        logits = torch.stack([torch.ones_like(total), total], dim=1)
        return torch.where((total > 0.5).unsqueeze(1), torch.nan, logits)


class _PoisonedBackward(torch.autograd.Function):
    """The identity; its gradient is NaN for the samples that are marked."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, poisoned: Tensor) -> Tensor:
        ctx.save_for_backward(poisoned)
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (poisoned,) = ctx.saved_tensors
        return gradients[0].masked_fill(poisoned.unsqueeze(1), torch.nan), None


class Poisoned(nn.Module):
    """A model with NaN gradients in its first three calls, for the first two samples.

    Only on the whole batch: once samples have left, the first two are unknown.
    """

    def __init__(self, model: nn.Module, batch: int) -> None:
        super().__init__()
        self.model = model
        self.batch = batch
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        whole = len(inputs) == self.batch
        poisoned = (torch.arange(len(inputs)) < 2) & (self.calls <= 3) & whole
        logits: Tensor = self.model(_PoisonedBackward.apply(inputs, poisoned))
        return logits


class InPlace(nn.Module):
    """A model that overwrites its inputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        inputs -= 0.5
        inputs /= 0.25
        logits: Tensor = self.model(inputs * 0.25 + 0.5)
        return logits


class Guarded(nn.Module):
    """A model whose gradients are lost at the bounds: of a clamp, or of a square root."""

    def __init__(self, model: nn.Module, guard: str) -> None:
        super().__init__()
        self.model = model
        self.guard = guard

    def forward(self, inputs: Tensor) -> Tensor:
        guarded = inputs.clamp(0, 1) if self.guard == "clamp" else inputs.sqrt().square()
        logits: Tensor = self.model(guarded)
        return logits
