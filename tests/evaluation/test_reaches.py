"""Fixed radii: what is known of attacks that search for any adversarial within a radius."""

import math
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.networks import problem
from evaluation.record_tables import INF, is_nan, table
from minnorm.attacks import bounded, ddn, pgd
from minnorm.evaluation import (
    Records,
    UpperBound,
    accuracy_at,
    closest_records,
    evaluate,
    mean_distance,
    median_distance,
    summarize,
)
from minnorm.evaluation.reaches import fixed_radii_in
from minnorm.evaluation.records import radii_as_text
from minnorm.geometry import Norm
from minnorm.report.decisions.measures import measure
from minnorm.report.decisions.requirements import Metric

RADII = (1.0, 2.0, 3.0)

TRUTHS = st.lists(st.integers(0, 14).map(lambda n: n / 4), min_size=1, max_size=25)


def fixed(radius: float, distances: list[float], *, attack: str = "pgd", **others: Any) -> Records:
    """Return records of an attack that searches for any adversarial within a radius."""
    text = radii_as_text([radius])
    return table(distances, attack=attack, radius_limit=radius, fixed_radii=text, **others)


def perfect(truth: list[float], radius: float, seed: int) -> Records:
    """Return the records of a perfect attack at a radius: any distance from the true one to it."""
    rng = np.random.default_rng([seed, int(radius)])
    found = [
        INF if distance > radius else distance + (distance > 0) * rng.random() * (radius - distance)
        for distance in truth
    ]
    return fixed(radius, found, attack=f"pgd(epsilon={radius})", rounding=0.0)


@settings(max_examples=30)
@given(
    truth=TRUTHS,
    radii=st.lists(st.sampled_from(RADII), min_size=1, unique=True),
    seed=st.integers(0, 99),
)
def test_what_is_known_of_perfect_attacks_encloses_the_truth(
    truth: list[float], radii: list[float], seed: int
) -> None:
    parts = [perfect(truth, radius, seed) for radius in radii]
    records = closest_records(pa.concat_tables(parts)) if len(parts) > 1 else parts[0]
    for radius in (0.0, 0.75, 1.0, 1.25, 2.0, 2.5, 3.0, 3.5):
        right = float(np.mean(np.array(truth) > radius))
        low, high = measure(records, Metric("accuracy", radius=radius)).known
        assert low <= right <= high
        found = accuracy_at(records, radius)
        if radius == 0 or radius in radii:
            assert found.value == right
            assert not found.is_upper_bound
        elif not is_nan(found):
            assert found.is_upper_bound == (low < high)
            assert found.low <= low
            assert found.value == high
    correct = np.array([distance for distance in truth if distance > 0])
    if len(correct):
        low, high = measure(records, Metric("median")).known
        assert low <= np.median(correct) <= high
        hits = correct[correct <= max(radii)]
        if len(hits):
            low, high = measure(records, Metric("mean")).known
            assert low <= hits.mean() <= high


def test_inside_its_radius_an_attack_has_upper_bounds() -> None:
    records = fixed(0.3, [0.0, *[0.3] * 7, INF, INF])
    inside, at_radius, clean = (accuracy_at(records, radius) for radius in (0.1, 0.3, 0.0))
    assert isinstance(inside, UpperBound)
    # It is at least that at the radius of the attack.
    assert inside == (0.9, at_radius.low, clean.high)
    assert at_radius == accuracy_at(table([0.0, *[0.3] * 7, INF, INF], radius_limit=0.3), 0.3)
    assert not at_radius.is_upper_bound
    assert not clean.is_upper_bound
    summary = summarize(records, "it")
    assert summary.mean.is_upper_bound
    assert summary.median.is_upper_bound
    assert (summary.mean.low, summary.median.low) == (0.0, 0.0)
    assert (summary.mean.value, summary.median.value) == pytest.approx((0.3, 0.3))
    assert not summary.success.is_upper_bound


def test_where_nothing_can_be_smaller_a_number_is_known() -> None:
    lost = fixed(0.3, [0.1, 0.2])
    assert not accuracy_at(lost, 0.2).is_upper_bound  # it is 0
    assert not accuracy_at(lost, 5.0).is_upper_bound
    wrong = fixed(0.3, [0.0, 0.0, 0.3])
    assert not median_distance(wrong, over="all").is_upper_bound
    robust = fixed(0.3, [INF] * 9 + [0.3])
    assert accuracy_at(robust, 0.1).value == 1.0
    assert median_distance(robust).value == INF
    assert not median_distance(robust).is_upper_bound
    assert not accuracy_at(fixed(0.3, [INF, INF]), 0.1).is_upper_bound


def test_a_radius_may_be_written_in_another_way() -> None:
    records = fixed(8 / 255, [0.01, 8 / 255, INF])
    assert not accuracy_at(records, 8 / 255 * (1 - 1e-7)).is_upper_bound
    assert accuracy_at(records, 8 / 255 * (1 - 1e-4)).is_upper_bound


def test_between_its_radii_a_worst_case_is_an_upper_bound() -> None:
    small = fixed(0.1, [0.1, INF, INF, INF], attack="small")
    large = fixed(0.3, [0.3, 0.3, 0.3, INF], attack="large")
    worst = closest_records(pa.concat_tables([small, large]))
    assert fixed_radii_in(worst, "l2") == (0.1, 0.3)
    found = {radius: accuracy_at(worst, radius) for radius in (0.05, 0.1, 0.2, 0.3)}
    assert [radius for radius, one in found.items() if one.is_upper_bound] == [0.05, 0.2]
    assert measure(worst, Metric("accuracy", radius=0.2)).known == (0.25, 0.75)
    assert measure(worst, Metric("mean")).known == pytest.approx((0.2 / 3, 0.7 / 3))


@pytest.mark.parametrize(
    ("other", "radii"),
    [
        (table([0.2] * 3, attack="ddn"), None),
        (table([0.2, 0.2, INF], attack="bounded", radius_limit=0.5), None),
        (table([0.1, INF, INF], attack="bounded", radius_limit=0.2), (0.2, 0.3)),
        (table([0.2] * 3, attack="fmn", norm="linf"), (0.3,)),  # it minimizes another norm
        (fixed(0.5, [0.2] * 3, attack="pgd2", norm="linf"), (0.3,)),
    ],
)
def test_a_worst_case_knows_what_its_attacks_of_that_norm_know(
    other: Records, radii: tuple[float, ...] | None
) -> None:
    both = pa.concat_tables([fixed(0.3, [0.3, 0.3, INF]), other])
    worst = closest_records(both, "l2")
    assert fixed_radii_in(worst, "l2") == radii
    bounds = [accuracy_at(worst, radius).is_upper_bound for radius in (0.15, 0.25)]
    assert any(bounds) == (radii is not None)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_in_another_norm_all_numbers_are_upper_bounds(norm: Norm) -> None:
    records = fixed(0.3, [0.0, 0.04, INF], norm="linf")
    assert fixed_radii_in(records, norm) == ()
    for radius in (0.1, 0.3):
        found = accuracy_at(records, radius, norm)
        assert found.is_upper_bound == (found.value > 1 / 3)  # the failure is robust there
    assert is_nan(accuracy_at(records, 0.31, norm))
    assert measure(records, Metric("accuracy", norm, 0.01)).known == pytest.approx((1 / 3, 2 / 3))
    assert mean_distance(records, norm).is_upper_bound


def test_an_evaluation_records_what_its_attacks_search_for() -> None:
    model, inputs, labels = problem((20,), batch=6)
    attacks = {
        "fixed": partial(pgd, epsilon=0.1, steps=2),
        "bounded": bounded(partial(ddn, steps=2), 0.1),
        "free": partial(ddn, steps=2),
    }
    records = evaluate(model, (inputs, labels), attacks, accelerate="off").records
    assert records.column("fixed_radii").unique().to_pylist() == ["0.1", None]
    assert records.column("fixed_radii").null_count == 12


def test_a_stronger_attack_at_a_larger_radius_passes_no_smaller_one() -> None:
    """An attack at 8 always succeeds, so that no failure limits what is known."""
    records = fixed(8.0, [8.0] * 50)
    for metric in (Metric("accuracy", radius=0.5), Metric("median"), Metric("mean")):
        found = measure(records, metric)
        assert math.isnan(found.value)
        assert found.known == pytest.approx((0.0, 1.0 if metric.is_share else 8.0))
        assert found.bounds(0.05).low == 0.0
        assert (
            found.remark == "the attacks search for any adversarial within 8, not for the closest"
        )
