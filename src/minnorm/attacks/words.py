"""The words that users know attacks and their parameters by, from papers and other libraries."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from minnorm import geometry, specs
from minnorm.errors import InputError

_NAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "aa": ("autoattack", {}),
    "apgdce": ("apgd", {}),
    "apgddlr": ("apgd", {"loss": "dlr"}),
    "apgdt": ("apgd", {"loss": "targeted-dlr"}),
    "autopgd": ("apgd", {}),
    "carlini": ("carlini_wagner", {}),
    "carliniandwagner": ("carlini_wagner", {}),
    "cw": ("carlini_wagner", {}),
    "decoupleddirectionandnorm": ("ddn", {}),
    "fabt": ("fab", {"one_by_one": True}),
    "fastminimumnorm": ("fmn", {}),
    "sdf": ("superdeepfool", {}),
    "squareattack": ("square", {}),
}
"""Other names of attacks, in letters and digits only, and the parameters that they imply."""

_PARAMETERS = {
    "alpha": "step_size",
    "binarysearchsteps": "searches",
    "conf": "confidence",
    "eps": "epsilon",
    "epsiter": "step_size",
    "epsstep": "step_size",
    "initconst": "initial_constant",
    "initialconst": "initial_constant",
    "initnorm": "initial_norm",
    "iterations": "steps",
    "iters": "steps",
    "kappa": "confidence",
    "learningrate": "step_size",
    "lr": "step_size",
    "maxiter": "steps",
    "maxiterations": "steps",
    "nbiter": "steps",
    "nbrestarts": "restarts",
    "niter": "steps",
    "niterations": "steps",
    "nqueries": "budget",
    "nrestarts": "restarts",
    "nsteps": "steps",
    "numiter": "steps",
    "numiterations": "steps",
    "numrestarts": "restarts",
    "numsteps": "steps",
    "ord": "norm",
    "p": "norm",
    "pinit": "initial_share",
    "radius": "epsilon",
    "randinit": "random_start",
    "randominit": "random_start",
    "searchsteps": "searches",
    "surrogate": "surrogates",
}
"""Other names of parameters, in letters and digits only."""

_OTHER_MEANINGS = {("alma", "alpha"), ("fab", "alpha")}
"""Parameters of papers that mean something else than in `_PARAMETERS`."""

_INSTEAD = {
    "basiciterativemethod": "bim",
    "bim": "BIM is PGD without a random start: pgd(epsilon=8/255, norm=linf, random_start=False).",
    "boundary": "decision_pursuit and hop_skip_jump read nothing but the predicted class, either.",
    "boundaryattack": "boundary",
    "ifgsm": "bim",
}
"""Attacks of other libraries that are not here, and what to use instead, or another key."""

_LOSSES = {
    "ce": "cross-entropy",
    "crossentropy": "cross-entropy",
    "dlrtargeted": "targeted-dlr",
    "xent": "cross-entropy",
}
"""Other names of losses."""


def known_attack(word: str, known: Mapping[str, Callable[..., Any]]) -> tuple[str, dict[str, Any]]:
    """Return the name of the attack that a word stands for, and the parameters that it implies.

    Case, hyphens and underscores do not matter: `PGD`, `cw`, `apgd-ce`, `PGD-Linf`.

    Args:
        word: The word of a user.
        known: The attacks by their names.

    Raises:
        InputError: If it stands for no attack; the message says which are similar.
    """
    if word in known:
        return word, {}
    by_letters = {specs.letters(name): name for name in known}
    meant, norm = _split_norm(specs.letters(word), {*by_letters, *_NAMES})
    name, implied = _NAMES.get(meant, (by_letters.get(meant, ""), {}))
    if not name:
        instead = _INSTEAD.get(specs.letters(word), "")
        instead = _INSTEAD.get(instead, instead)
        if instead:
            raise InputError(f"unknown attack {word!r}. {instead}")
        specs.choose(word, known, "attack")
    if norm is None:
        return name, dict(implied)
    if "norm" in inspect.signature(known[name]).parameters:
        return name, {**implied, "norm": norm}
    if norm == "l2":
        return name, dict(implied)
    raise InputError(f"unknown attack {word!r}: {name} has no parameter norm.")


def hint_for_attribute(name: str, known: Mapping[str, Callable[..., Any]]) -> str:
    """Return the end of a message about an unknown attribute: what was meant, or what there is.

    Args:
        name: The attribute.
        known: The attacks by their names.
    """
    try:
        meant, _ = known_attack(name, known)
    except InputError as error:
        return f": {error}"
    return f". Did you mean {meant!r}?"


def _split_norm(word: str, known: Collection[str]) -> tuple[str, geometry.Norm | None]:
    """Split the norm from the end of a word: `pgdlinf`."""
    ending = re.search(r"(l2|linf|inf)$", word)
    if word in known or ending is None or word[: ending.start()] not in known:
        return word, None
    return word[: ending.start()], geometry.read_norm(ending[0])


def known_parameters(
    name: str, function: Callable[..., Any], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of an attack under the names of its parameters.

    The value of `norm` becomes the name of a norm, and a text such as `8/255` a number. What is not
    recognized stays as it is.

    Args:
        name: The name of the attack.
        function: The attack.
        arguments: The arguments by the words of a user.

    Raises:
        InputError: If two words stand for the same parameter, or the norm is unknown.
    """
    parameters = inspect.signature(function).parameters
    found: dict[str, Any] = {}
    for word, value in arguments.items():
        parameter = _parameter(name, word, parameters)
        if parameter in found:
            raise InputError(f"{name}: {parameter} is given twice, once as another word for it.")
        found[parameter] = _value(parameter, value)
    return found


def _parameter(name: str, word: str, parameters: Collection[str]) -> str:
    if word in parameters:
        return word
    short = specs.letters(word)
    same = [known for known in parameters if specs.letters(known) == short]
    meant = same[0] if same else _PARAMETERS.get(short, word)
    if meant == "steps" and meant not in parameters and "budget" in parameters:
        raise InputError(
            f"unknown parameter {word!r} of {name}. Did you mean 'budget'? It is the cost of a "
            "sample, in gradients or in queries."
        )
    return meant if meant in parameters and (name, short) not in _OTHER_MEANINGS else word


def _value(parameter: str, value: Any) -> Any:
    if parameter == "norm" and value is not None:
        return geometry.read_norm(value)
    if parameter == "loss" and isinstance(value, str):
        return _LOSSES.get(specs.letters(value), value)
    return specs.read_number(value) if specs.is_fraction(value) else value
