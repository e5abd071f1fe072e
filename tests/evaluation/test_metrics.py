"""Metrics: each equals a naive loop over the rows, and holds at the ends of its range."""

import inspect
import math
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evaluation.record_tables import DISTANCE, DISTANCES, INF, is_nan, table
from minnorm.evaluation import (
    SCHEMA,
    Records,
    accuracy_at,
    clean_accuracy,
    closest_records,
    mean_distance,
    median_distance,
    of_attack,
    optimality,
    robustness_curve,
    success_rate,
    summarize,
)
from minnorm.evaluation.metrics import Over, accuracies_at
from minnorm.geometry import Norm


@given(DISTANCES, st.integers(0, 14).map(lambda n: n / 4))
def test_accuracy_at_is_the_share_of_distances_above(found: list[float], epsilon: float) -> None:
    naive = sum(distance > epsilon for distance in found) / len(found)
    assert accuracy_at(table(found), epsilon).value == pytest.approx(naive)


@given(DISTANCES, st.floats(0, 4))
def test_the_curve_is_accuracy_at_for_every_radius(found: list[float], epsilon: float) -> None:
    records = table(found)
    radii, accuracies = robustness_curve(records)
    assert radii[0] == 0
    assert (np.diff(radii) > 0).all()
    assert (np.diff(accuracies) <= 0).all()
    for radius in (epsilon, *radii):
        step = np.searchsorted(radii, radius, side="right") - 1
        assert accuracies[step] == pytest.approx(accuracy_at(records, radius).value)


@pytest.mark.parametrize(("norm", "scale"), [("l0", 10), ("l1", 4), ("linf", 0.5)])
def test_metrics_use_the_column_of_their_norm(norm: Norm, scale: float) -> None:
    records = table([0.5, 1.0, 2.5, INF])
    assert mean_distance(records, norm).value == pytest.approx(scale * mean_distance(records).value)
    assert median_distance(records, norm).value == pytest.approx(scale * 1.75)
    assert accuracy_at(records, scale * 1.5, norm).value == 0.5
    assert robustness_curve(records, norm)[0] == pytest.approx(
        [0, *(scale * d for d in (0.5, 1, 2.5))], rel=1e-5
    )


@pytest.mark.parametrize(
    "metric",
    [
        mean_distance,
        median_distance,
        partial(accuracy_at, epsilon=0.6),
        lambda records, **norm: robustness_curve(records, **norm)[0].tolist(),
        partial(summarize, attack="it"),
        lambda records, **norm: closest_records(records, **norm).to_pylist(),
    ],
)
def test_by_default_distances_are_in_the_norm_of_the_attack(metric: Callable[..., object]) -> None:
    of_linf, of_l2 = table([0.5, 1.0, 2.5], norm="linf"), table([0.5, 1.0, 2.5])
    assert repr(metric(of_linf)) == repr(metric(of_linf, norm="linf"))
    assert repr(metric(of_linf)) != repr(metric(of_linf, norm="l2"))
    assert repr(metric(of_l2)) == repr(metric(of_l2, norm="l2"))


@pytest.mark.parametrize(
    "metric",
    [mean_distance, median_distance, robustness_curve, partial(accuracy_at, epsilon=1.0)],
)
def test_distances_in_several_norms_are_never_pooled(metric: Callable[..., object]) -> None:
    records = pa.concat_tables([table([1.0, 3.0]), table([2.0, 1.0], norm="linf")])
    with pytest.raises(ValueError, match="minimize l2 and linf"):
        metric(records)
    metric(records, norm="l2")


def counted(found: list[float], over: Over) -> list[float]:
    """Return the distances that a metric is over; 0 is a misclassified sample."""
    return found if over == "all" else [distance for distance in found if distance > 0]


@pytest.mark.parametrize("over", ["correct", "all"])
@given(found=DISTANCES)
def test_rates_and_mean_are_those_of_a_naive_loop(found: list[float], over: Over) -> None:
    records = table(found)
    chosen = counted(found, over)
    finite = [distance for distance in chosen if math.isfinite(distance)]
    rate, mean = success_rate(records, over), mean_distance(records, over=over)
    assert clean_accuracy(records).value == pytest.approx(sum(d > 0 for d in found) / len(found))
    if chosen:
        assert rate.value == pytest.approx(len(finite) / len(chosen))
    else:
        assert is_nan(rate)
    if finite:
        assert mean.value == pytest.approx(statistics.fmean(finite))
        assert 0 <= mean.low <= mean.value <= mean.high
    else:
        assert is_nan(mean)


@pytest.mark.parametrize("over", ["correct", "all"])
@given(found=DISTANCES)
def test_the_median_counts_failures_at_infinity(found: list[float], over: Over) -> None:
    ordered = sorted(counted(found, over))
    value, low, high = median_distance(table(found), over=over)
    if not ordered:
        assert math.isnan(value)
        return
    lower, upper = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    assert value == (lower if lower == upper else (lower + upper) / 2)
    if len(ordered) < 6:
        assert (low, high) == (0.0, INF)
    else:
        assert ordered[0] <= low <= value <= high <= ordered[-1]


@pytest.mark.parametrize("over", ["correct", "all"])
@given(found=DISTANCES, gray=st.integers(0, 12).map(lambda n: n / 3))
def test_the_median_counts_failures_at_the_gray_image(
    found: list[float], gray: float, over: Over
) -> None:
    replaced = [distance if math.isfinite(distance) else gray for distance in counted(found, over)]
    value = median_distance(table(found, gray=gray), failures="gray", over=over).value
    expected = statistics.median(replaced) if replaced else math.nan
    assert value == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("metric", [success_rate, mean_distance, median_distance])
def test_another_choice_of_samples_is_refused(metric: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="over='some': expected 'correct' or 'all'"):
        # The bare function: in these tests its types are checked before.
        inspect.unwrap(metric)(table([1.0]), over="some")


def test_an_attack_that_fools_nobody_has_no_success_whatever_the_clean_errors() -> None:
    records = table([0.0, 0.0, 0.0, INF, INF])
    summary = summarize(records, "it")
    assert summary.success.value == 0
    assert is_nan(summary.mean)
    assert summary.median.value == INF
    assert (summary.samples, summary.clean_errors) == (5, 3)
    papers = summarize(records, "it", over="all")
    assert (papers.success.value, papers.mean.value, papers.median.value) == (0.6, 0.0, 0.0)


def test_without_correct_samples_there_is_no_success_to_measure() -> None:
    summary = summarize(table([0.0, 0.0]), "it")
    for estimate in (summary.success, summary.mean, summary.median, summary.median_gray):
        assert is_nan(estimate)
    assert accuracy_at(table([0.0, 0.0]), 0.0).value == 0


def test_a_sample_of_a_third_class_is_an_error_of_targeted_attacks_too() -> None:
    # Of two samples of class 0 with target 2, one is classified as 1 before any attack.
    records = table([1.0, 3.0], targets=[2, 2])
    columns = {name: records.column(name) for name in SCHEMA.names}
    changed = pa.table(columns | {"clean_prediction": pa.array([0, 1])}, schema=SCHEMA)
    assert clean_accuracy(changed).value == 0.5
    assert [accuracy_at(changed, radius).value for radius in (0.0, 0.5, 2.0)] == [0.5, 0.5, 0.0]
    assert success_rate(changed).value == 1
    assert mean_distance(changed).value == 1
    assert robustness_curve(changed)[1].tolist() == [0.5, 0.0]


def test_without_bounds_a_failure_is_infinitely_far_in_each_median() -> None:
    part = table([1.0, 2.0, math.inf], gray=math.inf)
    assert summarize(part, "any").median_gray == summarize(part, "any").median
    limited = table([1.0, math.inf], gray=math.inf, radius_limit=1.5)
    assert is_nan(summarize(limited, "any").median_gray)  # between 1 and what lies beyond 1.5


def test_the_gray_image_is_refused_in_other_norms_than_l2() -> None:
    with pytest.raises(ValueError, match="failures='gray' is defined for norm='l2', not 'linf'"):
        median_distance(table([1.0]), "linf", "gray")


@pytest.mark.parametrize(
    "metric",
    [
        success_rate,
        mean_distance,
        median_distance,
        robustness_curve,
        lambda records: accuracy_at(records, 1.0),
        lambda records: summarize(records, "all"),
        lambda records: optimality(records, records),
    ],
)
def test_attacks_are_never_pooled(metric: Callable[[Records], object]) -> None:
    records = pa.concat_tables([table([1.0]), table([2.0], attack="other")])
    with pytest.raises(ValueError, match=r"of 2 attacks \(ddn, other\).*closest_records"):
        metric(records)


@pytest.mark.parametrize("epsilon", [-1.0, math.nan, math.inf, [1.0, 2.0], True])
def test_a_radius_is_a_finite_number_of_at_least_0(epsilon: Any) -> None:
    with pytest.raises(ValueError, match="expected one finite radius of at least 0"):
        inspect.unwrap(accuracy_at)(table([1.0]), epsilon)


def test_clean_accuracy_counts_each_sample_once() -> None:
    towards = [
        table([0.0, 1.0], targets=[1, 1]),
        table([0.0, 1.0], targets=[2, 2]),
        table([1.0], indices=[7], targets=[1]),
    ]
    assert clean_accuracy(pa.concat_tables(towards)).value == pytest.approx(2 / 3)


@given(st.lists(st.tuples(DISTANCE, DISTANCE), min_size=1, max_size=12))
def test_optimality_is_attackbenchs_formula(rows: list[tuple[float, float]]) -> None:
    # An attack leaves what is misclassified to begin with at 0, as the envelope does.
    best = [min(row) for row in rows]
    found = [0.0 if minimum == 0 else row[0] for row, minimum in zip(rows, best, strict=True)]
    limit = max((d for d in best if math.isfinite(d)), default=0.0)
    assume(limit > 0)
    grid = (np.arange(1000) + 0.5) * limit / 1000

    def area(distances: list[float]) -> float:
        return float((np.array(distances) > grid[:, None]).mean()) * limit

    clean = sum(d > 0 for d in best) / len(best) * limit
    assume(clean - area(best) > 1e-6)
    expected = 1 - (area(found) - area(best)) / (clean - area(best))
    assert optimality(table(found), table(best)) == pytest.approx(expected, abs=2e-2)


@given(DISTANCES)
def test_optimality_is_1_for_the_envelope_and_0_without_success(
    found: list[float],
) -> None:
    records = table(found)
    limit = max((d for d in found if math.isfinite(d)), default=0.0)
    if limit == 0:
        assert math.isnan(optimality(records, records))
        return
    assert optimality(records, records) == pytest.approx(1)
    nothing = table([0.0 if distance == 0 else INF for distance in found])
    # Where the only adversarials lie at the limit itself, nothing and all have the same area.
    if any(0 < distance < limit for distance in found):
        assert optimality(nothing, records) == pytest.approx(0)


def test_optimality_needs_an_envelope_in_its_norm() -> None:
    records, other = table([1.0, 2.0], norm="linf"), table([1.0, 2.0])
    envelope = closest_records(pa.concat_tables([records, table([1.0, 2.0], attack="fmn")]), "l2")
    for best in (other, envelope):
        with pytest.raises(ValueError, match=r"smallest in l2, .* in linf: use closest_records"):
            optimality(records, best)
    assert optimality(records, other, "l2") == pytest.approx(1)


def test_optimality_needs_the_same_samples() -> None:
    with pytest.raises(ValueError, match="not of the same samples"):
        optimality(table([1.0, 2.0]), table([1.0, 2.0], indices=[1, 2]))
    with pytest.raises(ValueError, match="not of the same samples and targets"):
        optimality(table([1.0], targets=[3]), table([1.0], targets=[4]))


def test_a_summary_holds_the_single_metrics() -> None:
    records = pa.concat_tables([table([1.0, INF, 0.0]), table([9.0], attack="other")])
    part = of_attack(records, "ddn")
    summary = summarize(part, "a name")
    assert (summary.attack, summary.samples, summary.clean_errors) == ("a name", 3, 1)
    assert summary.success == success_rate(part)
    assert summary.mean == mean_distance(part)
    assert summary.median == median_distance(part)
    assert summary.median_gray == median_distance(part, failures="gray")
    assert (summary.forwards, summary.backwards, summary.seconds) == (6.0, 5.0, 0.75)
    assert is_nan(summarize(part, "a name", "linf").median_gray)


def test_metrics_of_no_records_are_nan() -> None:
    empty = SCHEMA.empty_table()
    for estimate in (success_rate, clean_accuracy, mean_distance, median_distance):
        assert is_nan(estimate(empty))
    assert is_nan(accuracy_at(empty, 1.0))
    assert np.isnan(robustness_curve(empty)[1]).all()
    assert math.isnan(optimality(empty, empty))


def test_failures_alone_are_robust_at_every_radius() -> None:
    records = table([INF, INF, INF])
    assert success_rate(records).value == 0
    assert is_nan(mean_distance(records))
    assert median_distance(records) == (INF, 0.0, INF)
    assert median_distance(table([INF] * 6)) == (INF, INF, INF)
    assert accuracy_at(records, 1e30).value == 1
    radii, accuracies = robustness_curve(records)
    assert (list(radii), list(accuracies)) == ([0.0], [1.0])


@given(DISTANCES, st.lists(DISTANCE.filter(math.isfinite), max_size=4))
def test_several_accuracies_are_those_of_each_radius(
    found: list[float], epsilons: list[float]
) -> None:
    records = table(found, radius_limit=2.0)
    expected = tuple(accuracy_at(records, epsilon) for epsilon in epsilons)
    assert repr(accuracies_at(records, epsilons)) == repr(expected)


def test_a_radius_of_several_that_is_no_radius_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one finite radius of at least 0"):
        accuracies_at(table([1.0]), [1.0, -1.0])
