"""The probe: whether model and data can be evaluated, checked on a few samples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from minnorm.acceleration import clean_logits
from minnorm.attacks import Model
from minnorm.attacks.engine.doubts import PROBE_SAMPLES, doubt_about_gradients, doubt_about_logits
from minnorm.attacks.engine.problem import check_evaluation_mode
from minnorm.data import Data
from minnorm.errors import InputError, one_line
from minnorm.evaluation.batches import CleanBatch, read_batch
from minnorm.geometry import Bounds

_ANSWERED_CLASSES = 10
"""Classes whose logits identify the model in the configuration of the run."""


@dataclass(frozen=True)
class Probe:
    """What a probe of a model and its data found.

    Attributes:
        inputs: The samples probed, `[b *d]`, in the dtype and on the device of the model.
        classes: The number of classes.
        answers: The model's logits of these samples, for the first classes. They distinguish
            models whose code cannot be compared.
        warnings: What makes the results doubtful, but does not prevent an evaluation.
    """

    inputs: Tensor
    classes: int
    answers: tuple[float, ...]
    warnings: tuple[str, ...]


def probe_model(model: Model, data: Data, bounds: Bounds) -> Probe:
    """Check on the first samples of the data that the model can be evaluated.

    Args:
        model: The classifier.
        data: The data.
        bounds: The bounds of the inputs.

    Raises:
        InputError: If the model is in training mode, does not take the samples, does not return
            logits, or cannot be differentiated. Also if its logits of a sample change from one call
            to the next, or with the other samples of the batch.
    """
    check_evaluation_mode(model)
    batch = read_batch(model, data, range(min(PROBE_SAMPLES, len(data))), bounds)
    if len(batch.inputs) > 1:
        _check_repeatable(model, batch, data.name)
        _check_independent(model, batch)
    # NaN is counted over the whole run, see `nan_warnings`.
    without_nan = batch.logits[~batch.logits.isnan().any(1)]
    doubts = (
        doubt_about_gradients(model, batch.inputs),
        doubt_about_logits(without_nan) if len(without_nan) > 0 else None,
    )
    answers = batch.logits[:, :_ANSWERED_CLASSES].flatten().double().cpu().nan_to_num()
    return Probe(
        inputs=batch.inputs,
        classes=batch.logits.shape[1],
        answers=tuple(answers.tolist()),
        warnings=tuple(doubt for doubt in doubts if doubt is not None),
    )


def _check_repeatable(model: Model, batch: CleanBatch, source: str) -> None:
    """Check that a second call returns the logits of the first."""
    again = clean_logits(model, batch.inputs, batch.labels, source)
    if _differ(again, batch.logits, batch.logits):
        raise InputError(
            "the model returns different logits for the same inputs each time: it is in training "
            "mode (dropout) or draws random numbers, so the results of an attack could not be "
            "repeated. Export or load it in evaluation mode."
        )


def _check_independent(model: Model, batch: CleanBatch) -> None:
    """Check that the logits of a sample do not depend on the other samples of its batch."""
    try:
        with torch.no_grad():
            alone = model(batch.inputs[:1])
    except Exception as error:  # a user's model may raise anything
        raise InputError(
            f"the model takes a batch of {len(batch.inputs)} but not of 1 ({one_line(error)}). An "
            "exported program needs a dynamic batch size: torch.export.export(..., "
            "dynamic_shapes=...)."
        ) from error
    if _differ(alone, batch.logits[:1], batch.logits):
        raise InputError(
            "the model returns different logits for a sample when others are in its batch: it is "
            "in training mode (batch norm). Export or load it in evaluation mode."
        )


def _differ(logits: Tensor, expected: Tensor, batch: Tensor) -> bool:
    """Return whether logits differ by more than rounding, measured by the largest of the batch."""
    # Batches of another shape round differently, in reduced precision visibly so.
    tolerance = max(1e-2, 16 * torch.finfo(batch.dtype).eps)
    scale = batch.abs().amax().clamp_min(1e-6)
    return bool((logits - expected).abs().amax() / scale > tolerance)
