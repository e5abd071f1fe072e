"""Findings by kind, each of which is checked to be a whole one."""

from collections.abc import Sequence

from minnorm.report.findings.finding import Finding


def by_kind(findings: Sequence[Finding]) -> dict[str, Finding]:
    """Return findings by their kinds; each has a title, and sentences for its text and advice."""
    for one in findings:
        assert one.title
        assert one.text.endswith(".")
        assert one.advice.endswith(".")
    return {one.kind: one for one in findings}
