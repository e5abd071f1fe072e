"""The gate: whether a run meets requirements, or has too few samples to tell.

The samples of a run stand for all samples like them. With confidence `c` and `k` requirements:

- *Not met*: a bound that is wrong with a probability of at most `(1 - c) / k` excludes the limit. A
  model that meets all requirements fails with a probability of at most `1 - c` (Bonferroni).
- *Met*: a bound that is wrong with a probability of at most `1 - c` proves it. A model that
  does not meet a requirement passes with a probability of at most `1 - c`.
- *Undecided*: neither. More samples decide it.

The bounds of shares and medians are exact, see `minnorm.report.bounds`; those of means, and of
differences from a baseline, hold approximately. Without confidence, the numbers of the run
are compared as they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Literal, TypeAlias

from minnorm.checks import check_number
from minnorm.errors import InputError
from minnorm.evaluation import Evaluation, Records
from minnorm.geometry import Norm
from minnorm.report.default_radii import default_radii
from minnorm.report.measures import Measure, measure
from minnorm.report.noninferiority import measure_change
from minnorm.report.pairs import (
    check_comparable,
    check_complete,
    chosen_records,
    pair_records,
)
from minnorm.report.requirements import Metric, Requirement, no_worse, read
from minnorm.report.runs import label_runs

Outcome: TypeAlias = Literal["met", "not met", "undecided"]
"""The answer to a requirement."""

_POWER = NormalDist().inv_cdf(0.8)
"""How many standard errors more decide a question with a probability of 80 %."""

_MOST_SAMPLES = 10_000_000
"""A number of samples that nobody has."""


@dataclass(frozen=True)
class Verdict:
    """The answer to a requirement.

    Attributes:
        requirement: The requirement.
        outcome: The answer.
        value: The measured number, NaN if it is unknown.
        low: The lower one of the two bounds that decide.
        high: The upper one.
        count: The number of records that were measured.
        reason: Why it is undecided whatever the number of samples; empty otherwise.
        needed: About how many samples would decide it with a probability of 80 %, `None` if it is
            decided, or if nobody can say.
    """

    requirement: Requirement
    outcome: Outcome
    value: float
    low: float
    high: float
    count: int
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
        warnings: What makes the run or the baseline doubtful.
        strict: Whether a warning fails the gate.
    """

    run: str
    baseline: str | None
    samples: int
    confidence: float | None
    verdicts: tuple[Verdict, ...]
    warnings: tuple[str, ...] = ()
    strict: bool = False

    @property
    def outcome(self) -> Outcome:
        """Whether all requirements are met, at least one is not, or some are undecided."""
        found = {verdict.outcome for verdict in self.verdicts}
        if "not met" in found or (self.strict and self.warnings):
            return "not met"
        return "undecided" if "undecided" in found else "met"


def check(
    run: Evaluation,
    requirements: Sequence[str | Requirement | Metric] = (),
    *,
    baseline: Evaluation | None = None,
    no_worse_than: float | None = None,
    confidence: float | None = 0.95,
    strict: bool = False,
) -> Verdicts:
    """Check whether a run meets requirements.

    Args:
        run: The run.
        requirements: The requirements, for example `accuracy@0.5 >= 60%`; see
            `minnorm.report.requirements`. With a baseline also metrics alone, which are only
            compared with those of the baseline.
        baseline: A run on the same samples. Each metric of the requirements is compared with it;
            without requirements, the clean accuracy and the accuracy at a few radii.
        no_worse_than: By how much a metric may be worse than that of the baseline: shares by this
            difference (0.02 for 2 points), distances relatively.
        confidence: The confidence of the answers; `None` compares the numbers of the run as they
            are, as a regression test on fixed samples does.
        strict: Whether a warning fails the gate.

    Raises:
        InputError: If a requirement cannot be read, the run lacks what it names, a run is
            incomplete, or the baseline is not of the same samples, targets and bounds.
    """
    if confidence is not None:
        check_number("confidence", confidence, 0.5, 1)
    if (baseline is None) != (no_worse_than is None):
        raise InputError(
            "a baseline and the margin belong together: give both baseline and no_worse_than, for "
            "example --baseline RUN --no-worse-than 2%."
        )
    if no_worse_than is not None:
        check_number("no_worse_than", no_worse_than, 0, 1, inclusive=True)
    stated = [read(one) if isinstance(one, str) else one for one in requirements]
    _check_stated(stated, baseline)
    runs = [run] if baseline is None else [baseline, run]
    for one in runs:
        check_complete(one)
    labels = [labeled.label for labeled in label_runs(runs)]
    asked = [one for one in stated if isinstance(one, Requirement)]
    measures = [*_measures(run, asked)]
    if baseline is not None and no_worse_than is not None:
        check_comparable(baseline, run)
        metrics = _compared_metrics(stated, baseline, run)
        changes = [no_worse(metric, no_worse_than) for metric in metrics]
        measures += [
            measure_change(pair_records(baseline, run, one.metric.attack, one.metric.norm), one)
            for one in changes
        ]
        asked += changes
    samples = len(run.records.column("index").unique())
    tail = None if confidence is None else 1 - confidence
    return Verdicts(
        run=labels[-1],
        baseline=labels[0] if baseline is not None else None,
        samples=samples,
        confidence=confidence,
        verdicts=tuple(
            _verdict(one, measured, tail, len(asked), samples)
            for one, measured in zip(asked, measures, strict=True)
        ),
        warnings=tuple(dict.fromkeys(text for one in reversed(runs) for text in one.warnings)),
        strict=strict,
    )


def _check_stated(stated: Sequence[Requirement | Metric], baseline: Evaluation | None) -> None:
    """Check that there is something to check."""
    if baseline is not None:
        return
    if not stated:
        raise InputError(
            "a gate needs a requirement, for example --require 'accuracy@0.5 >= 60%', or a "
            "baseline."
        )
    for one in stated:
        if isinstance(one, Metric):
            raise InputError(
                f"the requirement {str(one)!r} has no limit: write for example '{one} >= 0.6', or "
                "name a baseline to compare it with."
            )


def _measures(run: Evaluation, requirements: Sequence[Requirement]) -> list[Measure]:
    """Return what each requirement is about, measured."""

    @cache
    def records(attack: str | None, norm: Norm | None) -> Records:
        return chosen_records(run, attack, norm)

    return [
        measure(
            run.records
            if one.metric.kind == "clean_accuracy"
            else records(one.metric.attack, one.metric.norm),
            one.metric,
        )
        for one in requirements
    ]


def _compared_metrics(
    stated: Sequence[Requirement | Metric], baseline: Evaluation, run: Evaluation
) -> list[Metric]:
    """Return the metrics to compare with those of a baseline, each once."""
    named = [one.metric if isinstance(one, Requirement) else one for one in stated]
    if named:
        return list(dict.fromkeys(named))
    radii = default_radii(label_runs([baseline, run]))
    return [Metric("clean_accuracy"), *(Metric("accuracy", radius=radius) for radius in radii)]


def _verdict(
    requirement: Requirement, measured: Measure, tail: float | None, count: int, samples: int
) -> Verdict:
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
    undecided = outcome == "undecided"
    needed = None
    if undecided and tail is not None and not measured.remark:
        holds = requirement.holds_for(measured.value)
        end, level = (worst, tail) if holds else (best, tail / count)
        needed = _needed(measured.value - requirement.threshold, end - measured.value, level)
    return Verdict(
        requirement,
        outcome,
        measured.value,
        min(worst, best),
        max(worst, best),
        measured.count,
        measured.remark if undecided else "",
        None if needed is None else _rounded_up(needed * samples),
    )


def _needed(gap: float, width: float, tail: float) -> float | None:
    """Return how many times as many samples would decide with a probability of 80 %.

    Args:
        gap: The distance of the measured number from the limit.
        width: The distance of the measured number from the bound on that side.
        tail: The probability that the bound is wrong.
    """
    if gap == 0 or not math.isfinite(gap) or not math.isfinite(width):
        return None
    quantile = -NormalDist().inv_cdf(tail)
    # A bound comes nearer as the root of the number of samples grows.
    return max((width / gap * (1 + _POWER / quantile)) ** 2, 1.0)


def _rounded_up(count: float) -> int | None:
    """Return a number of samples, rounded up to two digits; `None` if it is absurdly large."""
    if count > _MOST_SAMPLES:
        return None
    unit: int = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return math.ceil(count / unit) * unit
