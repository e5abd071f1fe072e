"""The attack for users who do not want to choose one."""

import inspect
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import box_arguments, boxes, geometry
from minnorm.acceleration import clean_logits, original
from minnorm.access import Access, access_of, check_access
from minnorm.attacks.contract import (
    BEST_ATTACKS,
    AttackResult,
    Model,
    accepts_accelerated,
    check_offer,
)
from minnorm.attacks.engine.autograd import ordinary, own_autograd_mode
from minnorm.attacks.engine.doubts import (
    PROBE_SAMPLES,
    doubt_about_gradients,
    doubt_about_labels,
    doubt_about_nan,
    doubt_about_probabilities,
    doubt_about_repeatability,
    doubt_about_successes,
)
from minnorm.attacks.engine.inset import LOST_GRADIENTS, InsetGradients, loses_gradients
from minnorm.attacks.engine.problem import check_problem
from minnorm.attacks.registry import ATTACKS
from minnorm.boxes import Bounds, masked
from minnorm.checks import check_count
from minnorm.data import from_arrays
from minnorm.data.arrays import as_array, class_numbers
from minnorm.doubts import Doubt
from minnorm.geometry import Norm
from minnorm.models.scikit_learn import Estimator, as_model
from minnorm.runtime.devices import dtype_and_device


@accepts_accelerated
def attack(
    model: Model | Estimator,
    inputs: Any,
    labels: Any,
    *,
    access: Access | None = None,
    norm: Norm = "l2",
    budget: int | None = None,
    targeted: bool = False,
    levels: int | None = None,
    bounds: Any = (0.0, 1.0),
    mask: Any = None,
    generator: Generator | None = None,
    starts: Any = None,
) -> AttackResult:
    """Find the closest adversarials for a given budget, with the best attack of the package.

    Which one that is depends on what the attack can use of the model, and on the norm: in L2 and
    with gradients it is `normal_pursuit`. The page "Models without gradients" of the documentation
    has the table.

    It warns if the model's outputs change from call to call or are NaN, and if it misclassifies all
    of the first inputs. If it uses gradients or scores, it also warns if the outputs look like
    probabilities. With gradients it warns if the model has none: then the attack can only search at
    random, and the adversarials are far away. And it warns if the model loses its gradients at the
    bounds, and takes them slightly inside. The passes for these warnings are not part of the
    budget: the logits of up to 8 inputs twice, those of the adversarials once, and with gradients
    the gradients at up to 40 inputs.

    Args:
        model: The classifier, inputs `[b *d]` to logits `[b c]`, or a fitted classifier of
            scikit-learn, see `minnorm.models.from_estimator`.
        inputs: The inputs to attack, `[b *d]`, inside the bounds: a floating-point tensor, or an
            array, which is moved to the dtype and device of the model. 8-bit values are scaled to
            the bounds, see `minnorm.data.Data.within`.
        labels: Their true labels, or the target classes when `targeted`: whole numbers in
            `[0, c)`, a tensor, an array or a list.
        access: What the attack may use of the model: its `gradients`, its `scores` (the logits), or
            its `decisions` (the predicted classes) alone. By default what the model offers, see
            `minnorm.access.access_of`: gradients, unless the model says that it has none.
        norm: The norm to minimize, `l2` or `linf`.
        budget: The cost of a sample. In gradients, where a forward pass counts as 0.4 of one: 30
            gives a first impression, 100 is close to the best known, 1,000 is for the last percent.
            Without gradients in queries, which are forward passes: thousands. By default that of
            the attack, 100 gradients or 1,000 queries. For a random model, see
            `minnorm.models.averaged`, moving an adversarial on until it holds in other draws comes
            beside the budget: 8 forward passes of the average for each of at most 17 measurements,
            usually up to eight, and more for fewer than 13 draws.
        targeted: Search for points that are classified as `labels`, instead of as anything else.
        levels: Round each point to that many evenly spaced values (256 for 8-bit images).
        bounds: The lowest and the highest value of an input: two numbers, or tensors or arrays with
            a bound for each feature, which broadcast to the inputs.
        mask: Which features may change, a boolean tensor or array that broadcasts to the inputs;
            the others keep their values exactly. `None`: all of them.
        generator: Source of what is random; by default a generator with a fixed seed.
        starts: Adversarial points to improve, `[b *d]`, inside the bounds: the result is never
            farther away. Points that are not adversarial have no effect.

    Returns:
        The closest adversarial of each sample among all points visited, with its distance; tensors.

    Raises:
        InputError: If an argument is not as described, the model offers less access, or it cannot
            take the inputs.
    """
    bounds = box_arguments.bounds_of(bounds)
    if access is not None:
        check_access(access)
    classifier: Model = as_model(model)
    used = access_of(classifier) if access is None else access
    check_offer(classifier, used, f"minnorm.attack(access={used!r})")
    geometry.check_ball(norm)
    inputs, labels = _as_tensors(classifier, inputs, labels, bounds)
    chosen = best_attack(used, norm, budget)
    if isinstance(starts, np.ndarray | list):
        starts = torch.as_tensor(np.asarray(starts)).to(inputs)
    mask = box_arguments.mask_of(mask)
    check_problem(classifier, inputs, labels, bounds, starts, mask=mask)
    few = ordinary(inputs[:PROBE_SAMPLES])
    box = masked(boxes.for_batch(bounds, inputs), ordinary(inputs), mask)
    first = boxes.part(box, torch.arange(len(few), device=few.device))
    with own_autograd_mode():
        doubts = _doubts_before(
            classifier, few, labels[:PROBE_SAMPLES], first, used, targeted=targeted
        )
    attacked = InsetGradients(classifier, bounds) if LOST_GRADIENTS in doubts else classifier
    result = chosen(
        attacked,
        inputs,
        labels,
        targeted=targeted,
        levels=levels,
        bounds=bounds,
        mask=mask,
        generator=generator,
        starts=starts,
    )
    with own_autograd_mode():
        if all(doubt.kind != "random" for doubt in doubts):
            doubts += _listed(doubt_about_successes(classifier, result, labels, targeted=targeted))
        unsolved = inputs if result.success.all() else inputs[~result.success]
        if used == "gradients" and len(unsolved) > 0:
            doubts += _listed(doubt_about_gradients(classifier, ordinary(unsolved[:PROBE_SAMPLES])))
    for doubt in doubts:
        warnings.warn(doubt.text, stacklevel=2)
    return result


def best_attack(
    access: Access, norm: Norm = "l2", budget: int | None = None
) -> Callable[..., AttackResult]:
    """Return the best attack of the package, see `attack`.

    Args:
        access: What it may use of the model.
        norm: The norm that it minimizes.
        budget: The cost of a sample, in gradients or in queries; `None` for the attack's default.

    Raises:
        InputError: If the budget is no count.
    """
    function = ATTACKS[BEST_ATTACKS[access][norm]]
    parameters = inspect.signature(function).parameters
    given: dict[str, Any] = {"norm": norm} if "norm" in parameters else {}
    if budget is not None:
        check_count("budget", budget)
        given["budget" if "budget" in parameters else "steps"] = budget
    return partial(function, **given)


def _doubts_before(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    bounds: Bounds,
    access: Access,
    *,
    targeted: bool,
) -> list[Doubt]:
    """Return the doubts about a model that a few inputs show before the attack."""
    if len(inputs) == 0:
        return []
    logits = clean_logits(model, inputs, labels)
    doubts = _listed(doubt_about_nan(logits))
    if not doubts and not targeted:
        doubts += _listed(doubt_about_labels(logits, labels))
    if all(doubt.kind != "nan" for doubt in doubts):
        doubts += _listed(doubt_about_probabilities(logits, access))
    randomness = doubt_about_repeatability(model, inputs, logits)
    doubts += _listed(randomness)
    if access == "gradients" and randomness is None and loses_gradients(model, inputs, bounds):
        doubts.append(LOST_GRADIENTS)
    return doubts


def _listed(doubt: Doubt | None) -> list[Doubt]:
    return [] if doubt is None else [doubt]


def _as_tensors(
    model: Model, inputs: Any, labels: Any, bounds: Bounds
) -> tuple[Float[Tensor, "b *d"], Int64[Tensor, "b"]]:
    """Return inputs and labels as an attack takes them, converted as data of an evaluation are."""
    if not isinstance(inputs, Tensor) or inputs.dtype == torch.uint8:
        data = from_arrays("the batch", inputs, labels)
        values, classes = data.within(bounds).batch(range(len(data)))
        dtype, device = dtype_and_device(original(model))
        values = values.to(inputs.device if isinstance(inputs, Tensor) else device, dtype)
        return values, classes.to(values.device)
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.ndim != 1:
        numbers = class_numbers("the batch", as_array(labels, "the labels"))
        labels = torch.from_numpy(numbers.astype(np.int64))
    return inputs, labels.to(inputs.device)
