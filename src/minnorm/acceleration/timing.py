"""The time that gradients with respect to the inputs take."""

import math
import time
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.acceleration.agreement import input_gradients
from minnorm.errors import OutOfMemoryError
from minnorm.logits import Model, output_of
from minnorm.runtime import devices
from minnorm.runtime.memory import is_out_of_memory

LONG_ENOUGH = 0.1
"""Seconds of a gradient that are measured well."""

_LEAST_SAMPLES = 4
"""The fewest samples to measure on, even if their gradient takes longer than needed."""


def gradient_seconds(model: Model, inputs: Float[Tensor, "b *d"], *, repeats: int = 3) -> float:
    """Return the shortest time of a gradient, after a first one that does not count."""
    input_gradients(model, inputs)
    return min(_seconds(model, inputs) for _ in range(repeats))


def forward_seconds(model: Model, inputs: Float[Tensor, "b *d"], *, repeats: int = 2) -> float:
    """Return the shortest time of a forward pass."""
    return min(_seconds(model, inputs, output_of) for _ in range(repeats))


def _seconds(
    model: Model, inputs: Tensor, passes: Callable[[Model, Tensor], object] = input_gradients
) -> float:
    started = seconds_now(inputs.device)
    passes(model, inputs)
    taken = seconds_now(inputs.device) - started
    return max(taken, time.get_clock_info("perf_counter").resolution)


def compared_seconds(
    models: Sequence[Model], inputs: Float[Tensor, "b *d"], *, rounds: int = 7
) -> list[float]:
    """Return the shortest time of a gradient of each classifier; infinite for one that fails.

    The measurements alternate, so that other load on the machine affects all classifiers.
    """
    shortest = [math.inf] * len(models)
    working = [number for number, model in enumerate(models) if works(model, inputs)]
    for _ in range(rounds):
        for number in working:
            shortest[number] = min(shortest[number], _seconds(models[number], inputs))
    return shortest


def works(model: Model, inputs: Float[Tensor, "b *d"]) -> bool:
    """Return whether a classifier computes a gradient without an error."""
    try:
        input_gradients(model, inputs)
    except Exception:  # a user's module may raise anything in another precision or layout
        return False
    return True


def fitting_seconds(model: Model, inputs: Float[Tensor, "b *d"], *, repeats: int = 3) -> float:
    """Return `gradient_seconds`, or infinity if there is not enough memory.

    When this function returns, the memory of a failed attempt is free again.
    """
    try:
        return gradient_seconds(model, inputs, repeats=repeats)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return math.inf


def measurable(model: Model, example: Float[Tensor, "b *d"]) -> tuple[Float[Tensor, "n *d"], float]:
    """Return the part of the example that fits and is quick to measure, and its seconds.

    The number of samples grows to that of the example, or until a gradient takes about
    `LONG_ENOUGH`. This computes up to three gradients of the whole example.

    Raises:
        OutOfMemoryError: If there is not enough memory for a gradient of a single sample.
    """
    samples = 1
    seconds = fitting_seconds(model, example[:samples], repeats=1)
    if seconds == math.inf:
        raise OutOfMemoryError("there is not enough memory for a gradient of a single sample.")
    while samples < len(example) and (samples < _LEAST_SAMPLES or seconds < LONG_ENOUGH / 2):
        more = min(4 * samples, len(example))
        longer = fitting_seconds(model, example[:more], repeats=1)
        if longer == math.inf:
            break
        samples, seconds = more, longer
    return example[:samples], seconds


def seconds_now(device: torch.device) -> float:
    """Wait until the device has finished its work, and return the time in seconds."""
    devices.synchronize(device)
    return time.perf_counter()


def repeated(inputs: Float[Tensor, "b *d"], samples: int) -> Float[Tensor, "n *d"]:
    """Return a batch of `samples` inputs, repeating the given ones if there are fewer."""
    times = -(-samples // len(inputs))
    return inputs.repeat(times, *(1,) * (inputs.ndim - 1))[:samples]
