"""Whether an attack has changed the model that it was given.

Attacks run one after the other on the same model, so a change would be part of all later results.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm.attacks import Model
from minnorm.logits import beyond_rounding, output_of

_SAMPLES = 8
"""The number of samples whose logits are compared."""

_ROUNDING = 1e-3
"""The share of the largest logits by which those of the same batch may differ by rounding."""

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
"""The attributes of a module that hold its hooks."""


@dataclass(frozen=True)
class ModelState:
    """What shows a change of a model.

    Attributes:
        parts: The modules and tensors of the model. They are kept, so that no new one can have the
            identity of one that was replaced.
        entries: The identity and the type of each module, its mode and the number of its hooks; the
            identity and the version of each tensor.
        inputs: A few inputs.
        logits: The logits of these inputs.
    """

    parts: tuple[object, ...]
    entries: tuple[tuple[Any, ...], ...]
    inputs: Float[Tensor, "n *d"]
    logits: Float[Tensor, "n c"]


def state_of(model: Model, inputs: Float[Tensor, "b *d"]) -> ModelState:
    """Return the state of a model, at the cost of a forward pass of a few samples.

    Args:
        model: The classifier.
        inputs: A batch.
    """
    few = inputs[:_SAMPLES]
    logits = _logits(model, few)
    parts = _parts(model)
    return ModelState(parts, _entries(parts), few, logits)


def was_changed(model: Model, before: ModelState) -> bool:
    """Return whether a model was changed, except for what each call changes itself.

    The parts of a module show every change but one behind the back of PyTorch, such as by
    `parameter.data`, and a function has no parts. So logits of a few inputs are compared, too.

    Args:
        model: The classifier.
        before: Its state before.
    """
    parts = _parts(model)
    entries = _entries(parts)
    logits = _logits(model, before.inputs)
    if entries != before.entries:  # a module may count its calls in a buffer
        later = _entries(_parts(model))  # `parts` keeps the identities of what is replaced
        lengths = {len(before.entries), len(entries), len(later)}
        if len(lengths) > 1 or any(
            one != other and other == last
            for one, other, last in zip(before.entries, entries, later, strict=True)
        ):
            return True
    if _are_same(logits, before.logits):
        return False
    # What differs from call to call is random.
    return _are_same(_logits(model, before.inputs), logits)


def _parts(model: Model) -> tuple[object, ...]:
    if not isinstance(model, nn.Module):
        return ()
    return (*model.modules(), *model.parameters(), *model.buffers())


def _entries(parts: tuple[object, ...]) -> tuple[tuple[Any, ...], ...]:
    return tuple(_entry(part) for part in parts)


def _entry(part: object) -> tuple[Any, ...]:
    if isinstance(part, Tensor):  # tensors made in inference mode have no version
        return id(part), None if part.is_inference() else part._version
    hooks = tuple(len(getattr(part, name, ())) for name in _HOOKS)
    return id(part), type(part), getattr(part, "training", False), hooks


def _logits(model: Model, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = output_of(model, inputs)
    return logits.detach().clone()


def _are_same(logits: Tensor, expected: Tensor) -> bool:
    """Return whether two outputs for the same batch differ by rounding at most."""
    if logits.shape != expected.shape:
        return False
    tolerance = max(_ROUNDING, 16 * torch.finfo(expected.dtype).eps)
    return not bool(beyond_rounding(logits, expected, tolerance).any())
