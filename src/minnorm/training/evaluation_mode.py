"""Models temporarily in evaluation mode: to measure them, or to attack them in training."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put all parts of a model in evaluation mode; afterwards restore the mode of each."""
    modes = {part: part.training for part in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


@contextmanager
def under_attack(model: nn.Module) -> Iterator[nn.Module]:
    """Put a model in evaluation mode and freeze its parameters; yield it without its wrappers.

    Afterwards everything is as before. Without the wrappers for ranks, no rank waits for another
    during the attack. With frozen parameters, autocast does not cache low-precision copies of them,
    which would have no gradient in the update.
    """
    target: Any = model
    while _is_wrapper(target):
        target = target.module
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with in_evaluation_mode(model):
        try:
            for parameter in trainable:
                parameter.requires_grad_(False)
            yield target
        finally:
            for parameter in trainable:
                parameter.requires_grad_(True)


def _is_wrapper(module: nn.Module) -> bool:
    """Return whether a module is a wrapper of PyTorch for ranks, or a wrapper of Fabric."""
    # By name, since Lightning Fabric is an optional library.
    of_fabric = type(module).__module__.startswith("lightning_fabric.")
    return of_fabric or isinstance(module, DistributedDataParallel)
