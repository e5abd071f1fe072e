"""Batches as the model takes them: read, checked, and classified before any attack."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm.acceleration import clean_logits
from minnorm.attacks import Model
from minnorm.attacks.engine.samples import check_samples
from minnorm.data import Data
from minnorm.errors import InputError
from minnorm.geometry import Bounds
from minnorm.runtime.devices import dtype_and_device


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
    if dtype == torch.float64:  # float32 data may be outside the bounds by their rounding
        inputs = inputs.clamp(*bounds)
    return CleanBatch(indices, inputs, labels, clean_logits(model, inputs, labels, data.name))
