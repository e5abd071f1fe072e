"""The contract of every attack: what goes in, and what comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.access import Access, access_of, allows, check_access
from minnorm.boxes import Bounds
from minnorm.errors import InputError
from minnorm.geometry import Norm
from minnorm.logits import Model
from minnorm.models import names

__all__ = [
    "Attack",
    "AttackResult",
    "Model",
    "accepts_accelerated",
    "check_offer",
    "is_marked",
    "marked_need",
    "needs",
]


@dataclass(frozen=True)
class AttackResult:
    """What an attack found, sample by sample. The three fields always agree.

    Attributes:
        adversarials: The closest adversarial found; the original input if none was found, or if
            the model misclassifies the input already (with `levels` that input is rounded, if it
            stays misclassified).
        distances: The distance of `adversarials` from the inputs, in the attack's norm, in
            float32 or wider; infinite if none was found, 0 if the input already was adversarial.
        success: Whether the model, in its own precision, classifies `adversarials` as the attack
            intends.
    """

    adversarials: Float[Tensor, "b *d"]
    distances: Float[Tensor, "b"]
    success: Bool[Tensor, "b"]

    def __repr__(self) -> str:
        distances = torch.as_tensor(self.distances).double()
        found = int(torch.as_tensor(self.success).sum())
        # Half of the samples, rounded up, are at the median or nearer; a failure is at infinity.
        median = f", median distance {distances.median():.4g}" if len(distances) else ""
        return f"AttackResult({found:,} of {len(distances):,} found{median})"


@runtime_checkable
class Attack(Protocol):
    """A function that searches for adversarials; its other arguments are its hyper-parameters.

    It changes nothing that it is given and no global state. Samples are independent: permuting or
    splitting the batch permutes or splits the result.

    Bounds are two numbers, or two tensors with a bound for each feature, which broadcast to the
    batch. The attacks of this package also take a `mask` of the features that may change; an
    evaluation puts it into the bounds, so an attack of your own does not need it.

    Distances are measured in the norm that is the default of its parameter `norm`, in `l2` if it
    has no such parameter. An attack of your own that minimizes another norm needs that parameter.
    """

    def __call__(
        self,
        model: Model,
        inputs: Float[Tensor, "b *d"],
        labels: Int64[Tensor, "b"],
        /,
        *,
        targeted: bool = False,
        bounds: Bounds = (0.0, 1.0),
        generator: torch.Generator | None = None,
    ) -> AttackResult:
        """Attack a batch; see `minnorm.attacks.ddn` for the arguments."""
        ...


_Function = TypeVar("_Function", bound=Callable[..., AttackResult])

BEST_ATTACKS: dict[Access, dict[Norm, str]] = {
    "gradients": {"l2": "normal_pursuit", "linf": "fmn"},
    "scores": {"l2": "score_pursuit", "linf": "square_min_norm"},
    "decisions": {"l2": "decision_pursuit", "linf": "decision_pursuit"},
}
"""The names of the best attacks of the package, by what they may use of a model, and by norm."""

_MARKER = "accepts_accelerated"
_NEED = "needs_access"


def accepts_accelerated(attack: _Function) -> _Function:
    """Mark an attack as one that may be given an accelerated model; use it as a decorator.

    An accelerated model rounds differently from the original, so near the decision boundary the two
    may disagree. Marked attacks work on the `Search` of `minnorm.attacks.engine`, which verifies
    what it finds on the original. An evaluation gives all other attacks the model as it is.
    """
    # The function itself, so that `functools.wraps` does not copy the mark to another function.
    setattr(attack, _MARKER, attack)
    return attack


def is_marked(function: Callable[..., object]) -> bool:
    """Return whether a function itself is marked with `accepts_accelerated`."""
    return getattr(function, _MARKER, None) is function


def needs(access: str) -> Callable[[_Function], _Function]:
    """Mark an attack as one that needs less than gradients; use it as a decorator.

    An attack without this mark needs gradients. A marked one passes the same word to `open_search`.

    Args:
        access: `scores` if the attack reads logits, `decisions` if it reads predicted classes only.

    Raises:
        InputError: If there is no such access.
    """
    check_access(access)

    def mark(attack: _Function) -> _Function:
        # `functools.wraps` copies the mark: what wraps an attack needs what the attack needs.
        setattr(attack, _NEED, access)
        return attack

    return mark


def marked_need(function: Callable[..., object]) -> Access | None:
    """Return the access that a function is marked with by `needs`; `None` without a mark."""
    need: Access | None = getattr(function, _NEED, None)
    return need


def check_offer(
    model: Model, needed: Access, name: str = "this attack", model_name: str | None = None
) -> None:
    """Check that a model offers what an attack needs.

    Args:
        model: The classifier.
        needed: What the attack needs.
        name: The name of the attack, for the message.
        model_name: The name of the model, for the message; by default that in reports.

    Raises:
        InputError: If it offers less; the message names the attack that would do.
    """
    offered = access_of(model)
    if allows(offered, needed):
        return
    shown = names.model_name(model) if model_name is None else model_name
    raise InputError(
        f"{name} needs {needed}, but the model {shown} offers {offered} only. "
        f"Use {BEST_ATTACKS[offered]['l2']}, the best attack that needs {offered} only. Mark an "
        "attack of your own that needs less with minnorm.attacks.needs."
    )
