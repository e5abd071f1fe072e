"""What an evaluation asks of a model and its data before it believes their numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minnorm.attacks import Model
from minnorm.attacks.checks import check_logits, check_mode, check_samples
from minnorm.attacks.gradients import differentiable
from minnorm.data import Data
from minnorm.geometry import Bounds


def model_dtype_and_device(model: Model) -> tuple[torch.dtype, torch.device]:
    """Gives the dtype and device of a module's first floating point tensor.

    Of a callable without any: float32 on the CPU.
    """
    if isinstance(model, nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype, tensor.device
    return torch.float32, torch.device("cpu")


@dataclass(frozen=True)
class Intake:
    """What a look at a model and its data told.

    Attributes:
        classes: The number of classes.
        answers: The model's logits of the first samples and classes: what tells models apart whose
            code cannot be seen.
        warnings: What does not stop an evaluation, but makes its numbers doubtful.
    """

    classes: int
    answers: list[float]
    warnings: tuple[str, ...]


def check_model(model: Model, data: Data, bounds: Bounds) -> Intake:
    """Checks on a few samples that the model is one that can be evaluated.

    Args:
        model: The classifier.
        data: The data; its first samples are used.
        bounds: The bounds of the inputs.

    Raises:
        ValueError: If the model is in training mode, does not take the samples, gives something
            else than logits, cannot be differentiated, or answers the same sample differently in
            another batch or the next time.
    """
    check_mode(model)
    inputs, labels = read_batch(model, data, range(min(8, len(data))), bounds)
    logits = clean_logits(model, inputs, labels, data.name)
    if len(inputs) > 1:
        _check_alone(model, inputs, logits)
    warnings = []
    if not _has_gradients(model, inputs):
        warnings.append(
            "The model's gradients with respect to its inputs are all zero: it does not depend on "
            "them, or some step of it passes no gradient on (.detach(), rounding, argmax). Attacks "
            "that use gradients find little, which says nothing of its robustness."
        )
    probabilities = logits.min() >= 0 and torch.allclose(
        logits.sum(1), torch.ones_like(logits[:, 0]), atol=1e-3
    )
    if probabilities:
        warnings.append(
            "The model's outputs look like probabilities (from 0 to 1, with sum 1); attacks expect "
            "logits. Leave the softmax out: its gradients vanish where the model is sure, so that "
            "the model would look more robust than it is."
        )
    answers = logits[:, :10].flatten().double().cpu().nan_to_num().tolist()
    return Intake(logits.shape[1], answers, tuple(warnings))


def read_batch(model: Model, data: Data, positions: range, bounds: Bounds) -> tuple[Tensor, Tensor]:
    """Reads a batch in the model's dtype and on its device, and checks it.

    Raises:
        ValueError: If inputs are NaN or outside the bounds, or labels are not whole numbers; the
            message says which samples.
    """
    dtype, device = model_dtype_and_device(model)
    inputs, labels = data.batch(positions)
    inputs, labels = inputs.to(device, dtype), labels.to(device)
    try:
        check_samples(inputs, labels, bounds)
    except ValueError as error:
        raise ValueError(f"{_where(data, positions)}: {error}") from error
    return inputs, labels


def clean_logits(model: Model, inputs: Tensor, labels: Tensor, where: str) -> Tensor:
    """Gives the model's answer to a batch.

    Raises:
        ValueError: If the model fails on it, or its answer does not fit the labels.
    """
    try:
        with torch.no_grad():
            logits = model(inputs)
    except torch.OutOfMemoryError as error:
        raise ValueError(f"{OUT_OF_MEMORY} than {len(inputs)}.") from error
    except Exception as error:  # whatever a user's model raises, it is the model that failed
        raise ValueError(
            f"the model cannot take inputs of shape {list(inputs.shape)} ({inputs.dtype}) from "
            f"{where}: {_in_short(error)}"
        ) from error
    try:
        check_logits(logits, labels)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return logits


OUT_OF_MEMORY = "there is not enough memory for a batch: give a smaller batch size"
"""Said where a batch does not fit."""


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


def _where(data: Data, positions: range) -> str:
    first, last = data.indices[positions[0]], data.indices[positions[-1]]
    return f"{data.name}, samples {first} to {last}"


def _check_alone(model: Model, inputs: Tensor, logits: Tensor) -> None:
    scale = logits.abs().amax().clamp_min(1e-6)
    # Other batch shapes round otherwise, in reduced precision visibly so.
    tolerance = max(1e-2, 16 * torch.finfo(logits.dtype).eps)

    def differs(answer: Callable[[], Tensor], expected: Tensor) -> bool:
        try:
            with torch.no_grad():
                difference = (answer() - expected).abs().amax() / scale
        except Exception as error:  # the same as in `clean_logits`
            raise ValueError(
                f"the model takes a batch of {len(inputs)} but not of 1 "
                f"({_in_short(error)}). An exported program needs a dynamic "
                "batch size: torch.export.export(..., dynamic_shapes=...)."
            ) from error
        return bool(difference > tolerance)

    if differs(lambda: model(inputs), logits):
        raise ValueError(
            "the model answers the same inputs differently each time: it is in training mode "
            "(dropout) or draws random numbers, and what an attack finds would not be there the "
            "next time. Export or load it in evaluation mode."
        )
    if differs(lambda: model(inputs[:1]), logits[:1]):
        raise ValueError(
            "the model answers a sample differently when others are in its batch: it is in "
            "training mode (batch norm). Export or load it in evaluation mode."
        )


def _has_gradients(model: Model, inputs: Tensor) -> bool:
    try:
        _, pull_back = differentiable(model, inputs)
        with torch.no_grad():
            logits = model(inputs)
        classes = torch.arange(len(inputs), device=logits.device) % logits.shape[1]
        gradients = pull_back(torch.zeros_like(logits).scatter_(1, classes.unsqueeze(1), 1.0))
    except Exception as error:  # the same
        raise ValueError(
            f"the model cannot be differentiated with respect to its inputs: {_in_short(error)}"
        ) from error
    return bool(gradients.any())
