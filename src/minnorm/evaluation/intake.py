"""What an evaluation asks of a model and its data before it believes their numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from minnorm import runtime
from minnorm.acceleration import original
from minnorm.attacks import Attack, Model, attack_name, load_attack
from minnorm.attacks.checks import check_attack, check_mode, check_samples
from minnorm.attacks.combinators import norm_of
from minnorm.attacks.look import FEW, clean_logits, doubt_of_gradients, doubt_of_logits
from minnorm.attacks.registry import check_presets
from minnorm.data import Data
from minnorm.errors import in_short
from minnorm.geometry import Bounds
from minnorm.models import load_model


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
        inputs: The samples that were looked at, `[b *d]`, as the model takes them.
        classes: The number of classes.
        answers: The model's logits of the first samples and classes: what tells models apart whose
            code cannot be seen.
        warnings: What does not stop an evaluation, but makes its numbers doubtful.
    """

    inputs: Tensor
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
    inputs, labels = read_batch(model, data, range(min(FEW, len(data))), bounds)
    logits = clean_logits(model, inputs, labels, data.name)
    if len(inputs) > 1:
        _check_alone(model, inputs, logits)
    doubts = (doubt_of_gradients(model, inputs), doubt_of_logits(logits))
    answers = logits[:, :10].flatten().double().cpu().nan_to_num().tolist()
    return Intake(
        inputs, logits.shape[1], answers, tuple(doubt for doubt in doubts if doubt is not None)
    )


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
                f"({in_short(error)}). An exported program needs a dynamic "
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


def named_attacks(attacks: Any) -> dict[str, Attack]:  # not `Attacks`: here it is checked
    """Gives the attacks of a run by their names.

    Args:
        attacks: What a user gave, see `minnorm.evaluate`.

    Raises:
        ValueError: If one of them cannot be used, two are the same, or there is none.
    """
    if isinstance(attacks, Mapping):
        named = {name: _loaded(attack) for name, attack in attacks.items()}
    else:
        several = isinstance(attacks, Sequence) and not isinstance(attacks, str)
        listed = [_loaded(attack) for attack in (attacks if several else [attacks])]
        named = {attack_name(attack): attack for attack in listed}
        if len(named) < len(listed):
            raise ValueError(
                "two of the attacks are the same: give them different parameters or names."
            )
    if not named:
        raise ValueError("no attack was given: name at least one, for example 'ddn'.")
    return named


def _loaded(attack: Any) -> Attack:
    """Gives the attack of a spec, or a function that can be used as one."""
    loaded = load_attack(attack) if isinstance(attack, str) else attack
    check_attack(loaded)
    check_presets(loaded)
    norm_of([loaded])  # raises for one that there is not, before anything runs
    return loaded


def take_model(model: str | Model, device: str | torch.device | None, *, trust: bool) -> Model:
    """Gives the classifier that is evaluated: a spec's, or the original of an accelerated one.

    Args:
        model: What a user gave, see `minnorm.evaluate`.
        device: Where it shall run; `None` for where it is, or a GPU if there is one.
        trust: Let a file run the code that it holds.

    Raises:
        ValueError: If it cannot be called, or is on another device.
    """
    model = original(model)
    if isinstance(model, str):
        place = runtime.default_device() if device is None else runtime.parse_device(str(device))
        return load_model(model, trust=trust).to(place)
    if not callable(model):
        raise ValueError(
            f"cannot use {type(model).__name__} as a model: give a spec or a callable."
        )
    actual = model_dtype_and_device(model)[1]
    asked = actual if device is None else runtime.parse_device(str(device))
    same = asked.type == actual.type and (asked.index or 0) == (actual.index or 0)
    if isinstance(model, nn.Module) and not same:
        raise ValueError(
            f"the model is on {actual}, device={str(device)!r} was asked for: move it there with "
            f"model.to({str(device)!r})."
        )
    return model
