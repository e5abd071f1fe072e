"""Findings: what makes the results of a run doubtful, what it means, and what to do."""

from dataclasses import dataclass
from typing import Literal

from minnorm.report.runs import LabeledRun


@dataclass(frozen=True)
class Finding:
    """Something that a reader of the results should know.

    Attributes:
        kind: A short name for programs.
        level: `problem` if numbers may be wrong, else `note`.
        title: What was found, in a few words.
        text: What was found, with the numbers, and what it means.
        advice: What to do.
    """

    kind: str
    level: Literal["problem", "note"]
    title: str
    text: str
    advice: str


def findings(run: LabeledRun) -> list[Finding]:
    """Return what makes the results of a run doubtful, problems first."""
    return [Finding(doubt.kind, "problem", doubt.kind, doubt.text, "") for doubt in run.run.doubts]
