"""The results of a run in plain sentences."""

import math
from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from minnorm.access import Access
from minnorm.attacks.composition import most_demanding
from minnorm.boxes import is_finite, span
from minnorm.evaluation import Estimate, Records, Summary, clean_accuracy, summarize
from minnorm.evaluation.metrics import accuracies_at, is_correct
from minnorm.evaluation.records import are_targeted, attacks_in, norms_in, samples_in
from minnorm.evaluation.selection import values_of
from minnorm.geometry import Norm
from minnorm.report.findings.measured_attacks import measured_attacks
from minnorm.report.parts import closest_part, main_norm
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import (
    are_queries,
    counted,
    distance,
    distance_interval,
    listed,
    norm_name,
    percent,
    percent_interval,
    radius_text,
)


def statement(run: LabeledRun, epsilons: Sequence[float], norm: Norm | None = None) -> list[str]:
    """Return what was measured, in plain sentences with the numbers.

    Intervals in the sentences are 95 % confidence intervals.

    Args:
        run: The run.
        epsilons: The radii of the accuracies.
        norm: The norm of the distances; by default that of the first attack.
    """
    if len(run.run.records) == 0:
        return [f"No sample of {run.data} has been attacked yet."]
    norm = main_norm(run, norm)
    records = closest_part(run, norm)
    return [
        *_subject(run, records),
        *_clean(clean_accuracy(records)),
        *_robust(records, epsilons, norm),
        *_other_norm(run, norm),
        *_half(run, records, norm),
        *_strongest(run, norm),
        _cost(run, records),
        *_seen(_access(run)),
    ]


def curves_show(runs: Sequence[LabeledRun]) -> list[str]:
    """Return what robustness curves are, in plain sentences.

    Args:
        runs: The runs whose curves are shown.
    """
    targeted = {are_targeted(run.run.records) for run in runs if len(run.run.records)}
    untargeted = (
        "The share of samples that are still classified correctly, against the size of the allowed "
        "perturbation."
    )
    pairs = (
        "share of pairs of a sample and a target that are classified correctly and not turned into "
        "their target"
    )
    texts = [untargeted]
    if targeted == {True}:
        texts = [f"The {pairs}, against the size of the allowed perturbation."]
    elif True in targeted:
        texts.append(f"Of targeted runs: the {pairs}.")
    if any(pc.any(run.run.records.column("fixed_radii").is_valid()).as_py() for run in runs):
        texts.append(
            "An attack that searches for any adversarial within a radius measures the accuracy at "
            "that radius. At smaller ones its curve is an upper bound, and its confidence band "
            "reaches down to what is known."
        )
    return texts


def _subject(run: LabeledRun, records: Records) -> list[str]:
    """Return what was attacked on what."""
    samples = counted(samples_in(records), "sample")
    found = [f"The model {run.model} was attacked on {samples} of {run.data}."]
    if are_targeted(records):
        pairs = counted(
            len(records), "pair of a sample and a target", "pairs of a sample and a target"
        )
        found.append(
            "The attacks were targeted: each had to make the model predict a given wrong class, "
            f"in {pairs}."
        )
    if any(doubt.kind == "incomplete" for doubt in run.run.doubts):
        found.append(
            "The run is not finished: all numbers are of the samples that were attacked so far."
        )
    return found


def _clean(clean: Estimate) -> list[str]:
    """Return the clean accuracy."""
    text = (
        f"Without an attack, the model classifies {percent(clean.value)} of the samples correctly "
        f"(95 % confidence interval: {percent_interval(clean)})."
    )
    if clean.value > 0:
        return [text]
    return [text, "So there is nothing that an attack could change."]


def _robust(records: Records, epsilons: Sequence[float], norm: Norm) -> list[str]:
    """Return the accuracies under attack within radii."""
    radii = sorted(set(epsilons))
    found = dict(zip(radii, accuracies_at(records, radii, norm), strict=True))
    known = [
        f"{'at most ' if one.is_upper_bound else ''}{percent(one.value)} "
        f"({percent_interval(one)}) within {radius_text(epsilon)}"
        for epsilon, one in found.items()
        if not math.isnan(one.value)
    ]
    unknown = [radius_text(epsilon) for epsilon, one in found.items() if math.isnan(one.value)]
    texts = []
    if known:
        several = len(known) > 1
        shares = "these shares" if several else "this share"
        texts.append(
            f"Under attack in the {norm_name(norm)} norm, {shares} of the pairs of a sample and a "
            f"target withstand: {listed(known)}."
            if are_targeted(records)
            else f"Under attack in the {norm_name(norm)} norm, {shares} of the samples "
            f"{'stay' if several else 'stays'} correctly classified: {listed(known)}."
        )
        texts.append(
            f"A stronger attack may lower {'these numbers' if several else 'this number'}."
        )
    if any(one.is_upper_bound for one in found.values()):
        texts.append(
            "Where it says 'at most', the attacks search for any adversarial within a larger "
            "radius, and may miss closer ones."
        )
    if unknown:
        texts.append(
            f"Within an {norm_name(norm)} distance of {listed(unknown)} the accuracy is unknown: "
            "no attack has searched that far."
        )
    return texts


def _other_norm(run: LabeledRun, norm: Norm) -> list[str]:
    """Return that no attack minimizes a norm, if so."""
    if norm in norms_in(run.run.records):
        return []
    name = norm_name(norm)
    return [f"No attack of this run minimizes {name}: one that does would find smaller changes."]


def _half(run: LabeledRun, records: Records, norm: Norm) -> list[str]:
    """Return how large a change makes half of the samples wrong, and what it looks like."""
    summary = summarize(records, run.label, norm)
    cases = (
        "correctly classified pairs" if are_targeted(records) else "correctly classified samples"
    )
    if summary.clean_errors == len(records):
        return []
    if summary.success.value == 0:
        end = _end_of_search(summary)
        return [f"No attack found an adversarial of any of the {cases}{end}."]
    median = summary.median
    if math.isfinite(median.value):
        interval = distance_interval(median, summary.radius_limit)
        shown = f" (95 % confidence interval: {interval})" if math.isfinite(median.high) else ""
        closer = ", and perhaps by a much smaller one" if median.is_upper_bound else ""
        goal = "moved to their target" if are_targeted(records) else "made wrong"
        return [
            f"Half of the {cases} can be {goal} by a change of {norm_name(norm)} norm "
            f"{distance(median.value)} or less{shown}{closer}.",
            _size_of_changes(run, records),
        ]
    share = "half" if math.isnan(median.value) else "more than half"
    return [
        f"On {share} of the {cases}, no attack found an adversarial{_end_of_search(summary)}.",
        _size_of_changes(run, records),
    ]


def _end_of_search(summary: Summary) -> str:
    """Return where the search ended if the attacks had a limit, as the end of a sentence."""
    if math.isinf(summary.radius_limit):
        return ""
    place = f"{norm_name(summary.norm)} distance of {radius_text(summary.radius_limit)}"
    return f" within an {place}, and none searched farther"


def _size_of_changes(run: LabeledRun, records: Records) -> str:
    """Return how much the adversarials change the values of an input, in the typical case."""
    hits = is_correct(records) & values_of(records, "success") & (values_of(records, "l0") > 0)
    if not hits.any():
        return "The adversarials found are equal to their inputs after rounding."
    l0, l1, linf = (values_of(records, one)[hits] for one in ("l0", "l1", "linf"))
    low, high = run.run.manifest["configuration"]["bounds"]
    average, largest = (float(np.median(values)) / span((low, high)) for values in (l1 / l0, linf))
    changed = counted(round(float(np.median(l0))), "value")
    if not is_finite((low, high)):
        return (
            f"A typical adversarial changes {changed} of an input, by {average:.2g} on average and "
            f"by {largest:.2g} at most."
        )
    return (
        f"A typical adversarial changes {changed} of an input, by {_short(100 * average)} % of the "
        f"range of inputs on average and by {_short(100 * largest)} % at most. For an image, that "
        f"is {_short(255 * average)} and {_short(255 * largest)} of 255 gray levels."
    )


def _short(number: float) -> str:
    """Return a number with two digits, or as a whole number."""
    return f"{number:.2g}" if number < 10 else f"{number:.0f}"


def _strongest(run: LabeledRun, norm: Norm) -> list[str]:
    """Return which attack came closest most often."""
    attacks = measured_attacks(run, norm)
    if len(attacks) == 1:
        return [f"The attack was {attacks[0].name}."]
    if len(attacks[0].distances) == 0:
        return []
    closest = np.min([attack.distances for attack in attacks], axis=0)
    shares = [
        float((np.isfinite(closest) & (attack.distances <= closest * (1 + 1e-6))).mean())
        for attack in attacks
    ]
    best = int(np.argmax(shares))
    if shares[best] == 0:
        return []
    noun = "pairs" if attacks[0].targeted else "correctly classified samples"
    place = f" in {norm_name(norm)}" if norms_in(run.run.records) != [norm] else ""
    return [
        f"The strongest of {counted(len(attacks), 'attack')}{place} was {attacks[best].name}: on "
        f"{percent(shares[best])} of the {noun}, no other came closer."
    ]


def _access(run: LabeledRun) -> Access:
    """Return the most that an attack of the run has used of the model."""
    return most_demanding(run.accesses.values())


def _seen(access: Access) -> list[str]:
    """Return what the attacks have used of the model, if these are no gradients."""
    if access == "gradients":
        return []
    used, more = (
        ("the scores of the model were used, and no gradients", "gradients, an attack that uses")
        if access == "scores"
        else ("predicted classes were used", "scores or gradients, an attack that uses")
    )
    return [f"Only {used}. Where a model has {more} them may find smaller changes."]


def _cost(run: LabeledRun, records: Records) -> str:
    """Return what the attacks cost."""
    forwards, backwards = (
        float(values_of(records, one).mean()) for one in ("forwards", "backwards")
    )
    several = len(attacks_in(run.run.records)) > 1
    case = "pair" if are_targeted(records) else "sample"
    if are_queries(forwards, backwards, gradients=_access(run) == "gradients"):
        passes = counted(round(forwards), "query", "queries")
    else:
        passes = f"{counted(round(backwards), 'gradient')} and " + counted(
            round(forwards), "forward pass", "forward passes"
        )
    return (
        f"{'All attacks together' if several else 'It'} took {passes} per {case}, "
        f"{_duration(float(values_of(records, 'seconds').sum()))} in total."
    )


def _duration(seconds: float) -> str:
    """Return a duration in words, with two or three digits."""
    for unit, length in (("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}s"
    return f"{seconds:.1f} seconds" if seconds >= 0.1 else "less than 0.1 seconds"
