"""What logits say of labels: predictions, decisions, margins and directions. Pure functions.

Shapes: `b` is the batch, `c` the classes (2 or more). Labels are int64 in `[0, c)`.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def predictions(logits: Float[Tensor, "b c"]) -> Int64[Tensor, "b"]:
    """Gives the class with the largest logit, and -1 where a logit is NaN: no class at all."""
    return torch.where(logits.isnan().any(1), -1, logits.argmax(1))


def is_adversarial(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"], targeted: bool
) -> Bool[Tensor, "b"]:
    """Decides for each sample whether the attack has what it wants (eq. 1).

    Untargeted: the prediction is a class other than the label. Targeted: it is the label.
    Logits that hold a NaN are no prediction, hence never adversarial.
    """
    predicted = predictions(logits)
    return predicted == labels if targeted else (predicted != labels) & (predicted >= 0)


def margins(logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"]) -> Float[Tensor, "b"]:
    """Gives the logit of the label less the largest other logit: below 0 when misclassified."""
    own = logits.gather(1, labels.unsqueeze(1))
    others = logits.scatter(1, labels.unsqueeze(1), -torch.inf)
    return (own - others.amax(1, keepdim=True)).squeeze(1)


def cross_entropy_direction(
    logits: Float[Tensor, "b c"], labels: Int64[Tensor, "b"]
) -> Float[Tensor, "b c"]:
    """Gives the direction in logit space in which the cross-entropy to `labels` grows.

    The gradient of the cross-entropy is `(1 - p_y) * (sum_{j != y} q_j e_j - e_y)`, with `p` the
    softmax and `q` the softmax over the other classes alone. The factor `1 - p_y` is left out: it
    changes the length of a gradient and not its direction, and in float32 it is exactly zero for
    a sample that is classified with a margin above 17, which would leave no direction at all.

    Returns:
        One row for each sample, to be given to a backward pass as the gradient of the logits.
    """
    index = labels.unsqueeze(1)
    return logits.scatter(1, index, -torch.inf).softmax(1).scatter_(1, index, -1.0)
