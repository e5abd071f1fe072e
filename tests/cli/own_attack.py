"""An attack of a user, for specs such as `cli.own_attack:misses`."""

import torch
from torch import Tensor

from minnorm.attacks import AttackResult


def misses(_model: object, inputs: Tensor, *_: object, **__: object) -> AttackResult:
    """Find nothing."""
    nothing = torch.zeros(len(inputs), dtype=torch.bool)
    return AttackResult(inputs, torch.full((len(inputs),), torch.inf), nothing)
