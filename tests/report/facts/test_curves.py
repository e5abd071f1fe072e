"""Curves: they agree with `accuracy_at`, end where nothing is known, and stay short."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from evaluation.record_tables import DISTANCES, INF, table
from minnorm.evaluation import Records, accuracy_at, clean_accuracy
from minnorm.evaluation.estimates import Array
from minnorm.report.facts.curves import MOST_POINTS, Curve, curve_of, curves
from report.made_runs import attack_run


def value_at(curve: Curve, radii: Array) -> Array:
    """Return the accuracies that a reader sees at radii."""
    found: Array = curve.accuracy[np.searchsorted(curve.radii, radii, side="right") - 1]
    return found


def drawn(records: Records) -> Curve:
    return curve_of(records, "run", "ddn")


@settings(max_examples=40)
@given(distances=DISTANCES)
def test_a_short_curve_is_the_accuracy_at_every_radius(distances: list[float]) -> None:
    records = table(distances)
    curve = drawn(records)
    for place, radius in enumerate(curve.radii.tolist()):
        expected = accuracy_at(records, radius)
        found = (curve.accuracy[place], curve.low[place], curve.high[place])
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    between = np.append((curve.radii[1:] + curve.radii[:-1]) / 2, curve.radii[-1] + 1)
    expected_between = [accuracy_at(records, radius).value for radius in between.tolist()]
    np.testing.assert_allclose(value_at(curve, between), expected_between)


@pytest.mark.parametrize("targets", [1, 3])
def test_a_long_curve_is_thinned_by_less_than_half_a_percent(targets: int) -> None:
    rng = np.random.default_rng(0)
    count = 6_000
    distances = np.where(rng.random(count) < 0.1, math.inf, rng.lognormal(size=count))
    distances[:300] = 0.0
    distances[300:900] = 1.0  # a step of 10 %
    indices = np.arange(count) // targets
    records = table(
        distances.tolist(),
        indices=indices.tolist(),
        targets=None if targets == 1 else [*range(count)],
    )
    curve = drawn(records)
    assert len(curve.radii) <= MOST_POINTS
    assert (np.diff(curve.radii) > 0).all()
    assert curve.accuracy[0] == clean_accuracy(records).value or targets > 1
    radii = rng.uniform(0, 20, 300)
    exact = np.array([accuracy_at(records, radius).value for radius in radii.tolist()])
    assert (value_at(curve, radii) - exact).max() <= 0.005
    assert (value_at(curve, radii) - exact).min() >= 0
    for place in range(0, len(curve.radii), 40):  # the points are exact, with their intervals
        exact_here = accuracy_at(records, float(curve.radii[place]))
        found = (curve.accuracy[place], curve.low[place], curve.high[place])
        np.testing.assert_allclose(found, exact_here, rtol=1e-6)


def test_a_curve_ends_at_the_radius_of_its_attack() -> None:
    curve = drawn(table([0.0, 0.1, 0.2, INF], radius_limit=0.25))
    assert curve.radii[-1] == curve.limit == 0.25
    assert curve.accuracy.tolist() == [0.75, 0.5, 0.25, 0.25]
    assert not np.isnan([curve.low, curve.high]).any()


def test_a_curve_that_is_known_at_0_alone_has_one_point() -> None:
    curve = curve_of(table([0.0, 0.1, INF], norm="linf", radius_limit=0.2), "run", "pgd", "l1")
    assert curve.limit == 0.2  # an L1 ball lies in an Linf ball
    at_0 = curve_of(table([0.0, 0.1, INF], radius_limit=0.2), "run", "pgd", "linf")
    assert (at_0.limit, at_0.radii.tolist()) == (0.0, [0.0])
    assert at_0.accuracy == pytest.approx([2 / 3])


def test_without_a_limit_the_last_accuracy_is_that_of_the_failures() -> None:
    curve = drawn(table([1.0, 2.0, INF, INF]))
    assert curve.limit == INF
    assert (curve.radii[-1], curve.accuracy[-1]) == (pytest.approx(2.0, rel=1e-5), 0.5)


def test_there_is_a_curve_for_each_attack_and_for_the_closest_of_all() -> None:
    run = attack_run({"ddn": [1.0, 4.0], "fmn": [3.0, 2.0]})
    found = {curve.attack: curve for curve in curves(run)}
    assert [*found] == ["ddn", "fmn", "worst case"]
    assert found["worst case"].radii == pytest.approx([0.0, 1.0, 2.0], rel=1e-5)
    assert {curve.run for curve in found.values()} == {"it"}
    assert [curve.norm for curve in curves(run, "linf")] == ["linf"] * 3


def test_rows_of_single_targets_are_no_curves() -> None:
    run = attack_run({"ddn": [1.0, 4.0]}, targets=[1, 2])
    assert [curve.attack for curve in curves(run)] == ["ddn"]


def test_no_records_have_a_curve_of_nan() -> None:
    assert np.isnan(drawn(table([])).accuracy).all()


@settings(max_examples=40)
@given(distances=DISTANCES)
def test_a_curve_of_fixed_radii_says_where_it_is_an_upper_bound(distances: list[float]) -> None:
    capped = [distance if distance <= 2 else INF for distance in distances]
    records = table(capped, radius_limit=2.0, fixed_radii="1.0 2.0", rounding=0.0)
    curve = drawn(records)
    assert (np.diff(curve.radii) > 0).all()
    for radius in (0.0, 0.01, 0.5, 1.0, 1.01, 1.6, 2.0):
        step = int(np.searchsorted(curve.radii, radius, side="right")) - 1
        expected = accuracy_at(records, radius)
        found = (curve.accuracy[step], curve.low[step], curve.high[step])
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        assert curve.at_most[step] == expected.is_upper_bound


def test_a_curve_of_an_attack_that_searches_for_the_closest_is_no_upper_bound() -> None:
    assert not drawn(table([0.0, 0.1, 0.2, INF], radius_limit=0.25)).at_most.any()
