"""Building the exact and the coarse classifier of an accelerated model."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minnorm.acceleration import low_precision
from minnorm.acceleration.accelerated import Accelerated
from minnorm.acceleration.agreement import agree, input_gradients, median_cosine
from minnorm.acceleration.choice import REQUESTED, Choice
from minnorm.acceleration.folding import fold_batch_norms
from minnorm.acceleration.layout import channels_last
from minnorm.acceleration.narrow import replace_narrow_convolutions
from minnorm.acceleration.timing import LONG_ENOUGH, gradient_seconds, measurable
from minnorm.acceleration.words import COARSE_TECHNIQUES, OFF, PLAIN
from minnorm.errors import InputError, one_line
from minnorm.logits import Model

_SHORTEST = 0.002
"""Seconds of a gradient, too short to gain anything."""

_FEW_SAMPLES = 8
"""The samples on which requested techniques are checked; nothing is measured."""

GRADIENTS_TO_CHOOSE = 72
"""The gradients of the example that choosing by measuring takes: 56 to compare the candidates, the
others to find out how many samples are quick, and to check that the copies agree."""

_GRADIENTS_TO_BUILD = 16 * _FEW_SAMPLES
"""The gradients of a sample that building requested techniques takes."""

_SECONDS_PER_MODULE = 1e-3
"""The time to copy a module and to trace it."""

_EXACT_GAIN, _COARSE_GAIN = 1.02, 1.2
"""How many times as fast a technique must be. An exact one may gain little here and more in low
precision; a coarse classifier must pay for the forward passes that confirm it."""

_LEAST_COSINE = 0.9
"""The least median cosine between the gradients of a coarse classifier and the exact ones."""


def unchanged(model: Model, reason: str) -> Accelerated:
    """Return an accelerated model that only calls the model itself."""
    return Accelerated(model, model, None, OFF, (f"the model is used as it is: {reason}",))


def seconds_to_choose(model: Model, gradient: float) -> float:
    """Return about how long it takes to choose techniques by measuring.

    Args:
        model: The classifier.
        gradient: The seconds of a gradient of the example.
    """
    return GRADIENTS_TO_CHOOSE * gradient + _SECONDS_PER_MODULE * _modules(model)


def seconds_to_build(model: Model, gradient: float) -> float:
    """Return about how long it takes to apply requested techniques, and to check the result.

    Args:
        model: The classifier.
        gradient: The seconds of a gradient of one sample.
    """
    return _GRADIENTS_TO_BUILD * gradient + _SECONDS_PER_MODULE * _modules(model)


def _modules(model: Model) -> int:
    return sum(1 for _ in model.modules()) if isinstance(model, nn.Module) else 0


def build_accelerated(model: Model, example: Tensor, words: Sequence[str] | None) -> Accelerated:
    """Build the exact and the coarse classifier of a model.

    Args:
        model: The classifier, in evaluation mode.
        example: The inputs to measure on.
        words: The requested techniques; `None` to choose by measuring.

    Raises:
        InputError: If a requested technique cannot be used, or the exact classifier has other
            logits or gradients than the model.
    """
    module, reason = _frozen_copy(model)
    if module is None and words is None:
        return unchanged(model, reason)
    if module is not None:
        example, seconds = _example_and_seconds(module, example, words)
        reason = _reason_against(module, example, seconds)
        if reason and words is None:
            return unchanged(model, reason)
    choice = Choice(example, words)
    exact, coarse = model, None
    if module is not None:
        module = _narrow(_folded(module, choice), choice)
        exact, is_channels_last = _laid_out(module, choice)
        coarse = _coarse(module, exact, is_channels_last, choice)
    if choice.requests("compiled"):
        exact, coarse = _compiled(exact, example), coarse and _compiled(coarse, example)
        choice.record("compiled", True, REQUESTED)
    for word in words or ():
        if word != PLAIN and word not in choice.used:
            raise InputError(
                f"accelerate: cannot use {word!r} with this model "
                f"({choice.reason(word) or reason}): leave it out, or use 'auto'."
            )
    if module is not None and not agree(exact, model, example):
        raise InputError(
            "accelerate: the fast copy has other logits or gradients than the model: use 'off'."
        )
    used = "+".join(choice.used) or PLAIN
    return Accelerated(model, exact, coarse, used, tuple(choice.notes or [_plain_note(module)]))


def _frozen_copy(model: Model) -> tuple[nn.Module | None, str]:
    """Return a copy with frozen parameters, or the reason why there is none."""
    if not isinstance(model, nn.Module):
        return None, "it is not a torch.nn.Module"
    try:
        return copy.deepcopy(model).requires_grad_(False), ""
    except Exception as error:  # a user's module may hold anything
        return None, f"it cannot be copied ({one_line(error)})"


def _plain_note(module: nn.Module | None) -> str:
    kind = "the model as it is" if module is None else "a copy with frozen parameters"
    return f"{PLAIN}: {kind}, {REQUESTED}"


def _example_and_seconds(
    module: nn.Module, example: Tensor, words: Sequence[str] | None
) -> tuple[Tensor, float]:
    """Return the part of the example to use, and the seconds of its gradient."""
    if words is not None:
        return measurable(module, example[:_FEW_SAMPLES])
    part, seconds = measurable(module, example)
    if seconds < LONG_ENOUGH:  # again: a single measurement of a short time is mostly noise
        seconds = gradient_seconds(module, part)
    return part, seconds


def _reason_against(model: Model, example: Tensor, seconds: float) -> str:
    """Return why no technique can help this model, or an empty text if one may."""
    dtype = model(example[:1]).dtype
    if dtype not in (torch.float32, torch.float64):
        return f"its logits are {dtype}, so near the decision boundary no copy would agree with it"
    if seconds < _SHORTEST:
        time = f"{1e3 * seconds:.2g} ms"
        return f"a gradient of {len(example)} samples takes {time}, so there is nothing to gain"
    return ""


def _folded(module: nn.Module, choice: Choice) -> nn.Module:
    """Return the module with its batch norms folded, where that is possible."""
    if not choice.considers("folded"):
        return module
    folded = fold_batch_norms(module, choice.example)
    if folded is None:
        choice.record("folded", False, "no batch norm can be folded")
        return module
    choice.record("folded", True, "batch norms are part of the layers before them")
    return folded


def _narrow(module: nn.Module, choice: Choice) -> nn.Module:
    """Return the module with faster gradients of its narrow convolutions, if that saves time."""
    if not choice.considers("narrow"):
        return module
    fast = copy.deepcopy(module)
    if not replace_narrow_convolutions(fast):
        choice.record("narrow", False, "no suitable convolution with few input channels")
        return module
    ratio, reason = choice.speedup(fast, module)
    choice.record("narrow", ratio >= _EXACT_GAIN, reason)
    return fast if ratio >= _EXACT_GAIN else module


def _laid_out(module: nn.Module, choice: Choice) -> tuple[Model, bool]:
    """Return the exact classifier, and whether its images are in channels-last layout."""
    if not choice.considers("channels-last"):
        return module, False
    if choice.example.ndim != 4:
        shape = list(choice.example.shape[1:])
        choice.record("channels-last", False, f"samples of shape {shape} are not images")
        return module, False
    fast = channels_last(copy.deepcopy(module))
    ratio, reason = choice.speedup(fast, module)
    choice.record("channels-last", ratio >= _EXACT_GAIN, reason)
    return (fast, True) if ratio >= _EXACT_GAIN else (module, False)


def _coarse(
    module: nn.Module, exact: Model, is_channels_last: bool, choice: Choice
) -> Model | None:
    """Return the coarse classifier, if it is much faster and its gradients are good enough."""
    example = choice.example
    words = [word for word in COARSE_TECHNIQUES if choice.considers(word)]
    if not words:
        return None
    if example.dtype != torch.float32:
        for word in words:
            choice.record(word, False, f"the inputs are {example.dtype}, not torch.float32")
        return None
    wrap = channels_last if is_channels_last else (lambda low: low)
    techniques = {"autocast": low_precision.autocast, "bfloat16": low_precision.in_bfloat16}
    candidates = {word: techniques[word](copy.deepcopy(module), wrap, example) for word in words}
    exact_seconds, *coarse_seconds = choice.seconds((exact, *candidates.values()))
    seconds = dict(zip(candidates, coarse_seconds, strict=True))
    best = min(seconds, key=lambda word: seconds[word])
    if seconds[best] == math.inf:
        for word in candidates:
            choice.record(word, False, "it fails")
        return None
    ratio = exact_seconds / seconds[best] if choice.automatic else math.inf
    cosine = median_cosine(candidates[best], exact, example)
    accepted = ratio >= _COARSE_GAIN and cosine >= _LEAST_COSINE
    for word in candidates:
        if word != best:
            times = seconds[word] / seconds[best]
            choice.record(word, False, f"it takes {times:.2f} times as long as {best}")
    speed = f"{ratio:.2f} times as fast, " if choice.automatic else ""
    reason = f"{speed}its gradients have a median cosine of {cosine:.3f} with the exact ones"
    choice.record(best, accepted, reason)
    return candidates[best] if accepted else None


def _compiled(model: Model, example: Tensor) -> Model:
    """Compile a classifier and run it once, so that one that cannot be compiled fails here."""
    compiled: Model = torch.compile(model, dynamic=True)
    input_gradients(compiled, example)
    return compiled
