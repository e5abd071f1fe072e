"""Summaries in a norm that is not the attack's own."""

import pytest

from evaluation.record_tables import INF, table
from minnorm.evaluation import mean_distance, median_distance, success_rate, summarize
from minnorm.geometry import Norm


@pytest.mark.parametrize(("norm", "scale"), [("l0", 10), ("l1", 4), ("l2", 1), ("linf", 0.5)])
def test_all_distances_of_a_summary_are_in_its_norm(norm: Norm, scale: float) -> None:
    records = table([1.0, 2.0, 3.0, 4.0, 6.0, 7.0, INF])
    summary = summarize(records, "it", norm)
    assert summary.norm == norm
    assert summary.mean == mean_distance(records, norm)
    assert summary.mean.value == pytest.approx(scale * 23 / 6)
    assert summary.median == median_distance(records, norm)
    assert summary.median.value == scale * 4
    assert summary.success == success_rate(records)
