"""Findings: what makes the results of a run doubtful, what it means, and what to do."""

from minnorm.report.findings.attack_findings import attack_findings
from minnorm.report.findings.doubt_findings import doubt_findings
from minnorm.report.findings.finding import Finding
from minnorm.report.findings.model_findings import model_findings
from minnorm.report.runs import LabeledRun

__all__ = ["Finding", "findings"]


def findings(run: LabeledRun) -> list[Finding]:
    """Return what makes the results of a run doubtful, problems first.

    They come from the doubts of the run, from its clean accuracy and its distances, and from a
    comparison of its attacks.

    Args:
        run: The run.
    """
    found = doubt_findings(run.run.doubts)
    if len(run.run.records):
        found += model_findings(run) + attack_findings(run)
    return sorted(found, key=lambda one: one.level == "note")
