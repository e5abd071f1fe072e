"""The answers of the gate to requirements, and how bounds lead to them."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeAlias

from minnorm.report.decisions.measures import Measure
from minnorm.report.decisions.requirements import Requirement
from minnorm.report.texts import rounded_up

Outcome: TypeAlias = Literal["met", "not met", "undecided"]
"""The answer to a requirement."""

_POWER = NormalDist().inv_cdf(0.8)
"""How many standard errors more decide a question with a probability of 80 %."""

_UNPROVABLE = "no number of samples proves it: change the limit, or use --confidence none"
"""The reason for a limit that is the best possible number."""

_MOST_SAMPLES = 10_000_000
"""A number of samples that nobody has."""


@dataclass(frozen=True)
class RequirementVerdict:
    """The answer to a requirement.

    Attributes:
        requirement: The requirement.
        outcome: The answer.
        value: The measured number, NaN if it is unknown.
        low: The lower one of the two bounds that decide.
        high: The upper one.
        count: The number of records that were measured.
        exact: Whether the bounds hold exactly, and not only approximately.
        reason: Why the answer is the same whatever the number of samples; empty if it is not.
        needed: About how many samples would decide it with a probability of 80 %, `None` if it is
            decided, or if nobody can say.
    """

    requirement: Requirement
    outcome: Outcome
    value: float
    low: float
    high: float
    count: int
    exact: bool = True
    reason: str = ""
    needed: int | None = None

    @property
    def shortfall(self) -> float:
        """By how much the measured number misses the limit; at most 0 if it does not."""
        missing = self.requirement.threshold - self.value
        return missing if self.requirement.is_floor else -missing


@dataclass(frozen=True)
class Verdicts:
    """The answers to all requirements.

    Attributes:
        run: The label of the run.
        baseline: The label of the baseline, `None` if there is none.
        samples: The number of samples of the run.
        confidence: The confidence of the answers; `None` if the numbers are compared as they are.
        verdicts: The answers, those about the baseline last.
        warnings: What makes the run or the baseline doubtful: their warnings, and the findings that
            are problems.
        strict: Whether a warning fails the gate.
        is_repeat: Whether the run repeats the baseline, so that nothing changes.
    """

    run: str
    baseline: str | None
    samples: int
    confidence: float | None
    verdicts: tuple[RequirementVerdict, ...]
    warnings: tuple[str, ...] = ()
    strict: bool = False
    is_repeat: bool = False

    @property
    def outcome(self) -> Outcome:
        """Whether all requirements are met, at least one is not, or some are undecided."""
        found = {verdict.outcome for verdict in self.verdicts}
        if "not met" in found or (self.strict and self.warnings):
            return "not met"
        return "undecided" if "undecided" in found else "met"


def verdict_on(
    requirement: Requirement, measured: Measure, tail: float | None, count: int, samples: int
) -> RequirementVerdict:
    """Return the answer to one of several requirements.

    Args:
        requirement: The requirement.
        measured: What it is about.
        tail: The probability of a wrong answer; `None` to compare the measured number.
        count: The number of requirements.
        samples: The number of samples of the run.
    """
    if tail is None:
        proof = exclusion = measured.known
    else:
        proof, exclusion = measured.bounds(tail), measured.bounds(tail / count)
    worst, best = (
        (proof.low, exclusion.high) if requirement.is_floor else (proof.high, exclusion.low)
    )
    outcome: Outcome = "undecided"
    if requirement.holds_for(worst):
        outcome = "met"
    elif not requirement.holds_for(best):
        outcome = "not met"
    reason = _reason(requirement, outcome, measured.remark)
    needed = None
    if outcome == "undecided" and tail is not None and not reason:
        holds = requirement.holds_for(measured.value)
        end, level = (worst, tail) if holds else (best, tail / count)
        gap, width = measured.value - requirement.threshold, end - measured.value
        needed = _needed(gap, width, level, samples)
    return RequirementVerdict(
        requirement,
        outcome,
        measured.value,
        min(worst, best),
        max(worst, best),
        measured.count,
        measured.exact,
        reason,
        needed,
    )


def _reason(requirement: Requirement, outcome: Outcome, remark: str) -> str:
    """Return why the answer is the same whatever the number of samples; empty if it is not."""
    worst, best = requirement.worst_and_best
    if requirement.holds_for(worst):
        return "always true"
    if not requirement.holds_for(best):
        return "never true"
    if outcome != "undecided":
        return ""
    return remark or (_UNPROVABLE if requirement.threshold == best else "")


def _needed(gap: float, width: float, tail: float, samples: int) -> int | None:
    """Return how many samples would decide with a probability of 80 %, `None` if nobody can say.

    Args:
        gap: The distance of the measured number from the limit.
        width: The distance of the measured number from the bound on that side.
        tail: The probability that the bound is wrong.
        samples: The number of samples that were measured.
    """
    if gap == 0 or not math.isfinite(gap) or not math.isfinite(width):
        return None
    quantile = -NormalDist().inv_cdf(tail)
    # A bound comes nearer as the root of the number of samples grows.
    needed = samples * max((width / gap * (1 + _POWER / quantile)) ** 2, 1.0)
    return rounded_up(needed) if needed <= _MOST_SAMPLES else None
