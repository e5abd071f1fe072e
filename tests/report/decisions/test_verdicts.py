"""Answers to requirements: how far off they are, and how many samples would decide."""

import numpy as np
import pytest

from minnorm.report import check
from minnorm.report.decisions.bounds import Bounds
from minnorm.report.decisions.measures import Measure
from minnorm.report.decisions.requirements import read_requirement
from minnorm.report.decisions.verdicts import verdict_on
from report.made_runs import made_run, shares


def measured(low: float, high: float) -> Measure:
    """Return a measure with bounds that do not depend on the probability."""
    middle = (low + high) / 2
    return Measure(middle, Bounds(middle, middle), lambda _: Bounds(low, high), 10)


@pytest.mark.parametrize(
    ("text", "low", "high", "expected"),
    [
        ("median >= 1", 1.0, 2.0, "met"),
        ("median > 1", 1.0, 2.0, "undecided"),
        ("median >= 2", 1.0, 2.0, "undecided"),
        ("median > 2", 1.0, 2.0, "not met"),
        ("median <= 2", 1.0, 2.0, "met"),
        ("median < 2", 1.0, 2.0, "undecided"),
        ("median <= 1", 1.0, 2.0, "undecided"),
        ("median < 1", 1.0, 2.0, "not met"),
    ],
)
def test_a_limit_on_a_bound_is_decided_as_the_relation_says(
    text: str, low: float, high: float, expected: str
) -> None:
    verdict = verdict_on(read_requirement(text), measured(low, high), 0.05, 1, 10)
    assert verdict.outcome == expected
    assert (verdict.low, verdict.high) == (low, high)


def test_each_bound_has_the_probability_that_its_answer_needs() -> None:
    asked: list[float] = []

    def bounds(tail: float) -> Bounds:
        asked.append(tail)
        return Bounds(0.5 - tail, 0.5 + tail)

    measure = Measure(0.5, Bounds(0.5, 0.5), bounds, 10)
    floor = verdict_on(read_requirement("median >= 0.5"), measure, 0.05, 5, 10)
    assert asked == [0.05, 0.01]
    assert (floor.low, floor.high) == (0.5 - 0.05, 0.5 + 0.01)
    ceiling = verdict_on(read_requirement("median <= 0.5"), measure, 0.05, 5, 10)
    assert (ceiling.low, ceiling.high) == (0.5 - 0.01, 0.5 + 0.05)


def test_the_shortfall_is_the_distance_from_the_limit() -> None:
    run = made_run(shares(700, 1000))
    verdicts = check(run, ["accuracy@1 >= 80%", "accuracy@1 <= 50%", "accuracy@1 >= 50%"]).verdicts
    assert [one.shortfall for one in verdicts] == pytest.approx([0.1, 0.2, -0.2])


def test_as_many_samples_as_suggested_usually_decide() -> None:
    (verdict,) = check(made_run(shares(33, 50)), ["accuracy@1 >= 60%"]).verdicts
    assert verdict.outcome == "undecided"
    assert verdict.needed is not None
    generator = np.random.default_rng(0)
    robust = generator.binomial(verdict.needed, 33 / 50, 200)
    found = [
        check(made_run(shares(int(one), verdict.needed)), ["accuracy@1 >= 60%"]) for one in robust
    ]
    assert 0.65 < sum(one.outcome == "met" for one in found) / 200 < 0.95


def test_nobody_can_say_how_many_samples_decide_at_the_limit_itself() -> None:
    (verdict,) = check(made_run(shares(30, 50)), ["accuracy@1 >= 60%"]).verdicts
    assert (verdict.outcome, verdict.needed) == ("undecided", None)
    (never,) = check(made_run(shares(9, 9)), ["accuracy@1 >= 100%"]).verdicts
    assert (never.outcome, never.needed) == ("undecided", None)
