"""What the contract tests must know about each attack besides its signature."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from attacks.networks import any_shape
from minnorm.access import Access
from minnorm.attacks import ATTACKS, ENTRIES, AttackResult

Attack = Callable[..., AttackResult]


@dataclass(frozen=True)
class Case:
    """An attack under test.

    Attributes:
        settings: Hyper-parameters for the tests, if the defaults are slow or missing.
        one_step: Hyper-parameters with which one step is long enough to succeed.
        patient: Hyper-parameters with which it comes near an optimum.
        brief: The same for a dozen features, if `patient` takes long.
        many_gradients: Whether it uses more than one gradient, or many queries.
        ignores_scale: Whether multiplying all logits changes nothing.
        waits: Whether it drops finished samples, for which the host waits for the device.
        slack: How much farther than the optimum of a linear model its median may be.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    one_step: Mapping[str, Any] = field(default_factory=lambda: {"steps": 1})
    patient: Mapping[str, Any] = field(default_factory=dict)
    brief: Mapping[str, Any] = field(default_factory=dict)
    many_gradients: bool = True
    ignores_scale: bool = True
    waits: bool = False
    slack: float = 1.02


CASES: dict[str, Case] = {
    "alma": Case({"steps": 60}, {"steps": 1, "step_size": 5.0}, {"steps": 300}),
    "apgd": Case({"epsilon": 2.0, "steps": 30}, waits=True),
    "apgd_min_norm": Case(
        {"steps": 10, "searches": 8},
        {"steps": 1, "initial_norm": 3.0},
        {"searches": 14},
        waits=True,
        slack=1.1,
    ),
    "autoattack": Case({"epsilon": 2.0, "steps": 20, "budget": 50}, waits=True),
    "carlini_wagner": Case(
        {"steps": 40, "searches": 5, "step_size": 0.05},
        {"steps": 1, "searches": 1, "step_size": 10.0, "initial_constant": 10.0},
        ignores_scale=False,
        waits=True,
        slack=1.2,
    ),
    "ddn": Case({"steps": 60}, {"steps": 1, "initial_norm": 3.0}, {"steps": 100}),
    "decision_pursuit": Case(
        {"budget": 150}, {"budget": 40}, {"budget": 1000}, {"budget": 400}, waits=True, slack=1.1
    ),
    "deepfool": Case({}, waits=True, slack=1.05),
    "fab": Case({"steps": 30}, patient={"steps": 100}),
    "fgsm": Case({"epsilon": 2.0}, {}, many_gradients=False),
    "fmn": Case({"steps": 60}),
    "hop_skip_jump": Case(
        {"budget": 200, "initial_probes": 20},
        {"budget": 40},
        {"budget": 2000},
        {"budget": 800},
        waits=True,
        slack=1.2,
    ),
    "lbfgs": Case({"searches": 3, "steps": 6}, patient={"searches": 10, "steps": 20}, slack=1.1),
    "normal_pursuit": Case({"budget": 60}, {"budget": 3}, {"budget": 100}, waits=True),
    "pdgd": Case(
        {"steps": 80},
        {"steps": 1, "step_size": 5.0},
        {"steps": 500},
        ignores_scale=False,
        slack=1.1,
    ),
    "pgd": Case({"epsilon": 2.0, "steps": 20}, patient={"restarts": 4}, waits=True),
    "score_pursuit": Case({"budget": 100}, {"budget": 30}, {"budget": 400}, waits=True),
    "square": Case({"epsilon": 2.0, "budget": 150}, {"budget": 3}, waits=True),
    "square_min_norm": Case(
        {"budget": 60}, {"budget": 3}, {"budget": 600}, {"budget": 300}, slack=1.4
    ),
    "superdeepfool": Case({"steps": 10, "crossing_steps": 20}, waits=True),
    "transfer": Case(
        {"surrogates": [any_shape], "budget": 80},
        {"budget": 40},
        {"budget": 1000},
        {"budget": 400},
        waits=True,
        slack=1.1,
    ),
}


LINF = " linf"
"""The ending of the names of attacks in Linf."""

VARIANTS = [
    name + ending
    for name, entry in ENTRIES.items()
    for ending in (["", LINF] if "linf" in entry.norms else [""])
]
"""Every attack in every norm that it supports."""


def case_of(variant: str) -> Case:
    """Return the case of a variant; an attack without a case is tested with its defaults."""
    case = CASES.get(variant.removesuffix(LINF), Case())
    if not variant.endswith(LINF):
        return case
    radius = {"epsilon": 1.0} if "epsilon" in case.settings else {}
    return replace(case, settings={**case.settings, "norm": "linf", **radius})


def attack_of(variant: str) -> Attack:
    """Return the attack with the settings of its case."""
    return partial(ATTACKS[variant.removesuffix(LINF)], **case_of(variant).settings)


def bare(attack: Attack) -> Attack:
    """Return the attack as users have it: without the check of annotations."""
    assert isinstance(attack, partial)
    return partial(inspect.unwrap(attack.func), **attack.keywords)


def takes(attack: Attack, parameter: str) -> bool:
    """Return whether the attack has such a parameter."""
    return parameter in inspect.signature(attack).parameters


def effort(attack: Attack) -> str:
    """Return the parameter that limits the number of steps."""
    names = ("crossing_steps", "steps", "budget")
    return next((name for name in names if takes(attack, name)), "")


RADIUS_VARIANTS = [variant for variant in VARIANTS if takes(attack_of(variant), "epsilon")]
"""The attacks that search within a radius."""


def access_of_variant(variant: str) -> Access:
    """Return what an attack needs of a model."""
    return ENTRIES[variant.removesuffix(LINF)].access


GRADIENT_VARIANTS = [one for one in VARIANTS if access_of_variant(one) == "gradients"]
"""The attacks that use gradients."""

QUERY_VARIANTS = [one for one in VARIANTS if access_of_variant(one) != "gradients"]
"""The attacks that use none."""

DECISION_VARIANTS = [one for one in QUERY_VARIANTS if access_of_variant(one) == "decisions"]
"""The attacks that read predicted classes only."""

PATIENT_VARIANTS = [variant for variant in VARIANTS if case_of(variant).many_gradients]
"""The attacks that search for long: with more than one gradient, or with many queries."""

STARTED_VARIANTS = [variant for variant in VARIANTS if takes(attack_of(variant), "starts")]
"""The attacks that take a warm start."""

DEVICE_VARIANTS = [
    variant
    for variant in VARIANTS
    if effort(attack_of(variant))
    and variant.removesuffix(LINF) not in ("lbfgs", "hop_skip_jump", "transfer")
]
"""The attacks whose steps run on the device: L-BFGS runs on the host, with HopSkipJump the host
must know which samples continue, and transfer is several attacks, as many as its budget allows."""
