"""The time that gradients with respect to the inputs take."""

import math
import time
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.acceleration.agreement import input_gradients
from minnorm.logits import Model
from minnorm.runtime import devices
from minnorm.runtime.memory import is_out_of_memory


def gradient_seconds(model: Model, inputs: Float[Tensor, "b *d"], *, repeats: int = 3) -> float:
    """Return the shortest time of a gradient, after a first one that does not count."""
    input_gradients(model, inputs)
    return min(_seconds(model, inputs) for _ in range(repeats))


def _seconds(model: Model, inputs: Tensor) -> float:
    started = seconds_now(inputs.device)
    input_gradients(model, inputs)
    taken = seconds_now(inputs.device) - started
    return max(taken, time.get_clock_info("perf_counter").resolution)


def compared_seconds(
    models: Sequence[Model], inputs: Float[Tensor, "b *d"], *, rounds: int = 7
) -> list[float]:
    """Return the shortest time of a gradient of each classifier; infinite for one that fails.

    The measurements alternate, so that other load on the machine affects all classifiers.
    """
    shortest = [math.inf] * len(models)
    working = [number for number, model in enumerate(models) if _works(model, inputs)]
    for _ in range(rounds):
        for number in working:
            shortest[number] = min(shortest[number], _seconds(models[number], inputs))
    return shortest


def _works(model: Model, inputs: Tensor) -> bool:
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


def seconds_now(device: torch.device) -> float:
    """Wait until the device has finished its work, and return the time in seconds."""
    devices.synchronize(device)
    return time.perf_counter()


def repeated(inputs: Float[Tensor, "b *d"], samples: int) -> Float[Tensor, "n *d"]:
    """Return a batch of `samples` inputs, repeating the given ones if there are fewer."""
    times = -(-samples // len(inputs))
    return inputs.repeat(times, *(1,) * (inputs.ndim - 1))[:samples]
