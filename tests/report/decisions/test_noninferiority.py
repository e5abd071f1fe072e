"""Changes from a baseline, measured pair by pair."""

import math

import numpy as np
import pytest

from evaluation.record_tables import table
from minnorm.evaluation import Records
from minnorm.evaluation.estimates import Array
from minnorm.report.decisions.measures import Measure
from minnorm.report.decisions.noninferiority import measure_change
from minnorm.report.decisions.pairs import pair_records
from minnorm.report.decisions.requirements import no_worse, read_metric
from report.made_runs import made_run

INF = math.inf


def change(
    a: list[float] | Records, b: list[float] | Records, text: str, margin: float = 0.02
) -> Measure:
    pairs = pair_records(made_run(a), made_run(b))
    return measure_change(pairs, no_worse(read_metric(text), margin))


def lognormal(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).lognormal(0, 0.5, count)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clean_accuracy", 0.25),
        ("accuracy@2", 0.5),
        # Both classify the last three correctly: 1, 2, inf and 4, 3, 2.5.
        ("success", 1 / 3),
        ("median", 0.5),
        ("mean", 7 / 3 - 1),
    ],
)
def test_shares_change_by_a_difference_and_distances_relatively(text: str, expected: float) -> None:
    found = change([0.0, 1.0, 2.0, INF], [1.0, 4.0, 3.0, 2.5], text)
    assert found.value == pytest.approx(expected)
    assert found.known == pytest.approx((expected, expected))


@pytest.mark.parametrize("text", ["accuracy@1", "median", "mean"])
def test_the_bounds_enclose_the_change_and_narrow_with_more_samples(text: str) -> None:
    widths = []
    for count in (50, 800):
        a = lognormal(count)
        found = change(a.tolist(), (0.9 * a * lognormal(count, 1)).tolist(), text)
        low, high = found.bounds(0.05)
        assert low <= found.value <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize("margin", [0.01, 0.1, 0.3])
def test_the_bounds_of_a_mean_decide_whether_the_scaled_difference_is_above_0(
    margin: float,
) -> None:
    a = lognormal(60)
    b = 0.9 * a * np.exp(0.1 * np.random.default_rng(1).standard_normal(60))
    low, high = change(a.tolist(), b.tolist(), "mean", margin).bounds(0.05)
    # The ratio of the means is near 0.9, so the change is -10 %.
    assert low < -0.08
    assert high > -0.12
    assert (low >= -margin, high < -margin) == (margin == 0.3, margin == 0.01)


def test_two_equal_runs_do_not_change() -> None:
    a = lognormal(40).tolist()
    assert change(a, a, "median").bounds(0.05) == (0.0, 0.0)
    for text in ("mean", "accuracy@1"):  # a rare loss of everything may be missing by chance
        low, high = change(a, a, text).bounds(0.05)
        assert -0.15 < low < 0 < high < 0.15


def test_infinite_medians_are_equal() -> None:
    found = change([INF] * 20, [INF] * 20, "median")
    assert found.value == 0
    assert found.bounds(0.05) == (0.0, 0.0)
    assert change([INF] * 20, [1.0] * 20, "median").bounds(0.05) == (-1.0, -1.0)
    assert change([1.0] * 20, [INF] * 20, "median").value == INF


@pytest.mark.parametrize("text", ["median", "accuracy@0.5"])
def test_beyond_the_radius_of_an_attack_nothing_is_known(text: str) -> None:
    limited = table([INF] * 20, radius_limit=0.25)
    found = change(limited, limited, text)
    assert math.isnan(found.value)
    assert found.bounds(0.05).low == -1
    assert found.remark == "an attack that failed did not search beyond 0.25"
    assert change(limited, limited, "accuracy@0.25").value == 0


@pytest.mark.parametrize(
    ("a", "b", "text", "remark"),
    [
        ([0.0, 1.0], [1.0, 0.0], "median", "no sample is classified correctly by both models"),
        ([0.0, 1.0], [1.0, 0.0], "success", "no sample is classified correctly by both models"),
        ([INF, 1.0], [1.0, INF], "mean", "no sample has an adversarial in both runs"),
    ],
)
def test_what_cannot_be_measured_may_be_anything(
    a: list[float], b: list[float], text: str, remark: str
) -> None:
    found = change(a, b, text)
    assert math.isnan(found.value)
    assert found.remark == remark
    assert found.bounds(0.05) == found.known
    assert found.known.low == -1
