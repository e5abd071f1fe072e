"""Paired differences: against SciPy, published numbers and exact enumeration."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from minnorm.evaluation.estimates import Array
from minnorm.report.decisions import paired
from minnorm.report.decisions.differences import difference
from minnorm.report.decisions.paired import (
    CONTINUITY,
    mcnemar,
    mean_change_bounds,
    median_changes,
    percentiles,
    share_difference_bounds,
)
from minnorm.report.decisions.pairs import PairedValues


def hits(both: int, only_a: int, only_b: int, neither: int) -> PairedValues:
    """Return truth values with these counts."""
    a = np.array([True] * (both + only_a) + [False] * (only_b + neither))
    b = np.array([True] * both + [False] * only_a + [True] * only_b + [False] * neither)
    return PairedValues(a, b, np.arange(len(a)))


def distances(a: Array, b: Array) -> PairedValues:
    return PairedValues(a, b, np.arange(len(a)))


def repeated(values: PairedValues, times: int) -> PairedValues:
    """Return each pair several times, as if a sample had equal pairs."""
    return PairedValues(*(np.repeat(one, times) for one in values))


def test_the_limits_of_a_difference_are_those_of_tango() -> None:
    # The example of Tango (1998): 44 patients, 43 with both outcomes, 1 with one of them.
    low, high = share_difference_bounds(hits(43, 1, 0, 0), 0.025)
    assert (low, high) == pytest.approx((-0.1181, 0.0594), abs=1e-4)


def test_runs_that_agree_have_the_limits_of_a_score_interval_at_0() -> None:
    low, high = share_difference_bounds(hits(30, 0, 0, 14), 0.025)
    expected = 1.959964**2 / (44 + 1.959964**2)
    assert (low, high) == pytest.approx((-expected, expected))


@pytest.mark.parametrize("correction", [0.0, CONTINUITY])
def test_swapping_the_runs_swaps_the_limits(correction: float) -> None:
    values = hits(20, 7, 3, 5)
    low, high = share_difference_bounds(values, 0.05, correction)
    swapped = PairedValues(values.b, values.a, values.samples)
    assert share_difference_bounds(swapped, 0.05, correction) == pytest.approx((-high, -low))


@pytest.mark.parametrize("true_difference", [0.0, -0.05])
def test_with_the_correction_the_limits_hold_for_every_truth(true_difference: float) -> None:
    count, tail = 40, 0.05
    limits = {
        (gained, lost): share_difference_bounds(
            hits(count - gained - lost, lost, gained, 0), tail, CONTINUITY
        )
        for gained, lost in product(range(25), repeat=2)
        if gained + lost <= count
    }
    for lost in (0.05, 0.1, 0.2, 0.3):
        shares = [lost + true_difference, lost, 1 - 2 * lost - true_difference]
        chances = {
            counts: stats.multinomial.pmf([*counts, count - sum(counts)], count, shares)
            for counts in limits
        }
        above = sum(p for one, p in chances.items() if limits[one].low > true_difference)
        below = sum(p for one, p in chances.items() if limits[one].high < true_difference)
        assert max(above, below) <= tail
        assert sum(chances.values()) > 0.99


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (3, 1), (1, 9), (12, 30)])
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int) -> None:
    changed = only_a + only_b
    expected = stats.binomtest(only_a, changed).pvalue if changed else 1.0
    assert mcnemar(hits(5, only_a, only_b, 7)) == pytest.approx(expected)


def test_equal_pairs_of_a_sample_do_not_make_a_difference_more_certain() -> None:
    values = hits(20, 7, 2, 5)
    assert mcnemar(repeated(values, 9)) == mcnemar(values)
    low, high = share_difference_bounds(repeated(values, 9), 0.05)
    alone = share_difference_bounds(values, 0.05)
    assert low <= alone.low
    assert alone.high <= high


def test_unequal_net_changes_are_tested_by_their_signs() -> None:
    # Samples with net changes of 1, 2 and 3 pairs, all in one direction: 2 of 8 sign patterns.
    a = np.array([True] * 6)
    found = mcnemar(PairedValues(a, ~a, np.array([0, 1, 1, 2, 2, 2])))
    assert found == 2 / 8


@pytest.mark.parametrize("balance", [0.5, 0.55, 0.62])
def test_the_signs_of_many_net_changes_are_flipped_at_random(
    balance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    a = generator.random((100, 9)) < np.where(generator.random((100, 1)) < balance, 0.9, 0.1)
    values = PairedValues(a.reshape(-1), ~a.reshape(-1), np.repeat(np.arange(100), 9))
    exact = mcnemar(values)
    monkeypatch.setattr(paired, "_MOST_TERMS", 0)
    error = math.sqrt(exact / 10_000)
    assert mcnemar(values) == pytest.approx(exact, abs=4 * error + 2e-4)


def test_the_resamples_of_a_median_are_those_of_scipy() -> None:
    generator = np.random.default_rng(0)
    a = generator.lognormal(size=61)
    b = a * generator.lognormal(0, 0.2, 61)
    value, changes = median_changes(distances(a, b), difference)
    expected = stats.bootstrap(
        (a, b), lambda a, b, axis: np.median(b, axis) - np.median(a, axis),
        paired=True, method="percentile", rng=1, n_resamples=4000,
    )  # fmt: skip
    assert value == np.median(b) - np.median(a)
    assert np.std(changes) == pytest.approx(expected.standard_error, rel=0.05)
    assert np.mean(changes) == pytest.approx(expected.bootstrap_distribution.mean(), abs=0.01)
    low, high = percentiles(changes, np.arange(61), 0.025)
    # Less than 2.5 % is left out, since Student's distribution has wider tails.
    tail = stats.norm.cdf(stats.t.ppf(0.025, 60) * math.sqrt(61 / 60))
    assert 0.02 < tail < 0.025
    assert np.mean(changes < low) <= tail <= np.mean(changes <= low)
    assert np.mean(changes > high) <= tail <= np.mean(changes >= high)


def test_the_medians_of_many_pairs_vary_as_they_should() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.uniform(1, 2, (2, 3000))
    value, changes = median_changes(distances(a, b), difference)
    assert value == np.median(b) - np.median(a)
    # The standard error of the median of uniform values is 1 / (2 * sqrt(n)).
    assert np.std(changes) == pytest.approx(math.sqrt(2 / 3000) / 2, rel=0.2)


def test_a_sample_with_most_of_the_pairs_decides_the_median_when_it_is_drawn() -> None:
    samples = np.append(np.zeros(600), np.arange(1, 401))
    a = np.where(samples == 0, 1.0, 2.0)
    _, changes = median_changes(PairedValues(a, np.full(1000, 5.0), samples), difference)
    assert set(changes) == {3.0, 4.0}
    assert np.mean(changes == 3.0) == pytest.approx(math.exp(-1), abs=0.03)


def test_the_bounds_of_a_mean_are_near_those_of_scipy_and_not_narrower_than_students() -> None:
    changes = np.random.default_rng(0).normal(0.3, 1, 200)
    # One more change at the mean itself leaves the bounds where they are.
    ends = (changes.mean(), changes.mean())
    low, high = mean_change_bounds(changes, np.arange(200), ends)(0.025)
    bca = stats.bootstrap((changes,), np.mean, rng=1).confidence_interval
    assert (low, high) == pytest.approx((bca.low, bca.high), abs=0.02)
    student = stats.t.interval(0.95, 199, changes.mean(), stats.sem(changes))
    assert low <= student[0] * 0.99 + changes.mean() * 0.01
    assert high >= student[1] * 0.99 + changes.mean() * 0.01


def test_medians_of_failures_are_infinite_and_their_difference_unknown() -> None:
    finite, infinite = np.full(20, 1.0), np.full(20, math.inf)
    value, changes = median_changes(distances(finite, infinite), difference)
    assert (value, percentiles(changes, np.arange(20), 0.05)) == (math.inf, (math.inf, math.inf))
    value, changes = median_changes(distances(infinite, infinite), difference)
    assert math.isnan(value)
    assert percentiles(changes, np.arange(20), 0.05) == (-math.inf, math.inf)


def test_random_numbers_are_always_the_same() -> None:
    a = np.random.default_rng(0).lognormal(size=30)
    one, other = (median_changes(distances(a, a[::-1]), difference)[1] for _ in range(2))
    assert np.array_equal(one, other)
    samples = np.arange(30)
    first, second = (mean_change_bounds(a, samples, (-1.0, 1.0))(0.05) for _ in range(2))
    assert first == second


def test_equal_pairs_of_a_sample_are_resampled_together() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.lognormal(size=(2, 40))
    values = distances(a, b)
    once, fivefold = (median_changes(one, difference) for one in (values, repeated(values, 5)))
    assert once[0] == fivefold[0]
    assert np.array_equal(once[1], fivefold[1])
    single = mean_change_bounds(b - a, values.samples, (-1.0, 1.0))(0.05)
    many = repeated(values, 5)
    found = mean_change_bounds(many.b - many.a, many.samples, (-1.0, 1.0))(0.05)
    assert found == pytest.approx(single)


def test_few_samples_show_nothing() -> None:
    few = np.arange(5)
    _, changes = median_changes(distances(few + 1.0, few + 2.0), difference)
    assert percentiles(changes, few, 0.05) == (-math.inf, math.inf)
    assert mean_change_bounds(few + 1.0, few, (0.0, 9.0))(0.05) == (-math.inf, math.inf)


def test_equal_changes_do_not_exclude_that_rare_ones_are_large() -> None:
    low, high = mean_change_bounds(np.zeros(20), np.arange(20), (-1.0, 2.0))(0.05)
    # One in ten changes by -1, and none of 20 samples shows it with a probability of 12 %.
    assert low < -0.1
    assert high == pytest.approx(-2 * low)
    more = np.append(np.zeros(20), -1.0)
    assert low == pytest.approx(more.mean() + stats.t.ppf(0.05, 19) * stats.sem(more))
