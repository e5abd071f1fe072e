"""The work of an evaluation, estimated from the hyper-parameters of its attacks."""

from functools import partial
from typing import Any

import pytest

import minnorm
from attacks.querying import by_decisions
from minnorm.attacks import bounded, ddn, load_attack, with_restarts, worst_case
from minnorm.evaluation.preparation.work import (
    Workload,
    estimate_work,
    expected_gradients,
    workload,
    worth_preparing,
)


@pytest.mark.parametrize(
    ("spec", "gradients"),
    [
        ("ddn(steps=300)", 300),
        ("ddn", 100),
        ("normal_pursuit(budget=30)", 30),
        ("alma", 1000),
        ("apgd_min_norm(steps=20, searches=3, restarts=2)", 120),
        ("fgsm(epsilon=0.5)", 1),
        # Attacks that stop early.
        ("deepfool", 10),
        ("deepfool(steps=3)", 3),
        ("carlini_wagner", 9 * 200),
        # Within a radius a sample may be finished at once.
        ("pgd(epsilon=0.5, steps=40)", 4),
        ("apgd(epsilon=0.5, steps=100, restarts=3)", 30),
        ("pgd(epsilon=0.5, steps=2)", 1),
        # Combinations.
        ("worst_case(attacks=['ddn', 'fmn(steps=300)'])", 400),
        ("bounded(attack='ddn', epsilon=0.5)", 100),
        ("with_bisection(attack='ddn(steps=20)')", 20),
    ],
)
def test_the_gradients_of_an_attack_are_read_from_its_hyper_parameters(
    spec: str, gradients: float
) -> None:
    assert expected_gradients(load_attack(spec)) == pytest.approx(gradients)


def test_combinations_are_read_in_python_too() -> None:
    attack = partial(ddn, steps=7)
    assert expected_gradients(with_restarts(attack, 4)) == 28
    assert expected_gradients(worst_case([attack, bounded(ddn, 0.5)])) == 107
    assert expected_gradients(minnorm.attack) == 100
    assert expected_gradients(partial(minnorm.attack, budget=7)) == 7


@pytest.mark.parametrize("steps", ["many", None])
def test_an_attack_that_does_not_say_what_it_costs_counts_as_one_gradient(steps: Any) -> None:
    def own(model: Any, inputs: Any, labels: Any, *, steps: Any = steps, **_: Any) -> Any:
        raise NotImplementedError

    assert expected_gradients(own) == 1
    assert expected_gradients(lambda *_: None) == 1


def test_the_work_of_a_run_is_shared_by_its_ranks_and_repeated_for_each_target() -> None:
    def own(model: Any, inputs: Any, labels: Any, *, steps: int = 50, **_: Any) -> Any:
        raise NotImplementedError

    attacks = [partial(ddn, steps=10), load_attack("normal_pursuit(budget=20)"), own]
    assert workload(attacks, 100, targets=1, ranks=1) == Workload(100, 80, 30)
    assert workload(attacks, 100, targets=9, ranks=3) == Workload(34, 720, 270)
    assert workload([worst_case([ddn, own])], 1, targets=1, ranks=1) == Workload(1, 150, 0)


def test_the_work_is_the_time_of_all_gradients() -> None:
    assert estimate_work(1000, 30, 0.0003) == pytest.approx(9.0)
    assert estimate_work(0, 30, 0.1) == 0


@pytest.mark.parametrize(
    ("preparation", "work", "worth"),
    [
        (3.4, 7.2, False),  # half of the work
        (0.3, 7.2, False),  # 4 %
        (0.3, 30.0, True),  # 1 %
        (0.018, 1.0, True),
        (0.019, 1.0, False),
        (0.1, 0.0, False),
        (0.0, 0.0, True),
    ],
)
def test_a_preparation_is_worth_it_if_it_is_short_beside_the_work(
    preparation: float, work: float, worth: bool
) -> None:
    assert worth_preparing(preparation, work) == worth


def test_a_query_costs_less_than_a_gradient() -> None:
    attacks = [partial(by_decisions, budget=1000), partial(ddn, steps=100)]
    work = workload(attacks, 10, targets=2, ranks=1)
    assert work == Workload(samples=10, gradients=2 * (400 + 100), accelerated=200)
