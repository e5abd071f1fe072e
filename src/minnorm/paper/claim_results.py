"""Claims of the paper on our records: whether each held, by an interval and a paired test.

A claim held if the whole 95 % interval agrees with it, and did not hold if none of it does. Both
attacks of a pair are compared on the images that both have.
"""

import math
from collections.abc import Mapping, Sequence
from typing import assert_never

import numpy as np
import pyarrow as pa

from minnorm.evaluation import Estimate, Records, mean_distance
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
    WorseOn,
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
        case WorseOn():
            result = _worse_on(claim, measured, settings)
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
    value, low, high = (_number_text(scale * one, digits, sign) for one in estimate)
    return f"{value} [{low}, {high}]"


def _number_text(value: float, digits: int, sign: str) -> str:
    if math.isnan(value):
        return "unknown"
    return f"{value:{sign}.{digits}f}" if math.isfinite(value) else ("-∞" if value < 0 else "∞")


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


def _worse_on(
    claim: WorseOn, measured: MeasuredSetting, settings: Mapping[str, MeasuredSetting]
) -> ClaimResult:
    if claim.other not in settings:
        return not_measured(claim, f"{claim.other} is not part of this scale")
    both = [measured, settings[claim.other]]
    if not have_same_images([one.setting for one in both]):
        return not_measured(claim, f"{claim.other} has other images than {claim.setting}")
    found = _matched([(one, name) for one in both for name in (claim.attack, claim.beside)])
    if isinstance(found, str):
        return not_measured(claim, found)
    lengths = np.stack([values_of(part, "l2") for part in found])
    usable = (np.isfinite(lengths) & (lengths > 0)).all(axis=0)
    if not usable.any():
        return not_measured(claim, "there is no image on which both attacks succeed on both")
    ours, theirs = np.log(lengths[0::2, usable] / lengths[1::2, usable])
    changes, samples = ours - theirs, values_of(found[0], "index")[usable]
    ends = float(changes.min()), float(changes.max())
    bounds = mean_change_bounds(changes, samples, ends)(_TAIL)
    ratio = Estimate(*np.exp([changes.mean(), bounds.low, bounds.high]).tolist())
    numbers = (
        f"{claim.attack} / {claim.beside}: {np.exp(ours.mean()):.3f} on {claim.setting}, "
        f"{np.exp(theirs.mean()):.3f} on {claim.other}, a factor of {estimate_text(ratio, 3)} "
        f"(geometric means over {counted(len(changes), 'image')})"
    )
    verdict: Verdict = "not shown"
    if ratio.low > 1 or ratio.high <= 1:
        verdict = "held" if ratio.low > 1 else "not held"
    return ClaimResult(claim.text, claim.setting, verdict, numbers, ratio)


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
        texts.append(f"{100 * hits.a.mean():.1f} % and {100 * hits.b.mean():.1f} % at {epsilon:g}")
    ahead = [change.high < 0 for change in changes]
    behind = [change.low > 0 for change in changes]
    verdict: Verdict = "held" if all(ahead) else "not held" if any(behind) else "not shown"
    worst = max(range(len(changes)), key=lambda number: changes[number].value)
    shown = np.linspace(0, len(texts) - 1, min(_SHOWN_RADII, len(texts))).round().astype(int)
    numbers = (
        f"under {claim.attack}, {claim.setting} is ahead of {claim.beside} at {sum(ahead)} of "
        f"{counted(len(ahead), 'radius', 'radii')}, behind at {sum(behind)}, by intervals that "
        f"hold together; accuracy on {claim.setting} and {claim.beside}: "
        f"{listed([texts[place] for place in shown])}; {_pairs(hits)}"
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
    found = _matched(rows, targets, images)
    return found if isinstance(found, str) else (found[0], found[1])


def _matched(
    rows: Sequence[tuple[MeasuredSetting, str]], targets: str = "all", images: Over = "all"
) -> list[Records] | str:
    """Return the records of rows on the images that all have, in one order, or why there are none.

    Args:
        rows: Settings, and the names of rows of them.
        targets: `all`, or of each image the `hardest`.
        images: The images that count.
    """
    parts = []
    for measured, name in rows:
        records = records_of(measured, name)
        if records is None or len(records) == 0:
            return f"{name} was not measured on {measured.setting.name}"
        parts.append(counted_of(over_of(records, targets), images))
    common = common_images(parts)
    if len(common) == 0:
        return "there is no image that all of them have"
    return [_sorted(of_images(part, common)) for part in parts]


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
