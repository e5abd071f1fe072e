"""One-sided bounds: exact ones against SciPy, those of targeted runs against what they must be."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from minnorm.evaluation.estimates import Array
from minnorm.report.decisions.bounds import (
    effective_draws,
    mean_bounds,
    median_bounds,
    share_bounds,
)

TAILS = st.sampled_from([0.05, 0.025, 0.005])


def alone(values: Array) -> Array:
    """Return a sample of its own for each value."""
    return np.arange(len(values))


@given(st.integers(1, 60), st.data(), TAILS)
def test_the_bounds_of_a_share_are_those_of_clopper_and_pearson(
    count: int, data: st.DataObject, tail: float
) -> None:
    found = data.draw(st.integers(0, count))
    hits = np.arange(count) < found
    exact = stats.binomtest(found, count).proportion_ci(1 - 2 * tail, method="exact")
    assert share_bounds(hits, alone(hits), tail) == pytest.approx((exact.low, exact.high))


@given(st.integers(1, 200), TAILS)
def test_the_bounds_of_a_median_are_the_narrowest_that_hold_for_every_distribution(
    count: int, tail: float
) -> None:
    values = np.random.default_rng(count).permutation(np.arange(1.0, count + 1))
    low, high = median_bounds(values, alone(values), tail)
    if low == 0:
        assert (high, stats.binom.cdf(0, count, 0.5) > tail) == (math.inf, True)
        return
    # The median is below the k-th smallest value if fewer than k values are below the median.
    assert stats.binom.cdf(low - 1, count, 0.5) <= tail < stats.binom.cdf(low, count, 0.5)
    assert high == count + 1 - low


def test_a_median_of_failures_is_infinite() -> None:
    values = np.array([1.0] * 3 + [math.inf] * 20)
    assert median_bounds(values, alone(values), 0.05) == (math.inf, math.inf)


def test_the_bounds_of_a_mean_are_those_of_student_with_one_more_value() -> None:
    values = np.random.default_rng(0).uniform(1, 2, 50)
    wide, narrow = (mean_bounds(values, alone(values), tail) for tail in (0.005, 0.05))
    more = np.append(values, 0.0)
    assert wide.low < narrow.low < values.mean() < narrow.high < wide.high
    student = stats.t.interval(0.9, 50, more.mean(), stats.sem(more))
    assert narrow.low == pytest.approx(student[0])
    more[-1] = 2 * values.mean()
    assert narrow.high > stats.t.interval(0.9, 50, more.mean(), stats.sem(more))[1]  # skewness


def test_equal_values_do_not_prove_a_mean() -> None:
    # Of 10 values, each 1 except for one in ten that is 0.1, a third have none of the small ones.
    low, high = mean_bounds(np.ones(10), np.arange(10), 0.05)
    assert low < 0.91
    assert high > 1.09
    assert mean_bounds(np.ones(9), np.zeros(9), 0.05) == (0, math.inf)


@pytest.mark.parametrize("count", [5, 10, 20, 50])
@pytest.mark.parametrize("rare", [0.1, 2.0])
def test_bounds_of_a_mean_hold_for_values_that_are_nearly_always_equal(
    count: int, rare: float
) -> None:
    misses = [0.0, 0.0]
    for share in (0.05, 0.1, 0.3, 0.6):
        truth = 1 - share + share * rare
        missed = [0.0, 0.0]
        for found in range(count + 1):
            values = np.array([rare] * found + [1.0] * (count - found))
            low, high = mean_bounds(values, np.arange(count), 0.05)
            probability = stats.binom.pmf(found, count, share)
            missed[0] += probability * (low > truth)
            missed[1] += probability * (high < truth)
        misses = [max(pair) for pair in zip(misses, missed, strict=True)]
    assert max(misses) < 0.08


def test_without_values_everything_is_possible() -> None:
    nothing = np.array([])
    assert share_bounds(nothing, nothing, 0.05) == (0, 1)
    assert median_bounds(nothing, nothing, 0.05) == (0, math.inf)
    assert mean_bounds(nothing, nothing, 0.05) == (0, math.inf)


def test_equal_values_of_a_sample_are_one_draw_at_most() -> None:
    hits = np.random.default_rng(0).random(40) < 0.5
    repeated, samples = np.repeat(hits, 9), np.repeat(np.arange(40), 9)
    single = share_bounds(hits, alone(hits), 0.05)
    clustered = share_bounds(repeated, samples, 0.05)
    assert clustered.low <= single.low
    assert single.high <= clustered.high
    assert effective_draws(repeated, samples, 0.05) < 40
    assert effective_draws(hits, alone(hits), 0.05) == 40


def test_independent_values_of_many_samples_count_nearly_in_full() -> None:
    hits = np.random.default_rng(0).random(9000) < 0.5
    assert 8000 < effective_draws(hits, np.repeat(np.arange(1000), 9), 0.05) <= 9000


@pytest.mark.parametrize("hits", [np.full(90, True), np.full(90, False)])
def test_equal_values_of_few_samples_show_little(hits: Array) -> None:
    # Ten samples that are all robust cannot exclude that one in eight is not, whatever the targets.
    low, high = share_bounds(hits, np.repeat(np.arange(10), 9), 0.05)
    assert high - low > 0.2


def test_one_sample_shows_next_to_nothing() -> None:
    low, high = share_bounds(np.array([True] * 5 + [False] * 4), np.zeros(9), 0.05)
    assert high - low > 0.9
