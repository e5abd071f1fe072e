"""The probe: whether model and data can be evaluated, checked on a few samples."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from minnorm.acceleration import original
from minnorm.access import Access
from minnorm.attacks import Model
from minnorm.attacks.engine.doubts import (
    PROBE_SAMPLES,
    doubt_about_gradients,
    doubt_about_probabilities,
    doubt_about_repeatability,
    doubt_about_saturation,
    same_logits,
)
from minnorm.attacks.engine.inset import LOST_GRADIENTS, loses_gradients
from minnorm.attacks.engine.problem import check_evaluation_mode
from minnorm.boxes import Bounds, is_interval
from minnorm.data import Data
from minnorm.data.dataset import WHITE, drawn
from minnorm.doubts import Doubt
from minnorm.errors import InputError, batch_size_advice, one_line
from minnorm.evaluation.running.batches import CleanBatch, read_batch
from minnorm.evaluation.running.restrictions import Restrictions
from minnorm.logits import check_labels, is_exported, masked_classes, output_of

_READ_TWICE = 4
"""The number of samples that are read a second time."""

_ANSWERED_CLASSES = 10
"""Classes whose logits identify the model in the configuration of the run."""

_SMALL = 32
"""The largest of 8-bit values that do not seem to go up to 255."""

_SCALE_SAMPLES = 256
"""The number of samples from which the scale of 8-bit values is seen."""


@dataclass(frozen=True)
class Probe:
    """What a probe of a model and its data found.

    Attributes:
        inputs: The samples probed, `[b *d]`, in the dtype and on the device of the model.
        classes: The number of classes.
        masked: How many of them are masked for all of these samples, see
            `minnorm.logits.masked_classes`.
        answers: The model's logits of these samples, for the first classes. They distinguish
            models whose code cannot be compared.
        loses_gradients: Whether the model loses its gradients at the bounds.
        doubts: What makes the results doubtful, but does not prevent an evaluation.
    """

    inputs: Tensor
    classes: int
    masked: int
    answers: tuple[float, ...]
    loses_gradients: bool
    doubts: tuple[Doubt, ...]


def probe_model(
    model: Model, data: Data, restrictions: Restrictions, access: Access = "gradients"
) -> Probe:
    """Check on the first samples of the data that the model can be evaluated.

    Args:
        model: The classifier.
        data: The data.
        restrictions: The bounds of a sample, and which of its features may change.
        access: What the most demanding attack needs of the model; without gradients nothing is
            differentiated.

    Raises:
        InputError: If the model is in training mode, does not take the samples, does not return
            logits, or cannot be differentiated. Also if its logits of a sample change from one call
            to the next, or with the other samples of the batch.
    """
    check_evaluation_mode(model)
    batch = read_batch(model, data, range(min(PROBE_SAMPLES, len(data))), restrictions.bounds)
    _check_all_labels(data, batch.logits.shape[1])
    doubt = doubt_about_repeatability(model, batch.inputs, batch.logits)
    if doubt is not None:
        raise InputError(doubt.text)
    if len(batch.inputs) > 1:
        _check_independent(model, batch)
    doubts = (
        *_doubts_of_attacks(model, batch, restrictions.of(batch.inputs), access),
        _doubt_about_scale(data, batch.inputs, restrictions.bounds),
        _doubt_about_repetition(data, batch),
    )
    answers = batch.logits[:, :_ANSWERED_CLASSES].flatten().double().cpu().nan_to_num()
    return Probe(
        inputs=batch.inputs,
        classes=batch.logits.shape[1],
        masked=int(masked_classes(batch.logits).all(0).sum()),
        answers=tuple(answers.tolist()),
        loses_gradients=LOST_GRADIENTS in doubts,
        doubts=tuple(doubt for doubt in doubts if doubt is not None),
    )


def _doubts_of_attacks(
    model: Model, batch: CleanBatch, bounds: Bounds, access: Access
) -> Iterator[Doubt | None]:
    """Yield what attacks have to know, by what they use of the model."""
    if access == "gradients":
        yield doubt_about_gradients(model, batch.inputs)  # refuses first
    # NaN is counted over the whole run, see `doubts_about_nan`.
    without_nan = batch.logits[~batch.logits.isnan().any(1)]
    if len(without_nan) > 0:
        yield doubt_about_probabilities(without_nan, access)
    if access == "gradients":
        yield doubt_about_saturation(without_nan) if len(without_nan) > 0 else None
        yield LOST_GRADIENTS if loses_gradients(model, batch.inputs, bounds) else None


def _doubt_about_repetition(data: Data, first: CleanBatch) -> Doubt | None:
    """Return a doubt if samples that are read again are others, as with random augmentations."""
    again, labels = data.batch(range(min(_READ_TWICE, len(data))))
    inputs = first.inputs[: len(again)]
    if (
        inputs.shape == again.shape
        and torch.equal(first.labels[: len(again)], labels.to(first.labels))
        and torch.allclose(inputs, again.to(inputs), equal_nan=True)
    ):
        return None
    return Doubt(
        "random-data",
        f"{data.name} returns other samples each time it is read, as with random augmentations: "
        "these are no test images, each attack may get others, and the run cannot be repeated or "
        "continued.",
    )


def _doubt_about_scale(data: Data, inputs: Tensor, bounds: Bounds) -> Doubt | None:
    """Return why inputs do not seem to have the scale of 8-bit images that their bounds have."""
    largest = float(inputs.max())
    if data.divisor == WHITE:
        return _doubt_about_division(data, largest)
    if not is_interval(bounds) or tuple(bounds) != (0, 255) or not 0 < largest <= 1:
        return None
    return Doubt(
        "scale",
        f"the bounds are those of 8-bit images, 0 to 255, but no value of the first {len(inputs)} "
        f"samples is above {largest:g}: if their values are scaled to 0..1, use the bounds 0 and "
        "1.",
    )


def _doubt_about_division(data: Data, largest: float) -> Doubt | None:
    """Return why 8-bit values that are divided by 255 do not seem to go up to 255.

    The first samples may be dark images, so more are read if all values of these are small.

    Args:
        data: The data.
        largest: The largest value of the first samples, divided.
    """
    if largest > (_SMALL + 0.5) / WHITE:
        return None
    positions = drawn(len(data), _SCALE_SAMPLES)
    for start in range(0, len(positions), PROBE_SAMPLES):
        inputs, _ = data.batch(positions[start : start + PROBE_SAMPLES])
        largest = max(largest, float(inputs.max()))
        if largest > (_SMALL + 0.5) / WHITE:
            return None
    if largest == 0:
        return None
    return Doubt(
        "scale",
        "8-bit values are divided by 255, as those of images, but no value of "
        f"{len(positions):,} samples is above {round(WHITE * largest)}. If the model was trained "
        "on values that are divided by another number, or by none, these inputs are not on its "
        "scale: pass them as floating-point values on that scale, with their bounds.",
    )


def _check_all_labels(data: Data, classes: int) -> None:
    """Check the labels of all samples now, if they are known before the samples are read."""
    if data.labels is None:
        return
    try:
        check_labels(torch.from_numpy(data.labels[np.asarray(data.indices)]), classes)
    except InputError as error:
        raise InputError(f"{data.name}: {error}") from error


def _check_independent(model: Model, batch: CleanBatch) -> None:
    """Check that the logits of a sample do not depend on the other samples of its batch."""
    try:
        with torch.no_grad():
            alone = output_of(model, batch.inputs[:1])
    except Exception as error:  # a user's model may raise anything
        raise InputError(
            f"the model takes a batch of {len(batch.inputs)} but not of 1 ({one_line(error)}): "
            f"attacks call it with batches of any size.{batch_size_advice(error)}"
        ) from error
    if not same_logits(alone, batch.logits[:1], scale=batch.logits, repeated=False):
        raise InputError(
            "the model returns different logits for a sample when others are in its batch, though "
            f"attacks need independent samples: {_why_dependent(model)}"
        )


def _why_dependent(model: Model) -> str:
    module = original(model)
    if not isinstance(module, nn.Module):
        return "it is in training mode (batch norm). Export or load it in evaluation mode."
    if any(map(is_exported, module.modules())):
        return (
            "it was exported in training mode (batch norm). Export it in evaluation mode: call "
            "model.eval() before torch.export.export."
        )
    # All parts are in evaluation mode, which is checked before.
    parts = [type(part) for part in module.modules()]
    if any("quantized" in part.__module__ for part in parts):
        return (
            "dynamic quantization scales the activations by the largest of the batch. Evaluate the "
            "model before quantization, or one with static quantization."
        )
    return (
        "in evaluation mode too, a part of it combines the samples of a batch, for example batch "
        "norm with track_running_stats=False, or a scale taken from the whole batch."
    )
