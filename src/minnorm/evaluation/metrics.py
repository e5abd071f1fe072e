"""Metrics: pure functions of records.

Each takes the records of one attack (or a worst case), in any order. Estimates come with a 95 %
confidence interval, for the samples being drawn at random from those one wants to know about.
Where a sample was attacked towards several targets its records are not independent: the intervals
count such a group as one draw (they use its robust variance, and the effective number of records).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minnorm import specs
from minnorm.evaluation.records import SCHEMA, Records
from minnorm.geometry import Norm

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""A numpy array of one dimension."""

_Z = NormalDist().inv_cdf(0.975)

WORST_CASE = "worst case"
"""The name of the attack in the records that `worst_case` gives."""


class Estimate(NamedTuple):
    """A number and its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """A row of a results table: one attack.

    Attributes:
        attack: Its name.
        samples: Number of records.
        success: Share of records with success.
        mean: Mean distance over the successes.
        median: Median distance, failures at infinity.
        median_gray: The same with failures at the distance to the gray image (L2 only, else NaN).
        forwards: Mean number of forward passes of a sample.
        backwards: Mean number of gradients of a sample.
        seconds: Time spent, all samples together.
    """

    attack: str
    samples: int
    success: Estimate
    mean: Estimate
    median: Estimate
    median_gray: Estimate
    forwards: float
    backwards: float
    seconds: float


def success_rate(records: Records) -> Estimate:
    """Gives the share of records with success; the interval is Wilson's."""
    _check_one_attack(records)
    return _share(_values(records, "success"), _values(records, "index"))


def clean_accuracy(records: Records) -> Estimate:
    """Gives the share of samples that the model classifies correctly; the interval is Wilson's."""
    samples, first = np.unique(_values(records, "index"), return_index=True)
    correct = _values(records, "clean_prediction") == _values(records, "label")
    return _share(correct[first], samples)


def mean_distance(records: Records, norm: Norm = "l2") -> Estimate:
    """Gives the mean distance over the successes, NaN without any; a normal interval cut at 0."""
    _check_one_attack(records)
    found = _values(records, norm)
    hits = np.isfinite(found)
    if not hits.any():
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(found[hits].mean())
    variance = _variance_of_mean(found[hits], _values(records, "index")[hits])
    half = _Z * math.sqrt(variance)
    return Estimate(mean, max(mean - half, 0.0), mean + half)


def median_distance(
    records: Records, norm: Norm = "l2", failures: Literal["infinity", "gray"] = "infinity"
) -> Estimate:
    """Gives the median distance over all records.

    Args:
        records: The records.
        norm: The norm of the distances.
        failures: What a failure counts as: infinitely far, or as far as the uniformly gray image
            is (the paper's table 1; L2 only).

    Returns:
        The median, and the order statistics that hold it with 95 % confidence.

    Raises:
        ValueError: If the gray image is asked for in another norm than L2.
    """
    _check_one_attack(records)
    found = _values(records, norm)
    if failures == "gray":
        if norm != "l2":
            raise ValueError(f"failures='gray' is defined for norm='l2', not {norm!r}.")
        found = np.where(np.isfinite(found), found, _values(records, "gray_l2"))
    count = len(found)
    if count == 0:
        return Estimate(math.nan, math.nan, math.nan)
    ordered = np.sort(found)
    below, above = ordered[(count - 1) // 2], ordered[count // 2]
    # inf - inf is NaN: the two middle values are averaged only where they differ.
    middle = below if below == above else (below + above) / 2
    effective = _effective_count(found <= middle, _values(records, "index"))
    half = _Z * count / math.sqrt(effective) / 2
    low = max(math.floor(count / 2 - half) - 1, 0)
    high = min(math.ceil(count / 2 + half), count - 1)
    return Estimate(float(middle), float(ordered[low]), float(ordered[high]))


def accuracy_at(records: Records, epsilon: float, norm: Norm = "l2") -> Estimate:
    """Gives the accuracy under attack within a radius: `mean(distance > epsilon)`.

    A failure counts as robust, a sample that was misclassified to begin with (distance 0) as not;
    so it is an upper bound of the true accuracy, which a better attack may lower. Of records with
    targets it is the share of pairs (sample, target) that are not reached within the radius. The
    interval is Wilson's.

    Raises:
        ValueError: If the radius is no number of at least 0.
    """
    _check_one_attack(records)
    if (
        isinstance(epsilon, bool)
        or not isinstance(epsilon, int | float | np.integer | np.floating)
        or not epsilon >= 0
    ):
        raise ValueError(f"epsilon={epsilon!r}: expected one radius of at least 0.")
    return _share(_values(records, norm) > epsilon, _values(records, "index"))


def robustness_curve(records: Records, norm: Norm = "l2") -> tuple[Array, Array]:
    """Gives accuracy against radius as a step function.

    Returns:
        The radii at which the accuracy falls, from 0, ascending; and the accuracy from each of
        them up to the next. For every radius it equals `accuracy_at`.
    """
    _check_one_attack(records)
    found = _values(records, norm)
    radii = np.unique(np.append(found[np.isfinite(found)], 0.0))
    if len(found) == 0:
        return radii, np.full(len(radii), math.nan)
    farther = len(found) - np.searchsorted(np.sort(found), radii, side="right")
    return radii, farther / len(found)


def optimality(records: Records, envelope: Records, norm: Norm = "l2") -> float:
    """Gives how near an attack comes to the best known distances: 1 is there, 0 found nothing.

    AttackBench's global optimality (Cina et al. 2024): `1 - (A - B) / (C - B)`, where A and B are
    the areas under the robustness curves of the attack and of the envelope up to the envelope's
    largest distance, and C is the area at the clean accuracy.

    Args:
        records: The attack's records.
        envelope: The best known records of the same samples, for example of `worst_case`.
        norm: The norm of the distances.

    Returns:
        The optimality; NaN where the envelope found nothing that is not 0.

    Raises:
        ValueError: If the two are not of the same samples.
    """
    _check_one_attack(records)
    if sorted(_keys(records)) != sorted(_keys(envelope)):
        raise ValueError("the records and the envelope are not of the same samples and targets.")
    best = _values(envelope, norm)
    finite = best[np.isfinite(best)]
    limit = float(finite.max()) if len(finite) else 0.0
    if limit == 0.0:
        return math.nan
    # The area under mean(distance > eps) up to the limit is the mean of min(distance, limit).
    area, area_best = (float(np.minimum(v, limit).mean()) for v in (_values(records, norm), best))
    correct = _values(envelope, "clean_prediction") == _values(envelope, "label")
    area_clean = float(correct.mean()) * limit
    return 1 - (area - area_best) / (area_clean - area_best) if area_clean > area_best else 1.0


def worst_case(records: Records, norm: Norm = "l2") -> Records:
    """Gives for each (sample, target) the record of the closest adversarial over all attacks.

    The paper's row 'All'. What the attacks spent is added up.

    Raises:
        ValueError: If an attack has no record of a sample that another one has.
    """
    keys = np.array(_keys(records))
    if len(keys) == 0:
        return records
    _, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.reshape(-1)
    counts = np.bincount(group)
    if (counts != len(records.column("attack").unique())).any():
        raise ValueError(
            "not every attack has a record of every sample: a worst case over part of them would "
            "mislead. Finish the run first."
        )
    order = np.lexsort((_values(records, norm), group))
    first = order[np.append(0, np.cumsum(counts)[:-1])]
    best = records.take(pa.array(first))
    columns = {name: best.column(name) for name in SCHEMA.names}
    columns["attack"] = pa.array([WORST_CASE] * len(best))
    for name in ("forwards", "backwards", "seconds"):
        columns[name] = pa.array(np.bincount(group, weights=_values(records, name)))
    return pa.table(columns, schema=SCHEMA)


def hardest_target(records: Records, norm: Norm = "l2") -> Records:
    """Gives for each sample and attack the target that lies farthest, a failure first of all.

    The paper's column 'least likely' of tables 2 to 4.
    """
    return _one_target(records, -_values(records, norm))


def closest_target(records: Records, norm: Norm = "l2") -> Records:
    """Gives for each sample and attack the target that lies closest.

    With all other classes as targets that is what an untargeted attack looks for; the costs are
    those of the attack on that target alone.
    """
    return _one_target(records, _values(records, norm))


def _one_target(records: Records, order: Array) -> Records:
    attacks, attack = np.unique(np.array(records.column("attack").to_pylist()), return_inverse=True)
    if len(attacks) == 0:
        return records
    indices = _values(records, "index")
    ranked = np.lexsort((order, indices, attack))
    pairs = np.stack([attack[ranked], indices[ranked]], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    return records.take(pa.array(ranked[first]))


def of_attack(records: Records, attack: str) -> Records:
    """Gives the records of one attack, by its name or any writing of its spec.

    Raises:
        ValueError: If there are none; the message lists the attacks that there are.
    """
    names = records.column("attack").unique().to_pylist()
    same = [name for name in names if name == attack or specs.same(name, attack)]
    name = same[0] if same else specs.choose(attack, names, "attack in these records called")
    return records.filter(pc.equal(records.column("attack"), name))


def breakdown(records: Records, norm: Norm = "l2") -> dict[str, Records]:
    """Gives the parts of which a results table has a row each, by name.

    One for each attack, in the order of the records; with several attacks the worst case over
    them; and where samples were attacked towards several targets, of each of these the hardest
    and the closest target too.
    """
    names = records.column("attack").unique().to_pylist()
    parts = {name: of_attack(records, name) for name in names}
    if len(parts) > 1:
        label = WORST_CASE if WORST_CASE not in parts else f"{WORST_CASE} of all"
        parts[label] = worst_case(records, norm)
    for name, part in list(parts.items()):
        hardest = hardest_target(part, norm)
        if len(hardest) < len(part):
            parts[f"{name}, hardest target"] = hardest
            parts[f"{name}, closest target"] = closest_target(part, norm)
    return parts


def summarize(records: Records, attack: str, norm: Norm = "l2") -> Summary:
    """Gives a row of a results table.

    Args:
        records: Records of one attack, at least one.
        attack: What to call it.
        norm: The norm of the distances.
    """
    unknown = Estimate(math.nan, math.nan, math.nan)
    return Summary(
        attack=attack,
        samples=len(records),
        success=success_rate(records),
        mean=mean_distance(records, norm),
        median=median_distance(records, norm),
        median_gray=median_distance(records, norm, "gray") if norm == "l2" else unknown,
        forwards=float(_values(records, "forwards").mean()),
        backwards=float(_values(records, "backwards").mean()),
        seconds=float(_values(records, "seconds").sum()),
    )


def _values(records: Records, column: str) -> Array:
    values: Array = records.column(column).to_numpy()
    return values


def _keys(records: Records) -> list[tuple[int, int]]:
    """Names each record by its sample and target; -1 stands for no target."""
    targets = pc.fill_null(records.column("target"), -1)
    return list(zip(records.column("index").to_pylist(), targets.to_pylist(), strict=True))


def _check_one_attack(records: Records) -> None:
    names = records.column("attack").unique().to_pylist()
    if len(names) > 1:
        raise ValueError(
            f"these records are of {len(names)} attacks ({', '.join(names)}): choose one with "
            "of_attack, or combine them with worst_case."
        )


def _variance_of_mean(values: Array, samples: Array) -> float:
    """Gives the variance of the mean of values that are independent only between samples.

    With one value for each sample it is the usual `variance / count`; infinite for one sample.
    """
    _, group = np.unique(samples, return_inverse=True)
    residuals = np.bincount(group, weights=values - values.mean())
    count = len(residuals)
    if count < 2:
        return math.inf
    return float(np.square(residuals).sum()) / len(values) ** 2 * count / (count - 1)


def _effective_count(hits: Array, samples: Array) -> float:
    """Gives the number of independent draws that would tell as much of the share of hits."""
    groups = len(np.unique(samples))
    if groups == len(hits):
        return float(groups)
    share = float(np.mean(hits))
    variance = _variance_of_mean(hits.astype(np.float64), samples)
    if share in (0.0, 1.0) or variance == math.inf:
        return float(groups)
    return min(share * (1 - share) / variance, len(hits)) if variance > 0 else len(hits)


def _share(hits: Array, samples: Array) -> Estimate:
    """Gives the share of true values with Wilson's interval."""
    if len(hits) == 0:
        return Estimate(math.nan, math.nan, math.nan)
    count = _effective_count(hits, samples)
    share = float(np.mean(hits))
    scale = 1 + _Z**2 / count
    centre = (share + _Z**2 / (2 * count)) / scale
    half = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / scale
    return Estimate(share, max(centre - half, 0.0), min(centre + half, 1.0))
