"""Numbers as readers of a page see them."""

import math

import pytest

from minnorm.evaluation import Estimate, UpperBound
from minnorm.evaluation.estimates import UNKNOWN
from minnorm.report.texts import (
    beyond,
    decimals,
    distance,
    distance_interval,
    distance_of,
    listed,
    percent,
    percent_interval,
    percent_of,
    rounded_up,
)

INF = math.inf


def test_shares_are_percentages() -> None:
    assert percent(0.9334) == "93.3 %"
    assert percent(math.nan) == "unknown"
    assert percent_interval(Estimate(0.5, 0.25, 0.754)) == "25.0 to 75.4 %"
    assert percent_interval(UNKNOWN) == ""


def test_numbers_that_may_be_smaller_have_a_sign() -> None:
    assert percent_of(UpperBound(0.5, 0.0, 0.754)) == "≤ 50.0 %"
    assert percent_of(Estimate(0.5, 0.25, 0.754)) == "50.0 %"
    assert distance_of(UpperBound(0.25, 0.0, INF)) == "≤ 0.25"
    assert distance_of(Estimate(INF, 0.25, INF), 0.3) == "> 0.3"


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [
        (0.0, "0.0", "0.0"), (-0.0, "0.0", "0.0"), (-0.04, "0.0", "0.0"), (0.04, "0.0", "0.0"),
        (-0.06, "-0.1", "-0.1"), (0.06, "0.1", "+0.1"), (10.0, "10.0", "+10.0"),
        (INF, "∞", "+∞"), (-INF, "-∞", "-∞"),
    ],
)  # fmt: skip
def test_zero_has_no_sign(value: float, plain: str, signed: str) -> None:
    assert decimals(value, 1) == plain
    assert decimals(value, 1, signed=True) == signed


def test_an_infinite_number_exceeds_what_is_known() -> None:
    assert beyond(INF) == "∞"
    assert beyond(8 / 255) == "> 8/255"


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        (1.23456, INF, "1.235"), (0.000123456, INF, "0.0001235"), (0.0, INF, "0"),
        (INF, INF, "∞"), (INF, 0.3, "> 0.3"), (math.nan, INF, "unknown"),
    ],
)  # fmt: skip
def test_distances_have_four_digits(value: float, limit: float, text: str) -> None:
    assert distance(value, limit) == text


@pytest.mark.parametrize(
    ("estimate", "limit", "text"),
    [
        (Estimate(1.0, 0.51234, 1.5), INF, "0.512 to 1.5"),
        (Estimate(1.0, 0.0, INF), INF, "0 to ∞"),
        (Estimate(1.0, 0.1, INF), 0.3, "0.1 to > 0.3"),
        (Estimate(INF, INF, INF), INF, "∞ to ∞"),
        (UNKNOWN, INF, ""),
    ],
)
def test_intervals_of_distances_may_be_open(estimate: Estimate, limit: float, text: str) -> None:
    assert distance_interval(estimate, limit) == text


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1.0, 1), (7.2, 8), (10.0, 10), (99.5, 100), (101.0, 110), (2400.0, 2400), (2400.1, 2500)],
)
def test_numbers_of_samples_are_rounded_up_to_two_digits(count: float, expected: int) -> None:
    assert rounded_up(count) == expected


def test_words_are_listed_as_in_a_sentence() -> None:
    assert [listed("abc"[:count]) for count in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
