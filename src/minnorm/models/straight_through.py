"""Steps without useful gradients, such as JPEG or rounding, made differentiable for attacks.

Backward pass differentiable approximation: A. Athalye, N. Carlini, D. Wagner, "Obfuscated Gradients
Give a False Sense of Security: Circumventing Defenses to Adversarial Examples", ICML 2018,
https://arxiv.org/abs/1802.00420
"""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from minnorm.errors import InputError

Step: TypeAlias = Callable[[Tensor], Any]
"""A function or module from a batch to a batch."""


def straight_through(step: Step, backward: Step | None = None) -> "StraightThrough":
    """Differentiate another function in place of a step that blocks gradients.

    The forward pass is the step itself. The backward pass is that of the identity or, if it is
    given, of `backward`, a differentiable function that is close to the step.

    ```python
    model = torch.nn.Sequential(minnorm.models.straight_through(to_jpeg), network).eval()
    ```

    A function of a single sample becomes a step with
    `lambda batch: torch.stack([function(sample) for sample in batch])`.

    Args:
        step: A function or module that maps a batch `[b *d]` to a batch `[b *e]`, of which each
            sample depends on that sample alone, in the same way each time. It gets a copy of the
            inputs without a graph, so it may work in place. It returns a floating-point tensor, or
            a NumPy array, which becomes a tensor with the dtype and on the device of the inputs.
        backward: A differentiable function or module from the same batches to outputs of the same
            shape; by default the identity, for which the step must keep the shape.

    Returns:
        A module for `torch.nn.Sequential`, in the mode (training or evaluation) of the step.

    Raises:
        InputError: If the step or `backward` cannot be called.
    """
    return StraightThrough(step, backward)


class StraightThrough(nn.Module):
    """A step whose backward pass is that of another function; see `straight_through`.

    Args:
        step: The step.
        backward: The function that is differentiated in its place; `None` for the identity.

    Raises:
        InputError: If one of them cannot be called.
    """

    is_opaque = True
    """The mark of a module whose code `minnorm.accelerate` must not trace."""

    def __init__(self, step: Step, backward: Step | None = None) -> None:
        super().__init__()
        for name, function in (("step", step), ("backward", backward)):
            if not callable(function) and (name == "step" or function is not None):
                raise InputError(
                    f"{name} is a {type(function).__name__}; expected a function or module that "
                    "maps a batch to a batch."
                )
        self.step = step
        self.backward = backward
        modules = [part for part in (step, backward) if isinstance(part, nn.Module)]
        self.training = any(part.training for part in modules)  # these keep their modes

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the output of the step, with the gradients of its stand-in.

        Raises:
            InputError: If the step does not return a floating-point tensor, or its shape is not
                that of the stand-in.
        """
        if len(inputs) == 0:  # a function that stacks its outputs would fail
            return cast("Tensor", self._stand_in(inputs))
        with torch.no_grad():
            outputs = cast("Tensor", _Step.apply(inputs.detach(), self.step))
        if not torch.is_grad_enabled():
            return outputs
        stand_in = self._stand_in(inputs)
        _check_shapes(outputs, stand_in, inputs, self.backward)
        return cast("Tensor", _WithGradientsOf.apply(stand_in, outputs))

    def _stand_in(self, inputs: Tensor) -> Any:
        return inputs if self.backward is None else self.backward(inputs)

    def extra_repr(self) -> str:
        """Return the names of functions that are no modules, which the fingerprint includes."""
        functions = {"step": self.step, "backward": self.backward}
        return ", ".join(
            f"{name}={qualified_name(function)}"
            for name, function in functions.items()
            if not isinstance(function, nn.Module | None)
        )


class _Step(torch.autograd.Function):
    """A step that is not differentiated; `torch.func.vmap` calls it with a whole batch at once."""

    @staticmethod
    def forward(inputs: Tensor, step: Step) -> Tensor:
        return _as_tensor(step(inputs.clone()), inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # noqa: ARG004 - there is none
        return None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], inputs: Tensor, step: Step) -> tuple[Tensor, int]:  # noqa: ARG004
        batches = inputs.movedim(in_dims[0], 0)
        outputs = cast("Tensor", _Step.apply(batches.flatten(0, 1), step))
        return outputs.reshape(*batches.shape[:2], *outputs.shape[1:]), 0


class _WithGradientsOf(torch.autograd.Function):
    """Values that are differentiated as another tensor of the same shape."""

    generate_vmap_rule = True

    @staticmethod
    def forward(stand_in: Tensor, values: Tensor) -> Tensor:  # noqa: ARG004 - only differentiated
        return values.clone()  # a view could not be changed in place

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # noqa: ARG004 - it needs no values
        return gradients[0], None


def _as_tensor(outputs: Any, inputs: Tensor) -> Tensor:
    """Return what a step returned as a tensor, or raise `InputError`."""
    if isinstance(outputs, np.ndarray) and outputs.dtype.kind in "iuf":
        values = torch.from_numpy(np.array(outputs))
        return values.to(inputs.device, inputs.dtype)
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        is_array = isinstance(outputs, Tensor | np.ndarray)
        kind = type(outputs).__name__ + (f" of dtype {outputs.dtype}" if is_array else "")
        raise InputError(
            f"the step of straight_through returned {kind}; expected a floating-point tensor, or a "
            "NumPy array of numbers."
        )
    return outputs.detach()


def _check_shapes(outputs: Tensor, stand_in: Any, inputs: Tensor, backward: Step | None) -> None:
    """Check that outputs can have the gradients of their stand-in."""
    if isinstance(stand_in, Tensor) and stand_in.shape == outputs.shape:
        return
    if backward is None:
        raise InputError(
            f"the step of straight_through returns shape {list(outputs.shape)} for inputs of shape "
            f"{list(inputs.shape)}, so the identity cannot be differentiated in its place: pass a "
            "differentiable function with the same outputs, straight_through(step, backward=...)."
        )
    found = list(stand_in.shape) if isinstance(stand_in, Tensor) else type(stand_in).__name__
    raise InputError(
        f"backward of straight_through returns {found}, but the step returns shape "
        f"{list(outputs.shape)}: expected a tensor of that shape, with one value in place of each."
    )


def qualified_name(function: Any) -> str:
    """Return the qualified name of a function, or that of the class of another object."""
    named = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(named, "__module__", None)  # methods of built-in classes have none
    return f"{module}.{named.__qualname__}" if module else str(named.__qualname__)
