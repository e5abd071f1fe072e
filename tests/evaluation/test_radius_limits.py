"""Radii: a distance that equals one is within it, and nothing is known beyond that of an attack."""

import math
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from torch import Tensor

from attacks.networks import problem
from evaluation.record_tables import INF, is_nan, table
from minnorm.attacks import AttackResult, Model, bounded, ddn, pgd, worst_case
from minnorm.evaluation import (
    Records,
    accuracy_at,
    breakdown,
    closest_records,
    closest_target,
    evaluate,
    hardest_target,
    mean_distance,
    median_distance,
    of_attack,
    optimality,
    robustness_curve,
    summarize,
)
from minnorm.evaluation.metrics import Over
from minnorm.geometry import Norm

RADIUS = 8 / 255


def within(
    epsilon: float, distances: list[float], *, attack: str = "pgd", **others: Any
) -> Records:
    """Return records of an attack within a radius."""
    return table(distances, attack=attack, radius_limit=epsilon, **others)


@pytest.mark.parametrize(
    ("distance", "rounding", "is_within"),
    [
        (RADIUS * (1 + 3e-7), 2**-23, True),  # measured in float32, inputs up to 1
        (RADIUS + 4e-7, 2**-23, True),
        (RADIUS + 1e-6, 2**-23, False),
        (RADIUS * (1 + 1e-4), 2**-23, False),
        (RADIUS * (1 + 1e-6), 0.0, True),  # the largest value is 0, so only the radius rounds
        (RADIUS * (1 + 1e-5), 0.0, False),
        (RADIUS + 3e-4, 2**-10, True),  # float16
    ],
)
def test_a_distance_that_equals_the_radius_up_to_rounding_is_within_it(
    distance: float, rounding: float, is_within: bool
) -> None:
    records = table([distance] * 3, rounding=rounding)
    assert accuracy_at(records, RADIUS).value == (0 if is_within else 1)
    radii, accuracies = robustness_curve(records)
    at = np.searchsorted(radii, RADIUS, side="right") - 1
    assert accuracies[at] == (0 if is_within else 1)


@pytest.mark.parametrize("distance", [1e-30, 1e-7, 1e-3])
def test_at_radius_0_the_accuracy_is_the_clean_accuracy(distance: float) -> None:
    assert accuracy_at(table([0.0, distance], rounding=0.1), 0.0).value == 0.5


def test_counts_of_changed_entries_have_no_tolerance() -> None:
    records = table([100.1, 100.2], rounding=0.5)  # l0 is ten times as large
    assert accuracy_at(records, 1001, "l0").value == 0.5


@pytest.mark.parametrize("epsilon", [0.0, 0.2, 0.3])
def test_up_to_its_radius_an_attack_has_an_accuracy(epsilon: float) -> None:
    found = [0.0, 0.1, 0.3, INF]
    assert accuracy_at(within(0.3, found), epsilon) == accuracy_at(table(found), epsilon)


@pytest.mark.parametrize("epsilon", [0.301, 0.5, 2.0, 1e6])
def test_beyond_its_radius_an_attack_that_failed_has_no_accuracy(epsilon: float) -> None:
    assert is_nan(accuracy_at(within(0.3, [0.0, 0.1, 0.3, INF]), epsilon))


@pytest.mark.parametrize("epsilon", [0.3, 2.0])
def test_an_attack_that_never_failed_has_an_accuracy_at_every_radius(epsilon: float) -> None:
    assert accuracy_at(within(0.3, [0.0, 0.1, 0.3]), epsilon).value == 0


def test_a_misclassified_sample_is_no_failure() -> None:
    # With targets, the attack may fail on a sample that the model misclassifies from the start.
    records = within(0.3, [0.1, INF], targets=[2, 2])
    columns = {name: records.column(name) for name in records.schema.names}
    columns["clean_prediction"] = pa.array([0, 1])
    changed = pa.table(columns, schema=records.schema)
    assert accuracy_at(changed, 2.0).value == 0


def test_the_curve_ends_at_the_radius_of_the_attack() -> None:
    records = within(0.3, [0.0, 0.1, 0.2, INF])
    radii, accuracies = robustness_curve(records)
    assert radii == pytest.approx([0.0, 0.1, 0.2, 0.3], rel=1e-5)
    assert accuracies == pytest.approx([0.75, 0.5, 0.25, math.nan], nan_ok=True)
    for radius in (0.05, 0.1, 0.29, 0.3, 0.31, 5.0):
        at = np.searchsorted(radii, radius, side="right") - 1
        expected = accuracy_at(records, radius).value
        assert accuracies[at] == pytest.approx(expected, nan_ok=True), radius


@pytest.mark.parametrize("over", ["correct", "all"])
def test_the_median_is_beyond_the_radius_if_most_failed_and_unknown_if_half_did(
    over: Over,
) -> None:
    assert median_distance(within(0.3, [0.1, INF, INF]), over=over).value == INF
    assert is_nan(median_distance(within(0.3, [0.1, 0.2, INF, INF]), over=over))
    assert median_distance(within(0.3, [0.1, 0.2, INF]), over=over).value == 0.2
    assert median_distance(table([0.1, 0.2, INF, INF]), over=over).value == INF


def test_summaries_name_the_radius_of_failures() -> None:
    assert summarize(within(0.3, [0.1, INF]), "it").radius_limit == 0.3
    assert summarize(within(0.3, [0.1, 0.0]), "it").radius_limit == INF
    assert summarize(table([0.1, INF]), "it").radius_limit == INF


def test_optimality_is_unknown_beyond_the_radius_of_the_attack() -> None:
    best = table([0.1, 0.2, 0.5], attack="ddn")
    assert math.isnan(optimality(within(0.3, [0.1, 0.2, INF]), best))
    near = table([0.1, 0.2, INF], attack="ddn")
    assert optimality(within(0.3, [0.1, 0.2, INF]), near) == pytest.approx(1)
    assert math.isnan(optimality(best, within(0.3, [0.1, 0.5, INF])))


@pytest.mark.parametrize(
    ("own", "norm", "known"),
    [
        ("linf", "linf", 0.3),
        ("linf", "l2", 0.3),  # points within 0.3 in l2 are within 0.3 in linf
        ("linf", "l1", 0.3),
        ("l2", "l1", 0.3),
        ("l2", "linf", 0.0),  # points within any radius in linf may be far away in l2
        ("l1", "l2", 0.0),
        ("linf", "l0", 0.0),
    ],
)
def test_in_another_norm_only_what_the_radius_implies_is_known(
    own: str, norm: Norm, known: float
) -> None:
    records = within(0.3, [0.0, 0.02, INF], norm=own)
    assert not is_nan(accuracy_at(records, known, norm))
    assert is_nan(accuracy_at(records, known + 0.01, norm))
    merged = closest_records(
        pa.concat_tables([records, within(0.2, [0.0, INF, INF], attack="b", norm=own)]), norm
    )
    assert not is_nan(accuracy_at(merged, known))
    assert is_nan(accuracy_at(merged, known + 0.01))


def test_a_success_beyond_what_the_radius_implies_does_not_decide_the_median() -> None:
    # In l2 the successes are at 0.4, and a failure may be anywhere beyond 0.1.
    records = within(0.1, [0.4, 0.4, INF], norm="linf")
    assert median_distance(records, "l2") == (INF, 0.0, INF)


def test_the_worst_case_knows_what_the_attack_with_the_largest_radius_knows() -> None:
    small = within(0.1, [0.05, INF, INF], attack="small")
    large = within(0.3, [0.2, 0.2, INF], attack="large")
    free = table([0.2, 0.2, 0.6], attack="free")
    limited = closest_records(pa.concat_tables([small, large]))
    assert limited.column("l2").to_pylist() == [0.05, 0.2, INF]
    assert accuracy_at(limited, 0.1).value == pytest.approx(2 / 3)
    assert accuracy_at(limited, 0.3).value == pytest.approx(1 / 3)
    assert is_nan(accuracy_at(limited, 0.4))
    assert limited.column("radius_limit").to_pylist() == [0.3] * 3
    all_of_them = closest_records(pa.concat_tables([small, large, free]))
    assert accuracy_at(all_of_them, 0.4).value == pytest.approx(1 / 3)
    assert all_of_them.column("radius_limit").to_pylist() == [None] * 3
    parts = breakdown(pa.concat_tables([small, large]))
    assert is_nan(accuracy_at(parts["worst case"], 0.4))


def test_the_targets_of_an_attack_keep_its_radius() -> None:
    records = within(0.3, [0.1, INF], indices=[0, 0], targets=[1, 2])
    assert is_nan(accuracy_at(hardest_target(records), 1.0))
    assert accuracy_at(closest_target(records), 1.0).value == 0


def fixed_step(
    model: Model, inputs: Tensor, labels: Tensor, /, *, epsilon: float = 0.01, **given: Any
) -> AttackResult:
    """Attack within a radius that is a default of the parameter."""
    return pgd(model, inputs, labels, epsilon=epsilon, **given)


@pytest.mark.parametrize(
    ("attack", "limit"),
    [
        (partial(pgd, epsilon=0.01), 0.01),
        (fixed_step, 0.01),
        (bounded(partial(ddn, steps=5), 0.01), 0.01),
        (worst_case([partial(pgd, epsilon=0.01), partial(pgd, epsilon=0.02)]), 0.02),
        (worst_case([partial(pgd, epsilon=0.01), partial(ddn, steps=5)]), None),
        (partial(ddn, steps=5), None),
    ],
)
def test_an_evaluation_records_the_radius_of_each_attack(attack: Any, limit: float | None) -> None:
    model, inputs, labels = problem((20,), batch=12)
    run = evaluate(model, (inputs, labels), {"it": attack}, accelerate="off")
    records = of_attack(run.records, "it")
    assert records.column("radius_limit").to_pylist() == [limit] * 12
    assert is_nan(accuracy_at(records, 1.0)) == (limit is not None)
    assert accuracy_at(records, 0.01).value > 0


def test_the_mean_of_an_attack_within_a_radius_is_over_what_it_found() -> None:
    assert mean_distance(within(0.3, [0.1, 0.2, INF])).value == pytest.approx(0.15)


def test_the_gap_of_records_is_that_of_the_inputs() -> None:
    model, inputs, labels = problem((20,), batch=4)
    run = evaluate(model, (inputs, labels), "ddn(steps=2)", accelerate="off")
    expected = (inputs.amax(1) * 2**-23).tolist()
    assert run.records.column("rounding").to_pylist() == pytest.approx(expected)
    double = evaluate(model.double(), (inputs.double(), labels), "ddn(steps=2)", accelerate="off")
    assert double.records.column("rounding").to_pylist() == pytest.approx(expected)
