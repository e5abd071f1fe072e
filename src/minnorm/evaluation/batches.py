"""Batches as the model takes them: read, checked, and classified before any attack."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from minnorm.acceleration import clean_logits
from minnorm.attacks import Model
from minnorm.attacks.engine.problem import check_samples
from minnorm.data import Data
from minnorm.errors import InputError
from minnorm.geometry import Bounds


@dataclass(frozen=True)
class CleanBatch:
    """A batch of samples before any attack.

    Attributes:
        indices: Positions of the samples in the whole data set.
        inputs: The samples, in the dtype and on the device of the model.
        labels: Their true classes.
        logits: The model's logits of them.
    """

    indices: list[int]
    inputs: Float[Tensor, "b *d"]
    labels: Int64[Tensor, "b"]
    logits: Float[Tensor, "b c"]


def read_batch(model: Model, data: Data, positions: range, bounds: Bounds) -> CleanBatch:
    """Read a batch, check it, and compute the model's logits.

    Args:
        model: The classifier.
        data: The data.
        positions: Positions of the samples in the data; at least one.
        bounds: The bounds of the inputs.

    Raises:
        InputError: If inputs are NaN or outside the bounds, labels are not whole numbers, or the
            model fails on the batch. If samples cause the error, the message says which.
        OutOfMemoryError: If there is not enough memory for a single sample.
    """
    dtype, device = dtype_and_device(model)
    inputs, labels = data.batch(positions)
    inputs, labels = inputs.to(device, dtype), labels.to(device)
    indices = [data.indices[position] for position in positions]
    try:
        check_samples(inputs, labels, bounds)
    except InputError as error:
        raise InputError(f"{data.name}, samples {indices[0]} to {indices[-1]}: {error}") from error
    return CleanBatch(indices, inputs, labels, clean_logits(model, inputs, labels, data.name))


def dtype_and_device(model: Model) -> tuple[torch.dtype, torch.device]:
    """Return the dtype and device of a module's first floating-point tensor.

    A callable without one takes float32 on the CPU.
    """
    if isinstance(model, nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype, tensor.device
    return torch.float32, torch.device("cpu")
