"""How normal pursuit spends its budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minnorm.attacks.engine.tournaments import FORWARD_COST, Tournament, plan


def test_a_tournament_costs_its_aims_its_steps_and_its_probes() -> None:
    tournament = Tournament(2, 3, False, ((6, 4), (3, 5), (1, 7)), probes=8)
    aims = 2 * (0.4 + 3)
    steps = 6 * 4 + 3 * 5 + 1 * 7
    assert FORWARD_COST == 0.4
    assert tournament.cost() == pytest.approx(aims + 1.4 * steps + 0.4 * 8 * 1)
    assert tournament.cost(step=1) == pytest.approx(aims + steps + 0.4 * 8 * 1)
    late = Tournament(1, 1, False, ((1, 0), (4, 2)), probes=2)
    assert late.cost() == pytest.approx(1.4 + 1.4 * 8 + 0.4 * 2 * 4)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (2, Tournament(1, 1, False, ((1, 0), (1, 0), (1, 0)), 1)),
        (10, Tournament(1, 1, False, ((1, 1), (1, 0), (1, 4)), 1)),
        (19, Tournament(1, 1, False, ((1, 1), (1, 0), (1, 11)), 1)),
        (20, Tournament(1, 2, False, ((2, 2), (1, 3), (1, 4)), 4)),
        (30, Tournament(1, 3, False, ((3, 2), (2, 2), (1, 7)), 4)),
        (74, Tournament(1, 3, False, ((3, 7), (2, 6), (1, 16)), 4)),
        (75, Tournament(3, 3, False, ((9, 2), (5, 2), (2, 8)), 4)),
        (100, Tournament(3, 3, False, ((9, 3), (5, 3), (2, 9)), 4)),
        (149, Tournament(3, 3, False, ((9, 4), (5, 5), (2, 17)), 4)),
    ],
)
def test_small_budgets_buy_one_tournament(budget: int, expected: Tournament) -> None:
    assert plan(budget) == [expected]


def test_larger_budgets_buy_one_tournament_for_each_100() -> None:
    assert len(plan(149)) == 1
    assert len(plan(151)) == 2
    assert len(plan(1000)) == 10
    assert plan(300) == [
        Tournament(3, 3, False, ((9, 3), (5, 3), (2, 9)), 4),
        Tournament(1, 9, True, ((9, 3), (5, 3), (2, 10)), 4),
        Tournament(3, 3, False, ((9, 3), (5, 3), (2, 9)), 4),
    ]


def test_few_classes_are_aimed_at_from_more_points() -> None:
    assert plan(100, others=1) == [Tournament(9, 1, False, ((9, 3), (5, 3), (2, 9)), 4)]
    assert plan(30, others=2)[0].classes == 2
    assert plan(30, others=2)[0].points == 2
    assert [one.classes for one in plan(200, others=5)] == [3, 5]
    assert [one.classes for one in plan(200, others=99)] == [3, 9]


def test_targeted_there_is_one_ray() -> None:
    assert plan(100, targeted=True) == [Tournament(1, 1, False, ((1, 1), (1, 0), (1, 68)), 4)]
    assert plan(10, targeted=True) == [Tournament(1, 1, False, ((1, 1), (1, 0), (1, 4)), 1)]
    assert plan(250, targeted=True) == 2 * plan(125, targeted=True)


@given(st.integers(2, 3000), st.integers(1, 100), st.booleans())
def test_a_plan_spends_its_budget_and_no_more(budget: int, others: int, targeted: bool) -> None:
    tournaments = plan(budget, others=others, targeted=targeted)
    cost = sum(one.cost() for one in tournaments)
    assert cost <= budget + 1e-6
    assert cost >= budget - max(3, 0.12 * budget)
    for one in tournaments:
        assert one.points * one.classes >= one.rounds[0][0]
        assert [rays for rays, _ in one.rounds] == sorted((r for r, _ in one.rounds), reverse=True)
