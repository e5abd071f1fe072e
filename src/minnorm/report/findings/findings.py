"""Findings: what makes the results of a run doubtful, what it means, and what to do."""

from minnorm.report.findings.attack_findings import attack_findings
from minnorm.report.findings.doubt_findings import doubt_findings
from minnorm.report.findings.finding import Finding
from minnorm.report.findings.model_findings import model_findings
from minnorm.report.findings.random_findings import random_findings
from minnorm.report.runs import LabeledRun

__all__ = ["Finding", "findings", "measured_findings"]


def findings(run: LabeledRun) -> list[Finding]:
    """Return what makes the results of a run doubtful, problems first.

    Args:
        run: The run.
    """
    found = doubt_findings(run.run.doubts) + measured_findings(run)
    return sorted(found, key=lambda one: one.level == "note")


def measured_findings(run: LabeledRun) -> list[Finding]:
    """Return what the numbers of a run and a comparison of its attacks show.

    Its doubts, which `minnorm.evaluation.Evaluation.warnings` holds too, are left out.

    Args:
        run: The run.
    """
    if not len(run.run.records):
        return []
    return [*model_findings(run), *random_findings(run), *attack_findings(run)]
