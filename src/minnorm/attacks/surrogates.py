"""Surrogates: models whose gradients stand in for those of one that has none."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm import specs
from minnorm.acceleration.accelerated import original
from minnorm.attacks.contract import Model, check_offer
from minnorm.attacks.engine.problem import check_evaluation_mode
from minnorm.errors import InputError, NotTrustedError
from minnorm.models import load_model
from minnorm.models.addresses import is_address, shown_address
from minnorm.models.load import runs_no_code
from minnorm.models.weights import fingerprint
from minnorm.runtime.devices import dtype_and_device


class Surrogate:
    """A surrogate that a spec names; it is loaded when it is used for the first time.

    Args:
        spec: The spec of the model.
        trust: Whether a file that it names may run the code that it holds.

    Attributes:
        spec: As given.
    """

    def __init__(self, spec: str, *, trust: bool = False) -> None:
        self.spec = spec
        self._trust = trust

    def __repr__(self) -> str:  # so that the name of an attack is a spec that can be read
        return repr(self.spec)

    @cached_property
    def model(self) -> nn.Module:
        """The model."""
        return load_model(self.spec, trust=self._trust)

    def fingerprinted(self) -> tuple[str, tuple[type, ...]]:
        """Return the fingerprint of the weights, and the classes whose code computes with them."""
        kinds = dict.fromkeys(type(part) for part in self.model.modules())
        return fingerprint(self.model), tuple(kinds)


Surrogates: TypeAlias = Surrogate | Model | Sequence[Surrogate | Model]
"""One surrogate or several."""


def read_surrogates(words: Any, *, trust: bool, trust_files: bool) -> Surrogate | list[Surrogate]:
    """Return the surrogates that a parameter of a spec names: one, or several in a list.

    Args:
        words: A spec, several with commas between, or a list of specs.
        trust: Whether the specs may name code, `package.module:factory`.
        trust_files: Whether the files that they name may run the code that they hold.

    Raises:
        InputError: If these are no specs.
        NotTrustedError: If one names code, and `trust` is not set.
    """
    listed = specs.split_list(words) if isinstance(words, str) else words
    if (
        not isinstance(listed, list | tuple)
        or not listed
        or not all(isinstance(one, str) and one for one in listed)
    ):
        raise InputError(
            f"surrogates={words!r}: expected specs of models, for example "
            "surrogates='zoo:mnist-cnn-ddn', or several in a list."
        )
    for spec in listed:
        if is_address(spec):
            raise InputError(
                f"the surrogate {shown_address(spec)} has no gradients: name a model whose weights "
                "are here."
            )
        if not (trust or runs_no_code(spec)):
            raise NotTrustedError(
                f"the surrogate {spec!r} names code, which would be run. If you trust it, allow it "
                "with trust=True, or pass the model itself."
            )
    found = [Surrogate(spec, trust=trust_files) for spec in listed]
    return found[0] if isinstance(words, str) and len(found) == 1 else found


def models_of(surrogates: Any) -> list[Model]:
    """Return the surrogates of an attack as models that take any dtype and device.

    Raises:
        InputError: If there are none, one is no model, is in training mode, or has no gradients.
    """
    several = surrogates if isinstance(surrogates, list | tuple) else [surrogates]
    if not several:
        raise InputError("surrogates=[]: expected at least one model.")
    return [_usable(one) for one in several]


def _usable(surrogate: Any) -> Model:
    if isinstance(surrogate, str):
        raise InputError(
            f"surrogates={surrogate!r}: expected models. Load it with minnorm.load_model, or write "
            "the whole attack as a spec, transfer(surrogates=...), for minnorm.attacks.load_attack."
        )
    model = surrogate.model if isinstance(surrogate, Surrogate) else original(surrogate)
    if not callable(model):
        raise InputError(
            f"surrogates: a {type(model).__name__} is no model; expected a classifier from inputs "
            "to logits."
        )
    check_offer(model, "gradients", "a surrogate of transfer")
    check_evaluation_mode(model)
    return _in_its_dtype(model) if isinstance(model, nn.Module) else model


def _in_its_dtype(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a module as a function of inputs of any floating-point dtype, on any device."""
    dtype, device = dtype_and_device(module)

    def logits(inputs: Tensor, /) -> Tensor:
        found: Tensor = module(inputs.to(device, dtype))
        return found.to(inputs.device, inputs.dtype)

    return logits


def of_classes(model: Model, classes: int) -> Callable[[Tensor], Tensor]:
    """Return a surrogate with as many classes as the target: its first ones.

    Raises:
        InputError: When it is called, if it has fewer.
    """

    def logits(inputs: Float[Tensor, "b *d"], /) -> Float[Tensor, "b c"]:
        found: Tensor = model(inputs)
        if found.ndim == 2 and found.shape[1] < classes:
            raise InputError(
                f"a surrogate of transfer has {found.shape[1]} classes, and the model under attack "
                f"{classes}: a surrogate must know all of them, in the same order."
            )
        return found[:, :classes]

    return logits


def ensemble(models: Sequence[Model]) -> Callable[[Tensor], Tensor]:
    """Return a model whose logits are the averages of the logarithms of all probabilities.

    So its cross-entropy has the gradient of the averaged losses, whatever the scales of the logits.
    """

    def logits(inputs: Float[Tensor, "b *d"], /) -> Float[Tensor, "b c"]:
        return torch.stack([model(inputs).log_softmax(1) for model in models]).mean(0)

    return logits
