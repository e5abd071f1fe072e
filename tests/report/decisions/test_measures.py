"""Measures: what is measured, and what is known where an attack did not search far enough."""

import math

import pyarrow as pa
import pytest

from evaluation.record_tables import table
from minnorm.evaluation import (
    Records,
    accuracy_at,
    clean_accuracy,
    mean_distance,
    median_distance,
    success_rate,
)
from minnorm.report.decisions.bounds import Bounds
from minnorm.report.decisions.measures import measure
from minnorm.report.decisions.requirements import Metric, read_metric

INF = math.inf

RECORDS = table([0.0, 1.0, 2.0, 3.0, INF, 0.0, 2.5])

LIMITED = table([0.0, 0.1, 0.2, INF, INF], radius_limit=0.25)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clean_accuracy", clean_accuracy(RECORDS).value),
        ("accuracy@2", accuracy_at(RECORDS, 2.0).value),
        ("accuracy@0", accuracy_at(RECORDS, 0.0).value),
        ("accuracy_linf@0.5", accuracy_at(RECORDS, 0.5, "linf").value),
        ("median", median_distance(RECORDS).value),
        ("median_l1", median_distance(RECORDS, "l1").value),
        ("mean_linf", mean_distance(RECORDS, "linf").value),
        ("success", success_rate(RECORDS).value),
    ],
)
def test_a_measure_is_the_metric_of_the_tables(text: str, expected: float) -> None:
    found = measure(RECORDS, read_metric(text))
    assert found.value == expected
    assert found.known == (expected, expected)
    assert found.remark == ""
    low, high = found.bounds(0.05)
    assert low <= expected <= high


@pytest.mark.parametrize(
    ("metric", "count"),
    [(Metric("clean_accuracy"), 7), (Metric("median"), 5), (Metric("success"), 5),
     (Metric("mean"), 4), (Metric("accuracy", radius=1.0), 7)],
)  # fmt: skip
def test_a_measure_says_what_it_is_over(metric: Metric, count: int) -> None:
    assert measure(RECORDS, metric).count == count


def test_the_clean_accuracy_counts_a_sample_with_several_targets_once() -> None:
    records = table([0.0, 0.0, 1.0, 2.0], indices=[0, 0, 1, 1], targets=[1, 2, 1, 2])
    found = measure(records, Metric("clean_accuracy"))
    assert (found.value, found.count) == (0.5, 2)
    assert measure(records, Metric("accuracy", radius=1.5)).value == 0.25


def test_an_accuracy_beyond_the_radius_of_an_attack_has_an_upper_bound_only() -> None:
    within = measure(LIMITED, Metric("accuracy", radius=0.25))
    assert (within.value, within.known) == (0.4, (0.4, 0.4))
    beyond = measure(LIMITED, Metric("accuracy", radius=1.0))
    assert math.isnan(beyond.value)
    assert beyond.known == (0.0, 0.4)
    assert beyond.bounds(0.05) == (0.0, within.bounds(0.05).high)
    assert beyond.remark == "an attack that failed did not search beyond 0.25"


def test_a_median_beyond_the_radius_of_an_attack_is_at_least_that() -> None:
    records = table([0.1, INF, INF], radius_limit=0.25)
    found = measure(records, Metric("median"))
    assert found.value == INF
    assert found.known == pytest.approx((0.25, INF))
    assert "beyond 0.25" in found.remark
    many = table([0.1] + 40 * [INF], radius_limit=0.25)
    assert measure(many, Metric("median")).bounds(0.05) == pytest.approx((0.25, INF))
    unlimited = measure(table([0.1] + 40 * [INF]), Metric("median"))
    assert unlimited.bounds(0.05) == (INF, INF)
    assert unlimited.remark == ""


def test_a_median_between_a_success_and_a_failure_is_known_by_its_ends() -> None:
    found = measure(table([0.1, 0.2, INF, INF], radius_limit=0.25), Metric("median"))
    assert (found.value, found.known) == (INF, (0.2, INF))


def test_a_success_beyond_the_radius_of_another_attack_counts_as_a_failure() -> None:
    records = pa.concat_tables(
        [table([INF, 0.2], radius_limit=0.25), table([0.5], indices=[2]),
         table([0.1], indices=[3])]
    )  # fmt: skip
    assert measure(records, Metric("mean")).count == 2


@pytest.mark.parametrize(
    ("records", "text", "known", "remark"),
    [
        (table([0.0, 0.0]), "median", Bounds(0.0, INF), "classifies no sample correctly"),
        (table([0.0, 0.0]), "success", Bounds(0.0, 1.0), "classifies no sample correctly"),
        (table([INF, INF]), "mean", Bounds(0.0, INF), "the attack never succeeded"),
    ],
)
def test_what_cannot_be_measured_may_be_anything(
    records: Records, text: str, known: Bounds, remark: str
) -> None:
    found = measure(records, read_metric(text))
    assert math.isnan(found.value)
    assert found.known == known
    assert found.bounds(0.05) == known
    assert remark in found.remark
