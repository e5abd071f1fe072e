"""Models with one logit, as classifiers of two classes."""

from jaxtyping import Float
from torch import Tensor, nn

from minnorm.errors import InputError
from minnorm.logits import Model


def binary(model: Model) -> "Binary":
    """Make a classifier of two classes from a model with one logit.

    The logits are 0 for class 0, and the logit of the model for class 1: it predicts class 1 where
    its logit is above 0. The cross-entropy of these two logits is the binary cross-entropy of the
    one.

    Args:
        model: A function or module that maps inputs `[b *d]` to logits `[b]` or `[b 1]`. If its
            last layer is a sigmoid, remove it.

    Returns:
        A module in the mode (training or evaluation) of the model.

    Raises:
        InputError: If the model cannot be called.
    """
    return Binary(model)


class Binary(nn.Module):
    """A classifier of two classes from a model with one logit; see `binary`.

    Args:
        model: The model.

    Raises:
        InputError: If it cannot be called.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        if not callable(model):
            raise InputError(
                f"the model is a {type(model).__name__}; expected a function from inputs to one "
                "logit, for example a torch.nn.Module."
            )
        self.model = model
        self.training = getattr(model, "training", False)  # its parts keep their modes

    def forward(self, inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b 2"]:
        """Return the two logits.

        Raises:
            InputError: If the model returns something else than one logit.
        """
        logit = self.model(inputs)
        count = len(inputs)
        if not isinstance(logit, Tensor) or tuple(logit.shape) not in ((count,), (count, 1)):
            found = list(logit.shape) if isinstance(logit, Tensor) else type(logit).__name__
            raise InputError(
                f"the model returned {found} for {count} inputs; minnorm.models.binary expects one "
                f"logit for each, [{count}] or [{count}, 1]."
            )
        logit = logit.reshape(count, 1)
        return nn.functional.pad(logit, (1, 0))
