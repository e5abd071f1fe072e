"""Claims that compare networks: the same attacks on the same images."""

from collections.abc import Mapping

import numpy as np

from minnorm.evaluation import Estimate
from minnorm.evaluation.metrics import robust_radii
from minnorm.evaluation.selection import values_of
from minnorm.paper.claim_parts import (
    TAIL,
    both_succeed,
    estimate_text,
    left_out_text,
    matched,
    not_measured,
    pair_on,
    paired_change,
    pairs_text,
    ratio_of,
    verdict_above,
)
from minnorm.paper.claims import LargerMean, MoreRobust, WorseOn
from minnorm.paper.measuring import MeasuredSetting
from minnorm.paper.outcome import ClaimResult, Verdict
from minnorm.paper.rows import have_same_images
from minnorm.report.decisions.paired import mcnemar, mean_change_bounds
from minnorm.report.decisions.pairs import PairedValues
from minnorm.report.texts import counted, listed

_SHOWN_RADII = 4
"""The radii whose numbers a result names."""


def worse_on(claim: WorseOn, settings: Mapping[str, MeasuredSetting]) -> ClaimResult:
    """Check that an attack is worse on a network than on another one."""
    both = _both(claim.setting, claim.other, settings)
    if isinstance(both, str):
        return not_measured(claim, both)
    found = matched([(one, name) for one in both for name in (claim.attack, claim.beside)])
    if isinstance(found, str):
        return not_measured(claim, found)
    lengths = np.stack([values_of(part, "l2") for part in found])
    usable = (np.isfinite(lengths) & (lengths > 0)).all(axis=0)
    if not usable.any():
        return not_measured(claim, "there is no image on which both attacks succeed on both")
    ours, theirs = np.log(lengths[0::2, usable] / lengths[1::2, usable])
    changes, samples = ours - theirs, values_of(found[0], "index")[usable]
    ends = float(changes.min()), float(changes.max())
    bounds = mean_change_bounds(changes, samples, ends)(TAIL)
    ratio = Estimate(*np.exp([changes.mean(), bounds.low, bounds.high]).tolist())
    numbers = (
        f"{claim.attack} / {claim.beside}: {np.exp(ours.mean()):.3f} on {claim.setting}, "
        f"{np.exp(theirs.mean()):.3f} on {claim.other}, a factor of {estimate_text(ratio, 3)} "
        f"(geometric means over {counted(len(changes), 'image')})"
    )
    return ClaimResult(claim.text, claim.setting, verdict_above(ratio, 1), numbers, ratio)


def larger_mean(claim: LargerMean, settings: Mapping[str, MeasuredSetting]) -> ClaimResult:
    """Check that the mean distance on a network is larger than on another one."""
    both = _both(claim.setting, claim.other, settings)
    if isinstance(both, str):
        return not_measured(claim, both)
    pair = pair_on([(one, claim.attack) for one in both])
    if isinstance(pair, str):
        return not_measured(claim, pair)
    found = both_succeed(*pair)
    if not found.b.any():
        return not_measured(claim, "there is no image on which it succeeds on both")
    ratio = ratio_of(found)
    numbers = (
        f"mean of {claim.attack} on {claim.setting} / on {claim.other}: "
        f"{estimate_text(ratio, 4)}, over {pairs_text(found)} on which it succeeds on both "
        f"({found.a.mean():.4f} and {found.b.mean():.4f}){left_out_text(found, len(pair[0]))}"
    )
    return ClaimResult(claim.text, claim.setting, verdict_above(ratio, 1), numbers, ratio)


def more_robust(claim: MoreRobust, settings: Mapping[str, MeasuredSetting]) -> ClaimResult:
    """Check that a network is more accurate under attack than another one at each radius."""
    both = _both(claim.setting, claim.other, settings)
    if isinstance(both, str):
        return not_measured(claim, both)
    # Accuracies are over all images, also where other statistics are not.
    pair = pair_on([(one, claim.attack) for one in both])
    if isinstance(pair, str):
        return not_measured(claim, pair)
    one, other = (robust_radii(part, "l2") for part in pair)
    samples = values_of(pair[0], "index")
    tail = TAIL / len(claim.epsilons)  # so that all intervals hold together
    changes, p_values, texts = [], [], []
    for epsilon in claim.epsilons:
        hits = PairedValues(one > epsilon, other > epsilon, samples)
        changes.append(paired_change(hits, tail))
        p_values.append(mcnemar(hits))
        texts.append(f"{100 * hits.a.mean():.1f} % and {100 * hits.b.mean():.1f} % at {epsilon:g}")
    ahead = [change.high < 0 for change in changes]
    behind = [change.low > 0 for change in changes]
    verdict: Verdict = "held" if all(ahead) else "not held" if any(behind) else "not shown"
    open_at = [
        f"{epsilon:g}"
        for epsilon, first, last in zip(claim.epsilons, ahead, behind, strict=True)
        if not first and not last
    ]
    undecided = f", undecided at {listed(open_at)}" if open_at else ""
    worst = max(range(len(changes)), key=lambda number: changes[number].value)
    shown = np.linspace(0, len(texts) - 1, min(_SHOWN_RADII, len(texts))).round().astype(int)
    numbers = (
        f"under {claim.attack}, {claim.setting} is ahead of {claim.other} at {sum(ahead)} of "
        f"{counted(len(ahead), 'radius', 'radii')}, behind at {sum(behind)}{undecided}, with "
        f"intervals so wide that all of them hold at once; accuracy on {claim.setting} and "
        f"{claim.other}: "
        f"{listed([texts[place] for place in shown])}; {pairs_text(hits)}"
    )
    # The change is that of the other network: its accuracy minus ours.
    low = Estimate(-changes[worst].value, -changes[worst].high, -changes[worst].low)
    return ClaimResult(claim.text, claim.setting, verdict, numbers, low, max(p_values))


def _both(
    setting: str, other: str, settings: Mapping[str, MeasuredSetting]
) -> tuple[MeasuredSetting, MeasuredSetting] | str:
    """Return two settings over the same images, or why they cannot be compared."""
    if other not in settings:
        return f"{other} is not part of this scale"
    both = settings[setting], settings[other]
    if not have_same_images([one.setting for one in both]):
        return f"{other} has other images than {setting}"
    return both
