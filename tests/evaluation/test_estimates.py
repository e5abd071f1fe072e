"""Estimates: their intervals cover what they should, and groups count as one draw."""

import math

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


def test_the_interval_of_a_mean_of_one_is_not_a_point() -> None:
    value, low, high = mean_distance(table([1.5, INF]))
    assert value == 1.5
    assert low < value < high


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
    assert 0 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= 1
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
    narrow, wide = success_rate(once), success_rate(often)
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
