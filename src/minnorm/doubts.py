"""What makes results doubtful: a kind that a program can read, and a text for people."""

from collections.abc import Mapping
from dataclasses import dataclass

KINDS: Mapping[str, str] = {
    "zero-gradients": "the model has no gradients with respect to its inputs",
    "lost-gradients": "the model loses its gradients at the bounds of the inputs",
    "probabilities": "the model returns probabilities instead of logits",
    "saturated": "the softmax of the logits is exactly 0 or 1",
    "random": "the model returns different logits for the same inputs",
    "nan": "the model returns NaN",
    "chance": "the clean accuracy is near chance",
    "constant": "the model predicts the same class for all samples",
    "label-order": "the labels seem to be in another order than the classes of the model",
    "wrong-successes": "an attack reports successes that are none",
    "invalid-points": "an attack returns points with NaN or infinite values",
    "scale": "the inputs do not seem to have the scale of the bounds",
    "data": "the labels of the data may not be those of the model",
    "random-data": "the data set returns other samples each time it is read",
    "slice": "the samples are not a fair part of the data set",
    "incomplete": "batches of the run are missing",
    "missing-adversarials": "adversarials or inputs that the run should have kept are missing",
    "mixed-data": "the records of a sample are of several inputs or labels",
    "mixed-models": "the records of a sample have several classes before the attacks",
    "changed-sessions": "the run was continued with other versions or settings",
}
"""The kinds of doubts, and what each says."""


@dataclass(frozen=True)
class Doubt:
    """What makes results doubtful.

    Attributes:
        kind: One of `KINDS`.
        text: What was found and what to do, for a reader.
    """

    kind: str
    text: str
