"""The attacks by name, and the words by which the CLI, YAML and Python choose them."""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor

from minnorm import specs
from minnorm.attacks._alma import alma
from minnorm.attacks._apgd import apgd, apgd_min_norm
from minnorm.attacks._carlini_wagner import carlini_wagner
from minnorm.attacks._ddn import ddn
from minnorm.attacks._deepfool import deepfool
from minnorm.attacks._fab import fab
from minnorm.attacks._fgsm import fgsm
from minnorm.attacks._fmn import fmn
from minnorm.attacks._lbfgs import lbfgs
from minnorm.attacks._normal_pursuit import normal_pursuit
from minnorm.attacks._pdgd import pdgd
from minnorm.attacks._pgd import pgd
from minnorm.attacks._superdeepfool import superdeepfool
from minnorm.attacks.combinators import COMBINATORS, norm_of
from minnorm.attacks.contract import Attack, AttackResult


@dataclass(frozen=True)
class Entry:
    """An attack, and what one has to know to choose it.

    Attributes:
        function: The attack.
        goal: Whether it looks for the closest adversarial, or for one within a given radius.
        norms: The norms that it knows.
        targeted: Whether it aims at a given class as its paper does, or in a way of our own.
        cost: What it costs, in forward and backward passes; k is `candidates`.
        source: Where it comes from.
        when: When to use it.
    """

    function: Callable[..., AttackResult]
    goal: Literal["closest", "within epsilon"]
    norms: tuple[str, ...]
    targeted: Literal["yes", "our extension"]
    cost: str
    source: str
    when: str


ENTRIES: dict[str, Entry] = {
    "alma": Entry(
        alma,
        "closest",
        ("l2",),
        "yes",
        "1 forward, 1 backward a step",
        "Rony et al. 2021",
        "small norms with some hundred steps, on adversarially trained networks above all",
    ),
    "apgd": Entry(
        apgd,
        "within epsilon",
        ("l2", "linf"),
        "yes",
        "1 forward, 1 backward a step; k times with `targeted-dlr`",
        "Croce and Hein 2020b",
        "robust accuracy at one radius, without a step size to choose",
    ),
    "apgd_min_norm": Entry(
        apgd_min_norm,
        "closest",
        ("l2", "linf"),
        "yes",
        "as `apgd`, `searches` times",
        "Croce and Hein 2020b",
        "as a check of the others, at a large budget",
    ),
    "carlini_wagner": Entry(
        carlini_wagner,
        "closest",
        ("l2",),
        "yes",
        "1 forward, 1 backward a step; up to `searches * steps` steps",
        "Carlini and Wagner 2017",
        "comparison with the literature, or adversarials of a given confidence",
    ),
    "ddn": Entry(
        ddn,
        "closest",
        ("l2",),
        "yes",
        "1 forward, 1 backward a step",
        "Rony et al. 2019",
        "small norms in 100 to 1,000 gradients; 8-bit adversarials",
    ),
    "deepfool": Entry(
        deepfool,
        "closest",
        ("l2", "linf"),
        "our extension",
        "1 forward, k backwards a step; few steps",
        "Moosavi-Dezfooli et al. 2016",
        "a first impression; its norms are large",
    ),
    "fab": Entry(
        fab,
        "closest",
        ("l2", "linf"),
        "our extension",
        "2 forwards, k backwards a step",
        "Croce and Hein 2020a",
        "small norms with few classes; towards each class by `one_by_one`",
    ),
    "fgsm": Entry(
        fgsm,
        "within epsilon",
        ("l2", "linf"),
        "yes",
        "2 forwards, 1 backward",
        "Goodfellow et al. 2015",
        "training; too weak to measure robustness",
    ),
    "fmn": Entry(
        fmn,
        "closest",
        ("l2", "linf"),
        "yes",
        "1 forward, 1 backward a step",
        "Pintor et al. 2021",
        "small Linf norms in few gradients; in L2 beside DDN",
    ),
    "lbfgs": Entry(
        lbfgs,
        "closest",
        ("l2",),
        "yes",
        "about 1 forward, 1 backward an iteration; sample by sample",
        "Szegedy et al. 2014",
        "comparison with the literature",
    ),
    "normal_pursuit": Entry(
        normal_pursuit,
        "closest",
        ("l2",),
        "yes",
        "a `budget`, in which a forward is 0.4 and a backward 0.6",
        "this package, docs/normal-pursuit.md",
        "the default: the smallest norms from 10 gradients on, untargeted above all",
    ),
    "pdgd": Entry(
        pdgd,
        "closest",
        ("l2",),
        "yes",
        "1 forward, 1 backward a step",
        "Matyasko and Chau 2021",
        "small norms with some hundred steps",
    ),
    "pgd": Entry(
        pgd,
        "within epsilon",
        ("l2", "linf"),
        "yes",
        "1 forward, 1 backward a step",
        "Madry et al. 2018",
        "training, and robust accuracy at one radius",
    ),
    "superdeepfool": Entry(
        superdeepfool,
        "closest",
        ("l2",),
        "our extension",
        "1 forward, k backwards a step; 2 forwards, 1 backward a projection",
        "Abdollahpour et al. 2023",
        "small norms with few classes in very few steps",
    ),
}
"""Every attack, with what one has to know of it."""

ATTACKS: dict[str, Callable[..., AttackResult]] = {
    name: entry.function for name, entry in ENTRIES.items()
}
"""Every attack by its name. What is registered here gets the contract tests, and the CLI."""

_GIVEN = ("model", "inputs", "labels", "targeted", "bounds", "generator", "starts")


def load_attack(spec: str) -> Attack:
    """Gives the attack of a spec, for example `ddn` or `ddn(steps=300, levels=256)`.

    Combinators take specs in quotes: `worst_case(attacks=['ddn', 'fmn(steps=300)'])`,
    `bounded(attack='ddn', epsilon=0.5)`.

    Raises:
        ValueError: If there is no such attack, it has no such parameter, lacks one that it needs,
            or a value is not as it should be; the message lists what there is.
    """
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise ValueError(f"{spec!r}: an attack has no slice.")
    name = specs.choose(parsed.head, {**ATTACKS, **COMBINATORS}, "attack")
    taken = [argument for argument in parsed.arguments if argument in _GIVEN]
    if taken:
        raise ValueError(
            f"{spec!r}: {', '.join(taken)} cannot be set in a spec: what runs the attack gives it."
        )
    function = ATTACKS.get(name) or COMBINATORS[name]
    specs.check_arguments(function, parsed.arguments, name, _GIVEN)
    specs.check_complete(function, spec, _GIVEN)
    if name in COMBINATORS:
        attack = COMBINATORS[name](**_with_attacks(parsed.arguments))
    else:
        attack = cast("Attack", partial(ATTACKS[name], **parsed.arguments))
    _check_values(attack)
    return attack


def _check_values(attack: Attack) -> None:
    """Lets an attack check its hyper-parameters, which it does before it asks the model.

    Raises:
        ValueError: If one is not as the attack describes.
    """
    norm_of([attack])
    with suppress(_Asked):
        attack(_ask, torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))


class _Asked(Exception):  # noqa: N818 - no error: the attack is as far as it has to go
    """The attack has asked the model."""


def _ask(_: Tensor, /) -> Tensor:
    raise _Asked


def check_presets(attack: Callable[..., Any]) -> None:
    """Checks that an attack leaves free what an evaluation gives to it.

    Raises:
        ValueError: If it is a `partial` that holds such an argument, or combines one that does.
    """
    if not isinstance(attack, partial):
        return
    taken = [name for name in attack.keywords if name in _GIVEN]
    if "starts" in taken:
        raise ValueError(
            f"{attack_name(attack.func)}: starts belong to the inputs of one batch, an evaluation "
            "has many: call the attack itself with them."
        )
    if taken:
        instead = "; for targeted attacks there is targets='all'" if "targeted" in taken else ""
        raise ValueError(
            f"{attack_name(attack.func)}: {', '.join(taken)} cannot be set beforehand, the "
            f"evaluation gives it{instead}."
        )
    for value in attack.keywords.values():
        several = value if isinstance(value, list | tuple) else [value]
        for one in several:
            if callable(one):
                check_presets(one)


def _with_attacks(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Puts attacks in the place of the specs among a combinator's arguments."""
    loaded = dict(arguments)
    for name in ("attack", "attacks"):
        given = loaded.get(name)
        if isinstance(given, str):
            loaded[name] = load_attack(given) if name == "attack" else [load_attack(given)]
        elif isinstance(given, list | tuple) and all(isinstance(one, str) for one in given):
            loaded[name] = [load_attack(one) for one in given]
        elif name in loaded:
            raise ValueError(f"{name}={given!r}: expected specs of attacks in quotes.")
    return loaded


def attack_parameters() -> dict[str, tuple[str, list[str]]]:
    """Gives each attack's summary line and its hyper-parameters as `name=default`."""
    found = {}
    for name, function in {**ATTACKS, **COMBINATORS}.items():
        parameters = [
            parameter.name
            if parameter.default is parameter.empty
            else f"{parameter.name}={parameter.default!r}"
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name not in _GIVEN
        ]
        found[name] = ((inspect.getdoc(function) or "").partition("\n")[0], parameters)
    return found


def attack_fingerprint(attack: Callable[..., Any]) -> str:
    """Gives what tells apart attacks that have the same name: a hash of a function's own code.

    Empty for the attacks of this package, and for what has no code to be seen.
    """
    if isinstance(attack, partial):
        return "".join(attack_fingerprint(part) for part in _functions_of(attack))
    code = getattr(attack, "__code__", None)
    if code is None or is_of_package(attack):
        return ""
    cells = [cell.cell_contents for cell in getattr(attack, "__closure__", None) or ()]
    seen = (code.co_code, code.co_consts, cells, getattr(attack, "__kwdefaults__", None))
    # Where objects lie in memory differs from run to run.
    text = re.sub(r"0x[0-9a-f]+", "", repr(seen))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_of_package(attack: Callable[..., Any]) -> bool:
    """Tells whether an attack, and each attack that it is made of, is one of this package's."""
    if isinstance(attack, partial):
        return all(is_of_package(part) for part in _functions_of(attack))
    return str(getattr(attack, "__module__", "")).startswith("minnorm.")


def _functions_of(attack: partial[Any]) -> list[Callable[..., Any]]:
    values = [
        one
        for value in attack.keywords.values()
        for one in (value if isinstance(value, list | tuple) else [value])
    ]
    return [attack.func, *(value for value in values if callable(value))]


def attack_name(attack: Callable[..., Any]) -> str:
    """Names an attack as a spec: `ddn(steps=300)` for `partial(ddn, steps=300)`."""
    if isinstance(attack, partial):
        arguments = dict(attack.keywords)
        if "attack" in arguments:
            arguments["attack"] = attack_name(arguments["attack"])
        if "attacks" in arguments:
            arguments["attacks"] = [attack_name(part) for part in arguments["attacks"]]
        return specs.describe(attack_name(attack.func), arguments)
    name = str(getattr(attack, "__name__", type(attack).__name__))
    return name.removeprefix("_") if name.removeprefix("_") in COMBINATORS else name
