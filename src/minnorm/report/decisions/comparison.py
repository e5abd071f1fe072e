"""Two runs compared sample by sample: what changed, by how much, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minnorm.checks import check_count, check_number
from minnorm.evaluation import Evaluation
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import is_correct
from minnorm.evaluation.records import samples_in
from minnorm.evaluation.selection import values_of
from minnorm.geometry import Norm
from minnorm.report.decisions.differences import (
    Difference,
    accuracy_difference,
    clean_difference,
    difference,
    mean_difference,
    median_difference,
)
from minnorm.report.decisions.measures import least_distances
from minnorm.report.decisions.pairs import (
    OTHER_ATTACKS,
    PairedValues,
    Pairs,
    attack_names,
    attacks_differ,
    check_comparable,
    check_complete,
    other_differences,
    pair_records,
)
from minnorm.report.facts.classes import class_name
from minnorm.report.facts.default_radii import default_radii
from minnorm.report.runs import LabeledRun, label_runs


@dataclass(frozen=True)
class Change:
    """A sample, and its target, whose distance differs between two runs.

    Attributes:
        index: The position of the sample in the whole data set.
        target: The target class, `None` if the attack is untargeted.
        label: The true class.
        name: The name of the true class.
        a: The distance in the first run: 0 if misclassified, infinite if the attack failed.
        b: The distance in the second run.
    """

    index: int
    target: int | None
    label: int
    name: str
    a: float
    b: float


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same samples.

    Attributes:
        labels: A label of each run.
        attacks: The attack of each run that is compared, or the attacks whose closest adversarials
            are.
        norm: The norm of the distances.
        confidence: The confidence of the intervals.
        samples: The number of samples.
        pairs: The number of pairs of records.
        differences: The differences of the metrics.
        less_robust: The pairs that are less robust in the second run, the largest change first.
        more_robust: The pairs that are more robust in the second run, the largest change first.
        counts: The number of all pairs that became less robust, and of those that became more.
        other_differences: How the configurations of the runs differ.
        remarks: What a reader must know to understand the numbers.
    """

    labels: tuple[str, str]
    attacks: tuple[str, str]
    norm: Norm
    confidence: float
    samples: int
    pairs: int
    differences: tuple[Difference, ...]
    less_robust: tuple[Change, ...]
    more_robust: tuple[Change, ...]
    counts: tuple[int, int]
    other_differences: tuple[str, ...]
    remarks: tuple[str, ...]


def compare(
    a: Evaluation,
    b: Evaluation,
    *,
    epsilons: Sequence[float] = (),
    norm: Norm | None = None,
    attack: str | None = None,
    confidence: float = 0.95,
    top: int = 10,
    labels: Sequence[str] = (),
) -> Comparison:
    """Compare two runs on the same samples, pair by pair.

    A pair is a sample, with its target if the attacks have targets. Changes are those from `a` to
    `b`. The intervals of shares are Tango's (1998), those of medians and means come from the
    bootstrap; the pairs of one sample count as one draw. Random numbers are always the same.

    Args:
        a: The first run.
        b: The second run.
        epsilons: The radii of the accuracies under attack; by default a few where they fall.
        norm: The norm of all distances; by default the one that the attacks minimize.
        attack: The attack to compare; by default the closest adversarials over all attacks of each
            run.
        confidence: The confidence of the intervals.
        top: How many of the samples that changed most to list, of each kind.
        labels: Labels of the two runs; by default those of `minnorm.report.label_runs`.

    Raises:
        InputError: If the runs are not of the same samples, targets and bounds, one is incomplete,
            one lacks the attack, or the attacks minimize several norms and none is given.
    """
    check_number("confidence", confidence, 0, 1)
    check_count("top", top, least=0)
    for run in (a, b):
        check_complete(run)
    check_comparable(a, b)
    runs = label_runs([a, b], labels)
    pairs = pair_records(a, b, attack, norm)
    radii = list(epsilons) or default_radii(runs, pairs.norm)
    tail = (1 - confidence) / 2
    robustness = _robustness(pairs)
    less, more = _changed_rows(robustness, _least(pairs))
    return Comparison(
        labels=(runs[0].label, runs[1].label),
        attacks=(attack or attack_names(a), attack or attack_names(b)),
        norm=pairs.norm,
        confidence=confidence,
        samples=samples_in(pairs.a),
        pairs=len(pairs.a),
        differences=(
            clean_difference(pairs, tail),
            *(accuracy_difference(pairs, radius, tail) for radius in radii),
            median_difference(pairs, tail),
            mean_difference(pairs, tail),
        ),
        less_robust=_listed(less[:top], pairs, robustness, runs[0]),
        more_robust=_listed(more[:top], pairs, robustness, runs[0]),
        counts=(len(less), len(more)),
        other_differences=other_differences(a, b),
        remarks=_remarks(pairs, attack is None and attacks_differ(a, b)),
    )


def _robustness(pairs: Pairs) -> PairedValues:
    """Return the distances of all pairs, 0 where the sample is misclassified."""
    a, b = (
        np.where(is_correct(part), values_of(part, pairs.norm), 0.0) for part in (pairs.a, pairs.b)
    )
    return PairedValues(a, b, pairs.samples)


def _least(pairs: Pairs) -> tuple[Array, Array]:
    """Return what the distances of all pairs are at least, 0 where the sample is misclassified."""
    a, b = (
        np.where(is_correct(part), least_distances(part, pairs.norm), 0.0)
        for part in (pairs.a, pairs.b)
    )
    return a, b


def _changed_rows(robustness: PairedValues, least: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return the rows that became less robust, and those that became more: largest change first.

    A change is one for sure: a distance of one run is below what that of the other is at least.
    """
    a, b, _ = robustness
    change = np.where((b < least[0]) | (a < least[1]), difference(a, b), 0.0)
    # Of equal changes, which infinite ones are, the smaller distance is worse.
    order = np.lexsort((np.minimum(a, b), -np.abs(change)))
    return order[change[order] < 0], order[change[order] > 0]


def _listed(
    rows: Array, pairs: Pairs, robustness: PairedValues, run: LabeledRun
) -> tuple[Change, ...]:
    a, b, samples = robustness
    labels = values_of(pairs.a, "label")
    targets = pairs.a.column("target")
    return tuple(
        Change(
            index=int(samples[row]),
            target=targets[row].as_py(),
            label=int(labels[row]),
            name=class_name(run, int(labels[row])),
            a=float(a[row]),
            b=float(b[row]),
        )
        for row in rows.tolist()
    )


def _remarks(pairs: Pairs, other_attacks: bool) -> tuple[str, ...]:
    """Return what a reader must know to understand the numbers."""
    remarks = []
    if other_attacks:
        remarks.append(OTHER_ATTACKS)
    if pairs.other_targets:
        remarks.append(
            f"The targets of {pairs.other_targets:,} pairs differ: each model has its own least "
            "likely class."
        )
    if pairs.not_closest:
        remarks.append(
            f"In a run, {pairs.not_closest}. So accuracies at smaller radii and distances are only "
            "known to be at most what was found: they are not compared."
        )
        return tuple(remarks)
    a, b, _ = pairs.distances
    both = int((np.isfinite(a) & np.isfinite(b)).sum())
    remarks.append(
        f"Medians: over the {len(a):,} pairs whose sample both models classify "
        "correctly; a failure of an attack counts as infinitely far. Means: over the "
        f"{both:,} of them where the attacks on both succeeded."
    )
    return tuple(remarks)
