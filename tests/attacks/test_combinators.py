"""Attacks made of attacks: they keep the contract, and what each of them adds."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from attacks.cases import Attack
from attacks.networks import Linear, problem
from minnorm.attacks import (
    AttackResult,
    attack_name,
    bounded,
    ddn,
    deepfool,
    fgsm,
    fmn,
    pgd,
    with_bisection,
    with_restarts,
    worst_case,
)
from minnorm.boxes import quantize
from minnorm.errors import InputError
from minnorm.geometry import Norm, distances

SHORT = partial(ddn, steps=15)
COMBINED: dict[str, Attack] = {
    "worst_case": worst_case([SHORT, deepfool]),
    "with_restarts": with_restarts(SHORT, 3),
    "with_bisection": with_bisection(SHORT, 5),
    "bounded": bounded(SHORT, 0.8),
}


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("attack", COMBINED.values(), ids=COMBINED)
def test_combinations_keep_the_contract(attack: Attack, targeted: bool) -> None:
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


def test_the_worst_case_can_be_chosen_in_another_norm() -> None:
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


def test_an_attack_with_a_parameter_restarts_gets_it_set() -> None:
    attack = with_restarts(partial(pgd, epsilon=1.0), 4)
    assert attack_name(attack) == "pgd(epsilon=1.0, restarts=4)"
    with pytest.raises(InputError, match="always begins at the inputs"):
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
def test_a_spec_is_not_an_attack(combine: Any) -> None:
    given = {"epsilon": 1.0} if combine is bounded else {}
    with pytest.raises(InputError, match="'ddn' is not an attack: expected a function"):
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
            "worst_case cannot be called as an attack .*call a combinator first",
        ),
        (partial(fmn, **_MISSPELT), "cannot be called as an attack .*stepz"),
        (torch.nn.Linear(2, 2), "a Linear is a model, not an attack"),
        (partial(ddn, torch.relu), "cannot be called as an attack .too many positional arguments"),
        (len, "len cannot be called as an attack"),
        (_takes_a_norm, "_takes_a_norm cannot .*missing a required argument: 'norm'"),
    ],
)
@pytest.mark.parametrize("combine", [worst_case, with_restarts, with_bisection, bounded])
def test_a_function_with_other_arguments_is_not_an_attack(
    combine: Any, given: Any, message: str
) -> None:
    more = {"epsilon": 1.0} if combine is bounded else {}
    with pytest.raises(InputError, match=message):
        inspect.unwrap(combine)([given] if combine is worst_case else given, **more)


def test_a_worst_case_takes_an_iterator() -> None:
    model, inputs, labels = problem((20,))
    attacks: list[Attack] = [ddn, fmn]
    found = worst_case(iter(attacks))(model, inputs, labels)
    expected = worst_case(attacks)(model, inputs, labels)
    assert expected.success.all()
    assert torch.equal(found.distances, expected.distances)


@pytest.mark.parametrize("attacks", [ddn, "ddn", [], (), 5, None])
def test_a_worst_case_needs_a_list_of_attacks(attacks: Any) -> None:
    with pytest.raises(InputError, match="expected a list of at least one attack"):
        inspect.unwrap(worst_case)(attacks)


@pytest.mark.parametrize("norm", ["l3", ["l2"], 2])
def test_an_unknown_norm_is_refused(norm: Any) -> None:
    with pytest.raises(InputError, match="expected one of l0, l1, l2, linf"):
        inspect.unwrap(worst_case)([ddn], norm=norm)


def test_attacks_of_several_norms_need_one_that_compares_them() -> None:
    with pytest.raises(InputError, match=r"minimize l2 and linf: .* norm="):
        worst_case([fmn, partial(fmn, norm="linf")])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_radius_beyond_the_adversarials_changes_nothing(dtype: torch.dtype) -> None:
    model, inputs, labels = problem((20,), batch=50, dtype=dtype)
    attack = with_bisection(partial(fmn, steps=30))
    plain, inside = (one(model, inputs, labels) for one in (attack, bounded(attack, 100.0)))
    assert torch.equal(plain.adversarials, inside.adversarials)
    assert torch.equal(plain.distances, inside.distances)


@pytest.mark.parametrize("width", [1.0, 2.0, 255.0])
def test_bounded_keeps_an_adversarial_exactly_at_the_radius(width: float) -> None:
    levels = torch.arange(8, 168).view(-1, 4)
    inputs, points = ((levels + more).float() / 255 * width for more in (0, 8))

    def model(given: torch.Tensor) -> torch.Tensor:  # any smaller step in an entry is too short
        moved = ((given - inputs) / width * 255).round().amin(1) >= 8
        return torch.stack([~moved, moved], dim=1).float()

    def attack(*_: Any, norm: Norm = "linf", **__: Any) -> Any:
        found = torch.ones(len(inputs), dtype=torch.bool)
        return AttackResult(points, distances(points, inputs, norm), found)

    labels = torch.zeros(len(inputs), dtype=torch.int64)
    result = bounded(attack, 8 / 255 * width)(model, inputs, labels, bounds=(0.0, width))
    assert result.success.all()
    assert torch.equal(result.adversarials, points)
    smaller = bounded(attack, 7 / 255 * width)(model, inputs, labels, bounds=(0.0, width))
    assert not smaller.success.any()


def test_bounded_counts_misclassified_inputs_that_rounding_moves_out_of_the_radius() -> None:
    model, inputs, labels = problem((1, 4, 4), batch=20)
    attack = bounded(partial(SHORT, levels=8), 0.02)
    result = attack(model, inputs, (labels + 1) % 5)
    assert result.success.all()
    assert (result.distances <= 0.02).all()


@pytest.mark.parametrize(
    "combine",
    [
        lambda attack: worst_case([attack, partial(attack, steps=5)]),
        lambda attack: with_restarts(attack, 2),
        lambda attack: with_bisection(attack, 5),
        lambda attack: bounded(attack, 0.3),
    ],
    ids=["worst_case", "with_restarts", "with_bisection", "bounded"],
)
def test_combinations_stay_on_the_levels_of_their_attack(
    combine: Callable[[Attack], Attack],
) -> None:
    model, inputs, labels = problem((1, 4, 4), batch=40)
    inputs = quantize(inputs, 64, (0.0, 1.0))
    labels = model(inputs).argmax(1)
    result = combine(partial(SHORT, levels=64))(model, inputs, labels)
    assert result.success.any()
    assert torch.equal(quantize(result.adversarials, 64, (0.0, 1.0)), result.adversarials)
