"""The clean objective: no defense."""

from torch.nn.functional import cross_entropy

from minnorm.training.objectives.contract import Objective


def clean() -> Objective:
    """Gives the mean cross-entropy of the model on the inputs as they are, `J(x, y, theta)`."""
    return lambda model, inputs, labels: cross_entropy(model(inputs), labels)
