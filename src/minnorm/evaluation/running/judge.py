"""The judge: runs an attack, and predicts, measures and counts independently of it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import boxes
from minnorm.acceleration import Accelerated, original, seconds_now
from minnorm.access import Access, access_of
from minnorm.attacks import Attack, AttackResult, Model
from minnorm.attacks.composition import access_needed, takes_accelerated
from minnorm.attacks.engine.inset import InsetGradients
from minnorm.attacks.gradient.carlini_wagner import CarliniWagnerResult
from minnorm.boxes import Bounds, rows
from minnorm.errors import InputError
from minnorm.evaluation.records import NO_POINT
from minnorm.evaluation.running.changes import state_of, was_changed
from minnorm.evaluation.running.votes import decide
from minnorm.geometry import NORM_ORDERS, Norm, distances, per_sample
from minnorm.logits import is_adversarial, predictions
from minnorm.models.averaged import Averaged, averaged_part, passes_of_average

logger = logging.getLogger(__name__)


class CountingModel:
    """A model that counts the samples that pass forward and backward through it.

    Args:
        model: The model.
        on_backward: Called at each backward pass.
        on_forward: Called at each forward pass.
    """

    def __init__(
        self,
        model: Model,
        on_backward: Callable[[], None] | None = None,
        on_forward: Callable[[], None] | None = None,
    ) -> None:
        self._model = model
        self._on_backward = on_backward
        self._on_forward = on_forward
        self.forwards = 0.0
        self.backwards = 0

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Return the model's logits, and count the samples."""
        logits = self._model(inputs)
        self.forwards += len(inputs) * passes_of_average(self._model)
        if self._on_forward is not None:
            self._on_forward()
        if logits.requires_grad:
            logits.register_hook(self._count_backward)  # type: ignore[no-untyped-call]
        return logits

    @property
    def access(self) -> Access:
        """What the model offers to an attack."""
        return access_of(self._model)

    @property
    def averaged(self) -> Averaged | None:
        """The part of the model that averages over draws, if there is one."""
        return averaged_part(self._model)

    def _count_backward(self, gradients: Tensor) -> None:
        self.backwards += len(gradients)
        if self._on_backward is not None:
            self._on_backward()


def counting(
    model: Model,
    on_backward: Callable[[], None] | None = None,
    on_forward: Callable[[], None] | None = None,
) -> tuple[Model, list[CountingModel]]:
    """Return a model with the same logits, and its counters: one for each part if accelerated."""
    if not isinstance(model, Accelerated):
        counted = CountingModel(model, on_backward, on_forward)
        return counted, [counted]
    parts = {
        id(part): CountingModel(part, on_backward, on_forward)
        for part in (model.original, model.exact, model.coarse)
        if part is not None
    }
    coarse = None if model.coarse is None else parts[id(model.coarse)]
    original, exact = parts[id(model.original)], parts[id(model.exact)]
    return replace(model, original=original, exact=exact, coarse=coarse), [*parts.values()]


@dataclass(frozen=True)
class Verdict:
    """The judge's results for one attack on one batch.

    Attributes:
        adversarials: The attack's points; the inputs where it failed.
        predictions: The model's classes of the attack's points; `NO_POINT` for those with NaN or
            infinite values.
        success: Whether each point is inside the bounds and adversarial. A point whose logits hold
            NaN is not: NaN is no class.
        reported: The attack's own flags of its success.
        distances: The distances of the points by norm, infinite where the attack failed.
        spent: Forward passes, backward passes and seconds per sample of the batch.
        shares: Of a random model, the share of the judge's draws in which each point of the attack
            is adversarial; `None` for any other model.
        constants: The constant with which C&W found each adversarial; `None` for other attacks.
    """

    adversarials: Float[Tensor, "b *d"]
    predictions: Int64[Tensor, "b"]
    success: Bool[Tensor, "b"]
    reported: Bool[Tensor, "b"]
    distances: dict[Norm, Float[Tensor, "b"]]
    spent: tuple[float, float, float]
    shares: Float[Tensor, "b"] | None = None
    constants: Float[Tensor, "b"] | None = None


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
    inset_gradients: bool = False,
    on_pass: Callable[[], None] | None = None,
) -> Verdict:
    """Run an attack on a batch, with a random generator of its own, and judge its result.

    The judge uses the original of an accelerated model. So does an attack that is not marked with
    `minnorm.attacks.accepts_accelerated`: near the decision boundary the two round differently.

    Args:
        name: The name of the attack, for the messages.
        attack: The attack.
        model: The classifier, which may be accelerated.
        inputs: The batch.
        labels: The true classes, or the target classes if `targeted`.
        targeted: Whether the labels are target classes.
        bounds: The bounds of the inputs, two numbers or tensors of the batch.
        seed: The seed of the generator.
        inset_gradients: Whether attacks differentiate the model slightly inside the bounds.
        on_pass: Called at each backward pass, or at each forward pass of an attack that needs no
            gradients.

    Raises:
        InputError: If the attack does not return an `AttackResult` of the shape of the inputs, or
            changes the model.
    """
    given, model = model, original(model)
    differentiates = access_needed(attack, access_of(model)) == "gradients"
    counted, counters = counting(
        given if takes_accelerated(attack) else model,
        on_backward=on_pass if differentiates else None,
        on_forward=None if differentiates else on_pass,
    )
    # An attack of the user may evaluate the model at any number of points.
    attacked = InsetGradients(counted, boxes.common(bounds)) if inset_gradients else counted
    generator = Generator(inputs.device).manual_seed(seed)
    state = state_of(model, inputs)
    started = seconds_now(inputs.device)
    # Copies, so that no attack can change the tensors of the judge.
    result = attack(
        attacked,
        inputs.clone(),
        labels.clone(),
        targeted=targeted,
        bounds=boxes.copied(bounds),
        generator=generator,
    )
    seconds = seconds_now(inputs.device) - started
    if not isinstance(result, AttackResult):
        raise InputError(f"{name} returned a {type(result).__name__}; expected an AttackResult.")
    if was_changed(model, state):
        raise InputError(
            f"{name} changed the model: its training mode, parameters, buffers, layers or hooks, "
            "or its logits of the same inputs. Later attacks would run on another model. An attack "
            "must not change its arguments; let it work on a copy.deepcopy of the model."
        )
    points = result.adversarials.detach()
    if points.shape != inputs.shape or points.dtype != inputs.dtype:
        raise InputError(
            f"{name} returned {points.dtype} of shape {list(points.shape)}; expected "
            f"{inputs.dtype} of shape {list(inputs.shape)}, like the inputs."
        )
    reported = result.success.detach().to(labels.device, torch.bool)
    if reported.shape != labels.shape:
        raise InputError(
            f"{name} returned success flags of shape {list(reported.shape)}; expected "
            f"{list(labels.shape)}, one for each sample."
        )
    logits, shares = decide(model, points, labels, targeted=targeted)
    inside = rows((points >= bounds[0]) & (points <= bounds[1]) & points.isfinite()).all(1)
    success = is_adversarial(logits, labels, targeted) & inside
    _report_differences(name, reported, success, inside, is_random=shares is not None)
    forwards = sum(part.forwards for part in counters)
    backwards = sum(part.backwards for part in counters)
    if forwards == 0:
        logger.warning("%s did not call the model in its arguments, so its cost is unknown.", name)
    return Verdict(
        adversarials=torch.where(per_sample(success, points), points, inputs),
        predictions=torch.where(rows(points.isfinite()).all(1), predictions(logits), NO_POINT),
        success=success,
        reported=reported,
        distances={
            norm: distances(points, inputs, norm).where(success, torch.inf) for norm in NORM_ORDERS
        },
        spent=(
            forwards / len(inputs),
            backwards / len(inputs),
            seconds / len(inputs),
        ),
        shares=shares,
        constants=result.constants.detach() if isinstance(result, CarliniWagnerResult) else None,
    )


def with_misclassified(
    verdict: Verdict,
    inputs: Float[Tensor, "b *d"],
    logits: Float[Tensor, "b c"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool,
    shares: Float[Tensor, "b"] | None = None,
) -> Verdict:
    """Return the verdict with distance 0 for samples that are adversarial or NaN from the start.

    So the accuracy under attack never exceeds the clean accuracy, for any attack. A sample whose
    logits hold NaN has no class to lose, so it counts as a success of every attack, targeted ones
    included. Where the point of the attack is adversarial, it is kept: it may be a rounded input.

    Args:
        verdict: The verdict.
        inputs: The batch.
        logits: The model's logits of the batch, before any attack; of a random one its decisions.
        labels: The true classes, or the target classes if `targeted`.
        targeted: Whether the labels are target classes.
        shares: The share of draws in which each sample is adversarial before any attack.
    """
    from_start = is_adversarial(logits, labels, targeted) | logits.isnan().any(1)
    back = from_start & ~verdict.success
    return replace(
        verdict,
        adversarials=torch.where(per_sample(back, inputs), inputs, verdict.adversarials),
        predictions=torch.where(back, predictions(logits), verdict.predictions),
        success=verdict.success | from_start,
        distances={
            norm: values.masked_fill(from_start, 0.0) for norm, values in verdict.distances.items()
        },
        shares=(
            torch.where(back, shares, verdict.shares)
            if shares is not None and verdict.shares is not None
            else None
        ),
        constants=(
            None if verdict.constants is None else verdict.constants.masked_fill(from_start, 0.0)
        ),
    )


def join_verdicts(parts: Sequence[Verdict]) -> Verdict:
    """Join the verdicts on the parts of a batch, in their order."""
    if len(parts) == 1:
        return parts[0]
    sizes = torch.tensor([len(part.success) for part in parts], dtype=torch.float64)
    spent = (sizes / sizes.sum()) @ torch.tensor([part.spent for part in parts]).double()
    forwards, backwards, seconds = spent.tolist()
    shares = [part.shares for part in parts if part.shares is not None]
    constants = [part.constants for part in parts if part.constants is not None]
    return Verdict(
        adversarials=torch.cat([part.adversarials for part in parts]),
        predictions=torch.cat([part.predictions for part in parts]),
        success=torch.cat([part.success for part in parts]),
        reported=torch.cat([part.reported for part in parts]),
        distances={
            norm: torch.cat([part.distances[norm] for part in parts]) for norm in NORM_ORDERS
        },
        spent=(forwards, backwards, seconds),
        shares=torch.cat(shares) if shares else None,
        constants=torch.cat(constants) if constants else None,
    )


def _report_differences(
    name: str, reported: Tensor, success: Tensor, inside: Tensor, *, is_random: bool
) -> None:
    """Log a warning if the attack's own success flags differ from those measured here."""
    wrong = int((reported & ~success).sum())
    missed = int((success & ~reported).sum())
    if wrong or missed:
        logger.warning(
            "%s: the evaluation and the attack disagree on %d samples: %d reported successes are "
            "failures (%d of them outside the bounds), %d successes were not reported. The records "
            "hold the results of the evaluation%s.",
            name,
            wrong + missed,
            wrong,
            int((reported & ~inside).sum()),
            missed,
            ", which uses draws of the random model that the attack has not seen" * is_random,
        )
