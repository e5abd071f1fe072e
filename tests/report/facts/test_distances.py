"""Distributions of distances: bins, failures and quantiles."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from evaluation.record_tables import DISTANCES, INF, table
from minnorm.evaluation import median_distance
from minnorm.report.facts.distances import Distances, distances, distributions
from report.made_runs import attack_run


def one(values: list[float], limit: float | None = None) -> Distances:
    return distributions({("run", "ddn"): table(values, radius_limit=limit)})[0]


@settings(max_examples=40)
@given(values=DISTANCES)
def test_every_record_is_in_a_bin_a_failure_or_misclassified(values: list[float]) -> None:
    found = one(values)
    hits = [value for value in values if 0 < value < INF]
    assert (found.failures, found.misclassified) == (values.count(INF), values.count(0.0))
    assert found.counts.sum() == len(hits)
    assert len(found.edges) == len(found.counts) + 1
    for number, count in enumerate(found.counts.tolist()):
        low, high = found.edges[number], found.edges[number + 1]
        assert count == sum(
            low <= value < high or value == high == found.edges[-1] for value in hits
        )
    expected = median_distance(table(values)).value
    assert found.quantiles[0.5] == expected or math.isnan(expected)


def test_quantiles_are_of_the_correctly_classified_samples() -> None:
    found = one([0.0, *(float(number) for number in range(1, 101))])
    assert found.quantiles == {0.05: 5.5, 0.25: 25.5, 0.5: 50.5, 0.75: 75.5, 0.95: 95.5}
    assert one([1.0, 2.0, 3.0]).quantiles == {0.05: 1.0, 0.25: 1.0, 0.5: 2.0, 0.75: 3.0, 0.95: 3.0}


def test_a_failure_is_infinitely_far() -> None:
    assert one([1.0, 2.0, INF]).quantiles[0.75] == INF
    assert one([1.0, INF]).quantiles[0.5] == INF


def test_between_a_success_and_a_failure_beyond_a_limit_nothing_is_known() -> None:
    found = one([0.1, INF], limit=0.3)
    assert math.isnan(found.quantiles[0.5])
    assert (found.quantiles[0.25], found.quantiles[0.75]) == (0.1, INF)


def test_a_few_large_distances_do_not_hide_the_others() -> None:
    found = one([*np.linspace(1.0, 2.0, 500).tolist(), 60.0])
    assert (found.counts > 0).sum() >= 4
    assert len(found.counts) <= 201


def test_the_attacks_of_a_run_have_bins_of_one_round_width() -> None:
    run = attack_run({"ddn": [1.0, 2.0, 3.0], "deepfool": [2.0, 4.0, 9.0]})
    widths = {float(found.edges[1]) for found in distances(run)}
    assert len(widths) == 1
    assert widths == {0.5}
    assert [found.attack for found in distances(run)] == ["ddn", "deepfool", "worst case"]


def test_counts_of_changed_values_have_bins_of_whole_numbers() -> None:
    run = attack_run({"ddn": [0.1, 0.2, 0.3]})  # 1 to 3 changed values
    found = distances(run, "l0")[0]
    assert found.edges.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert found.counts.tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("values", [[], [INF, INF], [0.0]])
def test_without_a_success_the_bins_are_empty(values: list[float]) -> None:
    found = one(values)
    assert found.counts.sum() == 0
    assert (found.failures, found.misclassified) == (values.count(INF), values.count(0.0))


def test_distances_of_fixed_radii_may_be_smaller() -> None:
    found = distributions({("run", "pgd"): table([0.3, 0.2], fixed_radii="0.3")})[0]
    assert found.at_most
    assert not distributions({("run", "ddn"): table([0.3, 0.2])})[0].at_most
