"""The judge: believes no attack. It counts, predicts and measures by itself."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn

from minnorm.acceleration import Accelerated, original, seconds_now
from minnorm.attacks import Attack, AttackResult, Model
from minnorm.attacks.registry import is_of_package
from minnorm.geometry import NORM_ORDERS, Bounds, Norm, distances, rows
from minnorm.losses import is_adversarial, predictions

logger = logging.getLogger(__name__)


class CountingModel:
    """A model that counts how many samples pass forward and backward through it.

    Args:
        model: The model.
        on_backward: Called at each backward pass.
    """

    def __init__(self, model: Model, on_backward: Callable[[], None] | None = None) -> None:
        self._model = model
        self._on_backward = on_backward
        self.forwards = 0
        self.backwards = 0

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Gives the model's logits, and counts."""
        logits = self._model(inputs)
        self.forwards += len(inputs)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)  # type: ignore[no-untyped-call]
        return logits

    def _count_backward(self, gradients: Tensor) -> None:
        self.backwards += len(gradients)
        if self._on_backward is not None:
            self._on_backward()


def counting(
    model: Model, on_backward: Callable[[], None] | None = None
) -> tuple[Model, list[CountingModel]]:
    """Gives a model that answers the same, and what counts; of an accelerated one each part."""
    if not isinstance(model, Accelerated):
        counted = CountingModel(model, on_backward)
        return counted, [counted]
    parts = {
        id(part): CountingModel(part, on_backward)
        for part in (model.original, model.exact, model.coarse)
        if part is not None
    }
    coarse = None if model.coarse is None else parts[id(model.coarse)]
    original, exact = parts[id(model.original)], parts[id(model.exact)]
    return replace(model, original=original, exact=exact, coarse=coarse), [*parts.values()]


@dataclass(frozen=True)
class Verdict:
    """What the judge saw of one run of an attack on one batch.

    Attributes:
        adversarials: The attack's points; the inputs where it had no success.
        predictions: The model's classes of the attack's points.
        success: Whether each point is inside the bounds and what the attack wanted.
        distances: The distances of the points by norm, infinite without success.
        spent: Forwards, backwards and seconds for each sample of the batch.
    """

    adversarials: Float[Tensor, "b *d"]
    predictions: Int64[Tensor, "b"]
    success: Bool[Tensor, "b"]
    distances: dict[Norm, Float[Tensor, "b"]]
    spent: tuple[float, float, float]


def run_and_judge(
    name: str,
    attack: Attack,
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool,
    bounds: Bounds,
    seed: int,
    on_backward: Callable[[], None] | None = None,
) -> Verdict:
    """Runs an attack on a batch, with a random generator of its own, and judges what it gives.

    Of an accelerated model the judge asks the original, and so does an attack that is not of this
    package: it does not know that the two may differ, by rounding, on the boundary.

    Raises:
        ValueError: If what the attack gives is no result, or has not the shape of the inputs, or it
            changed the model.
    """
    given, model = model, original(model)
    counted, counts = counting(given if is_of_package(attack) else model, on_backward)
    generator = Generator(inputs.device).manual_seed(seed)
    state = _state(model)
    started = seconds_now(inputs.device)
    # Copies, so that what an attack does to them has no part in how it is judged.
    result = attack(
        counted,
        inputs.clone(),
        labels.clone(),
        targeted=targeted,
        bounds=bounds,
        generator=generator,
    )
    seconds = seconds_now(inputs.device) - started
    if not isinstance(result, AttackResult):
        raise ValueError(f"{name} gave a {type(result).__name__}; expected an AttackResult.")
    if _state(model) != state:
        raise ValueError(
            f"{name} changed the model: its training mode, parameters or buffers. An attack "
            "changes nothing that it is given; let it work on a copy.deepcopy of the model."
        )
    points = result.adversarials.detach()
    if points.shape != inputs.shape or points.dtype != inputs.dtype:
        raise ValueError(
            f"{name} gave {points.dtype} of shape {list(points.shape)}; expected "
            f"{inputs.dtype} of shape {list(inputs.shape)}, like the inputs."
        )
    with torch.no_grad():
        logits = model(points)
    flat = rows(points)
    inside = ((flat >= bounds[0]) & (flat <= bounds[1]) & flat.isfinite()).all(1)
    success = is_adversarial(logits, labels, targeted) & inside
    _report_differences(name, result, success, inside)
    forwards = sum(part.forwards for part in counts)
    backwards = sum(part.backwards for part in counts)
    if forwards == 0:
        logger.warning(
            "%s did not call the model that it was given, so that what it cost is not known.", name
        )
    return Verdict(
        adversarials=torch.where(success.view(-1, *(1,) * (points.ndim - 1)), points, inputs),
        predictions=predictions(logits),
        success=success,
        distances={
            norm: distances(points, inputs, norm).where(success, torch.inf) for norm in NORM_ORDERS
        },
        spent=(
            forwards / len(inputs),
            backwards / len(inputs),
            seconds / len(inputs),
        ),
    )


def join_verdicts(parts: Sequence[Verdict]) -> Verdict:
    """Gives the verdict on a batch that was judged in parts, in their order."""
    if len(parts) == 1:
        return parts[0]
    sizes = torch.tensor([len(part.success) for part in parts], dtype=torch.float64)
    spent = (sizes / sizes.sum()) @ torch.tensor([part.spent for part in parts]).double()
    forwards, backwards, seconds = spent.tolist()
    return Verdict(
        adversarials=torch.cat([part.adversarials for part in parts]),
        predictions=torch.cat([part.predictions for part in parts]),
        success=torch.cat([part.success for part in parts]),
        distances={
            norm: torch.cat([part.distances[norm] for part in parts]) for norm in NORM_ORDERS
        },
        spent=(forwards, backwards, seconds),
    )


def _state(model: Model) -> list[tuple[Any, ...]]:
    """Gives what tells whether a module was changed: modes, and the versions of its tensors."""
    if not isinstance(model, nn.Module):
        return []
    tensors = (*model.parameters(), *model.buffers())
    # Tensors made in inference mode have no version.
    versions = [(id(t), None if t.is_inference() else t._version) for t in tensors]
    return [*versions, *((part.training,) for part in model.modules())]


def _report_differences(name: str, result: AttackResult, success: Tensor, inside: Tensor) -> None:
    claimed = int((result.success & ~success).sum())
    missed = int((success & ~result.success).sum())
    if claimed or missed:
        logger.warning(
            "%s: the judge differs from the attack on %d samples: %d claimed successes are none "
            "(%d of them outside the bounds), %d successes were not claimed. The records hold "
            "what the judge saw.",
            name,
            claimed + missed,
            claimed,
            int((result.success & ~inside).sum()),
            missed,
        )
