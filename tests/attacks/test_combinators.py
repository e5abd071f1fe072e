"""Attacks made of attacks: under the contract themselves, and what each of them adds."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from attacks.cases import Attack
from attacks.networks import Linear, problem
from minnorm.attacks import (
    attack_name,
    bounded,
    ddn,
    deepfool,
    fgsm,
    fmn,
    load_attack,
    pgd,
    with_bisection,
    with_restarts,
    worst_case,
)
from minnorm.attacks.combinators import norm_of
from minnorm.geometry import distances

SHORT = partial(ddn, steps=15)
COMBINED: dict[str, Attack] = {
    "worst_case": worst_case([SHORT, deepfool]),
    "with_restarts": with_restarts(SHORT, 3),
    "with_bisection": with_bisection(SHORT, 5),
    "bounded": bounded(SHORT, 0.8),
}


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("attack", COMBINED.values(), ids=COMBINED)
def test_they_keep_the_contract(attack: Attack, targeted: bool) -> None:
    model, inputs, labels = problem((1, 4, 4), batch=9, dtype=torch.float64)
    labels = (labels + 1) % 5 if targeted else labels
    labels[0] = model(inputs[:1]).argmax() if targeted else (labels[0] + 1) % 5
    before = inputs.clone()
    state = torch.random.get_rng_state()
    whole = attack(model, inputs, labels, targeted=targeted)
    assert torch.equal(inputs, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    predicted = model(whole.adversarials).argmax(1)
    hit = predicted == labels if targeted else predicted != labels
    assert torch.equal(whole.success, hit)
    assert torch.allclose(whole.distances[hit], distances(whole.adversarials, inputs)[hit])
    assert whole.distances[~hit].isinf().all()
    assert torch.equal(whole.adversarials[~hit], inputs[~hit])
    assert float(whole.distances[0]) == 0
    order = torch.tensor([4, 0, 8, 2])
    part = attack(model, inputs[order], labels[order], targeted=targeted)
    assert torch.allclose(part.adversarials, whole.adversarials[order], atol=1e-6)


def test_the_worst_case_is_the_closest_of_each_sample() -> None:
    model, inputs, labels = problem((20,))
    parts = [attack(model, inputs, labels).distances for attack in (SHORT, fmn, deepfool)]
    found = worst_case([SHORT, fmn, deepfool])(model, inputs, labels)
    assert torch.equal(found.distances, torch.stack(parts).amin(0))


def test_the_worst_case_can_be_of_another_norm() -> None:
    model, inputs, labels = problem((20,))
    attacks = [partial(fmn, norm=norm) for norm in ("l2", "linf")]
    found = worst_case(attacks, norm="linf")(model, inputs, labels)
    parts = [attack(model, inputs, labels) for attack in attacks]
    lengths = [
        distances(part.adversarials, inputs, "linf").where(part.success, torch.inf)
        for part in parts
    ]
    assert torch.allclose(found.distances, torch.stack(lengths).amin(0))


def test_restarts_find_more() -> None:
    model, inputs, labels = problem((20,), batch=30)
    once = SHORT(model, inputs, labels)
    often = with_restarts(SHORT, 5)(model, inputs, labels)
    assert (often.distances <= once.distances).all()
    assert (often.distances < once.distances).any()


def test_restarts_of_an_attack_that_has_them_are_its_own() -> None:
    attack = with_restarts(partial(pgd, epsilon=1.0), 4)
    assert attack_name(attack) == "pgd(epsilon=1.0, restarts=4)"
    with pytest.raises(ValueError, match="begins at the inputs each time"):
        with_restarts(deepfool)


def test_a_bisection_ends_on_the_boundary() -> None:
    model, inputs, labels = problem((20,), network=Linear, classes=2, dtype=torch.float64)
    far = partial(fgsm, epsilon=3.0)
    found = with_bisection(far, 30)(model, inputs, labels)
    assert found.success.all()
    assert (found.distances < far(model, inputs, labels).distances).all()
    with torch.no_grad():
        logits = model(found.adversarials)
    assert (logits[:, 0] - logits[:, 1]).abs().max() < 1e-6


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_bounded_attack_stays_within_its_radius(norm: Any) -> None:
    model, inputs, labels = problem((20,), batch=30)
    attack = partial(fmn, norm=norm)
    free = attack(model, inputs, labels)
    radius = float(free.distances.median())
    found = bounded(attack, radius, norm=norm)(model, inputs, labels)
    assert (found.distances[found.success] <= radius * (1 + 1e-6)).all()
    assert found.success[free.distances <= radius].all()
    assert not found.success.all()
    far = partial(fgsm, epsilon=3.0, norm=norm)
    assert bounded(far, 2.0, norm=norm)(model, inputs, labels).success.any()


@pytest.mark.parametrize(
    "spec",
    [
        "worst_case(attacks=['ddn(steps=15)', 'deepfool'], norm='l2')",
        "with_bisection(attack='fgsm(epsilon=3.0)', bisections=30)",
        "bounded(attack='ddn', epsilon=0.5, norm='linf')",
        "with_restarts(attack='ddn(steps=5)', restarts=2)",
        "bounded(attack=\"worst_case(attacks=['ddn', 'fmn'], norm='l2')\", epsilon=1.0, norm='l2')",
    ],
)
def test_a_spec_is_the_name_of_what_it_gives(spec: str) -> None:
    attack = load_attack(spec)
    assert attack_name(load_attack(attack_name(attack))) == attack_name(attack)
    model, inputs, labels = problem((5,))
    assert attack(model, inputs, labels).adversarials.shape == inputs.shape


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("worst_case", "lacks attacks: write worst_case"),
        ("worst_case(attacks=[])", "expected a list of at least one attack"),
        ("worst_case(attacks=['dnn'])", "no attack 'dnn'"),
        ("worst_case(attacks=[3])", "expected specs of attacks in quotes"),
        ("bounded(attack='ddn')", "lacks epsilon"),
        ("bounded(attack='ddn', epsilon=0)", "epsilon=0: expected a number above 0"),
        ("bounded(attack='ddn', epsilon=1, norm='l1')", "expected 'l2' or 'linf'"),
        ("pgd", "lacks epsilon: write pgd.epsilon=...."),
    ],
)
def test_what_is_missing_or_wrong_is_said(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(load_attack)(spec)


@pytest.mark.parametrize(
    "combine",
    [
        lambda attack: worst_case([attack]),
        lambda attack: with_restarts(attack, 2),
        lambda attack: with_bisection(attack, 3),
        lambda attack: bounded(attack, 0.5),
    ],
    ids=["worst_case", "with_restarts", "with_bisection", "bounded"],
)
def test_distances_are_in_the_norm_of_the_attack(combine: Callable[[Attack], Attack]) -> None:
    model, inputs, labels = problem((20,))
    result = combine(partial(fmn, norm="linf", steps=30))(model, inputs, labels)
    assert result.success.all()
    expected = (result.adversarials - inputs).abs().amax(1)
    assert torch.allclose(result.distances, expected)


@pytest.mark.parametrize("combine", [worst_case, with_restarts, with_bisection, bounded])
def test_a_spec_is_no_attack(combine: Any) -> None:
    given = {"epsilon": 1.0} if combine is bounded else {}
    with pytest.raises(ValueError, match="'ddn' is no attack: give a function"):
        # The bare function: in these tests its types are checked before.
        inspect.unwrap(combine)(["ddn"] if combine is worst_case else "ddn", **given)


_MISSPELT: dict[str, Any] = {"stepz": 5}


def _takes_a_norm(*_: Any, norm: str, **__: Any) -> Any:
    raise AssertionError(norm)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            worst_case,
            "worst_case cannot be called as an attack .*combinators are called",
        ),
        (partial(fmn, **_MISSPELT), "cannot be called as an attack .*stepz"),
        (torch.nn.Linear(2, 2), "a Linear is a model, no attack"),
        (partial(ddn, torch.relu), "cannot be called as an attack .too many positional arguments"),
        (len, "len cannot be called as an attack"),
        (_takes_a_norm, "_takes_a_norm cannot .*missing a required argument: 'norm'"),
    ],
)
@pytest.mark.parametrize("combine", [worst_case, with_restarts, with_bisection, bounded])
def test_what_takes_other_arguments_is_no_attack(combine: Any, given: Any, message: str) -> None:
    more = {"epsilon": 1.0} if combine is bounded else {}
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(combine)([given] if combine is worst_case else given, **more)


def test_a_worst_case_may_be_of_an_iterator() -> None:
    model, inputs, labels = problem((20,))
    attacks: list[Attack] = [ddn, fmn]
    found = worst_case(iter(attacks))(model, inputs, labels)
    expected = worst_case(attacks)(model, inputs, labels)
    assert expected.success.all()
    assert torch.equal(found.distances, expected.distances)


@pytest.mark.parametrize("attacks", [ddn, "ddn", [], (), 5, None])
def test_a_worst_case_is_of_a_list(attacks: Any) -> None:
    with pytest.raises(ValueError, match="expected a list of at least one attack"):
        inspect.unwrap(worst_case)(attacks)


@pytest.mark.parametrize("norm", ["l3", ["l2"], 2])
def test_a_norm_that_there_is_not_is_refused(norm: Any) -> None:
    with pytest.raises(ValueError, match="expected one of l0, l1, l2, linf"):
        inspect.unwrap(worst_case)([ddn], norm=norm)
    with pytest.raises(ValueError, match=r"in which norm to measure; .* expected one of l0, l1"):
        norm_of([partial(fmn, norm=norm)])


def test_attacks_of_several_norms_need_one_to_be_compared_in() -> None:
    with pytest.raises(ValueError, match=r"minimise l2 and linf: .* norm="):
        worst_case([fmn, partial(fmn, norm="linf")])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_radius_that_does_not_matter_changes_nothing(dtype: torch.dtype) -> None:
    model, inputs, labels = problem((20,), batch=50, dtype=dtype)
    attack = with_bisection(partial(fmn, steps=30))
    plain, inside = (one(model, inputs, labels) for one in (attack, bounded(attack, 100.0)))
    assert torch.equal(plain.adversarials, inside.adversarials)
    assert torch.equal(plain.distances, inside.distances)
