"""Several runs in one sentence: which keeps the highest robust accuracy, and by how much."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from minnorm.evaluation import Records
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import accuracies_at, robust_radii
from minnorm.evaluation.records import are_targeted, norms_in
from minnorm.evaluation.selection import values_of
from minnorm.geometry import Norm
from minnorm.report.findings.beaten_attacks import at_least
from minnorm.report.parts import closest_part
from minnorm.report.runs import LabeledRun, have_same_labels
from minnorm.report.texts import counted, norm_name, percent, radius_text

_BY_CHANCE = 0.05
"""The probability from which a difference may be chance."""


def ranking(
    runs: Sequence[LabeledRun],
    radii: Mapping[Norm, Sequence[float]],
    doubtful: Collection[str] = (),
) -> list[str]:
    """Return which of several runs keeps the highest robust accuracy, and by how much.

    Args:
        runs: The runs.
        radii: The radii of the accuracies, by norm. What counts is the middle one of those at which
            the accuracies of all runs are known, and one is above 0.
        doubtful: The labels of the runs in which a finding is a problem.

    Returns:
        A text for each norm that attacks of every run minimize. None if the runs are not over the
        same samples, labels and bounds, or are targeted.
    """
    records = [run.run.records for run in runs]
    if len(runs) < 2 or not all(map(len, records)) or any(map(are_targeted, records)):
        return []
    used = [run.run.manifest["configuration"] for run in runs]
    shared = [norm for norm in radii if all(norm in norms_in(one) for one in records)]
    problems = {
        (one["data_fingerprint"], *one["bounds"], str(one.get("restrictions"))) for one in used
    }
    if len(problems) > 1 or not shared:
        return []
    found = {norm: [_by_sample(closest_part(run, norm)) for run in runs] for norm in shared}
    first, *others = [values_of(part, "index") for part in found[shared[0]]]
    same = all(np.array_equal(first, other) for other in others)
    if not same or not have_same_labels(records):
        return []
    texts = [_text(runs, parts, norm, radii[norm], doubtful) for norm, parts in found.items()]
    return [text for text in texts if text]


def _by_sample(records: Records) -> Records:
    """Return records in the order of their samples."""
    return records.take(np.argsort(values_of(records, "index")))


def _text(
    runs: Sequence[LabeledRun],
    parts: Sequence[Records],
    norm: Norm,
    radii: Sequence[float],
    doubtful: Collection[str],
) -> str:
    """Return the text for one norm, empty if no radius has a known accuracy in each run.

    Args:
        runs: The runs.
        parts: The closest records of each run, of the same samples in the same order.
        norm: The norm.
        radii: The radii.
        doubtful: The labels of the runs in which a finding is a problem.
    """
    by_run = [accuracies_at(part, radii, norm) for part in parts]
    by_radius = {
        radius: np.array([math.nan if one.is_upper_bound else one.value for one in found])
        for radius, *found in zip(radii, *by_run, strict=True)
    }
    # Beyond the last curve, all are equal.
    known = [radius for radius, one in by_radius.items() if np.isfinite(one).all() and one.any()]
    if not known:
        return ""
    radius = known[len(known) // 2]
    accuracies = by_radius[radius]
    best, second = np.argsort(-accuracies, kind="stable")[:2].tolist()
    is_by_model = len({run.model for run in runs}) == len(runs)
    all_runs = f"the {counted(len(runs), 'model' if is_by_model else 'run')}"
    value = f"{percent(accuracies[best])} within an {norm_name(norm)} distance of "
    value += radius_text(radius)
    equal = int((accuracies == accuracies[best]).sum())
    if equal > 1:
        return f"{equal} of {all_runs} keep the same highest robust accuracy: {value}."
    lead = 100 * (accuracies[best] - accuracies[second])
    text = (
        f"{runs[best].label} keeps the highest robust accuracy of {all_runs}: {value}, {lead:.1f} "
        f"points more than {runs[second].label}."
    )
    if _may_be_chance(*(robust_radii(parts[one], norm) > radius for one in (best, second))):
        text += f" With {counted(len(parts[0]), 'sample')}, this difference may be chance."
    if runs[best].label in doubtful:
        text += " But there are problems with its numbers: read its findings first."
    if len({_attacks(run) for run in runs}) > 1:
        text += " The runs have different attacks, so part of it may come from these."
    return text


def _may_be_chance(more: Array, less: Array) -> bool:
    """Return whether the exact sign test finds no difference between two runs.

    Args:
        more: On which samples the one run is robust.
        less: On which of the same samples the other one is.
    """
    gained, lost = int((more & ~less).sum()), int((less & ~more).sum())
    return 2 * at_least(gained, gained + lost, 0.5) >= _BY_CHANCE


def _attacks(run: LabeledRun) -> frozenset[str]:
    return frozenset(entry["spec"] for entry in run.run.manifest["configuration"]["attacks"])
