"""Estimates: the variance of a mean, the effective number of draws, and Wilson's interval."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.record_tables import is_nan
from minnorm.evaluation.estimates import (
    Z,
    count_distinct,
    effective_count,
    share_of,
    variance_of_mean,
)


def test_an_interval_is_two_sided_with_95_percent() -> None:
    assert pytest.approx(1.959963984540054, rel=1e-12) == Z


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=20))
def test_the_variance_of_a_mean_of_independent_values_is_the_usual_one(values: list[int]) -> None:
    found = variance_of_mean(np.array(values, dtype=np.float64), np.arange(len(values)) * 7)
    assert found == pytest.approx(statistics.variance(values) / len(values))
    assert isinstance(found, float)


def test_the_variance_of_a_mean_is_between_groups() -> None:
    # The mean is 3: the groups of samples differ from it by -3, 0 and 3 in total.
    values, samples = np.array([1.0, 2.0, 3.0, 6.0]), np.array([5, 5, 9, 2])
    assert variance_of_mean(values, samples) == pytest.approx((9 + 0 + 9) / 16 * 3 / 2)


@pytest.mark.parametrize("count", [1, 3])
def test_the_variance_of_a_mean_of_one_group_is_infinite(count: int) -> None:
    assert variance_of_mean(np.arange(count) + 0.5, np.full(count, 4)) == math.inf


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_single_records_count_as_many_draws_as_they_are(hits: list[bool]) -> None:
    assert effective_count(np.array(hits), np.arange(len(hits))[::-1]) == len(hits)


@pytest.mark.parametrize(
    ("hits", "samples", "draws"),
    [
        # All equal, or all of one sample: as many draws as samples.
        ([True] * 4, [0, 0, 1, 1], 2),
        ([False] * 4, [0, 0, 1, 1], 2),
        ([True, False, True], [3, 3, 3], 1),
        # The share is a half; the groups differ from it by 1, -1 in total, so the variance of the
        # mean is (1 + 1) / 16 * 2.
        ([True, True, False, False], [0, 0, 1, 1], 0.25 / 0.25),
        # Two groups of three: 1/4 / ((1/4 + 1/4) / 36 * 2) is more than the records.
        ([True, True, False, True, False, False], [0, 0, 0, 1, 1, 1], 6),
        # Groups of three and one, with the totals 0.75, -0.75.
        ([True, True, True, False], [0, 0, 0, 1], 3 / 16 / (2 * 9 / 16 / 16 * 2)),
        # No variance between the groups at all.
        ([True, False, True, False], [0, 0, 1, 1], 4),
    ],
)  # fmt: skip
def test_groups_count_as_draws_by_their_variance(
    hits: list[bool], samples: list[int], draws: float
) -> None:
    assert effective_count(np.array(hits), np.array(samples)) == pytest.approx(draws)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # Wilson's interval, see Newcombe (1998), table I.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
     (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_wilsons_interval_is_the_published_one(
    hits: int, count: int, low: float, high: float
) -> None:
    found = share_of(np.arange(count) < hits, np.arange(count))
    assert found.value == pytest.approx(hits / count)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_of_all_hits_the_interval_ends_at_1() -> None:
    value, low, high = share_of(np.full(20, True), np.arange(20))
    assert (value, high) == (1, 1)
    assert low == pytest.approx(1 - 0.1611, abs=5e-5)


def test_groups_widen_wilsons_interval() -> None:
    hits, samples = np.array([True, False, False, False]), np.array([0, 0, 1, 1])
    grouped = share_of(hits, samples)
    count = effective_count(hits, samples)
    assert count == pytest.approx(3 / 16 / (2 * 1 / 4 / 16 * 2))
    assert grouped.value == 0.25
    for end in (grouped.low, grouped.high):
        assert (0.25 - end) ** 2 == pytest.approx(Z**2 * end * (1 - end) / count)


def test_the_share_of_nothing_is_nan() -> None:
    assert is_nan(share_of(np.array([], dtype=bool), np.array([], dtype=np.int64)))


@given(st.lists(st.integers(-5, 5), max_size=20))
def test_samples_are_counted_in_any_order(samples: list[int]) -> None:
    assert count_distinct(np.array(samples, dtype=np.int64)) == len(set(samples))
    ascending = np.array(sorted(set(samples)), dtype=np.int64)
    assert count_distinct(ascending) == len(ascending)


@given(st.permutations(range(8)))
def test_the_order_of_independent_values_changes_no_variance(order: list[int]) -> None:
    values, samples = np.arange(8.0) ** 2, np.arange(8)
    found = variance_of_mean(values[order], samples[order])
    assert found == pytest.approx(variance_of_mean(values, samples))
