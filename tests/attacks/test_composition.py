"""What an attack is made of: its parts, and everything that follows from them."""

import functools
from functools import partial
from typing import Any

import numpy as np
import pytest

from attacks.querying import by_decisions, by_scores
from minnorm import attacks
from minnorm.attacks import (
    AttackResult,
    accepts_accelerated,
    attack_name,
    bounded,
    ddn,
    fmn,
    pgd,
    with_bisection,
    with_restarts,
    worst_case,
)
from minnorm.attacks.composition import (
    access_needed,
    check_presets,
    fixed_radii_of,
    levels_of,
    most_demanding,
    norm_of,
    radii_of,
    radius_limit_of,
    takes_accelerated,
    tree,
)
from minnorm.errors import InputError
from minnorm.geometry import Norm


def mine(*_: Any, **__: Any) -> AttackResult:
    raise AssertionError


@accepts_accelerated
def marked(*_: Any, **__: Any) -> AttackResult:
    raise AssertionError


class Instance:
    """An attack that is an object."""

    def __call__(self, *_: Any, **__: Any) -> AttackResult:
        raise AssertionError


NUMPY_LEVELS: dict[str, Any] = {"levels": np.int64(8)}

NESTED = worst_case(
    [bounded(partial(ddn, steps=5), 0.5), with_bisection(partial(fmn, steps=7)), mine], norm="l2"
)


def test_a_tree_has_all_parts_in_their_order() -> None:
    functions = [part.function.__name__ for part in tree(NESTED).walk()]
    assert functions == ["_worst_case", "_bounded", "ddn", "_with_bisection", "fmn", "mine"]
    assert tree(ddn).parts == []
    assert tree(partial(ddn, steps=5)).arguments == {"steps": 5}


def test_names_are_specs() -> None:
    assert attack_name(ddn) == "ddn"
    assert attack_name(partial(ddn, steps=5, levels=256)) == "ddn(steps=5, levels=256)"
    assert attack_name(bounded(partial(ddn, steps=5), 0.5)) == (
        "bounded(attack='ddn(steps=5)', epsilon=0.5, norm='l2')"
    )
    assert attack_name(worst_case([ddn, fmn])) == "worst_case(attacks=['ddn', 'fmn'], norm='l2')"
    assert attack_name(Instance()) == "Instance"
    assert attack_name(partial(mine, step=1e400)) == "mine(step=1e999)"


def test_positional_presets_and_partials_of_partials_are_read() -> None:
    def combine(attack: Any, model: Any, inputs: Any, labels: Any, **given: Any) -> Any:
        return attack(model, inputs, labels, **given)

    attack = partial(combine, partial(ddn, steps=2))
    assert attack_name(attack) == "combine(attack='ddn(steps=2)')"
    inner = accepts_accelerated(partial(mine, gamma=0.1))
    outer = partial(inner, steps=3)
    assert outer.func is inner
    assert attack_name(outer) == "mine(gamma=0.1, steps=3)"
    assert takes_accelerated(inner)


def test_a_wrapper_of_a_marked_attack_is_not_marked() -> None:
    @functools.wraps(ddn)
    def wrapper(*args: Any, **given: Any) -> AttackResult:
        return ddn(*args, **given)

    assert not takes_accelerated(wrapper)


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (ddn, True),
        (partial(ddn, steps=3), True),
        (worst_case([ddn, with_bisection(fmn)]), True),
        (marked, True),
        (bounded(marked, 1.0), True),
        (mine, False),
        (NESTED, False),
        (with_bisection(mine), False),
        (Instance(), False),
    ],
)
def test_an_attack_takes_accelerated_models_if_all_its_parts_are_marked(
    attack: Any, expected: bool
) -> None:
    assert takes_accelerated(attack) is expected


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (partial(ddn, starts=None), "ddn: starts belong to the inputs of one batch"),
        (partial(ddn, targeted=True), r"ddn: targeted cannot be preset.* use targets='all'"),
        (partial(ddn, bounds=(0.0, 2.0)), "ddn: bounds cannot be preset: the evaluation sets it"),
        (worst_case([ddn, partial(fmn, generator=None)]), "fmn: generator cannot be preset"),
        (bounded(partial(mine, model=None), 1.0), "mine: model cannot be preset"),
        (partial(mine, starts=None, targeted=True), "mine: starts belong"),
    ],
)
def test_arguments_of_the_evaluation_cannot_be_preset(attack: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_presets(attack)


def test_other_arguments_can_be_preset() -> None:
    for attack in (NESTED, ddn, partial(ddn, steps=3, levels=4), Instance()):
        check_presets(attack)


def test_radii_are_those_of_all_parts() -> None:
    attack = worst_case([bounded(partial(pgd, epsilon=0.25), 0.5), ddn])
    assert radii_of(attack) == [0.5, 0.25]
    assert radii_of(ddn) == []


def within_a_default(
    *_: Any, epsilon: float = 0.25, norm: Norm = "linf", **__: Any
) -> AttackResult:
    raise AssertionError(epsilon, norm)


def with_a_word(*_: Any, epsilon: str = "small", **__: Any) -> AttackResult:
    raise AssertionError(epsilon)


INNER = partial(pgd, epsilon=0.25)


@pytest.mark.parametrize(
    ("attack", "norm", "limit"),
    [
        (ddn, "l2", None),
        (INNER, "l2", 0.25),
        (partial(INNER, epsilon=0.5), "l2", 0.5),
        (within_a_default, "linf", 0.25),
        (partial(within_a_default, epsilon=0.5), "linf", 0.5),
        (with_a_word, "l2", None),
        (len, "l2", None),
        (iter, "l2", None),  # shows no signature
        (with_bisection(INNER), "l2", 0.25),
        (with_restarts(INNER, 3), "l2", 0.25),
        (bounded(ddn, 0.5), "l2", 0.5),
        (bounded(INNER, 0.5), "l2", 0.25),
        (bounded(INNER, 0.125), "l2", 0.125),
        (worst_case([INNER, bounded(ddn, 0.5)]), "l2", 0.5),
        (worst_case([INNER, ddn]), "l2", None),
        (bounded(worst_case([INNER, ddn]), 0.5), "l2", 0.5),
        (partial(mine, attack=INNER, loss=len), "l2", 0.25),
        # In another norm, only what the radius implies is known.
        (partial(pgd, epsilon=0.25, norm="linf"), "l2", 0.25),
        (INNER, "linf", 0.0),
        (worst_case([partial(pgd, epsilon=0.25, norm="linf"), INNER], norm="l2"), "l2", 0.25),
        (bounded(partial(pgd, epsilon=0.25, norm="linf"), 0.5, norm="l2"), "l2", 0.25),
    ],
)
def test_the_radius_limit_is_how_far_an_attack_searches(
    attack: Any, norm: Norm, limit: float | None
) -> None:
    assert radius_limit_of(attack, norm) == limit


@pytest.mark.parametrize(
    ("attack", "norm", "radii"),
    [
        (ddn, "l2", None),
        (INNER, "l2", (0.25,)),
        (len, "l2", None),
        (with_bisection(INNER), "l2", (0.25,)),  # closer, but not to the closest
        (with_restarts(INNER, 3), "l2", (0.25,)),
        (bounded(ddn, 0.5), "l2", None),
        (bounded(ddn, 0.5, norm="linf"), "linf", (0.5,)),  # DDN minimizes another norm
        (bounded(INNER, 0.5), "l2", (0.25,)),
        (bounded(INNER, 0.125), "l2", (0.125,)),
        (worst_case([INNER, partial(pgd, epsilon=0.5)]), "l2", (0.25, 0.5)),
        (worst_case([INNER, ddn]), "l2", None),
        (worst_case([INNER, bounded(ddn, 0.5)]), "l2", None),
        (worst_case([INNER, bounded(ddn, 0.125)]), "l2", (0.125, 0.25)),
        (bounded(worst_case([INNER, ddn]), 0.5), "l2", None),
        (partial(mine, attack=INNER, loss=len), "l2", (0.25,)),
        (partial(pgd, epsilon=0.25, norm="linf"), "l2", ()),
        (worst_case([partial(pgd, epsilon=0.25, norm="linf"), INNER], norm="l2"), "l2", (0.25,)),
    ],
)
def test_the_fixed_radii_are_those_within_which_an_attack_searches_for_any_adversarial(
    attack: Any, norm: Norm, radii: tuple[float, ...] | None
) -> None:
    assert fixed_radii_of(attack, norm) == radii


@pytest.mark.parametrize(
    ("attack", "norm"),
    [
        (ddn, "l2"),
        (partial(fmn, norm="linf"), "linf"),
        (with_bisection(partial(fmn, norm="linf")), "linf"),
        (with_bisection(bounded(partial(fmn, norm="linf"), 1.0)), "linf"),
        (worst_case([fmn, partial(fmn, norm="linf")], norm="l1"), "l1"),
        (mine, "l2"),
        (Instance(), "l2"),
        (len, "l2"),
        (iter, "l2"),  # shows no signature
    ],
)
def test_the_norm_is_that_of_the_outermost_part_that_has_one(attack: Any, norm: str) -> None:
    assert norm_of([attack]) == norm


def test_a_bad_default_norm_is_refused() -> None:
    norm: Any = "l3"
    unknown = partial(fmn, norm=norm)
    with pytest.raises(InputError, match=r"fmn\(norm='l3'\): the default .* expected one of l0"):
        norm_of([unknown])
    with pytest.raises(InputError, match="the attacks minimize l2 and linf"):
        norm_of([ddn, partial(fmn, norm="linf")])


@pytest.mark.parametrize(
    ("attacks", "levels"),
    [
        ([ddn], None),
        ([partial(ddn, levels=8)], 8),
        ([partial(ddn, **NUMPY_LEVELS)], 8),
        ([with_bisection(partial(ddn, levels=8))], 8),
        ([worst_case([partial(ddn, levels=8), partial(fmn, levels=8)])], 8),
        ([worst_case([partial(ddn, levels=8), fmn])], None),
        ([partial(ddn, levels=8), partial(ddn, levels=9)], None),
        ([mine], None),
    ],
)
def test_levels_are_those_that_all_parts_share(attacks: Any, levels: int | None) -> None:
    assert levels_of(attacks) == levels


@pytest.mark.parametrize(
    ("attack", "needed"),
    [
        (ddn, "gradients"),
        (mine, "gradients"),
        (Instance(), "gradients"),
        (by_scores, "scores"),
        (partial(partial(by_decisions, budget=3), budget=4), "decisions"),
        (with_bisection(by_decisions), "decisions"),
        (worst_case([by_decisions, bounded(by_scores, 1.0)]), "scores"),
        (worst_case([by_decisions, partial(ddn, steps=2)]), "gradients"),
        (partial(mine, attack=by_scores), "scores"),
        (functools.wraps(by_decisions)(lambda *_, **__: None), "decisions"),
        (partial(attacks.attack, access="decisions"), "decisions"),
    ],
)
def test_an_attack_needs_what_its_most_demanding_part_needs(attack: Any, needed: str) -> None:
    assert access_needed(attack) == needed
    assert access_needed(attack, "decisions") == needed


def test_an_attack_may_use_what_the_model_offers() -> None:
    for attack in (attacks.attack, with_bisection(attacks.attack)):
        assert access_needed(attack) == "gradients"
        assert access_needed(attack, "scores") == "scores"


def test_the_most_demanding_access_includes_the_others() -> None:
    assert most_demanding(["decisions", "gradients", "scores"]) == "gradients"
    assert most_demanding(["decisions", "scores"]) == "scores"
    assert most_demanding([]) == "decisions"


def test_a_mark_with_another_word_is_refused() -> None:
    with pytest.raises(InputError, match="access='decision': expected one of 'gradients'"):
        attacks.needs("decision")
