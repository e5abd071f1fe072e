"""Gradients to the inputs, and how long they take."""

import math
import time
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.acceleration.accelerated import Classifier
from minnorm.acceleration.memory import is_out_of_memory


def gradients(classifier: Classifier, inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
    """Gives the gradients of the largest logits with respect to the inputs; zero without any."""
    with torch.enable_grad():
        variables = inputs.detach().requires_grad_()
        largest = classifier(variables).amax(1).sum()
        if not largest.requires_grad:
            return torch.zeros_like(inputs)
        (found,) = torch.autograd.grad(largest, variables, materialize_grads=True)
    return found


def gradient_seconds(
    classifier: Classifier, inputs: Float[Tensor, "b *d"], *, repeats: int = 3
) -> float:
    """Gives the least time of a gradient, after a first one that does not count."""
    gradients(classifier, inputs)
    return min(_seconds(classifier, inputs) for _ in range(repeats))


def _seconds(classifier: Classifier, inputs: Tensor) -> float:
    started = seconds_now(inputs.device)
    gradients(classifier, inputs)
    taken = seconds_now(inputs.device) - started
    return max(taken, time.get_clock_info("perf_counter").resolution)


def compared_seconds(
    classifiers: Sequence[Classifier], inputs: Float[Tensor, "b *d"], *, rounds: int = 7
) -> list[float]:
    """Gives the least time of a gradient of each classifier; infinite for one that fails.

    They take turns, so that what else the machine does for a while falls on all of them.
    """
    least = [math.inf] * len(classifiers)
    working = [number for number, one in enumerate(classifiers) if _works(one, inputs)]
    for _ in range(rounds):
        for number in working:
            least[number] = min(least[number], _seconds(classifiers[number], inputs))
    return least


def _works(classifier: Classifier, inputs: Tensor) -> bool:
    try:
        gradients(classifier, inputs)
    except Exception:  # whatever a user's module does in another precision or layout
        return False
    return True


def fitting_seconds(
    classifier: Classifier, inputs: Float[Tensor, "b *d"], *, repeats: int = 3
) -> float:
    """Gives the same; infinite where memory does not suffice.

    A function of its own, so that what was held is freed when it returns.
    """
    try:
        return gradient_seconds(classifier, inputs, repeats=repeats)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return math.inf


def seconds_now(device: torch.device) -> float:
    """Gives the time, in seconds, at which all that was asked of the device is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()


def repeated(inputs: Float[Tensor, "b *d"], samples: int) -> Float[Tensor, "n *d"]:
    """Gives that many samples, the same ones again where there are fewer."""
    times = -(-samples // len(inputs))
    return inputs.repeat(times, *(1,) * (inputs.ndim - 1))[:samples]
