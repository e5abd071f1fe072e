"""The check that a result agrees with the model."""

from collections.abc import Callable

import torch
from torch import Tensor

from minnorm.attacks import AttackResult
from minnorm.geometry import Norm, distances


def check_agreement(
    result: AttackResult,
    model: Callable[[Tensor], Tensor],
    inputs: Tensor,
    labels: Tensor,
    norm: Norm,
    *,
    targeted: bool,
) -> None:
    """Assert that flags, distances, adversarials and predictions agree, inside the bounds 0..1."""
    with torch.no_grad():
        predicted = model(result.adversarials).argmax(1)
    hit = predicted == labels if targeted else predicted != labels
    assert torch.equal(result.success, hit)
    measured = distances(result.adversarials, inputs, norm)
    assert torch.allclose(result.distances[hit], measured[hit], rtol=1e-6)
    assert result.distances[~hit].isinf().all()
    assert torch.equal(result.adversarials[~hit], inputs[~hit])
    assert result.adversarials.min() >= 0
    assert result.adversarials.max() <= 1
