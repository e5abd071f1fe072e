"""The clean objective: no defense."""

from minnorm.training.objectives.contract import Objective, smoothed


def clean(*, label_smoothing: float = 0.0) -> Objective:
    """Gives the mean cross-entropy of the model on the inputs as they are, `J(x, y, theta)`.

    Args:
        label_smoothing: The share of a label that is spread over all classes, from 0 to below 1.

    Raises:
        ValueError: If it is not as described.
    """
    criterion = smoothed(label_smoothing)
    return lambda model, inputs, labels: criterion(model(inputs), labels)
