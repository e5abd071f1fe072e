"""Access to a model: whether an attack can use its gradients, only its scores, or its decisions.

A model that can only be predicted has an attribute `access`. It still maps inputs `[b *d]` to a
floating-point tensor `[b c]`: with `scores` these are logits (logarithms where it has
probabilities), with `decisions` the rows are 1 for the predicted class and 0 elsewhere, and NaN for
no class.
"""

from typing import Literal, TypeAlias, cast, get_args

from torch import nn

from minnorm import specs
from minnorm.checks import check_choice

Access: TypeAlias = Literal["gradients", "scores", "decisions"]
"""What an attack uses of a model: its gradients, its logits, or its predicted classes.

Each one includes those after it.
"""

ACCESSES: tuple[Access, ...] = get_args(Access)
"""The kinds of access, from the most to the least."""


def access_of(model: object) -> Access:
    """Return what a model offers to an attack.

    That is its attribute `access`; of the parts of a module the least one counts. A model without
    such an attribute offers its gradients.

    Raises:
        InputError: If such an attribute is a word that is no kind of access.
    """
    least: Access = "gradients"
    for part in model.modules() if isinstance(model, nn.Module) else (model,):
        access = getattr(part, "access", None)
        if not isinstance(access, str):  # in modules of others the name may mean something else
            continue
        specs.choose(access, ACCESSES, "access", f"of a {type(part).__name__}")
        least = max(least, cast("Access", access), key=ACCESSES.index)
    return least


def allows(offered: Access, needed: Access) -> bool:
    """Return whether a model that offers one access is enough for an attack that needs another."""
    return ACCESSES.index(offered) <= ACCESSES.index(needed)


def check_access(access: object) -> None:
    """Check a kind of access.

    Raises:
        InputError: If it is none.
    """
    check_choice("access", access, ACCESSES)
