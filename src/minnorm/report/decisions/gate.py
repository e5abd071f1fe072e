"""The gate: whether a run meets requirements, or has too few samples to tell.

The samples of a run stand for all samples like them. With confidence `c` and `k` requirements:

- *Not met*: a bound that is wrong with a probability of at most `(1 - c) / k` excludes the limit. A
  model that meets all requirements fails with a probability of at most `1 - c` (Bonferroni).
- *Met*: a bound that is wrong with a probability of at most `1 - c` proves it. A model that
  does not meet a requirement passes with a probability of at most `1 - c`.
- *Undecided*: neither. More samples decide it.

The bounds of shares and medians are exact if each sample has one record. With several targets, and
for means and changes from a baseline, they hold approximately; benchmarks/results/gate-rates.md has
simulations. A run with the model, the attacks and the records of its baseline has not changed,
however few samples it has. Without confidence, the numbers of the run are compared as they are.
"""

import dataclasses
from collections.abc import Sequence
from functools import cache, partial

from minnorm.checks import check_number
from minnorm.errors import InputError
from minnorm.evaluation import Evaluation
from minnorm.evaluation.records import norms_in, samples_in
from minnorm.report.decisions.measures import Measure, measure
from minnorm.report.decisions.noninferiority import measure_change, unchanged
from minnorm.report.decisions.pairs import (
    OTHER_ATTACKS,
    attacks_differ,
    check_comparable,
    check_complete,
    chosen_records,
    is_repeat,
    pair_records,
)
from minnorm.report.decisions.requirements import Metric, Requirement, no_worse, read
from minnorm.report.decisions.verdicts import Verdicts, verdict_on
from minnorm.report.facts.default_radii import default_radii
from minnorm.report.findings.findings import measured_findings
from minnorm.report.runs import LabeledRun, label_runs


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
            `minnorm.report.decisions.requirements`. With a baseline also metrics alone, which are
            only compared with those of the baseline.
        baseline: A run on the same samples. Each metric of the requirements is compared with it;
            without requirements, the clean accuracy and the accuracy at a few radii.
        no_worse_than: By how much a metric may be worse than that of the baseline: shares by this
            difference (0.02 for 2 points), distances relatively.
        confidence: The confidence of the answers; `None` compares the numbers of the run as they
            are, as a regression test on fixed samples does.
        strict: Whether a warning fails the gate: one of the run, or a problem that
            its numbers show.

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
    labeled = label_runs(runs)
    for metric in _metrics(stated):
        _check_norm(metric, runs)
    asked = [one for one in stated if isinstance(one, Requirement)]
    measures = [*_measures(run, asked)]
    warnings = _warnings(labeled[-1])
    if baseline is not None:
        warnings += [
            f"The baseline {labeled[0].label}: {text}"
            for text in _warnings(labeled[0])
            if text not in warnings
        ]
    repeats = False
    if baseline is not None and no_worse_than is not None:
        check_comparable(baseline, run)
        metrics = _compared_metrics(stated, baseline, run)
        changes = [no_worse(metric, no_worse_than) for metric in metrics]
        found = _measured_changes(baseline, run, changes)
        repeats = is_repeat(baseline, run)
        measures += map(unchanged, found) if repeats else found
        asked += changes
        together = any(one.attack is None and one.kind != "clean_accuracy" for one in metrics)
        if together and attacks_differ(baseline, run):
            warnings.append(OTHER_ATTACKS)
    samples = samples_in(run.records)
    tail = None if confidence is None else 1 - confidence
    return Verdicts(
        run=labeled[-1].label,
        baseline=labeled[0].label if baseline is not None else None,
        samples=samples,
        confidence=confidence,
        verdicts=tuple(
            verdict_on(one, measured, tail, len(asked), samples)
            for one, measured in zip(asked, measures, strict=True)
        ),
        warnings=tuple(dict.fromkeys(warnings)),
        strict=strict,
        is_repeat=repeats,
    )


def _warnings(run: LabeledRun) -> list[str]:
    """Return the warnings of a run, and the problems that its numbers show.

    The report says the same about it. A requirement may be met because an attack does not work.
    """
    problems = [one for one in measured_findings(run) if one.level == "problem"]
    return [*run.run.warnings, *(f"{one.title}. {one.text} {one.advice}" for one in problems)]


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


def _metrics(stated: Sequence[Requirement | Metric]) -> list[Metric]:
    """Return the metrics of requirements, each once."""
    metrics = (one.metric if isinstance(one, Requirement) else one for one in stated)
    return list(dict.fromkeys(metrics))


def _check_norm(metric: Metric, runs: Sequence[Evaluation]) -> None:
    """Check that it is clear in which norm to measure."""
    if metric.kind == "clean_accuracy" or metric.norm is not None or metric.attack is not None:
        return
    norms = list(dict.fromkeys(name for run in runs for name in norms_in(run.records)))
    if len(norms) > 1:
        named = dataclasses.replace(metric, norm=norms[0])
        raise InputError(
            f"{str(metric)!r}: the attacks minimize {' and '.join(norms)}: name a norm, for "
            f"example {str(named)!r}, or an attack, for example '{metric} of ddn'."
        )


def _measures(run: Evaluation, requirements: Sequence[Requirement]) -> list[Measure]:
    """Return what each requirement is about, measured."""
    records = cache(partial(chosen_records, run))
    return [
        measure(
            run.records
            if one.metric.kind == "clean_accuracy"
            else records(one.metric.attack, one.metric.norm),
            one.metric,
        )
        for one in requirements
    ]


def _measured_changes(
    baseline: Evaluation, run: Evaluation, requirements: Sequence[Requirement]
) -> list[Measure]:
    """Return how the metric of each requirement changes from a baseline, measured."""
    pairs = cache(partial(pair_records, baseline, run))
    # The clean accuracy depends on no norm, but several attacks need one to be put together.
    first = norms_in(baseline.records)[0]
    changes = []
    for one in requirements:
        norm = first if one.metric.kind == "clean_accuracy" else one.metric.norm
        changes.append(measure_change(pairs(one.metric.attack, norm), one))
    return changes


def _compared_metrics(
    stated: Sequence[Requirement | Metric], baseline: Evaluation, run: Evaluation
) -> list[Metric]:
    """Return the metrics to compare with those of a baseline, each once."""
    if stated:
        return _metrics(stated)
    norm = norms_in(baseline.records)[0]
    radii = default_radii(label_runs([baseline, run]), norm)
    return [Metric("clean_accuracy"), *(Metric("accuracy", norm, radius) for radius in radii)]
