"""Checks during training: what an objective returns, its gradients, and finite weights."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from minnorm.errors import InputError, is_bug, one_line
from minnorm.runtime.memory import is_out_of_memory


@contextmanager
def naming_objective(spec: str) -> Iterator[None]:
    """Add the objective to the message of an error that it raises; the code may be a user's.

    Raises:
        InputError: Instead of any error, except if memory runs out, or for a bug of this package.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"objective: {spec}: {error}") from error
    except Exception as error:
        if is_out_of_memory(error) or is_bug(error):
            raise
        raise InputError(f"objective: {spec} raised {one_line(error)}") from error


def check_loss(loss: object) -> Tensor:
    """Return what an objective returned, if it is a scalar loss with a gradient.

    Raises:
        InputError: If it is not.
    """
    if not isinstance(loss, Tensor):
        raise InputError(
            f"the objective returned a {type(loss).__name__}; expected a scalar tensor."
        )
    if loss.ndim > 0 or not loss.is_floating_point() or not loss.requires_grad:
        without = "" if loss.requires_grad else " without a gradient"
        raise InputError(
            f"the objective returned {loss.dtype} of shape {list(loss.shape)}{without}; expected a "
            "scalar floating-point loss that depends on the weights."
        )
    return loss


def check_gradients(network: nn.Module, spec: str, ranks: int) -> None:
    """Check after a backward pass that the loss depends on the weights; with ranks, on all of them.

    Raises:
        InputError: If it does not.
    """
    weights = [(n, w) for n, w in network.named_parameters() if w.requires_grad]
    unused = [name for name, weight in weights if weight.grad is None]
    if len(unused) == len(weights):
        raise InputError(
            f"objective: the loss of {spec} does not depend on the weights of the network: compute "
            "it from the output of the model."
        )
    if unused and ranks > 1:  # the ranks would wait for its gradient
        raise InputError(
            f"the parameters {', '.join(unused[:5])} take no part in the loss, which training with "
            "several ranks does not allow: remove or freeze them, or use one rank."
        )


def check_finite(loss: float, weights: Iterable[Tensor], epoch: int, data: str) -> None:
    """Check the mean loss of an epoch, and the weights after it.

    The last update comes after the last loss, and its weights must not become the best ones.

    Args:
        loss: The mean loss.
        weights: The weights.
        epoch: The number of the epoch, counted from 1, for the message.
        data: The name of the training data, for the message.

    Raises:
        InputError: If one is infinite or NaN.
    """
    if not math.isfinite(loss):
        raise InputError(
            f"the loss became {loss} in epoch {epoch}: lower the learning rate, or check {data} "
            "for values that are not finite."
        )
    if not all(bool(weight.isfinite().all()) for weight in weights):
        raise InputError(
            f"the weights became infinite or NaN at the end of epoch {epoch}: lower the learning "
            "rate."
        )
