"""The number of samples to attack at once: as many as save time and fit into memory."""

import logging
import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from minnorm.acceleration.accelerated import Accelerated
from minnorm.acceleration.agreement import input_gradients
from minnorm.acceleration.timing import fitting_seconds, repeated
from minnorm.logits import Model

logger = logging.getLogger(__name__)

_FIRST_SIZE = 32
"""The first size to try; a smaller one is used only if memory requires it."""

_LEAST_GAIN = 1.05
"""The smallest factor on the samples per second for which a doubled size is used."""

_LONGEST_GRADIENT = 2.0
"""Seconds for the gradient of a batch, beyond which a larger batch gains nothing."""

_INPUTS_PER_SAMPLE = 64
"""The most tensors of an input's size that an attack holds for a sample: points, rays, normals, and
intermediate results."""


def choose_batch_size(
    model: Model, example: Float[Tensor, "b *d"], *, most: int, memory: float
) -> int:
    """Find the number of samples to attack at once, by measuring.

    The number doubles as long as that gives more gradients per second and fits into memory.

    Args:
        model: The classifier. Of an accelerated model the fastest classifier is measured, and the
            exact one must fit into memory.
        example: One or more inputs on the model's device, repeated as needed.
        most: The number of samples to attack, at least 1.
        memory: The bytes that may be used. A batch that does not fit raises an error on a GPU, so
            there this is a second limit; on a CPU the system would kill the process.

    Returns:
        The number of samples, from 1 to `most`.
    """
    with torch.inference_mode(False):
        fitting = int(memory / _bytes_per_sample(model, example[:1]))
        limit = max(min(most, fitting), 1)
        size = min(_FIRST_SIZE, limit)
        fast = model.coarse or model.exact if isinstance(model, Accelerated) else model
        while (seconds := _seconds(fast, example, size)) == math.inf and size > 1:
            size = limit = size // 2
        chosen, fastest = size, size / seconds
        while 2 * size <= limit and seconds <= _LONGEST_GRADIENT / 2:
            size *= 2
            seconds = _seconds(fast, example, size)
            if size / seconds < _LEAST_GAIN * fastest:
                break
            chosen, fastest = size, size / seconds
    logger.info("batch size %d; the limit by memory and number of samples is %d", chosen, limit)
    return chosen


def _seconds(model: Model, example: Tensor, size: int) -> float:
    """Return the time of a gradient of so many samples; infinite if they do not fit."""
    return fitting_seconds(model, repeated(example, size))


def _bytes_per_sample(model: Model, sample: Tensor) -> float:
    """Return the memory for a gradient of one more sample, and for the state of its attack."""
    one, two = (_bytes_saved(model, repeated(sample, samples)) for samples in (1, 2))
    # The gradients of the saved tensors take as much memory as these.
    return 2 * max(two - one, 0) + _INPUTS_PER_SAMPLE * sample.numel() * sample.element_size()


def _bytes_saved(model: Model, inputs: Tensor) -> int:
    """Return the bytes that a forward pass saves for the backward pass."""
    sizes: dict[int, int] = {}

    def pack(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return saved

    with saved_tensors_hooks(pack, lambda saved: saved):
        input_gradients(model, inputs)
    return sum(sizes.values())
