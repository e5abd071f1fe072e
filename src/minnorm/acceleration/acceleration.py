"""`accelerate`: make a model faster for attacks, by techniques chosen by measuring or by name."""

import copy
import logging
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm.acceleration.accelerated import Accelerated, check_callable, original
from minnorm.acceleration.answer import answer
from minnorm.acceleration.building import build_accelerated, unchanged
from minnorm.acceleration.choice import REQUESTED
from minnorm.acceleration.words import AUTO, OFF, check_use
from minnorm.errors import InputError, one_line
from minnorm.logits import (
    ACTIVE_DROPOUT,
    DROPOUT,
    Model,
    check_logits,
    parts_in_training_mode,
)
from minnorm.runtime.memory import keep_freed_memory

logger = logging.getLogger(__name__)

SAMPLES = 64
"""The most samples of the example to measure on: more take longer and do not change the result."""


def accelerate(model: Model, example: Float[Tensor, "b *d"], use: str = "auto") -> Accelerated:
    """Make a classifier faster for many gradients with respect to its inputs.

    The model itself does not change. It is copied; the copy is in evaluation mode, its parameters
    are frozen, and its batch norms are folded into the layers before them. Measurements on the
    example then decide what else is used: another way to compute the gradients of convolutions with
    few input channels, images in channels-last layout, and, for a coarse classifier, bfloat16 after
    the first layer. With `auto`, some models are used as they are: those that are not a
    `torch.nn.Module`, those whose logits are neither float32 nor float64, and those whose copy
    fails or has other logits or gradients.

    The copy does not follow the model: after a change of its weights, call this function again.
    Attacks make a few forward passes more than documented, to confirm what the coarse classifier
    finds: one for every twenty steps, and up to seven at the end. On a CPU, the process keeps all
    memory that it frees from now on, see `minnorm.runtime.memory.keep_freed_memory`.

    Measurements differ from run to run, and so may the techniques that they choose. To repeat a run
    exactly, pass its `used` as `use`.

    Args:
        model: The classifier; its logits of a sample must not depend on the other samples. Of an
            accelerated model, the original is accelerated again.
        example: A batch of inputs, on the model's device and in its dtype; at most 64 of them are
            used, and 8 if the techniques are given.
        use: `auto`; `off` to use the model as it is; or words joined by `+`: `folded`, `narrow`,
            `channels-last`, `compiled`, and for the coarse classifier `autocast` or `bfloat16` (its
            weights too); `plain` for none of them, only a copy with frozen parameters. `compiled`
            is `torch.compile`; it takes a minute or more at first, so `auto` never chooses it.
            `evaluate(..., accelerate=...)` takes the same words.

    Returns:
        A classifier to attack in place of the model. It is not a `torch.nn.Module` and cannot be
        pickled: save the model and the words instead.

    Raises:
        InputError: If the model is not callable or fails on the example, dropout stays on in it in
            evaluation mode, the example is not a batch of finite floating point values, a word is
            unknown, or a technique cannot be used with this model.
    """
    words = check_use(use, "use")
    model = original(model)
    check_callable(model)
    _check_example(example)
    if example.device.type == "cpu" and words != [OFF]:
        keep_freed_memory()  # before measuring, since it changes how long a gradient takes
    with torch.inference_mode(False), torch.no_grad():
        inputs = example[:SAMPLES].clone()
        model = _ensure_evaluation_mode(model)
        logits = answer(model, inputs[:1], what="an example")
        if logits is not None:  # whether a gradient fits into memory is measured later
            check_logits(logits, torch.zeros(1, dtype=torch.int64))
        if words == [OFF]:
            accelerated = unchanged(model, REQUESTED)
        elif words == [AUTO]:
            accelerated = _chosen_by_measuring(model, inputs)
        else:
            accelerated = _as_requested(model, inputs, words)
    for note in accelerated.notes:
        logger.info("%s", note)
    return accelerated


def _check_example(example: object) -> None:
    if not isinstance(example, Tensor):
        raise InputError(
            f"the example is a {type(example).__name__}; expected a torch tensor, a batch of "
            "inputs, for example torch.as_tensor(example)."
        )
    if example.ndim < 1 or not example.is_floating_point() or example.numel() == 0:
        raise InputError(
            f"the example has shape {list(example.shape)} and dtype {example.dtype}; expected "
            "floating point values [b, ...] of at least one sample."
        )
    if not example.isfinite().all():
        raise InputError("the example holds NaN or infinite values: remove or fix those samples.")


def _ensure_evaluation_mode(model: Model) -> Model:
    """Return the model, or a copy in evaluation mode if a part of it is in training mode.

    Raises:
        InputError: If the copy fails, or would turn off dropout that stays on in evaluation mode.
    """
    if not isinstance(model, nn.Module) or not (parts := parts_in_training_mode(model)):
        return model
    for name, part in parts.items() if not model.training else ():
        if isinstance(part, DROPOUT):
            raise InputError(
                f"the model is in evaluation mode, but its part {name!r}, a {type(part).__name__}, "
                f"is in training mode: call model.eval() first. {ACTIVE_DROPOUT}"
            )
    try:
        return copy.deepcopy(model).eval()
    except Exception as error:  # a user's module may hold anything
        raise InputError(
            "the model is in training mode, and copying it to change that fails "
            f"({one_line(error)}): call model.eval() first."
        ) from error


def _chosen_by_measuring(model: Model, example: Tensor) -> Accelerated:
    """Use what is faster; if the copy fails or differs, return the model unchanged."""
    try:
        return build_accelerated(model, example, None)
    except Exception as error:  # a user's module may raise anything when copied, frozen, or split
        return unchanged(model, f"its copy fails ({one_line(error)})")


def _as_requested(model: Model, example: Tensor, words: Sequence[str]) -> Accelerated:
    """Use the requested techniques, or raise `InputError`."""
    try:
        return build_accelerated(model, example, words)
    except InputError:
        raise
    except Exception as error:  # a user's module may raise anything when copied, frozen, or split
        raise InputError(
            f"accelerate: cannot use {'+'.join(words)!r} with this model ({one_line(error)}): use "
            "'auto' or 'off'."
        ) from error
