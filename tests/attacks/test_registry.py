"""The registry: names and specs to attacks, and what is known about each attack."""

import inspect
from functools import partial

import pytest
import torch
from torch import Tensor

from attacks.networks import problem
from minnorm import attacks
from minnorm.attacks import ATTACKS, ENTRIES, attack_name, attack_parameters, load_attack
from minnorm.attacks.combinators import COMBINATORS
from minnorm.attacks.composition import GIVEN, fixed_radii_of, norm_of
from minnorm.attacks.contract import is_marked
from minnorm.errors import InputError


def test_every_attack_is_exported_and_takes_accelerated_models() -> None:
    for name, function in ATTACKS.items():
        assert getattr(attacks, name) is function
        assert is_marked(function)


def test_every_attack_takes_levels() -> None:
    for name, function in ATTACKS.items():
        parameter = inspect.signature(function).parameters["levels"]
        assert parameter.default is None, name


def test_norms_and_goals_agree_with_the_signatures() -> None:
    for name, entry in ENTRIES.items():
        parameters = inspect.signature(entry.function).parameters
        assert ("norm" in parameters) == (len(entry.norms) > 1), name
        assert ("epsilon" in parameters) == (entry.goal == "within epsilon"), name
        attack = partial(entry.function, **{"epsilon": 0.5} if "epsilon" in parameters else {})
        radii = (0.5,) if entry.goal == "within epsilon" else None
        assert fixed_radii_of(attack, norm_of([attack])) == radii


@pytest.mark.parametrize(
    "spec",
    [
        "ddn",
        "ddn(steps=3, levels=256)",
        "worst_case(attacks=['ddn(steps=15)', 'deepfool'], norm='l2')",
        "with_bisection(attack='fgsm(epsilon=3.0)', bisections=30)",
        "bounded(attack='ddn', epsilon=0.5, norm='linf')",
        "with_restarts(attack='ddn(steps=5)', restarts=2)",
        "bounded(attack=\"worst_case(attacks=['ddn', 'fmn'], norm='l2')\", epsilon=1.0, norm='l2')",
    ],
)
def test_a_spec_is_the_name_of_its_attack(spec: str) -> None:
    attack = load_attack(spec)
    assert attack_name(attack) == spec
    model, inputs, labels = problem((5,))
    assert attack(model, inputs, labels).adversarials.shape == inputs.shape


def test_a_single_spec_serves_as_a_list() -> None:
    attack = load_attack("worst_case(attacks='ddn')")
    assert attack_name(attack) == "worst_case(attacks=['ddn'], norm='l2')"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ddn[:3]", "an attack has no slice"),
        ("dnn", "attack 'dnn'.*Did you mean 'ddn'"),
        ("ddn(stepz=3)", "'stepz'.*Did you mean 'steps'"),
        ("ddn(steps=0)", "steps=0: expected a whole number"),
        ("ddn(levels=1)", "levels=1: expected a whole number of at least 2"),
        ("ddn(targeted=True)", "targeted cannot be set in a spec: the evaluation sets it"),
        ("fmn(norm='l3')", "expected one of l0, l1, l2, linf"),
        ("worst_case", "requires attacks: write worst_case"),
        ("worst_case(attacks=[])", "expected a list of at least one attack"),
        ("worst_case(attacks=['dnn'])", "attack 'dnn'"),
        ("worst_case(attacks=[3])", "expected specs of attacks"),
        ("ddn,fmn", "expected one attack, not a list"),
        ("my_module:noise", "names code, which would be run.*trust=True"),
        ("worst_case(attacks='my_module:noise')", "names code, which would be run"),
        ("bounded(attack='ddn')", "requires epsilon"),
        ("bounded(attack='ddn', epsilon=0)", "epsilon=0: expected a number above 0"),
        ("bounded(attack='ddn', epsilon=1, norm='l1')", "expected 'l2' or 'linf'"),
        ("pgd", "requires epsilon: write pgd.epsilon=...."),
        ("pgd-linf", "requires epsilon: write pgd.epsilon=..., norm='linf'."),
        ("apgd-t(steps=5)", "write apgd.epsilon=..., steps=5, loss='targeted-dlr'."),
    ],
)
def test_a_bad_spec_is_refused(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        inspect.unwrap(load_attack)(spec)


def test_values_are_checked_without_a_model() -> None:
    """Loading calls the attack with a model that stops it, so nothing is computed."""
    calls = []

    def spy(model: object, inputs: Tensor, *_: object, **__: object) -> None:
        calls.append(inputs)
        model(inputs)  # type: ignore[operator]

    original = ATTACKS["ddn"]
    ATTACKS["ddn"] = spy  # type: ignore[assignment]
    try:
        load_attack("ddn")
    finally:
        ATTACKS["ddn"] = original
    assert len(calls) == 1
    assert calls[0].shape == torch.Size([1, 2])


def test_parameters_are_listed_with_their_defaults() -> None:
    listed = attack_parameters()
    assert set(listed) == {*ATTACKS, *COMBINATORS}
    summary, parameters = listed["pgd"]
    assert summary == "Search for adversarials within a given distance (eq. 2)."
    assert parameters[:2] == ["epsilon", "norm='l2'"]
    names = [parameter.partition("=")[0] for parameter in parameters]
    assert not set(names) & set(GIVEN)


def test_a_loaded_attack_is_a_partial_of_the_function() -> None:
    attack = load_attack("ddn(steps=3)")
    assert isinstance(attack, partial)
    assert attack.func is ATTACKS["ddn"]
    assert attack.keywords == {"steps": 3}
