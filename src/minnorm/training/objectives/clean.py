"""The objective of clean training, without a defense."""

from minnorm.training.objectives.contract import Objective
from minnorm.training.objectives.losses import smoothed_cross_entropy


def clean(*, label_smoothing: float = 0.0) -> Objective:
    """Return the mean cross-entropy of the model on the inputs, `J(x, y, theta)`.

    Args:
        label_smoothing: The share of a label that is spread over all classes, from 0 to below 1.

    Raises:
        InputError: If `label_smoothing` is outside that range.
    """
    criterion = smoothed_cross_entropy(label_smoothing)
    return lambda model, inputs, labels: criterion(model(inputs), labels)
