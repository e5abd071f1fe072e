"""All findings of a run together, and those of real networks."""

import pytest

from minnorm import evaluate
from minnorm.doubts import Doubt
from minnorm.report.findings.findings import findings
from minnorm.report.runs import label_runs
from report.made_runs import attack_run


def test_problems_come_first() -> None:
    doubts = [Doubt("changed-sessions", "Versions differ."), Doubt("zero-gradients", "All zero.")]
    found = findings(attack_run({"ddn": [1.0] * 3}, doubts=doubts))
    assert [one.level for one in found] == ["problem", *["note"] * (len(found) - 1)]
    assert {"zero-gradients", "changed-sessions", "single-attack"} <= {one.kind for one in found}


def test_a_run_without_records_has_its_doubts_alone() -> None:
    run = attack_run({"ddn": []}, doubts=[Doubt("incomplete", "Nothing is finished.")])
    assert [one.kind for one in findings(run)] == ["incomplete"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist-cnn", "mnist-cnn-madry-l2"])
def test_healthy_networks_cause_no_false_alarm(name: str) -> None:
    attacks = ["normal_pursuit(budget=30)", "ddn(steps=100)", "deepfool"]
    run = evaluate(f"zoo:{name}", "mnist-sample[:20]", attacks, accelerate="off", batch_size=20)
    found = findings(label_runs([run])[0])
    assert [one.kind for one in found] == ["wide-intervals"]
