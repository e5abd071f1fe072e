"""Claims of the paper on our records: whether each held, by an interval and a paired test.

A claim held if the whole 95 % interval agrees with it, and did not hold if none of it does. Both
attacks of a pair are compared on the images that both have.
"""

import math
from collections.abc import Mapping, Sequence
from typing import assert_never

import numpy as np
import pyarrow as pa

from minnorm.evaluation import Estimate, Records, mean_distance, success_rate
from minnorm.evaluation.metrics import Over, robust_radii
from minnorm.evaluation.selection import keys_of, values_of
from minnorm.paper.claims import (
    Claim,
    Closer,
    MeanOfPaper,
    MoreRobust,
    Own,
    RatioOfMeans,
    SuccessBelow,
)
from minnorm.paper.measuring import MeasuredSetting
from minnorm.paper.outcome import ClaimResult, Verdict
from minnorm.paper.rows import (
    common_images,
    counted_of,
    have_same_images,
    of_images,
    over_of,
    records_of,
)
from minnorm.report.decisions.paired import mcnemar, mean_change_bounds, share_difference_bounds
from minnorm.report.decisions.pairs import PairedValues
from minnorm.report.texts import counted, listed

_TAIL = 0.025
"""The share of a 95 % interval's complement at each end."""

_SHOWN_RADII = 4
"""The radii whose numbers a result names."""


def check_claims(
    claims: Sequence[Claim], settings: Sequence[MeasuredSetting]
) -> tuple[ClaimResult, ...]:
    """Check all claims but those that the kind of the experiment checks itself."""
    named = {measured.setting.name: measured for measured in settings}
    return tuple(check_claim(claim, named) for claim in claims if not isinstance(claim, Own))


def check_claim(claim: Claim, settings: Mapping[str, MeasuredSetting]) -> ClaimResult:
    """Check a claim; one whose setting or rows are missing is `not measured`."""
    if claim.setting not in settings:
        return not_measured(claim, f"{claim.setting} is not part of this scale")
    measured = settings[claim.setting]
    match claim:
        case RatioOfMeans():
            result = _ratio_of_means(claim, measured)
        case MeanOfPaper():
            result = _mean_of_paper(claim, measured)
        case SuccessBelow():
            result = _success_below(claim, measured)
        case Closer():
            result = _closer(claim, measured)
        case MoreRobust():
            result = _more_robust(claim, measured, settings)
        case Own():
            result = not_measured(claim, "only the experiment itself can check it")
        case _:
            assert_never(claim)
    return result


def not_measured(claim: Claim, reason: str) -> ClaimResult:
    """Return the result of a claim that was not measured.

    Args:
        claim: The claim.
        reason: Why not.
    """
    return ClaimResult(claim.text, claim.setting, "not measured", reason)


def verdict_on(estimate: Estimate, *, below: float) -> Verdict:
    """Return whether a number is at most a limit, by its interval."""
    if estimate.high <= below:
        return "held"
    return "not held" if estimate.low > below else "not shown"


def estimate_text(estimate: Estimate, digits: int, scale: float = 1.0, sign: str = "") -> str:
    """Return a number and its interval in words: `1.03 [1.02, 1.04]`."""
    value, low, high = (
        f"{scale * one:{sign}.{digits}f}" if math.isfinite(one) else ("-∞" if one < 0 else "∞")
        for one in estimate
    )
    return f"{value} [{low}, {high}]"


def _ratio_of_means(claim: RatioOfMeans, measured: MeasuredSetting) -> ClaimResult:
    pair = _pair_of(claim, measured, claim.beside)
    if isinstance(pair, str):
        return not_measured(claim, pair)
    attack, beside = pair
    found = _both_succeed(attack, beside)
    if not found.b.any():
        return not_measured(claim, "there is no image on which both succeed")
    ratio = _ratio(found)
    left_out = len(attack) - len(found.a)
    others = f"; {left_out:,} of {len(attack):,} are left out" if left_out else ""
    numbers = (
        f"mean of {claim.attack} / mean of {claim.beside}: {estimate_text(ratio, 4)}, over "
        f"{_pairs(found)} on which both succeed ({found.a.mean():.4f} and {found.b.mean():.4f})"
        f"{others}"
    )
    verdict = verdict_on(ratio, below=claim.at_most)
    return ClaimResult(claim.text, claim.setting, verdict, numbers, ratio)


def _ratio(found: PairedValues) -> Estimate:
    """Return the ratio of two means, the first to the second.

    Its interval is that of the mean of `a - ratio * b`, since the bootstrap of a mean is better
    than that of a ratio. It is computed as if the most extreme image had been drawn once more.

    Args:
        found: Finite distances of the attack, and those beside it.
    """
    mean = float(found.b.mean())
    ratio = float(found.a.mean()) / mean
    changes = found.a - ratio * found.b
    ends = float(changes.min()), float(changes.max())
    bounds = mean_change_bounds(changes, found.samples, ends)(_TAIL)
    return Estimate(ratio, max(ratio + bounds.low / mean, 0.0), ratio + bounds.high / mean)


def _mean_of_paper(claim: MeanOfPaper, measured: MeasuredSetting) -> ClaimResult:
    rows = {row.name: row for row in measured.setting.attacks}
    figures = rows[claim.attack].paper if claim.attack in rows else None
    records = records_of(measured, claim.attack)
    if records is None or figures is None or figures.mean is None:
        return not_measured(claim, f"{claim.attack} was not measured")
    mean = mean_distance(records, over=measured.setting.over)
    if math.isnan(mean.value):
        return not_measured(claim, f"{claim.attack} found no adversarial")
    change = Estimate(*(one / figures.mean - 1 for one in mean))
    verdict: Verdict = "not shown"
    if -claim.within <= change.low and change.high <= claim.within:
        verdict = "held"
    elif change.low > claim.within or change.high < -claim.within:
        verdict = "not held"
    numbers = (
        f"mean of {claim.attack}: {estimate_text(mean, 4)}, the paper's {figures.mean:.4f}: "
        f"{estimate_text(change, 1, 100, '+')} %"
    )
    return ClaimResult(claim.text, claim.setting, verdict, numbers, change)


def _success_below(claim: SuccessBelow, measured: MeasuredSetting) -> ClaimResult:
    if claim.beside is None:
        records = records_of(measured, claim.attack)
        if records is None:
            return not_measured(claim, f"{claim.attack} was not measured")
        share = success_rate(over_of(records, claim.over), over=measured.setting.over)
        limit = 1.0 if claim.below is None else claim.below
        verdict = verdict_on(share, below=math.nextafter(limit, 0))
        numbers = f"success of {claim.attack}: {estimate_text(share, 1, 100)} %"
        return ClaimResult(claim.text, claim.setting, verdict, numbers, share)
    pair = _pair_of(claim, measured, claim.beside)
    if isinstance(pair, str):
        return not_measured(claim, pair)
    attack, beside = pair
    one, other = (values_of(part, "success") for part in (attack, beside))
    hits = PairedValues(other, one, values_of(attack, "index"))
    change, p_value = _share_change(hits, _TAIL), mcnemar(hits)
    numbers = (
        f"success of {claim.attack} minus that of {claim.beside}: "
        f"{estimate_text(change, 1, 100, '+')} points over {_pairs(hits)} "
        f"({100 * one.mean():.1f} % and {100 * other.mean():.1f} %), McNemar p = {p_value:.2g}"
    )
    verdict = _below_zero(change)
    return ClaimResult(claim.text, claim.setting, verdict, numbers, change, p_value)


def _closer(claim: Closer, measured: MeasuredSetting) -> ClaimResult:
    results: list[tuple[Verdict, str, Estimate, float]] = []
    for beside in claim.beside:
        pair = _pair_of(claim, measured, beside)
        if isinstance(pair, str):
            return not_measured(claim, pair)
        one, other = (values_of(part, "l2") for part in pair)
        hits = PairedValues(one < other, one > other, values_of(pair[0], "index"))
        change, p_value = _share_change(hits, _TAIL), mcnemar(hits)
        both = _both_succeed(*pair)
        means = f", means {both.a.mean():.4f} and {both.b.mean():.4f}" if len(both.a) else ""
        text = (
            f"closer than {beside} on {100 * hits.a.mean():.1f} % of {_pairs(hits)}, farther on "
            f"{100 * hits.b.mean():.1f} % (sign test p = {p_value:.2g}{means})"
        )
        results.append((_below_zero(change), text, change, p_value))
    verdict, _, change, p_value = max(results, key=lambda one: (one[2].low > 0, one[2].high))
    numbers = f"{claim.attack} is " + "; ".join(text for _, text, _, _ in results)
    return ClaimResult(claim.text, claim.setting, verdict, numbers, change, p_value)


def _more_robust(
    claim: MoreRobust, measured: MeasuredSetting, settings: Mapping[str, MeasuredSetting]
) -> ClaimResult:
    if claim.beside not in settings:
        return not_measured(claim, f"{claim.beside} is not part of this scale")
    theirs = settings[claim.beside]
    if not have_same_images([measured.setting, theirs.setting]):
        return not_measured(claim, f"{claim.beside} has other images than {claim.setting}")
    # Accuracies are over all images, also where other statistics are not.
    pair = _pair([(one, claim.attack) for one in (measured, theirs)])
    if isinstance(pair, str):
        return not_measured(claim, pair)
    one, other = (robust_radii(part, "l2") for part in pair)
    samples = values_of(pair[0], "index")
    tail = _TAIL / len(claim.epsilons)  # so that all intervals hold together
    changes, p_values, texts = [], [], []
    for epsilon in claim.epsilons:
        hits = PairedValues(one > epsilon, other > epsilon, samples)
        changes.append(_share_change(hits, tail))
        p_values.append(mcnemar(hits))
        texts.append(f"at {epsilon:g} {100 * hits.a.mean():.1f} % and {100 * hits.b.mean():.1f} %")
    ahead = [change.high < 0 for change in changes]
    behind = [change.low > 0 for change in changes]
    verdict: Verdict = "held" if all(ahead) else "not held" if any(behind) else "not shown"
    worst = max(range(len(changes)), key=lambda number: changes[number].value)
    step = max(len(texts) // _SHOWN_RADII, 1)
    numbers = (
        f"under {claim.attack}, {claim.setting} is ahead of {claim.beside} at {sum(ahead)} of "
        f"{counted(len(ahead), 'radius', 'radii')}, behind at {sum(behind)}, by intervals that "
        f"hold together; accuracies {listed(texts[::step])}; {_pairs(hits)}"
    )
    # The change is that of the other network: its accuracy minus ours.
    low = Estimate(-changes[worst].value, -changes[worst].high, -changes[worst].low)
    return ClaimResult(claim.text, claim.setting, verdict, numbers, low, max(p_values))


def _pair_of(
    claim: RatioOfMeans | SuccessBelow | Closer, measured: MeasuredSetting, beside: str
) -> tuple[Records, Records] | str:
    """Return the records of two rows of a setting, on the images that its statistics are over."""
    rows = [(measured, name) for name in (claim.attack, beside)]
    return _pair(rows, claim.over, measured.setting.over)


def _pair(
    rows: Sequence[tuple[MeasuredSetting, str]], targets: str = "all", images: Over = "all"
) -> tuple[Records, Records] | str:
    """Return the records of two rows on the images that both have, or why there are none."""
    parts = []
    for measured, name in rows:
        records = records_of(measured, name)
        if records is None or len(records) == 0:
            return f"{name} was not measured on {measured.setting.name}"
        parts.append(counted_of(over_of(records, targets), images))
    common = common_images(parts)
    if len(common) == 0:
        return "the two have no image in common"
    one, other = (_sorted(of_images(part, common)) for part in parts)
    return one, other


def _sorted(records: Records) -> Records:
    samples, targets = keys_of(records)
    return records.take(pa.array(np.lexsort((targets, samples))))


def _both_succeed(attack: Records, beside: Records) -> PairedValues:
    """Return the distances of the pairs on which both succeed."""
    one, other = (values_of(part, "l2") for part in (attack, beside))
    both = np.isfinite(one) & np.isfinite(other)
    return PairedValues(one[both], other[both], values_of(attack, "index")[both])


def _share_change(hits: PairedValues, tail: float) -> Estimate:
    """Return the difference of two paired shares, `b` minus `a`, with Tango's interval."""
    bounds = share_difference_bounds(hits, tail)
    return Estimate(float(hits.b.mean() - hits.a.mean()), bounds.low, bounds.high)


def _below_zero(change: Estimate) -> Verdict:
    if change.high < 0:
        return "held"
    return "not held" if change.low > 0 else "not shown"


def _pairs(found: PairedValues) -> str:
    images = len(np.unique(found.samples))
    pairs = len(found.samples)
    text = counted(images, "image")
    return text if pairs == images else f"{pairs:,} pairs of {text} and targets"
