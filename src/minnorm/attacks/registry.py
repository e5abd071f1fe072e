"""The attacks by name, and the specs by which the CLI, YAML and Python choose them."""

import inspect
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor

from minnorm import factories, specs
from minnorm.access import Access
from minnorm.attacks.combinators import COMBINATORS
from minnorm.attacks.composition import GIVEN, access_needed, norm_of
from minnorm.attacks.contract import Attack, AttackResult
from minnorm.attacks.decision.decision_pursuit import decision_pursuit
from minnorm.attacks.decision.hop_skip_jump import hop_skip_jump
from minnorm.attacks.engine.problem import check_attack
from minnorm.attacks.gradient.alma import alma
from minnorm.attacks.gradient.apgd import apgd
from minnorm.attacks.gradient.apgd_min_norm import apgd_min_norm
from minnorm.attacks.gradient.carlini_wagner import carlini_wagner
from minnorm.attacks.gradient.ddn import ddn
from minnorm.attacks.gradient.deepfool import deepfool
from minnorm.attacks.gradient.fab import fab
from minnorm.attacks.gradient.fgsm import fgsm
from minnorm.attacks.gradient.fmn import fmn
from minnorm.attacks.gradient.lbfgs import lbfgs
from minnorm.attacks.gradient.normal_pursuit import normal_pursuit
from minnorm.attacks.gradient.pdgd import pdgd
from minnorm.attacks.gradient.pgd import pgd
from minnorm.attacks.gradient.superdeepfool import superdeepfool
from minnorm.attacks.score.score_pursuit import score_pursuit
from minnorm.attacks.score.square import square
from minnorm.attacks.score.square_min_norm import square_min_norm
from minnorm.attacks.suites import autoattack
from minnorm.attacks.surrogates import read_surrogates
from minnorm.attacks.transfer import transfer
from minnorm.attacks.words import known_attack, known_parameters
from minnorm.errors import InputError, NotTrustedError


@dataclass(frozen=True)
class Entry:
    """An attack, and the facts that help to choose it.

    Attributes:
        function: The attack.
        goal: Whether it searches for the closest adversarial, or for one within a given radius.
        norms: The norms that it supports.
        targeted: Whether its paper has a targeted form, or this package has extended it.
        cost: Its cost in forward and backward passes, k is `candidates`; in queries if it needs no
            gradients.
        source: Its paper.
        when: When to use it.
    """

    function: Callable[..., AttackResult]
    goal: Literal["closest", "within epsilon"]
    norms: tuple[str, ...]
    targeted: Literal["yes", "our extension"]
    cost: str
    source: str
    when: str

    @property
    def access(self) -> Access:
        """What it needs of a model."""
        return access_needed(self.function)


ENTRIES: dict[str, Entry] = {
    "alma": Entry(
        alma,
        "closest",
        ("l2",),
        "yes",
        "1 forward, 1 backward per step",
        "Rony et al. 2021",
        "small norms with a few hundred steps, especially on adversarially trained networks",
    ),
    "apgd": Entry(
        apgd,
        "within epsilon",
        ("l2", "linf"),
        "yes",
        "1 forward, 1 backward per step; k times with `targeted-dlr`",
        "Croce and Hein 2020b",
        "robust accuracy at one radius, with no step size to choose",
    ),
    "apgd_min_norm": Entry(
        apgd_min_norm,
        "closest",
        ("l2", "linf"),
        "yes",
        "`searches` times that of `apgd`",
        "Croce and Hein 2020b",
        "to check other attacks, with a large budget",
    ),
    "autoattack": Entry(
        autoattack,
        "within epsilon",
        ("l2", "linf"),
        "our extension",
        "7,800 forwards, 1,900 backwards of a robust sample; about 100 of most others",
        "Croce and Hein 2020b",
        "numbers beside those of AutoAttack and RobustBench",
    ),
    "carlini_wagner": Entry(
        carlini_wagner,
        "closest",
        ("l2",),
        "yes",
        "1 forward, 1 backward per step; up to `searches * steps` steps",
        "Carlini and Wagner 2017",
        "comparison with the literature; adversarials of a given confidence",
    ),
    "ddn": Entry(
        ddn,
        "closest",
        ("l2",),
        "yes",
        "1 forward, 1 backward per step",
        "Rony et al. 2019",
        "small norms in 100 to 1,000 gradients; 8-bit adversarials",
    ),
    "decision_pursuit": Entry(
        decision_pursuit,
        "closest",
        ("l2", "linf"),
        "yes",
        "a `budget` in queries",
        "this package, docs/decision-pursuit.md",
        "a model of which only the predicted class is known",
    ),
    "deepfool": Entry(
        deepfool,
        "closest",
        ("l2", "linf"),
        "our extension",
        "1 forward, k backwards per step; few steps",
        "Moosavi-Dezfooli et al. 2016",
        "a first impression; its norms are large",
    ),
    "fab": Entry(
        fab,
        "closest",
        ("l2", "linf"),
        "our extension",
        "2 forwards, k backwards per step",
        "Croce and Hein 2020a",
        "small norms with few classes; with `one_by_one`, towards one class after the other",
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
        "1 forward, 1 backward per step",
        "Pintor et al. 2021",
        "small Linf norms in few gradients; in L2, an alternative to DDN",
    ),
    "hop_skip_jump": Entry(
        hop_skip_jump,
        "closest",
        ("l2", "linf"),
        "yes",
        "a `budget` in queries",
        "Chen et al. 2020",
        "comparison with the literature",
    ),
    "lbfgs": Entry(
        lbfgs,
        "closest",
        ("l2",),
        "yes",
        "about 1 forward, 1 backward per iteration; sample by sample",
        "Szegedy et al. 2014",
        "comparison with the literature",
    ),
    "normal_pursuit": Entry(
        normal_pursuit,
        "closest",
        ("l2",),
        "yes",
        "a `budget` in gradients: a forward pass is 0.4, a backward pass 0.6",
        "this package, docs/normal-pursuit.md",
        "the default: the smallest norms from 10 gradients on, especially untargeted",
    ),
    "pdgd": Entry(
        pdgd,
        "closest",
        ("l2",),
        "yes",
        "1 forward, 1 backward per step",
        "Matyasko and Chau 2021",
        "small norms with a few hundred steps",
    ),
    "pgd": Entry(
        pgd,
        "within epsilon",
        ("l2", "linf"),
        "yes",
        "1 forward, 1 backward per step",
        "Madry et al. 2018",
        "training, and robust accuracy at one radius",
    ),
    "score_pursuit": Entry(
        score_pursuit,
        "closest",
        ("l2", "linf"),
        "yes",
        "a `budget` in queries",
        "this package",
        "the smallest norms without gradients, by the logits alone",
    ),
    "square": Entry(
        square,
        "within epsilon",
        ("l2", "linf"),
        "yes",
        "a `budget` in queries, until an adversarial is found",
        "Andriushchenko et al. 2020",
        "robust accuracy at one radius of a model that hides its gradients",
    ),
    "square_min_norm": Entry(
        square_min_norm,
        "closest",
        ("l2", "linf"),
        "our extension",
        "a `budget` in queries",
        "Andriushchenko et al. 2020",
        "small norms without gradients, by the logits alone",
    ),
    "superdeepfool": Entry(
        superdeepfool,
        "closest",
        ("l2",),
        "our extension",
        "1 forward, k backwards per step; 2 forwards, 1 backward per projection",
        "Abdollahpour et al. 2023",
        "small norms with few classes in very few steps",
    ),
    "transfer": Entry(
        transfer,
        "closest",
        ("l2", "linf"),
        "yes",
        "a `budget` in queries; gradients of the surrogates",
        "Brendel et al. 2018",
        "a model of which only the class is known, if others of the same task are at hand",
    ),
}
"""Every attack by its name, with the facts that help to choose it."""

ATTACKS: dict[str, Callable[..., AttackResult]] = {
    name: entry.function for name, entry in ENTRIES.items()
}
"""Every attack by its name. A registered attack is in the CLI and under the contract tests."""


def load_attack(spec: str, *, trust: bool = False, trust_files: bool | None = None) -> Attack:
    """Return the attack of a spec, for example `ddn` or `ddn(steps=300, levels=256)`.

    Combinators take specs: `worst_case(attacks=['ddn', 'fmn(steps=300)'])`,
    `bounded(attack=ddn, epsilon=8/255)`. A function of your own is an attack too:
    `package.module:function`. Common words of other libraries and papers are understood, for
    example `PGD`, `cw`, `eps` and `norm=Linf`.

    Args:
        spec: The spec.
        trust: Whether the spec may name a function that is not of this package: its module is
            imported, which runs its code. Leave it `False` for a spec from a file.
        trust_files: Whether the file of a surrogate may run the code that it holds; by default as
            `trust`.

    Raises:
        InputError: If the attack or a parameter is unknown, a required one is missing, or a value
            is not as the attack describes.
        NotTrustedError: If the spec names a function, and `trust` is not set.
    """
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise InputError(f"{spec!r}: an attack has no slice, remove it.")
    if ":" in parsed.head:
        return _load_function(parsed, trust=trust)
    known = {**ATTACKS, **COMBINATORS}
    if len(specs.split_list(spec)) > 1:
        raise InputError(f"{spec!r}: expected one attack, not a list.")
    name, implied = known_attack(parsed.head, known)
    function = known[name]
    arguments = known_parameters(name, function, parsed.arguments)
    arguments.update({key: value for key, value in implied.items() if key not in arguments})
    _check_not_given(spec, arguments)
    factories.check_arguments(function, arguments, name, GIVEN)
    factories.check_complete(function, name, arguments, GIVEN)
    files = trust if trust_files is None else trust_files
    if "surrogates" in arguments:
        given = arguments["surrogates"]
        arguments["surrogates"] = read_surrogates(given, trust=trust, trust_files=files)
    if name in COMBINATORS:
        attack = COMBINATORS[name](**_with_attacks(arguments, trust=trust, trust_files=files))
    else:
        attack = cast("Attack", partial(ATTACKS[name], **arguments))
    _check_values(attack)
    return attack


def _load_function(parsed: specs.Spec, *, trust: bool) -> Attack:
    """Return the attack that `package.module:function` names."""
    if not trust:
        raise NotTrustedError(
            f"{parsed.head!r} names code, which would be run. If you trust it, allow it with "
            "trust=True, or pass the function itself."
        )
    example = "write package.module:function, the name of an attack"
    function = factories.import_function(parsed.head, "attack", example)
    _check_not_given(parsed.head, parsed.arguments)
    factories.check_arguments(function, parsed.arguments, parsed.head, GIVEN)
    attack = partial(function, **parsed.arguments) if parsed.arguments else function
    check_attack(attack)
    return cast("Attack", attack)


def _check_not_given(spec: str, arguments: Collection[str]) -> None:
    taken = [argument for argument in arguments if argument in GIVEN]
    if taken:
        raise InputError(
            f"{spec!r}: {', '.join(taken)} cannot be set in a spec: the evaluation sets it."
        )


def _check_values(attack: Attack) -> None:
    """Check the hyper-parameters of an attack: it checks them itself before it calls the model.

    Raises:
        InputError: If one is not as the attack describes.
    """
    norm_of([attack])
    with suppress(_ModelCalled):
        attack(_stop, torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))


class _ModelCalled(Exception):  # noqa: N818 - not an error: the attack has passed its checks
    """The attack has called the model."""


def _stop(_: Tensor, /) -> Tensor:
    raise _ModelCalled


def _with_attacks(
    arguments: Mapping[str, Any], *, trust: bool, trust_files: bool
) -> dict[str, Any]:
    """Replace the specs among a combinator's arguments with attacks."""
    loaded = dict(arguments)
    for name in ("attack", "attacks"):
        given = loaded.get(name)
        if name == "attack" and isinstance(given, str):
            loaded[name] = load_attack(given, trust=trust, trust_files=trust_files)
            continue
        several = specs.split_list(given) if isinstance(given, str) else given
        if isinstance(several, list | tuple) and all(isinstance(one, str) for one in several):
            loaded[name] = [
                load_attack(one, trust=trust, trust_files=trust_files) for one in several
            ]
        elif name in loaded:
            raise InputError(f"{name}={given!r}: expected specs of attacks.")
    return loaded


def attack_parameters() -> dict[str, tuple[str, list[str]]]:
    """Return the summary line and the hyper-parameters, as `name=default`, of each attack."""
    found = {}
    for name, function in {**ATTACKS, **COMBINATORS}.items():
        parameters = [
            parameter.name
            if parameter.default is parameter.empty
            else f"{parameter.name}={parameter.default!r}"
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name not in GIVEN
        ]
        found[name] = ((inspect.getdoc(function) or "").partition("\n")[0], parameters)
    return found
