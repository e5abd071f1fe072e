"""Signs, after an epoch, that a training does not learn."""

import math
from collections.abc import Mapping, Sequence

from minnorm import specs
from minnorm.training.objectives.registry import OBJECTIVES

_DIVERGED = 10.0
"""A mean loss of so many times the loss of guessing is no longer the beginning of a training."""

_RISEN = 3.0
"""A mean loss of so many times the lowest one, and above that of guessing, has risen."""


def diverges(log: Sequence[Mapping[str, float]], *, spec: str, start: int, classes: int) -> str:
    """Return a warning if the loss of the last epoch has exploded, else an empty text.

    Losses are compared with the cross-entropy of guessing, the logarithm of the number of classes.
    A user's objective may have another scale, so only those of this package are compared.

    Args:
        log: The measurements of the epochs so far.
        spec: The objective of the last epoch.
        start: The epoch, counted from 1, at which this objective started.
        classes: The number of classes.
    """
    if specs.parse(spec).head not in OBJECTIVES:
        return ""
    last = log[-1]
    guessing = math.log(max(classes, 2))
    lowest = min(line["loss"] for line in log if line["epoch"] >= start)
    if last["loss"] > _DIVERGED * guessing:
        how = f"{last['loss'] / guessing:.0f} times that of guessing among {classes} classes"
    elif last["loss"] > max(guessing, _RISEN * lowest):
        how = f"it was {lowest:.4g} before, and guessing among {classes} classes has {guessing:.2f}"
    else:
        return ""
    return (
        f"epoch {last['epoch']}: the mean loss is {last['loss']:.4g} ({how}). The training "
        "diverges: lower optimizer.learning_rate, or set largest_gradient or schedule.warmup."
    )


def learns_nothing(measured: Mapping[str, float], *, constant: float, data: str) -> str:
    """Return a warning if the network is no better than one constant prediction, else nothing.

    Args:
        measured: The measurements of the last epoch.
        constant: The accuracy of predicting the most frequent class for each sample.
        data: The name of the validation data.
    """
    accuracy = measured["validation_accuracy"]
    if accuracy > constant or constant == 1:
        return ""
    return (
        f"epoch {measured['epoch']}: the accuracy on {data} is {accuracy:.2%}, no better than "
        f"predicting the same class for all samples ({constant:.2%}). If this does not change, "
        "choose another optimizer.learning_rate or an easier objective, and check the labels."
    )
