"""The objectives by name, and the words by which a recipe chooses them."""

from collections.abc import Callable

from minnorm import specs
from minnorm.training.objectives._clean import clean
from minnorm.training.objectives._closest import closest
from minnorm.training.objectives._ddn import ddn
from minnorm.training.objectives._ensemble import ensemble
from minnorm.training.objectives._fgsm import fgsm
from minnorm.training.objectives._madry import madry
from minnorm.training.objectives._trades import trades
from minnorm.training.objectives.contract import Objective

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "clean": clean,
    "closest": closest,
    "ddn": ddn,
    "ensemble": ensemble,
    "fgsm": fgsm,
    "madry": madry,
    "trades": trades,
}
"""What makes the objectives, by name."""


def load_objective(spec: str) -> Objective:
    """Gives the objective of a spec, for example `clean` or `madry(epsilon=0.3, norm='linf')`.

    `package.module:function(weight=0.5)` is an objective of the user: the function gives it.

    Raises:
        ValueError: If there is no such objective, it has no such parameter, lacks one that it
            needs, or a value is not as it should be.
    """
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise ValueError(f"{spec!r}: an objective has no slice.")
    if ":" in parsed.head:
        made: Objective = specs.call_factory(parsed, "objective")
        if not callable(made):
            raise ValueError(
                f"{parsed.head!r} gave {type(made).__name__}, expected an objective, a function "
                "(model, inputs, labels) -> loss."
            )
        return made
    make = OBJECTIVES[specs.choose(parsed.head, OBJECTIVES, "objective")]
    specs.check_arguments(make, parsed.arguments, parsed.head)
    specs.check_complete(make, spec)
    return make(**parsed.arguments)
