"""How often `minnorm gate` is wrong, and how often the intervals of `minnorm compare` hold.

    python benchmarks/gate_rates.py [--runs 1000] [--only CASE ...] [--json FILE]

Runs are simulated: their distances are drawn from a distribution whose metrics are known. Every
requirement is exactly at that truth, where wrong answers are most frequent.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import torch

from minnorm.evaluation import SCHEMA, Evaluation, Records
from minnorm.evaluation.estimates import Array
from minnorm.geometry import NORM_ORDERS
from minnorm.report import Verdicts, check
from minnorm.report.decisions.differences import (
    accuracy_difference,
    mean_difference,
    median_difference,
)
from minnorm.report.decisions.pairs import Pairs
from minnorm.report.decisions.requirements import Metric, Relation, Requirement
from minnorm.runtime import provenance
from output import write

Counts: TypeAlias = dict[str, int]
"""How often each event happened."""

CONFIDENCE = 0.95

RADII = (0.7, 1.3)

NORMAL = NormalDist()


@dataclass(frozen=True)
class Population:
    """The distribution of a run's distances, which are lognormal with median 1.

    Attributes:
        samples: The number of samples of a run.
        targets: The targets of each sample; 0 for an untargeted attack.
        spread: The standard deviation of the logarithm of a distance.
        shared: The share of its variance that the targets of a sample have in common.
        wrong: The share of samples that the model misclassifies.
        failures: The share of attacks that fail.
        agreement: The correlation of the logarithms between two runs.
        ratio: The distances of the second run over those of the first.
    """

    samples: int
    targets: int = 0
    spread: float = 0.5
    shared: float = 0.5
    wrong: float = 0.05
    failures: float = 0.1
    agreement: float = 0.8
    ratio: float = 1.0

    def accuracy(self, radius: float) -> float:
        """Return the share of pairs that are robust within a radius."""
        near = NORMAL.cdf(math.log(radius / self.ratio) / self.spread)
        return (1 - self.wrong) * (1 - (1 - self.failures) * near)

    def median(self) -> float:
        """Return the median over correctly classified samples, failures as infinitely far."""
        quantile = NORMAL.inv_cdf(0.5 / (1 - self.failures))
        return self.ratio * math.exp(self.spread * quantile)

    def mean(self) -> float:
        """Return the mean over successes."""
        return self.ratio * math.exp(self.spread**2 / 2)

    def draw(self, generator: np.random.Generator) -> Pairs:
        """Return two runs on the same samples; the second has the distances `ratio`."""
        shape = (self.samples, max(self.targets, 1))
        common = np.sqrt(self.shared if self.targets else 1.0)
        rest = np.sqrt(1 - common**2)

        def noise() -> Array:
            sample = generator.standard_normal((self.samples, 1))
            noise: Array = common * sample + rest * generator.standard_normal(shape)
            return noise

        a = noise()
        b = self.agreement * a + math.sqrt(1 - self.agreement**2) * noise()
        wrong = np.broadcast_to(generator.random((self.samples, 1)) < self.wrong, shape)
        failed = generator.random(shape) < self.failures
        distances = np.exp(self.spread * a), self.ratio * np.exp(self.spread * b)
        one, other = (records_of(found, wrong, failed, self.targets) for found in distances)
        return Pairs(one, other, "l2")


def records_of(distances: Array, wrong: Array, failed: Array, targets: int) -> Records:
    """Return records with these distances, a row for each sample and a column for each target."""
    samples, columns = distances.shape
    found = np.where(wrong, 0.0, np.where(failed, np.inf, distances)).reshape(-1)
    values: dict[str, Any] = {
        "attack": ["simulated"] * len(found),
        "norm": ["l2"] * len(found),
        "index": np.repeat(np.arange(samples), columns),
        "target": np.tile(np.arange(1, columns + 1), samples) if targets else [None] * len(found),
        "clean_prediction": wrong.reshape(-1).astype(np.int64),
        "success": np.isfinite(found),
        **dict.fromkeys(NORM_ORDERS, found),
        "radius_limit": [None] * len(found),
        "fixed_radii": [None] * len(found),
    }
    for field in SCHEMA:
        zeros = np.zeros(len(found), dtype=field.type.to_pandas_dtype())
        values.setdefault(field.name, zeros)
    return pa.table(values, schema=SCHEMA)


def run_of(records: Records) -> Evaluation:
    """Return a run of records."""
    configuration = {
        "model": "simulated",
        "model_fingerprint": "",
        "data": "simulated",
        "attacks": [],
        "data_fingerprint": "",
        "indices": [0, len(records.column("index").unique()), 1],
        "targets": None,
        "bounds": [0.0, 1.0],
        "dtype": "torch.float32",
    }
    return Evaluation(records, {"configuration": configuration, "classes": []}, None)


def wrong_answers(population: Population, generator: np.random.Generator) -> Counts:
    """Count wrong answers of the gate for one run, to requirements exactly at the truth."""
    run = run_of(population.draw(generator).a)
    mean = (Metric("mean"), population.mean())
    others = [
        (Metric("clean_accuracy"), 1 - population.wrong),
        *((Metric("accuracy", radius=radius), population.accuracy(radius)) for radius in RADII),
        (Metric("median"), population.median()),
    ]

    def answers(relation: Relation, truth: Sequence[tuple[Metric, float]]) -> Verdicts:
        stated = [Requirement(metric, relation, value) for metric, value in truth]
        return check(run, stated, confidence=CONFIDENCE)

    return {
        "false alarm: 4 requirements": int(answers(">=", others).outcome == "not met"),
        "false alarm: mean": int(answers(">=", [mean]).outcome == "not met"),
        **{
            f"false pass: {one.requirement.metric}": int(one.outcome == "met")
            for one in answers(">", [*others, mean]).verdicts
        },
    }


def wrong_about_baseline(population: Population, generator: np.random.Generator) -> Counts:
    """Count wrong answers about a baseline for one pair of runs whose difference is the margin."""
    pairs = population.draw(generator)
    baseline, run = run_of(pairs.a), run_of(pairs.b)
    first = replace(population, ratio=1.0)
    lost = first.accuracy(1.0) - population.accuracy(1.0)
    counts = {}
    for metric, margin in (
        (Metric("accuracy", radius=1.0), lost),
        (Metric("median"), 1 - population.ratio),
        (Metric("mean"), 1 - population.ratio),
    ):
        verdicts = check(
            run, [metric], baseline=baseline, no_worse_than=margin, confidence=CONFIDENCE
        )
        counts[f"false alarm: {metric}"] = int(verdicts.outcome == "not met")
        counts[f"false pass: {metric}"] = int(verdicts.outcome == "met")
    return counts


def misses(population: Population, generator: np.random.Generator) -> Counts:
    """Count for one pair of runs which intervals miss the true difference, and small p-values."""
    pairs, tail = population.draw(generator), (1 - CONFIDENCE) / 2
    first = replace(population, ratio=1.0)
    accuracy = accuracy_difference(pairs, 1.0, tail)
    found = {
        "accuracy@1": (accuracy, population.accuracy(1.0) - first.accuracy(1.0)),
        "median": (median_difference(pairs, tail), population.median() - first.median()),
        "mean": (mean_difference(pairs, tail), population.mean() - first.mean()),
    }
    counts = {
        f"interval misses: {name}": int(not one.change.low <= truth <= one.change.high)
        for name, (one, truth) in found.items()
    }
    if population.ratio == 1:
        counts["McNemar p <= 0.05"] = int((accuracy.p_value or 0.0) <= 0.05)
    return counts


Experiment: TypeAlias = Callable[[Population, np.random.Generator], Counts]

CASES: Mapping[str, tuple[Experiment, Population]] = {
    **{
        f"gate, {samples} samples": (wrong_answers, Population(samples))
        for samples in (20, 100, 1000)
    },
    "gate, 100 samples, spread 1": (wrong_answers, Population(100, spread=1.0)),
    **{
        f"gate, {samples} samples, 9 targets": (wrong_answers, Population(samples, 9))
        for samples in (10, 30, 100)
    },
    **{
        f"baseline, {samples} samples": (wrong_about_baseline, Population(samples, ratio=0.95))
        for samples in (20, 100, 300)
    },
    "baseline, 30 samples, 9 targets": (wrong_about_baseline, Population(30, 9, ratio=0.95)),
    **{f"compare, {samples} samples": (misses, Population(samples)) for samples in (20, 50, 200)},
    "compare, 50 samples, 0.8 times as far": (misses, Population(50, ratio=0.8)),
    "compare, 30 samples, 9 targets": (misses, Population(30, 9)),
}
"""The experiments, by name."""


def rates(name: str, runs: int, seed: int = 0) -> dict[str, float]:
    """Return how often each event happens in a case.

    Args:
        name: The case.
        runs: The number of simulated runs.
        seed: The seed of the simulation.
    """
    experiment, population = CASES[name]
    generator = np.random.default_rng([seed, *name.encode()])
    found = [experiment(population, generator) for _ in range(runs)]
    return {event: sum(one[event] for one in found) / runs for event in found[0]}


def table(measured: Mapping[str, Mapping[str, float]], runs: int) -> str:
    """Return the results as Markdown, a table for each kind of experiment."""
    error = 100 * math.sqrt((1 - CONFIDENCE) * CONFIDENCE / runs)
    lines = [
        "# How often the gate is wrong",
        "",
        f"Shares of {runs:,} simulated runs in %; the promise is at most 5 %. A true rate of 5 %",
        f"is measured with a standard error of {error:.1f} %. Every requirement is exactly at the",
        "truth, where wrong answers are most frequent: the gate may fail a model that is just good",
        "enough (false alarm), and may let one pass that is just not good enough (false pass). 4",
        "requirements: clean accuracy, accuracy at two radii and the median, together. Interval",
        "misses: the 95 % interval of `compare` does not hold the true difference. McNemar",
        "p <= 0.05: of two equally robust models. Written by `gate_rates.py`.",
    ]
    kinds = dict.fromkeys(name.partition(",")[0] for name in measured)
    for kind in kinds:
        rows = {name: one for name, one in measured.items() if name.partition(",")[0] == kind}
        events = list(dict.fromkeys(event for one in rows.values() for event in one))
        lines += ["", f"| {kind} | {' | '.join(events)} |", f"|---|{'---:|' * len(events)}"]
        for name, one in rows.items():
            cells = [f"{100 * one[event]:.1f}" if event in one else "" for event in events]
            lines.append(f"| {name.partition(', ')[2]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    measured = {}
    for name in options.only:
        measured[name] = rates(name, options.runs)
        print(name, measured[name], flush=True)
    result = {"runs": options.runs, "rates": measured}
    text = table(measured, options.runs)
    write(options.json, {**result, **provenance.describe(torch.device("cpu"))}, text)
    print(text)


if __name__ == "__main__":
    main()
