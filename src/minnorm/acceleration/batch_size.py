"""The number of samples to attack at once: as many as save time and fit into memory."""

import logging
import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from minnorm.acceleration.accelerated import Accelerated
from minnorm.acceleration.agreement import input_gradients
from minnorm.acceleration.timing import fitting_seconds, forward_seconds, repeated
from minnorm.logits import Model

logger = logging.getLogger(__name__)

_FIRST_SIZE = 32
"""The first size to try; a smaller one is used only if memory requires it."""

_LEAST_GAIN = 1.05
"""The smallest factor on the samples per second for which a doubled size is used."""

_LONGEST_GRADIENT = 2.0
"""Seconds for the gradient of a batch, beyond which a larger batch gains nothing."""

_USUAL_SIZE = 128
"""The size without any measurement."""

_USUAL_GRADIENT = 0.1
"""Seconds for the gradient of a batch, beside which an attack's own time for a step is short."""

_STEP = 0.002
"""The seconds that an attack itself takes for a step on a batch of any size."""

_MOST_QUERIED = 1024
"""The most samples to attack at once by forward passes alone, whose memory is not measured."""

_INPUTS_PER_SAMPLE = 64
"""The most tensors of an input's size that an attack holds for a sample: points, rays, normals, and
intermediate results."""


def fitting_batch_size(
    model: Model, example: Float[Tensor, "b *d"], *, most: int, memory: float
) -> int:
    """Return how many samples can be attacked at once.

    Args:
        model: The classifier. Of an accelerated model the exact classifier must fit into memory.
        example: One or more inputs on the model's device.
        most: The number of samples to attack, at least 1.
        memory: The bytes that may be used. A batch that does not fit raises an error on a GPU, so
            there this is a second limit; on a CPU the system would kill the process.

    Returns:
        The number of samples, from 1 to `most`.
    """
    with torch.inference_mode(False):
        fitting = int(memory / _bytes_per_sample(model, example[:1]))
    return max(min(most, fitting), 1)


def querying_batch_size(
    model: Model, example: Float[Tensor, "b *d"], *, most: int, memory: float
) -> int:
    """Return how many samples to attack at once by forward passes alone.

    They are enough that an attack's own time for a step is short beside a forward pass.

    Args:
        model: The classifier.
        example: One or more inputs on the model's device.
        most: The number of samples to attack, at least 1.
        memory: The bytes that may be used.
    """
    with torch.inference_mode(False), torch.no_grad():
        seconds = forward_seconds(model, example)
    state = _bytes_of_state(example[:1])
    limit = max(min(most, int(memory / state), _MOST_QUERIED), 1)
    return usual_batch_size(limit, seconds / len(example))


def usual_batch_size(limit: int, gradient: float | None) -> int:
    """Return a batch size without measuring it.

    It is large enough that an attack's own time for a step is short beside a gradient.

    Args:
        limit: The largest possible size.
        gradient: The seconds of a gradient of one sample, if they are known.
    """
    enough = _USUAL_SIZE if gradient is None else _USUAL_GRADIENT / gradient
    return limit if limit <= max(enough, _FIRST_SIZE) else _doubled(enough)


def measurable_batch_size(limit: int, gradients: float) -> int:
    """Return the largest size that `choose_batch_size` can try with so many gradients.

    Args:
        limit: The largest possible size.
        gradients: The gradients of a sample that measuring may compute: four of each sample for
            each size, so eight times the largest size.

    Returns:
        `limit`, or a size that is tried; 0 if there is none.
    """
    if 8 * limit <= gradients:
        return limit
    size = _doubled(gradients / 8)
    return size if 8 * size <= gradients else 0


def _doubled(most: float) -> int:
    """Return the first size, doubled as often as it stays within `most`."""
    size = _FIRST_SIZE
    while 2 * size <= most:
        size *= 2
    return size


def choose_batch_size(model: Model, example: Float[Tensor, "b *d"], *, limit: int) -> int:
    """Find the number of samples to attack at once, by measuring.

    The number doubles as long as that gives more steps of an attack per second.

    Args:
        model: The classifier. Of an accelerated model the fastest classifier is measured.
        example: One or more inputs on the model's device, repeated as needed.
        limit: The largest possible number, at least 1.

    Returns:
        The number of samples, from 1 to `limit`.
    """
    with torch.inference_mode(False):
        size = min(_FIRST_SIZE, limit)
        fast = model.coarse or model.exact if isinstance(model, Accelerated) else model
        while (seconds := _seconds(fast, example, size)) == math.inf and size > 1:
            size = limit = size // 2
        chosen, fastest = size, size / (seconds + _STEP)
        while 2 * size <= limit and seconds <= _LONGEST_GRADIENT / 2:
            size *= 2
            seconds = _seconds(fast, example, size)
            if size / (seconds + _STEP) < _LEAST_GAIN * fastest:
                break
            chosen, fastest = size, size / (seconds + _STEP)
    logger.info("batch size %d; the limit by memory and number of samples is %d", chosen, limit)
    return chosen


def _seconds(model: Model, example: Tensor, size: int) -> float:
    """Return the time of a gradient of so many samples; infinite if they do not fit."""
    return fitting_seconds(model, repeated(example, size))


def _bytes_per_sample(model: Model, sample: Tensor) -> float:
    """Return the memory for a gradient of one more sample, and for the state of its attack."""
    one, two = (_bytes_saved(model, repeated(sample, samples)) for samples in (1, 2))
    # The gradients of the saved tensors take as much memory as these.
    return 2 * max(two - one, 0) + _bytes_of_state(sample)


def _bytes_of_state(sample: Tensor) -> int:
    """Return the memory for the state of the attack of a sample."""
    return _INPUTS_PER_SAMPLE * sample.numel() * sample.element_size()


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
