"""The objectives by name, and the specs that name them in a recipe."""

from collections.abc import Callable

from minnorm import factories, specs
from minnorm.attacks.words import known_parameters
from minnorm.errors import InputError
from minnorm.training.objectives.clean import clean
from minnorm.training.objectives.closest import closest
from minnorm.training.objectives.contract import Adversarial, Objective
from minnorm.training.objectives.ddn import ddn
from minnorm.training.objectives.ensemble import ensemble
from minnorm.training.objectives.fgsm import fgsm
from minnorm.training.objectives.madry import madry
from minnorm.training.objectives.trades import trades

OBJECTIVES: dict[str, Callable[..., Objective | Adversarial]] = {
    "clean": clean,
    "closest": closest,
    "ddn": ddn,
    "ensemble": ensemble,
    "fgsm": fgsm,
    "madry": madry,
    "trades": trades,
}
"""The functions that return the objectives, by name."""


def load_objective(spec: str) -> Objective | Adversarial:
    """Return the objective of a spec, for example `clean` or `madry(epsilon=0.3, norm='linf')`.

    `package.module:function(weight=0.5)` is an objective of your own, which the function returns.

    Raises:
        InputError: If the objective does not exist, has no such parameter, lacks one that it
            requires, or an argument is not as it describes.
    """
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise InputError(f"{spec!r}: an objective has no slice, remove it.")
    if ":" in parsed.head:
        made: Objective | Adversarial = factories.call_factory(parsed, "objective")
        if not isinstance(made, Adversarial) and not callable(made):
            raise InputError(
                f"{parsed.head!r} returned {type(made).__name__}; expected an objective: a "
                "function (model, inputs, labels) -> loss, or a minnorm.training.Adversarial."
            )
        return made
    make = OBJECTIVES[specs.choose(parsed.head, OBJECTIVES, "objective")]
    arguments = known_parameters(parsed.head, make, parsed.arguments)
    factories.check_arguments(make, arguments, parsed.head)
    factories.check_complete(make, parsed.head, arguments)
    return make(**arguments)
