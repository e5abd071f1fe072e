"""Input normalization inside the model, so that attacks work on the original inputs."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from minnorm.errors import InputError


class Normalized(nn.Module):
    """A model that first normalizes its inputs `[b c *d]`: `(inputs - mean) / std`.

    A new instance has the mode (training or evaluation), the dtype and the device of `model`. The
    last two are those of its first floating-point tensor.

    Args:
        model: The model that takes normalized inputs.
        mean: One number per channel, or a single number for all channels: numbers of Python or
            NumPy, an array or a tensor.
        std: As many numbers, each above 0.

    Raises:
        InputError: If `mean` or `std` are not such numbers, or `model` is not a module.
    """

    def __init__(self, model: nn.Module, mean: ArrayLike | Tensor, std: ArrayLike | Tensor) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise InputError(
                f"cannot normalize the inputs of a {type(model).__name__}: expected a "
                "torch.nn.Module."
            )
        dtype, device = first_tensor_options(model)
        self._numbers = _checked(mean, std, dtype)
        self.model = model
        self.mean: Tensor
        self.std: Tensor
        for name, numbers in zip(("mean", "std"), self._numbers, strict=True):
            # Conversion through float64 rounds each number once.
            tensor = _exact(numbers).to(device, dtype)
            self.register_buffer(name, tensor, persistent=False)
        # Its parts keep their modes; frozen TorchScript has none.
        self.training = getattr(model, "training", False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of inputs that are not normalized.

        Raises:
            InputError: If the number of channels differs from that of `mean`.
        """
        channels = inputs.shape[1] if inputs.ndim > 1 else 1
        if len(self.mean) not in (1, channels):
            raise InputError(
                f"inputs have shape {list(inputs.shape)}; expected {len(self.mean)} channels in "
                "the second dimension, one per number in mean."
            )
        shape = (1, -1, *(1,) * (inputs.ndim - 2))
        logits: Tensor = self.model((inputs - self.mean.view(shape)) / self.std.view(shape))
        return logits

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Apply a function to all tensors, as `to`, `half` and `to_empty` do."""
        empty = self.mean.is_meta
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # PyTorch has no types
        if empty and not self.mean.is_meta:  # weights can be loaded, but these two cannot
            for tensor, numbers in zip((self.mean, self.std), self._numbers, strict=True):
                tensor.copy_(_exact(numbers))
        return self


def numbers_of(model: Normalized) -> tuple[list[float], list[float]]:
    """Return the mean and the std of a model as they were given, before any rounding."""
    mean, std = model._numbers
    return list(mean), list(std)


def first_tensor_options(model: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Return the dtype and device of the first floating-point tensor of a model.

    Without one, these are the default dtype, and the device of any other tensor or the default one.
    """
    tensors = [*model.parameters(), *model.buffers()]
    for tensor in tensors:
        if tensor.is_floating_point():
            return tensor.dtype, tensor.device
    device = tensors[0].device if tensors else torch.get_default_device()
    return torch.get_default_dtype(), device


def _checked(mean: Any, std: Any, dtype: torch.dtype) -> tuple[tuple[float, ...], ...]:
    """Return mean and std as tuples of the same length, or raise `InputError`."""
    means, deviations = _floats("mean", mean), _floats("std", std)
    if np.ndim(_on_cpu(mean)) == 0:
        means *= len(deviations)
    elif np.ndim(_on_cpu(std)) == 0:
        deviations *= len(means)
    if len(means) != len(deviations):
        raise InputError(
            f"the lengths of mean and std differ, {len(means)} and {len(deviations)}: expected one "
            "number per channel in each."
        )
    if not (_exact(deviations).to(dtype) > 0).all():  # small numbers become 0 in half precision
        raise InputError(
            f"std={_shown(std)}: expected numbers above 0, also in {dtype}, the dtype of the model."
        )
    return means, deviations


def _floats(name: str, part: Any) -> tuple[float, ...]:
    """Return the numbers of a mean or std as a tuple, or raise `InputError`."""
    try:
        array = np.asarray(_on_cpu(part))
    except (TypeError, ValueError):  # lists of different lengths, or other objects
        array = np.empty(0)
    numeric = array.dtype.kind in "iuf" and np.isfinite(array).all()
    if not numeric or array.size == 0 or array.size != max(array.shape, default=1):
        raise InputError(
            f"{name}={_shown(part)}: expected a finite number, or a list with one for each "
            "channel, for example mean=[0.13], std=[0.31]."
        )
    return tuple(float(number) for number in array.flatten())


def _shown(part: Any) -> str:
    """Return a value for a message, in one line."""
    return " ".join(repr(part).split())[:100]


def _exact(numbers: tuple[float, ...]) -> Tensor:
    """Return numbers as a tensor that no default dtype or device changes."""
    return torch.tensor(numbers, dtype=torch.float64, device="cpu")


def _on_cpu(part: Any) -> Any:
    """Return a tensor as a NumPy array, and a list of tensors as a list of arrays."""
    if isinstance(part, Tensor):
        return part.detach().cpu().double().numpy()
    if isinstance(part, list | tuple):
        return [_on_cpu(number) for number in part]
    return part
