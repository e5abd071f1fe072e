"""Probes of a model: whether its outputs and its gradients can be attacked."""

import torch
from torch import Tensor, nn

from minnorm.acceleration.accelerated import original
from minnorm.access import Access, access_of
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.engine.autograd import differentiable, without_gradients
from minnorm.attacks.engine.goal import Goal
from minnorm.doubts import Doubt
from minnorm.errors import InputError, one_line
from minnorm.logits import beyond_rounding, is_exported, logit_sizes, output_of, predictions
from minnorm.models.averaged import averaged_part

_CLEAR_SHARE = 1e-2
"""The share of the largest logit above which a margin is no error of rounding."""

_ROUNDED_DECISIONS = 0.1
"""The share of decisions at the decision boundary that may change by rounding."""

PROBE_SAMPLES = 8
"""The number of samples that a model is probed on."""

_SEVERAL = 4
"""The least number of samples that are all misclassified for a reason."""

_PROBABILITIES_AS_SCORES = Doubt(
    "probabilities",
    "The model's outputs look like probabilities (from 0 to 1, with sum 1); attacks expect logits. "
    "Probabilities hardly change where the model is certain, so it would look more robust than it "
    "is. Say that they are probabilities: "
    "minnorm.models.predict_only(function, outputs='probabilities').",
)
"""The doubt for attacks that use no gradients."""

_PROBABILITY_AS_LOGIT = Doubt(
    "probabilities",
    "The model's single output looks like the probability of class 1 (from 0 to 1). As a logit it "
    "is never below 0, so class 1 is predicted wherever it is not 0. Say that it is a probability: "
    "minnorm.models.predict_only(function, outputs='probabilities').",
)
"""The doubt about a single column of scores, `[b 1]`, which is kept as `[0, score]`."""


def doubt_about_nan(logits: Tensor) -> Doubt | None:
    """Return a doubt if some of the outputs of a model are NaN, otherwise `None`."""
    if not logits.isnan().any():
        return None
    return Doubt(
        "nan",
        "Some of the model's logits are NaN, on the samples probed. NaN is no class: a point with "
        "NaN is not adversarial, so an attack may miss what is close. Such samples are not robust: "
        "an evaluation counts them as misclassified.",
    )


def doubt_about_labels(logits: Tensor, labels: Tensor) -> Doubt | None:
    """Return a doubt if a model misclassifies all of several samples, else `None`."""
    if len(labels) < _SEVERAL or bool((predictions(logits) == labels).any()):
        return None
    return Doubt(
        "chance",
        f"The model misclassifies all of the first {len(labels)} inputs, and the distance of a "
        "misclassified input is 0. Check the labels, numbers from 0 in the order of the classes, "
        "the normalization and the weights.",
    )


def doubt_about_probabilities(logits: Tensor, access: Access = "gradients") -> Doubt | None:
    """Return a doubt if the outputs of a model look like probabilities, otherwise `None`.

    Where the model is certain, their gradients vanish, and they hardly change.

    Args:
        logits: The outputs.
        access: What the attacks use of the model. By scores, other outputs from 0 to 1 count as
            scores; for decisions it does not matter what the outputs are.
    """
    if access == "decisions" or logits.min() < 0:
        return None
    sums = logits.sum(1, dtype=torch.float64)
    if (sums - 1).abs().max() <= 1e-3:
        if access == "scores":
            return _PROBABILITIES_AS_SCORES
        found, cause = "from 0 to 1, with sum 1", "softmax"
    elif access == "scores":
        single = logits.shape[1] == 2 and not logits[:, 0].any() and bool(logits[:, 1].any())
        return _PROBABILITY_AS_LOGIT if single and logits.max() <= 1 else None
    elif (sums - 100).abs().max() <= 0.1:
        found, cause = "from 0 to 100, with sum 100", "softmax"
    elif logits.max() <= 1:
        found, cause = "from 0 to 1", "sigmoid"
    else:
        return None
    return Doubt(
        "probabilities",
        f"The model's outputs look like probabilities ({found}); attacks expect logits. Remove the "
        f"{cause}: its gradients vanish where the model is certain, so the model would look more "
        "robust than it is. If the model returns nothing else, attack it without gradients: "
        "minnorm.models.predict_only(model, outputs='probabilities').",
    )


def doubt_about_saturation(logits: Tensor) -> Doubt | None:
    """Return a doubt if the softmax of the logits is 0 or 1 for most samples, otherwise `None`.

    Then the cross-entropy of a correct sample and its gradient are exactly 0 in float32. A network
    that is only certain is not meant: the cross-entropy still has a direction if other classes have
    a probability of 1e-20.
    """
    probabilities = logits.float().softmax(1)
    saturated = (probabilities == 0).sum(1) == logits.shape[1] - 1
    if saturated.sum() <= len(logits) / 2:
        return None
    return Doubt(
        "saturated",
        f"The softmax of the model's logits is exactly 0 or 1 for {int(saturated.sum())} of "
        f"{len(logits)} samples probed: the logits are hundreds apart, as after defensive "
        "distillation. There the cross-entropy has no gradient in float32. Attacks of this package "
        "take its direction from the logits. An attack of your own or of another library that "
        "differentiates it finds nothing, which says nothing about the model's robustness.",
    )


def doubt_about_repeatability(model: Model, inputs: Tensor, logits: Tensor) -> Doubt | None:
    """Return a doubt if a model has other logits in a second call, else `None`.

    Args:
        model: The classifier.
        inputs: Some samples.
        logits: The logits of these samples in a first call, in the same batch.
    """
    with torch.no_grad():
        again = output_of(model, inputs)
    if same_logits(again, logits, repeated=True):
        return None
    return Doubt(
        "random",
        f"The model returns different logits for the same inputs each time: {_why_random(model)}",
    )


def doubt_about_successes(
    model: Model, result: AttackResult, labels: Tensor, *, targeted: bool
) -> Doubt | None:
    """Return a doubt if adversarials are clearly none when a model evaluates them again.

    That finds a model that is random only sometimes, or only where gradients are recorded: an
    attack keeps the draws that suit it. Costs a forward pass.

    Args:
        model: The classifier.
        result: What an attack has found.
        labels: The true labels, or the target classes if `targeted`.
        targeted: Whether the labels are target classes.
    """
    found = result.success.nonzero().squeeze(1)
    if len(found) == 0:
        return None
    logits = output_of(original(model), result.adversarials[found])
    margins = Goal(labels[found], targeted).margins(logits)
    wrong = margins > _CLEAR_SHARE * logit_sizes(logits)
    # Decisions are all clear, and in a batch of another size rounding may change a few.
    rounded = _ROUNDED_DECISIONS * len(found) if access_of(model) == "decisions" else 0
    if int(wrong.sum()) <= rounded:
        return None
    return Doubt(
        "random",
        f"{int(wrong.sum()):,} of {len(found):,} adversarials are not adversarial when the model "
        f"evaluates them again: {_why_random(model)}",
    )


def same_logits(
    logits: Tensor, expected: Tensor, *, scale: Tensor | None = None, repeated: bool
) -> bool:
    """Return whether two outputs of a model differ by rounding at most.

    Args:
        logits: The one output, `[b c]`.
        expected: The other output, `[b c]`.
        scale: Logits of all samples, first those that are expected, whose size rounding is relative
            to; by default the expected ones. See `minnorm.logits.beyond_rounding`.
        repeated: Whether both are for the same batch. Batches of another shape round differently,
            in reduced precision visibly so.
    """
    eps = torch.finfo(logits.dtype).eps
    tolerance = max(1e-5, 4 * eps) if repeated else max(1e-2, 16 * eps)
    return not bool(beyond_rounding(logits, expected, tolerance, among=scale).any())


def _why_random(model: Model) -> str:
    module = original(model)
    if averaged_part(module) is not None:
        return (
            "it draws random numbers outside of its part minnorm.models.averaged, or from a "
            "generator that this part cannot seed. Wrap the whole model, and let it draw from the "
            "global generators of PyTorch, NumPy or Python, or from one that is an attribute."
        )
    if isinstance(module, nn.Module) and any(map(is_exported, module.modules())):
        return (
            "it was exported in training mode (dropout) or draws random numbers. Export it in "
            "evaluation mode: call model.eval() before torch.export.export."
        )
    if isinstance(module, nn.Module):  # checked before: all parts are in evaluation mode
        cause = "it draws random numbers in evaluation mode too, as a randomized defense does"
    else:
        cause = "it is in training mode (dropout) or draws random numbers"
    return (
        f"{cause}. What an attack finds against one draw need not hold for the next. Attack the "
        "average of its logits over fixed draws, minnorm.models.averaged(model)."
    )


def doubt_about_gradients(model: Model, inputs: Tensor) -> Doubt | None:
    """Return a doubt if the model has no gradients with respect to its inputs, else `None`.

    Raises:
        InputError: If it cannot be differentiated.
    """
    try:
        with torch.no_grad():
            logits, pull_back = differentiable(model, inputs)
            classes = torch.arange(len(inputs), device=logits.device) % logits.shape[1]
            gradients = pull_back(torch.zeros_like(logits).scatter_(1, classes.unsqueeze(1), 1.0))
    except InputError:
        raise
    except Exception as error:  # a user's model may raise anything
        raise InputError(
            f"the model cannot be differentiated with respect to its inputs: {one_line(error)}"
        ) from error
    if gradients.any():
        return None
    return Doubt(
        "zero-gradients",
        "The model's gradients with respect to its inputs are all zero, on the samples probed: its "
        "output does not depend on them, or one of its steps blocks gradients (.detach(), "
        "rounding, argmax, NumPy). Attacks that use gradients find little, which says nothing "
        f"about its robustness. {without_gradients()}",
    )
