"""The arguments of an evaluation: the forms they take, and what is refused."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from evaluation.small_runs import ATTACK, MODEL
from evaluation.tiny_models import Centered
from minnorm.acceleration import Accelerated
from minnorm.attacks import Attack, bounded, ddn, fgsm, fmn, load_attack, with_bisection
from minnorm.attacks.composition import attack_name
from minnorm.errors import InputError
from minnorm.evaluation.preparation.arguments import (
    checked_batch_size,
    checked_bounds,
    checked_seed,
    load_classifier,
    named_attacks,
)


@pytest.mark.parametrize(
    "attacks",
    [
        ATTACK,
        [ATTACK],
        (ATTACK,),
        partial(ddn, steps=5),
        [partial(ddn, steps=5)],
        {ATTACK: ATTACK},
        {ATTACK: partial(ddn, steps=5)},
        load_attack(ATTACK),
    ],
    ids=["spec", "list", "tuple", "partial", "partials", "named spec", "named partial", "loaded"],
)
def test_all_forms_of_an_attack_name_the_same_attack(attacks: Any) -> None:
    [(name, attack)] = named_attacks(attacks).items()
    assert name == attack_name(attack) == ATTACK
    assert isinstance(attack, partial)
    assert attack.func is ddn


def test_several_attacks_keep_their_names_and_their_order() -> None:
    found = named_attacks({"zebra": "ddn(steps=3)", "ant": ddn, "bee": partial(fmn, steps=2)})
    assert list(found) == ["zebra", "ant", "bee"]
    assert [attack_name(attack) for attack in found.values()] == [
        "ddn(steps=3)", "ddn", "fmn(steps=2)",
    ]  # fmt: skip
    assert list(named_attacks([fmn, "ddn"])) == ["fmn", "ddn"]


@pytest.mark.parametrize(
    ("attacks", "message"),
    [
        ([], "no attack was given: name at least one"),
        ({}, "no attack was given: name at least one"),
        ([ATTACK, ATTACK], "two of the attacks are the same"),
        ([partial(ddn, steps=5), ATTACK], "two of the attacks are the same"),
        ("dnn", "Did you mean 'ddn'"),
        (None, "None is not an attack: expected a function"),
        ([ddn, 5], "5 is not an attack: expected a function"),
        ({"mine": None}, "None is not an attack: expected a function"),
        ({3: ddn}, "the name of an attack is 3; expected text"),
        ({" ": ddn}, "the name of an attack is ' '; expected text"),
        ({"worst case": ddn}, "'worst case', which tables use for other rows"),
        ({"Worst case in l2": ddn}, "'Worst case in l2', which tables use for other rows"),
        ({"ddn, hardest target": ddn}, "which tables use for other rows: give the attack another"),
        (bounded, "call a combinator first"),
        (partial(ddn, torch.relu), "too many positional arguments"),
        ("fmn(norm='L3')", "norm='L3': expected one of l0, l1, l2, linf"),
        (partial(fmn, norm="L2"), "norm='L2': expected one of .* Did you mean 'l2'"),  # type: ignore[arg-type]
        ("ddn,", "the spec '' has no name"),
        ("ddn, DDN", "two of the attacks are the same"),
        ("no_such_module:noise", "there is no module 'no_such_module'"),
        ("evaluation.small_runs:MODEL", "has no function 'MODEL'"),
        ("json:dumps", "dumps cannot be called as an attack"),
        (partial(ddn, starts=torch.zeros(1)), "starts belong "),
    ],
)  # fmt: skip
def test_attacks_that_cannot_be_used_are_refused(attacks: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        named_attacks(attacks)


@pytest.mark.parametrize(
    "attack",
    [partial(ddn, targeted=True), with_bisection(partial(ddn, targeted=True))],
    ids=["partial", "combined"],
)
def test_parameters_that_the_evaluation_sets_cannot_be_preset(attack: Attack) -> None:
    with pytest.raises(InputError, match=r"^ddn: targeted cannot be preset.* targets='all'"):
        named_attacks(attack)
    with pytest.raises(InputError, match=r"^ddn: bounds cannot be preset"):
        named_attacks(partial(ddn, bounds=(0.0, 2.0)))


@pytest.mark.parametrize(
    ("attack", "warns"),
    [
        ("PGD(eps=8/255)", True),
        ("apgd(epsilon=2/255)", True),
        (partial(fgsm, epsilon=16 / 255), True),
        ("pgd(epsilon=8/255, norm=linf)", False),
        ("pgd-linf(eps=8/255)", False),
        ("pgd(epsilon=8/255, norm=l2)", False),
        ("pgd(epsilon=0.5)", False),
        ("pgd(epsilon=0.2)", False),
        ("ddn", False),
    ],
)
def test_a_radius_that_is_usual_in_another_norm_has_a_warning(
    attack: Any, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    named_attacks(attack)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * warns
    assert ("choose the norm, norm=linf or norm=l2" in caplog.text) == warns


def test_a_batch_size_is_a_count_or_auto() -> None:
    for good in ("auto", 1, np.int64(3)):
        assert checked_batch_size(good) == good
    assert type(checked_batch_size(np.int64(3))) is int
    for bad in (0, -1, 2.0, True, "all", None):
        with pytest.raises(InputError, match=r"batch_size=.*: expected a whole number of at"):
            checked_batch_size(bad)


def test_a_seed_is_one_that_a_generator_takes() -> None:
    for good in (0, 2**63 - 1):
        assert checked_seed(good) == good
        torch.Generator().manual_seed(good)
    for bad in (-1, 2**63, 1.0, None):
        with pytest.raises(InputError, match=r"seed=.*: expected a whole number of at least 0"):
            checked_seed(bad)


def test_bounds_are_ascending_numbers_and_may_be_infinite() -> None:
    bare = inspect.unwrap(checked_bounds)
    assert bare([-1, np.float32(0.5)]) == (-1.0, 0.5)
    assert bare((-torch.inf, np.float32(torch.inf))) == (-torch.inf, torch.inf)
    for bad in ((0.0, torch.nan), (torch.inf, torch.inf), (1.0, -torch.inf)):
        with pytest.raises(InputError, match=r"expected \(low, high\) with low < high"):
            checked_bounds(bad)


def test_a_model_given_by_its_spec_is_loaded_onto_the_device() -> None:
    for device in (None, "cpu", torch.device("cpu")):
        found = load_classifier(MODEL, device, trust=False)
        assert isinstance(found, nn.Module)
        assert next(found.parameters()).device == torch.device("cpu")


@pytest.mark.parametrize("device", [None, "cpu", "cpu:0", torch.device("cpu")])
def test_a_model_on_the_device_is_taken_as_it_is(device: Any) -> None:
    model = Centered().eval()
    assert load_classifier(model, device, trust=False) is model


@pytest.mark.parametrize("trust", [False, True])
def test_a_spec_is_loaded_with_the_trust_and_moved_to_the_device(
    monkeypatch: pytest.MonkeyPatch, trust: bool
) -> None:
    seen: list[object] = []

    def load_model(spec: str, *, trust: bool) -> nn.Module:
        seen.append((spec, trust))
        return Elsewhere()

    def to(model: nn.Module, device: object) -> nn.Module:
        seen.append(device)
        return model

    monkeypatch.setattr("minnorm.evaluation.preparation.arguments.load_model", load_model)
    monkeypatch.setattr(Elsewhere, "to", to)
    load_classifier("it", "cpu", trust=trust)
    assert seen == [("it", trust), torch.device("cpu")]


def test_the_original_of_an_accelerated_model_is_taken() -> None:
    model = Centered().eval()
    fast = Accelerated(model, model, None, "plain", ())
    assert load_classifier(fast, None, trust=False) is model


def test_a_function_is_taken_whatever_the_device() -> None:
    def function(inputs: Tensor) -> Tensor:
        return inputs

    assert load_classifier(function, None, trust=False) is function
    assert load_classifier(function, "cpu", trust=False) is function


class Elsewhere(nn.Module):
    """A module whose parameters are on a device that needs no memory."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, device="meta"))


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: load_classifier(Elsewhere(), "cpu", trust=False),
         r"the model is on meta, but device='cpu': move it there with model\.to\('cpu'\)"),
        (lambda: load_classifier(Centered(), "meta", trust=False), "cannot use the device 'meta'"),
        (lambda: load_classifier(MODEL, "banana", trust=False), "cannot use the device 'banana'"),
        (lambda: inspect.unwrap(load_classifier)(5, None, trust=False), "cannot use int as a mode"),
    ],
    ids=["elsewhere", "no memory", "unknown", "not callable"],
)  # fmt: skip
def test_a_model_that_cannot_be_used_is_refused(load: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load()
