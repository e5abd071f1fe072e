"""The attack for users who do not want to choose one."""

import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm.acceleration import clean_logits, original
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.autograd import ordinary, own_autograd_mode
from minnorm.attacks.engine.doubts import (
    PROBE_SAMPLES,
    doubt_about_gradients,
    doubt_about_logits,
    doubt_about_repeatability,
    doubt_about_successes,
)
from minnorm.attacks.engine.inset import LOST_GRADIENTS, InsetGradients, loses_gradients
from minnorm.attacks.engine.problem import check_bounds, check_problem
from minnorm.attacks.gradient.normal_pursuit import normal_pursuit
from minnorm.data import from_arrays
from minnorm.data.arrays import as_array, class_numbers
from minnorm.geometry import Bounds
from minnorm.runtime.devices import dtype_and_device

DEFAULT = "normal_pursuit"
"""The name of the attack that `attack` runs."""


@accepts_accelerated
def attack(
    model: Model,
    inputs: Any,
    labels: Any,
    *,
    budget: int = 100,
    targeted: bool = False,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    generator: Generator | None = None,
    starts: Any = None,
) -> AttackResult:
    """Find the closest adversarials, in L2, for a given budget.

    This is the best attack of the package, at present `normal_pursuit`. It warns if the model's
    outputs look like probabilities, if they change from call to call, or if the model has no
    gradients: then the attack can only search at random, and the adversarials are far away. It
    also warns if the model loses its gradients at the bounds, and takes them slightly inside. The
    passes for these warnings are not part of the budget: the logits of up to 8 inputs twice, the
    gradients at up to 40, and the logits of the adversarials once.

    Args:
        model: The classifier, inputs `[b *d]` to logits `[b c]`.
        inputs: The inputs to attack, `[b *d]`, inside the bounds: a floating-point tensor, or an
            array, which is moved to the dtype and device of the model. 8-bit values are scaled to
            the bounds, see `minnorm.data.Data.within`.
        labels: Their true labels, or the target classes when `targeted`: whole numbers in
            `[0, c)`, a tensor, an array or a list.
        budget: The cost of a sample, in gradients; a forward pass counts as 0.4 of one. 30 gives a
            first impression, 100 is close to the best known, 1,000 is for the last percent.
        targeted: Search for points that are classified as `labels`, instead of as anything else.
        levels: Round each point to that many evenly spaced values (256 for 8-bit images).
        bounds: The lowest and the highest value of an input.
        generator: Source of what is random; by default a generator with a fixed seed.
        starts: Adversarial points to improve, `[b *d]`, inside the bounds: the result is never
            farther away. Points that are not adversarial have no effect.

    Returns:
        The closest adversarial of each sample among all points visited, with its L2 distance;
        tensors.

    Raises:
        InputError: If an argument is not as described, or the model cannot take the inputs.
    """
    check_bounds(bounds)
    inputs, labels = _as_tensors(model, inputs, labels, bounds)
    if isinstance(starts, np.ndarray | list):
        starts = torch.as_tensor(np.asarray(starts)).to(inputs)
    check_problem(model, inputs, labels, bounds, starts)
    attacked = model
    randomness = None
    few = ordinary(inputs[:PROBE_SAMPLES])
    doubts = []
    if len(few) > 0:
        with own_autograd_mode():
            logits = clean_logits(model, few, labels[:PROBE_SAMPLES])
            doubts.append(doubt_about_logits(logits))
            randomness = doubt_about_repeatability(model, few, logits)
            doubts.append(randomness)
            if randomness is None and loses_gradients(model, few, bounds):
                doubts.append(LOST_GRADIENTS)
                attacked = InsetGradients(model, bounds)
    result = normal_pursuit(
        attacked,
        inputs,
        labels,
        budget=budget,
        targeted=targeted,
        levels=levels,
        bounds=bounds,
        generator=generator,
        starts=starts,
    )
    if randomness is None:
        with own_autograd_mode():
            doubts.append(doubt_about_successes(model, result, labels, targeted=targeted))
    unsolved = inputs if result.success.all() else inputs[~result.success]
    if len(unsolved) > 0:
        with own_autograd_mode():
            doubts.append(doubt_about_gradients(model, ordinary(unsolved[:PROBE_SAMPLES])))
    for doubt in doubts:
        if doubt is not None:
            warnings.warn(doubt.text, stacklevel=2)
    return result


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
