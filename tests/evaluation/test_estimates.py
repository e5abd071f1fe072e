"""Estimates: their intervals cover what they should, and groups count as one draw."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evaluation.record_tables import DISTANCE, INF, table
from minnorm.evaluation import (
    Records,
    accuracy_at,
    mean_distance,
    median_distance,
    success_rate,
)
from minnorm.evaluation.estimates import Array, Z, mean_of, t_quantile


def test_the_interval_of_a_mean_of_one_is_infinite() -> None:
    assert mean_distance(table([1.5, INF])) == (1.5, 0.0, INF)
    two_targets = table([1.5, 2.5], indices=[0, 0], targets=[1, 2])
    assert mean_distance(two_targets) == (2.0, 0.0, INF)


def lognormal(sigma: float) -> Callable[[np.random.Generator, int], Array]:
    """Return a drawing of lognormal distances of mean 1."""
    return lambda rng, count: rng.lognormal(-(sigma**2) / 2, sigma, count)


@pytest.mark.parametrize("count", [2, 3, 5, 20])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, count: np.abs(rng.normal(1.0, 0.2, count)),
        lambda rng, count: rng.uniform(0.5, 1.5, count),
        lognormal(0.5),
        lognormal(1.0),
    ],
    ids=["normal", "uniform", "lognormal 0.5", "lognormal 1"],
)
def test_the_interval_of_a_mean_covers_it_also_for_few_and_skewed_distances(
    draw: Callable[[np.random.Generator, int], Array], count: int
) -> None:
    rng, samples, runs, hits = np.random.default_rng(count), np.arange(count), 2000, 0
    for _ in range(runs):
        _, low, high = mean_of(draw(rng, count), samples)
        hits += low <= 1.0 <= high
    assert hits / runs >= 0.93


def test_the_interval_of_a_mean_of_many_is_nearly_normal() -> None:
    found = np.random.default_rng(0).uniform(1, 2, 5000)
    value, low, high = mean_of(found, np.arange(5000))
    half = Z * float(found.std(ddof=1)) / math.sqrt(5000)
    assert value - low == pytest.approx(half, rel=1e-3)
    assert high - value == pytest.approx(half, rel=5e-2)


@pytest.mark.parametrize("noise", [0.0, 1e-8])
@pytest.mark.parametrize("count", [6, 20, 1000])
def test_equal_distances_do_not_make_their_mean_certain(noise: float, count: int) -> None:
    found = 1.5 + noise * np.random.default_rng(0).normal(size=count)
    value, low, high = mean_of(found, np.arange(count))
    assert value == pytest.approx(1.5)
    # If so many are at 0, or at 3, none of them is among the samples with a probability of 2.5 %.
    for end, other in ((low, 0.0), (high, 3.0)):
        share = (end - 1.5) / (other - 1.5)
        assert (1 - share) ** count == pytest.approx(0.025, rel=1e-3)


@pytest.mark.parametrize("found", [[1.5] * 2, [1.5] * 3, [1.5] * 5, [0.0] * 20])
def test_few_equal_distances_and_zeros_say_nothing_about_their_mean(found: list[float]) -> None:
    assert mean_of(np.array(found), np.arange(len(found))) == (found[0], 0.0, INF)


def test_equal_samples_do_not_make_a_mean_certain_although_their_targets_differ() -> None:
    found, samples = np.tile([1.0, 2.0], 6), np.repeat(np.arange(6), 2)
    assert mean_of(found, samples) == mean_of(np.full(6, 1.5), np.arange(6))


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [
        (1, 12.706204736),
        (2, 4.302652730),
        (3, 3.182446305),
        (4, 2.776445105),
        (19, 2.093024054),
        (120, 1.979930405),
        (199, 1.971956545),
        (200, 1.971896224),
        (1000, 1.962339081),
    ],
)
def test_the_quantile_of_students_t_is_that_of_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=1e-8)


@pytest.mark.parametrize("count", range(1, 6))
def test_few_distances_cannot_enclose_their_median(count: int) -> None:
    found = [float(number + 1) for number in range(count)]
    value, low, high = median_distance(table(found))
    assert (low, high) == (0.0, INF)
    assert value == (count + 1) / 2


@pytest.mark.parametrize("count", [*range(6, 60), 100, 333, 1000])
def test_the_interval_of_a_median_covers_it_with_95_percent_confidence(count: int) -> None:
    _, low, high = median_distance(table(list(range(1, count + 1))))
    # Order statistics low and high hold the median when it has from low to high - 1 draws below.
    below = range(round(low), round(high))
    coverage = sum(math.comb(count, number) for number in below) / 2**count
    assert coverage >= 0.95
    assert coverage < 0.999 or count < 15


@given(st.integers(0, 60), st.integers(1, 60))
def test_wilsons_interval_contains_the_share_and_stays_in_0_to_1(hits: int, count: int) -> None:
    assume(hits <= count)
    value, low, high = success_rate(table([1.0] * hits + [INF] * (count - hits)))
    assert value == pytest.approx(hits / count)
    assert 0 <= low <= value <= high <= 1
    assert high - low > 0.01  # never a point, not even at 0 and 1
    # Wilson's ends are where the share is 1.96 of *their* standard deviations away.
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            assert (value - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / count)


def _repeated(found: list[float], times: int) -> Records:
    """Repeat each sample with other targets at the same distance, which adds no information."""
    samples = [index for index in range(len(found)) for _ in range(times)]
    targets = [1 + target for _ in found for target in range(times)]
    return table([found[index] for index in samples], indices=samples, targets=targets)


@given(st.lists(DISTANCE, min_size=4, max_size=30), st.integers(2, 5))
def test_targets_of_a_sample_count_as_one_draw(found: list[float], times: int) -> None:
    once, often = table(found), _repeated(found, times)
    same_mean, mean = mean_distance(once), mean_distance(often)
    assert mean == pytest.approx(same_mean, nan_ok=True)
    narrow, wide = success_rate(once, "all"), success_rate(often, "all")
    assert wide.value == pytest.approx(narrow.value)
    # The variance is estimated from the draws, hence larger by Bessel's correction; Wilson's
    # interval grows as its root where the share is a half, and in proportion where it is near 0.
    widening = len(found) / (len(found) - 1)
    assert 0.999 < (wide.high - wide.low) / (narrow.high - narrow.low) < widening + 1e-9
    if math.isfinite(median_distance(once).high):
        assert median_distance(often).low <= median_distance(once).value
        assert median_distance(often).high >= median_distance(once).value


def test_independent_targets_count_as_separate_draws() -> None:
    rng = np.random.default_rng(0)
    found = rng.uniform(1, 2, 2000).tolist()
    samples = [index // 5 for index in range(2000)]
    pairs = table(found, indices=samples, targets=[1 + n % 5 for n in range(2000)])
    single = table(found)
    for alone, grouped in (
        (mean_distance(single), mean_distance(pairs)),
        (accuracy_at(single, 1.5), accuracy_at(pairs, 1.5)),
    ):
        assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.1)
