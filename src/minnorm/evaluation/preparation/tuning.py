"""Decisions by measurement: the acceleration of the model and the batch size.

Measuring takes time. It is done if that is short beside the work that it serves, and what it found
is remembered for the next run.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from minnorm.acceleration import (
    AUTO,
    GRADIENTS_TO_CHOOSE,
    OFF,
    SAMPLES,
    Accelerated,
    accelerate,
    choose_batch_size,
    fitting_batch_size,
    fitting_seconds,
    measurable,
    measurable_batch_size,
    querying_batch_size,
    repeated,
    seconds_to_build,
    seconds_to_choose,
    usual_batch_size,
)
from minnorm.access import Access
from minnorm.attacks import Model
from minnorm.errors import InputError, one_line
from minnorm.evaluation.preparation import decisions
from minnorm.evaluation.preparation.decisions import AccelerationDecision, BatchSizeDecision, Key
from minnorm.evaluation.preparation.work import (
    LARGEST_SHARE,
    Workload,
    estimate_work,
    worth_preparing,
)
from minnorm.evaluation.store.configuration import Configuration
from minnorm.runtime import memory, ranks

BatchSize: TypeAlias = int | Literal["auto"]
"""Samples attacked at once; `auto` for as many as speed up the run and fit into memory."""

_SHARE_OF_MEMORY = 0.5
"""The share of the available memory that a batch may take; the data and errors take the rest."""

_LEAST_SAMPLES, _LEAST_SECONDS = 4, 0.004
"""The smallest example to choose the acceleration on, and the shortest gradient of one: shorter
ones say little about larger batches, and their measurements are mostly noise."""


@dataclass(frozen=True)
class Tuning:
    """What was decided.

    Attributes:
        model: The model that the attacks call.
        batch_size: Samples attacked at once.
    """

    model: Accelerated
    batch_size: int


def tune(
    model: Model,
    inputs: Tensor,
    work: Workload,
    *,
    acceleration: str,
    batch_size: BatchSize,
    interrupted: Configuration | None,
    fingerprint: str | None,
    access: Access = "gradients",
) -> Tuning:
    """Accelerate a model for an evaluation, and choose the batch size.

    A run that continues uses the decisions from its start. Otherwise only the first rank decides,
    since the records depend on the decisions.

    Args:
        model: The classifier.
        inputs: Some inputs, repeated as an example to measure on.
        work: What the attacks compute.
        acceleration: What to do, see `minnorm.accelerate`.
        batch_size: The batch size, or `auto`.
        interrupted: The configuration of the run that continues; `None` for a new run.
        fingerprint: The fingerprint by which decisions for this model are remembered; `None` to
            neither remember nor recall any.
        access: What the most demanding attack needs of the model. Without gradients nothing is
            differentiated: the model is used as it is, and the batch size follows from the time of
            a forward pass.

    Raises:
        InputError: If the acceleration cannot be applied to this model.
    """
    if inputs.device.type == "cpu":
        memory.keep_freed_memory()  # before measuring, since it changes how long a gradient takes
    if interrupted is not None:
        acceleration = interrupted.acceleration if acceleration == AUTO else acceleration
        batch_size = interrupted.batch_size if batch_size == "auto" else batch_size
    accelerated, size = None, 0
    with ranks.raise_on_all():
        if ranks.rank() == 0:
            # A batch of the given size must fit into memory.
            example = repeated(
                inputs, SAMPLES if batch_size == "auto" else min(SAMPLES, batch_size)
            )
            key = None if fingerprint is None else decisions.circumstances(fingerprint, inputs)
            gradient = None
            if acceleration == AUTO and access != "gradients":
                accelerated = _as_it_is(model, inputs, "no attack needs gradients")
            elif acceleration == AUTO:
                accelerated, gradient = _accelerate(model, example, work, key)
            else:
                accelerated = accelerate(model, inputs, acceleration)
            if batch_size != "auto":
                size = batch_size
            elif access == "gradients":
                size = _choose_batch_size(accelerated, inputs, work, gradient, key)
            else:
                size = _batch_size_of_queries(accelerated, inputs, work)
    used, size = ranks.gather((accelerated.used if accelerated else acceleration, size))[0]
    with ranks.raise_on_all():
        return Tuning(accelerated or accelerate(model, inputs, used), size)


def _accelerate(
    model: Model, example: Tensor, work: Workload, key: Key | None
) -> tuple[Accelerated, float | None]:
    """Accelerate a model as far as that is worth it.

    Returns:
        The accelerated model, and the seconds of a gradient of one sample, if they are known.
    """
    if not isinstance(model, nn.Module):  # nothing can be accelerated
        return accelerate(model, example, AUTO), None
    known = None if key is None else decisions.recall(key, AccelerationDecision)
    if known is not None:
        return _repeat(model, example, work, known), known.gradient
    allowed = LARGEST_SHARE * work.samples * work.accelerated
    samples = min(int(allowed / GRADIENTS_TO_CHOOSE), len(example))
    if samples < min(_LEAST_SAMPLES, len(example)):
        return _as_it_is(model, example, "the attacks compute few gradients"), None
    try:
        part, seconds = measurable(model, example[:samples])
    except Exception as error:  # a user's module may raise anything
        return _as_it_is(model, example, f"its gradient fails ({one_line(error)})"), None
    gradient = seconds / len(part)
    expected = estimate_work(work.samples, work.accelerated, gradient)
    samples = len(part)
    while samples > 0:  # copying a large network takes time as well
        if worth_preparing(seconds_to_choose(model, samples * gradient), expected):
            break
        samples -= 1
    is_enough = samples >= _LEAST_SAMPLES and samples * gradient >= _LEAST_SECONDS
    if not is_enough and samples < len(example):
        return _as_it_is(model, example, _too_little(expected)), gradient
    accelerated = accelerate(model, part[:samples], AUTO)
    if key is not None:
        decision = AccelerationDecision(words=accelerated.used, gradient=gradient)
        decisions.remember(key, decision)
    return accelerated, gradient


def _repeat(
    model: Model, example: Tensor, work: Workload, known: AccelerationDecision
) -> Accelerated:
    """Use the remembered techniques, if building them is worth it and they still agree."""
    expected = estimate_work(work.samples, work.accelerated, known.gradient)
    if not worth_preparing(seconds_to_build(model, known.gradient), expected):
        return _as_it_is(model, example, _too_little(expected))
    try:
        accelerated = accelerate(model, example, known.words)
    except InputError as error:
        return _as_it_is(model, example, str(error))
    return replace(accelerated, notes=(*accelerated.notes, "chosen by an earlier measurement"))


def _too_little(seconds: float) -> str:
    return f"the attacks take about {seconds:.1g} s, too little to find out what is faster"


def _as_it_is(model: Model, example: Tensor, reason: str) -> Accelerated:
    note = f"the model is used as it is: {reason}"
    return replace(accelerate(model, example, OFF), notes=(note,))


def _batch_size_of_queries(accelerated: Accelerated, inputs: Tensor, work: Workload) -> int:
    """Choose the batch size of attacks that only make forward passes."""
    available = _SHARE_OF_MEMORY * memory.available_memory(inputs.device)
    return querying_batch_size(accelerated, inputs, most=work.samples, memory=available)


def _choose_batch_size(
    accelerated: Accelerated,
    inputs: Tensor,
    work: Workload,
    gradient: float | None,
    key: Key | None,
) -> int:
    """Choose the batch size, by measuring as far as that is worth it."""
    if work.samples <= len(inputs):  # the probe has computed gradients of so many
        return work.samples
    with torch.no_grad():
        available = _SHARE_OF_MEMORY * memory.available_memory(inputs.device)
        limit = fitting_batch_size(accelerated, inputs, most=work.samples, memory=available)
        key = None if key is None else {**key, "acceleration": accelerated.used}
        known = None if key is None else decisions.recall(key, BatchSizeDecision)
        if known is not None and known.fits(limit):
            return min(known.size, limit)
        gradients = work.samples * work.gradients
        if gradient is None and worth_preparing(2 * len(inputs), gradients):
            gradient = fitting_seconds(accelerated, inputs, repeats=1) / len(inputs)
        usual = usual_batch_size(limit, gradient)
        most = measurable_batch_size(limit, LARGEST_SHARE * gradients)
        if most <= usual and most < limit:
            return usual
        size = choose_batch_size(accelerated, inputs, limit=most)
        if size == most < limit:  # a larger one may be faster, but measuring it takes too long
            return max(size, usual)
    if key is not None:
        decisions.remember(key, BatchSizeDecision(size=size, most=most))
    return size
