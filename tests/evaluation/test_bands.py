"""Bands: they are what `accuracy_at` returns at each radius."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.record_tables import DISTANCES, INF, table
from minnorm.evaluation import Records, UpperBound, accuracy_at
from minnorm.evaluation.bands import accuracy_band, are_upper_bounds

RADII = np.array([0.0, 0.1, 0.25, 0.5, 1.0, 1.2, 1.25, 2.0, 3.0, 4.0, 100.0])


def one_by_one(records: Records) -> list[tuple[float, float, float]]:
    return [accuracy_at(records, float(radius)) for radius in RADII]


@settings(max_examples=40)
@given(distances=DISTANCES, limit=st.sampled_from([None, 0.5, 1.25]))
def test_a_band_is_the_accuracy_at_each_radius(distances: list[float], limit: float | None) -> None:
    records = table(distances, radius_limit=limit)
    band = accuracy_band(records, RADII)
    np.testing.assert_allclose(np.array(band).T, one_by_one(records), rtol=1e-9, atol=1e-12)


@settings(max_examples=40)
@given(
    distances=DISTANCES,
    fixed=st.sampled_from([(0.5, "0.5"), (2.0, "1.0 2.0"), (2.0, ""), (None, "1.25")]),
    samples=st.integers(1, 30),
)
def test_the_band_of_fixed_radii_is_the_accuracy_at_each_radius(
    distances: list[float], fixed: tuple[float | None, str], samples: int
) -> None:
    records = table(
        distances,
        radius_limit=fixed[0],
        fixed_radii=fixed[1],
        indices=[position % samples for position in range(len(distances))],
        targets=[*range(len(distances))],
    )
    expected = one_by_one(records)
    band = accuracy_band(records, RADII)
    np.testing.assert_allclose(np.array(band).T, expected, rtol=1e-7, atol=1e-9)
    at_most = [isinstance(one, UpperBound) for one in expected]
    assert are_upper_bounds(records, RADII).tolist() == at_most


@settings(max_examples=60)
@given(
    distances=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.25, 2.0, INF]), min_size=1),
    samples=st.integers(1, 9),
)
def test_the_targets_of_a_sample_count_as_one_draw(distances: list[float], samples: int) -> None:
    indices = [position % samples for position in range(len(distances))]
    records = table(distances, indices=indices, targets=[*range(len(distances))])
    band = accuracy_band(records, RADII)
    np.testing.assert_allclose(np.array(band).T, one_by_one(records), rtol=1e-7, atol=1e-9)


def test_no_records_have_an_unknown_band() -> None:
    assert np.isnan(np.array(accuracy_band(table([]), RADII))).all()


@pytest.mark.parametrize("limit", [0.3, 0.5])
def test_beyond_the_limit_of_an_attack_nothing_is_known(limit: float) -> None:
    band = accuracy_band(table([0.2, INF], radius_limit=limit), np.array([limit, 1.01 * limit]))
    assert band.values[0] == 0.5
    assert all(math.isnan(one[1]) for one in band)
