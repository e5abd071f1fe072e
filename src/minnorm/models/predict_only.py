"""Models that can only be predicted: functions of NumPy arrays, and whatever they call."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm.access import Access
from minnorm.checks import check_choice, check_count
from minnorm.errors import InputError
from minnorm.models.outputs import (
    Scores,
    class_names,
    log_probabilities_of,
    logits_of,
    one_hot_of,
    settled,
)

Outputs: TypeAlias = Literal["logits", "probabilities", "classes"]
"""What a function returns for a sample: a score of each class, its probability, or the class."""


def predict_only(
    function: Callable[[Any], Any],
    outputs: Outputs = "logits",
    classes: Any = None,
    batch_size: int | None = None,
    *,
    arrays: bool | None = None,
) -> "PredictOnly":
    """Make a classifier of a function that only predicts, for attacks that need no gradients.

    ```python
    model = minnorm.models.predict_only(service.predict, outputs="probabilities")
    ```

    The result for a sample must not depend on the other samples of its batch, and must be the same
    each time. Where several scores are the largest, the first one counts.

    Args:
        function: It gets a batch `[b *d]`, a copy that it may change, and returns an array, a
            tensor or lists. A row that holds NaN stands for no class.
        outputs: What it returns:

            - `logits`, `[b c]`: scores of the classes, the larger the likelier. A single column is
              the logit of class 1 of two, and that of class 0 is 0.
            - `probabilities`, `[b c]`, with sum 1 for each sample: the model returns their
              logarithms, of 1e-38 for smaller ones and for zeros. A single column is the
              probability of class 1 of two.
            - `classes`, `[b]`: the predicted classes; `None` or NaN for no class. The model returns
              rows that are 1 for this class and 0 for the others.
        classes: The number of classes, or their names in the order of their numbers, which start at
            0: the labels of data are such numbers. Required for `outputs="classes"`.
        batch_size: The most samples in one call of the function; by default all that an attack
            predicts at once.
        arrays: Whether the function gets NumPy arrays: of float32, or of float64 if the inputs are.
            Otherwise it gets tensors, in the dtype and on the device of the inputs. By default only
            a `torch.nn.Module` gets tensors.

    Returns:
        The classifier. Its attribute `access` says what attacks can use: `scores`, or `decisions`
        if the function returns classes. Inputs are of float32: `model.double()` changes that.

    Raises:
        InputError: If an argument is not as described.
    """
    if not callable(function):
        raise InputError(
            f"the function is a {type(function).__name__}; expected a function that predicts a "
            "batch, for example classifier.predict_proba."
        )
    check_choice("outputs", outputs, get_args(Outputs))
    names = class_names(classes)
    if outputs == "classes":
        if names is None:
            raise InputError(
                "outputs='classes' needs the classes: their number, classes=10, or their names in "
                "order, classes=['cat', 'dog']."
            )
        numbers = {name: at for at, name in enumerate(names)}
        read: Callable[[Any, int], Scores] = partial(one_hot_of, known=numbers)
    else:
        reader = logits_of if outputs == "logits" else log_probabilities_of
        read = partial(reader, classes=None if names is None else len(names))
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return PredictOnly(
        lambda inputs: read(function(inputs), len(inputs)),
        "decisions" if outputs == "classes" else "scores",
        name=f"predict_only({name.rpartition('<locals>.')[2]})",
        identity=f"{getattr(function, '__module__', '')}.{name}, outputs={outputs}",
        batch_size=batch_size,
        arrays=arrays if arrays is not None else not isinstance(function, nn.Module),
        module=function if isinstance(function, nn.Module) else None,
        libraries=_modules_of(function),
    )


def _modules_of(function: Callable[[Any], Any]) -> tuple[str, ...]:
    """Return the names of the modules in which a function, and the class of its object, are."""
    owner = getattr(function, "__self__", function)
    names = (getattr(function, "__module__", None), type(owner).__module__)
    return tuple(name for name in names if isinstance(name, str))


class PredictOnly(nn.Module):
    """A classifier without gradients; see `predict_only`.

    Attributes:
        access: What attacks can use, `scores` or `decisions`.
        libraries: The modules that the code which predicts is from, as far as it is known.
    """

    def __init__(
        self,
        predict: Callable[[Any], Scores],
        access: Access,
        *,
        name: str,
        identity: str,
        batch_size: int | None = None,
        arrays: bool = True,
        module: nn.Module | None = None,
        libraries: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if batch_size is not None:
            check_count("batch_size", batch_size)
        self.access: Access = access
        self.libraries = tuple(libraries)
        self.__name__ = name  # reports show it
        self._predict = predict
        self._identity = identity
        self._batch_size = batch_size
        self._arrays = arrays
        self.module = module
        # The inputs of a model have the dtype and the device of its first tensor.
        self.register_buffer("_like", torch.empty(0, dtype=torch.float32), persistent=False)
        self.training = getattr(module, "training", False)  # its parts keep their modes

    def extra_repr(self) -> str:
        """Return what identifies the function, which the fingerprint of a model includes."""
        return f"{self._identity}, access={self.access}"

    def forward(self, inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b c"]:
        """Return logits, or one-hot rows of decisions, without gradients.

        Raises:
            InputError: If the function does not return what it should.
        """
        if len(inputs) == 0:  # few functions take that, and the number of classes is not known
            return self.forward(inputs.new_zeros((1, *inputs.shape[1:])))[:0]
        with torch.no_grad():
            parts = torch.split(inputs.detach(), self._batch_size or len(inputs))
            rows = np.concatenate([self._rows(part) for part in parts])
        return torch.from_numpy(rows).to(inputs.device)

    def _rows(self, inputs: Tensor) -> Scores:
        """Return the rows of the result for the inputs of one call."""
        wide = torch.float64 if inputs.dtype == torch.float64 else torch.float32
        given: Any = inputs.clone(memory_format=torch.contiguous_format)
        if self._arrays:
            given = given.to("cpu", wide).numpy()
        scores = self._predict(given)
        return settled(scores, np.float64 if wide == torch.float64 else np.float32)
