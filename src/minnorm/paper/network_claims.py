"""Claims that compare networks: the same attacks on the same images."""

from collections.abc import Mapping, Sequence

import numpy as np

from minnorm.evaluation import Estimate, Records
from minnorm.evaluation.metrics import robust_radii
from minnorm.evaluation.selection import values_of
from minnorm.paper.claim_parts import (
    TAIL,
    both_succeed,
    estimate_text,
    matched,
    not_measured,
    paired_change,
    pairs_text,
    ratio_of,
    ratio_text,
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
    found = _on_both(claim, (claim.attack, claim.beside), settings)
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
    return ClaimResult(claim, verdict_above(ratio, 1), numbers, ratio)


def larger_mean(claim: LargerMean, settings: Mapping[str, MeasuredSetting]) -> ClaimResult:
    """Check that the mean distance on a network is larger than on another one."""
    pair = _on_both(claim, (claim.attack,), settings)
    if isinstance(pair, str):
        return not_measured(claim, pair)
    found = both_succeed(*pair)
    if not found.b.any():
        return not_measured(claim, "there is no image on which it succeeds on both")
    ratio = ratio_of(found)
    shown = ratio_text(ratio, found, "it succeeds on both", of=len(pair[0]))
    numbers = f"mean of {claim.attack} on {claim.setting} / on {claim.other}: {shown}"
    return ClaimResult(claim, verdict_above(ratio, 1), numbers, ratio)


def more_robust(claim: MoreRobust, settings: Mapping[str, MeasuredSetting]) -> ClaimResult:
    """Check that a network is more accurate under attack than another one at each radius."""
    # Accuracies are over all images, also where other statistics are not.
    pair = _on_both(claim, (claim.attack,), settings)
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
    undecided = [not first and not last for first, last in zip(ahead, behind, strict=True)]
    worst = max(range(len(changes)), key=lambda number: changes[number].value)
    shown = np.linspace(0, len(texts) - 1, min(_SHOWN_RADII, len(texts))).round().astype(int)
    numbers = (
        f"under {claim.attack}, {claim.setting} is ahead of {claim.other} at {sum(ahead)} of "
        f"{counted(len(ahead), 'radius', 'radii')} from {min(claim.epsilons):g} to "
        f"{max(claim.epsilons):g}, behind {_at(claim.epsilons, behind)}, undecided "
        f"{_at(claim.epsilons, undecided)} (all intervals together are right with 95 % "
        f"probability); accuracy on {claim.setting} and "
        f"{claim.other}: {listed([texts[place] for place in shown])}; {pairs_text(hits)}"
    )
    # The change is that of the other network: its accuracy minus ours.
    low = Estimate(-changes[worst].value, -changes[worst].high, -changes[worst].low)
    return ClaimResult(claim, verdict, numbers, low, max(p_values))


def _at(radii: Sequence[float], where: Sequence[bool]) -> str:
    """Return some radii in words."""
    found = [f"{radius:g}" for radius, one in zip(radii, where, strict=True) if one]
    return f"at {listed(found)}" if found else "at none"


def _on_both(
    claim: WorseOn | LargerMean | MoreRobust,
    rows: Sequence[str],
    settings: Mapping[str, MeasuredSetting],
) -> list[Records] | str:
    """Return the records of rows on a network, then on the other one, or why there are none.

    They are those of the images that all have, in one order.
    """
    if claim.other not in settings:
        return f"{claim.other} is not part of this scale"
    both = settings[claim.setting], settings[claim.other]
    if not have_same_images([one.setting for one in both]):
        return f"{claim.other} has other images than {claim.setting}"
    return matched([(one, row) for one in both for row in rows])
