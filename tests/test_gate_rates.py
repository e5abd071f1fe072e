"""The promises of the gate and of the intervals of comparisons, on simulated runs."""

import numpy as np
import pytest
from scipy import stats

from minnorm.report.decisions.measures import measure
from minnorm.report.decisions.requirements import Metric
from scripts import script

RUNS = 100


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    ["gate, 100 samples", "gate, 30 samples, 9 targets", "baseline, 100 samples",
     "compare, 50 samples"],
)  # fmt: skip
def test_wrong_answers_are_as_rare_as_promised(case: str) -> None:
    rates = script("benchmarks/gate_rates.py").rates(case, RUNS)
    # With a rate of 5 %, more than this is rarer than one in a thousand.
    most = stats.binom.ppf(0.999, RUNS, 0.05) / RUNS
    assert not {event: rate for event, rate in rates.items() if rate > most}
    assert any(rates.values())


def test_a_population_has_the_metrics_that_it_claims() -> None:
    population = script("benchmarks/gate_rates.py").Population(20_000, ratio=0.9)
    pairs = population.draw(np.random.default_rng(0))
    clean, accuracy, median, mean = (
        measure(pairs.b, metric).value
        for metric in (
            Metric("clean_accuracy"),
            Metric("accuracy", radius=1.0),
            Metric("median"),
            Metric("mean"),
        )
    )
    assert clean == pytest.approx(1 - population.wrong, abs=0.01)
    assert accuracy == pytest.approx(population.accuracy(1.0), abs=0.01)
    assert median == pytest.approx(population.median(), rel=0.02)
    assert mean == pytest.approx(population.mean(), rel=0.02)
