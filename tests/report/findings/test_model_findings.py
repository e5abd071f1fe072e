"""Findings about the model and the number of samples, with near misses."""

import numpy as np
import pytest

from evaluation.record_tables import INF
from minnorm.evaluation.estimates import share_of
from minnorm.report.findings.finding import Finding
from minnorm.report.findings.model_findings import model_findings
from minnorm.report.runs import LabeledRun
from report.findings.whole_findings import by_kind
from report.made_runs import attack_run


def found(run: LabeledRun) -> dict[str, Finding]:
    return by_kind(model_findings(run))


def test_tiny_distances_are_a_problem() -> None:
    # The largest change is half the L2 distance.
    finding = found(attack_run({"ddn": [1e-3] * 40}))["tiny-distances"]
    assert finding.level == "problem"
    assert "For 40 of 40 samples" in finding.text
    assert "tiny-distances" in found(attack_run({"ddn": [0.255] * 40}, bounds=(0.0, 255.0)))


def test_without_bounds_no_distance_is_tiny() -> None:
    run = attack_run({"ddn": [1e-3] * 40}, bounds=(0.0, np.inf))
    assert "tiny-distances" not in found(run)


@pytest.mark.parametrize("distances", [[0.01] * 40, [1e-3] * 30 + [0.01] * 10, [1e-3] * 5])
def test_small_distances_are_no_finding(distances: list[float]) -> None:
    assert "tiny-distances" not in found(attack_run({"ddn": distances}))


@pytest.mark.parametrize(
    ("count", "is_wide"), [(20, True), (300, True), (400, False), (2000, False)]
)
def test_wide_intervals_are_a_note(count: int, is_wide: bool) -> None:
    run = attack_run({"ddn": np.linspace(0.5, 2.0, count).tolist()})
    findings = found(run)
    assert ("wide-intervals" in findings) == is_wide
    if is_wide:
        assert findings["wide-intervals"].level == "note"


def test_the_number_of_samples_that_are_needed_is_about_right() -> None:
    run = attack_run({"ddn": [1.0] * 50 + [3.0] * 50})
    advice = found(run)["wide-intervals"].advice
    needed = int(advice.split()[1].replace(",", ""))
    hits = np.arange(needed) < needed // 2
    _, low, high = share_of(hits, np.arange(needed))
    assert (high - low) / 2 == pytest.approx(0.02, rel=0.05)


def test_without_a_success_there_is_no_finding_but_the_intervals() -> None:
    assert [*found(attack_run({"ddn": [INF] * 12}))] == ["wide-intervals"]
