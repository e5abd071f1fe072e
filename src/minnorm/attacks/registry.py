"""The attacks by name, and the words by which the CLI, YAML and Python choose them."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from minnorm import specs
from minnorm.attacks._ddn import ddn
from minnorm.attacks.contract import Attack, AttackResult

ATTACKS: dict[str, Callable[..., AttackResult]] = {"ddn": ddn}
"""Every attack by its name. What is registered here gets the contract tests, and the CLI."""

_GIVEN = ("model", "inputs", "labels", "targeted", "bounds", "generator", "starts")


def load_attack(spec: str) -> Attack:
    """Gives the attack of a spec, for example `ddn` or `ddn(steps=300, levels=256)`.

    Raises:
        ValueError: If there is no such attack, or it has no such parameter; the message lists
            what there is.
    """
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise ValueError(f"{spec!r}: an attack has no slice.")
    name = specs.choose(parsed.head, ATTACKS, "attack")
    taken = [argument for argument in parsed.arguments if argument in _GIVEN]
    if taken:
        raise ValueError(
            f"{spec!r}: {', '.join(taken)} cannot be set in a spec; the evaluation gives it."
        )
    specs.check_arguments(ATTACKS[name], parsed.arguments, name, _GIVEN)
    return cast("Attack", partial(ATTACKS[name], **parsed.arguments))


def attack_parameters() -> dict[str, tuple[str, list[str]]]:
    """Gives each attack's summary line and its hyper-parameters as `name=default`."""
    found = {}
    for name, function in ATTACKS.items():
        parameters = [
            f"{parameter.name}={parameter.default!r}"
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name not in _GIVEN
        ]
        found[name] = ((inspect.getdoc(function) or "").partition("\n")[0], parameters)
    return found


def attack_name(attack: Callable[..., Any]) -> str:
    """Names an attack as a spec: `ddn(steps=300)` for `partial(ddn, steps=300)`."""
    if isinstance(attack, partial):
        return specs.describe(attack_name(attack.func), attack.keywords)
    return str(getattr(attack, "__name__", type(attack).__name__))
