"""How many samples to attack at once: as many as pay, and as fit."""

import logging
import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from minnorm.acceleration.accelerated import Accelerated, Classifier
from minnorm.acceleration.timing import fitting_seconds, gradients, repeated

logger = logging.getLogger(__name__)

_LEAST = 32
"""Where to begin; fewer samples at once are only taken where memory asks for it."""

_GAIN = 1.05
"""How many times as many samples per second twice the samples at once have to bring."""

_SECONDS = 2.0
"""What a gradient of a batch may take; beyond that more at once brings nothing."""

_STATE = 64
"""How many times an input an attack holds, at most: points, rays, normals, and what is computed."""


def choose_batch_size(
    model: Classifier, example: Float[Tensor, "b *d"], *, most: int, memory: float
) -> int:
    """Finds by measuring how many samples to attack at once.

    It is doubled as long as gradients for more samples per second come of it, and as it fits.

    Args:
        model: The classifier; of an accelerated one the fastest part is measured, and the exact one
            has to fit.
        example: Inputs, one or more, on the model's device; repeated as needed.
        most: How many samples there are, at least 1.
        memory: How many bytes may be used. On a GPU, which says by itself what does not fit, this
            is a second guard; a CPU's system would kill the process.

    Returns:
        The number of samples, from 1 to `most`.
    """
    with torch.inference_mode(False):
        fitting = int(memory / _bytes_per_sample(model, example[:1]))
        limit = max(min(most, fitting), 1)
        size = min(_LEAST, limit)
        fast = model.coarse or model.exact if isinstance(model, Accelerated) else model
        while (seconds := _seconds(fast, example, size)) == math.inf and size > 1:
            size = limit = size // 2
        chosen, fastest = size, size / seconds
        while 2 * size <= limit and seconds <= _SECONDS / 2:
            size *= 2
            seconds = _seconds(fast, example, size)
            if size / seconds < _GAIN * fastest:
                break
            chosen, fastest = size, size / seconds
    logger.info("%d samples at once; at most %d fit and are there", chosen, limit)
    return chosen


def _seconds(model: Classifier, example: Tensor, size: int) -> float:
    """Gives the time of a gradient of that many samples; infinite where they do not fit."""
    return fitting_seconds(model, repeated(example, size))


def _bytes_per_sample(model: Classifier, sample: Tensor) -> float:
    """Gives what a gradient of one more sample needs, and the state of an attack on it."""
    one, two = (_bytes_saved(model, repeated(sample, samples)) for samples in (1, 2))
    # The gradients of what was saved are as large again.
    return 2 * max(two - one, 0) + _STATE * sample.numel() * sample.element_size()


def _bytes_saved(model: Classifier, inputs: Tensor) -> int:
    """Gives the bytes that a forward pass keeps for the backward pass."""
    sizes: dict[int, int] = {}

    def pack(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return saved

    with saved_tensors_hooks(pack, lambda saved: saved):
        gradients(model, inputs)
    return sum(sizes.values())
